"""The fault sweep: every system call of a start fails in every way it can, and every process is killed at every call.

    sweep.py [--short] [--subject NAME ...] [--jobs N] [--json FILE] [--markdown FILE] [--verbose]

docs/reliability.md says what is looked at, README.md how it is put together. Needs root: daemons change their user.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import pathlib
import shutil
import sys
import time

import contract
import errnos
import house
import report
import trial
from subjects import ROOT, Subject, build, peer_python, subjects

SHORT = ("c-open", "libdaemon", "python")
# So many times a call may not be reached: how often a starter looks may depend on who is faster.
TRIES = 3

_home: house.House
_numbers = itertools.count()


def _enter(workers: multiprocessing.Queue[int]) -> None:
    global _home
    _home = house.House(workers.get())


def _trace(subject: Subject) -> list[trial.trace.Call]:
    return trial.Trial(subject, _home, next(_numbers)).trace().calls


def _leave(_: int) -> None:
    shutil.rmtree(_home.folder, ignore_errors=True)
    time.sleep(0.2)  # So that each worker gets one.


def _try(job: tuple[Subject, trial.Fault]) -> trial.Result:
    subject, fault = job
    for _ in range(TRIES):
        result = trial.Trial(subject, _home, next(_numbers)).run(fault)
        if result.hit:
            break
    if result.hit and subject.ours:
        contract.judge(result, subject.line)
    elif result.hit:
        contract.judge_peer(result)
    return result


def faults(calls: list[trial.trace.Call], short: bool) -> list[trial.Fault]:
    unknown = sorted({call.name for call in calls} - set(errnos.ERRNOS))
    if unknown:
        raise SystemExit(f"sweep: errnos.py does not know {', '.join(unknown)}: add what the manual says")
    ways = errnos.likeliest if short else errnos.ERRNOS.__getitem__
    return [trial.Fault(call, way) for call in calls for way in (*ways(call.name), trial.KILL)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="each call with one errno, one subject for each interface")
    parser.add_argument("--subject", action="append", metavar="NAME", help="only this one; may be said again")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--venv", type=pathlib.Path, default=ROOT / ".venv")
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--markdown", type=pathlib.Path)
    parser.add_argument("--verbose", action="store_true", help="every run that is not as it has to be, not only kinds of them")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("sweep: needs root, as daemons change their user")
    wanted = options.subject or (SHORT if options.short else None)
    needs_peer = wanted is None or "python-daemon" in wanted
    chosen = [it for it in subjects(options.venv, peer_python() if needs_peer else None) if wanted is None or it.name in wanted]
    if wanted is not None and len(chosen) != len(set(wanted)):
        raise SystemExit(f"sweep: no such subject among {', '.join(wanted)}")
    build()
    sheets = sweep(chosen, options.short, options.jobs)
    unused = [] if wanted is not None else contract.unused(it for sheet in sheets if sheet.subject.ours for it in sheet.reached())
    report.show(sheets, unused, options.verbose)
    if options.json:
        options.json.write_text(json.dumps([sheet.as_json() for sheet in sheets], indent=1))
    if options.markdown:
        options.markdown.write_text(report.markdown(sheets))
    return 1 if unused or any(sheet.subject.ours and sheet.bad() for sheet in sheets) else 0


def sweep(chosen: list[Subject], short: bool, jobs: int) -> list[report.Sheet]:
    workers: multiprocessing.Queue[int] = multiprocessing.Queue()
    for worker in range(jobs):
        workers.put(worker)
    sheets = []
    with multiprocessing.Pool(jobs, _enter, (workers,)) as pool:
        for subject in chosen:
            begun = time.monotonic()
            calls = pool.apply(_trace, (subject,))
            work = [(subject, fault) for fault in faults(calls, short)]
            results = pool.map(_try, work, 8)
            sheets.append(report.Sheet(subject, calls, results, time.monotonic() - begun))
            print(sheets[-1].progress(), file=sys.stderr, flush=True)
        pool.map(_leave, range(jobs), 1)
    return sheets


if __name__ == "__main__":
    sys.exit(main())
