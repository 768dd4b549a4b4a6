"""What is swept: programs that start a daemon, ours and others'."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TARGET = ROOT / "target"
BUILD = TARGET / "sweep"
OURS = TARGET / "lib"
ORIGINAL = TARGET / "debian" / "root" / "usr" / "lib"

PLAIN = {"0": "starter", "0.0": "leader", "0.0.0": "daemon"}
WITH_LOGGER = {**PLAIN, "0.0.0.0": "between", "0.0.0.0.0": "logger"}
WITH_HELPER = {"0": "starter", "0.0": "helper", "0.0.0": "leader", "0.0.0.0": "daemon"}


@dataclasses.dataclass(frozen=True)
class Subject:
    name: str
    title: str
    program: tuple[str, ...]
    how: str = "auto"
    roles: tuple[tuple[str, str], ...] = tuple(PLAIN.items())
    ours: bool = True
    # Ours is the interface, but the program's is the line: what it says of the errno, and of the step.
    line: str = "daemonctx"
    environment: tuple[tuple[str, str], ...] = ()
    # How many times the daemon has written to a pipe when whoever started it can know that it is ready.
    words: int = 1

    def role(self, place: str) -> str:
        return dict(self.roles).get(place, f"process {place}")

    def place(self, role: str) -> str | None:
        return next((place for place, name in self.roles if name == role), None)

    def command(self, folder: str) -> list[str]:
        return [*self.program, self.how, folder]

    def surroundings(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, "LC_ALL": "C", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", **dict(self.environment)}


def _c(name: str) -> tuple[str, ...]:
    return (str(BUILD / name),)


def _python(interpreter: pathlib.Path, script: str) -> tuple[str, ...]:
    return (str(interpreter), "-B", str(HERE / "subjects" / script))


def original_library() -> pathlib.Path:
    return next(path.parent for path in ORIGINAL.rglob("libdaemon.so.0"))


def subjects(venv: pathlib.Path, peer: pathlib.Path | None) -> list[Subject]:
    manager = (("NOTIFY_SOCKET", "/dev/notify"),)
    helper, logger = tuple(WITH_HELPER.items()), tuple(WITH_LOGGER.items())
    package = _python(venv / "bin" / "python", "daemonctx_open.py")
    found = [
        Subject("c-open", "C, daemonctx_open()", _c("daemonctx")),
        Subject("c-manual", "C, with daemonctx_ready()", _c("daemonctx"), how="manual"),
        Subject("c-syslog", "C, streams to syslog", _c("daemonctx"), how="syslog", roles=logger),
        Subject("c-notify", "C, below a service manager", _c("daemonctx"), roles=helper, environment=manager),
        Subject("c-fork", "C, daemonctx_fork()", _c("daemonctx"), how="fork", roles=helper),
        Subject("rust-open", "Rust, Daemon::open()", _c("rust")),
        Subject("rust-manual", "Rust, with Context::ready()", _c("rust"), how="manual"),
        Subject("rust-syslog", "Rust, streams to syslog", _c("rust"), how="syslog", roles=logger),
        Subject("rust-fork", "Rust, Daemon::fork()", _c("rust"), how="fork", roles=helper),
        Subject("python", "Python, DaemonContext.open()", package),
        Subject("python-manual", "Python, with ready()", package, how="manual"),
        Subject("libdaemon", "C, libdaemon's interface on ours", _c("libdaemon"), line="libdaemon", words=2),
        Subject("original", "C, the original libdaemon", _c("libdaemon-original"), line="libdaemon", ours=False, words=3),
    ]
    if peer is not None:
        script = _python(peer, "python_daemon.py")
        found.append(Subject("python-daemon", "Python, python-daemon 3.1.2", script, line="any", ours=False))
    return found


def build() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    compiler = [os.environ.get("CC", "cc"), "-O2", "-g", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
    programs = {
        "injector": (HERE / "injector.c", None),
        "daemonctx": (HERE / "subjects" / "daemonctx.c", OURS),
        "libdaemon": (HERE / "subjects" / "libdaemon.c", OURS),
        "libdaemon-original": (HERE / "subjects" / "libdaemon.c", original_library()),
    }
    for name, (source, library) in programs.items():
        link = [] if library is None else [f"-L{library}", f"-Wl,-rpath,{library}", f"-l:{source.stem if source.stem == 'libdaemon' else 'libdaemonctx'}.so.0"]
        # Renamed, as another sweep may be running what was there.
        made = BUILD / f"{name}.{os.getpid()}"
        subprocess.run([*compiler, f"-I{ROOT}/include", "-o", str(made), str(source), *link], check=True)
        made.rename(BUILD / name)
    build_rust()


def build_rust() -> None:
    """The core's profile is that of the release: a panic aborts."""
    cargo = os.environ.get("CARGO", "cargo")
    built = subprocess.run([cargo, "build", "-q", "--release", "-p", "daemonctx", "--lib", "--message-format=json"], check=True, cwd=ROOT,
                           stdout=subprocess.PIPE).stdout.splitlines()
    libraries = [file for line in built for file in json.loads(line).get("filenames", []) if file.endswith("libdaemonctx.rlib")]
    made = BUILD / f"rust.{os.getpid()}"
    subprocess.run(["rustc", "--edition", "2024", "-O", "-C", "panic=abort", "-L", str(TARGET / "release" / "deps"), "--extern",
                    f"daemonctx={libraries[0]}", "-o", str(made), str(HERE / "subjects" / "daemonctx.rs")], check=True)
    made.rename(BUILD / "rust")


def peer_python() -> pathlib.Path | None:
    """An interpreter with python-daemon; None where that cannot be had."""
    sys.path.insert(0, str(ROOT / "bindings" / "python" / "tests" / "peers"))
    import fetch

    try:
        return fetch.venv("python-daemon", "python-daemon==3.1.2") / "bin" / "python"
    except fetch.Unavailable as error:
        print(f"sweep: without python-daemon: {error}", file=sys.stderr)
        return None
