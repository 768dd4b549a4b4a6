"""A change of user and group in a process that goes on, and has threads."""

import errno
import os

from .. import _native
from .._context import _set
from .._errors import PrivilegeError

__all__ = ["change_owner"]


def change_owner(uid=None, gid=None):
    """Become another user and group, in every thread and for good; then see that it is so.

    Supplementary groups: with *gid* none, without it those that the user database has for *uid*, whose group comes from there
    as well. A process that is who it is to be already, and is not root's, keeps its groups: it could not change them.

    :param uid: the user's number; None for no change.
    :param gid: the group's number; None for no change, or for the user's own if the user changes.
    :raises DaemonError: a step failed, or the process is not what it should be afterwards. It must not go on then.
    """
    gives_up = uid not in (None, 0) and {os.getuid(), os.geteuid()} != {uid}
    wish = _native.Builder()
    for option, value in (("uid", uid), ("gid", gid)):
        if value is not None:
            _set(getattr(wish, option), option, value)
    wish.initgroups(gid is None)
    if gid is not None and os.geteuid() == 0:
        os.setgroups([])  # Also where the user stays.
    wish.change_owner()
    if gives_up:  # Who it is already may have been given capabilities, to bind its port say.
        _verify_threads()


def _verify_threads():
    """Capabilities are each thread's own, and the core has emptied those of this one.

    The others lose them with the change of user, unless they have been told to keep them (PR_SET_KEEPCAPS, securebits).
    """
    for status in _threads():
        if any(int(status[name][0], 16) for name in ("CapPrm", "CapEff")):
            what = "capabilities of a thread"
            message = f"verify privileges failed: {what}: {os.strerror(errno.EPERM)} ({errno.EPERM} EPERM)"
            raise PrivilegeError(message, errno.EPERM, "verify privileges", what)


def _threads():
    """What the kernel says of each thread, by name; nothing where there is no ``/proc``."""
    tasks = "/proc/self/task"
    try:
        names = os.listdir(tasks)
    except OSError:
        return
    for name in names:
        try:
            with open(f"{tasks}/{name}/status", "rb") as file:
                # Every encoding but this may have to be imported, and the user need not be able to read Python's files.
                lines = [line.decode("utf-8", "replace").partition(":") for line in file.readlines()]
        except OSError:
            continue  # It has ended meanwhile.
        yield {key: value.split() for key, _, value in lines}
