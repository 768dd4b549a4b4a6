"""Whom a pid file means, and what is none: attacks, one function each. The numbers are those of the review that found them.

Each gets a bench and a door. It fails by saying what is wrong; a signal to an innocent process is seen by that process.
"""

from __future__ import annotations

import ast
import contextlib
import os
import pathlib
import re
import select
import signal
import socket as sockets
import subprocess
import time
from typing import Callable, Iterator

from bench import HOWS, KINDS, LIMIT, NOBODY, PROMPT, Bench, Door, Skipped, await_end, has_ended, kill_daemon, seen, trust, write

CONTENTS = trust.TOP / "core/tests/contents.def"


def asks_and_signals(bench: Bench, door: Door, path: pathlib.Path, innocent: int) -> None:
    """Every question and signal: the innocent process is not taken for the daemon and gets no signal."""
    if door.pid(path) == innocent:
        door.wrong("an innocent process is called the daemon")
    for signum in (signal.SIGHUP, signal.SIGTERM):
        door("signal", path, int(signum))
    steps = [starts, stops, ends_tree, restarts]
    bench.dice.shuffle(steps)
    for step in steps:
        step(bench, door, path, innocent)
    bench.nobody_was_hit()


def starts(bench: Bench, door: Door, path: pathlib.Path, innocent: int) -> None:
    done = door("start", path)
    if done.returncode == trust.STARTED:
        door.stop(path)
    elif re.search(rf"(already running|runs already)\b.*\b{innocent}\b", done.stdout + done.stderr):
        door.wrong(f"a start says that an innocent process runs already: {done.stdout}{done.stderr}")


def stops(bench: Bench, door: Door, path: pathlib.Path, innocent: int) -> None:
    door("stop", path)


def ends_tree(bench: Bench, door: Door, path: pathlib.Path, innocent: int) -> None:
    if door.name == "command":
        bench.run.call([bench.commandline, "stop", "--pidfile", str(path), "--retry", "0.1"], LIMIT)


def restarts(bench: Bench, door: Door, path: pathlib.Path, innocent: int) -> None:
    if door.name == "command":
        for verb in ("try-restart", "restart"):
            bench.run.call([bench.commandline, verb, "--pidfile", str(path), "--retry", "0.1", "--", "sleep", "1000"], LIMIT)
        bench.run.call([bench.commandline, "stop", "--pidfile", str(path), "--retry", "0.1"], LIMIT)


# --- what is no pid file -------------------------------------------------------------------------------------------------------


def no_pid_file(bench: Bench, door: Door) -> None:
    """A configuration, a log, a program at the path: refused and left as it is."""
    if door.name == "libdaemon":
        return  # It removes corrupt files, as documented: bindings/c-tests/libdaemon/dpid.c.
    for name, literal in re.findall(r'^NOT_A_PID_FILE\("(.*?)", (".*")\)$', CONTENTS.read_text(), re.MULTILINE):
        for word, *rest in (("status",), ("signal", 1), ("signal", 15), ("stop",), ("start",)):
            path = bench.place() / "web.pid"
            write(path, ast.literal_eval("b" + literal))
            before = seen(path)
            done = door(word, path, *rest)
            # The command's door has a status that says nothing of errors; its own tests do.
            if done.returncode in (0, trust.ALREADY) and not (word == "status" and door.name == "command"):
                door.wrong(f"{word} of {name} ends with {done.returncode}")
            if seen(path) != before:
                door.wrong(f"{word} of {name} changes it")
        bench.settle()


def huge_file(bench: Bench, door: Door) -> None:
    """Another user's file is not read to its end: a hole of a terabyte, and 64 MiB of digits."""
    for word, *rest in (("status",), ("signal", 15), ("stop",), ("start",)):
        for size, digits in ((1 << 40, 0), (0, 1 << 26)):
            path = bench.place(owner=NOBODY) / "web.pid"
            write(path, b"7" * digits, owner=NOBODY)
            if size:
                os.truncate(path, size)
            began = time.monotonic()
            door(word, path, *rest)
            if time.monotonic() - began > PROMPT:
                door.wrong(f"{word} of a huge file takes {time.monotonic() - began:.1f} s")
            bench.settle()


