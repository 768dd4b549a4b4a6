"""Every public function, class and method of the Python package called with values of all kinds.

    arguments.py --seed N --calls N

One batch, in a house of its own (`fuzz.py python`). What is called next is written to `last-call` first. Only an exception that says that
an argument or the system is not right may come of a call; nothing stays: no descriptor, no reference to what was given.
"""

from __future__ import annotations

import argparse
import collections
import gc
import importlib
import inspect
import io
import os
import pathlib
import random
import signal
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator

import values

MODULES = [
    "daemonctx",
    "daemonctx._native",
    "daemonctx.compat",
    "daemonctx.compat.python_daemon",
    "daemonctx.compat.python_daemon.daemon",
    "daemonctx.compat.python_daemon.pidfile",
    "daemonctx.compat.pep3143daemon",
    "daemonctx.compat.daemoniker",
    "daemonctx.compat.pyzenkit",
]
# What becomes another process, ends this one or changes it for good, as it should: in a child of its own.
APART = {
    "open", "fork", "command", "daemonize", "Daemonizer", "terminate", "close", "close_on_exec", "close_all_open_files", "closerange",
    "change_root_directory", "change_process_owner", "change_working_directory", "change_file_creation_mask", "detach_process_context",
    "prevent_core_dump", "redirect_stream", "install", "start", "stop", "restart", "run", "daemon_daemonize", "queue_again", "send", "kill",
    "__enter__", "__exit__", "SignalHandler1", "take_listen_descriptors", "listen_descriptors", "listen_sockets", "set_signal_handlers",
    "register_atexit_function", "acquire_for_good", "acquire", "_open_step_by_step",
    "close_file_descriptor_if_open", "read_pid",
}  # fmt: skip
HOUSE = pathlib.Path(os.environ.get("FUZZ_HOUSE", ".")).resolve()
EXPECTED = (TypeError, ValueError, OverflowError, OSError, AttributeError, RecursionError, MemoryError, LookupError, values.Refused,
            NotImplementedError, RuntimeError, StopIteration)  # fmt: skip


def is_apart(name: str) -> bool:
    last = name.rsplit(".", 1)[-1].lower()
    return last in APART or any(word in last for word in ("daemon", "detach", "close", "chroot", "redirect", "change", "acquire", "lock", "wait", "next", "iter"))


def public() -> Iterator[tuple[str, Callable[..., object]]]:
    """Names and what they name, each once."""
    seen: set[int] = set()
    for name in MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        for attribute in getattr(module, "__all__", [it for it in dir(module) if not it.startswith("_")]):
            thing = getattr(module, attribute, None)
            if callable(thing) and id(thing) not in seen and "daemonctx" in str(getattr(thing, "__module__", "daemonctx")):
                seen.add(id(thing))
                yield f"{name}.{attribute}", thing


def arguments(thing: object, chance: random.Random) -> tuple[list[object], dict[str, object]]:
    """Some positional, some by name; sometimes too many, or of no such name."""
    try:
        parameters = [name for name in inspect.signature(thing).parameters if name not in ("self", "args", "kwargs")]  # type: ignore[arg-type]
    except (TypeError, ValueError, values.Refused):
        parameters = []
    positional = [values.value(chance) for _ in range(chance.randrange(0, min(len(parameters), 4) + 2))]
    rest = parameters[len(positional) :]
    named = {name: values.value(chance) for name in chance.sample(rest, min(len(rest), chance.randrange(0, 5)))}
    if chance.random() < 0.02:
        named["no_such_name"] = values.value(chance)
    return positional, named


