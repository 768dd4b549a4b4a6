"""Giving up privileges in a process that stays what it is: no fork, no descriptor closed, no stream redirected."""

import os

from .. import _native


def change_owner(uid, gid):
    """Become another user and group for good, in the order and with the checks of every start of the core.

    Supplementary groups do not outlive a change of user: there are none afterwards. With *uid* alone the user's own group comes
    along; a user without an entry in the user database keeps the group.

    :param uid: the user, by number or name; None for no change.
    :param gid: the group, likewise.
    :raises daemonctx.DaemonError: it cannot be, or is not complete: ids, groups or capabilities are left, or a way back.
    """
    if uid is None and gid is None:
        return
    wish = _native.Builder()
    for setter, value in ((wish.uid, uid), (wish.gid, own_group(uid, gid))):
        if value is not None:
            setter(value)
    wish.initgroups(False)
    wish.drop_privileges()


def own_group(uid, gid):
    """The group for a change of user: *gid*, or where that is None the user's own; the present one for a number that the user
    database does not have. None where there is nothing to change, or for the core to find out: for a name.
    """
    if gid is not None or not isinstance(uid, int) or set(os.getresuid()) == {uid}:
        return gid
    import pwd

    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return os.getegid()


def current_umask():
    """The file mode creation mask. It can be read only by changing it: for a moment it is stricter."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
