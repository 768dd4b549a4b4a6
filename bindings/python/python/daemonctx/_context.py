"""PEP 3143's DaemonContext."""

import sys
from _thread import _count as _count_threads
from os import environ, fsdecode, geteuid, getpid

from . import _native
from ._pidfile import PidFile

# The `signal` module makes enumerations of everything when it is imported; the interpreter's own part is enough here.
import _signal


class DaemonContext:
    """The options of a daemon, and its start.

    Every parameter is an attribute too and may be changed until `open` is called. An attribute whose name is a slip of an option's is
    an `OptionError`; a program may set others of its own.

    :param chroot_directory: a new root directory, or None.
    :param working_directory: the working directory; below *chroot_directory* where there is one. The daemon's user enters it.
    :param umask: the file mode creation mask. 0 is PEP 3143's default: files are made writable for everyone. 0o022 is the usual one.
    :param uid: the user to run as, by number or name; None for no change. HOME, USER and LOGNAME stay as they are.
    :param gid: the group to run as, by number or name; None for the user's own if *uid* changes it.
    :param prevent_core: whether core files are forbidden.
    :param detach_process: whether to detach; None for yes, unless a supervisor (init, a container's init, inetd, systemd, supervisord,
        runit, s6) expects the program to stay.
    :param files_preserve: descriptors and objects with ``fileno()`` to keep open. A start closes all others and warns of those that
        this program has opened.
    :param pidfile: a `PidFile`, or a path for one; or anything with ``__enter__``/``__exit__`` or ``acquire()``/``release()``, which
        is entered in the daemon, as the last step.
    :param stdin: where standard input comes from: an object with ``fileno()``, a descriptor or a path; None or `subprocess.DEVNULL`
        for ``/dev/null``. Another object that has ``read()``, such as a ``StringIO``, becomes ``sys.stdin``.
    :param stdout: where standard output goes, likewise, or a `LogFile` or `Syslog`; a file is appended to. An object that has
        ``write()`` but no descriptor becomes ``sys.stdout``.
    :param stderr: where standard error goes, likewise; `subprocess.STDOUT` for the same as *stdout*.
    :param signal_map: what signals do: None to ignore, a string for the method of that name, or what `signal.signal` takes.
    :param initgroups: whether the daemon gets the supplementary groups of the user it changes to; else it gets none.
    :param manual_ready: whether the program itself calls `ready`. Until then its standard error is the starter's. A program
        that is not trusted can keep it, a terminal, beyond the start, also with another ``uid``: start such a program with
        standard error redirected.
    :param ready_timeout: how many seconds the daemon may take until it is ready; None for any time.
    :param runtime_directory: a directory of the daemon's own for its pid file and sockets, or None. The starter makes it,
        mode 0755, for the user and group that the daemon runs as, who can remove the pid file there. It is removed when
        the start fails, or the daemon ends and may remove it, if it is empty. One that exists must belong to that user.
    :param preserve_logging: whether the files and sockets of all handlers of `logging` and sinks of loguru are kept open.
    :param ready_after: the daemon is ready when it still runs after so many seconds: for programs that cannot call `ready`. None for
        at once.
    :param ready_fd: a descriptor to write a newline to, and close, when the daemon is ready: the notification of s6.
    :param program_name: what the starter's line and syslog's messages begin with; None for the name of the script or module.
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
        preserve_logging=True,
        ready_after=None,
        ready_fd=None,
        program_name=None,
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
        self.ready_after = ready_after
        self.ready_fd = ready_fd
        self.program_name = program_name
        self._context = None
        self._leave_pidfile = None

    def __setattr__(self, name, value):
        if name not in _OPTIONS and not name.startswith("_") and not hasattr(type(self), name):
            from ._options import refuse_slip

            refuse_slip(name, _OPTIONS)
        object.__setattr__(self, name, value)

    def __repr__(self):
        from ._options import shown

        return shown(self, _OPTIONS)

    @property
    def working_directory(self):
        """The working directory, as it is called outside of `chroot_directory`."""
        root, working = self.chroot_directory, self._working_directory
        if root and _is_path(working) and not _is_below(working, root):
            return _path(root).rstrip("/") + "/" + _path(working).lstrip("/")
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
        if exc_value is not None and self._context is not None:
            from ._errors import explain_end

            explain_end(self._context, exc_value)
        self.close()

    def open(self):
        """Become a daemon. Does nothing if this is one already.

        Returns in the daemon only. The starter waits until the daemon is ready and exits with 0; otherwise it prints one line on
        standard error and exits with a status that says what happened. An error that can be known before anything happens
        is raised in the starter, as a `DaemonError`; the process is then as it was. An exception after the fork ends
        the daemon and is named in the starter's line.
        """
        if self.is_open:
            return
        detaches = self._detaches()
        _refuse(detaches)
        start = _native.Builder()
        handlers = self._prepare(start)
        pidfile = self._prepare_pidfile(start)
        _warn(start, detaches)
        _flush(sys.stdout, sys.stderr, self.stdout, self.stderr)
        starter = getpid()
        context = _fork(start.open)
        _correct_environment(starter)
        try:
            _forget(context.is_detached)
            self._begin(handlers, pidfile)
            self._context = context
            if self.ready_after is not None:
                from ._later import report

                report(self, context, self.ready_after)
            elif not self.manual_ready:
                self.ready()
        except BaseException as error:
            self._context = None
            from ._errors import tell_starter

            tell_starter(context, error)
            raise

    def ready(self):
        """Report that the daemon is ready: the starter exits with 0, and standard error goes to *stderr*.

        Without `manual_ready`, and when called again, it does nothing. Raises `DaemonError` when the starter was
        killed meanwhile: its caller was told that the start failed, so the daemon should end.
        """
        context = self._opened()
        _flush(sys.stderr)
        context.ready()

    def fail(self, message, status=1):
        """End a daemon that cannot become ready: the starter prints *message* behind the program's name and exits with *status*.

        Raises `SystemExit` with *status*, so ``finally`` blocks run. `DaemonError` when the daemon is ready already.
        """
        context = self._opened()
        if isinstance(status, bool) or not isinstance(status, int) or not 1 <= status <= 255:
            raise _unexpected("status", status)
        from ._errors import one_line

        context.fail(status, one_line(message))
        raise SystemExit(status)

    def _opened(self):
        if self._context is None:
            raise _error("UsageError", "handle failed: not opened", step="handle")
        return self._context

    async def ready_async(self):
        """The same as `ready`, for coroutines: the loop goes on meanwhile.

        The context is opened before the loop runs (``asyncio.run``), with `manual_ready`. A cancelled await does not cancel the
        report.
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
        context = self._opened()
        # The signal may have come while it was written to, or the old file be full: then the text goes to the new one.
        _flush(sys.stdout, sys.stderr)
        try:
            context.reopen_streams()
        except OSError as error:
            if signal_number is None:
                raise
            from ._errors import complain

            complain(error)

    def terminate(self, signal_number, stack_frame):
        """Handle a signal by raising SystemExit, so that ``finally`` blocks and `atexit` functions run.

        Being told to end is no failure: the daemon ends with status 0, unless it was not ready yet. The exception's text says
        which signal it was.
        """
        end = SystemExit(f"Terminating on signal {signal_number}")
        # What the interpreter goes by. With a text here it would print that and leave with 1.
        end.code = 0
        raise end

    def _detaches(self):
        """Whether to detach; None where the surroundings decide."""
        return self.detach_process

    def _prepare(self, start):
        """Hand every option to the start. Returns the Python signal handlers to install in the daemon."""
        name = _program_name() if self.program_name is None else self.program_name
        _set(start.program_name, "program_name", name)
        self._prepare_directories(start)
        self._prepare_umask(start)
        self._prepare_owner(start)
        if self.runtime_directory is not None:
            _set(start.runtime_directory, "runtime_directory", _path(self.runtime_directory))
        # The last is the folder of a program that PyInstaller has put into one file: it goes with the starter.
        if self.chroot_directory is not None or self.uid not in (None, geteuid()) or hasattr(sys, "_MEIPASS"):
            try:
                from . import _late  # noqa: F401
            except ImportError:
                pass  # It is out of reach already.
        start.prevent_core(bool(self.prevent_core))
        detaches = self._detaches()
        if detaches is not None:
            start.detach_process(bool(detaches))
        _set(start.ready_timeout, "ready_timeout", self.ready_timeout)
        if self.ready_after is not None:
            from ._later import check

            check(self.ready_after, self.ready_timeout)
        if self.ready_fd is not None:
            _set(start.ready_descriptor, "ready_fd", _fileno("ready_fd", self.ready_fd))
        self._prepare_files(start)
        self._prepare_logging(start)
        return self._prepare_signals(start, self._signal_handlers())

    def _prepare_directories(self, start):
        if self.chroot_directory is not None:
            _set(start.chroot_directory, "chroot_directory", _path(self.chroot_directory))
        _set(start.working_directory, "working_directory", self._working_directory_inside())

    def _prepare_umask(self, start):
        _set(start.umask, "umask", self.umask)

    def _prepare_owner(self, start):
        for option in ("uid", "gid"):
            value = getattr(self, option)
            if value is not None:
                if isinstance(value, bool):
                    raise _unexpected(option, value)
                _set(getattr(start, option), option, value)
        start.initgroups(bool(self.initgroups))

    def _working_directory_inside(self):
        """The working directory as it is called inside the new root."""
        working, root = _path(self._working_directory), self.chroot_directory
        if root and _is_path(working):
            if _is_below(working, root):
                working = working[len(_path(root)) :]
            return "/" + working.lstrip("/")
        return working

    def _prepare_files(self, start):
        for option, method in _STREAMS.items():
            target = self._target(option)
            if target is None:
                continue
            if hasattr(target, "_connect"):  # LogFile, Syslog
                _set(lambda to: to._connect(start, _NUMBERS[option]), option, target)
                continue
            if not _is_path(target):
                fd = _fileno(option, target, method)
                if fd is None:
                    continue
                _set(start.keep, option, fd)
                target = fd
            _set(getattr(start, option), option, _path(target))
        for item in self._kept_items():
            _set(start.keep, "files_preserve", _fileno("files_preserve", item), shown=item)

    def _target(self, option):
        """What a stream is set to, with the numbers that `subprocess` has for /dev/null and standard output."""
        target = getattr(self, option)
        if isinstance(target, bool):
            raise _unexpected(option, target)
        if isinstance(target, int):
            if target == _SUBPROCESS_DEVNULL:
                return None
            if target == _SUBPROCESS_STDOUT and option == "stderr":
                return self._target("stdout")
        return target

    def _kept_items(self):
        items = self.files_preserve
        if items is None:
            return ()
        if isinstance(items, int) or hasattr(items, "fileno"):  # A single one. Files can be iterated over, too.
            return (items,)
        if isinstance(items, (str, bytes)):
            raise _unexpected("files_preserve", items)
        return _items("files_preserve", items)

    def _prepare_logging(self, start):
        if self.preserve_logging and "logging" in sys.modules:
            from ._remembered import logging_descriptors

            for fd in logging_descriptors():
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
        # The interpreter itself ignores these, and raises exceptions for what they would report.
        for name in ("SIGPIPE", "SIGXFSZ"):
            signum = getattr(_signal, name, None)
            if signum is not None and signum not in handlers:
                start.signal_keep(signum)
        return handlers

    def _signal_handler(self, signum, handler):
        if handler is None:
            return _signal.SIG_IGN
        wanted = handler
        if isinstance(handler, str):
            handler = getattr(self, handler, None)
        if not callable(handler) and (wanted is not handler or handler not in (_signal.SIG_IGN, _signal.SIG_DFL)):
            expected = f"None, a method's name, or what signal.signal takes for signal {signum}"
            raise _unexpected("signal_map", wanted, expected)
        return handler

    def _prepare_pidfile(self, start):
        """Returns how to enter and leave the pid file in the daemon; None where the core does it.

        What need not be left is left by the end of the process, or by the program.
        """
        pidfile = self.pidfile
        if pidfile is None:
            return None
        if _is_pidfile_path(pidfile):
            _set(start.pidfile, "pidfile", _path(pidfile))
            return None
        cls = type(pidfile)
        if isinstance(pidfile, PidFile) and cls.acquire is PidFile.acquire and cls.__enter__ is PidFile.__enter__:
            _set(start.pidfile, "pidfile", pidfile.path)
            return None
        if _is_file(pidfile):  # It can be entered, but neither locks nor holds anything.
            raise _unexpected("pidfile", pidfile)
        if hasattr(pidfile, "__enter__") and hasattr(pidfile, "__exit__"):
            return pidfile.__enter__, lambda: pidfile.__exit__(None, None, None)
        if hasattr(pidfile, "acquire") and hasattr(pidfile, "release"):
            return pidfile.acquire, pidfile.release
        raise _unexpected("pidfile", pidfile)

    def _begin(self, handlers, pidfile):
        """Python's own part of the start, in the daemon."""
        for option, method in _STREAMS.items():
            target = getattr(self, option)
            if target is not None and not _is_path(target) and not isinstance(target, int):
                if not hasattr(target, "_connect") and hasattr(target, method) and _descriptor(target) is None:
                    setattr(sys, option, target)
        for signum, handler in handlers.items():
            # The enumeration's SIG_IGN is equal to the number, but not taken for it.
            handler = handler if callable(handler) else int(handler)
            if _native.is_queued(signum):
                from ._signals import set_handler

                set_handler(signum, handler)
            else:
                _signal.signal(signum, handler)
        if pidfile is not None:
            enter, leave = pidfile
            enter()
            self._leave_pidfile = leave
            if leave is not None:
                import atexit

                atexit.register(self.close)


