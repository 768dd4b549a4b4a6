"""`daemonctx status`: what is said of daemons in every state, to people and to programs, and with which exit code."""

from __future__ import annotations

import fcntl
import json
import os
import pathlib
import pwd
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from daemons import LIMIT, NOBODY, House, Said, descriptors, house, is_gone, is_root, kill, proc, stat, status, wait_gone

__all__ = ["house"]

KEYS = """result name pid pidfile state since uptime_seconds user command memory cpu_seconds threads descriptors monitor
restarts last_end processes listening log reason last_pid holders status""".split()

# Has something of everything that is shown.
BUSY = """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    tcp = socket.create_server(("127.0.0.1", 0))
    tcp6 = socket.create_server(("::1", 0), family=socket.AF_INET6)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    local = socket.socket(socket.AF_UNIX)
    local.bind(FOLDER + "/a socket")
    local.listen()
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\\0daemonctx-test-%d" % os.getpid())
    abstract.listen()
    peer = socket.create_connection(tcp.getsockname())
    child = subprocess.Popen(["sleep", "1000"])
    print("one\\ntwo\\nthree", flush=True)
    print("wrong", file=sys.stderr, flush=True)
    report(tcp.getsockname()[1], tcp6.getsockname()[1], udp.getsockname()[1], child.pid)
    try:
        forever()
    finally:
        child.kill()
        child.wait()
"""


def look(house: House, *words: object, **kwargs: Any) -> Said:
    return house.command("status", "--pidfile", house.pid_path, *words, **kwargs)


def look_json(house: House, code: int, *words: object, **kwargs: Any) -> dict[str, Any]:
    said = look(house, "--json", *words, **kwargs)
    assert said.returncode == code and said.stderr == "", said
    seen: dict[str, Any] = said.json
    assert list(seen) == KEYS and seen["status"] == code, "always the same keys"
    return seen


def wait_asleep(pid: int) -> None:
    while stat(pid)[0] != "S":
        os.sched_yield()


def start_busy(house: House, *words: object) -> tuple[int, list[int]]:
    logs = ["--stdout", house.folder / "out.log", "--stderr", house.folder / "err.log"]
    pid = house.started(*logs, *words, "--", house.script(BUSY), "--title", "two words")
    said = house.hear().split()
    wait_asleep(pid)
    return pid, list(map(int, said))


# A daemon that runs.


def test_a_daemon_whose_main_thread_has_ended(house: House) -> None:
    """It is no zombie, with its monitor and without; nobody waits for its end."""
    script = house.script("""
        import ctypes, threading
        threading.Thread(target=forever).start()
        report("here")
        ctypes.CDLL(None).pthread_exit(None)
    """)
    pid = house.started(script)
    assert house.hear() == "here"
    while stat(pid)[0] != "Z":
        os.sched_yield()
    for kills_monitor in (False, True):
        if kills_monitor:
            monitor = int(stat(pid)[1])
            os.kill(monitor, signal.SIGKILL)
            wait_gone(monitor)
        began = time.monotonic()
        seen = look_json(house, 0)
        assert time.monotonic() - began < 5
        assert (seen["result"], seen["pid"], seen["state"], seen["threads"]) == ("running", pid, "main thread ended", 2)
        assert [it["pid"] for it in seen["processes"]] == [pid]
    house.stop().is_(0, "stopped")
    wait_gone(pid)


