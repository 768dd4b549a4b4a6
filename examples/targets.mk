# The example service in each language, built as its users build theirs. Included by the Makefile of the project.
#
# The tests need root: a network of their own has port 80 free.

SERVICES := target/examples

.PHONY: examples check-examples

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
