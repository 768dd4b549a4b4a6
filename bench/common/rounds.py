"""Starts, in turn: who is measured, and what the driver says."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import subprocess

from common import build
from common.places import FIFO, VOLATILE
from common.statistics import Spread, differences, ratios, spread


@dataclasses.dataclass(frozen=True)
class Contestant:
    name: str
    command: list[str]  # {pid} stands for its pid file
    note: str = ""

    @property
    def pid_file(self) -> str:
        return str(VOLATILE / f"{self.name}.pid")


@dataclasses.dataclass
class Times:
    """Microseconds, a start each."""

    left: list[float] = dataclasses.field(default_factory=list)
    ready: list[float] = dataclasses.field(default_factory=list)


def take(contestants: list[Contestant], rounds: int, silent: bool = False, environment: dict[str, str] | None = None) -> dict[str, Times]:
    """Starts all of them in each round. Silent ones are no daemons: they run, and say nothing."""
    driver = build.driver()
    if not FIFO.exists():
        os.mkfifo(FIFO)
    command = [str(driver), str(rounds), "-" if silent else str(FIFO)]
    for it in contestants:
        pathlib.Path(it.pid_file).unlink(missing_ok=True)
        command += [",", it.pid_file, *(word.format(pid=it.pid_file) for word in it.command)]
    done = subprocess.run(command, env={**os.environ, **(environment or {})}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(f"bench: the driver has ended with {done.returncode}")
    times = {it.name: Times() for it in contestants}
    for line in done.stdout.splitlines():
        # A daemon may write to the starter's output.
        words = line.split()
        if len(words) == 3 and all(word.isdigit() for word in words):
            of = times[contestants[int(words[0])].name]
            of.left.append(int(words[1]) / 1e3)
            of.ready.append(int(words[2]) / 1e3)
    return times


def whole(times: Times) -> list[float]:
    """Until both: the starter has left, and the daemon is ready."""
    return [max(pair) for pair in zip(times.left, times.ready)]


def row(it: Contestant, times: Times, base: list[float]) -> dict[str, object]:
    """A line of a table: both ends, and how the whole compares with the base."""
    return {
        "name": it.name,
        "note": it.note,
        "left": spread(times.left),
        "ready": spread(times.ready),
        "whole": spread(whole(times)),
        "ratio": ratios(whole(times), base),
        "added": differences(whole(times), base),
    }


def table(contestants: list[Contestant], rounds: int, base: str) -> list[dict[str, object]]:
    times = take(contestants, rounds)
    return [row(it, times[it.name], whole(times[base])) for it in contestants]


def show(rows: list[dict[str, object]], base: str) -> None:
    print(f"  {'':28} {'starter left':>14} {'daemon ready':>14}   whole, times {base}")
    for it in rows:
        left, ready, ratio = (it[key] for key in ("left", "ready", "ratio"))
        assert isinstance(left, Spread) and isinstance(ready, Spread) and isinstance(ratio, Spread)
        print(
            f"  {it['name']:28} {left.median:11.0f} us {ready.median:11.0f} us   "
            f"{ratio.median:.3f} ({ratio.low:.3f} to {ratio.high:.3f})  {it['note']}"
        )
