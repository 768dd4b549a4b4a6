"""`daemonctx restart` and `try-restart`: nothing is stopped when it is known that nothing could be started."""

from __future__ import annotations

import os
import pathlib
import re
import resource
import shutil
import subprocess

import pytest
from daemons import COMMAND, LIMIT, NOBODY, NOGROUP, House, descendants, house, is_gone, is_root, kill, proc, status

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]
VERBS = pytest.mark.parametrize("verb", ["restart", "try-restart"])


@VERBS
def test_another_process_afterwards(house: House, verb: str) -> None:
    first = house.started(*SLEEP)
    said = house.start("--umask", "027", *SLEEP, verb=verb).is_(0, "sleep: restarted, PID ")
    assert house.pid() != first and is_gone(first)
    assert status(house.pid())["Umask"] == "0027" and str(house.pid()) in said.stdout
    said = house.start("--json", *SLEEP, verb=verb).is_(0).json
    assert (said["result"], said["pid"]) == ("restarted", house.pid())
    house.stop().is_(0)


def test_one_that_does_not_run(house: House) -> None:
    house.start("-n", "x", *SLEEP, verb="try-restart").is_(0, "x: does not run, so it is not started")
    said = house.start("-n", "x", "--json", *SLEEP, verb="try-restart").is_(0).json
    assert said == {"result": "not_running", "name": "x"} and not house.pid_path.exists()
    house.start(*SLEEP, verb="restart").is_(0, "sleep: started, PID ")
    kill(house.pid())
    house.start(*SLEEP, verb="try-restart").is_(0, "does not run")
    house.start(*SLEEP, verb="restart").is_(0, "sleep: started, PID ")
    house.stop().is_(0)


WRONG = [
    (["/nonexistent/program"], 5),
    (["/etc/passwd"], 4),
    (["--user", "nonesuch", *SLEEP], 6),
    (["--group", "nonesuch", *SLEEP], 6),
    (["--chdir", "/nonexistent", *SLEEP], 6),
    (["--keep-fd", "98", *SLEEP], 6),
    (["--umask", "8", *SLEEP], 2),
    (["--stdout", "/nonexistent/log", *SLEEP], 6),
    (["--retry", "NONE", *SLEEP], 2),
    (["--notify", "whistle", *SLEEP], 2),
]


@VERBS
@pytest.mark.parametrize("words, code", WRONG)
def test_nothing_is_stopped(house: House, verb: str, words: list[str], code: int) -> None:
    pid = house.started(*SLEEP)
    house.start(*words, verb=verb).is_(code)
    assert not is_gone(pid) and house.pid() == pid
    house.stop().is_(0)


def executable(house: House, name: str, content: bytes, mode: int = 0o755) -> str:
    path = house.folder / name
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


def script(house: House, name: str, interpreter: str) -> str:
    return executable(house, name, f"#!{interpreter}\nexit 0\n".encode())


def binary(house: House, name: str = "binary", mode: int = 0o755) -> str:
    return executable(house, name, pathlib.Path(shutil.which("sleep") or "").read_bytes(), mode)


def without_loader(house: House) -> str:
    content, count = re.subn(rb"/lib([^\0]*/ld-[^\0]*\0)", rb"/xxx\1", pathlib.Path(shutil.which("sleep") or "").read_bytes(), count=1)
    if not count:
        pytest.skip("sleep has no loader")
    return executable(house, "without-loader", content)


def chain(house: House, length: int, interpreter: str) -> str:
    """So many scripts, each the interpreter of the one before."""
    for number in range(length):
        interpreter = script(house, f"script-{number}", interpreter)
    return interpreter


PROGRAMS = {
    "an interpreter that is missing": (lambda house: script(house, "script", "/nonexistent"), 5, "its interpreter is missing"),
    "an interpreter with a carriage return": (lambda house: script(house, "script", "/bin/sh\r"), 5, "its interpreter is missing"),
    "an interpreter's interpreter that is missing": (lambda house: chain(house, 3, "/nonexistent"), 5, "its interpreter is missing"),
    "an interpreter that may not be executed": (lambda house: script(house, "script", "/etc/passwd"), 4, "EACCES"),
    "an interpreter that is a directory": (lambda house: script(house, "script", "/etc"), 4, "EACCES"),
    "too many interpreters": (lambda house: chain(house, 6, "/bin/true"), 1, "ELOOP"),
    "a script without #!": (lambda house: executable(house, "text", b"echo hello\n"), 1, "ENOEXEC"),
    "an empty file": (lambda house: executable(house, "empty", b""), 1, "ENOEXEC"),
    "a loader that is missing": (without_loader, 5, "its interpreter is missing"),
}


@VERBS
@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_stopped_for_a_program_that_cannot_be_executed(house: House, verb: str, program: str) -> None:
    make, code, why = PROGRAMS[program]
    path = make(house)
    house.start("--notify", "exec", "--", path).is_(code, "", why)
    pid = house.started(*SLEEP)
    for words in (["--dry-run"], []):
        house.start(*words, "--", path, verb=verb).is_(code, "", why)
        assert not is_gone(pid) and house.pid() == pid
    house.stop().is_(0)


@pytest.mark.parametrize("length", range(1, 6))
def test_as_many_interpreters_as_the_kernel_follows(house: House, length: int) -> None:
    path = chain(house, length, "/bin/true")
    house.command("run", "--no-pidfile", "--", path).is_(0)
    house.start("--dry-run", "--", path, verb="restart").is_(0)


