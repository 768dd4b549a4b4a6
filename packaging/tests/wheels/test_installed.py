"""The wheels in fresh environments: installed by pip, used as anybody would."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest
from artefacts import VERSION, Wheel, only, run
from life import lives

PYTHONS = os.environ.get("WHEEL_PYTHONS", "").split()


def environment(folder: pathlib.Path, python: str | pathlib.Path) -> pathlib.Path:
    """Its interpreter. With the pip that the interpreter brings, and nothing else."""
    run(python, "-m", "venv", folder)
    return folder / "bin/python"


def interpreter(version: str) -> pathlib.Path:
    import fetch

    try:
        return fetch.python(version)
    except fetch.Unavailable as why:
        pytest.skip(str(why))


def install(python: pathlib.Path, *what: str | pathlib.Path) -> None:
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what)


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path


def works(python: pathlib.Path, folder: pathlib.Path) -> None:
    """All doors into an installed daemonctx."""
    for command in ([python, "-m", "daemonctx"], [python.parent / "daemonctx"]):
        assert run(*command, "--version", cwd=folder) == f"daemonctx {VERSION}\n"
        file = ["--pidfile", folder / "sleep.pid"]
        assert "sleep: started, PID" in run(*command, "start", *file, "sleep", "1000", cwd=folder)
        assert "sleep: stopped, PID" in run(*command, "stop", *file, cwd=folder)
    asked = "import daemonctx, importlib.metadata as m; print(m.version('daemonctx'), daemonctx.__file__)"
    version, place = run(python, "-c", asked, cwd=folder).split()
    assert version == VERSION and place.startswith(str(python.parent.parent))
    run(python, "-m", "pip", "--disable-pip-version-check", "check", cwd=folder)
    lives([str(python)], folder)


def test_here(folder: pathlib.Path) -> None:
    python = environment(folder / "venv", sys.executable)
    # Nothing may be fetched: it needs nothing.
    install(python, "--no-index", Wheel.of(os.uname().machine).path)
    works(python, folder)


@pytest.mark.published
@pytest.mark.parametrize("version", PYTHONS)
def test_on(version: str, folder: pathlib.Path) -> None:
    python = environment(folder / "venv", interpreter(version))
    install(python, "--no-index", Wheel.of(os.uname().machine).path)
    works(python, folder)


@pytest.mark.published
@pytest.mark.parametrize("version", PYTHONS)
def test_stand_in_on(version: str, folder: pathlib.Path) -> None:
    """A program that requires python-daemon is satisfied, and its `import daemon` is daemonctx's."""
    python = environment(folder / "venv", interpreter(version))
    install(python, Wheel.of(os.uname().machine).path, only("python_daemon-*.whl"), "python-daemon>=3")
    asked = "import daemon, daemon.pidfile as p; print(daemon.DaemonContext.__module__, p.TimeoutPIDLockFile.__module__)"
    expected = ["daemonctx.compat.python_daemon." + name for name in ("daemon", "pidfile")]
    assert run(python, "-c", asked, cwd=folder).split() == expected
    run(python, "-m", "pip", "--disable-pip-version-check", "check", cwd=folder)


@pytest.mark.published
def test_from_sdist(folder: pathlib.Path) -> None:
    """With cargo and pip, and what they fetch; no tool of ours, no environment variable, no file of the repository."""
    python = environment(folder / "venv", sys.executable)
    cargo = subprocess.run(["sh", "-c", "command -v cargo"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    path = os.pathsep.join([str(python.parent), str(pathlib.Path(cargo).parent), "/usr/bin", "/bin"])
    told = [f"PATH={path}", f"HOME={os.environ['HOME']}", "LANG=C.UTF-8"]
    passed_on = ("PIP_INDEX_URL", "PIP_CONFIG_FILE", "CARGO_HOME", "RUSTUP_HOME")
    told += [f"{name}={os.environ[name]}" for name in passed_on if name in os.environ]
    pip = ["nice", "env", "-i", *told, str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, only("daemonctx-*.tar.gz"), cwd=folder)
    works(python, folder)
    run(*pip, only("python_daemon-*.tar.gz"), cwd=folder)
    assert "daemonctx" in run(python, "-c", "import daemon; print(daemon.DaemonContext.__module__)", cwd=folder)
