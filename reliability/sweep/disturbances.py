"""What may happen at a call of a start, and how the injector is told."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import signal

import errnos
import trace

KILL, STOP, DELAY = "KILL", "STOP", "DELAY"
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
# Long beside any step of a start, short beside its timeouts.
PAUSE = 150  # milliseconds
KINDS = ("error", "kill", "stop", "delay", "signal")


@dataclasses.dataclass(frozen=True)
class Disturbance:
    call: trace.Call
    what: str  # an errno's or a signal's name, KILL, STOP, DELAY

    @property
    def kind(self) -> str:
        return {KILL: "kill", STOP: "stop", DELAY: "delay"}.get(self.what, "signal" if self.what in SIGNALS else "error")

    def options(self) -> list[str]:
        where = ["-r", self.call.role, "-n", str(self.call.number), "-k", str(self.call.nth)]
        if self.kind == "signal":
            return where + ["-s", str(signal.Signals[self.what].value)]
        how = {KILL: ["-K"], STOP: ["-z", str(PAUSE)], DELAY: ["-d", str(PAUSE)]}
        return where + how.get(self.what, ["-e", str(getattr(errno, self.what, 0))])


def disturbances(found: trace.Trace, roles: dict[str, str], every: bool, kinds: tuple[str, ...] = KINDS) -> list[Disturbance]:
    """What can happen at the calls of `roles`. With `every` all of it; else of each call the likeliest errno, one of stop and delay, and
    one signal, in turns, and of a long series of like calls the first, the last and every eighth."""
    unknown = sorted({call.name for call in found.calls} - set(errnos.ERRNOS))
    if unknown:
        raise SystemExit(f"sweep: errnos.py does not know {', '.join(unknown)}: add what the manual says")
    chosen: list[Disturbance] = []
    executed: set[str] = set()
    calls = [call for call in found.calls if call.role in roles]
    for number, call in enumerate(calls if every else thinned(calls)):
        # What the program itself makes of an error is its own affair.
        ways = () if call.role in executed else errnos.ERRNOS[call.name] if every else errnos.likeliest(call.name)
        if "program" in roles[call.role] and call.name == "execve" or roles[call.role] == "daemon":
            executed.add(call.role)
        pauses, signals = ((STOP, DELAY), SIGNALS) if every else ((STOP, DELAY)[number % 2 :][:1], SIGNALS[number % 3 :][:1])
        chosen += [Disturbance(call, way) for way in (*ways, KILL, *pauses, *signals)]
    return [it for it in chosen if it.kind in kinds]


def thinned(calls: list[trace.Call]) -> list[trace.Call]:
    kept = []
    for _, series in itertools.groupby(sorted(calls, key=lambda call: call.role), lambda call: (call.role, call.number)):
        alike = list(series)
        kept += [call for at, call in enumerate(alike) if at in (0, len(alike) - 1) or len(alike) <= 8 or at % 8 == 0]
    return kept