# --- 1: a daemon that gave up its privileges -------------------------------------------------------------------------------------


def hostile(bench: Bench, door: Door, mode: str) -> tuple[pathlib.Path, int]:
    path = bench.place() / "web.pid"
    done = door("hostile", path, bench.canaries[0].pid, mode)
    if done.returncode != trust.STARTED:
        door.wrong(f"a hostile daemon does not start: {done.stderr}")
        raise Skipped("its daemon does not start")
    return path, bench.await_forger()


def forged_number(bench: Bench, door: Door) -> None:
    """1: a daemon that runs as nobody tries to write another PID into root's pid file."""
    path, pid = hostile(bench, door, "write")
    if path.read_text() != f"{pid}\n":
        door.wrong(f"the pid file of {pid} holds {path.read_bytes()!r}")
    if (said := door.pid(path)) != pid:
        door.wrong(f"a dropped daemon {pid} that runs is called {said}")
    door("signal", path, int(signal.SIGHUP))
    bench.nobody_was_hit()
    door.stop(path)
    if not has_ended(pid):
        door.wrong("a dropped daemon is alive after stop")
    bench.nobody_was_hit()


def own_end(bench: Bench, door: Door) -> None:
    """1: at its end its file stays as it is, stale, and blocks nothing."""
    path, pid = hostile(bench, door, "write")
    before = seen(path)
    os.kill(pid, signal.SIGTERM)
    await_end(pid)
    if seen(path) not in (before, ("gone",)):
        door.wrong(f"a dropped daemon that ended leaves {seen(path)} of {before}")
    asks_and_signals(bench, door, path, pid)


def unlocked(bench: Bench, door: Door) -> None:
    """1: the daemon unlocks the lock that it shares. Whatever is said of it then, no other process is signalled."""
    path, pid = hostile(bench, door, "unlock")
    if (said := door.pid(path)) not in (0, -1, pid):
        door.wrong(f"{said} is called the daemon, which was {pid}")
    door("signal", path, int(signal.SIGHUP))
    door("stop", path)
    if not has_ended(pid):
        kill_daemon(pid)
    door.start(path)
    door.stop(path)


# --- 2, 3: whom a number means -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def two_file_systems(bench: Bench) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Two that number their files alike. The mount namespace is this run's own."""
    folders = bench.place(), bench.place()
    try:
        for folder in folders:
            if subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "trust", str(folder)], capture_output=True).returncode:
                raise Skipped("no tmpfs can be mounted")
        yield folders
    finally:
        for folder in folders:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def same_inode(bench: Bench, door: Door) -> None:
    """2: a service holds a lock on another device's file of the same number."""
    with two_file_systems(bench) as (one, other):
        service = bench.child("service", "lock", other / "lock")
        path = one / "web.pid"
        write(path, f"{service.pid}\n")
        if path.stat().st_ino != (other / "lock").stat().st_ino:
            raise Skipped("the files are not numbered alike")
        # Not by its age: that is another question.
        os.utime(path, (4e9, 4e9))
        with bench.attacked("hold", path, "ex"):
            asks_and_signals(bench, door, path, service.pid)
        bench.end(service)


def strangers_lock(bench: Bench, door: Door) -> None:
    """2: another user's lock on a file that names an innocent process, which began before it was written."""
    for kind in KINDS:
        path = bench.place() / "web.pid"
        write(path, f"{bench.canaries[0].pid}\n")
        with bench.attacked(bench.dice.choice(HOWS), path, kind):
            asks_and_signals(bench, door, path, bench.canaries[0].pid)


def let_group_write(path: pathlib.Path) -> None:
    os.chown(path, 0, NOBODY)
    path.chmod(path.stat().st_mode | 0o020)


