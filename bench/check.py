"""What CI looks at, within a minute: what can be counted, and times only where they are far off.

System calls against `bench/calls`, instructions of an import, the wheel's size, and a start in C against bare system calls: this fails
when all of the interval lies above the bound.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from common import build
from common.places import VOLATILE
from common.rounds import Contestant, table
from common.statistics import Spread
from parts import calls

# More than a bare interpreter's, as callgrind counts them: the loading of the module is in it. 10 % above what was counted.
INSTRUCTIONS = {"import daemonctx": 1_550_000, "from daemonctx import DaemonContext, PidFile": 3_300_000}
# A whole start, times the same in bare system calls, on a machine that does other things too. The budget is in docs/performance.md.
START, ROUNDS = 1.40, 150
# What the machine does beside it can last for all rounds.
ATTEMPTS = 3


def instructions(python: pathlib.Path, statement: str) -> int:
    """With one seed for all hashes: by chance they collide, and the counts of runs differ by a few hundredths."""
    importing = [str(python), "-s", "-c", statement]
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *importing]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1"}
    with tempfile.TemporaryDirectory(dir=VOLATILE) as folder:
        # What is compiled is kept.
        subprocess.run(importing, check=True, timeout=60, cwd=folder, env=environment)
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, cwd=folder, env=environment)
    return int(re.findall(r"Collected : (\d+)", done.stderr)[0])


def of_import() -> list[str]:
    if shutil.which("valgrind") is None:
        print("  import: not counted, there is no valgrind here")
        return []
    python, wrong = build.python(), []
    bare = instructions(python, "pass")
    for statement, most in INSTRUCTIONS.items():
        added = instructions(python, statement) - bare
        print(f"  {statement}: {added:,} instructions, {most:,} allowed")
        if added > most:
            wrong.append(f"{statement}: {added:,} instructions more than a bare interpreter, {most:,} allowed")
    return wrong


def of_wheel() -> list[str]:
    """Reported, not limited: what counts is the time of an import."""
    print(f"  wheel: {build.wheel().stat().st_size:,} bytes")
    return []


def of_calls() -> list[str]:
    wrong = []
    for name, command in calls.subjects().items():
        counts = calls.count(command)
        print(f"  {name}: {sum(counts.values())} system calls")
        wrong += calls.compare(name, counts)
    return wrong


def of_starts() -> list[str]:
    made = build.subjects()
    wrong: list[str] = []
    for _ in range(ATTEMPTS):
        wrong = slow_starts(made)
        if not wrong:
            break
    return wrong


def slow_starts(made: dict[str, pathlib.Path]) -> list[str]:
    wrong = []
    names = ("floor", "libdaemon", "daemonctx")
    for it in table([Contestant(name, [str(made[name]), "{pid}"]) for name in names], ROUNDS, "floor")[1:]:
        ratio = it["ratio"]
        assert isinstance(ratio, Spread)
        print(f"  {it['name']}: {ratio.median:.2f} times bare system calls ({ratio.low:.2f} to {ratio.high:.2f})")
        if ratio.low > START:
            wrong.append(f"a start with {it['name']} takes {ratio.median:.2f} times as long as bare system calls, {START} allowed")
    return wrong


def main() -> None:
    wrong = of_calls() + of_wheel() + of_import() + of_starts()
    if wrong:
        raise SystemExit("\n".join(["check-speed:", *wrong]))


if __name__ == "__main__":
    main()
