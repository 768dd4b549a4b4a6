"""PID 1 of a small Debian: furnishes the namespaces it was started in, then reaps until its stdin is closed.

    unshare --mount --net --pid --uts --ipc --fork --kill-child machine_init.py ROOT PLACE DEBS

ROOT is lower than all and stays as it is; what changes is on a tmpfs at PLACE, an empty folder. With PID 1 all of it ends.
"""

from __future__ import annotations

import os
import pathlib
import select
import signal
import subprocess
import sys

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def mount(*words: str | pathlib.Path) -> None:
    subprocess.run(["mount", *words], check=True)


def furnish(root: str, place: str, debs: str) -> pathlib.Path:
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "machine", place)
    upper, work, merged = (pathlib.Path(place, name) for name in ("upper", "work", "merged"))
    for folder in (upper, work, merged):
        folder.mkdir()
    mount("-t", "overlay", "machine", "-o", f"lowerdir={root},upperdir={upper},workdir={work}", merged)
    mount("-t", "proc", "proc", merged / "proc")
    mount("-t", "tmpfs", "-o", "mode=755", "run", merged / "run")
    mount("-t", "tmpfs", "-o", "mode=755", "dev", merged / "dev")
    for name in DEVICES:
        (merged / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", merged / "dev" / name)
    (merged / "dev/fd").symlink_to("/proc/self/fd")
    (merged / "mnt/debs").mkdir()
    mount("--bind", "-o", "ro", debs, merged / "mnt/debs")
    # Packages start nothing by themselves.
    policy = merged / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    return merged


def network() -> None:
    """An interface with an address and its other end, for those who want to be found."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "link", "add", "eth7", "type", "veth", "peer", "name", "plug7"], check=True)
    subprocess.run(["ip", "address", "add", "192.0.2.1/24", "dev", "eth7"], check=True)
    for interface in ("eth7", "plug7"):
        subprocess.run(["ip", "link", "set", interface, "up"], check=True)


def reap_until_closed() -> None:
    woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while True:
        ready = select.select([0, woken], [], [])[0]
        if 0 in ready:
            return
        os.read(woken, 4096)
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            pass


def main() -> None:
    merged = furnish(*sys.argv[1:])
    network()
    os.chroot(merged)
    os.chdir("/")
    print("ready", flush=True)
    reap_until_closed()


if __name__ == "__main__":
    main()
