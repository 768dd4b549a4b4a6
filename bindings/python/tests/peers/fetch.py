"""Other people's software for tests, made once and kept below ``target/peers``: virtual environments, unpacked sdists, wheels
of ours. Nothing but the standard library is needed, and pip in the interpreters.

    import fetch

    fetch.venv("luigi", fetch.wheel(), "luigi==3.6.0")             # target/peers/venvs/luigi-3.11, of the running interpreter
    fetch.venv("luigi", "luigi==3.6.0", python=fetch.python("3.9"))  # target/peers/venvs/luigi-3.9
    fetch.sdist("python-daemon", "3.1.2")                          # target/peers/sdists/python-daemon-3.1.2
    fetch.debian("calypso")                                        # target/peers/debian/root

What is there already and still right costs a few file reads. Two test runs at once wait for each other while something is made.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from typing import Iterable, Iterator, Optional, Union

ROOT = pathlib.Path(__file__).resolve().parents[4]
PEERS = ROOT / "target" / "peers"
BINDING = ROOT / "bindings" / "python"
LIMIT = 900  # seconds that pip or cargo may take

Path = Union[str, pathlib.Path]


class Unavailable(Exception):
    """It cannot be had here: no network, no such interpreter, nothing that builds."""


def venv(name: str, *requirements: Path, python: Optional[Path] = None) -> pathlib.Path:
    """A virtual environment; its ``bin/python`` has what is required.

    :param name: of the folder, with the interpreter's version behind it.
    :param requirements: what pip takes. Paths (of wheels, of folders with a ``pyproject.toml``) are installed again when their
        content has changed; when another requirement has, the environment is made anew.
    :param python: the interpreter; None for the one that runs.
    """
    python = sys.executable if python is None else str(python)
    folder = PEERS / "venvs" / f"{name}-{_version(python)}"
    local = [pathlib.Path(item).resolve() for item in requirements if _is_local(item)]
    remote = sorted(str(item) for item in requirements if not _is_local(item))
    # By file name: wheels of ours are built in a folder of their own each time.
    digests = {path.name: _digest([path]) for path in local}
    wanted = {"remote": remote, "local": digests}
    with _locked(f"venv-{folder.name}"):
        record = folder / ".fetched"
        found = _read(record)
        if found == wanted:
            return folder
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if found is not None and found["remote"] == remote and set(found["local"]) == set(digests):
            record.unlink()
            changed = [str(path) for path in local if found["local"][path.name] != digests[path.name]]
            _run(pip + ["--force-reinstall", "--no-deps", *changed])
        else:
            shutil.rmtree(folder, ignore_errors=True)
            _run([python, "-m", "venv", str(folder)])
            if requirements:
                _run(pip + [*map(str, local), *remote])
        # Last, so that what was interrupted is done again.
        record.write_text(json.dumps(wanted))
    return folder


def sdist(name: str, version: str) -> pathlib.Path:
    """The unpacked source distribution of a release."""
    folder = PEERS / "sdists" / f"{name}-{version}"
    with _locked(f"sdist-{folder.name}"):
        if folder.exists():
            return folder
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            _run(command + ["--no-binary", name, "--dest", temporary, f"{name}=={version}"])
            (archive,) = pathlib.Path(temporary).iterdir()
            unpacked = pathlib.Path(temporary) / "unpacked"
            _unpack(archive, unpacked)
            (top,) = unpacked.iterdir()
            top.rename(folder)
    return folder


def debian(*packages: str) -> pathlib.Path:
    """A folder with the content of Debian's packages, unpacked and not installed. For programs that are nowhere else."""
    folder = PEERS / "debian"
    with _locked("debian"):
        _run([str(ROOT / "bindings/c-tests/clients/fetch"), str(folder), *packages])
    return folder / "root"


def wheel() -> pathlib.Path:
    """A wheel of ours, for every CPython from 3.9 on: the one that DAEMONCTX_WHEEL names, or one built from the sources as they are."""
    given = os.environ.get("DAEMONCTX_WHEEL")
    if given is not None:
        return pathlib.Path(given)
    command = [ROOT / "command" / part for part in ("Cargo.toml", "src")]
    sources = [ROOT / "Cargo.toml", ROOT / "Cargo.lock", ROOT / "core", *command, *(BINDING / part for part in _PARTS)]
    return _built("daemonctx", sources, _build_daemonctx)


def stand_in() -> pathlib.Path:
    """A wheel of ``bindings/python-daemon``."""
    folder = ROOT / "bindings" / "python-daemon"
    return _built("python_daemon", [folder], lambda destination: _build_pure(folder, destination))


