"""The stand-in for pyzenkit.daemonizer: the original's interface and tests, and what it does, with real processes."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap
from typing import Iterator

import pytest
from conftest import LIMIT, House
from peers import fetch

USE = """
import daemonctx.compat
daemonctx.compat.install("pyzenkit.daemonizer")
import pyzenkit.daemonizer
from pyzenkit.daemonizer import *
"""
BOTH = pytest.mark.parametrize("function", ["daemonize", "daemonize_lite"])
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="changing the user or the root needs root")
NOBODY = 65534


def run(house: House, body: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return house.run(body, use=USE, **kwargs)  # type: ignore[arg-type]


def start(house: House, options: str = "", before: str = "", then: str = "signal.pause()") -> int:
    """Starts a daemon that keeps the report's descriptor; returns its PID."""
    body = f"{before}\nresult = daemonize(pid_file=PID_FILE, {options})\n"
    if "files_preserve" not in options:
        body = body.replace("daemonize(", "daemonize(files_preserve=[REPORT], ")
    done = run(house, body + f"report(os.getpid())\n{then}\n")
    assert done.returncode == 0, done.stderr
    return int(house.hear())


def lite(house: House, options: str = "", before: str = "", then: str = "") -> subprocess.CompletedProcess[str]:
    return run(house, f"{before}\nresult = daemonize_lite(pid_file=PID_FILE, {options})\n{then}\n")


# --- the interface ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def original() -> str:
    return str(fetch.sdist("pyzenkit", "0.67"))


def interface(module: str, **environment: str) -> dict[str, object]:
    command = [sys.executable, str(pathlib.Path(fetch.__file__).with_name("interface.py")), f"m={module}"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT, check=True, env={**os.environ, **environment}
    )
    return json.loads(done.stdout)["m"]  # type: ignore[no-any-return]


@pytest.mark.timeout(600)  # The original is fetched.
def test_every_public_name_is_there_with_its_parameters_and_defaults(original: str) -> None:
    theirs = interface("pyzenkit.daemonizer", PYTHONPATH=original)
    assert set(theirs) == {"get_logger_files", "write_pid", "read_pid", "daemonize_lite", "daemonize"}
    ours = interface("daemonctx.compat.pyzenkit.daemonizer")
    assert {name: ours.get(name) for name in theirs} == theirs


