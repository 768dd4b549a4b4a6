"""`daemonctx start`: the truth, the exit codes, and a daemon that is as it should be."""

from __future__ import annotations

import os
import pathlib
import pty
import signal
import socket
import subprocess
import time

import pytest
from daemons import (
    COMMAND,
    LIMIT,
    NOBODY,
    NOGROUP,
    PYTHON,
    House,
    descendants,
    descriptors,
    environment,
    house,
    is_gone,
    is_root,
    kill,
    proc,
    stat,
    status,
    wait_gone,
)

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]


def test_a_program_becomes_a_daemon(house: House) -> None:
    said = house.start("--name", "sleepy", *SLEEP).is_(0, "sleepy: started, PID ")
    pid = house.pid()
    assert said.stdout == f"sleepy: started, PID {pid}\n"
    assert proc(pid, "cmdline") == "sleep\0001000\0"
    state, parent, group, session, terminal = stat(pid)[:5]
    assert session == parent and group == str(pid) and terminal == "0", "in its monitor's session, which it does not lead"
    assert proc(int(parent), "cmdline") == "daemonctx: sleepy\0"
    assert house.stop().is_(0).stdout == f"test: stopped, PID {pid}\n"
    assert is_gone(pid) and not house.pid_path.exists()


def test_what_it_inherits(house: House) -> None:
    """Signals default and none blocked, no descriptor but its own three and the lock, / and 022."""
    spare = os.open("/dev/zero", os.O_RDONLY)
    os.set_inheritable(spare, True)

    def odd() -> None:
        for signum in (signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE, signal.SIGUSR1, signal.SIGTSTP):
            signal.signal(signum, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2, signal.SIGINT])

    said = house.command("start", "-p", house.pid_path, *SLEEP, preexec_fn=odd, pass_fds=[spare], restore_signals=False)
    os.close(spare)
    said.is_(0)
    pid = house.pid()
    seen = status(pid)
    assert (int(seen["SigIgn"], 16), int(seen["SigBlk"], 16), int(seen["SigCgt"], 16)) == (0, 0, 0)
    assert seen["Umask"] == "0022"
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    open_ = descriptors(pid)
    lock = open_.pop(max(open_))
    assert lock == str(house.pid_path) and open_ == {0: "/dev/null", 1: "/dev/null", 2: "/dev/null"}
    house.stop().is_(0)


def test_json(house: House) -> None:
    said = house.start("--json", "-n", "x", *SLEEP).is_(0).json
    assert said.pop("seconds") < LIMIT
    pid = house.pid()
    assert said == {"result": "started", "name": "x", "pid": pid, "pidfile": str(house.pid_path)}
    again = house.start("--json", "-n", "x", *SLEEP).is_(0).json
    assert again == {"result": "already_running", "name": "x", "pid": pid, "pidfile": str(house.pid_path)}
    said = house.stop("--json", "x").is_(0).json
    assert said.pop("seconds") < LIMIT
    assert said == {
        "result": "stopped", "name": "x", "pid": pid, "pidfile": str(house.pid_path), "signal": "TERM", "others": [], "left": []
    }  # fmt: skip
    house.stop().is_(0)
    failed = house.start("--json", "-n", "x", "/nonexistent/program").is_(5).json
    assert failed == {"result": "failed", "error": {"message": "/nonexistent/program: no such program", "status": 5}}
    failed = house.start("--json", "--user", "nonesuch", *SLEEP).is_(6).json["error"]
    assert (failed["step"], failed["value"], failed["status"]) == ("user", "nonesuch", 6)
    failed = house.start("--nonesuch", "--json", *SLEEP).is_(2).json["error"]
    assert failed["status"] == 2 and "--nonesuch" in failed["message"]


