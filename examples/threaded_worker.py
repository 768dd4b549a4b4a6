"""Work in a thread, signals in the main thread, and a watchdog that asks the work. Arguments: the pid file, a folder to work in."""

import pathlib
import signal
import sys
import threading
import time

import daemonctx


class Worker(threading.Thread):
    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.stop = threading.Event()
        self.last_round = time.monotonic()

    def run(self):
        while not self.stop.wait(0.1):
            for path in self.folder.glob("*.in"):
                path.rename(path.with_suffix(".out"))
            self.last_round = time.monotonic()

    def is_alive_and_well(self):
        return self.is_alive() and time.monotonic() - self.last_round < 5


with daemonctx.DaemonContext(pidfile=sys.argv[1], umask=0o022):
    worker = Worker(pathlib.Path(sys.argv[2]))
    with daemonctx.signals(signal.SIGTERM, signal.SIGUSR1) as stream:
        worker.start()  # threads are for the daemon to start: they do not survive a fork
        with daemonctx.Watchdog(alive=worker.is_alive_and_well):
            for number in stream:
                if number == signal.SIGTERM:
                    break
                daemonctx.notify(f"STATUS=last round {time.monotonic() - worker.last_round:.1f} s ago")
    worker.stop.set()
    worker.join()
