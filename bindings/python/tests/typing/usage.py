"""How programs use the package, for mypy --strict: never run."""

import signal
import socket
from types import FrameType
from typing import Optional

from daemonctx import AlreadyRunningError, DaemonContext, DaemonError, LogFile, PidFile, Syslog, notify


class Service(DaemonContext):
    def reload(self, signum: int, frame: Optional[FrameType]) -> None:
        notify("STATUS=reloading")

    def terminate(self, signal_number: int, stack_frame: Optional[FrameType]) -> None:
        raise SystemExit(0)


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
