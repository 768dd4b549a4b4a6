"""Makes random programs: what surrounds them, what they do before the start, the start's options, and how they end."""

from __future__ import annotations

import os
import pathlib
import random
import stat
import sys
from typing import Any, Callable

Spec = dict[str, Any]
SIGNALS = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGTSTP", "SIGTTOU", "SIGWINCH"]


def make(library: str, seed: int, number: int) -> Spec:
    """A program for a library. The same seed and number give the same program."""
    choose = Chooser(random.Random(f"{library} {seed} {number}"))
    spec: Spec = {"library": library, "number": number, "interpreter": INTERPRETER, "surroundings": surroundings(choose)}
    if not is_root() or not is_for_all(INTERPRETER):
        spec["surroundings"]["user"] = "root"
    spec["before import"] = actions(choose, 0.15)
    spec["before"] = actions(choose, 0.35)
    MAKERS[library](choose, spec)
    spec["end"] = choose(["return", "return", "exit", "raise", "interrupt", "leave at once", "SIGTERM", "SIGTERM", "SIGINT", "SIGHUP"])
    spec["uncaught"] = choose.now_and_then(0.15)
    return spec


class Chooser:
    def __init__(self, source: random.Random) -> None:
        self.source = source

    def __call__(self, items: list[Any]) -> Any:
        return self.source.choice(items)

    def now_and_then(self, chance: float) -> bool:
        return self.source.random() < chance

    def some(self, items: list[Any], chance: float) -> list[Any]:
        return [item for item in items if self.now_and_then(chance)]

    def options(self, pools: dict[str, list[Any]], chance: float) -> Spec:
        return {name: self(pool) for name, pool in pools.items() if self.now_and_then(chance)}

    def spoil(self, options: Spec, pools: dict[str, list[Any]], chance: float) -> None:
        """Make one option invalid, now and then. Of two that are, each library finds another one first."""
        if self.now_and_then(chance):
            name = self(sorted(pools))
            options[name] = self(pools[name])


def is_for_all(program: str) -> bool:
    """Whether every user can run a program."""
    path = pathlib.Path(program).resolve()
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in [path, *path.parents])


def interpreter() -> str:
    """This interpreter, or the system's own of the same version where not everybody can run this one."""
    system = "/usr/bin/python%d.%d" % sys.version_info[:2]
    return system if not is_for_all(sys.executable) and os.path.exists(system) else sys.executable


INTERPRETER = interpreter()


def is_root() -> bool:
    return os.geteuid() == 0


def surroundings(choose: Chooser) -> Spec:
    spec: Spec = {
        "stdin": choose(["null", "null", "null", "pipe", "terminal", "pair", "tcp", "file"]),
        "closed": choose.some([0, 1, 2], 0.5) if choose.now_and_then(0.1) else [],
        "ignored": choose(
            [["SIGHUP"], ["SIGINT", "SIGQUIT"], ["SIGCHLD"], choose.some(SIGNALS, 0.3)] if choose.now_and_then(0.25) else [[]]
        ),
        "blocked": choose.some(SIGNALS, 0.3) if choose.now_and_then(0.15) else [],
        "umask": choose([0o022, 0o022, 0o077, 0o002, 0]),
        "nofile": choose([64, 256, 1024, 4096]),
        "user": choose(["root", "root", "root", "nobody"]),
        "inherited": choose([0, 0, 0, 1, 3]),
        "notify": choose.now_and_then(0.1),
    }
    if choose.now_and_then(0.08):
        spec["listen"] = [choose([1, 2]), choose(["open", "closed"])]
    return spec


def actions(choose: Chooser, chance: float) -> list[Any]:
    pool: list[Callable[[], list[Any]]] = [
        lambda: ["ignore", choose(SIGNALS)],
        lambda: ["handle", choose(SIGNALS)],
        lambda: ["block", choose(SIGNALS)],
        lambda: ["open", choose(["sub/data", "other"]), choose(["w", "a", "w+b"])],
        lambda: ["print", "before"],
        lambda: ["warn", "before"],
        lambda: ["chdir", "sub"],
        lambda: ["pipe"],
    ]
    pool += [lambda: ["replace", choose(["stdout", "stderr"]), ["file", choose(["own.log", "sub/own.log"]), choose(["w", "a"])]]] * 3
    pool += [lambda: ["replace", choose(["stdin", "stdout", "stderr"]), choose([["stringio"], None])]]
    found = []
    while choose.now_and_then(chance) and len(found) < 4:
        found.append(choose(pool)())
    return found