# What an object that has no descriptor must be able to do.
_STREAMS = {"stdin": "read", "stdout": "write", "stderr": "write"}
_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}
# Those of `subprocess`, which need not be imported.
_SUBPROCESS_STDOUT = -2
_SUBPROCESS_DEVNULL = -3


def default_signal_map():
    """PEP 3143's: terminal stops are ignored, SIGTERM calls `DaemonContext.terminate`."""
    actions = {"SIGTSTP": None, "SIGTTIN": None, "SIGTTOU": None, "SIGTERM": "terminate"}
    return {getattr(_signal, name): action for name, action in actions.items() if hasattr(_signal, name)}


_CODE = DaemonContext.__init__.__code__
_OPTIONS = _CODE.co_varnames[1 : _CODE.co_argcount + _CODE.co_kwonlyargcount]


def _error(name, *args, **kwargs):
    from . import _errors

    return getattr(_errors, name)(*args, **kwargs)


def _unexpected(option, value, expected=None):
    from ._options import unexpected

    return unexpected(option, value, expected)


def _set(setter, option, value, shown=None):
    """Call a setter; what it does not take becomes an error that names the option, the value and what is allowed."""
    try:
        setter(value)
    except (TypeError, OverflowError, ValueError) as error:
        if isinstance(error, OSError):
            raise
        raise _unexpected(option, value if shown is None else shown) from None


