"""Root starts, asks, signals and stops, in a directory where others may write and do their worst.

    hostile.py [--seconds N] [--seed N] [--attackers N] [DOOR...]

For each door: N seconds with the pid file in such a directory, and N with the log file there. Nothing outside may change, nobody else
may be signalled, nothing may hang, nothing of root's may appear elsewhere, and when the others are gone all works again.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import pathlib
import random
import subprocess
import sys
import time
from collections import Counter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
import trust

NOBODY = 65534
DAEMON = 1
LIMIT = 20.0  # seconds that anything may take


class Outside:
    """What must not change: files by content, mode, owner, links and times, and the names beside them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        (folder / "folder").mkdir(parents=True)
        for name, mode, owner in (("precious", 0o600, 0), ("readable", 0o644, 0), ("his-own", 0o644, NOBODY)):
            path = folder / name
            path.write_text(f"{name}: nobody changes this\n")
            path.chmod(mode)
            os.chown(path, owner, owner)

    def look(self) -> dict[str, tuple[object, ...]]:
        seen: dict[str, tuple[object, ...]] = {}
        for path in sorted(self.folder.rglob("*")):
            status = path.lstat()
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
            # His own file he may change himself, by whatever name.
            if status.st_uid != NOBODY:
                seen[path.name] = (content, status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_mtime_ns)
        return seen


class House:
    def __init__(self, run: trust.Run, seed: int, attackers: int) -> None:
        self.run, self.seed, self.attackers = run, seed, attackers
        self.unwitnessed = {name: value for name, value in run.environment.items() if name != "TRUST_DIR"}
        self.outside = Outside(run.folder / "outside")
        self.hostile = run.folder / "hostile"
        self.canaries = [self.canary(0, "another.pid"), self.canary(0), self.canary(DAEMON)]
        self.before = self.outside.look()

    def canary(self, user: int, *pid_file: str) -> subprocess.Popen[str]:
        arguments = [str(self.outside.folder / name) for name in pid_file]
        canary = subprocess.Popen(
            [str(trust.BUILT / "canary"), *arguments], stdout=subprocess.PIPE, text=True, user=user, env=self.run.environment
        )
        assert canary.stdout is not None and canary.stdout.readline() == "ready\n"
        return canary

    def besiege(self, name: str, mode: str) -> list[subprocess.Popen[bytes]]:
        self.hostile.mkdir(exist_ok=True)
        os.chown(self.hostile, NOBODY, NOBODY)
        self.hostile.chmod(0o777)
        pids = [str(canary.pid) for canary in self.canaries] + [str(os.getpid())]
        return [
            subprocess.Popen(
                [str(trust.BUILT / "attack"), str(self.hostile), name, str(self.outside.folder), str(self.seed + number), mode, *pids],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
            )
            for number in range(self.attackers)
        ]

    def check(self, what: str) -> None:
        after = self.outside.look()
        for name in sorted(self.before.keys() | after.keys()):
            if self.before.get(name) != after.get(name):
                self.run.violation(f"{what}: outside/{name}: {self.before.get(name)} became {after.get(name)}")
        self.before = after
        for canary in self.canaries:
            if canary.poll() is not None:
                self.run.violation(f"{what}: a canary is dead: {canary.returncode}")
        for path in self.hostile.iterdir():
            if path.name not in ("file", *(f"stash{number}" for number in range(6))):
                self.run.violation(f"{what}: {path} is there")

    def leave(self) -> None:
        for path in self.hostile.iterdir():
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def operate(house: House, door: list[str], words: list[list[str]], dice: random.Random, told: Counter[str]) -> None:
    word = dice.choice(words)
    began = time.monotonic()
    # Whoever may write to the directory may have two daemons run: the witness is not asked.
    done = house.run.call([*door, *word], LIMIT, env=house.unwitnessed)
    told[f"{word[0]} {done.returncode}"] += 1
    told["slowest ms"] = max(told["slowest ms"], int((time.monotonic() - began) * 1000))


def siege(house: House, name: str, door: list[str], mode: str, seconds: float) -> None:
    """One door, for so long."""
    dice = random.Random(house.seed)
    inside = str(house.hostile / "file")
    safe = str(house.run.folder / "safe.pid")
    if mode == "pid":
        start, pid_file = [["start", inside]] * 4, inside
    else:
        start, pid_file = [["start", safe, inside], ["start", safe, inside, "truncate"]] * 2, safe
    words = [*start, ["stop", pid_file], ["stop", pid_file], ["status", pid_file], ["signal", pid_file, "1"], ["signal", pid_file, "1"]]
    attackers = house.besiege("file", mode)
    keep = {process.pid for process in (*attackers, *house.canaries)}
    told: Counter[str] = Counter()
    until = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < until:
        operate(house, door, words, dice, told)
        rounds += 1
        if rounds % 20 == 0:
            told["daemons whose file was lost"] += house.run.clear(keep)
            house.check(f"{name}, {mode}")
    for attacker in attackers:
        if attacker.poll() is not None:
            house.run.violation(f"{name}, {mode}: an attacker has ended with {attacker.returncode}")
        attacker.kill()
        attacker.wait()
    house.run.clear({canary.pid for canary in house.canaries})
    house.check(f"{name}, {mode}")
    house.leave()
    # The others are gone: all is well again.
    for word in (["start", *start[0][1:]], ["stop", pid_file]):
        done = house.run.call([*door, *word], LIMIT)
        if done.returncode != 0:
            house.run.violation(f"{name}, {mode}: afterwards: {word} has ended with {done.returncode}: {done.stderr}")
    house.run.clear({canary.pid for canary in house.canaries})
    house.leave()
    slowest = told.pop("slowest ms")
    outcomes = ", ".join(f"{what} ×{times}" for what, times in sorted(told.items()))
    print(f"{name}, {mode} file: {rounds} operations in {seconds:.0f} s, the slowest {slowest} ms: {outcomes}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=45.0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--attackers", type=int, default=3)
    parser.add_argument("doors", nargs="*")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("hostile: needs root: skipped")
        return 0
    run = trust.Run("hostile")
    house = House(run, trust.seed_of(options.seed), options.attackers)
    for name, door in trust.doors(options.doors).items():
        siege(house, name, door, "pid", options.seconds)
        if name != "libdaemon":  # It has no log files.
            siege(house, name, door, "log", options.seconds)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
