"""A stand-in for CherryPy 18.10's ``cherrypy.process.plugins``: services for a process that has a bus.

What is the same, and what is better, is in ``docs/cherrypy.md``. Nothing of CherryPy is imported: any object will do for a bus
that has its ``listeners``, ``subscribe``, ``unsubscribe``, ``publish``, ``log``, ``state``, ``states`` and methods.
"""

import grp
import os
import pwd
import re
import signal as _signal
import sys
import threading
import warnings

from .. import _native
from .._context import _program_name
from .._errors import DaemonError as _CoreError
from .._errors import DaemonWarning as _DaemonWarning
from .._remembered import other_threads as _other_threads
from ._privileges import change_owner as _change_owner
from ._start import Start as _Start

__all__ = [
    "Autoreloader",
    "BackgroundTask",
    "Daemonizer",
    "DropPrivileges",
    "Monitor",
    "PIDFile",
    "PerpetualTimer",
    "SignalHandler",
    "SimplePlugin",
    "ThreadManager",
]

_WARNING, _ERROR = 30, 40

try:
    # Where the program was started, as long as it has not changed directories: relative names of modules count from here.
    _started_in = os.getcwd()
except OSError:
    _started_in = "/"


class SimplePlugin:
    """A listener on a bus: its methods that are called like a channel listen there.

    :param bus: the bus, mostly ``cherrypy.engine``.
    """

    bus = None
    """The bus."""

    def __init__(self, bus):
        self.bus = bus

    def subscribe(self):
        """Have every method that is called like one of the bus's channels listen there."""
        for channel, method in _methods_called_like_channels(self):
            self.bus.subscribe(channel, method)

    def unsubscribe(self):
        """Have them listen no more."""
        for channel, method in _methods_called_like_channels(self):
            self.bus.unsubscribe(channel, method)


# Not a method, as all names but the original's are the program's own in what it derives from these classes.
def _methods_called_like_channels(plugin):
    methods = [(channel, getattr(plugin, channel, None)) for channel in plugin.bus.listeners]
    return [(channel, method) for channel, method in methods if method is not None]


# --- signals ----------------------------------------------------------------------------------------------------------


class SignalHandler:
    """Publishes signals on the bus, each on the channel of its name, and says what the usual ones do.

    :param bus: the bus.
    """

    handlers = {}
    """What listens: a callable for each signal's name. Names that this system does not know are left out."""

    signals = {number: name for name, number in vars(_signal).items() if re.match("SIG[^_]", name)}
    """The name of each signal number."""

    def __init__(self, bus):
        self.bus = bus
        self.handlers = {"SIGTERM": bus.exit, "SIGHUP": self.handle_SIGHUP, "SIGUSR1": bus.graceful}
        self._previous_handlers = {}
        self._other_names = {}
        self._original_pid = os.getpid()
        _close_in_one_call(bus)

    def _is_daemonized(self):
        """Whether the process was forked since this was made, and has no terminal."""
        if self._original_pid == os.getpid():
            return False
        try:
            return not os.isatty(sys.stdin.fileno())
        except (AttributeError, OSError, ValueError):
            return True  # Without standard input there is no terminal to be closed.

    def subscribe(self):
        """Listen for all signals of `handlers`."""
        for name, listener in self.handlers.items():
            try:
                self.set_handler(name, listener)
            except ValueError:
                pass  # No such signal here, or not the main thread.

    def unsubscribe(self):
        """Put back what was there for each signal before."""
        for number, handler in self._previous_handlers.items():
            name = self.signals[number]
            if handler is None:
                self.bus.log(f"Restoring {name} handler to SIG_DFL.")
                handler = _signal.SIG_DFL
            else:
                self.bus.log(f"Restoring {name} handler {handler!r}.")
            try:
                if _signal.signal(number, handler) is None:
                    message = f"Restored old {name} handler {handler!r}, but our handler was not registered."
                    self.bus.log(message, level=_WARNING)
            except ValueError:
                self.bus.log(f"Unable to restore {name} handler {handler!r}.", level=_ERROR, traceback=True)

    def set_handler(self, signal, listener=None):
        """Publish a signal on the channel of its name.

        :param signal: the signal's name or number.
        :param listener: what listens there from now on, if anything.
        :raises ValueError: there is no such signal, or this is not the main thread.
        """
        number, name = self._resolve(signal)
        previous = _signal.signal(number, self._handle_signal)
        if previous != self._handle_signal:  # Else it was set twice, and what was there before is known.
            self._previous_handlers[number] = previous
        if name != self.signals[number]:
            self._other_names.setdefault(number, set()).add(name)
        if listener is not None:
            self.bus.log(f"Listening for {name}.")
            self.bus.subscribe(name, listener)

    def _resolve(self, signal):
        if isinstance(signal, (str, bytes)):
            name = os.fsdecode(signal)
            number = getattr(_signal, name, None)
        else:
            name, number = self.signals.get(signal), signal
        if name is None or number not in self.signals:
            raise ValueError(f"No such signal: {signal!r}")
        return number, name

    def _handle_signal(self, signum=None, frame=None):
        """What `signal.signal` gets. A signal that was also asked for by another name, SIGIO for SIGPOLL, is published by both."""
        name = self.signals[signum]
        self.bus.log(f"Caught signal {name}.")
        for channel in [name, *self._other_names.get(signum, ())]:
            self.bus.publish(channel)

    def handle_SIGHUP(self):
        """Restart a daemon; exit otherwise, because the terminal was closed."""
        if self._is_daemonized():
            self.bus.log("SIGHUP caught while daemonized. Restarting.")
            self.bus.restart()
        else:
            self.bus.log("SIGHUP caught but not daemonized. Exiting.")
            self.bus.exit()


