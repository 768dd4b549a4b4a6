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
from ._logging import ReopeningFileHandler as ReopeningFileHandler
from ._pidfile import PidFile as PidFile
from ._signals import SignalStream as SignalStream
from ._signals import signals as signals
from ._streams import LogFile as LogFile
from ._streams import Syslog as Syslog
from ._supervisor import listen_descriptors as listen_descriptors
from ._supervisor import listen_sockets as listen_sockets
from ._supervisor import notify as notify
from ._supervisor import notify_barrier as notify_barrier
from ._supervisor import notify_reloading as notify_reloading
from ._supervisor import watchdog_interval as watchdog_interval
from ._watchdog import Watchdog as Watchdog

__version__: str
__all__ = [
    "AlreadyRunningError",
    "DaemonContext",
    "DaemonError",
    "DaemonWarning",
    "LogFile",
    "OptionError",
    "PidFile",
    "PidFileError",
    "PrivilegeError",
    "ReopeningFileHandler",
    "SignalStream",
    "StartError",
    "Syslog",
    "UsageError",
    "Watchdog",
    "__version__",
    "listen_descriptors",
    "listen_sockets",
    "notify",
    "notify_barrier",
    "notify_reloading",
    "signals",
    "watchdog_interval",
]

def __getattr__(name: str) -> object: ...
def __dir__() -> list[str]: ...
