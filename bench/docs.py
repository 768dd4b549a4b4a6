"""Puts what `make bench` has found (`target/bench/*.json`) into docs/performance.md, between its marks, and draws docs/plots."""

from __future__ import annotations

import json
import re
from typing import Any

from common.places import BUILD, PAGE, PLOTS
from parts import calls
from plots import draw

STARTS = {
    "starts-c": ("A start in C", None),
    "starts-programs": ("A program started by another", None),
    "starts-python": ("A start in Python", 130.0),
    "starts-rust": ("A start in Rust", None),
}
SIZES = {
    "memory": "A start against memory touched",
    "descriptors": "A start against open descriptors",
    "limit": "A start against RLIMIT_NOFILE",
    "threads": "A start against threads",
}

LINEAR = ("memory", "threads")


def _value(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _spread(value: list[float], factor: float = 1.0) -> str:
    median, low, high = (it * factor for it in value)
    return _value(median) if low == high else f"{_value(median)} ({_value(low)} to {_value(high)})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _starts(found: dict[str, Any], name: str) -> str:
    base = found["base"]
    head = ["", "starter left, ms", "daemon ready, ms", f"whole, times {base}", f"added to {base}, ms", ""]
    rows = [
        [it["name"], _spread(it["left"], 1e-3), _spread(it["ready"], 1e-3), _spread(it["ratio"]), _spread(it["added"], 1e-3), it["note"]]
        for it in found["rows"]
    ]
    if any("loaded" in it for it in found["rows"]):
        head.insert(-1, "times floor-loaded")
        for row, it in zip(rows, found["rows"]):
            row.insert(-1, _spread(it["loaded"]) if "loaded" in it else "")
    return _table(head, rows) + f"\n\n![{STARTS[name][0]}](plots/{name}.svg)"


def _sizes(found: dict[str, Any], name: str) -> str:
    head = [f"{found['unit']}: ms", *(f"{size:,}" for size in found["x"])]
    rows = [[series, *(_spread(it, 1e-3) for it in values)] for series, values in found["series"].items()]
    for row in rows:
        row += ["cannot"] * (len(head) - len(row))
    return _table(head, rows) + f"\n\n![{SIZES[name]}](plots/{name}.svg)"


def _import(found: dict[str, Any]) -> str:
    rows = [
        [f"`python {flags}`", it["name"], _spread(it["left"], 1e-3), _spread(it["added"], 1e-3)]
        for flags, rows in found["rows"].items()
        for it in rows
    ]
    return _table(["", "imports", "spawn to exit, ms", "added, ms"], rows) + f"\n\nThe wheel has {found['wheel']:,} bytes."


def _library(found: dict[str, Any]) -> str:
    head = ["", "bytes, stripped", "relocations", "resident, KiB", "of them private", "spawn to exit, us"]
    rows = [
        [name, f"{it['size']:,}", str(it["relocations"]), str(it["resident"]), str(it["private"]), _spread(found["loads"][name])]
        for name, it in found["rows"].items()
    ]
    rows.append(["no library", "", "", "", "", _spread(found["loads"]["without"])])
    return _table(head, rows)


def _inprocess(found: dict[str, Any]) -> str:
    rows = [
        [it["title"], it["unit"], _spread(it["original"]), _spread(it["ours"]), _spread(it["ratio"])] for it in found["rows"]
    ]
    return _table(["", "unit", "original", "ours", "ours, times the original"], rows)


def _calls() -> str:
    parts = []
    for name, title in (("daemonctx", "C, our own interface"), ("libdaemon", "C, libdaemon's interface"), ("python", "Python")):
        budget = calls.read(name)
        rows = [[who, f"`{what}`", str(number), why] for (who, what), (number, why) in budget.items()]
        total, floor = (sum(number for number, _ in of.values()) for of in (budget, calls.read("floor")))
        parts.append(f"### {title}: {total}\n\nBare system calls: {floor}.\n\n" + _table(["who", "what", "how often", "why"], rows))
    return "\n\n".join(parts)


def _budgets(every: dict[str, dict[str, Any]]) -> str:
    rows = [
        [it["what"], it["bound"], f"{_spread(it['value'])}{it['unit']}", it["held"]]
        for found in every.values()
        for it in found["verdicts"]
    ]
    return _table(["what", "budget", "measured", "holds"], rows)


def _machine(every: dict[str, dict[str, Any]]) -> str:
    """Of the newest; parts may have been measured on their own."""
    last = max(every.values(), key=lambda it: str(it["when"]))
    rounds = ", ".join(f"{name} {found['rounds']}" for name, found in every.items())
    return _table(["", ""], [[key, value] for key, value in last["machine"].items()] + [["measured", last["when"]], ["rounds", rounds]])


def _replace(page: str, name: str, text: str) -> str:
    pattern = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"bench: {PAGE} has no place for {name}")
    return pattern.sub(lambda found: found[1] + text + "\n" + found[2], page)


def main() -> None:
    names = [*STARTS, *SIZES, "import", "library", "in-process"]
    every = {name: json.loads((BUILD / f"{name}.json").read_text()) for name in names if (BUILD / f"{name}.json").exists()}
    PLOTS.mkdir(exist_ok=True)
    page = PAGE.read_text()
    tables = {"import": _import, "library": _library, "in-process": _inprocess}
    for name, found in every.items():
        if name in STARTS:
            title, most = STARTS[name]
            (PLOTS / f"{name}.svg").write_text(draw.bars(title, found["rows"], most))
            page = _replace(page, name, _starts(found, name))
        elif name in SIZES:
            (PLOTS / f"{name}.svg").write_text(draw.lines(SIZES[name], found, linear=name in LINEAR))
            page = _replace(page, name, _sizes(found, name))
        else:
            page = _replace(page, name, tables[name](found))
    page = _replace(page, "calls", _calls())
    page = _replace(page, "budgets", _budgets(every))
    PAGE.write_text(_replace(page, "machine", _machine(every)))


if __name__ == "__main__":
    main()