# Tests of the original's that cannot pass, and why. All others do.
NOT_OURS: dict[str, str] = {}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("installed", [True, False], ids=["pyzenkit installed", "pyzenkit not installed"])
def test_the_originals_own_tests_pass(original: str, installed: bool) -> None:
    script = str(pathlib.Path(fetch.__file__).with_name("pyzenkit_suite.py"))
    environment = {**os.environ, **({"PYTHONPATH": original} if installed else {})}
    # The tests have one path, the same for everybody, and do not begin when there is something.
    with open(fetch.PEERS / "locks" / "pyzenkit-tests", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pathlib.Path("/tmp/test.pyzenkit.daemonizer.pid").unlink(missing_ok=True)
        done = subprocess.run(
            [sys.executable, "-W", "ignore", script, original], capture_output=True, text=True, timeout=LIMIT, env=environment
        )
        assert not os.path.exists("/tmp/test.pyzenkit.daemonizer.pid")
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    assert set(outcomes) == {"test_01_basic", "test_02_daemonization_lite"}
    assert {name: why for name, why in outcomes.items() if (why == "passed") == (name in NOT_OURS)} == {}


@pytest.mark.timeout(600)
def test_installing_below_the_real_package(original: str) -> None:
    body = """
        import sys, daemonctx.compat
        if EARLY:
            import pyzenkit
        module = daemonctx.compat.install("pyzenkit.daemonizer")
        import pyzenkit, pyzenkit.daemonizer
        from pyzenkit import daemonizer
        assert daemonizer is pyzenkit.daemonizer is module is sys.modules["pyzenkit.daemonizer"]
        assert module.__name__ == "daemonctx.compat.pyzenkit.daemonizer"
        assert pyzenkit.__version__ == "0.67"
        import pyzenkit.utils
        assert daemonctx.compat.install("pyzenkit.daemonizer") is module
    """
    for early in (False, True):
        code = f"EARLY = {early}\n" + textwrap.dedent(body)
        subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": original}, timeout=LIMIT, check=True)
    body = "import pyzenkit.daemonizer, daemonctx.compat; daemonctx.compat.install('pyzenkit.daemonizer')"
    done = subprocess.run(
        [sys.executable, "-c", body], env={**os.environ, "PYTHONPATH": original}, timeout=LIMIT, capture_output=True, text=True
    )
    assert done.returncode == 1 and "has been imported already" in done.stderr


@pytest.mark.parametrize("name", ["pyzenkit", "pyzenkit.daemonizer"])
def test_installing_without_the_real_package(name: str) -> None:
    body = f"""
        import sys, daemonctx.compat
        module = daemonctx.compat.install({name!r})
        import pyzenkit.daemonizer
        assert pyzenkit.daemonizer.daemonize is daemonctx.compat.pyzenkit.daemonize
        assert sys.modules[{name!r}] is module
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(body)], timeout=LIMIT, check=True)


@pytest.mark.timeout(600)
def test_a_daemon_of_pyzenkits_own(house: House) -> None:
    """pyzenkit's framework itself, on the stand-in: it starts, is asked and ended by its own means."""
    python = str(fetch.venv("pyzenkit", fetch.wheel(), "pyzenkit==0.67", "setuptools<81") / "bin/python")
    script = house.folder / "service.py"
    script.write_text(
        "import sys, daemonctx.compat\n"
        "daemonctx.compat.install('pyzenkit.daemonizer')\n"
        "import pyzenkit.zendaemon\n"
        "class Component(pyzenkit.zendaemon.ZenDaemonComponent):\n"
        "    def get_events(self):\n"
        "        return [{'event': 'start', 'callback': self.cbk_event_start, 'prepend': False},\n"
        "            {'event': 'work', 'callback': self.cbk_event_work, 'prepend': False}]\n"
        "    def cbk_event_start(self, daemon, args):\n"
        "        daemon.queue.schedule('work')\n"
        "        return (daemon.FLAG_CONTINUE, args)\n"
        "    def cbk_event_work(self, daemon, args):\n"
        "        daemon.logger.info('working')\n"
        "        daemon.queue.schedule_after(1, 'work')\n"
        "        return (daemon.FLAG_CONTINUE, args)\n"
        "class Service(pyzenkit.zendaemon.ZenDaemon):\n"
        "    pass\n"
        f"folder = {str(house.folder)!r}\n"
        "Service(name='service', path_bin=folder, path_cfg=folder, path_log=folder, path_run=folder, path_tmp=folder,\n"
        "    default_config_file=None, default_config_dir=None, default_log_file=folder + '/service.log',\n"
        "    default_pid_file=folder + '/service.pid', default_state_file=None,\n"
        "    default_runlog_dir=folder, default_persistent_state_file=None,\n"
        "    components=[Component()]).run()\n"
    )
    command = [python, str(script), "--work-dir", str(house.folder)]
    done = house.start(command)
    assert done.returncode == 0, (done.stdout, done.stderr)
    (house.pid_path,) = house.folder.glob("service.*.pid")
    pid = house.pid()
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    # What asks looks for all files of that name.
    for signum in ("check", "int"):
        asked = house.start([*command, "--paralel", "--action", f"signal-{signum}"])
        assert asked.stdout == f"Sending signal '{0 if signum == 'check' else 'SIGINT'}' to process '{pid}' [{house.pid_path}]\n", asked
    house.reap(pid)
    assert not house.pid_path.exists()
    # The log file was open before the start, and is used after it.
    assert "Full daemonization done" in (house.folder / "service.log").read_text()


# --- files --------------------------------------------------------------------------------------------------------------


def test_writing_and_reading_a_pid(tmp_path: pathlib.Path) -> None:
    from daemonctx.compat.pyzenkit import read_pid, write_pid

    path = tmp_path / "x.pid"
    before = os.umask(0o077)
    try:
        assert write_pid(str(path), 12345) is None
    finally:
        os.umask(before)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode), read_pid(str(path))) == ("12345\n", 0o644, 12345)
    with pytest.raises(FileExistsError):
        write_pid(str(path), 1)
    for bad in ("123", None, 1.0):
        with pytest.raises(TypeError):
            write_pid(str(tmp_path / "y.pid"), bad)  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == ["x.pid"]
    with pytest.raises(FileNotFoundError):
        write_pid("/nonexistent/x.pid", 1)
    with pytest.raises(FileNotFoundError):
        read_pid("/nonexistent/x.pid")
    path.write_text("  7 \nmore\n")
    assert read_pid(path) == 7
    # What kill(2) takes for many processes at once is no PID.
    for text in ("", "x", "0", "-1", "1 2"):
        path.write_text(text)
        with pytest.raises(ValueError):
            read_pid(str(path))


