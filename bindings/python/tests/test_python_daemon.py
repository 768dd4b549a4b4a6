"""The stand-in for python-daemon: what programs rely on, and what it does better, with real processes."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import pytest
from conftest import LIMIT, House
from peers import fetch

USE = """
import daemonctx.compat
daemonctx.compat.install("daemon")
import daemon
from daemon.pidfile import PIDLockFile, TimeoutPIDLockFile
"""
OPEN = """
    context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
    context.open()
    report("open")
    signal.pause()
"""
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
NOBODY = 65534


def run(house: House, body: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return house.run(body, use=USE, **kwargs)  # type: ignore[arg-type]


def interface(python: os.PathLike[str] | str, *modules: str) -> dict[str, dict[str, dict[str, object]]]:
    command = [python, pathlib.Path(fetch.__file__).with_name("interface.py"), *modules]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=True)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def missing(original: object, ours: object, where: str = "") -> list[str]:
    """What the original has and ours has not, or otherwise. That ours has more is fine."""
    if not isinstance(original, dict) or not isinstance(ours, dict):
        return [] if original == ours else [f"{where}: {original} is {ours} here"]
    found = [f"{where}/{key}: {original[key]}" for key in original if key not in ours]
    for key in original.keys() & ours.keys():
        found += missing(original[key], ours[key], f"{where}/{key}")
    return found


# --- the interface ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)  # The original is fetched.
@pytest.mark.parametrize("lockfile", [True, False], ids=["lockfile", "no lockfile"])
def test_every_public_name_is_there_with_its_parameters_and_defaults(lockfile: bool) -> None:
    """And every attribute of a new context and a new pid file, and what the exceptions are, and what lockfile's class has."""
    modules = ["daemon", "daemon.daemon", "daemon.pidfile"]
    if lockfile:
        # What catches an AlreadyLocked is a matter of lockfile's own classes: they are the same.
        modules.append("lockfile")
    originals = interface(python("original"), *(f"{name}={name}" for name in modules))
    names = {"daemon": "python_daemon", "daemon.daemon": "python_daemon.daemon", "daemon.pidfile": "python_daemon.pidfile"}
    standing_in = [f"{name}=daemonctx.compat.{names[name]}" if name in names else f"{name}={name}" for name in modules]
    ours = interface(python("with lockfile" if lockfile else "without lockfile"), *standing_in)
    assert len(originals["daemon.daemon"]) == 25
    assert missing(originals, ours) == []


def python(which: str) -> str:
    """An interpreter that has the originals, or ours with lockfile or without."""
    if which == "original":
        folder = fetch.venv("originals", "python-daemon==3.1.2", "pep3143daemon==0.1.0")
    elif which == "with lockfile":
        folder = fetch.venv("stand-in", fetch.wheel(), fetch.stand_in())
    else:
        folder = fetch.venv("alone", fetch.wheel())
    return str(folder / "bin/python")


def test_parameters_may_be_given_by_position(house: House) -> None:
    done = run(
        house,
        """
        import inspect
        given = [f"given {number}" for number in range(14)]
        context = daemon.DaemonContext(*given)
        names = list(inspect.signature(daemon.DaemonContext).parameters)
        assert [getattr(context, name) for name in names] == given
        print(*names)
        """,
    )
    assert done.stdout.split() == (
        "chroot_directory working_directory umask uid gid initgroups prevent_core detach_process files_preserve pidfile"
        " stdin stdout stderr signal_map"
    ).split(), done.stderr


# --- what a daemon is -------------------------------------------------------------------------------------------------


def test_the_daemon_is_one(house: House) -> None:
    done = run(house, OPEN)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # Complete when the starter has left.
    pid = house.pid()
    assert house.pid_path.read_text() == f"{pid}\n"
    assert house.hear() == "open"
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(stat[3]), int(stat[4])
    assert session not in (pid, os.getsid(0)) and terminal == 0
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert "Umask:\t0000" in status
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert [line.split()[4:6] for line in limits.splitlines() if "core file" in line] == [["0", "0"]]
    assert os.WEXITSTATUS(house.end(pid)) == 1
    assert not house.pid_path.exists()


