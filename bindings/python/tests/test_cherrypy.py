"""cherrypy.process.plugins: the interface beside the original's, CherryPy's own tests, real applications, and each plugin.

What needs CherryPy runs in its environment (`fetch.venv`), on the oldest and the newest interpreter that matter; the plugins by
themselves run here, on a bus of our own, and so prove that any bus will do.
"""

from __future__ import annotations

import collections
import contextlib
import grp
import http.client
import json
import os
import pathlib
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import xml.etree.ElementTree
from typing import Any, Iterator

import pytest
from conftest import LIMIT, House
from peers import fetch

from daemonctx import AlreadyRunningError, PidFile
from daemonctx.compat import cherrypy

PACKAGE = fetch.BINDING / "python"
REQUIREMENTS = ["cherrypy==18.10.0", "pytest>=7", "pytest-timeout", "requests_toolbelt", "path", "setuptools"]
VERSIONS = ["3.11", "3.13"]
NOBODY = pwd.getpwnam("nobody")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
fetched = pytest.mark.timeout(600)  # The first time, CherryPy is fetched.


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> str:
    return interpreter(request.param)


@pytest.fixture
def python_311() -> str:
    return interpreter("3.11")


def interpreter(version: str) -> str:
    """With CherryPy, and without our package: that comes by its path."""
    try:
        return str(fetch.venv("cherrypy", *REQUIREMENTS, python=fetch.python(version)) / "bin/python")
    except fetch.Unavailable as error:
        pytest.skip(str(error))


def environment(*path: object, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, [*path, PACKAGE])), "PYTHONDONTWRITEBYTECODE": "1", **more}


def output(python: str, script: str, *arguments: str, path: tuple[object, ...] = (), **kwargs: Any) -> str:
    """What a script prints that must succeed."""
    command = [python, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, env=environment(*path), capture_output=True, text=True, timeout=LIMIT, **kwargs)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


# --- the interface, beside the original's ------------------------------------------------------------------------------

DESCRIBE = """
import importlib, inspect, json, sys, threading
from cherrypy.process import wspbus
module = importlib.import_module(sys.argv[1])

def parameters(function):
    def default(value):
        return "callable" if callable(value) else repr(value)
    return [[p.name, p.kind.name, default(p.default)] for p in inspect.signature(function).parameters.values()]

def of_class(cls):
    found = {"bases": [base.__name__ for base in cls.__mro__[1:] if base is not object], "init": parameters(cls.__init__)}
    for name in dir(cls):
        if name.startswith("_") or name in dir(threading.Timer) + dir(threading.Thread) and name not in vars(cls):
            continue
        value = inspect.getattr_static(cls, name)
        function = value.__func__ if isinstance(value, (staticmethod, classmethod)) else value
        if inspect.isfunction(function):
            found[name] = [type(value).__name__, parameters(function), getattr(function, "priority", None)]
        else:
            found[name] = "property" if isinstance(value, property) else repr(value)
    return found

def nothing(): pass

def of_object(cls):
    bus = wspbus.Bus()
    more = {"PIDFile": ["/run/x.pid"], "Monitor": [nothing], "BackgroundTask": [5, nothing], "PerpetualTimer": [5, nothing]}
    first = [] if cls.__name__ in ("BackgroundTask", "PerpetualTimer") else [bus]
    made = cls(*first, *more.get(cls.__name__, []))
    names = {"daemon"} | set(vars(made)) - set(vars(threading.Timer(1, nothing))) | {"interval", "function", "args", "kwargs"}
    found = {}
    for name in names:
        if not name.startswith("_") and hasattr(made, name):
            value = getattr(made, name)
            found[name] = type(value).__name__ if value is bus or callable(value) else repr(value)
            if isinstance(value, dict) and name == "handlers":
                found[name] = {key: handler.__qualname__ for key, handler in value.items()}
    return {"attributes": found, "channels": sorted(bus.listeners)}

classes = {name: cls for name, cls in vars(module).items() if inspect.isclass(cls) and cls.__module__ == module.__name__
           and not name.startswith("_")}
print(json.dumps({"classes": {name: of_class(cls) for name, cls in classes.items()},
                  "objects": {name: of_object(cls) for name, cls in classes.items()}}))
"""

# What ours have and the originals have not.
MORE = {("Daemonizer", "ready_timeout")}


