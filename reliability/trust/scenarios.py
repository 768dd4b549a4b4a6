"""The attacks, one function each. The numbers are those of the review that found them.

Each gets a bench and a door. It fails by saying what is wrong; a signal to an innocent process is seen by that process.
"""

from __future__ import annotations

import ast
import contextlib
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
from typing import Callable, Iterator

from bench import DAEMON, GRACE, LIMIT, NOBODY, PROMPT, SYSTEM_PYTHON, Bench, Door, Skipped, seen, trust, write

CONTENTS = trust.TOP / "core/tests/contents.def"
HOWS = ("hold", "orphan", "flight")
KINDS = ("ex", "sh")


def asks_and_signals(bench: Bench, door: Door, path: pathlib.Path, innocent: int, stop: bool = True) -> None:
    """Every question and signal: the innocent process is not taken for the daemon, and nobody hits it."""
    if door.pid(path) == innocent:
        door.wrong("an innocent process is called the daemon")
    for signum in (signal.SIGHUP, signal.SIGTERM):
        door("signal", path, int(signum))
    done = door("start", path)
    if done.returncode == trust.ALREADY and door.name == "command":
        door.wrong(f"a start says that an innocent process runs already: {done.stdout}{done.stderr}")
    if done.returncode == trust.STARTED:
        door.stop(path)
    if stop:
        door("stop", path)
        if door.name == "command":
            bench.run.call([bench.commandline, "stop", "--pidfile", str(path), "--tree", "--retry", "0.1"], LIMIT)
    bench.nobody_was_hit()


# --- what is no pid file -------------------------------------------------------------------------------------------------------


def no_pid_file(bench: Bench, door: Door) -> None:
    """A configuration, a log, a program at the path: refused and left as it is."""
    if door.name == "libdaemon":
        return  # It removes corrupt files, as documented: bindings/c-tests/libdaemon/dpid.c.
    path = bench.place() / "web.pid"
    for name, literal in re.findall(r'^NOT_A_PID_FILE\("(.*?)", (".*")\)$', CONTENTS.read_text(), re.MULTILINE):
        write(path, ast.literal_eval("b" + literal))
        before = seen(path)
        words = [("status",), ("signal", 1), ("signal", 15), ("stop",), ("start",)]
        for word, *rest in words:
            done = door(word, path, *rest)
            if done.returncode in (0, trust.ALREADY) and not (word == "status" and door.name == "command"):
                door.wrong(f"{word} of {name} ends with {done.returncode}")
            if seen(path) != before:
                door.wrong(f"{word} changed {name}: {seen(path)}")
                write(path, ast.literal_eval("b" + literal))
                before = seen(path)


# --- 1: a daemon that gave up its privileges -------------------------------------------------------------------------------------


def hostile(bench: Bench, door: Door, mode: str) -> tuple[pathlib.Path, int]:
    path = bench.place() / "web.pid"
    done = door("hostile", path, bench.canaries[0].pid, mode)
    if done.returncode != trust.STARTED:
        door.wrong(f"a hostile daemon does not start: {done.stderr}")
        raise Skipped("its daemon does not start")
    # It listens for signals again when it has done its worst.
    pid = newest(bench)
    until = time.monotonic() + LIMIT
    while b"forge" not in pathlib.Path(f"/proc/{pid}/comm").read_bytes() and time.monotonic() < until and not waits(pid):
        time.sleep(0.001)
    return path, pid


def newest(bench: Bench) -> int:
    return max(trust.children() - {canary.pid for canary in bench.canaries})


def waits(pid: int) -> bool:
    """Whether a daemon is in sigwait(3)."""
    return pathlib.Path(f"/proc/{pid}/wchan").read_text().startswith(("do_sigtimedwait", "__do_sys_rt_sigtimedwait", "0"))


def forged_number(bench: Bench, door: Door) -> None:
    """1: the daemon of nobody's tries to have root's pid file name another."""
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
    os.waitpid(pid, 0)
    if seen(path) not in (before, ("gone",)):
        door.wrong(f"a dropped daemon that ended leaves {seen(path)} of {before}")
    asks_and_signals(bench, door, path, pid)


def unlocked(bench: Bench, door: Door) -> None:
    """1: the daemon unlocks the lock that it shares. Whatever is said of it then, nobody else is signalled."""
    path, pid = hostile(bench, door, "unlock")
    if (said := door.pid(path)) not in (0, -1, pid):
        door.wrong(f"{said} is called the daemon, which was {pid}")
    door("signal", path, int(signal.SIGHUP))
    door("stop", path)
    if not has_ended(pid):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    # Its number comes to nobody here: the next start and stop work.
    door.start(path)
    door.stop(path)


