"""daemonctx(1) has the commands, options and exit codes that the command itself explains: no more, no fewer, none other."""

from __future__ import annotations

import re
import subprocess
from typing import NamedTuple

import pytest
from pages import COMMAND, MAN, Page, words

PAGE = Page(MAN / "daemonctx.1")
FOR = re.compile(r"\.Pq for Cm (.*)")


class Option(NamedTuple):
    short: str
    long: str
    value: str


def helped(*arguments: str) -> str:
    return subprocess.run([COMMAND, "help", *arguments], check=True, capture_output=True, text=True, timeout=10).stdout


def commands() -> list[str]:
    return re.findall(r"^  (\S+)", helped().split("\nCommands\n")[1].split("\n\n")[0], re.MULTILINE)


COMMANDS = commands()


def options_of_help(command: str) -> set[Option]:
    found = re.findall(r"^  (?:-(\w), |    )--([a-z-]+)(?: ([A-Z][^ \n]*))?(?:  |$)", helped(command), re.MULTILINE)
    return {Option(*option) for option in found}


def options_of_page() -> dict[str, set[Option]]:
    """By command. A heading says what commands its options are for, and an option that differs says so itself."""
    result: dict[str, set[Option]] = {command: set() for command in COMMANDS}
    heading: list[str] = []
    lines = PAGE.part("OPTIONS")
    for number, line in enumerate(lines):
        if line.startswith(".Ss "):
            heading = listed(lines[number + 1])
            assert heading, line
        elif item := re.fullmatch(r"\.It (?:Fl (\w) , )?Fl -([a-z-]+)(?: Ar (\S+))?", line):
            for command in listed(lines[number + 1]) or heading:
                result[command].add(Option(item[1] or "", item[2], item[3] or ""))
        else:
            assert not line.startswith(".It Fl"), line
    return result


def listed(line: str) -> list[str]:
    found = FOR.fullmatch(line)
    return found[1].split(" , ") if found else []


def test_commands() -> None:
    description = PAGE.part("DESCRIPTION")
    assert [words(line)[2] for line in description if line.startswith(".It Cm ")] != []
    assert {words(line)[2] for line in description if line.startswith(".It Cm ")} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_options(command: str) -> None:
    of_help = options_of_help(command)
    assert of_help and options_of_page()[command] == of_help


@pytest.mark.parametrize("command", ["start", "stop", "restart", "try-restart", "reload", "status", "run", "completions"])
def test_exit_codes(command: str) -> None:
    codes = re.findall(r"^  (\S+)  +\S", helped(command).split("\nExit codes\n")[1].split("\n\n")[0], re.MULTILINE)
    shown: list[str] = []
    inside = False
    for line in PAGE.part("EXIT STATUS"):
        if line.startswith(".Ss "):
            inside = command in line[4:].split(", ")
        elif inside and line.startswith(".It "):
            shown.append(line[4:])
    assert shown == codes != []
