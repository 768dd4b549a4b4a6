"""What options can be: words for errors, and values that need a second look. Imported when there is something to say."""

from errno import EINVAL

from ._context import DaemonContext, default_signal_map
from ._errors import OptionError

_STREAM = "a path, a descriptor, an object with fileno(), {}or None"
_EXPECTED = {
    "chroot_directory": "a path or None",
    "detach_process": "True, False or None",
    "files_preserve": "descriptors and objects with fileno()",
    "gid": "a group's name or number, or None",
    "group": "a group's name or number, or None",
    "pidfile": "a PidFile, a path, or an object with acquire() and release() or a context manager that is no file",
    "program_name": "a name or None",
    "ready_after": "seconds above 0, or None",
    "ready_fd": "a descriptor, an object with fileno(), or None",
    "ready_timeout": "seconds above 0, or None",
    "runtime_directory": "a path or None",
    "signal": "a signal's number or name",
    "signal_map": "signals, and for each None, a method's name, or what signal.signal takes",
    "status": "a number from 1 to 255",
    "stderr": _STREAM.format("a LogFile, a Syslog, "),
    "stdin": _STREAM.format(""),
    "stdout": _STREAM.format("a LogFile, a Syslog, "),
    "timeout": "seconds, 0 or more, or None",
    "uid": "a user's name or number, or None",
    "umask": "a number from 0 to 0o777",
    "user": "a user's name or number, or None",
    "working_directory": "a path",
}


def unexpected(option, value, expected=None):
    """The `OptionError` for a value that an option cannot have: one line with what is allowed."""
    shown = " ".join(_repr(value).split())
    return OptionError(f"{option}: expected {expected or _EXPECTED[option]}, got {shown}", EINVAL, option, shown)


def _repr(value):
    try:
        return repr(value)
    except Exception:
        return object.__repr__(value)


def signal_number(option, value):
    """The number of a signal that is given by its number or name."""
    if isinstance(value, str):
        import _signal

        name = value.upper()
        value = getattr(_signal, name if name.startswith("SIG") else f"SIG{name}", value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise unexpected(option, value)
    return int(value)


def shown(context, options):
    """A context with the options that are set to something else than the default."""
    init, changed = DaemonContext.__init__, []
    defaults = {**dict(zip(options, init.__defaults__)), **init.__kwdefaults__}
    defaults["signal_map"] = default_signal_map()
    for name in options:
        value = getattr(context, name, None)
        if value is not defaults[name] and value != defaults[name]:
            changed.append(f"{name}={value!r}")
    text = f"{type(context).__name__}({', '.join(changed)})"
    return f"<{text}, open>" if context.is_open else text


def refuse_slip(name, options):
    """Refuse an attribute that looks like an option and is none."""
    option = option_meant_by(name, options)
    if option is not None:
        raise OptionError(f"{name}: no such option, did you mean {option}?", EINVAL, name)


_SHORT = {"chroot": "chroot_directory", "detach": "detach_process", "workdir": "working_directory"}


def option_meant_by(name, options):
    """The option that an attribute's name looks like but is not; None for a name of the program's own."""
    if name in _SHORT:
        return _SHORT[name]
    words = sorted(name.lower().split("_"))
    for option in options:
        if words == sorted(option.split("_")) or _is_slip(_plain(name), _plain(option)):
            return option
    return None


def _plain(name):
    return name.replace("_", "").replace("directory", "dir").lower()


def _is_slip(typed, option):
    """Whether the two are the same, or one letter is missing, too many, wrong, or exchanged with the next."""
    if typed == option:
        return True
    if len(option) < 5:  # Short names have too many neighbours.
        return False
    start = 0
    while typed[start : start + 1] == option[start : start + 1]:
        start += 1
    typed, option, is_long = typed[start:], option[start:], len(option) > 5
    is_exchanged = len(typed) > 1 and typed[1] + typed[0] + typed[2:] == option
    return is_exchanged or is_long and (typed[1:] == option[1:] or typed == option[1:] or typed[1:] == option)
