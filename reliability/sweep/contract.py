"""What a start with a fault has to come to.

Unless an entry of `ENTRIES` says otherwise: where a call fails, the starter's line names the step and the errno; where a process is
killed, it says so; and nothing is left. An entry holds for every run that it matches, and one that matches none, or does not
hold, fails the sweep: so the list stays true.
"""

from __future__ import annotations

import dataclasses
import os
import re
from typing import Iterable

import errnos
from trial import GONE, KILL, STARTED, STAYS, TOLD, Result


@dataclasses.dataclass(frozen=True)
class Entry:
    subjects: str
    where: str  # ROLE CALL(WHAT)=FAULT, as a pattern
    outcomes: tuple[str, ...]
    why: str
    says: str = ""  # what the line says then, where it is not the errno
    allows: str = ""  # problems that are none here, as a pattern
    sometimes: bool = False  # whether the call is made at all depends on who runs when

    def matches(self, result: Result) -> bool:
        # Rust's interface is what the C interface calls.
        subject = re.sub("^rust-", "c-", result.subject)
        return bool(re.fullmatch(self.subjects, subject) and re.fullmatch(self.where, result.where))


ENTRIES: list[Entry] = []


ALL = ".*"
OURS = "c-.*|python.*"


def harmless(subjects: str, where: str, why: str, sometimes: bool = False) -> None:
    """The start succeeds, and the daemon is as it is to be."""
    ENTRIES.append(Entry(subjects, where, (STARTED,), why, sometimes=sometimes))


def entry(subjects: str, where: str, outcomes: tuple[str, ...], why: str, says: str = "", allows: str = "") -> None:
    ENTRIES.append(Entry(subjects, where, outcomes, why, says, allows))


# Every call that anybody makes.
harmless(ALL, r"\w+ close\(.*\)=E\w+", "Linux has closed the descriptor, whatever it says")
harmless(ALL, r"\w+ sigaltstack\(\)=E\w+", "Rust's runtime takes down its stack for signals")
harmless(ALL, r"\w+ set_robust_list\(\)=E\w+", "the C library's, for mutexes that are shared; it does not look either")
harmless(ALL, r"\w+ (openat|read|pread64|write|pwrite64|ftruncate|flock|dup2|wait4|waitid)\(.*\)=EINTR", "it is called again")
harmless(OURS, r"\w+ poll\(\)=E\w+", "it is called again; what it was to wait for is found by the calls after it")
entry("c-fork", r"daemon rt_sigprocmask\(SIG_BLOCK\)=E\w+", (STARTED,),
      "SIGPIPE of a program that has left already ends the daemon, if it could not be held back; with a set that is one it can",
      allows="the starter says 0, and there is no daemon")
harmless(ALL, r"\w+ rt_sigprocmask\(SIG_BLOCK\)=E\w+", "what was to be held back meanwhile could have come at another time")
harmless(ALL, r"(starter|leader|helper|between) rt_sigprocmask\(SIG_SETMASK\)=E\w+",
         "the process ends, or its child has a mask set of its own")

# The C library: look-up of names, memory.
harmless(OURS, r"starter connect\(.*nscd.*\)=E\w+", "nscd is asked first, and mostly not there")
entry(OURS, r"starter socket\(\)=E\w+", (STARTED, TOLD), "the same; for syslog it is needed")
harmless(OURS, r"starter newfstatat\(/\)=E\w+", "the C library looks whether its root has changed")
harmless("c-.*", r"starter newfstatat\(/proc/self/task\)=E\w+", "threads that cannot be counted are not refused")
harmless(OURS, r"starter newfstatat\(/etc/passwd\)=E\w+", "the C library asks for the size of its buffer")
harmless(OURS, r"starter \w+\(/etc/group\)=E\w+",
         "getgrouplist(3) does not tell: the daemon has fewer supplementary groups, never more")
entry(OURS, r"starter \w+\(/etc/nsswitch\.conf\)=E\w+", (TOLD, STARTED),
      "the C library goes on with what it knows, or knows nobody, and does not always say why",
      says=r"(user|stdout) failed: daemon.*: .* \(\d+ E\w+\)")
entry(OURS, r"starter (openat|read)\(/etc/passwd\)=(EBADF|ENOENT|EPERM|ESRCH)", (TOLD,),
      "errors that getpwnam(3) has for a name that is not found",
      says=r"(user|stdout) failed: daemon \(no such user\): No such file or directory \(2 ENOENT\)")
