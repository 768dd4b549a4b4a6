"""What was built for PyPI, opened and read. WHEELS is its folder, WHEEL_MACHINES whom there must be a wheel for."""

from __future__ import annotations

import base64
import csv
import email
import email.message
import hashlib
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile

REPOSITORY = pathlib.Path(__file__).resolve().parents[3]
FOLDER = pathlib.Path(os.environ["WHEELS"])
MACHINES = os.environ["WHEEL_MACHINES"].split()
LIMIT = 500  # seconds that pip or cargo may take

_version = re.search(r'^version = "(.*)"$', (REPOSITORY / "Cargo.toml").read_text(), re.MULTILINE)
assert _version is not None
VERSION = _version[1]
# By whom the distributions are called, and where their sources are.
SOURCES = {"daemonctx": REPOSITORY / "bindings/python", "python_daemon": REPOSITORY / "bindings/python-daemon"}

sys.path.insert(0, str(REPOSITORY / "bindings/python/tests/peers"))


def run(
    *words: str | pathlib.Path, cwd: pathlib.Path | None = None, environment: dict[str, str] | None = None
) -> str:
    """What a command prints; one that fails is an error. Nothing of this interpreter's environment is for another one."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(words, cwd=cwd, env=inherited | (environment or {}), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=LIMIT)
    assert done.returncode == 0, f"{shlex.join(map(str, words))}: {done.returncode}\n{done.stdout}"
    return done.stdout


def only(pattern: str) -> pathlib.Path:
    found = list(FOLDER.glob(pattern))
    assert len(found) == 1, f"{pattern} in {FOLDER}: {found}"
    return found[0]


def tracked(folder: pathlib.Path) -> set[str]:
    """The files that git knows, by their place in `folder`."""
    return set(run("git", "ls-files", "-z", cwd=folder).split("\0")) - {""}


class Wheel:
    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.distribution, self.version, *_, self.platforms = path.name[: -len(".whl")].split("-")
        self.info = f"{self.distribution}-{self.version}.dist-info"

    @classmethod
    def of(cls, machine: str) -> Wheel:
        return cls(only(f"daemonctx-*_{machine}.whl"))

    def names(self) -> list[str]:
        with zipfile.ZipFile(self.path) as archive:
            return archive.namelist()

    def read(self, name: str) -> bytes:
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(name)

    def fields(self, name: str = "METADATA") -> email.message.Message:
        return email.message_from_bytes(self.read(f"{self.info}/{name}"))

    def recorded(self) -> dict[str, str]:
        """RECORD: the digest of each file."""
        rows = csv.reader(io.StringIO(self.read(f"{self.info}/RECORD").decode()))
        return {name: digest for name, digest, _ in rows}

    def unpacked(self, folder: pathlib.Path) -> pathlib.Path:
        with zipfile.ZipFile(self.path) as archive:
            archive.extractall(folder)
        return folder


def digest(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def sdist_files(path: pathlib.Path) -> dict[str, tarfile.TarInfo]:
    """By their place below the one folder at the top."""
    with tarfile.open(path) as archive:
        members = archive.getmembers()
    top = path.name[: -len(".tar.gz")] + "/"
    assert all(member.name.startswith(top) for member in members)
    return {member.name[len(top):]: member for member in members if not member.isdir()}
