"""Programs of others that need python-daemon, unmodified, with our distribution of that name in its place.

Each has a virtual environment below target/peers, made when it is first needed: see `peers.fetch`.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from typing import Any, Callable

import pytest
from conftest import LIMIT, House, children
from peers import fetch

pytestmark = pytest.mark.timeout(600)  # The first time, programs are fetched and the package is built.


DEBIAN = pytest.mark.skipif(shutil.which("apt-get") is None, reason="Debian's programs, so Debian and its kin only")
# What luigi and nrpe-ng import is in newer ones no more.
HAS_PKG_RESOURCES = "setuptools<80"


def environment(name: str, *requirements: str) -> pathlib.Path:
    """The ``bin`` of a virtual environment with a program and ours."""
    return fetch.venv(name, fetch.wheel(), fetch.stand_in(), *requirements) / "bin"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def until(what: Callable[[], Any], why: str) -> Any:
    """Waits for something that a program tells nobody about: its port, a line in its log."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not in {LIMIT} seconds: {why}")


def reap_others() -> None:
    """Daemons that have ended, or are just about to: this process is their parent now."""
    end = time.monotonic() + LIMIT
    while time.monotonic() < end:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)
        except ChildProcessError:
            return
    raise AssertionError("a daemon does not end")


def end_others() -> None:
    """What a program that was killed has left behind: its children are this process's now, one generation after the other."""
    while children():
        for pid in children():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def is_a_daemon(pid: int) -> None:
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(stat[3]), int(stat[4])
    # Not the leader of its session, which is nobody else's either.
    assert session not in (pid, os.getsid(0)) and terminal == 0
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"


def test_the_distribution_is_python_daemons(house: House) -> None:
    python = fetch.venv("stand-in", fetch.wheel(), fetch.stand_in()) / "bin/python"
    done = house.run(
        """
        import importlib.metadata
        import daemon
        from daemon import daemon as steps, pidfile
        import daemon.pidfile
        import daemonctx.compat.python_daemon as package
        import daemonctx.compat.python_daemon.daemon as own_steps
        import daemonctx.compat.python_daemon.pidfile as own_pidfile
        import lockfile

        assert daemon is package and steps is daemon.daemon is own_steps and pidfile is daemon.pidfile is own_pidfile
        assert issubclass(pidfile.TimeoutPIDLockFile, lockfile.LockBase)
        steps.prevent_core_dump = "replaced"
        assert own_steps.prevent_core_dump == "replaced"
        assert daemonctx.compat.install("daemon") is daemon
        assert daemon.DaemonContext is daemon.daemon.DaemonContext

        import importlib.util
        assert importlib.util.find_spec("daemon.runner") is None
        print(importlib.metadata.version("python-daemon"), daemonctx.__version__)
        """,
        use="import daemonctx.compat",
        python=str(python),
    )
    assert (done.returncode, done.stderr) == (0, "")
    version, own = done.stdout.split()
    # What it stands in for, and which of ours it is of.
    assert version == f"3.1.2+daemonctx.{own}"


@pytest.mark.parametrize("first", ["daemon.daemon", "daemon.pidfile"])
def test_whichever_module_is_imported_first(house: House, first: str) -> None:
    python = fetch.venv("stand-in", fetch.wheel(), fetch.stand_in()) / "bin/python"
    done = house.run(
        f"""
        import {first}
        import daemonctx.compat.python_daemon as package
        assert daemon is package and {first} is package.{first.partition(".")[2]}
        """,
        use="",
        python=str(python),
    )
    assert (done.returncode, done.stderr) == (0, "")


# --- luigi ------------------------------------------------------------------------------------------------------------


class Luigid:
    """Luigi's scheduler: ``luigid --background``. Its pid file is its own affair; the daemon is python-daemon's."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.logs = house.folder / "logs"
        self.state = house.folder / "state.pickle"
        self.port = free_port()

    def start(self, *before: str) -> subprocess.CompletedProcess[str]:
        luigid = str(environment("luigi", "luigi==3.6.0", HAS_PKG_RESOURCES) / "luigid")
        command = [luigid, "--background", "--address", "127.0.0.1", "--port", str(self.port)]
        command += ["--pidfile", str(self.house.pid_path), "--logdir", str(self.logs), "--state-path", str(self.state)]
        return self.house.start([*before, *command], cwd=self.house.folder)

    def log(self) -> str:
        return (self.logs / "luigi-server.log").read_text()

    def ask(self) -> Any:
        """What its scheduler says, or None while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/task_list?data=%7B%7D", timeout=LIMIT) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError):
            return None

    def answer(self) -> Any:
        return until(self.ask, "luigid answers")