def test_what_there_is_to_see(house: House) -> None:
    pid, (tcp, tcp6, udp, child) = start_busy(house)
    seen = look_json(house, 0, "--lines", 2)
    assert (seen["result"], seen["name"], seen["pid"], seen["pidfile"]) == ("running", "test", pid, str(house.pid_path))
    assert (seen["state"], seen["user"], seen["threads"]) == ("sleeping", pwd.getpwuid(os.geteuid()).pw_name, 1)
    python = proc(pid, "cmdline").split("\0")[0]
    assert seen["command"] == [python, str(house.folder / "script.py"), "--title", "two words"]
    rollup = {line.split(":")[0]: line.split()[1] for line in proc(pid, "smaps_rollup").splitlines() if line.endswith("kB")}
    own = {key: int(status(pid)[name].split()[0]) * 1024 for key, name in (("rss", "VmRSS"), ("swap", "VmSwap"))}
    assert seen["memory"] == {**own, "pss": pytest.approx(int(rollup["Pss"]) * 1024, rel=0.2)}
    assert seen["descriptors"] == {"open": len(descriptors(pid)), "limit": int(proc(pid, "limits").split("Max open files")[1].split()[0])}
    assert seen["cpu_seconds"] == pytest.approx(sum(map(int, stat(pid)[11:13])) / os.sysconf("SC_CLK_TCK"), abs=0.05)
    assert [(it["pid"], it["parent"], it["command"][0]) for it in seen["processes"]] == [
        (pid, int(stat(pid)[1]), python),
        (child, pid, "sleep"),
    ]
    assert sorted((it["type"], it["address"]) for it in seen["listening"]) == sorted([
        ("tcp", f"127.0.0.1:{tcp}"),
        ("tcp", f"[::1]:{tcp6}"),
        ("udp", f"127.0.0.1:{udp}"),
        ("unix", f"{house.folder}/a socket"),
        ("unix", f"@daemonctx-test-{pid}"),
    ])
    logs = {it["source"]: it["lines"] for it in seen["log"]}
    assert logs == {str(house.folder / "out.log"): ["two", "three"], str(house.folder / "err.log"): ["wrong"]}
    assert (seen["monitor"], seen["restarts"]) == (int(stat(pid)[1]), 0)
    assert [seen[key] for key in ("last_end", "last_pid", "holders")] == [None] * 3
    house.stop().is_(0)


