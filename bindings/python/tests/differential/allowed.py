"""The differences that the documentation has: the rows of the tables "Differs from the original".

A row may be seen by the comparison. Then it has the names of what differs, and a test that says whether it is this difference.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import re
import signal
from typing import Any, Callable, Optional

DOCS = pathlib.Path(__file__).resolve().parents[4] / "docs"
PAGES = {
    "python_daemon": "python-daemon.md",
    "pep3143daemon": "python-daemon.md",
    "daemoniker": "daemoniker.md",
    "cherrypy": "cherrypy.md",
    "pyzenkit": "pyzenkit.md",
}
HEADING = "## Differs from the original"


@dataclasses.dataclass
class Case:
    """What differs in a program: a name, and both values."""

    spec: dict[str, Any]
    outcomes: tuple[list[Any], list[Any]]
    name: str
    original: Any
    ours: Any
    found: dict[str, tuple[Any, Any]]

    @property
    def surroundings(self) -> dict[str, Any]:
        return self.spec["surroundings"]  # type: ignore[no-any-return]

    @property
    def both_start(self) -> bool:
        return self.outcomes[0][0] == self.outcomes[1][0] == "starts"

    @property
    def text(self) -> str:
        """The program's options and steps, for a look at what is in it."""
        return repr({name: value for name, value in self.spec.items() if name not in ("surroundings", "interpreter")})

    def has_option(self, *values: str) -> bool:
        return any(value in self.text for value in values)


@dataclasses.dataclass
class Difference:
    what: str
    original: str
    here: str
    names: Optional[str] = None
    applies: Callable[[Case], bool] = lambda case: True

    @property
    def row(self) -> str:
        return f"| {self.what} | {self.original} | {self.here} |"

    def explains(self, case: Case) -> bool:
        return self.names is not None and re.fullmatch(self.names, case.name) is not None and self.applies(case)