def test_a_pid_that_cannot_be_written_leaves_no_file(tmp_path: pathlib.Path) -> None:
    body = f"""
import os, resource, signal
from daemonctx.compat.pyzenkit import write_pid
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    write_pid({str(tmp_path / "x.pid")!r}, 1)
except OSError as error:
    os.write(1, error.strerror.encode())
"""
    done = subprocess.run([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True, timeout=LIMIT)
    assert done.stdout == "File too large"
    assert os.listdir(tmp_path) == []


def test_files_of_a_logger(tmp_path: pathlib.Path) -> None:
    import io
    import logging
    import logging.handlers

    from daemonctx.compat.pyzenkit import get_logger_files

    logger = logging.Logger("x")
    assert get_logger_files(logger) == []
    file = logging.FileHandler(tmp_path / "log")
    late = logging.FileHandler(tmp_path / "late", delay=True)
    text = io.StringIO()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound, socket.create_server(("127.0.0.1", 0)) as server:
        bound.bind(str(tmp_path / "log.socket"))
        system = logging.handlers.SysLogHandler(str(tmp_path / "log.socket"))
        remote = logging.handlers.SocketHandler(*server.getsockname())
        odd = logging.StreamHandler(object())  # type: ignore[type-var]
        for handler in (file, late, odd, logging.StreamHandler(text), system, remote, logging.NullHandler()):
            logger.addHandler(handler)
        assert get_logger_files(logger) == [file.stream, text, system.socket]
        remote.createSocket()
        # The original does not know this one, so it would be closed.
        assert get_logger_files(logger) == [file.stream, text, system.socket, remote.sock]
        for handler in (file, late, system, remote):
            handler.close()


# --- daemonize --------------------------------------------------------------------------------------------------------


def test_the_daemon_is_one(house: House) -> None:
    pid = start(house, then="report(*result)\nsignal.pause()")
    # PID and path, as given.
    assert house.hear() == f"{pid} {house.pid_path}"
    assert house.pid_path.read_text() == f"{pid}\n"
    assert stat.S_IMODE(house.pid_path.stat().st_mode) == 0o644
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(fields[3]), int(fields[4])
    assert session not in (pid, os.getsid(0)) and terminal == 0
    assert os.readlink(f"/proc/{pid}/cwd") == os.getcwd()
    umask = os.umask(0)
    os.umask(umask)
    assert f"Umask:\t{umask:04o}" in pathlib.Path(f"/proc/{pid}/status").read_text()
    descriptors = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert [descriptors.pop(fd) for fd in range(3)] == ["/dev/null"] * 3
    del descriptors[house.report_write]
    assert list(descriptors.values()) == [str(house.pid_path)]
    assert house.end(pid) == signal.SIGTERM
    assert not house.pid_path.exists()


def test_what_nothing_was_said_about_stays(house: House) -> None:
    """Core files, handlers; and below inetd the connection is no reason to stay in the foreground, or to talk to it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = run(
            house,
            """
            import resource
            resource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))
            signal.signal(signal.SIGUSR1, print)
            daemonize(pid_file=PID_FILE, files_preserve=[REPORT])
            limit = resource.getrlimit(resource.RLIMIT_CORE)
            report(limit, signal.getsignal(signal.SIGUSR1) is print, os.readlink("/proc/self/fd/0"))
            signal.pause()
            """,
            stdin=server.fileno(),
        )
    assert done.returncode == 0, done.stderr
    assert house.hear() == "(4096, 4096) True /dev/null"
    house.end(house.pid())


def test_without_a_pid_file(house: House) -> None:
    done = run(house, "pid, path = daemonize(files_preserve=[REPORT]); report(pid == os.getpid(), path, pid)")
    assert (done.returncode, done.stderr) == (0, "")
    same, path, pid = house.hear().split()
    assert (same, path) == ("True", "None")
    house.reap(int(pid))


def test_the_directory_the_mask_and_a_pid_file_counted_from_there(house: House) -> None:
    (house.folder / "below").mkdir()
    before = "os.chdir(FOLDER); PID_FILE = 'test.pid'\n"
    pid = start(house, "work_dir='below', umask=0o026", before=before, then="report(*result, os.getcwd(), os.umask(0))\nsignal.pause()")
    assert house.hear() == f"{pid} test.pid {house.folder}/below {0o026}"
    house.pid_path = house.folder / "below" / "test.pid"
    assert house.pid() == pid
    house.end(pid)
    assert not house.pid_path.exists()


def test_text_is_printed_once_and_atexit_is_the_daemons(house: House) -> None:
    pid = start(house, before="print('before', end='')\natexit.register(lambda: report('atexit', os.getpid()))\n", then="sys.exit(3)")
    assert house.hear() == f"atexit {pid}"
    assert os.WEXITSTATUS(house.reap(pid)) == 3
    assert (house.folder / "out").read_text() == "before"
    assert house.silent() and not house.pid_path.exists()


@BOTH
def test_signals_are_handled(house: House, function: str) -> None:
    options = "pid_file=PID_FILE" + (", files_preserve=[REPORT]" if function == "daemonize" else "")
    starter = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(f"""
            import os, signal
            from daemonctx.compat.pyzenkit import *
            PID_FILE, REPORT = {str(house.pid_path)!r}, {house.report_write}
            def report(*words): os.write(REPORT, (' '.join(map(str, words)) + '\\n').encode())
            {function}({options}, signals={{signal.SIGHUP: lambda *args: report("hup", args[0]), signal.SIGUSR1: signal.SIG_IGN,
                signal.SIGTERM: lambda *args: exit()}})
            report(os.getpid())
            while True:
                signal.pause()
        """)],
        pass_fds=[house.report_write],
        stdin=subprocess.DEVNULL,
    )
    pid = int(house.hear())
    os.kill(pid, signal.SIGUSR1)
    os.kill(pid, signal.SIGHUP)
    assert house.hear() == "hup 1"
    os.kill(pid, signal.SIGTERM)
    assert starter.wait(LIMIT) == 0
    if pid != starter.pid:
        assert house.reap(pid) == 0
    assert not house.pid_path.exists()


def test_all_that_is_open_stays_open(house: House) -> None:
    """As with the original, whatever its documentation says of `files_preserve`."""
    before = 'kept, other = (open(FOLDER + f"/{name}", "w") for name in ("kept", "other"))\n'
    then = """