@pytest.fixture
def luigid(house: House) -> Luigid:
    return Luigid(house)


def test_luigid_answers_and_is_a_daemon(luigid: Luigid) -> None:
    done = luigid.start()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert luigid.answer() == {"response": {}}
    pid = luigid.house.pid()
    is_a_daemon(pid)
    assert os.readlink(f"/proc/{pid}/cwd") == str(luigid.house.folder)
    (out,) = luigid.logs.glob("luigi-server-*.out")
    (err,) = luigid.logs.glob("luigi-server-*.err")
    assert [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)] == [str(out), str(err)]
    luigid.house.end(pid)


def test_luigid_saves_its_state_when_it_is_stopped(luigid: Luigid) -> None:
    luigid.start()
    luigid.answer()
    status = luigid.house.end(luigid.house.pid())
    assert os.waitstatus_to_exitcode(status) == 0
    assert luigid.state.stat().st_size > 0
    assert luigid.ask() is None
    assert luigid.log().count("Scheduler instance shutting down") > 0


def test_a_second_luigid_is_refused(luigid: Luigid) -> None:
    luigid.start()
    luigid.answer()
    pid = luigid.house.pid()
    # Luigi looks when it is a daemon already, and ends well: its starter has nothing to complain about.
    assert luigid.start().returncode == 0
    until(lambda: f"Server already running (pid={pid})" in luigid.log(), "the second one says why it ends")
    assert luigid.house.pid() == pid
    assert luigid.answer() == {"response": {}}
    luigid.house.end(pid)
    reap_others()


def test_a_stale_pid_file_does_not_keep_luigid_from_starting(luigid: Luigid) -> None:
    luigid.start()
    luigid.answer()
    old = luigid.house.pid()
    assert luigid.house.end(old, signal.SIGKILL) == signal.SIGKILL
    assert luigid.house.pid() == old
    assert luigid.start().returncode == 0
    assert luigid.answer() == {"response": {}}
    assert luigid.house.pid() != old
    luigid.house.end(luigid.house.pid())


def test_the_starter_of_luigid_says_when_it_cannot_become_a_daemon(luigid: Luigid) -> None:
    """Nothing in luigi's hands: a system without ``/dev/null``. The original's starter says 0, and nobody is told more."""
    empty = luigid.house.folder / "dev"
    empty.mkdir()
    done = luigid.start("unshare", "--mount", "sh", "-c", f'mount --bind {empty} /dev && exec "$@"', "sh")
    assert done.returncode == 1
    assert "/dev/null: No such file or directory" in done.stderr
    assert luigid.ask() is None and not luigid.house.pid_path.exists()


# --- ansible-runner -----------------------------------------------------------------------------------------------------


