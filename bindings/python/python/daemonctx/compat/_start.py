"""The start that all stand-ins share: it changes what the originals change, and leaves the rest of the process as it is."""

import errno
import operator
import os
import select
import sys

from .. import _native
from .._context import _NUMBERS, _STREAMS, _descriptor
from .._context import DaemonContext as _Core

__all__ = ["Start", "is_open", "refuse_living"]


class Start(_Core):
    """A start as the originals make one.

    - Signals that are not in the signal map stay as they are, and so does the signal mask.
    - A stream that is not set leads to ``/dev/null``, also where standard input is a socket.
    - The streams of ``sys`` are connected as well where they are files of the program's own.
    - *detach_process* is true or false when the start begins.
    - It returns when the starter has exited, so the parent does not change later.
    """

    _keeps_all = False
    """Whether all descriptors stay open."""

    _connects_system_streams = True
    """Whether the descriptors of ``sys.stdin``, ``sys.stdout`` and ``sys.stderr`` are connected, beside 0 to 2."""

    _starter = None
    _groups = None
    _late_stream = None

    # Any attribute, as with the originals.
    __setattr__ = object.__setattr__

    def _detaches(self):
        return bool(self.detach_process)

    def _prepare(self, start):
        start.keep_signals()
        if self._keeps_all:
            start.keep_all()
        for option in _STREAMS:
            getattr(start, option)(None)
        self._starter = os.getpid()
        self._system_streams = dict(_system_streams()) if self._connects_system_streams else {}
        for fd in self._system_streams.values():
            start.keep(fd)
        return super()._prepare(start)

    def _prepare_directories(self, start):
        if self.chroot_directory is not None:
            start.chroot_directory(os.fsdecode(self.chroot_directory))
        start.working_directory(self._working_directory_inside())

    def _prepare_umask(self, start):
        start.umask(operator.index(self.umask) & 0o777)

    def _prepare_owner(self, start):
        """Change nothing that the process has in every way: then its supplementary groups are its own as well."""
        uid, gid = self.uid, self.gid
        changes_user = uid is not None and set(os.getresuid()) != {uid}
        if changes_user:
            start.uid(_checked_id(uid))
        if gid is not None and (changes_user or set(os.getresgid()) != {gid}):
            start.gid(_checked_id(gid))
        if uid == os.getuid() and os.geteuid() not in (0, uid):
            # Back to the real user. Only root can set groups, and they have not been another user's.
            start.initgroups(None)
            if self.initgroups:
                _own_groups(uid, gid)
            return
        start.initgroups(bool(self.initgroups) and changes_user)
        if self.initgroups and uid is not None and not changes_user:
            self._groups = _own_groups(uid, gid)

    def _begin(self, handlers, pidfile):
        for option, fd in self._system_streams.items():
            if option != "stderr":
                os.dup2(_NUMBERS[option], fd)
        if self._groups is not None:
            os.setgroups(self._groups)
        super()._begin(handlers, pidfile)

    def ready(self):
        super().ready()
        # Standard error has been the starter's until now.
        fd = self._system_streams.pop("stderr", None)
        if fd is not None:
            os.dup2(2, fd)
        if self._detaches():
            _await_end(self._starter)


def _checked_id(value):
    """A user's or group's name or number; what is no number of one raises what `os.setuid` does."""
    if isinstance(value, int):
        if value == -1:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if not 0 <= value < 2**32 - 1:
            raise OverflowError(f"no user or group has the number {value}")
    return value


def _own_groups(uid, gid):
    """The supplementary groups of a user that the process is already; None for a user without an entry in the user database.

    :raises OSError: this process may not set them.
    """
    import pwd

    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
    os.setgroups(os.getgroups())
    return os.getgrouplist(name, gid)


def _system_streams():
    """The streams of ``sys`` that have descriptors of their own, and these."""
    for option in _STREAMS:
        fd = _descriptor(getattr(sys, option))
        if isinstance(fd, int) and fd > 2 and is_open(fd):
            yield option, fd


def _await_end(starter):
    """Wait until the starter has exited. The daemon has been the session leader's child, and been adopted by the starter for the time of
    the start.

    They exit as soon as they know that the daemon is ready. One that is stopped meanwhile is waited for no longer than this.
    """
    milliseconds = 1000
    while os.getppid() in (starter, os.getsid(0)) and hasattr(os, "pidfd_open"):
        parent = os.getppid()
        try:
            fd = os.pidfd_open(parent)
        except OSError:
            return
        try:
            poll = select.poll()
            poll.register(fd, select.POLLIN)
            if os.getppid() == parent and not poll.poll(milliseconds):
                return
        finally:
            os.close(fd)


def is_open(fd):
    """Whether a descriptor is open."""
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def refuse_living(path):
    """Do nothing if a start may take the pid file at *path*.

    A program with the original may have written it, which does not lock it. Such a file means a daemon if the process that it names has
    been running since before the file was written.

    :raises daemonctx.AlreadyRunningError: there is such a daemon.
    :raises daemonctx.PidFileError: the file cannot be used as one.
    """
    state, pid = _native.PidFile(os.fsdecode(path), "either").status()
    if state != "running":
        return
    from .._errors import AlreadyRunningError

    message = f"pid file failed: {path} (already running as PID {pid}): {os.strerror(errno.EAGAIN)} ({errno.EAGAIN} EAGAIN)"
    error = AlreadyRunningError(message, errno.EAGAIN, "pid file", str(path))
    error.pid = pid
    raise error
