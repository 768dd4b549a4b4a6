"""Steps of a start that programs, and daemoniker's own tests, call by themselves. `daemonize` does not use them."""

import os
import sys

from ..._pidfile import PidFile as _PidFile
from .utils import _log, default_to

__all__ = []


def _make_range_tuples(start, stop, exclude):
    """What lies between the numbers in *exclude*, from *start* to *stop*, as pairs of first and end."""
    ranges = []
    for number in sorted(exclude):
        if number >= start:
            if number > start:
                ranges.append((start, min(number, stop)))
            start = number + 1
    if start < stop:
        ranges.append((start, stop))
    return ranges


def _flush_stds():
    """Write out what the standard streams have buffered. Text that cannot be written is left."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass


def _redirect_stds(stdin_goto, stdout_goto, stderr_goto):
    """Connect descriptors 0 to 2 with files, by their paths; None stands for ``/dev/null``. A file that does not exist is made."""
    _flush_stds()
    flags = (os.O_RDONLY, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_APPEND)
    for number, (path, mode) in enumerate(zip((stdin_goto, stdout_goto, stderr_goto), flags)):
        opened = os.open(default_to(path, os.devnull), mode | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.dup2(opened, number)
        if opened != number:
            os.close(opened)


def _write_pid(locked_pidfile):
    """Make this process's PID the content of an open file."""
    locked_pidfile.seek(0)
    locked_pidfile.truncate()
    locked_pidfile.write(f"{os.getpid()}\n")
    locked_pidfile.flush()


def _acquire_pidfile(pid_file, ignore_lock=False, silence_logger=False):
    """Take a pid file for this process, and write its PID. The result has ``close()``, which gives it up and removes it.

    :param ignore_lock: not used: the lock of a process that lives is never ignored, and a stale one never counts.
    :param silence_logger: whether nothing is logged.
    :raises SystemExit: another process has it, or it cannot be had.
    """
    return _Acquired(pid_file, silence_logger)


class _Acquired:
    def __init__(self, pid_file, is_silent):
        self._file = _PidFile(pid_file)
        try:
            self._file.acquire()
        except OSError as error:
            if not is_silent:
                _log("critical", str(error))
            raise SystemExit(str(error)) from error

    def close(self):
        self._file.release()

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.close()
