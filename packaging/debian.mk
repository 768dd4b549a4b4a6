# Debian packages. Included by the Makefile of the project.

PACKAGES := target/debian-packages
# A small Debian with avahi-daemon and the original library, made once, and never changed.
DEBIAN_ROOT := target/debian-root

.PHONY: debian check-debian

# Source and binary packages, not signed; from the files that git knows, as they are now.
debian:
	@echo "== building Debian packages in $(PACKAGES)"
	@packaging/build-debian $(PACKAGES)

# Needs root: it installs lintian and mmdebstrap where they are missing, and another root. It takes some minutes, so it is part of
# check-all only.
check-debian: debian $(VENV)/.tools
	@echo "== lintian"
	@packaging/need lintian lintian
	@# Machine code looks like misspelt words in one build and not in the next.
	@lintian --fail-on error,warning,info --display-info --tag-display-limit 0 --suppress-tags spelling-error-in-binary \
		$(PACKAGES)/*.changes
	@packaging/debian-root $(DEBIAN_ROOT)
	@echo "== the packages in a small Debian, in place of the originals and back"
	@cp $(DEBIAN_ROOT).debs/*.deb $(PACKAGES)
	cd packaging/tests/debian && DEBIAN_ROOT=$(abspath $(DEBIAN_ROOT)) DEBIAN_PACKAGES=$(abspath $(PACKAGES)) \
		$(abspath $(VENV))/bin/python -B -m pytest -q
