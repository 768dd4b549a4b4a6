"""The stand-in for pep3143daemon: what programs rely on, and what it does better, with real processes."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys

import pytest
from conftest import LIMIT, House
from test_python_daemon import AS_ROOT, DIES, NOBODY, ids, in_the_club, interface, missing, python, reap_all

USE = """
import daemonctx.compat
daemonctx.compat.install("pep3143daemon")
import pep3143daemon
from pep3143daemon import DaemonContext, DaemonError, PidFile
"""
OPEN = """
    context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT])
    context.open()
    report("open")
    signal.pause()
"""


def run(house: House, body: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return house.run(body, use=USE, **kwargs)  # type: ignore[arg-type]


# --- the interface ----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(600)  # The original is fetched.
def test_every_public_name_is_there_with_its_parameters_and_defaults() -> None:
    """And every attribute of a new context and a new pid file, and what the exceptions are."""
    modules = ["pep3143daemon", "pep3143daemon.daemon", "pep3143daemon.pidfile"]
    originals = interface(python("original"), *(f"{name}={name}" for name in modules))
    ours = interface(sys.executable, *(f"{name}=daemonctx.compat.{name}" for name in modules))
    assert len(originals["pep3143daemon.daemon"]) == 8
    assert missing(originals, ours) == []


def test_the_name_leads_to_the_very_modules(house: House) -> None:
    done = run(
        house,
        """
        import pep3143daemon.daemon, pep3143daemon.pidfile, daemonctx.compat.pep3143daemon as package
        assert pep3143daemon is package and pep3143daemon.daemon is package.daemon and pep3143daemon.pidfile is package.pidfile
        assert pep3143daemon.daemon.DaemonContext is DaemonContext and issubclass(DaemonError, Exception)
        assert not issubclass(DaemonError, OSError)
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_parameters_may_be_given_by_position(house: House) -> None:
    done = run(
        house,
        """
        import inspect
        given = [f"/given {number}" for number in range(13)]
        context = DaemonContext(*given)
        names = list(inspect.signature(DaemonContext).parameters)
        assert [getattr(context, name) for name in names if name != "working_directory"] == given[:1] + given[2:]
        assert context.working_directory == "/given 0/given 1"
        print(*names)
        """,
    )
    assert done.stdout.split() == (
        "chroot_directory working_directory umask uid gid prevent_core detach_process files_preserve pidfile"
        " stdin stdout stderr signal_map"
    ).split(), done.stderr


def test_the_working_directory_is_taken_to_be_below_the_new_root(house: House) -> None:
    done = run(
        house,
        """
        context = DaemonContext(chroot_directory="/srv/root")
        print(context.working_directory)
        for directory in ("/inside", "/srv/root", "/srv/root/inside"):
            context.working_directory = directory
            print(context.working_directory)
        """,
    )
    assert done.stdout.split() == ["/srv/root/", "/srv/root/inside", "/srv/root", "/srv/root/inside"], done.stderr


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
    assert "Umask:\t0000" in pathlib.Path(f"/proc/{pid}/status").read_text()
    assert os.WEXITSTATUS(house.end(pid)) == 1
    assert not house.pid_path.exists()


