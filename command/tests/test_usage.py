"""A wrong command line: one line that names the option, what is allowed and what was given."""

from __future__ import annotations

import subprocess

import pytest
from daemons import COMMAND, LIMIT, House, house

__all__ = ["house"]


def say(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *line.split()], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=LIMIT)


@pytest.mark.parametrize(
    "line, expected",
    [
        ("start --notify foo sleep", '--notify: expected exec, running:TIME, forking[:PIDFILE], fd[:NUMBER], systemd, '),
        ("start --notify foo sleep", 'got "foo"; see `daemonctx help start`'),
        ("start --groups all sleep", '--groups: expected own or none, got "all"'),
        ("start -p /tmp/x.pid --notify forking:/tmp/x.pid sleep", "--notify forking:/tmp/x.pid: not the file of --pidfile, which daemonctx writes"),
        ("start --timeout 3 sleep", "--timeout: no such option, did you mean --ready-timeout?"),
        ("start --keep-fd 2 sleep", '--keep-fd: expected the number of an open descriptor, 3 or above, got "2"'),
        ("start --name a/b sleep", '--name: expected a name without a slash or a leading dot, got "a/b"'),
        ("start --umask 999 sleep", '--umask: expected an octal number from 0 to 777, got "999"'),
        ("start --ready-timeout soon sleep", '--ready-timeout: expected a time such as 5, 500ms, 5s or 1m, got "soon"'),
        ("start --respawn-delay 1 sleep", "--respawn-delay: only with --respawn"),
        ("start --no-pidfile --pidfile x sleep", "--no-pidfile: not together with --pidfile"),
        ("start --name a --name b sleep", "--name: given twice"),
        ("start --name", "--name: needs a value"),
        ("start", "needs a PROGRAM"),
        ("stop --json=yes x", '--json: takes no value, got "yes"'),
        ("stop a b", 'expected one NAME, got "b" too'),
        ("stop --retry TERM/x a", "--retry: expected TIME or SIGNAL/TIME/SIGNAL/TIME such as TERM/30s/KILL/5s"),
        ("reload --signal NONE a", "--signal: expected a signal such as HUP, SIGHUP, 1 or RTMIN+3"),
        ("start --notif exec sleep", "--notif: no such option, did you mean --notify?"),
        ("strat", "strat: no such command, did you mean start?"),
        ("help strat", "did you mean start?"),
        ("condrestart x", "condrestart: no such command, did you mean try-restart?"),
        ("stop --name x", "--name: no such option, give the name alone: daemonctx stop NAME"),
        ("start --notify listen:localhost:8000 sleep", "--notify: expected a numeric address, such as listen:127.0.0.1:8000"),
        ("restart --name web", "needs a PROGRAM, with the arguments and the options of its start"),
        ("start --user root: sleep", '--user: expected USER, USER:GROUP or :GROUP, got "root:"'),
        ("start --user : sleep", '--user: expected USER, USER:GROUP or :GROUP, got ":"'),
        ("start -o x --log-owner root: sleep", '--log-owner: expected USER, USER:GROUP or :GROUP, got "root:"'),
        ("start --unset A=B sleep", '--unset: expected the NAME of a variable, without =, got "A=B"'),
        ("start --chroot /nonexistent sleep", '--chroot: expected a directory, got "/nonexistent"'),
        ("start --chroot /etc/passwd sleep", '--chroot: expected a directory, got "/etc/passwd"'),
    ],
)
def test_names_what_is_allowed(line: str, expected: str) -> None:
    said = say(line)
    assert said.returncode in (2, 6) and said.stdout == ""
    assert said.stderr.startswith("daemonctx: ") and said.stderr.count("\n") == 1 and expected in said.stderr


def test_times_have_units(house: House) -> None:
    house.start("--notify", "running:100ms", "-t", "1m", "--", "sleep", "1000").is_(0)
    signals = house.stop("--dry-run", "--json", "--retry", "RTMIN+3/500ms/SIGRTMAX-1/1m/KILL").is_(0).json["signals"]
    assert signals == ["RTMIN+3", "RTMIN+29", "KILL"]
    assert house.stop("--retry", "200ms", "--json").is_(0).json["signal"] == "TERM"
