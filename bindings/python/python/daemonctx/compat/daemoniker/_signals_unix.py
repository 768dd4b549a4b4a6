"""Handling signals."""

import _signal

from ._signals_common import _normalize_handler
from .exceptions import SIGABRT, SIGINT, SIGTERM, DaemonikerSignal

__all__ = []


_SUPPORTED_PLATFORM = True


class SignalHandler1:
    """Handlers for SIGINT, SIGTERM and SIGABRT, which can be changed at any time, also while they are in force.

    A handler is called with the signal's number alone. None, and deleting the attribute, stands for the default, which raises
    the signal's class of `exceptions` in the main thread; `IGNORE_SIGNAL` for doing nothing.

    :param pid_file: not used on Unix.
    :param sigint: the handler for SIGINT.
    :param sigterm: the handler for SIGTERM.
    :param sigabrt: the handler for SIGABRT.
    """

    def __init__(self, pid_file, sigint=None, sigterm=None, sigabrt=None):
        self._pidfile = pid_file
        self.sigint = sigint
        self.sigterm = sigterm
        self.sigabrt = sigabrt
        # What to put back, by number; None while nothing is handled.
        self._before = None

    def start(self):
        """Handle the signals from now on. For the main thread only.

        :raises RuntimeError: they are handled already.
        """
        if self._before is not None:
            raise RuntimeError("SignalHandler1 has been started already")
        before = {}
        try:
            for signum, name in _HANDLED.items():
                state = _state(signum)
                before[signum] = _signal.signal(signum, self._caller(name)), state
        except BaseException:
            _restore(before)
            raise
        self._before = before

    def stop(self):
        """Have the signals do what they did before `start`. Does nothing when they are not handled."""
        if self._before is None:
            return
        _restore(self._before)
        self._before = None

    def _caller(self, name):
        def call(signum, frame):
            # Looked up now: it may have been changed since the start.
            return getattr(self, name)(signum)

        return call

    @staticmethod
    def _default_handler(signum, *args):
        raise _EXCEPTIONS.get(signum, DaemonikerSignal)()

    def _normal(self, handler):
        return _normalize_handler(handler, self._default_handler)

    @property
    def sigint(self):
        """The handler for SIGINT."""
        return self._sigint

    @sigint.setter
    def sigint(self, handler):
        self._sigint = self._normal(handler)

    @sigint.deleter
    def sigint(self):
        self.sigint = None

    @property
    def sigterm(self):
        """The handler for SIGTERM."""
        return self._sigterm

    @sigterm.setter
    def sigterm(self, handler):
        self._sigterm = self._normal(handler)

    @sigterm.deleter
    def sigterm(self):
        self.sigterm = None

    @property
    def sigabrt(self):
        """The handler for SIGABRT."""
        return self._sigabrt

    @sigabrt.setter
    def sigabrt(self, handler):
        self._sigabrt = self._normal(handler)

    @sigabrt.deleter
    def sigabrt(self):
        self.sigabrt = None


_HANDLED = {int(_signal.SIGINT): "sigint", int(_signal.SIGTERM): "sigterm", int(_signal.SIGABRT): "sigabrt"}
_EXCEPTIONS = {int(signal): signal for signal in (SIGINT, SIGTERM, SIGABRT)}


def _state(signum):
    from ..._native import SignalState

    return SignalState(signum)


def _restore(before):
    """Put handlers back: Python's, and below them what C code has set, of which Python knows nothing.

    That is faulthandler's for SIGABRT, and that which removes the pid file when SIGTERM ends the daemon.
    """
    for signum, (handler, state) in before.items():
        _signal.signal(signum, _signal.SIG_DFL if handler is None else handler)
        state.restore()


def _restore_any_previous_handler(signum, maybe_handler, force_clear=False):
    """Have a signal do what it did before.

    :param maybe_handler: what it did; `ZeroDivisionError` if nothing was set: then it is left alone, or with *force_clear* gets its
        default action.
    """
    if maybe_handler is not ZeroDivisionError:
        # The enumeration's SIG_DFL is equal to the number, but not taken for it.
        _signal.signal(signum, maybe_handler if callable(maybe_handler) else int(maybe_handler))
    elif force_clear:
        _signal.signal(signum, _signal.SIG_DFL)
