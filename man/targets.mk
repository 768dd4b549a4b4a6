# The manual pages. Included by the Makefile of the project.

# mandoc, unpacked and not installed, where the machine has none.
MANDOC ?= $(or $(shell command -v mandoc),$(abspath $(DEBIAN))/root/usr/bin/mandoc)

.PHONY: check-man

check-man: library command $(VENV)/.tools
	@echo "== manual pages: complete, as the headers and the command have it, and their programs run"
	@[ -x '$(MANDOC)' ] || bindings/c-tests/clients/fetch $(DEBIAN) mandoc
	cd man/tests && MANDOC='$(MANDOC)' LIBDAEMON_DIR=$(abspath $(LIB)) DAEMONCTX=$(abspath $(BIN)/daemonctx) \
		$(abspath $(VENV))/bin/python -B -m pytest -q
