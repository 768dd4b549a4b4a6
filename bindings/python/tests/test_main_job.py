"""The main job, whole: scripts that become daemons, run as a person runs them and looked at from outside."""

from __future__ import annotations

import ctypes
import errno
import os
import pathlib
import signal
import subprocess
import textwrap
import time

import daemonctx
import pytest
from conftest import LIMIT, OPEN, House


def test_the_daemon_is_one(house: House) -> None:
    done = house.run(OPEN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert house.hear() == "open"
    pid = house.pid()
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(stat[3]), int(stat[4])
    assert session != pid and session != os.getsid(0) and terminal == 0
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    descriptors = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert [descriptors.pop(fd) for fd in (0, 1, 2)] == ["/dev/null"] * 3
    assert descriptors.pop(house.report_write).startswith("pipe:")
    assert list(descriptors.values()) == [str(house.pid_path)]
    assert house.pid_path.stat().st_mode & 0o777 == 0o644
    assert house.end(pid) == 0
    assert not house.pid_path.exists()


def test_a_second_start_is_refused_and_after_kill_9_works(house: House) -> None:
    house.run(OPEN)
    house.hear()
    pid = house.pid()
    refused = house.run(
        """
        try:
            DaemonContext(pidfile=PidFile(PID_FILE)).open()
        except AlreadyRunningError as error:
            print(error.pid, error.errno, error.step, error.value)
            raise
        """
    )
    assert refused.returncode == 1
    assert refused.stdout.split() == [str(pid), str(errno.EAGAIN), "pid", "file", str(house.pid_path)]
    assert f"already running as PID {pid}" in refused.stderr
    assert house.end(pid, signal.SIGKILL) == signal.SIGKILL
    assert house.pid_path.exists()
    assert house.run(OPEN).returncode == 0
    assert house.hear() == "open"
    house.end(house.pid())


def test_close_releases_the_pid_file_and_the_daemon_goes_on(house: House) -> None:
    house.run(
        """
        context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT])
        context.open()
        report(os.getpid(), os.path.exists(PID_FILE), context.is_open)
        context.close()
        context.close()
        report(os.path.exists(PID_FILE), context.is_open)
        signal.pause()
        """
    )
    pid, *before = house.hear().split()
    assert (before, house.hear()) == (["True", "True"], "False False")
    house.end(int(pid))


def test_finally_and_atexit_run_on_sigterm_and_only_in_the_daemon(house: House) -> None:
    house.run(
        """
        atexit.register(lambda: report("atexit", os.getpid()))
        with DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT]):
            try:
                report("open")
                signal.pause()
            except SystemExit as end:
                report(end, end.args, end.code)
                raise
            finally:
                report("finally", os.getpid())
        """,
        head="import atexit, os\natexit.register(lambda: report('pid file', os.path.exists(PID_FILE)))\n",
    )
    assert house.hear() == "open"
    pid = house.pid()
    # Being told to end is no failure, and systemd goes by that.
    assert house.end(pid) == 0
    said = [house.hear() for _ in range(4)]
    text = "Terminating on signal 15"
    assert said == [f"{text} {(text,)} 0", f"finally {pid}", f"atexit {pid}", "pid file False"]
    assert house.silent()


@pytest.mark.parametrize(
    ("when", "line"),
    [
        ("ready", "start failed: PID {pid}: exited with status 0 before it was ready"),
        ("pidfile", "start failed: SystemExit: Terminating on signal 15"),
    ],
)
def test_being_told_to_end_before_ready_is_a_failed_start(house: House, when: str, line: str) -> None:
    done = house.run(
        f"""
        class Held:
            def acquire(self):
                report(os.getpid())
                if {when!r} == "pidfile":
                    os.kill(os.getpid(), signal.SIGTERM)
            def release(self): pass
        DaemonContext(pidfile=Held(), manual_ready=True, files_preserve=[REPORT]).open()
        os.kill(os.getpid(), signal.SIGTERM)
        """
    )
    expected = "script.py: " + line.format(pid=house.hear())
    assert (done.returncode, expected in done.stderr.splitlines()) == (1, True), done.stderr


def test_buffered_text_appears_once(house: House) -> None:
    done = house.run("print('before', end='')\n" + textwrap.dedent(OPEN))
    assert done.stdout == "before"
    house.hear()
    house.end(house.pid())
    assert (house.folder / "out").read_text() == "before"


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [
        ("raise RuntimeError('no port')", 1, "script.py: start failed: RuntimeError: no port"),
        ("sys.exit(7)", 7, "exited with status 7 before it was ready"),
        ("os._exit(0)", 1, "exited with status 0 before it was ready"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "killed by signal 9 (SIGKILL) before it was ready"),
    ],
)
def test_an_end_before_ready_is_the_starters(house: House, ending: str, status: int, said: str) -> None:
    done = house.run(
        f"""
        with DaemonContext(pidfile=PidFile(PID_FILE), manual_ready=True):
            {ending}
        """
    )
    assert done.returncode == status
    assert done.stderr.splitlines()[-1].endswith(said)
    assert ("RuntimeError: no port" in done.stderr) == ("RuntimeError" in ending)
    assert not house.pid_path.exists()


