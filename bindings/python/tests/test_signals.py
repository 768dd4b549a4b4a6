"""`daemonctx.signals`: what it gives, what it leaves alone, and what a start and a fork make of it."""

from __future__ import annotations

import os
import signal
import threading

import pytest
from conftest import LIMIT, House

TOLD = """
def told(stream):
    number = stream.take()
    return "none" if number is None else getattr(number, "name", number)
def tell(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)
"""


def reset() -> None:
    """Whoever runs the tests may ignore signals, as nohup and a shell's background do."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run(house: House, body: str, head: str = TOLD) -> list[str]:
    """Runs a script that is no daemon, and gives what it prints."""
    done = house.run(body, head=head, preexec_fn=reset)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_all_come_in_their_order_as_signals(house: House) -> None:
    said = run(
        house,
        """
        with signals(signal.SIGTERM, signal.SIGHUP, signal.SIGRTMIN, signal.SIGRTMIN + 1) as stream:
            tell(signal.SIGHUP, signal.SIGTERM, signal.SIGTERM, signal.SIGRTMIN, signal.SIGRTMIN + 1)
            got = [next(stream) for _ in range(5)]
            print(*(type(number).__name__ for number in got), *map(int, got), stream.take())
            for _ in range(40000):
                tell(signal.SIGRTMIN)
            print(sum(stream.take() is not None for _ in range(41000)))
        """,
    )
    first = [signal.SIGHUP, signal.SIGTERM, signal.SIGTERM, signal.SIGRTMIN, signal.SIGRTMIN + 1]
    assert said[0] == f"Signals Signals Signals Signals int {' '.join(str(int(number)) for number in first)} None"
    assert said[1] == "40000", "more than the pipe has room for"


def test_two_streams_are_apart_and_what_is_anothers_is_refused(house: House) -> None:
    said = run(
        house,
        """
        one, two = signals(signal.SIGTERM), signals(signal.SIGHUP, signal.SIGUSR1)
        tell(signal.SIGUSR1, signal.SIGTERM)
        print(told(one), told(one), told(two), told(two))
        for numbers in [(signal.SIGUSR2, signal.SIGTERM), (9,), (0,), ("x",), (True,), (2**70,)]:
            try:
                signals(*numbers)
            except DaemonError as error:
                print(type(error).__name__, error)
        tell(signal.SIGTERM)
        print(told(one), signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL)
        one.close()
        print(signals(signal.SIGTERM, signal.SIGUSR2))
        try:
            signals()
        except OptionError as error:
            print(error)
        """,
    )
    assert said == [
        "SIGTERM none SIGUSR1 none",
        "UsageError signals failed: signal 15 (SIGTERM) (another stream has it): Device or resource busy (16 EBUSY)",
        "OptionError signal: expected a signal that can be caught, got 9",
        "OptionError signal: expected a signal that can be caught, got 0",
        "OptionError signal: expected a signal's number or name, got 'x'",
        "OptionError signal: expected a signal's number or name, got True",
        f"OptionError signal: expected a signal that can be caught, got {2**70}",
        "SIGTERM True",
        "<SignalStream SIGTERM, SIGUSR2 fd=3>",
        "signals(): expected at least one signal, got ()",
    ]


def test_closing_puts_back_what_was(house: House) -> None:
    said = run(
        house,
        """
        def handler(signum, frame): print("handler", signum, flush=True)
        signal.signal(signal.SIGUSR1, handler)
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        def ignored(): return [l for l in open("/proc/self/status") if l.startswith("SigIgn")]
        before = ignored()
        stream = signals(signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT, signal.SIGHUP)
        print(signal.getsignal(signal.SIGUSR1) is handler, ignored() == before)
        tell(signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
        print(next(stream).name, next(stream).name, next(stream).name)
        signal.signal(signal.SIGHUP, handler)  # takes it away, and has it for good
        stream.close()
        stream.close()
        print(stream, list(stream), stream.take(), ignored() == before)
        print(signal.getsignal(signal.SIGUSR1) is handler, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        tell(signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
        try:
            tell(signal.SIGINT); signal.pause()
        except KeyboardInterrupt:
            print("interrupt")
        try:
            stream.fileno()
        except ValueError as error:
            print(error)
        """,
    )
    assert said == [
        "True False",
        "SIGUSR1 SIGUSR2 SIGINT",
        "<SignalStream SIGUSR1, SIGUSR2, SIGINT, SIGHUP closed> [] None True",
        "True True",
        "handler 10",
        "handler 1",
        "interrupt",
        "the stream of signals is closed",
    ]


def test_one_that_is_dropped_is_closed(house: House) -> None:
    said = run(
        house,
        """
        signal.signal(signal.SIGUSR1, lambda *_: print("handler"))
        tell_later = threading.Timer(0.05, tell, [signal.SIGUSR1])
        tell_later.start()
        for number in signals(signal.SIGUSR1):
            print(number.name)
            break
        tell_later.join()
        tell(signal.SIGUSR1)
        """,
    )
    assert said == ["SIGUSR1", "handler"]


def test_closing_ends_those_who_wait(house: House) -> None:
    said = run(
        house,
        """
        def descriptors(): return len(os.listdir("/proc/self/fd"))
        def end():
            while descriptors() < 8:  # streams, report, the listing, the stream's two, and one to wait with
                pass
            stream.close()
        stream = signals(signal.SIGUSR1, signal.SIGINT)
        tell(signal.SIGUSR1)
        ending = threading.Thread(target=end); ending.start()
        print([number.name for number in stream])
        ending.join()
        stream = signals(signal.SIGUSR1)
        waiting = threading.Thread(target=list, args=[stream]); waiting.start()
        end()
        waiting.join()
        print(descriptors())
        """,
    )
    assert said == ["['SIGUSR1']", "5"]


def test_in_a_thread(house: House) -> None:
    said = run(
        house,
        """
        def work():
            with signals(signal.SIGUSR1, signal.SIGINT) as stream:
                tell(signal.SIGUSR1, signal.SIGINT)
                print(sorted(next(stream).name for _ in range(2)))
        thread = threading.Thread(target=work); thread.start(); thread.join()
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        """,
    )
    assert said == ["['SIGINT', 'SIGUSR1']", "True"]


def test_it_can_be_selected_on_and_is_for_this_program_only(house: House) -> None:
    said = run(
        house,
        """
        import selectors, subprocess
        with signals(signal.SIGHUP) as stream, selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            print(selector.select(0))
            tell(signal.SIGHUP)
            (key, _), = selector.select(10)
            print(key.fileobj is stream, told(stream), os.get_inheritable(stream.fileno()))
            shell = "kill -HUP $$; echo not reached"
            print(subprocess.run(["/bin/sh", "-c", shell]).returncode, told(stream))
        """,
    )
    assert said == ["[]", "True SIGHUP False", "-1 none"]


@pytest.mark.parametrize("fork", ["os.fork()", "multiprocessing"])
def test_a_forked_child_is_without(house: House, fork: str) -> None:
    body = """
        stream = signals(signal.SIGTERM, signal.SIGUSR1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        def child():
            print(stream, list(stream), flush=True)
            with signals(signal.SIGUSR1) as own:
                stream.close()
                tell(signal.SIGUSR1)
                print(told(own), flush=True)
            tell(signal.SIGTERM)
            print("not reached", flush=True)
        if {fork!r} == "os.fork()":
            pid = os.fork()
            if pid == 0:
                try:
                    child()
                finally:
                    os._exit(1)
            print(os.WTERMSIG(os.waitpid(pid, 0)[1]))
        else:
            import multiprocessing
            process = multiprocessing.get_context("fork").Process(target=child)
            process.start(); process.join()
            print(-process.exitcode)
        print(told(stream))
        tell(signal.SIGTERM)
        print(told(stream))
    """
    said = run(house, body.replace("{fork!r}", repr(fork)))
    assert said == ["<SignalStream SIGTERM, SIGUSR1 closed> []", "SIGUSR1", "15", "none", "SIGTERM"]


def test_a_child_that_is_told_at_its_first_moment(house: House) -> None:
    """Its handler must not write into the parent's pipe: children that share descriptors, and are signalled while they are born."""
    said = run(
        house,
        """
        stream = signals(signal.SIGTERM)
        for _ in range(300):
            pid = os.fork()
            if pid == 0:
                while True:
                    signal.pause()
            os.kill(pid, signal.SIGTERM)
            assert os.WTERMSIG(os.waitpid(pid, 0)[1]) == signal.SIGTERM
        print(told(stream))
        """,
    )
    assert said == ["none"]


DAEMON = """
    {before}
    context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], detach_process=True, {options})
    context.open()
    {after}
    report(os.getpid())
    for number in stream:
        report(number.name)
        if number == signal.SIGTERM:
            break
    stream.close()
    report(getattr(signal.getsignal(signal.SIGTERM), "__name__", "other"))
    while True:  # A signal may come just before a pause, which would wait for the next.
        signal.sigtimedwait((), 0.1)
"""


@pytest.mark.parametrize("made", ["before", "after"])
def test_it_goes_before_the_signal_map(house: House, made: str) -> None:
    parts = {"before": "", "after": "", made: "stream = signals(signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)", "options": ""}
    if made == "before":
        parts["options"] = "signal_map={signal.SIGTERM: 'terminate', signal.SIGUSR1: None, signal.SIGHUP: signal.SIG_DFL}"
    assert house.run(DAEMON.format(**parts)).returncode == 0
    daemon = int(house.hear())
    for name in ("SIGHUP", "SIGUSR1", "SIGTERM"):
        os.kill(daemon, getattr(signal, name))
        assert house.hear() == name
    assert house.hear() == "terminate"
    if made == "before":
        os.kill(daemon, signal.SIGUSR1)  # ignored from now on, as the map says
    assert house.end(daemon) == 0
    assert not house.pid_path.exists()


def test_signals_that_come_while_the_daemon_starts(house: House) -> None:
    """They are blocked, and not lost: what the starter's helper processes are told does not matter to the stream."""
    house.run(
        """
        stream = signals(signal.SIGTERM)
        os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], detach_process=True).open()
        pid = os.fork()
        if pid == 0:
            os._exit(stream.closed)  # a child of the daemon is without again
        report(os.getpid(), next(stream).name, stream.take(), os.waitpid(pid, 0)[1] >> 8)
        signal.pause()
        """
    )
    daemon, *got = house.hear().split()
    assert got == ["SIGTERM", "None", "1"]
    house.end(int(daemon), signal.SIGKILL)


def test_other_handlers_go_on_beside_it(house: House) -> None:
    said = run(
        house,
        """
        import asyncio, socket
        read, write = socket.socketpair()
        write.setblocking(False)
        signal.set_wakeup_fd(write.fileno())
        signal.signal(signal.SIGUSR1, lambda *_: None)
        with signals(signal.SIGHUP) as stream:
            tell(signal.SIGHUP, signal.SIGUSR1)
            print(read.recv(10), told(stream), signal.set_wakeup_fd(-1) == write.fileno())
            async def main():
                loop, got = asyncio.get_running_loop(), []
                loop.add_signal_handler(signal.SIGUSR2, got.append, "USR2")
                tell(signal.SIGUSR2, signal.SIGHUP)
                print((await stream.__anext__()).name)
                while not got:
                    await asyncio.sleep(0)
                print(got)
            asyncio.run(main())
        """,
    )
    assert said == ["b'\\n' SIGHUP True", "SIGHUP", "['USR2']"]


def test_threads_that_raise_signals_while_streams_come_and_go() -> None:
    """No signal is written to a descriptor that has become another file's."""
    import daemonctx

    stop = threading.Event()
    before = signal.signal(signal.SIGRTMIN, lambda *_: None)

    def raise_all() -> None:
        while not stop.is_set():
            signal.raise_signal(signal.SIGRTMIN)

    threads = [threading.Thread(target=raise_all) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(1000):
            stream = daemonctx.signals(signal.SIGRTMIN)
            stream.close()
            read, write = os.pipe()  # the numbers that the stream had
            os.set_blocking(read, False)
            with pytest.raises(BlockingIOError):
                os.read(read, 1)
            os.close(read)
            os.close(write)
    finally:
        stop.set()
        for thread in threads:
            thread.join(LIMIT)
        signal.signal(signal.SIGRTMIN, before)
