"""What the distributions say of themselves."""

from __future__ import annotations

import sys

import pytest
from artefacts import FOLDER, MACHINES, SOURCES, VERSION, Wheel, only, run

SAYS = {
    "Version": VERSION,
    "License-Expression": "MIT OR Apache-2.0",
    "Requires-Python": ">=3.9",
    "Author": "the daemonctx founders",
    "Description-Content-Type": "text/markdown",
}
CLASSIFIERS = {
    "Environment :: No Input/Output (Daemon)",
    "Operating System :: POSIX :: Linux",
    "Typing :: Typed",
    *(f"Programming Language :: Python :: 3.{minor}" for minor in range(9, 16)),
}


def check(wheel: Wheel, distribution: str, **says: str) -> None:
    fields = wheel.fields()
    for name, value in {**SAYS, **says}.items():
        assert (fields[name] or "").split(";")[0] == value, name
    assert fields["Summary"] and {"daemon", "PEP 3143", "unix"} <= set(fields["Keywords"].split(","))
    assert set(fields.get_all("License-File", [])) == {"LICENSE-MIT", "LICENSE-APACHE"}
    classifiers = fields.get_all("Classifier", [])
    assert CLASSIFIERS <= set(classifiers) and len(classifiers) == len(set(classifiers))
    # A licence that is an expression is not to be a classifier as well (PEP 639).
    assert not any(classifier.startswith("License ::") for classifier in classifiers)
    readme = (SOURCES[distribution] / "README.md").read_text()
    assert str(fields.get_payload()).strip() == readme.strip()


@pytest.mark.parametrize("machine", MACHINES)
def test_wheel(machine: str) -> None:
    wheel = Wheel.of(machine)
    check(wheel, "daemonctx", Name="daemonctx")
    # It needs nothing at all.
    assert wheel.fields().get_all("Requires-Dist") is None
    scripts = wheel.read(f"{wheel.info}/entry_points.txt").decode().split()
    assert scripts == ["[console_scripts]", "daemonctx=daemonctx.__main__:main"]


@pytest.mark.published
@pytest.mark.parametrize("machine", MACHINES)
def test_tags(machine: str) -> None:
    fields = Wheel.of(machine).fields("WHEEL")
    tags = {f"cp39-abi3-manylinux_2_17_{machine}", f"cp39-abi3-manylinux2014_{machine}"}
    assert set(fields.get_all("Tag", [])) == tags
    assert fields["Root-Is-Purelib"] == "false"


@pytest.mark.published
def test_stand_in() -> None:
    wheel = Wheel(only("python_daemon-*.whl"))
    # The original's version, by which programs require it, and whose it is.
    check(wheel, "python_daemon", Name="python-daemon", Version=f"3.1.2+daemonctx.{VERSION}")
    assert set(wheel.fields().get_all("Requires-Dist", [])) == {f"daemonctx=={VERSION}", "lockfile>=0.10"}
    assert "Private :: Do Not Upload" in wheel.fields().get_all("Classifier", [])


@pytest.mark.published
def test_pypi_would_take_them() -> None:
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(FOLDER.glob("*.whl")), *sorted(FOLDER.glob("*.tar.gz")))