class Runner:
    """``ansible-runner start DIRECTORY``: a playbook in the background."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.data = house.folder / "data"
        (self.data / "project").mkdir(parents=True)
        self.said = house.folder / "said"
        self.pid_path = self.data / "pid"

    def playbook(self, seconds: float) -> None:
        task = {"name": "work", "ansible.builtin.shell": f"sleep {seconds}; echo done > {self.said}"}
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
        # JSON is YAML.
        (self.data / "project/play.yml").write_text(json.dumps([play]))

    def __call__(self, command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        programs = environment("ansible-runner", "ansible-runner==2.4.3", "ansible-core")
        variables = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(self.house.folder)}
        return self.house.start([str(programs / "ansible-runner"), command, str(self.data), *arguments], env=variables)

    def start(self) -> subprocess.CompletedProcess[str]:
        return self("start", "-p", "play.yml")


@pytest.fixture
def runner(house: House) -> Runner:
    return Runner(house)


def test_ansible_runner_does_its_work_in_the_background(runner: Runner) -> None:
    runner.playbook(0)
    done = runner.start()
    assert (done.returncode, done.stderr) == (0, "")
    # The pid file is there as soon as the starter has left.
    pid = int(runner.pid_path.read_text())
    until(runner.said.exists, "the playbook runs")
    reap_others()
    assert not runner.pid_path.exists() and not pathlib.Path(f"/proc/{pid}").exists()
    assert runner("is-alive").returncode == 1


def test_ansible_runner_is_alive_refuses_a_second_start_and_stops(runner: Runner) -> None:
    runner.playbook(60)
    assert runner.start().returncode == 0
    pid = int(runner.pid_path.read_text())
    is_a_daemon(pid)
    assert runner("is-alive").returncode == 0
    second = runner.start()
    # The original's starter says 0, and its daemon dies unheard.
    assert second.returncode == 1
    assert f"AlreadyLocked: {runner.pid_path} is already locked" in second.stderr
    assert runner("is-alive").returncode == 0
    assert runner("stop").returncode == 0
    assert runner.house.reap(pid) == signal.SIGKILL
    assert runner("is-alive").returncode == 1
    end_others()
    assert not runner.said.exists()


def test_ansible_runner_starts_after_it_was_killed(runner: Runner) -> None:
    runner.playbook(60)
    runner.start()
    runner.house.end(int(runner.pid_path.read_text()), signal.SIGKILL)
    end_others()
    assert runner.pid_path.exists()
    runner.playbook(0)
    assert runner.start().returncode == 0
    until(runner.said.exists, "the playbook runs")
    reap_others()


# --- geard ------------------------------------------------------------------------------------------------------------


class Geard:
    """Gear's Gearman server. It logs from before it is a daemon, and says nothing of that file."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.port = free_port()
        self.log = house.folder / "geard.log"
        self.config = house.folder / "log.conf"
        self.config.write_text(
            "[loggers]\nkeys=root\n[handlers]\nkeys=file\n[formatters]\nkeys=\n"
            "[logger_root]\nlevel=DEBUG\nhandlers=file\n"
            f"[handler_file]\nclass=FileHandler\nargs=({str(self.log)!r},)\n"
        )

    def start(self) -> subprocess.CompletedProcess[str]:
        geard = str(environment("gear", "gear==0.16.0", HAS_PKG_RESOURCES) / "geard")
        where = ["--listen-address", "127.0.0.1", "-p", str(self.port)]
        return self.house.start([geard, *where, "--pidfile", str(self.house.pid_path), "--log-config", str(self.config)])

    def status(self) -> str:
        """What it answers to Gearman's administrators."""

        def ask() -> str:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT) as connection:
                    connection.sendall(b"status\n")
                    return connection.recv(100).decode()
            except ConnectionError:
                return ""

        return str(until(ask, "geard answers"))


def test_geard(house: House) -> None:
    geard = Geard(house)
    done = geard.start()
    assert (done.returncode, done.stderr) == (0, "")
    pid = house.pid()
    is_a_daemon(pid)
    assert geard.status() == ".\n"
    # Killed: the file that it leaves keeps the original's next start waiting for ten seconds, and then from starting.
    house.end(pid, signal.SIGKILL)
    assert house.pid() == pid
    assert geard.start().returncode == 0
    assert house.pid() != pid
    assert geard.status() == ".\n"
    assert os.waitstatus_to_exitcode(house.end(house.pid())) == 1
    assert not house.pid_path.exists()
    assert "Accepted connection" in geard.log.read_text()


# --- salmon -----------------------------------------------------------------------------------------------------------


def test_salmon(house: House) -> None:
    """A mail server. Its pid file is lockfile's own class, and it looks for the file first."""
    salmon = str(environment("salmon", "salmon-mail==3.3.0", HAS_PKG_RESOURCES) / "salmon")
    pid_path, port = house.folder / "run/log.pid", free_port()
    command = [salmon, "log", "--host", "127.0.0.1", "--port", str(port), "--chdir", str(house.folder), "--pid", str(pid_path)]
    done = house.start(command)
    assert (done.returncode, done.stderr) == (0, "")
    pid = int(pid_path.read_text())
    is_a_daemon(pid)
    assert os.readlink(f"/proc/{pid}/cwd") == str(house.folder)
    assert os.readlink(f"/proc/{pid}/fd/2") == str(house.folder / "logs/salmon.err")

    def send() -> bool:
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=LIMIT) as server:
                server.sendmail("from@example.com", ["to@example.com"], "Subject: to be kept\n\ntext\n")
        except ConnectionError:
            return False
        return True

    until(send, "salmon takes a mail")
    (mail,) = until(lambda: list((house.folder / "run/queue/new").glob("*")), "the mail is kept")
    assert "to be kept" in mail.read_text()
    second = house.start(command)
    assert second.returncode == 1 and int(pid_path.read_text()) == pid
    stopped = house.start([salmon, "stop", "--pid", str(pid_path)])
    assert stopped.returncode == 0, stopped.stderr
    reap_others()
    assert not pid_path.exists()


