"""The differences that docs/libdaemon-behaviour.md has. Each row quotes the page, names what differs, and has a condition on the program."""

from __future__ import annotations

import dataclasses
import itertools
import pathlib
import re
import signal
from typing import Any, Callable, Iterator, Optional

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/libdaemon-behaviour.md"

Call = list[Any]
CALLED = re.compile(r"(?P<role>main[.\w]*) (?P<line>-?\d+) (?P<call>[\w ]+?) (?P<aspect>returns|errno|detail|stdout|stderr|syslog)")
OF_PROCESS = re.compile(r"(?P<role>main[.\w]*) (?P<what>(\d+ handlers|[A-Za-z].*))")
ALRM, CHLD, TERM = int(signal.SIGALRM), int(signal.SIGCHLD), int(signal.SIGTERM)


@dataclasses.dataclass
class Case:
    """What differs in a program: a name, and both values."""

    spec: dict[str, Any]
    name: str
    original: Any
    ours: Any
    found: dict[str, tuple[Any, Any]]
    of_original: dict[str, Any]
    of_ours: dict[str, Any]

    def __post_init__(self) -> None:
        self.what = re.sub(r" after main[.\w]*$", "", self.name)
        matched = CALLED.fullmatch(self.what)
        self.call = self.aspect = ""
        self.line = 1000
        process = matched or OF_PROCESS.fullmatch(self.what)
        self.role = process["role"] if process else ""
        if matched:
            self.call, self.aspect, self.line = matched["call"], matched["aspect"], int(matched["line"])
        self.property = process["what"] if process and not matched else ""

    @property
    def surroundings(self) -> dict[str, Any]:
        return self.spec["surroundings"]  # type: ignore[no-any-return]

    def before(self) -> list[Call]:
        """The calls before this one, or before the end: those of the process, and of its parent before the fork."""
        return list(calls_of(self.spec["script"], self.role or "main", self.line if self.call else 1000))

    def others(self) -> list[Call]:
        """The calls of all processes."""
        return list(all_calls(self.spec["script"]))

    def did(self, *names: str) -> bool:
        return any(call[0] in names for call in self.before())

    def did_anywhere(self, *names: str) -> bool:
        return any(call[0] in names for call in self.others())

    @property
    def arguments(self) -> list[Any]:
        """The call's own."""
        made = list(calls_of(self.spec["script"], self.role, self.line + 1))
        return made[-1][1:] if made else []

    def pair(self, aspect: str) -> tuple[Any, Any]:
        """What both say of another aspect of this call."""
        name = f"{self.role} {self.line:02} {self.call} {aspect}"
        return self.of_original.get(name), self.of_ours.get(name)

    @property
    def is_text(self) -> bool:
        return self.aspect in ("stdout", "stderr", "syslog")


def children(script: list[Call]) -> Iterator[tuple[str, int, list[Call]]]:
    """The forks of a process: the end of the child's name, the line, and the child's calls."""
    count = 0
    for line, call in enumerate(script):
        if call[0] in ("daemon_fork", "fork"):
            yield f".{'d' if call[0] == 'daemon_fork' else 'c'}{count}", line, call[1]
            count += 1


def calls_of(script: list[Call], role: str, until: int) -> Iterator[Call]:
    rest = role[len("main") :]
    while rest:
        for ending, line, child in children(script):
            if ending == rest[:3]:
                yield from script[: line + 1]
                script, rest = child, rest[3:]
                break
        else:
            raise ValueError(f"no process {role}")
    yield from script[: max(until, 0)]


def all_calls(script: list[Call]) -> Iterator[Call]:
    for call in script:
        yield call
        if call[0] in ("daemon_fork", "fork"):
            yield from all_calls(call[1])


@dataclasses.dataclass
class Row:
    sentence: str
    names: str
    applies: Callable[[Case], bool]

    def explains(self, case: Case) -> bool:
        return re.fullmatch(self.names, case.what) is not None and self.applies(case)


def explanation(case: Case) -> Optional[Row]:
    """The row that a difference is in; None for a fault."""
    return next((row for row in [*ROWS, *CONSEQUENCES] if row.explains(case)), None)


def text_of_page() -> str:
    return " ".join(PAGE.read_text().split())


# --- what the rows look for ----------------------------------------------------------------------------------------------


def without(value: Any, *words: str) -> Any:
    for word in words:
        value = value.replace(word, "") if isinstance(value, str) else value
    return value


def numbers(text: Any) -> list[int]:
    return [int(word) for word in str(text or "").split()]


def messages(lines: Any) -> list[str]:
    """The library's own among lines that were logged."""
    return [line for line in lines or [] if line.endswith("(message)")]


def others(lines: Any) -> list[str]:
    return [line for line in lines or [] if not line.endswith("(message)")]


def only_ours_logs(case: Case) -> bool:
    return case.is_text and others(case.original) == others(case.ours) and not messages(case.original) and len(messages(case.ours)) == 1


def only_original_logs(case: Case) -> bool:
    return case.is_text and others(case.original) == others(case.ours) and not messages(case.ours) and len(messages(case.original)) == 1


def both(case: Case, aspect: str, original: Any, ours: Any) -> bool:
    return case.pair(aspect) == (original, ours)


def closed_at_first(case: Case) -> bool:
    """Whether one of 0 to 2 was closed when the library made a descriptor."""
    return bool(case.surroundings["closed"]) or any(call[0] == "close" and call[1] < 3 for call in case.others())


DESCRIPTOR = r"main[.\w]* descriptor \d+"
ROWS: list[Row] = []
CONSEQUENCES: list[Row] = []  # of differences that are in a row


def row(sentence: str, names: str) -> Callable[[Callable[[Case], bool]], Callable[[Case], bool]]:
    def add(applies: Callable[[Case], bool]) -> Callable[[Case], bool]:
        ROWS.append(Row(sentence, names, applies))
        return applies

    return add