DOUBTS: dict[str, Callable[[pathlib.Path], object]] = {
    "in the future": lambda path: os.utime(path, (4e9, 4e9)),
    "before boot": lambda path: os.utime(path, (1000, 1000)),
    "the file g+w": let_group_write,
    "the file o+w": lambda path: path.chmod(0o646),
    "the file another user's": lambda path: os.chown(path, NOBODY, NOBODY),
    "the directory g+w": lambda path: let_group_write(path.parent),
    "the directory o+w": lambda path: path.parent.chmod(0o757),
    "the directory sticky": lambda path: path.parent.chmod(0o1777),
    "the directory another user's": lambda path: os.chown(path.parent, NOBODY, NOBODY),
}


def age(bench: Bench, door: Door) -> None:
    """3: a file's age proves nothing in the future, before boot, or where others may write."""
    for name, spoil in DOUBTS.items():
        canary, path = bench.dice.choice(bench.canaries), bench.place() / "web.pid"
        write(path, f"{canary.pid}\n")
        spoil(path)
        with bench.called(name):
            asks_and_signals(bench, door, path, canary.pid)


def renamed_log(bench: Bench, door: Door) -> None:
    """3: a file of root's that holds digits, renamed to a pid file by the owner of its directory."""
    folder = bench.place(owner=NOBODY)
    write(folder / "log", f"{bench.canaries[0].pid}\n")
    subprocess.run(["mv", str(folder / "log"), str(folder / "web.pid")], user=NOBODY, check=True)
    asks_and_signals(bench, door, folder / "web.pid", bench.canaries[0].pid)


def container(*words: str) -> list[str]:
    return ["unshare", "--pid", "--fork", "--kill-child", *words]


def containers_number(bench: Bench, door: Door) -> None:
    """3: a program in another PID namespace writes its number there, locked or not, into a directory of root's."""
    for lock in ([], ["locked"]):
        path = bench.place() / "web.pid"
        number = bench.canaries[0].pid
        words = ["number", number, bench.bin / "attacker", "write", path, *lock]
        inside = bench.child("attacker", *words, wrap=container("--mount-proc"))
        if path.read_text() != f"{number}\n":
            raise Skipped("the number cannot be had")
        asks_and_signals(bench, door, path, number)
        if inside.poll() is not None:
            bench.wrong("the container's daemon was ended")
        bench.end(inside)


def proc_of_another_namespace(bench: Bench, door: Door) -> None:
    """3: /proc shows the processes of another namespace; an innocent process has the daemon's number here."""
    path = bench.place() / "web.pid"
    pid = door.start(path)
    ready = path.parent / "ready"
    os.mkfifo(ready)
    # With the shell, the first of its namespace, all end.
    script = f"""{bench.bin}/attacker number {pid} {bench.bin}/canary > {ready} &
        read word < {ready}
        for words in "$@"; do "$0" $words; done
        exit 0"""
    words = [f"status {path}", f"signal {path} 1", f"signal {path} 15", f"stop {path}"]
    inside = [" ".join([*door.command[1:], line]) for line in words]
    bench.run.call(container("sh", "-c", script, door.command[0], *inside), LIMIT)
    door.stop(path)


# --- 4: links and descriptors that are passed ----------------------------------------------------------------------------------------


def hard_link(bench: Bench, door: Door) -> None:
    """4: the path is a hard link to a file that a service of root's has locked and everybody may write."""
    shared = bench.place() / "shared"
    service = bench.child("service", "lock", shared)
    folder = bench.place(owner=NOBODY)
    for content in ("", "4194303\n", f"{service.pid}\n"):
        shared.write_text(content)
        before = seen(shared)[:1]
        subprocess.run(["ln", "-f", str(shared), str(folder / "web.pid")], user=NOBODY, check=True)
        asks_and_signals(bench, door, folder / "web.pid", service.pid)
        if seen(shared)[:1] != before:
            door.wrong("the linked file was changed")
    if service.poll() is not None:
        door.wrong("the service was ended")
    bench.end(service)