def _items(option, value, of=None):
    try:
        return list(getattr(value, of)() if of else value)
    except (TypeError, AttributeError, ValueError):
        raise _unexpected(option, value) from None


def _is_path(value):
    return isinstance(value, (str, bytes)) or hasattr(value, "__fspath__")


def _path(value):
    """A path as text; anything else as it is."""
    return fsdecode(value) if _is_path(value) else value


def _is_pidfile_path(pidfile):
    """Whether it is just a path, which need not be entered though some can be (pathlib's before Python 3.13)."""
    return _is_path(pidfile) and not hasattr(pidfile, "acquire")


def _is_file(item):
    """Whether an object is an open file or socket."""
    return hasattr(item, "fileno") and not hasattr(item, "acquire")


def _is_below(path, root):
    path, root = _path(path), _path(root).rstrip("/")
    return path == root or path.startswith(root + "/")


def _descriptor(item):
    """The descriptor of an object with ``fileno()``; None where there is none, as for a StringIO."""
    try:
        return item.fileno()
    except (AttributeError, OSError, ValueError):
        return None


def _fileno(option, item, method=None):
    """The descriptor of an object with ``fileno()``, or of a number; None for an object without one that has *method*."""
    fd = item if isinstance(item, int) else _descriptor(item)
    if fd is None and method is not None and hasattr(item, method) and not getattr(item, "closed", False):
        return None
    if isinstance(fd, bool) or not isinstance(fd, int):
        raise _unexpected(option, item)
    return fd