def call(*names: str, aspects: str = "returns|errno|stdout|stderr|syslog") -> str:
    return rf"main[.\w]* -?\d+ ({'|'.join(names)}) ({aspects})"


# --- every call ----------------------------------------------------------------------------------------------------------

@row(
    "errno after a successful call is unspecified",
    call("daemon_(?!log|retval_done|signal_done)\\w+", "drain", aspects="errno"),
)
def _errno_after_success(case: Case) -> bool:
    original, ours = case.pair("returns")
    return original is not None and ours is not None and not str(original).startswith("-") and not str(ours).startswith("-")


# --- descriptors ---------------------------------------------------------------------------------------------------------


@row("Standard input, output and error of the daemon are one open file, `/dev/null`, for reading and writing.", r"main[.\w]*\.d\d[.\w]* descriptor \d+")
def _null(case: Case) -> bool:
    nonblocking = " nonblocking" if case.did_anywhere("daemon_nonblock") and "nonblocking" in str(case.ours) else ""
    modes = ("/dev/null: reads", "/dev/null: writes")
    return without(case.original, " nonblocking") in modes and case.ours == f"/dev/null: reads and writes{nonblocking}"


@row("The pipe is close-on-exec.", DESCRIPTOR)
def _pipe_cloexec(case: Case) -> bool:
    made = case.did("daemon_retval_init")
    return made and re.fullmatch("pipe: (reads|writes)( nonblocking)?", str(case.original)) is not None and case.ours == f"{case.original} cloexec"


@row("The queue's descriptor is close-on-exec, and `daemon_close_all` spares it.", DESCRIPTOR)
def _queue_cloexec(case: Case) -> bool:
    made = case.did("daemon_signal_init", "daemon_signal_install")
    return made and re.fullmatch(r"pipe: (reads|writes) nonblocking", str(case.original)) is not None and case.ours == f"{case.original} cloexec"


MORE = "While the pid file is held there is one descriptor more, and while a daemon has not sent its number yet, one."
LOW = "The library's descriptors never have numbers below 3."
SPARED = "The queue's descriptor is close-on-exec, and `daemon_close_all` spares it."
AT_ONCE = (
    "A daemon that ends before it has sent its number is noticed at once (the original waits for all of its timeout: the starter holds the pipe's "
    "other end itself), also when a child of the daemon's keeps the pipe open."
)
AGAIN = (
    "`daemon_retval_init` in a daemon that has called `daemon_close_all` and has not sent its number makes a new pipe, as with the original, and closes "
    "what is left of the old one."
)
CLOSES_LOG = "`daemon_close_all` closes the connection to syslog properly."
WHO_LOGS = "A failure to execute the program or to enter its directory is logged by the calling process, not by the program's."
NUMBERS = "Descriptors may have other numbers than with the original, which has others open meanwhile."
LOG_SOCKET = "socket: reads and writes cloexec"


def open_in(case: Case, found: dict[str, Any]) -> list[str]:
    """What the process has open, without what other rows say of it."""
    values = [value for name, value in found.items() if re.fullmatch(rf"{re.escape(case.role)} descriptor \d+", name)]
    return [re.sub("(?<=^/dev/null: ).*", "", value.replace(" cloexec", "") if value.startswith("pipe") else value) for value in values]


def reason(case: Case, is_ours: bool, what: str) -> Optional[str]:
    """Why one has something open that the other has not."""
    if is_ours and what.endswith("noatime locked") and case.did_anywhere("daemon_pid_file_create"):
        return MORE
    if is_ours and what == "pipe: writes" and case.did("daemon_retval_init") and not case.did("daemon_retval_done"):
        return MORE
    if is_ours and what in ("pipe: reads nonblocking", "pipe: writes nonblocking") and case.did("daemon_close_all", "daemon_close_allv"):
        return SPARED if case.did("daemon_signal_init", "daemon_signal_install") else None
    if not is_ours and what == "pipe: writes" and made_again(case):
        return AGAIN
    if not is_ours and what == "pipe: writes" and case.did("daemon_retval_wait"):
        return AT_ONCE
    if not is_ours and what == "pipe: reads" and case.did("daemon_retval_wait") and any(gone(case, name) for name in case.found):
        return AT_ONCE
    # Here the program's file may have the low number: daemon_fork() puts /dev/null there, and others go by the number.
    by_number = ".d" in case.role or case.did("daemon_close_all", "daemon_close_allv", "close", "dup2")
    if what.startswith(("pipe: ", "/dev/", "/run/box/data")) and closed_at_first(case) and by_number:
        return LOW
    if what.startswith(("pipe: ", "/dev/zero", "/run/box/data")) and spares_other(case):
        return NUMBERS
    if is_ours and what.startswith(("pipe: ", "/dev/zero", "/run/box/data")) and loses_to_log(case):
        return CLOSES_LOG
    if what == LOG_SOCKET:
        if case.did("daemon_close_all", "daemon_close_allv"):
            return CLOSES_LOG
        return next((found.sentence for found in map(explanation, cases_of_log(case)) if found is not None), None)
    return None


def loses_to_log(case: Case) -> bool:
    """Whether the original's C library may have closed a file that has got the number of its connection."""
    return case.did("daemon_close_all", "daemon_close_allv") and LOG_SOCKET in open_in(case, case.of_original)


def spares_other(case: Case) -> bool:
    """Whether a number that the program closes or keeps is another descriptor."""
    by_number = any(each[0] in ("daemon_close_all", "daemon_close_allv", "close", "dup2") and max(each[1:]) > 2 for each in case.before())
    return by_number and any(re.fullmatch(rf"{re.escape(case.role)} \d+ (open|pipe) (returns|detail)", name) for name in case.found)


