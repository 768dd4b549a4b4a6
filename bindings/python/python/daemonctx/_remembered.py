"""Descriptors that Python remembers by their numbers: which to keep through a start, and what the others are.

Imported by a start only where there are any. What is kept here is what a program cannot list, and could not open later.
"""

import _signal
import _thread
import os
import stat
import sys
import warnings
from _io import BufferedRandom, BufferedWriter, FileIO, TextIOWrapper
from _weakref import ref

from . import _native
from ._errors import DaemonWarning, other_interpreters

__all__ = ["forget", "fork", "logging_descriptors", "other_threads", "refuse_interpreters", "warn"]


def warn(descriptors, keep, detaches):
    """Warn of what the daemon will not have.

    :param descriptors: open descriptors of this program that it has not listed.
    :param keep: is called with each that is kept all the same.
    :param detaches: whether the start may fork.
    """
    global _disowned
    _note_asyncio()
    if "faulthandler" in sys.modules and _cancel_dump():
        _warn_of("faulthandler.dump_traceback_later() is cancelled; call it in the daemon")
    lost, databases, _disowned = _keep_or_name(sorted(descriptors), keep)
    if databases:
        _warn_of(f"kept open in the daemon, but without their locks: SQLite's {databases}; connect after open()")
    if lost:
        _warn_of(f"closed in the daemon: {lost}; keep it with files_preserve, or open it after the start")
    children = _living_children() if detaches else ()
    if children:
        one = len(children) == 1
        named = f"{len(children)} child process{'' if one else 'es'} ({', '.join(children)})"
        _warn_of(f"{named} will not be the daemon's, nor end with it; start {'it' if one else 'them'} after open()")
    count, names = other_threads() if detaches else (0, ())
    if count:
        named = f" ({', '.join(names)})" if names else ""
        _warn_of(f"{count} other thread{'s' * (count > 1)}{named} will not exist in the daemon; start them after open()")


def refuse_interpreters(detach):
    """Refuse a fork beside other interpreters of this process: CPython's crashes or hangs in the child."""
    interpreters = sys.modules.get("_interpreters") or sys.modules["_xxsubinterpreters"]
    if len(interpreters.list_all()) > 1 and (_native.detaches_by_default() if detach is None else detach):
        raise other_interpreters()


def fork(call):
    """Call what forks. multiprocessing's resource tracker is the daemon's afterwards: newer CPythons let go of it in a child of os.fork()."""
    intent = getattr(sys.modules["multiprocessing.resource_tracker"], "_fork_intent", None)
    if intent is None:
        return call()
    intent.preserve_fd = True
    try:
        return call()
    finally:
        intent.preserve_fd = False


def other_threads():
    """How many threads Python knows beside this one, and the names of those that `threading` knows.

    Those of C libraries do not count: what can be done about them is up to the library, as OpenBLAS does.
    """
    threading = sys.modules.get("threading")
    names = [t.name for t in threading.enumerate() if t is not threading.current_thread()] if threading else []
    own = 1 if threading and threading.current_thread() is not threading.main_thread() else 0
    return max(len(names), _thread._count() - own), names


def _warn_of(message):
    # The line where the program opens the context, not one of this package.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals["__name__"].startswith(f"{__package__}."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, DaemonWarning, stacklevel=level)


def _keep_or_name(descriptors, keep):
    """Keep what is used by number behind the program's back. Returns the names of the rest, and of what is SQLite's, as text, and the
    objects that own the rest.

    :param descriptors: open descriptors of this process that the program has not listed, in ascending order.
    :param keep: is called with each descriptor to keep.
    """
    if not descriptors:
        return "", "", []
    targets = {fd: _target(fd) for fd in descriptors}
    owners = _owners(targets)
    kept = {fd for fd, target in targets.items() if target in _RANDOM}
    kept |= set(_of_resource_tracker()) | set(_of_faulthandler(owners)) | set(_of_shared_memory(targets)) | set(_of_loops(targets))
    without_owner = {fd: target for fd, target in targets.items() if fd not in owners}
    databases = set(_of_databases(without_owner))
    kept |= databases | set(_of_mappings(without_owner))
    for fd in kept.intersection(targets):
        keep(fd)
    for fd in kept.intersection(owners):
        del owners[fd]
    for fd, items in owners.items():
        _write_out(fd, items)
    left = set(targets) - kept - set(_of_forkserver()) - set(_of_processes())
    names = [_name(fd, targets[fd]) for fd in sorted(left) if not _is_of_no_interest(fd, targets[fd])]
    disowned = [(fd, ref(item)) for fd, items in owners.items() for item in items]
    return _joined(names), _joined([_name(fd, targets[fd]) for fd in sorted(databases)]), disowned


