"""The native module: what it asks of the machine that it is loaded on. Read with readelf(1), which reads other machines' too."""

from __future__ import annotations

import pathlib
import re
import sys

import pytest
from artefacts import MACHINES, Wheel, run

pytestmark = pytest.mark.published

# manylinux2014 (PEP 599) allows more; this is what there is to need.
LIBRARIES = {"libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
GLIBC = (2, 17)
ELF_MACHINES = {"x86_64": "Advanced Micro Devices X86-64", "aarch64": "AArch64"}


@pytest.fixture(params=MACHINES)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def module(machine: str, tmp_path: pathlib.Path) -> pathlib.Path:
    return Wheel.of(machine).unpacked(tmp_path) / "daemonctx/_native.abi3.so"


def test_machine(machine: str, module: pathlib.Path) -> None:
    assert ELF_MACHINES[machine] in run("readelf", "-h", module)


def test_needs_no_newer_c_library(module: pathlib.Path) -> None:
    versions = set(re.findall(r"Name: (\w+)_([\d.]+)", run("readelf", "--wide", "-V", module)))
    assert {name for name, _ in versions} == {"GLIBC"}
    assert max(tuple(map(int, version.split("."))) for _, version in versions) <= GLIBC, versions


def test_needs_no_other_libraries(module: pathlib.Path) -> None:
    dynamic = run("readelf", "--wide", "-d", module)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic))
    assert "libc.so.6" in needed and needed <= LIBRARIES, needed
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic and "TEXTREL" not in dynamic


def test_segments(module: pathlib.Path) -> None:
    segments = run("readelf", "--wide", "-l", module)
    (stack,) = re.findall(r"GNU_STACK.*", segments)
    assert " RW " in stack and "RWE" not in segments
    assert "GNU_RELRO" in segments and "INTERP" not in segments


def test_is_stripped(module: pathlib.Path) -> None:
    sections = run("readelf", "--wide", "-S", module)
    assert ".symtab" not in sections and ".debug" not in sections


def test_exports_its_init_alone(module: pathlib.Path) -> None:
    symbols = [line.split() for line in run("readelf", "--wide", "--dyn-syms", module).splitlines()]
    defined = {words[7] for words in symbols if len(words) == 8 and words[6].isdigit()}
    assert defined == {"PyInit__native"}


@pytest.mark.parametrize("machine", MACHINES)
def test_keeps_to_the_stable_abi(machine: str) -> None:
    run(pathlib.Path(sys.executable).parent / "abi3audit", "--strict", Wheel.of(machine).path)
