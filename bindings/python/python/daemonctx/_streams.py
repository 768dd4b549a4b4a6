"""Where standard output and standard error can go besides paths and descriptors."""

_FACILITIES = {
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}
_PRIORITIES = {name: i for i, name in enumerate(("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"))}


class LogFile:
    """A file for `DaemonContext`'s *stdout* or *stderr*.

    It is made where it does not exist, with just this mode and owner; one that exists keeps its own. It is never made through
    a symbolic link.

    :param path: the file; a relative path is taken from the directory that the daemon is started in.
    :param append: whether a file that exists is appended to; else it is emptied when the daemon starts, unless it is reached by
        a symbolic link or has several names, which is an error then.
    :param mode: the mode of a file that is made, whatever the umask.
    :param user: the owner of a file that is made, by name or number; None for whoever starts the daemon.
    :param group: its group, likewise.
    """

    def __init__(self, path, *, append=True, mode=0o640, user=None, group=None):
        self.path = path
        self.append = append
        self.mode = mode
        self.user = user
        self.group = group

    def __repr__(self):
        mode = f"0o{self.mode:o}" if isinstance(self.mode, int) else repr(self.mode)
        return f"LogFile({self.path!r}, append={self.append}, mode={mode}, user={self.user!r}, group={self.group!r})"

    def _connect(self, start, number):
        from os import fsdecode

        start.log_file(number, fsdecode(self.path), not self.append, self.mode, self.user, self.group)


class Syslog:
    """The system's log for `DaemonContext`'s *stdout* or *stderr*: a message for each line.

    A process of its own passes them on; it ends when nobody can write to the stream any more.

    :param identity: what messages begin with; None for the program's name.
    :param facility: ``"daemon"``, ``"mail"``, ``"local0"`` …, or a number of the module `syslog`.
    :param priority: ``"info"``, ``"warning"``, ``"err"`` …, or a number of the module `syslog`; None for ``"info"`` on standard
        output, ``"err"`` on standard error.
    """

    def __init__(self, identity=None, facility="daemon", priority=None):
        self.identity = identity
        self.facility = facility
        self.priority = priority
        self._facility = _number("facility", facility, _FACILITIES, 8)
        self._priority = None if priority is None else _number("priority", priority, _PRIORITIES, 1)

    def __repr__(self):
        return f"Syslog({self.identity!r}, {self.facility!r}, {self.priority!r})"

    def _connect(self, start, number):
        start.syslog(number, self.identity, self._facility, self._priority)


def _number(option, value, names, factor):
    """What the system calls a facility or priority. The module `syslog` has facilities eight times as high."""
    try:
        number = names[value] if isinstance(value, str) else value // factor
        if number in names.values() and (isinstance(value, str) or value % factor == 0):
            return number
    except (KeyError, TypeError):
        pass
    from ._options import unexpected

    raise unexpected(option, value, f"one of {', '.join(names)}, or a number of the module syslog")
