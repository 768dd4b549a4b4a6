# The crates: what crates.io gets, and what they promise whom. Included by the Makefile of the project.

# Published together, in this order.
CRATES := daemonctx daemonctx-command
# Cargo.toml's, and the one that is tried.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
MSRV_CRATES := daemonctx daemonctx-command daemonctx-ffi
# Newest first; versions are tagged v0.1.0.
LAST_RELEASE = $(shell git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null)

.PHONY: check-package check-msrv check-deny check-semver

# The .crate files, and that each builds from what is in it alone. A warning is an error.
check-package:
	@echo "== the crates as crates.io gets them"
	@packaging/check-package $(CRATES)

check-msrv:
	@echo "== Rust $(MSRV): the oldest that is promised"
	@rustup run $(MSRV) rustc --version || rustup toolchain install $(MSRV) --profile minimal
	CARGO_TARGET_DIR=target/msrv RUSTFLAGS='-D warnings' rustup run $(MSRV) cargo check --locked --all-targets $(addprefix -p ,$(MSRV_CRATES))

check-deny:
	@echo "== licences, sources and duplicates of what is linked"
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is not installed: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo deny --workspace check bans licenses sources

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
