"""What a start costs, against what the process has: memory, descriptors, a limit, threads. Flat is best."""

from __future__ import annotations

import pathlib

from common import build, rounds
from common.places import BENCH, BUILD
from common.result import verdict
from common.rounds import Contestant, whole
from common.statistics import Spread, ratios, spread

C = ("floor", "original", "libdaemon", "daemonctx")


def _sized(programs: dict[str, pathlib.Path], names: tuple[str, ...], mib: int, descriptors: int, threads: int) -> list[Contestant]:
    sizes = [str(mib), str(descriptors), str(threads)]
    return [Contestant(name, [str(programs[name]), "{pid}", *sizes]) for name in names]


def _say(size: int, unit: str, found: dict[str, Spread]) -> None:
    print(f"  {size:>9,} {unit}: " + ", ".join(f"{name} {it.median / 1e3:.2f}" for name, it in found.items()) + " ms")


def _against(
    unit: str, sizes: tuple[int, ...], contestants_at: dict[int, list[Contestant]], effort: int, environment: str = ""
) -> tuple[dict[str, list[Spread]], dict[int, dict[str, list[float]]]]:
    """A series for each contestant, of the time until the daemon is ready, from right before the start; and all times. With an
    environment of whole starts, from spawning."""
    series: dict[str, list[Spread]] = {}
    raw: dict[int, dict[str, list[float]]] = {}
    for size in sizes:
        variables = {environment: str(size), "LD_PRELOAD": str(BUILD / "c" / "limit.so")} if environment else {}
        # Touching takes seconds.
        fewer = max(3, effort // 3) if unit == "MiB" and size > 1024 else effort
        times = rounds.take(contestants_at[size], fewer, environment=variables)
        raw[size] = {name: whole(it) if environment else it.ready for name, it in times.items()}
        found = {name: spread(it) for name, it in raw[size].items()}
        _say(size, unit, found)
        for name, it in found.items():
            series.setdefault(name, []).append(it)
    return series, raw


def memory(effort: int) -> dict[str, object]:
    print("== memory touched: from right before the start until the daemon is ready")
    sizes = (0, 1024, 4096)
    names = ("onefork", *C)
    programs = build.subjects()
    at = {size: _sized(programs, names, size, 0, 0) for size in sizes}
    series, raw = _against("MiB", sizes, at, effort)
    fork = raw[1024]["onefork"]
    verdicts = [
        verdict(f"1 GiB touched, {title}, times one bare fork", ratios(raw[1024][name], fork), 1.15)
        for name, title in (("libdaemon", "libdaemon's interface on ours"), ("daemonctx", "our own interface"))
    ]
    return {"unit": "MiB touched", "x": sizes, "series": series, "verdicts": verdicts}


def descriptors(effort: int) -> dict[str, object]:
    print("== open descriptors")
    sizes = (0, 100, 10_000)
    programs = build.subjects()
    # The original waits with select(2), which knows no descriptor above 1023: the C library ends it.
    able = {size: C if size < 1000 else tuple(name for name in C if name != "original") for size in sizes}
    series, _ = _against("open", sizes, {size: _sized(programs, able[size], 0, size, 0) for size in sizes}, effort)
    return {"unit": "open descriptors", "x": sizes, "series": series, "verdicts": []}


def threads(effort: int) -> dict[str, object]:
    print("== threads")
    sizes = (1, 10, 100, 500)
    programs = build.subjects()
    series, raw = _against("threads", sizes, {size: _sized(programs, C, 0, 0, size - 1) for size in sizes}, effort)
    verdicts = [
        verdict(f"500 threads, {name}, times bare system calls", ratios(raw[500][name], raw[500]["floor"]), 1.10)
        for name in ("libdaemon", "daemonctx")
    ]
    return {"unit": "threads", "x": sizes, "series": series, "verdicts": verdicts}


def limit(effort: int) -> dict[str, object]:
    print("== RLIMIT_NOFILE, shown by a preload")
    build.run([*build.COMPILER, "-shared", "-fPIC", "-o", BUILD / "c" / "limit.so", BENCH / "c" / "limit.c"])
    interpreter = str(build.python(*build.PYTHON_PEERS))
    programs = build.subjects()
    names = ("ours", "pyzenkit", "pep3143daemon", "python_daemon", "daemoniker")
    contestants = [Contestant(name, [str(programs[name]), "{pid}"]) for name in ("original", "daemonctx")]
    contestants += [Contestant(f"python-{name}", [interpreter, "-I", str(BENCH / "python" / f"{name}.py"), "{pid}"]) for name in names]
    sizes = (1024, 65_536, 1_048_576)
    series, raw = _against("descriptors allowed", sizes, {size: contestants for size in sizes}, effort, "BENCH_NOFILE")
    change = ratios(raw[sizes[-1]]["python-ours"], raw[sizes[0]]["python-ours"])
    verdicts = [verdict("Python at RLIMIT_NOFILE 1,048,576, times the same at 1,024", change, 1.10)]
    return {"unit": "RLIMIT_NOFILE", "x": sizes, "series": series, "verdicts": verdicts}
