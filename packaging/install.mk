# Installing, with GNU's names and defaults. Included by the Makefile of the project.
#
#     make && sudo make install
#     make install PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu DESTDIR=/tmp/stage
#
# What is installed is what was built: nothing is compiled here, unless there is nothing yet. Nothing is stripped; who packages
# does that.

prefix ?= /usr/local
PREFIX ?= $(prefix)
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
LIBEXECDIR ?= $(PREFIX)/libexec
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man
DOCDIR ?= $(DATADIR)/doc/daemonctx
BASHCOMPDIR ?= $(DATADIR)/bash-completion/completions
ZSHCOMPDIR ?= $(DATADIR)/zsh/site-functions
FISHCOMPDIR ?= $(DATADIR)/fish/vendor_completions.d
DESTDIR ?=

INSTALL ?= install
INSTALL_PROGRAM ?= $(INSTALL) -m 755
INSTALL_DATA ?= $(INSTALL) -m 644

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
# The two libraries: what each is called for pkg-config and CMake, where its interface is, and the version of that.
PACKAGES_OF_LIBRARIES := daemonctx libdaemon
FILE_daemonctx := libdaemonctx
FILE_libdaemon := libdaemon
HEADER_daemonctx := daemonctx.h
HEADER_libdaemon := libdaemon/daemon.h
INTERFACE_daemonctx := $(VERSION)
INTERFACE_libdaemon := 0.14
DESCRIPTION_daemonctx := turn a process into a Unix daemon and report reliably whether it started
DESCRIPTION_libdaemon := the interface of libdaemon 0.14, by daemonctx
# What the file of the shared library ends in.
SUFFIX_daemonctx := $(VERSION)
SUFFIX_libdaemon := 0.6.0
realname = $(FILE_$(1)).so.$(SUFFIX_$(1))
soname = $(FILE_$(1)).so.0
# What `rustc --print native-static-libs` says, less the C library, which every program has, and less the unwinder, which
# ffi/link has made unnecessary. check-install compares. From glibc 2.34 on all of it is in the C library.
PRIVATE_LIBS := -lutil -lrt -lpthread -lm -ldl

