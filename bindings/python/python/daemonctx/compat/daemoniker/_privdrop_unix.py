"""Giving up privileges."""

import shutil

from .._owner import change_owner

__all__ = []


def daemote(pid_file, user, group):
    """Become another user and group for good; the pid file becomes theirs, so that it can be removed at the end.

    There are no supplementary groups afterwards. A user alone brings its own group along.

    :param pid_file: the file's path.
    :param user: a name or number; None for no change.
    :param group: likewise.
    :raises LookupError: there is no such user or group.
    :raises daemonctx.DaemonError: it cannot be, or is not complete.
    """
    shutil.chown(pid_file, user, group)
    change_owner(user, group)
