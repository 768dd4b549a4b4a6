__all__ = [
    "DaemonikerException",
    "SignalError",
    "DaemonikerSignal",
    "SIGABRT",
    "SIGINT",
    "SIGTERM",
]

class DaemonikerException(Exception): ...
class SignalError(DaemonikerException, RuntimeError): ...

class _SignalMeta(type):
    def __int__(cls) -> int: ...

class DaemonikerSignal(BaseException, metaclass=_SignalMeta):
    SIGNUM: int
    def __int__(self) -> int: ...

ReceivedSignal = DaemonikerSignal

class SIGABRT(DaemonikerSignal): ...
class SIGINT(DaemonikerSignal): ...
class SIGTERM(DaemonikerSignal): ...