def test_quiet(house: House) -> None:
    assert house.start("--quiet", *SLEEP).is_(0).stdout == ""
    assert house.start("-q", *SLEEP).is_(0).stdout == ""
    assert house.stop("-q").is_(0).stdout == ""
    house.start("-q", "/nonexistent/program").is_(5, "", "no such program")


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["start"],
        ["start", "--"],
        ["start", "--nonesuch", "sleep"],
        ["start", "--umask", "9", "sleep"],
        ["start", "--umask", "+22", "sleep"],
        ["start", "--umask", "1777", "sleep"],
        ["start", "--env", "=x", "sleep"],
        ["start", "--env", "x", "sleep"],
        ["start", "--notify", "whistle", "sleep"],
        ["start", "--notify", "fd:-1", "sleep"],
        ["start", "--notify", "fd:2", "sleep"],
        ["start", "--notify", "listen:65536", "sleep"],
        ["start", "--notify", "file:", "sleep"],
        ["start", "--kill-mode", "none", "sleep"],
        ["start", "--notify", "fd:5", "--keep-fd", "5", "sleep"],
        ["start", "--notify", "running:5", "--ready-timeout", "5", "sleep"],
        ["start", "--ready-timeout", "soon", "sleep"],
        ["start", "--nice", "20", "sleep"],
        ["start", "--groups", "all", "sleep"],
        ["start", "--keep-fd", "x", "sleep"],
        ["start", "--keep-fd", "-1", "sleep"],
        ["start", "--keep-fd", "2", "sleep"],
        ["start", "--user", "root", "--user", "root", "sleep"],
        ["start", "--truncate", "sleep"],
        ["start", "--log-mode", "644", "sleep"],
        ["start", "--stdout", "/dev/null", "--log-mode", "999", "sleep"],
        ["start", "--syslog-identity", "x", "sleep"],
        ["start", "--syslog", "--syslog-facility", "kern", "sleep"],
        ["start", "--respawn-delay", "1", "sleep"],
        ["start", "--respawn-limit", "1", "sleep"],
        ["start", "--retry", "TERM", "sleep"],
        ["start", "--name", "a/b", "sleep"],
        ["start", "--name", ".hidden", "sleep"],
        ["start", "--name", "", "sleep"],
        ["stop"],
        ["stop", "a", "b"],
        ["stop", "--retry", "NONE/1", "a"],
        ["stop", "--user", "root", "a"],
        ["reload", "--signal", "NONE", "a"],
        ["nonesuch"],
        ["--nonesuch"],
    ],
)
def test_misuse(house: House, words: list[str]) -> None:
    if words:
        said = house.command(*words)
        # What the library refuses about an option's value is as much about the options.
        assert said.returncode == (6 if words[1:3] in (["--keep-fd", "-1"], ["--keep-fd", "2"]) else 2), said
        assert said.stderr.startswith("daemonctx: ") and said.stderr.count("\n") == 1


def test_exit_codes(house: House) -> None:
    house.start("/nonexistent").is_(5, "", "daemonctx: /nonexistent: no such program")
    house.start("nonesuch-program").is_(5, "", "nonesuch-program: no such program")
    house.start("/etc/passwd").is_(4, "", "/etc/passwd: not executable")
    house.start("/tmp").is_(4, "", "/tmp: not executable")
    house.start("--user", "nonesuch", *SLEEP).is_(6, "", "user failed: nonesuch")
    house.start("--group", "nonesuch", *SLEEP).is_(6, "", "group failed: nonesuch")
    house.start("--chdir", "/nonexistent", *SLEEP).is_(6, "", "working directory failed: /nonexistent: No such file")
    house.start("--chroot", "/nonexistent", "/bin/sleep").is_(6, "", "--chroot: expected a directory")
    house.start("--stdout", "/nonexistent/log", *SLEEP).is_(6, "", "stdout failed: /nonexistent/log: No such file")
    house.start("--stdin", "/nonexistent", *SLEEP).is_(6, "", "stdin failed: /nonexistent: No such file")
    house.start("--keep-fd", "99", *SLEEP).is_(6, "", "keep descriptor failed: 99: Bad file descriptor")
    house.command("start", "-p", "/nonexistent/x.pid", *SLEEP).is_(6, "", "pid file failed: /nonexistent/x.pid: No such")
    script = house.script("")
    path = pathlib.Path(script)
    path.write_text(path.read_text().replace(PYTHON, "/nonexistent/interpreter"))
    house.start(script).is_(5, "", f"script.py: execve failed: {script} (its interpreter is missing): No such file or directory (2 ENOENT)")
    assert not house.pid_path.exists()