# --- privileges -------------------------------------------------------------------------------------------------------


class DropPrivileges(SimplePlugin):
    """Changes user, group and umask once the server has bound its ports.

    Supplementary groups are never left as they were when the user changes: with *gid* the process has none, without it those
    of the user, whose group comes from the user database as well.

    :param umask: the file mode creation mask; None for no change.
    :param uid: the user, by number or name; None for no change.
    :param gid: the group, by number or name; None for the user's own.
    :raises KeyError: there is no user, or no group, of that name.
    """

    def __init__(self, bus, umask=None, uid=None, gid=None):
        SimplePlugin.__init__(self, bus)
        self.finalized = False
        self.uid = uid
        self.gid = gid
        self.umask = umask

    @property
    def uid(self):
        """The user's number, or None. May be set to a name."""
        return self._uid

    @uid.setter
    def uid(self, value):
        self._uid = pwd.getpwnam(os.fsdecode(value)).pw_uid if isinstance(value, (str, bytes)) else value

    @property
    def gid(self):
        """The group's number, or None. May be set to a name."""
        return self._gid

    @gid.setter
    def gid(self, value):
        self._gid = grp.getgrnam(os.fsdecode(value)).gr_gid if isinstance(value, (str, bytes)) else value

    @property
    def umask(self):
        """The file mode creation mask, or None."""
        return self._umask

    @umask.setter
    def umask(self, value):
        self._umask = value

    def start(self):
        """Change what is to be changed; the second time only say what is.

        :raises DaemonError: it cannot be changed, or is not what it should be afterwards. The bus ends the process then.
        """
        self._start_owner()
        self._start_umask()
        self.finalized = True

    # After the server (75), which may need root for its port.
    start.priority = 77

    def _start_owner(self):
        wanted = self.uid is not None or self.gid is not None
        if self.finalized:
            if wanted:
                self.bus.log(f"Already running as {_owner()}")
        elif not wanted:
            self.bus.log("uid/gid not set", level=_WARNING)
        else:
            self.bus.log(f"Started as {_owner()}")
            _change_owner(self.uid, self.gid)
            self.bus.log(f"Running as {_owner()}")

    def _start_umask(self):
        if self.finalized:
            if self.umask is not None:
                self.bus.log(f"umask already set to: {self.umask:03o}")
        elif self.umask is None:
            self.bus.log("umask not set", level=_WARNING)
        else:
            old = os.umask(self.umask)
            self.bus.log(f"umask old: {old:03o}, new: {self.umask:03o}")


def _owner():
    """The process's user and group, by name or else number."""
    user, group = os.getuid(), os.getgid()
    try:
        user = pwd.getpwuid(user).pw_name
    except KeyError:
        pass
    try:
        group = grp.getgrgid(group).gr_name
    except KeyError:
        pass
    return f"uid: {user!r} gid: {group!r}"


# --- the daemon -------------------------------------------------------------------------------------------------------


