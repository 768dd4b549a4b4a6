"""What python-daemon's ``daemon.daemon`` has: `DaemonContext`, and its steps as functions of their own."""

import atexit
import errno
import os
import pwd
import resource
import signal
import socket
import stat
import sys
import warnings

from ... import _native
from ..._context import _is_file, _is_pidfile_path
from ..._errors import DaemonError as _CoreError
from .._start import Start as _Start

__all__ = [
    "DaemonContext",
    "DaemonError",
    "DaemonOSEnvironmentError",
    "DaemonProcessDetachError",
    "MAXFD",
    "change_file_creation_mask",
    "change_process_owner",
    "change_root_directory",
    "change_working_directory",
    "close_all_open_files",
    "close_file_descriptor_if_open",
    "detach_process_context",
    "get_maximum_file_descriptors",
    "get_stream_file_descriptors",
    "get_username_for_uid",
    "is_detach_process_context_required",
    "is_process_started_by_init",
    "is_process_started_by_superserver",
    "is_socket",
    "is_socket_file",
    "make_default_signal_map",
    "prevent_core_dump",
    "redirect_stream",
    "register_atexit_function",
    "set_signal_handlers",
]


class DaemonError(Exception):
    """What all the others are."""


class DaemonOSEnvironmentError(DaemonError, OSError):
    """Something about the process could not be set up."""


class DaemonProcessDetachError(DaemonError, OSError):
    """The process could not be detached."""


