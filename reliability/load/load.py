"""Much of everything: signals, lines, a syslog that does not read, full disks, descriptors, threads, pid files.

    load.py [--share N] [WORD...]

--share 0.01 does a hundredth of it. Words choose parts: signals, lines, syslog, disk, crowd, cycles.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import pathlib
import re
import select
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
import trust

CLONE_NEWNS = 0x20000
LIMIT = 120.0


def signals(run: trust.Run, share: float) -> None:
    count = max(20_000, int(1_000_000 * share))
    for command in ([str(trust.BUILT / "signals")], [sys.executable, str(trust.HERE / "load/signals.py")]):
        done = run.call([*command, str(count)], LIMIT)
        print(done.stdout, end="")
        if done.returncode != 0:
            run.violation(f"signals: {command[-1]} has ended with {done.returncode}: {done.stderr[-300:]}")


def lines(run: trust.Run, share: float) -> None:
    count = int(100_000 * share)
    began = time.monotonic()
    done = run.call([str(trust.BUILT / "talk"), "exec", str(count)], LIMIT)
    if done.stderr.splitlines() != [f"client: line {number}" for number in range(1, count + 1)]:
        run.violation(f"lines: daemon_exec: {len(done.stderr.splitlines())} of {count}, or not in order")
    print(f"libdaemon: {count} lines of daemon_exec() on standard error, {time.monotonic() - began:.2f} s")


# --- a syslog that stops reading ----------------------------------------------------------------------------------------------


def own_devices(run: trust.Run) -> socket.socket:
    """A /dev of this process's own, with a /dev/log that it reads itself."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    devices = run.folder / "dev"
    devices.mkdir()
    mount = ["mount"]
    subprocess.run([*mount, "--make-rprivate", "/"], check=True)
    subprocess.run([*mount, "-t", "tmpfs", "-o", "dev", "none", str(devices)], check=True)
    for name, minor in (("null", 3), ("zero", 5), ("full", 7), ("urandom", 9)):
        os.mknod(devices / name, stat.S_IFCHR | 0o666, os.makedev(1, minor))
        (devices / name).chmod(0o666)
    log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    log.bind(str(devices / "log"))
    subprocess.run([*mount, "--bind", str(devices), "/dev"], check=True)
    return log


def heard(log: socket.socket, until_idle: float) -> list[str]:
    got = []
    while select.select([log], [], [], until_idle)[0]:
        got.append(log.recv(65536).rstrip(b"\0\n").decode())
    return got


def syslog(run: trust.Run, share: float) -> None:
    log = own_devices(run)
    for what, arguments, silence in (
        ("daemon_exec(), syslog", ["exec", str(int(100_000 * share)), "syslog"], 3.0),
        ("a stream to syslog", ["stream", str(int(100_000 * share))], 3.0),
        ("a stream to syslog", ["stream", str(int(100_000 * share))], 7.0),
    ):
        count = int(arguments[1])
        talker = subprocess.Popen([str(trust.BUILT / "talk"), *arguments], stdin=subprocess.DEVNULL)
        time.sleep(silence)  # Nobody reads.
        got = heard(log, 2.0)
        if talker.wait(30) != 0:
            run.violation(f"syslog: {what}: it has ended with {talker.returncode}")
        numbers = [int(match[1]) for line in got if (match := re.search(r": (?:client: )?line (\d+)$", line))]
        lost = sum(int(match[1]) for line in got if (match := re.search(r": (\d+) lines lost$", line)))
        if numbers != sorted(set(numbers)) or len(numbers) + lost != count or (silence < 5 and lost):
            run.violation(f"syslog: {what}: {len(numbers)} read, {lost} said to be lost, of {count}")
        print(f"{what}, nobody reads for {silence:.0f} s: {count} lines, {len(numbers)} read, in order, {lost} said to be lost")
        run.clear()
    log.close()