_PARTS = ("Cargo.toml", "build.rs", "pyproject.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "src", "python")


def _built(name: str, sources: Iterable[pathlib.Path], build) -> pathlib.Path:  # type: ignore[no-untyped-def]
    """A wheel that is built anew when its sources have changed. Under its digest: nobody's wheel changes while it is read."""
    wheels = PEERS / "wheels"
    with _locked(f"wheel-{name}"):
        folder = wheels / f"{name}-{_digest(sources)}"
        if not folder.exists():
            wheels.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=wheels) as temporary:
                build(pathlib.Path(temporary))
                for old in wheels.glob(f"{name}-*"):
                    # Somebody may just be installing the one before.
                    if time.time() - old.stat().st_mtime > LIMIT:
                        shutil.rmtree(old)
                pathlib.Path(temporary).rename(folder)
                os.mkdir(temporary)  # It will be removed.
        (found,) = folder.glob("*.whl")
        return found


def _build_daemonctx(destination: pathlib.Path) -> None:
    maturin = venv("maturin", "maturin>=1.8,<2") / "bin/maturin"
    path = os.pathsep.join([os.environ.get("PATH", ""), os.path.expanduser("~/.cargo/bin")])
    command = [str(maturin), "build", "--release", "--strip", "--quiet", "--out", str(destination)]
    # `make python` may be at it: maturin puts what cargo has made into target/maturin, whoever else does.
    with open(ROOT / "target" / "maturin.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # An interpreter would be looked for by its name in PATH; the wheel is for all of them.
        _run(command + ["--interpreter", sys.executable], cwd=BINDING, env={**os.environ, "PATH": path})


def _build_pure(folder: pathlib.Path, destination: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory(dir=destination) as temporary:
        # Elsewhere: a build leaves files in the folder.
        copy = shutil.copytree(folder, pathlib.Path(temporary) / "source")
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
        _run(command + ["--wheel-dir", str(destination), str(copy)])


def python(version: str) -> pathlib.Path:
    """The interpreter of a version as ``"3.9"``: the running one, pyenv's, that in PATH, or one that ``make newer-pythons`` has unpacked."""
    if version == "%d.%d" % sys.version_info[:2]:
        return pathlib.Path(sys.executable)
    roots = [os.environ.get("PYENV_ROOT"), os.path.expanduser("~/.pyenv")]
    for root in filter(None, roots):
        for found in sorted(pathlib.Path(root).glob(f"versions/{version}.*/bin/python")):
            return found
    found_in_path = shutil.which(f"python{version}")
    if found_in_path is not None:
        return pathlib.Path(found_in_path)
    unpacked = ROOT / f"target/pythons/{version}/usr/bin/python{version}"
    if not unpacked.exists():
        raise Unavailable(f"no CPython {version} here")
    return unpacked


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    locks = PEERS / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with open(locks / name, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_local(requirement: Path) -> bool:
    return isinstance(requirement, pathlib.Path) or requirement.startswith(("/", "./"))


def _version(python: str) -> str:
    if python == sys.executable:
        return "%d.%d" % sys.version_info[:2]
    return _run([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()


def _digest(paths: Iterable[pathlib.Path]) -> str:
    """Of the names and the contents of files, those in folders included; not of what builds and imports leave there."""
    digest = hashlib.sha256()
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and file.suffix not in (".so", ".pyc"):
                digest.update(f"{file.relative_to(path.parent)}\0{file.stat().st_size}\0".encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _read(record: pathlib.Path) -> Optional[dict]:  # type: ignore[type-arg]
    try:
        return json.loads(record.read_text())  # type: ignore[no-any-return]
    except (FileNotFoundError, ValueError):
        return None


def _unpack(archive: pathlib.Path, destination: pathlib.Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(destination)
        return
    with tarfile.open(archive) as tarred:
        # What an archive may do outside of its folder; older interpreters do not know the argument.
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        tarred.extractall(destination, **safe)  # type: ignore[arg-type]


def _run(command: list, **kwargs) -> str:  # type: ignore[no-untyped-def, type-arg]
    # PYTHONPATH and its kin are for whoever runs this, not for the interpreters here.
    environment = {name: value for name, value in kwargs.pop("env", os.environ).items() if not name.startswith("PYTHON")}
    try:
        kwargs.update(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, env=environment)
        done = subprocess.run(command, **kwargs)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(str(error)) from error
    if done.returncode:
        raise Unavailable(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
    return str(done.stdout)
