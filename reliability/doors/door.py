"""The same words as door.c, for the Python package."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import random
import signal
import sys
import time

import daemonctx

STARTED, FAILED, ALREADY, HUNG = 0, 1, 75, 99
PATIENCE = 60  # seconds that anything may take
WITNESS = 3
NOBODY = 65534
NAME = "Python"
EXITING = 0x4  # PF_EXITING

# --- the witness: a lock of every daemon's, beside its pid file and without this library -------------------------------------


def folder() -> str | None:
    return os.environ.get("TRUST_DIR")


def violation(text: str) -> None:
    line = f"{os.getpid()}: {NAME}: {text}\n"
    fd = os.open(f"{folder()}/violations", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666) if folder() else 2
    os.write(fd, line.encode())


def written(fd: int) -> int:
    text = os.pread(fd, 32, 0)
    return int(text) if text.strip() else 0


def is_leaving(pid: int) -> bool:
    """Gone, a zombie, or in exit(2): the kernel gives locks up one after the other, in no promised order."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return True
    return fields[0] in "ZX" or bool(int(fields[6]) & EXITING) or is_killed(pid)


def is_killed(pid: int) -> bool:
    """Sent SIGKILL, and has not run since."""
    try:
        with open(f"/proc/{pid}/status") as status:
            pending = [int(line.split()[1], 16) for line in status if line.startswith(("SigPnd:", "ShdPnd:"))]
    except (OSError, IndexError):
        return True
    return any(mask >> (signal.SIGKILL - 1) & 1 for mask in pending)


def locked(fd: int, kind: int) -> bool:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


def witness_begin() -> None:
    if folder() is None:
        return
    fd = os.open(f"{folder()}/witness", os.O_RDWR | os.O_CREAT, 0o666)
    while not locked(fd, fcntl.LOCK_EX):
        other = written(fd)
        if other and not is_leaving(other) and not locked(fd, fcntl.LOCK_EX) and written(fd) == other and not is_leaving(other):
            violation(f"two daemons: {other} is one already")
        time.sleep(0.0005)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    os.dup2(fd, WITNESS, inheritable=False)
    os.close(fd)


def witness_end() -> None:
    if folder() is not None:
        os.ftruncate(WITNESS, 0)
        os.close(WITNESS)


