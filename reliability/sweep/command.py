"""The sweep over `daemonctx start`: each of its variants, disturbed at each call of each process.

    python reliability/sweep/command.py COMMAND [--variant NAME ...] [--kind KIND ...] [--every] [--runs N --seed N]

COMMAND is the binary of the command. Needs root, as the daemons of some variants change their user. Each worker has a mount namespace
with a /run and a /dev of its own. Everything is judged from outside: exit status, processes, files, locks, and what the next `start`
and `stop` say.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import fcntl
import itertools
import multiprocessing
import os
import pathlib
import pwd
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import house
import trace
from disturbances import KINDS, Disturbance, disturbances
from variants import NAME, VARIANTS, Variant

HERE = pathlib.Path(__file__).resolve().parent
# How often a call may not be reached: how often a process looks may depend on which is faster.
TRIES = 3
# In seconds: what a starter may take that has not reached its timeout, what the kernel takes to end what was killed, what a monitor
# takes to notice that its starter was killed, and to write down again what could not be written.
LIMIT, SOON, GRACE = 10.0, 0.5, 3.0
# What programs leave.
PROGRAMS_FILES = {"sign", "second", "child.pid", "ready", "socket", "log"}
# What launched.c exits with.
OWN_END = 3
OUTPUTS = ("/dev/full", "closed pipe", "closed")


@dataclasses.dataclass
class Result:
    variant: str
    where: str
    kind: str
    hit: bool
    status: int | None
    milliseconds: float
    problems: list[str]
    said: str


class Trial:
    def __init__(self, variant: Variant, place: Place, number: int) -> None:
        self.variant, self.place = variant, place
        self.folder = place.folder / str(number)
        self.folder.mkdir()
        (self.folder / "session").mkdir(mode=0o700)
        nobody = pwd.getpwnam("nobody")
        if variant.user or "nobody" in variant.options:
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        if variant.user:
            os.chown(self.folder / "session", nobody.pw_uid, nobody.pw_gid)
        self.before = self._files()
        self.err = self.folder.with_suffix(".err")

    # --- running ------------------------------------------------------------------------------------------------------------

    def _path(self, text: str) -> str:
        return text.format(folder=self.folder, escaped=str(self.folder).replace("-", "\\x2d").replace("/", "-"))

    def _start_line(self) -> list[str]:
        program = self.place.program
        if self.variant.is_chroot:
            inside = self.folder / "launched"
            if not inside.exists():
                os.link(program, inside)
            words = ["/launched", self.variant.mode, "/"]
        elif self.variant.mode == "missing":
            words = [str(self.folder / "missing")]
        else:
            words = [str(program), self.variant.mode, str(self.folder)]
        options = [self._path(option) for option in self.variant.options]
        timeout = [] if "--ready-timeout" in options else ["--ready-timeout", "4s"]
        return [str(self.place.command), "start", "--name", NAME, *options, *timeout, "--", *words]

    def _stop_line(self) -> list[str]:
        own = self._path(self.variant.pid_file or "")
        return [str(self.place.command), "stop", *(["--pidfile", own] if own.endswith("own.pid") else [NAME])]

    def _run(self, command: list[str], limit: float, output: str = "") -> int | None:
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if self.variant.user else {}
        surroundings = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        if self.variant.user:
            surroundings["XDG_RUNTIME_DIR"] = self._path(self.variant.run)
        with open("/dev/full" if output == "/dev/full" else self.err, "wb") as err:
            descriptor = err.fileno()
            if output == "closed pipe":
                reading, descriptor = os.pipe()
                os.close(reading)
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, env=surroundings, cwd="/",
                                       preexec_fn=close_outputs if output == "closed" else None, **user)
            if output == "closed pipe":
                os.close(descriptor)
            pidfd = os.pidfd_open(process.pid)
            ended = select.select([pidfd], [], [], limit)[0]
            os.close(pidfd)
            if not ended:
                process.kill()
            status = process.wait()
            return status if ended else None

    def inject(self, options: list[str], output: str = "") -> trace.Trace:
        calls = self.folder.with_suffix(".calls")
        calls.touch()
        os.chmod(calls, 0o666)
        injector = [str(self.place.injector), "-b", "-t", str(int(LIMIT * 1000)), "-q", str(self.variant.quiet)]
        self._run([*injector, *options, str(calls), *self._start_line()], 2 * LIMIT, output)
        return trace.read(calls, str(self.folder))

    def said(self) -> str:
        try:
            return self.err.read_text(errors="replace").strip().replace(str(self.folder) + "/", "")
        except OSError:
            return ""

    def finish(self) -> None:
        house.end_all()
        house.heard(self.place.log)
        shutil.rmtree(self.folder, ignore_errors=True)
        for suffix in (".err", ".calls"):
            self.folder.with_suffix(suffix).unlink(missing_ok=True)
        for path in pathlib.Path("/run").rglob("*"):
            if not path.is_dir():
                path.unlink()

    # --- judging ------------------------------------------------------------------------------------------------------------

    def judge(self, found: trace.Trace, at: Disturbance | None) -> list[str]:
        status, milliseconds = found.ends.get("0", (None, 0.0))
        if status is None:
            return [f"the starter does not end: {self._whereabouts(found)}"]
        role = self.variant.role(at.call.role) if at else ""
        kind = at.kind if at else ""
        is_killed = kind == "kill" and role == "starter"
        problems = self._judge_status(status, at)
        if at is not None and kind == "kill":
            # The injector may have ended before what it has killed.
            house.wait_until(lambda: is_gone(found.pids[at.call.role]), GRACE)
        if status == 0 or is_killed and self._has_confirmed(found):
            return problems + self._judge_daemon(found, role, kind, at)
        if not house.wait_until(lambda: not house.living(), GRACE if is_killed else SOON):
            problems.append(f"left {self._described(found)}")
            house.end_all()
        allowed = set()
        if is_killed and self.variant.role("0.0.0") == "monitor" and not any(self.variant.role(it) == "monitor" for it in found.pids):
            # No monitor, so no process that could know of them. They are not locked.
            allowed = {self._path(self.variant.pid_file or ""), self._in_run(".lock")}
        if is_killed and self.variant.output == "syslog" and "0.0.1" not in found.pids:
            allowed = {self._path(self.variant.pid_file or ""), self._in_run(".lock")}
        problems += self._judge_files(allowed, at)
        return problems + self._judge_next(is_up=False)

    def _judge_status(self, status: int, at: Disturbance | None) -> list[str]:
        kind = at.kind if at else ""
        if self._ended_too_early(status):
            return []
        if status == 0 and not self.variant.succeeds:
            return ["0, and the program was never ready"]
        if kind in ("", "stop", "delay") and (status == 0) != self.variant.succeeds:
            return [f"fails: {status}"]
        if kind == "signal" and at is not None and self.variant.succeeds and status not in (0, -signal.Signals[at.what]):
            return [f"neither succeeds nor is cancelled: {status}"]
        if status > 0 and not self.said() and kind in ("kill", "stop", "delay", "signal"):
            return [f"{status} without a word"]
        if status < 0 and kind == "error" and status != -signal.SIGABRT:
            return [f"killed by {-status}"]
        return []

    def _ended_too_early(self, status: int | None) -> bool:
        """Where the machine is busy, the program that is to be started again may end before the starter could confirm: a failed start."""
        return self.variant.restarts and status == OWN_END

    def _has_confirmed(self, found: trace.Trace) -> bool:
        """A starter that was killed after its last message: nothing can be later than its last call."""
        # The call that it was killed at was not made.
        names = [call.name for call in found.calls if call.role == "0"][:-1]
        return names.count("sendto") >= 2

    def _judge_daemon(self, found: trace.Trace, role: str, kind: str, at: Disturbance | None) -> list[str]:
        was_killed = kind == "kill" and ("program" in role or role in ("daemon", "monitor"))
        if self.variant.has_sign and not (self.folder / "sign").exists():
            return ["0: the program has not said that it is ready"]
        problems: list[str] = []
        pid = 0
        if was_killed:
            problems += self._judge_killed(found, role)
        elif not house.wait_until(lambda: not self._faults(), GRACE):
            problems += self._faults()
        else:
            pid = self._program()
        if kind in ("", "stop", "delay", "signal") or role == "starter":
            problems += self._judge_output()
        is_up = pid != 0
        return problems + self._judge_next(is_up, pid, at)

    def _faults(self) -> list[str]:
        """What is not as it must be where a daemon runs."""
        state = self._state()
        program, monitor = (int(state.get(name, "0").split()[0]) for name in ("program", "monitor"))
        faults = []
        if state.get("state") != "running":
            faults.append(f"0: state {state.get('state')}")
        if self.variant.restarts and state.get("restarts", "0") == "0":
            faults.append("0: not restarted")
        if is_gone(program):
            faults.append("0: no program")
        if is_gone(monitor):
            faults.append("0: no monitor")
        if not is_locked(self._in_run(".lock")):
            faults.append("0: the name is not locked")
        if self.variant.pid_file is not None:
            path = self._path(self.variant.pid_file)
            if read(path) != f"{program}\n":
                faults.append("0: wrong pid file")
            if not is_locked(path):
                faults.append("0: the pid file is not locked")
        return faults

    def _judge_killed(self, found: trace.Trace, role: str) -> list[str]:
        """The start was over. A program that was killed is recorded as ended; of a monitor that was, the program goes on."""
        if role != "monitor":
            over = ("ended", "left") if not self.variant.restarts else ("running",)
            is_over = house.wait_until(lambda: self._state().get("state") in over, GRACE)
            return [] if is_over else [f"0: state {self._state().get('state')!r} of a program that was killed"]
        program = self._program()
        kept = {program} | {pid for pid in house.living() if house.name(pid) == "daemonctx-log"}
        if is_gone(program):
            # Killed between the end of a program that put itself into the background and the look for its daemon, which has left the
            # session and lost its parent: nothing proves whose it is (docs/monitor.md).
            house.end_all()
            return []
        if not house.wait_until(lambda: set(house.living()) <= kept, GRACE):
            return [f"0: left beside the program {self._described(found, kept)}"]
        return []

    def _judge_output(self) -> list[str]:
        if self.variant.output == "log" and not house.wait_until(lambda: read(str(self.folder / "log")).count("\n") >= 2, GRACE):
            return ["0: the log file lacks lines"]
        if self.variant.output == "syslog":
            lines: list[str] = []

            def are_there() -> bool:
                lines.extend(house.heard(self.place.log))
                return sum("]: out" in line or "]: err" in line for line in lines) >= 2

            if not house.wait_until(are_there, GRACE):
                return [f"0: logged {lines}"]
        return []

    def _judge_next(self, is_up: bool, pid: int = 0, at: Disturbance | None = None) -> list[str]:
        """The next start, and a stop, in what this one has left."""
        problems = []
        if not is_up and not house.living():
            for name in PROGRAMS_FILES - {"log"}:
                (self.folder / name).unlink(missing_ok=True)
        # What a killed monitor left is for the user to decide.
        must = is_up or not house.living()
        status = self._run(self._start_line(), LIMIT)
        said = self.said()
        if must and self._ended_too_early(status):
            pass
        elif must and (status == 0) != self.variant.succeeds:
            problems.append(f"the next start: {status}: {said}")
        # One that puts itself into the background may be followed meanwhile.
        elif is_up and f"PID {pid}" not in said and f"PID {self._program()}" not in said:
            problems.append(f"the next start does not find PID {pid}: {said}")
        elif must and self.variant.succeeds and not house.wait_until(lambda: not self._faults(), GRACE):
            problems += [f"after the next start: {fault}" for fault in self._faults()]
        status = self._run(self._stop_line(), LIMIT)
        if status != 0:
            problems.append(f"stop fails: {status}: {self.said()}")
        if not house.wait_until(lambda: not house.living(), GRACE):
            problems.append(f"after stop: left {self._described(trace.Trace())}")
        return problems + [f"after stop: {it}" for it in self._judge_files(set(), at)]

    def _judge_files(self, allowed: set[str], at: Disturbance | None) -> list[str]:
        """What is new."""
        left = self._files() - self.before
        left = {path for path in left if pathlib.Path(path).parent != self.folder or os.path.basename(path) not in PROGRAMS_FILES | {"launched"}}
        problems = []
        for path in sorted(left):
            if path in allowed and not is_locked(path):
                continue
            # Files that could not be removed: the next start takes them, and they name no process that lives.
            if at is not None and at.kind == "error" and at.call.what.startswith("unlink") and os.path.basename(path) in at.call.what:
                continue
            problems.append(f"left the file {path.replace(str(self.folder), '')}" + (", locked" if is_locked(path) else ""))
        return problems

    def _in_run(self, suffix: str) -> str:
        return f"{self._path(self.variant.run)}/daemonctx/{self._path(self.variant.key)}{suffix}"

    def _files(self) -> set[str]:
        return {str(path) for top in (pathlib.Path("/run"), self.folder) for path in top.rglob("*") if not path.is_dir()}

    def _state(self) -> dict[str, str]:
        return dict(line.partition("=")[::2] for line in read(self._in_run(".state")).splitlines())

    def _program(self) -> int:
        return int(self._state().get("program", "0").split()[0])

    def _described(self, found: trace.Trace, besides: set[int] = frozenset()) -> list[str]:
        roles = {pid: self.variant.role(place) for place, pid in found.pids.items()}
        return [f"{roles.get(pid, '')} {house.name(pid)}".strip() for pid in house.living() if pid not in besides]

    def _whereabouts(self, found: trace.Trace) -> str:
        last = {call.role: call.what for call in found.calls}
        living = [(role, pid) for role, pid in found.pids.items() if not is_gone(pid)]
        return "; ".join(f"{self.variant.role(role)} {house.state(pid)} {house.waits_in(pid)} after {last.get(role)}" for role, pid in living)


def close_outputs() -> None:
    os.close(1)
    os.close(2)


def read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def is_gone(pid: int) -> bool:
    return house.state(pid) in ("Z", "X", "")


def is_locked(path: str) -> bool:
    try:
        with open(path, encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class Place(house.House):
    """A worker's, with a /run of its own, and the programs where every user may execute them."""

    def __init__(self, worker: int, command: str) -> None:
        super().__init__(worker)
        self.folder.chmod(0o755)
        house.mount_run()
        self.injector, self.program, self.command = (self.folder / name for name in ("injector", "launched", "daemonctx"))
        for made in (self.injector, self.program, self.command):
            source = command if made.name == "daemonctx" else os.path.join(os.environ["SWEEP_BUILD"], made.name)
            shutil.copy(source, made)