def test_options_are_what_counts_when_it_is_opened(house: House) -> None:
    """Programs set them one after the other, and change the lists and maps in place."""
    done = run(
        house,
        """
        context = daemon.DaemonContext(files_preserve=[])
        context.files_preserve.append(REPORT)
        context.working_directory = FOLDER
        context.umask = 0o027
        context.prevent_core = False
        context.stdout = context.stderr = open(FOLDER + "/log", "w+")
        context.pidfile = TimeoutPIDLockFile(PID_FILE, 1)
        context.signal_map.update({signal.SIGUSR1: lambda signum, frame: report("USR1"), signal.SIGHUP: signal.SIG_IGN})
        context.signal_map[signal.SIGUSR2] = "reload"
        context.signal_map[signal.SIGALRM] = None
        context.signal_map[signal.SIGWINCH] = signal.SIG_DFL
        context.reload = lambda signum, frame: report("reload", signum)
        context.anything = "else"
        import resource
        limit = resource.getrlimit(resource.RLIMIT_CORE)
        context.open()
        assert resource.getrlimit(resource.RLIMIT_CORE) == limit
        print("out"), print("err", file=sys.stderr)
        sys.stdout.flush()
        report(os.getcwd(), oct(os.umask(0)), context.anything)
        while True: signal.pause()
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert house.hear() == f"{house.folder} 0o27 else"
    pid = house.pid()
    os.kill(pid, signal.SIGUSR1)
    assert house.hear() == "USR1"
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGALRM)
    os.kill(pid, signal.SIGUSR2)
    assert house.hear() == f"reload {int(signal.SIGUSR2)}"
    assert sorted((house.folder / "log").read_text().splitlines()) == ["err", "out"]
    house.end(pid)
    # Those of the end are there too.
    assert "Terminating on signal 15" in (house.folder / "log").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_the_working_directory_is_inside_the_new_root(house: House) -> None:
    inside = house.folder / "root/inside"
    inside.mkdir(parents=True)
    run(
        house,
        """
        context = daemon.DaemonContext(chroot_directory=FOLDER + "/root", working_directory="/inside", files_preserve=[REPORT])
        context.open()
        report(os.getpid(), os.getcwd())
        signal.pause()
        """,
    )
    pid, cwd = house.hear().split()
    assert cwd == "/inside"
    assert os.readlink(f"/proc/{pid}/root") == str(house.folder / "root")
    assert os.readlink(f"/proc/{pid}/cwd") == str(inside)
    house.end(int(pid))


def test_without_detaching_it_is_the_same_process(house: House) -> None:
    done = run(
        house,
        """
        before = os.getpid()
        context = daemon.DaemonContext(
            detach_process=False, pidfile=TimeoutPIDLockFile(PID_FILE), stdout=sys.stdout, files_preserve=[REPORT])
        with context:
            print(before == os.getpid() == context.pidfile.read_pid(), context.is_open, os.getcwd(), flush=True)
        print(context.is_open, os.path.exists(PID_FILE))
        """,
    )
    assert (done.returncode, done.stdout) == (0, "True True /\nFalse False\n"), done.stderr


def test_below_inetd_it_does_not_detach(house: House) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ask = "print(daemon.DaemonContext().detach_process, daemon.daemon.is_process_started_by_superserver())"
        done = run(house, ask, stdin=ours)
        assert done.stdout == "False True\n", done.stderr
    # A file is none, nor what is closed; the original takes what is closed for a socket.
    assert run(house, "print(daemon.DaemonContext().detach_process)").stdout == "True\n"
    assert run(house, "print(daemon.DaemonContext().detach_process)", preexec_fn=lambda: os.close(0)).stdout == "True\n"


def test_opening_again_does_nothing(house: House) -> None:
    run(
        house,
        """
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
        assert not context.is_open
        context.open()
        before = os.getpid()
        context.open()
        with context:
            report(context.is_open, os.getpid() == before)
            signal.pause()
        """,
    )
    assert house.hear() == "True True"
    house.end(house.pid())


def test_close_releases_the_pid_file_and_can_be_repeated(house: House) -> None:
    run(
        house,
        """
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
        context.close()
        context.open()
        report(os.getpid(), os.path.exists(PID_FILE))
        context.close()
        context.close()
        report(os.path.exists(PID_FILE), context.is_open)
        signal.pause()
        """,
    )
    pid, existed = house.hear().split()
    assert (existed, house.hear()) == ("True", "False False")
    house.end(int(pid))


def test_with_statements_release_whatever_ends_them(house: House) -> None:
    run(
        house,
        """
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
        try:
            with context as entered:
                report(entered is context, os.path.exists(PID_FILE))
                raise KeyError("passes through")
        except KeyError:
            report(os.path.exists(PID_FILE), context.is_open)
        """,
    )
    assert [house.hear(), house.hear()] == ["True True", "False False"]
    reap_all()


def reap_all() -> None:
    """Daemons that are about to end by themselves: this process is their parent."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return
    raise AssertionError("a daemon does not end")


def test_any_context_manager_is_a_pidfile_and_is_entered_in_the_daemon(house: House) -> None:
    run(
        house,
        """
        class Manager:
            def __enter__(self):
                report("enter", os.getpid())
            def __exit__(self, *args):
                report("exit", os.getpid(), *args)
        starter = os.getpid()
        with daemon.DaemonContext(pidfile=Manager(), files_preserve=[REPORT]):
            report("open", os.getpid(), starter != os.getpid())
        """,
    )
    enter, opened, left = house.hear().split(), house.hear().split(), house.hear().split()
    pid = enter[1]
    assert (enter, opened, left) == (["enter", pid], ["open", pid, "True"], ["exit", pid, "None", "None", "None"])
    reap_all()


# --- the end ----------------------------------------------------------------------------------------------------------


def test_sigterm_unwinds_with_blocks_and_runs_atexit_functions(house: House) -> None:
    run(
        house,
        """
        import contextlib

        @contextlib.contextmanager
        def resource():
            try:
                yield
            finally:
                report("unwound")

        atexit.register(lambda: report("atexit", os.getpid() == opened, os.path.exists(PID_FILE)))
        with daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT]):
            opened = os.getpid()
            with resource():
                try:
                    report("open")
                    signal.pause()
                except SystemExit as error:
                    report(repr(error.code))
                    raise
        """,
    )
    assert house.hear() == "open"
    status = house.end(house.pid())
    assert os.waitstatus_to_exitcode(status) == 1
    # Once: nothing of it in the starter.
    assert [house.hear() for _ in range(3)] == ["'Terminating on signal 15'", "unwound", "atexit True False"]
    assert house.silent()


def test_close_is_called_at_the_end_of_the_program(house: House) -> None:
    run(
        house,
        """
        class Manager(TimeoutPIDLockFile):
            def __exit__(self, *args):
                report("exit", os.path.exists(PID_FILE))
                super().__exit__(*args)
        context = daemon.DaemonContext(pidfile=Manager(PID_FILE), files_preserve=[REPORT])
        context.open()
        report("open", os.path.exists(PID_FILE))
        """,
    )
    assert [house.hear(), house.hear()] == ["open True", "exit True"]
    reap_all()
    assert house.silent() and not house.pid_path.exists()


def test_terminate_can_be_overridden(house: House) -> None:
    run(
        house,
        """
        class Service(daemon.DaemonContext):
            def terminate(self, signal_number, stack_frame):
                report("mine", signal_number, stack_frame is not None)
                raise SystemExit(5)
        with Service(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT]):
            report("open")
            signal.pause()
        """,
    )
    house.hear()
    assert os.waitstatus_to_exitcode(house.end(house.pid())) == 5
    assert house.hear() == "mine 15 True"


def test_a_child_of_the_daemon_does_not_remove_its_pid_file(house: House) -> None:
    run(
        house,
        """
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
        context.open()
        if os.fork() == 0:
            sys.exit()  # With the atexit functions that it has inherited.
        os.wait()
        report(os.path.exists(PID_FILE), context.pidfile.i_am_locking())
        signal.pause()
        """,
    )
    assert house.hear() == "True True"
    house.end(house.pid())


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_buffered_text_appears_once(house: House, stream: str) -> None:
    done = run(
        house,
        f"""
        import io
        sys.stderr = io.TextIOWrapper(open(2, "wb", closefd=False))  # A buffer as large as that of sys.stdout.
        log = open(FOLDER + "/log", "a")
        log.write("in the log\\n")
        print("before", end="", file=sys.{stream})
        context = daemon.DaemonContext(stdout=log, stderr=log, files_preserve=[REPORT])
        context.open()
        print("after", file=sys.{stream})
        report(os.getpid())
        """,
    )
    house.hear()
    reap_all()
    assert done.returncode == 0
    assert getattr(done, stream) == "before"
    assert (house.folder / "log").read_text() == "in the log\nafter\n"


# --- steps as functions -----------------------------------------------------------------------------------------------


def test_functions_are_called_directly(house: House) -> None:
    done = run(
        house,
        """
        import resource, warnings
        from daemon import daemon as steps

        steps.change_working_directory(FOLDER)
        steps.change_file_creation_mask(0o077)
        assert os.getcwd() == FOLDER and os.umask(0) == 0o077
        for function, value in [(steps.change_working_directory, "/nonexistent"), (steps.change_root_directory, "/nonexistent"),
                                (steps.change_file_creation_mask, "077")]:
            try:
                function(value)
            except steps.DaemonOSEnvironmentError as error:
                assert isinstance(error, (steps.DaemonError, OSError)), error
                print(error)
            else:
                raise AssertionError(function)

        steps.set_signal_handlers({signal.SIGUSR1: signal.SIG_IGN, signal.SIGUSR2: (handler := lambda *args: None)})
        assert signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN and signal.getsignal(signal.SIGUSR2) is handler
        assert steps.make_default_signal_map() == {
            signal.SIGTERM: "terminate", signal.SIGTSTP: None, signal.SIGTTIN: None, signal.SIGTTOU: None}
        assert steps.make_default_signal_map() is not steps.make_default_signal_map()

        steps.prevent_core_dump()
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        assert steps.get_maximum_file_descriptors() == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        assert steps.get_stream_file_descriptors() == {0, 1, 2}
        assert steps.get_username_for_uid(0) == "root"
        assert steps.is_detach_process_context_required() and not steps.is_process_started_by_init()

        import socket
        a, b = socket.socketpair()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert steps.is_socket(a.fileno()) and not steps.is_socket(0)
        assert [warning.category for warning in caught] == [DeprecationWarning] * 2
        before = os.listdir("/proc/self/fd")
        assert steps.is_socket_file(a) and not steps.is_socket_file(sys.stdin)
        assert not steps.is_process_started_by_superserver()
        assert os.listdir("/proc/self/fd") == before

        steps.close_file_descriptor_if_open(a.fileno())
        steps.close_file_descriptor_if_open(a.fileno())
        try:
            os.fstat(a.fileno())
        except OSError:
            print("closed")
        a.detach()

        log = open(FOLDER + "/log", "w")
        steps.redirect_stream(sys.stderr, log)
        steps.redirect_stream(sys.stdin, None)
        os.write(2, b"redirected")
        assert os.readlink("/proc/self/fd/0") == "/dev/null"
        steps.register_atexit_function(lambda: os.write(1, b"at exit\\n"))

        try:
            steps.close_all_open_files({0, "1"})
        except TypeError as error:
            print(error)
        steps.close_all_open_files(exclude={1, log.fileno()})
        # The list of the folder has a descriptor itself, the lowest that is free.
        print({int(fd) for fd in os.listdir("/proc/self/fd")} == {0, 1, log.fileno()})
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Unable to change working directory ([Errno 2] No such file or directory: '/nonexistent')",
        "Unable to change root directory ([Errno 2] No such file or directory: '/nonexistent')",
        done.stdout.splitlines()[2],
        "closed",
        "not an integer file descriptor: '1'",
        "True",
        "at exit",
    ]
    assert (house.folder / "log").read_text() == "redirected"


def test_detaching_by_itself(house: House) -> None:
    done = run(
        house,
        """
        before = os.getpid()
        daemon.daemon.detach_process_context()
        report(before, os.getpid(), os.getsid(0))
        signal.pause()
        """,
    )
    assert done.returncode == 0
    starter, pid, session = map(int, house.hear().split())
    # A session of its own, and not its leader.
    assert len({starter, pid, session, os.getsid(0)}) == 4
    house.end(pid)


STEPS = [
    "change_file_creation_mask",
    "change_process_owner",
    "change_working_directory",
    "close_all_open_files",
    "detach_process_context",
    "prevent_core_dump",
    "redirect_stream",
    "register_atexit_function",
    "set_signal_handlers",
]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_a_program_has_replaced_is_called(house: House, step: str) -> None:
    done = run(
        house,
        f"""
        original, called = daemon.daemon.{step}, []
        def replacement(*args, **kwargs):
            called.append((args, kwargs))
            return original(*args, **kwargs)
        daemon.daemon.{step} = replacement
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT], stdout=sys.stdout)
        context.open()
        report(len(called), context.is_open, os.getcwd(), os.getsid(0) != os.getpid())
        signal.pause()
        """,
    )
    assert done.returncode == 0, done.stderr
    # The streams are three.
    assert house.hear() == f"{3 if step == 'redirect_stream' else 1} True / True"
    pid = house.pid()
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert os.waitstatus_to_exitcode(house.end(pid)) == 1
    assert not house.pid_path.exists()


def test_a_step_that_a_program_has_taken_out_is_not_done(house: House) -> None:
    (house.folder / "kept").touch()
    run(
        house,
        """
        daemon.daemon.close_all_open_files = lambda exclude=None: None
        kept = open(FOLDER + "/kept")
        daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE)).open()
        report(os.readlink(f"/proc/self/fd/{kept.fileno()}"))
        signal.pause()
        """,
    )
    assert house.hear() == str(house.folder / "kept")
    house.end(house.pid())


# --- whose process it is ----------------------------------------------------------------------------------------------


def ids(pid: int) -> dict[str, list[int]]:
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: list(map(int, value.split())) for key, _, value in (line.partition(":") for line in lines) if key in IDS}


IDS = {"Uid", "Gid", "Groups"}


@AS_ROOT
@pytest.mark.parametrize("directly", [False, True], ids=["context", "function"])
def test_a_change_of_user_leaves_no_group_of_the_caller(house: House, directly: bool) -> None:
    change = "daemon.daemon.change_process_owner(65534, 65534)" if directly else "pass"
    options = "" if directly else "uid=65534, gid=65534, "
    run(
        house,
        f"""
        {change}
        context = daemon.DaemonContext({options}files_preserve=[REPORT])
        context.open()
        report(os.getpid())
        signal.pause()
        """,
        preexec_fn=lambda: os.setgroups([0, 4, 24]),
    )
    pid = int(house.hear())
    assert ids(pid) == {"Uid": [NOBODY] * 4, "Gid": [NOBODY] * 4, "Groups": []}
    house.end(pid)


# Somebody with a group more than his own, without a change to the system.
GROUPS = "daemon:x:1:\nnogroup:x:65534:\nclub:x:4242:nobody\n"


def in_the_club(house: House) -> dict[str, object]:
    groups = house.folder / "group"
    groups.write_text(GROUPS)

    def prepare() -> None:
        os.setgroups([0, 4, 24])
        subprocess_namespace(groups)

    return {"preexec_fn": prepare}


def subprocess_namespace(groups: pathlib.Path) -> None:
    """A mount namespace of this process's own, where that file is /etc/group."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    new_mounts, bind, private = 0x20000, 4096, 16384 | 1 << 18
    for result in (
        libc.unshare(new_mounts),
        libc.mount(None, b"/", None, private, None),
        libc.mount(bytes(groups), b"/etc/group", None, bind, None),
    ):
        if result:
            raise OSError(ctypes.get_errno(), "mount namespace")