MAP = [
    ["map"],
    ["map", ["SIGTERM", ["handler", "leave"]]],
    ["map", ["SIGTERM", None], ["SIGHUP", "terminate"]],
    ["map", ["SIGUSR1", ["handler", "own"]], ["SIGTERM", ["handler", "default"]]],
    ["map", ["SIGTSTP", ["handler", "default"]], ["SIGCHLD", ["handler", "ignore"]]],
]
OUTPUT = [["file", "out.log", "w+"], ["file", "out.log", "a"], ["file", "sub/out.log", "w"], None]


def context(choose: Chooser, spec: Spec) -> None:
    """python-daemon and pep3143daemon."""
    is_python_daemon = spec["library"] == "python_daemon"
    root_user = spec["surroundings"]["user"] == "root" and is_root()
    in_root = root_user and choose.now_and_then(0.12)
    directories = ["/sub", "/"] if in_root else [["path", "sub"], "/", "sub", ["bytes", "sub"]]
    if in_root and is_python_daemon:
        directories += ["sub", "."]
    missing = ["missing", "/missing", ""] if in_root else [["path", "missing"], ["path", "input"], "", None]
    pools: dict[str, list[Any]] = {
        "working_directory": directories,
        "umask": [0, 0o022, 0o077, 0o7777, -1, True],
        "prevent_core": [True, False, None, 1],
        "detach_process": [True, True, True, False, None, 0, "yes"],
        "files_preserve": [
            None,
            ["list"],
            ["list", ["file", "kept", "w"]],
            ["list", ["fd", "kept", "w"], ["file", "other", "w"]],
            ["list", None, ["file", "kept", "w"]],
            ["list", 900],
            ["tuple", ["file", "kept", "w"]],
            ["set", ["fd", "kept", "w"]],
        ],
        "stdin": [["file", "input", "r"], None, ["stringio"]],
        "stdout": [*OUTPUT, ["stringio"]],
        "stderr": OUTPUT,
        "signal_map": [*MAP, None],
        "uid": [None, os.getuid(), 65534],
        "gid": [None, os.getgid(), 65534],
    }
    invalid: dict[str, list[Any]] = {
        "working_directory": missing,
        "umask": ["022", 1.5, None],
        "files_preserve": [["list", ["closed file", "kept"]], ["list", "text"], ["list", ["object"]], 7],
        "stdout": [["closed file", "out.log"], 3, ["path", "out.log"]],
        "stderr": [["object"]],
        "signal_map": [["map", ["SIGKILL", None]], ["map", [1000, None]], ["map", ["SIGHUP", "missing"]], ["map", ["SIGHUP", 7]], 5],
        "uid": [-1, "nobody", 1.5, 2**40],
        "gid": ["nogroup", -1],
    }
    if is_python_daemon:
        pools["initgroups"] = [True, False]
    spec["options"] = choose.options(pools, choose([0.1, 0.2, 0.35]))
    if in_root:
        spec["options"]["chroot_directory"] = choose([["path", "root"], ["path", "root"], ["bytes", "root"]])
        invalid["chroot_directory"] = [["path", "missing"], 5]
        if not is_python_daemon:
            spec["options"]["chroot_directory"] = ["path", "root"]
            spec["options"]["working_directory"] = choose([["path", "root/sub"], "/sub", ["path", "root"]])
    if choose.now_and_then(0.5):
        path = "/x.pid" if in_root else choose([["path", "x.pid"]] * 5 + [["bytes", "x.pid"]])
        if spec["options"].get("working_directory") == "sub" and choose.now_and_then(0.3):
            path = "x.pid"
        arguments = [choose([0, 0, 0.05, -1, None])] if is_python_daemon and choose.now_and_then(0.5) else []
        kind = choose(["pidfile", "pidfile", "pidfile", "held pidfile"]) if not in_root else "pidfile"
        spec["options"]["pidfile"] = [kind, path, *arguments]
        invalid["pidfile"] = [["pidfile", ["path", "missing/x.pid"]]]
        if choose.now_and_then(0.2):
            spec["before"].append(["touch", "x.pid", choose(["", "text\n", "1\n", "99999999\n", "SELF\n"])])
    choose.spoil(spec["options"], invalid, 0.15)
    if root_user and choose.now_and_then(0.08):
        spec["before"].append(["seteuid", 65534])
    if choose.now_and_then(0.25):
        names = ["detach_process", "umask", "files_preserve", "stdout"]
        # A relative pid file must not come to be in the root directory of the system.
        names += ["working_directory"] if "'x.pid'" not in repr(spec["options"].get("pidfile", [None, None])[1]) else []
        spec["late"] = {name: choose(pools[name]) for name in choose.some(names, 0.3)}
    spec["after"] = [["state"], ["print", "after"], ["warn", "after"]] + choose.some(
        [["open again"], ["second"], ["locked"], ["write"], ["close", "other", "w"], ["close", "sub/data", "w"], ["close context"], ["state"]], 0.3
    )
    spec["after"] = [step for step in spec["after"] if possible(spec, step)]
    spec["later"] = choose.some([["close context"], ["state"], ["print", "later"]], 0.3)


