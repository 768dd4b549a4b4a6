"""Attacks on root's pid files, and on an ordinary user's, by another user and by a hostile daemon.

    attacks.py [--seconds N] [--seed N] [--only SCENARIO] [--here] [--list] [DOOR...]

Each scenario once through each door, in random order; with --seconds again and again until so much time has passed. It takes root, and
makes a PID namespace and a mount namespace of its own. With --here the PID namespace is the caller's: /proc/locks and fdinfo show locks
there whose creator has ended, and in a new namespace they do not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections import Counter

import bench
import identity
import locks
import stalls

trust = bench.trust
SCENARIOS = [*identity.SCENARIOS, *locks.SCENARIOS, *stalls.SCENARIOS]
INSIDE = bench.INSIDE
# The first process of a namespace is another: this one is no init, so signals and detaching are as everywhere.
NAMESPACES = ["unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child", "sh", "-c", '"$@"; exit $?', "sh"]
MOUNTS_ONLY = ["unshare", "--mount"]


def enter_namespaces(here: bool) -> int | None:
    """Runs this program in namespaces of its own, and gives what it comes to; None in there."""
    if os.environ.get(INSIDE):
        return None
    namespaces = MOUNTS_ONLY if here else NAMESPACES
    if not shutil.which("unshare") or subprocess.run([*namespaces, "true"], capture_output=True).returncode != 0:
        print("trust: no namespaces can be made here: skipped")
        return 0
    inside = "mounts" if here else "pids"
    return subprocess.run([*namespaces, sys.executable, "-B", *sys.argv], env={**os.environ, INSIDE: inside}).returncode


def attack(table: bench.Bench, name: str, scenario: object, door: bench.Door, counts: Counter[str]) -> None:
    before, began = len(table.run.violations()), time.monotonic()
    table.scenario = name
    try:
        scenario(table, door)  # type: ignore[operator]
    except bench.Skipped as why:
        counts[f"{name}: skipped: {why}"] += 1
    except Exception as error:  # One broken scenario hides no other.
        door.wrong(f"breaks off: {type(error).__name__}: {error}")
    table.settle()
    wrong = table.run.violations()[before:]
    counts["attacks"] += 1
    print(f"  {name}, {door.name}: {f'{len(wrong)} VIOLATIONS' if wrong else 'ok'}, {time.monotonic() - began:.1f} s", flush=True)
    for line in wrong:
        print("    ", line, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--here", action="store_true", help="in the caller's PID namespace")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("doors", nargs="*")
    options = parser.parse_args()
    if options.list:
        for scenario in SCENARIOS:
            print(f"{scenario.__name__}: {scenario.__doc__}")
        return 0
    if os.geteuid() != 0:
        print("trust: needs root: skipped")
        return 0
    if (outcome := enter_namespaces(options.here)) is not None:
        return outcome
    run = trust.Run("trust")
    table = bench.Bench(run, trust.seed_of(options.seed))
    doors = table.doors(options.doors)
    pairs = [(scenario, door) for scenario in SCENARIOS for door in doors
             if not options.only or scenario.__name__ in options.only]  # fmt: skip
    counts: Counter[str] = Counter()
    until = time.monotonic() + options.seconds
    while True:
        table.dice.shuffle(pairs)
        for scenario, door in pairs:
            attack(table, scenario.__name__, scenario, door, counts)
        if time.monotonic() >= until:
            break
    for what, times in sorted(counts.items()):
        print(f"{what}: {times}")
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