listed = {fd: os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}
report(*sorted(path[len(FOLDER) + 1:] for path in listed.values() if path.startswith(FOLDER)))
other.write("other")
"""
    pid = start(house, "files_preserve=[kept]", before, then)
    assert {"kept", "other", "test.pid"} <= set(house.hear().split())
    house.reap(pid)
    assert (house.folder / "other").read_text() == "other"


@pytest.mark.parametrize("listed", [True, False])
def test_log_files_stay_open(house: House, listed: bool) -> None:
    before = "import logging; logging.basicConfig(filename=FOLDER + '/log', format='%(message)s')\n"
    options = "files_preserve=[REPORT] + get_logger_files(logging.root)" if listed else ""
    pid = start(house, options, before, then="open('/dev/null'); logging.error('logged')")
    house.reap(pid)
    assert (house.folder / "log").read_text() == "logged\n"


# --- the truth about it -----------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("name", ["x", "x.pid.old", ""])
def test_the_name_of_a_pid_file_ends_in_pid(house: House, function: str, name: str) -> None:
    """Known before anything has happened: in the original, the daemon dies of it where nobody sees."""
    done = run(house, f"os.chdir(FOLDER)\ntry:\n    {function}(pid_file={name!r}, work_dir='/')\nexcept ValueError:\n    print(os.getcwd())")
    assert (done.returncode, done.stdout) == (0, f"{house.folder}\n")


KNOWN = {
    "work_dir='/nonexistent'": ("FileNotFoundError", "/nonexistent"),
    "chroot_dir='/nonexistent'": ("FileNotFoundError", "/nonexistent"),
    "work_dir=PID_FILE": ("NotADirectoryError", "{}"),
    "pid_file='/nonexistent/x.pid'": ("FileNotFoundError", "/nonexistent/x.pid"),
    "signals={0: signal.SIG_IGN}": ("OptionError", ""),
}


@pytest.mark.parametrize("option", KNOWN)
def test_what_can_be_known_before_is_raised_in_the_starter(house: House, option: str) -> None:
    house.pid_path.write_text("")
    done = run(
        house,
        f"""
        umask = os.umask(0)
        os.umask(umask)
        try:
            daemonize({option}, **({{}} if "pid_file" in {option!r} else {{"pid_file": FOLDER + "/other.pid"}}))
        except (OSError, ValueError) as error:
            print(type(error).__name__, error.filename, os.umask(0) == umask)
            raise
        """,
    )
    name, path = KNOWN[option]
    assert done.returncode == 1
    assert done.stdout.split()[::2] == [name, "True"], done
    if path:
        assert done.stdout.split()[1] == path.format(house.pid_path)
    assert not (house.folder / "other.pid").exists()


@pytest.mark.parametrize(
    ("death", "status", "said"),
    [("os.kill(os.getpid(), 9)", 137, "killed by signal 9 (SIGKILL)"), ("os._exit(7)", 7, "exited with status 7")],
)
def test_a_daemon_that_dies_before_it_is_ready(house: House, death: str, status: int, said: str) -> None:
    done = run(house, f"os.register_at_fork(after_in_child=lambda: {death})\ndaemonize(pid_file=PID_FILE)\n")
    assert done.returncode == status
    assert len(done.stderr.splitlines()) == 1 and f"{said} before it was ready" in done.stderr
    assert not house.pid_path.exists()


@BOTH
def test_a_daemon_that_runs_already(house: House, function: str) -> None:
    pid = start(house)
    done = run(
        house,
        f"""
        os.chdir(FOLDER)
        try:
            {function}(work_dir="/", pid_file=PID_FILE)
        except FileExistsError as error:
            print(error.filename, error.strerror, os.getcwd())
            raise
        """,
    )
    assert (done.returncode, done.stdout) == (1, f"{house.pid_path} already running as PID {pid} {house.folder}\n")
    assert house.pid() == pid
    house.end(pid)


@BOTH
def test_a_file_of_the_original_is_understood(house: House, function: str) -> None:
    """It is not locked; what it names has been running since before."""
    other = subprocess.Popen(["sleep", str(LIMIT)])
    try:
        house.pid_path.write_text(f"{other.pid}\n")
        done = run(house, f"{function}(pid_file=PID_FILE)")
        assert done.returncode == 1 and f"already running as PID {other.pid}" in done.stderr
        assert house.pid() == other.pid
    finally:
        other.kill()
        other.wait()
    assert lite(house, then="print(read_pid(PID_FILE) == os.getpid())").stdout == "True\n"
    assert not house.pid_path.exists()


def test_a_file_that_was_left_behind_is_nobodys(house: House) -> None:
    for _ in range(2):
        pid = start(house)
        assert house.pid() == pid
        assert house.end(pid, signal.SIGKILL) == signal.SIGKILL
        assert house.pid_path.exists()


def test_of_many_starts_at_once_one_wins(house: House) -> None:
    script = house.folder / "many.py"
    script.write_text(f"import signal\nfrom daemonctx.compat.pyzenkit import *\ndaemonize(pid_file={str(house.pid_path)!r})\nsignal.pause()\n")
    starts = [subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True) for _ in range(10)]
    said = [process.communicate(timeout=LIMIT)[1] for process in starts]
    assert sorted(process.returncode for process in starts) == [0] + [1] * 9
    assert sum("FileExistsError" in words for words in said) == 9
    house.end(house.pid())


def test_a_running_loop_is_refused(house: House) -> None:
    done = run(house, "import asyncio\nasync def main():\n    daemonize(pid_file=PID_FILE)\nasyncio.run(main())")
    assert done.returncode == 1 and "UsageError: open failed: asyncio loop is running" in done.stderr


# --- daemonize_lite ---------------------------------------------------------------------------------------------------


def test_lite_leaves_everything_else_as_it_is(house: House) -> None:
    (house.folder / "below").mkdir()
    before = """
