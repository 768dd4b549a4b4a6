"""Starts at once, and starts against stops against kills, through each door.

    races.py [--herd N] [--rounds N] [--seconds N] [--seed N] [DOOR...]

First --rounds times --herd starts at once, one door after the other. Then for --seconds all doors side by side, each in a PID namespace
of its own: race.c says what happens there.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
import trust

# How small the namespace is: the kernel gives 300 and more again, so that there are 120 numbers. Where a program that does not lock
# may have written the file (libdaemon's interface, the command), a process that was born within some 30 ms after the file was written
# cannot be told from the one that wrote it. All numbers must not be used up in that time; nowhere but in such a namespace they are.
SMALLEST = {"daemonctx.h": 420, "Python": 420, "libdaemon": 800, "command": 800}
# How long, in milliseconds at the most, a killed daemon's file lies there, for somebody else to get the number.
STALE = {420: "40", 800: "300"}


# What the doors say of starts and signals that came too late.
EXPECTED = ("already running", "is under way", "No such process")


def herd(run: trust.Run, door: list[str], count: int, rounds: int) -> None:
    done = run.call([*door, "herd", str(run.folder / "herd.pid"), str(count), str(rounds)], limit=60 + rounds * 20)
    print(done.stdout, end="", flush=True)
    if done.returncode != 0 or not done.stdout:
        run.violation(f"a herd has ended with {done.returncode}: {done.stderr[-500:]}")


def race(run: trust.Run, name: str, door: list[str], seconds: float, seed: int) -> subprocess.Popen[str]:
    folder = run.folder / name
    folder.mkdir()
    highest = SMALLEST[name]
    with open(folder / "stderr", "w") as err:
        return subprocess.Popen(
            [str(trust.BUILT / "race"), str(folder), str(seconds), str(seed), str(highest), *door],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
            env={**run.environment, "TRUST_STALE": STALE[highest]},
        )


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--herd", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("doors", nargs="*")
    options = parser.parse_args()
    run = trust.Run("races")
    seed = trust.seed_of(options.seed)
    doors = trust.doors(options.doors)
    for door in doors.values():
        herd(run, door, options.herd, options.rounds)
    if os.geteuid() != 0:
        print("races: PID namespaces need root: the rest is skipped")
        return run.finish()
    races = {name: race(run, name, door, options.seconds, seed) for name, door in doors.items()}
    for name, process in races.items():
        out, _ = process.communicate(timeout=options.seconds + 300)
        print(f"{name}, {options.seconds:.0f} s: {out}", end="", flush=True)
        if process.returncode != 0 or "epochs" not in out:
            run.violation(f"{name}: the race has ended with {process.returncode}: {(run.folder / name / 'stderr').read_text()[-500:]}")
        wrong = run.folder / name / "violations"
        for line in wrong.read_text().splitlines() if wrong.exists() else []:
            run.violation(f"{name}: {line}")
        if wrong.exists():
            said = (run.folder / name / "stderr").read_text().splitlines()
            print("\n".join(line for line in said if not any(word in line for word in EXPECTED))[-3000:])
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
