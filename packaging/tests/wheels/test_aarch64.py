"""The wheel for aarch64, below qemu's user emulation, in a Debian for that machine."""

from __future__ import annotations

import os
import pathlib

import pytest
from artefacts import MACHINES, VERSION, Wheel, run
from life import lives

pytestmark = [pytest.mark.published, pytest.mark.skipif("aarch64" not in MACHINES, reason="no wheel for it was built")]


@pytest.fixture
def python() -> list[str]:
    """The command that is Python there. Paths that the root does not have are this machine's own."""
    root = os.environ["ARM64_ROOT"]
    return [os.environ["QEMU"], "-L", root, f"{root}/usr/bin/python3"]


@pytest.fixture
def package(tmp_path: pathlib.Path) -> dict[str, str]:
    return {"PYTHONPATH": str(Wheel.of("aarch64").unpacked(tmp_path / "wheel"))}


def test_import(python: list[str], package: dict[str, str]) -> None:
    asked = "import platform, daemonctx._native as n; print(platform.machine(), n.__file__)"
    machine, place = run(*python, "-c", asked, environment=package).split()
    assert machine == "aarch64" and place.startswith(package["PYTHONPATH"])


def test_command(python: list[str], package: dict[str, str]) -> None:
    assert run(*python, "-m", "daemonctx", "--version", environment=package) == f"daemonctx {VERSION}\n"


def test_daemon(python: list[str], package: dict[str, str], tmp_path: pathlib.Path) -> None:
    # The other one is the emulator's own.
    lives([*python, "-W", "ignore:1 other threads"], tmp_path, **package)
