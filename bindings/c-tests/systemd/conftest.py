"""A machine for all tests, a limit for each, and nothing left on the real one."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
from typing import Any, Callable, Iterator

# Nothing is left in the sources' tree.
sys.dont_write_bytecode = True

import pytest

import machine as machines
import packages
from machine import INSIDE, LIBRARIES, Machine, Unit
from time_limit import at_most

LIMIT = 30  # seconds for a test, all in all
SESSION_LIMIT = 600  # and for all of them

HERE = pathlib.Path(__file__).resolve().parent
DEBIAN = machines.REPOSITORY / "target" / "debian"
GREETER = machines.REPOSITORY / "examples" / "service"
GREETER_IN_RUST = machines.REPOSITORY / "target" / "examples" / "release" / "greeter"
INTERPRETER = os.path.realpath(sys.executable)
COMMAND = pathlib.Path(os.environ.get("DAEMONCTX", machines.REPOSITORY / "target" / "release" / "daemonctx"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "machine" in metafunc.fixturenames:
        versions = packages.fetch() if os.geteuid() == 0 else [None]
        if metafunc.module.__name__ == "test_reload":
            versions = [found for found in versions if found is None or found.version >= packages.KNOWS_NOTIFY_RELOAD]
        elif os.environ.get("SYSTEMD_ALL") != "1":
            versions = versions[:1]
        metafunc.parametrize("machine", versions, indirect=True, scope="session",
                             ids=[f"systemd-{found.version}" if found else "no-root" for found in versions])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.failed:
        used = getattr(item, "funcargs", {}).get("machine")
        if isinstance(used, Machine):
            report.sections.append(("journal", used.journal.tail(item.stash.get(MARK, 0))))
    return report


MARK = pytest.StashKey[int]()


# --- what is tested ------------------------------------------------------------------------------------------------------


def compile_program(target: pathlib.Path, *sources: pathlib.Path, flags: str = "-std=c11 -Wall -Wextra -Werror") -> None:
    command = [os.environ.get("CC", "cc"), *flags.split(), "-O1", "-g", "-I", machines.REPOSITORY / "include", "-o", target,
               *sources, "-L", machines.LIBRARY_FOLDER, f"-Wl,-rpath,{INSIDE}", "-Wl,--as-needed", *(f"-l:{library.name}" for library in LIBRARIES)]
    subprocess.run(command, check=True)


@pytest.fixture(scope="session")
def files() -> Iterator[dict[pathlib.Path, str]]:
    """What is to be in the machine: the library and the package as they are now, and the programs."""
    for library in LIBRARIES:
        assert library.exists(), f"no {library}: LIBDAEMON_DIR must be the folder of the C libraries"
    assert (machines.PYTHON_PACKAGE / machines.NATIVE).exists(), f"no {machines.NATIVE} in {machines.PYTHON_PACKAGE}: make python"
    assert COMMAND.exists(), f"no {COMMAND}: DAEMONCTX is to be the command"
    assert GREETER_IN_RUST.exists(), f"no {GREETER_IN_RUST}: make examples"
    subprocess.run([packages.FETCH, DEBIAN, "libdaemon-dev"], check=True)
    with tempfile.TemporaryDirectory(prefix="daemonctx-systemd-") as name:
        folder, programs = pathlib.Path(name), HERE / "programs"
        for program in ("service", "classic"):
            compile_program(folder / program, programs / f"{program}.c", programs / "story.c")
        testd = DEBIAN / "root/usr/share/doc/libdaemon-dev/examples/testd.c.gz"
        with open(folder / "testd.c", "wb") as source:
            subprocess.run(["gzip", "-dc", testd], stdout=source, check=True)
        compile_program(folder / "testd", folder / "testd.c", flags="-Wall -Werror")
        compile_program(folder / "greeter-c", GREETER / "greeter.c")
        yield {
            **{library.resolve(): f"{INSIDE}/{library.name}" for library in LIBRARIES},
            machines.PYTHON_PACKAGE: f"{INSIDE}/python/daemonctx",
            programs / "service.py": f"{INSIDE}/python/service.py",
            COMMAND: f"{INSIDE}/daemonctx",
            GREETER / "greeter.py": f"{INSIDE}/python/greeter.py",
            GREETER_IN_RUST: f"{INSIDE}/greeter-rust",
            **{folder / program: f"{INSIDE}/{program}" for program in ("service", "classic", "testd", "greeter-c")},
        }


def quoted(words: list[str]) -> str:
    """As ExecStart= wants it."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "%": "%%", "$": "$$"}
    return " ".join('"' + "".join(escapes.get(letter, letter) for letter in word) + '"' for word in words)


