"""What options can be, and what is said of those that cannot."""

from __future__ import annotations

import os
import pathlib
import signal

import daemonctx
import pytest
from conftest import House
from daemonctx import DaemonContext, OptionError, PidFile
from daemonctx.compat import pep3143daemon, python_daemon

CONTEXTS = {
    "native": "from daemonctx import DaemonContext",
    "python_daemon": "from daemonctx.compat.python_daemon import DaemonContext",
    "pep3143daemon": "from daemonctx.compat.pep3143daemon import DaemonContext",
}
EACH_CONTEXT = pytest.mark.parametrize("use", CONTEXTS.values(), ids=CONTEXTS)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("pid_file", "pidfile"),
        ("pidfle", "pidfile"),
        ("pidflie", "pidfile"),
        ("PidFile", "pidfile"),
        ("umaks", "umask"),
        ("preserve_files", "files_preserve"),
        ("files_preserved", "files_preserve"),
        ("working_dir", "working_directory"),
        ("detach", "detach_process"),
        ("chroot", "chroot_directory"),
        ("ready_timout", "ready_timeout"),
        ("stder", "stderr"),
        ("UID", "uid"),
    ],
)
def test_a_slip_in_a_name_is_refused(name: str, meant: str) -> None:
    context = DaemonContext()
    with pytest.raises(OptionError, match=f"^{name}: no such option, did you mean {meant}\\?$"):
        setattr(context, name, None)
    # The stand-ins take what the originals take.
    for other in (python_daemon.DaemonContext(), pep3143daemon.DaemonContext()):
        setattr(other, name, None)


@pytest.mark.parametrize("name", ["config", "server", "name", "user", "logger", "stdio", "mask", "signal", "runtime", "_pid_file"])
def test_a_program_may_have_names_of_its_own(name: str) -> None:
    setattr(DaemonContext(), name, 1)


def test_a_subclass_may_declare_what_looks_like_a_slip() -> None:
    class Mine(DaemonContext):
        pid_file = None

    context = Mine()
    context.pid_file = "/run/mine"
    assert vars(context)["pid_file"] == "/run/mine"


def test_repr_shows_what_is_set(tmp_path: pathlib.Path) -> None:
    assert repr(DaemonContext()) == "DaemonContext()"
    context = DaemonContext(umask=0o022, pidfile=PidFile("/run/x.pid"), manual_ready=True)
    assert repr(context) == "DaemonContext(umask=18, pidfile=PidFile('/run/x.pid'), manual_ready=True)"
    context.signal_map = {}
    assert "signal_map={}" in repr(context)

    class Mine(DaemonContext):
        pass

    assert repr(Mine(uid="nobody")) == "Mine(uid='nobody')"


def test_repr_shows_that_it_is_open(house: House) -> None:
    house.run("context = DaemonContext(files_preserve=[REPORT])\ncontext.open()\nreport(os.getpid(), repr(context))")
    pid, _, shown = house.hear().partition(" ")
    assert shown == f"<DaemonContext(files_preserve=[{house.report_write}]), open>"
    house.reap(int(pid))


@EACH_CONTEXT
@pytest.mark.parametrize("path", ["PID_FILE", "PID_FILE.encode()", "pathlib.Path(PID_FILE)"])
def test_a_path_is_a_pid_file(house: House, use: str, path: str) -> None:
    body = f"""
        import pathlib, time
        with DaemonContext(pidfile={path}, files_preserve=[REPORT]) as context:
            report(os.getpid(), open(PID_FILE).read().strip())
            signal.pause()
        """
    assert house.run(body, use=use).returncode == 0
    pid, written = house.hear().split()
    assert pid == written
    assert PidFile(str(house.pid_path)).status() == "running", "it is locked"
    assert house.run(body, use=use).returncode == 1, "a second one is refused"
    house.end(int(pid))
    assert not house.pid_path.exists()


@EACH_CONTEXT
@pytest.mark.parametrize("file", ["open(PID_FILE, 'w')", "os.fdopen(os.open(PID_FILE, os.O_RDWR | os.O_CREAT))"])
def test_a_file_is_no_pid_file(house: House, use: str, file: str) -> None:
    done = house.run(f"DaemonContext(pidfile={file}).open()", use=use)
    assert done.returncode == 1
    expected = "a PidFile, a path, or an object with acquire() and release() or a context manager that is no file"
    assert f"pidfile: expected {expected}, got <_io.TextIOWrapper" in done.stderr.splitlines()[-1]


