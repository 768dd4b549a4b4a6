"""Locks of others (10): every user who may read a pid file may lock it. That blocks no start and makes no daemon run."""

from __future__ import annotations

import os
import pathlib
import signal
import time

from bench import DAEMON, HOWS, KINDS, PROMPT, SYSTEM_PYTHON, Bench, Door, Skipped, kill_daemon, trust, write


def ignored(door: Door, path: pathlib.Path, dead: int) -> None:
    began = time.monotonic()
    if (said := door.pid(path)) > 0:
        door.wrong(f"{said} is called the daemon; the daemon {dead or '(none)'} is dead")
    if time.monotonic() - began > PROMPT:
        door.wrong(f"status takes {time.monotonic() - began:.1f} s")
    if pid := door.start(path):
        if door.pid(path) != pid:
            door.wrong(f"the daemon is {pid}, but {door.pid(path)} is called the daemon")
        door.stop(path)


def no_attack(bench: Bench, door: Door) -> None:
    """Without an attack nothing of what follows goes wrong."""
    path = bench.place() / "web.pid"
    ignored(door, path, bench.stale(door, path))
    herd(door, path, 1)


def awaited_lock(bench: Bench, door: Door) -> None:
    """10: another user waits for the lock of a daemon that runs, and gets it when the daemon is killed."""
    path = bench.place() / "web.pid"
    pid = door.start(path)
    with bench.attacked("wait", path):
        if (said := door.pid(path)) != pid:
            door.wrong(f"the daemon is {pid}, and {said} is called the daemon")
        kill_daemon(pid)
        ignored(door, path, pid)


def locked_stale_file(bench: Bench, door: Door) -> None:
    """10: another user locks what root's killed daemon left: by a process, by an orphan, by a descriptor in a socket's queue."""
    for how in HOWS:
        for kind in KINDS:
            path = bench.place() / "web.pid"
            dead = bench.stale(door, path)
            with bench.called(f"{how} {kind}"), bench.attacked(how, path, kind):
                ignored(door, path, dead)


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


def herd(door: Door, path: pathlib.Path, rounds: int) -> None:
    """Twenty starts at once, of which one wins; what else happens the herd writes down itself."""
    done = door("herd", path, 20, rounds, limit=120)
    if done.returncode != 0:
        door.wrong(f"a herd ends with {done.returncode}: {done.stderr[-300:]}")


def herd_against_a_grabber(bench: Bench, door: Door) -> None:
    """10: twenty starts at once, while another user locks each file that appears at the path."""
    path = bench.place() / "web.pid"
    with bench.attacked("grab", path.parent, path.name):
        herd(door, path, 2)
        ignored(door, path, 0)


def herd_against_a_crowd(bench: Bench, door: Door) -> None:
    """10: twenty starts at once over a stale file that thirty processes of another user hold."""
    path = bench.place() / "web.pid"
    bench.stale(door, path)
    with bench.attacked("crowd", path, 30):
        herd(door, path, 1)


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


def reused_number(bench: Bench, door: Door) -> None:
    """10: another user's process gets the dead daemon's PID and locks its file."""
    if not bench.chooses_pids:
        raise Skipped("the next PID cannot be chosen here")
    path = bench.place() / "web.pid"
    dead = bench.stale(door, path)
    bench.choose_next_pid(dead - 2)
    with bench.attacked("number", dead, bench.bin / "attacker", "hold", path, "ex"):
        if door.pid(path) == dead:
            door.wrong("another user's process with the dead daemon's PID is called the daemon")
        done = door("start", path)
        if done.returncode != trust.STARTED:
            door.wrong(f"a start fails with {done.returncode}: {done.stderr.strip()}")
        elif not pathlib.Path(f"/proc/{dead}").exists():
            door.wrong("another user's process was ended")
        door("stop", path)


SCENARIOS = [
    no_attack, awaited_lock, locked_stale_file, crowd_of_locks, acquired_over_a_lock, herd_against_a_grabber, herd_against_a_crowd,
    ordinary_users, reused_number,
]  # fmt: skip