@AS_ROOT
@pytest.mark.parametrize("directly", [False, True], ids=["context", "function"])
def test_initgroups_sets_the_gid_too(house: House, directly: bool) -> None:
    """The original leaves the caller's real, effective and saved gid as they are: root's."""
    change = "daemon.daemon.change_process_owner(65534, 1, initgroups=True)" if directly else "pass"
    options = "" if directly else "uid=65534, gid=1, initgroups=True, "
    run(
        house,
        f"""
        {change}
        context = daemon.DaemonContext({options}files_preserve=[REPORT])
        context.open()
        report(os.getpid())
        signal.pause()
        """,
        **in_the_club(house),
    )
    pid = int(house.hear())
    found = ids(pid)
    assert found == {"Uid": [NOBODY] * 4, "Gid": [1] * 4, "Groups": found["Groups"]}
    # Of the user, and the gid that was asked for.
    assert set(found["Groups"]) == {1, 4242}
    house.end(pid)


@AS_ROOT
def test_initgroups_for_a_uid_without_a_name(house: House) -> None:
    run(
        house,
        """
        context = daemon.DaemonContext(uid=54321, gid=54321, initgroups=True, files_preserve=[REPORT])
        context.open()
        report(os.getpid())
        signal.pause()
        """,
        preexec_fn=lambda: os.setgroups([0, 4, 24]),
    )
    pid = int(house.hear())
    assert ids(pid) == {"Uid": [54321] * 4, "Gid": [54321] * 4, "Groups": []}
    house.end(pid)


