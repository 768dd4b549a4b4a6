# Other systems: what can be seen of them from here. docs/portability.md says what holds where. Included by the Makefile of the project.
#
# check-targets and check-without-rust are part of `make ci`, all of it of `make check-all`.

# What is compiled: the core and the command.
CHECKED_TARGETS := x86_64-apple-darwin aarch64-apple-darwin x86_64-unknown-freebsd aarch64-unknown-linux-gnu \
                   i686-unknown-linux-gnu x86_64-unknown-linux-musl
WITHOUT := target/portability/without.so
WITHOUT_PRELOAD = LD_PRELOAD=$(abspath $(WITHOUT))
WITHOUT_PYTHON := main_job.py surroundings.py streams.py signals.py watchdog.py supervisors.py
EXPECTED := $(abspath $(VENV))/bin/python -B portability/run.py

.PHONY: check-portable check-targets check-without check-without-c check-without-rust check-without-python

check-portable: check-targets check-without check-musl

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

# Without subreapers nothing is launched with a monitor, which is one line of error: its tests are for those who have them.
check-without-rust: $(WITHOUT) $(VENV)/.tools
	@echo "== Rust: the same"
	@host=$$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_') && \
	CARGO_TARGET_RUNNER="CARGO_TARGET_$${host}_RUNNER" && \
	env "$$CARGO_TARGET_RUNNER=env $(WITHOUT_PRELOAD)" $(EXPECTED) core $(CARGO) test -q -p daemonctx --test processes && \
	env "$$CARGO_TARGET_RUNNER=env WITHOUT=all $(WITHOUT_PRELOAD)" $(EXPECTED) units $(CARGO) test -p daemonctx --lib -- \
		--skip monitor::tests --skip monitor::proc

# Not test_logging.py, whose scripts look at their own descriptors in /proc; nor two that would wait for what they see there.
check-without-python: $(WITHOUT) python
	@echo "== Python: the same"
	@cd bindings/python && $(abspath $(VENV))/bin/python -B ../../portability/run.py python env $(WITHOUT_PRELOAD) \
		$(abspath $(VENV))/bin/python -m pytest -q -rfEp --tb=short --timeout 20 $(addprefix tests/test_,$(WITHOUT_PYTHON)) \
		--deselect tests/test_main_job.py::test_fork_hooks_run_once_and_threads_are_right \
		--deselect tests/test_signals.py::test_closing_ends_those_who_wait

# --- other C libraries and architectures -------------------------------------------------------------------------------

.PHONY: check-musl check-i686 check-aarch64

# rustup's musl is linked statically, so it takes nothing else.
check-musl:
	@echo "== musl: the core's tests"
	@rustup -q target add x86_64-unknown-linux-musl 2>/dev/null
	$(CARGO) test -q -p daemonctx --lib --tests --target x86_64-unknown-linux-musl

# Both suites, built and run in a folder of their own: `call check-suites,FOLDER,VARIABLES`.
define check-suites
	@set -e; for suite in daemonctx libdaemon; do \
		$(MAKE) --no-print-directory -C bindings/c-tests check SUITES=$$suite LIBDIR=$(abspath $(1))/lib TESTD=$(TESTD) \
			BUILD=$(abspath $(1))/c-tests-$$suite $(2); \
	done
endef

# Natively, on x86_64. The package gcc-multilib would do as well, but takes away compilers for other machines.
I686 := target/portability/i686
I686_HEADERS = -idirafter /usr/include/$(shell $(CC) -print-multiarch)
I686_CARGO = CFLAGS_i686_unknown_linux_gnu='$(I686_HEADERS)' $(CARGO)

check-i686: original
	@echo "== 32 bits: both suites, and the core's tests"
	@rustup -q target add i686-unknown-linux-gnu 2>/dev/null
	@echo 'int main() { throw 0; }' | $(CXX) -m32 -x c++ -o /dev/null - 2>/dev/null || \
		packaging/need g++-$$($(CXX) -dumpversion)-multilib '$(CXX) -m32'
	$(I686_CARGO) build --release -p daemonctx-ffi -p daemonctx-ffi-libdaemon --target i686-unknown-linux-gnu
	@$(call link-libraries,target/i686-unknown-linux-gnu/release,$(I686)/lib,$(CC) -m32)
	@ffi/check-library $(I686)/lib/$(call realname,daemonctx)
	@ffi/check-library $(I686)/lib/$(call realname,libdaemon)
	$(call check-suites,$(I686),CC='$(CC) -m32 $(I686_HEADERS)' CXX='$(CXX) -m32 $(I686_HEADERS)')
	$(I686_CARGO) test -q -p daemonctx --lib --tests --target i686-unknown-linux-gnu

# In a machine that is emulated, with a kernel and tools of Debian's: some minutes, and 600 MB on the disk.
AARCH64 := target/portability/aarch64
AARCH64_ROOT := target/portability/aarch64-root
AARCH64_MACHINE = env HARNESS_SLOWNESS=10 $(abspath portability/machine) $(abspath $(AARCH64_ROOT))
AARCH64_CARGO = CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
                CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='$(AARCH64_MACHINE) --' $(CARGO)

check-aarch64: original
	@echo "== aarch64: both suites, and the core's tests, in a machine that is emulated"
	@packaging/need qemu-system-arm qemu-system-aarch64
	@packaging/need g++-aarch64-linux-gnu aarch64-linux-gnu-g++
	@packaging/need cpio cpio
	@rustup -q target add aarch64-unknown-linux-gnu 2>/dev/null
	@portability/machine-root $(AARCH64_ROOT)
	$(AARCH64_CARGO) build --release -p daemonctx-ffi -p daemonctx-ffi-libdaemon --target aarch64-unknown-linux-gnu
	@$(call link-libraries,target/aarch64-unknown-linux-gnu/release,$(AARCH64)/lib,aarch64-linux-gnu-gcc)
	$(call check-suites,$(AARCH64),CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++ RUN='$(AARCH64_MACHINE) $(abspath $(AARCH64)) \
		$(abspath include) $(TESTD) --')
	$(AARCH64_CARGO) test -q -p daemonctx --lib --tests --target aarch64-unknown-linux-gnu
