"""A small Debian for each test, in namespaces of its own, with nothing left of it."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
from typing import Iterator

import pytest
from time_limit import at_most

HERE = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path(os.environ.get("DEBIAN_ROOT", "/nonexistent"))
PACKAGES = pathlib.Path(os.environ.get("DEBIAN_PACKAGES", "/nonexistent"))
LIMIT = 120  # seconds for a test, all in all


class Debian:
    """A machine where packages are installed and programs run."""

    def __init__(self, place: pathlib.Path) -> None:
        command = ["unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
                   sys.executable, "-I", "-S", str(HERE / "machine_init.py"), str(ROOT), str(place), str(PACKAGES)]
        self._unshare = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                         start_new_session=True)
        assert self._unshare.stdout is not None
        if self._unshare.stdout.readline() != "ready\n":
            self._unshare.wait()
            raise RuntimeError("no machine could be made")
        children = pathlib.Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children").read_text().split()
        self.init = int(children[0])

    def close(self) -> None:
        assert self._unshare.stdin is not None and self._unshare.stdout is not None
        self._unshare.stdin.close()
        self._unshare.wait(20)
        self._unshare.stdout.close()

    def path(self, inside: str) -> pathlib.Path:
        return pathlib.Path(f"/proc/{self.init}/root{inside}")

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A program in the machine, until it has left; its daemons stay."""
        enter = ["nsenter", f"--target={self.init}", "--mount", "--net", "--pid", "--uts", "--ipc", "--root", "--wdns=/",
                 "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]
        with tempfile.TemporaryFile("w+") as output:
            done = subprocess.run([*enter, *words], stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=LIMIT,
                                  start_new_session=True)
            output.seek(0)
            return subprocess.CompletedProcess(words, done.returncode, output.read(), "")

    def must(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"{shlex.join(words)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def install(self, *packages: str) -> None:
        """By apt, from files: ours and the original's are side by side."""
        files = []
        for package in packages:
            (found,) = self.path("/mnt/debs").glob(f"{package}_*.deb")
            files.append(f"/mnt/debs/{found.name}")
        self.must("apt-get", "install", "-q", "-y", "--allow-downgrades", *files)
        # All dependencies hold, and nothing is half done.
        self.must("apt-get", "check", "-q")
        assert self.must("dpkg", "--audit") == ""

    def installed(self, package: str) -> bool:
        done = self.run("dpkg-query", "--show", "--showformat=${db:Status-Status}", package)
        return done.returncode == 0 and done.stdout == "installed"


@pytest.fixture(scope="session", autouse=True)
def possible() -> None:
    if os.geteuid() != 0:
        pytest.skip("another root and namespaces need root")
    assert (ROOT / "usr/sbin/avahi-daemon").exists(), f"no Debian with avahi-daemon in {ROOT}"


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    with at_most(LIMIT):
        yield


@pytest.fixture
def debian(limit: None) -> Iterator[Debian]:
    with tempfile.TemporaryDirectory(prefix="daemonctx-debian-") as place:
        machine = Debian(pathlib.Path(place))
        try:
            yield machine
        finally:
            machine.close()