def descriptors() -> set[tuple[str, str]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            found.add((name, os.readlink(f"/proc/self/fd/{name}")))
        except OSError:
            continue
    return {it for it in found if not it[1].startswith("/proc/")}


class Batch:
    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.things = list(public())
        self.came: collections.Counter[str] = collections.Counter()
        self.last = open(HOUSE / "last-call", "w")

    def wrong(self, what: str, call: str) -> None:
        with open(HOUSE / "wrong", "a") as file:
            file.write(f"{what}: {call}\n")

    def note(self, call: str) -> None:
        self.last.seek(0)
        self.last.truncate()
        self.last.write(call[:2000])
        self.last.flush()

    def one(self) -> None:
        name, thing = self.chance.choice(self.things)
        self.call(name, thing)

    def call(self, name: str, thing: Callable[..., object]) -> None:
        positional, named = arguments(thing, self.chance)
        call = f"{name}({', '.join(map(show, positional))}, {', '.join(f'{key}={show(it)}' for key, it in named.items())})"
        self.note(call)
        watched = [weakref.ref(it) for it in [*positional, *named.values()] if isinstance(it, (values.Raises, values.Lies, values.Changes))]
        before = descriptors()
        if is_apart(name):
            self.apart(lambda: self.attempt(call, thing, positional, named))
        else:
            made = self.attempt(call, thing, positional, named)
            if inspect.isclass(thing) and made is not None:
                self.methods(name, made)
            del made
        given = {str(int(it)) for it in [*positional, *named.values()] if isinstance(it, int) and it < 10}
        positional.clear()
        named.clear()
        gc.collect()
        sys.last_value = sys.last_traceback = None
        after = descriptors()
        # A number that was given for a path is a descriptor to open(), as in the originals, and closed.
        if gone := {it for it in before - after if it[0] not in given}:
            self.wrong(f"descriptors closed: {gone}", call)
        if (left := after - before) and "signal" not in name.lower():
            self.wrong(f"descriptors left: {left}", call)
        if any(it() is not None for it in watched):
            self.wrong("a reference is left", call)

    def attempt(self, call: str, thing: Callable[..., object], positional: list[object], named: dict[str, object]) -> object:
        try:
            made = thing(*positional, **named)
        except EXPECTED as error:
            self.came[type(error).__name__] += 1
        except SystemExit:
            self.came["SystemExit"] += 1
        except BaseException as error:
            # Those of the libraries that a module stands for.
            if not type(error).__module__.startswith(("daemonctx", "lockfile")):
                self.wrong(f"{type(error).__name__}: {error}", call)
            self.came[type(error).__name__] += 1
        else:
            self.came["nothing"] += 1
            if inspect.iscoroutine(made):
                made.close()
                return None
            return made
        return None

    def methods(self, name: str, made: object) -> None:
        """Some of an instance's methods and attributes."""
        names = [it for it in dir(type(made)) if not it.startswith("_") or it in ("__enter__", "__exit__", "__iter__", "__next__")]
        for attribute in self.chance.sample(names, min(len(names), 4)):
            full = f"{name}().{attribute}"
            self.note(full)
            try:
                method = getattr(made, attribute)
            except EXPECTED:
                continue
            if callable(method):
                positional, named = arguments(method, self.chance)
                call = f"{full}({', '.join(map(show, positional))}, {', '.join(f'{key}={show(it)}' for key, it in named.items())})"
                self.note(call)
                if is_apart(attribute):
                    self.apart(lambda: self.attempt(call, method, positional, named))
                else:
                    self.attempt(call, method, positional, named)
            else:
                self.note(f"{full} = ...")
                try:
                    setattr(made, attribute, values.value(self.chance))
                except EXPECTED:
                    pass

    def apart(self, work: Callable[[], object]) -> None:
        """In a child, which may do as it likes but crash."""
        self.last.flush()
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            os.setpgid(0, 0)
            try:
                work()
            finally:
                os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if -status in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE):
            self.wrong(f"a process is ended by signal {-status}", (HOUSE / "last-call").read_text())


def show(it: object) -> str:
    """Shortly, and without asking what does not answer."""
    if isinstance(it, (int, float, str, bytes, type(None))):
        try:
            return ascii(it)[:60]
        except ValueError:
            return "<large>"
    return f"<{type(it).__name__}>"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    options = parser.parse_args()
    # Nothing of what is printed meanwhile is of interest; Ctrl-C's handler and warnings are no concern of the calls'.
    said, sys.stderr = sys.stderr, io.StringIO()
    warnings.simplefilter("ignore")
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    batch = Batch(options.seed)
    for _ in range(options.calls):
        try:
            batch.one()
        except BaseException:
            traceback.print_exc(file=said)
            return 1
        sys.stderr = io.StringIO()
    print(f"seed {options.seed}: {options.calls} calls of {len(batch.things)} things: {dict(batch.came.most_common())}", flush=True)
    return int((HOUSE / "wrong").exists())


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)
