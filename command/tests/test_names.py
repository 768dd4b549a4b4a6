"""What daemons are called, which of them is meant, and what a second start under a name does."""

from __future__ import annotations

import fcntl
import os
import pathlib
import pty
import shutil
import signal
import subprocess
import time
from typing import Any, Iterator

import pytest
from daemons import AS_NOBODY, COMMAND, LIMIT, NOBODY, NOGROUP, PYTHON, House, Said, house, is_gone, kill, open_files, stat

__all__ = ["house"]


class User:
    """A user with a runtime directory of its own, so that names are nobody else's."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.run = house.folder / "run"
        self.run.mkdir()
        self.nobody = os.geteuid() == 0
        if self.nobody:
            os.chown(self.run, NOBODY, NOGROUP)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.run)}

    def __call__(self, *words: object, **kwargs: Any) -> Said:
        return self.house.command(*words, env=self.env, nobody=self.nobody, **kwargs)

    def popen(self, *words: object, **kwargs: Any) -> subprocess.Popen[str]:
        argv = [*(AS_NOBODY if self.nobody else []), COMMAND, *map(str, words)]
        return subprocess.Popen(argv, env=self.env, text=True, **kwargs)


@pytest.fixture
def user(house: House) -> Iterator[User]:
    yield User(house)


def sleeper(house: House, name: str) -> str:
    path = house.folder / name
    path.write_text("import time; time.sleep(1000)\n")
    path.chmod(0o644)
    return str(path)


def test_an_interpreters_daemon_is_called_like_the_script(house: House, user: User) -> None:
    a, b = sleeper(house, "a.py"), sleeper(house, "b.py")
    first = user("start", "--json", PYTHON, a).is_(0).json
    second = user("start", "--json", PYTHON, "-u", b).is_(0).json
    assert (first["name"], second["name"]) == ("a.py", "b.py")
    user("restart", PYTHON, "-u", b).is_(0, "b.py: restarted")
    assert not is_gone(first["pid"]) and is_gone(second["pid"])
    for name in ("a.py", "b.py"):
        user("stop", name).is_(0, f"{name}: stopped")


def test_another_command_line_under_a_running_name(user: User) -> None:
    pid = user("start", "--json", "-n", "web", "sleep", "1000").is_(0).json["pid"]
    line = f"web: already running as PID {pid} with another command line: sleep 1000"
    for dry in ([], ["--dry-run"]):
        user("start", *dry, "-n", "web", "sleep", "2000").is_(1, "", line)
    user("start", "-n", "web", "sleep", "1000").is_(0, f"web: runs already, PID {pid}")
    user("restart", "-n", "web", "sleep", "2000").is_(0, "web: restarted")
    user("stop", "web").is_(0)


def test_by_name_with_another_pid_file_and_with_none(house: House, user: User) -> None:
    for words in (["-p", user.run / "other.file"], ["--no-pidfile"]):
        pid = user("start", "--json", "-n", "web", *words, "sleep", "1000").is_(0).json["pid"]
        assert user("status", "web", "--json").is_(0).json["pid"] == pid
        user("stop", "web").is_(0, f"stopped, PID {pid}")
        assert is_gone(pid)


def test_a_pid_file_beside_the_usual_ones_finds_the_monitor(user: User) -> None:
    """The daemon is called sleep, and its pid file is where that of a daemon called web would be."""
    pid = user("start", "--json", "-p", user.run / "web.pid", "sleep", "1000").is_(0).json["pid"]
    for which in (["-p", user.run / "web.pid"], ["web"], ["sleep"]):
        found = user("status", *which, "--json").is_(0).json
        assert (found["pid"], found["monitor"]) == (pid, int(stat(pid)[1]))
    user("stop", "-p", user.run / "web.pid").is_(0, f"stopped, PID {pid}")
    assert user("list", "--json").is_(0).json["daemons"] == []


def test_two_daemons_of_one_name(house: House, user: User) -> None:
    one, other = (user.run / f"{name}.pid" for name in ("one", "other"))
    for pid_file in (one, other):
        user("start", "-p", pid_file, "sleep", "1000").is_(0)
    line = f"sleep: 2 daemons have this name; choose one by --pidfile: {one}, {other}"
    user("stop", "sleep").is_(6, "", line)
    user("status", "sleep").is_(4, "", line)
    user("stop", "-p", one).is_(0, "one: stopped")
    user("stop", "sleep").is_(0, "sleep: stopped")


def test_a_daemon_that_has_ended_hides_none_of_its_name(house: House, user: User) -> None:
    kill(user("start", "--json", "sleep", "1000").is_(0).json["pid"])
    pid = user("start", "--json", "-p", user.run / "other.pid", "sleep", "1000").is_(0).json["pid"]
    user("stop", "sleep").is_(0, f"sleep: stopped, PID {pid}")


def test_did_you_mean(user: User) -> None:
    user("start", "-n", "webserver", "sleep", "1000").is_(0)
    user("stop", "webservr").is_(0, "webservr: does not run, did you mean webserver?")
    user("reload", "webservr").is_(7, "", "did you mean webserver?")
    assert "did you mean webserver?" in user("status", "webservr").stdout
    user("stop", "webserver").is_(0, "stopped")


def test_list(house: House, user: User) -> None:
    assert user("list").is_(0).stdout == "NAME  STATE  PID  SINCE  RESTARTS  MEMORY\n"
    assert user("list", "--json").is_(0).json == {"result": "listed", "daemons": []}
    pids = [user("start", "--json", "-n", name, "sleep", "1000").is_(0).json["pid"] for name in ("b", "a")]
    kill(pids[0])
    until = time.monotonic() + LIMIT
    while True:
        found = user("list", "--json").is_(0).json["daemons"]
        if found[1]["state"] == "ended" or time.monotonic() > until:
            break
    a, b = found
    assert (a["name"], a["state"], a["pid"], a["restarts"], a["command"]) == ("a", "running", pids[1], 0, ["sleep", "1000"])
    assert a["memory"] > 0 and a["since"] and a["pidfile"] == str(user.run / "a.pid")
    assert (b["name"], b["state"], b["pid"], b["last_end"]) == ("b", "ended", None, "killed by signal 9")
    lines = user("list").is_(0).stdout.splitlines()
    assert [line.split()[:3] for line in lines[1:]] == [["a", "running", str(pids[1])], ["b", "ended", "-"]]
    user("stop", "a").is_(0)
    user("stop", "b").is_(0)
    assert user("list", "--json").json["daemons"] == []


def test_status_and_a_second_start_during_a_start(house: House, user: User) -> None:
    """status is 4; the second start waits for the outcome of the first."""
    ready = house.folder / "ready"
    words = ["start", "-n", "web", "--notify", f"file:{ready}", "sleep", "1000"]
    first = user.popen(*words, stdout=subprocess.DEVNULL)
    until = time.monotonic() + LIMIT
    while (said := user("status", "web")).returncode != 4:
        assert time.monotonic() < until, said
    second = user.popen(*words, stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(0.3)
    ready.touch()
    assert first.wait(LIMIT) == 0 and "runs already" in second.communicate(timeout=LIMIT)[0] and second.returncode == 0
    user("stop", "web").is_(0)


def test_giving_up_is_visible(house: House, user: User) -> None:
    words = ["--notify", "exec", "--respawn", "--respawn-delay", "0", "--respawn-limit", "2", "sh", "-c", "sleep 0.1; exit 3"]
    user("start", "-n", "web", *words).is_(0)
    until = time.monotonic() + LIMIT
    while (said := user("status", "web", "--json")).returncode == 0 or said.json["result"] != "dead":
        assert time.monotonic() < until, said
    assert (said.returncode, said.json["restarts"], said.json["last_end"]) == (1, 2, "exited with status 3")
    assert "it failed too often and was given up" in user("status", "web").stdout
    assert user("list", "--json").json["daemons"][0]["state"] == "gave-up"
    user("stop", "web").is_(0)
    assert user("status", "web").returncode == 3


def test_a_program_that_cannot_be_executed_again_says_why(house: House, user: User) -> None:
    program = user.run / "web"
    program.write_text("#!/bin/sh\nwhile ! [ -e $0.go ]; do sleep 0.01; done\nrm $0\nexit 3\n")
    program.chmod(0o755)
    user("start", "--notify", "exec", "--respawn", "--respawn-delay", "0", "--respawn-limit", "2", str(program)).is_(0)
    (user.run / "web.go").touch()
    until = time.monotonic() + LIMIT
    while (said := user("status", "web", "--json")).json["result"] != "dead":
        assert time.monotonic() < until, said
    assert said.json["last_end"] == "could not be started again: execve: No such file or directory"
    assert "last end   could not be started again: execve: No such file or directory" in user("status", "web").stdout
    user("stop", "web").is_(0)


def test_a_stop_waits_for_a_start_that_has_the_name(user: User) -> None:
    """What ended before is recorded until the start has written its own record."""
    user("start", "-n", "web", "--notify", "exec", "sh", "-c", f"while ! [ -e {user.run}/go ]; do sleep 0.01; done; exit 3").is_(0)
    (user.run / "go").touch()
    until = time.monotonic() + LIMIT
    while user("status", "web").returncode != 1:
        assert time.monotonic() < until
    lock = user.run / "daemonctx/web.lock"
    lock.touch()
    if user.nobody:
        os.chown(lock, NOBODY, NOGROUP)
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        stop = user.popen("stop", "web", stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            stop.wait(0.3)
    assert "does not run" in stop.communicate(timeout=LIMIT)[0] and stop.returncode == 0


def test_the_umask_does_not_decide_who_sees_daemons(house: House, user: User) -> None:
    start = ["start", "-n", "web", "--notify", "exec", "sleep", "1000"]
    said = subprocess.run(
        ["sh", "-c", 'umask 777; exec "$@"', "sh", *(AS_NOBODY if user.nobody else []), COMMAND, *start], env=user.env, capture_output=True, text=True
    )
    assert said.returncode == 0, said
    assert (user.run / "daemonctx").stat().st_mode & 0o777 == 0o700
    user(*start).is_(0, "runs already")
    user("stop", "web").is_(0)


def test_logs(house: House, user: User) -> None:
    out, err = user.run / "out.log", user.run / "err.log"
    script = house.script("""
        for line in range(5): print("out", line, flush=True)
        print("err", file=sys.stderr, flush=True)
        report("here")
        signal.sigwait([signal.SIGUSR1])
        print("more", flush=True)
        forever()
    """.replace("report(\"here\")", "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); report(\"here\")", 1))
    user("start", "-n", "web", "-o", out, "-e", err, "--keep-fd", house.mouth, script).is_(0)
    assert house.hear() == "here"
    said = user("logs", "web", "-n", "2").is_(0)
    assert said.stdout == f"==> {out} <==\nout 3\nout 4\n\n==> {err} <==\nerr\n"
    follow = user.popen("logs", "web", "-f", "-n", "0", stdout=subprocess.PIPE)
    assert follow.stdout
    # Its first look at the file is over when it has that open.
    until = time.monotonic() + LIMIT
    while str(out) not in open_files(follow.pid).values():
        assert time.monotonic() < until
    user("reload", "web", "--signal", "USR1").is_(0)
    assert [follow.stdout.readline(), follow.stdout.readline()] == [f"==> {out} <==\n", "more\n"]
    follow.kill()
    follow.wait()
    follow.stdout.close()
    user("stop", "web").is_(0)


@pytest.mark.parametrize("follow", [[], ["-f"]])
def test_logs_end_with_their_reader(house: House, user: User, follow: list[str]) -> None:
    out = user.run / "out.log"
    user("start", "-n", "web", "-o", str(out), "sh", "-c", "yes | head -n 200000; echo here >&2; exec sleep 1000").is_(0)
    reader, writer = os.pipe()
    logs = user.popen("logs", "web", "-n", "100000", *follow, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert os.read(reader, 1)
    os.close(reader)
    assert logs.communicate(timeout=LIMIT)[1] == "" and logs.returncode == 0
    user("stop", "web").is_(0)


def test_logs_that_go_elsewhere(house: House, user: User) -> None:
    user("start", "-n", "web", "sleep", "1000").is_(0)
    user("logs", "web").is_(1, "", "web: its output goes nowhere; start it with --stdout and --stderr")
    user("stop", "web").is_(0)
    user("logs", "web").is_(7, "", "web: does not run")


def test_start_as_a_containers_first_process(house: House) -> None:
    words = ["unshare", "--pid", "--fork", "--mount-proc", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if subprocess.run([*words, "true"], capture_output=True).returncode:
        pytest.skip("no PID namespaces")
    house.command("start", "-p", house.pid_path, "sleep", "1000", wrap=words).is_(1, "", "use `daemonctx run`")


def test_start_when_the_monitor_has_not_seen_the_end_of_its_program(house: House) -> None:
    """The state file still names a program that is dead: no daemon runs, and the start waits until the monitor has cleared away."""
    pid = house.started("--", "sleep", "1000")
    monitor = int(stat(pid)[1])
    os.kill(monitor, signal.SIGSTOP)
    kill(pid)
    said = house.command("status", "-p", house.pid_path, "--json")
    assert said.returncode == 4 and said.json["reason"] == "its pid file or state file does not match its processes"
    words = [COMMAND, "start", "-p", str(house.pid_path), "sleep", "999"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as starter:
        # It waits for signals, which cancel it.
        until = time.monotonic() + LIMIT
        while starter.poll() is None and "anon_inode:[signalfd]" not in open_files(starter.pid).values():
            assert time.monotonic() < until
        os.kill(monitor, signal.SIGCONT)
        out, err = starter.communicate(timeout=LIMIT)
    assert (starter.returncode, err) == (0, "") and f"started, PID {house.pid()}" in out
    house.stop().is_(0)


def test_progress_on_a_terminal(house: House) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(COMMAND, [COMMAND, "start", "-p", str(house.pid_path), "--notify", "running:1.5", "sleep", "1000"])
    shown = b""
    while True:
        try:
            shown += os.read(terminal, 4096)
        except OSError:
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert b"sleep: waiting until it is ready, 1 s of 30 s" in shown and b"sleep: started, PID" in shown
    house.stop().is_(0)


@pytest.mark.parametrize("kind", ["listen:{port}", "listen:127.0.0.1:{port}", "listen:{path}", "file:{path}", "forking", "forking:{path}"])
def test_kinds_of_readiness(house: House, kind: str) -> None:
    path = house.folder / "sign"
    script = house.script(f"""
        kind = {kind!r}
        if kind.startswith("forking"):
            if pid := os.fork():
                open({str(path)!r}, "w").write(str(pid))
                os._exit(0)
            os.setsid()
        elif kind.startswith("file"):
            open({str(path)!r}, "w").close()
        elif "path" in kind:
            server = socket.socket(socket.AF_UNIX)
            server.bind({str(path)!r})
            server.listen()
        else:
            server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
        report("done", os.getpid())
        forever()
    """)
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    pid = house.started("--notify", kind.format(port=port, path=path), script, port)
    assert house.hear() == f"done {pid}"
    monitor = int(stat(pid)[1])
    house.stop().is_(0, f"stopped, PID {pid}")
    assert is_gone(monitor)


@pytest.mark.parametrize("verb", ["restart", "try-restart"])
def test_restart_with_the_name_alone_stops_nothing(house: House, user: User, verb: str) -> None:
    """`sleep` is a program, which would run without its arguments; `web` is none."""
    user.env["PATH"] = "/usr/bin:/bin"
    for name in ("sleep", "web"):
        pid = user("start", "--json", "-n", name, "sh", "-c", "sleep 1000 # it's").is_(0).json["pid"]
        line = f"--name {name} -- sh -c 'sleep 1000 # it'\\''s'"
        said = user(verb, name).is_(1, "", f"{name}: restart needs the whole command line")
        assert said.stderr.endswith(f": daemonctx restart {line}\n") and not is_gone(pid)
        user(verb, "--dry-run", name).is_(1, "", line)
        user("stop", name).is_(0, f"PID {pid}")
    user("restart", "web").is_(5, "", "web: no such program")


def test_restart_with_the_name_alone_of_a_program_without_arguments(house: House, user: User) -> None:
    path = house.folder / "nap"
    path.write_text("#!/bin/sh\nexec sleep 1000\n")
    path.chmod(0o755)
    user.env["PATH"] = f"{house.folder}:{os.environ['PATH']}"
    user("start", "nap").is_(0)
    user("restart", "nap").is_(0, "nap: restarted")
    user("stop", "nap").is_(0, "nap: stopped")


def test_a_daemon_is_found_with_another_runtime_directory(house: House, user: User) -> None:
    """As one that cron has started: there is no XDG_RUNTIME_DIR."""
    name = f"nap-{os.getpid()}"
    with_directory, without = user.env, {key: value for key, value in user.env.items() if key != "XDG_RUNTIME_DIR"}
    fallback = pathlib.Path(f"/tmp/daemonctx-{NOBODY if user.nobody else os.geteuid()}")
    for words, file in (([], str(fallback / f"{name}.pid")), (["--no-pidfile"], None)):
        user.env = without
        pid = user("start", "--json", "-n", name, *words, "sleep", "1000").is_(0).json["pid"]
        user.env = with_directory
        assert pid in [daemon["pid"] for daemon in user("list", "--json").is_(0).json["daemons"]]
        assert user("status", name, "--json").is_(0).json["pid"] == pid
        user("reload", "--dry-run", name).is_(0, f"PID {pid}")
        user("logs", name).is_(1, "", "its output goes nowhere")
        said = user("start", "--json", "-n", name, *words, "sleep", "1000").is_(0).json
        assert (said["result"], said["pid"], said["pidfile"]) == ("already_running", pid, file)
        user("start", "-n", name, *words, "sleep", "2000").is_(1, "", f"already running as PID {pid} with another command line")
        pid = user("restart", "--json", "-n", name, *words, "sleep", "1000").is_(0).json["pid"]
        if file:
            assert user("status", "--pidfile", file, "--json").is_(0).json["monitor"] == int(stat(pid)[1])
        user("stop", name).is_(0, f"{name}: stopped, PID {pid}")
        assert is_gone(pid) and not (fallback / "daemonctx" / f"{name}.state").exists()


def test_a_directory_that_others_write_to_is_not_looked_into(user: User) -> None:
    """A link and a directory with everybody's permissions, where the fallback would be."""
    if not user.nobody:
        pytest.skip("needs root")
    other = 65533  # nobody's account
    place = pathlib.Path(f"/tmp/daemonctx-{other}")
    wrap = ["setpriv", f"--reuid={other}", f"--regid={other}", "--clear-groups", "--"]
    run = user.house.folder / "other"
    run.mkdir()
    os.chown(run, other, other)
    env = {**user.env, "XDG_RUNTIME_DIR": str(run)}
    made = user.house.folder / "made"
    made.mkdir()
    os.chown(made, other, other)
    pid = user.house.command("start", "--json", "sleep", "1000", wrap=wrap, env={**env, "XDG_RUNTIME_DIR": str(made)}).is_(0).json["pid"]
    def daemons() -> list[Any]:
        return user.house.command("list", "--json", wrap=wrap, env=env).is_(0).json["daemons"]
    try:
        place.symlink_to(made)
        assert daemons() == []
        place.unlink()
        made.rename(place)
        assert [daemon["pid"] for daemon in daemons()] == [pid]
        place.chmod(0o777)
        assert daemons() == []
    finally:
        kill(pid)
        if place.is_symlink():
            place.unlink()
        shutil.rmtree(place, ignore_errors=True)


def test_a_daemon_without_a_pid_file_has_none_in_any_answer(user: User) -> None:
    """The file where its pid file would be is the program's own."""
    pid_file = user.run / "web.pid"
    words = ["-n", "web", "--no-pidfile", "--notify", f"forking:{pid_file}"]
    body = f"sleep 1000 & echo $! >{pid_file}"
    pid = user("start", "--json", *words, "sh", "-c", body).is_(0).json["pid"]
    said = user("start", "--json", "-n", "web", "sh", "-c", body).is_(0).json
    assert (said["result"], said["pidfile"]) == ("already_running", None)
    assert "pid file" not in user("status", "web").is_(0).stdout
    said = user("status", "web", "--json").is_(0).json
    assert (said["pid"], said["pidfile"]) == (pid, None)
    said = user("stop", "web", "--json").is_(0).json
    assert (said["pid"], said["pidfile"]) == (pid, None)
    pid_file.unlink()
