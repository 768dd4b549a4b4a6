"""daemoniker's helpers."""

import sys

__all__ = []


def platform_specificker(linux_choice, win_choice, cygwin_choice, osx_choice, other_choice):
    """The choice for the system that this runs on; *other_choice* is for the Unixes that have none of their own."""
    choices = {"linux": linux_choice, "win32": win_choice, "cygwin": cygwin_choice, "darwin": osx_choice}
    for system, choice in choices.items():
        if sys.platform.startswith(system):
            return choice
    return other_choice


def default_to(check, default, comparator=None):
    """*default* if *check* is None, or with a *comparator* if it equals that; else *check*."""
    missing = check is None if comparator is None else check == comparator
    return default if missing else check


def __getattr__(name):
    # Programs that do not log need not pay for the import.
    if name == "logger":
        import logging

        return logging.getLogger("daemoniker.utils")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _log(level, message):
    """Write to the logger "daemoniker", which prints nothing by itself. Where `logging` was never imported nobody listens.

    :param level: the name of a method of loggers.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    logger = logging.getLogger("daemoniker")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    getattr(logger, level)(message)