class DaemonContext(_Start):
    """What a daemon is to be, and the door to its start.

    Every parameter is an attribute too and may be changed until `open` is called.

    :param chroot_directory: a new root directory, or None.
    :param working_directory: the working directory, inside the new root where there is one.
    :param umask: the file mode creation mask.
    :param uid: the user to run as, by number; None for the real user id.
    :param gid: the group to run as, by number; None for the real group id.
    :param initgroups: whether the daemon gets the supplementary groups of the user it changes to; else it gets none.
    :param prevent_core: whether core files are forbidden.
    :param detach_process: whether to detach; None for yes, unless `is_detach_process_context_required` says otherwise.
    :param files_preserve: descriptors, or objects with ``fileno()``, to keep open; what is closed already is left out.
    :param pidfile: a context manager, which is entered in the daemon.
    :param stdin: where standard input comes from: an object with ``fileno()``, None for ``/dev/null``. Another object, such as
        a ``StringIO``, becomes ``sys.stdin``.
    :param stdout: where standard output goes, likewise.
    :param stderr: where standard error goes, likewise.
    :param signal_map: what signals do: None to ignore, a string for the method of that name, or what `signal.signal` takes.

    The keyword-only parameters of `daemonctx.DaemonContext` can be set as attributes; `ready_timeout` is None here.
    """

    def __init__(
        self,
        chroot_directory=None,
        working_directory="/",
        umask=0,
        uid=None,
        gid=None,
        initgroups=False,
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
            detach_process=is_detach_process_context_required() if detach_process is None else detach_process,
            files_preserve=files_preserve,
            pidfile=pidfile,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            signal_map=make_default_signal_map() if signal_map is None else signal_map,
            initgroups=initgroups,
            # The pid file is entered in the daemon, and may wait for as long as it likes.
            ready_timeout=None,
            # A handler whose descriptor is closed writes to whatever gets the number next.
            preserve_logging=True,
        )
        self._is_open = False

    @property
    def working_directory(self):
        """The working directory, inside the new root where there is one."""
        return self._working_directory

    @working_directory.setter
    def working_directory(self, value):
        self._working_directory = value

    @property
    def is_open(self):
        """Whether this is a daemon that has been opened and not closed."""
        return self._is_open

    def open(self):
        """Become a daemon. Does nothing if this is one already.

        Comes back in the daemon only; the starter leaves with 0 when the daemon is ready, and with the error on standard error
        when it is not. What can be known before anything happens is raised in the starter.

        A program that has replaced one of this module's steps, `close_all_open_files` say, gets them all one after the other, as
        python-daemon does them, with its own in their midst; the starter then leaves at once.
        """
        if self.is_open:
            return
        if any(globals()[name] is not step for name, step in _STEPS.items()):
            self._open_step_by_step()
        else:
            with _translated():
                super().open()
        self._is_open = True
        register_atexit_function(self.close)

    def __exit__(self, exc_type, exc_value, traceback):
        super().__exit__(exc_type, exc_value, traceback)

    def close(self):
        """Exit the pid file's context manager. Does nothing if this is not open; the process stays a daemon."""
        if not self.is_open:
            return
        if self.pidfile is not None and not _is_pidfile_path(self.pidfile):
            self.pidfile.__exit__(None, None, None)
        self._leave_pidfile = None
        super().close()
        self._is_open = False

    def terminate(self, signal_number, stack_frame):
        """Handle a signal by raising SystemExit, so that ``finally`` blocks and `atexit` functions run."""
        raise SystemExit(f"Terminating on signal {signal_number!r}")

    def _open_step_by_step(self):
        if self.chroot_directory is not None:
            change_root_directory(self.chroot_directory)
        if self.prevent_core:
            prevent_core_dump()
        change_file_creation_mask(self.umask)
        change_working_directory(self.working_directory)
        change_process_owner(self.uid, self.gid, self.initgroups)
        if self.detach_process:
            detach_process_context()
        set_signal_handlers(self._make_signal_handler_map())
        close_all_open_files(exclude=self._get_exclude_file_descriptors())
        redirect_stream(sys.stdin, self.stdin)
        redirect_stream(sys.stdout, self.stdout)
        redirect_stream(sys.stderr, self.stderr)
        if self.pidfile is not None:
            self.pidfile.__enter__()

    # --- how the core is told ---------------------------------------------------------------------------------------

    def _working_directory_inside(self):
        directory = os.fsdecode(self.working_directory)
        return os.path.join("/", directory) if self.chroot_directory is not None and directory else directory

    def _prepare_directories(self, start):
        _set_up("directories", (super()._prepare_directories, start))

    def _prepare_umask(self, start):
        _set_up("file creation mask", (super()._prepare_umask, start))

    def _prepare_owner(self, start):
        if not isinstance(self.uid, str):
            _has_name(self.uid)  # TypeError for what is no number
        _set_up("process owner", (super()._prepare_owner, start))

    def _prepare_files(self, start):
        for option, method in (("stdin", "read"), ("stdout", "write"), ("stderr", "write")):
            stream = getattr(self, option)
            descriptor = _get_file_descriptor(stream)
            if descriptor is not None:
                getattr(start, option)(descriptor)
            elif stream is not None:
                getattr(stream, method)  # what cannot be a stream is an AttributeError
                if getattr(stream, "closed", False):
                    raise TypeError(f"not an integer file descriptor: {stream!r}")
        streams = [id(stream) for stream in (self.stdin, self.stdout, self.stderr)]
        for descriptor in self._get_exclude_file_descriptors():
            # A StringIO is there itself: it has the method, and no descriptor.
            if id(descriptor) not in streams and _is_open(descriptor):
                start.keep(descriptor)

    def _signal_handlers(self):
        return self._make_signal_handler_map()

    def _prepare_pidfile(self, start):
        # A path, and a file, can be entered and hold nothing.
        if self.pidfile is None or _is_pidfile_path(self.pidfile) or _is_file(self.pidfile):
            return super()._prepare_pidfile(start)
        return self.pidfile.__enter__, None

    # --- what python-daemon's own have, and programs override ---------------------------------------------------------

    def _get_exclude_file_descriptors(self):
        """The descriptors to keep. The program's list stays as it is."""
        items = list(self.files_preserve or ())
        items += [stream for stream in (self.stdin, self.stdout, self.stderr) if hasattr(stream, "fileno")]
        exclude = set()
        for item in items:
            if item is not None:
                descriptor = _get_file_descriptor(item)
                exclude.add(item if descriptor is None else descriptor)
        return exclude

    def _make_signal_handler(self, target):
        """What `signal.signal` takes for *target*."""
        if target is None:
            return signal.SIG_IGN
        if isinstance(target, str):
            return getattr(self, target)
        return target

    def _make_signal_handler_map(self):
        """The signal map with every target resolved."""
        return {signum: self._make_signal_handler(target) for signum, target in self.signal_map.items()}