_place: Place
_numbers = itertools.count()


def _enter(workers: multiprocessing.Queue[int], command: str) -> None:
    global _place
    _place = Place(workers.get(), command)


def _trace(variant: Variant) -> tuple[trace.Trace, list[str], str]:
    trial = Trial(variant, _place, next(_numbers))
    found = trial.inject([])
    said = trial.said()
    problems = trial.judge(found, None)
    trial.finish()
    return found, problems, said


def _try(job: tuple[Variant, Disturbance]) -> Result:
    variant, at = job
    for _ in range(TRIES):
        trial = Trial(variant, _place, next(_numbers))
        found = trial.inject(at.options())
        said = trial.said()
        problems = trial.judge(found, at) if found.hit else []
        trial.finish()
        if found.hit:
            break
    status, milliseconds = found.ends.get("0", (None, 0.0))
    where = f"{variant.role(at.call.role)} {at.call.what}#{at.call.nth}={at.what}"
    return Result(variant.name, where, at.kind, found.hit, status, milliseconds, problems, said)


def _try_output(job: tuple[Variant, str]) -> Result:
    """Nobody can be told; the outcome is the same."""
    variant, output = job
    trial = Trial(variant, _place, next(_numbers))
    found = trial.inject([], output)
    problems = trial.judge(found, None)
    trial.finish()
    status, milliseconds = found.ends.get("0", (None, 0.0))
    return Result(variant.name, f"output: {output}", "output", True, status, milliseconds, problems, "")