def made_again(case: Case) -> bool:
    names = [each[0].replace("allv", "all") for each in case.before() if each[0] in ("daemon_retval_init", "daemon_close_all", "daemon_close_allv")]
    return "daemon_retval_init daemon_close_all daemon_retval_init" in " ".join(name for name, _ in itertools.groupby(names))


def cases_of_log(case: Case) -> Iterator[Case]:
    """What one has logged and the other has not, in this process or the one that it was forked from."""
    for name, values in case.found.items():
        if name.endswith(" syslog") and case.role.startswith(name.split()[0]):
            yield dataclasses.replace(case, name=name, original=values[0], ours=values[1])


def gone(case: Case, name: str) -> bool:
    return name.endswith("daemon_retval_wait errno") and case.of_ours.get(name) == "EINVAL"


def reasons(case: Case) -> set[Optional[str]]:
    """Why there is more, or something has another number; with None for what has no reason."""
    case = dataclasses.replace(case, name=f"{case.role} descriptor 00")  # They are looked at in the end.
    original, ours = open_in(case, case.of_original), open_in(case, case.of_ours)
    for what in list(original):
        if what in ours:
            original.remove(what)
            ours.remove(what)
    found = {reason(case, False, what) for what in original} | {reason(case, True, what) for what in ours}
    if closed_at_first(case) and case.did("daemon_retval_init", "daemon_signal_init", "daemon_signal_install"):
        found.add(LOW)
    return found


def is_because_of(sentence: str) -> Callable[[Case], bool]:
    return lambda case: None not in reasons(case) and sentence in reasons(case)


@row(LOW, call("print", "flush", aspects="returns|errno"))
def _writes_into_queue(case: Case) -> bool:
    return closed_at_first(case) and case.did("daemon_retval_init", "daemon_signal_init", "daemon_signal_install")


@row(LOW, r"(main[.\w]* -?\d+ [\w ]+|end) syslog")
def _writes_to_log(case: Case) -> bool:
    """The connection to syslog has the number of standard output, which is the library's pipe with the original."""
    made = case.did_anywhere("daemon_retval_init", "daemon_signal_init", "daemon_signal_install")
    logged = [[line for line in lines or [] if not line.startswith("unknown format")] for lines in (case.original, case.ours)]
    return closed_at_first(case) and made and logged[0] == logged[1]


@row(LOW, call("open", "pipe", "daemon_signal_fd", aspects="returns|detail"))
def _low_numbers_returned(case: Case) -> bool:
    return closed_at_first(case) and (case.did("daemon_retval_init", "daemon_signal_init", "daemon_signal_install"))


@row(LOW, call("daemon_nonblock", "close", "dup2", aspects="returns|errno"))
def _by_low_number(case: Case) -> bool:
    made = case.did("daemon_retval_init", "daemon_signal_init", "daemon_signal_install")
    return closed_at_first(case) and made and case.arguments[0] in (0, 1, 2, 3, 4, 5)


@row(LOW, call("daemon_exec", "daemon_execv", "drain", "poll", "daemon_signal_next", aspects="returns|errno|detail|stderr|syslog") + r"|main[.\w]* zombies")
def _queue_has_low_number(case: Case) -> bool:
    """The original's daemon_fork() opens /dev/null where the queue is, and messages go into the queue."""
    return closed_at_first(case) and case.did("daemon_signal_init", "daemon_signal_install") and low_queue(case)


def low_queue(case: Case) -> bool:
    """Whether the original has had the queue, or another pipe, below 3."""
    names = [name for name in case.of_original if re.fullmatch(r"main[.\w]* descriptor 0[012]", name)]
    values = [(str(case.of_original[name]), str(case.of_ours.get(name))) for name in names]
    return ".d" in case.role or any(original.startswith("pipe") and ours.replace(" cloexec", "") != original for original, ours in values)


@row(SPARED, call("open", "pipe", "daemon_signal_fd", "daemon_signal_init", "daemon_signal_install", "daemon_nonblock", aspects="returns|detail|errno"))
def _numbers_after_close(case: Case) -> bool:
    return closes_queue(case)


@row(SPARED, call("drain", "poll", "daemon_signal_next", aspects="returns|errno|detail|stdout|stderr|syslog"))
def _queue_after_close(case: Case) -> bool:
    return closes_queue(case)


def closes_queue(case: Case) -> bool:
    """Whether there was a queue when all descriptors were closed."""
    made = False
    for each in case.before():
        if each[0] in ("daemon_close_all", "daemon_close_allv") and made:
            return True
        made = made or each[0] in ("daemon_signal_init", "daemon_signal_install")
    return False


@row(NUMBERS, DESCRIPTOR)
def _number_of_log(case: Case) -> bool:
    return reasons(case) == set() and (LOG_SOCKET in open_in(case, case.of_ours) or case.did("daemon_pid_file_create"))


@row(AGAIN, DESCRIPTOR)
def _number_of_new_pipe(case: Case) -> bool:
    return reasons(case) == set() and made_again(case)


@row(NUMBERS, call("open", "pipe", "daemon_signal_fd", "dup2", aspects="returns|detail"))
def _number(case: Case) -> bool:
    return None not in reasons(case) and any(re.fullmatch(rf"{re.escape(case.role)} descriptor \d+", name) for name in case.found)


NEEDS = "`daemon_fork` and `daemon_exec` need five free descriptors for a moment (two), the functions for the pid file up to four (one)."


@row(NEEDS, call("daemon_fork", "daemon_exec", "daemon_execv", aspects="returns|errno|detail|stdout|stderr|syslog"))
def _needs_descriptors(case: Case) -> bool:
    return has_few(case) and case.pair("returns")[1] == "-1" and case.pair("errno")[1] == "EMFILE"


def has_few(case: Case) -> bool:
    return any(each[0] == "nofile" and each[1] < 16 for each in case.others())


# --- the return value ----------------------------------------------------------------------------------------------------

