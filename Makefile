# daemonctx: build, show, check, install. `make demo` and `make check` do all the set-up themselves.

PYTHON ?= python3
CARGO ?= cargo
VENV ?= .venv
LIB := target/lib
BIN := target/release
# What tests and builds of the Python package need; the package itself needs nothing.
PYTHON_TOOLS := 'maturin>=1.16,<2' 'pytest>=7' pytest-timeout 'mypy>=1.10'

# The original libdaemon, unpacked and not installed: what programs that exist were built with.
DEBIAN := target/debian
# Shells, unpacked in the same way.
SHELLS := target/shells
ORIGINAL := $(abspath $(DEBIAN))/root/usr
# The example that libdaemon-dev has.
TESTD := $(ORIGINAL)/share/doc/libdaemon-dev/examples/testd.c.gz
ORIGINAL_LIB = $(ORIGINAL)/lib/$(shell $(CC) -print-multiarch)

.PHONY: all help build library command monitor original python demo check check-rust check-c check-original compare-libdaemon check-abi check-clients \
        check-clients-original check-systemd check-command check-python check-programs check-pythons check-all \
        check-types check-library check-header check-format check-lints check-docs check-readme header ci clean compare-stand-ins

# What `make install` installs.
all: library command monitor

help:
	@echo "make         the C libraries in $(LIB), the command and the monitor in $(BIN)"
	@echo "make install, make uninstall: PREFIX=/usr/local LIBDIR= DESTDIR= and others; docs/installing.md"
	@echo "make demo    build everything and show the main job"
	@echo "make check   build everything and run all tests"
	@echo "make build   the same, and the Python package in $(VENV)"
	@echo "make wheels  the Python distributions in target/wheels; make check-wheels tries them on every CPython and below aarch64"
	@echo "make compare-stand-ins  SEED=1 COMPARED=1000: random programs with each Python library that has a stand-in, and with that: half an hour"
	@echo "make check-newer-pythons  the Python tests on CPython 3.14 and 3.15, of Debian unstable and experimental"
	@echo "make debian  Debian packages in target/debian-packages; make check-debian tries them in a small Debian"
	@echo "make compare-libdaemon  1,000 random programs of libdaemon's interface, with the original and with ours: some minutes"
	@echo "make check-all  ci, and what takes too long for every time"
	@echo "make ci      check, and everything else that guards the contract: formats, lints, header, docs"
	@echo "make examples  the service of examples/service in each language; make check-examples tries it"
	@echo "make check-runtimes  docs/start/runtimes.md with Go, Node, Java, Ruby, PHP, Perl and LuaJIT, which it downloads"
	@echo "make check-portable  compiled for other systems, and tested without what they lack: docs/portability.md"
	@echo "make check-i686  tested on 32 bits; make check-aarch64 in an emulated machine: some minutes"
	@echo "make trust   everything that can go wrong, tried: half an hour; make check-trust is short"
	@echo "make bench   everything measured beside its peers: ten minutes; make bench-docs has docs/performance.md say it"
	@echo "make site    the documentation as a site in target/site; make check-site does what its pages say"
	@echo "make header  write include/daemonctx.h again; make man  man/daemonctx.1"
	@echo "make clean   remove what was built"

build: library command monitor python

# --- build -----------------------------------------------------------------------------------------------------------

# With the monitor beside it, where daemonctx_launch() looks for it first.
library: monitor
	@echo "== building libdaemonctx.so.0 and libdaemon.so.0 in $(LIB)"
	$(CARGO) build --release -p daemonctx-ffi -p daemonctx-ffi-libdaemon
	@$(call link-libraries,target/release,$(LIB),$(CC))
	@ln -sf $(abspath $(BIN))/daemonctx-monitor $(LIB)
	@mkdir -p $(LIB)/pkgconfig
	@$(foreach package,$(PACKAGES_OF_LIBRARIES),$(call filled,$(package)) packaging/library.pc.in > $(LIB)/pkgconfig/$(package).pc &&) :
library: override LIBDIR = $(abspath $(LIB))
library: override INCLUDEDIR = $(CURDIR)/include
library: override PREFIX = $(CURDIR)

# Links the archives in folder $(1) into folder $(2), by compiler $(3).
link-libraries = mkdir -p $(2) && \
	CC='$(3)' ffi/link $(1)/libdaemonctx_ffi.a ffi/daemonctx/symbols.map $(FILE_daemonctx) $(SUFFIX_daemonctx) $(2) && \
	CC='$(3)' ffi/link $(1)/libdaemon.a ffi/libdaemon/symbols.map $(FILE_libdaemon) $(SUFFIX_libdaemon) $(2)

command:
	@echo "== building the command, $(BIN)/daemonctx"
	$(CARGO) build --release -p daemonctx-command

monitor:
	@echo "== building the monitor, $(BIN)/daemonctx-monitor"
	$(CARGO) build --release -p daemonctx --bin daemonctx-monitor

