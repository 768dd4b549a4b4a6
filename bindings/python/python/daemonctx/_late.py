"""All that a daemon may import later, for one in another root or as another user, who may not reach the files any more."""

import atexit  # noqa: F401
import select  # noqa: F401
import signal  # noqa: F401
import sys
import threading  # noqa: F401
from os import environ

from . import _asynchronous, _errors, _options, _pidfile, _remembered, _signals, _streams, _supervisor, _watchdog  # noqa: F401

if "logging" in sys.modules:
    from . import _logging  # noqa: F401
if "LISTEN_FDS" in environ:
    import socket  # noqa: F401
