"""The reference leaves nothing out: what the headers declare, what the package exports, what the command can."""

from __future__ import annotations

import pathlib
import re
import sys

import pytest
from page import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "site"))

from generated import command, headers, python

HEADERS = [REPOSITORY / "include/daemonctx.h", *sorted((REPOSITORY / "include/libdaemon").glob("*.h"))]


def headings(page: str) -> set[str]:
    return set(re.findall(r"^#{3,4} `(.+)`$", page, re.MULTILINE))


@pytest.mark.parametrize("header", HEADERS, ids=lambda path: path.name)
def test_c(header: pathlib.Path) -> None:
    text = re.sub(r"/\*.*?\*/|^DAEMONCTX_MUST_USE ", "", header.read_text(), flags=re.DOTALL | re.MULTILINE)
    page = headers.daemonctx_page() if header.name == "daemonctx.h" else headers.libdaemon_page()
    declared = set(re.findall(r"^[a-z][^(;{=]*\b(daemon(?:ctx)?_\w+)\(", text, re.MULTILINE))
    declared |= set(re.findall(r"^extern [^(;]*\b(\w+);", text, re.MULTILINE))
    assert declared - headings(page) == set()
    constants = set(re.findall(r"^#define (DAEMON(?:CTX)?_\w+) \d+$", text, re.MULTILINE))
    assert {name for name in constants if name not in page} == set()


def test_python() -> None:
    page = python.page()
    assert set(python.public()) - headings(page) == set()
    # Each has words of its own: the heading and its signature are not followed by the next heading.
    assert re.findall(r"^### `(\w+)`\n+(?:```python\n[^`]*```\n+)?(?=#)", page, re.MULTILINE) == []


def test_command() -> None:
    page = command.page()
    for name in re.findall(r"^## daemonctx (\S+)$", page, re.MULTILINE):
        said = command.helped(name)
        part = page.split(f"## daemonctx {name}\n")[1].split("\n## ")[0]
        options = re.findall(r"^  (?:-\w, |    )(--[a-z-]+)", said, re.MULTILINE)
        assert options and [option for option in options if not re.search(rf"{option}\b", part)] == []
        # All words are there, in whatever form, but for the one that a block in its place says as well.
        plain = re.sub(r"[\\`|*]|&lt;", " ", part)
        assert [word for word in re.findall(r"[A-Za-z]{4,}", said) if word not in plain] in ([], ["Usage"])
