"""The process that stays with a program: its memory, and how long it takes from spawning it until the program runs.

daemonctx's monitor beside runsv, s6-supervise and conmon, each with the same program, in turn. conmon gets a runtime that makes no
container (`c/runtime.c`), so its own cost is measured. A peer that cannot be fetched is left out by name.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from typing import NamedTuple

from common import build
from common.places import BUILD, COMMAND, ROOT, VOLATILE
from common.statistics import Spread, ratios, spread

UNPACKED = BUILD / "supervisors"
PACKAGES = ("runit", "s6", "execline", "conmon", "libglib2.0-0", "libsystemd0", "libpcre2-8-0")
LIBRARIES = re.compile(r"^ *Depends: (lib(?:skarnet|execline|s6-)[a-z0-9.+-]*)$", re.MULTILINE)
FIGURES = ("Private_Dirty", "Pss", "Rss")
LIMIT = 10  # seconds
FIFO = VOLATILE / "running"


class Monitor(NamedTuple):
    name: str
    begin: Callable[[pathlib.Path], list[str]]


def fetch() -> dict[str, str]:
    """The environment in which the peers run; empty where they cannot be had."""
    told = subprocess.run(["apt-cache", "depends", "--no-recommends", "--no-suggests", "s6"], capture_output=True, text=True)
    packages = (*PACKAGES, *LIBRARIES.findall(told.stdout))
    if subprocess.run([ROOT / "bindings/c-tests/clients/fetch", UNPACKED, *packages]).returncode:
        return {}
    folders = sorted({str(path.parent) for path in (UNPACKED / "root").rglob("lib*.so*")})
    return {"LD_LIBRARY_PATH": ":".join(folders)}


def parent(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def daemonctx(folder: pathlib.Path) -> list[str]:
    return [str(COMMAND), "start", "--quiet", "--pidfile", f"{folder}/pid", "--notify", "exec", f"{folder}/program"]


def runsv(folder: pathlib.Path) -> list[str]:
    (folder / "run").symlink_to(folder / "program")
    return [str(UNPACKED / "root/usr/bin/runsv"), str(folder)]


def s6_supervise(folder: pathlib.Path) -> list[str]:
    (folder / "run").symlink_to(folder / "program")
    return [str(UNPACKED / "root/usr/bin/s6-supervise"), str(folder)]


def conmon(folder: pathlib.Path) -> list[str]:
    return [str(UNPACKED / "root/usr/bin/conmon"), "--cid", "bench", "--cuuid", "bench", "--runtime", str(folder / "runtime"),
            "--bundle", str(folder), "--container-pidfile", f"{folder}/container", "--conmon-pidfile", f"{folder}/conmon",
            "--exit-dir", str(folder), "--socket-dir-path", str(folder), "--log-path", f"k8s-file:{folder}/log"]


MONITORS = (Monitor("daemonctx", daemonctx), Monitor("runsv", runsv), Monitor("s6-supervise", s6_supervise), Monitor("conmon", conmon))


def kilobytes(pid: int) -> dict[str, int]:
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return {name: int(re.findall(rf"^{name}: +(\d+) kB$", text, re.MULTILINE)[0]) for name in FIGURES}


def end(pids: list[int]) -> None:
    """What stays first, so that it starts nothing again."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)


def once(it: Monitor, programs: dict[str, pathlib.Path], environment: dict[str, str]) -> tuple[float, dict[str, int]]:
    """Microseconds until the program runs, and what the process beside it takes when it has come to rest."""
    folder = VOLATILE / "supervised"
    folder.mkdir()
    for name, path in programs.items():
        shutil.copy(path, folder / name)
    words = it.begin(folder)
    fifo = os.open(FIFO, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(fifo, True)
    begun = time.perf_counter_ns()
    started = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    keep = os.open(FIFO, os.O_WRONLY)  # the program's end is not the end of the file
    program = int(os.read(fifo, 64).split()[0])
    took = (time.perf_counter_ns() - begun) / 1e3
    os.close(fifo)
    os.close(keep)
    try:
        if it.name in ("daemonctx", "conmon"):
            started.wait(LIMIT)  # conmon is the program's parent when the runtime has left
        time.sleep(0.05)  # to rest: what is measured is what it keeps
        found = kilobytes(parent(program))
    finally:
        if it.name == "daemonctx":  # its state file goes, too
            subprocess.run([COMMAND, "stop", "--quiet", "--pidfile", f"{folder}/pid"], env=environment)
        else:
            end([parent(program), program])
        if started.poll() is None:
            started.kill()
            started.wait()
        shutil.rmtree(folder)
    return took, found


def measure(rounds: int) -> dict[str, object]:
    print("== the process that stays: memory, and the time until the program runs")
    peers = fetch()
    if not peers:
        print("  left out: runsv, s6-supervise and conmon, whose packages cannot be fetched")
    programs = {"program": build.compiled("target", "target.c", flags=("-static",)), "runtime": build.compiled("runtime", "runtime.c")}
    os.sync()  # pages of a file that is not yet on the disk count as dirty
    os.mkfifo(FIFO)
    environment = {**os.environ, **peers, "BENCH_FIFO": str(FIFO), "BENCH_PROGRAM": str(VOLATILE / "supervised/program")}
    monitors = MONITORS if peers else MONITORS[:1]
    times: dict[str, list[float]] = {it.name: [] for it in monitors}
    sizes: dict[str, dict[str, list[float]]] = {it.name: {name: [] for name in FIGURES} for it in monitors}
    for _ in range(rounds):
        for it in monitors:
            took, found = once(it, programs, environment)
            times[it.name].append(took)
            for name, size in found.items():
                sizes[it.name][name].append(size)
    rows = []
    for it in monitors:
        own, ours = sizes[it.name], sizes["daemonctx"]
        row: dict[str, object] = {"name": it.name, "until it runs": spread(times[it.name]),
                                  "daemonctx, times this": ratios(times["daemonctx"], times[it.name]),
                                  **{name: spread(own[name]) for name in FIGURES},
                                  "private, daemonctx times this": ratios(ours["Private_Dirty"], own["Private_Dirty"])}
        rows.append(row)
        show(row)
    return {"rows": rows, "verdicts": []}


def show(row: dict[str, object]) -> None:
    def of(key: str) -> Spread:
        value = row[key]
        assert isinstance(value, Spread)
        return value

    sizes = ", ".join(f"{name} {of(name).median:,.0f} kB" for name in FIGURES)
    print(f"  {row['name']:13} {of('until it runs').median:7,.0f} us; {sizes}; daemonctx takes {of('daemonctx, times this').median:.2f} times "
          f"the time, {of('private, daemonctx times this').median:.2f} times the private memory")