@row(AT_ONCE, call("daemon_retval_wait"))
def _gone(case: Case) -> bool:
    return both(case, "returns", "-1", "-1") and case.pair("errno")[0] in ("ETIMEDOUT", "EINTR") and case.pair("errno")[1] == "EINVAL"


@row(AT_ONCE, r"main[.\w]* \d+ handlers")
def _not_interrupted(case: Case) -> bool:
    """Ours has not waited for the timer, which is for a wait."""
    return case.original == [str(ALRM)] and case.ours is None and any(name.startswith(f"{case.role} ") and gone(case, name) for name in case.found)


@row(AT_ONCE, call("daemon_retval_send"))
def _sends_after_wait(case: Case) -> bool:
    """The original has waited for all of its time, and has its pipe still."""
    waited = any(name.startswith(f"{case.role} ") and gone(case, name) for name in case.found)
    return waited and both(case, "returns", "0", "-1") and case.pair("errno")[1] == "EINVAL"


HEARD = "`daemon_retval_send` to a starter that is gone is EPIPE; the original's daemon dies of SIGPIPE, or believes it was heard."


@row(HEARD, call("daemon_retval_send"))
def _not_heard(case: Case) -> bool:
    return both(case, "returns", "0", "-1") and case.pair("errno")[1] == "EPIPE"


@row("After a wait that has timed out, `daemon_retval_send` in the starter fails with EBADF.", call("daemon_retval_send"))
def _cannot_send(case: Case) -> bool:
    return case.did("daemon_retval_wait") and both(case, "returns", "0", "-1") and case.pair("errno")[1] == "EBADF"


# --- logging -------------------------------------------------------------------------------------------------------------

LOGS = ("daemon_log", "daemon_logv", "daemon_log_plain", "daemon_log_long")


def log_use(case: Case) -> int:
    use = 10
    for made in case.before():
        use = int(made[1]) if made[0] == "daemon_log_use" else 1 if made[0] == "daemon_fork" and case.role.count(".d") and use & 8 else use
    return use


BOTH_STREAMS = (
    "`DAEMON_LOG_STDERR | DAEMON_LOG_STDOUT` prints the same text to both: the original uses its argument list twice, and prints garbage or crashes."
)


@row(BOTH_STREAMS, r"(main[.\w]* -?\d+ [\w ]+|end) stdout")
def _both_streams(case: Case) -> bool:
    return any(made[0] == "daemon_log_use" and made[1] & 6 == 6 for made in case.others())


FACILITY = "A priority with a facility (`LOG_LOCAL0 | LOG_ERR`) shows there as well, and goes to syslog with that facility; the original makes LOCAL3 of it."


@row(FACILITY, call("daemon_log", "daemon_logv", aspects="stdout|stderr|syslog"))
def _facility(case: Case) -> bool:
    return case.arguments[0] > 7


@row(FACILITY, "end stdout")
def _facility_in_buffer(case: Case) -> bool:
    logged = {str(made[2]) for made in case.others() if made[0] in ("daemon_log", "daemon_logv") and made[1] > 7}
    more = [line for line in case.ours or [] if line not in (case.original or [])]
    return bool(logged) and all(any(text.split("\n")[0] in line for text in logged) for line in more if not line.startswith("(message)"))


VERBOSITY = "kept modulo 8; complains of LOG_WARNING, LOG_NOTICE and LOG_INFO | each priority is taken as it is; negative ones silence; others are refused"


@row(VERBOSITY, call("daemon_set_verbosity", aspects="stdout|stderr|syslog"))
def _complaint(case: Case) -> bool:
    return only_original_logs(case) and 0 < case.arguments[0] < 7


@row(VERBOSITY, "end stdout")
def _complaint_in_buffer(case: Case) -> bool:
    complaints = [each for each in case.others() if each[0] == "daemon_set_verbosity" and 0 < each[1] < 7]
    return -len(complaints) <= more_messages(case) < 0


def more_messages(case: Case) -> int:
    """How many more of the library's messages ours has in a stream; 0 where anything else differs."""
    return len(messages(case.ours)) - len(messages(case.original)) if others(case.original) == others(case.ours) else 0


@row(VERBOSITY, r"main[.\w]* -?\d+ [\w ]+ (stdout|stderr)")
def _verbosity(case: Case) -> bool:
    set_to = [made[1] for made in case.before() if made[0] == "daemon_set_verbosity"]
    return any(value < 0 or value > 7 for value in set_to) and (not case.ours or not case.original)


# --- daemon_exec ---------------------------------------------------------------------------------------------------------

EXEC = ("daemon_exec", "daemon_execv")
TEXT = "stdout|stderr|syslog"


@row("So is standard input of a program of `daemon_exec`.", call(*EXEC, aspects=TEXT))
def _null_of_program(case: Case) -> bool:
    return "describe" in case.arguments and without_pipe(case) == [same_program(line) for line in case.ours or []]


@row("The program of `daemon_exec` does not inherit the pipe of `daemon_retval_init`.", call(*EXEC, aspects=TEXT))
def _inherits_pipe(case: Case) -> bool:
    is_described = "describe" in case.arguments or len(case.arguments) == 3
    return is_described and case.did("daemon_retval_init") and without_pipe(case) == case.ours


def without_pipe(case: Case) -> list[str]:
    """What the original's program writes, without the descriptor that it inherits."""
    own = re.compile(r"client: descriptor (?![012] )\d+ 1$")
    inherits = case.did("daemon_retval_init")
    return [same_program(line) for line in logged_once(case) if not (inherits and own.search(line))]


@row(
    "With SIGCHLD ignored, a program that cannot be executed still gives 0 and 1 in `*ret`; the original returns -1 with ECHILD.",
    call(*EXEC, aspects=f"returns|errno|detail|{TEXT}"),
)
def _not_executed(case: Case) -> bool:
    ignores = 17 in case.surroundings["ignored"] or ["sigaction", 17, "ignore"] in case.before()
    return ignores and both(case, "returns", "-1", "0") and case.pair("errno")[0] == "ECHILD"