class Daemonizer(SimplePlugin):
    """Makes the process a daemon when the bus starts.

    The starter, the program that was run, waits until the bus has STARTED and leaves with 0; when it does not come to that, the
    reason is on its standard error and its status is not 0. Until then the daemon's standard error is the starter's.

    :param stdin: the path of a file that standard input comes from.
    :param stdout: the path of a file that standard output is appended to.
    :param stderr: the path of a file that standard error is appended to.
    """

    ready_timeout = None
    """How many seconds the start may take until it is called off; None for any time. Can be set on an object too."""

    def __init__(self, bus, stdin="/dev/null", stdout="/dev/null", stderr="/dev/null"):
        SimplePlugin.__init__(self, bus)
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.finalized = False

    def start(self):
        """Become a daemon; the second time only say so. Comes back in the daemon.

        Called by a bus that is STARTING, the start is complete when that has STARTED; called by anybody else, when this returns.

        :raises SystemExit: in the starter, before anything has happened: a log file cannot be opened, or another instance holds
            the pid file, say. It keeps the bus from starting the rest.
        """
        if self.finalized:
            self.bus.log("Already daemonized.")
            return
        _log_threads(self.bus)
        if self.daemonize is _daemonize:
            self._daemonize()
        else:  # The program has its own.
            self.daemonize(self.stdin, self.stdout, self.stderr, self.bus.log)
        self.finalized = True

    # Before everything that has threads or ports.
    start.priority = 65

    def _daemonize(self):
        context = _Context(self.stdin, self.stdout, self.stderr)
        context.manual_ready = _is(self.bus, "STARTING")
        context.ready_timeout = self.ready_timeout
        pidfiles = _pidfiles(self.bus) if context.manual_ready else []
        taken = [pidfile for pidfile in pidfiles if not pidfile._is_held()]
        try:
            for pidfile in taken:
                pidfile._take()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", _DaemonWarning)  # The bus's log has it already.
                _open(context, self.bus.log)
        except _CoreError as error:
            for pidfile in taken:
                pidfile._give_back()
            self.bus.log(f"Cannot daemonize: {error}", level=_ERROR)
            raise SystemExit(f"{_program_name()}: {error}") from error
        for pidfile in pidfiles:
            pidfile._holder = os.getpid()
        if context.manual_ready:
            _Starting(self.bus, context)

    @staticmethod
    def daemonize(stdin="/dev/null", stdout="/dev/null", stderr="/dev/null", logger=lambda msg: None):
        """Become a daemon, without a bus. Comes back in the daemon, and the starter leaves.

        :param logger: is called with what is worth saying, as text.
        :raises DaemonError: in the starter, before anything has happened.
        """
        _open(_Context(stdin, stdout, stderr), logger)


_daemonize = Daemonizer.daemonize


class _Context(_Start):
    """A start that changes no more than CherryPy's: session, streams and umask. All that is open stays open."""

    _keeps_all = True

    def __init__(self, stdin, stdout, stderr):
        super().__init__(working_directory=_working_directory(), prevent_core=False, detach_process=True, signal_map={})
        self.stdin, self.stdout, self.stderr = (
            _stream(path, number) for number, path in enumerate((stdin, stdout, stderr))
        )
        self.ready_timeout = None

    def fail(self, message):
        try:
            self._context.fail(os.EX_SOFTWARE, message)
        except OSError:
            pass  # The starter is gone itself.


def _open(context, logger):
    logger("Forking once.")
    logger("Forking twice.")
    context.open()
    logger(f"Daemonized to PID: {os.getpid()}")


def _working_directory():
    try:
        directory = os.getcwd()
        os.chdir(directory)
    except OSError:  # Removed, or not for this user: nobody can do anything in it.
        return "/"
    return directory


def _stream(path, number):
    """What a standard stream is to be: a file by its path, or what the stream is already if that is the very file.

    The latter where the file cannot be opened any more: a daemon that restarts has given up the privileges for its log.
    """
    path = os.fsdecode(path) if isinstance(path, bytes) else path
    try:
        if number and not os.access(path, os.W_OK) and os.path.samestat(os.stat(path), os.fstat(number)):
            return number
    except (OSError, TypeError, ValueError):
        pass
    return path


