from ._context import DaemonContext as DaemonContext
from ._errors import (
    AlreadyRunningError as AlreadyRunningError,
    DaemonError as DaemonError,
    DaemonWarning as DaemonWarning,
    OptionError as OptionError,
    PidFileError as PidFileError,
    PrivilegeError as PrivilegeError,
    StartError as StartError,
    UsageError as UsageError,
)
from ._native import notify as notify
from ._pidfile import PidFile as PidFile

__version__: str
__all__ = [
    "AlreadyRunningError",
    "DaemonContext",
    "DaemonError",
    "DaemonWarning",
    "OptionError",
    "PidFile",
    "PidFileError",
    "PrivilegeError",
    "StartError",
    "UsageError",
    "__version__",
    "notify",
]

def __getattr__(name: str) -> object: ...
def __dir__() -> list[str]: ...