entry(OURS, r"starter lseek\(/etc/passwd\)=E\w+", (TOLD,), "the C library says ESPIPE for all",
      says=r"(user|stdout) failed: daemon: Illegal seek \(29 ESPIPE\)")
harmless(ALL, r"\w+ (brk|getrandom|munmap)\(\)=E\w+", "malloc(3) has memory from elsewhere, and other random numbers")

# A line or log that is kept while the program runs.
GUARDED = r"((starter|daemon) newfstatat\(pipe\)|daemon newfstatat\(daemon\.log\))"
harmless(ALL, GUARDED + r"=(?!EBADF)E\w+", "that it is still that, and no file of the program's, is taken for granted")
entry(ALL, GUARDED + "=EBADF", (STARTED, TOLD), "the program has closed it, and cannot hear or say anything by it", says=".*", allows="left: .*")

# What is asked and need not be answered.
harmless("python.*", r"starter newfstatat\(/proc/self/task\)=E\w+", "nobody is warned of threads")
harmless("python.*", r"starter (openat|newfstatat|getdents64|fcntl)\((/proc/self/fd|\?, F_GETFD)\)=E\w+", "what the program has open is not named")
harmless(OURS, r"starter (openat|read)\(/proc/\d+/comm\)=E\w+", "the parent's name is not known: it counts as no supervisor")
harmless(OURS, r"starter capget\(\)=E\w+", "whether it may change ids is not known; the calls that do it say so")
harmless(OURS, r"starter getsockname\(stdin\)=E\w+", "standard input is no socket, so inetd has not started this")
harmless(OURS, r"starter fcntl\(stderr, F_GETFD\)=E\w+", "standard error is not kept until readiness then")
entry(ALL, r"\w+ openat\(daemon\.(log|pid)\)=EEXIST", (STARTED, TOLD), "the file came in between: it is opened as it is, or tried again")
harmless(OURS, r"starter (openat|pread64)\(/proc/sys/fs/protected_hardlinks\)=E\w+", "hard links are taken for unprotected: it is looked twice")
harmless(OURS, r"starter fstatfs\(\)=E\w+", "the same")
entry(ALL, r"starter (openat|flock)\(daemon\.pid\)=(EBADF|ELOOP|ENOENT|EPERM)", (STARTED, TOLD),
      "a file that was removed or exchanged meanwhile is tried again; a lock that only writers can have is refused",
      says=r"pid file failed: .*its file system cannot keep the daemon's user from writing to it.* \(95 EOPNOTSUPP\)")
entry(OURS, r"starter openat\((\.|\d+|tmp|sweep-\w+)\)=ELOOP", (TOLD,), "what is on the way to the log file and is a link is no directory",
      says=r"(stdout|stderr) failed: .*daemon\.log: Not a directory \(20 ENOTDIR\)")
entry(OURS, r"starter newfstatat\(daemon\.log\)=E\w+", (STARTED, TOLD), "whether a log file is still at its path is looked at again")
entry(OURS, r"starter openat\(daemon\.log\)=ELOOP", (STARTED, TOLD), "a link to a log file is followed, unless it is to be emptied")
harmless(ALL, r"\w+ flock\(daemon\.pid\)=EAGAIN", "somebody asks about the file at this moment: it is tried again")
entry(ALL, r"(starter|daemon) newfstatat\(daemon\.pid\)=E\w+", (STARTED, TOLD),
      "the file is not known to be the one at its path: it is tried again, or not taken for ours any more",
      says=r"(pid file failed: .*: Bad file descriptor \(9 EBADF\)|daemon_pid_file_create failed: .* \(\d+\))")
entry(OURS, r"starter rt_sigaction\(.*\)=E\w+", (STARTED, TOLD),
      "a number that may not be asked about is left alone; SIGHUP, SIGINT and SIGTERM are not, nor what is in a signal map",
      says=r"signal map failed: .*: Invalid argument \(22 EINVAL\)")
