"""The ways into a start, each as a function `become(*keep)` that makes a daemon which has `REPORT` and what is to be kept."""

from __future__ import annotations

import pytest

DOORS = {
    "native": "import daemonctx\n"
    "def become(*keep): daemonctx.DaemonContext(files_preserve=[REPORT, *keep], detach_process=True).open()\n",
    "python_daemon": "from daemonctx.compat import python_daemon\n"
    "def become(*keep): python_daemon.DaemonContext(files_preserve=[REPORT, *keep], detach_process=True).open()\n",
    "pep3143daemon": "from daemonctx.compat import pep3143daemon\n"
    "def become(*keep): pep3143daemon.DaemonContext(files_preserve=[REPORT, *keep], detach_process=True).open()\n",
    "daemoniker": "from daemonctx.compat import daemoniker\n"
    "def become(*keep): daemoniker.daemonize(PID_FILE, shielded_fds=[REPORT, *keep])\n",
    "Daemonizer": "from daemonctx.compat import daemoniker\n"
    "def become(*keep):\n"
    "    with daemoniker.Daemonizer() as (_, daemonizer): daemonizer(PID_FILE, shielded_fds=[REPORT, *keep])\n",
    "pyzenkit": "from daemonctx.compat.pyzenkit import daemonizer\n"
    "def become(*keep): daemonizer.daemonize(files_preserve=[REPORT, *keep])\n",
}

EACH_DOOR = pytest.mark.parametrize("door", DOORS)
# pyzenkit keeps all that is open.
EACH_CLOSING_DOOR = pytest.mark.parametrize("door", [door for door in DOORS if door != "pyzenkit"])

# Takes the numbers that the start has closed, so that what is written to one of them is seen.
DATA = """
def take_numbers():
    global data
    data = [open(f"{FOLDER}/data{number}", "w") for number in range(12)]
def dirt():
    return [name for name in sorted(os.listdir(FOLDER)) if name.startswith("data") and os.path.getsize(f"{FOLDER}/{name}")]
"""
