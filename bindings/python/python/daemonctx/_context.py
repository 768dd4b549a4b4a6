"""PEP 3143's DaemonContext."""

import sys
from os import environ, getpid

from . import _native
from ._pidfile import PidFile

# The `signal` module makes enumerations of everything when it is imported; the interpreter's own part is enough here.
import _signal

_STREAMS = ("stdin", "stdout", "stderr")


class DaemonContext:
    """What a daemon is to be, and the door to its start.

    Every parameter is an attribute too and may be changed until `open` is called.

    :param chroot_directory: a new root directory, or None.
    :param working_directory: the working directory; taken to be below *chroot_directory* where there is one.
    :param umask: the file mode creation mask.
    :param uid: the user to run as, by number or name; None for no change.
    :param gid: the group to run as, by number or name; None for the user's own if *uid* changes it.
    :param prevent_core: whether core files are forbidden.
    :param detach_process: whether to detach; None for yes, unless a supervisor (init, inetd, systemd) has done it.
    :param files_preserve: descriptors, or objects with ``fileno()``, to keep open.
    :param pidfile: a `PidFile`; or anything with ``__enter__``/``__exit__`` or ``acquire()``/``release()``, which is
        entered in the daemon, as the last step.
    :param stdin: where standard input comes from: an object with ``fileno()``, a descriptor or a path; None for
        ``/dev/null``.
    :param stdout: where standard output goes, likewise; a file is appended to. Or a `LogFile` or `Syslog`.
    :param stderr: where standard error goes, likewise.
    :param signal_map: what signals do: None to ignore, a string for the method of that name, or what `signal.signal`
        takes.
    :param initgroups: whether the daemon gets the supplementary groups of the user it changes to; else it gets none.
    :param manual_ready: whether the program itself says when the daemon is ready, by `ready`. Until then its standard
        error is the starter's. A program that is not trusted can keep it, a terminal, beyond the start, also with another
        ``uid``: start such a program with standard error redirected.
    :param ready_timeout: how many seconds the daemon may take until it is ready; None for any time.
    :param runtime_directory: a directory of the daemon's own for its pid file and sockets, or None. The starter makes it,
        mode 0755, for the user and group that the daemon runs as, who can remove the pid file there. It is removed when
        the start fails, or the daemon ends and may remove it, if it is empty. One that exists must belong to that user.
    :param preserve_logging: whether the files and sockets of `logging`'s handlers are kept open.
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
        *,
        initgroups=False,
        manual_ready=False,
        ready_timeout=30.0,
        runtime_directory=None,
        preserve_logging=False,
    ):
        self.chroot_directory = chroot_directory
        self.working_directory = working_directory
        self.umask = umask
        self.uid = uid
        self.gid = gid
        self.prevent_core = prevent_core
        self.detach_process = detach_process
        self.files_preserve = files_preserve
        self.pidfile = pidfile
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.signal_map = default_signal_map() if signal_map is None else signal_map
        self.initgroups = initgroups
        self.manual_ready = manual_ready
        self.ready_timeout = ready_timeout
        self.runtime_directory = runtime_directory
        self.preserve_logging = preserve_logging
        self.ready_fd = None
        """A descriptor to write a newline to, and close, when the daemon is ready: what s6 wants. Only as an attribute."""
        self._context = None
        self._leave_pidfile = None

    @property
    def working_directory(self):
        """The working directory, as it is called outside of `chroot_directory`."""
        root, working = self.chroot_directory, self._working_directory
        if root and not _is_below(working, root):
            return _text(root).rstrip("/") + "/" + _text(working).lstrip("/")
        return working

    @working_directory.setter
    def working_directory(self, value):
        self._working_directory = value

    @property
    def is_open(self):
        """Whether this is a daemon that has been opened and not closed."""
        return self._context is not None

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.close()

    def open(self):
        """Become a daemon. Does nothing if this is one already.

        Comes back in the daemon only. The starter leaves when it knows: with 0 when the daemon is ready, else with one
        line on standard error and a status that says what happened. An error that can be known before anything happens
        is raised in the starter, as a `DaemonError`; the process is then as it was. An exception after the fork ends
        the daemon, and the starter says so.
        """
        if self.is_open:
            return
        _refuse_running_loop()
        start = _native.Builder()
        handlers = self._prepare(start)
        pidfile = self._prepare_pidfile(start)
        if self.detach_process or self.detach_process is None:
            _warn_of_threads()
        _flush(sys.stdout, sys.stderr, self.stdout, self.stderr)
        starter = getpid()
        context = start.open()
        _correct_environment(starter)
        try:
            self._begin(handlers, pidfile)
            self._context = context
            if not self.manual_ready:
                self.ready()
        except BaseException as error:
            self._context = None
            _tell_starter(context, error)
            raise

    def ready(self):
        """Say that the daemon is ready: the starter leaves with 0, and standard error goes where it was meant to go.

        Without `manual_ready`, and when called again, it does nothing. Raises `DaemonError` when the starter was
        killed meanwhile: whoever ran it was told that the start failed, so the daemon should end.
        """
        if self._context is None:
            raise _error("UsageError", "handle failed: not opened", step="handle")
        _flush(sys.stderr)
        self._context.ready()

    async def ready_async(self):
        """The same as `ready`, for coroutines: the loop goes on while it is said.

        The context is opened before the loop runs (``asyncio.run``), with `manual_ready`. When the await is cancelled, it is
        said all the same.
        """
        from ._asynchronous import in_thread

        await in_thread(self.ready)

    def close(self):
        """Release the pid file. Does nothing if this is not open; the process stays a daemon."""
        if self._context is None:
            return
        context, self._context = self._context, None
        leave, self._leave_pidfile = self._leave_pidfile, None
        if leave is not None:
            leave()
        context.close()

    def reopen_streams(self, signal_number=None, stack_frame=None):
        """Open the files again that *stdout* and *stderr* go to, by their paths: when they have been moved away.

        For ``signal_map``: ``{signal.SIGHUP: "reopen_streams"}``. A file is appended to, and made like the first one where
        there is none; one that cannot be opened is a `DaemonError`, and its stream goes on with the old one. As a signal's
        handler it says that on standard error instead, as the daemon is in the middle of something else.
        """
        if self._context is None:
            raise _error("UsageError", "handle failed: not opened", step="handle")
        for stream in (sys.stdout, sys.stderr):
            try:
                _flush(stream)
            except (OSError, RuntimeError):
                pass  # The signal came while it was written to; or the old file is full. It goes to the new one.
        try:
            self._context.reopen_streams()
        except OSError as error:
            if signal_number is None:
                raise
            from os import write

            write(2, f"{error}\n".encode(errors="backslashreplace"))

    def terminate(self, signal_number, stack_frame):
        """Handle a signal by raising SystemExit, so that ``finally`` blocks and `atexit` functions run.

        Being told to end is no failure: the daemon ends with status 0, unless it was not ready yet. The exception's text says
        which signal it was.
        """
        end = SystemExit(f"Terminating on signal {signal_number}")
        # What the interpreter goes by. With a text here it would print that and leave with 1.
        end.code = 0
        raise end

    def _prepare(self, start):
        """Hand every option to the start. Returns the Python signal handlers to install in the daemon."""
        if sys.argv and sys.argv[0]:
            _set(start.program_name, "program name", sys.argv[0].rpartition("/")[2] or sys.argv[0])
        if self.chroot_directory is not None:
            _set(start.chroot_directory, "chroot_directory", self.chroot_directory)
        _set(start.working_directory, "working_directory", self._working_directory_inside())
        _set(start.umask, "umask", self.umask)
        self._prepare_owner(start)
        if self.runtime_directory is not None:
            _set(start.runtime_directory, "runtime_directory", self.runtime_directory)
        if self.chroot_directory is not None or self.uid is not None:
            _import_what_is_late()
        start.prevent_core(bool(self.prevent_core))
        if self.detach_process is not None:
            start.detach_process(bool(self.detach_process))
        _set(start.ready_timeout, "ready_timeout", self.ready_timeout)
        if self.ready_fd is not None:
            _set(start.ready_descriptor, "ready_fd", _fileno("ready_fd", self.ready_fd))
        self._prepare_files(start)
        self._prepare_logging(start)
        return self._prepare_signals(start, self._signal_handlers())

    def _prepare_owner(self, start):
        for option in ("uid", "gid"):
            value = getattr(self, option)
            if value is not None:
                _set(getattr(start, option), option, value)
        start.initgroups(bool(self.initgroups))

    def _working_directory_inside(self):
        """The working directory as it is called inside the new root."""
        working, root = self._working_directory, self.chroot_directory
        if root and _is_below(working, root):
            return "/" + _text(working)[len(_text(root)) :].lstrip("/")
        if root:
            return "/" + _text(working).lstrip("/")
        return working

    def _prepare_files(self, start):
        for option in _STREAMS:
            target = getattr(self, option)
            if target is None:
                continue
            if hasattr(target, "_connect"):  # LogFile, Syslog
                _set(lambda to: to._connect(start, _STREAMS.index(option)), option, target)
                continue
            if not _is_path(target):
                target = _fileno(option, target)
                _set(start.keep, option, target)
            _set(getattr(start, option), option, target)
        for item in () if self.files_preserve is None else _items("files_preserve", self.files_preserve):
            _set(start.keep, "files_preserve", _fileno("files_preserve", item), shown=item)

    def _prepare_logging(self, start):
        if self.preserve_logging:
            for fd in _logging_descriptors():
                start.keep(fd)

    def _signal_handlers(self):
        """What `signal.signal` takes for each signal of the map."""
        items = _items("signal_map", self.signal_map, of="items")
        return {signum: self._signal_handler(signum, handler) for signum, handler in items}

    def _prepare_signals(self, start, handlers):
        for signum, handler in handlers.items():
            if handler == _signal.SIG_IGN:
                _set(start.signal_ignore, "signal_map", signum)
            elif handler == _signal.SIG_DFL:
                _set(start.signal_default, "signal_map", signum)
            else:
                _set(start.signal_keep, "signal_map", signum)
        # The interpreter itself ignores these, whoever started it, and turns what they would say into exceptions.
        for name in ("SIGPIPE", "SIGXFSZ"):
            signum = getattr(_signal, name, None)
            if signum is not None and signum not in handlers:
                start.signal_keep(signum)
        return handlers

    def _signal_handler(self, signum, handler):
        if handler is None:
            return _signal.SIG_IGN
        if isinstance(handler, str):
            name, handler = handler, getattr(self, handler, None)
            if handler is None:
                raise _option_error("signal_map", name, "no such method")
        if not callable(handler) and handler not in (_signal.SIG_IGN, _signal.SIG_DFL):
            raise _option_error("signal_map", handler, f"no handler for signal {signum}")
        return handler

    def _prepare_pidfile(self, start):
        """Returns how to enter and leave the pid file in the daemon; None where the core does it.

        What need not be left is left by the end of the process, or by the program.
        """
        pidfile = self.pidfile
        if pidfile is None:
            return None
        cls = type(pidfile)
        if isinstance(pidfile, PidFile) and cls.acquire is PidFile.acquire and cls.__enter__ is PidFile.__enter__:
            _set(start.pidfile, "pidfile", pidfile.path)
            return None
        if hasattr(pidfile, "__enter__") and hasattr(pidfile, "__exit__"):
            return pidfile.__enter__, lambda: pidfile.__exit__(None, None, None)
        if hasattr(pidfile, "acquire") and hasattr(pidfile, "release"):
            return pidfile.acquire, pidfile.release
        raise _option_error("pidfile", pidfile, "neither a context manager nor something to acquire and release")

    def _begin(self, handlers, pidfile):
        """Python's own part of the start, in the daemon."""
        _forget_wakeup_descriptor()
        for signum, handler in handlers.items():
            # The enumeration's SIG_IGN is equal to the number, but not taken for it.
            _set_handler(signum, handler if callable(handler) else int(handler))
        if pidfile is not None:
            enter, leave = pidfile
            enter()
            self._leave_pidfile = leave
            if leave is not None:
                import atexit

                atexit.register(self.close)


