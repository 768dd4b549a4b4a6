"""The library beside the original: size, relocations, what a program that only links it occupies, and its time to load."""

from __future__ import annotations

import pathlib
import re
import subprocess

from common import build, rounds
from common.places import OURS, original
from common.result import verdict
from common.rounds import Contestant
from common.statistics import ratios, spread

MOST = 163_840  # bytes


def _said(*command: str | pathlib.Path) -> str:
    return subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout


def _look(library: pathlib.Path, program: pathlib.Path) -> dict[str, int]:
    memory = dict(re.findall(r"(\w+): +(\d+) kB", _said(program, "memory")))
    return {
        "size": library.stat().st_size,
        "relocations": len(re.findall(r"R_X86_64_|R_AARCH64_", _said("readelf", "-rW", library))),
        "resident": int(memory["Rss"]),
        "private": int(memory["Private_Clean"]) + int(memory["Private_Dirty"]),
    }


def measure(effort: int) -> dict[str, object]:
    print("== the library, beside the original")
    build.library()
    folders = {"original": original(), "ours": OURS}
    programs = {name: build.compiled(f"loaded-{name}", "loaded.c", library=folder) for name, folder in folders.items()}
    programs["without"] = build.compiled("loaded-without", "without.c")
    looks = {name: _look(folder / "libdaemon.so.0", programs[name]) for name, folder in folders.items()}
    times = rounds.take([Contestant(name, [str(path)]) for name, path in programs.items()], effort, silent=True)
    loads = {name: spread(it.left) for name, it in times.items()}
    for name, it in looks.items():
        print(f"  {name}: {it['size']} bytes, {it['relocations']} relocations, {it['resident']} KiB resident, "
              f"{it['private']} of them private, spawn to exit {loads[name].median:.0f} us")
    print(f"  without a library: spawn to exit {loads['without'].median:.0f} us")
    verdicts = [
        verdict("spawn to exit of a trivial program, times the original's", ratios(times["ours"].left, times["original"].left), 1.03),
        verdict("stripped size", looks["ours"]["size"], MOST, " bytes"),
    ]
    return {"rows": looks, "loads": loads, "verdicts": verdicts}
