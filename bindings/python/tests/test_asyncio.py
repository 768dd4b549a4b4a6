"""Daemons in asyncio: readiness from a coroutine, signals as an asynchronous iterator."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from conftest import LIMIT, House
from test_signals import TOLD, run

# Runs `main` of a script in a loop, as a daemon that says by itself when it is ready.
READY = """
import asyncio
{body}
context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], manual_ready=True, detach_process=True,
                        stderr=FOLDER + "/log")
context.open()
asyncio.run(main())
"""


def test_ready_from_a_coroutine(house: House) -> None:
    done = house.run(
        READY.format(
            body="""
async def main():
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    print("early", file=sys.stderr)
    await context.ready_async()
    await context.ready_async()
    print("late", file=sys.stderr, flush=True)
    report(os.getpid(), threading.active_count(), len(asyncio.all_tasks()))
    async for number in signals(signal.SIGTERM):
        break
"""
        )
    )
    assert (done.returncode, done.stderr) == (0, "early\n")
    daemon, threads, tasks = house.hear().split()
    assert (threads, tasks) == ("1", "1")
    assert (house.folder / "log").read_text() == "late\n"
    assert house.end(int(daemon)) == 0
    assert not house.pid_path.exists()


def full(path: str) -> tuple[socket.socket, socket.socket]:
    """A manager that does not read, and what has filled its queue."""
    server, client = (socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2))
    server.bind(path)
    client.connect(path)
    client.setblocking(False)
    try:
        while True:
            client.send(b"STATUS=x")
    except BlockingIOError:
        return server, client


@pytest.mark.parametrize("cancel", [False, True])
def test_the_loop_goes_on_while_a_manager_does_not_read(house: House, cancel: bool) -> None:
    body = f"""
async def main():
    loop, gate = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGUSR1, gate.set)
    saying = asyncio.ensure_future(context.ready_async())
    await asyncio.sleep(0)
    report(os.getpid())
    await gate.wait()
    report("goes on", saying.done())
    if {cancel}:
        saying.cancel()
    try:
        await saying
    except asyncio.CancelledError:
        report("cancelled")
    report("said")
    await asyncio.sleep(60)
"""
    path = str(house.folder / "notify")
    server, client = full(path)
    # Whether the starter is told before the manager is not what this is about.
    starting = threading.Thread(
        target=house.run, args=[READY.format(body=body)], kwargs={"env": {**os.environ, "NOTIFY_SOCKET": path}}
    )
    starting.start()
    with server, client:
        daemon = int(house.hear())
        os.kill(daemon, signal.SIGUSR1)
        assert house.hear() == "goes on False"
        if cancel:
            assert [house.hear() for _ in range(2)] == ["cancelled", "said"]
            assert house.end(daemon) == 0, "it does not wait for the manager"
        else:
            server.settimeout(LIMIT)
            while (message := server.recv(4096)) == b"STATUS=x":
                pass
            assert message == f"READY=1\nMAINPID={daemon}".encode()
            assert house.hear() == "said"
            assert house.end(daemon) == 0
        starting.join()


def test_errors_are_those_of_ready(house: House) -> None:
    said = run(
        house,
        """
        import asyncio
        async def main():
            try:
                await DaemonContext().ready_async()
            except UsageError as error:
                print(error)
        asyncio.run(main())
        """,
    )
    assert said == ["handle failed: not opened"]
    script = house.folder / "script.py"
    script.write_text(
        "import asyncio, os, signal\nfrom daemonctx import *\n"
        "async def main():\n"
        "    stream = signals(signal.SIGUSR1)\n"
        f"    os.write({house.report_write}, b'open\\n')\n"
        "    await stream.__anext__()\n"
        "    try:\n        await context.ready_async()\n"
        f"    except DaemonError as error:\n        os.write({house.report_write}, f'{{error}}\\n'.encode())\n"
        f"context = DaemonContext(pidfile=PidFile({str(house.pid_path)!r}), manual_ready=True, detach_process=True,\n"
        f"                        files_preserve=[{house.report_write}])\n"
        "context.open()\nasyncio.run(main())\n"
    )
    starter = subprocess.Popen([sys.executable, str(script)], pass_fds=[house.report_write])
    assert house.hear() == "open"
    daemon = house.pid()
    starter.kill()
    starter.wait(LIMIT)
    os.kill(daemon, signal.SIGUSR1)
    assert house.hear() == "report failed: starter: Broken pipe (32 EPIPE)"
    house.reap(daemon)


ASYNC = (
    TOLD
    + """
import asyncio
def readers():
    loop = asyncio.get_running_loop()
    return len(loop._selector.get_map()) - 1  # but the loop's own
"""
)


def test_signals_in_a_coroutine(house: House) -> None:
    said = run(
        house,
        """
        async def main():
            async with signals(signal.SIGTERM, signal.SIGHUP) as stream:
                before = readers()
                waiting = asyncio.ensure_future(stream.__anext__())
                await asyncio.sleep(0)
                print(readers() - before, waiting.done())
                tell(signal.SIGHUP, signal.SIGTERM, signal.SIGHUP)
                print((await waiting).name, readers() - before)
                async for number in stream:
                    print(number.name)
                    if number == signal.SIGHUP:
                        break
            print(stream.closed, readers() - before, [number async for number in stream])
        asyncio.run(main())
        """,
        head=ASYNC,
    )
    assert said == ["1 False", "SIGHUP 0", "SIGTERM", "SIGHUP", "True 0 []"]


def test_cancelling_leaves_nothing_behind_and_loses_nothing(house: House) -> None:
    said = run(
        house,
        """
        async def main():
            stream, opened = signals(signal.SIGHUP), len(os.listdir("/proc/self/fd"))
            before = readers()
            async def collect():
                async for number in stream:
                    print(number.name)
            for _ in range(3):
                task = asyncio.ensure_future(collect())
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                print(task.cancelled(), readers() - before, len(os.listdir("/proc/self/fd")) - opened)
            task = asyncio.ensure_future(stream.__anext__())
            await asyncio.sleep(0)
            tell(signal.SIGHUP)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            print(told(stream))
        asyncio.run(main())
        """,
        head=ASYNC,
    )
    assert said == ["True 0 0"] * 3 + ["SIGHUP"]


def test_closing_ends_the_iteration(house: House) -> None:
    said = run(
        house,
        """
        async def main(close):
            stream = signals(signal.SIGHUP)
            collecting = [asyncio.ensure_future(collect(stream)) for _ in range(2)]
            await asyncio.sleep(0)
            before = readers()
            close(stream)
            print(await asyncio.gather(*collecting), before - readers())
        async def collect(stream):
            return [number async for number in stream]
        asyncio.run(main(SignalStream.close))
        asyncio.run(main(lambda stream: threading.Thread(target=stream.close).start()))
        """,
        head=ASYNC,
    )
    assert said == ["[[], []] 2"] * 2


def test_one_made_before_the_loop_serves_several(house: House) -> None:
    """And `asyncio.run` does not put a handler of its own in the place of ours for SIGINT."""
    said = run(
        house,
        """
        stream = signals(signal.SIGINT)
        async def main():
            asyncio.get_running_loop().call_soon(tell, signal.SIGINT)
            print((await stream.__anext__()).name)
        for _ in range(2):
            asyncio.run(main())
        stream.close()
        print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        """,
        head=ASYNC,
    )
    assert said == ["SIGINT", "SIGINT", "True"]
