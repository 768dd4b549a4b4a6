"""The command, as `daemonctx help` explains it."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Iterator

from . import REPOSITORY, escaped

COMMAND = os.environ.get("DAEMONCTX") or str(REPOSITORY / "target/release/daemonctx")
OPTION = re.compile(r"  (?:-(\w), |    )--([a-z-]+)(?: <([A-Z]\S*)>)?(?: {2,}(.*))?$")
PAIR = re.compile(r"  ((?:\S+ )*\S+) {2,}(.*)$")


def helped(*words: str) -> str:
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run([COMMAND, "help", *words], check=True, capture_output=True, text=True, env=environment).stdout


def parts(text: str) -> Iterator[tuple[str, list[str]]]:
    """What stands before the first heading, then heading by heading. A heading is a line with indented ones below it."""
    heading, body = "", list[str]()
    lines = text.splitlines()
    for number, line in enumerate(lines):
        below = lines[number + 1] if number + 1 < len(lines) else ""
        if usage := re.match(r"Usage: (.*)", line):
            yield heading, body
            heading, body = "Usage", [usage[1]]
        elif line.endswith(":") and not line.startswith(" ") and below.startswith("  "):
            yield heading, body
            heading, body = line.rstrip(":"), []
        else:
            body.append(line)
    yield heading, body


def joined(body: list[str], begins: re.Pattern[str]) -> Iterator[tuple[re.Match[str], str]]:
    """An item's first line, and all of its text in one."""
    current, said = None, list[str]()
    for line in body:
        if match := begins.match(line):
            if current:
                yield current, " ".join(filter(None, said))
            current, said = match, [match[match.re.groups] or ""]
        elif current and line.startswith("     "):
            said.append(line.strip())
    if current:
        yield current, " ".join(filter(None, said))


def shown(heading: str, body: list[str]) -> Iterator[str]:
    if not heading:
        yield from ("\n".join(escaped(line) for line in body).strip(), "")
    elif heading == "Usage":
        yield from ("```text", *(line.strip() for line in body if line), "```", "")
    elif heading == "Examples":
        yield from ("**Examples**", "")
        for line in filter(None, body):
            yield from (["```sh", line.strip(), "```", ""] if line.startswith("    ") else [escaped(line.strip()), ""])
    else:
        yield from (f"**{heading}**", "", "| | |", "|---|---|")
        options = list(joined(body, OPTION))
        for match, text in options:
            name = (f"-{match[1]}, " if match[1] else "") + f"--{match[2]}" + (f" {match[3]}" if match[3] else "")
            yield f"| `{name}` | {escaped(text)} |"
        for match, text in [] if options else joined(body, PAIR):
            yield f"| `{match[1]}` | {escaped(text)} |"
        yield ""


def page() -> str:
    out = ["# The command", "", "What `daemonctx help` says. [The guide](../command.md) explains it, with recipes; the manual page",
           "is [daemonctx(1)](man/daemonctx.1.md).", ""]
    commands = list[str]()
    for heading, body in parts(helped()):
        if heading == "Commands":
            commands = [match[1] for match, _ in joined(body, PAIR)]
        if heading in ("", "Usage", "Commands"):
            out += shown(heading, body)
    for name in commands:
        out += [f"## daemonctx {name}", ""]
        for heading, body in parts(helped(name)):
            out += shown(heading, body)
    return "\n".join(out)