def _open_descriptors():
    for directory in ("/proc/self/fd", "/dev/fd"):
        try:
            candidates = map(int, os.listdir(directory))
            break
        except (OSError, ValueError):
            continue
    else:
        limit = os.sysconf("SC_OPEN_MAX")
        candidates = range(limit if limit > 0 else 65536)
    return [descriptor for descriptor in candidates if _is_open(descriptor)]


def _is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _is(bus, state):
    """Whether the bus is in a state, by its name; a bus that has no states is in none."""
    states = getattr(bus, "states", None)
    return states is not None and bus.state == getattr(states, state)


def _log_threads(bus):
    count, names = _other_threads()
    if count > 0:
        named = f" ({', '.join(names)})" if names else ""
        bus.log(f"{count} other active threads{named} will not exist in the daemon; start them later.", level=_WARNING)


def _pidfiles(bus):
    """The plugins of the bus that have a pid file, or are going to have one when it has started."""
    listeners = bus.listeners.get("start", ())
    return [listener.__self__ for listener in listeners if getattr(listener, "__func__", None) is PIDFile.start]


class _Starting:
    """Tells the starter what becomes of a start: listens until the bus has STARTED, or stops before.

    It stays on the bus afterwards: another thread may be publishing, and listeners must not go away under its hands.
    """

    def __init__(self, bus, context):
        self._bus = bus
        self._context = context
        self._thread = threading.get_ident()
        self._lock = threading.Lock()
        self._errors = []
        # Late: what others have to say of it, or to clear away, comes first.
        for channel in ("log", "main", "stop"):
            bus.subscribe(channel, getattr(self, channel), 100)
        # What concurrent.futures has as well: atexit is too late for a listener that has raised SystemExit, because the
        # interpreter waits for the server's threads first.
        at_end_of_main_thread = getattr(threading, "_register_atexit", None)
        if at_end_of_main_thread is not None:
            at_end_of_main_thread(self._end)

    def log(self, msg="", level=20):
        if self._context is None:
            return
        if level >= _ERROR:
            self._note(sys.exc_info()[1])
        self.main()

    def main(self):
        # Not in another thread: if the starter is gone, the error must end what has started the bus.
        if threading.get_ident() == self._thread and _is(self._bus, "STARTED"):
            context = self._take()
            if context is not None:
                context.ready()

    def stop(self):
        context = self._take()
        if context is not None:
            context.fail("; ".join(self._errors) or "the bus has stopped before it was STARTED")

    def _end(self):
        if self._context is not None:
            self._bus.exit()

    def _take(self):
        with self._lock:
            context, self._context = self._context, None
        return context

    def _note(self, error):
        if error is None:
            return
        # The bus collects what its listeners raise, those before the fork included.
        for one in error.get_instances() if hasattr(error, "get_instances") else [error]:
            text = f"{type(one).__name__}: {one}" if str(one) else type(one).__name__
            if text not in self._errors:
                self._errors.append(text)


class PIDFile(SimplePlugin):
    """A pid file: locked while the process lives, and removed at its end.

    A file that was left behind is nobody's, and does not matter; neither does a PID that is another process's by now. With a
    `Daemonizer` on the same bus the file is taken before the fork, so that the starter knows when it cannot be.

    :param pidfile: the file's path.
    """

    def __init__(self, bus, pidfile):
        SimplePlugin.__init__(self, bus)
        self.pidfile = pidfile
        self.finalized = False
        self._file = None
        self._holder = None

    def start(self):
        """Take the file and write the PID; the second time only say so.

        :raises AlreadyRunningError: another process has the file.
        :raises PidFileError: it cannot be had for another reason.
        """
        pid = os.getpid()
        if self.finalized and self._is_held():
            self.bus.log(f"PID {pid!r} already written to {self.pidfile!r}.")
            return
        if not self._is_held():
            self._take()
        self.bus.log(f"PID {pid!r} written to {self.pidfile!r}.")
        self.finalized = True

    # After the Daemonizer (65), which changes the PID.
    start.priority = 70

    def exit(self):
        """Remove the file, if it is this process's. Never fails."""
        if not self._is_held():
            return
        try:
            self._give_back()
        except OSError:
            return
        if not os.path.lexists(self.pidfile):
            self.bus.log(f"PID file removed: {self.pidfile!r}.")

    def _is_held(self):
        """Whether it is held by this process, and not the one that this was forked from."""
        return self._file is not None and self._holder == os.getpid()

    def _take(self):
        file = _native.PidFile(os.fsdecode(self.pidfile), "either")
        file.acquire_for_good()
        self._file, self._holder = file, os.getpid()

    def _give_back(self):
        file, self._file = self._file, None
        if file is not None:
            file.remove()


