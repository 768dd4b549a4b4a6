"""Where a start begins, and what it is to keep."""

from __future__ import annotations

import os
import pathlib
import pty
import shutil
import signal
import socket
import subprocess
import sys

import daemonctx
import pytest
from conftest import LIMIT, OPEN, House
from doors import DOORS


def target(pid: int, fd: int) -> str:
    return os.readlink(f"/proc/{pid}/fd/{fd}")


@pytest.mark.parametrize("closed", range(1, 8))
def test_closed_standard_streams(house: House, closed: int) -> None:
    def close() -> None:
        for fd in range(3):
            if closed >> fd & 1:
                os.close(fd)

    assert house.run(OPEN, preexec_fn=close).returncode == 0
    assert house.hear() == "open"
    pid = house.pid()
    assert [target(pid, fd) for fd in range(3)] == ["/dev/null"] * 3
    house.end(pid)


def test_ignored_and_blocked_signals(house: House) -> None:
    def prepare() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())

    assert house.run(OPEN, preexec_fn=prepare).returncode == 0
    house.hear()
    pid = house.pid()
    status = dict(line.split(":\t") for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if "\t" in line)
    ignored = int(status["SigIgn"], 16)
    assert int(status["SigBlk"], 16) == 0
    assert not ignored >> signal.SIGCHLD - 1 & 1 and not ignored >> signal.SIGHUP - 1 & 1
    assert ignored >> signal.SIGPIPE - 1 & 1, "the interpreter's own: a broken pipe is an exception"
    house.end(pid)


