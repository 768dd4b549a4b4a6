"""What an import adds to a bare interpreter, from spawning it until it has ended; and how large the wheel is."""

from __future__ import annotations

import subprocess

from common import build, rounds
from common.result import verdict
from common.rounds import Contestant
from common.statistics import differences, spread

STATEMENTS = {
    "bare": "pass",
    "daemonctx": "import daemonctx",
    "DaemonContext and PidFile": "from daemonctx import DaemonContext, PidFile",
}


def measure(effort: int) -> dict[str, object]:
    print("== import")
    wheel = build.wheel()
    interpreter = str(build.python())
    paths = subprocess.run([interpreter, "-I", "-c", "import sys; print(sys.path[-1])"], check=True, capture_output=True, text=True)
    found: dict[str, object] = {}
    for title, flags, before in (("-I", ["-I"], ""), ("-I -S", ["-I", "-S"], f"import sys; sys.path.append({paths.stdout.strip()!r}); ")):
        contestants = [Contestant(name, [interpreter, *flags, "-c", before + it]) for name, it in STATEMENTS.items()]
        times = rounds.take(contestants, effort, silent=True)
        base = times["bare"].left
        rows = [{"name": name, "left": spread(it.left), "added": differences(it.left, base)} for name, it in times.items()]
        found[title] = rows
        for it in rows:
            print(f"  {title:6} {it['name']:26} {it['left'].median / 1e3:.2f} ms, added {it['added'].median / 1e3:.3f} ms")  # type: ignore[attr-defined]
    size = wheel.stat().st_size
    added = {title: next(it["added"] for it in rows if it["name"] == "daemonctx") for title, rows in found.items()}  # type: ignore[attr-defined]
    verdicts = [verdict(f"import daemonctx, python {title}", it.scaled(1e-3), 1.0, " ms") for title, it in added.items()]
    return {"rows": found, "wheel": size, "verdicts": verdicts}
