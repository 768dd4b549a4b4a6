"""Finds what differs between an original and its stand-in, and is not in the documentation."""

from __future__ import annotations

import os
import sys
from typing import Any

from peers import fetch

from . import allowed, observe, programs

REQUIREMENTS = ("python-daemon==3.1.2", "pep3143daemon==0.1.0", "daemoniker==0.2.3", "CherryPy==18.10.0", "pyzenkit==0.67")


def places() -> dict[bool, list[str]]:
    """Where the originals and the stand-ins are imported from."""
    import daemonctx

    folder = fetch.venv("differential", *REQUIREMENTS)
    version = "python%d.%d" % sys.version_info[:2]
    originals = str(folder / "lib" / version / "site-packages")
    ours = os.path.dirname(os.path.dirname(daemonctx.__file__))
    return {True: [originals], False: [ours, originals]}


def different(original: observe.Observation, stand_in: observe.Observation) -> dict[str, tuple[Any, Any]]:
    names = sorted({*original, *stand_in})
    outcomes = outcome(original), outcome(stand_in)
    if [words[0] for words in outcomes] != ["starts", "starts"]:
        # What a start that has failed leaves in the process is promised by neither.
        names = [name for name in names if name.startswith(("status", "hangs", "left"))]
    found = {name: (original.get(name), stand_in.get(name)) for name in names if original.get(name) != stand_in.get(name)}
    if outcomes[0] != outcomes[1]:
        found["outcome"] = outcomes
    return found


def outcome(found: observe.Observation) -> list[Any]:
    """What became of the start: it starts, or which call raises which exception in which process."""
    if "process" in found:
        return ["starts"]
    for name, event in found.items():
        if name.startswith(("starter: failed", "daemon: failed")):
            return ["raises", event[0], event[2:-3], event[-3], event[-2], "in the starter" if event[-1] else "in the daemon"]
    if found.get("stderr traceback"):
        return ["raises", "", [found["stderr traceback"]], None, "", ""]
    return ["ends"]


def run(spec: programs.Spec, paths: dict[bool, list[str]]) -> tuple[observe.Observation, observe.Observation]:
    """Runs a program with the original, and with the stand-in."""
    return observe.observe(spec, True, paths[True]), observe.observe(spec, False, paths[False])


def unexplained(spec: programs.Spec, paths: dict[bool, list[str]]) -> dict[str, tuple[Any, Any]]:
    """What differs and is in no row of the library's page, by name: the original's value and the stand-in's."""
    return unexplained_in(spec, *run(spec, paths))


def unexplained_in(spec: programs.Spec, original: observe.Observation, ours: observe.Observation) -> dict[str, tuple[Any, Any]]:
    found = different(original, ours)
    outcomes = outcome(original), outcome(ours)
    page = allowed.PAGES[spec["library"]]
    cases = [allowed.Case(spec, outcomes, name, *values, found) for name, values in found.items()]
    return {case.name: found[case.name] for case in cases if allowed.explanation(page, case) is None}
