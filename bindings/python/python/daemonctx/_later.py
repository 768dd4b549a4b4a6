"""Readiness by time."""

import _signal
import _thread
from os import getpid, kill

from ._context import _flush
from ._errors import complain
from ._options import unexpected


def check(seconds, timeout):
    """Refuse a time that cannot be `DaemonContext.ready_after`."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < 1e9:
        raise unexpected("ready_after", seconds)
    if timeout is not None and seconds >= timeout:
        raise unexpected("ready_after", seconds, f"less than ready_timeout, {timeout} seconds")


def report(daemon, context, seconds):
    """Report readiness in a thread, which takes no signals and ends when it has done that."""
    import sys
    from time import sleep

    def wait():
        sleep(seconds)
        if daemon._context is not context:
            return
        _flush(sys.stderr)
        try:
            context.ready()
        except OSError as error:  # The starter was killed, and its caller was told that the start failed.
            complain(error)
            kill(getpid(), _signal.SIGTERM)

    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    try:
        _thread.start_new_thread(wait, ())
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
