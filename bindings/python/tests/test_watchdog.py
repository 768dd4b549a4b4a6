"""`daemonctx.Watchdog`: the manager hears of a daemon that is alive, and of no other."""

from __future__ import annotations

import os
import socket
import time

import pytest
from conftest import LIMIT, House
from test_signals import run

INTERVAL = 0.2


@pytest.fixture
def manager(house: House, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(house.folder / "notify"))
    server.settimeout(LIMIT)
    monkeypatch.setenv("NOTIFY_SOCKET", str(house.folder / "notify"))
    monkeypatch.setenv("WATCHDOG_USEC", str(int(INTERVAL * 1e6)))
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with server:
        yield server


def pings(server: socket.socket) -> int:
    """How many have come; nothing else has."""
    server.setblocking(False)
    count = 0
    try:
        while True:
            assert server.recv(100) == b"WATCHDOG=1"
            count += 1
    except BlockingIOError:
        return count
    finally:
        server.settimeout(LIMIT)


def test_in_a_loop(house: House, manager: socket.socket) -> None:
    said = run(
        house,
        """
        import asyncio, time
        async def main():
            start = time.monotonic()
            async with Watchdog() as watchdog:
                await asyncio.sleep(0.65)
                print(threading.active_count(), len(asyncio.all_tasks()))
                try:
                    await watchdog.__aenter__()
                except UsageError as error:
                    print(error)
            await asyncio.sleep(0.3)  # nothing any more
            print(len(asyncio.all_tasks()))
        asyncio.run(main())
        """,
    )
    assert said == ["1 2", "watchdog failed: entered already", "1"]
    assert 3 <= pings(manager) <= 7


def test_a_loop_that_is_blocked_says_nothing(house: House, manager: socket.socket) -> None:
    run(
        house,
        """
        import asyncio, time
        async def main():
            async with Watchdog():
                await asyncio.sleep(0)
                time.sleep(1)
        asyncio.run(main())
        """,
    )
    assert pings(manager) == 1


@pytest.mark.parametrize("enter", ["with", "async with"])
def test_it_asks_whether_the_daemon_is_alive(house: House, manager: socket.socket, enter: str) -> None:
    body = f"""
        import asyncio, time
        answers = iter([True, 1, False, 0, None, ValueError("broken"), True])
        asked = []
        def alive():
            asked.append(time.monotonic())
            answer = next(answers, False)
            if isinstance(answer, Exception):
                raise answer
            return answer
        threading.excepthook = lambda args: print(args.thread.name, args.exc_value)
        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: print(context["message"], context["exception"]))
            {enter} Watchdog(alive=alive):
                while len(asked) < 8:
                    await asyncio.sleep(0.001)
        asyncio.run(main())
        ended = len(asked)
        time.sleep(0.25)
        gaps = sorted(b - a for a, b in zip(asked, asked[1:]))
        print(len(asked) - ended, gaps[0] > 0.09, gaps[len(gaps) // 2] < 0.17)
        """
    said = run(house, body)
    where = "daemonctx watchdog" if enter == "with" else "Watchdog: alive() failed"
    assert said == [f"{where} broken", "0 True True"]
    assert pings(manager) == 3


def test_a_manager_that_is_away_for_a_moment(house: House, manager: socket.socket) -> None:
    house.run(
        """
        DaemonContext(detach_process=True, files_preserve=[REPORT]).open()
        threading.excepthook = lambda args: report(args.exc_value)
        with Watchdog(alive=lambda: True):
            report(os.getpid())
            signal.pause()
        """
    )
    daemon = int(house.hear())
    assert manager.recv(100) == f"READY=1\nMAINPID={daemon}".encode()
    assert manager.recv(100) == b"WATCHDOG=1"
    (house.folder / "notify").unlink()
    time.sleep(3 * INTERVAL)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as again:
        again.bind(str(house.folder / "notify"))
        again.settimeout(LIMIT)
        assert again.recv(100) == b"WATCHDOG=1"
    assert house.silent()
    assert house.end(daemon) == 0


def test_where_no_watchdog_is_wanted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    said = run(
        house,
        """
        import asyncio
        def alive(): raise AssertionError
        async def main():
            async with Watchdog(), Watchdog(alive):
                print(len(asyncio.all_tasks()))
        asyncio.run(main())
        with Watchdog(alive):
            print(threading.active_count())
        try:
            Watchdog().__enter__()
        except UsageError as error:
            print(error)
        """,
    )
    assert said == [
        "1", "1", "watchdog: a thread alone proves nothing; use Watchdog(alive=...), or async with"
    ]  # fmt: skip


def test_a_start_warns_of_one_that_is_entered_too_early(house: House, manager: socket.socket) -> None:
    done = house.run(
        """
        with Watchdog(alive=lambda: True):
            DaemonContext(detach_process=True, files_preserve=[REPORT]).open()
            report(os.getpid())
        """
    )
    assert "DaemonWarning: 1 other thread (daemonctx watchdog) will not exist in the daemon" in done.stderr
    house.reap(int(house.hear()))
