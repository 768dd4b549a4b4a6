"""The life of a daemon, a program of a few lines; seen from outside, by its starter's status, its pid file and a pipe."""

from __future__ import annotations

import os
import pathlib
import select
import signal
import subprocess
import textwrap

LIMIT = 60  # seconds that anything may take; an emulated interpreter is slow

PROGRAM = textwrap.dedent("""
    import os, signal, sys
    from daemonctx import DaemonContext, PidFile

    path, report = sys.argv[1], int(sys.argv[2])

    # A lock of this process's own, first: taken, known, given back.
    with PidFile(path) as own:
        assert own.read_pid() == os.getpid() and os.path.exists(path)
    assert not os.path.exists(path)

    with DaemonContext(pidfile=PidFile(path), files_preserve=[report]):
        os.write(report, f"{os.getpid()} {os.getsid(0)} {os.getcwd()}\\n".encode())
        signal.pause()
""")


def lives(python: list[str], folder: pathlib.Path, **environment: str) -> None:
    """It starts, is alone in its session, refuses a second start, and takes its pid file with it."""
    script, pid_file = folder / "program.py", folder / "program.pid"
    script.write_text(PROGRAM)
    read, write = os.pipe()
    command = [*python, str(script), str(pid_file), str(write)]
    try:
        started = start(command, write, environment)
        os.close(write)
        assert started == (0, ""), started
        assert select.select([read], [], [], LIMIT)[0], "the daemon says nothing"
        pid, session, directory = os.read(read, 100).decode().split()
        assert pid_file.read_text() == f"{pid}\n" and int(session) not in (int(pid), os.getsid(0)) and directory == "/"
        status, said = start([*command[:-1], "2"], 2, environment)
        assert status != 0 and f"already running as PID {pid}" in said, (status, said)
        assert ended(pid_file, signal.SIGTERM), "the daemon does not end"
        assert not pid_file.exists()
    finally:
        os.close(read)
        ended(pid_file, signal.SIGKILL)


def ended(pid_file: pathlib.Path, signum: int) -> bool:
    """Ends the daemon that the file names, if there is one."""
    try:
        pidfd = os.pidfd_open(int(pid_file.read_text()))
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return True
    try:
        signal.pidfd_send_signal(pidfd, signum)
        return bool(select.select([pidfd], [], [], LIMIT)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(pidfd)


def start(command: list[str], descriptor: int, environment: dict[str, str]) -> tuple[int, str]:
    """The status of a starter, and what it says. Into a file: a daemon that is left would keep a pipe open."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    with open(os.path.join(os.path.dirname(command[-2]), "said"), "w+") as said:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, pass_fds=[descriptor], cwd="/",
                              env=inherited | environment, timeout=LIMIT)
        said.seek(0)
        return done.returncode, said.read()