def test_a_daemon_that_is_not_ready_in_time_is_ended(house: House) -> None:
    done = house.run(
        """
        DaemonContext(pidfile=PidFile(PID_FILE), manual_ready=True, ready_timeout=0.3).open()
        signal.pause()
        """
    )
    assert done.returncode == 124
    assert done.stderr.splitlines()[-1] == "script.py: ready failed: 0.300 s: Connection timed out (110 ETIMEDOUT)"
    assert not house.pid_path.exists()


def test_nobody_reads_standard_error(house: House) -> None:
    """A pipe that is full: the line is lost, and the starter exits with its status."""
    done = house.run(
        """
        read, write = os.pipe()
        os.set_blocking(write, False)
        try:
            while True: os.write(write, bytes(4096))
        except BlockingIOError: pass
        os.set_blocking(write, True)
        os.dup2(write, 2)
        DaemonContext(pidfile=PidFile(PID_FILE), manual_ready=True, ready_timeout=0.3, files_preserve=[read, write]).open()
        signal.pause()
        """
    )
    assert done.returncode == 124
    assert not house.pid_path.exists()


def test_stderr_is_the_starters_until_ready(house: House) -> None:
    done = house.run(
        """
        context = DaemonContext(pidfile=PidFile(PID_FILE), manual_ready=True, stderr=FOLDER + "/log",
                                files_preserve=[REPORT])
        context.open()
        print("early", file=sys.stderr)
        context.ready()
        print("late", file=sys.stderr, flush=True)
        report("ready")
        signal.pause()
        """
    )
    assert (done.returncode, done.stderr) == (0, "early\n")
    house.hear()
    assert (house.folder / "log").read_text() == "late\n"
    house.end(house.pid())


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        ("RuntimeError('held')", 1, "script.py: start failed: RuntimeError: held"),
        ("SystemExit(3)", 3, "script.py: start failed: SystemExit: 3"),
        ("SystemExit('held')", 1, "script.py: start failed: held"),
    ],
)
def test_an_exception_of_a_foreign_pidfile_reaches_the_starter(
    house: House, error: str, status: int, line: str
) -> None:
    done = house.run(
        f"""
        class Held:
            def acquire(self): raise {error}
            def release(self): pass
        DaemonContext(pidfile=Held()).open()
        """
    )
    assert done.returncode == status
    assert line in done.stderr.splitlines()


@pytest.mark.parametrize(
    "pidfile",
    [
        "class P:\n    def acquire(self): report('in')\n    def release(self): report('out')\nP = P()",
        "class P:\n    def __enter__(self): report('in')\n    def __exit__(self, *e): report('out')\nP = P()",
        "class P(PidFile):\n    def acquire(self): super().acquire(); report('in')\n"
        "    def release(self): super().release(); report('out')\nP = P(PID_FILE)",
    ],
)
def test_any_object_is_a_pidfile(house: House, pidfile: str) -> None:
    body = (
        pidfile
        + """
context = DaemonContext(pidfile=P, files_preserve=[REPORT])
context.open()
report(os.getpid())
context.close()
context.close()
"""
    )
    assert house.run(body).returncode == 0
    assert house.hear() == "in"
    pid = int(house.hear())
    assert house.hear() == "out"
    house.reap(pid)
    assert house.silent()


