"""What `daemonctx status` opens of a daemon that it does not trust, and what leaves the command raw."""

from __future__ import annotations

import json
import os
import pathlib
import select
import signal
import time

import pytest
from daemons import LIMIT, NOBODY, NOGROUP, House, house, is_root, proc, stat
from deadfs import dead_file_system
from test_status import look, look_json

__all__ = ["house"]

# Of each kind: C0, DEL, C1, marks of direction and of no width, line separators, tags.
HOSTILE = "\x1b\x7f\u009b\u061c\u200b\u200f\u2028\u202e\u2060\u2069\ufeff\ufffb\U000e0001\U000e0041\U000e007f"
QUIET = {**os.environ, "PATH": "/nonexistent", "LC_ALL": "C.UTF-8"}


def log(house: House) -> list[dict[str, object]]:
    found: list[dict[str, object]] = look_json(house, 0, env=QUIET)["log"]
    return found


@pytest.mark.parametrize("flags", ["O_PATH", "O_RDONLY"])
def test_what_a_daemon_cannot_write_is_not_shown(house: House, flags: str) -> None:
    secret = house.folder / "secret"
    secret.write_text("secret\n")
    script = house.script(f"""
        for number in (1, 2): os.dup2(os.open({str(secret)!r}, os.{flags}), number)
        report("here")
        forever()
    """)
    house.started("--", script)
    assert house.hear() == "here"
    assert log(house) == []
    assert f"output     {secret}\n" in look(house, env=QUIET).stdout
    house.stop().is_(0)


def test_a_fifo_is_not_read(house: House) -> None:
    fifo = house.folder / "fifo"
    os.mkfifo(fifo)
    script = house.script(f"""
        os.dup2(os.open({str(fifo)!r}, os.O_RDWR), 1)
        os.write(1, b"for somebody else\\n")
        report("here")
        forever()
    """)
    house.started("--", script)
    assert house.hear() == "here"
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    assert log(house) == []
    assert os.read(reader, 100) == b"for somebody else\n"
    os.close(reader)
    house.stop().is_(0)


@is_root
def test_outputs_that_are_exchanged(house: House) -> None:
    """Between a log of the daemon's own and a file that it may not read."""
    house.folder.chmod(0o755)
    for folder in list(house.folder.parents)[:3]:
        folder.chmod(folder.stat().st_mode | 0o111)
    secret, own = house.folder / "secret", house.folder / "own"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    own.write_text("own\n")
    os.chown(own, NOBODY, NOGROUP)
    script = house.script(f"""
        own, secret = os.open({str(own)!r}, os.O_WRONLY), os.open({str(secret)!r}, os.O_PATH)
        report("here")
        while True:
            os.dup2(own, 1)
            os.dup2(secret, 1)
    """)
    house.started("--user", "nobody", "--", script)
    assert house.hear() == "here"
    seen = [look(house, "--json", env=QUIET).is_(0).json["log"] for _ in range(100)]
    assert not [logs for logs in seen if "secret" in json.dumps([it["lines"] for it in logs])]
    house.stop().is_(0)


def test_a_file_system_that_does_not_answer(house: House) -> None:
    """Neither `status` nor who reads what it prints waits for it."""
    with dead_file_system(house.folder / "mount") as system:
        house.started("--stdout", system.folder / "log", "--", "sleep", "1000")
        system.is_dead.set()
        before = time.monotonic()
        reader, writer = os.pipe()
        house.command("status", "--pidfile", house.pid_path, env=QUIET, stdout=writer).is_(0)
        os.close(writer)
        shown = b""
        while select.select([reader], [], [], LIMIT)[0] and (more := os.read(reader, 4096)):
            shown += more
        os.close(reader)
        assert f"output     {system.folder}/log, /dev/null\n" in shown.decode()
        assert time.monotonic() - before < 5
    assert os.waitpid(-1, 0)[0] != house.pid(), "the child that looked is gone with the file system"
    house.stop().is_(0)


@is_root
def test_a_daemon_that_keeps_its_memory_map_locked(house: House) -> None:
    """A page that never comes is waited for under the lock, and a mapping waits for the lock: who reads the command line or the
    shares of memory waits too. `list` reads neither, and `status` does not wait for long."""
    script = house.script("""
        import ctypes, mmap
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        file = open(sys.argv[1], "r+b")
        memory = mmap.mmap(file.fileno(), 5)
        address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        report("here")
        signal.sigwait([signal.SIGUSR1])
        if os.fork() == 0:
            os.pread(os.open(f"/proc/{os.getppid()}/mem", os.O_RDONLY), 1, address)
        signal.sigwait([signal.SIGUSR1])
        mmap.mmap(-1, 4096)
        forever()
    """)
    with dead_file_system(house.folder / "mount") as system:
        pid = house.started("--", script, system.folder / "file")
        assert house.hear() == "here"
        system.is_dead.set()
        os.kill(pid, signal.SIGUSR1)
        assert system.is_waited_for.wait(LIMIT)
        os.kill(pid, signal.SIGUSR1)
        while stat(pid)[0] != "D":
            os.sched_yield()
        for words in (["list"], ["list", "--json"], ["status", "--json"], ["status"]):
            before = time.monotonic()
            which = ["--pidfile", house.pid_path] if words[0] == "status" else []
            said = house.command(*words, *which, env=QUIET).is_(0)
            assert time.monotonic() - before < 5, words
            if words == ["list", "--json"]:
                own = next(it for it in said.json["daemons"] if it["pid"] == pid)
                assert own["memory"] > 0 and own["command"][0] == script
            elif words == ["status", "--json"]:
                assert said.json["command"] is None and said.json["memory"]["pss"] is None and said.json["memory"]["rss"] > 0
        assert "  command    unknown\n" in said.stdout
        assert "  not shown  command lines and PSS: the kernel does not answer, the memory map is locked\n" in said.stdout
    house.stop().is_(0)


