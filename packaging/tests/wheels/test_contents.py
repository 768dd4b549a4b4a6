"""What is in the distributions: all that is needed, and nothing else."""

from __future__ import annotations

import pytest
from artefacts import FOLDER, MACHINES, REPOSITORY, SOURCES, VERSION, Wheel, digest, only, sdist_files, tracked

LICENSES = {"LICENSE-MIT", "LICENSE-APACHE"}
INFO = {"METADATA", "RECORD", "WHEEL", *(f"licenses/{name}" for name in LICENSES)}


@pytest.fixture(params=MACHINES)
def wheel(request: pytest.FixtureRequest) -> Wheel:
    return Wheel.of(request.param)


def test_wheel_has_what_git_has_the_module_and_the_monitor(wheel: Wheel) -> None:
    expected = tracked(SOURCES["daemonctx"] / "python") | {"daemonctx/_native.abi3.so", "daemonctx/daemonctx-monitor"}
    expected |= {f"{wheel.info}/{name}" for name in INFO | {"entry_points.txt"}}
    assert "daemonctx/py.typed" in expected and "daemonctx/_native.pyi" in expected
    assert set(wheel.names()) == expected


def test_record_is_right(wheel: Wheel) -> None:
    recorded = wheel.recorded()
    assert set(recorded) == set(wheel.names())
    assert {name for name, kept in recorded.items() if kept != digest(wheel.read(name))} == {f"{wheel.info}/RECORD"}
    assert recorded[f"{wheel.info}/RECORD"] == ""


def test_licenses_are_the_projects(wheel: Wheel) -> None:
    for name in LICENSES:
        assert wheel.read(f"{wheel.info}/licenses/{name}") == (REPOSITORY / name).read_bytes()


@pytest.mark.published
def test_nothing_of_the_builders_machine(wheel: Wheel) -> None:
    for name in wheel.names():
        for path in (str(REPOSITORY), "/.cargo/", "/root/", "/home/"):
            assert path.encode() not in wheel.read(name), f"{path} in {name}"


@pytest.mark.published
def test_nothing_else_is_published() -> None:
    machines = {f"daemonctx-{VERSION}-cp39-abi3-manylinux2014_{machine}.manylinux_2_17_{machine}.whl" for machine in MACHINES}
    stand_in = only("python_daemon-*.whl").name.split("-")[1]
    others = {f"daemonctx-{VERSION}.tar.gz", f"python_daemon-{stand_in}-py3-none-any.whl", f"python_daemon-{stand_in}.tar.gz"}
    assert {path.name for path in FOLDER.iterdir()} - {".gitignore"} == machines | others


@pytest.mark.published
def test_stand_in_wheel() -> None:
    wheel = Wheel(only("python_daemon-*.whl"))
    package = {name for name in tracked(SOURCES["python_daemon"]) if name.startswith("daemon/")}
    assert set(wheel.names()) == package | {f"{wheel.info}/{name}" for name in INFO}
    assert "daemon/py.typed" in package


@pytest.mark.published
def test_sdist_can_be_built_and_tested_from() -> None:
    files = sdist_files(only("daemonctx-*.tar.gz"))
    for name in tracked(REPOSITORY / "core/src"):
        assert f"core/src/{name}" in files
    for name in tracked(SOURCES["daemonctx"]) - {"pyproject.toml", *LICENSES}:
        # maturin has the package at the top, as most sdists do.
        assert name in files or f"bindings/python/{name}" in files, name
    assert {"PKG-INFO", "pyproject.toml", "Cargo.toml", "Cargo.lock", "README.md", *LICENSES} <= set(files)


@pytest.mark.published
def test_stand_in_sdist() -> None:
    files = sdist_files(only("python_daemon-*.tar.gz"))
    assert tracked(SOURCES["python_daemon"]) | {"PKG-INFO"} <= set(files)


@pytest.mark.published
@pytest.mark.parametrize("distribution", SOURCES)
def test_sdist_has_files_and_no_leavings(distribution: str) -> None:
    for name, member in sdist_files(only(f"{distribution}-*.tar.gz")).items():
        assert member.isfile() and member.size > 0 or name.endswith(("py.typed", "__init__.py")), name
        assert "__pycache__" not in name and not name.endswith((".so", ".pyc", ".whl")), name