def test_fork_hooks_run_once_and_threads_are_right(house: House) -> None:
    done = house.run(
        """
        import warnings
        log = os.open(FOLDER + "/hooks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        def hook(name): return lambda: os.write(log, f"{name} {os.getpid()}\\n".encode())
        os.register_at_fork(before=hook("before"), after_in_parent=hook("parent"), after_in_child=hook("child"))
        stop = threading.Event()
        threading.Thread(target=stop.wait, name="sleeper", daemon=True).start()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            starter = os.getpid()
            DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT, log]).open()
        worker = threading.Thread(target=lambda: report("worker"))
        worker.start(); worker.join()
        report(starter, caught[0].category.__name__, "sleeper" in str(caught[0].message),
               threading.active_count(), threading.current_thread() is threading.main_thread())
        signal.pause()
        """
    )
    assert done.returncode == 0, done.stderr
    assert house.hear() == "worker"
    starter, warning, named, count, main = house.hear().split()
    assert (warning, named, count, main) == ("DaemonWarning", "True", "1", "True")
    pid = house.pid()
    hooks = (house.folder / "hooks").read_text().splitlines()
    assert sorted(hooks) == sorted([f"before {starter}", f"parent {starter}", f"child {pid}"])
    house.end(pid)


def test_signal_map_names_methods_and_subclasses_override(house: House) -> None:
    house.run(
        """
        class Mine(DaemonContext):
            def __init__(self, word):
                super().__init__(pidfile=PidFile(PID_FILE))
                self.word = word
            def reload(self, signum, frame): report("reload", signum, self.word)
            def terminate(self, signum, frame): report("terminate"); sys.exit(0)
        mine = Mine("hello")
        mine.files_preserve = [REPORT]
        mine.signal_map.update({signal.SIGHUP: "reload", signal.SIGUSR1: None,
                                signal.SIGUSR2: lambda signum, frame: report("usr2")})
        mine.open()
        report("open")
        while True:
            signal.pause()
        """
    )
    assert house.hear() == "open"
    pid = house.pid()
    os.kill(pid, signal.SIGUSR1)
    os.kill(pid, signal.SIGHUP)
    assert house.hear() == f"reload {signal.SIGHUP} hello"
    os.kill(pid, signal.SIGUSR2)
    assert house.hear() == "usr2"
    assert house.end(pid) == 0
    assert house.hear() == "terminate"


@pytest.mark.parametrize("stdin", ["sys.stdin = None", "import io; sys.stdin = io.StringIO('x')"])
def test_odd_standard_streams(house: House, stdin: str) -> None:
    assert house.run(stdin + "\n" + textwrap.dedent(OPEN)).returncode == 0
    assert house.hear() == "open"
    house.end(house.pid())


