"""One program, in a process of its own: interprets what `programs` has made, with the original or with the stand-in.

    python -I -S program.py FILE NAME PATH...

FILE holds the program as JSON, NAME the abstract socket that it reports to, PATH the places of modules. It reports from each process that
gets there, and goes on when it is told to.
"""

import sys

sys.path[:0] = sys.argv[3:]

import _socket
import fcntl
import io
import json
import os
import signal

SIGNALS = sorted(number for number in signal.valid_signals() if number not in (32, 33))
EVENTS = []
OPENED = {}
STARTER = os.getpid()


class Program:
    def __init__(self, program, box):
        self.program = program
        self.box = box
        self.root = ""  # What is before the box's path is gone after chroot.

    def path(self, name):
        return os.path.join(self.box, name)

    def value(self, spec):
        """What a value in the program stands for."""
        if not isinstance(spec, list):
            return spec
        kind, *rest = spec
        if kind == "path":
            return self.path(rest[0])
        if kind == "bytes":
            return os.fsencode(self.path(rest[0]))
        if kind == "file":
            name, mode = rest
            if (name, mode) not in OPENED:
                OPENED[name, mode] = open(self.path(name), mode)
            return OPENED[name, mode]
        if kind == "fd":
            return self.value(["file", *rest]).fileno()
        if kind == "closed file":
            file = open(self.path(rest[0]), "a")
            file.close()
            return file
        if kind == "stringio":
            return io.StringIO()
        if kind == "list":
            return [self.value(item) for item in rest]
        if kind == "tuple":
            return tuple(self.value(item) for item in rest)
        if kind == "set":
            return {self.value(item) for item in rest}
        if kind == "map":
            return {getattr(signal, name, name): self.value(item) for name, item in rest}
        if kind == "handler":
            return HANDLERS[rest[0]]
        if kind == "object":
            return object()
        return LIBRARY.value(self, kind, *rest)

    def options(self, name="options"):
        return {key: self.value(item) for key, item in self.program.get(name, {}).items()}

    def before(self, actions):
        for kind, *rest in actions:
            getattr(self, "do_" + kind)(*rest)

    def do_open(self, name, mode):
        self.value(["file", name, mode])

    def do_replace(self, stream, target):
        setattr(sys, stream, self.value(target))

    def do_ignore(self, name):
        signal.signal(getattr(signal, name), signal.SIG_IGN)

    def do_handle(self, name):
        signal.signal(getattr(signal, name), HANDLERS["own"])

    def do_block(self, name):
        signal.pthread_sigmask(signal.SIG_BLOCK, [getattr(signal, name)])

    def do_seteuid(self, uid):
        os.seteuid(uid)

    def do_setegid(self, gid):
        os.setegid(gid)

    def do_chdir(self, name):
        os.chdir(self.path(name))

    def do_print(self, text):
        print("MARK", text)

    def do_warn(self, text):
        print("MARK", text, file=sys.stderr)

    def do_pipe(self):
        OPENED["pipe"] = os.pipe()

    def do_make(self, name, kind):
        if kind == "link":
            os.symlink(self.path("input"), self.path(name))
        else:
            os.mkfifo(self.path(name))

    def do_touch(self, name, content):
        with open(self.path(name), "w") as file:
            file.write(content.replace("SELF", str(os.getpid())))


def own(number, frame):
    EVENTS.append(f"handled {number}")


def leave(number, frame):
    raise SystemExit(f"MARK left on {number}")


HANDLERS = {
    "own": own,
    "own1": lambda number: own(number, None),
    "leave": leave,
    "leave1": lambda number: leave(number, None),
    "default": signal.SIG_DFL,
    "ignore": signal.SIG_IGN,
}


def attempt(name, function, *args, **kwargs):
    """Call a function, and note what became of it. Returns the result, or None."""
    try:
        result = function(*args, **kwargs)
    except BaseException as error:
        text = str(error) if isinstance(error, SystemExit) and isinstance(error.code, int) else ""
        names = [cls.__name__ for cls in type(error).__mro__ if cls not in (object, BaseException)]
        EVENTS.append([name, "raised", *names, getattr(error, "errno", None), text, os.getpid() == STARTER])
        if SPEC.get("uncaught"):
            raise
        return None
    EVENTS.append([name, LIBRARY.shown(result)])
    return result


def stream_state(name):
    stream = getattr(sys, name)
    try:
        return f"{type(stream).__name__} {stream.fileno()}"
    except Exception as error:
        return f"{type(stream).__name__} {type(error).__name__}"


def handler_name(handler):
    if handler in (signal.SIG_DFL, signal.SIG_IGN, None):
        return str(handler)
    return "a function"