os.chdir(FOLDER)
def look():
    ids = os.getpid(), os.getppid(), os.getsid(0), os.getpgrp()
    numbers = [int(fd) for fd in os.listdir("/proc/self/fd")]
    files = {fd: os.fstat(fd)[:3] for fd in numbers if os.path.exists(f"/proc/self/fd/{fd}")}
    signals = [line for line in open("/proc/self/status") if line.startswith("Sig") and not line.startswith("SigQ")]
    return ids, files, signals
kept = open(FOLDER + "/kept", "w")
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
# It waits, and would end the process.
os.kill(os.getpid(), signal.SIGUSR1)
before = look()
"""
    then = """
ids, files, signals = look()
assert (ids, signals) == (before[0], before[2]), (before, look())
assert before[1].items() <= files.items()
print(result == (os.getpid(), "test.pid"), os.getcwd() == FOLDER + "/below", oct(os.umask(0)), open("test.pid").read() == f"{os.getpid()}\\n")
"""
    done = lite(house, "work_dir='below', umask=0o027".replace("pid_file", ""), before + "PID_FILE = 'test.pid'\n", then)
    assert (done.stdout, done.stderr) == ("True True 0o27 True\n", "")
    assert os.listdir(house.folder / "below") == []


def test_lite_without_anything(house: House) -> None:
    done = run(house, "print(daemonize_lite() == (os.getpid(), None))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_lite_locks_and_its_children_do_not_remove_the_file(house: House) -> None:
    then = """
