# The Python distributions: docs/installing.md. Included by the Makefile of the project.

WHEELS := target/wheels
WHEEL_MACHINES := x86_64 aarch64
# Newer than what Debian has: unpacked in target/pythons, where tests look for interpreters that are nowhere else.
NEWER_PYTHONS := 3.14 3.15
WHEEL_PYTHONS := 3.9 3.10 3.11 3.12 3.13 $(NEWER_PYTHONS)
WHEEL_TOOLS := ziglang build twine abi3audit
# A Debian for aarch64, and what runs its programs here.
ARM64_ROOT := target/arm64-root
QEMU := target/qemu

.PHONY: wheels check-wheels check-wheel newer-pythons check-newer-pythons

wheels: $(VENV)/.wheel-tools
	@echo "== building the Python distributions in $(WHEELS)"
	@packaging/build-wheels $(VENV)/bin/python $(WHEELS) $(WHEEL_MACHINES)
	@ls -l $(WHEELS)

$(VENV)/.wheel-tools: $(VENV)/.tools packaging/python.mk
	@echo "== adding zig, build, twine and abi3audit to $(VENV)"
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(WHEEL_TOOLS)
	@touch $@

# What is published, as it is published: on every CPython that is here, and below an emulated aarch64.
check-wheels: wheels newer-pythons
	@echo "== the distributions: tags, contents, metadata, installed everywhere"
	@bindings/c-tests/clients/fetch $(QEMU) qemu-user-static
	@packaging/arm64-root $(ARM64_ROOT)
	cd packaging/tests/wheels && WHEELS=$(abspath $(WHEELS)) WHEEL_MACHINES='$(WHEEL_MACHINES)' \
		WHEEL_PYTHONS='$(WHEEL_PYTHONS)' ARM64_ROOT=$(abspath $(ARM64_ROOT)) QEMU=$(abspath $(QEMU))/root/usr/bin/qemu-aarch64-static \
		$(abspath $(VENV))/bin/python -B -m pytest -q
	@echo "== all of the tests on every CPython, with that wheel"
	cd bindings/python && DAEMONCTX_WHEEL=$$(ls $(abspath $(WHEELS))/daemonctx-*_x86_64.whl) \
		$(abspath $(VENV))/bin/python tests/peers/run_on.py $(WHEEL_PYTHONS) -- \
		-k 'not test_cherrypy and not test_python_daemon_programs'

newer-pythons:
	@for version in $(NEWER_PYTHONS); do packaging/newer-python target/pythons/$$version $$version || exit; done

check-newer-pythons: newer-pythons $(VENV)/.tools
	@echo "== Python: the wheel on CPythons that Debian does not have yet"
	cd bindings/python && $(abspath $(VENV))/bin/python tests/peers/run_on.py $(NEWER_PYTHONS) -- \
		-k 'not test_cherrypy and not test_python_daemon_programs'

# The same of the one that check-pythons runs with, as far as it takes seconds.
check-wheel: $(VENV)/.tools
	@echo "== the wheel: contents, metadata, size, one fresh environment"
	@wheel=$$(PYTHONPATH=bindings/python/tests/peers $(VENV)/bin/python -B -c 'import fetch; print(fetch.wheel())') && \
		cd packaging/tests/wheels && WHEELS=$$(dirname "$$wheel") WHEEL_MACHINES=$$(uname -m) \
		$(abspath $(VENV))/bin/python -B -m pytest -q test_contents.py test_metadata.py test_installed.py -m 'not published'