@is_root
@pytest.mark.parametrize("mode, owner, code", [(0o700, "nobody", 4), (0o710, "nobody", 4), (0o710, "nobody:adm", 0), (0o711, "nobody", 0)])
def test_the_daemons_user_must_be_able_to_execute_the_program(house: House, mode: int, owner: str, code: int) -> None:
    path = binary(house, mode=mode)
    shutil.chown(path, group="adm")
    first = house.started(*SLEEP)
    house.start("--dry-run", "--user", owner, "--", path, "1000", verb="restart").is_(code)
    house.start("--user", owner, "--", path, "1000", verb="restart").is_(code)
    assert is_gone(first) == (code == 0)
    house.stop().is_(0)


@is_root
def test_directories_on_the_way_count_as_well(house: House) -> None:
    (house.folder / "private").mkdir(mode=0o700)
    path = binary(house, "private/binary")
    pid = house.started(*SLEEP)
    house.start("--user", "nobody", "--", path, "1000", verb="restart").is_(4, "", "EACCES")
    assert not is_gone(pid)
    house.stop().is_(0)


@is_root
def test_an_interpreter_is_looked_for_in_the_new_root(house: House) -> None:
    script(house, "script", "/interpreter")
    pid = house.started(*SLEEP)
    words = ["--chroot", house.folder, "/script"]
    house.start(*words, verb="restart").is_(5, "", "its interpreter is missing")
    executable(house, "interpreter", b"")
    house.start(*words, verb="restart").is_(1, "", "ENOEXEC")
    assert not is_gone(pid)
    house.stop().is_(0)


@is_root
def test_nothing_is_stopped_without_the_privileges_of_the_start(house: House) -> None:
    os.chown(house.folder, NOBODY, NOGROUP)
    pid = house.started(*SLEEP, nobody=True)
    house.start("--user", "root", *SLEEP, nobody=True, verb="restart").is_(4, "", "EPERM")
    assert not is_gone(pid)
    house.stop(nobody=True).is_(0)


@pytest.mark.skipif(os.path.exists("/dev/log"), reason="there is a system log")
def test_nothing_is_stopped_without_a_system_log(house: House) -> None:
    pid = house.started(*SLEEP)
    for words in (["--dry-run"], []):
        house.start(*words, "--syslog", *SLEEP, verb="restart").is_(6, "", "stdout failed: /dev/log")
    assert not is_gone(pid)
    house.stop().is_(0)


@pytest.mark.parametrize("verb", ["start", "restart", "try-restart"])
def test_a_descriptor_above_the_limit_is_refused(house: House, verb: str) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    pid = house.started(*SLEEP)
    house.start("--notify", f"fd:{limit}", *SLEEP, verb=verb).is_(1, "", f"--notify fd:{limit}: expected a number below the limit")
    assert not is_gone(pid)
    house.stop().is_(0)


def test_the_highest_descriptor_is_a_sign(house: House) -> None:
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1
    house.started("--notify", f"fd:{highest}", house.script(f"os.write({highest}, b'\\n'); forever()"))
    house.stop().is_(0)


@is_root
def test_nothing_is_stopped_by_who_may_not(house: House) -> None:
    os.chown(house.folder, NOBODY, NOGROUP)
    pid = house.started(*SLEEP, nobody=True)
    house.start("--nice", "-1", *SLEEP, nobody=True, verb="restart").is_(4, "", "nice failed: -1")
    assert not is_gone(pid)
    house.stop(nobody=True).is_(0)
    pid = house.started(*SLEEP)
    house.start(*SLEEP, nobody=True, verb="restart").is_(4)
    assert not is_gone(pid)
    house.stop().is_(0)


def test_one_that_does_not_end(house: House) -> None:
    pid = house.started(house.deaf("TERM"))
    assert house.hear() == "here"
    house.start("--retry", "TERM/0.2", *SLEEP, verb="restart").is_(1, "", f"PID {pid}: still there after TERM")
    assert house.pid() == pid and not is_gone(pid)
    house.start("--retry", "TERM/0.1/KILL/5", *SLEEP, verb="restart").is_(0, "restarted")
    house.stop().is_(0)


def test_one_that_fails_then(house: House) -> None:
    """What can only be seen by trying is said, and nothing runs."""
    house.started(*SLEEP)
    house.start("--notify", "running:1", "sh", "-c", "exit 9", verb="restart").is_(9)
    house.stop().is_(0, "does not run")


@VERBS
def test_dry_run(house: House, verb: str) -> None:
    pid = house.started(*SLEEP)
    house.start("--dry-run", *SLEEP, verb=verb).is_(0, "sleep: would stop, then start sleep 1000")
    assert house.pid() == pid
    house.stop().is_(0)


def test_twenty_at_once(house: House) -> None:
    """However they come in each other's way, one daemon is there in the end."""
    words = [COMMAND, "restart", "-p", str(house.pid_path), "sleep", "1000"]
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    restarts = [subprocess.Popen(words, **streams) for _ in range(20)]  # type: ignore[call-overload]
    codes = [restart.wait(LIMIT) for restart in restarts]
    assert 0 in codes
    sleeping = [pid for pid in descendants() if not is_gone(pid) and proc(pid, "comm") == "sleep\n"]
    assert sleeping == [house.pid()]
    house.stop().is_(0)
