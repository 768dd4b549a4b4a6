# The crates: what crates.io gets, and what they promise whom. Included by the Makefile of the project.

# Published together, in this order.
CRATES := daemonctx daemonctx-command
# Cargo's own tools that are no part of Rust.
TOOLS := target/tools
# Newest first; versions are tagged v0.1.0.
LAST_RELEASE = $(shell git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null)

.PHONY: check-migrate check-package check-msrv check-deny check-semver

# The programs of docs/migrate/daemonize-crate.md: with a crate from crates.io, which is no dependency of ours.
check-migrate:
	@echo "== Rust: a program before and after it is moved from the crate daemonize"
	$(CARGO) fmt --manifest-path core/tests/peers/Cargo.toml --check
	$(CARGO) test --quiet --locked --manifest-path core/tests/peers/Cargo.toml --target-dir target/peers

# The .crate files, and that each builds from what is in it alone. A warning is an error.
check-package:
	@echo "== the crates as crates.io gets them"
	@packaging/check-package $(CRATES)

check-msrv:
	@echo "== the oldest Rust that is promised"
	@packaging/check-msrv core command bindings/python ffi/daemonctx ffi/libdaemon

# Without optimisation: it runs for a second.
$(TOOLS)/bin/cargo-deny:
	@echo "== building cargo-deny in $(TOOLS)"
	CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) install --quiet --debug --locked --root $(TOOLS) cargo-deny

# Advisories are not asked for: they change without us.
check-deny: $(TOOLS)/bin/cargo-deny
	@echo "== licences, sources and duplicates of what is linked"
	$(TOOLS)/bin/cargo-deny --workspace check bans licenses sources

# What a new version may break of the last one's interface.
check-semver:
	@if [ -z "$(LAST_RELEASE)" ]; then \
		echo "== semver: no release yet (no tag v*), so there is nothing to compare with"; \
	elif ! command -v cargo-semver-checks >/dev/null; then \
		echo "cargo-semver-checks is not installed: cargo install --locked cargo-semver-checks" >&2; exit 1; \
	else \
		echo "== semver: against $(LAST_RELEASE)"; \
		$(CARGO) semver-checks --baseline-rev $(LAST_RELEASE) $(addprefix -p ,$(CRATES)); \
	fi