original:
	@bindings/c-tests/clients/fetch $(DEBIAN) libdaemon0 libdaemon-dev

$(VENV)/.tools: Makefile
	@echo "== making a virtual environment in $(VENV), with maturin, pytest and mypy"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(PYTHON_TOOLS)
	@touch $@

python: $(VENV)/.tools
	@echo "== building the Python package into $(VENV)"
	@# One at a time in a tree: tests build wheels meanwhile.
	@mkdir -p target
	cd bindings/python && VIRTUAL_ENV=$(abspath $(VENV)) \
		flock ../../target/maturin.lock $(abspath $(VENV))/bin/maturin develop --release --quiet

# --- show ------------------------------------------------------------------------------------------------------------

demo: build
	@examples/demo.sh $(abspath $(VENV))/bin/python $(abspath $(LIB))

# --- check -----------------------------------------------------------------------------------------------------------

check: check-rust check-migrate check-library check-c check-original check-abi check-clients check-command check-systemd check-python \
       check-types check-readme check-man check-install
	@echo "== all tests passed"

check-rust:
	@echo "== Rust: unit tests, documentation examples, real processes"
	$(CARGO) test -p daemonctx -p daemonctx-command

check-c: library original
	@echo "== C and C++: programs run against the library"
	$(MAKE) -C bindings/c-tests check SUITES=daemonctx LIBDIR=$(abspath $(LIB)) BUILD=$(abspath target/c-tests)
	$(MAKE) -C bindings/c-tests check SUITES=libdaemon LIBDIR=$(abspath $(LIB)) TESTD=$(TESTD) \
		BUILD=$(abspath target/c-tests-libdaemon)
	$(MAKE) -C bindings/c-tests check SUITES=both LIBDIR=$(abspath $(LIB)) BUILD=$(abspath target/c-tests-both)
	@echo "== C: both interfaces in one process, libdaemon's from the original"
	$(MAKE) -C bindings/c-tests check SUITES=both LIBDIR=$(abspath $(LIB)) LIBDAEMON_LIBDIR=$(ORIGINAL_LIB) ORIGINAL=1 \
		BUILD=$(abspath target/c-tests-both-original)
	@echo "== C: the tests of libdaemon's interface, built with the original's headers and library"
	$(MAKE) -C bindings/c-tests check SUITES=libdaemon LIBDIR=$(abspath $(LIB)) TESTD=$(TESTD) \
		INCLUDE=$(ORIGINAL)/include LINK_LIBDIR=$(ORIGINAL_LIB) BUILD=$(abspath target/c-tests-built-with-original)
	@echo "== C: random programs of libdaemon's interface, with the original and with ours"
	cd bindings/c-tests && $(PYTHON) -m unittest -q differential.tests && $(PYTHON) -m differential --seed 18 --programs 45

# The same at length: SEED and PROGRAMS may be others.
SEED := 1
PROGRAMS := 1000
compare-libdaemon: library original
	@echo "== C: $(PROGRAMS) random programs of libdaemon's interface, with the original and with ours"
	cd bindings/c-tests && $(PYTHON) -m differential --seed $(SEED) --programs $(PROGRAMS)

check-original: library original
	@echo "== C: the tests of libdaemon's interface, on the original"
	$(MAKE) -C bindings/c-tests check SUITES=libdaemon ORIGINAL=1 LIBDIR=$(ORIGINAL_LIB) TESTD=$(TESTD) \
		INCLUDE=$(ORIGINAL)/include BUILD=$(abspath target/c-tests-original)
	@echo "== C: the same, built with our headers and library"
	$(MAKE) -C bindings/c-tests check SUITES=libdaemon ORIGINAL=1 LIBDIR=$(ORIGINAL_LIB) TESTD=$(TESTD) \
		LINK_LIBDIR=$(abspath $(LIB)) BUILD=$(abspath target/c-tests-built-with-ours)

check-abi: library original
	@echo "== C: what libdaemon.so.0 exports, compared with the original"
	@ffi/check-abi $(ORIGINAL_LIB)/libdaemon.so.0 $(LIB)/$(call realname,libdaemon)

check-clients: library $(VENV)/.tools
	@echo "== C: Debian's programs that use libdaemon, unmodified"
	cd bindings/c-tests/clients && LIBDAEMON_DIR=$(abspath $(LIB)) $(abspath $(VENV))/bin/python -m pytest -q

# Services of a real systemd, in a container.
check-systemd: library command python examples
	@echo "== below a real systemd"
	cd bindings/c-tests/systemd && LIBDAEMON_DIR=$(abspath $(LIB)) DAEMONCTX=$(abspath $(BIN)/daemonctx) $(abspath $(VENV))/bin/python -m pytest -q