BAD = {
    "umask='x'": "umask: expected a number from 0 to 0o777, got 'x'",
    "umask=-1": "umask: expected a number from 0 to 0o777, got -1",
    "umask=None": "umask: expected a number from 0 to 0o777, got None",
    "umask=0o1000": "umask failed: ",
    "uid='nobody-at-all'": "user failed: ",
    "uid=1.5": "uid: expected a user's name or number, or None, got 1.5",
    "uid=-1": "uid: expected a user's name or number, or None, got -1",
    "uid=True": "uid: expected a user's name or number, or None, got True",
    "uid=2**70": "uid: expected a user's name or number, or None, got ",
    "gid='nobody-at-all'": "group failed: ",
    "gid=[]": "gid: expected a group's name or number, or None, got []",
    "working_directory='/nonexistent'": "working directory failed: ",
    "working_directory='/a\\0b'": "working directory failed: ",
    "working_directory=7": "working_directory: expected a path, got 7",
    "working_directory=None": "working_directory: expected a path, got None",
    "working_directory=None, chroot_directory='/'": "working_directory: expected a path, got None",
    "chroot_directory='/nonexistent'": "chroot failed: ",
    "files_preserve=[987]": "keep descriptor failed: 987: ",
    "files_preserve=['x']": "files_preserve: expected descriptors and objects with fileno(), got 'x'",
    "files_preserve=987": "keep descriptor failed: 987: ",
    "files_preserve='x'": "files_preserve: expected descriptors and objects with fileno(), got 'x'",
    "files_preserve=1.5": "files_preserve: expected descriptors and objects with fileno(), got 1.5",
    "stdout=object()": "stdout: expected a path, a descriptor, an object with fileno(), a LogFile, a Syslog, or None, got <object",
    "stdout=-1": "keep descriptor failed: -1: ",
    "stdout=-2": "keep descriptor failed: -2: ",
    "stdin=True": "stdin: expected a path, a descriptor, an object with fileno(), or None, got True",
    "stderr='/nonexistent/log'": "stderr failed: ",
    "signal_map={0: None}": "signal map failed: ",
    "signal_map={65: None}": "signal map failed: ",
    "signal_map={9: None}": "signal map failed: ",
    "signal_map={15: 'no_such_method'}": "signal_map: expected None, a method's name, or what signal.signal takes for signal 15, got 'no_such_method'",
    "signal_map={15: 'umask'}": "signal_map: expected None, a method's name, or what signal.signal takes for signal 15, got 'umask'",
    "signal_map={15: 3.5}": "signal_map: expected None, a method's name, or what signal.signal takes for signal 15, got 3.5",
    "signal_map={'x': None}": "signal_map: expected signals, and for each None, a method's name, or what signal.signal takes, got 'x'",
    "signal_map=[15]": "signal_map: expected signals, and for each None, a method's name, or what signal.signal takes, got [15]",
    "pidfile=object()": "pidfile: expected a PidFile, a path, or an object with acquire() and release() or a context manager that is no file, got <object",
    "pidfile=sys.stdout": "pidfile: expected a PidFile, a path, or an object with acquire() and release() or a context manager that is no file, got <_io.",
    "program_name=7": "program_name: expected a name or None, got 7",
    "ready_timeout=0": "ready timeout failed: ",
    "ready_timeout=-1": "ready_timeout: expected seconds above 0, or None, got -1",
    "ready_timeout='x'": "ready_timeout: expected seconds above 0, or None, got 'x'",
    "ready_timeout=float('nan')": "ready_timeout: expected seconds above 0, or None, got nan",
    "ready_after=0": "ready_after: expected seconds above 0, or None, got 0",
    "ready_after='x'": "ready_after: expected seconds above 0, or None, got 'x'",
    "ready_after=5, ready_timeout=5": "ready_after: expected less than ready_timeout, 5 seconds, got 5",
    "ready_fd='x'": "ready_fd: expected a descriptor, an object with fileno(), or None, got 'x'",
    "ready_fd=987": "ready descriptor failed: 987: ",
}


