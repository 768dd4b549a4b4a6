"""`daemonctx help`: every command and option explained, at any width, and true."""

from __future__ import annotations

import re
import shlex
import subprocess

import pytest
from daemons import COMMAND, LIMIT
from terminal import SEQUENCE, plain, shown, width


def say(*words: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT, **kwargs)  # type: ignore[call-overload,no-any-return]


def commands() -> list[str]:
    section = say("help").stdout.split("\nCommands:\n")[1].split("\n\n")[0]
    return re.findall(r"^  (\S+)", section, re.MULTILINE)


COMMANDS = ["start", "stop", "restart", "try-restart", "reload", "status", "list", "logs", "run", "completions", "help", "version"]


def test_the_overview() -> None:
    assert commands() == COMMANDS
    for words in (["help"], ["--help"], ["-h"], ["help", "help"], ["help", "--help"]):
        said = say(*words)
        assert said.returncode == 0 and said.stderr == "" and "Usage: daemonctx " in said.stdout, words
    assert say("help").stdout == say("--help").stdout == say("-h").stdout


def test_nothing_said() -> None:
    """No answer to anything, so on standard error; but all that it takes to say something."""
    said = say()
    assert said.returncode == 2 and said.stdout == ""
    assert said.stderr == "daemonctx: needs a COMMAND\n\n" + say("help").stdout


@pytest.mark.parametrize("words", [["help", "x"], ["help", "start", "stop"], ["x"], ["--x"], ["-x"]])
def test_misuse(words: list[str]) -> None:
    said = say(*words)
    assert said.returncode == 2 and said.stdout == "" and said.stderr.count("\n") == 1 and "see `daemonctx help" in said.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command(command: str) -> None:
    text = say("help", command).stdout
    assert f"\nUsage: daemonctx {command} [OPTION]..." in text and "\nExit codes:\n  " in text
    assert say(command, "--help").stdout == say(command, "-h").stdout == text
    if command not in ("help", "version"):
        assert "\nExamples:\n" in text
    # Every option that is shown is one: the command complains of something else, if anything.
    for option in re.findall(r"^  (?:-\w, |    )(--[a-z-]+)", text, re.MULTILINE):
        said = say(command, option)
        assert "no such option" not in said.stderr, option


@pytest.mark.parametrize("command", COMMANDS)
def test_its_examples_are_understood(command: str) -> None:
    examples = say("help", command).stdout.partition("\nExamples:\n")[2]
    for line in re.findall(r"^    (daemonctx .*)$", examples, re.MULTILINE):
        _, verb, *words = shlex.split(re.split(r" [|>] ", line)[0])
        dry = [] if verb in ("status", "list", "logs", "completions") or "--dry-run" in words else ["--dry-run"]
        said = say(verb, *dry, *words, env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": "/tmp"})
        assert "see `daemonctx" not in said.stderr, line


@pytest.mark.parametrize("columns", [20, 40, 80, 100, 200])
def test_as_wide_as_the_terminal(columns: int) -> None:
    for command in COMMANDS:
        status, text = shown(COMMAND, "help", command, columns=columns)
        assert status == 0
        lines = plain(text).splitlines()
        words = [line for line in lines if not re.match(r"(Usage:| +(daemonctx |-\w, |--))", line)]
        assert max(map(width, words)) <= min(columns, 100), "what is to be copied is never broken, all else is"
        assert columns > 80 or command != "start" or max(map(width, lines)) > columns - 8, "what is there is used"
    # Beside each other where there is room, else below.
    _, text = shown(COMMAND, "help", "stop", columns=columns)
    assert bool(re.search(r"--json {2,}Print", plain(text))) == (columns >= 60)


def test_examples_fit_into_eighty_columns() -> None:
    for command in COMMANDS:
        for line in say("help", command).stdout.splitlines():
            assert width(line) <= 80, line


def test_headings_are_bold_on_a_terminal() -> None:
    _, text = shown(COMMAND, "help", "stop")
    assert "\x1b[1mUsage\x1b[0m:" in text
    _, text = shown(COMMAND, "help", "stop", NO_COLOR="1")
    assert not SEQUENCE.search(text)
    assert "\x1b" not in say("help", "stop").stdout


def test_version() -> None:
    assert re.fullmatch(r"daemonctx \d+\.\d+\.\d+\S*\n", say("version").stdout)
    assert say("--version").stdout == say("-V").stdout == say("version").stdout