def _joined(names):
    return ", ".join(names if len(names) <= _MOST_NAMES else [*names[:_MOST_NAMES], f"{len(names) - _MOST_NAMES} others"])


_MOST_NAMES = 8

# What is read from a random number generator's descriptor must not come from another file.
_RANDOM = {"/dev/random", "/dev/urandom"}


# --- what is kept -----------------------------------------------------------------------------------------------------


def logging_descriptors():
    """The descriptors of all handlers of `logging` (whatever they are behind, or no logger knows) and of loguru's sinks."""
    logging = sys.modules.get("logging")
    for reference in list(getattr(logging, "_handlerList", ())):
        handler = reference()
        for name in ("stream", "socket", "sock"):
            yield from _descriptor_of(getattr(handler, name, None))
    core = getattr(getattr(sys.modules.get("loguru"), "logger", None), "_core", None)
    for handler in list(getattr(core, "handlers", {}).values()):
        sink = getattr(handler, "_sink", None)
        for name in ("_file", "_stream"):
            yield from _descriptor_of(getattr(sink, name, None))


def _of_resource_tracker():
    """The pipe to multiprocessing's tracker: at its end the tracker removes all shared memory."""
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    fd = getattr(tracker, "_fd", None)
    return () if fd is None else (fd,)


def _of_forkserver():
    """The pipes to multiprocessing's fork server, which is forgotten: the daemon gets one of its own."""
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    fd = getattr(server, "_forkserver_alive_fd", None)
    return () if fd is None else (fd,)


def _of_processes():
    """What tells that a process of multiprocessing has ended: it is the starter's, and cannot be joined by the daemon."""
    module = sys.modules.get("multiprocessing.process")
    for process in list(getattr(module, "_dangling", ())):
        popen = getattr(process, "_popen", None)
        own = getattr(getattr(popen, "finalizer", None), "_args", ())
        yield from (fd for fd in (getattr(popen, "sentinel", None), *own) if isinstance(fd, int))


def _living_children():
    """The names of multiprocessing's processes, a manager's included. At the starter's exit nobody ends or joins them."""
    children = getattr(sys.modules.get("multiprocessing.process"), "_children", ())
    return [process.name for process in list(children) if process.is_alive()]


def _of_faulthandler(owners):
    """The files that faulthandler writes to from C: enable() and register() hold them."""
    if "faulthandler" not in sys.modules:
        return
    import gc

    for file in gc.get_referents(sys.modules["faulthandler"]):
        yield from _descriptor_of(file)
    if sys.version_info >= (3, 14):  # It does not show them any more.
        for file in _held_from_c([item for items in owners.values() for item in items]):
            yield from _descriptor_of(file)


def _held_from_c(items):
    """Those of *items* to which there is a reference that the garbage collector does not see."""
    import gc

    # What is counted for an object of which all references are seen.
    items = [FileIO(1, closefd=False), *items]
    unseen = []
    for item in items:
        seen = sum(sum(found is item for found in gc.get_referents(holder)) for holder in gc.get_referrers(item))
        unseen.append(sys.getrefcount(item) - seen)
    return [item for item, count in zip(items, unseen) if count > unseen[0]]


def _cancel_dump():
    """Cancel faulthandler.dump_traceback_later(), and return whether it was under way: then it held a file.

    A thread of faulthandler's waits for the time. In the daemon it does not exist, and the end of the interpreter would wait for it.
    """
    import faulthandler
    import gc

    files = [sys.stderr, *(item for item in gc.get_objects() if isinstance(item, _FILES))]
    before = list(map(sys.getrefcount, files))
    faulthandler.cancel_dump_traceback_later()
    return list(map(sys.getrefcount, files)) != before


def _of_mappings(targets):
    """Files that are mapped into memory: an mmap object has a descriptor of its own, and so has libffi, of its own code."""
    if any(target.startswith("/") for target in targets.values()):
        mapped = set(_mapped())
        yield from (fd for fd, target in targets.items() if target in mapped)


def _of_databases(targets):
    """Files of SQLite's, which only C knows of: a connection would write to what has got the number."""
    if "_sqlite3" not in sys.modules:
        return
    databases = {target for fd, target in targets.items() if target.startswith("/") and _is_database(fd)}
    for fd, target in targets.items():
        if target in databases or any(target == path + end for path in databases for end in ("-journal", "-wal", "-shm")):
            yield fd


