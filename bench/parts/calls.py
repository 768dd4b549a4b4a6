"""The system calls of a start: each with its reason, and none more than those.

`bench/calls/NAME.tsv` says what a start does: who, what, how often, why. `check` runs the starts and compares: one more fails, and so
does one that nobody has given a reason for; one less is a line to take out. `write` notes what is done now and keeps the reasons.
"""

from __future__ import annotations

import collections
import pathlib
import re
import subprocess
import sys
import tempfile

from common import build
from common.places import BENCH, ROOT, VOLATILE

sys.path.insert(0, str(ROOT / "reliability" / "sweep"))
import trace as traced  # noqa: E402

BUDGETS = BENCH / "calls"
RUNS = 5
ROLES = {"0": "starter", "0.0": "session leader", "0.0.0": "daemon"}
UNKNOWN = "?"
# How often the starter has to look depends on who runs when.
WAITING = ("poll(", "read(pipe)", "recvmsg(")

Counts = dict[tuple[str, str], int]


def subjects() -> dict[str, list[str]]:
    """The marked programs: a start begins where the interface is first called, and ends where the daemon goes on."""
    injector = str(build.compiled("injector", "../../reliability/sweep/injector.c"))
    made = build.subjects(("-DMARKED",), "-marked")
    python = str(build.python())
    return {
        "floor": [injector, str(made["floor"])],
        "libdaemon": [injector, str(made["libdaemon"])],
        "daemonctx": [injector, str(made["daemonctx"])],
        "python": [injector, python, "-I", str(BENCH / "python" / "marked.py")],
    }


def _once(injector: str, command: list[str]) -> Counts:
    with tempfile.TemporaryDirectory(dir=VOLATILE) as folder:
        log = pathlib.Path(folder) / "log"
        subprocess.run([injector, "-t", "5000", str(log), *command, folder + "/d.pid"], check=True, stdin=subprocess.DEVNULL, timeout=20)
        trace = traced.read(log, folder)
        for pid in (trace.pids[role] for role in trace.free):
            _end(pid)
        return collections.Counter((ROLES.get(call.role, call.role), _shown(call.what)) for call in trace.calls)


def _end(pid: int) -> None:
    subprocess.run(["kill", "-KILL", str(pid)], stderr=subprocess.DEVNULL)


def _shown(what: str) -> str:
    """Signals as one: which they are is said in the reason. Processes without their numbers."""
    return "rt_sigaction" if what.startswith("rt_sigaction") else re.sub(r"/proc/\d+/", "/proc/PID/", what)


def count(command: list[str]) -> Counts:
    """The most of each in some runs."""
    most: Counts = {}
    for _ in range(RUNS):
        for key, number in _once(command[0], command[1:]).items():
            most[key] = max(most.get(key, 0), number)
    return most


def read(name: str) -> dict[tuple[str, str], tuple[int, str]]:
    path = BUDGETS / f"{name}.tsv"
    lines = path.read_text().splitlines() if path.exists() else []
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {(who, what): (int(number), why) for who, what, number, why in rows}


def compare(name: str, counts: Counts) -> list[str]:
    """What is wrong."""
    budget, wrong = read(name), []
    for key, number in counts.items():
        allowed, why = budget.get(key, (0, UNKNOWN))
        waits = key[0] == "starter" and key[1].startswith(WAITING)
        if number > allowed and not (waits and allowed):
            wrong.append(f"{name}: {key[0]}: {key[1]} {number} times, {allowed} allowed")
        elif why == UNKNOWN:
            wrong.append(f"{name}: {key[0]}: {key[1]} without a reason")
    for key, (allowed, _) in budget.items():
        if counts.get(key, 0) < allowed and not key[1].startswith(WAITING):
            print(f"  {name}: {key[0]}: {key[1]} only {counts.get(key, 0)} times of {allowed}: `make bench-calls` notes it")
    return wrong


def write(name: str, counts: Counts) -> None:
    known = {what: why for (_, what), (_, why) in read(name).items()}
    exact = {key: why for key, (_, why) in read(name).items()}
    BUDGETS.mkdir(exist_ok=True)
    with open(BUDGETS / f"{name}.tsv", "w") as file:
        file.write("# who\twhat\thow often\twhy: see ../parts/calls.py\n")
        # Each process on its own, in the order of what it does.
        for (who, what), number in sorted(counts.items(), key=lambda item: list(ROLES.values()).index(item[0][0])):
            file.write(f"{who}\t{what}\t{number}\t{exact.get((who, what), known.get(what, UNKNOWN))}\n")


def main() -> None:
    writing, wrong = sys.argv[1:] == ["--write"], []
    for name, command in subjects().items():
        counts = count(command)
        print(f"  {name}: {sum(counts.values())} system calls from the interface's first call until ready")
        if writing:
            write(name, counts)
        else:
            wrong += compare(name, counts)
    if wrong:
        raise SystemExit("\n".join(["more system calls than have a reason:", *wrong]))


if __name__ == "__main__":
    main()
