"""The greeter in each language, and a place for it: the runtimes laid over /usr, and a /tmp, a /run and a network of the tests' own."""

from __future__ import annotations

import ctypes
import os
import pathlib
import select
import signal
import socket
import subprocess
import time
from typing import Callable, Iterator, NamedTuple

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[1]
REPOSITORY = EXAMPLES.parents[1]
RUNTIMES = pathlib.Path(os.environ.get("RUNTIMES") or REPOSITORY / "target/debian/runtimes").resolve()
LIBRARY_FOLDER = pathlib.Path(os.environ.get("LIBDAEMON_DIR") or REPOSITORY / "target/lib").resolve()
COMMAND = pathlib.Path(os.environ.get("DAEMONCTX") or REPOSITORY / "target/release/daemonctx").resolve()
FOLDER = pathlib.Path("/tmp/runtimes")  # what is built
PID_FILE, LOG, GREETING = (pathlib.Path(path) for path in ("/tmp/greeter.pid", "/tmp/greeter.log", "/tmp/greeting"))
PORT = 8080
LIMIT = 20.0  # seconds that anything may take
PR_SET_CHILD_SUBREAPER, CLONE_NEWNS, CLONE_NEWNET = 36, 0x20000, 0x40000000
ENVIRONMENT = {
    "PATH": f"{COMMAND.parent}:/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/tmp",
    "LD_LIBRARY_PATH": str(LIBRARY_FOLDER),
    "PKG_CONFIG_PATH": str(LIBRARY_FOLDER / "pkgconfig"),
    "NODE_PATH": "/usr/local/lib/node_modules",
    "GOCACHE": str(RUNTIMES / "go-cache"),
}


class Language(NamedTuple):
    source: str
    words: list[str]
    # What fails where the runtime or its module is missing.
    probe: list[str]
    launches: bool = False
    build: list[str] = []
    # The status that SIGTERM ends it with.
    end: int = 0
    reloads: bool = True


def source(name: str) -> str:
    return str(EXAMPLES / name)


# Fails where they are older than the interface that is used.
JDK = ["sh", "-c", 'version=$(javac -version) && version=${version#javac } && test "${version%%.*}" -ge 22 && java -version']

LANGUAGES = {
    "go": Language("greeter.go", [f"{FOLDER}/greeter"], ["go", "version"], launches=True,
                   build=["go", "build", "-o", f"{FOLDER}/greeter", source("greeter.go")]),
    "node": Language("greeter.js", ["node", source("greeter.js")], ["node", "--eval", "require('koffi')"], launches=True),
    "java": Language("Greeter.java", ["java", "--enable-native-access=ALL-UNNAMED", "Greeter"], JDK, launches=True,
                     build=["javac", "-d", str(FOLDER), source("Greeter.java")], end=128 + signal.SIGTERM, reloads=False),
    "ruby": Language("greeter.rb", ["ruby", source("greeter.rb")], ["ruby", "-rfiddle", "-e", "exit"], launches=True),
    "php": Language("greeter.php", ["php", source("greeter.php")], ["php", "-r", "FFI::cdef(); pcntl_async_signals();"]),
    "perl": Language("greeter.pl", ["perl", source("greeter.pl")], ["perl", "-MFFI::Platypus", "-e", "exit"]),
    "lua": Language("greeter.lua", ["luajit", source("greeter.lua")], ["luajit", "-e", "require('ffi'); require('socket')"],
                    end=-signal.SIGTERM, reloads=False),
}


def until(condition: Callable[[], object], what: str) -> None:
    """For what tells nobody when it changes: another process's variables."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.005)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """As a shell does, until nobody has its output open any more: a daemon that kept it would run into the limit."""
    return subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=FOLDER,
                          env=ENVIRONMENT, timeout=LIMIT)


def ask() -> str:
    with socket.create_connection(("127.0.0.1", PORT), timeout=LIMIT) as connection, connection.makefile() as answer:
        return answer.read()


def field(pid: int, name: str) -> str:
    status = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line for line in status if line.startswith(f"{name}:")).split(maxsplit=1)[1]


def children() -> set[int]:
    tasks = pathlib.Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def ends(pid: int) -> bool:
    end = os.pidfd_open(pid)
    try:
        return bool(select.select([end], [], [], LIMIT)[0])
    finally:
        os.close(end)


def ended(pid: int) -> int:
    """The status of a child. A daemon is one, or its monitor: the tests' process adopts orphans."""
    assert ends(pid), f"{pid} does not end"
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


class Greeter:
    def __init__(self, language: Language) -> None:
        self.language = language

    def start(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(*self.language.words, *words)

    def pid(self) -> int:
        text = PID_FILE.read_text()
        assert text == f"{int(text)}\n"
        return int(text)

    def stop(self) -> None:
        pid = self.pid()
        done = run("daemonctx", "stop", "--pidfile", str(PID_FILE))
        assert (done.returncode, done.stdout) == (0, f"greeter: stopped, PID {pid}\n")


def mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, timeout=LIMIT)


@pytest.fixture(scope="session", autouse=True)
def place() -> None:
    if os.geteuid() != 0:
        pytest.skip("for root: namespaces, and runtimes laid over /usr")
    if not (RUNTIMES / "root/usr").is_dir():
        pytest.skip("without the runtimes: `make check-runtimes` unpacks them")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    assert libc.unshare(CLONE_NEWNS | CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755", "run", "/run")
    for folder in ("/usr", "/etc"):
        mount("-t", "overlay", "overlay", "-o", f"ro,lowerdir={RUNTIMES}/root{folder}:{folder}", folder)
    # This repository may be below it.
    for folder in ("/run/tmp/upper", "/run/tmp/work"):
        os.makedirs(folder)
    mount("-t", "overlay", "overlay", "-o", "lowerdir=/tmp,upperdir=/run/tmp/upper,workdir=/run/tmp/work", "/tmp")
    os.chmod("/tmp", 0o1777)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=LIMIT)
    FOLDER.mkdir()


BUILT: dict[str, Language] = {}


def made(name: str) -> Language:
    language = LANGUAGES[name]
    if name not in BUILT:
        try:
            probed = run(*language.probe)
        except FileNotFoundError:
            pytest.skip(f"{name}: there is no {language.probe[0]}")
        if probed.returncode != 0:
            pytest.skip(f"{name}: `{' '.join(language.probe)}` fails")
        if language.build:
            done = run(*language.build)
            assert (done.returncode, done.stdout) == (0, "")
        BUILT[name] = language
    return language


@pytest.fixture
def clean() -> Iterator[None]:
    for path in (PID_FILE, LOG):
        path.unlink(missing_ok=True)
    GREETING.write_text("Hello.\n")
    yield
    left = set()
    for pid in children():
        if not ends(pid):
            left.add(pid)
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert not left, f"left behind: {left}"


@pytest.fixture(params=LANGUAGES)
def greeter(request: pytest.FixtureRequest, clean: None) -> Greeter:
    return Greeter(made(request.param))