def report(**more):
    """Tell the observer, and wait until it says to go on."""
    parent = os.getppid()
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    high = fcntl.fcntl(connection.fileno(), fcntl.F_DUPFD, SPEC["surroundings"]["nofile"] - 4)
    connection.close()
    connection = _socket.socket(fileno=high)
    connection.connect("\0" + sys.argv[2])
    state = {
        "descriptor": high,
        "parent": parent,
        "events": EVENTS,
        "signals": {number: handler_name(signal.getsignal(number)) for number in SIGNALS},
        "streams": [stream_state(name) for name in ("stdin", "stdout", "stderr")],
        "environment": {name: os.environ[name] for name in ("NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES") if name in os.environ},
        **more,
    }
    connection.sendall(json.dumps(state).encode() + b"\n")
    del EVENTS[:]
    connection.recv(16)
    connection.close()


def after(actions):
    for kind, *rest in actions:
        if kind == "print":
            attempt("print", print, "MARK", *rest, flush=True)
        elif kind == "warn":
            attempt("warn", print, "MARK", *rest, file=sys.stderr, flush=True)
        elif kind == "close":
            attempt("close file", OPENED[tuple(rest)].close)
        elif kind == "close pipe":
            for fd in OPENED["pipe"]:
                attempt("close pipe", os.close, fd)
        elif kind == "write":
            attempt("write", os.write, OPENED["pipe"][1], b"MARK")
        else:
            LIBRARY.after(kind, *rest)


def finish(end):
    if end == "exit":
        sys.exit(3)
    if end == "raise":
        raise RuntimeError("MARK")
    if end == "interrupt":
        raise KeyboardInterrupt
    if end == "leave at once":
        os._exit(4)


# --- the libraries ----------------------------------------------------------------------------------------------------


class Context:
    """python-daemon and pep3143daemon."""

    def shown(self, result):
        return repr(result) if isinstance(result, (int, str, type(None))) else type(result).__name__

    def value(self, program, kind, *rest):
        if kind == "pidfile":
            return self.pidfile(program.value(rest[0]), *rest[1:])
        if kind == "held pidfile":
            file = self.pidfile(program.value(rest[0]), *rest[1:])
            attempt("acquire before", file.acquire)
            return file
        raise ValueError(kind)

    def run(self, program):
        options, late = program.options(), program.options("late")
        context = self.context = attempt("construct", self.module.DaemonContext, **options)
        if context is None:
            return False
        for name, value in late.items():
            attempt(f"set {name}", setattr, context, name, value)
        self.parent = None
        if program.program.get("function") == "ask":
            self.ask(context.pidfile)
            return False
        attempt("open", self.open, context)
        return EVENTS[-1][1] != "raised"

    def open(self, context):
        context.open()
        self.parent = os.getppid()

    def after(self, kind, *rest):
        if kind == "state":
            attempt("is_open", lambda: self.context.is_open)
        elif kind == "open again":
            attempt("open again", self.context.open)
        elif kind == "second":
            attempt("second", lambda: self.module.DaemonContext().detach_process)
        elif kind == "close context":
            attempt("close", self.context.close)
        elif kind == "locked":
            self.ask(self.context.pidfile)

    def ask(self, pidfile):
        for name in ("is_locked", "i_am_locking", "read_pid"):
            if hasattr(pidfile, name):
                result = attempt(name, getattr(pidfile, name))
                if name == "read_pid" and result is not None:
                    EVENTS[-1][1] = "own" if result == os.getpid() else "starter's" if result == STARTER else "another"


class PythonDaemon(Context):
    def __init__(self, original):
        if original:
            import daemon
            import daemon.pidfile
        else:
            from daemonctx.compat import python_daemon as daemon
        self.module = daemon

    def pidfile(self, path, *args):
        return self.module.pidfile.TimeoutPIDLockFile(path, *args)


class Pep3143daemon(Context):
    def __init__(self, original):
        if original:
            import pep3143daemon
        else:
            from daemonctx.compat import pep3143daemon
        self.module = pep3143daemon

    def pidfile(self, path, *args):
        return self.module.PidFile(path)


class Functions:
    """pyzenkit and daemoniker."""

    parent = None

    def shown(self, result):
        if isinstance(result, (list, tuple)):
            return [self.shown(item) for item in result]
        if isinstance(result, int) and not isinstance(result, bool):
            return "own" if result == os.getpid() else "starter's" if result == STARTER else result
        return result if isinstance(result, (str, bool, type(None))) else type(result).__name__

    def value(self, program, kind, *rest):
        raise ValueError(kind)

    def run(self, program):
        attempt(program.program["function"], self.call, program)
        return EVENTS[-1][1] != "raised"