def _leave(_: int) -> None:
    shutil.rmtree(_place.folder, ignore_errors=True)
    time.sleep(0.2)  # So that each worker gets one.


def without_linker(found: trace.Trace) -> trace.Trace:
    """Without the starter's calls before the first of Rust's runtime: nothing of ours has run."""
    first = next(at for at, call in enumerate(found.calls) if call.role == "0" and call.name in ("poll", "ppoll"))
    return dataclasses.replace(found, calls=found.calls[first:])


def sweep(pool: multiprocessing.pool.Pool, variants: list[Variant], options: argparse.Namespace) -> list[Result]:
    jobs: list[tuple[Variant, Disturbance]] = []
    results: list[Result] = []
    for variant, (found, problems, said) in zip(variants, pool.map(_trace, variants, 1)):
        if problems:
            raise SystemExit(f"sweep: {variant.name}, undisturbed: {'; '.join(problems)}: {said}")
        roles = {call.role: variant.role(call.role) for call in found.calls}
        jobs += [(variant, at) for at in disturbances(without_linker(found), roles, options.every, tuple(options.kind or KINDS))]
    if options.runs:
        jobs = random.Random(options.seed).sample(jobs, min(options.runs, len(jobs)))
    if options.role:
        jobs = [job for job in jobs if job[0].role(job[1].call.role) in options.role]
    outputs = [(variant, output) for variant in variants for output in OUTPUTS] if not options.kind else []
    left = collections.Counter(job[0].name for job in outputs + jobs)
    for result in itertools.chain(pool.imap_unordered(_try_output, outputs), pool.imap_unordered(_try, jobs, 4)):
        results.append(result)
        left[result.variant] -= 1
        if not left[result.variant] and not options.runs:
            own = [it for it in results if it.variant == result.variant]
            print(f"sweep: {result.variant}: {len(own)} runs, {sum(bool(it.problems) for it in own)} wrong", file=sys.stderr, flush=True)
        for problem in result.problems:
            print(f"{result.variant}: {result.where}: {problem} | {result.said}", flush=True)
    return results