# --- slivka -----------------------------------------------------------------------------------------------------------

SUBMIT = """
import pathlib, sys, time
from slivka.local_queue import LocalQueueClient
address, out = sys.argv[1:]
client = LocalQueueClient(address)
end = time.monotonic() + 15
while True:
    try:
        job = client.submit_job(f"echo done > {out}", "/", {})
        break
    except Exception as error:
        if time.monotonic() > end: raise
        time.sleep(0.05)
print(job)
"""


@pytest.mark.skipif(sys.version_info < (3, 10), reason="slivka needs it")
def test_slivka(house: House) -> None:
    """Its local queue: an asyncio loop, made after the start, with signal handlers of its own."""
    programs = environment("slivka", "slivka==0.8.5b7", HAS_PKG_RESOURCES)
    project, out = house.folder / "project", house.folder / "job"
    assert house.start([str(programs / "slivka"), "init", str(project)]).returncode == 0
    address = f"127.0.0.1:{free_port()}"
    command = [str(programs / "slivka"), "start", "local-queue", "--daemon", "--address", address]
    command += ["--pid-file", str(house.pid_path)]
    done = house.start(command, cwd=project)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    pid = house.pid()
    is_a_daemon(pid)
    submitted = house.start([str(programs / "python"), "-c", SUBMIT, address, str(out)], cwd=project)
    assert submitted.returncode == 0, submitted.stderr
    until(lambda: out.exists() and out.read_text() == "done\n", "the job is done")
    second = house.start(command, cwd=project)
    assert second.returncode == 1 and "AlreadyLocked" in second.stderr
    assert os.waitstatus_to_exitcode(house.end(pid)) == 0
    assert not house.pid_path.exists()


# --- Debian's -----------------------------------------------------------------------------------------------------------


class Debian:
    """A program that only Debian has, with an interpreter that has ours. Needs an apt that can download."""

    def __init__(self, house: House, package: str, *more: str, needs: list[str]) -> None:
        self.house = house
        self.root = fetch.debian(package, *more)
        self.python = environment(package, *needs) / "python"
        packages = str(self.root / "usr/lib/python3/dist-packages")
        self.environment = {**os.environ, "HOME": str(house.folder), "PYTHONPATH": packages}

    def start(self, program: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(self.python), str(self.root / program), *map(str, arguments)]
        return self.house.start(command, env={**self.environment, **variables}, cwd=self.house.folder)


def get(url: str, **headers: str) -> tuple[int, str]:
    """A page, once somebody answers."""

    def ask() -> tuple[int, str] | None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=LIMIT, context=context) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return None

    found: tuple[int, str] = until(ask, f"{url} answers")
    return found


@DEBIAN
def test_calypso(house: House) -> None:
    """A calendar server. Its pid file is lockfile's own class: any context manager will do."""
    calypso = Debian(house, "calypso", needs=["vobject", "iniparse"])
    (house.folder / "calendars").mkdir()
    (house.folder / "config").write_text(f"[acl]\ntype=fake\n[storage]\nfolder={house.folder}/calendars\n")
    port = free_port()

    def start() -> subprocess.CompletedProcess[str]:
        options = ["-d", "-H", "127.0.0.1", "-p", port, "-P", house.pid_path]
        return calypso.start("usr/bin/calypso", *options, CALYPSO_CONFIG=str(house.folder / "config"))

    done = start()
    assert (done.returncode, done.stderr) == (0, "")
    pid = house.pid()
    is_a_daemon(pid)
    assert "Umask:\t0002" in pathlib.Path(f"/proc/{pid}/status").read_text()
    # Nobody's collection; its own answer, from its storage.
    assert get(f"http://127.0.0.1:{port}/somebody/", Authorization="Basic c29tZWJvZHk6eA==")[0] == 410
    second = start()
    assert second.returncode == 1 and f"AlreadyLocked: {house.pid_path} is already locked" in second.stderr
    house.end(pid)
    assert not house.pid_path.exists()


