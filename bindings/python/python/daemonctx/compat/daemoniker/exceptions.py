"""What daemoniker raises: errors, and the signals that `SignalHandler1` turns into exceptions."""

# The `signal` module makes enumerations of everything when it is imported; the numbers are enough here.
import _signal

__all__ = [
    "DaemonikerException",
    "SignalError",
    "DaemonikerSignal",
    "SIGABRT",
    "SIGINT",
    "SIGTERM",
]


class DaemonikerException(Exception):
    """What all errors of daemoniker are."""


class SignalError(DaemonikerException, RuntimeError):
    """Something about the handling of signals failed."""


class _SignalMeta(type):
    """``int()`` of a class of signals is its number, as that of an instance."""

    def __int__(cls):
        return int(cls.SIGNUM)


class DaemonikerSignal(BaseException, metaclass=_SignalMeta):
    """A signal has arrived. No `Exception`: what nobody handles ends the program."""

    SIGNUM = -1
    """The signal's number."""

    def __int__(self):
        return int(self.SIGNUM)


ReceivedSignal = DaemonikerSignal


class SIGABRT(DaemonikerSignal):
    """SIGABRT has arrived."""

    SIGNUM = int(_signal.SIGABRT)


class SIGINT(DaemonikerSignal):
    """SIGINT has arrived."""

    SIGNUM = int(_signal.SIGINT)


class SIGTERM(DaemonikerSignal):
    """SIGTERM has arrived."""

    SIGNUM = int(_signal.SIGTERM)