class _translated:
    """Turns the core's errors into those that programs of python-daemon know."""

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, traceback):
        if not isinstance(exc_value, _CoreError):
            return
        cls = DaemonProcessDetachError if exc_value.step in ("fork", "second fork", "setsid") else DaemonOSEnvironmentError
        error = cls(str(exc_value))
        error.errno = exc_value.errno
        raise error from exc_value


# --- descriptors and streams ----------------------------------------------------------------------------------------


def get_stream_file_descriptors(stdin=sys.stdin, stdout=sys.stdout, stderr=sys.stderr):
    """The descriptors of those streams that have one, as a set."""
    descriptors = {_get_file_descriptor(stream) for stream in (stdin, stdout, stderr)}
    return descriptors - {None}


def _get_file_descriptor(obj):
    """The descriptor of an object with ``fileno()``, or None."""
    try:
        return obj.fileno()
    except (AttributeError, ValueError):
        return None


def _is_open(descriptor):
    if not isinstance(descriptor, int):
        raise TypeError(f"not an integer file descriptor: {descriptor!r}")
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


MAXFD = 2048


def get_maximum_file_descriptors():
    """The hard limit of open descriptors; `MAXFD` where there is none."""
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAXFD if hard_limit == resource.RLIM_INFINITY else hard_limit


_total_file_descriptor_range = range(0, get_maximum_file_descriptors())


def _get_candidate_file_descriptor_ranges(exclude):
    """What lies between the descriptors in *exclude*, as pairs of first and end."""
    _validate_fd_values(exclude)
    first, end = _total_file_descriptor_range.start, _total_file_descriptor_range.stop
    ranges = []
    for descriptor in sorted(exclude):
        if descriptor > end:
            break
        if descriptor < first:
            continue
        if descriptor > first:
            ranges.append((first, descriptor))
        first = descriptor + 1
    if first < end:
        ranges.append((first, end))
    return ranges


def _validate_fd_values(fds):
    for descriptor in fds:
        if not isinstance(descriptor, int):
            raise TypeError(f"not an integer file descriptor: {descriptor!r}")


def _close_file_descriptor_ranges(ranges):
    for first, end in ranges:
        os.closerange(first, end)


def close_file_descriptor_if_open(fd):
    """Close a descriptor; one that is not open is no error."""
    try:
        os.close(fd)
    except OSError as error:
        if error.errno != errno.EBADF:
            raise DaemonOSEnvironmentError(f"Failed to close file descriptor {fd} ({error})") from error


def close_all_open_files(exclude=None):
    """Close every descriptor but those in *exclude*, 0 to 2 included."""
    _close_file_descriptor_ranges(ranges=_get_candidate_file_descriptor_ranges(exclude=exclude or set()))


def redirect_stream(system_stream, target_stream):
    """Make the descriptor of *system_stream* lead to *target_stream*, or to ``/dev/null`` for None."""
    target = os.open(os.devnull, os.O_RDWR) if target_stream is None else target_stream.fileno()
    os.dup2(target, system_stream.fileno())


# --- the process ----------------------------------------------------------------------------------------------------


def _set_up(what, *calls):
    """Call each function with its arguments; a failure is the error that programs know."""
    try:
        for function, *arguments in calls:
            function(*arguments)
    except Exception as error:
        failure = DaemonOSEnvironmentError(f"Unable to change {what} ({error})")
        failure.errno = getattr(error, "errno", None)
        raise failure from error


def change_working_directory(directory):
    """Change the working directory."""
    _set_up("working directory", (os.chdir, directory))


def change_root_directory(directory):
    """Change the root directory, and the working directory to it."""
    _set_up("root directory", (os.chdir, directory), (os.chroot, directory))


def change_file_creation_mask(mask):
    """Change the file mode creation mask."""
    _set_up("file creation mask", (os.umask, mask))


