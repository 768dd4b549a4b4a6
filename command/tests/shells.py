"""Real shells on a terminal, complete with this command's completions.

A shell that is not installed is looked for below $SHELLS, where `make check-command` unpacks it.
"""

from __future__ import annotations

import ast
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from typing import Iterator

import pytest
from daemons import COMMAND
from terminal import Terminal

UNPACKED = pathlib.Path(os.environ.get("SHELLS", "/nonexistent"))
PROMPT = "READY> "
SEQUENCE = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\([A-Z]|\][^\x07]*\x07)")
# What the completed command line is given to, in place of the command.
PROBE = f"{sys.executable} -c 'import sys; print(\"\\nGOT\" + repr(sys.argv[1:]) + \"TOG\")'"


def find(name: str) -> str:
    for path in (shutil.which(name), UNPACKED / "usr/bin" / name, UNPACKED / "bin" / name):
        if path and os.access(path, os.X_OK):
            return str(path)
    pytest.skip(f"{name} is not there")


def bash_completion() -> str | None:
    """The functions of the package bash-completion."""
    paths = (root / "usr/share/bash-completion/bash_completion" for root in (pathlib.Path("/"), UNPACKED))
    return next((str(path) for path in paths if path.exists()), None)


class Shell:
    """An interactive shell, in a folder of its own with some files in it."""

    def __init__(self, name: str, folder: pathlib.Path, **variables: str) -> None:
        self.name, self.folder = name, folder
        (folder / "home").mkdir()
        (folder / "here").mkdir()
        (folder / "run").mkdir()
        self.environment = {
            "PATH": f"{pathlib.Path(COMMAND).parent}:/usr/bin:/bin",
            "HOME": str(folder / "home"),
            "XDG_RUNTIME_DIR": str(folder / "run"),
            "TERM": "dumb" if name != "fish" else "xterm",
            "LANG": "C.UTF-8",
            "LD_LIBRARY_PATH": f"{UNPACKED}/usr/lib/x86_64-linux-gnu" if name == "fish" else "",
            **variables,
        }
        self.path = find(name)
        # Said by the shell after all else.
        self.after = ""
        self.session: Terminal | None = None

    def script(self) -> str:
        return subprocess.run([COMMAND, "completions", self.name], check=True, capture_output=True, text=True).stdout

    def write(self, name: str, text: str) -> str:
        (self.folder / "home" / name).write_text(text)
        return str(self.folder / "home" / name)

    def open(self) -> Terminal:
        argv = getattr(self, self.name)()
        terminal = Terminal([self.path, *argv], 200, self.environment, str(self.folder / "here"))
        terminal.read_until(re.escape(PROMPT))
        return terminal

    def bash(self) -> list[str]:
        functions = bash_completion()
        lines = [
            f". {functions}" if functions and not self.environment.get("PLAIN") else "",
            self.script(),
            f"daemonctx() {{ {PROBE} \"$@\"; }}",
            self.after,
            "bind 'set bell-style none' 'set show-all-if-ambiguous on' 2>/dev/null",
            "bind 'set enable-bracketed-paste off'",
            "bind 'set page-completions off'",
            f"PS1={shlex.quote(PROMPT)}",
        ]
        return ["--noprofile", "--rcfile", self.write("rc", "\n".join(lines)), "-i"]

    def zsh(self) -> list[str]:
        self.environment["ZDOTDIR"] = str(self.folder / "home")
        where = UNPACKED / "usr" if str(self.path).startswith(str(UNPACKED)) else None
        lines = [
            f"module_path=({where}/lib/x86_64-linux-gnu/zsh/*(/)); fpath=({where}/share/zsh/functions/**/(/) {where}/share/zsh/functions)"
            if where else "",
            "setopt no_global_rcs",
        ]
        self.write(".zshenv", "\n".join(lines))
        (self.folder / "home/functions").mkdir(exist_ok=True)
        self.write("functions/_daemonctx", self.script())
        self.write(".zshrc", "\n".join([
            f"fpath=({self.folder}/home/functions $fpath)",
            f"autoload -U compinit; compinit -u -C -d {self.folder}/zcompdump",
            f"daemonctx() {{ {PROBE} \"$@\"; }}",
            "unset zle_bracketed_paste",
            "unsetopt beep prompt_cr prompt_sp",
            self.after,
            f"PS1={shlex.quote(PROMPT)}",
        ]))
        return ["-i"]

    def fish(self) -> list[str]:
        self.write("rc.fish", "\n".join([
            "set -g fish_greeting",
            f"function daemonctx; {PROBE} $argv; end",
            self.after,
            f"function fish_prompt; echo -n '{PROMPT}'; end",
            "function fish_right_prompt; end",
        ]))
        self.write("daemonctx.fish", self.script())
        # Else it would make them now, in the background, of all manual pages.
        (self.folder / "home/.local/share/fish/generated_completions").mkdir(parents=True, exist_ok=True)
        return ["-i", "-C", f"source {self.folder}/home/rc.fish; source {self.folder}/home/daemonctx.fish"]

    def complete(self, line: str) -> list[str]:
        """Types a command line, a tab and a newline: the words that it has become."""
        if self.session is None:
            self.session = self.open()
        self.session.text = ""
        self.session.type(line + "\t")
        self.session.type("\n")
        found = self.session.read_until(rf"(?s)GOT(\[.*?\])TOG.*{PROMPT}").group(1)
        words: list[str] = ast.literal_eval(found)
        return words

    def close(self) -> None:
        if self.session is not None:
            self.session.kill()

    @staticmethod
    def below(text: str) -> str:
        return SEQUENCE.sub("", text).partition("\n")[2]

    def offered(self, line: str, *wanted: str) -> str:
        """Types a command line and tabs: what is on the screen when all of these are."""
        terminal = self.open()
        try:
            terminal.text = ""
            terminal.type(line + "\t\t")
            # It is typed behind a prompt, and offered below.
            while not all(word in self.below(terminal.text) for word in wanted):
                assert terminal.read()
            return self.below(terminal.text)
        finally:
            terminal.kill()


@pytest.fixture(scope="module", params=["bash", "bash alone", "zsh", "fish"])
def shell(request: pytest.FixtureRequest) -> Iterator[Shell]:
    """bash with the package bash-completion and without. One session for all, as they are slow to begin."""
    name = request.param.split()[0]
    with tempfile.TemporaryDirectory(prefix="daemonctx-test-") as folder:
        shell = Shell(name, pathlib.Path(folder), **({"PLAIN": "1"} if "alone" in request.param else {}))
        yield shell
        shell.close()


@pytest.fixture
def own_shell(request: pytest.FixtureRequest) -> Iterator[Shell]:
    """One that a test may do something to before it begins."""
    with tempfile.TemporaryDirectory(prefix="daemonctx-test-") as folder:
        shell = Shell(request.param, pathlib.Path(folder))
        yield shell
        shell.close()
