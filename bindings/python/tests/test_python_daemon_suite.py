"""python-daemon's own test suite, on the stand-in.

It replaces functions of `os` and asks which were called, so most of it says little of what a daemon does; but it names every
function, parameter, default and error that programs may know.
"""

from __future__ import annotations

import json
import pathlib
import subprocess

import pytest
from peers import fetch

ORIGINAL = "3.1.2"
SUITE = "test.test_daemon.", "test.test_pidfile."
# What both modules have; fewer means that something was not found, or not run.
COUNT = 158

# Each fails, and why that is right. All others pass.
NOT_OURS = {
    "test.test_pidfile.TimeoutPIDLockFile_TestCase.test_acquire_uses_specified_timeout": (
        "replaces lockfile's PIDLockFile.acquire and asks whether it was called; ours takes a lock of the kernel's"
    ),
    "test.test_pidfile.TimeoutPIDLockFile_TestCase.test_acquire_uses_stored_timeout_by_default": (
        "likewise; that the timeout counts is tested with real processes in test_python_daemon.py"
    ),
}


# The first time, everything is fetched and built.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    tools = ["testtools>=2.3", "testscenarios>=0.4", "docutils", "packaging", "lockfile>=0.10"]
    python = fetch.venv("python-daemon-suite", fetch.wheel(), *tools) / "bin/python"
    script = pathlib.Path(fetch.__file__).with_name("python_daemon_suite.py")
    done = subprocess.run(
        [python, "-W", "ignore", script, fetch.sdist("python-daemon", ORIGINAL)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_everything_was_run(outcomes: dict[str, str]) -> None:
    assert len(outcomes) == COUNT
    assert all(name.startswith(SUITE) for name in outcomes)


def test_what_is_not_listed_passes(outcomes: dict[str, str]) -> None:
    assert {name: why for name, why in outcomes.items() if why != "passed" and name not in NOT_OURS} == {}


@pytest.mark.parametrize("name", NOT_OURS)
def test_what_is_listed_fails(outcomes: dict[str, str], name: str) -> None:
    assert outcomes[name] != "passed", f"take it from the list: {NOT_OURS[name]}"
