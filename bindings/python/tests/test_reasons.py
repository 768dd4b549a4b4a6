"""What the starter's line says, and what cannot keep it from being written."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest
from conftest import House

CONTEXTS = {
    "native": "from daemonctx import DaemonContext",
    "python_daemon": "from daemonctx.compat.python_daemon import DaemonContext",
    "pep3143daemon": "from daemonctx.compat.pep3143daemon import DaemonContext",
}
EACH_CONTEXT = pytest.mark.parametrize("use", CONTEXTS.values(), ids=CONTEXTS)

REASONS = {
    "OSError('bind: Address already in use')": "OSError: bind: Address already in use",
    "RuntimeError()": "RuntimeError",
    "RuntimeError('two\\nlines')": "RuntimeError: two\\nlines",
    "RuntimeError('a\\0b')": "RuntimeError: a\\x00b",
    "RuntimeError('\\x1b[2J')": "RuntimeError: \\x1b[2J",
    "RuntimeError('\\udcff')": "RuntimeError: \\udcff",
    "RuntimeError('caf\\u00e9')": "RuntimeError: caf\u00e9",
    "RuntimeError('x' * 5000)": "RuntimeError: " + "x" * 482,
    "type('Mute', (Exception,), {'__str__': lambda self: 1 / 0})()": "Mute",
    "SystemExit('no port')": "no port",
    "KeyboardInterrupt": "KeyboardInterrupt",
}


@EACH_CONTEXT
@pytest.mark.parametrize("error", REASONS)
def test_an_exception_before_ready_is_the_reason(house: House, use: str, error: str) -> None:
    done = house.run(
        f"""
        context = DaemonContext()
        context.manual_ready = True
        with context:
            raise {error}
        """,
        use=use,
    )
    assert done.returncode == (130 if error == "KeyboardInterrupt" else 1)
    assert done.stderr.splitlines()[-1] == f"script.py: start failed: {REASONS[error]}"


@EACH_CONTEXT
@pytest.mark.parametrize("error", ["RuntimeError('two\\nlines')", "RuntimeError('\\udcff')", "RuntimeError()"])
def test_so_is_one_of_a_pid_file(house: House, use: str, error: str) -> None:
    done = house.run(
        f"""
        class Lock:
            def acquire(self): raise {error}
            __enter__ = acquire
            def release(self, *args): pass
            __exit__ = release
        DaemonContext(pidfile=Lock()).open()
        """,
        use=use,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"script.py: start failed: {REASONS[error]}"


def test_one_after_ready_is_none(house: House) -> None:
    done = house.run("with DaemonContext():\n    raise RuntimeError\n")
    assert (done.returncode, done.stderr) == (0, "")
    os.waitpid(-1, 0)


@EACH_CONTEXT
def test_fail(house: House, use: str) -> None:
    done = house.run(
        """
        context = DaemonContext()
        context.manual_ready = True
        context.files_preserve = [REPORT]
        context.open()
        try:
            context.fail("no\\nport", 7)
        except SystemExit as error:
            report(error.code)
            raise
        """,
        use=use,
    )
    assert (done.returncode, done.stderr) == (7, "script.py: start failed: no\\nport\n")
    assert house.hear() == "7"


def test_fail_when_it_cannot(house: House) -> None:
    house.run(
        """
        context = DaemonContext(files_preserve=[REPORT])
        def refused(*args):
            try: context.fail(*args)
            except DaemonError as error: return error
        said = [refused("no")]
        context.open()
        said += [refused("no"), refused("no", 0), refused("no", "x")]
        report(os.getpid(), "; ".join(map(str, said)))
        """
    )
    pid, _, said = house.hear().partition(" ")
    status = "status: expected a number from 1 to 255, got "
    assert said == (
        "handle failed: not opened; start failed: Operation already in progress (114 EALREADY); "
        f"{status}0; {status}'x'"
    )
    house.reap(int(pid))


def test_ready_after_a_time(house: House) -> None:
    done = house.run(
        """
        context = DaemonContext(pidfile=PID_FILE, ready_after=0.05, stderr=FOLDER + "/log", files_preserve=[REPORT])
        read, write = os.pipe()
        context.open()
        print("early", file=sys.stderr, flush=True)
        report(os.getpid())
        signal.pause()
        """
    )
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == "early"
    pid = int(house.hear())
    assert os.readlink(f"/proc/{pid}/fd/2") == f"{house.folder}/log"
    assert house.end(pid) == 0, "the signal reached the main thread"


def test_an_end_in_that_time_is_a_failure(house: House) -> None:
    done = house.run("with DaemonContext(ready_after=10):\n    raise RuntimeError('no port')")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "script.py: start failed: RuntimeError: no port"
    done = house.run("DaemonContext(ready_after=10).open()\nsys.exit(3)")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].endswith("exited with status 3 before it was ready")


@EACH_CONTEXT
@pytest.mark.parametrize("stdout", ["full", "broken", "closed"])
def test_output_that_cannot_be_written_does_not_fail_a_start(house: House, use: str, stdout: str) -> None:
    def prepare() -> None:
        if stdout == "full":
            os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        elif stdout == "broken":
            read, write = os.pipe()
            os.close(read)
            os.dup2(write, 1)
        else:
            os.close(1)

    done = house.run(
        """
        print("never seen")
        with DaemonContext(files_preserve=[REPORT]):
            report(os.getpid())
            os._exit(0)
        """,
        use=use,
        preexec_fn=prepare,
    )
    assert (done.returncode, done.stderr) == (0, "")
    house.reap(int(house.hear()))


BODY = "from daemonctx import DaemonContext\nwith DaemonContext(manual_ready=True): raise SystemExit('no')\n"


@pytest.fixture
def package(house: House) -> pathlib.Path:
    folder = house.folder / "frobd"
    folder.mkdir()
    (folder / "__init__.py").touch()
    for name in ("__main__.py", "part.py"):
        (folder / name).write_text(BODY)
    (house.folder / "script with space.py").write_text(BODY)
    (house.folder / "directory").mkdir()
    (house.folder / "directory" / "__main__.py").write_text(BODY)
    return folder


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["-m", "frobd"], "frobd"),
        (["-m", "frobd.part"], "frobd.part"),
        (["-c", BODY], os.path.basename(sys.executable)),
        (["script with space.py"], "script with space.py"),
        (["directory/"], "directory"),
        (["-"], os.path.basename(sys.executable)),
    ],
)
def test_the_programs_name(house: House, package: pathlib.Path, arguments: list[str], name: str) -> None:
    script = BODY if arguments == ["-"] else None
    done = subprocess.run([sys.executable, *arguments], cwd=house.folder, stderr=subprocess.PIPE, text=True, input=script)
    assert done.stderr.splitlines()[-1] == f"{name}: start failed: no"


def test_the_programs_name_can_be_set(house: House) -> None:
    done = house.run("with DaemonContext(manual_ready=True, program_name='hello'): raise SystemExit('no')")
    assert done.stderr.splitlines()[-1] == "hello: start failed: no"


def test_a_signal_to_a_daemon_that_is_not_ready_ends_it(house: House) -> None:
    done = house.run("with DaemonContext(manual_ready=True): signal.raise_signal(signal.SIGTERM)")
    assert done.returncode == 1
    assert "exited with status 0 before it was ready" in done.stderr
