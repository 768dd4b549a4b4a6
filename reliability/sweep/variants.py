"""The variants of `daemonctx start` that are swept: options, what is launched, and who the processes are."""

from __future__ import annotations

import dataclasses

NAME = "sweep"
ROLES = {"0": "starter", "0.0": "guard", "0.0.0": "monitor", "0.0.0.0": "program"}
# The monitor's second child is the second life.
RESPAWNED = {**ROLES, "0.0.0.1": "second program"}
FORKED = {**ROLES, "0.0.0.0.0": "daemon"}
# The guard makes the logger first.
LOGGED = {"0": "starter", "0.0": "guard", "0.0.0": "logger", "0.0.1": "monitor", "0.0.1.0": "program"}

RUN = "/run"
SESSION = "{folder}/session"


@dataclasses.dataclass(frozen=True)
class Variant:
    name: str
    mode: str  # what subjects/launched.c does
    options: tuple[str, ...]  # {folder} is the trial's
    roles: tuple[tuple[str, str], ...] = tuple(ROLES.items())
    succeeds: bool = True
    # The program says that it is ready, so one that has not is not ready.
    has_sign: bool = True
    pid_file: str | None = f"{RUN}/{NAME}.pid"
    key: str = NAME  # what the state file is called
    # Below it are pid file and state file.
    run: str = RUN
    # Who starts it; root where there is none.
    user: str | None = None
    is_chroot: bool = False
    restarts: bool = False
    # What it writes goes to: a file or the system log.
    output: str = ""
    # How long calls are watched after the starter's end, in milliseconds.
    quiet: int = 60

    def role(self, place: str) -> str:
        return dict(self.roles).get(place, f"process {place}")


def _roles(roles: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(roles.items())


EXEC = ("--notify", "exec")

VARIANTS = (
    Variant("exec", "stay", EXEC, has_sign=False),
    Variant("running", "stay", ("--notify", "running:0.1s"), has_sign=False),
    Variant("user", "lines", ("--notify", "running:0.1s", "--user", "nobody", "--stdout", "{folder}/log", "--stderr", "{folder}/log"), output="log", has_sign=False),
    Variant("respawn", "again", (*EXEC, "--respawn", "--respawn-delay", "0.01s"), _roles(RESPAWNED), has_sign=False, restarts=True, quiet=450),
    Variant("forking", "forking", ("--notify", "forking"), _roles(FORKED)),
    Variant("forking-file", "forking-file", ("--notify", "forking:{folder}/child.pid"), _roles(FORKED)),
    Variant("background", "forking", ("--notify", "running:0.1s"), _roles(FORKED), has_sign=False),
    Variant("fd", "newline", ("--notify", "fd")),
    Variant("systemd", "notify", ("--notify", "systemd")),
    Variant("listen", "listen", ("--notify", "listen:{folder}/socket")),
    Variant("file", "file", ("--notify", "file:{folder}/ready")),
    Variant("chroot", "newline", ("--notify", "fd", "--chroot", "{folder}", "--user", "nobody"), is_chroot=True),
    Variant("syslog", "lines", ("--notify", "running:0.1s", "--syslog"), _roles(LOGGED), output="syslog", has_sign=False),
    Variant("pidfile", "stay", (*EXEC, "--pidfile", "{folder}/own.pid"), has_sign=False, pid_file="{folder}/own.pid", key="{escaped}-own.pid"),
    Variant("no-pidfile", "stay", (*EXEC, "--no-pidfile"), has_sign=False, pid_file=None),
    # An ordinary user's, below $XDG_RUNTIME_DIR.
    Variant("session", "stay", EXEC, has_sign=False, pid_file=f"{SESSION}/{NAME}.pid", run=SESSION, user="nobody"),
    Variant("ends", "ends", ("--notify", "running:0.3s"), succeeds=False),
    Variant("silent", "silent", ("--notify", "fd", "--ready-timeout", "0.3s"), succeeds=False),
    Variant("missing", "missing", EXEC, succeeds=False),
)
