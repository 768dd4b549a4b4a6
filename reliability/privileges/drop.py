"""drop.c for the Python package: drop.py LOOK LOG USER WORD..., where LOOK is look.c as a library."""

import ctypes
import os
import pwd
import sys
import threading

import daemonctx

PR_SET_KEEPCAPS, PR_SET_SECUREBITS = 8, 28


def main(library: str, log: str, user: str, *words: str) -> None:
    options: dict = {"detach_process": True}
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for word in words:
        name, _, value = word.partition("=")
        if name == "keepcaps":
            assert prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
        elif name == "securebits":
            assert prctl(PR_SET_SECUREBITS, int(value, 0), 0, 0, 0) == 0, os.strerror(ctypes.get_errno())
        elif name == "threads":
            for _ in range(int(value)):
                threading.Thread(target=threading.Event().wait, daemon=True).start()
        elif name == "groups":
            os.setgroups(range(64))
        elif name == "stay":
            options["detach_process"] = False
        elif name == "first":  # Somebody else already. An interpreter below /root cannot be run by others.
            other = pwd.getpwnam(value)
            os.setgroups([])
            os.setresgid(*[other.pw_gid] * 3)
            os.setresuid(*[other.pw_uid] * 3)
        elif name == "initgroups":
            options["initgroups"] = True
        else:
            raise SystemExit(f"surroundings: {word}")
    look = ctypes.CDLL(library).look
    daemonctx.DaemonContext(uid=user, stdout=daemonctx.LogFile(log), **options).open()
    look()
    os._exit(0)


main(*sys.argv[1:])
