"""Service managers: what they are told, and what they pass on."""

from . import _native


def notify(state, fds=()):
    """Send assignments, one a line, such as ``"STATUS=reading the configuration"``, to the service manager (sd_notify(3)).

    Readiness is told by `DaemonContext` itself. Others that managers know are ``STOPPING=1``, ``STATUS=``, ``ERRNO=``,
    ``EXTEND_TIMEOUT_USEC=``, ``WATCHDOG=1``.

    :param state: the assignments.
    :param fds: descriptors, or objects with ``fileno()``, of which copies go along: ``FDSTORE=1`` has the manager keep them for
        the next start, under the name that ``FDNAME=`` gives.
    :returns: False where there is no manager: ``NOTIFY_SOCKET`` is not set.
    :raises DaemonError: the socket cannot be sent to. A daemon need not care.
    """
    try:
        return _native.notify(state, [fd if isinstance(fd, int) else fd.fileno() for fd in fds])
    except (TypeError, AttributeError, OverflowError, ValueError) as error:
        if isinstance(error, OSError):
            raise
        from ._options import unexpected

        raise unexpected("notify", (state, fds), "text, and descriptors or objects with fileno()") from None


def notify_reloading():
    """Say that the daemon is reading its configuration again; ``notify("READY=1")`` says that it is done.

    With the time that ``Type=notify-reload`` wants beside it. Returns and raises what `notify` does.
    """
    return _native.notify_reloading()


def notify_barrier(timeout=None):
    """Wait until the manager has dealt with all that was sent before: then the process may end, and nothing of it is lost.

    :param timeout: how many seconds to wait; None for any time.
    :returns: False where there is no manager.
    :raises DaemonError: as `notify`; with ``errno.ETIMEDOUT`` when the time has passed first.
    """
    from ._pidfile import _seconds

    return _native.notify_barrier(_seconds(timeout))


def watchdog_interval():
    """How often, in seconds, the manager wants to hear ``notify("WATCHDOG=1")`` at the least; None where it does not."""
    return _native.watchdog_interval()


def listen_descriptors():
    """Take over what a service manager has opened for this process (sd_listen_fds(3)): pairs of name and descriptor.

    They are close-on-exec from now on, and ``LISTEN_FDS`` and its like are gone from the environment, so that no child takes
    them for its own. They are kept through a start, so this may be called before `DaemonContext.open` or after it; the second
    time there are none. A name is ``"unknown"`` where the unit gives none.
    """
    from os import environ

    taken = _native.take_listen_descriptors()
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environ.pop(name, None)
    return taken


def listen_sockets():
    """The same as pairs of name and `socket.socket`, for services that are passed nothing else.

    :raises OSError: with ``errno.ENOTSOCK``: one is no socket. All are closed then.
    """
    taken = listen_descriptors()
    if not taken:
        return []
    import os
    import socket

    sockets = []
    try:
        for name, fd in taken:
            sockets.append((name, socket.socket(fileno=fd)))
    except OSError:
        for _, opened in sockets:
            opened.close()
        for _, fd in taken[len(sockets) :]:
            os.close(fd)
        raise
    return sockets
