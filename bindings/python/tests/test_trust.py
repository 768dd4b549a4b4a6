"""Pid files that cannot be trusted: what is no pid file stays as it is, and nothing that another user writes, locks or links decides
who runs or who is signalled."""

from __future__ import annotations

import ast
import contextlib
import fcntl
import os
import pathlib
import re
import signal
import subprocess
import sys
from typing import Callable, Iterator

import pytest
from conftest import LIMIT, House

from daemonctx import DaemonError, PidFile

NOBODY = 65534
CONTENTS = pathlib.Path(__file__).resolve().parents[3] / "core/tests/contents.def"
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: becomes another user")


def contents(kind: str) -> dict[str, bytes]:
    if not CONTENTS.exists():
        pytest.skip("the table of contents is in the repository only", allow_module_level=True)
    found = re.findall(rf'^{kind}\("(.*?)", (".*")\)$', CONTENTS.read_text(), re.MULTILINE)
    return {name: ast.literal_eval("b" + literal) for name, literal in found}


NOT_PID_FILES, STALE = contents("NOT_A_PID_FILE"), contents("STALE")
CALLS: dict[str, Callable[[PidFile], object]] = {
    "status": PidFile.status,
    "is_running": PidFile.is_running,
    "read_pid": PidFile.read_pid,
    "signal 0": lambda file: file.signal(0),
    "signal": lambda file: file.signal(signal.SIGTERM),
    "stop": lambda file: file.stop(0.1),
    "wait": lambda file: file.wait(0.1),
    "acquire": PidFile.acquire,
    "with": lambda file: file.__enter__(),
}

CONTEXT = """
    context = DaemonContext(pidfile=PidFile(PID_FILE), detach_process=True, files_preserve=[REPORT])
"""
START = """
    try:
        context.open()
    except DaemonError as error:
        sys.exit(str(error))
    report("open")
    signal.pause()
"""


def seen(path: pathlib.Path) -> tuple[object, ...]:
    status = path.lstat()
    return path.read_bytes(), status.st_ino, status.st_mtime_ns, status.st_mode, status.st_uid, status.st_nlink


def start(house: House) -> subprocess.CompletedProcess[str]:
    return house.run(CONTEXT + START)


def started(house: House) -> int:
    done = start(house)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert house.hear() == "open"
    return house.pid()


def is_refused(house: House, why: str) -> None:
    """By each call and each start, in one line that names the file and the reason; the file stays as it was."""
    before = seen(house.pid_path)
    for name, call in CALLS.items():
        with pytest.raises(DaemonError) as refusal:
            call(PidFile(house.pid_path))
        line = str(refusal.value)
        assert str(house.pid_path) in line and why in line and "\n" not in line, (name, line)
        assert seen(house.pid_path) == before, name
    done = start(house)
    assert done.returncode != 0 and why in done.stderr and done.stderr.count("\n") == 1, done
    assert seen(house.pid_path) == before


@contextlib.contextmanager
def as_nobody(work: Callable[[], None]) -> Iterator[int]:
    """A process of the user nobody that does some work, waits and is alive at the end."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            work()
            os.write(tell, b".")
            while True:
                signal.pause()
        finally:
            os._exit(1)
    os.close(tell)
    try:
        assert os.read(ready, 1) == b".", "the other user's process failed"
        yield child
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the other user's process was signalled"
    finally:
        os.close(ready)
        with contextlib.suppress(ChildProcessError):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def open_to_others(house: House) -> None:
    """Others may look at the pid file: pytest's folders are the user's own."""
    for folder in (house.folder, *house.folder.parents):
        if folder.stat().st_uid == os.geteuid() and folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
        if folder.parent == pathlib.Path("/tmp"):
            break


@pytest.mark.parametrize("name", NOT_PID_FILES)
def test_a_file_that_is_no_pid_file_is_refused_by_every_call_and_stays(house: House, name: str) -> None:
    house.pid_path.write_bytes(NOT_PID_FILES[name])
    is_refused(house, "not a pid file")


@pytest.mark.parametrize("name", STALE)
def test_a_stale_file_whatever_its_number_never_blocks_a_start(house: House, name: str) -> None:
    house.pid_path.write_bytes(STALE[name])
    file = PidFile(house.pid_path)
    assert file.status() == "stale" and not file.is_running()
    assert file.stop() == "not running" and not house.pid_path.exists()
    house.pid_path.write_bytes(STALE[name])
    house.end(started(house))


def test_a_file_with_another_link_is_refused_by_every_call_and_stays(house: House) -> None:
    (house.folder / "precious").write_text("4194303\n")
    os.link(house.folder / "precious", house.pid_path)
    is_refused(house, "link")


FORGE = """
    def can_change(fd):
        tries = [
            lambda: os.pwrite(fd, b"1\\n", 0), lambda: os.ftruncate(fd, 0), lambda: os.fchmod(fd, 0o666), lambda: os.utime(fd),
            lambda: os.open(f"/proc/self/fd/{fd}", os.O_RDWR), lambda: os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_TRUNC),
        ]
        for attempt in tries:
            try: attempt()
            except OSError: continue
            return True
        return False
    def is_it(fd):
        try: return os.path.samestat(os.fstat(fd), os.stat(PID_FILE))
        except OSError: return False
    context = DaemonContext(pidfile=PidFile(PID_FILE), detach_process=True, files_preserve=[REPORT], uid=65534, gid=65534)
    context.open()
    mine = [fd for fd in range(256) if is_it(fd)]