# --- threads that repeat ----------------------------------------------------------------------------------------------


class PerpetualTimer(threading.Timer):
    """A `threading.Timer` that goes on until it is cancelled, or its function raises.

    :param bus: where to log that it has raised; None for nowhere. All else is `threading.Timer`'s.
    """

    def __init__(self, *args, **kwargs):
        self.bus = kwargs.pop("bus", None)
        super().__init__(*args, **kwargs)

    def run(self):
        """Call the function each time the interval has passed."""
        while not self.finished.wait(self.interval):
            try:
                self.function(*self.args, **self.kwargs)
            except Exception:
                _log_failure(self.bus, "perpetual timer", self.function)
                raise


class BackgroundTask(threading.Thread):
    """A daemonic thread that calls a function at intervals, until it is cancelled or the function raises.

    :param interval: between two calls, and before the first, in seconds.
    :param function: what to call.
    :param args: its positional arguments.
    :param kwargs: its keyword arguments.
    :param bus: where to log that it has raised; None for nowhere.
    """

    def __init__(self, interval, function, args=[], kwargs={}, bus=None):
        super().__init__()
        self.interval = interval
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.running = False
        self.bus = bus
        self.daemon = True
        self._cancelled = threading.Event()

    def cancel(self):
        """Have the thread end: at once, unless the function is running just now."""
        self.running = False
        self._cancelled.set()

    def run(self):
        """Call the function each time the interval has passed."""
        self.running = not self._cancelled.is_set()
        while self.running and not self._cancelled.wait(self.interval) and self.running:
            try:
                self.function(*self.args, **self.kwargs)
            except Exception:
                _log_failure(self.bus, "background task", self.function)
                raise


def _log_failure(bus, what, function):
    if bus:
        bus.log(f"Error in {what} thread function {function!r}.", level=_ERROR, traceback=True)


class Monitor(SimplePlugin):
    """Calls a function at intervals, in a thread of its own, while the bus is started.

    :param callback: the function.
    :param frequency: between two calls, in seconds; 0 and less for never.
    :param name: of the thread; None for that of the class.
    """

    callback = None
    """The function to call."""

    frequency = 60
    """How many seconds lie between two calls."""

    thread = None
    """The `BackgroundTask`, while there is one."""

    def __init__(self, bus, callback, frequency=60, name=None):
        SimplePlugin.__init__(self, bus)
        self.callback = callback
        self.frequency = frequency
        self.thread = None
        self.name = name

    def start(self):
        """Start the thread, if it does not run: it may also have ended by an error, or not have come along into a daemon."""
        if self.frequency <= 0:
            return
        name = self.name or type(self).__name__
        if self.thread is not None and self.thread.is_alive():
            self.bus.log(f"Monitor thread {name!r} already started.")
            return
        self.thread = BackgroundTask(self.frequency, self.callback, bus=self.bus)
        self.thread.name = name
        self.thread.start()
        self.bus.log(f"Started monitor thread {name!r}.")

    start.priority = 70

    def stop(self):
        """Stop the thread. From within the callback, that is its last call."""
        thread, self.thread = self.thread, None
        if thread is None:
            self.bus.log(f"No thread running for {self.name or type(self).__name__}.")
            return
        thread.cancel()
        if thread is threading.current_thread():
            return
        if not thread.daemon:
            self.bus.log(f"Joining {thread.name!r}")
            thread.join()
        self.bus.log(f"Stopped thread {thread.name!r}.")

    def graceful(self):
        """Stop the thread and start another."""
        self.stop()
        self.start()