@pytest.mark.parametrize(("option", "named"), BAD.items())
def test_bad_input_is_an_error_that_names_it_and_changes_nothing(house: House, option: str, named: str) -> None:
    done = house.run(
        f"""
        def state():
            fds = [fd for fd in range(200) if os.path.exists(f"/proc/self/fd/{{fd}}")]
            # Not SigQ, which counts what is queued for all of the user's processes.
            kept = ("SigPnd", "SigBlk", "SigIgn", "SigCgt", "Umask", "Uid", "Gid", "Groups")
            status = [l for l in open("/proc/self/status") if l.startswith(kept)]
            return fds, status, os.getcwd(), os.getpid()
        before = state()
        try:
            DaemonContext({option}).open()
        except OptionError as error:
            assert error.errno, error
            assert isinstance(error, (DaemonError, OSError, ValueError))
            print(error)
        assert state() == before, (state(), before)
        """
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(named), done.stdout
    assert done.stdout.count("\n") == 1, "one line"


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
@pytest.mark.parametrize(("groups", "expected"), [("False", []), ("True", None)])
def test_dropping_to_nobody(house: House, groups: str, expected: list[int] | None) -> None:
    house.folder.chmod(0o700)  # nobody cannot remove the file there
    done = house.run(
        f"""
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], uid="nobody", initgroups={groups}).open()
        report(*os.getresuid(), *os.getresgid(), "groups", *os.getgroups())
        """
    )
    assert done.returncode == 0, done.stderr
    ids, _, got = house.hear().partition(" groups")
    import pwd

    nobody = pwd.getpwnam("nobody")
    assert ids.split() == [str(nobody.pw_uid)] * 3 + [str(nobody.pw_gid)] * 3
    wanted = os.getgrouplist("nobody", nobody.pw_gid) if expected is None else expected
    assert sorted(map(int, got.split())) == sorted(wanted)
    pid, _ = os.waitpid(-1, 0)
    assert house.pid() == pid, "it could neither remove nor write it"
    assert daemonctx.PidFile(house.pid_path).status() == "stale"


def test_open_in_a_running_loop_is_refused(house: House) -> None:
    done = house.run(
        """
        import asyncio
        async def main():
            DaemonContext().open()
        try:
            asyncio.run(main())
        except UsageError as error:
            print(error)
        """
    )
    assert done.stdout.splitlines() == [
        "open failed: asyncio loop is running: its descriptors would be closed; "
        "open the context before asyncio.run, and await ready_async() in it"
    ]


def test_pid_file_queries(house: House) -> None:
    house.run(OPEN)
    house.hear()
    from daemonctx import PidFile

    file = PidFile(str(house.pid_path))
    pid = house.pid()
    assert (file.status(), file.read_pid(), file.is_running(), file.wait(0)) == ("running", pid, True, False)
    file.signal(0)
    assert file.stop(timeout=LIMIT) == "terminated"
    os.waitpid(pid, 0)
    assert (file.status(), file.read_pid(), file.stop()) == ("not running", None, "not running")


def test_a_stop_of_a_process_that_sigkill_does_not_end(house: House) -> None:
    """A tracer holds it in _exit(2), where no other SIGKILL reaches it."""
    from daemonctx import PidFile, PidFileError

    seize, detach, at_exit = 0x4206, 17, 0x40
    ptrace = ctypes.CDLL(None, use_errno=True).ptrace
    ptrace.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    ptrace.restype = ctypes.c_long
    house.run(OPEN)
    house.hear()
    file, pid = PidFile(house.pid_path), house.pid()
    if ptrace(seize, pid, None, at_exit) != 0:
        house.end(pid)
        pytest.skip(f"may not trace: {os.strerror(ctypes.get_errno())}")
    began = time.monotonic()
    with pytest.raises(PidFileError) as caught:
        file.stop(timeout=0)
    assert time.monotonic() - began >= 10
    assert caught.value.errno == errno.ETIMEDOUT and "(not ended 10 s after SIGKILL)" in str(caught.value)
    assert (file.status(), file.read_pid()) == ("running", pid)
    assert os.waitpid(pid, 0)[0] == pid  # It has stopped.
    assert ptrace(detach, pid, None, None) == 0
    house.reap(pid)
    assert file.stop() == "not running" and not house.pid_path.exists()


def test_an_innocent_process_is_never_signalled(house: House) -> None:
    from daemonctx import PidFile, PidFileError

    innocent = subprocess.Popen(["sleep", "60"])
    try:
        house.pid_path.write_text(f"{innocent.pid}\n")
        file = PidFile(str(house.pid_path))
        with pytest.raises(PidFileError) as caught:
            file.signal(signal.SIGTERM)
        assert caught.value.errno == errno.ESRCH
        assert file.stop() == "not running"
        assert house.run(OPEN).returncode == 0
        house.hear()
        house.end(house.pid())
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory"])
def test_what_is_no_file_is_an_error_at_once(house: House, kind: str) -> None:
    precious = house.folder / "precious"
    precious.write_text("precious")
    if kind == "symlink":
        house.pid_path.symlink_to(precious)
    elif kind == "fifo":
        os.mkfifo(house.pid_path)
    else:
        house.pid_path.mkdir()
    done = house.run(OPEN)
    assert done.returncode == 1
    assert f"pid file failed: {house.pid_path}" in done.stderr
    assert precious.read_text() == "precious"


def test_exceptions_pickle_and_the_module_lists_itself() -> None:
    import pickle

    import daemonctx

    error = daemonctx.OptionError("umask failed", errno.EINVAL, "umask", "x")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.errno, again.step) == (type(error), "umask failed", errno.EINVAL, "umask")
    assert all(hasattr(daemonctx, name) for name in daemonctx.__all__)
    assert set(dir(daemonctx)) == set(daemonctx.__all__)
    with pytest.raises(AttributeError):
        daemonctx.nonsense  # type: ignore[attr-defined]


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
def test_a_pid_file_in_a_directory_of_its_own(house: House) -> None:
    house.folder.chmod(0o755)
    done = house.run(
        """
        DaemonContext(
            runtime_directory=FOLDER + "/run", pidfile=PidFile(FOLDER + "/run/x.pid"), uid="nobody", files_preserve=[REPORT]
        ).open()
        report(os.getpid())
        signal.pause()
        """
    )
    assert done.returncode == 0, done.stderr
    pid, pid_path = int(house.hear()), house.folder / "run/x.pid"
    assert pid_path.read_text() == f"{pid}\n" and pid_path.parent.stat().st_uid == 65534
    # The parts above may be closed to it: it asks by the directory that it is in.
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert daemonctx.PidFile(pid_path).status() == "stale"
