"""The sweep's figures: a table for people, one for docs/reliability.md, and all of it as JSON."""

from __future__ import annotations

import collections
import dataclasses
import re

from contract import Entry
from subjects import Subject
from trace import Call
from trial import GONE, KILL, STARTED, STAYS, TOLD, Result


@dataclasses.dataclass
class Sheet:
    subject: Subject
    calls: list[Call]
    results: list[Result]
    seconds: float

    def reached(self) -> list[Result]:
        return [it for it in self.results if it.hit]

    def bad(self) -> list[Result]:
        return [it for it in self.reached() if it.problems]

    def kinds(self) -> dict[str, int]:
        """How many runs have each kind of problem."""
        return dict(collections.Counter(kind(problem) for it in self.bad() for problem in set(it.problems)).most_common())

    def figures(self) -> dict[str, int]:
        reached = self.reached()
        outcomes = collections.Counter(it.outcome for it in reached)
        return {
            "calls": len(self.calls),
            "runs": len(self.results),
            "killed": sum(it.fault == KILL for it in reached),
            "told": outcomes[TOLD],
            "went on": outcomes[STARTED] + outcomes[STAYS],
            "gone": outcomes[GONE],
            "not reached": len(self.results) - len(reached),
            "wrong": len(self.bad()),
        }

    def progress(self) -> str:
        return f"sweep: {self.subject.name}: {len(self.results)} runs, {len(self.bad())} wrong, {self.seconds:.0f} s"

    def as_json(self) -> dict[str, object]:
        results = [dataclasses.asdict(it) for it in self.results]
        return {"subject": self.subject.name, "title": self.subject.title, **self.figures(), "kinds": self.kinds(), "results": results}


def kind(problem: str) -> str:
    """A problem without what differs from run to run."""
    return re.sub(r"^(left: the file|the next start fails|not \w+( or \w+)* but \w+|the line does not say it).*", r"\1", problem)


COLUMNS = ("calls", "runs", "killed", "told", "went on", "gone", "not reached", "wrong")


def show(sheets: list[Sheet], unused: list[Entry], verbose: bool) -> None:
    width = max(len(it.subject.title) for it in sheets)
    print(" " * width, *(f"{column:>11}" for column in COLUMNS))
    for sheet in sheets:
        figures = sheet.figures()
        print(f"{sheet.subject.title:{width}}", *(f"{figures[column]:>11}" for column in COLUMNS))
    for sheet in sheets:
        _show_problems(sheet, verbose)
    for entry in unused:
        print(f"contract.py: no run is like {entry.subjects}: {entry.where}")


def _show_problems(sheet: Sheet, verbose: bool) -> None:
    if not sheet.bad():
        return
    print(f"\n{sheet.subject.title}:")
    for problem, count in sheet.kinds().items():
        print(f"  {count:>5} {problem}")
    if not (sheet.subject.ours or verbose):
        return
    places: dict[tuple[str, ...], list[str]] = collections.defaultdict(list)
    for it in sheet.bad():
        line = re.sub(r"/\S*/", "", it.line)
        places[it.role, it.call, "; ".join(it.problems), line].append(f"{it.fault}#{it.nth}")
    for (role, call, problems, line), faults in sorted(places.items()):
        print(f"  {role} {call} {' '.join(faults)}\n      {problems}\n      {line}")


def markdown(sheets: list[Sheet]) -> str:
    heads = ["start", *COLUMNS]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for sheet in sheets:
        figures = sheet.figures()
        lines.append("| " + " | ".join([sheet.subject.title, *(f"{figures[column]:,}" for column in COLUMNS)]) + " |")
    return "\n".join(lines) + "\n"
