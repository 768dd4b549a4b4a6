# The examples, built as their users build theirs. Included by the Makefile of the project.
#
# The tests need root: a network of their own has the ports free.

SERVICES := target/examples
RUNTIMES := $(DEBIAN)/runtimes

.PHONY: examples check-examples check-runtimes

examples: library python
	@mkdir -p $(SERVICES)
	$(CC) -std=c11 -O1 -g -Wall -Wextra -Werror -Iinclude -o $(SERVICES)/greeter-c examples/service/greeter.c \
		-L$(LIB) -Wl,-rpath,$(abspath $(LIB)) -ldaemonctx
	$(CARGO) build --quiet --release --locked --manifest-path examples/service/Cargo.toml --target-dir $(SERVICES)

check-examples: examples
	@echo "== the example service, in C, Rust and Python"
	$(CARGO) fmt --manifest-path examples/service/Cargo.toml --check
	$(CARGO) clippy --quiet --locked --manifest-path examples/service/Cargo.toml --target-dir $(SERVICES) -- -D warnings
	cd bindings/python && $(abspath $(VENV))/bin/python -m mypy --strict ../../examples/service/greeter.py
	cd examples/service/tests && $(abspath $(VENV))/bin/python -m pytest -q

# Downloads 90 MB the first time; what cannot be had is skipped, and named.
check-runtimes: library command $(VENV)/.tools
	@echo "== Go, Node, Java, Ruby, PHP, Perl, Lua: the programs of docs/start/runtimes.md, and that page"
	@examples/runtimes/tools $(RUNTIMES)
	cd examples/runtimes/tests && RUNTIMES=$(abspath $(RUNTIMES)) LIBDAEMON_DIR=$(abspath $(LIB)) DAEMONCTX=$(abspath $(BIN)/daemonctx) \
		$(abspath $(VENV))/bin/python -m pytest -q -rs
	cd site/tests && RUNTIMES=$(abspath $(RUNTIMES)) LIBDAEMON_DIR=$(abspath $(LIB)) DAEMONCTX=$(abspath $(BIN)/daemonctx) \
		$(abspath $(VENV))/bin/python -B -m pytest -q -rs test_pages.py -k runtimes