def test_long_command_lines_are_cut(house: House) -> None:
    script = house.script("""
        child = subprocess.Popen(["\x1b" * 100000, "1000"], executable="/bin/sleep")
        report(child.pid)
        forever()
    """)
    house.started("--", script, "y" * 100_000)
    child = int(house.hear())
    while "\x1b" not in proc(child, "cmdline"):
        os.sched_yield()
    seen = look_json(house, 0, env=QUIET)
    assert len("\0".join(seen["command"])) == 4096 + 1 and seen["command"][-1].endswith("yyy…")
    assert seen["processes"][1]["command"] == ["\x1b" * 4096 + "…"]
    for environment, mark in ((QUIET, "…"), ({**QUIET, "LC_ALL": "C"}, "...")):
        text = look(house, env=environment).is_(0).stdout
        assert f"yyy{mark}\n" in text and f" {child} " + r"\x1b" * 4096 + f"{mark}\n" in text
    house.stop().is_(0)


# --- what is printed --------------------------------------------------------------------------------------------------------


def is_clean(text: str) -> bool:
    return not set(text) & set(HOSTILE)


def test_json_has_nothing_raw(house: House) -> None:
    path = house.folder / f"log{HOSTILE}"
    path.write_text(f"é{HOSTILE}\n")
    house.started("--name", f"n{HOSTILE}", "--stdout", path, "--", "sleep", "1000")
    said = look(house, "--json", env=QUIET).is_(0)
    assert is_clean(said.stdout) and "é" in said.stdout and r"\u001b\u007f\u009b\u061c\u200b" in said.stdout
    assert r"\udb40\udc01\udb40\udc41\udb40\udc7f" in said.stdout
    assert said.json["log"] == [{"source": str(path), "lines": [f"é{HOSTILE}"]}]
    house.stop().is_(0)


def test_text_has_nothing_raw(house: House) -> None:
    path = house.folder / f"log{HOSTILE}"
    path.write_text(f"é{HOSTILE}\n")
    started = house.start("--name", f"né{HOSTILE}", "--stdout", path, "--", "sleep", "1000").is_(0)
    assert is_clean(started.stdout) and r"né\x1b\x7f\xc2\x9b\xd8\x9c" in started.stdout
    shown = look(house, env=QUIET).is_(0)
    assert is_clean(shown.stdout) and r"é\x1b\x7f\xc2\x9b" in shown.stdout
    assert is_clean(house.stop().is_(0).stdout)


@pytest.mark.parametrize("words", ["start --no-pidfile --", "run --json --no-pidfile --", "help", "", "status --json --pidfile / --lines"])
def test_errors_have_nothing_raw(house: House, words: str) -> None:
    said = house.command(*words.split(), f"x{HOSTILE}")
    assert said.returncode != 0 and said.stderr.count("\n") == 1
    assert is_clean(said.stderr) and is_clean(said.stdout)
    assert r"x\x1b\x7f\xc2\x9b" in said.stderr
    if "--json" in words:
        assert f"x{HOSTILE}" in said.json["error"]["message"]


def test_the_starters_line_has_nothing_raw(house: House) -> None:
    """It is the core that prints it, with the program's name in front."""
    name = f"n{HOSTILE}"
    said = house.start("--name", name, "--chdir", f"/absent{HOSTILE}", "--", "sleep", "1000")
    assert said.returncode != 0 and is_clean(said.stderr) and "?" * len(HOSTILE) in said.stderr
    said = house.start("--name", name, "--notify", "running:5", "--", "false")
    assert said.returncode == 1 and is_clean(said.stderr)


# --- standard input ---------------------------------------------------------------------------------------------------------


@is_root
@pytest.mark.parametrize("what, error", [("link", "ELOOP"), ("fifo", "EPERM"), ("hard", "EMLINK"), ("secret", "EACCES")])
@pytest.mark.parametrize("verb", ["start", "run"])
def test_standard_input_in_anothers_directory(house: House, what: str, error: str, verb: str) -> None:
    theirs, secret = house.folder / "theirs", house.folder / "secret"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOGROUP)
    secret.write_text("secret\n")
    secret.chmod(0o600)
    place: pathlib.Path = theirs / "input"
    if what == "link":
        place.symlink_to(secret)
        os.lchown(place, NOBODY, NOGROUP)
    elif what == "fifo":
        os.mkfifo(place)
        os.chown(place, NOBODY, NOGROUP)
    elif what == "hard":
        os.link(secret, place)
    else:
        secret.rename(place)
    said = house.start("--stdin", place, "--", "cat", verb=verb)
    assert said.returncode != 0 and f"stdin failed: {place}" in said.stderr and f" {error})" in said.stderr
