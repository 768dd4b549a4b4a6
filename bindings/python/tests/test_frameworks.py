"""Other people's software in a daemon, and around one. Each test has a virtual environment, made when it is first needed."""

from __future__ import annotations

import os
import pathlib
import pwd
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from typing import Callable

import pytest
from conftest import LIMIT, House, children
from doors import DATA, DOORS
from peers import fetch

pytestmark = pytest.mark.timeout(600)  # The first time, everything is fetched and built.

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples"


def python(name: str, *requirements: str) -> str:
    try:
        return str(fetch.venv(name, fetch.wheel(), *requirements) / "bin/python")
    except (fetch.Unavailable, subprocess.CalledProcessError) as why:
        pytest.skip(str(why))


LOOPS = {
    "uvloop": "import asyncio, uvloop\nloop = uvloop.new_event_loop()\n"
    "async def main(): await asyncio.sleep(0.001); return await loop.run_in_executor(None, lambda: 'served')\n"
    "def serve(): return loop.run_until_complete(main())\n",
    "Twisted": "from twisted.internet import reactor, threads\nsaid = []\n"
    "def done(result): said.append(result); reactor.stop()\n"
    "def serve(): threads.deferToThread(lambda: 'served').addBoth(done); reactor.run(); return said[0]\n",
    "gevent": "import gevent.monkey; gevent.monkey.patch_all()\nimport gevent, socket\ngevent.sleep(0.001)\n"
    "gevent.get_hub().threadpool\n"
    "def serve():\n"
    "    here, there = socket.socketpair()\n"
    "    reader = gevent.spawn(here.recv, 10)\n"
    "    there.send(gevent.get_hub().threadpool.apply(lambda: b'served'))\n"
    "    reader.join()\n"
    "    return reader.value.decode()\n",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_that_was_made_before_goes_on(house: House, loop: str) -> None:
    interpreter = python("loops", "uvloop", "twisted", "gevent")
    body = "become()\ntake_numbers()\nsaid = serve()\nreport(os.getpid(), dirt(), said)\nos._exit(0)\n"
    done = house.run(body, head=DATA + DOORS["native"] + LOOPS[loop], python=interpreter)
    assert (done.returncode, done.stderr) == (0, "")
    pid, _, said = house.hear().partition(" ")
    assert said == "[] served"
    house.reap(int(pid))


@pytest.mark.parametrize("door", DOORS)
def test_files_of_loguru_are_kept(house: House, door: str) -> None:
    body = "become()\ntake_numbers()\nlogger.info('a record')\nreport(os.getpid(), dirt(), open(FOLDER + '/log').read())\n"
    head = DATA + DOORS[door] + "from loguru import logger\nlogger.add(FOLDER + '/log', format='{message}')\n"
    done = house.run(body, head=head, python=python("loguru", "loguru"))
    assert (done.returncode, done.stderr) == (0, "")
    pid, _, said = house.hear().partition(" ")
    assert said == "[] a record"
    house.hear()
    house.reap(int(pid))


@pytest.mark.parametrize("door", DOORS)
def test_numpy_is_no_reason_to_warn(house: House, door: str) -> None:
    body = "become()\na = numpy.ones((300, 300))\nreport(os.getpid(), float((a @ a)[0, 0]))\n"
    done = house.run(body, head=DATA + DOORS[door] + "import numpy\n", python=python("numpy", "numpy"))
    assert (done.returncode, done.stderr) == (0, "")
    pid, said = house.hear().split()
    assert said == "300.0"
    house.reap(int(pid))


def booted_workers(daemon: int) -> list[str]:
    """The children that catch SIGABRT, as gunicorn's workers do and their parent does not."""
    workers = pathlib.Path(f"/proc/{daemon}/task/{daemon}/children").read_text().split()
    caught = {worker: pathlib.Path(f"/proc/{worker}/status").read_text().partition("SigCgt:")[2].split()[0] for worker in workers}
    return [worker for worker, mask in caught.items() if int(mask, 16) >> (signal.SIGABRT - 1) & 1]


def wait_for(holds: Callable[[], bool]) -> None:
    """For what no descriptor tells."""
    until = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < until, "too late"
        time.sleep(0.01)


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_a_web_server_is_ready_when_it_serves(house: House, server: str) -> None:
    interpreter = python("web-servers", "gunicorn", "uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [interpreter, str(EXAMPLES / f"{server}_server.py"), str(house.pid_path), str(house.folder / "log"), str(port)]
        if server == "uvicorn":  # gunicorn tries for five seconds.
            refused = house.start(command)
            assert refused.returncode != 0 and "address already in use" in refused.stderr.lower()
            assert not house.pid_path.exists()
    done = house.start(command)
    assert done.returncode == 0, done.stderr
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/") as answer:
        assert answer.read() == b"hello\n"
    if server == "gunicorn":
        # It loses the SIGTERM of a worker that has not installed its handlers yet, and waits for thirty seconds then.
        wait_for(lambda: len(booted_workers(house.pid())) == 2)
    assert house.end(house.pid()) == 0
    for worker in children():
        house.reap(worker)
    assert not house.pid_path.exists()


FROZEN = """
import os, signal, sys
import daemonctx
from daemonctx import DaemonContext, PidFile

with DaemonContext(pidfile=PidFile(sys.argv[1]), manual_ready=True) as context:
    if len(sys.argv) > 2:
        context.fail("no port", 7)
    with daemonctx.signals("TERM") as stream:
        daemonctx.notify("STATUS=frozen")
        with daemonctx.Watchdog(alive=lambda: True):
            context.ready()
        next(stream)
"""


IN_ANOTHER_ROOT = """
import os, sys
import daemonctx
from daemonctx import DaemonContext, PidFile

ROOT = sys.argv[2]
with DaemonContext(pidfile=PidFile(sys.argv[1]), uid="nobody", chroot_directory=ROOT, stderr=ROOT + "/log", manual_ready=True) as context:
    if len(sys.argv) > 3:
        context.fail("no port", 7)
    with daemonctx.signals("TERM") as stream:
        daemonctx.notify("STATUS=frozen")
        with daemonctx.Watchdog(alive=lambda: True):
            context.ready()
        next(stream)
    # Before Python 3.10 a text file imports a module of the locale's, which is out of reach.
    with open("/said", "wb") as file:
        file.write(f"{os.getuid()} {os.listdir('/')}".encode())
"""

# Nuitka compiles C for minutes.
FREEZERS = {
    "cx_Freeze": ("cxfreeze build_exe --silent --script=hello.py --build-exe=dist", "dist/hello"),
    "nuitka": ("python -m nuitka --standalone --output-dir=dist hello.py", "dist/hello.dist/hello.bin"),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="a new root, or another user, needs root")
@pytest.mark.parametrize("freezer", FREEZERS)
def test_a_frozen_program_as_another_user_in_another_root(house: House, freezer: str) -> None:
    if freezer == "nuitka" and "DAEMONCTX_SLOW" not in os.environ:
        pytest.skip("make check-programs does it")
    refuse_foreign_library()
    interpreter = python(freezer.lower(), freezer)
    (house.folder / "hello.py").write_text(IN_ANOTHER_ROOT)
    line, program = FREEZERS[freezer]
    tool, *arguments = line.split()
    subprocess.run([f"{pathlib.Path(interpreter).parent}/{tool}", *arguments], cwd=house.folder, check=True, timeout=580)
    root = house.folder / "root"
    root.mkdir()
    root.chmod(0o777)
    command = [str(house.folder / program), str(house.pid_path), str(root)]
    done = house.start(command)
    assert (done.returncode, done.stderr) == (0, "")
    assert house.end(house.pid()) == 0
    assert (root / "log").read_text() == ""
    assert (root / "said").read_text().startswith(f"{pwd.getpwnam('nobody').pw_uid} [")
    house.pid_path.unlink()  # In root's folder; nobody cannot.
    done = house.start([*command, "fail"])
    assert (done.returncode, done.stderr) == (7, f"{pathlib.Path(program).name}: start failed: no port\n")


def refuse_foreign_library() -> None:
    if fetch.ROOT / "target" / "pythons" in pathlib.Path(sys.base_prefix).parents:
        pytest.skip("this interpreter's C library is not the system's, so what is frozen would not run")


@pytest.mark.parametrize("way", ["--onedir", "--onefile"])
def test_a_frozen_program(house: House, way: str) -> None:
    refuse_foreign_library()
    interpreter = python("pyinstaller", "pyinstaller")
    (house.folder / "hello.py").write_text(FROZEN)
    command = [interpreter, "-m", "PyInstaller", way, "--log-level", "ERROR", "--specpath", ".", "hello.py"]
    subprocess.run(command, cwd=house.folder, check=True, timeout=300)
    program = house.folder / "dist" / ("hello/hello" if way == "--onedir" else "hello")
    done = house.start([str(program), str(house.pid_path)])
    assert (done.returncode, done.stderr) == (0, "")
    assert house.end(house.pid()) == 0
    done = house.start([str(program), str(house.pid_path), "fail"])
    assert (done.returncode, done.stderr) == (7, "hello: start failed: no port\n")