def test_options_are_what_counts_when_it_is_opened(house: House) -> None:
    done = run(
        house,
        """
        context = DaemonContext(files_preserve=[])
        context.files_preserve.append(REPORT)
        context.working_directory = FOLDER
        context.umask = 0o027
        context.stdout = context.stderr = open(FOLDER + "/log", "w+")
        context.pidfile = PidFile(PID_FILE)
        context.signal_map.update({signal.SIGUSR1: lambda signum, frame: report("USR1"), signal.SIGHUP: signal.SIG_IGN})
        context.signal_map[signal.SIGUSR2] = "reload"
        context.signal_map[signal.SIGALRM] = None
        context.reload = lambda signum, frame: report("reload", signum)
        context.open()
        print("out", flush=True)
        report(os.getcwd(), oct(os.umask(0)))
        while True: signal.pause()
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert house.hear() == f"{house.folder} 0o27"
    pid = house.pid()
    os.kill(pid, signal.SIGUSR1)
    assert house.hear() == "USR1"
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGALRM)
    os.kill(pid, signal.SIGUSR2)
    assert house.hear() == f"reload {int(signal.SIGUSR2)}"
    assert (house.folder / "log").read_text() == "out\n"
    house.end(pid)


def test_close_does_nothing(house: House) -> None:
    run(
        house,
        """
        context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT])
        with context as entered:
            report(os.getpid(), entered is context, context.is_open)
        context.close()
        context.open()
        report(os.getpid(), context.is_open, os.path.exists(PID_FILE))
        signal.pause()
        """,
    )
    pid, *rest = house.hear().split()
    assert rest == ["True", "True"]
    assert house.hear() == f"{pid} True True"
    assert house.pid() == int(pid)
    house.end(int(pid))
    assert not house.pid_path.exists()


def test_a_pidfile_is_anything_with_acquire_and_is_acquired_in_the_daemon(house: House) -> None:
    run(
        house,
        """
        class Lock:
            def acquire(self):
                report("acquire", os.getpid())
        starter = os.getpid()
        with DaemonContext(pidfile=Lock(), files_preserve=[REPORT]):
            report("open", os.getpid(), starter != os.getpid())
        """,
    )
    acquired, opened = house.hear().split(), house.hear().split()
    assert (acquired, opened) == (["acquire", opened[1]], ["open", opened[1], "True"])
    reap_all()


def test_sigterm_unwinds_with_blocks_and_runs_atexit_functions(house: House) -> None:
    run(
        house,
        """
        atexit.register(lambda: report("atexit", os.path.exists(PID_FILE)))
        with DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT]):
            try:
                report("open")
                signal.pause()
            except SystemExit as error:
                report(repr(error.code))
                raise
        """,
    )
    assert house.hear() == "open"
    assert os.waitstatus_to_exitcode(house.end(house.pid())) == 1
    assert [house.hear() for _ in range(2)] == ["'Terminating on signal 15'", "atexit False"]
    assert house.silent() and not house.pid_path.exists()


def test_a_child_of_the_daemon_does_not_remove_its_pid_file(house: House) -> None:
    """In the original it does: the atexit function is inherited."""
    run(
        house,
        """
        context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT])
        context.open()
        if os.fork() == 0:
            sys.exit()
        os.wait()
        report(os.path.exists(PID_FILE))
        signal.pause()
        """,
    )
    assert house.hear() == "True"
    house.end(house.pid())


def test_buffered_text_appears_once(house: House) -> None:
    done = run(
        house,
        """
        log = open(FOLDER + "/log", "a")
        log.write("in the log\\n")
        print("before", end="")
        DaemonContext(stdout=log, stderr=log, files_preserve=[REPORT]).open()
        print("after")
        """,
    )
    reap_all()
    assert (done.returncode, done.stdout) == (0, "before"), done.stderr
    assert (house.folder / "log").read_text() == "in the log\nafter\n"


def test_below_inetd_it_does_not_detach(house: House) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = run(house, "print(DaemonContext().detach_process, pep3143daemon.daemon.parent_is_inet())", stdin=ours)
        assert done.stdout == "False True\n", done.stderr
    body = "print(DaemonContext().detach_process, pep3143daemon.daemon.parent_is_init(), pep3143daemon.daemon.detach_required())"
    assert run(house, body).stdout == "True False True\n"
    assert run(house, body, preexec_fn=lambda: os.close(0)).stdout == "True False True\n"


def test_functions_are_called_directly(house: House) -> None:
    done = run(
        house,
        """
        from pep3143daemon.daemon import *
        from pep3143daemon import daemon as steps
        assert default_signal_map() == {
            signal.SIGTERM: "terminate", signal.SIGTSTP: None, signal.SIGTTIN: None, signal.SIGTTOU: None}
        log = open(FOLDER + "/log", "w")
        redirect_stream(sys.stderr, log)
        redirect_stream(sys.stdin, None)
        os.write(2, b"redirected")
        assert os.readlink("/proc/self/fd/0") == "/dev/null"
        class Closed:
            def fileno(self): return 999
        try:
            redirect_stream(sys.stdin, Closed())
        except steps.DaemonError as error:
            print("Could not redirect" in str(error))
        close_filenos({1, log.fileno()})
        print({int(fd) for fd in os.listdir("/proc/self/fd")} == {0, 1, log.fileno()})
        """,
    )
    assert (done.returncode, done.stdout) == (0, "True\nTrue\n"), done.stderr
    assert (house.folder / "log").read_text() == "redirected"


# --- pid files --------------------------------------------------------------------------------------------------------


def test_a_second_start_ends_with_a_text(house: House) -> None:
    run(house, OPEN)
    house.hear()
    pid = house.pid()
    done = run(house, OPEN)
    assert done.returncode == 1
    assert done.stderr == f"Already running according to {house.pid_path}\n"
    assert house.pid() == pid
    house.end(pid)


def test_a_pid_file_by_itself(house: House) -> None:
    run(house, OPEN)
    house.hear()
    done = run(
        house,
        """
        for path, text in [
            (PID_FILE, f"Already running according to {PID_FILE}"),
            (FOLDER + "/none/pid", "No such file or directory"),
        ]:
            try:
                PidFile(path).acquire()
            except SystemExit as error:
                assert text in str(error.code), error.code
            else:
                raise AssertionError(path)
        path = FOLDER + "/other.pid"
        with PidFile(path) as entered:
            assert open(path).read() == f"{os.getpid()}\\n"
            assert entered.pidfile is not None
        assert not os.path.exists(path)
        try:
            with PidFile(path):
                raise KeyError("passes through")
        except KeyError:
            assert not os.path.exists(path)
        file = PidFile(path)
        assert file.pidfile is None
        file.release()
        file.acquire()
        file.release()
        file.release()
        file.acquire()
        print("done")  # And the end of the process releases it.
        """,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert not (house.folder / "other.pid").exists()
    house.end(house.pid())


@pytest.mark.parametrize("content", ["{stale}", "{reused}", ""])
def test_a_file_that_was_left_behind_is_nobodys(house: House, content: str) -> None:
    run(house, OPEN)
    house.hear()
    stale = house.pid()
    house.end(stale, signal.SIGKILL)
    house.pid_path.write_text(content.format(stale=stale, reused=os.getpid()))
    assert run(house, OPEN).returncode == 0
    assert house.hear() == "open"
    house.end(house.pid())


def test_a_file_with_something_else_in_it_is_refused(house: House) -> None:
    house.pid_path.write_text("garbage")
    done = run(house, OPEN)
    assert done.returncode == 1 and "not a pid file" in done.stderr
    assert house.pid_path.read_text() == "garbage"


def test_of_many_starts_at_once_one_wins(house: House) -> None:
    script = house.folder / "many.py"
    script.write_text(
        f"{USE}import os, signal\n"
        f"DaemonContext(pidfile=PidFile({str(house.pid_path)!r}), files_preserve=[{house.report_write}]).open()\n"
        f"os.write({house.report_write}, b'open\\n')\nsignal.pause()\n"
    )
    command = [sys.executable, str(script)]
    starts = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True, pass_fds=[house.report_write]) for _ in range(12)]
    said = [start.communicate(timeout=LIMIT)[1] for start in starts]
    assert sorted(start.returncode for start in starts) == [0] + [1] * 11
    assert sum(f"Already running according to {house.pid_path}" in text for text in said) == 11
    assert house.hear() == "open" and house.silent()
    house.end(house.pid())


def test_a_relative_path_counts_from_the_working_directory(house: House) -> None:
    run(
        house,
        """
        context = DaemonContext(working_directory=FOLDER, pidfile=PidFile("test.pid"), files_preserve=[REPORT])
        context.open()
        report("open")
        signal.pause()
        """,
        cwd="/",
    )
    assert house.hear() == "open"
    house.end(house.pid())
    assert not house.pid_path.exists()


def test_a_lock_from_before_goes_along(house: House) -> None:
    """In the original the descriptor is closed with all others, and with it the lock."""
    run(
        house,
        """
        lock = PidFile(PID_FILE)
        lock.acquire()
        DaemonContext(files_preserve=[REPORT]).open()
        others = [open("/dev/null") for _ in range(5)]
        report("open")
        try:
            signal.pause()
        finally:
            lock.release()
            report(*(os.readlink(f"/proc/self/fd/{other.fileno()}") for other in others))
        """,
    )
    assert house.hear() == "open"
    pid = house.pid()
    assert run(house, OPEN).returncode == 1
    assert house.pid() == pid
    house.end(pid)
    assert house.hear() == " ".join(["/dev/null"] * 5)
    assert not house.pid_path.exists()


@AS_ROOT
def test_a_user_that_cannot_reach_the_file_any_more(house: House) -> None:
    """Written before the change; the original, which writes it after, ends."""
    house.folder.chmod(0o700)
    run(
        house,
        """
        DaemonContext(uid=65534, gid=65534, pidfile=PidFile(PID_FILE), files_preserve=[REPORT]).open()
        report("open")
        signal.pause()
        """,
    )
    assert house.hear() == "open"
    pid = house.pid()
    house.end(pid)
    # It could neither be removed nor written: it is stale.
    assert house.pid() == pid
    assert run(house, OPEN).returncode == 0
    house.hear()
    house.end(house.pid())


# --- whose process it is ----------------------------------------------------------------------------------------------


@AS_ROOT
@pytest.mark.parametrize("options", ["uid=65534, gid=65534", "uid='nobody', gid='nogroup'"], ids=["numbers", "names"])
def test_a_change_of_user_leaves_no_group_of_the_caller(house: House, options: str) -> None:
    run(
        house,
        f"""
        DaemonContext({options}, files_preserve=[REPORT]).open()
        report(os.getpid())
        signal.pause()
        """,
        preexec_fn=lambda: os.setgroups([0, 4, 24]),
    )
    pid = int(house.hear())
    assert ids(pid) == {"Uid": [NOBODY] * 4, "Gid": [NOBODY] * 4, "Groups": []}
    house.end(pid)


@AS_ROOT
def test_a_user_without_privileges_stays_as_he_is(house: House) -> None:
    run(
        house,
        """
        os.setgroups([4, 24]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)
        DaemonContext(files_preserve=[REPORT]).open()
        report(os.getpid())
        signal.pause()
        """,
    )
    pid = int(house.hear())
    assert ids(pid) == {"Uid": [NOBODY] * 4, "Gid": [NOBODY] * 4, "Groups": [4, 24]}
    house.end(pid)


@AS_ROOT
def test_initgroups_can_be_asked_for(house: House) -> None:
    run(
        house,
        """
        context = DaemonContext(uid=65534, gid=1, files_preserve=[REPORT])
        context.initgroups = True
        context.open()
        report(os.getpid())
        signal.pause()
        """,
        **in_the_club(house),
    )
    pid = int(house.hear())
    found = ids(pid)
    assert found["Uid"] == [NOBODY] * 4 and found["Gid"] == [1] * 4 and set(found["Groups"]) == {1, 4242}
    house.end(pid)


@AS_ROOT
@pytest.mark.parametrize("options, expected", [("uid=0, gid=0", 0), ("", NOBODY)], ids=["asked for", "default"])
def test_uid_0_is_root_and_not_the_default(house: House, options: str, expected: int) -> None:
    """The original takes 0 for "not given": a set-uid program that asks to stay root becomes its caller."""
    run(
        house,
        f"""
        os.setresgid(65534, 0, 0)
        os.setresuid(65534, 0, 0)
        context = DaemonContext({options})
        assert (context.uid, context.gid) == ({expected}, {expected})
        context.files_preserve = [REPORT]
        context.open()
        report(os.getpid())
        signal.pause()
        """,
    )
    pid = int(house.hear())
    found = ids(pid)
    assert (found["Uid"], found["Gid"]) == ([expected] * 4, [expected] * 4)
    house.end(pid)


@AS_ROOT
@pytest.mark.parametrize("directory", ["/inside", "{root}/inside"])
def test_chroot(house: House, directory: str) -> None:
    root = house.folder / "root"
    (root / "inside").mkdir(parents=True)
    run(
        house,
        f"""
        context = DaemonContext(chroot_directory={str(root)!r}, working_directory={directory.format(root=root)!r})
        context.files_preserve = [REPORT]
        context.pidfile = PidFile("/inside/test.pid")
        context.open()
        report(os.getpid(), os.getcwd())
        signal.pause()
        """,
    )
    pid, cwd = house.hear().split()
    assert cwd == "/inside" and os.readlink(f"/proc/{pid}/root") == str(root)
    # In there too.
    assert (root / "inside/test.pid").read_text() == f"{pid}\n"
    house.end(int(pid))
    assert not (root / "inside/test.pid").exists()


# --- startup truth ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", DIES)
def test_the_starter_says_how_the_daemon_died_in_its_pidfile(house: House, how: str) -> None:
    statement, status, text = DIES[how]
    done = run(
        house,
        f"""
        class Lock:
            def acquire(self):
                {statement}
        DaemonContext(pidfile=Lock(), files_preserve=[REPORT]).open()
        report("open")
        """,
    )
    assert done.returncode == status and text in done.stderr
    reap_all()
    assert house.silent()


@pytest.mark.parametrize(
    "options, text",
    [
        ("working_directory='/nonexistent'", "/nonexistent"),
        ("chroot_directory='/nonexistent'", "/nonexistent"),
        ("uid='nobody at all'", "nobody at all"),
    ],
)
def test_what_can_be_known_before_is_raised_in_the_starter(house: House, options: str, text: str) -> None:
    done = run(
        house,
        f"""
        context = DaemonContext({options}, pidfile=PidFile(PID_FILE))
        before = os.getpid(), os.getcwd()
        try:
            context.open()
        except DaemonError as error:
            print(before == (os.getpid(), os.getcwd()), context.is_open, error)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True False ") and text in done.stdout
    assert not house.pid_path.exists()