@row(BOTH_STREAMS, call(*EXEC, aspects=f"returns|errno|detail|{TEXT}"))
def _crashes_in_program(case: Case) -> bool:
    return log_use(case) & 6 == 6 and case.pair("errno")[0] == "ECANCELED"


@row(SPARED, call(*EXEC, aspects=f"returns|errno|detail|{TEXT}") + r"|main[.\w]* zombies")
def _reads_own_number(case: Case) -> bool:
    return closes_queue(case)


@row("A program without arguments gets its path as `argv[0]`; the original passes none.", call(*EXEC, aspects=TEXT))
def _no_arguments(case: Case) -> bool:
    def without_name(lines: Any) -> list[str]:
        return [same_program(line) for line in lines or [] if "client: argument" not in line]

    return len(case.arguments) == 3 and without_name(without_pipe(case)) == without_name(case.ours)


def same_program(line: str) -> str:
    return line.replace("client: descriptor 0 0", "client: descriptor 0 2").replace("[ANOTHER]: (message)", "[own]: (message)")


@row(
    "Output is read in blocks; lines up to 32 KiB are whole (255 bytes); a NUL ends a line and does not swallow its rest.",
    call(*EXEC, aspects=TEXT),
)
def _lines(case: Case) -> bool:
    words = str(case.arguments)
    return ("\\000" in words or "0123456789" in words) and messages([same_program(line) for line in logged_once(case)]) == messages(case.ours)


@row(WHO_LOGS, call(*EXEC, aspects="syslog"))
def _who_logs(case: Case) -> bool:
    return [same_program(line) for line in logged_once(case)] == case.ours


@row(WHO_LOGS, "end stdout")
def _lost_in_program(case: Case) -> bool:
    """The original's program has them in a buffer when it is executed."""
    failing = [each for each in case.others() if each[0] in EXEC and ("missing" in str(each[1:4]) or each[1] == "sub")]
    return 0 < more_messages(case) <= 2 * len(failing)


def logged_once(case: Case) -> list[str]:
    """Without what the original logs again: where it logs to standard error too, the program's message is output of the program."""
    lines = list(case.original or [])
    if case.aspect == "syslog" and log_use(case) & 3 == 3:
        for again in [line for line in lines if line.endswith("[own]: (message)")][: sum("[ANOTHER]: (message)" in line for line in lines)]:
            lines.remove(again)
    return lines


GOES_ON = "A signal that arrives meanwhile stays queued and the program goes on; the original kills the program, gives up and loses the signal."


@row(GOES_ON, call(*EXEC, aspects=f"returns|errno|detail|{TEXT}"))
def _goes_on(case: Case) -> bool:
    raised = case.did("raise") and any(each[0] in ("daemon_signal_init", "daemon_signal_install") for each in case.before())
    is_killed = both(case, "returns", "-1", "0") and case.pair("errno")[0] == "ECANCELED"
    # It may have ended before it was killed, or been killed before it has written.
    return raised and (is_killed or is_killing(case) or is_cut(case))


def is_cut(case: Case) -> bool:
    written = others(case.original)
    return case.is_text and len(others(case.ours)) > len(written) and others(case.ours)[: len(written)] == written


def is_killing(case: Case) -> bool:
    lines = [line for line in case.original or []] if case.is_text else []
    # It says so for each signal.
    return len(messages(lines)) > len(messages(case.ours))


@row(GOES_ON, r"main[.\w]* zombies")
def _killed_child(case: Case) -> bool:
    return case.original == ["another"] and case.ours == [] and any(kills(case, name) for name in case.found)


@row(GOES_ON, call("drain", "daemon_signal_next", "poll", aspects="returns|detail"))
def _kept_signals(case: Case) -> bool:
    # A process that fork(2) has made shares the queue: also one that the original ends before it has executed the program.
    kept = set(numbers(case.original)) - {TERM} <= set(numbers(case.ours))
    lost = case.did_anywhere("raise") and case.did(*EXEC) and kept
    return lost if case.aspect == "detail" else any(kills(case, name) for name in case.found)


def kills(case: Case, name: str) -> bool:
    return name.endswith(" errno") and "daemon_exec" in name and case.of_original.get(name) == "ECANCELED" and case.of_ours.get(name) != "ECANCELED"


@row("SIGCHLD stays queued as well; the original may lose it.", call("drain", "daemon_signal_next", "poll", aspects="returns|detail"))
def _sigchld(case: Case) -> bool:
    if case.aspect == "detail":
        return case.did(*EXEC) and [each for each in numbers(case.original) if each != 17] == [each for each in numbers(case.ours) if each != 17]
    return case.did(*EXEC) and {case.original, case.ours} <= {"0", "17"} or case.call == "poll" and case.original == "0"


@row(
    "Where the directory of `daemon_exec` cannot be entered, the program is started a second time, in `/`: SIGCHLD comes for both processes.",
    r"main[.\w]* \d+ handlers",
)
def _two_processes(case: Case) -> bool:
    return case.did(*EXEC) and case.original == ["17"] and case.ours == ["17", "17"]


# --- where the original ends or waits for ever ---------------------------------------------------------------------------


def fatal(case: Case, how: str) -> Iterator[tuple[str, Call]]:
    """The calls of the original that end a process, or do not return."""
    for name, line in case.of_original.items():
        if name.endswith(f" {how}") and name not in case.of_ours:
            role = name[: -len(how) - 1]
            yield role, list(calls_of(case.spec["script"], role, line + 1))[-1]


