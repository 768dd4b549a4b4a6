"""`daemonctx completions`: what the shells make of it, typed into them."""

from __future__ import annotations

import subprocess

import pytest
from daemons import COMMAND
from shells import Shell, bash_completion, own_shell, shell

__all__ = ["own_shell", "shell"]


@pytest.mark.parametrize(
    "typed, completed",
    [
        ("star", ["start"]),
        ("try", ["try-restart"]),
        ("start --no-pi", ["start", "--no-pidfile"]),
        ("status --pidf", ["status", "--pidfile"]),
        ("completions fi", ["completions", "fish"]),
        ("help relo", ["help", "reload"]),
    ],
)
def test_words_of_its_own(shell: Shell, typed: str, completed: list[str]) -> None:
    assert shell.complete(f"daemonctx {typed}") == completed


@pytest.mark.parametrize(
    "typed, completed",
    [
        ("start --user nobo", ["start", "--user", "nobody"]),
        ("start -u nobo", ["start", "-u", "nobody"]),
        ("start --user=nobo", ["start", "--user=nobody"]),
        ("start --user nobody:nogr", ["start", "--user", "nobody:nogroup"]),
        ("start --user=nobody:nogr", ["start", "--user=nobody:nogroup"]),
        ("start --group nogr", ["start", "--group", "nogroup"]),
        ("start --notify sys", ["start", "--notify", "systemd"]),
        ("start --notify run", ["start", "--notify", "running:"]),
        ("start --notify=fd", ["start", "--notify=fd:"]),
        ("start --groups no", ["start", "--groups", "none"]),
        ("reload x --signal WIN", ["reload", "x", "--signal", "WINCH"]),
        ("start --unset XDG_RUNT", ["start", "--unset", "XDG_RUNTIME_DIR"]),
        ("start --env XDG_RUNT", ["start", "--env", "XDG_RUNTIME_DIR="]),
        ("start --env A=b --env XDG_RUNT", ["start", "--env", "A=b", "--env", "XDG_RUNTIME_DIR="]),
    ],
)
def test_values(shell: Shell, typed: str, completed: list[str]) -> None:
    assert shell.complete(f"daemonctx {typed}") == completed


def test_files(shell: Shell) -> None:
    here = shell.folder / "here"
    (here / "some file").touch()
    (here / "a folder").mkdir()
    (here / "a fold").touch()
    assert shell.complete("daemonctx start --stdout so") == ["start", "--stdout", "some file"]


def test_folders(shell: Shell) -> None:
    here = shell.folder / "here"
    (here / "folder").mkdir()
    (here / "fold").touch()
    assert shell.complete("daemonctx start --chdir fo")[2] in ("folder", "folder/")


def test_names(shell: Shell) -> None:
    """Of the daemons that there may be."""
    (shell.folder / "run/my-web.pid").touch()
    (shell.folder / "run/my-web.txt").touch()
    for command in ("status", "stop", "reload"):
        assert shell.complete(f"daemonctx {command} my-") == [command, "my-web"]
    assert shell.complete("daemonctx status --lines 5 my-") == ["status", "--lines", "5", "my-web"]


@pytest.mark.parametrize("before", ["start", "start --no-core", "start -n x", "start -n x --", "start --name=x -lu nobody --"])
def test_a_program_completes_its_own(shell: Shell, before: str) -> None:
    (shell.folder / "here/some file").touch()
    words = before.split()
    assert shell.complete(f"daemonctx {before} setpr") == [*words, "setpriv"]
    assert shell.complete(f"daemonctx {before} cat --no-pi so") == [*words, "cat", "--no-pi", "some file"]


@pytest.mark.parametrize("own_shell", ["bash", "zsh", "fish"], indirect=True)
def test_a_program_with_completions(own_shell: Shell) -> None:
    """Those that the shell has for it."""
    if own_shell.name == "bash" and not bash_completion():
        pytest.skip("bash-completion is not there")
    own_shell.after = {
        "bash": "complete -W 'apple banana' fruits",
        "zsh": "compdef '_arguments \"*:fruit:(apple banana)\"' fruits",
        "fish": "complete -c fruits -f -a 'apple banana'",
    }[own_shell.name]
    assert own_shell.complete("daemonctx start -n x -- fruits ba") == ["start", "-n", "x", "--", "fruits", "banana"]


def test_what_is_offered(shell: Shell) -> None:
    text = shell.offered("daemonctx ", "start", "stop", "restart", "try-restart", "reload", "status", "list", "logs", "run", "completions")
    assert "--json" not in text
    text = shell.offered("daemonctx status --", "--pidfile", "--lines", "--json", "--quiet", "--help")
    assert "--user" not in text and "--respawn" not in text, "options of other commands"


def test_explained(shell: Shell) -> None:
    if shell.name == "bash":
        pytest.skip("bash has no room for that")
    shell.offered("daemonctx st", "Stop the daemon and wait until it is gone")


@pytest.mark.parametrize("own_shell", ["bash"], indirect=True)
def test_where_bash_does_not_break_words(own_shell: Shell) -> None:
    own_shell.after = "COMP_WORDBREAKS=$' \\t\\n'"
    assert own_shell.complete("daemonctx start --user=nobody:nogr") == ["start", "--user=nobody:nogroup"]


@pytest.mark.parametrize("words", [[], ["tcsh"], ["bash", "zsh"]])
def test_misuse(words: list[str]) -> None:
    said = subprocess.run([COMMAND, "completions", *words], capture_output=True, text=True)
    assert said.returncode == 2 and said.stdout == "" and "bash, zsh or fish" in said.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"], indirect=True)
def test_the_shell_finds_no_fault(shell: Shell) -> None:
    path = shell.write("script", shell.script())
    environment = shell.environment
    done = subprocess.run([shell.path, "-n", path], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