def passed_descriptor(bench: Bench, door: Door) -> None:
    """4: another user locks a file and passes the descriptor to a service of root's."""
    socket = bench.place() / "socket"
    service = bench.child("service", "receive", socket)
    own = f"{service.pid}\n"
    for owner, content, words in ((NOBODY, "4194303\n", ()), (NOBODY, own, ()), (NOBODY, own, ["owner"]), (0, "4194303\n", ())):
        path = bench.place(owner=owner) / "web.pid"
        write(path, content, owner=owner)
        with bench.attacked("give", path, socket, *words):
            bench.await_word(service)
            asks_and_signals(bench, door, path, service.pid)
    if service.poll() is not None:
        door.wrong("the service was ended")
    bench.end(service)


def passed_lock(bench: Bench, door: Door) -> None:
    """4: a hostile daemon passes the very lock that it inherited to a service of root's, and is killed."""
    socket = bench.place() / "socket"
    service = bench.child("service", "receive", socket)
    path, pid = hostile(bench, door, str(socket))
    if not select.select([service.stdout], [], [], 0)[0]:
        raise Skipped("the daemon has no descriptor of its pid file")
    kill_daemon(pid)
    if (said := door.pid(path)) > 0:
        door.wrong(f"{said} is called the daemon; the daemon {pid} is dead")
    if door.name == "command":
        ends_tree(bench, door, path, pid)
    door.start(path)
    door.stop(path)
    if service.poll() is not None:
        door.wrong("the service was ended")
    bench.end(service)


def passed_lock_and_reused_number(bench: Bench, door: Door) -> None:
    """4: the same to a service of root's that was given the dead daemon's number, and still has its lock."""
    if not bench.chooses_pids:
        raise Skipped("PIDs cannot be chosen here")
    folder = bench.place()
    with sockets.socket(sockets.AF_UNIX) as listener:
        listener.bind(str(folder / "first"))
        (folder / "first").chmod(0o666)
        listener.listen()
        path, pid = hostile(bench, door, str(folder / "first"))
        if not select.select([listener], [], [], 0)[0]:
            raise Skipped("the daemon has no descriptor of its pid file")
        with listener.accept()[0] as connection:
            lock = sockets.recv_fds(connection, 1, 1)[1][0]
    kill_daemon(pid)
    # Births within 30 ms after the file was written cannot be told apart: SECURITY.md.
    while time.time() < path.stat().st_mtime + 0.1:
        time.sleep(0.01)
    bench.choose_next_pid(pid)
    service = bench.child("service", "receive", folder / "second")
    with sockets.socket(sockets.AF_UNIX) as connection:
        connection.connect(str(folder / "second"))
        sockets.send_fds(connection, [b"x"], [lock])
    os.close(lock)
    bench.await_word(service)
    if service.pid != pid:
        raise Skipped("the number cannot be had")
    asks_and_signals(bench, door, path, service.pid)
    if service.poll() is not None:
        door.wrong("the service was ended")
    bench.end(service)


def locked_log(bench: Bench, door: Door) -> None:
    """4: a hostile daemon writes a number into root's log, locks it and renames it to a pid file. The process with the number, which
    began before, has the log open as well, or is sent the descriptor."""
    socket = bench.place() / "socket"
    for sends in (False, True):
        folder = bench.place(owner=NOBODY)
        write(folder / "log", "")
        log = os.open(folder / "log", os.O_WRONLY | os.O_APPEND)
        victim = bench.child("service", "receive", socket, inherits=(log,) if not sends else ())
        with bench.attacked("log", log, folder, victim.pid, *([socket] if sends else []), inherits=(log,)):
            os.close(log)
            if sends:
                bench.await_word(victim)
            asks_and_signals(bench, door, folder / "web.pid", victim.pid)
        if victim.poll() is not None:
            door.wrong("the service was ended")
        bench.end(victim)
        socket.unlink()


SCENARIOS = [
    no_pid_file, huge_file, forged_number, own_end, unlocked, same_inode, strangers_lock, age, renamed_log, containers_number,
    proc_of_another_namespace, hard_link, passed_descriptor, passed_lock,
    passed_lock_and_reused_number, locked_log,
]  # fmt: skip