def witness_holder() -> int:
    fd = os.open(f"{folder()}/witness", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        holder = 0 if locked(fd, fcntl.LOCK_SH) else written(fd)
    finally:
        os.close(fd)
    return holder if holder and not is_leaving(holder) else 0


# --- the door ---------------------------------------------------------------------------------------------------------------


def prepare() -> None:
    fd = os.open("/dev/null", os.O_RDWR)
    if fd != WITNESS:
        os.dup2(fd, WITNESS)
        os.close(fd)


def start(pid_file: str, log: str | None = None, truncate: bool = False, forgery: tuple[str, str] | None = None) -> int:
    """In a process that leaves; only the starter of a start that was refused comes back.

    With `forgery` the daemon gives up its privileges and is hostile, as forge.h says: a victim, and a mode.
    """
    prepare()
    forge = ctypes.CDLL(os.environ["TRUST_FORGE"]).forge if forgery else None
    context = daemonctx.DaemonContext(
        pidfile=daemonctx.PidFile(pid_file),
        detach_process=True,
        files_preserve=[WITNESS],
        uid=NOBODY if forgery else None,
        gid=NOBODY if forgery else None,
        stdout=daemonctx.LogFile(log, append=not truncate, mode=0o640) if log else None,
    )
    try:
        context.open()
    except daemonctx.AlreadyRunningError as error:
        print("door:", error, file=sys.stderr, flush=True)
        return ALREADY
    except daemonctx.DaemonError as error:
        print("door:", error, file=sys.stderr, flush=True)
        return FAILED
    signal.alarm(0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    witness_begin()
    if forge and forgery:
        forge(pid_file.encode(), int(forgery[0]), forgery[1].encode())
    say("this") if log else None
    while signal.sigwait({signal.SIGTERM, signal.SIGHUP}) == signal.SIGHUP:
        try:
            context.reopen_streams()
        except daemonctx.DaemonError:
            pass  # The stream goes on with the old file.
        say("this, too") if log else None
    witness_end()
    context.close()
    os._exit(0)


def say(what: str) -> None:
    try:
        os.write(1, f"the daemon {os.getpid()} has written {what}\n".encode())
    except OSError:
        pass  # A full disk.


def stop(pid_file: str) -> int:
    try:
        daemonctx.PidFile(pid_file).stop(float(os.environ.get("TRUST_GRACE", "10")))
        return 0
    except daemonctx.DaemonError as error:
        print("door:", error, file=sys.stderr, flush=True)
        return error.errno or errno.EIO


def send(pid_file: str, signum: int) -> int:
    try:
        daemonctx.PidFile(pid_file).signal(signum)
        return 0
    except daemonctx.DaemonError as error:
        return error.errno or errno.EIO


def status(pid_file: str) -> int:
    file = daemonctx.PidFile(pid_file)
    try:
        # By the same question: asked twice there may be two answers.
        said, pid = file._native.status()
        return pid if said == "running" else 0
    except daemonctx.DaemonError:
        return -1


def cycle(pid_file: str) -> int:
    with daemonctx.PidFile(pid_file):
        pass
    return 0


# --- the same work in a process of its own ------------------------------------------------------------------------------------

START, STOP, KILL, ASK = range(4)


def do_work(work: int, pid_file: str) -> int:
    if work == START:
        return start(pid_file)
    if work == STOP:
        return int(stop(pid_file) != 0)
    if work == KILL:
        return errno.ESRCH if send(pid_file, signal.SIGKILL) == errno.ESRCH else 0
    return int(status(pid_file) < 0)


def set_to_work(work: int, pid_file: str, gate: int = -1, stderr: int = 2) -> int:
    child = os.fork()
    if child == 0:
        outcome = 97
        try:
            os.dup2(stderr, 2)
            if gate >= 0:
                os.read(gate, 1)
                os.close(gate)
            signal.alarm(PATIENCE)
            outcome = do_work(work, pid_file)
        except BaseException as error:  # noqa: BLE001: a forked child must not go on with its parent's work.
            print("door:", type(error).__name__, error, file=sys.stderr, flush=True)
        finally:
            os._exit(outcome)
    return child


def outcome_of(child: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return HUNG if code == -signal.SIGALRM else 128 - code if code < 0 else code


def done(work: int, pid_file: str) -> int:
    """SIGTERM is an exception here: a start whose daemon was ended by one before it was ready fails with a line that says so."""
    said = os.memfd_create("said")
    outcome = outcome_of(set_to_work(work, pid_file, stderr=said))
    text = os.pread(said, 4096, 0)
    os.close(said)
    os.write(2, text) if text else None
    told_to_end = outcome == FAILED and text.endswith(b"start failed: SystemExit: Terminating on signal 15\n")
    return 128 + signal.SIGTERM if told_to_end else outcome


def settled(seconds: float) -> int:
    until = time.monotonic() + seconds
    while not (holder := witness_holder()) and time.monotonic() < until:
        time.sleep(0.001)
    return holder


def one_herd(pid_file: str, count: int, counts: dict[int, int]) -> int:
    gate, key = os.pipe()
    os.set_inheritable(key, False)
    children = []
    for _ in range(count):
        children.append(set_to_work_at(gate, key, pid_file))
    os.close(gate)
    os.close(key)
    started = 0
    for child in children:
        outcome = outcome_of(child)
        counts[outcome] = counts.get(outcome, 0) + 1
        started += outcome == STARTED
    return started


def set_to_work_at(gate: int, key: int, pid_file: str) -> int:
    child = os.fork()
    if child == 0:
        outcome = 97
        try:
            os.close(key)
            os.read(gate, 1)
            os.close(gate)
            signal.alarm(PATIENCE)
            outcome = do_work(START, pid_file)
        finally:
            os._exit(outcome)
    return child


def herd(pid_file: str, count: int, rounds: int) -> int:
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    counts: dict[int, int] = {}
    began = time.monotonic()
    for number in range(rounds):
        started = one_herd(pid_file, count, counts)
        daemon, named = settled(5), status(pid_file)
        if started != 1:
            violation(f"round {number}: {started} of {count} starts at once say that they have started")
        if not daemon or daemon != named:
            violation(f"round {number}: the daemon is {daemon}, the file names {named}")
        if number % 2 == 0:
            stop(pid_file)
        elif daemon:
            os.kill(daemon, signal.SIGKILL)  # Our child: nobody else has its PID.
        try:
            while os.waitpid(-1, 0 if daemon else os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
    started, running = counts.pop(0, 0), counts.pop(ALREADY, 0)
    for outcome, times in counts.items():
        violation(f"{times} starts ended with {outcome}")
    print(f"{NAME}: {rounds} rounds of {count} starts at once: {started} started, {running} found it running, {counts or 'nothing'}"
          f" else, {time.monotonic() - began:.1f} s")
    return 0


def act(pid_file: str, seed: int, operations: int) -> int:
    dice = random.Random(seed)
    stale = float(os.environ.get("TRUST_STALE", "40")) / 1000
    for _ in range(operations):
        work = dice.choices([START, STOP, KILL, ASK], [40, 25, 25, 10])[0]
        outcome = done(work, pid_file)
        expected = {STARTED, ALREADY, 128 + signal.SIGKILL, 128 + signal.SIGTERM} if work == START else {0}
        if outcome not in expected and work in (START, STOP) or outcome == HUNG:
            violation(f"work {work} has ended with {outcome}")
        print(work, outcome, flush=True)
        time.sleep(dice.uniform(0, stale) if work == KILL and dice.random() < 0.5 else dice.uniform(0, 0.003))
    return 0


# --- for ever -----------------------------------------------------------------------------------------------------------------


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd")) - 1


def pages() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0])


def children() -> int:
    with open("/proc/thread-self/children") as file:
        return len(file.read().split())


def restart_once(pid_file: str) -> int:
    # Python has no start that comes back: as any program does it, in a child.
    return outcome_of(set_to_work(START, pid_file)) or stop(pid_file)


def repeat(what: str, once: object, pid_file: str, times: int) -> int:
    began, before, outcome = time.monotonic(), (0, 0, 0), 0
    for number in range(times):
        outcome = once(pid_file)  # type: ignore[operator]
        if outcome:
            violation(f"{what} {number}: {outcome}")
            break
        if number in (0, times // 100):  # The first few fill what is allocated once.
            before = open_descriptors(), children(), pages()
    after = open_descriptors(), children(), pages()
    if after[:2] != before[:2] or after[2] > before[2]:
        violation(f"{what}: {before} became {after}")
    print(f"{NAME}: {what}, {times} times: (descriptors, children, pages) {before} before, {after} after,"
          f" {time.monotonic() - began:.1f} s")
    return int(outcome != 0)


def main(word: str, pid_file: str, *rest: str) -> int:
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if word == "start":
        return start(pid_file, rest[0] if rest else None, len(rest) > 1)
    if word == "hostile":
        return start(pid_file, forgery=(rest[0], rest[1]))
    if word == "status":
        pid = status(pid_file)
        print(pid)
        return int(pid < 0)
    if word == "restart":
        return repeat("start and stop", restart_once, pid_file, int(rest[0]))
    if word == "cycle":
        return repeat("taken and given up", cycle, pid_file, int(rest[0]))
    words = {"stop": stop, "signal": send, "herd": herd, "act": act}
    return words[word](pid_file, *map(int, rest))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
