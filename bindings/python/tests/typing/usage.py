"""How programs use the package, for mypy --strict: never run."""

import logging
import signal
import socket
import threading
from types import FrameType
from typing import Optional

from daemonctx import (
    AlreadyRunningError,
    DaemonContext,
    DaemonError,
    LogFile,
    PidFile,
    ReopeningFileHandler,
    Syslog,
    Watchdog,
    notify,
    signals,
)


class Service(DaemonContext):
    def reload(self, signum: int, frame: Optional[FrameType]) -> None:
        notify("STATUS=reloading")

    def terminate(self, signal_number: int, stack_frame: Optional[FrameType]) -> None:
        raise SystemExit(0)


async def serve(context: DaemonContext) -> None:
    async with Watchdog(), signals(signal.SIGTERM, 1) as stream:
        await context.ready_async()
        async for number in stream:
            if number is signal.SIGTERM:
                stream.close()
    print([number.name for number in signals(signal.SIGHUP)], stream.closed, stream.fileno())


def watch(worker: threading.Thread) -> None:
    handler = ReopeningFileHandler("/tmp/log", "a", "utf-8", signal=signal.SIGHUP, file_mode=0o640, user="nobody", group=0)
    logging.getLogger().addHandler(handler)
    with Watchdog(alive=worker.is_alive), signals(signal.SIGTERM) as stream:
        taken: Optional[signal.Signals] = stream.take()
        if taken is None:
            handler.reopen()


def main() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server, open("/tmp/log", "a") as log:
        service = Service(pidfile=PidFile("/tmp/x.pid"), files_preserve=[server, 3], stdout=log, uid="nobody")
        service.signal_map.update({signal.SIGHUP: "reload", signal.SIGUSR1: None})
        try:
            with service as opened:
                opened.ready()
        except AlreadyRunningError as error:
            print(error.pid, error.errno, error.step)
        except DaemonError as error:
            print(error)
    logging = DaemonContext(stdout=LogFile("/tmp/log", append=False, mode=0o600, user="nobody", group=4), stderr=Syslog("x"))
    logging.signal_map[signal.SIGHUP] = "reopen_streams"
    logging.reopen_streams()
    file = PidFile("/tmp/x.pid")
    if file.status() == "running" and file.stop(timeout=3) == "killed":
        return 1
    pid: Optional[int] = file.read_pid()
    return pid or 0
