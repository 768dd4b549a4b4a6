"""Files of the sources that a page of docs/ links to: they become pages, so a reader without a clone gets there."""

from __future__ import annotations

import os
import pathlib
import posixpath
import re

from . import REPOSITORY

FOLDER = "tree"
# [text](target), with an anchor that may follow; not for what has a scheme.
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
LEXERS = {".py": "python", ".rs": "rust", ".c": "c", ".h": "c", ".sh": "sh", ".toml": "toml", ".json": "json"}
# A link to one of these leads to the page that is made of it.
MADE = {"man": "reference/man/index.md", "include/daemonctx.h": "reference/daemonctx.h.md",
        "include/libdaemon": "reference/libdaemon.h.md", "bindings/python/python/daemonctx": "reference/python.md",
        "command": "reference/command.md", "core": "reference/rust.md"}

MANUAL_PAGE = re.compile(r"man/[\w.]+\.[1-9]")


def source(uri: str) -> pathlib.PurePosixPath:
    """Where in the sources a page of the site is written."""
    if uri.startswith(f"{FOLDER}/"):
        path = uri.removeprefix(f"{FOLDER}/")
        return pathlib.PurePosixPath(path if (REPOSITORY / path).is_file() else path.removesuffix(".md"))
    return pathlib.PurePosixPath("docs", uri)


def target(base: pathlib.PurePosixPath, link: str) -> str:
    """The file of the sources that a link in another means; a folder is its README."""
    path = posixpath.normpath((base.parent / link).as_posix())
    if path not in MADE and (REPOSITORY / path / "README.md").is_file():
        path += "/README.md"
    return path


def uri_of(path: str) -> str:
    if path in MADE:
        return MADE[path]
    if MANUAL_PAGE.fullmatch(path):
        return f"reference/{path}.md"
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"{FOLDER}/{path}" if path.endswith(".md") else f"{FOLDER}/{path}.md"


def links(base: pathlib.PurePosixPath) -> set[str]:
    found = set()
    for match in LINK.finditer((REPOSITORY / base).read_text()):
        path = target(base, match[2])
        if not path.startswith(("docs/", "reference/", "..")) and path not in MADE and not MANUAL_PAGE.fullmatch(path) \
                and (REPOSITORY / path).is_file():
            found.add(path)
    return found


def linked() -> dict[str, str]:
    """All that docs/ leads to outside of it, and what that leads to."""
    found: dict[str, str] = {}
    new = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "docs").rglob("*.md")}
    while new:
        further = set()
        for path in new:
            if path.endswith(".md"):
                further |= links(pathlib.PurePosixPath(path))
        new = further - found.keys()
        found.update({path: uri_of(path) for path in new})
    return found


def page(path: str) -> str:
    text = (REPOSITORY / path).read_text()
    if path.endswith(".md"):
        return text
    return f"# {path}\n\n````{LEXERS.get(os.path.splitext(path)[1], 'text')}\n{text}````\n"


def relinked(markdown: str, uri: str) -> str:
    """Links as they are right in the sources, as they are right on the site."""
    base = source(uri)
    if uri.startswith("reference/"):
        return markdown

    def link(match: re.Match[str]) -> str:
        path = target(base, match[2])
        if path.startswith("docs/") and not uri.startswith(FOLDER) and not match[2].startswith(".."):
            return match[0]
        if path.startswith("docs/") or (REPOSITORY / path).is_file() or path in MADE:
            there = posixpath.relpath(uri_of(path), posixpath.dirname(uri) or ".")
            return f"{match[1]}{there}{match[3] or ''})"
        return match[0]

    return LINK.sub(link, markdown)