harmless("c-(notify|fork)", r"helper rt_sigaction\(.*\)=E\w+", "nobody can call the start off by this signal")
harmless(OURS, r"\w+ pidfd_open\(\)=E\w+", "the other end of the line, and looking from time to time, serve as well")
harmless(OURS, r"\w+ signalfd4\(\)=E\w+", "nobody can call the start off")
harmless(OURS, r"\w+ prctl\(PR_[GS]ET_CHILD_SUBREAPER\)=E\w+", "the daemon's end is noticed all the same, without its status")
harmless(OURS, r"\w+ prctl\(PR_SET_NAME\)=E\w+", "a name for people")
harmless(ALL, r"\w+ wait4\(\)=E\w+", "the child has ended and is init's in a moment")

entry(OURS, r"(starter|helper) pipe2\(\)=ENOPKG", (TOLD,), "a number that has no name here",
      says=r"(pipe|stdout|stderr) failed: .*\(65 errno\)")

# The daemon's steps.
harmless(ALL, r"daemon rseq\(\)=E\w+", "the C library asks the kernel each time on which processor it runs")
harmless(ALL, r"\w+ close_range\(\)=E\w+", "what is open is closed one by one")
harmless("libdaemon", r"daemon (prlimit64\(\)|(openat|getdents64|close)\(/proc/self/fd\))=E\w+", "close_range(2) closes what the list does not name")
harmless(OURS, r"daemon setuid\(\)=E\w+", "that root cannot be had again is what is wanted")
entry(OURS, r"daemon setresuid\(\)=E\w+", (STARTED, TOLD), "the second is a try to be root again, which is to fail")
entry("c-syslog", r"daemon rt_sigaction\(SIGCHLD\)=E\w+", (STARTED, TOLD), "what only puts back what was is not checked")
entry("c-syslog", r"daemon rt_sigprocmask\(SIG_SETMASK\)=E\w+", (STARTED, TOLD),
      "what opens the mask is checked; not what puts it back when the logger is made: with a set that is one it cannot fail",
      allows="the daemon does not end on SIGTERM")
entry(OURS, r"daemon rt_sigprocmask\(SIG_SETMASK\)=E\w+", (STARTED, TOLD),
      "what opens the mask is checked; not what lets SIGPIPE in again after the report: with a set that is one it cannot fail")
entry("python.*", r"daemon rt_sigaction\(.*\)=E\w+", (TOLD,), "Python's own signal.signal(), which says it in its way",
      says=r"start failed: OSError: \[Errno \d+\] .*")
entry(OURS, r"daemon (capget|getgroups|getresuid|getresgid)\(\)=E\w+", (TOLD,), "what cannot be seen is not proven",
      says=r"verify privileges failed: .*: Operation not permitted \(1 EPERM\)")

harmless("c-fork", r"daemon rt_sigtimedwait\(\)=E\w+", "SIGPIPE of a program that has left already; it is tried again",
         sometimes=True)

# The lines between the processes. An error of read(2) is no end: it is read again.
harmless(ALL, r"\w+ read\(pipe\)=E\w+", "it is read again")
harmless(ALL, r"(starter|helper) waitid\(\)=E\w+", "whether the session leader has ended: it has when it has borrowed memory")
entry("c-(notify|fork)", r"leader write\(pipe\)=EPIPE", (STARTED, TOLD), "a caller that is gone needs no PID; this one is there",
      says=r"(start failed: (daemon|session leader): ended before it was ready|report failed: .*)", allows=r"left: .*")
entry(OURS, r"leader write\(pipe\)=E\w+", (TOLD,), "without the daemon's PID the start is torn down",
      says=r"(start failed: session leader: ended before it was ready|report failed: .*)")
entry("libdaemon", r"leader write\(pipe\)=E\w+", (TOLD,), "the same, in the numbers of the original",
      says=r"daemon_fork failed: .* \(\d+\)", allows="left: the file daemon.pid")
entry("c-(open|manual|syslog)|python.*", r"daemon write\(pipe\)=E\w+", (TOLD,), "who cannot say that it is ready cannot say why, and ends",
      says=r"start failed: PID \d+: exited with status 1 before it was ready")
entry("c-fork", r"helper write\(pipe\)=E\w+", (TOLD, STARTED), "the outcome: the daemon reports that it is ready")

harmless("c-notify", r"daemon (socket|sendmsg)\(.*\)=E\w+", "a service manager that cannot be told does not end a daemon")
entry("c-(notify|fork)", r"daemon write\(pipe\)=E\w+", (TOLD, STARTED), "to the helper, and once more to the starter, where the helper may have said it",
      says=r"start failed: PID \d+: exited with status 1 before it was ready")