@AS_ROOT
def test_a_process_that_changes_no_user_keeps_its_groups(house: House) -> None:
    run(house, OPEN, preexec_fn=lambda: os.setgroups([0, 4, 24]))
    house.hear()
    pid = house.pid()
    assert ids(pid) == {"Uid": [0] * 4, "Gid": [0] * 4, "Groups": [0, 4, 24]}
    house.end(pid)


@AS_ROOT
def test_a_user_without_privileges_stays_as_he_is(house: House) -> None:
    run(
        house,
        """
        os.setgroups([4, 24]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
        daemon.DaemonContext(files_preserve=[REPORT]).open()
        report(os.getpid())
        signal.pause()
        """,
    )
    pid = int(house.hear())
    assert ids(pid) == {"Uid": [NOBODY] * 4, "Gid": [NOBODY] * 4, "Groups": [4, 24]}
    house.end(pid)


@AS_ROOT
def test_a_raised_privilege_is_given_up(house: House) -> None:
    """The default is the real user: what a set-uid program got besides is gone."""
    run(
        house,
        """
        os.setresgid(65534, 0, 0)
        os.setresuid(65534, 0, 0)
        context = daemon.DaemonContext(files_preserve=[REPORT])
        context.open()
        report(os.getpid())
        signal.pause()
        """,
        preexec_fn=lambda: os.setgroups([0, 4, 24]),
    )
    pid = int(house.hear())
    assert ids(pid) == {"Uid": [NOBODY] * 4, "Gid": [NOBODY] * 4, "Groups": []}
    house.end(pid)