def _flush(*streams):
    """Write out what Python has buffered, so that it appears once. Text that cannot be written is no reason not to start."""
    for stream in streams:
        try:
            stream.flush()
        except Exception:
            pass


def _program_name():
    """The name of the script, or of the module behind ``-m``; the interpreter's for ``-c`` and standard input."""
    argument = sys.argv[0] if getattr(sys, "argv", None) else ""
    argument = argument if isinstance(argument, str) else ""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    name = getattr(spec, "name", None)
    # A frozen program is not run by the name of a module: cx_Freeze has one for itself.
    if name and name != "__main__" and not getattr(sys, "frozen", False):
        # A package is run by its module __main__.
        return name[: -len(".__main__")] if name.endswith(".__main__") else name
    if argument in ("", "-", "-c", "-m"):
        argument = sys.executable or "python"
    return argument.rstrip("/").rpartition("/")[2] or argument


def _refuse(detach):
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        raise _error("running_loop")
    if "_interpreters" in sys.modules or "_xxsubinterpreters" in sys.modules:
        from ._remembered import refuse_interpreters

        refuse_interpreters(detach)


def _warn(start, detach):
    """Warn of what the daemon will not have: descriptors that the program has opened and does not list, and threads."""
    closed = start.closed()
    if closed or _count_threads() or not _SPECIAL.isdisjoint(sys.modules):
        from ._remembered import warn

        warn(closed, start.keep, detach or detach is None)


# What else is remembered, and forgotten in the daemon.
_SPECIAL = {"asyncio", "faulthandler", "gevent.hub", "multiprocessing.process"}


def _fork(call):
    if "multiprocessing.resource_tracker" in sys.modules:
        from ._remembered import fork

        return fork(call)
    return call()


def _correct_environment(starter):
    """What is meant for the starter is meant for the daemon: in Python's own copy of the environment, too."""
    for name in ("LISTEN_PID", "WATCHDOG_PID"):
        if environ.get(name) == str(starter):
            environ[name] = str(getpid())


def _forget(is_forked):
    """Have Python forget descriptors that the start has closed: it would use whatever gets their numbers. And the starter's children."""
    try:
        fd = _signal.set_wakeup_fd(-1)
        if fd >= 0:
            try:
                _signal.set_wakeup_fd(fd)
            except (OSError, ValueError):
                pass  # It is closed, or another file by now that blocks.
    except ValueError:  # Not the main thread, in a process that did not detach.
        pass
    remembered = sys.modules.get(f"{__package__}._remembered")
    if remembered is not None:
        remembered.forget(is_forked)
