"""The command as the package has it: ``python -m daemonctx``, with the monitor beside the module."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import daemonctx
from conftest import House


def command(*words: object) -> "subprocess.CompletedProcess[str]":
    words = (sys.executable, "-m", "daemonctx", *words)
    return subprocess.run(list(map(str, words)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)


def test_start_with_the_packages_monitor(house: House) -> None:
    said = command("start", "--pidfile", house.pid_path, "sleep", "1000")
    pid = int(house.pid_path.read_text())
    assert (said.returncode, said.stdout, said.stderr) == (0, f"sleep: started, PID {pid}\n", "")
    parent = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    # A small program of its own, and no interpreter.
    assert os.readlink(f"/proc/{parent}/exe") == os.path.join(os.path.dirname(daemonctx.__file__), "daemonctx-monitor")
    assert command("stop", "--pidfile", house.pid_path).stdout == f"test: stopped, PID {pid}\n"


def test_failed_start_has_the_programs_status(house: House) -> None:
    said = command("start", "--pidfile", house.pid_path, "sh", "-c", "exit 42")
    assert said.returncode == 42 and said.stdout == "" and said.stderr.count("\n") == 1, said
    assert not house.pid_path.exists()


def test_monitor_without_a_launcher_fails() -> None:
    monitor = os.path.join(os.path.dirname(daemonctx.__file__), "daemonctx-monitor")
    said = subprocess.run([monitor], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20)
    assert (said.returncode, said.stdout) == (1, "") and said.stderr.startswith("daemonctx-monitor: started without a launcher")
