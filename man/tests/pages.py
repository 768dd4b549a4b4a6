"""What the manual pages say, and what the headers say: read in the same shape, to be compared."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from typing import Iterator, NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
MAN = HERE.parent
INCLUDE = REPOSITORY / "include"
LIBRARY_FOLDER = pathlib.Path(os.environ.get("LIBDAEMON_DIR") or REPOSITORY / "target" / "lib").resolve()
LIBRARIES = [LIBRARY_FOLDER / name for name in ("libdaemonctx.so.0", "libdaemon.so.0")]
COMMAND = pathlib.Path(os.environ.get("DAEMONCTX") or REPOSITORY / "target" / "release" / "daemonctx").resolve()
MANDOC = os.environ.get("MANDOC", "mandoc")

# The second line of a page in man(7) that is written from a definition; the others are in mdoc(7).
GENERATED = r".\" Written by `make man`; do not edit."

# What either interface calls its own.
OURS = re.compile(r"\bdaemon(?:ctx)?_[a-z0-9_]+\b")


def squeeze(text: str) -> str:
    """One way to write what C takes for the same."""
    return re.sub(r"\s*([*,();\[\]])\s*", r"\1", " ".join(text.split()))


class Example(NamedTuple):
    name: str
    run: str
    program: str

    def libraries(self) -> list[str]:
        """What it is linked with: each header has a library of its own."""
        headers = {"<daemonctx.h>": "-ldaemonctx", "<libdaemon/": "-ldaemon"}
        return [library for header, library in headers.items() if f"#include {header}" in self.program]


class Page:
    def __init__(self, path: pathlib.Path) -> None:
        self.path, self.name = path, path.name
        self.section = path.suffix[1:]
        self.lines = path.read_text().splitlines()

    def __repr__(self) -> str:
        return self.name

    def part(self, title: str) -> list[str]:
        """The lines of one section."""
        found, inside = [], False
        for line in self.lines:
            if line.startswith(".Sh "):
                inside = line[4:] == title
            elif inside:
                found.append(line)
        return found

    def names(self) -> list[str]:
        if GENERATED in self.lines:
            return [self.path.stem]
        return [words(line)[1] for line in self.part("NAME") if line.startswith(".Nm")]

    def prototypes(self) -> Iterator[str]:
        """Functions and objects of the synopsis, as C."""
        kind, arguments, function = "", list[str](), ""
        for line in self.part("SYNOPSIS"):
            macro, *rest = words(line)
            if macro == ".Ft":
                kind = " ".join(rest)
            elif macro == ".Fn":
                yield squeeze(f"{kind} {rest[0]}({','.join(rest[1:])});")
            elif macro == ".Fo":
                function, arguments = rest[0], []
            elif macro == ".Fa":
                arguments += rest
            elif macro == ".Fc":
                yield squeeze(f"{kind} {function}({','.join(arguments)});")
            elif macro == ".Vt":
                yield squeeze(" ".join(rest))

    def headers(self) -> list[str]:
        return [words(line)[1] for line in self.part("SYNOPSIS") if line.startswith(".In")]

    def defines(self) -> list[str]:
        return [" ".join(words(line)[1:]) for line in self.part("SYNOPSIS") if line.startswith(".Fd")]

    def attributes(self) -> dict[str, list[str]]:
        """The table of the section ATTRIBUTES: threads and signal handlers for each function."""
        rows = [line.split(" Ta ") for line in self.part("ATTRIBUTES") if line.startswith(".It Fn ")]
        return {row[0].split()[2]: row[1:] for row in rows}

    def references(self) -> list[tuple[str, str]]:
        """Each page that it refers to."""
        return [(name, section) for name, section in re.findall(r"^\.?.*\bXr (\S+) (\d)", "\n".join(self.lines), re.MULTILINE)]

    def text(self) -> str:
        """All but programs and comments."""
        kept, inside = [], False
        for line in self.lines:
            inside = (inside or line.startswith(".Bd -literal")) and line != ".Ed"
            if not inside and not line.startswith('.\\"'):
                kept.append(line)
        return "\n".join(kept)

    def examples(self) -> list[Example]:
        """Programs, each with the line of shell that a comment above it has; a comment further in goes on with it."""
        found = list[Example]()
        name, run, program = "", "", None
        for line in self.lines:
            if mark := re.fullmatch(r'\.\\" example (\w+): (.*)', line):
                name, run = mark.groups()
            elif name and line.startswith('.\\"     '):
                run += " " + line[3:].strip()
            elif line.startswith(".Bd -literal") and name:
                program = list[str]()
            elif line == ".Ed" and program is not None:
                found.append(Example(name, run, unescape("\n".join(program)) + "\n"))
                name, program = "", None
            elif program is not None:
                program.append(line)
        return found

    def programs(self) -> int:
        """How many displays of the page are whole programs."""
        return sum("main(" in line for line in self.lines if not line.startswith("."))


def words(line: str) -> list[str]:
    """A macro and its arguments."""
    return [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', line)] or [""]


def unescape(text: str) -> str:
    plain = text.replace(r"\(aq", "'").replace(r"\-", "-").replace(r"\&", "")
    assert not re.search(r"\\[^e]", plain), "an escape that no page here needs"
    return plain.replace(r"\e", "\\")


def pages() -> list[Page]:
    return [Page(path) for path in sorted(MAN.glob("*.[137]"))]


def functions_pages() -> list[Page]:
    return [page for page in pages() if page.section == "3"]


def names() -> dict[str, set[str]]:
    """By section, all that has a page: its own or, by a link, another's."""
    result: dict[str, set[str]] = {}
    for page in pages():
        result.setdefault(page.section, set()).update(page.names())
    return result


def header_text(header: str) -> str:
    """A header without comments, macros and what only the compiler wants to know."""
    text = re.sub(r"/\*.*?\*/", " ", (INCLUDE / header).read_text(), flags=re.DOTALL)
    text = re.sub(r"^#.*$", " ", text, flags=re.MULTILINE)
    return re.sub(r"DAEMON_GCC_\w+(\([^)]*\))?|DAEMONCTX_MUST_USE|extern \"C\" \{", " ", text)


def declarations(header: str) -> set[str]:
    return {squeeze(statement + ";") for statement in header_text(header).split(";") if statement.strip()}


def headers() -> list[str]:
    return ["daemonctx.h", *(f"libdaemon/{path.name}" for path in sorted((INCLUDE / "libdaemon").glob("*.h")))]


def exported() -> set[str]:
    listed = subprocess.run(["nm", "-D", "--defined-only", *LIBRARIES], check=True, capture_output=True, text=True).stdout
    # Not the names of the files and of the version; functions without their version.
    return {words[2].split("@")[0] for words in map(str.split, listed.splitlines()) if len(words) == 3 and words[1] != "A"}
