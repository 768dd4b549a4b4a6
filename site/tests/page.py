"""A page of docs/ as what it tells its reader to do: files to write, commands to type, and what these print."""

from __future__ import annotations

import pathlib
import re
from typing import NamedTuple, Union

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
DOCS = REPOSITORY / "docs"
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# A prompt; root's, where it matters who types. A line that ends with a backslash goes on.
PROMPT = re.compile(r"^[$#] ")


class Write(NamedTuple):
    """A block with a title is a file; an absolute path needs root."""
    path: str
    text: str


class Type(NamedTuple):
    command: str
    output: str

    def pattern(self) -> str:
        """Numbers, such as PIDs, differ from run to run, but no exit status does; an ellipsis is for what nobody wants to read."""
        lines = [".*" if line == "…" else re.sub(r"\d+", r"\\d+", re.escape(line)).replace("…", ".*")
                 for line in self.output.splitlines()]
        if lines and self.command.endswith("echo $?"):
            lines[-1] = re.escape(self.output.splitlines()[-1])
        return r"(?s:" + r"\n".join(lines) + r")\n?"


Step = Union[Write, Type]


def steps(path: pathlib.Path) -> list[Step]:
    found: list[Step] = []
    for language, title, text in FENCE.findall(path.read_text()):
        if title:
            found.append(Write(title, text))
        elif language == "console":
            found += typed(text)
    return found


def typed(text: str) -> list[Type]:
    found: list[Type] = []
    goes_on = False
    for line in text.splitlines():
        if goes_on:
            found[-1] = found[-1]._replace(command=f"{found[-1].command}\n{line}")
        elif PROMPT.match(line):
            found.append(Type(line[2:], ""))
        else:
            found[-1] = found[-1]._replace(output=f"{found[-1].output}{line}\n")
            continue
        goes_on = line.endswith("\\")
    return found


def place(path: pathlib.Path) -> str:
    """Where its commands are for: here, or below a real systemd."""
    mark = re.search(r"^<!-- tried (.*) -->$", path.read_text(), re.MULTILINE)
    return mark[1] if mark else "here"


def pages() -> list[pathlib.Path]:
    """All that promise to be done as they stand."""
    found = [DOCS / "index.md", *sorted((DOCS / "start").glob("*.md")), *sorted((DOCS / "recipes").glob("*.md"))]
    return [path for path in found if steps(path)]


def script(todo: list[Step], mark: str) -> str:
    """For one shell: each command between two marks, with the status of the one before it in $?."""
    lines = []
    for number, step in enumerate(todo):
        if isinstance(step, Write):
            end = f"END_{mark}"
            lines += [f"mkdir -p \"$(dirname '{step.path}')\"", f"cat >'{step.path}' <<'{end}'\n{step.text}{end}"]
            if step.text.startswith("#!"):
                lines.append(f"chmod +x '{step.path}'")
            continue
        lines += [f"printf '\\n%s %s\\n' {mark} {number}", "(exit ${status:-0})",
                  f"{{ {step.command}\n}} </dev/null 2>&1", "status=$?"]
    return "\n".join([*lines, f"printf '\\n%s end\\n' {mark}", ""])


def outputs(text: str, mark: str) -> dict[str, str]:
    """By the step's number, what its command has printed."""
    pieces = re.split(rf"\n{mark} (\w+)\n", "\n" + text)
    return dict(zip(pieces[1::2], pieces[2::2]))