@DEBIAN
@pytest.mark.skipif(os.geteuid() != 0, reason="it changes the user")
@pytest.mark.skipif(sys.version_info >= (3, 13), reason="nrpe-ng overrides methods of configparser")
def test_nrpe_ng(house: House) -> None:
    """Runs commands for a monitor: another user, with that user's groups; sockets that it keeps; AlreadyLocked caught."""
    nrpe = Debian(house, "nrpe-ng", needs=["tornado>=6,<7", "requests", HAS_PKG_RESOURCES])
    # Not in pytest's folder, which is for nobody but root. It is the daemon's user's, as its package makes it.
    fetch.PEERS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=fetch.PEERS) as run:
        os.chmod(run, 0o755)
        shutil.chown(run, "nobody", "nogroup")
        check_nrpe_ng(house, nrpe, pathlib.Path(run) / "nrpe-ng.pid")


def check_nrpe_ng(house: House, nrpe: Debian, pid_path: pathlib.Path) -> None:
    key, certificate = house.folder / "key.pem", house.folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    assert house.start([*make, "-keyout", str(key), "-out", str(certificate)]).returncode == 0

    def start(port: int) -> subprocess.CompletedProcess[str]:
        config = house.folder / f"{port}.cfg"
        config.write_text(
            f"pid_file={pid_path}\nserver_address=127.0.0.1\nserver_port={port}\nnrpe_user=nobody\nnrpe_group=nogroup\n"
            f"ssl_cert_file={certificate}\nssl_key_file={key}\ncommand[check_id]=/usr/bin/id\n"
        )
        return nrpe.start("usr/sbin/nrpe-ng", "-c", config, "-d")

    port = free_port()
    assert start(port).returncode == 0
    pid = int(pid_path.read_text())
    is_a_daemon(pid)
    status, said = get(f"https://127.0.0.1:{port}/v1/check/check_id")
    assert status == 200
    # The original leaves root's gid to it.
    assert said.startswith("uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)")
    second = start(free_port())
    assert second.returncode == 1
    assert f"there is already another process running (PID {pid})" in second.stderr
    house.end(pid, signal.SIGKILL)
    # The original: AlreadyLocked for ever.
    assert int(pid_path.read_text()) == pid
    assert start(port).returncode == 0
    assert get(f"https://127.0.0.1:{port}/v1/check/check_id")[0] == 200
    # Its own way to stop needs a tornado of before 2018.
    house.end(int(pid_path.read_text()), signal.SIGKILL)


@DEBIAN
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="x2gobroker imports asyncore")
def test_x2gobroker(house: House) -> None:
    """Keeps every descriptor that was open, some of them closed by then, tornado's epoll among them."""
    needs = ["netaddr", "paramiko", "python-pam", "setproctitle", "tornado>=6,<7", "urllib3"]
    broker = Debian(house, "x2gobroker", "python3-x2gobroker", "x2gobroker-common", needs=needs)
    port, logs = free_port(), house.folder / "logs"
    done = broker.start(
        "usr/bin/x2gobroker",
        *["-M", "HTTP", "-b", f"127.0.0.1:{port}", "-D", "-P", house.folder / "run/x2go.pid", "-L", logs],
        X2GOBROKER_DAEMON_USER="root",
        X2GOBROKER_DAEMON_GROUP="root",
    )
    assert done.returncode == 0, done.stderr
    assert "It works" in get(f"http://127.0.0.1:{port}/")[1]
    pid = int((house.folder / "run/x2go.pid").read_text())
    is_a_daemon(pid)
    assert "Umask:\t0027" in pathlib.Path(f"/proc/{pid}/status").read_text()
    assert os.readlink(f"/proc/{pid}/fd/2") == str(logs / "x2gobroker-daemon.stderr")
    house.end(pid)
    assert not list((house.folder / "run").iterdir())
