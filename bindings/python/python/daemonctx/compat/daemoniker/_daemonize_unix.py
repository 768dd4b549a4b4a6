"""Becoming a daemon."""

import os
import sys

from ... import _native
from ..._context import _flush, _forget, _fork, _program_name, _refuse, _warn
from ..._pidfile import PidFile as _PidFile
from .._start import Start, is_open, refuse_living
from ._daemonize_common import _make_range_tuples
from .utils import _log, default_to

__all__ = []

_SUPPORTED_PLATFORM = True


class Daemonizer:
    """Becomes a daemon within a ``with`` statement, which also the starter goes through, to its end and no further.

    The statement gives True, for `is_setup`, and a function with the parameters of `daemonize`. That returns a list of whether
    this is the starter, and the arguments behind *pid_file*: in the daemon as they are, in the starter a None for each. The
    starter gets there when the daemon is ready. If the start fails, `SystemExit` says why in the starter, and there is no daemon.

    At the end of the statement the starter leaves: with 0; with 2 after an exception, whose traceback it prints; with its own
    status after `SystemExit`. Atexit functions do not run in it.
    """

    def __init__(self):
        self._is_parent = None
        self._daemonize_called = None

    def __enter__(self):
        self._is_parent = None
        self._daemonize_called = False
        return True, self._daemonize

    def __exit__(self, exc_type, exc_value, exc_tb):
        if self._daemonize_called is None:
            raise RuntimeError("Daemonizer has not been entered")
        if self._is_parent:
            _leave(exc_value)
        if not self._daemonize_called:
            self._daemonize_called = None
            _log("warning", "Daemonizer exited, and daemonize was never called")

    def _daemonize(self, *args, **kwargs):
        self._daemonize_called = True
        result = daemonize(*args, _exit_caller=False, **kwargs)
        self._is_parent = result[0]
        return result


def daemonize(
    pid_file,
    *args,
    chdir=None,
    stdin_goto=None,
    stdout_goto=None,
    stderr_goto=None,
    umask=0o027,
    shielded_fds=None,
    fd_fallback_limit=1024,
    success_timeout=30,
    strip_cmd_args=False,
    explicit_rescript=None,
    _exit_caller=True,
):
    """Become a daemon. The starter leaves with 0 when the daemon is ready; in the daemon *args* come back, as a tuple.

    :param pid_file: the path of a file for the daemon's PID, which is locked while it lives and removed at its end.
    :param args: what the daemon gets back.
    :param chdir: the working directory; None for the present one.
    :param stdin_goto: the path of a file to read standard input from, counted from *chdir*; None for ``/dev/null``. A file that
        does not exist is made.
    :param stdout_goto: the path of a file that standard output is appended to, likewise.
    :param stderr_goto: the path of a file that standard error is appended to, likewise.
    :param umask: the file mode creation mask.
    :param shielded_fds: descriptors to keep open, or objects with ``fileno()``; what is not open is left out. The files of
        `logging`'s handlers stay open too.
    :param fd_fallback_limit: not used; the system says what is open.
    :param success_timeout: how many seconds the daemon may take until it is ready; None and 0 for any time.
    :param strip_cmd_args: not used on Unix.
    :param explicit_rescript: not used on Unix.
    :param _exit_caller: False has it come back in the starter too, as in `Daemonizer`: with a list.
    :raises SystemExit: the pid file is another daemon's, or cannot be had; or there can be no daemon for another reason.
    :raises daemonctx.OptionError: an option cannot be what it is.
    """
    start = _Start(pid_file, chdir, umask, success_timeout)
    start.set_files(stdin_goto, stdout_goto, stderr_goto, shielded_fds)
    with _Refusing():
        if _exit_caller:
            start.open()
            return args
        in_starter = start.fork()
    return [in_starter, *([None] * len(args) if in_starter else args)]


