"""A daemon that is to be another user is nobody else afterwards, whatever it came from, and cannot become so again.

    privileges.py [--threads N] [WORD...]

Each case: surroundings, a start through C, Python or Rust (the command), and what must come of it: the drop, seen in /proc for each
thread and tried from inside; or the refusal to start. Nothing between.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
import trust

NOBODY = 65534
CLONE_NEWUSER = 0x10000000
DAEMONCTX = str(trust.TOP / "target/release/daemonctx")
# SECBIT_NOROOT, SECBIT_NO_SETUID_FIXUP, SECBIT_KEEP_CAPS, each with its lock, and together.
SECUREBITS = [0x01, 0x03, 0x04, 0x0C, 0x10, 0x30, 0x15, 0x3F]
REFUSED = "refused"
DROPPED = "dropped"


class Bench:
    def __init__(self, run: trust.Run, quiet: bool) -> None:
        self.run, self.quiet, self.cases = run, quiet, 0
        self.log = run.folder / "log"
        # Where other users may run it: a library below somebody's home cannot be loaded by a program with file capabilities.
        self.place = run.folder / "bin"
        self.place.mkdir()
        for name in ("drop", "look", "liblook.so"):
            shutil.copy(trust.BUILT / name, self.place / name)
        shutil.copy(DAEMONCTX, self.place)
        self.anybodys = run.folder / "anybodys"
        self.anybodys.mkdir()
        self.anybodys.chmod(0o1777)
        self.python = [sys.executable, str(trust.HERE / "privileges/drop.py"), str(self.place / "liblook.so")]
        self.c = [str(self.place / "drop")]

    def drop(self, what: str, expected: str, command: list[str], target: str, *words: str, **kwargs: object) -> None:
        """One case. `command` is one that takes log, user and words."""
        self.fresh_log()
        done = self.run.call([*command, str(self.log), target, *words], 60, **kwargs)
        self.judge(f"{what}: {target} {' '.join(words)}", expected, target, done)

    def launch(self, what: str, expected: str, target: str, *options: str, **kwargs: object) -> None:
        self.fresh_log()
        command = [str(self.place / "daemonctx"), "start", "--pidfile", str(self.anybodys / f"look-{self.cases}.pid"), "--stdout", str(self.log), "--user", target]
        done = self.run.call([*command, *options, "--", str(self.place / "look")], 60, **kwargs)
        self.judge(f"{what}: {target} {' '.join(options)}", expected, target, done)

    def fresh_log(self) -> None:
        self.log.write_text("")
        self.log.chmod(0o666)

    def report(self) -> list[str]:
        until = time.monotonic() + 20
        while not (text := self.log.read_text()).endswith("done\n") and time.monotonic() < until:
            time.sleep(0.01)
        return text.splitlines()

    def judge(self, what: str, expected: str, user: str, done: subprocess.CompletedProcess[str]) -> None:
        self.cases += 1
        outcome = DROPPED if done.returncode == 0 else REFUSED
        if "surroundings" in done.stderr or outcome != expected:
            self.run.violation(f"{what}: {outcome}, not {expected}: {done.stderr.strip()[-300:]}")
            return
        if outcome == REFUSED:
            if text := self.log.read_text():
                self.run.violation(f"{what}: refused, and it ran: {text[:200]}")
            why = done.stderr.strip() or "(said to the caller)"
            self.tell(f"  {what}: refused: {why.splitlines()[-1]}")
            return
        lines = self.report()
        threads = [line for line in lines if line.startswith("thread")]
        self.run.clear()
        if not threads or lines[-1] != "done":
            self.run.violation(f"{what}: it has not told all: {lines}")
        for line in lines:
            if line.startswith("regained"):
                self.run.violation(f"{what}: {line}")
        for line in threads:
            self.judge_thread(what, user, line)
        self.tell(f"  {what}: dropped, {len(threads)} threads")

    def tell(self, text: str) -> None:
        if not self.quiet:
            print(text)

    def judge_thread(self, what: str, user: str, line: str) -> None:
        seen = dict(part.split(":", 1) for part in line.split(";")[1:])
        entry = pwd.getpwnam(user)
        for name, wanted in (("Uid", entry.pw_uid), ("Gid", entry.pw_gid)):
            # Real, effective, saved and filesystem id.
            if seen[name].split() != [str(wanted)] * 4:
                self.run.violation(f"{what}: {name}{seen[name]}")
        if not set(map(int, seen["Groups"].split())) <= set(os.getgrouplist(user, entry.pw_gid)):
            self.run.violation(f"{what}: groups{seen['Groups']}")
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            if int(seen[name], 16) != 0:
                self.run.violation(f"{what}: {name}{seen[name]}")


def from_root(bench: Bench, threads: int) -> None:
    for user in ("nobody", "daemon"):
        bench.drop("root, C", DROPPED, bench.c, user)
        bench.drop("root, C", DROPPED, bench.c, user, "groups", "nogroups", "nnp")
        bench.drop("root, Python", DROPPED, bench.python, user, "groups")
        bench.drop("root, Python", DROPPED, bench.python, user, "groups", "initgroups")
        bench.launch("root, command", DROPPED, user)
    bench.drop("root, C", DROPPED, bench.c, "nobody", "ambient", "keepcaps")
    bench.drop("root, C", DROPPED, bench.c, "nobody", f"threads={threads}")
    bench.drop("root, C", DROPPED, bench.c, "nobody", f"threads={threads}", "stay")
    bench.drop("root, Python", DROPPED, bench.python, "nobody", f"threads={threads}", "stay")
    for bits in SECUREBITS:
        word = f"securebits={bits:#x}"
        bench.drop("root, C", DROPPED, bench.c, "nobody", word, "groups")
        bench.drop("root, C", DROPPED, bench.c, "nobody", "ambient", word)
        bench.drop("root, C", DROPPED, bench.c, "nobody", word, "stay")
        bench.drop("root, Python", DROPPED, bench.python, "nobody", word)
        # Threads that keep theirs: no other thread can empty their sets, so it must not go on. One that detaches has none.
        keeps = bits & 0x14
        bench.drop("root, C", DROPPED, bench.c, "nobody", word, f"threads={threads}")
        bench.drop("root, C", REFUSED if keeps else DROPPED, bench.c, "nobody", word, f"threads={threads}", "stay")
        bench.drop("root, Python", REFUSED if keeps else DROPPED, bench.python, "nobody", word, "threads=20", "stay")


def from_files(bench: Bench) -> None:
    """As nobody, by what an executable gives."""
    unprivileged = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    for capabilities, expected in (
        ("cap_setuid,cap_setgid=ep", DROPPED),
        ("cap_setuid,cap_setgid,cap_net_bind_service,cap_sys_admin=eip", DROPPED),
        ("cap_setuid=ep", REFUSED),  # No right to set groups.
        ("cap_setgid=ep", REFUSED),
    ):
        program = bench.place / f"drop-{abs(hash(capabilities))}"
        shutil.copy(bench.c[0], program)
        if subprocess.run(["setcap", capabilities, str(program)], capture_output=True).returncode != 0:
            print("  no file capabilities on this file system: skipped")
            return
        bench.drop(f"file with {capabilities}, C", expected, [str(program)], "daemon", **unprivileged)
        bench.drop(f"file with {capabilities}, C", expected, [str(program)], "daemon", "nogroups", "keepcaps", **unprivileged)
    setuid = bench.place / "drop-setuid"
    shutil.copy(bench.c[0], setuid)
    setuid.chmod(0o4755)
    for user in ("nobody", "daemon"):
        bench.drop("set-user-ID root, C", DROPPED, [str(setuid)], user, **unprivileged)
        bench.drop("set-user-ID root, C", DROPPED, [str(setuid)], user, "keepcaps", **unprivileged)
    bench.drop("nobody, C", REFUSED, bench.c, "daemon", **unprivileged)
    bench.drop("nobody, Python", REFUSED, bench.python, "daemon", "first=nobody")
    bench.launch("nobody, command", REFUSED, "daemon", **unprivileged)


class Namespace:
    """A user namespace whose root runs a program: as many ids as there are users here, setgroups(2) allowed or not."""

    def __init__(self, setgroups: bool, ids: int) -> None:
        self.setgroups, self.ids = setgroups, ids
        self.ready, self.go = os.pipe(), os.pipe()

    def inside(self) -> None:
        """In the child, before exec."""
        if ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
            os._exit(91)
        os.write(self.ready[1], b".")
        os.read(self.go[0], 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)

    def map(self, pid: int) -> None:
        proc = pathlib.Path(f"/proc/{pid}")
        os.read(self.ready[0], 1)
        (proc / "setgroups").write_text("allow" if self.setgroups else "deny")
        for name in ("uid_map", "gid_map"):
            (proc / name).write_text(f"0 0 {self.ids}")
        os.write(self.go[1], b".")


def from_namespaces(bench: Bench) -> None:
    import threading

    for setgroups, ids, expected in ((True, 65536, DROPPED), (False, 65536, REFUSED), (True, 1, REFUSED)):
        for name, command in (("C", bench.c), ("Python", bench.python)):
            space = Namespace(setgroups, ids)
            # Popen comes back after exec only, which waits for the maps.
            helper = threading.Thread(target=lambda: space.map(newest_child()))
            helper.start()
            what = f"user namespace of {ids} ids, setgroups {'allowed' if setgroups else 'denied'}, {name}"
            bench.drop(what, expected, command, "nobody", preexec_fn=space.inside)
            helper.join()


def newest_child() -> int:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if found := trust.children():
            return max(found)
        time.sleep(0.001)
    raise TimeoutError("no child")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=500)
    parser.add_argument("--quiet", action="store_true", help="say nothing of each case")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("privileges: needs root: skipped")
        return 0
    run = trust.Run("privileges")
    bench = Bench(run, options.quiet)
    from_root(bench, options.threads)
    from_files(bench)
    from_namespaces(bench)
    print(f"{bench.cases} cases; each of the 41 capabilities, and 14 other ways back, tried in each that has dropped")
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
