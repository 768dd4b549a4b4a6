"""Log files that can be rotated: handlers of `logging` that open their file anew."""

import codecs
import logging
import signal as signals
import sys
import time
import weakref

from . import _native

_RETRY = 1.0  # seconds between two tries to open what could not be opened


class ReopeningFileHandler(logging.FileHandler):
    """A `logging.FileHandler` that opens its file anew, on request and when a signal comes: for logrotate(8) and its like.

    The next record goes to the new file; none is lost, and none lies in two. An idle daemon lets go of the old file at once,
    so that it can be compressed.

    When the new file cannot be opened, the old one is written to as before, `handleError` gets to know of it once, and the records
    that follow try again, once in a second at the most.

    The file may be opened before `DaemonContext.open` (with ``preserve_logging=True``) or after it. A *signal* of this handler
    should not be in the context's signal map, which comes later and takes it away; nor in a `SignalStream` or a loop's
    ``add_signal_handler``: those can call `reopen`.

    The file is opened as a daemon's log files are, for a directory that other users can write to: another user's symbolic link or FIFO is
    not opened, nor a file with several names; nothing is created through a symbolic link, nor truncated.

    :param filename: a relative path is taken from the present working directory, whatever a start makes of that.
    :param mode: as of `open`; what is written is always appended, and a file that is opened anew is never truncated.
    :param encoding: as of `open`.
    :param delay: whether the file is opened only when the first record comes.
    :param errors: as of `open`.
    :param signal: the signal that has it opened anew, as SIGHUP; handlers are made in the main thread then. What the signal's
        handler was before is called, too.
    :param file_mode: the mode of a file that is made here, whatever the umask; None for 0640 less the umask.
    :param user: who gets a file that is made here, by number or name; None for this process's user. Others need root.
    :param group: which group gets it, likewise.
    """

    def __init__(
        self,
        filename,
        mode="a",
        encoding=None,
        delay=False,
        errors=None,
        *,
        signal=None,
        file_mode=None,
        user=None,
        group=None,
    ):
        self._file_mode = file_mode
        self._owner = _number(user, "user"), _number(group, "group")
        self._due = False
        self._failed_at = None
        self._told = False
        self._signal = None
        # Their modules may be out of reach when the file is opened: below a chroot, or as another user.
        if encoding not in (None, "locale"):
            codecs.lookup(encoding)
        if errors is not None:
            codecs.lookup_error(errors)
        super().__init__(filename, mode, encoding, delay, errors)
        if signal is not None:
            try:
                _Reopening.add(signal, self)
            except BaseException:
                self.close()
                raise
            self._signal = signal

    def createLock(self):
        """Make the lock; the work that a signal leaves for later is done by whoever gives it back."""
        super().createLock()
        self.lock = _Lock(self.lock, weakref.WeakMethod(self._settle))

    def reopen(self):
        """Open the file anew, now: when this comes back, the old one is closed.

        :raises OSError: it cannot be opened; the old one is written to as before.
        """
        with self.lock:
            self._due = False
            self._exchange()
            self._failed_at, self._told = None, False

    def emit(self, record):
        """Write a record."""
        if self._failed_at is not None and time.monotonic() - self._failed_at >= _RETRY:
            self._try()
        try:
            super().emit(record)
        except OSError:  # A delayed file; all other errors are dealt with there.
            self.handleError(record)

    def close(self):
        """Close the file, and leave the signal alone from now on."""
        signum, self._signal = self._signal, None
        if signum is not None:
            _Reopening.remove(signum, self)
        super().close()

    def _on_signal(self):
        self._due = True
        self._settle()

    def _settle(self):
        """Do what is due, unless somebody is just using the file: who then does it when done.

        A handler of a signal runs in the middle of anything that the main thread does, in the middle of `emit` also. So this
        does not wait, and does not go by the lock's being free for this thread, which it may have already.
        """
        while self._due and self.lock.acquire_if_free():
            try:
                self._due = False
                self._try()
            finally:
                self.lock.give_back()

    def _try(self):
        try:
            self._exchange()
            self._failed_at, self._told = None, False
        except OSError:
            self._failed_at = time.monotonic()
            if not self._told:
                self._tell()

    def _tell(self):
        try:
            self.handleError(self._record_of_failure())
            self._told = True
        except RuntimeError:
            pass  # The signal came in the middle of a write to standard error, which is not for two. The next try tells it.

    def _exchange(self):
        """Open first, then close: what cannot be opened changes nothing."""
        if self.stream is None:  # Opened by the next record, if at all.
            return
        new = self._open()
        old, self.stream = self.stream, new
        old.close()

    def _record_of_failure(self):
        message = "%s cannot be opened anew; the old file is written to"
        return logging.LogRecord(__name__, logging.ERROR, __file__, 0, message, (self.baseFilename,), sys.exc_info())

    def _open(self):
        stream = open(self.baseFilename, self.mode, encoding=self.encoding, errors=self.errors, opener=self._opener)
        # The next time it is a file that was made by who rotates, or even the same one.
        self.mode = self.mode.replace("w", "a").replace("x", "a")
        return stream

    def _opener(self, path, flags):
        return _native.open_log_file(path, flags, self._file_mode, *self._owner)