def _is_database(fd):
    """By its first bytes (https://www.sqlite.org/fileformat.html); one that is new has none yet."""
    try:
        return stat.S_ISREG(os.fstat(fd).st_mode) and os.pread(fd, 16, 0) in (b"SQLite format 3\0", b"")
    except OSError:
        return False


def _mapped():
    try:
        with open("/proc/self/maps", "rb") as maps:
            for line in maps:
                parts = line.rstrip(b"\n").split(None, 5)
                if len(parts) == 6:
                    yield os.fsdecode(parts[5])
    except OSError:
        pass


def _of_shared_memory(targets):
    """Each `SharedMemory` has a descriptor and its mapping another one, and both are closed with it, whatever they are then."""
    if "multiprocessing.shared_memory" in sys.modules:
        yield from (fd for fd, target in targets.items() if target.startswith("/dev/shm/"))


def _of_loops(targets):
    """Event loops and selectors that were made before the start: epoll, what it watches, and what wakes it up.

    The starter does not use them any more, so the daemon can go on with them: asyncio, uvloop, Twisted, gevent and others.
    """
    polls = [fd for fd, target in targets.items() if target == "anon_inode:[eventpoll]"]
    if not polls:
        return
    kept = set(polls)
    for fd in polls:
        kept.update(_watched_by(fd))
    # A loop that has not run yet watches nothing; what wakes it up is a pipe or socket pair with both ends here.
    ends = list(targets.values())
    for fd, target in targets.items():
        is_waker = target in _WAKERS or target.startswith("pipe:") and ends.count(target) > 1
        if is_waker or target.startswith("socket:") and _is_of_pair(fd):
            kept.add(fd)
    yield from kept


_WAKERS = {f"anon_inode:[{kind}]" for kind in ("eventfd", "io_uring", "signalfd", "timerfd")}


def _watched_by(fd):
    try:
        with open(f"/proc/self/fdinfo/{fd}", "rb") as info:
            return [int(line.split()[1]) for line in info if line.startswith(b"tfd:")]
    except (OSError, ValueError, IndexError):
        return []


# --- what is forgotten ------------------------------------------------------------------------------------------------


# Objects with a descriptor that the start closes: each as the number and a weak reference.
_disowned = []


def _owners(targets):
    """The objects of this program that write to one of these descriptors or would close it at their end, by descriptor."""
    import gc

    classes = _FILES
    for module, name in (("_socket", "socket"), ("multiprocessing.connection", "_ConnectionBase")):
        found = getattr(sys.modules.get(module), name, None)
        classes += (found,) if found else ()
    owners = {}
    for item in gc.get_objects():
        if isinstance(item, classes):
            for fd in _descriptor_of(item):
                if fd in targets:
                    owners.setdefault(fd, []).append(item)
    return owners


_FILES = (FileIO, TextIOWrapper, BufferedWriter, BufferedRandom)