import subprocess
child = os.fork()
if not child:
    sys.exit()
os.waitpid(child, 0)
print(read_pid(PID_FILE) == os.getpid())
try:
    daemonize_lite(pid_file=PID_FILE)
except FileExistsError as error:
    print(error.strerror == f"already running as PID {os.getpid()}")
"""
    done = lite(house, then=then)
    assert (done.stdout.split(), done.stderr) == (["True", "True"], "")
    assert not house.pid_path.exists()


@pytest.mark.parametrize(
    ("option", "error"),
    [
        ("work_dir='/nonexistent'", "FileNotFoundError"),
        ("chroot_dir='/nonexistent'", "FileNotFoundError"),
        ("signals={signal.SIGKILL: print}", "OSError"),
        ("signals={0: print}", "ValueError"),
        ("signals={signal.SIGHUP: 'x'}", "TypeError"),
        ("umask='x'", "TypeError"),
    ],
)
def test_lite_raises_what_the_system_says(house: House, option: str, error: str) -> None:
    done = lite(house, option)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"{error}:")
    assert not house.pid_path.exists()


# --- privileges and roots ---------------------------------------------------------------------------------------------


@pytest.fixture
def public(house: House) -> Iterator[House]:
    """A house that every user may enter. Not below pytest's folder: that is closed again whenever another run begins."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        house.folder = pathlib.Path(folder)
        house.pid_path = house.folder / "test.pid"
        yield house