class Door:
    """A way to our daemons: C by either interface, or Python."""

    def __init__(self, name: str) -> None:
        self.name = name
        python = name == "python"
        self.program = [INTERPRETER, "-E", "-s", f"{INSIDE}/python/service.py"] if python else [f"{INSIDE}/{name}"]
        # What it has mapped when it runs with what is tested.
        library = "libdaemon.so.0" if name == "classic" else "libdaemonctx.so.0"
        self.library = f"{INSIDE}/python/daemonctx/{machines.NATIVE}" if python else f"{INSIDE}/{library}"
        self.says = "service.py" if python else name  # the name that begins the starter's line

    def command(self, *words: str) -> str:
        # What DaemonContext does with SIGTERM by default has a test of its own.
        end = ["TERM:", "exit=0"] if self.name == "python" and "TERM:" not in words else []
        return quoted([*self.program, *words, *end])


@pytest.fixture(params=["service", "classic", "python"])
def any_door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


@pytest.fixture(params=["service", "python"])
def door(request: pytest.FixtureRequest) -> Door:
    return Door(request.param)


@pytest.fixture
def c() -> Door:
    return Door("service")


# --- where it runs ---------------------------------------------------------------------------------------------------------


def traces(machine: Machine) -> list[str]:
    """What a machine could leave on the real one."""
    found = []
    for top, folders, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(top, name) for name in folders if machine.token in name]
    found += [name for name in os.listdir(tempfile.gettempdir()) if machine.token in name]
    found += [line for line in pathlib.Path("/proc/self/mounts").read_text().splitlines() if machine.token in line]
    return found + processes_in(machine.namespace)


def processes_in(namespace: str) -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                if os.readlink(f"/proc/{entry}/ns/pid") == namespace:
                    found.append(entry)
            except OSError:
                pass  # gone meanwhile
    return found


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest, files: dict[pathlib.Path, str]) -> Iterator[Machine]:
    if request.param is None:
        pytest.skip("a machine with systemd needs root")
    try:
        made = Machine(request.param.root, files)
    except machines.Impossible as reason:
        pytest.skip(f"no machine with systemd can be made here: {reason}")
    made.version = request.param.version
    assert traces(made) != []
    try:
        assert made.must("systemctl", "--version").startswith(f"systemd {made.version} ")
        yield made
    finally:
        made.close()
    assert traces(made) == [], "left behind"


@pytest.fixture(scope="session", autouse=True)
def session_began() -> float:
    return time.monotonic()


@pytest.fixture(autouse=True)
def limit(request: pytest.FixtureRequest, session_began: float) -> Iterator[None]:
    if time.monotonic() - session_began > SESSION_LIMIT:
        pytest.exit(f"the tests take more than {SESSION_LIMIT} s", 1)

    with at_most(LIMIT):
        yield


class Units:
    """The units of a test."""

    def __init__(self, machine: Machine, stem: str) -> None:
        self.machine, self.stem, self.all = machine, stem, list[Unit]()

    def name(self) -> str:
        return self.stem if not self.all else f"{self.stem}-{len(self.all)}"

    def add(self, name: str, sections: dict[str, dict[str, Any]]) -> Unit:
        text = ""
        for section, lines in sections.items():
            text += f"[{section}]\n"
            for key, value in lines.items():
                for each in value if isinstance(value, list) else [value]:
                    text += f"{key}={each}\n"
        return self.written(name, text)

    def written(self, name: str, text: str) -> Unit:
        """One that somebody has written."""
        self.all.append(Unit(self.machine, name, text))
        return self.all[-1]

    def service(self, command: str, name: str | None = None, unit: dict[str, Any] = {}, **lines: Any) -> Unit:
        """A service; `lines` go to its section [Service]."""
        lines = {"TimeoutStopSec": 10, "ExecStart": command, **lines}
        return self.add(f"{name or self.name()}.service", {"Unit": unit, "Service": lines})

    def clear(self) -> None:
        names = shlex.join(unit.name for unit in self.all)
        self.machine.run("sh", "-c", f"systemctl stop --no-block {names}; systemctl kill --signal=KILL {names}; "
                                     f"systemctl stop {names}; systemctl reset-failed {names}")
        for unit in self.all:
            unit.file.unlink()


COUNT = iter(range(10000))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Any:
    """No test is over before it is known that systemd had nothing to complain of."""
    result = yield
    used = getattr(item, "funcargs", {}).get("units")
    for unit in used.all if used else []:
        complaints = list(unit.complaints())
        assert complaints == [], "\n".join([*complaints, unit.log()])
    return result


@pytest.fixture
def units(request: pytest.FixtureRequest, machine: Machine, limit: None) -> Iterator[Units]:
    request.node.stash[MARK] = len(machine.journal.entries)
    made = Units(machine, f"{request.function.__name__.removeprefix('test_').replace('_', '-')}-{next(COUNT)}")
    try:
        yield made
    finally:
        made.clear()
