"""Makes random programs: what surrounds them, and what they call before a fork, in both processes after it, and at the end."""

from __future__ import annotations

import random
import signal
from typing import Any, Callable

Spec = dict[str, Any]
Call = list[Any]

HUP, INT, QUIT, USR1, USR2, PIPE, ALRM, TERM, CHLD, TSTP, TTIN, TTOU, WINCH = (
    int(getattr(signal, f"SIG{name}")) for name in "HUP INT QUIT USR1 USR2 PIPE ALRM TERM CHLD TSTP TTIN TTOU WINCH".split()
)
SIGNALS = [HUP, INT, QUIT, USR1, USR2, PIPE, TERM, CHLD, TSTP, TTIN, TTOU, WINCH, 34, 40, 64]
# Neither ends a process of its own accord, so the program goes on whatever the handler is.
HARMLESS = [CHLD, WINCH]
PROGRAM = "/run/differential/program"


class Chooser:
    def __init__(self, source: random.Random) -> None:
        self.source = source

    def __call__(self, items: list[Any]) -> Any:
        return self.source.choice(items)

    def now_and_then(self, chance: float) -> bool:
        return self.source.random() < chance

    def some(self, items: list[Any], chance: float) -> list[Any]:
        return [item for item in items if self.now_and_then(chance)]

    def up_to(self, count: int) -> range:
        return range(self.source.randint(0, count))


def make(seed: int, number: int) -> Spec:
    """The same seed and number give the same program."""
    return Maker(Chooser(random.Random(f"libdaemon {seed} {number}")), number).make()