def default_signal_map():
    """PEP 3143's: terminal stops are ignored, SIGTERM calls `DaemonContext.terminate`."""
    actions = {"SIGTSTP": None, "SIGTTIN": None, "SIGTTOU": None, "SIGTERM": "terminate"}
    return {getattr(_signal, name): action for name, action in actions.items() if hasattr(_signal, name)}


def _error(name, *args, **kwargs):
    from . import _errors

    return getattr(_errors, name)(*args, **kwargs)


def _option_error(option, value, why):
    from errno import EINVAL

    message = f"{option} failed: {value!r} ({why}): Invalid argument ({EINVAL} EINVAL)"
    return _error("OptionError", message, EINVAL, option, repr(value))


def _set(setter, option, value, shown=None):
    """Call a setter; what it does not take becomes an error that names the option and the value."""
    try:
        setter(value)
    except (TypeError, OverflowError, ValueError) as error:
        if isinstance(error, OSError):
            raise
        raise _option_error(option, value if shown is None else shown, error) from None


def _items(option, value, of=None):
    try:
        return list(getattr(value, of)() if of else value)
    except (TypeError, AttributeError, ValueError) as error:
        raise _option_error(option, value, error) from None


def _is_path(value):
    return isinstance(value, str) or hasattr(value, "__fspath__")


