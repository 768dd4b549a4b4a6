"""Blocks of all pages, those that are not run as well: Python compiles and imports what there is, shells can read the rest,
and options exist."""

from __future__ import annotations

import ast
import os
import pathlib
import re
import shlex
import subprocess
import sys
from typing import Iterator

import pytest
from page import DOCS, REPOSITORY, pages, steps

COMMAND = os.environ.get("DAEMONCTX") or str(REPOSITORY / "target/release/daemonctx")
PAGES = [*sorted(DOCS.rglob("*.md")), REPOSITORY / "README.md"]
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Pages with whole programs: docs/tools/check-readme and core/tests/peers compare these with programs that are built and run.
COMPARED = {REPOSITORY / "README.md", DOCS / "python.md", DOCS / "migrate/daemonize-crate.md"}


def name(path: pathlib.Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def blocks(path: pathlib.Path, *languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(path.read_text()) if language in languages]


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "python")], ids=name)
def test_python(path: pathlib.Path) -> None:
    for text in blocks(path, "python"):
        tree = ast.parse(text)
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("daemonctx"):
                continue
            names = [alias.name for alias in node.names]
            subprocess.run([sys.executable, "-c", f"from {node.module} import {', '.join(names)}"], check=True, timeout=10)


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "sh")], ids=name)
def test_shell(path: pathlib.Path) -> None:
    for text in blocks(path, "sh"):
        said = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, timeout=10)
        assert said.returncode == 0, f"{text}\n{said.stderr}"


def test_no_program_that_nothing_runs() -> None:
    """A program in C or Rust is one of the examples, or on a page that is done as it stands."""
    done = {path for path in pages() if steps(path)} | COMPARED
    others = [path for path in PAGES if path not in done]
    assert [name(path) for path in others if any("main(" in text for text in blocks(path, "c", "cpp", "rust"))] == []


def options_of(command: str) -> set[str]:
    said = subprocess.run([COMMAND, "help", command], check=True, capture_output=True, text=True, timeout=10).stdout
    found = re.findall(r"^  (?:-(\w), |    )--([a-z-]+)", said, re.MULTILINE)
    return {f"--{long}" for _, long in found} | {f"-{short}" for short, _ in found if short}


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each `daemonctx COMMAND OPTION...` that stands in a block; what follows the first word that is no option is another's."""
    for found in re.finditer(r"\bdaemonctx ((?:try-)?(?:start|stop|restart|reload|status|run))\b([^\n;|&)`]*)", text):
        yield found[1], found[2].split()


@pytest.mark.parametrize("path", [path for path in PAGES if blocks(path, "sh", "console", "text", "ini", "dockerfile")], ids=name)
def test_options_exist(path: pathlib.Path) -> None:
    for text in blocks(path, "sh", "console", "text", "ini", "dockerfile"):
        for command, words in calls(text.replace("\\\n", " ")):
            known = options_of(command)
            for word, before in zip(words, ["", *words]):
                if word == "--":
                    break
                if word.startswith("-"):
                    assert word in known, f"{shlex.join(words)}: daemonctx {command} has no {word}"
                elif not before.startswith("-") and command not in ("stop", "reload", "status"):
                    break
