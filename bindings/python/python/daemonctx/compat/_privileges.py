"""A change of user and group in a process that goes on, and has threads."""

import os

from .. import _native
from .._context import _set

__all__ = ["change_owner"]


def change_owner(uid=None, gid=None):
    """Become another user and group, in every thread and for good; then see that it is so.

    Supplementary groups: with *gid* none, without it those that the user database has for *uid*, whose group comes from there
    as well. A process that is who it is to be already, and is not root's, keeps its groups: it could not change them.

    :param uid: the user's number; None for no change.
    :param gid: the group's number; None for no change, or for the user's own if the user changes.
    :raises DaemonError: a step failed, or the process is not what it should be afterwards. It must not go on then.
    """
    wish = _native.Builder()
    for option, value in (("uid", uid), ("gid", gid)):
        if value is not None:
            _set(getattr(wish, option), option, value)
    wish.initgroups(gid is None)
    if gid is not None and os.geteuid() == 0:
        os.setgroups([])  # Also where the user stays.
    wish.drop_privileges()