@is_root
def test_not_permitted(house: House) -> None:
    house.command("start", "-p", house.folder / "x.pid", *SLEEP, nobody=True).is_(4, "", "Permission denied (13 EACCES)")
    os.chown(house.folder, NOBODY, NOGROUP)
    house.start("--user", "root", *SLEEP, nobody=True).is_(4, "", "(1 EPERM)")
    house.start("--nice", "-5", *SLEEP, nobody=True).is_(4, "", "nice failed: -5")
    house.start("--chroot", "/", "/bin/sleep", "9", nobody=True).is_(4, "", "chroot failed")
    assert not house.pid_path.exists()


def test_ends_before_it_is_ready(house: House) -> None:
    """Its own status, and what it said on standard error is not lost in /dev/null if that goes to a file."""
    log = house.folder / "log"
    words = ["--notify", "running:5", "--stderr", log, "sh", "-c"]
    failed = house.start(*words, "echo $$ >&2; exit 42")
    failed.is_(42, "", f"sh: start failed: PID {log.read_text().strip()}: exited with status 42")
    house.start(*words, "exit 0").is_(1, "", "exited")
    house.start(*words, "kill -SEGV $$").is_(128 + signal.SIGSEGV, "", "SIGSEGV")
    house.start("--notify", "fd", "sh", "-c", "exec 3>&-; exec sleep 1000").is_(1, "", "closed without a newline")
    assert not house.pid_path.exists()


def test_timeout(house: House) -> None:
    before = time.monotonic()
    said = house.start("--notify", "fd:7", "--ready-timeout", "0.5", house.deaf(ends_by="TERM"))
    said.is_(124, "", "deaf.py: ready failed: 0.500 s: no newline came on its descriptor")
    assert time.monotonic() - before < 5
    assert [house.hear(), house.hear()] == ["here", "ended"]


@pytest.mark.parametrize("time", ["0.0000000001s", "0.0004s", "0.1ms", "0.0000000001"])
def test_a_timeout_below_a_millisecond_is_one(house: House, time: str) -> None:
    house.start("--notify", "fd:7", "--ready-timeout", time, *SLEEP).is_(124, "", "sleep: ready failed: 0.001 s: ")
    house.started("--notify", f"running:{time}", *SLEEP)
    house.stop("--retry", f"TERM/{time}/KILL/5s").is_(0)


def test_timeout_of_one_that_ignores_the_end(house: House) -> None:
    """SIGTERM, five seconds, SIGKILL; and nothing is left."""
    body = house.shell("trap '' TERM; say here; exec sleep 1000")
    house.start("-t", "0.3", "--notify", "systemd", *body).is_(124)
    assert house.hear() == "here" and not house.pid_path.exists()


def test_any_time(house: House) -> None:
    """A timeout of 0 is none."""
    house.started("-t", "0", "--notify", "fd", "sh", "-c", "sleep 0.3; echo >&3; exec sleep 1000")
    house.stop().is_(0)


def test_called_off_in_a_terminal(house: House) -> None:
    """Ctrl-C: the command dies by SIGINT, as a shell wants to see it, and nothing is left."""
    pid, terminal = pty.fork()
    if pid == 0:
        body = house.shell("say $$; exec sleep 1000")
        os.execv(COMMAND, [COMMAND, "start", "-p", str(house.pid_path), "--keep-fd", str(house.mouth), "--notify", "fd:9", *body])
    daemon = int(house.hear())
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGINT
    assert is_gone(daemon) and not house.pid_path.exists()
    os.close(terminal)


