"""Finds what differs between the original and ours, and is not in the documentation."""

from __future__ import annotations

import os
import pathlib
import subprocess
from typing import Any

from . import allowed, observe, programs

TOP = pathlib.Path(__file__).resolve().parents[3]
SOURCE = pathlib.Path(__file__).with_name("program.c")


def build(original: pathlib.Path | None = None, ours: pathlib.Path | None = None) -> observe.Built:
    """Compiles the program, once, against our headers and library."""
    observe.check_namespaces()
    compiler = os.environ.get("CC", "cc")
    if original is None:
        place = subprocess.run([compiler, "-print-multiarch"], capture_output=True, text=True, check=True).stdout.strip()
        original = TOP / "target/debian/root/usr/lib" / place
    libraries = {"original": original, "ours": ours or TOP / "target/lib"}
    for name, folder in libraries.items():
        if not (folder / "libdaemon.so.0").exists():
            raise FileNotFoundError(f"{folder}/libdaemon.so.0 does not exist: make {'original' if name == 'original' else 'library'} makes it")
    program = TOP / "target/c-tests-differential/program"
    program.parent.mkdir(parents=True, exist_ok=True)
    flags = ["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-std=c11", f"-I{TOP}/include"]
    link = [f"-L{libraries['ours']}", "-l:libdaemon.so.0"]
    # Another run may be copying the program.
    new = program.with_name(f"program.{os.getpid()}")
    subprocess.run([compiler, *flags, str(SOURCE), "-o", str(new), *link], check=True)
    new.replace(program)
    return observe.Built(program, libraries)


def run(spec: programs.Spec, built: observe.Built) -> tuple[observe.Observation, observe.Observation]:
    """Runs a program with the original, and with ours."""
    return observe.observe(spec, "original", built), observe.observe(spec, "ours", built)


def different(original: observe.Observation, ours: observe.Observation) -> dict[str, tuple[Any, Any]]:
    names = sorted({*original, *ours})
    found = {name: (original.get(name), ours.get(name)) for name in names if original.get(name) != ours.get(name)}
    return {name: values for name, values in found.items() if not (name.endswith(" status") and "unknown" in values)}


def unexplained(spec: programs.Spec, built: observe.Built) -> dict[str, tuple[Any, Any]]:
    """What differs and no sentence of the documentation says, by name: the original's value and ours."""
    original, ours = run(spec, built)
    found = different(original, ours)
    cases = [allowed.Case(spec, name, *values, found, original, ours) for name, values in found.items()]
    return {case.name: found[case.name] for case in cases if allowed.explanation(case) is None}
