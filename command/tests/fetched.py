"""What the tests of other people's programs need: Debian packages and Python packages, unpacked below target/; a named skip where they
cannot be had."""

from __future__ import annotations

import functools
import os
import pathlib
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TARGET = REPOSITORY / "target" / "command-tests"
LIMIT = 50  # seconds, less than a test may take


@functools.cache
def _debian(*packages: str) -> str:
    """Why they cannot be had; empty if they are there."""
    fetch = REPOSITORY / "bindings/c-tests/clients/fetch"
    try:
        done = subprocess.run([fetch, TARGET / "debian", *packages], capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return f"no answer within {LIMIT} s"
    return done.stderr.strip().rpartition("\n")[2] if done.returncode else ""


def debian(program: str, *packages: str) -> str:
    """The path of a program from Debian packages, with its libraries beside it."""
    reason = _debian(*packages)
    if reason:
        pytest.skip(f"Debian packages {' '.join(packages)} cannot be fetched: {reason}")
    found = TARGET / "debian/root" / program
    assert found.exists(), f"{' '.join(packages)} have no {program}"
    return str(found)


def libraries() -> dict[str, str]:
    """The environment that such a program runs in."""
    folders = sorted({str(path.parent) for path in (TARGET / "debian/root").rglob("lib*.so*")})
    return {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}


@functools.cache
def _venv(*requirements: str) -> str:
    bin_folder = TARGET / "servers/bin"
    mark = TARGET / "servers/.complete"
    if mark.exists():
        return ""
    try:
        subprocess.run([sys.executable, "-m", "venv", TARGET / "servers"], check=True, capture_output=True, timeout=LIMIT)
        pip = [bin_folder / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements]
        done = subprocess.run(pip, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return f"no answer within {LIMIT} s"
    except subprocess.CalledProcessError as error:
        return str(error)
    if done.returncode:
        return done.stderr.strip().rpartition("\n")[2]
    mark.touch()
    return ""


def venv(*requirements: str) -> str:
    """The folder of the programs that these Python packages have."""
    reason = _venv(*requirements)
    if reason:
        pytest.skip(f"Python packages {' '.join(requirements)} cannot be installed: {reason}")
    return str(TARGET / "servers/bin")