# Killed. Where a report has been sent nobody can take it back: whoever is killed after it has done its work.
harmless(ALL, r"leader exit_group\(\)=KILL", "it has reported the daemon's PID")
entry(ALL, r"leader rt_sigprocmask\(SIG_SETMASK\)=KILL", (STARTED, TOLD), "it has reported the daemon's PID, or with a helper one of two times",
      says=r"start failed: session leader: killed by signal 9 \(SIGKILL\) before it was ready")
entry(ALL, r"daemon .*=KILL after the report", (STARTED, TOLD), "it was ready: what ends it later is not the start's",
      says=r".*", allows="the starter says 0, and there is no daemon")
entry("c-fork", r"helper .*=KILL after the report", (STARTED, TOLD), "it has told the program, or the daemon is ended for it",
      says=r"start failed: daemon: ended before it was ready")
entry("c-(fork|manual)|python-manual", r"daemon dup2\(daemon\.log\)=E\w+", (TOLD,), "at ready() it is the program that says what failed, and then ends",
      says=r"start failed: PID \d+: exited with status 1 before it was ready")
harmless("c-notify", r"helper write\(pipe\)=E\w+", "the daemon tells the starter itself")
harmless("c-notify", r"helper .*=KILL after the report", "the daemon tells the starter itself")
entry("c-fork", r"starter .*=KILL( after the report)?", (GONE, STAYS), "daemonctx_fork(): the start goes on without the program")
entry("(?!c-fork).*", r"starter .*=KILL after the report", (GONE, STAYS), "the daemon cannot know whether what it has reported is heard")

# Syslog.
harmless("c-syslog", r"logger .*=(KILL|E\w+)", "without it what the daemon writes is lost (SIGPIPE, EPIPE)")
harmless("c-syslog", r"between write\(pipe\)=E\w+", "the starter need not know the logger")

# libdaemon's interface: the program decides what it does about it.
entry("libdaemon", r"(leader|daemon) .*=KILL", (TOLD,), "the numbers of the original; a daemon that is killed leaves its pid file to the next start",
      says=r"(daemon_fork failed: Input/output error \(5\)|daemon_retval_wait failed: Invalid argument \(22\))",
      allows="left: the file daemon.pid")
entry("libdaemon", r"daemon write\(pipe\)=E\w+", (TOLD,), "who cannot say that it is ready cannot say why, and ends",
      says=r"daemon_(fork|retval_wait) failed: .* \(\d+\)")
entry("libdaemon", r"starter poll\(\)=E\w+", (STARTED, TOLD), "daemon_retval_wait() says so; whether the daemon stays is the program's to decide",
      allows=r"left: .*")
harmless("libdaemon", r"starter (rt_sigaction)\(.*\)=E\w+", "a signal that cannot be reset or let in stays as it is")
entry("libdaemon", r"daemon rt_sig(action|procmask)\(.*\)=E\w+", (STARTED, TOLD), "what only puts back what was is not checked")
entry("libdaemon", r"starter pidfd_open\(\)=E\w+", (STARTED, TOLD), "the other end of the line serves as well; ESRCH says that the daemon is gone",
      says=r"daemon_retval_wait failed: Invalid argument \(22\)")
# --- which steps a call belongs to --------------------------------------------------------------------------------------------