def possible(spec: Spec, step: list[Any]) -> bool:
    """Whether what the step needs has been opened before."""
    if step[0] == "write":
        return ["pipe"] in spec["before"] + spec["before import"]
    if step[0] == "close":
        return ["open", *step[1:]] in spec["before"] + spec["before import"]
    return True


def pyzenkit(choose: Chooser, spec: Spec) -> None:
    root_user = spec["surroundings"]["user"] == "root" and is_root()
    in_root = root_user and choose.now_and_then(0.12)
    spec["function"] = choose(["daemonize", "daemonize", "daemonize_lite"])
    pools: dict[str, list[Any]] = {
        "work_dir": ["/sub", "sub", "/"] if in_root else [["path", "sub"], "sub", "/", None, ["bytes", "sub"]],
        "umask": [0, 0o022, 0o077, None, 0o1022],
        "uid": [None, os.getuid(), 65534],
        "gid": [None, os.getgid(), 65534],
        "pid_file": ["/x.pid"] if in_root else [["path", "x.pid"], ["path", "x.pid"], "x.pid", None],
        "signals": [None, ["map"], *MAP[1:2], ["map", ["SIGHUP", ["handler", "own"]]], ["map", ["SIGUSR1", ["handler", "ignore"]]]],
    }
    invalid: dict[str, list[Any]] = {
        "work_dir": ["missing", "", 1.5],
        "umask": ["022", 1.5],
        "uid": ["nobody", -1, 1.5],
        "gid": ["nogroup", -1],
        "pid_file": [["path", "x"], ["path", "missing/x.pid"], ["bytes", "x.pid"], 5],
        "signals": [["map", ["SIGKILL", ["handler", "own"]]], ["map", ["SIGHUP", 7]], 5],
    }
    if spec["function"] == "daemonize":
        pools["files_preserve"] = [None, ["list", ["file", "kept", "w"]], ["list", ["fd", "kept", "w"]], 7]
    spec["options"] = choose.options(pools, choose([0.2, 0.4]))
    if spec["options"].get("work_dir") == "/" and not in_root:
        del spec["options"]["work_dir"]
    if in_root:
        spec["options"]["chroot_dir"] = choose([["path", "root"], ["path", "root"], ["bytes", "root"]])
        invalid["chroot_dir"] = [["path", "missing"], 1.5]
    choose.spoil(spec["options"], invalid, 0.15)
    if choose.now_and_then(0.2):
        spec["before"].append(["touch", "x.pid", choose(["", "text\n", "1\n", "99999999\n"])])
    if root_user and choose.now_and_then(0.08):
        spec["before"].append(["seteuid", 65534])
    spec["after"] = [["print", "after"], ["warn", "after"]]
    spec["after"] += choose.some([["read pid", "x.pid"], ["write pid", "y.pid", 7], ["write pid", "x.pid", 7], ["write"]], 0.2)
    spec["after"] = [step for step in spec["after"] if possible(spec, step)]
    spec["later"] = choose.some([["print", "later"]], 0.3)


