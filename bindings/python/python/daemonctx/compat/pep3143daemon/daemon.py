"""What pep3143daemon's ``daemon`` module has."""

import os
import resource
import signal
import stat
import sys

from ... import _native
from ..._context import _STREAMS, _descriptor, _is_file, _is_pidfile_path, _set
from ..._context import default_signal_map as _default_signal_map
from ..._errors import DaemonError as _CoreError
from .._start import Start as _Start
from .pidfile import PidFile

__all__ = [
    "DaemonContext",
    "DaemonError",
    "close_filenos",
    "default_signal_map",
    "detach_required",
    "parent_is_inet",
    "parent_is_init",
    "redirect_stream",
]


class DaemonError(Exception):
    """A step of the start failed."""


class DaemonContext(_Start):
    """What a daemon is to be, and the door to its start.

    The parameters are those of `daemonctx.DaemonContext`, in the same order, without the keyword-only ones; those can be set
    as attributes.

    :param uid: the user to run as, by number or name; None for the real user id. 0 is root, and not "none".
    :param gid: the group to run as, likewise.
    :param files_preserve: descriptors, or objects with ``fileno()``, to keep open; what is closed already is left out.
    :param pidfile: an object whose ``acquire()`` is called in the daemon. A `PidFile` is taken before anything happens.
    """

    def __init__(
        self,
        chroot_directory=None,
        working_directory="/",
        umask=0,
        uid=None,
        gid=None,
        prevent_core=True,
        detach_process=None,
        files_preserve=None,
        pidfile=None,
        stdin=None,
        stdout=None,
        stderr=None,
        signal_map=None,
    ):
        super().__init__(
            chroot_directory=chroot_directory,
            working_directory=working_directory,
            umask=umask,
            uid=os.getuid() if uid is None else uid,
            gid=os.getgid() if gid is None else gid,
            prevent_core=prevent_core,
            detach_process=detach_required() if detach_process is None else detach_process,
            files_preserve=files_preserve,
            pidfile=pidfile,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            signal_map=signal_map or default_signal_map(),
            # The pid file is acquired in the daemon, and may wait for as long as it likes.
            ready_timeout=None,
            # A handler whose descriptor is closed writes to whatever gets the number next.
            preserve_logging=True,
        )
        self._is_open = False

    @property
    def is_open(self):
        """Whether `open` has come back."""
        return self._is_open

    def open(self):
        """Become a daemon. Does nothing if this is one already.

        Comes back in the daemon only; the starter leaves with 0 when the daemon is ready, and with the error on standard error
        when it is not. What can be known before anything happens is raised in the starter.
        """
        if self.is_open:
            return
        own = self._takes_pidfile_before()
        try:
            if own:
                with self.pidfile._refusing():
                    super().open()
            else:
                super().open()
        except _CoreError as error:
            if error.step == "signal map":
                raise OSError(error.errno, str(error)) from error
            raise DaemonError(str(error)) from error
        if own:
            self.pidfile._hold()
        self._is_open = True

    def __exit__(self, exc_type, exc_val, exc_tb):
        super().__exit__(exc_type, exc_val, exc_tb)

    def close(self):
        """Does nothing: the end of the process releases what there is to release."""

    def terminate(self, signal_number, stack_frame):
        """Handle a signal by raising SystemExit with a text, which the interpreter prints before it leaves with status 1."""
        raise SystemExit(f"Terminating on signal {signal_number}")

    # --- how the core is told ---------------------------------------------------------------------------------------

    def _prepare_owner(self, start):
        try:
            super()._prepare_owner(start)
        except _CoreError:
            raise
        except OSError as error:
            raise DaemonError(f"user or group failed: {error}") from error

    def _prepare_files(self, start):
        for option, method in _STREAMS.items():
            stream = getattr(self, option)
            descriptor = _descriptor(stream)
            if descriptor is not None:
                _set(getattr(start, option), option, descriptor)
            elif stream is not None:
                getattr(stream, method)  # what cannot be a stream is an AttributeError
                if getattr(stream, "closed", False):
                    raise ValueError(f"{option} is closed")
        for descriptor in self._files_preserve:
            try:
                os.fstat(descriptor)
            except OSError:
                continue
            start.keep(descriptor)

    def _signal_handlers(self):
        return self._signal_handler_map

    def _prepare_pidfile(self, start):
        if not self.pidfile:
            return None
        if isinstance(self.pidfile, PidFile) and self.pidfile._is_held():
            self.pidfile._bring_along()
            return self.pidfile.acquire, None
        if self._takes_pidfile_before():
            start.pidfile(os.fsdecode(self.pidfile._pidfile))
            return None
        if _is_pidfile_path(self.pidfile) or _is_file(self.pidfile):
            return super()._prepare_pidfile(start)
        return self.pidfile.acquire, None

    def _takes_pidfile_before(self):
        """Whether the path is the same before the start as in the daemon, so that the file is taken before anything happens."""
        file = self.pidfile
        return type(file) is PidFile and not file._is_held() and os.path.isabs(file._pidfile) and not self.chroot_directory

    # --- what pep3143daemon's own have, and programs override ---------------------------------------------------------

    @property
    def _files_preserve(self):
        """The descriptors to keep. The program's list stays as it is."""
        result = set()
        for item in (*(self.files_preserve or ()), self.stdin, self.stdout, self.stderr):
            if isinstance(item, int):
                result.add(item)
            elif _descriptor(item) is not None:
                result.add(item.fileno())
        return result

    def _get_signal_handler(self, handler):
        """What `signal.signal` takes for *handler*."""
        if not handler:
            return signal.SIG_IGN
        return getattr(self, handler) if isinstance(handler, str) else handler

    @property
    def _signal_handler_map(self):
        """The signal map with every handler resolved."""
        return {signum: self._get_signal_handler(handler) for signum, handler in self.signal_map.items()}


def close_filenos(preserve):
    """Close every descriptor but those in *preserve*, 0 to 2 included."""
    first = 0
    try:
        for kept in sorted(preserve):
            if kept >= first:
                os.closerange(first, kept)
                first = kept + 1
        os.closerange(first, max(first, _maximum_descriptors()))
    except OSError as error:
        raise DaemonError(f"Failed to close file descriptors: {error}") from error


def _maximum_descriptors():
    maximum = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 4096 if maximum == resource.RLIM_INFINITY else maximum


def default_signal_map():
    """PEP 3143's: terminal stops are ignored, SIGTERM calls `DaemonContext.terminate`."""
    return _default_signal_map()


def parent_is_init():
    """Whether the parent is process 1."""
    return os.getppid() == 1


def parent_is_inet():
    """Whether standard input is a socket, as below inetd."""
    try:
        # Not socket.fromfd(), which leaves its duplicate open when it fails.
        return stat.S_ISSOCK(os.fstat(sys.__stdin__.fileno()).st_mode)
    except (AttributeError, ValueError, OSError):
        return False


def detach_required():
    """Whether the process has to detach: no supervisor, such as init, inetd or supervisord, has started it."""
    return not (parent_is_inet() or parent_is_init()) and _native.detaches_by_default()


def redirect_stream(system, target):
    """Make the descriptor of *system* lead to *target*, or to ``/dev/null`` for None."""
    descriptor = os.open(os.devnull, os.O_RDWR) if target is None else target.fileno()
    try:
        os.dup2(descriptor, system.fileno())
    except OSError as error:
        raise DaemonError(f"Could not redirect {system} to {target}: {error}") from error