@pytest.fixture
def both(python: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    original, ours = (
        json.loads(output(python, DESCRIBE, module)) for module in ("cherrypy.process.plugins", "daemonctx.compat.cherrypy")
    )
    yield original, ours


@fetched
def test_names_parameters_defaults_and_priorities(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    original, ours = both
    assert sorted(original["classes"]) == sorted(ours["classes"]) == sorted(cherrypy.__all__)
    for name, expected in original["classes"].items():
        found = {key: value for key, value in ours["classes"][name].items() if (name, key) not in MORE}
        assert found == expected, name
    assert original["classes"]["DropPrivileges"]["start"][2] == 77  # The description sees something.


@fetched
def test_attributes_of_objects_and_channels(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    original, ours = both
    assert ours["objects"] == original["objects"]
    assert original["objects"]["PIDFile"]["attributes"] == {"bus": "Bus", "finalized": "False", "pidfile": "'/run/x.pid'"}


def test_importing_and_installing_needs_no_cherrypy() -> None:
    script = """
        import sys, daemonctx.compat
        daemonctx.compat.install("cherrypy.process.plugins")
        from cherrypy.process.plugins import Daemonizer
        print(Daemonizer.__module__, "cherrypy" in sys.modules)
    """
    assert output(sys.executable, script).split() == ["daemonctx.compat.cherrypy", "False"]


@fetched
def test_cherrypy_finds_the_stand_in(python: str) -> None:
    script = """
        import daemonctx.compat
        daemonctx.compat.install("cherrypy.process.plugins")
        import cherrypy, cherrypy.process.plugins, cherrypy.daemon
        from cherrypy.process import plugins
        print(type(cherrypy.engine.autoreload).__module__, cherrypy.process.plugins is plugins is cherrypy.daemon.plugins)
    """
    assert output(python, script).split() == ["daemonctx.compat.cherrypy", "True"]


@fetched
def test_installing_too_late_is_an_error(python_311: str) -> None:
    script = """
        import cherrypy, daemonctx.compat
        try:
            daemonctx.compat.install("cherrypy.process.plugins")
        except ImportError as error:
            print(error)
    """
    assert output(python_311, script).startswith("'cherrypy.process.plugins' has been imported already")


# --- CherryPy's own tests -----------------------------------------------------------------------------------------------

SUITE = ["test_states", "test_plugins", "test_bus"]
COUNT = 27
# Tests that cannot pass, each with its reason. There are none.
NOT_OURS: dict[str, str] = {}
# Some fail on a busy machine, with CherryPy's own plugins too: test_wait_publishes_periodically wants four times 10 ms in 50 ms.
ATTEMPTS = 3

# Every interpreter of the suite, those of the servers that it starts included.
PATCH = """
import os, daemonctx.compat
daemonctx.compat.install("cherrypy.process.plugins")
with open({record!r}, "a") as file:
    file.write("%d\\n" % os.getpid())
"""
# A network of its own: the suite's ports are fixed.
ALONE = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1))  # SIOCSIFFLAGS, IFF_UP
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@fetched
def test_cherrypys_own_tests(python: str, house: House) -> None:
    # A copy, because the tests write beside themselves.
    (found,) = pathlib.Path(python).parents[1].glob("lib/python*/site-packages/cherrypy")
    shutil.copytree(found, house.folder / "cherrypy", ignore=shutil.ignore_patterns("__pycache__"))
    record = house.folder / "patched"
    (house.folder / "sitecustomize.py").write_text(PATCH.format(record=str(record)))
    command = ["-m", "pytest", "-q", "-c", os.devnull, "-p", "no:cacheprovider", "--timeout=60", "--junitxml=results.xml"]
    alone = ["unshare", "--net", python, "-c", ALONE] if os.geteuid() == 0 else [python]

    def outcomes(module: str) -> dict[str, str]:
        with open(house.folder / "output", "w+") as log:
            tests = [*alone, *command, f"cherrypy/test/{module}.py"]
            suite = subprocess.Popen(tests, cwd=house.folder, env=environment(house.folder), stdout=log, stderr=subprocess.STDOUT)
            try:
                suite.wait(300)
            finally:
                suite.kill()
            log.seek(0)
            print(log.read())
        cases = xml.etree.ElementTree.parse(house.folder / "results.xml").iter("testcase")
        return {f"{case.get('classname')}.{case.get('name')}": "passed" if not len(case) else case[0].tag for case in cases}

    count = 0
    for module in SUITE:
        for _ in range(ATTEMPTS):
            ended = outcomes(module)
            failed = {name for name, outcome in ended.items() if outcome != "passed"} - set(NOT_OURS)
            if not failed:
                break
        assert not failed
        count += len(ended)
    assert count == COUNT
    # The suite itself, and the servers: at least one for each of the nine that it starts.
    assert len(record.read_text().split()) > 9


# --- applications -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def place_for_anybody() -> Iterator[pathlib.Path]:
    """A folder that every user can enter; pytest's are for one."""
    with tempfile.TemporaryDirectory(prefix="daemonctx-cherrypy-") as folder:
        os.chmod(folder, 0o755)
        left = []
        try:
            yield pathlib.Path(folder)
        finally:
            # A daemon whose starter has failed the test is nobody's child that the house could find.
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if f"{folder}/app.py".encode() in (process / "cmdline").read_bytes():
                        os.kill(int(process.name), signal.SIGKILL)
                        left.append(process.name)
        assert not left, f"left behind: {left}"


def for_anybody(command: list[str], folder: pathlib.Path) -> list[str]:
    """Runs a command where every user can run its interpreter, also if that is below a closed home directory."""
    home = pathlib.Path.home()
    base = pathlib.Path(command[0]).resolve().parents[1]
    if home not in base.parents or home.stat().st_mode & 0o001:
        return command
    (folder / "base").mkdir(exist_ok=True)
    mounts = [
        f"mount --bind {base} {folder}/base",
        f"mount -t tmpfs -o mode=755 none {home}",
        f"mkdir -p {base}",
        f"mount --move {folder}/base {base}",
    ]
    return ["unshare", "--mount", "sh", "-ec", "; ".join([*mounts, 'exec "$@"']), "sh", *command]


def free_port() -> int:
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return int(any_socket.getsockname()[1])


def get(port: int, path: str = "/") -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


# `engine` is the real one; `plugins` are ours. More may be subscribed in a test's body.
APPLICATION = """
import os, sys, signal, threading
import daemonctx.compat
daemonctx.compat.install("cherrypy.process.plugins")
import cherrypy
from cherrypy.process import plugins
FOLDER, PORT, REPORT = {folder!r}, {port}, {report}
def report(*words): os.write(REPORT, (" ".join(map(str, words)) + "\\n").encode())
engine = cherrypy.engine
class Root:
    @cherrypy.expose
    def index(self):
        return " ".join(map(str, [os.getpid(), os.getuid(), os.getgid(), os.getgroups()]))
cherrypy.config.update({{
    "server.socket_host": "127.0.0.1", "server.socket_port": PORT, "checker.on": False,
    "log.screen": False, "log.error_file": FOLDER + "/error.log",
}})
engine.autoreload.unsubscribe()
daemonizer = plugins.Daemonizer(engine, stdout=FOLDER + "/stdout", stderr=FOLDER + "/stderr")
daemonizer.subscribe()
pidfile = plugins.PIDFile(engine, FOLDER + "/run/app.pid")
pidfile.subscribe()
{body}
cherrypy.quickstart(Root())
"""


class Application:
    def __init__(self, house: House, python: str, folder: pathlib.Path) -> None:
        self.house, self.python, self.folder = house, python, folder
        self.port = free_port()
        (folder / "run").mkdir()
        self.pid_path = folder / "run/app.pid"
        (folder / "error.log").touch()

    def start(self, body: str = "", *, anybody: bool = False, **more: str) -> subprocess.CompletedProcess[str]:
        command = self.command(body)
        command = for_anybody(command, self.folder) if anybody else command
        return self.house.start(command, env=environment(**more), pass_fds=[self.house.report_write])

    def command(self, body: str) -> list[str]:
        report = self.house.report_write
        text = APPLICATION.format(folder=str(self.folder), port=self.port, report=report, body=textwrap.dedent(body))
        (self.folder / "app.py").write_text(text)
        return [self.python, str(self.folder / "app.py")]

    def pid(self) -> int:
        return int(self.pid_path.read_text())

    def log(self) -> str:
        return (self.folder / "error.log").read_text()

    def stop(self) -> None:
        """Ends it as a service manager does, and sees that it is well-behaved."""
        pid = self.pid()
        assert self.house.end(pid) == 0
        assert not self.pid_path.exists()
        assert "Bus EXITED" in self.log().splitlines()[-2], self.log()  # Then it waits for its threads.


@pytest.fixture
def application(house: House, python_311: str) -> Iterator[Application]:
    with place_for_anybody() as folder:
        yield Application(house, python_311, folder)


@fetched
@needs_root
def test_a_real_application(house: House, python: str) -> None:
    with place_for_anybody() as folder:
        application = Application(house, python, folder)
        for path in (folder / "run", folder / "error.log"):
            shutil.chown(path, "nobody")
        # Its streams' files are root's: restarted as nobody, it has to keep what it has.
        done = application.start(
            """
            plugins.DropPrivileges(engine, umask=0o027, uid="nobody", gid="nogroup").subscribe()
            """,
            anybody=True,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        first = application.pid()
        groups: list[int] = []
        assert get(application.port) == f"{first} {NOBODY.pw_uid} {NOBODY.pw_gid} {groups}"
        status = pathlib.Path(f"/proc/{first}/status").read_text()
        assert "CapEff:\t0000000000000000" in status and "Umask:\t0027" in status
        assert application.pid_path.read_text() == f"{first}\n"
        assert application.pid_path.stat().st_mode & 0o777 == 0o644
        # It executes itself, and so becomes the starter of the next one: its end is the news that the reload is complete.
        os.kill(first, signal.SIGHUP)
        assert house.reap(first) == 0, application.log()
        second = application.pid()
        assert second != first
        assert get(application.port) == f"{second} {NOBODY.pw_uid} {NOBODY.pw_gid} {groups}"
        for number, name in ((0, os.devnull), (1, str(folder / "stdout")), (2, str(folder / "stderr"))):
            assert os.readlink(f"/proc/{second}/fd/{number}") == name
        application.stop()
        assert [(folder / name).read_text() for name in ("stdout", "stderr")] == ["", ""]


@fetched
def test_a_port_in_use(house: House, python: str) -> None:
    with place_for_anybody() as folder, socket.create_server(("127.0.0.1", 0)) as other:
        application = Application(house, python, folder)
        application.port = other.getsockname()[1]
        done = application.start()
        assert done.returncode == os.EX_SOFTWARE
        assert done.stderr.startswith("app.py: start failed: ") and str(application.port) in done.stderr
        assert len(done.stderr.splitlines()) == 1
        # The house finds processes.
        assert not application.pid_path.exists()


@fetched
def test_the_starter_waits_for_started(application: Application) -> None:
    house = application.house
    wait_read, wait_write = os.pipe()
    command = application.command(
        f"""
        @engine.subscribe("start", priority=90)
        def slow():
            print("early", file=sys.stderr)
            report("slow", os.getppid())
            os.read({wait_read}, 1)
        def main():
            engine.unsubscribe("main", main)
            print("late", file=sys.stderr, flush=True)
            report("main")
        engine.subscribe("main", main)
        """
    )
    with open(house.folder / "err", "w+") as err:
        starter = subprocess.Popen(command, env=environment(), stderr=err, pass_fds=[house.report_write, wait_read])
        # The starter has adopted the daemon, so it is there; and everything else of the start is done.
        assert house.hear() == f"slow {starter.pid}"
        assert get(application.port)
        assert starter.poll() is None
        os.write(wait_write, b"x")
        assert starter.wait(LIMIT) == 0
        assert house.hear() == "main"
        err.seek(0)
        assert err.read() == "early\n"
    assert (application.folder / "stderr").read_text() == "late\n"
    os.close(wait_read)
    os.close(wait_write)
    application.stop()


FAILURES = {
    # A listener after the fork, and one before it: the bus calls the others all the same.
    "engine.subscribe('start', fail, 90)": "RuntimeError: no database",
    "engine.subscribe('start', fail, 6)": "RuntimeError: no database",
    # A server's thread, as ServerAdapter has one: the bus exits there, while the main thread waits.
    "engine.subscribe('start', in_thread, 90)": "RuntimeError: no database",
    "engine.subscribe('start', lambda: sys.exit(3), 90)": "the bus has stopped before it was STARTED",
    "engine.subscribe('start', lambda: sys.exit(0), 90)": "the bus has stopped before it was STARTED",
    "engine.subscribe('start', engine.exit, 90)": "the bus has stopped before it was STARTED",
    "engine.subscribe('start', lambda: os._exit(5), 90)": "exited with status 5 before it was ready",
}


@fetched
@pytest.mark.parametrize("how", FAILURES)
def test_a_start_that_fails_after_the_fork(application: Application, how: str) -> None:
    done = application.start(
        f"""
        def fail():
            raise RuntimeError("no database")
        def server():
            try:
                fail()
            except Exception:
                engine.log("Error in server", level=40, traceback=True)
                engine.exit()
        def in_thread():
            thread = threading.Thread(target=server)
            thread.start()
            thread.join()
            signal.pause()
        {how}
        """
    )
    assert done.returncode == (5 if "_exit" in how else os.EX_SOFTWARE)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("app.py: start failed: ")]
    assert line.endswith(FAILURES[how])
    assert not application.pid_path.exists()


@fetched
def test_a_start_may_take_its_time_but_not_more(application: Application) -> None:
    done = application.start(
        """
        daemonizer.ready_timeout = 0.5
        engine.subscribe("start", signal.pause, 90)
        """
    )
    assert done.returncode == 124
    assert done.stderr == "app.py: ready failed: 0.500 s: Connection timed out (110 ETIMEDOUT)\n"
    assert not application.pid_path.exists()


@fetched
def test_a_second_instance_is_refused_before_it_forks(application: Application) -> None:
    assert application.start().returncode == 0
    pid = application.pid()
    port, application.port = application.port, free_port()
    done = application.start("engine.subscribe('start', lambda: report('after'), 66)")
    assert done.returncode != 0
    assert f"app.py: pid file failed: {application.pid_path} (already running as PID {pid})" in done.stderr
    # Nothing else was started, not even for a moment.
    assert application.house.silent()
    assert application.pid() == pid
    assert get(port).split()[0] == str(pid)
    application.stop()


@fetched
def test_a_log_file_that_cannot_be_opened(application: Application) -> None:
    done = application.start(
        """
        daemonizer.stdout = FOLDER + "/missing/stdout"
        engine.subscribe("start", lambda: report("after"), 66)
        """
    )
    assert done.returncode != 0
    line = f"app.py: stdout failed: {application.folder}/missing/stdout: No such file or directory (2 ENOENT)"
    assert line in done.stderr.splitlines()
    assert f"Cannot daemonize: {line.partition(': ')[2]}" in application.log()
    assert application.house.silent()
    assert not application.pid_path.exists()


@fetched
def test_after_kill_9_the_next_start_works(application: Application) -> None:
    assert application.start().returncode == 0
    killed = application.pid()
    assert application.house.end(killed, signal.SIGKILL) == signal.SIGKILL
    assert application.pid() == killed
    assert application.start().returncode == 0
    assert application.pid() != killed
    application.stop()


@fetched
def test_threads_are_named_on_the_bus_and_only_there(application: Application) -> None:
    done = application.start(
        """
        for name in ("cleaner", "poller"):
            threading.Thread(target=threading.Event().wait, name=name, daemon=True).start()
        engine.subscribe("start", lambda: report(threading.active_count()), 66)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert application.house.hear() == "1"
    assert "2 other active threads (cleaner, poller) will not exist in the daemon" in application.log()
    application.stop()


@fetched
def test_what_a_daemon_keeps_and_what_not(application: Application) -> None:
    body = """
        kept = os.open(FOLDER + "/kept", os.O_WRONLY | os.O_CREAT)
        os.chdir(FOLDER)
        def look():
            os.write(kept, b"open")
            report(os.getsid(0) not in (os.getpid(), %d), os.getcwd() == FOLDER, os.umask(0), sys.stdin.read() == "")
        engine.subscribe("start", look, 66)
    """
    assert application.start(body % os.getsid(0)).returncode == 0
    assert application.house.hear() == "True True 0 True"
    assert (application.folder / "kept").read_bytes() == b"open"
    stat = pathlib.Path(f"/proc/{application.pid()}/stat").read_text().rpartition(")")[2].split()
    assert stat[4] == "0"
    assert (application.folder / "stdout").stat().st_mode & 0o137 == 0  # Python's own is 0666.
    application.stop()


@fetched
def test_the_bus_can_stop_and_start_again(application: Application) -> None:
    done = application.start(
        """
        def again():
            engine.unsubscribe("main", again)
            before = os.getpid()
            engine.stop()
            engine.start()
            report(before == os.getpid(), os.path.exists(pidfile.pidfile), daemonizer.finalized, pidfile.finalized)
        engine.subscribe("main", again)
        """
    )
    assert done.returncode == 0
    assert application.house.hear() == "True True True True"
    pid = application.pid()
    log = application.log()
    assert "Already daemonized." in log and f"PID {pid} already written to '{application.pid_path}'." in log
    application.stop()


@fetched
def test_a_pid_file_that_was_there_before_the_daemon(application: Application) -> None:
    done = application.start(
        """
        engine.unsubscribe("start", pidfile.start)
        engine.subscribe("start", pidfile.start, 10)
        """
    )
    assert done.returncode == 0
    assert get(application.port).split()[0] == str(application.pid())
    application.stop()


@fetched
def test_a_starter_that_is_called_off(application: Application) -> None:
    house = application.house
    command = application.command("engine.subscribe('start', lambda: (report(os.getpid()), signal.pause()), 90)")
    starter = subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL, pass_fds=[house.report_write])
    assert int(house.hear()) != starter.pid
    starter.send_signal(signal.SIGTERM)
    assert starter.wait(LIMIT) == -signal.SIGTERM
    assert not application.pid_path.exists()


@fetched
def test_a_daemon_whose_starter_was_killed_ends(application: Application) -> None:
    house = application.house
    wait_read, wait_write = os.pipe()
    command = application.command(
        f"engine.subscribe('start', lambda: (report(os.getpid()), os.read({wait_read}, 1)), 90)"
    )
    starter = subprocess.Popen(
        command, env=environment(), stderr=subprocess.DEVNULL, pass_fds=[house.report_write, wait_read]
    )
    pid = int(house.hear())
    starter.kill()
    starter.wait(LIMIT)
    os.write(wait_write, b"x")
    assert house.reap(pid) != 0
    assert "Broken pipe (32 EPIPE)" in application.log()
    assert not application.pid_path.exists()
    os.close(wait_read)
    os.close(wait_write)


# --- the Daemonizer on other buses -----------------------------------------------------------------------------

USE = "from daemonctx.compat import cherrypy\nfrom daemonctx.compat.cherrypy import *"
# As much of a bus as plugins need.
BUS = textwrap.dedent(
    """
    class Bus:
        def __init__(self):
            self.listeners = {name: set() for name in ("start", "stop", "exit", "graceful", "log", "main")}
            self.logged, self.published, self.called = [], [], []
            self.state = None
        def subscribe(self, channel, callback, priority=None): self.listeners.setdefault(channel, set()).add(callback)
        def unsubscribe(self, channel, callback): self.listeners[channel].discard(callback)
        def publish(self, channel, *args):
            self.published.append((channel, *args))
            for listener in list(self.listeners.get(channel, ())): listener(*args)
        def log(self, msg="", level=20, traceback=False): self.logged.append((msg, level))
        def exit(self): self.called.append("exit")
        def restart(self): self.called.append("restart")
        def graceful(self): self.called.append("graceful")
    """
)
namespace: dict[str, Any] = {}
exec(BUS, namespace)
Bus = namespace["Bus"]


def test_started_directly_the_daemon_is_ready_at_once(house: House) -> None:
    done = house.run(
        """
        bus = Bus()
        daemonizer = Daemonizer(bus, stderr=FOLDER + "/log")
        daemonizer.start()
        print("late", file=sys.stderr, flush=True)
        daemonizer.start()
        report(os.getpid(), [message for message, level in bus.logged])
        """,
        head=BUS,
        use=USE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, logged = house.hear().split(maxsplit=1)
    expected = ["Forking once.", "Forking twice.", f"Daemonized to PID: {pid}", "Already daemonized."]
    assert logged == str(expected)
    house.reap(int(pid))
    assert (house.folder / "log").read_text() == "late\n"


# What the plugins ask of a bus's states, and how it says that it is in another: by a word, or by nothing but its channels.
START = """
import types
bus = Bus()
bus.states = types.SimpleNamespace(STARTING="starting", STARTED="started")
bus.state = bus.states.STARTING
{more}
Daemonizer(bus).start()
report(os.getpid())
for listener in list(bus.listeners["log"]): listener("an error", 40)
{then}
signal.pause()
"""


@pytest.mark.parametrize("channel, words", [("log", "'Bus STARTED', 20"), ("main", "")])
def test_any_bus_that_starts(house: House, channel: str, words: str) -> None:
    then = f"bus.state = bus.states.STARTED\nfor listener in list(bus.listeners[{channel!r}]): listener({words})"
    assert house.run(START.format(more="", then=then), head=BUS, use=USE).returncode == 0
    house.end(int(house.hear()))


def test_any_bus_that_stops(house: House) -> None:
    then = "try: 1 / 0\nexcept ZeroDivisionError: [listener('an error', 40) for listener in bus.listeners['log']]\n"
    then += "for listener in list(bus.listeners['stop']): listener()\nsys.exit()"
    more = "PIDFile(bus, PID_FILE).subscribe()"
    done = house.run(START.format(more=more, then=then), head=BUS, use=USE)
    assert (done.returncode, done.stderr) == (70, "script.py: start failed: ZeroDivisionError: division by zero\n")
    house.hear()
    assert not house.pid_path.exists()


def test_only_the_thread_that_starts_the_bus_says_so(house: House) -> None:
    then = """bus.state = bus.states.STARTED
def elsewhere():
    for listener in list(bus.listeners["log"]): listener("early", 20)
thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
for listener in list(bus.listeners["stop"]): listener()
sys.exit()"""
    assert house.run(START.format(more="", then=then), head=BUS, use=USE).returncode == 70
    house.hear()


def test_a_start_that_cannot_begin_gives_the_pid_file_back(house: House) -> None:
    done = house.run(
        """
        import types
        bus = Bus()
        bus.states = types.SimpleNamespace(STARTING="starting", STARTED="started")
        bus.state = bus.states.STARTING
        PIDFile(bus, PID_FILE).subscribe()
        try:
            Daemonizer(bus, stdout="/missing/log").start()
        except SystemExit as error:
            print(error, os.path.exists(PID_FILE))
        """,
        head=BUS,
        use=USE,
    )
    assert done.stdout == "script.py: stdout failed: /missing/log: No such file or directory (2 ENOENT) False\n"


def test_the_function_alone(house: House) -> None:
    done = house.run(
        """
        said = []
        Daemonizer.daemonize(stdout=(FOLDER + "/log").encode(), logger=said.append)
        print("text", flush=True)
        report(os.getpid(), len(said))
        """,
        use=USE,
    )
    assert done.returncode == 0
    pid, count = house.hear().split()
    assert count == "3"
    house.reap(int(pid))
    assert (house.folder / "log").read_text() == "text\n"


def test_a_daemonize_of_the_programs_own_is_called(house: House) -> None:
    house.run(
        """
        bus = Bus()
        class Mine(Daemonizer):
            @staticmethod
            def daemonize(stdin, stdout, stderr, logger): report(stdin, stdout, stderr, logger == bus.log)
        mine = Mine(bus, "/in", "/out", "/err")
        mine.start()
        report(mine.finalized)
        """,
        head=BUS,
        use=USE,
    )
    assert house.hear() == "/in /out /err True"
    assert house.hear() == "True"


# --- privileges ---------------------------------------------------------------------------------------------------------


def drop(setup: str, call: str, python: str = sys.executable) -> list[str]:
    """What a process with a second thread has become, as both threads see it: ids, groups."""
    script = BUS + textwrap.dedent(
        f"""
        import os, sys, threading
        from daemonctx.compat.cherrypy import DropPrivileges
        from daemonctx import DaemonError
        bus, go = Bus(), threading.Event()
        def look():
            go.wait()
            with open("/proc/thread-self/status") as file:
                print([line.split()[1:] for line in file if line.startswith(("Uid", "Gid", "Groups"))])
        thread = threading.Thread(target=look)
        {setup}
        thread.start()
        try:
            DropPrivileges(bus, {call}).start()
            print(os.getresuid(), os.getresgid(), os.getgroups())
        except DaemonError as error:
            print(type(error).__name__, error)
        go.set(); thread.join()
        """
    )
    return output(python, script).splitlines()


@needs_root
def test_user_and_group_and_no_others() -> None:
    uid, gid = NOBODY.pw_uid, NOBODY.pw_gid
    main, thread = drop("os.setgroups([4, 24])", "uid='nobody', gid='nogroup'")
    assert main == f"({uid}, {uid}, {uid}) ({gid}, {gid}, {gid}) []"
    assert thread == str([[str(uid)] * 4, [str(gid)] * 4, []])


@needs_root
def test_a_user_alone_brings_its_groups() -> None:
    member = next((pwd.getpwnam(name) for group in grp.getgrall() for name in group.gr_mem if name != "root"), NOBODY)
    groups = sorted(os.getgrouplist(member.pw_name, member.pw_gid))
    main, _ = drop("os.setgroups([4, 24])", f"uid={member.pw_uid}")
    assert main.endswith(f"({', '.join([str(member.pw_gid)] * 3)}) {groups}")


@needs_root
def test_a_user_without_an_entry_needs_a_group() -> None:
    main, _ = drop("pass", "uid=54321")
    assert "group failed: 54321 (a user without an entry" in main
    main, _ = drop("pass", "uid=54321, gid=54322")
    assert main == "(54321, 54321, 54321) (54322, 54322, 54322) []"


@needs_root
def test_a_group_alone_leaves_no_others_either() -> None:
    main, _ = drop("os.setgroups([4, 24])", "gid=54322")
    assert main == "(0, 0, 0) (54322, 54322, 54322) []"


@needs_root
def test_capabilities_that_another_thread_keeps_end_the_start() -> None:
    main, _ = drop("import ctypes; ctypes.CDLL(None).prctl(8, 1, 0, 0, 0)", "uid=54321, gid=54322")  # PR_SET_KEEPCAPS
    assert main == "PrivilegeError verify privileges failed: capabilities left: Operation not permitted (1 EPERM)"


@needs_root
def test_capabilities_of_one_who_is_it_already_stay() -> None:
    keep = "import ctypes; ctypes.CDLL(None).prctl(8, 1, 0, 0, 0); os.setresgid(4, 4, 4); os.setresuid(54321, 54321, 54321)"
    main, _ = drop(keep, "uid=54321, gid=4")
    assert main.startswith("(54321, 54321, 54321) (4, 4, 4)")


@needs_root
def test_minus_one_is_not_no_change() -> None:
    main, *_ = drop("pass", "uid=-1, gid=54322")
    assert main.startswith("OptionError uid: expected a user's name or number, or None, got -1")


@needs_root
def test_one_who_is_it_already_keeps_its_groups_and_one_who_cannot_change_is_told() -> None:
    become = "os.setgroups([24]); os.setresgid(4, 4, 4); os.setresuid(54321, 54321, 54321)"
    main, _ = drop(become, "uid=54321, gid=4")
    assert main == "(54321, 54321, 54321) (4, 4, 4) [24]"
    main, _ = drop(become, "uid=54322, gid=4")
    assert main.startswith("PrivilegeError setgroups failed: ")


def test_drop_privileges_says_what_it_does() -> None:
    bus = Bus()
    plugin = cherrypy.DropPrivileges(bus)
    plugin.start()
    assert bus.logged == [("uid/gid not set", 30), ("umask not set", 30)]
    assert plugin.finalized
    bus = Bus()
    before = os.umask(0o022)
    try:
        plugin = cherrypy.DropPrivileges(bus, umask=0o027, uid=pwd.getpwuid(os.getuid()).pw_name)
        assert plugin.uid == os.getuid()
        plugin.start()
        assert os.umask(0o027) == 0o027
        plugin.start()
    finally:
        os.umask(before)
    owner = f"uid: {pwd.getpwuid(os.getuid()).pw_name!r} gid: {grp.getgrgid(os.getgid()).gr_name!r}"
    first = [f"Started as {owner}", f"Running as {owner}", "umask old: 022, new: 027"]
    assert [message for message, _ in bus.logged] == [*first, f"Already running as {owner}", "umask already set to: 027"]


@pytest.mark.parametrize("name", ["uid", "gid"])
def test_a_name_that_nobody_has(name: str) -> None:
    with pytest.raises(KeyError):
        cherrypy.DropPrivileges(Bus(), **{name: "nobody-at-all"})  # type: ignore[arg-type]


# --- the pid file by itself ---------------------------------------------------------------------------------------------


def test_a_pid_file_is_locked_and_removed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.pid"
    path.write_text("999999999\n")  # Stale.
    bus = Bus()
    plugin = cherrypy.PIDFile(bus, str(path))
    plugin.exit()
    assert path.exists()  # It was not ours.
    plugin.start()
    assert path.read_text() == f"{os.getpid()}\n"
    assert PidFile(path).is_running()
    other = cherrypy.PIDFile(Bus(), path)
    with pytest.raises(AlreadyRunningError):
        other.start()
    other.exit()
    assert path.exists()
    plugin.start()
    plugin.exit()
    assert not path.exists()
    wrote, said = f"PID {os.getpid()} written to {str(path)!r}.", f"PID {os.getpid()} already written to {str(path)!r}."
    assert [message for message, _ in bus.logged] == [wrote, said, f"PID file removed: {str(path)!r}."]
    # The original would say that it has been written already.
    plugin.start()
    assert path.exists() and plugin.finalized
    plugin.exit()


def test_a_file_of_the_originals_plugin_counts_while_its_process_lives(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "x.pid"
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        path.write_text(f"{living.pid}\n")
        with pytest.raises(AlreadyRunningError) as caught:
            cherrypy.PIDFile(Bus(), str(path)).start()
        assert caught.value.pid == living.pid
    finally:
        living.communicate(b"\n", LIMIT)
    plugin = cherrypy.PIDFile(Bus(), str(path))
    plugin.start()
    plugin.exit()


def test_a_file_that_this_process_left_before_it_executed_itself(house: House) -> None:
    done = house.run(
        """
        plugin = PIDFile(Bus(), PID_FILE)
        plugin.start()
        if len(sys.argv) == 1:
            os.execv(sys.executable, [sys.executable, *sys.argv, "again"])
        print(open(PID_FILE).read() == f"{os.getpid()}\\n")
        """,
        head=BUS,
        use=USE,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert not house.pid_path.exists()


def test_a_child_does_not_remove_the_file(house: House) -> None:
    done = house.run(
        """
        plugin = PIDFile(Bus(), PID_FILE)
        plugin.start()
        child = os.fork()
        if child == 0:
            plugin.exit()
            os._exit(0)
        os.waitpid(child, 0)
        print(os.path.exists(PID_FILE))
        """,
        head=BUS,
        use=USE,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert not house.pid_path.exists()  # The process's end removes it, where the bus does not.


@needs_root
def test_a_file_in_a_directory_that_is_closed_by_then(house: House) -> None:
    with place_for_anybody() as folder:
        script = BUS + textwrap.dedent(
            """
            import os, sys
            from daemonctx.compat.cherrypy import PIDFile, DropPrivileges
            bus = Bus()
            plugin = PIDFile(bus, sys.argv[1])
            plugin.start()
            DropPrivileges(bus, uid="nobody", gid="nogroup").start()
            plugin.exit()
            print([message for message, _ in bus.logged if "removed" in message], os.getpid())
            """
        )
        path = folder / "x.pid"
        removed, _, pid = output(sys.executable, script, str(path)).rstrip().rpartition(" ")
        assert (removed, path.read_text()) == ("[]", f"{pid}\n")
        assert not PidFile(path).is_running()


# --- signals ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def handler() -> Iterator[Any]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGIO)}
    yield cherrypy.SignalHandler(Bus())
    for number, action in before.items():
        signal.signal(number, action)


def test_signals_are_published_by_name(handler: Any) -> None:
    bus = handler.bus
    handler.handlers["SIGNOSUCH"] = bus.exit  # Left out.
    handler.subscribe()
    os.kill(os.getpid(), signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGTERM)
    assert bus.called == ["graceful", "exit"]
    assert [message for message, _ in bus.logged if message.startswith("Caught")] == [
        "Caught signal SIGUSR1.",
        "Caught signal SIGTERM.",
    ]


def test_a_signal_by_its_other_name(handler: Any) -> None:
    heard = []
    handler.set_handler("SIGIO", lambda: heard.append("SIGIO"))
    handler.set_handler("SIGPOLL", lambda: heard.append("SIGPOLL"))
    os.kill(os.getpid(), signal.SIGIO)
    assert sorted(heard) == ["SIGIO", "SIGPOLL"]


@pytest.mark.parametrize("wrong", ["SIGNOSUCH", "SIG_DFL", "Signals", 0, 65])
def test_a_signal_that_does_not_exist(handler: Any, wrong: Any) -> None:
    with pytest.raises(ValueError, match="No such signal"):
        handler.set_handler(wrong)


def test_unsubscribe_puts_back_what_was_there(handler: Any) -> None:
    def mine(signum: int, frame: object) -> None:
        pass

    signal.signal(signal.SIGUSR1, mine)
    handler.subscribe()
    handler.subscribe()  # The original would put back itself.
    assert signal.getsignal(signal.SIGUSR1) == handler._handle_signal
    handler.unsubscribe()
    assert signal.getsignal(signal.SIGUSR1) is mine
    assert f"Restoring SIGUSR1 handler {mine!r}." in [message for message, _ in handler.bus.logged]


def test_unsubscribe_where_something_unknown_was(handler: Any) -> None:
    handler.subscribe()
    handler._previous_handlers[signal.SIGUSR1] = None  # What signal.signal says of a handler that is not Python's.
    handler.unsubscribe()
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL


def test_sighup_restarts_a_daemon_and_ends_what_has_a_terminal(handler: Any) -> None:
    handler.handle_SIGHUP()
    assert handler.bus.called == ["exit"]
    handler._original_pid -= 1  # As after a fork; standard input of a test is no terminal.
    handler.handle_SIGHUP()
    assert handler.bus.called == ["exit", "restart"]
    before, sys.stdin = sys.stdin, None
    try:
        handler.handle_SIGHUP()
    finally:
        sys.stdin = before
    assert handler.bus.called == ["exit", "restart", "restart"]


# --- threads ------------------------------------------------------------------------------------------------------------


def test_a_task_repeats_and_ends_at_once_when_it_is_cancelled() -> None:
    three = threading.Semaphore(0)
    task = cherrypy.BackgroundTask(0.001, three.release)
    task.start()
    assert all(three.acquire(timeout=LIMIT) for _ in range(3))
    task.cancel()
    task.join(LIMIT)
    task = cherrypy.BackgroundTask(3600, three.release)
    task.start()
    task.cancel()
    task.join(LIMIT)
    assert not task.is_alive() and not task.running
    task = cherrypy.BackgroundTask(3600, three.release)
    task.cancel()  # Before it has begun.
    task.start()
    task.join(LIMIT)
    assert not task.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("kind", ["BackgroundTask", "PerpetualTimer"])
def test_a_task_that_raises_ends_and_says_so(kind: str) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError((args, kwargs))

    bus = Bus()
    task = getattr(cherrypy, kind)(0.001, fail, [1], {"two": 3}, bus=bus)
    task.start()
    task.join(LIMIT)
    ((message, level),) = bus.logged
    assert message.startswith("Error in ") and repr(fail) in message and level == 40


def test_a_timer_goes_on_until_it_is_cancelled() -> None:
    three = threading.Semaphore(0)
    timer = cherrypy.PerpetualTimer(0.001, three.release)
    timer.start()
    assert all(three.acquire(timeout=LIMIT) for _ in range(3))
    timer.cancel()
    timer.join(LIMIT)
    assert timer.bus is None and not timer.is_alive()


def test_a_monitor_runs_while_the_bus_does() -> None:
    bus, called = Bus(), threading.Semaphore(0)
    monitor = cherrypy.Monitor(bus, called.release, 0.001, "clean-up")
    monitor.subscribe()
    assert [channel for channel, listeners in bus.listeners.items() if listeners] == ["start", "stop", "graceful"]
    bus.publish("start")
    assert called.acquire(timeout=LIMIT)
    thread = monitor.thread
    assert thread is not None and thread.name == "clean-up" and thread.daemon
    bus.publish("start")
    assert monitor.thread is thread
    bus.publish("graceful")
    assert monitor.thread is not thread
    thread.join(LIMIT)
    thread = monitor.thread
    bus.publish("stop")
    assert monitor.thread is None
    assert thread is not None
    thread.join(LIMIT)
    bus.publish("stop")
    assert [message for message, _ in bus.logged] == [
        "Started monitor thread 'clean-up'.",
        "Monitor thread 'clean-up' already started.",
        "Stopped thread 'clean-up'.",
        "Started monitor thread 'clean-up'.",
        "Stopped thread 'clean-up'.",
        "No thread running for clean-up.",
    ]
    monitor.unsubscribe()
    assert not any(bus.listeners.values())


def test_a_monitor_that_never_is() -> None:
    monitor = cherrypy.Monitor(Bus(), print, frequency=0)
    monitor.start()
    assert monitor.thread is None


def test_a_monitor_whose_callback_stops_it() -> None:
    go = threading.Event()
    calls = []

    def callback() -> None:
        go.wait(LIMIT)
        calls.append(threading.current_thread())
        monitor.stop()

    monitor = cherrypy.Monitor(Bus(), callback, 0.001)
    monitor.start()
    thread = monitor.thread
    assert thread is not None
    go.set()
    thread.join(LIMIT)
    assert calls == [thread] and not thread.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_monitor_that_has_died_can_be_started_again() -> None:
    def fail() -> None:
        raise RuntimeError

    monitor = cherrypy.Monitor(Bus(), fail, 0.001)
    monitor.start()
    first = monitor.thread
    assert first is not None
    first.join(LIMIT)
    monitor.start()
    assert monitor.thread is not first
    monitor.stop()


def test_threads_have_numbers_of_their_own() -> None:
    bus = Bus()
    manager = cherrypy.ThreadManager(bus)
    manager.subscribe()
    assert {"acquire_thread", "start_thread", "release_thread", "stop_thread"} <= set(bus.listeners)
    turns: collections.deque[threading.Event] = collections.deque()

    def serve(acquired: threading.Event, leave: threading.Event, release: bool) -> None:
        bus.publish("acquire_thread")
        bus.publish("acquire_thread")
        acquired.set()
        leave.wait(LIMIT)
        if release:
            bus.publish("release_thread")
            bus.publish("release_thread")

    def begin(release: bool) -> tuple[threading.Thread, threading.Event]:
        acquired, leave = threading.Event(), threading.Event()
        turns.append(leave)
        thread = threading.Thread(target=serve, args=(acquired, leave, release))
        thread.start()
        assert acquired.wait(LIMIT)
        return thread, leave

    one, leave_one = begin(True)
    two, leave_two = begin(False)
    leave_one.set()
    one.join(LIMIT)
    # The original counts how many there are, and gives this one the number that the second still has.
    three, leave_three = begin(False)
    assert sorted(manager.threads.values()) == [1, 2]
    bus.publish("graceful")
    assert manager.threads == {}
    leave_two.set()
    leave_three.set()
    two.join(LIMIT)
    three.join(LIMIT)
    told = [message for message in bus.published if message[0] in ("start_thread", "stop_thread")]
    assert told[:4] == [("start_thread", 1), ("start_thread", 2), ("stop_thread", 1), ("start_thread", 1)]
    assert sorted(told[4:]) == [("stop_thread", 1), ("stop_thread", 2)]


# --- reloading ----------------------------------------------------------------------------------------------------------


def test_the_autoreloader_looks_at_modules_and_files(tmp_path: pathlib.Path) -> None:
    bus = Bus()
    reloader = cherrypy.Autoreloader(bus, match="^pathlib$")
    assert reloader.sysfiles() == {pathlib.__file__}
    config = tmp_path / "config"
    config.touch()
    reloader.files.add(str(config))
    reloader.files.add(str(tmp_path / "missing.pyc"))
    reloader.run()
    reloader.run()
    assert bus.called == []
    os.utime(config, (2**31 - 1, 2**31 - 1))
    reloader.run()
    assert bus.called == ["restart"]
    assert bus.logged == [(f"Restarting because {config} changed.", 20)]
    reloader.start()
    reloader.stop()
    assert not hasattr(bus, "_set_cloexec")  # It is not CherryPy's.


def test_the_autoreloader_notices_that_a_file_is_gone(tmp_path: pathlib.Path) -> None:
    reloader = cherrypy.Autoreloader(Bus(), match="$none")
    (tmp_path / "module.py").touch()
    reloader.files.add(str(tmp_path / "module.pyc"))  # The source counts.
    reloader.run()
    (tmp_path / "module.py").unlink()
    reloader.run()
    assert reloader.bus.called == ["restart"]


# Executes itself by CherryPy's bus, and prints which descriptors it has then.
RESTART = """
import os, resource, sys, time
import daemonctx.compat
plugins = daemonctx.compat.install("cherrypy.process.plugins")
from cherrypy.process import wspbus
if os.environ.get("AGAIN"):
    def is_open(fd):
        try: os.fstat(fd)
        except OSError: return False  # That of the listing.
        return True
    print(sorted(fd for fd in map(int, os.listdir("/proc/self/fd")) if is_open(fd)))
    sys.exit()
os.environ["AGAIN"] = "1"
bus = wspbus.Bus()
plugins.Autoreloader(bus)
for number in (5, 700):
    os.dup2(0, number, inheritable=True)
{setup}
bus.state = bus.states.STARTED
bus.restart()
bus.block()
"""

# prctl(2): every close_range is ENOSYS, as on a kernel before 5.9.
NO_CLOSE_RANGE = """
import ctypes, struct
program = b"".join(struct.pack("HBBI", *line) for line in
    [(0x20, 0, 0, 0), (0x15, 0, 1, 436), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)])
buffer = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(buffer)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, ctypes.byref(filter), 0, 0) == 0, ctypes.get_errno()
from daemonctx import _native
try:
    _native.close_on_exec(3)
