"""PID 1 of a place where an example of a manual page runs: a /run and a /dev/log of its own, and nothing outlives it.

    unshare --mount --pid --net --fork --kill-child --mount-proc sandbox.py FOLDER LINE

LINE is for bash. The status is its status.
"""

from __future__ import annotations

import os
import pathlib
import socket
import subprocess
import sys
import threading

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
PRELUDE = """
set -u
gone() { timeout 10 tail -s 0.02 --pid="$1" -f /dev/null; }
"""


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


def devices() -> None:
    """The machine's /dev must not get a log."""
    made = pathlib.Path("/run/dev")
    made.mkdir()
    for name in DEVICES:
        (made / name).touch()
        mount("--bind", f"/dev/{name}", str(made / name))
    (made / "fd").symlink_to("/proc/self/fd")
    mount("--rbind", str(made), "/dev")


def log() -> None:
    """Takes what is logged, so that nobody waits, and forgets it."""
    taken = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    taken.bind("/dev/log")
    os.chmod("/dev/log", 0o666)

    def empty() -> None:
        while True:
            taken.recv(65536)

    threading.Thread(target=empty, daemon=True).start()


def main(folder: str, line: str) -> int:
    mount("-t", "tmpfs", "-o", "mode=755", "run", "/run")
    devices()
    log()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    shell = os.posix_spawn("/bin/bash", ["bash", "-c", PRELUDE + line], os.environ | {"PWD": folder})
    # Daemons that end are this process's to reap: a zombie would look alive to kill(1).
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == shell:
            return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    # Buffered output and threads are nothing that the end of a PID namespace waits for.
    os._exit(main(*sys.argv[1:]) & 0xFF)