def test_since_when(house: House) -> None:
    before = time.time()
    house.started("--", "sleep", "1000")
    after = time.time()
    seen = look_json(house, 0, env={**os.environ, "TZ": "XXX-5:30"})
    assert seen["since"].endswith("+05:30")
    since = time.mktime(time.strptime(seen["since"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - 5.5 * 3600
    assert before - 1.1 <= since <= after and 0 <= seen["uptime_seconds"] <= LIMIT
    text = look(house, env={**os.environ, "TZ": "XXX-5:30"}).is_(0).stdout
    assert f"since {time.strftime('%a %Y-%m-%d %H:%M:%S', time.gmtime(since + 5.5 * 3600))} XXX (" in text
    house.stop().is_(0)


def test_people_read_the_same(house: House) -> None:
    """Where it is no terminal nothing is cut and nothing coloured."""
    long = "x" * 300
    logs = ["--stdout", house.folder / "out.log", "--stderr", house.folder / "err.log"]
    pid = house.started(*logs, "--", house.script(BUSY), long)
    tcp, _, udp, child = map(int, house.hear().split())
    wait_asleep(pid)
    text = look(house, "--lines", 2, env={**os.environ, "LC_ALL": "C.UTF-8"}).is_(0).stdout
    lines = text.splitlines()
    assert lines[0].startswith("● test is running since ")
    python = proc(pid, "cmdline").split("\0")[0]
    assert f"  command    {python} {house.folder}/script.py {long}" in lines
    assert f"  process    {pid}, user {pwd.getpwuid(os.geteuid()).pw_name}, sleeping" in lines
    assert f"             └─ {child} sleep 1000" in lines
    assert f"127.0.0.1:{tcp}," in text and f"127.0.0.1:{udp}/udp," in text
    assert text.endswith(f"\n  {house.folder}/out.log\n    two\n    three\n\n  {house.folder}/err.log\n    wrong\n")
    assert "\x1b" not in text and "not shown" not in text
    house.stop().is_(0)


def test_by_its_name(house: House) -> None:
    runtime = {**os.environ, "XDG_RUNTIME_DIR": str(house.folder)}
    # Root's are in /run, whatever that says.
    if os.geteuid() == 0:
        said = house.command("status", "daemonctx-test-none", env=runtime)
        assert said.returncode == 3 and "/run/daemonctx-test-none.pid" in said.stdout
        os.chown(house.folder, 65534, 65534)
    nobody = os.geteuid() == 0
    house.command("start", "-n", "own", "--", "sleep", "1000", env=runtime, nobody=nobody).is_(0)
    said = house.command("status", "own", "--json", env=runtime, nobody=nobody).is_(0)
    assert said.json["name"] == "own" and said.json["pidfile"] == f"{house.folder}/own.pid"
    house.command("stop", "own", env=runtime, nobody=nobody).is_(0)


def test_a_stopped_process(house: House) -> None:
    pid = house.started("--", "sleep", "1000")
    os.kill(pid, signal.SIGSTOP)
    while stat(pid)[0] != "T":
        os.sched_yield()
    assert look_json(house, 0)["state"] == "stopped"
    assert "test is stopped by a signal; it runs since" in look(house).is_(0).stdout
    os.kill(pid, signal.SIGCONT)
    house.stop().is_(0)


def test_all_threads_and_workers(house: House) -> None:
    """What a worker listens on is the daemon's."""
    script = house.script("""
        import threading
        threads = [threading.Thread(target=time.sleep, args=(1000,), daemon=True) for _ in range(3)]
        for thread in threads: thread.start()
        worker = os.fork()
        if worker == 0:
            server = socket.create_server(("127.0.0.1", 0))
            report(server.getsockname()[1])
            forever()
        forever()
    """)
    house.started("--", script)
    port = int(house.hear())
    seen = look_json(house, 0)
    assert seen["threads"] == 4 and seen["listening"] == [{"type": "tcp", "address": f"127.0.0.1:{port}"}]
    assert len(seen["processes"]) == 2
    house.stop().is_(0)


def test_what_has_left_the_session_is_not_its(house: House) -> None:
    """But it is a descendant: that is what counts. The command that asks is not shown."""
    script = house.script("""
        child = subprocess.Popen(["sh", "-c", "setsid sh -c 'echo $$; exec sleep 1001' &"], stdout=subprocess.PIPE)
        stray = int(child.stdout.readline())
        child.wait()
        seen = None
        # Until then the daemon is being started.
        while seen is None or seen.returncode:
            seen = subprocess.run([COMMAND, "status", "--pidfile", PID_FILE, "--json"], stdout=subprocess.PIPE)
        open(FOLDER + "/seen", "wb").write(seen.stdout)
        report(stray)
        forever()
    """)
    pid = house.started("--", script)
    stray = int(house.hear())
    assert [it["pid"] for it in json.loads((house.folder / "seen").read_text())["processes"]] == [pid, stray]
    house.stop().is_(0)
    assert is_gone(stray)


def with_an_orphan(house: House, *words: str, first: str = "pass") -> tuple[int, int]:
    """A daemon, and a grandchild of it whose parent does something first and then leaves."""
    script = house.script(f"""
        if os.fork() == 0:
            {first}
            if os.fork() == 0:
                report(os.getpid())
                forever()
            os._exit(0)
        os.wait()
        report("alone")
        forever()
    """)
    pid = house.started(*words, "--", script)
    return pid, int(sorted([house.hear(), house.hear()])[0])


def test_what_has_lost_its_parent(house: House) -> None:
    """But is in the daemon's session, which is nobody else's."""
    pid, orphan = with_an_orphan(house)
    assert [it["pid"] for it in look_json(house, 0)["processes"]] == [pid, orphan]
    house.stop().is_(0)


@is_root
def test_whose_rights_it_has(house: House) -> None:
    """The effective user counts, not the one who may be so again."""
    house.started("--", house.script(f"""
        os.setresuid(0, {NOBODY}, 0)
        report("done")
        forever()
    """))
    house.hear()
    assert look_json(house, 0)["user"] == "nobody"
    house.stop().is_(0)


def test_the_monitor_and_a_descendant_that_detached_itself(house: House) -> None:
    pid, stray = with_an_orphan(house, first="os.setsid()")
    seen = look_json(house, 0)
    assert {it["pid"] for it in seen["processes"]} == {pid, stray}, "one that has detached itself, too"
    parent = int(stat(pid)[1])
    assert seen["monitor"] == parent and f"monitor    {parent}" in look(house).stdout
    house.stop().is_(0)


def test_a_daemon_of_another_kind(house: House) -> None:
    """One that wrote its file and locked nothing."""
    with subprocess.Popen(["sleep", "1000"]) as process:
        house.pid_path.write_text(f"{process.pid}\n")
        assert look_json(house, 0)["pid"] == process.pid
        process.kill()
    house.pid_path.unlink()


# One that does not.


def test_not_running(house: House) -> None:
    seen = look_json(house, 3)
    assert seen["result"] == "not_running" and seen["pid"] is None and seen["log"] is None
    said = look(house)
    assert said.returncode == 3 and "test is not running" in said.stdout and str(house.pid_path) in said.stdout


def test_killed(house: House) -> None:
    pid = house.started("--", "sleep", "1000")
    monitor = int(stat(pid)[1])
    kill(pid)
    wait_gone(monitor)
    seen = look_json(house, 1)
    assert (seen["result"], seen["pid"], seen["last_end"]) == ("dead", None, "killed by signal 9")
    text = look(house).stdout
    assert "test is dead: it ended by itself" in text and "killed by signal 9" in text
    house.stop().is_(0)


def test_killed_with_its_monitor(house: House) -> None:
    """How it ended is not known, whatever its first life ended by."""
    first = house.started("--respawn", "--respawn-delay", "0", "--", *house.shell("say $$; exec sleep 1000"))
    assert int(house.hear()) == first
    kill(first)
    pid = int(house.hear())
    kill(int(stat(pid)[1]))
    kill(pid)
    seen = look_json(house, 1)
    assert (seen["result"], seen["restarts"], seen["last_end"]) == ("dead", 1, None)
    text = look(house).stdout
    assert "test is dead: its monitor was killed too, so how it ended is not known\n" in text and "last end   unknown\n" in text
    house.stop().is_(0)


def test_its_number_is_anothers_now(house: House) -> None:
    house.pid_path.write_text(f"{os.getpid()}\n")
    os.utime(house.pid_path, (1, 1))
    said = look(house)
    assert said.returncode == 1 and f"{os.getpid()} is another program's now" in said.stdout
    house.pid_path.unlink()


def test_what_it_has_left_holds_its_lock(house: House) -> None:
    pid = house.started("--", *house.shell("sleep 1000 & say $!; wait"))
    child = int(house.hear())
    while proc(child, "comm") != "sleep\n":
        os.sched_yield()
    kill(pid)
    # Who only reads the file does not hold it.
    with open(house.pid_path):
        seen = look_json(house, 2)
        said = look(house)
    assert seen["result"] == "held"
    assert seen["holders"] == [{"pid": child, "name": "sleep"}]
    assert said.returncode == 2 and f"left       {child} sleep" in said.stdout
    assert "test is dead, but processes of it are left" in said.stdout
    kill(child)
    house.stop().is_(0)


def test_its_monitor_is_about_to_start_it_again(house: House) -> None:
    pid = house.started("--respawn", "--respawn-delay", "1000", "--", "sleep", "1000")
    monitor = int(stat(pid)[1])
    kill(pid)
    # The monitor may not have heard of it yet.
    while look(house, "-q").returncode == 0:
        os.sched_yield()
    seen = look_json(house, 2)
    assert (seen["result"], [it["pid"] for it in seen["holders"]]) == ("held", [monitor])
    assert "test is to be started again: it has failed" in look(house).stdout
    house.stop()
    wait_gone(monitor)
    house.pid_path.unlink(missing_ok=True)


def test_a_start_under_way(house: House) -> None:
    """A lock and no PID: neither running nor not."""
    with open(house.pid_path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        seen = look_json(house, 4)
        assert seen["result"] == "starting" and seen["pid"] is None
        assert [it["pid"] for it in seen["holders"]] == [os.getpid()]
        assert "test is starting" in look(house).stdout
    house.pid_path.unlink()


@is_root
def test_a_file_that_may_not_be_read(house: House) -> None:
    house.pid_path.write_text("1\n")
    house.pid_path.chmod(0o600)
    seen = look_json(house, 4, nobody=True)
    assert seen["result"] == "unknown"
    assert "test is unknown: it may be running, or not" in look(house, nobody=True).stdout
    house.pid_path.unlink()


@pytest.mark.parametrize("what", ["symlink", "fifo", "directory", "device"])
def test_what_is_no_pid_file(house: House, what: str) -> None:
    """Not followed, not waited for; and not an answer that means something else."""
    {
        "symlink": lambda: house.pid_path.symlink_to("/etc/passwd"),
        "fifo": lambda: os.mkfifo(house.pid_path),
        "directory": lambda: house.pid_path.mkdir(),
        "device": lambda: house.pid_path.symlink_to("/dev/zero"),
    }[what]()
    said = look(house).is_(4, err="pid file failed")
    assert said.stdout == ""
    assert look(house, "--json").json["result"] == "failed"
    house.pid_path.rmdir() if what == "directory" else house.pid_path.unlink()


@pytest.mark.parametrize("content", ["", "0\n", "1\n", "99999999999999999999\n"])
def test_what_is_no_pid(house: House, content: str) -> None:
    house.pid_path.write_text(content)
    os.utime(house.pid_path, (1, 1))
    seen = look_json(house, 1)
    assert seen["result"] == "dead" and seen["last_pid"] is None
    assert "\x1b" not in look(house).stdout
    house.pid_path.unlink()


@pytest.mark.parametrize("content", ["x", "-1\n", "\x1b[2J\n", "12 34\n", "server { listen 80; }\n"])
def test_a_file_with_something_else_in_it(house: House, content: str) -> None:
    house.pid_path.write_text(content)
    said = look(house).is_(4, "", f"not a pid file: {house.pid_path}: it holds something other than a PID")
    assert "\x1b" not in said.stderr and house.pid_path.read_text() == content
    house.pid_path.unlink()


def test_quiet(house: House) -> None:
    assert look(house, "--quiet").stdout == "" and look(house, "-q").returncode == 3
    house.started("--", "sleep", "1000")
    assert look(house, "--quiet").is_(0).stdout == ""
    house.stop().is_(0)


@pytest.mark.parametrize("words", [["--lines", "x"], ["--lines", "-1"], ["a", "b"], ["--dry-run"]])
def test_misuse(house: House, words: list[str]) -> None:
    look(house, *words).is_(2, err="see `daemonctx help status`")


# Somebody else's.


@is_root
def test_as_another_user(house: House) -> None:
    pid, _ = start_busy(house)
    seen = look_json(house, 0, nobody=True)
    assert seen["pid"] == pid and seen["user"] == "root" and seen["memory"]["rss"] and seen["command"]
    assert seen["memory"]["pss"] is None and seen["descriptors"]["open"] is None and seen["descriptors"]["limit"]
    assert seen["listening"] is None and seen["log"] is None, "not known is not none"
    text = look(house, nobody=True).is_(0).stdout
    assert "not shown  descriptors, sockets and output: not permitted" in text
    house.stop().is_(0)


@is_root
def test_where_others_processes_are_hidden(house: House) -> None:
    """What is not known is not said: whether it runs, where the library cannot tell that it is the one."""
    pid = house.started("--", "sleep", "1000")
    hide = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"', "sh"]
    said = look(house, "--json", nobody=True, wrap=hide)
    assert (said.returncode, said.json["result"], said.json["pid"]) in [(0, "running", pid), (4, "unknown", None)]
    known = {key for key, value in said.json.items() if value is not None}
    assert known <= {"result", "name", "pid", "pidfile", "memory", "descriptors", "reason", "status"}
    text = look(house, nobody=True, wrap=hide).stdout
    assert ("/proc does not show it" if said.returncode == 4 else "not permitted") in text
    house.stop().is_(0)


@is_root
def test_a_session_from_outside_the_pid_namespace(house: House) -> None:
    """Its number is 0, which is that of every other, too: who is in one is not the daemon's for that."""
    inside = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c"]
    script = 'sleep 1000 & sleep 1000 & echo $! >"$1"; shift; exec "$@"'
    said = look(house, "--json", wrap=[*inside, script, "sh", str(house.pid_path)])
    assert said.returncode == 0, said
    assert [member["command"] for member in said.json["processes"]] == [["sleep", "1000"]]
    house.pid_path.unlink()


@is_root
def test_root_sees_all(house: House) -> None:
    (house.folder / "logs").mkdir()
    os.chown(house.folder / "logs", 65534, 65534)
    house.started("--user", "nobody", "--stdout", house.folder / "logs/out", "--", *house.shell("echo hello; exec sleep 1000"))
    seen = look_json(house, 0)
    while seen["log"] == [{"source": f"{house.folder}/logs/out", "lines": []}]:
        seen = look_json(house, 0)
    assert seen["user"] == "nobody" and seen["log"][0]["lines"] == ["hello"] and seen["memory"]["pss"]
    house.stop().is_(0)


# Processes come and go.


def test_one_that_vanishes_meanwhile(house: House) -> None:
    """Whenever that is: what is said is true of one moment."""
    script = house.script("""
        import fcntl
        while True:
            file = open(PID_FILE, "w")
            fcntl.flock(file, fcntl.LOCK_EX)
            child = os.fork()
            if child == 0:
                file.write("%d\\n" % os.getpid())
                file.flush()
                time.sleep(0.001)
                os._exit(0)
            file.close()
            os.waitpid(child, 0)
            os.unlink(PID_FILE)
            if os.path.exists(FOLDER + "/done"): break
    """)
    churn = subprocess.Popen([sys.executable, script])
    seen = []
    for _ in range(150):
        said = look(house, "--json")
        assert said.returncode in (0, 1, 2, 3, 4) and said.stderr == "", said
        seen.append(said.json)
        if said.returncode == 0:
            assert said.json["memory"]["rss"] and said.json["command"], said.json
    (house.folder / "done").touch()
    assert churn.wait(LIMIT) == 0
    assert {it["result"] for it in seen} & {"running", "starting", "not_running"}
