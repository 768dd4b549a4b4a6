"""Where a start begins and ends, for the injector; and what the daemon does then. mark.h for Python."""

import os
import signal
import time


def start_begins():
    """Nothing happens where nobody watches: SIGURG is ignored."""
    os.kill(os.getpid(), signal.SIGURG)


def start_ends_and_daemon_lives():
    try:
        os.close(0x53574545)
    except OSError:
        pass  # There is no such descriptor.
    while True:
        time.sleep(0.02)  # pause() would miss a signal that came just before it
