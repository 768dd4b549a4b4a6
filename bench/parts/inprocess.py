"""What a program pays that runs already: libdaemon's functions in the original and in ours, in turn."""

from __future__ import annotations

import pathlib
import subprocess
import tempfile

from common import build
from common.places import OURS, VOLATILE, original
from common.result import verdict
from common.statistics import Spread, ratios, spread

# What, what it is, how often in the original and in ours, what one of it is.
THINGS = (
    ("pid-file", "pid file made and removed", 200, 200, "us"),
    ("running", "asked who runs", 500, 500, "us"),
    ("log-stderr", "a line logged to stderr", 5000, 5000, "us"),
    ("log-syslog", "a line logged to syslog", 2000, 2000, "us"),
    ("signals", "a signal sent to itself and taken", 5000, 5000, "us"),
    ("exec", "output of daemon_exec", 400_000, 16_000_000, "MB/s"),
    ("kill-wait", "kill_wait of a process that ends at once", 2, 20, "us"),
    ("close-none", "close_all, nothing open", 2000, 2000, "us"),
    ("close-10000", "close_all, 10,000 open", 2, 2, "us"),
)


def _one(program: pathlib.Path, what: str, count: int, folder: str) -> float:
    command = [str(program), what, str(count), folder]
    nanoseconds = float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout)
    return 1e3 / nanoseconds if what == "exec" else nanoseconds / 1e3


def measure(effort: int) -> dict[str, object]:
    print("== in a program that runs, median of", effort)
    build.library()
    programs = [build.compiled(f"inprocess-{name}", "inprocess.c", library=folder) for name, folder in
                (("original", original()), ("ours", OURS))]
    rows: list[dict[str, object]] = []
    ours: dict[str, Spread] = {}
    for what, title, count, our_count, unit in THINGS:
        with tempfile.TemporaryDirectory(dir=VOLATILE) as folder:
            pairs = [(_one(programs[0], what, count, folder), _one(programs[1], what, our_count, folder)) for _ in range(effort)]
        before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        ours[what], ratio = spread(after), ratios(after, before)
        rows.append({"name": what, "title": title, "unit": unit, "original": spread(before), "ours": ours[what], "ratio": ratio})
        print(f"  {title:42} original {spread(before).median:10.2f}, ours {ours[what].median:10.2f} {unit}, {ratio.median:.3g} times")
    verdicts = [
        verdict("kill_wait on a process that ends at once", ours["kill-wait"].scaled(1e-3), 0.5, " ms"),
        verdict("close_all, nothing open", ours["close-none"], 2, " us"),
        verdict("close_all, 10,000 open", ours["close-10000"].scaled(1e-3), 6, " ms"),
        verdict("daemon_exec's output, a hundred times the original's 0.75 MB/s", ours["exec"], 75, " MB/s", at_least=True),
    ]
    return {"rows": rows, "verdicts": verdicts}
