"""Whole starts: from spawning the starter until it has left, and until the daemon says that it is ready."""

from __future__ import annotations

from common import build, rounds
from common.places import BENCH, COMMAND
from common.result import verdict
from common.rounds import Contestant

NO_WAIT = "the starter does not wait"


def _show(title: str, rows: list[dict[str, object]], base: str) -> None:
    print(f"== {title}")
    rounds.show(rows, base)


def c(effort: int) -> dict[str, object]:
    programs = build.subjects()
    loaded = build.subject("floor-loaded", "floor", build.OURS, ("-Wl,--no-as-needed",))
    notes = {"daemon3": NO_WAIT + "; closes nothing; no lock", "original": "no lock is held"}
    contestants = [Contestant(name, [str(path), "{pid}"], notes.get(name, "")) for name, path in programs.items() if name != "onefork"]
    contestants.insert(1, Contestant("floor-loaded", [str(loaded), "{pid}"], "the floor, linked with our library and not using it"))
    rows = rounds.table(contestants, effort, "floor")
    _show("a start in C", rows, "floor")
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
    interpreter = str(build.python(*build.PYTHON_PEERS))
    names = ("bare", "ours", "pyzenkit", "pep3143daemon", "python_daemon", "daemoniker", "cherrypy", "daemonocle")
    rows = rounds.table(_python_contestants(interpreter, names), effort, "bare")
    _show("a start in Python", rows, "bare")
    added = {it["name"]: it["added"] for it in rows}
    for name in names[1:]:
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