def _text(path):
    from os import fsdecode

    return fsdecode(path)


def _is_below(path, root):
    path, root = _text(path), _text(root).rstrip("/")
    return path == root or path.startswith(root + "/")


def _fileno(option, item):
    """The descriptor of an object with ``fileno()``, or of a number."""
    try:
        fd = item if isinstance(item, int) else item.fileno()
    except (AttributeError, OSError, ValueError) as error:
        raise _option_error(option, item, error) from None
    if not isinstance(fd, int) or isinstance(fd, bool):
        raise _option_error(option, item, "not a descriptor")
    return fd


def _flush(*streams):
    """Write out what Python has buffered, so that it appears once. A stream that is closed or gone has nothing to lose."""
    for stream in streams:
        flush = getattr(stream, "flush", None)
        if flush is None or getattr(stream, "closed", False):
            continue
        try:
            flush()
        except OSError as error:
            from errno import EBADF
            from os import strerror

            if error.errno == EBADF:  # What was printed to a closed descriptor is nobody's to save.
                continue

            message = f"flush failed: {stream!r}: {strerror(error.errno or 0)} ({error.errno})"
            raise _error("StartError", message, error.errno, "flush", repr(stream)) from error


def _logging_descriptors():
    """The descriptors of every handler that `logging` knows: of streams, files and sockets."""
    logging = sys.modules.get("logging")
    if logging is None:
        return
    loggers = [logging.root, *logging.Logger.manager.loggerDict.values()]
    handlers = {id(handler): handler for logger in loggers for handler in getattr(logger, "handlers", ())}
    for handler in handlers.values():
        for name in ("stream", "socket", "sock"):
            try:
                fd = getattr(handler, name).fileno()
            except (AttributeError, OSError, ValueError):
                continue
            if fd >= 0:  # A closed socket has none.
                yield fd