except OSError as error:
    assert error.errno == 38
else:
    raise AssertionError("there is a close_range")
"""


@fetched
@pytest.mark.parametrize(
    "setup",
    ["", "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); wspbus.Bus.max_cloexec_files = 100", NO_CLOSE_RANGE],
    ids=["plain", "above the limit", "old kernel"],
)
def test_a_restart_closes_all_descriptors(house: House, python_311: str, setup: str) -> None:
    (house.folder / "app.py").write_text(RESTART.format(setup=setup))
    done = house.start([python_311, str(house.folder / "app.py")], env=environment())
    assert (done.returncode, done.stdout) == (0, "[0, 1, 2]\n"), done.stderr


@fetched
def test_a_restart_leaves_systemds_sockets(house: House, python_311: str) -> None:
    setup = "os.dup2(0, 3, inheritable=True); os.dup2(0, 4, inheritable=True)\n"
    setup += "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2')"
    (house.folder / "app.py").write_text(RESTART.format(setup=setup))
    done = house.start([python_311, str(house.folder / "app.py")], env=environment())
    assert (done.returncode, done.stdout) == (0, "[0, 1, 2, 3, 4]\n"), done.stderr


@fetched
def test_a_restart_costs_the_same_whatever_the_limit(python_311: str) -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if limit < 10_000:
        pytest.skip("the limit is too low to see anything")
    script = f"""
        import resource, sys, time
        resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
        if sys.argv[1] == "ours":
            import daemonctx.compat
            daemonctx.compat.install("cherrypy.process.plugins")
        from cherrypy.process import plugins, wspbus
        bus = wspbus.Bus()
        plugins.Autoreloader(bus)
        assert bus.max_cloexec_files == {limit}
        begin = time.perf_counter()
        bus._set_cloexec()
        print(time.perf_counter() - begin)
    """
    ours, original = (float(output(python_311, script, which)) for which in ("ours", "original"))
    assert ours < original / 10


@fetched
def test_a_bus_with_a_way_of_its_own_keeps_it(python_311: str) -> None:
    script = """
        import daemonctx.compat
        plugins = daemonctx.compat.install("cherrypy.process.plugins")
        from cherrypy.process import wspbus
        class Mine(wspbus.Bus):
            def _set_cloexec(self): pass
        bus = Mine()
        plugins.Autoreloader(bus), plugins.SignalHandler(bus)
        print(bus._set_cloexec.__func__ is Mine._set_cloexec)
    """
    assert output(python_311, script) == "True\n"
