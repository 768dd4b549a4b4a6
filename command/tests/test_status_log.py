"""The last lines that a daemon has logged, as `daemonctx status` finds and shows them."""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import threading
import time
from typing import Any, Callable, Iterator

import pytest
from daemons import AS_NOBODY, COMMAND, LIMIT, NOBODY, NOGROUP, House, house, is_root, kill
from test_status import look, look_json

__all__ = ["house"]


def start_writing(house: House, text: bytes, *words: object, both: bool = False) -> pathlib.Path:
    """Starts a daemon whose standard output is a file with this in it."""
    path = house.folder / "log"
    path.write_bytes(text)
    house.started("--stdout", path, *(["--stderr", path] if both else []), *words, "--", "sleep", "1000")
    return path


def log(house: House, *words: object, **kwargs: Any) -> Any:
    return look_json(house, 0, *words, **kwargs)["log"]


@pytest.fixture
def no_journal(house: House) -> dict[str, str]:
    """An environment without journalctl."""
    return {**os.environ, "PATH": "/nonexistent"}


def journalctl(house: House, body: str) -> dict[str, str]:
    """An environment with another journalctl."""
    folder = house.folder / "bin"
    folder.mkdir()
    (folder / "journalctl").write_text(f"#!/bin/sh\n{body}\n")
    (folder / "journalctl").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}


def test_how_many(house: House) -> None:
    path = start_writing(house, b"".join(b"%d\n" % number for number in range(100)))
    for words, first in (([], 90), (["--lines", 3], 97), (["--lines", 1000], 0)):
        assert log(house, *words) == [{"source": str(path), "lines": [str(number) for number in range(first, 100)]}]
    assert log(house, "--lines", 0) == []
    assert str(path) not in look(house, "--lines", 0).stdout.partition("\n  /")[2]
    house.stop().is_(0)


def test_one_file_is_shown_once(house: House) -> None:
    path = start_writing(house, b"line\n", both=True)
    assert log(house) == [{"source": str(path), "lines": ["line"]}]
    house.stop().is_(0)


@pytest.mark.parametrize(
    "text, lines",
    [
        (b"", []),
        (b"no end", ["no end"]),
        (b"\n\n\n", ["", "", ""]),
        (b"\xff\xfe\x00\n", ["\ufffd\ufffd\x00"]),
        (b"x" * 4096 + b"\n" + b"y" * 4097, ["x" * 4096, "y" * 4096 + "…"]),
        ("€".encode() * 2000, ["€" * 1365 + "…"]),
        # The last 64 KiB.
        (b"first\n" + b"x" * 100_000 + b"\nlast\n", ["x" * 4096 + "…", "last"]),
        (b"first\n" + b"y" * 50_000 + b"\n" + b"z" * 70_000, ["z" * 4096 + "…"]),
    ],
)
def test_whatever_is_in_it(house: House, no_journal: dict[str, str], text: bytes, lines: list[str]) -> None:
    path = start_writing(house, text)
    assert log(house, env=no_journal) == [{"source": str(path), "lines": lines}]
    look(house, env=no_journal).is_(0)
    house.stop().is_(0)


def test_a_large_file_is_not_read(house: House) -> None:
    """Its end is: 100 GB without a line take no time and no memory."""
    path = house.folder / "log"
    path.touch()
    os.truncate(path, 100 << 30)
    with open(path, "ab") as file:
        file.write(b"\nlast\n")
    house.started("--stdout", path, "--", "sleep", "1000")
    before = time.monotonic()
    said = look(house, "--json", "--lines", 1).is_(0)
    assert said.json["log"][0]["lines"] == ["last"]
    assert log(house, "--lines", 2)[0]["lines"][1] == "last"
    assert time.monotonic() - before < 5
    house.stop().is_(0)


def test_a_file_that_is_gone(house: House) -> None:
    """Rotated and not opened again: the daemon still writes to it."""
    path = start_writing(house, b"still here\n")
    path.unlink()
    assert log(house) == [{"source": f"{path} (deleted)", "lines": ["still here"]}]
    house.stop().is_(0)