class Maker:
    def __init__(self, choose: Chooser, number: int) -> None:
        self.choose = choose
        self.number = number
        topics: dict[str, Callable[[], Call]] = {
            "pid file": self.pid_file,
            "signals": self.signals,
            "masks": self.masks,
            "descriptors": self.descriptors,
            "log": self.log,
            "exec": self.exec,
            "surroundings": self.process,
            "return value": self.return_value,
        }
        self.topics = [topics[name] for name in choose.source.sample(sorted(topics), choose([1, 2, 2, 3]))]
        self.has_signals = False  # Without a queue the original's daemon_exec() aborts.
        self.milestones = 0
        self.is_interrupted = False  # There is one milestone for it.

    def make(self) -> Spec:
        choose = self.choose
        surroundings = self.surroundings()
        files = self.files() if self.pid_file in self.topics else []
        script = self.calls(4)
        if self.pid_file in self.topics:
            script.insert(0, self.pid_file_path(files))
        if choose.now_and_then(0.65):
            script += self.fork(depth=1)
        script += [self.end()]
        return {"number": self.number, "surroundings": surroundings, "files": files, "script": script}

    def surroundings(self) -> Spec:
        choose = self.choose
        return {
            "stdin": choose(["null", "null", "null", "pipe", "terminal", "pair", "file"]),
            "closed": choose.some([0, 1, 2], 0.5) if choose.now_and_then(0.12) else [],
            "ignored": choose([[HUP], [INT, QUIT], [CHLD], choose.some(SIGNALS, 0.3)]) if choose.now_and_then(0.25) else [],
            "blocked": choose.some(SIGNALS, 0.3) if choose.now_and_then(0.15) else [],
            "umask": choose([0o022, 0o022, 0o077, 0o002, 0, 0o777]),
            "nofile": choose([64, 256, 1024, 4096]),
            "user": choose(["root", "root", "root", "nobody"]),
            "victim": choose(["root", "root", "nobody"]),
            "inherited": choose([0, 0, 0, 1, 3]),
            "gone": choose.now_and_then(0.05),
            "notify": choose.now_and_then(0.08),
            "listen": choose([1, 2]) if choose.now_and_then(0.06) else 0,
        }

    # --- the frame ----------------------------------------------------------------------------------------------------

    def calls(self, most: int) -> list[Call]:
        found = []
        for _ in self.choose.up_to(most):
            call = self.choose(self.topics)()
            found += call if call and isinstance(call[0], list) else [call]
        return found

    def fork(self, depth: int) -> list[Call]:
        """A fork, what is before it, and what the parent does afterwards: one process goes on after the other."""
        choose = self.choose
        kind = choose(["daemon_fork"] * 5 + ["fork"])
        before: list[Call] = [["daemon_retval_init"]] if choose.now_and_then(0.4) else []
        sends = choose.now_and_then(0.8)
        milestone = self.milestones
        self.milestones += 1
        has_signals = self.has_signals
        child = self.calls(4)
        if before and sends:
            child.insert(choose.source.randint(0, len(child)), ["daemon_retval_send", choose([0, 0, 1, 255, 256, -1, -7, 2**31 - 1])])
        if depth and self.milestones < 3 and choose.now_and_then(0.15):
            child += self.fork(depth - 1)
        self.has_signals = has_signals
        parent = self.calls(3)
        if before:
            # Where nothing is sent the original waits for all of the time.
            parent.insert(0, ["daemon_retval_wait", choose([0, -1, 20]) if sends else 1])
        # The child of fork(2) writes to the same files as its parent.
        waits_first = before and sends and kind == "daemon_fork"
        if before and sends and choose.now_and_then(0.1) and not self.is_interrupted:
            # The first wait is interrupted: nothing is sent before.
            self.is_interrupted = True
            child.insert(0, ["await", 3])
            first: list[Call] = [["sigaction", ALRM, "handler"], ["timer", 50], ["daemon_retval_wait", choose([0, 20])], ["reach", 3]]
            parent.insert(1 if waits_first else 0, ["await", milestone])
            return [*before, [kind, [*child, ["reach", milestone], self.end()]], *first, *parent]
        # Of three processes the last one is always the first to be done, so that no two run at once.
        if choose.now_and_then(0.6) or not depth:
            child.append(["reach", milestone])
            parent.insert(choose([0, 1]) if waits_first else 0, ["await", milestone])
        else:
            child.insert(0, ["await", milestone])
            parent = [call for call in parent if call[0] != "daemon_retval_wait"] + [["reach", milestone]]
        child.append(self.end())
        return [*before, [kind, child], *parent]

    def end(self) -> Call:
        how = self.choose(["exit", "exit", "exit", "_exit", "_exit", "abort", "kill"])
        return ["end", how, *{"exit": [self.choose([0, 1, 3, 255])], "_exit": [self.choose([0, 2])], "abort": []}.get(how, [self.choose([HUP, TERM, 9])])]

    # --- pid files ----------------------------------------------------------------------------------------------------

    def files(self) -> list[Call]:
        choose = self.choose
        if choose.now_and_then(0.5):
            return []
        if choose.now_and_then(0.25):
            kind = choose([["link", "target"], ["link", "missing/target"], ["fifo"], ["directory"], ["hard link", "other"]])
            return [["x.pid", *kind]]
        text = choose(
            ["", "\n", "0\n", "1\n", "-1\n", "-5\n", "text\n", "12abc\n", "99999999999\n", "0x10\n", "VICTIM", "VICTIM\n", "VICTIM\n", "VICTIM\r\n"]
            + [" VICTIM\n", "+VICTIM\n", "00VICTIM\n", "VICTIM \n", "VICTIM\nsecond\n", "VICTIM second\n", "DEAD\n", "DEAD\n", "DEAD\n", "\nVICTIM\n"]
        )
        folder = choose(["", "", "", "", "sub/", "open/", "locked/"])
        return [[f"{folder}x.pid", "file", text, choose([0o644, 0o644, 0o600, 0, 0o666]), choose(["program", "program", "root", "nobody", "other"])]]

    def pid_file_path(self, files: list[Call]) -> Call:
        choose = self.choose
        if files:
            return ["daemon_pid_file_proc", f"/run/box/{files[0][0]}"]
        return choose(
            [["daemon_pid_file_proc", "/run/box/x.pid"]] * 5
            + [["daemon_pid_file_proc", path] for path in ("x.pid", "sub/x.pid", "/run/box/missing/x.pid", "/run/box/open/x.pid", "/run/box/locked/x.pid")]
            + [["daemon_pid_file_proc", path] for path in ("", "/run/box", "/run/box/" + "n" * 300, "/run/box/sub/../x.pid", "/dev/null", "/proc/self/stat")]
            + [["daemon_pid_file_proc"], ["daemon_pid_file_ident", "program"], ["daemon_pid_file_ident"], ["daemon_pid_file_ident", ""]]
            + [["daemon_pid_file_ident", "missing/program"]]
        )

    def pid_file(self) -> Call:
        choose = self.choose
        return choose(
            [["daemon_pid_file_create"]] * 4
            + [["daemon_pid_file_remove"], ["daemon_pid_file_remove"], ["daemon_pid_file_is_running"], ["daemon_pid_file_is_running"]]
            + [["daemon_pid_file_kill", choose([0, TERM, HUP, USR1, 9, 65, -1, CHLD])]]
            + [["daemon_pid_file_kill_wait", choose([0, TERM, 9, USR1, 77]), choose([1, 1, 2, -1])]]
            + [["daemon_pid_file_proc_default"], ["write", "/run/box/x.pid", choose(["SELF", "DEAD", "VICTIM", "text", "PARENT"]), "\n"]]
            + [["unlink", "/run/box/x.pid"], ["rename", "/run/box/x.pid", "/run/box/y.pid"], ["chmod", "/run/box/x.pid", choose([0, 0o600, 0o666])]]
            + [["nobody"]]
        )

    # --- signals ------------------------------------------------------------------------------------------------------

    def signals(self) -> Any:
        choose = self.choose
        kind = choose(["init", "init", "init", "install", "next", "drain", "fd", "poll", "done", "raise", "raise", "more"])
        if kind == "init":
            self.has_signals = True
            return ["daemon_signal_init", *choose.some(SIGNALS, 0.25)[:7], choose([0, 0, 0, -1])]
        if kind == "install":
            return ["daemon_signal_install", choose([*SIGNALS, *HARMLESS, 9, 19, 65, -1, 0, 32])]
        if kind == "raise":
            caught = choose(SIGNALS)
            return [["daemon_signal_install", caught], ["raise", caught], ["poll"], ["drain"]] if choose.now_and_then(0.7) else ["raise", choose(HARMLESS)]
        if kind == "more":
            caught = choose([USR1, 40])
            return [["daemon_signal_init", caught, 9, USR2], ["raise", caught], ["raise", caught], ["drain"]]
        return [{"next": "daemon_signal_next", "fd": "daemon_signal_fd", "done": "daemon_signal_done"}.get(kind, kind)]

    def masks(self) -> Call:
        choose = self.choose
        numbers = [*choose.some(SIGNALS, 0.2)[:6], *choose([[], [], [9], [65], [99], [0, HUP], [-2, HUP], [32]])]
        return choose(
            [["daemon_reset_sigs", *numbers, -1], ["daemon_reset_sigsv", *numbers, -1]] * 2
            + [["daemon_unblock_sigs", *numbers, -1], ["daemon_unblock_sigsv", *numbers, -1]] * 2
            + [["sigaction", choose(SIGNALS), choose(["ignore", "default", "handler", "restart"])], ["block", choose(SIGNALS), choose(SIGNALS)]] * 2
            + [["unblock", choose(SIGNALS)], ["raise", choose(HARMLESS)]]
        )

    # --- descriptors --------------------------------------------------------------------------------------------------

    def descriptors(self) -> Call:
        choose = self.choose
        numbers = choose.some([0, 1, 2, 3, 4, 5, 7, 20, 3, 900, 99999], 0.2)[:7]
        return choose(
            [["daemon_close_all", *numbers, choose([-1, -1, -2])], ["daemon_close_allv", *numbers, -1]]
            + [["daemon_nonblock", choose([0, 1, 2, 20, 40, -1, 900]), choose([0, 1, 1, 7, -1])]] * 2
            + [["open", "/run/box/data", choose(["02102", "01101"])], ["open", "/dev/zero", "0"], ["pipe"]]
            + [["close", choose([0, 1, 2, 20, 40])], ["dup2", choose([0, 3]), choose([20, 30, 40])], ["nofile", choose([16, 32])]]
        )

    # --- logging ------------------------------------------------------------------------------------------------------

    def log(self) -> Call:
        choose = self.choose
        priority = choose([0, 1, 2, 3, 3, 4, 5, 6, 6, 7])
        with_facility = priority | choose([0, 0, 0, 0, 8, 16, 24, 128, 152, 184])
        return choose(
            [[choose(["daemon_log", "daemon_logv"]), with_facility, choose(["text", "two\nlines", "end\n", ""])]] * 4
            + [["daemon_log_plain", priority, choose(["MARK %s %n", "MARK", "MARK \x01", "MARK " + "w" * 2000])]]
            + [["daemon_log_long", priority, choose([1000, 30000])]]
            + [["daemon_log_use", choose([0, 1, 2, 4, 8, 3, 5, 6, 7, 9, 10, 12, 15, 16, 1, 1])]] * 3
            + [["daemon_log_ident", choose(["program", "", "with space"])], ["daemon_log_ident"]]
            + [["daemon_set_verbosity", choose([0, 1, 2, 3, 4, 5, 6, 7, 7, 7, -1, -5, 8, 99])]] * 2
            + [["daemon_ident_from_argv0", choose(["/usr/bin/program", "program", "a/", "/", "", "./x"])], ["print", "printed"], ["flush"]]
        )

    # --- programs that are executed -----------------------------------------------------------------------------------

    def exec(self) -> Any:
        choose = self.choose
        shell = ["/bin/sh", "sh", "-c"]
        program = choose(
            [[PROGRAM, "name", "describe", *choose([[], ["a", "", "b c"], ["1", "2", "3", "4"]])]] * 3
            + [[*shell, words] for words in ("exit 0", "exit 7", "kill -9 $$", "kill -TERM $$", "echo %s%n; exit 255")]
            + [[*shell, "echo one; echo; echo two >&2; printf end"]]
            + [[*shell, words] for words in ("cat; echo $?", "exec >&- 2>&-; exit 4", "(sleep 0.2; echo later) & echo now", "printf 'a\\000b\\nc\\n'")]
            + [["/run/box/missing", "missing"], ["/run/box", "box"], ["/run/differential/script", "script"], ["sh", "sh"], [PROGRAM]]
            + [[*shell, "i=0; while [ $i -lt 40 ]; do printf 0123456789; i=$((i+1)); done; echo"]]
        )
        call = [choose(["daemon_exec", "daemon_execv"]), choose(["-", "-", "/", "/run/box/sub", "/run/box/missing", "sub"]), choose([0, 1, 1, 1]), *program]
        before: list[Call] = []
        if not self.has_signals and choose.now_and_then(0.95):
            before = [["daemon_signal_init", *choose([[CHLD], [CHLD], [USR1]]), 0]]
            self.has_signals = True
        if choose.now_and_then(0.1):
            before += [["daemon_signal_install", USR1], ["raise", USR1]]
        return [*before, call, ["drain"]]

    # --- the process --------------------------------------------------------------------------------------------------

    def process(self) -> Call:
        choose = self.choose
        return choose(
            [["chdir", choose(["sub", "/", "/run/box/open", "missing"])], ["umask", choose([0, 0o77, 0o777])], ["setsid"], ["setpgid"]]
            + [["nofile", choose([3, 4, 5, 6, 8, 10, 12])], ["nobody"], ["print", "printed"], ["block", choose(SIGNALS)]]
            + [["sigaction", CHLD, choose(["ignore", "default", "handler", "restart"])], ["open", "/dev/zero", "0"], ["wait child"]]
        )

    def return_value(self) -> Any:
        choose = self.choose
        return choose(
            [["daemon_retval_init"], ["daemon_retval_init"], ["daemon_retval_done"], ["daemon_retval_send", choose([0, 5, -1])]]
            + [["daemon_retval_wait", choose([0, -1])] if choose.now_and_then(0.05) else ["daemon_retval_done"]]
        )