PAGES := $(sort $(wildcard man/*.1 man/*.3 man/*.7))
COMPLETIONS := $(BASHCOMPDIR)/daemonctx $(ZSHCOMPDIR)/_daemonctx $(FISHCOMPDIR)/daemonctx.fish
DOCUMENTS := README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE $(filter-out docs/index.md,$(sort $(wildcard docs/*.md)))
EXAMPLES := examples/hello.c

# The usual places are compiled in, and so is this one, if make is given it when it builds.
ifeq ($(filter /usr/libexec /usr/local/libexec,$(LIBEXECDIR)),)
export DAEMONCTX_LIBEXECDIR := $(LIBEXECDIR)
endif

# Each file by its place; uninstall removes what is listed here, and then the folders that are nobody else's.
INSTALLED = $(BINDIR)/daemonctx $(LIBEXECDIR)/daemonctx/daemonctx-monitor \
	$(foreach package,$(PACKAGES_OF_LIBRARIES),$(addprefix $(LIBDIR)/, \
		$(call realname,$(package)) $(call soname,$(package)) $(FILE_$(package)).so $(FILE_$(package)).a pkgconfig/$(package).pc \
		cmake/$(package)/$(package)-config.cmake cmake/$(package)/$(package)-config-version.cmake)) \
	$(patsubst include/%,$(INCLUDEDIR)/%,$(wildcard include/*.h include/libdaemon/*.h)) \
	$(foreach page,$(PAGES),$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page))) \
	$(addprefix $(MANDIR)/man3/,$(shell man/names --links $(PAGES) | cut -d' ' -f1)) \
	$(COMPLETIONS) \
	$(addprefix $(DOCDIR)/,$(notdir $(DOCUMENTS))) $(addprefix $(DOCDIR)/examples/,$(notdir $(EXAMPLES)))
OWN_FOLDERS = $(LIBEXECDIR)/daemonctx $(addprefix $(LIBDIR)/cmake/,$(PACKAGES_OF_LIBRARIES)) $(INCLUDEDIR)/libdaemon $(DOCDIR)/examples $(DOCDIR)

# The templates of packaging for library $(1), by where the files will be.
filled = sed -e 's|@PACKAGE@|$(1)|g' -e 's|@LIBRARY@|$(FILE_$(1))|' -e 's|@LINK@|$(patsubst lib%,%,$(FILE_$(1)))|' \
	-e 's|@HEADER@|$(HEADER_$(1))|' -e 's|@INTERFACE_VERSION@|$(INTERFACE_$(1))|' -e 's|@DESCRIPTION@|$(DESCRIPTION_$(1))|' \
	-e 's|@SONAME@|$(call soname,$(1))|' -e 's|@REALNAME@|$(call realname,$(1))|' \
	-e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@INCLUDEDIR@|$(INCLUDEDIR)|' -e 's|@PRIVATE_LIBS@|$(PRIVATE_LIBS)|' \
	-e "s|@INCLUDEDIR_FROM_HERE@|$$(realpath -m --relative-to='$(LIBDIR)/cmake/$(1)' '$(INCLUDEDIR)')|"

.PHONY: install install-library install-development install-monitor install-command install-man install-doc uninstall check-install

install: install-library install-development install-monitor install-command install-man install-doc
	@echo "== installed below $(DESTDIR)$(PREFIX)"

# Without a rule to make them anew: `sudo make install` has no cargo, and is not to build as root.
BUILT_LIBRARIES := $(foreach package,$(PACKAGES_OF_LIBRARIES),$(LIB)/$(call realname,$(package)))
$(BUILT_LIBRARIES):
	@$(MAKE) --no-print-directory library
$(BIN)/daemonctx:
	@$(MAKE) --no-print-directory command
$(BIN)/daemonctx-monitor:
	@$(MAKE) --no-print-directory monitor

# install(1) makes new files, so programs that have the old library mapped go on.
define install-one-library
	$(INSTALL_DATA) $(LIB)/$(call realname,$(1)) $(DESTDIR)$(LIBDIR)/$(call realname,$(1))
	ln -sf $(call realname,$(1)) $(DESTDIR)$(LIBDIR)/$(call soname,$(1))

endef

install-library: $(BUILT_LIBRARIES)
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)
	$(foreach package,$(PACKAGES_OF_LIBRARIES),$(call install-one-library,$(package)))

define install-development-of
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/cmake/$(1)
	ln -sf $(call soname,$(1)) $(DESTDIR)$(LIBDIR)/$(FILE_$(1)).so
	$(INSTALL_DATA) $(LIB)/$(FILE_$(1)).a $(DESTDIR)$(LIBDIR)/$(FILE_$(1)).a
	$(call filled,$(1)) packaging/library.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/$(1).pc
	$(call filled,$(1)) -e '/LINK_LIBRARIES/s/ -l/;-l/g' packaging/cmake/config.cmake.in \
		> $(DESTDIR)$(LIBDIR)/cmake/$(1)/$(1)-config.cmake
	$(call filled,$(1)) packaging/cmake/config-version.cmake.in > $(DESTDIR)$(LIBDIR)/cmake/$(1)/$(1)-config-version.cmake
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/$(1).pc $(DESTDIR)$(LIBDIR)/cmake/$(1)/*.cmake

endef

install-development: install-library
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/libdaemon
	$(INSTALL_DATA) include/*.h $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL_DATA) include/libdaemon/*.h $(DESTDIR)$(INCLUDEDIR)/libdaemon
	$(foreach package,$(PACKAGES_OF_LIBRARIES),$(call install-development-of,$(package)))

# What the libraries launch programs with.
install-monitor: $(BIN)/daemonctx-monitor
	$(INSTALL) -d $(DESTDIR)$(LIBEXECDIR)/daemonctx
	$(INSTALL_PROGRAM) $(BIN)/daemonctx-monitor $(DESTDIR)$(LIBEXECDIR)/daemonctx/daemonctx-monitor

install-command: $(BIN)/daemonctx
	$(INSTALL) -d $(addprefix $(DESTDIR),$(BINDIR) $(dir $(COMPLETIONS)))
	$(INSTALL_PROGRAM) $(BIN)/daemonctx $(DESTDIR)$(BINDIR)/daemonctx
	$(BIN)/daemonctx completions bash > $(DESTDIR)$(BASHCOMPDIR)/daemonctx
	$(BIN)/daemonctx completions zsh > $(DESTDIR)$(ZSHCOMPDIR)/_daemonctx
	$(BIN)/daemonctx completions fish > $(DESTDIR)$(FISHCOMPDIR)/daemonctx.fish
	chmod 644 $(addprefix $(DESTDIR),$(COMPLETIONS))

# A page by the name of each function that it explains.
install-man:
	$(INSTALL) -d $(addprefix $(DESTDIR)$(MANDIR)/,man1 man3 man7)
	@for section in 1 3 7; do $(INSTALL_DATA) man/*.$$section $(DESTDIR)$(MANDIR)/man$$section || exit; done
	@man/names --links $(PAGES) | while read -r name page; do ln -sf $$page $(DESTDIR)$(MANDIR)/man3/$$name || exit; done

install-doc:
	$(INSTALL) -d $(DESTDIR)$(DOCDIR)/examples
	$(INSTALL_DATA) $(DOCUMENTS) $(DESTDIR)$(DOCDIR)
	$(INSTALL_DATA) $(EXAMPLES) $(DESTDIR)$(DOCDIR)/examples

uninstall:
	rm -f $(addprefix $(DESTDIR),$(INSTALLED))
	@for folder in $(addprefix $(DESTDIR),$(OWN_FOLDERS)); do \
		if [ -d $$folder ]; then rmdir --ignore-fail-on-non-empty $$folder; fi; \
	done

# CMake comes from pip where the machine has none.
check-install: library command monitor $(VENV)/.tools
	@echo "== installed, programs outside of the tree built with it, and uninstalled"
	@command -v cmake >/dev/null || [ -x $(VENV)/bin/cmake ] || \
		$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check 'cmake>=3.13'
	cd packaging/tests/install && CARGO='$(CARGO)' $(abspath $(VENV))/bin/python -B -m pytest -q