def daemoniker(choose: Chooser, spec: Spec) -> None:
    spec["function"] = choose(["daemonize", "Daemonizer"])
    spec["in_starter"] = choose(["nothing", "nothing", "raise"])
    spec["arguments"] = choose([[], ["word"], [1, None]])
    pools: dict[str, list[Any]] = {
        "chdir": [["path", "sub"], "sub", "/", None],
        "stdin_goto": [["path", "input"], None, "in"],
        "stdout_goto": [["path", "out.log"], "out.log", None],
        "stderr_goto": [["path", "out.log"], ["path", "err.log"], None],
        "umask": [0, 0o022, 0o077, 0o1022],
        "shielded_fds": [None, ["list", ["fd", "kept", "w"]], ["set", ["fd", "kept", "w"]], ["list", 900]],
        "fd_fallback_limit": [64],
        "success_timeout": [5, 0, None, -1],
        "strip_cmd_args": [True],
        "explicit_rescript": [None, "text"],
    }
    spec["options"] = choose.options(pools, choose([0.15, 0.35]))
    if spec["options"].get("chdir") == "/":  # Nothing is made in the root directory of the system.
        for name in ("stdin_goto", "stdout_goto"):
            if isinstance(spec["options"].get(name), str):
                del spec["options"][name]
    spec["options"]["pid_file"] = choose([["path", "x.pid"], ["path", "x.pid"], "x.pid", ["bytes", "x.pid"]])
    invalid: dict[str, list[Any]] = {
        "chdir": [["path", "missing"], 5],
        "stdout_goto": [["path", "missing/out.log"], ["object"]],
        "umask": ["022"],
        "shielded_fds": [["list", "text"], 5],
        "pid_file": [["path", "missing/x.pid"], ["path", "sub"], None],
    }
    choose.spoil(spec["options"], invalid, 0.15)
    if choose.now_and_then(0.2):
        spec["before"].append(["touch", "x.pid", choose(["", "text\n", "1\n", "99999999\n"])])
    handlers = [None, "ignore", ["handler", "own1"], ["handler", "leave1"]]
    spec["after"] = [["print", "after"], ["warn", "after"]]
    spec["after"] += choose.some([["write"], *(["send", path, 0] for path in (["path", "x.pid"], ["bytes", "x.pid"], ["path", "missing"]))], 0.25)
    if choose.now_and_then(0.4):
        spec["after"].append(["handle", choose(handlers), choose(handlers), choose(handlers)])
        spec["after"] += choose.some([["stop handling"]], 0.3)
    spec["after"] = [step for step in spec["after"] if possible(spec, step)]
    spec["later"] = choose.some([["print", "later"], ["stop handling"]], 0.3)


def cherrypy(choose: Chooser, spec: Spec) -> None:
    root_user = spec["surroundings"]["user"] == "root" and is_root()
    streams: dict[str, list[Any]] = {
        "stdin": [["path", "input"], "/dev/null"],
        "stdout": [["path", "out.log"], "out.log", "/dev/null", ["bytes", "out.log"]],
        "stderr": [["path", "out.log"], ["path", "err.log"], "/dev/null"],
    }
    spec["function"] = choose(["bus", "bus", "daemonize"])
    if spec["function"] == "daemonize":
        spec["options"] = choose.options(streams, 0.3)
    plugins: list[Any] = []
    if choose.now_and_then(0.8):
        options = choose.options(streams, 0.3)
        choose.spoil(options, {"stdin": [["path", "missing"]], "stdout": [["path", "missing/out.log"], ["object"]]}, 0.1)
        plugins.append(["Daemonizer", options])
    if choose.now_and_then(0.5):
        plugins.append(["PIDFile", {"pidfile": choose([["path", "x.pid"], ["path", "x.pid"], "x.pid", ["path", "missing/x.pid"], ["bytes", "x.pid"]])}])
        if choose.now_and_then(0.2):
            spec["before"].append(["touch", "x.pid", choose(["", "text\n", "1\n", "99999999\n"])])
    if choose.now_and_then(0.4):
        pools: dict[str, list[Any]] = {"umask": [0o022, 0o077, None], "uid": [None, os.getuid()], "gid": [None, os.getgid()]}
        if root_user:
            pools.update(uid=[None, 0, 65534, "nobody", "missing"], gid=[None, 0, 65534, "nogroup"])
        plugins.append(["DropPrivileges", choose.options(pools, 0.5)])
    if choose.now_and_then(0.3):
        plugins.append(["SignalHandler", {}])
    spec["plugins"] = plugins
    spec["after"] = [["print", "after"], ["warn", "after"]] + choose.some([["start again"], ["write"]], 0.2)
    spec["after"] = [step for step in spec["after"] if possible(spec, step)]
    spec["later"] = choose.some([["exit"], ["print", "later"]], 0.4)


MAKERS: dict[str, Callable[[Chooser, Spec], None]] = {
    "python_daemon": context,
    "pep3143daemon": context,
    "pyzenkit": pyzenkit,
    "daemoniker": daemoniker,
    "cherrypy": cherrypy,
}
