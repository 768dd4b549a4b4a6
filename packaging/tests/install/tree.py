"""An installed tree, and programs that are built with it as anybody's are."""

from __future__ import annotations

import os
import pathlib
import re
import select
import shlex
import signal
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
PROGRAMS = HERE / "programs"
MULTIARCH = f"{os.uname().machine}-linux-gnu"
LIMIT = 120  # seconds for a build
# What each program is built with, by the names of pkg-config and CMake, and what it is linked with then.
PACKAGES = {"own": ["daemonctx"], "classic": ["libdaemon"], "mixed": ["daemonctx", "libdaemon"]}
LIBRARIES = {"own": {"libdaemonctx.so.0"}, "classic": {"libdaemon.so.0"}, "mixed": {"libdaemonctx.so.0", "libdaemon.so.0"}}
COMPILERS = {"c": ["cc", "-std=c11"], "cc": ["c++", "-std=c++11"]}
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]


def run(*words: str | pathlib.Path, cwd: pathlib.Path = REPOSITORY, **environment: str) -> str:
    # What this make has been told is not for the one that installs.
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")}
    done = subprocess.run(words, cwd=cwd, env=inherited | environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=LIMIT)
    assert done.returncode == 0, f"{shlex.join(map(str, words))}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Tree:
    """Where `make install` has put it, and how it was asked to."""

    def __init__(self, destdir: pathlib.Path | None, prefix: str, libdir: str) -> None:
        self.destdir, self.prefix, self.libdir = destdir, prefix, libdir
        self.root = destdir or pathlib.Path("/")

    def make(self, target: str) -> str:
        place = [f"DESTDIR={self.destdir}"] if self.destdir else []
        return run("make", "--no-print-directory", target, f"PREFIX={self.prefix}", f"LIBDIR={self.libdir}", *place)

    def path(self, inside: str) -> pathlib.Path:
        return self.root / inside.lstrip("/")

    @property
    def lib(self) -> pathlib.Path:
        return self.path(self.libdir)

    def files(self) -> set[str]:
        """All that is no folder, by its place below the prefix."""
        top = self.path(self.prefix)
        return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_symlink() or not path.is_dir()}

    def pkg_config(self, *words: str) -> list[str]:
        """What pkg-config says of packages."""
        # Without the folders where the system's own files are: they would be left out, wherever the root is.
        asked = run("pkg-config", *words, PKG_CONFIG_LIBDIR=str(self.lib / "pkgconfig"),
                    PKG_CONFIG_SYSTEM_INCLUDE_PATH="/none", PKG_CONFIG_SYSTEM_LIBRARY_PATH="/none",
                    PKG_CONFIG_SYSROOT_DIR=str(self.destdir or ""))
        return asked.split()

    def compiled(self, name: str, language: str, folder: pathlib.Path, static: str = "") -> pathlib.Path:
        """A program built by pkg-config: with the shared library, with the static one, or static all in all."""
        program = folder / f"{name}-{language}{static}"
        words = self.pkg_config("--cflags", "--libs", *(["--static"] if static else []), *PACKAGES[name])
        if static == "-archive":
            ours = {f"-l{library}" for library in ("daemonctx", "daemon")}
            words = [inner for word in words for inner in (("-Wl,-Bstatic", word, "-Wl,-Bdynamic") if word in ours else (word,))]
        link = ["-static"] if static == "-static" else [f"-Wl,-rpath,{self.lib}"]
        run(*COMPILERS[language], *WARNINGS, "-o", program, PROGRAMS / f"{name}.{language}", *words, *link, cwd=folder)
        return program


def needed(program: pathlib.Path) -> set[str]:
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", program)))


def running(program: pathlib.Path) -> set[int]:
    """A zombie runs nothing."""
    found = set()
    for link in pathlib.Path("/proc").glob("[0-9]*/exe"):
        try:
            found |= {int(link.parent.name)} if link.readlink() == program else set()
        except OSError:
            pass  # It has ended.
    return found


def ends(pid: int) -> bool:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with open(pidfd) as process:
        return bool(select.select([process], [], [], 10)[0])


def is_a_daemons_program(program: pathlib.Path) -> None:
    """It starts, is refused the second time, and ends by a signal."""
    pid_file = program.with_suffix(".pid")
    run(program, pid_file)
    pid = int(pid_file.read_text())
    pidfd = os.pidfd_open(pid)
    try:
        assert os.getsid(pid) != os.getsid(0)
        again = subprocess.run([program, pid_file], capture_output=True, timeout=10)
        assert again.returncode != 0 and again.stderr
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        assert select.select([pidfd], [], [], 10)[0], f"{program} does not end"
        assert all(map(ends, running(program))), "somebody stays"
    finally:
        try:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        except ProcessLookupError:
            pass  # gone and reaped
        os.close(pidfd)
