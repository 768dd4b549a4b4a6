# Other systems: what can be seen of them from here. docs/portability.md says what holds where. Included by the Makefile of the project.
#
# check-targets is part of `make ci`; check-without is not yet, as the core's tests of launching and logging are not settled there.

# What is compiled: the core and the command.
CHECKED_TARGETS := x86_64-apple-darwin aarch64-apple-darwin x86_64-unknown-freebsd aarch64-unknown-linux-gnu \
                   i686-unknown-linux-gnu x86_64-unknown-linux-musl
WITHOUT := target/portability/without.so
WITHOUT_PRELOAD = LD_PRELOAD=$(abspath $(WITHOUT))
WITHOUT_PYTHON := main_job.py surroundings.py streams.py signals.py watchdog.py supervisors.py
EXPECTED := $(abspath $(VENV))/bin/python -B portability/run.py

.PHONY: check-portable check-targets check-without check-without-c check-without-rust check-without-python

check-portable: check-targets check-without

# rustup has their standard libraries, a few seconds each.
check-targets:
	@echo "== compiled for other systems"
	@command -v rustup >/dev/null || { echo "rustup is needed for other systems' standard libraries" >&2; exit 1; }
	@rustup -q target add $(CHECKED_TARGETS) 2>/dev/null
	@set -e; for target in $(CHECKED_TARGETS); do \
		echo "$$target"; \
		RUSTFLAGS='-D warnings' CARGO_TARGET_DIR=target/portability $(CARGO) check --quiet -p daemonctx -p daemonctx-command \
			--lib --bins --examples --target $$target; \
	done

# What the portable path does is seen on Linux, by taking away what it does without.
$(WITHOUT): portability/without.c
	@mkdir -p $(@D)
	$(CC) -shared -fPIC -O1 -Wall -Wextra -Werror -o $@ $<

check-without: check-without-c check-without-rust check-without-python

check-without-c: $(WITHOUT) library original $(VENV)/.tools
	@echo "== C: without close_range, pidfds, signalfd, subreapers, /proc, _Fork"
	$(MAKE) --no-print-directory -C bindings/c-tests all SUITES=daemonctx LIBDIR=$(abspath $(LIB)) BUILD=$(abspath target/c-tests)
	@$(EXPECTED) daemonctx $(MAKE) --no-print-directory -C bindings/c-tests check SUITES=daemonctx LIBDIR=$(abspath $(LIB)) \
		BUILD=$(abspath target/c-tests) RUN='env $(WITHOUT_PRELOAD)'
	$(MAKE) --no-print-directory -C bindings/c-tests all SUITES=libdaemon LIBDIR=$(abspath $(LIB)) TESTD=$(TESTD) \
		BUILD=$(abspath target/c-tests-libdaemon)
	@$(EXPECTED) libdaemon $(MAKE) --no-print-directory -C bindings/c-tests check SUITES=libdaemon LIBDIR=$(abspath $(LIB)) \
		TESTD=$(TESTD) BUILD=$(abspath target/c-tests-libdaemon) RUN='env $(WITHOUT_PRELOAD)'

check-without-rust: $(WITHOUT) $(VENV)/.tools
	@echo "== Rust: the same"
	@host=$$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_') && \
	CARGO_TARGET_RUNNER="CARGO_TARGET_$${host}_RUNNER" && \
	env "$$CARGO_TARGET_RUNNER=env $(WITHOUT_PRELOAD)" $(EXPECTED) core $(CARGO) test -q -p daemonctx --test processes && \
	env "$$CARGO_TARGET_RUNNER=env WITHOUT=all $(WITHOUT_PRELOAD)" $(EXPECTED) units $(CARGO) test -p daemonctx --lib

# Not test_logging.py, whose scripts look at their own descriptors in /proc; nor two that would wait for what they see there.
check-without-python: $(WITHOUT) python
	@echo "== Python: the same"
	@cd bindings/python && $(abspath $(VENV))/bin/python -B ../../portability/run.py python env $(WITHOUT_PRELOAD) \
		$(abspath $(VENV))/bin/python -m pytest -q -rfEp --tb=short --timeout 20 $(addprefix tests/test_,$(WITHOUT_PYTHON)) \
		--deselect tests/test_main_job.py::test_fork_hooks_run_once_and_threads_are_right \
		--deselect tests/test_signals.py::test_closing_ends_those_who_wait