def _import_what_is_late():
    """A daemon in another root, or as another user, may not reach this package's files any more."""
    from . import _errors, _supervisor, _watchdog  # noqa: F401


def _refuse_running_loop():
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        message = (
            "open failed: asyncio loop is running: its descriptors would be closed; "
            "open the context before asyncio.run, and await ready_async() in it"
        )
        raise _error("UsageError", message, step="open", value="asyncio")


def _warn_of_threads():
    count = _native.thread_count()
    if count is None or count < 2:
        return
    import warnings
    from ._errors import DaemonWarning

    threading = sys.modules.get("threading")
    names = [t.name for t in threading.enumerate() if t is not threading.current_thread()] if threading else []
    named = f" ({', '.join(names)})" if names else ""
    # Where the program opens the context: this package's own lines, the stand-ins' among them, say nothing.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(f"{__package__}."):
        level, frame = level + 1, frame.f_back
    warnings.warn(f"{count - 1} other threads{named} will not exist in the daemon", DaemonWarning, stacklevel=level)


def _correct_environment(starter):
    """What is meant for the starter is meant for the daemon: in Python's own copy of the environment, too."""
    for name in ("LISTEN_PID", "WATCHDOG_PID"):
        if environ.get(name) == str(starter):
            environ[name] = str(getpid())


def _set_handler(signum, handler):
    """Like `signal.signal`; what a `SignalStream` has it keeps, and the handler is for afterwards."""
    if not _native.is_queued(signum):
        _signal.signal(signum, handler)
        return
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, [signum])
    try:
        _signal.signal(signum, handler)
        _native.queue_again(signum)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _forget_wakeup_descriptor():
    """Python writes to the descriptor of signal.set_wakeup_fd, which may be closed now, and its number anybody's."""
    try:
        fd = _signal.set_wakeup_fd(-1)
    except ValueError:  # Not the main thread, in a process that did not detach.
        return
    if fd >= 0:
        import os

        try:
            os.fstat(fd)
        except OSError:
            return
        _signal.set_wakeup_fd(fd)


def _tell_starter(context, error):
    """The starter's line for an exception in the daemon, and its status. The traceback goes to the starter's stderr."""
    status = 1
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) and 1 <= error.code <= 255 else 1
    try:
        context.fail(status, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
    except OSError:
        pass  # It is gone itself.
