"""What is measured, built, or fetched without touching the system. Nothing is done twice."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import subprocess
import sys

from common.places import BENCH, LAUNCHERS, LIBRARIES, OURS, PROGRAMS, ROOT, RUST, TARGET, original

sys.path.insert(0, str(ROOT / "bindings" / "python" / "tests" / "peers"))
import fetch  # noqa: E402

COMPILER = [os.environ.get("CC", "cc"), "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror", "-pthread", f"-I{ROOT}/include"]
# The versions that are measured.
PYTHON_PEERS = (
    "python-daemon==3.1.2", "pep3143daemon==0.1.0", "daemoniker==0.2.3", "pyzenkit==0.67", "cherrypy==18.10.0", "daemonocle==1.2.3",
)
DEBIAN_PEERS = ("daemonize", "dpkg")

def run(command: list[str | pathlib.Path], **kwargs: object) -> None:
    subprocess.run([str(word) for word in command], check=True, **kwargs)  # type: ignore[call-overload]

def compiled(name: str, *sources: str, library: pathlib.Path | None = None, flags: tuple[str, ...] = ()) -> pathlib.Path:
    """A C program of `bench/c`, linked with the libraries that it calls, from that folder, or none."""
    PROGRAMS.mkdir(parents=True, exist_ok=True)
    link = [] if library is None else [f"-L{library}", f"-Wl,-rpath,{library}", f"-l:{'libdaemonctx' if 'subjects/daemonctx.c' in sources else 'libdaemon'}.so.0"]
    run([*COMPILER, *flags, "-o", PROGRAMS / name, *(BENCH / "c" / source for source in sources), *link])
    return PROGRAMS / name

@functools.cache
def library() -> None:
    """Ours as it is installed: without what debuggers want."""
    OURS.mkdir(parents=True, exist_ok=True)
    for name in LIBRARIES:
        run(["strip", "-o", OURS / name, TARGET / "lib" / name])

def driver() -> pathlib.Path:
    return compiled("driver", "driver.c")

def subject(name: str, source: str | None = None, library: pathlib.Path | None = None, flags: tuple[str, ...] = ()) -> pathlib.Path:
    return compiled(name, "subjects/subject.c", f"subjects/{source or name}.c", library=library, flags=flags)

def subjects(flags: tuple[str, ...] = (), suffix: str = "") -> dict[str, pathlib.Path]:
    """A program for each interface of C."""
    library()
    return {
        "floor": subject("floor" + suffix, "floor", flags=flags),
        "onefork": subject("onefork" + suffix, "onefork", flags=flags),
        "daemon3": subject("daemon3" + suffix, "daemon3", flags=flags),
        "original": subject("original" + suffix, "libdaemon", original(), flags),
        "libdaemon": subject("libdaemon" + suffix, "libdaemon", OURS, flags),
        "daemonctx": subject("daemonctx" + suffix, "daemonctx", OURS, flags),
    }

def rust() -> dict[str, pathlib.Path]:
    cargo = os.environ.get("CARGO", "cargo")
    run([cargo, "build", "--release", "--quiet", "--locked", "--target-dir", RUST.parent], cwd=BENCH / "rust")
    return {name: RUST / name for name in ("ours", "daemonize", "fork")}

@functools.cache
def wheel() -> pathlib.Path:
    return fetch.wheel()

@functools.cache
def python(*requirements: str) -> pathlib.Path:
    """An interpreter with our wheel and others' packages, compiled once as pip does it."""
    name = "bench-peers" if requirements else "bench"
    made = fetch.venv(name, wheel(), *requirements) / "bin" / "python"
    packages = next((made.parent.parent / "lib").glob("python3.*/site-packages"))
    shutil.copy(BENCH / "python" / "bench_ready.py", packages)
    run([made, "-m", "compileall", "-q", packages / "bench_ready.py"])
    return made

def launchers() -> pathlib.Path:
    """The folder with Debian's start-stop-daemon and daemonize."""
    run([ROOT / "bindings/c-tests/clients/fetch", LAUNCHERS.parent, *DEBIAN_PEERS])
    return LAUNCHERS

__all__ = ["DEBIAN", "compiled", "driver", "launchers", "library", "python", "run", "rust", "subject", "subjects", "wheel"]
