"""The Rust interface: what cargo doc has made, as it is."""

from __future__ import annotations

import os
import pathlib
from typing import Iterator

from . import REPOSITORY

MADE = pathlib.Path(os.environ.get("RUST_DOCS") or REPOSITORY / "target" / "site-rust" / "doc")
FOLDER = "rust"


def files() -> Iterator[tuple[str, pathlib.Path]]:
    for path in sorted(MADE.rglob("*")):
        # Those two lead to a page of all crates, of which there is one.
        if path.is_file() and not path.name.startswith(".") and path.name not in ("help.html", "settings.html"):
            yield f"{FOLDER}/{path.relative_to(MADE).as_posix()}", path


def page() -> str:
    if not (MADE / "daemonctx" / "index.html").exists():
        raise SystemExit(f"no {MADE}/daemonctx: RUST_DOCS is to be what cargo doc has made")
    return "\n".join([
        "# Rust", "",
        "The crate `daemonctx`, as `cargo doc` shows it: **[the crate's documentation](../rust/daemonctx/index.html)**.", "",
        "| | |", "|---|---|",
        "| [`Daemon`](../rust/daemonctx/struct.Daemon.html) | what a daemon is to be, and the doors to its start |",
        "| [`Context`](../rust/daemonctx/struct.Context.html) | the daemon after the start |",
        "| [`PidFile`](../rust/daemonctx/struct.PidFile.html) | who runs, and how to reach it |",
        "| [`Error`](../rust/daemonctx/struct.Error.html) | which step failed, on what, and why |", "",
        "The programs in it are compiled and run by `cargo test`.", ""])