AFTERWARDS = (
    r"main[.\w]* -?\d+ [\w ]+ (returns|errno|detail|stdout|stderr|syslog)|main[.\w]* [A-Za-z][\w ]*|main[.\w]* \d+ handlers"
    r"|(file|left) [\w./]+|end (stdout|stderr)|victim"
)


def is_lost(case: Case) -> bool:
    """Whether the original is not there to be compared."""
    # The last words of the one are found where the other waits.
    last_words = case.call == "await" and case.is_text
    of_process = case.property in ("status", "dies", "dies syslog", "hangs", "parent", "zombies")
    return case.original is None or last_words or of_process or case.what.startswith(("file", "left", "end"))


@row("aborts without any queue of signals, works with any | needs none", AFTERWARDS)
def _aborts_without_queue(case: Case) -> bool:
    return is_lost(case) and any(made[0] in EXEC for _, made in fatal(case, "dies"))


@row("without a pipe EBADF, or, with a timeout, abort() | -1 with EBADF", AFTERWARDS)
def _aborts_without_pipe(case: Case) -> bool:
    return is_lost(case) and any(made[0] == "daemon_retval_wait" and made[1] > 0 for _, made in fatal(case, "dies"))


@row(BOTH_STREAMS, AFTERWARDS)
def _crashes(case: Case) -> bool:
    two = any(made[0] == "daemon_log_use" and made[1] & 6 == 6 for made in case.others())
    return is_lost(case) and two and case.of_original.get(f"{case.role} status") in ("signal 11", "signal 7", "signal 6", None)


@row(SPARED, AFTERWARDS)
def _hangs_without_queue(case: Case) -> bool:
    closes = any(each[0] in ("daemon_close_all", "daemon_close_allv") for each in case.others())
    ends = [made[0] for how in ("hangs", "dies") for _, made in fatal(case, how)]
    # Its handler writes into the pipe whose reading end is closed.
    is_broken = any(name.endswith(" status") and value == "signal 13" for name, value in case.of_original.items())
    return is_lost(case) and closes and (is_broken or any(name in (*EXEC, "drain", "daemon_signal_next") for name in ends))


@row(HEARD, AFTERWARDS)
def _dies_of_broken_pipe(case: Case) -> bool:
    roles = [role for role, made in fatal(case, "dies") if made[0] == "daemon_retval_send"]
    return is_lost(case) and any(case.of_original.get(f"{role} status") == "signal 13" for role in roles)


@row(NEEDS, AFTERWARDS)
def _does_not_exist(case: Case) -> bool:
    refused = any(name.endswith("daemon_fork errno") and ours == "EMFILE" for name, (_, ours) in case.found.items())
    return has_few(case) and refused and (case.ours is None or case.call in ("daemon_retval_wait", "wait child"))


@row(LOW, AFTERWARDS + "|end syslog")
def _does_not_start(case: Case) -> bool:
    """The original's daemon_fork() has closed its own pipe, or opened /dev/null over it."""
    failed = any(name.endswith("daemon_fork errno") and original == "EIO" and ours != "EIO" for name, (original, ours) in case.found.items())
    is_lost = case.original is None or case.call in ("daemon_fork", "daemon_retval_wait", "wait child") or case.what == "end syslog" and case.ours is None
    return closed_at_first(case) and failed and is_lost


@row(AT_ONCE, AFTERWARDS)
def _hangs(case: Case) -> bool:
    return is_lost(case) and any(made[0] == "daemon_retval_wait" for _, made in fatal(case, "hangs"))


KINDS = "Symbolic links, FIFOs, devices, directories and files with several names are errors at once: not followed, no hang."


@row(KINDS, AFTERWARDS)
def _hangs_at_fifo(case: Case) -> bool:
    return is_lost(case) and has_kind(case, "fifo") and any(made[0].startswith("daemon_pid_file_") for _, made in fatal(case, "hangs"))


def has_kind(case: Case, *kinds: str) -> bool:
    return any(kind in kinds for _, kind, *_ in case.spec["files"])


# --- pid files -----------------------------------------------------------------------------------------------------------

PID_CALL = call(*(f"daemon_pid_file_{name}" for name in ("create", "remove", "is_running", "kill", "kill_wait")))
PID_FILE = r"(file|left) [\w/]*\.pid"
STALE = (
    "It is locked (flock(2)) for the daemon's life. A stale one does not stop `daemon_pid_file_create`; of any number of starts at once one wins; "
    "a reused PID is not the daemon."
)
MAY_NOT = "Why a signal may not be sent (EPERM) is logged."
NOBODY = (
    'Empty, `0`, `1` and negative contents are "not running" (the original says running, and sends the signal to the caller\'s own process group). '
    "A zombie is dead."
)
REMOVE = "of any process | of this one, of the one it was forked from, or a stale one"
NOT_OBEYED = (
    "A file that others can write to, or whose owner is neither root, nor this user, nor the daemon's user, is not obeyed by "
    "`daemon_pid_file_kill`: EPERM."
)
UNPROVEN = "Where that proves nothing (behaviour.md, *Pid files*) the calls fail with EPERM and the file stays."
AT_EXIT = "The file is removed at exit(3), if the program has not done that itself."


@row(KINDS, PID_CALL)
def _kind(case: Case) -> bool:
    refused = case.pair("errno")[1] in ("ELOOP", "EMLINK", "EISDIR", "EEXIST", "EINVAL", "ENODEV", "EPERM", "ENOTDIR", "ENXIO")
    special = any(each[0] == "daemon_pid_file_proc" and each[1:] in (["/dev/null"], ["/run/box"]) for each in case.before())
    return refused and case.pair("returns")[1] == "-1" and (has_kind(case, "link", "fifo", "directory", "hard link") or special)


@row(KINDS, PID_FILE + "|(file|left) box/(other|target)")
def _kind_stays(case: Case) -> bool:
    return case.ours is not None and bool(caused_by(KINDS, case))