def get_username_for_uid(uid):
    """The name of a user; KeyError where there is none."""
    return pwd.getpwuid(uid).pw_name


def _has_name(uid):
    try:
        get_username_for_uid(uid)
    except KeyError:
        return False
    return True


def change_process_owner(uid, gid, initgroups=False):
    """Change group and user, and with the user the supplementary groups: to the user's own with *initgroups*, else to none.

    python-daemon leaves root's groups to the new user, and with *initgroups* the old group as well.
    """
    groups = []
    if initgroups and _has_name(uid):
        groups.append((os.initgroups, get_username_for_uid(uid), gid))
    elif uid != os.getuid() and os.geteuid() == 0:
        groups.append((os.setgroups, []))
    _set_up("process owner", (os.setgid, gid), *groups, (os.setuid, uid))


def prevent_core_dump():
    """Forbid core files."""
    try:
        resource.getrlimit(resource.RLIMIT_CORE)
    except ValueError as error:
        raise DaemonOSEnvironmentError(f"System does not support RLIMIT_CORE resource limit ({error})") from error
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def detach_process_context():
    """Leave the terminal and the session: two forks, whose parents leave at once.

    `DaemonContext.open` does it in a better way, with a starter that waits for the truth.
    """
    _fork_then_exit_parent("Failed first fork")
    os.setsid()
    _fork_then_exit_parent("Failed second fork")


def _fork_then_exit_parent(error_message):
    try:
        if os.fork() > 0:
            os._exit(0)
    except OSError as error:
        failure = DaemonProcessDetachError(f"{error_message}: [{error.errno:d}] {error.strerror}")
        failure.errno = error.errno
        raise failure from error


def is_process_started_by_init():
    """Whether the parent is process 1."""
    return os.getppid() == 1


def is_socket(fd):
    """Whether a descriptor is a socket's. Deprecated: use `is_socket_file`."""
    warnings.warn(DeprecationWarning("migrate to `is_socket_file` instead"))
    return _is_socket(fd)


def is_socket_file(file):
    """Whether a file is a socket; one without a descriptor is none."""
    descriptor = _get_file_descriptor(file)
    return descriptor is not None and _is_socket(descriptor)


def _is_socket(fd):
    try:
        # Of anything else `fromfd` would leave its duplicate open.
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
    except OSError:
        pass  # It says so itself.
    try:
        duplicate = socket.fromfd(fd, socket.AF_INET, socket.SOCK_RAW)
        try:
            duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
        finally:
            duplicate.close()
    except OSError as error:
        # What is not open is none either.
        return error.args[0] not in (errno.ENOTSOCK, errno.EBADF)
    return True


def is_process_started_by_superserver():
    """Whether standard input is a socket, as below inetd."""
    return is_socket_file(sys.__stdin__)


def is_detach_process_context_required():
    """Whether the process has to detach: no supervisor, such as init, inetd or supervisord, has started it."""
    return not (is_process_started_by_init() or is_process_started_by_superserver()) and _native.detaches_by_default()


# --- signals and the end ----------------------------------------------------------------------------------------------


def make_default_signal_map():
    """PEP 3143's: terminal stops are ignored, SIGTERM calls `DaemonContext.terminate`."""
    actions = {"SIGTSTP": None, "SIGTTIN": None, "SIGTTOU": None, "SIGTERM": "terminate"}
    return {getattr(signal, name): action for name, action in actions.items() if hasattr(signal, name)}


def set_signal_handlers(signal_handler_map):
    """Install the handlers."""
    for signum, handler in signal_handler_map.items():
        signal.signal(signum, handler)


def register_atexit_function(func):
    """Have a function called at the end of the program."""
    atexit.register(func)


# What `DaemonContext.open` consists of; a program may have replaced one.
_STEPS = {
    name: globals()[name]
    for name in (
        "change_file_creation_mask",
        "change_process_owner",
        "change_root_directory",
        "change_working_directory",
        "close_all_open_files",
        "detach_process_context",
        "prevent_core_dump",
        "redirect_stream",
        "register_atexit_function",
        "set_signal_handlers",
    )
}
