"""Pid files that cannot be trusted: what is no pid file stays as it is, and nothing that another user writes, locks or links decides
who runs or who is signalled."""

from __future__ import annotations

import ast
import contextlib
import errno
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
from typing import Callable, Iterator

import pytest
from daemons import AS_NOBODY, COMMAND, NOBODY, NOGROUP, PYTHON, House, descendants, house, is_gone, is_root, kill
from terminal import Terminal

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]
CONTENTS = pathlib.Path(__file__).resolve().parents[2] / "core/tests/contents.def"


def contents(kind: str) -> dict[str, bytes]:
    found = re.findall(rf'^{kind}\("(.*?)", (".*")\)$', CONTENTS.read_text(), re.MULTILINE)
    return {name: ast.literal_eval("b" + literal) for name, literal in found}


NOT_PID_FILES, STALE = contents("NOT_A_PID_FILE"), contents("STALE")
# Each command that takes a pid file, with what it takes to be understood.
VERBS = {"start": SLEEP, "restart": SLEEP, "try-restart": SLEEP, "stop": [], "reload": [], "status": []}


def seen(path: pathlib.Path) -> tuple[object, ...]:
    status = path.lstat()
    return path.read_bytes(), status.st_ino, status.st_mtime_ns, status.st_mode, status.st_uid, status.st_nlink


def stale(house: House) -> int:
    """A pid file with the number of a process that is gone."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    house.pid_path.write_text(f"{gone.pid}\n")
    house.pid_path.chmod(0o644)
    return gone.pid


FOREIGN_PROC = """
[ "$(readlink /proc/self)" != "$(sh -c 'echo $PPID')" ] || exit 77
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1000 & innocents="$innocents $!"; done
"$1" start -q --notify exec -p "$2" -- sleep 1000 && exit 1
[ ! -e "$2" ] || exit 1
unshare --mount --mount-proc "$1" start -q --notify exec -p "$2" -- sh -c 'sleep 1000 & exec sleep 1000' || exit 1
"$1" stop -q --retry TERM/1/KILL/1 -p "$2" && exit 1
kill $innocents
"""


@is_root
def test_nobody_is_signalled_by_a_foreign_proc(house: House) -> None:
    """In a PID namespace with the /proc of another one, numbers there are other processes'."""
    namespace = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", FOREIGN_PROC, "sh", COMMAND, str(house.pid_path)]
    status = subprocess.run(namespace, stderr=subprocess.PIPE, text=True, timeout=60)
    assert status.returncode == 0, status
    assert "start failed: /proc (it is another PID namespace's: mount one that is this one's)" in status.stderr
    assert "test.pid: /proc belongs to another PID namespace" in status.stderr
    house.pid_path.unlink(missing_ok=True)