"""


@is_root
def test_a_daemon_that_gave_up_its_privileges_cannot_change_its_pid_file(house: House) -> None:
    open_to_others(house)
    done = house.run(FORGE + "    report(os.getpid(), sum(map(can_change, mine)))\n    signal.pause()\n")
    assert (done.returncode, done.stderr) == (0, "")
    pid, forged = map(int, house.hear().split())
    assert forged == 0 and house.pid_path.read_text() == f"{pid}\n"
    file = PidFile(house.pid_path)
    assert file.status() == "running" and file.stop() == "terminated"
    house.reap(pid)


@is_root
def test_a_dropped_daemon_that_may_not_remove_its_file_leaves_it_stale(house: House) -> None:
    open_to_others(house)
    house.run(FORGE + "    report(os.getpid())\n    signal.pause()\n")
    pid = int(house.hear())
    house.end(pid)
    assert house.pid_path.read_text() == f"{pid}\n" and PidFile(house.pid_path).status() == "stale"
    house.end(started(house))


def test_a_daemon_that_executes_another_program_still_runs(house: House) -> None:
    body = CONTEXT + """
    context.open()
    report(os.getpid())
    os.execv("/bin/sleep", ["sleep", "1000"])
"""
    assert house.run(body).returncode == 0
    pid = int(house.hear())
    with contextlib.closing(os.fdopen(os.pidfd_open(pid))):
        while pathlib.Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
            os.sched_yield()
    file = PidFile(house.pid_path)
    assert file.status() == "running" and file.stop() == "terminated"
    house.reap(pid)


@is_root
@pytest.mark.parametrize("kind", [fcntl.LOCK_EX, fcntl.LOCK_SH])
def test_another_users_lock_on_a_stale_file_blocks_no_start_and_makes_no_daemon_run(house: House, kind: int) -> None:
    open_to_others(house)
    dead = started(house)
    house.end(dead, signal.SIGKILL)

    def lock() -> None:
        fcntl.flock(os.open(house.pid_path, os.O_RDONLY), kind | fcntl.LOCK_NB)

    with as_nobody(lock):
        file = PidFile(house.pid_path)
        assert file.status() in ("stale", "unknown")
        with pytest.raises(DaemonError):
            file.signal(signal.SIGTERM)
        done = start(house)
        assert f"PID {dead}" not in done.stderr, done
        assert done.returncode == 0 and house.hear() == "open", done
        house.end(house.pid())
    house.pid_path.write_text("4194303\n")
    with as_nobody(lock), file:
        assert file.read_pid() == os.getpid()


def in_namespaces() -> bool:
    return subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode == 0


@is_root
@pytest.mark.skipif(not in_namespaces(), reason="no PID namespace can be made here")
def test_a_number_from_another_pid_namespace_is_not_signalled(house: House) -> None:
    """The daemon of a container writes its inner number into a directory that both see."""
    innocent = subprocess.Popen(["sleep", "1000"])
    try:
        house.pid_path.write_text(f"{innocent.pid}\n")
        body = f"import fcntl, time; f = open({str(house.pid_path)!r}); fcntl.flock(f, 2); print(flush=True); time.sleep(1000)"
        with subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "/usr/bin/python3", "-c", body], stdout=subprocess.PIPE
        ) as other:
            assert other.stdout and other.stdout.readline() == b"\n"
            daemon = int(pathlib.Path(f"/proc/{other.pid}/task/{other.pid}/children").read_text())
            file = PidFile(house.pid_path)
            assert file.status() != "running"
            with pytest.raises(DaemonError):
                file.signal(signal.SIGTERM)
            with contextlib.suppress(DaemonError):
                file.stop(0.1)
            assert other.poll() is None
            other.kill()
        house.reap(daemon)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait(LIMIT)


# --- the working directory ----------------------------------------------------------------------------------------------


@is_root
def test_the_working_directory_is_entered_by_the_daemons_user(house: House) -> None:
    """Whose link would lead root into any directory."""
    inside, hostile = house.folder / "secret/inside", house.folder / "hostile"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o700)
    hostile.mkdir()
    (hostile / "current").symlink_to(inside)
    os.chown(hostile, NOBODY, NOBODY)
    done = house.run(f"""
    DaemonContext(working_directory={str(hostile / "current")!r}, uid={NOBODY}, gid={NOBODY}, pidfile=PidFile(PID_FILE)).open()
    """)
    assert done.returncode == 1 and f"{hostile}/current: Permission denied" in done.stderr
    assert not house.pid_path.exists()


@is_root
def test_no_link_leads_out_of_a_new_root(house: House) -> None:
    """After chroot(2) the working directory is outside, and /proc/self/cwd leads there."""
    root = house.folder / "root"
    for name in ("proc", "data"):
        (root / name).mkdir(parents=True)
    (root / "data/current").symlink_to("/proc/self/cwd")
    os.chown(root / "data", NOBODY, NOBODY)
    script = house.folder / "script.py"
    script.write_text(f"""
import os
from daemonctx import DaemonContext
DaemonContext(chroot_directory={str(root)!r}, working_directory="/data/current", uid={NOBODY}, gid={NOBODY},
              files_preserve=[{house.report_write}]).open()
os.write({house.report_write}, (" ".join([str(os.getpid()), *sorted(os.listdir("."))]) + "\\n").encode())
""")
    mount = f'mount --bind /proc {root}/proc && exec "$@"'
    house.start(["unshare", "--mount", "sh", "-c", mount, "sh", sys.executable, str(script)], pass_fds=[house.report_write])
    pid, *names = house.hear().split()
    assert names == ["data", "proc"]
    house.reap(int(pid))