def test_a_running_asyncio_loop_is_refused_before_anything_happens(house: House) -> None:
    done = run(
        house,
        """
        import asyncio

        async def main():
            before = os.getpid()
            try:
                DaemonContext(pidfile=PidFile(PID_FILE)).open()
            except DaemonError as error:
                print(before == os.getpid(), error)
            await asyncio.sleep(0.01)

        asyncio.run(main())
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("True ") and "asyncio" in done.stdout
    assert not house.pid_path.exists()


# --- descriptors and streams ------------------------------------------------------------------------------------------


def test_the_list_of_descriptors_stays_the_callers(house: House) -> None:
    done = run(
        house,
        """
        kept = [REPORT]
        context = DaemonContext(files_preserve=kept, stdout=sys.stdout, detach_process=False)
        assert context._files_preserve == {REPORT, 1}
        context.open()
        print(kept == [REPORT], context.files_preserve is kept)
        """,
    )
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


def test_descriptors_that_are_closed_already_are_left_out(house: House) -> None:
    done = run(
        house,
        """
        number = os.open("/dev/null", os.O_RDONLY)
        os.close(number)
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT, number, None, "text", 999999]).open()
        report("open")
        signal.pause()
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert house.hear() == "open"
    house.end(house.pid())


def test_a_log_handler_does_not_write_to_what_got_its_number(house: House) -> None:
    run(
        house,
        """
        import logging
        logging.basicConfig(filename=FOLDER + "/log", level=logging.INFO)
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT]).open()
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
    done = run(
        house,
        """
        import io
        context = DaemonContext(stdin=io.StringIO("text\\n"), stdout=io.StringIO(), files_preserve=[REPORT])
        context.open()
        print("printed")
        report(os.getpid(), input(), sys.stdout.getvalue().strip())
        signal.pause()
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, *said = house.hear().split()
    assert said == ["text", "printed"]
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in range(3)] == ["/dev/null"] * 3
    house.end(int(pid))


def test_threads_are_warned_of_and_the_daemon_works(house: House) -> None:
    done = run(
        house,
        """
        threading.Thread(target=threading.Event().wait, args=(60,), daemon=True, name="helper").start()
        with DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT]):
            report(threading.active_count())
            signal.pause()
        """,
    )
    assert done.returncode == 0
    assert "script.py:" in done.stderr and "DaemonWarning: 1 other thread (helper) will not exist in the daemon" in done.stderr
    assert house.hear() == "1"
    house.end(house.pid())