@contextlib.contextmanager
def innocent(user: int | None = None) -> Iterator[int]:
    """A process that has nothing to do with any pid file and is alive at the end."""
    process = subprocess.Popen(["sleep", "1000"], user=user)
    try:
        yield process.pid
        assert process.poll() is None, "an innocent process was signalled"
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def locked_by_nobody(path: pathlib.Path, kind: str = "LOCK_EX") -> Iterator[int]:
    body = f"import fcntl, time; f = open({str(path)!r}); fcntl.flock(f, fcntl.{kind}); print(flush=True); time.sleep(1000)"
    with subprocess.Popen([*AS_NOBODY, PYTHON, "-c", body], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stdout.readline() == b"\n"
            yield process.pid
            assert process.poll() is None, "the process that holds the lock was signalled"
        finally:
            process.kill()


def is_refused(house: House, verb: str, *words: str, why: str) -> None:
    """One line that names the file and the reason, a status that is not 0, and the file as it was."""
    before = seen(house.pid_path)
    said = house.command(verb, "--pidfile", house.pid_path, *words, *VERBS[verb])
    assert said.returncode != 0, (verb, words, said)
    line = said.stdout + said.stderr
    assert line.count("\n") == 1 and str(house.pid_path) in line and why in line, (verb, words, said)
    assert seen(house.pid_path) == before, (verb, words)


def remove(house: House) -> None:
    house.pid_path.unlink()


# Files that are no pid files.


@pytest.mark.parametrize("name", NOT_PID_FILES)
def test_a_file_that_is_no_pid_file_is_refused_by_every_command_and_stays(house: House, name: str) -> None:
    house.pid_path.write_bytes(NOT_PID_FILES[name])
    try:
        for verb in VERBS:
            is_refused(house, verb, why="not a pid file")
            if verb != "status":
                is_refused(house, verb, "--dry-run", why="not a pid file")
    finally:
        remove(house)


@pytest.mark.parametrize("name", STALE)
def test_a_stale_file_whatever_its_number_never_blocks_a_start(house: House, name: str) -> None:
    house.pid_path.write_bytes(STALE[name])
    assert house.command("status", "--pidfile", house.pid_path).returncode in (1, 3)
    house.stop().is_(0)
    house.pid_path.write_bytes(STALE[name])
    house.started(*SLEEP)
    house.stop().is_(0)


def test_a_file_with_another_link_is_refused_by_every_command_and_stays(house: House) -> None:
    (house.folder / "precious").write_text("4194303\n")
    os.link(house.folder / "precious", house.pid_path)
    try:
        for verb in VERBS:
            is_refused(house, verb, why="link")
    finally:
        remove(house)


# Daemons that gave up their privileges.

FORGE = """
    import fcntl
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
    mine = [fd for fd in range(256) if is_it(fd)]
"""


@is_root
def test_a_daemon_that_gave_up_its_privileges_cannot_change_its_pid_file(house: House) -> None:
    script = house.script(FORGE + "    report(sum(map(can_change, mine)))\n    forever()\n")
    pid = house.started("--user", "nobody", "--", script)
    assert house.hear() == "0"
    assert house.pid_path.read_text() == f"{pid}\n"
    house.command("status", "--pidfile", house.pid_path).is_(0, str(pid))
    house.stop().is_(0)
    assert is_gone(pid)


@is_root
@pytest.mark.parametrize("verb", ["stop", "reload", "restart", "status"])
def test_a_number_that_a_dropped_daemon_forges_is_never_signalled(house: House, verb: str) -> None:
    with innocent() as victim:
        script = house.script(FORGE + f"""
    for fd in mine:
        for attempt in (lambda: os.ftruncate(fd, 0), lambda: os.pwrite(fd, b"{victim}\\n", 0), lambda: fcntl.flock(fd, fcntl.LOCK_UN)):
            try: attempt()
            except OSError: pass
    report("here")
    forever()
""")
        pid = house.started("--user", "nobody", "--", script)
        assert house.hear() == "here"
        said = house.command(verb, "--pidfile", house.pid_path, *VERBS[verb])
        assert str(victim) not in said.stdout, said
    with contextlib.suppress(ProcessLookupError):
        kill(pid)
    # Whatever became of it: the next start works and the daemon can be stopped.
    house.start(*SLEEP).is_(0)
    house.stop().is_(0)
    house.pid_path.unlink(missing_ok=True)


# Locks of others.


@is_root
@pytest.mark.parametrize("kind", ["LOCK_EX", "LOCK_SH"])
def test_another_users_lock_on_a_stale_file_blocks_no_start_and_makes_no_daemon_run(house: House, kind: str) -> None:
    dead = stale(house)
    with locked_by_nobody(house.pid_path, kind):
        status = house.command("status", "--pidfile", house.pid_path)
        assert status.returncode != 0
        said = house.start(*SLEEP)
        for text in (status.stdout + status.stderr, said.stdout + said.stderr):
            assert not re.search(rf"run(s|ning)[^\n]*\b{dead}\b", text), text
        said.is_(0, f"PID {house.pid()}")
        assert house.pid() != dead
        house.stop().is_(0)


@is_root
@pytest.mark.parametrize("verb", ["stop", "reload"])
def test_a_process_that_only_locks_the_file_is_not_signalled(house: House, verb: str) -> None:
    stale(house)
    with locked_by_nobody(house.pid_path):
        house.command(verb, "--pidfile", house.pid_path)
    house.pid_path.unlink(missing_ok=True)


@is_root
def test_stop_ends_nobody_by_a_hard_link_to_a_locked_file(house: House) -> None:
    shared = house.folder / "shared"
    shared.write_text("4194303\n")
    shared.chmod(0o666)
    hostile = house.folder / "hostile"
    hostile.mkdir()
    os.chown(hostile, NOBODY, NOGROUP)
    service = subprocess.Popen(
        [PYTHON, "-c", f"import fcntl, time; f = open({str(shared)!r}); fcntl.flock(f, 2); print(flush=True); time.sleep(1000)"],
        stdout=subprocess.PIPE,
    )
    try:
        assert service.stdout and service.stdout.readline() == b"\n"
        subprocess.run([*AS_NOBODY, "ln", str(shared), str(hostile / "web.pid")], check=True)
        for words in (["stop"], ["stop", "--retry", "0.1"]):
            house.command(*words, "--pidfile", hostile / "web.pid")
        assert service.poll() is None, "root's service was signalled"
    finally:
        service.kill()
        service.communicate()
        (hostile / "web.pid").unlink(missing_ok=True)


# Whose daemon runs already.


@is_root
def test_another_users_daemon_is_not_the_one_that_runs_already(house: House) -> None:
    shared = house.folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    path = shared / "web.pid"
    house.command("start", "--pidfile", path, *SLEEP, nobody=True).is_(0)
    line = f"web: start failed: {path} of user nobody names PID {path.read_text().strip()}, which runs as nobody"
    for words in ([], ["--dry-run"], ["--user", "nobody"]):
        house.command("start", "--name", "web", "--pidfile", path, *words, *SLEEP).is_(1, "", line)
    house.command("stop", "--pidfile", path, nobody=True).is_(0)


@is_root
def test_a_process_of_another_user_runs_already_only_where_that_user_is_asked_for(house: House) -> None:
    with innocent(NOBODY) as pid:
        house.pid_path.write_text(f"{pid}\n")
        house.pid_path.chmod(0o644)
        house.start(*SLEEP).is_(1, "", f"{house.pid_path} of user root names PID {pid}, which runs as nobody")
        house.start("--user", "daemon", *SLEEP).is_(1, "", "which runs as nobody")
        for user in ("nobody", "nobody:daemon", str(NOBODY)):
            house.start("--user", user, *SLEEP).is_(0, f"runs already, PID {pid}")
        remove(house)


# Where it listens.


@is_root
def test_another_users_socket_cannot_add_to_where_a_daemon_listens(house: House) -> None:
    """The name of a Unix socket may hold a newline, and so what looks like another row of the kernel's table."""
    script = house.script("""
        local, tcp, peer = socket.socket(socket.AF_UNIX), socket.create_server(("127.0.0.1", 0)), socket.socketpair()[0]
        netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
        local.bind(FOLDER + "/own")
        local.listen()
        report(tcp.getsockname()[1], *(os.fstat(one.fileno()).st_ino for one in (local, tcp, peer, netlink)))
        forever()
    """)
    house.started("--", script)
    port, *inodes = house.hear().split()
    listening = lambda: house.command("status", "--pidfile", house.pid_path, "--json").is_(0).json["listening"]
    tcp, own = {"type": "tcp", "address": f"127.0.0.1:{port}"}, {"type": "unix", "address": f"{house.folder}/own"}
    assert listening() == [tcp, own]
    body = """if True:
        import socket, sys, time
        all = [socket.socket(socket.AF_UNIX) for _ in sys.argv[1:]]
        for one, inode in zip(all, sys.argv[1:]):
            one.bind(f"\\0x\\n0: 00000002 00000000 00010000 0001 01 {inode} /run/forged")
        print(flush=True)
        time.sleep(1000)
    """
    with subprocess.Popen([*AS_NOBODY, PYTHON, "-c", body, *inodes], stdout=subprocess.PIPE) as forger:
        try:
            assert forger.stdout and forger.stdout.readline() == b"\n"
            assert all(f" {inode} /run/forged\n" in pathlib.Path("/proc/net/unix").read_text() for inode in inodes)
            assert listening() == [tcp]
        finally:
            forger.kill()
    house.stop().is_(0)


# The terminal.


def test_a_program_never_gets_the_starters_terminal(house: House) -> None:
    """Not before it is ready either: neither as a stream nor as its controlling terminal."""
    user = ["--user", "nobody"] if os.geteuid() == 0 else []
    script = house.script("""
        def tty():
            try: return os.open("/dev/tty", os.O_RDWR)
            except OSError as error: return error.errno
        report(tty(), *(os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) < 3))
        os.write(3, b"\\n")
        forever()
    """)
    words = ["--pidfile", str(house.pid_path), "--keep-fd", str(house.mouth), *user, "--notify", "fd:3"]
    terminal = Terminal([COMMAND, "start", *words, "--", PYTHON, script])
    assert house.hear() == f"{errno.ENXIO} /dev/null /dev/null /dev/null"
    assert terminal.wait() == 0
    house.stop().is_(0)


# Age.

def let_group_write(path: pathlib.Path) -> None:
    os.chown(path, 0, NOGROUP)
    path.chmod(path.stat().st_mode | 0o020)


DOUBTS: dict[str, Callable[[pathlib.Path], object]] = {
    "in the future": lambda path: os.utime(path, (4e9, 4e9)),
    "before boot": lambda path: os.utime(path, (1000, 1000)),
    "a group may write the file": let_group_write,
    "others may write the file": lambda path: path.chmod(0o646),
    "the file is another user's": lambda path: os.chown(path, NOBODY, NOGROUP),
    "a group may write the directory": lambda path: let_group_write(path.parent),
    "others may write the directory": lambda path: path.parent.chmod(0o757),
    "the directory is sticky": lambda path: path.parent.chmod(0o1777),
    "the directory is another user's": lambda path: os.chown(path.parent, NOBODY, NOGROUP),
}


@is_root
def test_age_proves_who_runs_where_only_root_can_write(house: House) -> None:
    with subprocess.Popen(["sleep", "1000"]) as daemon:
        house.pid_path.write_text(f"{daemon.pid}\n")
        house.command("status", "--pidfile", house.pid_path).is_(0, str(daemon.pid))
        house.stop().is_(0)
        assert daemon.wait() == -signal.SIGTERM


@is_root
@pytest.mark.parametrize("user", [0, NOBODY])
@pytest.mark.parametrize("doubt", DOUBTS)
def test_age_proves_nothing_in_doubt(house: House, doubt: str, user: int) -> None:
    folder = house.folder / "in doubt"
    folder.mkdir()
    path = folder / "web.pid"
    with contextlib.ExitStack() as stack:
        pid = stack.enter_context(innocent(user))
        stack.callback(path.unlink, missing_ok=True)
        path.write_text(f"{pid}\n")
        path.chmod(0o644)
        DOUBTS[doubt](path)
        assert house.command("status", "--pidfile", path).returncode != 0
        assert house.command("reload", "--pidfile", path).returncode != 0
        house.command("stop", "--pidfile", path, "--retry", "0.1")
        if path.exists():
            said = house.command("start", "--pidfile", path, *SLEEP)
            assert said.returncode != 0 or f"PID {pid}" not in said.stdout, said
            house.command("stop", "--pidfile", path)


# What can stall a stop.


def stopped_within(house: House, pid: int, seconds: float) -> None:
    began = time.monotonic()
    house.stop("--retry", "TERM/1/KILL/1")
    assert time.monotonic() - began < seconds and is_gone(pid)


@is_root
def test_stop_is_not_delayed_by_thousands_of_open_files(house: House) -> None:
    body = "import os, time; [os.open('/dev/null', 0) for _ in range(900)]; print(flush=True); time.sleep(1000)"
    crowd = [subprocess.Popen([*AS_NOBODY, PYTHON, "-c", body], stdout=subprocess.PIPE) for _ in range(10)]
    try:
        for process in crowd:
            assert process.stdout and process.stdout.readline() == b"\n"
        stopped_within(house, house.started(*SLEEP), 2 + 5)
    finally:
        for process in crowd:
            process.kill()
            process.communicate()


def test_stop_does_not_wait_for_a_monitor_that_is_stopped(house: House) -> None:
    pid = house.started("--respawn", *SLEEP)
    monitor = house.command("status", "--pidfile", house.pid_path, "--json").json["monitor"]
    os.kill(monitor, signal.SIGSTOP)
    try:
        stopped_within(house, pid, 2 + 5)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(monitor, signal.SIGCONT)
            kill(monitor)
        house.pid_path.unlink(missing_ok=True)


def test_stop_does_not_wait_for_a_daemon_that_is_stopped(house: House) -> None:
    pid = house.started(*SLEEP)
    os.kill(pid, signal.SIGSTOP)
    stopped_within(house, pid, 2 + 5)


# The working directory.


@is_root
@pytest.mark.parametrize("verb", ["start", "run"])
def test_the_working_directory_is_entered_by_the_daemons_user(house: House, verb: str) -> None:
    """Whose link would lead root into any directory."""
    inside, hostile = house.folder / "secret/inside", house.folder / "hostile"
    inside.mkdir(parents=True)
    inside.parent.chmod(0o700)
    hostile.mkdir()
    (hostile / "current").symlink_to(inside)
    os.chown(hostile, NOBODY, NOBODY)
    said = house.command(verb, "-p", house.pid_path, "--user", "nobody", "--chdir", hostile / "current", *SLEEP)
    said.is_(4, "", f"chdir failed: {hostile}/current: Permission denied")
    assert not descendants()
    if verb == "run":
        # The user may not remove it by then.
        house.pid_path.unlink()


@is_root
def test_no_link_leads_out_of_a_new_root(house: House) -> None:
    """After chroot(2) the working directory is outside, and /proc/self/cwd leads there."""
    root, program = house.folder / "root", shutil.which("sleep")
    for name in ("proc", "data"):
        (root / name).mkdir(parents=True)
    for path in [program, *re.findall(r"/\S+", subprocess.check_output(["ldd", program], text=True))]:
        copy = root / path.removeprefix("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    (root / "data/current").symlink_to("/proc/self/cwd")
    os.chown(root / "data", NOBODY, NOBODY)
    mount = ["unshare", "--mount", "sh", "-c", f'mount --bind /proc {root}/proc && exec "$@"', "sh"]
    pid = house.started("--chroot", root, "--user", "nobody", "--chdir", "/data/current", program, "1000", wrap=mount)
    assert os.path.samestat(os.stat(f"/proc/{pid}/cwd"), root.stat())
    house.stop().is_(0)