class Autoreloader(Monitor):
    """Restarts the program when a file of it has changed or is gone: by default the file of any module that is imported.

    :param frequency: how often to look, in seconds.
    :param match: a regular expression for the names of the modules to look at.
    """

    files = None
    """Other files to look at, a set of paths."""

    frequency = 1
    """How many seconds lie between two looks."""

    match = ".*"
    """A regular expression for the names of the modules to look at."""

    def __init__(self, bus, frequency=1, match=".*"):
        self.mtimes = {}
        self.files = set()
        self.match = match
        Monitor.__init__(self, bus, self.run, frequency)
        _close_in_one_call(bus)

    def start(self):
        """Start to look; what has changed before does not count."""
        if self.thread is None or not self.thread.is_alive():
            self.mtimes = {}
        Monitor.start(self)

    start.priority = 70

    def sysfiles(self):
        """The files of all imported modules whose names match, as a set of paths."""
        matches = re.compile(self.match).match
        modules = [module for name, module in list(sys.modules.items()) if matches(name)]
        return {file for file in map(self._file_for_module, modules) if file}

    @classmethod
    def _file_for_module(cls, module):
        return cls._archive_for_zip_module(module) or cls._file_for_file_module(module)

    @staticmethod
    def _archive_for_zip_module(module):
        return getattr(getattr(module, "__loader__", None), "archive", None)

    @classmethod
    def _file_for_file_module(cls, module):
        file = getattr(module, "__file__", None)
        return file and cls._make_absolute(file)

    @staticmethod
    def _make_absolute(filename):
        if os.path.isabs(filename):
            return filename
        return os.path.normpath(os.path.join(_started_in, filename))

    def run(self):
        """Look at all files, and restart the program if one is not as it was."""
        for filename in self.sysfiles() | self.files:
            if filename and self._has_changed(filename[:-1] if filename.endswith(".pyc") else filename):
                return

    def _has_changed(self, filename):
        try:
            modified = os.stat(filename).st_mtime
        except OSError:
            modified = None
        before = self.mtimes.setdefault(filename, modified)
        # A module that has no source is nothing to look at.
        if before is None or (modified is not None and modified <= before):
            return False
        self.bus.log(f"Restarting because {filename} changed.")
        if self.thread is not None:
            self.thread.cancel()
            self.bus.log(f"Stopped thread {self.thread.name!r}.")
        self.bus.restart()
        return True


def _close_in_one_call(bus):
    """Have CherryPy's bus, before it executes the program anew, mark descriptors close-on-exec in one call.

    Its own way is two calls for each number below the limit that there was when it was imported: a second for a limit of a
    million, and nothing at all for descriptors above. A bus of another kind is left as it is.
    """
    method = getattr(type(bus), "_set_cloexec", None)
    if getattr(method, "__module__", None) == "cherrypy.process.wspbus":
        bus._set_cloexec = _close_on_exec


def _close_on_exec():
    """Mark everything above the standard streams close-on-exec, but the sockets that systemd has passed to this process."""
    first = 3
    if os.environ.get("LISTEN_PID") == str(os.getpid()):
        fds = os.environ.get("LISTEN_FDS", "")
        first += int(fds) if fds.isascii() and fds.isdigit() else 0
    try:
        _native.close_on_exec(first)
    except OSError:  # An old kernel.
        for descriptor in _open_descriptors():
            if descriptor >= first:
                os.set_inheritable(descriptor, False)


class ThreadManager(SimplePlugin):
    """Tells listeners of threads that come and go: each is ``start_thread`` and ``stop_thread``, with a number.

    A server's thread publishes on ``acquire_thread`` when it begins, or with each request, and on ``release_thread`` when it
    ends, if it knows. What is not released is when the bus stops.
    """

    threads = None
    """The number of each thread, by its identifier. No two have the same at a time."""

    def __init__(self, bus):
        self.threads = {}
        self._lock = threading.Lock()
        SimplePlugin.__init__(self, bus)
        for channel in ("acquire_thread", "start_thread", "release_thread", "stop_thread"):
            bus.listeners.setdefault(channel, set())

    def acquire_thread(self):
        """Publish ``start_thread`` for the thread that calls, the first time."""
        ident = threading.get_ident()
        with self._lock:
            if ident in self.threads:
                return
            used = set(self.threads.values())
            number = next(number for number in range(1, len(used) + 2) if number not in used)
            self.threads[ident] = number
        self.bus.publish("start_thread", number)

    def release_thread(self):
        """Publish ``stop_thread`` for the thread that calls, if it was acquired."""
        number = self.threads.pop(threading.get_ident(), None)
        if number is not None:
            self.bus.publish("stop_thread", number)

    def stop(self):
        """Publish ``stop_thread`` for all threads that were acquired."""
        for ident in list(self.threads):
            number = self.threads.pop(ident, None)
            if number is not None:  # Else it has released itself meanwhile.
                self.bus.publish("stop_thread", number)

    graceful = stop