@AS_ROOT
def test_uid_0_is_root(house: House) -> None:
    run(
        house,
        """
        os.setresgid(65534, 0, 0)
        os.setresuid(65534, 0, 0)
        context = daemon.DaemonContext(uid=0, gid=0, files_preserve=[REPORT])
        context.open()
        report(os.getpid())
        signal.pause()
        """,
    )
    pid = int(house.hear())
    found = ids(pid)
    assert (found["Uid"], found["Gid"]) == ([0] * 4, [0] * 4)
    house.end(pid)


# --- startup truth ----------------------------------------------------------------------------------------------------

DIES = {
    "an exception": ("raise RuntimeError('in the daemon')", 1, "RuntimeError: in the daemon"),
    "a status": ("raise SystemExit(3)", 3, "SystemExit: 3"),
    "a text": ("raise SystemExit('no')", 1, "start failed: no"),
    "_exit": ("os._exit(7)", 7, "7"),
    "_exit with 0": ("os._exit(0)", 1, ""),
    "a signal": ("os.kill(os.getpid(), signal.SIGKILL)", 128 + signal.SIGKILL, "SIGKILL"),
}


@pytest.mark.parametrize("how", DIES)
def test_the_starter_says_how_the_daemon_died_in_its_pidfile(house: House, how: str) -> None:
    """The original's starter leaves with 0 before any of this happens."""
    statement, status, text = DIES[how]
    done = run(
        house,
        f"""
        class Manager:
            def __enter__(self):
                {statement}
            def __exit__(self, *args):
                report("exit")
        with daemon.DaemonContext(pidfile=Manager(), files_preserve=[REPORT]):
            report("open")
        """,
    )
    assert done.returncode == status
    assert text in done.stderr and "script.py: " in done.stderr.splitlines()[-1] + done.stderr.splitlines()[0]
    reap_all()
    assert house.silent()


def test_the_starter_says_that_it_is_locked(house: House) -> None:
    run(house, OPEN)
    pid = house.pid()
    done = run(house, OPEN)
    assert done.returncode == 1
    assert f"AlreadyLocked: {house.pid_path} is already locked" in done.stderr
    assert house.hear() == "open" and house.pid() == pid
    house.end(pid)
    assert house.silent()