@row(NEEDS, PID_CALL)
def _needs_descriptors_for_file(case: Case) -> bool:
    """Without them it is unknown whose the file is."""
    return has_few(case) and case.pair("returns")[1] == "-1" and case.pair("errno")[1] in ("EMFILE", "EPERM")


@row(STALE, PID_CALL)
def _stale(case: Case) -> bool:
    return case.call == "daemon_pid_file_create" and both(case, "returns", "-1", "0") and case.pair("errno")[0] == "EEXIST"


@row(NOT_OBEYED, call("daemon_pid_file_kill", "daemon_pid_file_kill_wait"))
def _not_obeyed(case: Case) -> bool:
    is_refused = case.pair("returns")[1] == "-1" and case.pair("errno")[1] == "EPERM"
    return is_refused and is_of_others(case)


def is_of_others(case: Case) -> bool:
    """Whether somebody else may write to the file, or owns it."""
    files = [more for _, kind, *more in case.spec["files"] if kind == "file"]
    changed = any(each[0] == "chmod" and each[2] & 0o022 for each in case.others())
    return changed or any(mode & 0o022 or owner in ("nobody", "other") for _, mode, owner in files)


@row(NOT_OBEYED, "victim")
def _spared(case: Case) -> bool:
    refused = [name for name, (_, ours) in case.found.items() if "daemon_pid_file_kill" in name and name.endswith(" errno") and ours == "EPERM"]
    return bool(refused) and case.ours == "lives"


@row(
    "`daemon_pid_file_kill_wait` returns when the process has ended, not at the next tenth of a second.",
    call("daemon_pid_file_kill_wait", aspects="returns|errno|stderr|syslog"),
)
def _at_once(case: Case) -> bool:
    return both(case, "returns", "-1", "0") and case.pair("errno")[0] == "ETIME"


@row(AT_EXIT, PID_FILE)
def _at_exit(case: Case) -> bool:
    exits = any(each[:2] == ["end", "exit"] for each in case.others())
    return exits and case.did_anywhere("daemon_pid_file_create") and case.ours is None


@row(STALE, PID_FILE)
def _replaced(case: Case) -> bool:
    return any(name.endswith("daemon_pid_file_create returns") and values == ("-1", "0") for name, values in case.found.items())


@row(REMOVE, call("daemon_pid_file_remove"))
def _of_another(case: Case) -> bool:
    return both(case, "returns", "0", "-1") and (case.pair("errno")[1] == "EPERM" or case.pair("errno")[1] == "EACCES" and is_unreadable(case))


def is_unreadable(case: Case) -> bool:
    """Whose file it is cannot be known."""
    is_nobody = case.surroundings["user"] == "nobody" or case.did("nobody")
    closed = any(kind == "file" and more[1] & 0o444 != 0o444 for _, kind, *more in case.spec["files"])
    return is_nobody and (closed or any(each[0] == "chmod" and each[2] & 0o444 != 0o444 for each in case.others()))


@row(REMOVE, PID_FILE)
def _of_another_stays(case: Case) -> bool:
    return any(REMOVE in causes(case, name) for name in not_removed(case))


@row(UNPROVEN, PID_CALL)
def _unproven(case: Case) -> bool:
    return case.pair("errno")[1] == "EPERM" and case.pair("returns")[1] == "-1" and is_open_to_others(case)


def is_open_to_others(case: Case) -> bool:
    """Whether somebody else can have written the file."""
    files = [more for _, kind, *more in case.spec["files"] if kind == "file"]
    is_in_open_folder = any("/open/" in str(each) for each in case.others() if each[0] == "daemon_pid_file_proc")
    return is_in_open_folder or any(mode & 0o022 or owner != "root" for _, mode, owner in files)


@row(NOBODY, PID_CALL)
def _no_number(case: Case) -> bool:
    contents = [more[0] for _, kind, *more in case.spec["files"] if kind == "file"]
    # The parent is the first process here.
    contents += ["1\n" for each in case.others() if each[0] == "write" and "PARENT" in each]
    return any(content in ("", "\n", "0\n", "1\n", "-1\n", "-5\n", "\nVICTIM\n") for content in contents) and case.pair("returns")[1] in ("-1", "0")


@row(NOBODY, call("daemon_pid_file_kill", "daemon_pid_file_kill_wait", "daemon_pid_file_is_running"))
def _zombie(case: Case) -> bool:
    killed = any(each[0] in ("daemon_pid_file_kill", "daemon_pid_file_kill_wait") and each[1] > 0 for each in case.others())
    return killed and case.pair("returns")[1] == "-1" and case.pair("returns")[0] != "-1" and case.pair("errno")[1] == "ESRCH"


@row(NOBODY, AFTERWARDS)
def _own_group(case: Case) -> bool:
    kills = any(made[0] in ("daemon_pid_file_kill", "daemon_pid_file_kill_wait") for _, made in fatal(case, "dies"))
    empty = any(more[0] in ("", "\n", "0\n", "-5\n") for _, kind, *more in case.spec["files"] if kind == "file")
    return is_lost(case) and kills and (empty or has_kind(case, "hard link") or ["daemon_pid_file_proc", "/dev/null"] in case.others())


@row(STALE, AFTERWARDS)
def _kills_who_replaced(case: Case) -> bool:
    """Here the file names the daemon, which is killed by it."""
    replaced = any(name.endswith("daemon_pid_file_create returns") and values == ("-1", "0") for name, values in case.found.items())
    kills = any(each[0] in ("daemon_pid_file_kill", "daemon_pid_file_kill_wait") for each in case.others())
    dies = any(name.endswith((" dies", " status")) and ours is not None for name, (_, ours) in case.found.items())
    is_missed = case.ours is None or case.property in ("status", "dies", "parent") or case.call in ("unlink", "rename", "chmod")
    return replaced and kills and dies and is_missed