WHO = "report(os.getresuid(), os.getresgid(), os.getgroups(), [l.split()[1] for l in open('/proc/self/status') if l.startswith('CapEff')])"


@AS_ROOT
@BOTH
@pytest.mark.parametrize("gid", [NOBODY, None])
def test_a_change_of_user_leaves_nothing_of_the_caller(public: House, function: str, gid: int | None) -> None:
    """The original leaves root's groups to the new user, and root's group where none is named."""
    options = f"uid={NOBODY}, gid={gid}"
    before = "os.setgroups([4, 27])\n"
    if function == "daemonize":
        public.reap(start(public, options, before, WHO))
    else:
        done = lite(public, options, before, WHO)
        assert done.returncode == 0, done.stderr
    import pwd

    group = pwd.getpwuid(NOBODY).pw_gid if gid is None else gid
    assert public.hear() == f"{(NOBODY,) * 3} {(group,) * 3} [] ['{0:016x}']"
    assert not public.pid_path.exists()


@AS_ROOT
@BOTH
def test_a_user_that_nobody_knows_keeps_the_group(public: House, function: str) -> None:
    if function == "daemonize":
        public.reap(start(public, "uid=54321", "", WHO))
    else:
        assert lite(public, "uid=54321", then=WHO).returncode == 0
    assert public.hear() == f"{(54321,) * 3} {(0,) * 3} [] ['{0:016x}']"


@AS_ROOT
@BOTH
def test_the_group_alone(house: House, function: str) -> None:
    if function == "daemonize":
        house.reap(start(house, "gid=4", "os.setgroups([27])", WHO))
    else:
        assert lite(house, "gid=4", "os.setgroups([27])", then=WHO).returncode == 0
    assert house.hear().startswith(f"{(0,) * 3} {(4,) * 3} [27] ")


@AS_ROOT
@BOTH
def test_a_user_that_it_may_not_become(public: House, function: str) -> None:
    done = run(public, f"os.setgid({NOBODY}); os.setuid({NOBODY})\n{function}(uid=0, gid=0, pid_file=PID_FILE)\n")
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("PermissionError: [Errno 1] Operation not permitted")
    assert not public.pid_path.exists()


@AS_ROOT
@BOTH
@pytest.mark.parametrize("work_dir", [None, "/run", "run"])
def test_paths_count_inside_the_new_root(house: House, function: str, work_dir: str | None) -> None:
    root = house.folder / "root"
    (root / "run").mkdir(parents=True)
    where = "/run" if work_dir else "/"
    then = "report(os.getcwd(), *os.listdir('/'), os.path.exists('x.pid'), read_pid('x.pid') == os.getpid(), *result)"
    # A relative root counts once; the original goes there twice.
    before = "os.chdir(FOLDER); PID_FILE = 'x.pid'\n"
    options = f"chroot_dir='root', work_dir={work_dir!r}"
    if function == "daemonize":
        pid = start(house, options, before, then)
        house.reap(pid)
    else:
        assert lite(house, options, before + "report(os.getpid())\n", then).returncode == 0
        pid = int(house.hear())
    below = "run" if work_dir else "run x.pid"
    said = house.hear().split()
    assert said[0] == where and sorted(said[1 : 1 + len(below.split())]) == below.split()
    assert said[1 + len(below.split()) :] == ["True", "True", str(pid), "x.pid"]
    assert os.listdir(root / where[1:]) == ([] if work_dir else ["run"])
