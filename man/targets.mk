# The manual pages. Included by the Makefile of the project.

# mandoc, unpacked and not installed, where the machine has none.
MANDOC ?= $(or $(shell command -v mandoc),$(abspath $(DEBIAN))/root/usr/bin/mandoc)

.PHONY: check-man man check-man-current

# daemonctx(1), from the definition of the command line.
man:
	$(CARGO) run --quiet -p daemonctx-man

check-man-current:
	@echo "== man/daemonctx.1 is what the command's definition says"
	@mkdir -p target
	@cp man/daemonctx.1 target/daemonctx.1.committed
	@$(MAKE) --no-print-directory man
	@if ! cmp -s man/daemonctx.1 target/daemonctx.1.committed; then \
		diff -u target/daemonctx.1.committed man/daemonctx.1; \
		echo "man/daemonctx.1 was stale: commit what \`make man\` writes" >&2; exit 1; \
	fi

check-man: check-man-current library command $(VENV)/.tools
	@echo "== manual pages: complete, as the headers and the command have it, and their programs run"
	@[ -x '$(MANDOC)' ] || bindings/c-tests/clients/fetch $(DEBIAN) mandoc
	cd man/tests && MANDOC='$(MANDOC)' LIBDAEMON_DIR=$(abspath $(LIB)) DAEMONCTX=$(abspath $(BIN)/daemonctx) \
		$(abspath $(VENV))/bin/python -B -m pytest -q