def show(results: list[Result]) -> None:
    heads = ("variant", "runs", *(*KINDS, "output"), "not reached", "wrong", "slowest starter")
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    for name in dict.fromkeys(it.variant for it in results):
        own = [it for it in results if it.variant == name]
        reached = [it for it in own if it.hit]
        kinds = collections.Counter(it.kind for it in reached)
        wrong = sum(bool(it.problems) for it in own)
        slowest = max((it.milliseconds for it in reached), default=0) / 1000
        cells = [name, len(own), *(kinds[kind] for kind in (*KINDS, "output")), len(own) - len(reached), wrong, f"{slowest:.1f} s"]
        print("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else cell for cell in cells) + " |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command")
    parser.add_argument("--variant", action="append", choices=[it.name for it in VARIANTS])
    parser.add_argument("--kind", action="append", choices=KINDS)
    parser.add_argument("--role", action="append")
    parser.add_argument("--every", action="store_true", help="every errno, signal and pause at every call")
    parser.add_argument("--runs", type=int, help="only so many, by chance")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2 * len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("sweep: needs root, as daemons change their user")
    variants = [it for it in VARIANTS if not options.variant or it.name in options.variant]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as build:
        compiler = [os.environ.get("CC", "cc"), "-O2", "-std=gnu11", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([*compiler, "-o", f"{build}/injector", str(HERE / "injector.c")], check=True)
        subprocess.run([*compiler, "-static", "-o", f"{build}/launched", str(HERE / "subjects" / "launched.c")], check=True)
        os.environ["SWEEP_BUILD"] = build
        workers: multiprocessing.Queue[int] = multiprocessing.Queue()
        for worker in range(options.workers):
            workers.put(worker)
        with multiprocessing.Pool(options.workers, _enter, (workers, options.command)) as pool:
            results = sweep(pool, variants, options)
            pool.map(_leave, range(options.workers), 1)
    show(results)
    wrong = sum(bool(it.problems) for it in results)
    print(f"{len(results)} runs, {wrong} wrong, {time.monotonic() - begun:.0f} s")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
