"""Compares random programs: ``python -m differential --library NAME --seed N --programs N``."""

from __future__ import annotations

import argparse
import json
import sys

from . import allowed, compare, programs

# What two processes do in the same moment is seen in either order. A difference is there each time.
ATTEMPTS = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="differential", description=__doc__)
    parser.add_argument("--library", action="append", choices=sorted(programs.MAKERS), help="all of them unless given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=1000, metavar="N", help="how many of each library")
    parser.add_argument("--only", type=int, metavar="N", help="one program, by its number")
    parser.add_argument("--table", choices=sorted(allowed.DIFFERENCES), help="print the rows of a page's table instead")
    options = parser.parse_args()
    if options.table:
        print(*allowed.rows(options.table), sep="\n")
        return 0
    paths = compare.places()
    status = 0
    for library in options.library or sorted(programs.MAKERS):
        numbers = range(options.programs) if options.only is None else [options.only]
        faults = 0
        for number in numbers:
            spec = programs.make(library, options.seed, number)
            found = compare.unexplained(spec, paths)
            for _ in range(1, ATTEMPTS):
                found = found and compare.unexplained(spec, paths)
            if found:
                faults += 1
                print(json.dumps({"program": spec, "differences": found}), flush=True)
        print(f"{library}: {len(numbers)} programs, {faults} differ in what the documentation does not have", file=sys.stderr)
        status |= bool(faults)
    return status


sys.exit(main())