def test_below_inetd_it_stays_and_so_do_the_streams(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        connection, _ = server.accept()
        script = house.folder / "service.py"
        script.write_text(
            "from daemonctx import DaemonContext\nwith DaemonContext():\n    print(input(), flush=True)\n"
        )
        with connection:
            service = subprocess.Popen([sys.executable, str(script)], stdin=connection, stdout=connection)
        client.sendall(b"hello\n")
        with client.makefile() as answer:
            assert answer.readline() == "hello\n"
        assert service.wait(LIMIT) == 0


@pytest.mark.parametrize("use", ["daemonctx", "daemonctx.compat.python_daemon", "daemonctx.compat.pep3143daemon"])
def test_below_supervisord_it_stays(house: House, use: str) -> None:
    environment = {**os.environ, "SUPERVISOR_ENABLED": "1"}
    body = "with DaemonContext(files_preserve=[REPORT]): report(os.getpid()); os._exit(7)"
    done = house.run(body, use=f"from {use} import DaemonContext", env=environment, preexec_fn=lambda: os.setpgid(0, 0))
    assert (done.returncode, done.stderr) == (7, "")
    house.hear()
    # What supervisord's programs start is not supervisord's.
    assert house.run(body, use=f"from {use} import DaemonContext", env=environment).returncode == 0
    house.reap(int(house.hear()))


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")
@pytest.mark.parametrize("use", ["daemonctx", "daemonctx.compat.python_daemon", "daemonctx.compat.pep3143daemon"])
def test_below_a_containers_init_it_stays(house: House, use: str) -> None:
    (house.folder / "program.py").write_text(f"from {use} import DaemonContext\nimport os\nwith DaemonContext(): os._exit(7)\n")
    (house.folder / "init.py").write_text(
        "import os, sys\npid = os.fork()\nif pid == 0:\n    os.setpgid(0, 0)\n    os.execv(sys.argv[1], sys.argv[1:])\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable, str(house.folder / "init.py")]
    assert house.start([*namespace, sys.executable, str(house.folder / "program.py")]).returncode == 7


def test_a_terminal_that_closes_while_the_starter_waits(house: House) -> None:
    script = house.folder / "script.py"
    script.write_text(
        f"import os, signal\nREPORT = {house.report_write}\n"
        "from daemonctx import DaemonContext, PidFile\n"
        f"context = DaemonContext(pidfile=PidFile({str(house.pid_path)!r}), manual_ready=True, files_preserve=[REPORT])\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "context.open()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "os.write(REPORT, b'open\\n')\n"
        "signal.sigwait([signal.SIGUSR1])\n"
        "context.ready()\nos.write(REPORT, b'ready\\n')\nsignal.pause()\n"
    )
    os.set_inheritable(house.report_write, True)
    starter, terminal = pty.fork()
    if starter == 0:
        os.execv(sys.executable, [sys.executable, str(script)])
    assert house.hear() == "open"
    pid = house.pid()
    os.close(terminal)  # SIGHUP to the starter, which waits on
    os.kill(pid, signal.SIGUSR1)
    assert house.hear() == "ready"
    assert os.waitstatus_to_exitcode(os.waitpid(starter, 0)[1]) == 0
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert stat[4] == "0"
    house.end(pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")
def test_a_child_of_init_in_a_pid_namespace(house: House) -> None:
    script = house.folder / "script.py"
    script.write_text(
        "import os\nfrom daemonctx import DaemonContext, PidFile\n"
        f"context = DaemonContext(pidfile=PidFile({str(house.pid_path)!r}), files_preserve=[{house.report_write}])\n"
        "context.open()\n"
        f"os.write({house.report_write}, f'{{os.getpid()}} {{os.getsid(0)}}\\n'.encode())\n"
    )
    # With its init all of a namespace ends, so that has to stay until the daemon has reported.
    gate = house.folder / "gate"
    os.mkfifo(gate)
    init = f"{sys.executable} {script}; echo $? > {house.folder}/status; read line < {gate}"
    namespace = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", init]
    with subprocess.Popen(namespace, pass_fds=[house.report_write]) as running:
        pid, session = house.hear().split()
        gate.write_text("\n")
        assert running.wait(LIMIT) == 0
    assert (house.folder / "status").read_text() == "0\n"
    assert pid != session


def test_handlers_of_logging_are_kept_if_asked_for(house: House) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.bind(str(house.folder / "syslog"))
        house.run(
            """
            import logging, logging.handlers
            log = logging.getLogger("mine")
            log.addHandler(logging.FileHandler(FOLDER + "/log"))
            log.addHandler(logging.handlers.SysLogHandler(FOLDER + "/syslog"))
            DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], preserve_logging=True).open()
            log.warning("from the daemon")
            report("logged")
            signal.pause()
            """
        )
        house.hear()
        assert (house.folder / "log").read_text() == "from the daemon\n"
        syslog.settimeout(LIMIT)
        assert b"from the daemon" in syslog.recv(1000)
        house.end(house.pid())


@pytest.mark.parametrize("how", ["open(FOLDER + '/log', 'a')", "os.open(FOLDER + '/log', os.O_WRONLY | os.O_CREAT)", "FOLDER + '/log'"])
def test_one_target_for_both_streams(house: House, how: str) -> None:
    house.run(
        f"""
        target = {how}
        keep = [REPORT]
        context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=keep, stdout=target, stderr=target)
        context.open()
        os.write(1, b"out\\n"); os.write(2, b"err\\n")
        report(keep == [REPORT])
        signal.pause()
        """
    )
    assert house.hear() == "True"
    assert (house.folder / "log").read_text() == "out\nerr\n"
    house.end(house.pid())


def test_what_is_kept_and_what_is_not(house: House) -> None:
    house.run(
        """
        import socket
        kept, closed = socket.socketpair()
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT, kept]).open()
        def is_open(fd):
            try: os.fstat(fd)
            except OSError: return False
            return True
        report(is_open(kept.fileno()), is_open(closed.fileno()))
        closed.detach()
        signal.pause()
        """
    )
    assert house.hear() == "True False"
    house.end(house.pid())


def test_a_wakeup_descriptor_that_was_closed_is_forgotten(house: House) -> None:
    house.run(
        """
        read, write = os.pipe(); os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT]).open()
        report(signal.set_wakeup_fd(-1))
        signal.pause()
        """
    )
    assert house.hear() == "-1"
    house.end(house.pid())


@pytest.mark.parametrize("working", ["/inside", "{root}/inside"])
@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_a_new_root(house: House, working: str) -> None:
    (house.folder / "inside").mkdir()
    working = working.format(root=house.folder)
    house.run(
        f"""
        context = DaemonContext(chroot_directory=FOLDER, working_directory={working!r},
                                pidfile=PidFile(PID_FILE), files_preserve=[REPORT])
        outside = context.working_directory
        context.open()
        report(outside, os.getcwd())
        signal.pause()
        """
    )
    assert house.hear() == f"{house.folder}/inside /inside"
    pid = house.pid()
    assert os.readlink(f"/proc/{pid}/root") == str(house.folder)
    house.end(pid)
    assert not house.pid_path.exists()


# Everything that the documentation shows in a daemon. Each is run in one where none of it has been used before.
IN_DAEMON = {
    "notify": "report(daemonctx.notify('STATUS=inside'))",
    "watchdog_interval": "report(daemonctx.watchdog_interval() is not None)",
    "Watchdog": "with daemonctx.Watchdog(alive=lambda: False): report(False)",
    "listen_sockets": "report(bool(daemonctx.listen_sockets()))",
    "signals": "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); os.kill(os.getpid(), signal.SIGUSR1)\n"
    "with daemonctx.signals(signal.SIGUSR1) as stream: report(next(stream) != signal.SIGUSR1)",
    "waiting for signals": "import threading\nwith daemonctx.signals('USR1') as stream:\n"
    "    signal.setitimer(signal.ITIMER_REAL, 0.01); signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGUSR1))\n"
    "    report(next(stream) != signal.SIGUSR1)",
    "ready_async": "asyncio.run(context.ready_async()); report(False)",
    "signals in a loop": "async def main():\n"
    "    with daemonctx.signals(signal.SIGUSR1) as stream:\n"
    "        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGUSR1)\n"
    "        async for number in stream:\n            return number != signal.SIGUSR1\n"
    "report(asyncio.run(main()))",
    "PidFile": "try: daemonctx.PidFile('/nonexistent/test.pid').acquire()\n"
    "except daemonctx.PidFileError as error: report(error.errno != 2)",
    "an option's error": "try: daemonctx.PidFile('/x').stop(-1)\nexcept daemonctx.OptionError: report(False)",
    "reopen_streams": "context.reopen_streams(); report(False)",
    "fail": "try: context.fail('no', 0)\nexcept daemonctx.DaemonError: report(False)",
}


@pytest.mark.skipif(os.geteuid() != 0, reason="a new root, or another user, needs root")
@pytest.mark.parametrize("options", ["chroot_directory=FOLDER + '/empty'", "uid='nobody'"], ids=["root", "user"])
@pytest.mark.parametrize("feature", IN_DAEMON)
def test_the_daemon_needs_none_of_the_packages_files(house: House, feature: str, options: str) -> None:
    package = pathlib.Path(daemonctx.__file__).parent
    shutil.copytree(package, house.folder / "hidden" / "daemonctx", ignore=shutil.ignore_patterns("__pycache__"))
    (house.folder / "hidden").chmod(0o700)
    (house.folder / "empty").mkdir()
    body = (
        f"context = DaemonContext({options}, manual_ready=True, files_preserve=[REPORT])\n"
        f"context.open()\n{IN_DAEMON[feature]}\ncontext.ready()\nreport(os.getpid())\n"
    )
    head = "sys.path.insert(0, FOLDER + '/hidden')\n" + ("import asyncio\n" if "asyncio" in body else "")
    done = house.run(body, head=head, use="import daemonctx\nfrom daemonctx import DaemonContext")
    assert (done.returncode, done.stderr) == (0, "")
    assert house.hear() == "False"
    house.reap(int(house.hear()))


def test_another_interpreter_of_the_process_is_refused(house: House) -> None:
    done = house.run(
        """
        try:
            import _interpreters
            kind = "legacy"
        except ImportError:  # Before Python 3.13.
            import _xxsubinterpreters as _interpreters
            kind = False
        text = (
            "from daemonctx import DaemonContext, UsageError\\n"
            "try: DaemonContext(detach_process=True).open()\\n"
            "except UsageError as error: open(%r, 'w').write(str(error))\\n" % (FOLDER + "/said")
        )
        made = _interpreters.create(kind) if kind else _interpreters.create(isolated=False)
        _interpreters.run_string(made, text)
        _interpreters.destroy(made)
        """,
        use="",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (house.folder / "said").read_text() == "open failed: not the main interpreter of this process"


@pytest.mark.parametrize("door", DOORS)
def test_the_starter_runs_no_finalizer(house: House, door: str) -> None:
    """A descriptor that is kept is the daemon's: an object that says goodbye on it would say so in the starter too."""
    house.run(
        """
        class Client:
            def __del__(self, pid=os.getpid): os.write(REPORT, b"goodbye of %d\\n" % pid())
        client = Client()
        atexit.register(lambda: report("exit of", os.getpid()))
        become()
        report(os.getpid())
        """,
        head=DOORS[door],
    )
    pid = house.hear()
    assert [house.hear(), house.hear()] == [f"exit of {pid}", f"goodbye of {pid}"]
    house.reap(int(pid))
    assert house.silent()


INTERPRETERS = """
try:
    import _interpreters
except ImportError:  # Before Python 3.13.
    import _xxsubinterpreters as _interpreters
"""


@pytest.mark.parametrize("door", DOORS)
def test_a_start_beside_another_interpreter_is_refused(house: House, door: str) -> None:
    done = house.run(
        """
        made = _interpreters.create()
        try: become()
        except (Exception, SystemExit) as error: print(error)
        _interpreters.destroy(made)
        become()
        made = _interpreters.create()
        _interpreters.run_string(made, "import os; os.write(%d, b'inside ')" % REPORT)
        report(os.getpid())
        """,
        head=DOORS[door] + INTERPRETERS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "open failed: other interpreters exist: a fork would crash" in done.stdout
    said, pid = house.hear().split()
    assert said == "inside"
    house.reap(int(pid))


def test_an_isolated_interpreter_refuses_the_import(house: House) -> None:
    done = house.run(
        """
        made = _interpreters.create()
        text = "try: import daemonctx\\nexcept ImportError as error: open(%r, 'w').write(str(error))" % (FOLDER + "/said")
        _interpreters.run_string(made, text)
        """,
        head=INTERPRETERS,
        use="",
    )
    assert done.returncode == 0
    if (house.folder / "said").exists():  # Before Python 3.12 it is not isolated.
        assert (house.folder / "said").read_text() == "module daemonctx._native does not support loading in subinterpreters"


def test_a_starter_that_is_killed_leaves_no_daemon(house: House) -> None:
    script = house.folder / "script.py"
    script.write_text(
        f"import os, signal\nREPORT = {house.report_write}\nfrom daemonctx import *\n"
        f"context = DaemonContext(pidfile=PidFile({str(house.pid_path)!r}), manual_ready=True, files_preserve=[REPORT])\n"
        "context.open()\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
        "os.write(REPORT, b'open\\n')\n"
        "signal.sigwait([signal.SIGUSR1])\n"
        "try:\n    context.ready()\nexcept DaemonError as error:\n    os.write(REPORT, f'{error}\\n'.encode())\n    raise\n"
    )
    starter = subprocess.Popen([sys.executable, str(script)], pass_fds=[house.report_write], stderr=subprocess.DEVNULL)
    assert house.hear() == "open"
    pid = house.pid()
    starter.kill()
    starter.wait(LIMIT)
    os.kill(pid, signal.SIGUSR1)
    assert house.hear() == "report failed: starter: Broken pipe (32 EPIPE)"
    house.reap(pid)
    assert not house.pid_path.exists()