@row(NOBODY, PID_FILE)
def _no_number_removed(case: Case) -> bool:
    return any(CALLED.fullmatch(name) and _no_number(dataclasses.replace(case, name=name)) for name in case.found if "daemon_pid_file_" in name)


@row(MAY_NOT, call("daemon_pid_file_kill", "daemon_pid_file_kill_wait", aspects=TEXT))
def _may_not(case: Case) -> bool:
    return only_ours_logs(case) and case.pair("errno") == ("EPERM", "EPERM")


@row(STALE, PID_CALL)
def _after_replaced(case: Case) -> bool:
    replaced = [name for name, values in case.found.items() if name.endswith("daemon_pid_file_create returns") and values == ("-1", "0")]
    return any(is_before(name, case) for name in replaced)


@row(REMOVE, PID_CALL)
def _after_not_removed(case: Case) -> bool:
    return any(is_before(name, case) for name in not_removed(case))


@row(REMOVE, AFTERWARDS)
def _kills_itself(case: Case) -> bool:
    kills = any(made[0] in ("daemon_pid_file_kill", "daemon_pid_file_kill_wait") for _, made in fatal(case, "dies"))
    return is_lost(case) and bool(not_removed(case)) and kills


def not_removed(case: Case) -> list[str]:
    return [name for name, values in case.found.items() if name.endswith("daemon_pid_file_remove returns") and values == ("0", "-1")]


def is_before(name: str, case: Case) -> bool:
    """Whether a call comes before this one, or is another process's."""
    matched = CALLED.fullmatch(name)
    return matched is not None and (matched["role"] != case.role or int(matched["line"]) < case.line)


def causes(case: Case, name: str) -> set[str]:
    """The sentences that have another difference of the program."""
    other = dataclasses.replace(case, name=name, original=case.found[name][0], ours=case.found[name][1])
    return {row.sentence for row in ROWS if row.explains(other)}


def caused_by(sentence: str, case: Case) -> list[str]:
    """The calls for the pid file before this one that differ in what a sentence says."""
    names = [name for name in case.found if re.fullmatch(PID_CALL, name) and name.endswith((" returns", " errno")) and is_before(name, case)]
    return [name for name in names if sentence in causes(case, name)]


def is_there_for_one(sentence: str) -> Callable[[Case], bool]:
    """The file exists with one of the two, or has another owner."""

    def applies(case: Case) -> bool:
        refused = {error for returned, error in zip(case.pair("returns"), case.pair("errno")) if returned == "-1"}
        return bool(refused) and refused <= {"ENOENT", "EPERM", "EACCES"} and bool(caused_by(sentence, case))

    return applies


def is_sent_by_one(sentence: str) -> Callable[[Case], bool]:
    """A signal for the process that the file names, which is this one or in the caller's group, comes with one of the two."""

    def applies(case: Case) -> bool:
        original, ours = signals_in(case.original), signals_in(case.ours)
        sent = {each[1] for each in case.others() if each[0] in ("daemon_pid_file_kill", "daemon_pid_file_kill_wait")}
        is_more = original < ours or ours < original
        is_polled = case.call == "poll" and {case.original, case.ours} == {"0", "1"}
        return (is_polled or is_more and original ^ ours <= sent) and any("daemon_pid_file_kill" in name for name in caused_by(sentence, case))

    return applies


def is_killed_by_one(sentence: str) -> Callable[[Case], bool]:
    """The signal ends the process."""

    def applies(case: Case) -> bool:
        sent = {f"signal {each[1]}" for each in case.others() if each[0] in ("daemon_pid_file_kill", "daemon_pid_file_kill_wait")}
        statuses = case.found.get(f"{case.role} status", (None, None))
        is_ended = [status in sent for status in statuses]
        is_lost = is_ended[0] and case.original is None or is_ended[1] and case.ours is None or case.property in ("status", "dies")
        is_sent = any("daemon_pid_file_kill" in name for name in caused_by(sentence, dataclasses.replace(case, name=f"{case.role} status")))
        return is_ended[0] != is_ended[1] and is_lost and is_sent

    return applies


def signals_in(value: Any) -> set[int]:
    return {int(word) for word in (value if isinstance(value, list) else str(value or "").split()) if int(word) > 0}


def is_later(sentence: str) -> Callable[[Case], bool]:
    """The program of daemon_exec() ends in another call than with the original, which has given up."""

    def applies(case: Case) -> bool:
        are_children = {str(CHLD)} >= {*(case.original or []), *(case.ours or [])}
        ran = [name for name in case.found if re.fullmatch(rf"{re.escape(case.role)} \d+ daemon_execv? returns", name)]
        return are_children and any(sentence in causes(case, name) for name in ran)

    return applies


CONSEQUENCES += [Row(SENTENCE, r"main[.\w]* \d+ handlers", is_later(SENTENCE)) for SENTENCE in (SPARED, LOW, GOES_ON, NEEDS)]

SEES_SIGNAL = r"main[.\w]* (ShdPnd|SigPnd|\d+ handlers)|" + call("drain", "daemon_signal_next", "poll", aspects="returns|detail")
for SENTENCE in (KINDS, STALE, NOT_OBEYED, UNPROVEN, NOBODY, REMOVE, NEEDS):
    CONSEQUENCES += [
        Row(SENTENCE, call("rename", "unlink", "chmod", "write", aspects="returns|errno"), is_there_for_one(SENTENCE)),
        Row(SENTENCE, SEES_SIGNAL, is_sent_by_one(SENTENCE)),
        Row(SENTENCE, AFTERWARDS, is_killed_by_one(SENTENCE)),
    ]


# --- descriptors, for whatever reason ------------------------------------------------------------------------------------

for SENTENCE in sorted({MORE, CLOSES_LOG, AGAIN, *(each.sentence for each in ROWS)}):
    row(SENTENCE, DESCRIPTOR)(is_because_of(SENTENCE))
