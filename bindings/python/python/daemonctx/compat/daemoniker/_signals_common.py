"""Sending signals to daemons, and what handlers may be."""

import os

from .exceptions import DaemonikerSignal

__all__ = []

IGNORE_SIGNAL = 1793
"""As a handler: the signal does nothing."""


def _noop(*args, **kwargs):
    """The handler of a signal that does nothing."""


def _normalize_handler(handler, default_handler):
    """What a handler stands for: None for the default one, `IGNORE_SIGNAL` for one that does nothing."""
    if handler is None:
        return default_handler
    return _noop if handler == IGNORE_SIGNAL else handler


def send(pid_file, signal):
    """Send a signal to the daemon that holds a pid file, and surely to nobody else.

    Files of daemons with the original, which do not lock them, are understood.

    :param pid_file: the file's path.
    :param signal: a subclass of `DaemonikerSignal`, an instance of one, or a number; 0 only checks.
    :raises FileNotFoundError: there is no file.
    :raises ProcessLookupError: the daemon does not run, whoever may have its PID by now.
    :raises PermissionError: it may not be signalled by this user.
    :raises ValueError: there is something else than a number in the file.
    :raises OSError: the file or the signal cannot be used.
    """
    from ..._errors import PidFileError
    from ..._native import PidFile

    signum, pid_file = _number(signal), os.fsdecode(pid_file)
    try:
        PidFile(pid_file, "either").signal(signum)
    except PidFileError as error:
        raise _explain(error, pid_file) from error


def ping(pid_file):
    """Whether the daemon that holds a pid file runs."""
    try:
        send(pid_file, 0)
    except OSError:
        return False
    return True


def _number(signal):
    is_class = isinstance(signal, type) and issubclass(signal, DaemonikerSignal)
    return int(signal.SIGNUM if is_class or isinstance(signal, DaemonikerSignal) else signal)


def _explain(error, pid_file):
    """The exception that programs of daemoniker know for an error of the core."""
    from errno import EINVAL, ESRCH
    from os import strerror

    if error.errno in (ESRCH, EINVAL):
        try:
            with open(pid_file, encoding="ascii", errors="replace") as file:
                text = file.read()
        except OSError as reason:
            return reason
        # Nothing at all is what a daemon leaves that cannot remove its file any more.
        if text.strip() and not _is_number(text):
            return ValueError(f"no PID in {pid_file}: {text[:64]!r}")
        if error.errno == EINVAL and not text.strip().isdigit():
            # A negative number, say: no daemon has it.
            return ProcessLookupError(ESRCH, strerror(ESRCH), pid_file)
    return OSError(error.errno, error.strerror, pid_file)


def _is_number(text):
    try:
        int(text)
    except ValueError:
        return False
    return True