def _write_out(fd, items):
    """Have a file that the daemon will not have contain what was written to it: nobody can do that later."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        for item in items:
            try:
                item.flush()
            except Exception:
                pass  # Text that cannot be written is no reason not to start.


def _disown():
    """In the daemon: close objects whose descriptor the start has closed. Later they would close, or write to, what has got the number."""
    for fd, reference in _disowned:
        item = reference()
        try:
            if isinstance(item, FileIO):
                _close_object(fd, item)
            elif hasattr(item, "_handle"):  # multiprocessing's
                item._handle = None
            elif not isinstance(item, _FILES):  # A socket. Files of other kinds have one of the first.
                item.detach()
        except (AttributeError, OSError, ValueError):
            pass
    _disowned.clear()


def _close_object(fd, file):
    """Close a file object, and no descriptor: where the start has used the number anew it stays what it is."""
    try:
        inheritable, copy = os.get_inheritable(fd), os.dup(fd)
    except OSError:
        copy = None
    try:
        FileIO.close(file)
    except OSError:
        pass  # As it is closed.
    if copy is not None:
        os.dup2(copy, fd, inheritable)
        os.close(copy)


# What asyncio forgets in each child of a fork, from Python 3.12 on: the descriptor of signals and the loop of this thread.
_of_asyncio = None, -1


def _note_asyncio():
    global _of_asyncio
    local = getattr(getattr(sys.modules.get("asyncio.events"), "_event_loop_policy", None), "_local", None)
    fd = -1
    try:
        fd = _signal.set_wakeup_fd(-1)
        if fd >= 0:
            _signal.set_wakeup_fd(fd)
    except (OSError, ValueError):  # It is closed, or this is not the main thread.
        pass
    _of_asyncio = getattr(local, "_loop", None), fd


def _restore_asyncio():
    loop, fd = _of_asyncio
    if loop is not None and not loop.is_closed():
        sys.modules["asyncio"].set_event_loop(loop)
    if fd >= 0:
        try:
            _signal.set_wakeup_fd(fd)
        except (OSError, ValueError):  # It is closed, or this is not the main thread.
            pass


def forget(is_forked):
    """In the daemon: what is the starter's. What is the daemon's now is restored."""
    _disown()
    if "asyncio" in sys.modules:
        _restore_asyncio()
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    if getattr(server, "_forkserver_pid", None) is not None:
        # The next use starts another one.
        server._forkserver_pid = server._forkserver_address = server._forkserver_alive_fd = None
    if is_forked and "multiprocessing.process" in sys.modules:
        _forget_processes()
    if is_forked and "gevent.hub" in sys.modules:
        sys.modules["gevent"].reinit()  # As its own fork does: a wake-up by a thread could be lost.


def _forget_processes():
    """Processes of multiprocessing are the starter's children; its locks and its shared memory are the daemon's now."""
    children = getattr(sys.modules["multiprocessing.process"], "_children", None)
    if children:
        children.clear()  # The end of the interpreter would join them.
    lock = getattr(sys.modules.get("multiprocessing.synchronize"), "SemLock", None)
    finalizers = getattr(sys.modules.get("multiprocessing.util"), "_finalizer_registry", {})
    for finalizer in list(finalizers.values()) if lock else ():
        if finalizer._callback == lock._cleanup:
            finalizer._pid = os.getpid()
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    if getattr(tracker, "_pid", None) is not None:
        tracker._pid = None  # It cannot be waited for.


# --- what is named ----------------------------------------------------------------------------------------------------


def _target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def _descriptor_of(file):
    try:
        fd = file.fileno()
    except Exception:  # None at all, or closed; or an object that does not have one.
        return
    if isinstance(fd, int) and fd > 2 and _is_open(fd):
        yield fd


def _is_open(fd):
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _is_of_no_interest(fd, target):
    """Whether it is a C library's own, which finds out by itself that it is closed, or of no use any more."""
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return True
    if stat.S_ISSOCK(mode):
        return _peer(fd).startswith(_OF_C_LIBRARY)
    if stat.S_ISFIFO(mode) and _is_broken(fd):
        return True
    if target.startswith(("/memfd:", *_OF_C_LIBRARY)):
        return True
    # A temporary file without an object, as libffi's.
    return target.endswith(" (deleted)") and fd not in _descriptors_of_objects()


def _is_broken(fd):
    """Whether nothing can come through a pipe any more, as from a process of multiprocessing that has ended."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return [events for _, events in poll.poll(0)] in ([select.POLLHUP], [select.POLLERR])


_OF_C_LIBRARY = ("/var/lib/sss/", "/run/nscd/", "/var/run/nscd/", "/run/systemd/", "/run/dbus/", "/dev/log")


def _descriptors_of_objects():
    import gc

    return {fd for item in gc.get_objects() if isinstance(item, FileIO) for fd in _descriptor_of(item)}


def _name(fd, target):
    if target.startswith("socket:"):
        target = _socket_name(fd)
    elif target.startswith("anon_inode:"):
        target = target[len("anon_inode:") :].strip("[]")
    elif target.startswith("pipe:"):
        target = "pipe"
    elif not target:
        target = "file"
    shown = target if target.isprintable() else ascii(target)
    return f"{shown} (descriptor {fd})"


def _socket_name(fd):
    _, own, peer = _addresses(fd)
    return " ".join(["socket", own or "", *(["to", peer] if peer else [])]).strip()


def _peer(fd):
    _, _, peer = _addresses(fd)
    return str(peer or "")


def _is_of_pair(fd):
    """Whether it is an end of a socketpair(2): connected, and neither end has a name."""
    import socket

    return _addresses(fd) == (socket.AF_UNIX, "", "")


def _addresses(fd):
    """A socket's family, and both addresses as text: None where it has none, or another thread has closed it meanwhile."""
    import socket

    copy = -1
    try:
        copy = os.dup(fd)
        sock = socket.socket(fileno=copy)
    except OSError:
        if copy >= 0:
            os.close(copy)
        return None, None, None
    with sock:
        found = [sock.family]
        for ask in (sock.getsockname, sock.getpeername):
            try:
                found.append(_address(ask()))
            except OSError:
                found.append(None)
    return tuple(found)


def _address(address):
    if isinstance(address, tuple) and len(address) >= 2:
        host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
        return f"{host}:{address[1]}"
    return os.fsdecode(address) if isinstance(address, (str, bytes)) else str(address)