def has_ended(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return True


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


DOUBTS: dict[str, Callable[[pathlib.Path], object]] = {
    "in the future": lambda path: os.utime(path, (4e9, 4e9)),
    "before boot": lambda path: os.utime(path, (1000, 1000)),
    "the file g+w": lambda path: (os.chown(path, 0, NOBODY), path.chmod(0o664)),
    "the file o+w": lambda path: path.chmod(0o646),
    "the file nobody's": lambda path: os.chown(path, NOBODY, NOBODY),
    "the directory g+w": lambda path: (os.chown(path.parent, 0, NOBODY), path.parent.chmod(0o775)),
    "the directory o+w": lambda path: path.parent.chmod(0o757),
    "the directory sticky": lambda path: path.parent.chmod(0o1777),
    "the directory nobody's": lambda path: os.chown(path.parent, NOBODY, NOBODY),
}


def age(bench: Bench, door: Door) -> None:
    """3: a file's age proves nothing in the future, before boot, or where others may write."""
    for name, spoil in DOUBTS.items():
        for canary in bench.canaries:
            path = bench.place() / "web.pid"
            write(path, f"{canary.pid}\n")
            spoil(path)
            scenario, bench.scenario = bench.scenario, f"{bench.scenario}, {name}"
            asks_and_signals(bench, door, path, canary.pid)
            bench.scenario = scenario


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
    number, canary = str(bench.bin / "attacker"), str(bench.bin / "canary")
    script = f'{number} number {pid} {canary} | {{ read ready; for word in "$@"; do "$0" $word; done; }}; exit 0'
    words = [f"{word} {path}{rest}" for word, rest in (("status", ""), ("signal", " 1"), ("signal", " 15"), ("stop", ""))]
    inside = [" ".join(door.command[1:] + [word]) for word in words]
    bench.run.call(container("sh", "-c", script, door.command[0], *inside), LIMIT)
    door.stop(path)


def reused_number(bench: Bench, door: Door) -> None:
    """10: nobody gets the dead daemon's number and locks its file."""
    path = bench.place() / "web.pid"
    dead = bench.stale(door, path)
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(dead - 3))
    with bench.attacked("number", dead, bench.bin / "attacker", "hold", path, "ex"):
        if door.pid(path) == dead:
            door.wrong("nobody's process with the dead daemon's number is called the daemon")
        done = door("start", path)
        if done.returncode != trust.STARTED:
            door.wrong(f"a start fails with {done.returncode}: {done.stderr.strip()}")
        elif not pathlib.Path(f"/proc/{dead}").exists():
            door.wrong("nobody's process was ended")
        door("stop", path)


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
    """4: nobody locks a file and passes the descriptor to a service of root's."""
    socket = bench.place() / "socket"
    service = bench.child("service", "receive", socket)
    for owner, content in ((NOBODY, "4194303\n"), (NOBODY, f"{service.pid}\n"), (0, "4194303\n")):
        path = bench.place(owner=owner) / "web.pid"
        write(path, content, owner=owner)
        with bench.attacked("give", path, socket):
            bench.await_word(service)
            asks_and_signals(bench, door, path, service.pid)
    if service.poll() is not None:
        door.wrong("the service was ended")
    bench.end(service)


# --- 10: locks of others ---------------------------------------------------------------------------------------------------------------


def ignored(door: Door, path: pathlib.Path, dead: int) -> None:
    began = time.monotonic()
    if (said := door.pid(path)) == dead or said > 0:
        door.wrong(f"{said} is called the daemon; the daemon {dead} is dead")
    if time.monotonic() - began > PROMPT:
        door.wrong(f"status takes {time.monotonic() - began:.1f} s")
    if pid := door.start(path):
        if door.pid(path) != pid:
            door.wrong(f"the daemon is {pid}, but {door.pid(path)} is called the daemon")
        door.stop(path)


def locked_stale_file(bench: Bench, door: Door) -> None:
    """10: nobody holds a lock on what root's killed daemon left: by a process, an orphan, or a descriptor on its way."""
    for how in HOWS:
        for kind in KINDS:
            path = bench.place() / "web.pid"
            dead = bench.stale(door, path)
            scenario, bench.scenario = bench.scenario, f"{bench.scenario}, {how} {kind}"
            with bench.attacked(how, path, kind):
                ignored(door, path, dead)
            bench.scenario = scenario


def crowd_of_locks(bench: Bench, door: Door) -> None:
    """10: thirty processes hold the lock together, and thirty more wait for it."""
    path = bench.place() / "web.pid"
    dead = bench.stale(door, path)
    with bench.attacked("crowd", path, 30):
        ignored(door, path, dead)