# The first that matches counts. What is in none ends the sweep.
STEPS: tuple[tuple[str, str], ...] = (
    (r"starter \w+\(/etc/(passwd|group|nsswitch\.conf)\)", "user|group|supplementary groups|stdout"),
    (r"starter getresuid\(\)", "user"),
    (r"starter (openat|faccessat2|access|getcwd)\(/?\)", "working directory|stdout|stderr"),
    (r"starter \w+\(/dev/null\)", "stdin|stdout|stderr"),
    (r"starter \w+\(daemon\.log.*\)", "stdout|stderr"),
    # The directories on the way to the log file, which are held open, and their status.
    (r"starter (openat|newfstatat)\((\.|\d+|tmp|sweep-\w+)\)", "stdout|stderr"),
    (r"\w+ \w+\(daemon\.pid(, \w+)?\)", "pid file"),
    (r"starter rt_sigaction\(.*\)", "signals"),
    (r"starter (socket|connect|fcntl)\((/dev/log|socket.*)?\)", "stdout|stderr"),
    (r"(starter|helper) pipe2\(\)", "pipe|stdout|stderr"),
    (r"(starter|helper) clone\(\)", "fork"),
    (r"(starter|helper) read\(pipe\)", "report"),
    (r"leader setsid\(\)", "setsid"),
    (r"leader clone\(\)", "second fork"),
    (r"leader write\(pipe\)", "report"),
    (r"daemon rt_sig(action|procmask)\(.*\)", "signals"),
    (r"daemon dup2\(/dev/null\)", "stdin|stdout|stderr"),
    (r"daemon (dup2|ftruncate)\((daemon\.log|pipe)\)", "stdout|stderr"),
    (r"daemon chdir\(/\)", "chdir"),
    (r"daemon prlimit64\(\)", "core limit"),
    (r"daemon setgroups\(\)", "setgroups"),
    (r"daemon setresgid\(\)", "setresgid"),
    (r"daemon setresuid\(\)", "setresuid"),
    (r"daemon capset\(\)", "drop capabilities"),
    (r"daemon clone\(\)", "logger"),
    (r"daemon (write|close)\(.*\)", "report"),
    (r"daemon (capget|getgroups|getresuid|getresgid)\(\)", "verify privileges"),
    (r"helper write\(pipe\)", "start"),
    (r"starter mmap\(\)", ".*"),
    (r"between \w+\(.*\)", "logger"),
)


def steps_of(result: Result) -> str | None:
    return next((steps for where, steps in STEPS if re.fullmatch(where, f"{result.role} {result.call}")), None)


# --- judging ------------------------------------------------------------------------------------------------------------------

ENDED = {
    "leader": r"start failed: session leader: killed by signal 9 \(SIGKILL\) before it was ready",
    "daemon": r"start failed: PID \d+: killed by signal 9 \(SIGKILL\) before it was ready",
    "helper": r"start failed: daemon: ended before it was ready",
    "between": r"logger failed: No child processes \(10 ECHILD\)",
}


def judge(result: Result, line_of: str) -> None:
    """Adds what is wrong to a result of one of ours."""
    found = next((it for it in ENTRIES if it.matches(result)), None)
    if found is None:
        _judge_default(result, line_of)
        return
    result.rule = found.where
    if found.allows:
        result.problems = [problem for problem in result.problems if not re.fullmatch(found.allows, problem)]
    if result.outcome not in found.outcomes:
        result.problems.append(f"not {' or '.join(found.outcomes)} but {result.outcome}: {found.why}")
    elif result.outcome == TOLD:
        errno = "" if result.fault == KILL else _errno_pattern(result, line_of)
        _judge_line(result, "|".join(filter(None, (found.says, errno))))


def _judge_default(result: Result, line_of: str) -> None:
    wanted = GONE if result.role == "starter" and result.fault == KILL else TOLD
    if result.outcome != wanted:
        result.problems.append(f"not {wanted} but {result.outcome}")
    elif wanted == TOLD:
        _judge_line(result, ENDED[result.role] if result.fault == KILL else _errno_pattern(result, line_of))


def _errno_pattern(result: Result, line_of: str) -> str:
    if line_of == "libdaemon":
        return rf"\w+ failed: .* \({errnos.number(result.fault)}\)"
    steps = steps_of(result)
    if steps is None:
        result.problems.append("the table of steps does not know this call")
        steps = ".*"
    # What Python raises in the daemon is told by its type and text.
    return rf"(start failed: \w+: )?({steps}) failed: .*{re.escape(errnos.text(result.fault))}"


def _judge_line(result: Result, pattern: str) -> None:
    if not re.fullmatch(rf"\S+: ({pattern})", result.line):
        result.problems.append("the line does not say it")


# --- others -------------------------------------------------------------------------------------------------------------------


def judge_peer(result: Result) -> None:
    """Of others' the least is asked: that what went wrong is said at all, somewhere on standard error."""
    if result.outcome != TOLD or result.fault == KILL:
        return
    number = errnos.number(result.fault)
    texts = (f"[Errno {number}]", f"({number})", os.strerror(number), "MemoryError" if result.fault == "ENOMEM" else result.fault)
    if not any(text in result.output for text in texts):
        result.problems.append("the errno is not said")


def unused(results: Iterable[Result]) -> list[Entry]:
    """Entries that no run was like."""
    left = [it for it in ENTRIES if not it.sometimes]
    for result in results:
        left = [it for it in left if not it.matches(result)]
    return left