class _Start(Start):
    """A start with daemoniker's options. It can also come back in the starter."""

    _connects_system_streams = False

    def __init__(self, pid_file, chdir, umask, success_timeout):
        super().__init__(
            working_directory=os.fsdecode(os.path.abspath(default_to(chdir, "."))),
            umask=umask,
            prevent_core=False,
            detach_process=True,
            pidfile=_PidFile(os.fsdecode(pid_file)),
            signal_map={},
            ready_timeout=success_timeout if success_timeout and success_timeout > 0 else None,
            preserve_logging=True,
        )

    def set_files(self, stdin, stdout, stderr, shielded_fds):
        for option, path in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
            path = os.fsdecode(default_to(path, os.devnull))
            setattr(self, option, os.path.join(self.working_directory, path))
        self.files_preserve = [fd for fd in map(_descriptor, default_to(shielded_fds, ())) if is_open(fd)]

    def fork(self):
        """Start, and come back in the daemon, with False; and in the starter when the daemon is ready, with True."""
        _refuse(True)
        start = _native.Builder()
        handlers = self._prepare(start)
        pidfile = self._prepare_pidfile(start)
        _warn(start, True)
        _flush(sys.stdout, sys.stderr)
        begun = _fork(start.fork)
        if isinstance(begun, _native.PendingStart):
            _await(begun)
            return True
        try:
            _forget(begun.is_detached)
            self._begin(handlers, pidfile)
            self._context = begun
            self.ready()
        except BaseException as error:
            from ..._errors import tell_starter

            tell_starter(begun, error)
            raise
        return False

    def _prepare_files(self, start):
        for option in ("stdin", "stdout", "stderr"):
            _make_file(getattr(self, option), self.umask)
        super()._prepare_files(start)

    def _prepare_pidfile(self, start):
        refuse_living(self.pidfile.path)
        return super()._prepare_pidfile(start)

    def _begin(self, handlers, pidfile):
        super()._begin(handlers, pidfile)
        for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
            # They are None in a program that was started without them.
            if getattr(sys, name) is None:
                setattr(sys, name, open(fd, mode, buffering=1, closefd=False))


# --- what programs, and daemoniker's own tests, call by themselves ------------------------------------------------------


def _fratricidal_fork(have_mercy=False):
    """Fork, and go on in the child, with False. The parent exits at once; with *have_mercy* it goes on too, with True."""
    is_parent = os.fork() != 0
    if is_parent and not have_mercy:
        os._exit(0)
    return is_parent


def _filial_usurpation(chdir, umask):
    """Become the leader of a new session, with another working directory and umask."""
    os.chdir(chdir)
    os.setsid()
    os.umask(umask)


def _autoclose_files(shielded=None, fallback_limit=1024):
    """Close every descriptor above 2 but those in *shielded* and this package's own.

    :param fallback_limit: where the system does not list what is open, the first number that is not closed.
    """
    kept = {*default_to(shielded, ()), *_native.Builder().kept()}
    try:
        end = max(map(int, os.listdir("/proc/self/fd"))) + 1
    except (OSError, ValueError):
        end = fallback_limit
    for first, last in _make_range_tuples(3, end, kept):
        os.closerange(first, last)


def _descriptor(item):
    return item if isinstance(item, int) else item.fileno()


def _make_file(path, umask):
    """Make a log file as the daemon would, with its umask. What cannot be made is for the start to tell."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.fchmod(fd, 0o666 & ~umask)
    finally:
        os.close(fd)


def _await(starting):
    """Wait in the starter for the daemon to be ready.

    :raises SystemExit: it never will be; with the status that a starter leaves with.
    """
    from ..._errors import DaemonError

    try:
        starting.wait()
    except DaemonError as error:
        if starting.exit_status == 1:
            raise SystemExit(_line(error)) from error
        print(_line(error), file=sys.stderr)
        raise SystemExit(starting.exit_status) from error


class _Refusing:
    """Turns errors that no other option would have avoided into the exception that daemoniker ends a program with."""

    def __enter__(self):
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        if exc_value is None:
            return
        from ..._errors import DaemonError, OptionError, UsageError

        if isinstance(exc_value, DaemonError) and not isinstance(exc_value, (OptionError, UsageError)):
            _log("critical", str(exc_value))
            raise SystemExit(_line(exc_value)) from exc_value


def _line(error):
    """What the core would print."""
    return f"{_program_name()}: {error}"


def _leave(error):
    """End the starter, after what it has printed is out.

    :param error: the exception that has ended its block, or None.
    """
    status = 0 if error is None else _status(error)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # There is none, or nobody reads it any more.
    os._exit(status)


def _status(error):
    """Say what has ended the starter's block, as the interpreter does, and return the status for it."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)
        return 1
    import traceback

    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    _log("error", f"exception in the starter:\n{text}")
    print(text, end="", file=sys.stderr)
    return 2
