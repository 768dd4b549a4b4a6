"""Measures: `run.py [--effort PERCENT] [PART ...]`. All parts when none is named.

Each part prints what it finds and writes `target/bench/PART.json`, which `docs.py` makes the page and the plots of.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from common import result
from parts import imports, inprocess, library, monitors, sizes, starts

# A part, and how many rounds it takes.
PARTS: dict[str, tuple[Callable[[int], dict[str, object]], int]] = {
    "starts-c": (starts.c, 1000),
    "starts-programs": (starts.programs, 300),
    "starts-python": (starts.python, 150),
    "starts-rust": (starts.rust, 500),
    "memory": (sizes.memory, 12),
    "descriptors": (sizes.descriptors, 100),
    "limit": (sizes.limit, 10),
    "threads": (sizes.threads, 100),
    "import": (imports.measure, 300),
    "library": (library.measure, 1500),
    "in-process": (inprocess.measure, 20),
    "monitors": (monitors.measure, 100),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--effort", type=float, default=100, metavar="PERCENT", help="of the rounds that each part takes")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    for name in options.parts or PARTS:
        measure, rounds = PARTS[name]
        rounds = max(3, round(rounds * options.effort / 100))
        result.write(name, rounds, measure(rounds))


if __name__ == "__main__":
    main()