# --- full disks ---------------------------------------------------------------------------------------------------------------


def disk(run: trust.Run, share: float) -> None:
    full = run.folder / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(full)], check=True)
    try:
        for name, door in trust.DOORS.items():
            full_disk(run, name, door, full)
    finally:
        run.clear()
        subprocess.run(["umount", str(full)], check=True)


def fill(full: pathlib.Path) -> None:
    with open(full / "filling", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError as error:
            assert error.errno == errno.ENOSPC


def full_disk(run: trust.Run, name: str, door: list[str], full: pathlib.Path) -> None:
    pid_file, log, safe = str(full / "pid"), str(full / "log"), str(run.folder / "safe.pid")
    fill(full)
    done = run.call([*door, "start", pid_file])
    left = sorted(path.name for path in full.iterdir())
    daemons = run.clear()
    if done.returncode == 0 or left != ["filling"] or daemons:
        run.violation(f"disk: {name}: pid file on a full disk: {done.returncode}, left {left}, {daemons} processes")
    said = done.stderr.strip().splitlines()
    # A daemon of libdaemon's tells its starter a number: what else it says goes to syslog.
    print(f"{name}: the pid file on a full disk: status {done.returncode}, {said[-1] if said else 'nothing said'}")
    if name != "libdaemon":
        for word in (["start", safe, log], ["signal", safe, "1"], ["status", safe], ["stop", safe]):
            if (done := run.call([*door, *word])).returncode != 0:
                run.violation(f"disk: {name}: log file on a full disk: {word[0]} has ended with {done.returncode}: {done.stderr}")
        print(f"{name}: the log file on a full disk: {os.path.getsize(log)} bytes logged, started, signalled and stopped")
        os.unlink(log)
    (full / "filling").unlink()
    for word in (["start", pid_file], ["stop", pid_file]):
        if run.call([*door, *word]).returncode != 0:
            run.violation(f"disk: {name}: {word[0]} fails with room again")


# --- crowds -------------------------------------------------------------------------------------------------------------------


def crowd(run: trust.Run, share: float) -> None:
    most = os.sysconf("SC_OPEN_MAX")
    for api in ("new", "old"):
        for descriptors, threads, works in ((most - 50, 500, True), (most + 10, 0, False)):
            done = run.call([str(trust.BUILT / "crowd"), api, str(descriptors), str(threads), str(run.folder / "crowd.pid")])
            print(done.stdout, end="")
            if (done.returncode == 0) != works or (run.folder / "crowd.pid").exists():
                run.violation(f"crowd: {api}, {descriptors} descriptors: {done.returncode}: {done.stdout}{done.stderr}")
            if works and not re.search(r": [0-9] 1$", done.stdout.strip()):
                run.violation(f"crowd: {api}: the daemon has too much: {done.stdout}")


def cycles(run: trust.Run, share: float) -> None:
    for name, door in trust.DOORS.items():
        if name == "command":
            continue
        # In memory, where there is such a place: a journal on a disk would be what is measured.
        folder = pathlib.Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else run.folder
        pid_file = folder / f"{run.folder.name}.pid"
        done = run.call([*door, "cycle", str(pid_file), str(int(1_000_000 * share))], 600)
        print(done.stdout, end="", flush=True)
        if done.returncode != 0 or pid_file.exists():
            run.violation(f"cycles: {name} has ended with {done.returncode}: {done.stderr[-300:]}")


PARTS = {"signals": signals, "lines": lines, "crowd": crowd, "cycles": cycles, "disk": disk, "syslog": syslog}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("parts", nargs="*")
    options = parser.parse_args()
    run = trust.Run("load")
    for name, part in PARTS.items():
        if options.parts and name not in options.parts:
            continue
        if name in ("disk", "syslog") and os.geteuid() != 0:
            print(f"load: {name} needs root: skipped")
            continue
        part(run, options.share)
        sys.stdout.flush()
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