# The shells that complete it; those that are installed are taken first.
check-command: command $(VENV)/.tools
	@echo "== the command daemonctx"
	@bindings/c-tests/clients/fetch $(SHELLS) zsh zsh-common fish fish-common bash-completion libpcre2-32-0
	@# fish looks for both of its folders in one place.
	@ln -sfn ../etc $(SHELLS)/root/usr/etc
	cd command/tests && SHELLS=$(abspath $(SHELLS)/root) DAEMONCTX=$(abspath $(BIN)/daemonctx) $(abspath $(VENV))/bin/python -m pytest -q

# Of the real programs on our python-daemon one; all of them are in check-programs.
check-python: python
	@echo "== Python: real processes"
	cd bindings/python && $(abspath $(VENV))/bin/python -m pytest -q --deselect tests/test_python_daemon_programs.py
	@echo "== Python: a real program on our python-daemon"
	cd bindings/python && $(abspath $(VENV))/bin/python -m pytest -q tests/test_python_daemon_programs.py -k luigi

check-programs: python
	@echo "== Python: real programs on our python-daemon"
	cd bindings/python && $(abspath $(VENV))/bin/python -m pytest -q tests/test_python_daemon_programs.py
	@echo "== Python: a program that Nuitka has compiled"
	cd bindings/python && DAEMONCTX_SLOW=1 $(abspath $(VENV))/bin/python -m pytest -q tests/test_frameworks.py -k nuitka

# The wheel on the oldest and the newest CPython; on all of them in check-wheels.
PYTHONS := 3.9 3.13
check-pythons: $(VENV)/.tools
	@echo "== Python: the wheel on other CPythons"
	cd bindings/python && $(abspath $(VENV))/bin/python tests/peers/run_on.py $(PYTHONS) -- \
		-k 'not test_cherrypy and not test_python_daemon_programs'

# Random programs with each original and its stand-in; a few of them are in check-python.
COMPARED := 1000
compare-stand-ins: python
	@echo "== Python: $(COMPARED) programs for each stand-in, beside the original"
	cd bindings/python/tests && $(abspath $(VENV))/bin/python -m differential --programs $(COMPARED) --seed $(or $(SEED),1)

# What takes too long for every time.
check-all: ci check-programs check-runtimes check-wheels check-debian check-msrv check-deny check-semver check-portable check-i686 check-aarch64

check-types: python
	@echo "== Python: stubs against the package, and their use"
	cd bindings/python && $(abspath $(VENV))/bin/python -m mypy.stubtest daemonctx
	cd bindings/python && $(abspath $(VENV))/bin/python -m mypy --strict tests/typing

check-library: library
	@echo "== the libraries: size, symbols, no way to panic"
	@ffi/check-library $(LIB)/$(call realname,daemonctx)
	@ffi/check-library $(LIB)/$(call realname,libdaemon)

check-readme:
	@echo "== README: its programs are those of the examples"
	@docs/tools/check-readme

include reliability/targets.mk
include bench/targets.mk
include packaging/install.mk
include packaging/debian.mk
include examples/targets.mk
include packaging/python.mk
include packaging/rust.mk
include man/targets.mk
include portability/targets.mk
include site/targets.mk

# --- guards ----------------------------------------------------------------------------------------------------------

ci: check-format check-lints check-header check-docs check-package check check-wheel check-speed check-clients-original check-pythons \
    check-trust check-site check-examples check-targets check-without-rust

# The tests of the clients are right where they pass on what Debian has.
check-clients-original: original $(VENV)/.tools
	@echo "== C: the same on the original"
	cd bindings/c-tests/clients && LIBDAEMON_IS_ORIGINAL=1 LIBDAEMON_DIR=$(ORIGINAL_LIB) \
		$(abspath $(VENV))/bin/python -m pytest -q

check-format:
	@echo "== format"
	$(CARGO) fmt --all --check

check-lints:
	@echo "== lints, warnings denied"
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	@core/check-modules core/src command/src command/man/src ffi/common/src ffi/daemonctx/src ffi/libdaemon/src ffi/header/src \
		bindings/python/src

header:
	$(CARGO) run --quiet -p daemonctx-header

check-header:
	@echo "== include/daemonctx.h is what the sources say"
	@mkdir -p target && cp include/daemonctx.h target/daemonctx.h.committed
	$(CARGO) run --quiet -p daemonctx-header
	@if ! cmp -s include/daemonctx.h target/daemonctx.h.committed; then \
		diff -u target/daemonctx.h.committed include/daemonctx.h; \
		echo "include/daemonctx.h was stale: commit what \`make header\` writes" >&2; exit 1; \
	fi

check-docs:
	@echo "== documentation builds without warnings, that of what is private as well"
	RUSTDOCFLAGS='-D warnings -D missing_docs' $(CARGO) doc --no-deps -p daemonctx
	RUSTDOCFLAGS='-D warnings' CARGO_TARGET_DIR=target/private-docs $(CARGO) doc --no-deps --document-private-items -p daemonctx

clean:
	$(CARGO) clean
	$(MAKE) -C bindings/c-tests clean
	rm -rf $(VENV) bindings/python/python/daemonctx/*.so bindings/python/python/daemonctx/daemonctx-monitor