def test_what_is_no_file(house: House, no_journal: dict[str, str]) -> None:
    """Nobody takes what a daemon writes to a pipe."""
    reader, writer = os.pipe()
    house.started("--stdout", f"/proc/self/fd/{writer}", "--", *house.shell("echo for you; exec sleep 1000"), pass_fds=[writer, house.mouth])
    assert log(house, env=no_journal) == []
    text = look(house, env=no_journal).is_(0).stdout
    assert f"output     pipe:[{os.fstat(reader).st_ino}], /dev/null" in text
    assert os.read(reader, 100) == b"for you\n"
    os.close(reader)
    os.close(writer)
    house.stop().is_(0)


def test_a_daemon_that_has_ended(house: House, no_journal: dict[str, str]) -> None:
    """Why it ended is in what it logged last."""
    out, err = house.folder / "out", house.folder / "err"
    body = "echo one; echo why >&2; say $$; exec sleep 1000"
    pid = house.started("--stdout", out, "--stderr", err, "--", *house.shell(body))
    assert house.hear() == str(pid)
    kill(pid)
    logs = [{"source": str(out), "lines": ["one"]}, {"source": str(err), "lines": ["why"]}]
    assert look_json(house, 1, env=no_journal)["log"] == logs
    assert look(house, env=no_journal).stdout.endswith(f"\n\n  {out}\n    one\n\n  {err}\n    why\n")
    assert look_json(house, 1, "--lines", 0, env=no_journal)["log"] == []
    out.unlink()
    os.mkfifo(err.with_suffix(".fifo"))
    err.with_suffix(".fifo").rename(err)
    assert look_json(house, 1, env=no_journal)["log"] == []
    house.stop().is_(0)


@is_root
@pytest.mark.parametrize("verb", ["status", "logs"])
def test_a_link_of_another_user_is_not_followed(house: House, verb: str) -> None:
    folder, secret = house.folder / "nobodys", house.folder / "secret"
    secret.write_text("for root alone\n")
    folder.mkdir()
    pid = house.started("--stdout", folder / "log", "--", "sleep", "1000")
    kill(pid)
    assert "/log: nothing yet" in look(house).stdout
    os.chown(folder, NOBODY, NOGROUP)
    subprocess.run([*AS_NOBODY, "ln", "-sf", secret, folder / "log"], check=True)
    said = house.command(verb, "--pidfile", house.pid_path)
    assert said.returncode != 0 and "for root alone" not in said.stdout, said
    house.stop().is_(0)


