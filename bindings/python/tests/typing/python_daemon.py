"""How programs of python-daemon and pep3143daemon use the stand-ins, for mypy --strict: never run."""

import signal
from types import FrameType
from typing import Optional

from daemonctx.compat import install, pep3143daemon, python_daemon
from daemonctx.compat.python_daemon import daemon, pidfile


class Service(python_daemon.DaemonContext):
    def reload(self, signal_number: int, stack_frame: Optional[FrameType]) -> None:
        print("reload")


def main() -> None:
    install("daemon")
    lock = pidfile.TimeoutPIDLockFile("/tmp/x.pid", 5)
    context = Service(pidfile=lock, umask=0o022, initgroups=True, detach_process=True)
    context.signal_map.update({signal.SIGHUP: "reload"})
    context.files_preserve = [3, open("/tmp/log", "a")]
    try:
        with context:
            print(lock.read_pid(), lock.is_locked(), lock.i_am_locking())
    except daemon.DaemonOSEnvironmentError as error:
        print(error.errno)
    daemon.change_process_owner(1, 1, initgroups=True)
    daemon.close_all_open_files(exclude={0, 1, 2})
    other = pep3143daemon.DaemonContext(pidfile=pep3143daemon.PidFile("/tmp/y.pid"), uid="nobody")
    with other as opened:
        print(opened.is_open, opened.working_directory)
