"""Compares random programs: ``python -m differential --seed N --programs N``."""

from __future__ import annotations

import argparse
import json
import sys

from . import compare, observe, programs

# What two processes do in the same moment is seen in either order. A difference is there each time.
ATTEMPTS = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=1000, metavar="N")
    parser.add_argument("--only", type=int, metavar="N", help="one program, by its number")
    options = parser.parse_args()
    try:
        built = compare.build()
    except observe.Unavailable as why:
        print(f"libdaemon: skipped, {why}", file=sys.stderr)
        return 0
    numbers = range(options.programs) if options.only is None else [options.only]
    faults = 0
    for number in numbers:
        spec = programs.make(options.seed, number)
        found = compare.unexplained(spec, built)
        for _ in range(1, ATTEMPTS):
            found = found and compare.unexplained(spec, built)
        if found:
            faults += 1
            print(json.dumps({"program": spec, "differences": found}), flush=True)
    print(f"libdaemon: {len(numbers)} programs, {faults} differ in what the documentation does not have", file=sys.stderr)
    return int(faults > 0)


sys.exit(main())
