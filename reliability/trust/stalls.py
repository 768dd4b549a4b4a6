"""What can stall a stop (8): it takes its schedule and a few seconds, whatever other processes do."""

from __future__ import annotations

import os
import pathlib
import signal
import stat
import subprocess
import time

from bench import GRACE, LIMIT, NOBODY, PROMPT, Bench, Door, has_ended, write


QUERIES = 3  # that a start may make, one after the other, of a pid file whose lock does not count


def stops_in_time(bench: Bench, door: Door, path: pathlib.Path, pid: int) -> None:
    """Within its schedule and PROMPT."""
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


def many_descriptors(bench: Bench, door: Door) -> None:
    """8: a process of another user has many thousand files open."""
    path = bench.place() / "web.pid"
    with bench.attacked("descriptors", 15000), bench.attacked("descriptors", 15000):
        pid = door.start(path)
        stops_in_time(bench, door, path, pid)


def dead_file_system(bench: Bench, door: Door) -> None:
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
        # When the server ends the kernel fails the requests, and what hangs goes on.
        bench.end(server)
        holder.kill()
        holder.wait()
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def unreadable_epoll(bench: Bench, door: Door) -> None:
    """8: a process that has locked the pid file, and may be named in it, has an epoll descriptor whose fdinfo hangs who reads it."""
    looked_at_in_time(bench, door, "swap")


def many_unreadable_epolls(bench: Bench, door: Door) -> None:
    """8: the same by as many processes as a query may lose children to, and one more."""
    looked_at_in_time(bench, door, "swap", 9)


def closing_epoll(bench: Bench, door: Door) -> None:
    """8: the same with files that such an epoll watches, closed when somebody looks: he releases them, and hangs."""
    looked_at_in_time(bench, door, "close")


def looked_at_in_time(bench: Bench, door: Door, how: str, count: int = 1) -> None:
    device = bench.place() / "fuse"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.stat("/dev/fuse").st_rdev)
    device.chmod(0o666)
    for is_named in (True, False):
        path, attackers = bench.place() / "web.pid", []
        write(path, "4194303\n")
        try:
            for _ in range(count):
                attackers.append(bench.child("epoll", how, path, device, bench.place(owner=NOBODY), user=NOBODY))
            if is_named:
                write(path, f"{attackers[0].pid}\n")
            for _ in range(20 if count == 1 else 3):
                began = time.monotonic()
                door.pid(path)
                if (took := time.monotonic() - began) > PROMPT:
                    door.wrong(f"status takes {took:.1f} s")
            # Root has named the attacker, so it may be called the daemon. Otherwise its lock blocks no start.
            if not is_named and (pid := door.start(path, PROMPT if count == 1 else QUERIES * PROMPT)):
                stops_in_time(bench, door, path, pid)
        finally:
            for attacker in attackers:
                bench.end(attacker)


def stopped_daemon(bench: Bench, door: Door) -> None:
    """8: the daemon is stopped by SIGSTOP."""
    path = bench.place() / "web.pid"
    pid = door.start(path)
    os.kill(pid, signal.SIGSTOP)
    stops_in_time(bench, door, path, pid)


def stopped_monitor(bench: Bench, door: Door) -> None:
    """8: the process that stays with the program is stopped by SIGSTOP."""
    if door.name != "command":
        return
    path = bench.place() / "web.pid"
    done = bench.run.call([bench.commandline, "start", "--pidfile", str(path), "--respawn", "--", "sleep", "1000"], LIMIT)
    if done.returncode != 0:
        door.wrong(f"start --respawn: {done.stderr}")
        return
    pid = int(path.read_text())
    monitor = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGSTOP)
    began = time.monotonic()
    bench.run.call([bench.commandline, "stop", "--pidfile", str(path), "--retry", "TERM/1/KILL/1"], LIMIT)
    took = time.monotonic() - began
    if took > 2 + PROMPT:
        door.wrong(f"stop takes {took:.1f} s")
    if pathlib.Path(f"/proc/{pid}/stat").exists() and " Z " not in pathlib.Path(f"/proc/{pid}/stat").read_text():
        door.wrong("the program is alive after stop")


SCENARIOS = [many_descriptors, dead_file_system, unreadable_epoll, many_unreadable_epolls, closing_epoll, stopped_daemon, stopped_monitor]