class Pyzenkit(Functions):
    def __init__(self, original):
        if original:
            from pyzenkit import daemonizer
        else:
            from daemonctx.compat.pyzenkit import daemonizer
        self.module = daemonizer

    def call(self, program):
        result = getattr(self.module, program.program["function"])(**program.options())
        self.parent = os.getppid()
        return result

    def after(self, kind, *rest):
        if kind == "read pid":
            attempt("read_pid", self.module.read_pid, PROGRAM.path(*rest))
        elif kind == "write pid":
            attempt("write_pid", self.module.write_pid, PROGRAM.path(rest[0]), rest[1])


class Daemoniker(Functions):
    def __init__(self, original):
        if original:
            import daemoniker
        else:
            from daemonctx.compat import daemoniker
        self.module = daemoniker
        self.handler = None

    def call(self, program):
        options = program.options()
        args = [options.pop("pid_file"), *program.program["arguments"]]
        if program.program["function"] == "daemonize":
            result = self.module.daemonize(*args, **options)
        else:
            with self.module.Daemonizer() as (is_setup, daemonizer):
                EVENTS.append(["setup", is_setup])
                result = daemonizer(*args, **options)
                if result[0]:
                    print("MARK in the starter")
                    if program.program["in_starter"] == "raise":
                        raise RuntimeError("MARK")
        self.parent = os.getppid()
        return result

    def after(self, kind, *rest):
        if kind == "handle":
            arguments = [PROGRAM.value(item) for item in rest]
            arguments = [self.module.IGNORE_SIGNAL if item == "ignore" else item for item in arguments]
            self.handler = self.module.SignalHandler1(None, *arguments)
            attempt("handle", self.handler.start)
        elif kind == "stop handling" and self.handler is not None:
            attempt("stop handling", self.handler.stop)
        elif kind == "send":
            attempt("send", self.module.send, PROGRAM.value(rest[0]), *rest[1:])


class Cherrypy:
    parent = None

    def __init__(self, original):
        import types

        # Its __init__ imports all of CherryPy, which takes most of a second.
        package = types.ModuleType("cherrypy")
        package.__path__ = [f"{path}/cherrypy" for path in sys.path if os.path.isdir(f"{path}/cherrypy/process")]
        sys.modules["cherrypy"] = package
        from cherrypy.process import wspbus

        if original:
            from cherrypy.process import plugins
        else:
            from daemonctx.compat import cherrypy as plugins
        self.wspbus, self.module = wspbus, plugins

    def shown(self, result):
        return repr(result) if isinstance(result, (int, str, type(None))) else type(result).__name__

    def value(self, program, kind, *rest):
        raise ValueError(kind)

    def run(self, program):
        if program.program["function"] == "daemonize":
            attempt("daemonize", self.module.Daemonizer.daemonize, **program.options())
            self.parent = os.getppid()
            return EVENTS[-1][1] != "raised"
        self.bus = self.wspbus.Bus()
        self.bus.subscribe("log", self.log)
        for name, options in program.program["plugins"]:
            options = {key: program.value(item) for key, item in options.items()}
            plugin = attempt(f"construct {name}", getattr(self.module, name), self.bus, **options)
            if plugin is not None:
                attempt(f"subscribe {name}", plugin.subscribe)
        attempt("start", self.bus.start)
        self.parent = os.getppid()
        return EVENTS[-1][1] != "raised"

    def log(self, text, level):
        if text.startswith("Forking"):
            return  # In whichever process.
        if level >= 40 or not text.startswith(("Bus ", "Started", "PID", "Daemonized", "Running", "umask", "uid/gid", "Already", "Restoring", "Listening")):
            text = text.split(" ")[0]
        EVENTS.append(["log", text.replace(str(os.getpid()), "OWN").replace(str(STARTER), "STARTER"), level])

    def after(self, kind, *rest):
        if kind == "start again":
            attempt("start again", self.bus.start)
        elif kind == "exit" and hasattr(self, "bus"):
            attempt("exit", self.bus.exit)


LIBRARIES = {
    "python_daemon": PythonDaemon,
    "pep3143daemon": Pep3143daemon,
    "pyzenkit": Pyzenkit,
    "daemoniker": Daemoniker,
    "cherrypy": Cherrypy,
}


def main():
    global SPEC, PROGRAM, LIBRARY
    with open(sys.argv[1]) as file:
        SPEC = json.load(file)
    PROGRAM = Program(SPEC, SPEC["box"])
    sys.argv[0] = "program"
    PROGRAM.before(SPEC["before import"])
    LIBRARY = LIBRARIES[SPEC["library"]](SPEC["original"])
    PROGRAM.before(SPEC["before"])
    started = LIBRARY.run(PROGRAM)
    if started:
        after(SPEC["after"])
    report(started=started, parent_at_return=LIBRARY.parent)
    if started:
        after(SPEC["later"])
    finish(SPEC["end"])


main()
