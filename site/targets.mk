# The documentation as a site. Included by the Makefile of the project; uses MANDOC of man/targets.mk.

SITE := target/site
SITE_VENV := target/site-venv
RUST_DOCS := target/site-rust/doc
.PHONY: site check-site

$(SITE_VENV)/.tools: site/requirements.txt
	@echo "== making a virtual environment in $(SITE_VENV), with mkdocs"
	$(PYTHON) -m venv $(SITE_VENV)
	$(SITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r site/requirements.txt
	@touch $@

# Strict: a link that leads nowhere fails it.
site: command $(SITE_VENV)/.tools
	@echo "== the site in $(SITE)"
	@[ -x '$(MANDOC)' ] || bindings/c-tests/clients/fetch $(DEBIAN) mandoc
	$(CARGO) doc --quiet --no-deps -p daemonctx --target-dir target/site-rust
	MANDOC='$(MANDOC)' DAEMONCTX=$(abspath $(BIN)/daemonctx) RUST_DOCS=$(abspath $(RUST_DOCS)) \
		$(SITE_VENV)/bin/mkdocs build --quiet --strict --config-file site/mkdocs.yml

check-site: site library python
	@echo "== the site: links, nothing from the network, every page in the navigation"
	@site/check $(SITE)
	@echo "== the site: pages to start with and recipes, done as they say"
	@site/tests/tools $(DEBIAN)/site
	cd site/tests && LIBDAEMON_DIR=$(abspath $(LIB)) DAEMONCTX=$(abspath $(BIN)/daemonctx) \
		SITE_TOOLS=$(abspath $(DEBIAN)/site/root) $(abspath $(VENV))/bin/python -B -m pytest -q
