"""What pyzenkit's ``daemonizer`` module has."""

import errno
import os

from ... import _native
from ..._pidfile import PidFile as _PidFile
from .._owner import change_owner, current_umask, own_group
from .._start import Start, refuse_living

__all__ = ["daemonize", "daemonize_lite", "get_logger_files", "read_pid", "write_pid"]


def get_logger_files(logger):
    """The files and sockets of a logger's own handlers, as a list: what `daemonize` is to keep open."""
    files = []
    for handler in logger.handlers:
        for name in ("stream", "socket", "sock"):
            file = getattr(handler, name, None)
            if hasattr(file, "fileno"):
                files.append(file)
    return files


def write_pid(pid_file, pid):
    """Write a number into a new file, and nothing else: it is neither locked nor removed at the end.

    :raises TypeError: *pid* is no number.
    :raises FileExistsError: there is such a file already.
    :raises OSError: it cannot be made or written.
    """
    if not isinstance(pid, int):
        raise TypeError(f"a PID is an integer, not {pid!r}")
    fd = os.open(pid_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "w", encoding="ascii") as file:
            os.fchmod(fd, 0o644)  # Whatever the umask, everybody may read who runs.
            file.write(f"{pid:d}\n")
    except OSError:
        os.unlink(pid_file)
        raise


def read_pid(pid_file):
    """The PID on a file's first line, whoever that is by now.

    :raises ValueError: it is no PID. So 0 and negative numbers, which are many processes to kill(2), are none.
    :raises OSError: the file cannot be read.
    """
    with open(pid_file, encoding="utf-8", errors="replace") as file:
        pid = int(file.readline())
    if pid <= 0:
        raise ValueError(f"no PID in {pid_file}: {pid}")
    return pid


def daemonize_lite(chroot_dir=None, work_dir=None, umask=None, uid=None, gid=None, pid_file=None, signals=None):
    """Do what `daemonize` does to this process, but stay in the foreground: nothing is detached, closed or redirected.

    The parameters are those of `daemonize`.

    :returns: this process's PID, and *pid_file*.
    :raises ValueError: the name of the pid file does not end in ``.pid``.
    :raises FileExistsError: another process holds the pid file.
    :raises OSError: a step failed. Those before it have been done.
    """
    _check_name(pid_file)
    # In a new root there may be neither Python's own modules nor the user database.
    import signal

    gid = own_group(uid, gid)
    with _Translating():
        if pid_file is not None:
            refuse_living(_outside(chroot_dir, work_dir, pid_file))
        _enter(chroot_dir, work_dir, umask)
        change_owner(uid, gid)
        for signum, handler in (signals or {}).items():
            signal.signal(signum, handler)
        if pid_file is not None:
            _native.PidFile(pid_file, "either").acquire_for_good()
    return os.getpid(), pid_file


def daemonize(
    chroot_dir=None, work_dir=None, umask=None, uid=None, gid=None, pid_file=None, files_preserve=None, signals=None
):
    """Become a daemon. The starter leaves with 0 when the daemon is ready, and with the error on standard error when it is not.

    What can be known before anything happens is raised in the starter, and nothing has happened then.

    :param chroot_dir: a new root directory, or None.
    :param work_dir: the working directory, counted from the new root where there is one; None for no change.
    :param umask: the file mode creation mask; None for no change.
    :param uid: the user to run as; None for no change. There are no supplementary groups after one.
    :param gid: the group to run as; None for the user's own if *uid* changes it.
    :param pid_file: the path of a file for the daemon's PID, ending in ``.pid``, and counted from *work_dir* in the new root. It is
        locked while the daemon lives and removed at its end. None for no file.
    :param files_preserve: not used: all that is open stays open, but standard streams lead to ``/dev/null``.
    :param signals: what `signal.signal` takes, by signal number.
    :returns: the daemon's PID, and *pid_file*.
    :raises ValueError: the name of the pid file does not end in ``.pid``.
    :raises FileExistsError: another process holds the pid file.
    :raises OSError: an option cannot be what it is.
    """
    _check_name(pid_file)
    with _Translating():
        _Start(chroot_dir, work_dir, umask, uid, gid, pid_file, signals).open()
    return os.getpid(), pid_file


class _Start(Start):
    """A start with pyzenkit's options. All that is open stays open."""

    _keeps_all = True
    _connects_system_streams = False

    def __init__(self, chroot_dir, work_dir, umask, uid, gid, pid_file, signals):
        pidfile = None if pid_file is None else _PidFile(_outside(chroot_dir, work_dir, pid_file))
        super().__init__(
            chroot_directory=chroot_dir,
            working_directory=_inside(chroot_dir, work_dir),
            umask=current_umask() if umask is None else umask,
            uid=uid,
            gid=own_group(uid, gid),
            prevent_core=False,
            detach_process=True,
            pidfile=pidfile,
            signal_map={} if signals is None else signals,
        )

    def _working_directory_inside(self):
        return self._working_directory

    def _prepare_pidfile(self, start):
        if self.pidfile is not None:
            refuse_living(self.pidfile.path)
        return super()._prepare_pidfile(start)


def _check_name(pid_file):
    if pid_file is not None and not os.fspath(pid_file).endswith(".pid"):
        raise ValueError(f"the name of a pid file ends in '.pid': {pid_file!r}")


def _inside(chroot_dir, work_dir):
    """The working directory as it is called in the new root, or where there is none."""
    directory = os.getcwd() if chroot_dir is None else "/"
    if work_dir is None:
        return directory
    if not work_dir:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), work_dir)
    return os.path.join(directory, os.fsdecode(work_dir))


def _outside(chroot_dir, work_dir, pid_file):
    """The path of the pid file as it is called now."""
    path = os.path.join(_inside(chroot_dir, work_dir), pid_file)
    return path if chroot_dir is None else os.path.join(os.fsdecode(chroot_dir), path.lstrip("/"))


def _enter(chroot_dir, work_dir, umask):
    if chroot_dir is not None:
        os.chroot(chroot_dir)
        os.chdir("/")
    if work_dir is not None:
        os.chdir(work_dir)
    if umask is not None:
        os.umask(umask)


class _Translating:
    """Turns the core's errors into the system's own, which programs of pyzenkit know; what has none stays."""

    def __enter__(self):
        # Now: in a new root it may not be found.
        from ... import _errors

        self._errors = _errors

    def __exit__(self, exc_type, exc_value, exc_tb):
        if not isinstance(exc_value, self._errors.DaemonError):
            return
        if isinstance(exc_value, self._errors.AlreadyRunningError):
            raise FileExistsError(errno.EEXIST, _holder(exc_value), exc_value.value) from exc_value
        if isinstance(exc_value, self._errors.PidFileError) and os.path.lexists(exc_value.value):
            raise FileExistsError(errno.EEXIST, exc_value.strerror, exc_value.value) from exc_value
        # That there is no such user is ENOENT too, but has nothing to do with files.
        if exc_value.errno is not None and exc_value.step not in ("user", "group"):
            error = OSError(exc_value.errno, exc_value.strerror, exc_value.value)
            if type(error) is not OSError:
                raise error from exc_value


def _holder(error):
    return "another start is under way" if error.pid is None else f"already running as PID {error.pid}"