def test_on_a_terminal(house: House) -> None:
    """A daemon that was started on one does not go with it."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(COMMAND, [COMMAND, "start", "-p", str(house.pid_path), *SLEEP])
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert stat(house.pid())[4] == "0" and not is_gone(house.pid())
    house.stop().is_(0)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGQUIT, signal.SIGINT])
def test_called_off_by_a_signal(house: House, signum: int) -> None:
    body = house.shell("say $$; exec sleep 1000")
    words = [COMMAND, "start", "-p", str(house.pid_path), "--keep-fd", str(house.mouth), "--notify", "fd:9", *body]
    starter = subprocess.Popen(words, pass_fds=[house.mouth], stderr=subprocess.DEVNULL)
    daemon = int(house.hear())
    starter.send_signal(signum)
    assert starter.wait(LIMIT) == -signum
    assert is_gone(daemon) and not house.pid_path.exists()


@pytest.mark.parametrize("end", ["signal", "timeout"])
def test_a_stopped_monitor_does_not_hold_up_a_failed_start(house: House, end: str) -> None:
    body = house.shell("say $$ $PPID; exec sleep 1000")
    timeout = ["--ready-timeout", "500ms"] if end == "timeout" else []
    words = [COMMAND, "start", "-p", str(house.pid_path), "--keep-fd", str(house.mouth), "--notify", "fd:9", *timeout, *body]
    starter = subprocess.Popen(words, pass_fds=[house.mouth], stderr=subprocess.DEVNULL)
    daemon, monitor = map(int, house.hear().split())
    guard = int(stat(monitor)[1])
    for process in (monitor, guard):
        os.kill(process, signal.SIGSTOP)
    if end == "signal":
        starter.terminate()
    assert starter.wait(LIMIT) == (124 if end == "timeout" else -signal.SIGTERM)
    assert is_gone(daemon) and is_gone(monitor) and is_gone(guard) and not house.pid_path.exists()


@pytest.mark.parametrize("respawn", [[], ["--respawn"]])
def test_the_starter_is_killed(house: House, respawn: list[str]) -> None:
    """Who wanted to know is gone: the start is off."""
    body = house.shell("say $$; exec sleep 1000")
    words = [COMMAND, "start", "-p", house.pid_path, "--keep-fd", str(house.mouth), "--notify", "fd:9", *respawn, *body]
    starter = subprocess.Popen(list(map(str, words)), pass_fds=[house.mouth], stderr=subprocess.DEVNULL)
    daemon = int(house.hear())
    starter.kill()
    starter.wait(LIMIT)
    wait_gone(daemon)
    deadline = time.monotonic() + LIMIT
    # The guard clears away when the daemon is gone; there is nothing to wait on from here.
    while (house.pid_path.exists() or descendants()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not house.pid_path.exists()
    house.started(*respawn, *SLEEP)
    house.stop().is_(0)


def test_twenty_at_once(house: House) -> None:
    """One daemon; the others wait, and report that it runs."""
    words = [COMMAND, "start", "-p", str(house.pid_path), "--notify", "running:0.3", "sleep", "1000"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    starters = [subprocess.Popen(words, **pipes) for _ in range(20)]  # type: ignore[call-overload]
    said = [(*starter.communicate(timeout=LIMIT), starter.returncode) for starter in starters]
    won = [out for out, _, code in said if code == 0 and ": started, PID" in out]
    assert won == [f"sleep: started, PID {house.pid()}\n"], said
    for out, err, code in said:
        assert code == 0 and f"PID {house.pid()}" in out, (out, err, code)
    assert len([pid for pid in descendants() if proc(pid, "comm") == "sleep\n"]) == 1
    house.stop().is_(0)


def test_idempotent(house: House) -> None:
    pid = house.started(*SLEEP)
    assert house.start(*SLEEP).is_(0).stdout == f"sleep: runs already, PID {pid}\n"
    house.stop().is_(0)
    assert house.stop().is_(0).stdout == "test: does not run\n"


@pytest.mark.parametrize("content", ["", "0\n", "1\n", "99999999999\n", "9" * 100, "4194304\n"])
def test_stale_pid_files(house: House, content: str) -> None:
    house.pid_path.write_text(content)
    os.utime(house.pid_path, (1, 1))
    house.stop("--dry-run").is_(0, "does not run")
    house.started(*SLEEP)
    house.stop().is_(0)


def test_killed(house: House) -> None:
    """Its monitor removes the pid file, and knows how it ended."""
    kill(house.started(*SLEEP))
    pid = house.started(*SLEEP)
    monitor = int(stat(pid)[1])
    kill(pid)
    wait_gone(monitor)
    assert not house.pid_path.exists()
    said = house.command("status", "-p", house.pid_path, "--json")
    assert (said.returncode, said.json["result"], said.json["last_end"]) == (1, "dead", "killed by signal 9")
    assert house.stop().is_(0).stdout == "test: does not run\n"
    assert house.command("status", "-p", house.pid_path).returncode == 3


def test_an_innocent_with_the_pid(house: House) -> None:
    """A pid file of yesterday names a process of today."""
    innocent = subprocess.Popen(["sleep", "1000"])
    house.pid_path.write_text(f"{innocent.pid}\n")
    os.utime(house.pid_path, (time.time() - 86400,) * 2)
    assert house.stop().is_(0).stdout == "test: does not run\n"
    house.pid_path.write_text(f"{innocent.pid}\n")
    os.utime(house.pid_path, (time.time() - 86400,) * 2)
    assert house.started(*SLEEP) != innocent.pid
    house.stop().is_(0)
    assert innocent.poll() is None
    innocent.kill()
    innocent.wait()


def test_a_program_that_closes_all_it_has(house: House) -> None:
    """It loses the lock, and is known by its age."""
    script = house.script("os.dup2(os.open('/dev/null', os.O_RDWR), 0); os.closerange(4, 65536)\nprint('x')\nforever()")
    pid = house.started("--notify", "running:0.3", script)
    assert str(house.pid_path) not in descriptors(pid).values()
    house.start(script).is_(0, f"runs already, PID {pid}")
    house.stop().is_(0, f"stopped, PID {pid}")


def test_where_programs_are_found(house: House) -> None:
    folder = house.folder / "bin"
    folder.mkdir()
    (folder / "other").mkdir()
    program = folder / "daemon-under-test"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    (folder / "other" / "daemon-under-test").write_text("no program")
    program.chmod(0o755)
    path = f"{folder}/other:{folder}:/usr/bin:/bin"
    for words, kwargs in [
        (["daemon-under-test"], {"env": {"PATH": path}}),
        (["--env", f"PATH={path}", "daemon-under-test"], {}),
        (["--clean-env", "--env", f"PATH={path}", "daemon-under-test"], {}),
        (["./daemon-under-test"], {"cwd": folder}),
        (["bin/daemon-under-test"], {"cwd": house.folder}),
        (["daemon-under-test"], {"env": {"PATH": ":/bin"}, "cwd": folder}),
        ([program], {}),
    ]:
        pid = house.started(*words, **kwargs)
        house.stop().is_(0)
        assert pid
    house.start("--unset", "PATH", "daemon-under-test", env={"PATH": path}).is_(5)
    house.start("--clean-env", "daemon-under-test", env={"PATH": path}).is_(5)
    house.start("daemon-under-test", env={"PATH": f"{folder}/other"}).is_(4, "", "not executable")


def test_names(house: House) -> None:
    """What a program is called is what its arguments begin with, and the line of a failure."""
    house.start("--notify", "running:1", "-n", "what-it-is-called", "false").is_(1, "", "what-it-is-called: start failed")
    house.start("--notify", "running:1", "/bin/false").is_(1, "", "false: start failed")


def test_default_pid_file(house: House) -> None:
    name = f"daemonctx-test-{os.getpid()}"
    run = house.folder / "run"
    run.mkdir()
    env = {**os.environ, "XDG_RUNTIME_DIR": str(run)}
    if os.geteuid() == 0:
        house.command("start", "-n", name, *SLEEP).is_(0)
        assert os.path.exists(f"/run/{name}.pid")
        # Others who have none of this name mean root's.
        house.command("status", name, nobody=True, env=env).is_(0, f"{name} is running")
        house.command("stop", name, nobody=True, env=env).is_(4, "", "(1 EPERM)")
        house.command("stop", name).is_(0, f"{name}: stopped")
        os.chown(run, NOBODY, NOGROUP)
    nobody = os.geteuid() == 0
    house.command("start", "-n", name, *SLEEP, nobody=nobody, env=env).is_(0)
    assert (run / f"{name}.pid").stat().st_mode & 0o777 == 0o644
    house.command("stop", "--json", name, nobody=nobody, env=env).is_(0)
    env.pop("XDG_RUNTIME_DIR")
    house.command("start", "-n", name, *SLEEP, nobody=nobody, env=env).is_(0)
    house.command("stop", name, nobody=nobody, env=env).is_(0, "stopped")


def test_no_pid_file(house: House) -> None:
    said = house.command("start", "--no-pidfile", "--json", *SLEEP).is_(0).json
    assert said["pidfile"] is None
    pid = said["pid"]
    assert set(descriptors(pid)) == {0, 1, 2}
    kill(pid)


def test_relative_pid_file(house: House) -> None:
    house.command("start", "-p", "test.pid", *SLEEP, cwd=house.folder).is_(0)
    assert house.stop().is_(0, "stopped")


def test_readiness_by_a_newline(house: House) -> None:
    body = house.shell("sleep 0.2; say before; echo ready >&3; exec 3>&-; exec sleep 1000")
    house.started("--notify", "fd", *body)
    assert not house.is_silent(), "the start has waited"
    assert house.hear() == "before"
    house.stop().is_(0)
    body = house.shell("exec 3>&-; exec sleep 1000")
    house.start("--notify", "fd:3", *body).is_(1, "", "closed without a newline")
    house.started("--notify", "fd:4", "sh", "-c", "echo >&4; exec sleep 1000")
    house.stop().is_(0)


@pytest.mark.parametrize("how", ["python", "systemd-notify"])
def test_readiness_by_a_message(house: House, how: str) -> None:
    if how == "python":
        words = [house.script("""
            time.sleep(0.2)
            report("before")
            name = os.environ["NOTIFY_SOCKET"]
            line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            line.sendto(b"READY=1", "\\0" + name[1:] if name[0] == "@" else name)
            forever()
        """)]
    else:
        words = house.shell("sleep 0.2; say before; systemd-notify --ready; exec sleep 1000")
        if not any(os.path.exists(f"{path}/systemd-notify") for path in os.environ["PATH"].split(":")):
            pytest.skip("no systemd-notify")
    house.started("--notify", "systemd", *words)
    assert not house.is_silent() and house.hear() == "before"
    house.stop().is_(0)


def test_readiness_by_running_on(house: House) -> None:
    before = time.monotonic()
    house.started("--notify", "running:0.4", *SLEEP)
    assert 0.4 <= time.monotonic() - before < 5
    house.stop().is_(0)
    before = time.monotonic()
    house.start("--notify", "running:20", "false").is_(1)
    assert time.monotonic() - before < 10


def test_readiness_at_once(house: House) -> None:
    house.started("--notify", "exec", *SLEEP)
    house.stop().is_(0)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_streams(house: House, closed: tuple[int, ...]) -> None:
    shut = "; ".join(f"exec {fd}{'<' if fd == 0 else '>'}&-" for fd in closed)
    line = f'{shut}; exec "$0" start -p "$1" sleep 1000'
    assert subprocess.run(["sh", "-c", line, COMMAND, str(house.pid_path)], timeout=LIMIT).returncode == 0
    open_ = descriptors(house.pid())
    assert [open_.pop(fd) for fd in range(3)] == ["/dev/null"] * 3 and list(open_.values()) == [str(house.pid_path)]
    house.stop().is_(0)


def test_a_removed_working_directory_has_no_program(house: House) -> None:
    """A relative path leads nowhere there; in PATH it is passed over."""
    place = house.folder / "removed"
    for words, status in [(["./foo"], 5), (["sub/foo"], 5), (["no-such-program"], 5), (["sleep", "1000"], 0)]:
        place.mkdir()
        line = 'rmdir "$0"; PATH=.:$PATH; exec "$@"'
        house.start("--", *words, cwd=place, wrap=["sh", "-c", line, str(place)]).is_(status)
    house.stop().is_(0)


def test_output_that_cannot_be_written(house: House) -> None:
    """It changes nothing about the outcome: the daemon is ready, so the status is 0."""
    with open("/dev/full", "w") as full:
        assert house.start(*SLEEP, stdout=full).returncode == 0
    read, write = os.pipe()
    os.close(read)
    house.start(*SLEEP, stdout=write).is_(0)
    os.close(write)
    house.stop().is_(0)


def test_sockets_are_passed_on(house: House) -> None:
    """LISTEN_FDS, with LISTEN_PID made right, from descriptor 3 on."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    script = house.script("""
        found = socket.socket(fileno=3)
        report(found.getsockname()[1], os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] == str(os.getpid()))
        forever()
    """)
    line = f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$@"'
    house.started(script, wrap=["bash", "-c", line, "sh"], pass_fds=[house.mouth, listener.fileno()])
    assert house.hear() == f"{listener.getsockname()[1]} 1 True"
    assert environment(house.pid())["LISTEN_FDNAMES"] == "web"
    house.stop().is_(0)
    listener.close()


def test_below_a_supervisor_it_detaches_all_the_same(house: House) -> None:
    """`start` is asked to put it in the background, whoever asks."""
    read, write = os.pipe()
    pid = house.started(*SLEEP, stdin=read)
    os.close(read)
    os.close(write)
    assert stat(pid)[4] == "0"
    house.stop().is_(0)


def test_many_descriptors_are_not_kept(house: House) -> None:
    fds = [os.dup(house.ear) for _ in range(200)]
    pid = house.started(*SLEEP, pass_fds=[house.mouth, *fds])
    assert len(descriptors(pid)) == 5  # three, the lock, and what was asked for
    for fd in fds:
        os.close(fd)
    house.stop().is_(0)


def test_a_failed_start_says_where_standard_error_is(house: House) -> None:
    program = ["--", "sh", "-c", "exit 3"]
    ended = "exited with status 3 before it was ready"
    house.start(*program).is_(3, "", f"{ended}; add --stderr FILE to see why\n")
    house.start("--stderr", "own.log", *program, cwd=house.folder).is_(3, "", f"{ended}; see {house.folder}/own.log\n")


@pytest.mark.parametrize(
    "text, code, note",
    [
        ("#!/nonexistent\n", 5, "its interpreter is missing"),
        ("#!/bin/sh\r\n", 5, "its interpreter is missing"),
        ("echo\n", 1, "neither a binary for this machine nor a script with #!"),
    ],
)
@pytest.mark.parametrize("verb", ["start", "run"])
def test_what_execve_means(house: House, verb: str, text: str, code: int, note: str) -> None:
    path = house.folder / "script"
    path.write_text(text, newline="")
    path.chmod(0o755)
    house.start(path, verb=verb).is_(code, "", f"execve failed: {path} ({note}): ")