@pytest.mark.parametrize(
    "options, number, text",
    [
        ("working_directory='/nonexistent'", errno.ENOENT, "/nonexistent"),
        ("working_directory='/dev/null'", errno.ENOTDIR, "/dev/null"),
        ("chroot_directory='/nonexistent'", errno.ENOENT, "/nonexistent"),
        ("umask='077'", None, "file creation mask"),
    ],
)
def test_what_can_be_known_before_is_raised_in_the_starter(house: House, options: str, number: int, text: str) -> None:
    done = run(
        house,
        f"""
        context = daemon.DaemonContext({options}, pidfile=TimeoutPIDLockFile(PID_FILE))
        before = os.getpid(), os.getcwd()
        try:
            context.open()
        except daemon.daemon.DaemonOSEnvironmentError as error:
            assert isinstance(error, daemon.daemon.DaemonError) and isinstance(error, OSError)
            assert before == (os.getpid(), os.getcwd())
            print(error.errno, context.is_open, error)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{number} False ") and text in done.stdout
    assert not house.pid_path.exists()


@AS_ROOT
def test_a_user_that_it_may_not_become(house: House) -> None:
    done = run(
        house,
        """
        os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
        os.chdir("/")
        try:
            daemon.DaemonContext(uid=0, gid=0).open()
        except daemon.daemon.DaemonOSEnvironmentError as error:
            print(error.errno)
        try:
            daemon.daemon.change_process_owner(0, 0)
        except daemon.daemon.DaemonOSEnvironmentError as error:
            print(error)
        """,
    )
    if done.returncode:  # Raised after the fork: the starter says so.
        assert "not permitted" in done.stderr
    else:
        assert done.stdout.splitlines() == ["1", "Unable to change process owner ([Errno 1] Operation not permitted)"]


def test_nothing_is_left_behind_by_a_start_that_failed(house: House) -> None:
    done = run(
        house,
        """
        class Manager(TimeoutPIDLockFile):
            def __enter__(self):
                super().__enter__()
                raise RuntimeError("too late")
        daemon.DaemonContext(pidfile=Manager(PID_FILE)).open()
        """,
    )
    assert done.returncode == 1
    # No process: the fixture sees to that. And a file, if any, is nobody's.
    assert run(house, OPEN).returncode == 0
    assert house.hear() == "open"
    house.end(house.pid())


def test_a_running_asyncio_loop_is_refused_before_anything_happens(house: House) -> None:
    done = run(
        house,
        """
        import asyncio

        async def main():
            before = os.getpid()
            context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE))
            try:
                context.open()
            except daemon.daemon.DaemonError as error:
                print(before == os.getpid(), context.is_open, error)
            await asyncio.sleep(0.01)  # The loop is whole.
            print("slept")

        asyncio.run(main())
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
        with context:
            async def inside():
                await asyncio.sleep(0.01)
                report("slept inside")
            asyncio.run(inside())
        """,
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("True False ") and "asyncio" in first and second == "slept"
    assert house.hear() == "slept inside"
    reap_all()


# --- descriptors and streams ------------------------------------------------------------------------------------------


def test_the_list_of_descriptors_stays_the_callers(house: House) -> None:
    done = run(
        house,
        """
        log = open(FOLDER + "/log", "a")
        kept = [REPORT, log]
        context = daemon.DaemonContext(files_preserve=kept, stdin=sys.stdin, stdout=log, stderr=log, detach_process=False)
        context.open()
        context.close()
        context.open()
        report(len(kept), kept == [REPORT, log], context.files_preserve is kept)
        assert context._get_exclude_file_descriptors() == {0, REPORT, log.fileno()}
        """,
    )
    assert done.returncode == 0, (house.folder / "log").read_text()
    assert house.hear() == "2 True True"


def test_descriptors_that_are_closed_already_are_left_out(house: House) -> None:
    done = run(
        house,
        """
        number = os.open("/dev/null", os.O_RDONLY)
        os.close(number)
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT, number, None, 999999])
        context.open()
        report("open")
        signal.pause()
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert house.hear() == "open"
    house.end(house.pid())


@pytest.mark.parametrize("item", ["'file'", "3.5", "object()"])
def test_what_is_no_descriptor_is_a_type_error(house: House, item: str) -> None:
    done = run(house, f"daemon.DaemonContext(files_preserve=[{item}]).open()")
    assert done.returncode == 1
    assert "TypeError: not an integer file descriptor" in done.stderr


def test_everything_else_is_closed(house: House) -> None:
    run(
        house,
        """
        kept, closed = open("/dev/null"), open("/dev/null")
        number = closed.fileno()
        context = daemon.DaemonContext(files_preserve=[kept, REPORT])
        context.open()
        report(os.getpid(), kept.fileno(), number, *os.listdir("/proc/self/fd"))
        signal.pause()
        """,
    )
    pid, kept, closed, *found = map(int, house.hear().split())
    assert {0, 1, 2, kept, house.report_write} <= set(found)
    # The list of the folder has a descriptor itself.
    assert not pathlib.Path(f"/proc/{pid}/fd/{closed}").exists()
    assert len(found) == 6
    house.end(pid)


def test_a_log_handler_does_not_write_to_what_got_its_number(house: House) -> None:
    """In the original its file is closed below it, and the next file that is opened gets the number, and the log."""
    run(
        house,
        """
        import logging
        logging.basicConfig(filename=FOLDER + "/log", level=logging.INFO)
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
        context.open()
        data = open(FOLDER + "/data", "w")
        logging.info("logged")
        data.flush()
        report("done")
        signal.pause()
        """,
    )
    assert house.hear() == "done"
    assert (house.folder / "data").read_text() == ""
    assert (house.folder / "log").read_text() == "INFO:root:logged\n"
    house.end(house.pid())