class _Lock:
    """A handler's lock, around the `threading.RLock` that it is: when it is given back for good, *settle* is called."""

    def __init__(self, inner, settle):
        self._inner = inner
        self._settle = settle

    def acquire(self, *args, **kwargs):
        return self._inner.acquire(*args, **kwargs)

    def release(self):
        self._inner.release()
        # Between the two a signal may come, or another thread; either does what is due, or leaves it to this.
        if not self._inner._is_owned():
            settle = self._settle()
            if settle is not None:
                settle()

    def acquire_if_free(self):
        """False if anybody has it, this thread included."""
        return not self._inner._is_owned() and self._inner.acquire(blocking=False)

    def give_back(self):
        """Without *settle*, which is who calls this."""
        self._inner.release()

    def __enter__(self):
        self.acquire()
        return self

    def __exit__(self, exc_type, exc_value, exc_tb):
        self.release()

    def _at_fork_reinit(self):
        self._inner._at_fork_reinit()


class _Reopening:
    """The handler of a signal: has log files opened anew, then does what the signal did before."""

    installed = {}

    def __init__(self, signum):
        self.previous = signals.getsignal(signum)
        # None stands for a handler that is not Python's.
        self.below = _native.SignalState(signum) if self.previous is None else None
        # Replaced as a whole, never changed: a signal may come while it is looked at.
        self.handlers = ()

    def __call__(self, signum, frame):
        for reference in self.handlers:
            handler = reference()
            if handler is not None:
                handler._on_signal()
        if callable(self.previous):
            self.previous(signum, frame)

    @classmethod
    def add(cls, signum, handler):
        present = cls.installed.get(signum)
        try:
            if present is None or signals.getsignal(signum) is not present:
                present = cls(signum)
                signals.signal(signum, present)
                cls.installed[signum] = present
        except (OSError, TypeError, OverflowError, ValueError) as error:
            from ._options import unexpected

            if isinstance(error, ValueError) and signum in signals.valid_signals():
                from ._errors import UsageError

                raise UsageError(f"signal: {error}", step="signal", value=str(signum)) from None
            raise unexpected("signal", signum, "a signal that can be caught") from None
        present.handlers = (*present.handlers, weakref.ref(handler))

    @classmethod
    def remove(cls, signum, handler):
        present = cls.installed.get(signum)
        if present is None:
            return
        present.handlers = tuple(it for it in present.handlers if it() not in (None, handler))
        if not present.handlers and signals.getsignal(signum) is present:
            try:
                signals.signal(signum, signals.SIG_DFL if present.previous is None else present.previous)
                if present.below is not None:
                    present.below.restore()
            except ValueError:  # Not the main thread. What is left only hands on.
                return
            del cls.installed[signum]


def _number(value, option):
    if value is None or isinstance(value, int):
        return value
    import grp
    import pwd

    try:
        return pwd.getpwnam(value).pw_uid if option == "user" else grp.getgrnam(value).gr_gid
    except KeyError:
        from errno import EINVAL

        from ._errors import OptionError

        raise OptionError(f"no such {option}: {value}", EINVAL, option, repr(value)) from None
    except TypeError:
        from ._options import unexpected

        raise unexpected(option, value) from None