@contextlib.contextmanager
def following(house: House) -> Iterator[Callable[[], str]]:
    """`logs -f`; gives what reads its next line."""
    argv = [COMMAND, "logs", "-f", "--pidfile", str(house.pid_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as follow:
        assert follow.stdout
        timer = threading.Timer(LIMIT, follow.kill)
        timer.start()
        yield follow.stdout.readline
        follow.kill()
        timer.cancel()


def append(path: pathlib.Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_log_that_was_moved_is_shown_and_followed(house: House) -> None:
    """What status shows; and the path again when there is something in the file there."""
    path = start_writing(house, b"one\n")
    moved = path.with_name("log.1")
    with following(house) as line:
        assert line() == "one\n"
        path.rename(moved)
        append(moved, "two\n")
        assert line() == "two\n"
    assert log(house) == [{"source": str(moved), "lines": ["one", "two"]}]
    said = house.command("logs", "--pidfile", house.pid_path).is_(0)
    assert said.stdout == f"==> {moved} (moved from {path}) <==\none\ntwo\n"
    with following(house) as line:
        assert [line() for _ in range(3)] == said.stdout.splitlines(keepends=True)
        path.touch()
        append(moved, "three\n")
        assert line() == "three\n"
        append(path, "new\n")
        assert [line() for _ in range(3)] == ["\n", f"==> {path} <==\n", "new\n"]
    assert house.command("logs", "--pidfile", house.pid_path).is_(0).stdout == "new\n"
    house.stop().is_(0)


def test_a_file_of_proc_is_not_followed(house: House) -> None:
    """It has another text at each look, and no size."""
    out, err = house.folder / "out", house.folder / "err"
    house.started("--stdout", out, "--stderr", err, "--keep-fd", house.mouth, "--", house.script(f"""
    os.unlink({str(out)!r})
    os.dup2(os.open("/proc/self/comm", os.O_WRONLY), 1)
    report("ready")
    forever()
    """))
    assert house.hear() == "ready"
    append(err, "one\n")
    with following(house) as line:
        while line() != "one\n":
            pass
        append(err, "two\n")
        assert line() == "two\n"
    house.stop().is_(0)


def test_a_log_beside_an_empty_file_at_its_path(house: House) -> None:
    """logrotate makes one before the daemon opens it."""
    path = start_writing(house, b"one\n")
    moved = path.with_name("log.1")
    path.rename(moved)
    path.touch()
    said = house.command("logs", "--pidfile", house.pid_path).is_(0)
    assert said.stdout == f"==> {moved} ({path} is another file) <==\none\n"
    house.stop().is_(0)
    assert house.command("logs", "--pidfile", house.pid_path).returncode == 7


def test_a_log_that_was_deleted(house: House) -> None:
    path = start_writing(house, b"one\n")
    path.unlink()
    said = house.command("logs", "--pidfile", house.pid_path).is_(0)
    assert said.stdout == f"==> {path} (deleted) <==\none\n"
    kill(house.pid())
    house.command("logs", "--pidfile", house.pid_path).is_(1, "", f"cannot read log file {path}: No such file or directory")
    house.stop().is_(0)


INVISIBLE = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u180b\u180f\u200b\u3164\uffa0\U000e0000\U000e0100\U000e0fff"


def test_invisible_characters_are_escaped(house: House) -> None:
    path = house.folder / "log"
    body = f"echo 'a{INVISIBLE}b'; say $$; exec sleep 1000"
    house.started("--name", f"x{INVISIBLE}", "--stdout", path, "--", *house.shell(body))
    house.hear()
    utf8 = {**os.environ, "LC_ALL": "C.UTF-8"}
    escaped = "".join(f"\\x{byte:02x}" for byte in INVISIBLE.encode())
    text = look(house, env=utf8).is_(0).stdout
    assert f"a{escaped}b" in text and not set(INVISIBLE) & set(text)
    raw = look(house, "--json", env=utf8).is_(0)
    assert not set(INVISIBLE) & set(raw.stdout) and raw.json["log"][0]["lines"] == [f"a{INVISIBLE}b"]
    for said in (house.start("--name", f"x{INVISIBLE}", "--", "true"), house.stop()):
        assert not set(INVISIBLE) & set(said.stdout + said.stderr), said


def test_nothing_logged(house: House, no_journal: dict[str, str]) -> None:
    start_writing(house, b"")
    assert look(house, env=no_journal).is_(0).stdout.endswith("/log: nothing yet\n")
    house.stop().is_(0)


def test_nothing_reaches_a_terminal_raw(house: House) -> None:
    hostile = b"\x1b]0;owned\x07 \x1b[2J \x9b1m \xc2\x9b2m \xe2\x80\xae \r\x00\n\x1b[1;31mERROR\x1b[0m\tred\r\n"
    start_writing(house, hostile)
    utf8 = {**os.environ, "LC_ALL": "C.UTF-8"}
    text = look(house, env=utf8).is_(0).stdout
    assert r"    \x1b]0;owned\x07 \x1b[2J \x9b1m \xc2\x9b2m \xe2\x80\xae \r\x00" in text
    assert "\n    ERROR   red\n" in text, "the colours of log lines are taken away"
    assert not {letter for letter in text if letter < " " or "\x7f" <= letter < "\xa0"} - {"\n"}
    house.stop().is_(0)


def test_nor_does_a_command_line(house: House) -> None:
    """What a program calls itself, and its arguments."""
    script = house.folder / "\x1b[31mred"
    script.symlink_to("/bin/sleep")
    house.started("--name", "\x1b[2Jname", "--", script, "1000")
    text = look(house).is_(0).stdout
    assert "\x1b" not in text and rf"$'{house.folder}/\x1b[31mred' 1000" in text
    assert r"\x1b[2Jname is running" not in text, "the pid file names it, as nothing else was said"
    house.stop().is_(0)


def test_the_journal(house: House) -> None:
    """What it or its logger has said since it began; asked only where its files say nothing."""
    env = journalctl(house, f'printf "%s\\n" "$@" >{house.folder}/asked; echo first; echo last')
    pid = house.started("--", "sleep", "1000")
    assert log(house, "--lines", 5, env=env) == [{"source": "the journal", "lines": ["first", "last"]}]
    asked = (house.folder / "asked").read_text().split("\n")
    assert asked[asked.index("-n") + 1] == "5"
    assert [word for word in asked if "=" in word][1:] == [f"_PID={pid}", f"SYSLOG_PID={pid}", f"_UID={os.geteuid()}"]
    since = int(next(word for word in asked if word.startswith("--since=@"))[9:])
    assert abs(time.time() - since) < 60
    house.stop().is_(0)
    (house.folder / "asked").unlink()
    start_writing(house, b"in the file\n")
    assert [it["source"] for it in log(house, env=env)] == [str(house.folder / "log")]
    assert not (house.folder / "asked").exists()
    house.stop().is_(0)


def test_the_journal_of_one_that_died(house: House) -> None:
    env = journalctl(house, f'printf "%s\\n" "$@" >{house.folder}/asked; echo why')
    process = subprocess.Popen([COMMAND, "run", "-p", str(house.pid_path), "--keep-fd", str(house.mouth), *house.shell("say here; exec sleep 1000")], pass_fds=[house.mouth])
    assert house.hear() == "here"
    pid = process.pid
    process.kill()
    process.wait()
    seen = look_json(house, 1, env=env)
    assert seen["log"] == [{"source": "the journal", "lines": ["why"]}]
    assert f"_PID={pid}" in (house.folder / "asked").read_text().split()
    assert "  the journal\n    why\n" in look(house, env=env).stdout
    house.stop().is_(0)


def test_a_journal_of_long_lines(house: House) -> None:
    env = journalctl(house, "head -c 900000 /dev/zero | tr '\\0' x; echo; head -c 5000 /dev/zero | tr '\\0' y; echo; echo last")
    house.started("--", "sleep", "1000")
    assert log(house, env=env) == [{"source": "the journal", "lines": ["y" * 4096 + "…", "last"]}]
    house.stop().is_(0)


@pytest.mark.parametrize("body", ["exec sleep 1000", "while :; do echo x; done", "exit 1", "kill -9 $$"])
def test_a_journal_that_does_not_answer(house: House, body: str) -> None:
    env = journalctl(house, body)
    house.started("--", "sleep", "1000")
    before = time.monotonic()
    assert log(house, env=env) == []
    assert time.monotonic() - before < 5
    house.stop().is_(0)


def test_syslogs_file(house: House, no_journal: dict[str, str]) -> None:
    path = pathlib.Path("/var/log/messages")
    if os.geteuid() != 0 or path.exists() or pathlib.Path("/var/log/syslog").exists():
        pytest.skip("needs root, and a system without syslogd")
    pid = house.started("--", "sleep", "1000")
    try:
        path.write_text(f"Nov 21 10:39:04 host x[{pid}]: one\nNov 21 10:39:04 host x[{pid}1]: not this\nNov 21 host x[{pid}]: two\n")
        lines = [f"Nov 21 10:39:04 host x[{pid}]: one", f"Nov 21 host x[{pid}]: two"]
        assert log(house, env=no_journal) == [{"source": str(path), "lines": lines}]
        assert log(house, "--lines", 1, env=no_journal)[0]["lines"] == lines[1:]
    finally:
        path.unlink()
    house.stop().is_(0)