def test_paths_may_be_bytes(house: House) -> None:
    done = house.run(
        """
        folder = os.fsencode(FOLDER)
        with DaemonContext(working_directory=folder, stdout=folder + b"/out.log", stderr=LogFile(folder + b"/err.log"),
                           pidfile=PidFile(folder + b"/x.pid"), files_preserve=[REPORT]):
            report(os.getpid(), os.getcwd(), *sorted(name for name in os.listdir() if name[0] != "s"))
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, said = house.hear().split(" ", 1)
    assert said == f"{house.folder} err err.log out out.log x.pid"
    house.reap(int(pid))


def test_numbers_of_subprocess_for_streams(house: House) -> None:
    house.run(
        """
        import subprocess
        with DaemonContext(stdin=subprocess.DEVNULL, stdout=FOLDER + "/log", stderr=subprocess.STDOUT, files_preserve=[REPORT]):
            report(os.getpid(), *(os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)))
        """
    )
    pid, *targets = house.hear().split()
    assert targets == ["/dev/null", f"{house.folder}/log", f"{house.folder}/log"]
    house.reap(int(pid))


@EACH_CONTEXT
def test_an_object_without_a_descriptor_becomes_the_stream(house: House, use: str) -> None:
    done = house.run(
        """
        import io
        streams = io.StringIO("in"), io.StringIO(), io.StringIO()
        with DaemonContext(files_preserve=[REPORT], stdin=streams[0], stdout=streams[1], stderr=streams[2]):
            print("out")
            print("err", file=sys.stderr)
            report(os.getpid(), sys.stdin.read(), *(stream.getvalue().strip() for stream in streams[1:]))
        """,
        use=use,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, *said = house.hear().split()
    assert said == ["in", "out", "err"]
    house.reap(int(pid))


@pytest.mark.parametrize("keep", ["REPORT", "os.fdopen(REPORT, 'wb', closefd=False)"])
def test_one_descriptor_to_keep_need_not_be_in_a_list(house: House, keep: str) -> None:
    done = house.run(f"DaemonContext(files_preserve={keep}).open()\nreport(os.getpid())")
    assert (done.returncode, done.stderr) == (0, "")
    house.reap(int(house.hear()))


ASKED = {
    "stop(-1)": "timeout: expected seconds, 0 or more, or None, got -1",
    "stop('x')": "timeout: expected seconds, 0 or more, or None, got 'x'",
    "stop(float('nan'))": "timeout: expected seconds, 0 or more, or None, got nan",
    "stop(True)": "timeout: expected seconds, 0 or more, or None, got True",
    "wait(-0.5)": "timeout: expected seconds, 0 or more, or None, got -0.5",
    "signal('NONE')": "signal: expected a signal's number or name, got 'NONE'",
    "signal(None)": "signal: expected a signal's number or name, got None",
    "signal(2**40)": f"signal: expected a signal's number or name, got {2**40}",
}


@pytest.mark.parametrize("call", ASKED)
def test_bad_questions_to_a_pid_file(tmp_path: pathlib.Path, call: str) -> None:
    file = PidFile(tmp_path / "x.pid")
    with pytest.raises(OptionError) as raised:
        eval(f"file.{call}", {"file": file})
    assert str(raised.value) == ASKED[call]


@pytest.mark.parametrize("path", [None, 7, ["x"]])
def test_a_pid_file_needs_a_path(path: object) -> None:
    with pytest.raises(OptionError, match="^pidfile: expected a path, got "):
        PidFile(path)  # type: ignore[arg-type]


def test_no_timeout_is_any_time(house: House) -> None:
    assert PidFile(house.pid_path).stop(None) == PidFile(house.pid_path).stop(float("inf")) == "not running"
    assert PidFile(house.pid_path).wait(float("inf"))
    house.run(
        """
        context = DaemonContext(pidfile=PID_FILE, files_preserve=[REPORT])
        context.open()
        report(os.getpid())
        signal.pause()
        """
    )
    pid = int(house.hear())
    assert PidFile(house.pid_path).stop(None) == "terminated"
    assert not house.pid_path.exists()
    house.reap(pid)


def test_signals_have_names(house: House) -> None:
    house.run(
        """
        stream = signals("usr1", "SIGTERM")
        DaemonContext(pidfile=PID_FILE, files_preserve=[REPORT]).open()
        report(os.getpid())
        report(next(stream).name, next(stream).name)
        """
    )
    pid = int(house.hear())
    PidFile(house.pid_path).signal("USR1")
    PidFile(house.pid_path).signal("sigterm")
    assert house.hear() == "SIGUSR1 SIGTERM"
    house.reap(pid)


@pytest.mark.parametrize("call", ["notify(5)", "notify('X=1', fds=['x'])", "notify('X=1', fds=[2**40])", "Syslog(facility='x')"])
def test_every_error_is_a_daemon_error_of_one_line(call: str) -> None:
    with pytest.raises(daemonctx.DaemonError) as raised:
        eval(f"daemonctx.{call}", {"daemonctx": daemonctx})
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("signum", [signal.SIGKILL, 0, 1000, "x"])
def test_a_signal_that_has_no_handler(tmp_path: pathlib.Path, signum: object) -> None:
    with pytest.raises(OptionError, match="^signal: expected "):
        daemonctx.ReopeningFileHandler(tmp_path / "log", signal=signum)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) in ([], ["log"])