def table(page: str) -> list[str]:
    """The rows of a page's table."""
    text = (DOCS / page).read_text()
    part = text[text.index(HEADING) :].partition("\n## ")[0] if HEADING in text else ""
    return [line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| |")]


def rows(page: str) -> list[str]:
    """What they have to be."""
    return [difference.row for difference in DIFFERENCES[page]]


# --- what the tests look for ------------------------------------------------------------------------------------------


def null(value: Any) -> bool:
    return isinstance(value, str) and "/dev/null:" in value


def plain(value: Any) -> str:
    """What a descriptor leads to, whatever it is open for."""
    return str(value).partition(": ")[0]


def has_two_writers(case: Case) -> bool:
    """Whether standard output and standard error go to one file, each with a place of its own in it."""
    return case.text.count("out.log") > 1 and str(case.original).count("MARK") < str(case.ours).count("MARK")


def is_supervised(case: Case) -> bool:
    return case.surroundings["notify"] or "listen" in case.surroundings


def is_passed(case: Case) -> bool:
    """Whether it is a descriptor that LISTEN_FDS counts, whatever has that number."""
    return case.name.startswith("descriptor ") and 3 <= int(case.name.split()[1]) < 3 + int(case.surroundings["listen"][0])


def detaches_by_itself(case: Case) -> bool:
    return is_supervised(case) and [*case.found.get("process", ())] == ["daemon", "starter"]


def both_fail(case: Case) -> bool:
    return case.outcomes[0][0] != "starts" and case.outcomes[1][0] != "starts"


def starts_here(case: Case) -> bool:
    return case.outcomes[0][0] != "starts" and case.outcomes[1][0] == "starts"


def failed_in_daemon(case: Case) -> bool:
    original = case.outcomes[0]
    return original[0] == "ends" or original[0] == "raises" and original[-1] in ("in the daemon", "")


def same_exception(case: Case) -> bool:
    """Whether the same except clauses catch both: ours is one of what the original's is."""
    original, ours = case.outcomes
    if original[0] != "raises" or ours[0] != "raises" or original[1] != ours[1]:
        return False
    # Of one that nothing has caught there is the name alone.
    derived = ours[2][0] in ("DaemonOSEnvironmentError", "OptionError") and original[2] == ["OSError"]
    return original[2][0] in ours[2] or not ours[1] and derived


def touched(case: Case) -> bool:
    return "'touch'" in case.text


def holds_before(case: Case) -> bool:
    return "held pidfile" in case.text


def has_no_stream(case: Case) -> bool:
    replaced = any(f"['replace', '{name}', {target}]" in case.text for name in ("stdin", "stdout", "stderr") for target in ("None", "['stringio']"))
    return bool(case.surroundings["closed"]) or replaced


def fails_by_stream(case: Case) -> bool:
    """Whether the original fails by a stream that does not matter here, and ours by something else."""
    original = case.outcomes[0]
    is_of_stream = original[0] == "ends" or original[0] == "raises" and original[2][0] in ("AttributeError", "UnsupportedOperation", "TypeError", "DaemonError")
    return is_of_stream and (has_no_stream(case) or "['stringio']" in case.text)


def is_of_wrong_type(outcome: list[Any]) -> bool:
    return outcome[0] == "raises" and any(name in WRONG_TYPE for name in outcome[2])


def is_of_pid_file(case: Case) -> bool:
    """Whether it is what is in the pid file, or what asking for it says."""
    asked = any(word in str([case.original, case.ours]) for word in ("is_locked", "i_am_locking", "read_pid", "acquire", "close"))
    return case.name.endswith(".pid") or case.name.startswith("event") and asked


def keeps_from_reading(case: Case) -> bool:
    """Whether a umask takes the right to read from the owner, and asking for the pid file fails with the original."""
    is_about_it = case.ours[0] in ("i_am_locking", "read_pid", "close", "is_open") or "traceback" in str(case.original) or "status" in case.name
    is_nobody = case.surroundings["user"] == "nobody" or "'uid': 65534" in case.text
    return case.has_option("'umask': 4095", "'umask': -1") and is_nobody and is_about_it


def has_moved(case: Case) -> bool:
    """Whether what a descriptor leads to has another number: a lock that was taken before has the one."""
    others = [values for name, values in case.found.items() if name.startswith("descriptor") and name != case.name]
    return any(case.ours == original or case.original == ours for original, ours in others)


def may_not(case: Case) -> bool:
    """Whether it may not become root: of two reasons to fail each library finds another one first."""
    is_other = case.surroundings["user"] == "nobody" or "seteuid" in case.text
    return is_other and case.has_option("'uid'", "'gid'", "initgroups", "chroot")


def hears_hangup(case: Case) -> bool:
    """Whether a handler of the program's was called with the original, before all else."""
    heard = [f"handled {int(signal.SIGHUP)}", ""]
    handled = any(original == heard for original, _ in case.found.values())
    return "['handle', 'SIGHUP']" in case.text and handled


def prints_before(case: Case) -> bool:
    return "'before']" in case.text


WRONG_TYPE = ("TypeError", "AttributeError", "ValueError")
READY = Difference(
    "a service manager that asked for it (`NOTIFY_SOCKET`)",
    "is not told",
    "is told `READY=1` and `MAINPID` when the daemon is ready",
    "messages",
    lambda case: case.surroundings["notify"] and case.original == [] and case.ours[:1] == ["READY=1"],
)
LISTEN = Difference(
    "sockets that a service manager has passed on (`LISTEN_FDS`)",
    "are closed; `LISTEN_PID` names the starter",
    "stay open, and `LISTEN_PID` names the daemon",
    r"descriptor \d+|environment|event \d+|warnings",
    lambda case: "listen" in case.surroundings
    and (case.name == "environment" or is_passed(case) or "socket" in str(case.ours) or null(case.original) and case.ours is None or case.name == "warnings"),
)
LISTEN_PID = dataclasses.replace(
    LISTEN,
    original="stay open; `LISTEN_PID` names the starter",
    names="environment|descriptor \\d+",
    applies=lambda case: "listen" in case.surroundings
    and (case.name == "environment" or str(case.original).replace(" and is closed on exec", "") == str(case.ours).replace(" and is closed on exec", "")),
    here="stay open, close-on-exec, and `LISTEN_PID` names the daemon",
)
INHERITABLE = Difference(
    "descriptors 0 to 2",
    "are close-on-exec, closed or `/dev/null` where the null device happens to get their number",
    "lead where *stdin*, *stdout* and *stderr* say, and programs that the daemon executes inherit them",
    "descriptor 0[012]",
    lambda case: case.both_start
    and (null(case.original) or case.original is None or "x.pid" in case.original)
    and case.ours is not None
    and "exec" not in case.ours,
)
LEAK = Difference(
    "further descriptors of `/dev/null`, and duplicates of standard input",
    "stay open in some starts",
    "are not left",
    r"descriptor \d+",
    lambda case: case.both_start
    and case.original is not None
    and ("/dev/null:" in case.original or "'second'" in case.text)
    and (case.ours is None or "x.pid" in case.ours),
)
BUFFERED = Difference(
    "text printed before the start that is still buffered",
    "is lost, or written to where the daemon's output goes",
    "appears, once, where it was printed",
    r"std\w+ marks|(left|file) \S+\.log",
    lambda case: prints_before(case) and "MARK before" in str([case.original, case.ours]),
)
WARNING = Difference(
    "what else the program has open and does not list",
    "is closed, and its number is reused: a database's lock, another file's content",
    "is closed, and a `DaemonWarning` names it",
    r"warnings|(left|file) \S+\.log",
    lambda case: case.name == "warnings" and [["DaemonWarning", "closed"]] == case.ours or "DaemonWarning" in str(case.ours),
)
NO_STREAM = Difference(
    "a stream of `sys` that is closed, None or has no descriptor",
    "an exception in the daemon, to nowhere",
    "is no reason not to start",
    r"outcome|status of the \w+|(left|file) \S+|hangs",
    lambda case: starts_here(case) and has_no_stream(case) or both_fail(case) and fails_by_stream(case),
)
FAILS_EARLY = Difference(
    "an error after the fork",
    "goes to `/dev/null`, or where standard error is by then",
    "is on the starter's standard error; what can be known before is raised in the starter, and nothing has happened then",
    r"outcome|(left|file) \S+",
    lambda case: both_fail(case) and (failed_in_daemon(case) and (same_exception(case) or case.outcomes[0][0] == "ends") or case.name != "outcome"),
)
STATUS = Difference(
    "the starter's exit status",
    "0, whatever becomes of the daemon",
    "0 when the daemon is ready; else non-zero, and the error is on its standard error",
    "status of the (starter|daemon)",
    lambda case: not case.both_start,
)
HANGUP = Difference(
    "a starter that leads the session of a terminal (`xterm -e`, `docker run -t`)",
    "may end the daemon by SIGHUP when it exits",
    "does not",
    r"outcome|status of the \w+|(left|file) \S+|event \d+",
    lambda case: case.surroundings["stdin"] == "terminal"
    and (starts_here(case) and case.outcomes[0] == ["ends"] or hears_hangup(case)),
)
ERRNO = Difference(
    "the errno of an exception",
    "is not always set",
    "is the system's",
    "outcome",
    lambda case: both_fail(case) and same_exception(case) and case.outcomes[0][3] is None and case.outcomes[0][-1] == case.outcomes[1][-1],
)
SAME_CATCH = Difference(
    "an option that has an invalid value",
    "an exception of any kind, in the daemon mostly",
    "the same exception or one derived from it, in the starter; for one of the wrong type TypeError, AttributeError or ValueError",
    "outcome",
    lambda case: both_fail(case)
    and (same_exception(case) or may_not(case) or all(is_of_wrong_type(each) for each in case.outcomes)),
)
BAD_DESCRIPTOR = (os.strerror(errno.EBADF), "traceback OSError")
CLOSED = Difference(
    "a file object from before the start whose descriptor the start has closed",
    "closes, and writes to, whatever has got the number since",
    "is closed",
    r"outcome|event \d+|(left|file) \S+\.log",
    lambda case: case.original[:2] == ["close file", "raised"] and case.ours == ["close file", "None"]
    # It was the connection on which the program reports.
    or case.outcomes[0] == ["ends"] and starts_here(case) and "['close', " in case.text
    or case.has_option("['open', ", "['file', ") and any(said in str(case.original) and said not in str(case.ours) for said in BAD_DESCRIPTOR),
)
LOCK = Difference(
    "the pid file",
    "is not locked, or by a descriptor that later code can close by its number",
    "is locked while the daemon lives, by a descriptor that no object from before the start owns",
    r"descriptor \d+",
    lambda case: "x.pid" in str(case.ours) and (case.original is None or null(case.original) or has_moved(case))
    or "x.pid" in str(case.original) and case.ours is None
    or holds_before(case) and has_moved(case),
)
SUPERVISED = Difference(
    "below supervisord, runit, s6, systemd (`--user`), a container's init",
    "detaches, and the supervisor has lost it",
    "stays, unless told otherwise",
    ".*",
    detaches_by_itself,
)
SECOND = dataclasses.replace(
    SUPERVISED,
    names=r"event \d+",
    applies=lambda case: is_supervised(case) and case.original == ["second", "True"] and case.ours == ["second", "False"],
)
STALE = Difference(
    "a stale pid file, and one that names a process which has its PID by chance",
    "blocks every start",
    "is nobody's, and replaced",
    r"outcome|(left|file) \S+|status of the \w+|event \d+",
    lambda case: touched(case) and (not case.both_start or is_of_pid_file(case)),
)
PARENT = Difference(
    "the parent when the call returns",
    "may be about to exit still",
    "is the process that adopts orphans, for good",
    "parent changes",
    lambda case: case.original is True and case.ours is False,
)
PID_SIGNALS = Difference(
    "the pid file when SIGTERM, SIGHUP or SIGINT end the daemon by their default action",
    "stays",
    "is removed",
    "SigCgt|(left|file) \\S*x.pid",
    lambda case: case.ours is None if case.name != "SigCgt" else set(case.ours) ^ set(case.original) <= {"SIGTERM", "SIGHUP", "SIGINT"},
)
PID_MODE = Difference(
    "the mode of the pid file",
    "depends on the umask",
    "0644",
    r"(left|file) \S+|event \d+|stderr \w+|status of the daemon",
    lambda case: case.both_start
    and None not in (case.original, case.ours)
    and (keeps_from_reading(case) or case.name.endswith(".pid") and case.original[10:] == case.ours[10:]),
)
NO_GROUPS = Difference(
    "supplementary groups after a change of user",
    "the caller's, root's mostly",
    "none",
    "Groups",
    lambda case: case.ours == [],
)

# --- the pages --------------------------------------------------------------------------------------------------------

DIFFERENCES: dict[str, list[Difference]] = {
    "python-daemon.md": [
        STATUS,
        HANGUP,
        FAILS_EARLY,
        SAME_CATCH,
        ERRNO,
        Difference(
            "a `StringIO` for a stream",
            "an exception in the daemon, to nowhere",
            "becomes `sys.stdin`, `sys.stdout` or `sys.stderr`",
            r"outcome|status of the \w+|(left|file) \S+",
            lambda case: starts_here(case) and "['stringio']" in case.text,
        ),
        NO_STREAM,
        Difference(
            "`files_preserve`",
            "is a list, and gets the streams appended at every `open()`",
            "is any iterable, and stays as it is",
            r"outcome|status of the \w+|(left|file) \S+",
            lambda case: starts_here(case) and case.has_option("['tuple'", "['set'"),
        ),
        Difference(
            "users and groups by name",
            "an exception",
            "are accepted",
            r"outcome|status of the \w+|(left|file) \S+",
            lambda case: not case.both_start and case.has_option("'nobody'", "'nogroup'"),
        ),
        Difference(
            "a path as `pidfile`",
            "an AttributeError, or with `pathlib` before Python 3.13 nothing at all",
            "is a pid file",
        ),
        Difference(
            "a working directory with `uid`",
            "is entered by root",
            "is entered by that user, who must be allowed to: nobody else's symbolic link leads root anywhere",
        ),
        dataclasses.replace(NO_GROUPS, here="none; the user's own with `initgroups=True`"),
        Difference(
            "`initgroups=True` below a new root",
            "reads the user database in there, and does nothing where there is none",
            "sets the groups that the user has outside",
            "Groups",
            lambda case: "chroot_directory" in case.text and "'initgroups': True" in case.text,
        ),
        Difference("the group with `initgroups=True`", "stays the caller's", "is set", "Gid", lambda case: "'initgroups': True" in case.text),
        Difference("after a change of user", "nobody looks", "all ids, the group list and the capabilities are verified, and a way back to root is an error"),
        Difference(
            "`uid=0` and `gid=0` (pep3143daemon)",
            "mean the real user and group",
            "are root",
            r"outcome|Uid|Gid|Groups|status of the \w+|(left|file) \S+",
            lambda case: case.spec["library"] == "pep3143daemon" and case.has_option("'uid': 0", "'gid': 0"),
        ),
        Difference(
            "a closed file in `files_preserve` (pep3143daemon)",
            "ValueError",
            "is left out",
            r"outcome|status of the \w+|(left|file) \S+",
            lambda case: case.spec["library"] == "pep3143daemon" and starts_here(case) and "['closed file', 'kept']" in case.text,
        ),
        Difference(
            "a `PidFile` that was acquired before `open()` (pep3143daemon)",
            "ends the daemon, whose starter may have its lock still",
            "goes along",
            r"outcome|status of the \w+|(left|file) \S+",
            lambda case: case.spec["library"] == "pep3143daemon" and holds_before(case) and starts_here(case) and "SystemExit" in case.outcomes[0][2],
        ),
        Difference(
            "the file of a `PidFile` (pep3143daemon)",
            "is made in the daemon, by the user that it runs as",
            "is made by the starter before anything happens; where the daemon may not remove it, it stays, stale",
            r"(left|file) \S*x.pid",
            lambda case: case.spec["library"] == "pep3143daemon" and "seteuid" in case.text or "'uid'" in case.text or "'gid'" in case.text,
        ),
        Difference(
            "`/dev/null` below a new root",
            "is the file of that name in there, or the start fails",
            "is the system's",
            r"descriptor \d+",
            lambda case: "BOX/root/dev/null" in str(case.original) and (case.ours is None or null(case.ours)),
        ),
        INHERITABLE,
        LEAK,
        BUFFERED,
        WARNING,
        CLOSED,
        Difference(
            "log files of `logging`'s handlers, also behind other handlers or a queue, and of loguru",
            "are closed; the handler writes to whatever gets the number next",
            "stay open",
        ),
        Difference("event loops, multiprocessing's helpers, files of faulthandler that exist already", "are broken, in silence", "go on"),
        Difference(
            "closing descriptors",
            "takes longer with a higher `RLIMIT_NOFILE`, and ends at the limit",
            "takes longer with more open descriptors, and closes all",
        ),
        LOCK,
        STALE,
        Difference(
            "a pid file with something other than a PID in it, a link, a FIFO, a directory",
            "`AlreadyLocked`, and `is_locked()` is true; a `PidFile` follows links and writes over the rest",
            "`LockFailed`, or `SystemExit` from a `PidFile`, and the file stays as it is; `is_locked()` is false",
            r"outcome|event \d+",
            lambda case: "LockFailed" in str(case.ours),
        ),
        Difference("`is_locked()`", "there is such a file", "a living process has the lock"),
        Difference("two starts at once", "both may think that they have the lock", "one wins"),
        Difference(
            "a lock that was acquired before `open()`",
            "holds the starter's PID, is an error at the end (pep3143daemon), and stays when the start fails",
            "goes along and holds the daemon's; a failed start removes it",
            r"(left|file|event) \S+|outcome",
            lambda case: holds_before(case) and (not case.both_start or is_of_pid_file(case) or "traceback OSError" in str(case.original)),
        ),
        PID_SIGNALS,
        PID_MODE,
        SECOND,
        READY,
        LISTEN,
        PARENT,
        Difference("`open()` inside a running asyncio loop", "the loop is broken afterwards", "an error, with advice"),
        Difference("with other threads that Python knows", "silence", "a `DaemonWarning` names them"),
    ],
    "pyzenkit.md": [
        STATUS,
        HANGUP,
        FAILS_EARLY,
        SAME_CATCH,
        Difference("a pid file whose name does not end in `.pid`", "ValueError in the daemon, to `/dev/null`", "ValueError in the starter"),
        Difference(
            "a daemon that runs already",
            "FileExistsError in the daemon; root, directory, user and signals are changed by then",
            "FileExistsError in the starter, before anything happens, with the PID",
        ),
        Difference(
            "users and groups by name",
            "an exception",
            "are accepted",
            r"outcome|status of the \w+|(left|file) \S+",
            lambda case: not case.both_start and case.has_option("'nobody'", "'nogroup'"),
        ),
        STALE,
        Difference("two starts at once", "one wins", "one wins, and the lock lasts as long as the daemon"),
        LOCK,
        PID_SIGNALS,
        Difference("a forked child of the daemon that exits", "removes the daemon's pid file", "does not"),
        dataclasses.replace(
            PID_MODE,
            what="the mode of the pid file, also that of `write_pid`",
            original="0777, less the umask",
            names=r"(left|file) \S*.pid",
        ),
        Difference(
            "the pid file of `daemonize` with `uid` or `gid`",
            "is made by the new user, and the start fails where it may not",
            "is made before the user changes; where the daemon may not remove it, it stays, stale",
            r"(left|file) \S*.pid|outcome|status of the \w+",
            lambda case: case.has_option("'uid'", "'gid'", "seteuid"),
        ),
        Difference(
            "a working directory with `uid`",
            "is entered by root",
            "is entered by that user, who must be allowed to: nobody else's symbolic link leads root anywhere",
        ),
        NO_GROUPS,
        Difference(
            "the group after `uid` alone",
            "the caller's, root's mostly",
            "the user's own; for a number that the user database does not have, the caller's",
            "Gid",
            lambda case: "'uid'" in case.text and case.ours == ["65534"] * 4,
        ),
        Difference("after the change", "nobody looks", "all ids, the group list and the capabilities are verified, and a way back to root is an error"),
        Difference("a relative `chroot_dir`", "is entered twice: `jail/jail`", "once"),
        Difference(
            "`/dev/null` below a new root",
            "is the file of that name in there, or the start fails",
            "is the system's",
            r"descriptor \d+",
            lambda case: "BOX/root/dev/null" in str(case.original) and (case.ours is None or null(case.ours)),
        ),
        INHERITABLE,
        dataclasses.replace(LEAK, what="one more descriptor of `/dev/null`", original="stays open", here="is not left"),
        BUFFERED,
        NO_STREAM,
        Difference("`get_logger_files`", "does not know `SocketHandler`", "does"),
        Difference("`read_pid` of 0 and negative numbers", "the number, which is many processes to `os.kill`", "ValueError"),
        Difference("`write_pid` of what is no number", "a bare Exception", "TypeError"),
        READY,
        LISTEN_PID,
        PARENT,
        Difference("inside a running asyncio loop", "the loop is shared with the starter", "an error, with advice"),
        Difference("with other threads that Python knows", "silence", "a `DaemonWarning` names them"),
        Difference(
            "`daemonize_lite` with `uid` or `gid` beside other threads",
            "changes the ids",
            "may close a descriptor that another thread opens in the same moment: call it before there are threads",
        ),
        Difference("`python -m pyzenkit.daemonizer`", "is a demonstration", "does nothing"),
    ],
    "daemoniker.md": [
        STATUS,
        HANGUP,
        dataclasses.replace(
            FAILS_EARLY,
            what="what cannot be right (`chdir`, a stream's folder …)",
            original="an exception in the daemon",
            here="`SystemExit`, or an `OptionError`, in the starter, before anything happens; `__cause__` is the `DaemonError`",
            applies=lambda case: both_fail(case),
        ),
        Difference(
            "the starter's code behind `daemonizer()`",
            "may run before there is a daemon, or a PID in the file",
            "runs when the daemon is ready; not at all when there is none",
        ),
        Difference(
            "an exception in the starter's block",
            "is printed without its message's first line; the status is 2",
            "is printed as the interpreter does; the status is 2, after `sys.exit()` its own",
            "stderr (traceback|has other text)|status of the starter",
            lambda case: "'in_starter': 'raise'" in case.text,
        ),
        Difference(
            "what the starter prints in its block, and before",
            "is lost where standard output is no terminal",
            "appears, once",
            r"std\w+ marks|(left|file) \S+\.log|outcome|status of the \w+",
            lambda case: "MARK in the starter" in str(case.ours)
            or "MARK before" in str([case.original, case.ours])
            or starts_here(case) and "'replace'" in case.text and prints_before(case),
        ),
        STALE,
        Difference("a start that was killed, or a negative number in the file", "`send` raises ValueError, or signals many", "ProcessLookupError"),
        Difference("two starts at once", "both may think they have the file", "one wins"),
        Difference("a pid file that is a symbolic link, or has other names", "is followed", "is refused with `SystemExit`"),
        LOCK,
        PID_MODE,
        PID_SIGNALS,
        Difference("a forked child of the daemon that exits", "removes the daemon's pid file", "does not"),
        Difference("`send`", "signals the process that has the PID now; a file holding 0 or -1 means many", "signals the daemon, and no other process"),
        Difference(
            "descriptors 0 to 2",
            "are open for reading and writing on `/dev/null`, and write over an existing file from its beginning",
            "are open for what they are for, and appended to",
            r"descriptor 0[012]|(left|file) out.log",
            lambda case: case.both_start and (plain(case.original) == plain(case.ours) or has_two_writers(case)),
        ),
        Difference(
            "log files that a start makes",
            "are made by the daemon",
            "are made by the starter, with the daemon's umask",
            r"(left|file) \S+\.log",
            lambda case: case.original is None or not case.both_start,
        ),
        INHERITABLE,
        LEAK,
        NO_STREAM,
        dataclasses.replace(
            NO_STREAM,
            names="streams|event \\d+|descriptor \\d+|(left|file) \\S+|std\\w+ marks|status of the \\w+",
            applies=lambda case: bool(case.surroundings["closed"]) or has_no_stream(case),
        ),
        WARNING,
        dataclasses.replace(
            CLOSED,
            names=r"event \d+|streams|(left|file) \S+\.log|status of the \w+",
            applies=lambda case: "'replace'" in case.text or case.original[:2] == ["close file", "raised"] or CLOSED.applies(case),
        ),
        Difference(
            "log files of `logging`'s handlers, also behind other handlers or a queue, and of loguru",
            "are closed, the handler writes to whatever gets the number next",
            "stay open",
        ),
        Difference("event loops, multiprocessing's helpers, files of faulthandler that exist already", "are broken", "go on"),
        Difference("closing descriptors", "takes longer with a higher `RLIMIT_NOFILE`", "takes longer with more open descriptors"),
        Difference(
            "`success_timeout`",
            "is not used on Unix",
            "is the time until the daemon must be ready, then the starter exits with 124; 0 and below are any time",
        ),
        Difference(
            "`SignalHandler1.stop()`, the second time",
            "gives all three signals their default actions, Ctrl-C with them",
            "does nothing",
            r"SigCgt|signals|status of the \w+|outlives its signal|event \d+",
            lambda case: case.text.count("stop handling") > 1 or "stop handling" in case.text and "'handle'" not in case.text,
        ),
        Difference(
            "handlers that C code has installed, faulthandler's for SIGABRT say",
            "are gone after `stop()`; `stop()` raises where it was no default",
            "are put back",
        ),
        READY,
        LISTEN,
        PARENT,
        Difference("inside a running asyncio loop", "the loop is broken afterwards", "an error, with advice"),
        Difference("with other threads that Python knows", "silence", "a `DaemonWarning` names them"),
        Difference("`daemote`", "leaves the caller's supplementary groups; a failure is a NameError", "none are left, and everything is verified afterwards"),
    ],
    "cherrypy.md": [
        HANGUP,
        dataclasses.replace(STATUS, here="0 when the bus has STARTED; else 70 and one line on standard error, or the daemon's own status or signal"),
        dataclasses.replace(
            FAILS_EARLY,
            what="a `Daemonizer` that cannot begin: a log file that cannot be opened, a pid file of another instance",
            original="raises in the daemon, where nobody sees it",
            here="raises `SystemExit` in the starter, before anything happens; `Daemonizer.daemonize()` a `daemonctx.DaemonError`, which is an `OSError`",
            applies=lambda case: both_fail(case),
        ),
        Difference("until the bus has STARTED", "standard error leads to its file", "standard error is the starter's, and the starter its parent"),
        dataclasses.replace(PARENT, applies=lambda case: case.original is True or "'Daemonizer'" in case.text),
        Difference(
            "a second `bus.start()` in the daemon",
            "forks again, and the PID is another",
            "says that it is a daemon already",
            ".*",
            lambda case: "'start again'" in case.text and "'Daemonizer'" in case.text,
        ),
        Difference("`SystemExit` in a `start` listener behind the server's", "hangs, serving, and is never STARTED", "ends the process"),
        Difference(
            "log files that a start makes",
            "mode 0666, whatever the umask; made by the daemon",
            "mode 0640, less the umask; made by the starter",
            r"(left|file) \S+\.log",
            lambda case: "'out.log'" in case.text or "'err.log'" in case.text,
        ),
        Difference(
            "descriptors 1 and 2",
            "are open for reading and writing",
            "are open for writing",
            r"descriptor \d+",
            lambda case: case.both_start and plain(case.original) == plain(case.ours),
        ),
        Difference(
            "descriptors 0 to 2 where the streams of `sys` are files of the program's own",
            "stay what they were: the starter's terminal",
            "are connected as well",
            r"descriptor 0[012]|std\w+ (marks|traceback)|stderr has other text",
            lambda case: "'replace'" in case.text and "captured" in str([case.original, *case.found.values()]),
        ),
        NO_STREAM,
        dataclasses.replace(INHERITABLE, applies=lambda case: case.both_start and bool(case.surroundings["closed"])),
        Difference("log files that cannot be opened any more after privileges were dropped", "end the daemon", "stay connected if they are already"),
        BUFFERED,
        Difference("the pid file of another instance", "is written over, and removed at the end", "`daemonctx.AlreadyRunningError`"),
        STALE,
        Difference(
            "a pid file with something other than a PID in it, a symbolic link, a file with other names",
            "is written over",
            "`daemonctx.PidFileError`",
            r"outcome|(left|file) \S+|status of the \w+|event \d+",
            lambda case: "text" in case.text and touched(case),
        ),
        LOCK,
        PID_MODE,
        PID_SIGNALS,
        Difference(
            "`PIDFile.exit()`",
            "removes the file, whoever has written it",
            "removes it if this process has written it, and is no forked child; at the end of the interpreter too",
            r"left \S*x.pid|event \d+",
            lambda case: "x.pid" in case.text and (case.ours is None or "log" in str([case.original, case.ours])),
        ),
        Difference("`bus.start()` after `bus.exit()`", "says that the pid file is written already", "writes it again"),
        Difference(
            "the group and supplementary groups with `uid` alone",
            "root's",
            "the user's own",
            "Gid|Groups|event \\d+|(left|file) \\S+",
            lambda case: "'uid'" in case.text and "'gid'" not in case.text or "'gid': None" in case.text,
        ),
        Difference("after the change", "nobody looks", "all ids, the groups and the capabilities of all threads are verified; else `daemonctx.PrivilegeError`"),
        Difference(
            "a process that is that user and group already",
            "fails with EPERM where there is a `gid`",
            "goes on, and keeps its groups",
            r"outcome|status of the \w+|(left|file) \S+",
            lambda case: "DropPrivileges" in case.text and case.surroundings["user"] == "nobody" and starts_here(case),
        ),
        Difference("a number without an entry in the user database", "is changed to, then fails to be logged", "can be used, if there is a `gid`"),
        Difference("descriptors at a reload", "are marked one by one up to the limit of the time of the import", "are marked in one call, all"),
        READY,
        LISTEN_PID,
        Difference("a signal asked for by its other name, SIGIO for SIGPOLL", "is never heard", "is published by both"),
        Difference("SIGHUP without standard input", "raises", "reloads a daemon"),
        Difference("`BackgroundTask.cancel()`", "waits for the interval, or never ends", "takes effect at once"),
        Difference("`Monitor` whose thread has died, or was started before the fork", "cannot be started again", "can be"),
        Difference("`ThreadManager`", "may give two threads the same number", "gives each its own"),
        Difference("`Daemonizer` with other threads", "logs how many", "logs their names, and counts those that Python does not know"),
    ],
}
# A program in which one detaches and the other does not has this one difference, and all that follows from it.
WHOLE = [SUPERVISED]


def explanation(page: str, case: Case) -> Optional[Difference]:
    """The row that a difference is in; None for a fault."""
    rows = [*(row for row in WHOLE if any(each.row == row.row for each in DIFFERENCES[page])), *DIFFERENCES[page]]
    return next((row for row in rows if row.explains(case)), None)