def acquired_over_a_lock(bench: Bench, door: Door) -> None:
    """10: a program takes the file for itself."""
    if door.name == "command":
        return
    path = bench.place() / "web.pid"
    for kind in KINDS:
        write(path, "4194303\n")
        with bench.attacked("hold", path, kind):
            done = door("cycle", path, 1)
            if done.returncode != 0:
                door.wrong(f"the file is not acquired over a lock ({kind}): {done.stderr.strip()[-300:]}")
        path.unlink(missing_ok=True)


def herd_against_a_grabber(bench: Bench, door: Door) -> None:
    """10: twenty starts at once, while nobody locks whatever appears at the path."""
    path = bench.place() / "web.pid"
    with bench.attacked("grab", path.parent, path.name):
        done = door("herd", path, 20, 2, limit=120)
        if done.returncode != 0:
            door.wrong(f"a herd ends with {done.returncode}: {done.stderr[-300:]}")
        ignored(door, path, 0)


def ordinary_users(bench: Bench, door: Door) -> None:
    """10: one ordinary user's daemon, another one's lock."""
    others = [other for other in bench.doors([door.name], DAEMON) if other.name == door.name]
    if not others:
        raise Skipped(f"{SYSTEM_PYTHON} is not there")
    path = bench.place(owner=DAEMON) / "web.pid"
    for kind in KINDS:
        dead = bench.stale(others[0], path)
        with bench.attacked("hold", path, kind):
            ignored(others[0], path, dead)


# --- 8: what can stall a stop ------------------------------------------------------------------------------------------------------------


def stops_in_time(bench: Bench, door: Door, path: pathlib.Path, pid: int) -> None:
    """Within its schedule and some seconds."""
    began = time.monotonic()
    if door.name == "command":
        bench.run.call([bench.commandline, "stop", "--pidfile", str(path), "--retry", "TERM/1/KILL/1"], LIMIT)
    else:
        door("stop", path)
    took = time.monotonic() - began
    if took > GRACE + PROMPT:
        door.wrong(f"stop takes {took:.1f} s")
    # libdaemon's interface has no SIGKILL.
    if not has_ended(pid) and door.name != "libdaemon":
        door.wrong("the daemon is alive after stop")


def beside_descriptors(bench: Bench, door: Door) -> None:
    """8: a process of nobody's has many thousand files open."""
    path = bench.place() / "web.pid"
    with bench.attacked("descriptors", 15000), bench.attacked("descriptors", 15000):
        pid = door.start(path)
        stops_in_time(bench, door, path, pid)


def beside_a_dead_file_system(bench: Bench, door: Door) -> None:
    """8: a process has a file open on a FUSE mount whose server answers no more."""
    folder = bench.place()
    server = bench.child("hang", folder)
    holder = subprocess.Popen(["sleep", "1000"], stdin=open(folder / "file"), user=NOBODY)
    path = bench.place() / "web.pid"
    pid = door.start(path)
    server.send_signal(signal.SIGUSR1)
    bench.await_word(server)
    try:
        stops_in_time(bench, door, path, pid)
    finally:
        # At its end the kernel answers for it, and whoever hangs goes on.
        bench.end(server)
        holder.kill()
        holder.wait()
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def stopped_daemon(bench: Bench, door: Door) -> None:
    """8: the daemon is stopped by SIGSTOP."""
    path = bench.place() / "web.pid"
    pid = door.start(path)
    os.kill(pid, signal.SIGSTOP)
    stops_in_time(bench, door, path, pid)


def stopped_keeper(bench: Bench, door: Door) -> None:
    """8: the process that stays with the daemon is stopped by SIGSTOP."""
    if door.name != "command":
        return
    path = bench.place() / "web.pid"
    done = bench.run.call([bench.commandline, "start", "--pidfile", str(path), "--respawn", "--", "sleep", "1000"], LIMIT)
    if done.returncode != 0:
        door.wrong(f"start --respawn: {done.stderr}")
        return
    pid = int(path.read_text())
    keeper = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(keeper, signal.SIGSTOP)
    began = time.monotonic()
    bench.run.call([bench.commandline, "stop", "--pidfile", str(path), "--retry", "TERM/1/KILL/1"], LIMIT)
    took = time.monotonic() - began
    if took > 2 + PROMPT:
        door.wrong(f"stop takes {took:.1f} s")
    if pathlib.Path(f"/proc/{pid}/stat").exists() and " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text():
        door.wrong("the program is alive after stop")


SCENARIOS: list[Callable[[Bench, Door], None]] = [
    no_pid_file, forged_number, own_end, unlocked, same_inode, strangers_lock, age, renamed_log, containers_number,
    proc_of_another_namespace, reused_number, hard_link, passed_descriptor, locked_stale_file, crowd_of_locks, acquired_over_a_lock,
    herd_against_a_grabber, ordinary_users, beside_descriptors, beside_a_dead_file_system, stopped_daemon, stopped_keeper,
]  # fmt: skip