def test_a_stringio_becomes_the_stream(house: House) -> None:
    """In the original an exception in the daemon, which nobody sees."""
    done = run(
        house,
        """
        import io
        collected = io.StringIO()
        context = daemon.DaemonContext(stdin=io.StringIO("some text\\n"), stdout=collected, files_preserve=[REPORT])
        context.open()
        print("printed")
        report(os.getpid(), input(), collected.getvalue().strip())
        signal.pause()
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, *said = house.hear().split()
    assert said == ["some", "text", "printed"]
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    house.end(int(pid))


def test_streams_lead_to_the_files(house: House) -> None:
    (house.folder / "in").write_text("a line\n")
    run(
        house,
        """
        files = [open(FOLDER + "/in"), open(FOLDER + "/log", "w+"), open(FOLDER + "/log2", "w+")]
        context = daemon.DaemonContext(
            stdin=files[0], stdout=files[1], stderr=files[2], files_preserve=[REPORT], pidfile=TimeoutPIDLockFile(PID_FILE))
        with context:
            print(input(), flush=True)
            os.system("echo of a child; echo error >&2")
            report("done")
            signal.pause()
        """,
    )
    assert house.hear() == "done"
    assert (house.folder / "log").read_text() == "a line\nof a child\n"
    assert (house.folder / "log2").read_text() == "error\n"
    house.end(house.pid())


def test_threads_are_warned_of_and_the_daemon_works(house: House) -> None:
    done = run(
        house,
        """
        threading.Thread(target=threading.Event().wait, args=(60,), daemon=True, name="helper").start()
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
        context.open()
        report(threading.active_count())
        signal.pause()
        """,
    )
    assert done.returncode == 0
    assert "DaemonWarning: 1 other thread (helper) will not exist in the daemon" in done.stderr
    assert "script.py:" in done.stderr, "where the program opens it"
    assert house.hear() == "1"
    house.end(house.pid())


# --- pid files --------------------------------------------------------------------------------------------------------

LOCKS = pytest.mark.parametrize("lockfile", [True, False], ids=["lockfile", "no lockfile"])
LOCK_NAMES = """
from daemonctx.compat import _lockfile as errors
try:
    import lockfile
    for name in "Error LockError LockTimeout AlreadyLocked LockFailed UnlockError NotLocked NotMyLock LockBase".split():
        assert getattr(errors, name) is getattr(lockfile, name), name
except ImportError:
    lockfile = None
import time
"""


def locks(house: House, lockfile: bool, body: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Runs a script where lockfile is installed, or is not."""
    interpreter = python("with lockfile" if lockfile else "without lockfile")
    check = f"assert (lockfile is not None) is {lockfile}\n"
    done = house.run(body, use=USE + LOCK_NAMES + check, python=interpreter, **kwargs)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.timeout(600)  # Environments with lockfile and without are made.
@LOCKS
def test_the_interface_of_lockfile(house: House, lockfile: bool) -> None:
    done = locks(
        house,
        lockfile,
        """
        lock = TimeoutPIDLockFile(PID_FILE)
        def state(): return lock.is_locked(), lock.i_am_locking(), lock.read_pid()
        def error(function, *args):
            try: function(*args)
            except errors.Error as error: return type(error).__name__, type(error).__bases__[0].__name__

        assert isinstance(lock, errors.LockBase) and isinstance(lock, PIDLockFile) and lock.path == PID_FILE
        assert state() == (False, False, None)
        assert error(lock.release) == ("NotLocked", "UnlockError")
        lock.break_lock()
        lock.acquire()
        assert state() == (True, True, os.getpid())
        assert open(PID_FILE).read() == f"{os.getpid()}\\n"
        lock.release()
        assert state() == (False, False, None) and not os.path.exists(PID_FILE)
        with lock as entered:
            assert entered is lock and state() == (True, True, os.getpid())
        assert not os.path.exists(PID_FILE)
        try:
            with lock: raise KeyError
        except KeyError: pass
        assert not os.path.exists(PID_FILE)
        assert error(PIDLockFile(FOLDER + "/none/x.pid").acquire) == ("LockFailed", "LockError")
        assert error(PIDLockFile(FOLDER).acquire) == ("LockFailed", "LockError")
        open(PID_FILE, "w").write("no number")
        assert state() == (False, False, None)
        """,
    )
    assert done.stderr == ""


@pytest.mark.timeout(600)
@LOCKS
def test_somebody_elses_lock(house: House, lockfile: bool) -> None:
    run(house, OPEN)
    house.hear()
    pid = house.pid()
    locks(
        house,
        lockfile,
        f"""
        lock = TimeoutPIDLockFile(PID_FILE)
        assert (lock.is_locked(), lock.i_am_locking(), lock.read_pid()) == (True, False, {pid})
        try: lock.release()
        except errors.NotMyLock: pass
        else: raise AssertionError("released")
        for timeout in (None, 0, -1):
            begin = time.monotonic()
            try: lock.acquire(timeout)
            except errors.AlreadyLocked as error: assert isinstance(error, errors.LockError)
            else: raise AssertionError(timeout)
            assert time.monotonic() - begin < 0.2
        for lock, args in [
            (lock, (0.3,)),
            (TimeoutPIDLockFile(PID_FILE, 0.3), ()),
            (TimeoutPIDLockFile(PID_FILE, acquire_timeout=0.3), (None,)),
            (TimeoutPIDLockFile(PID_FILE, 60), (0.3,)),
            (PIDLockFile(PID_FILE, timeout=0.3), ()),
        ]:
            begin = time.monotonic()
            try: lock.acquire(*args)
            except errors.LockTimeout as error: assert isinstance(error, errors.LockError)
            else: raise AssertionError(args)
            assert 0.3 <= time.monotonic() - begin < 2, time.monotonic() - begin
        assert lock.read_pid() == {pid}
        lock.break_lock()
        assert not os.path.exists(PID_FILE)
        """,
    )
    house.end(pid)


@pytest.mark.parametrize("how", ["context.pidfile.release()", "os.kill(os.getpid(), signal.SIGKILL)"], ids=["released", "killed"])
def test_a_timeout_gets_the_lock_that_somebody_gives_up(house: House, how: str) -> None:
    run(
        house,
        f"""
        import time
        context = daemon.DaemonContext(pidfile=TimeoutPIDLockFile(PID_FILE), files_preserve=[REPORT])
        context.open()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        report(os.getpid())
        signal.sigwait([signal.SIGUSR1])
        time.sleep(0.3)
        {how}
        signal.pause()
        """,
    )
    holder = int(house.hear())
    os.kill(holder, signal.SIGUSR1)
    done = run(house, "lock = TimeoutPIDLockFile(PID_FILE, 10)\nlock.acquire()\nprint(lock.i_am_locking())")
    assert done.stdout == "True\n", done.stderr
    house.end(holder)


def test_a_file_that_was_left_behind_is_nobodys(house: House) -> None:
    run(house, OPEN)
    house.hear()
    old = house.pid()
    house.end(old, signal.SIGKILL)
    assert house.pid() == old
    done = run(house, "lock = PIDLockFile(PID_FILE)\nprint(lock.is_locked(), lock.i_am_locking(), lock.read_pid())")
    assert done.stdout == f"False False {old}\n"
    assert run(house, OPEN).returncode == 0
    assert house.hear() == "open" and house.pid() != old
    house.end(house.pid())


def test_a_number_that_is_another_process_by_now_means_nobody(house: House) -> None:
    # This process, which began after the file was written.
    house.pid_path.write_text(f"{os.getpid()}\n")
    os.utime(house.pid_path, (1, 1))
    assert run(house, OPEN).returncode == 0
    assert house.hear() == "open"
    house.end(house.pid())


def test_a_file_of_the_original_is_understood(house: House) -> None:
    """It has a PID and no lock of the kernel's; the process was there before the file."""
    house.pid_path.write_text(f"{os.getpid()}\n")
    done = run(house, OPEN)
    assert done.returncode == 1 and "AlreadyLocked" in done.stderr
    assert house.pid() == os.getpid()


def test_a_lock_from_before_goes_along(house: House) -> None:
    """In the original the file holds the starter's PID, who is gone: NotMyLock for the daemon, and a lock for ever."""
    run(
        house,
        """
        lock = TimeoutPIDLockFile(PID_FILE)
        lock.acquire()
        before = lock.read_pid()
        context = daemon.DaemonContext(files_preserve=[REPORT])
        context.open()
        report(os.getpid(), before != os.getpid(), lock.i_am_locking())
        signal.pause()
        """,
    )
    pid, *rest = house.hear().split()
    assert rest == ["True", "True"] and house.pid() == int(pid)
    assert run(house, OPEN).returncode == 1
    house.end(int(pid))
    assert run(house, OPEN).returncode == 0
    house.hear()
    house.end(house.pid())


def test_of_many_starts_at_once_one_wins(house: House) -> None:
    script = house.folder / "many.py"
    script.write_text(
        f"{USE}import os, signal\npidfile = TimeoutPIDLockFile({str(house.pid_path)!r})\n"
        f"daemon.DaemonContext(pidfile=pidfile, files_preserve=[{house.report_write}]).open()\n"
        f"os.write({house.report_write}, b'open\\n')\nsignal.pause()\n"
    )
    command = [sys.executable, str(script)]
    starts = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=[house.report_write]) for _ in range(12)]
    said = [start.communicate(timeout=LIMIT)[1] for start in starts]
    assert sorted(start.returncode for start in starts) == [0] + [1] * 11
    assert sum("AlreadyLocked" in text for text in said) == 11
    assert house.hear() == "open" and house.silent()
    house.end(house.pid())


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_below_a_new_root_nothing_has_to_be_imported(house: House) -> None:
    """Neither modules nor codecs are there."""
    root = house.folder / "root"
    root.mkdir()
    body = """
        context = daemon.DaemonContext(
            chroot_directory=FOLDER + "/root", pidfile=TimeoutPIDLockFile("/test.pid", TIMEOUT), files_preserve=[REPORT])
        try:
            context.open()
        except Exception as error:
            report(type(error).__name__, context.pidfile.read_pid(), context.pidfile.is_locked(), context.pidfile.i_am_locking())
            sys.exit(9)
        lock = context.pidfile
        report(os.getpid(), lock.read_pid(), lock.is_locked(), lock.i_am_locking())
        signal.pause()
        """
    assert run(house, body, head="TIMEOUT = None\n").returncode == 0
    pid, *rest = house.hear().split()
    assert rest == [pid, "True", "True"] and (root / "test.pid").read_text() == f"{pid}\n"
    assert run(house, body, head="TIMEOUT = None\n").returncode == 1
    assert house.hear() == f"AlreadyLocked {pid} True False"
    assert run(house, body, head="TIMEOUT = 0.2\n").returncode == 1
    assert house.hear() == f"LockTimeout {pid} True False"
    house.end(int(pid))
    assert not (root / "test.pid").exists()
    reap_all()


def test_a_folder_that_is_not_there(house: House) -> None:
    done = run(house, "daemon.DaemonContext(pidfile=TimeoutPIDLockFile(FOLDER + '/none/x.pid')).open()")
    assert done.returncode == 1
    assert "LockFailed: " in done.stderr and "No such file or directory" in done.stderr
