"""Whole starts: from spawning the starter until it has left, and until the daemon says that it is ready."""

from __future__ import annotations

from common import build, rounds
from common.places import BENCH, COMMAND, OURS
from common.result import verdict
from common.rounds import Contestant
from common.statistics import ratios

NO_WAIT = "the starter does not wait"


def _show(title: str, rows: list[dict[str, object]], base: str) -> None:
    print(f"== {title}")
    rounds.show(rows, base)


def c(effort: int) -> dict[str, object]:
    programs = build.subjects()
    loaded = build.subject("floor-loaded", "floor", OURS, ("-Wl,--no-as-needed",))
    notes = {"daemon3": NO_WAIT + "; closes nothing; no lock", "original": "no lock is held"}
    contestants = [Contestant(name, [str(path), "{pid}"], notes.get(name, "")) for name, path in programs.items() if name != "onefork"]
    contestants.insert(1, Contestant("floor-loaded", [str(loaded), "{pid}"], "the floor, linked with our library and not using it"))
    times = rounds.take(contestants, effort)
    rows = [rounds.row(it, times[it.name], rounds.whole(times["floor"])) for it in contestants]
    _show("a start in C", rows, "floor")
    for name in ("original", "libdaemon", "daemonctx"):
        beside = ratios(rounds.whole(times[name]), rounds.whole(times["floor-loaded"]))
        print(f"  {name}: {beside.median:.3f} ({beside.low:.3f} to {beside.high:.3f}) times the floor that loads a library too")
        next(it for it in rows if it["name"] == name)["loaded"] = beside
    ratio = {it["name"]: it["ratio"] for it in rows}
    verdicts = [
        verdict("C, libdaemon's interface on ours, times bare system calls", ratio["libdaemon"], 1.10),  # type: ignore[arg-type]
        verdict("C, our own interface, times bare system calls", ratio["daemonctx"], 1.10),  # type: ignore[arg-type]
    ]
    return {"base": "floor", "rows": rows, "verdicts": verdicts}


def programs(effort: int) -> dict[str, object]:
    """Programs that make a daemon of another, and ours."""
    folder = build.launchers()
    target = str(build.compiled("target", "target.c", flags=("-static",)))
    ssd = next(path for path in (folder / "sbin/start-stop-daemon", folder / "usr/sbin/start-stop-daemon") if path.exists())
    daemonize = next(path for path in (folder / "usr/bin/daemonize", folder / "usr/sbin/daemonize") if path.exists())
    contestants = [
        Contestant("start-stop-daemon", [str(ssd), "-S", "-q", "-b", "-m", "-p", "{pid}", "-x", target], "no lock"),
        Contestant("daemonize(1)", [str(daemonize), "-p", "{pid}", "-l", "{pid}", target], NO_WAIT),
        Contestant("daemonctx start", [str(COMMAND), "start", "--quiet", "--pidfile", "{pid}", "--", target]),
    ]
    rows = rounds.table(contestants, effort, "start-stop-daemon")
    _show("a program started by another", rows, "start-stop-daemon")
    return {"base": "start-stop-daemon", "rows": rows, "verdicts": []}


def _python_contestants(interpreter: str, names: tuple[str, ...]) -> list[Contestant]:
    notes = {"bare": "the interpreter alone", "ours": "", "daemonocle": "the starter sleeps for a second"}
    return [
        Contestant(name, [interpreter, "-I", str(BENCH / "python" / f"{name}.py"), "{pid}"], notes.get(name, NO_WAIT)) for name in names
    ]


def python(effort: int) -> dict[str, object]:
    """Against the time at which a bare interpreter runs a program: what it takes to end is nobody's cost here."""
    interpreter = str(build.python(*build.PYTHON_PEERS))
    rows: list[dict[str, object]] = []
    quick = ("bare", "ours", "pyzenkit", "pep3143daemon", "python_daemon", "daemoniker")
    for names, count in ((quick, effort), (("bare", "cherrypy", "daemonocle"), max(3, effort // 10))):
        contestants = _python_contestants(interpreter, names)
        times = rounds.take(contestants, count)
        rows += [rounds.row(it, times[it.name], times["bare"].ready) for it in contestants if it.name != "bare" or not rows]
    _show("a start in Python", rows, "bare")
    added = {it["name"]: it["added"] for it in rows}
    for name in list(added)[1:]:
        print(f"  {name} adds {added[name].median / 1e3:.2f} ms")  # type: ignore[attr-defined]
    verdicts = [verdict("Python: added to a bare interpreter", added["ours"].scaled(1e-3), 2.0, " ms")]  # type: ignore[attr-defined]
    return {"base": "bare", "rows": rows, "verdicts": verdicts}


def rust(effort: int) -> dict[str, object]:
    made = build.rust()
    floor = build.subject("floor")
    notes = {"daemonize": NO_WAIT + "; closes nothing", "fork": NO_WAIT + "; closes nothing; no lock"}
    contestants = [Contestant("floor", [str(floor), "{pid}"], "in C")]
    contestants += [Contestant(name, [str(path), "{pid}"], notes.get(name, "")) for name, path in made.items()]
    rows = rounds.table(contestants, effort, "floor")
    _show("a start in Rust", rows, "floor")
    return {"base": "floor", "rows": rows, "verdicts": []}
