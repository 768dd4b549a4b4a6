"""What a part has found: a file of its own, and verdicts about budgets."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time

from common.places import BUILD
from common.statistics import Spread


def machine() -> dict[str, str]:
    model = next((line.partition(":")[2].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "C library": " ".join(platform.libc_ver()),
        "compiler": compiler,
        "Python": platform.python_version(),
        "load average at the end": f"{os.getloadavg()[0]:.1f}, this included",
    }


def verdict(what: str, value: Spread | float, bound: float, unit: str = "", at_least: bool = False) -> dict[str, object]:
    """Whether a budget holds: surely, surely not, or the interval lies on both sides."""
    it = value if isinstance(value, Spread) else Spread(value, value, value)
    sign, surely, perhaps = ("≥", it.low >= bound, it.high >= bound) if at_least else ("≤", it.high <= bound, it.low <= bound)
    held = "yes" if surely else "within noise" if perhaps else "no"
    shown = f"{it.median:.3g}" if it.low == it.high else f"{it.median:.3g} ({it.low:.3g} to {it.high:.3g})"
    print(f"  budget: {what}: {shown}{unit}, {sign} {bound:,g}{unit}: {held}")
    return {"what": what, "value": it, "bound": f"{sign} {bound:,.10g}{unit}", "unit": unit, "held": held}


def write(part: str, rounds: int, found: dict[str, object]) -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    said = {"part": part, "when": time.strftime("%Y-%m-%d"), "rounds": rounds, "machine": machine(), **found}
    (BUILD / f"{part}.json").write_text(json.dumps(said, indent=1) + "\n")
