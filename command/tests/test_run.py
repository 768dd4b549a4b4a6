"""`daemonctx run`: it becomes the program, in the foreground and in the same process."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess

import pytest
from daemons import COMMAND, LIMIT, NOBODY, PYTHON, House, descriptors, environment, house, is_root, proc, stat, status, wait_until

__all__ = ["house"]


def run(house: House, *words: object, **kwargs: object) -> subprocess.Popen[str]:
    argv = [COMMAND, "run", "-p", house.pid_path, "--keep-fd", house.mouth, *words]
    return subprocess.Popen(list(map(str, argv)), pass_fds=[house.mouth], text=True, **kwargs)  # type: ignore[call-overload]


def test_the_same_process(house: House) -> None:
    process = run(house, *house.shell("say $$; exec sleep 1000"))
    assert house.hear() == str(process.pid) and house.pid() == process.pid
    house.start("sleep").is_(0, f"runs already, PID {process.pid}")
    assert stat(process.pid)[3] == stat(os.getpid())[3], "the same session: Ctrl-C and a supervisor's group reach it"
    house.stop().is_(0, "stopped")
    assert process.wait(LIMIT) == -signal.SIGTERM


def end(house: House, process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(LIMIT)
    house.stop().is_(0)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize("runs", ["a program", "a script", "a process that a pid file names"])
def test_another_command_line_is_refused(house: House, runs: str, dry: list[str]) -> None:
    other = house.script("report('here'); forever()", "other")
    if runs == "a process that a pid file names":
        process = subprocess.Popen(["sleep", "1000"], text=True)
        house.pid_path.write_text(f"{process.pid}\n")
        command = "sleep 1000"
    else:
        words = [PYTHON, other] if runs == "a script" else ["sleep", "1000"]
        process, command = run(house, *words), " ".join(words)
        wait_until(lambda: proc(process.pid, "cmdline").rstrip("\0").split("\0") == words)
    why = f"already running as PID {process.pid} with another command line: {command}\n"
    house.start(*dry, "--", PYTHON, "-m", "http.server", "0").is_(1, "", why)
    house.start(*dry, "--", "tail", "-f", "/dev/null").is_(1, "", why)
    end(house, process)


SAME = {
    "a script": ("python", "#!{python}\nimport time; time.sleep(1000)", ["{file}"]),
    "a script and its interpreter": ("python", "import time; time.sleep(1000)", ["{python}", "-u", "{file}"]),
    "a script that executes a program": ("sleep", "#!/bin/sh\nexec sleep 1000", ["{file}"]),
    "a shell that executes a program": ("sleep", "exec sleep 1000", ["sh", "{file}"]),
    "a shell's command": ("sleep", "", ["sh", "-c", "exec sleep 1000"]),
    "a program that executes another": ("sleep", "", ["env", "A=b", "sleep", "1000"]),
    "a title": ("sleep", "#!/bin/bash\nexec -a 'food: master process' sleep 1000", ["{file}"]),
    "other arguments": ("sleep", "#!/bin/bash\nexec -a food sleep 1000", ["{file}"]),
}


@pytest.mark.parametrize("program", SAME)
def test_a_second_start_of_the_same_program_is_none(house: House, program: str) -> None:
    """However its command line has changed."""
    name, text, words = SAME[program]
    file = house.folder / "food"
    file.write_text(text.format(python=PYTHON))
    file.chmod(0o755)
    words = [word.format(python=PYTHON, file=file) for word in words]
    process = run(house, *words)
    wait_until(lambda: os.readlink(f"/proc/{process.pid}/exe").rpartition("/")[2].startswith(name))
    house.start("--", *words).is_(0, f"runs already, PID {process.pid}")
    end(house, process)


def test_a_title_tells_nothing(house: House) -> None:
    process = run(house, "bash", "-c", "exec -a 'food: master process' sleep 1000")
    wait_until(lambda: proc(process.pid, "cmdline").startswith("food"))
    house.start("--", PYTHON, "-m", "http.server", "0").is_(0, f"runs already, PID {process.pid}")
    end(house, process)


def test_its_status_is_the_programs(house: House) -> None:
    assert run(house, "sh", "-c", "exit 7").wait(LIMIT) == 7
    assert run(house, "/nonexistent", stderr=subprocess.DEVNULL).wait(LIMIT) == 5
    assert run(house, "--user", "nonesuch", "true", stderr=subprocess.DEVNULL).wait(LIMIT) == 6
    house.stop().is_(0)


def test_streams_stay(house: House) -> None:
    """Whoever has started it reads its output, unless it is sent elsewhere."""
    process = run(house, "cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.communicate("text\n", timeout=LIMIT)[0] == "text\n"
    log = house.folder / "log"
    process = run(house, "--stderr", log, "sh", "-c", "echo out; echo err >&2", stdout=subprocess.PIPE)
    assert process.communicate(timeout=LIMIT)[0] == "out\n" and log.read_text() == "err\n"
    house.stop().is_(0)


@is_root
def test_privileges_and_place(house: House) -> None:
    words = ["--user", "nobody", "--umask", "077", "--chdir", house.folder, "--no-new-privs", "--nice", "2", "--no-core"]
    process = run(house, *words, "--env", "A=b", house.script("report('here')\nforever()"))
    assert house.hear() == "here"
    seen = status(process.pid)
    assert seen["Uid"].split() == [str(NOBODY)] * 4 and seen["Umask"] == "0077" and seen["NoNewPrivs"] == "1"
    assert os.readlink(f"/proc/{process.pid}/cwd") == str(house.folder)
    assert environment(process.pid)["A"] == "b"
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 2
    process.kill()
    process.wait(LIMIT)
    house.stop().is_(0, "does not run")


def test_killed(house: House) -> None:
    """The file is stale, and blocks nothing."""
    for _ in range(2):
        process = run(house, *house.shell("say $$; exec sleep 1000"))
        assert house.hear() == str(process.pid)
        process.kill()
        process.wait(LIMIT)
        assert house.pid() == process.pid
    house.started("sleep", "1000")
    house.stop().is_(0)


def test_runs_already(house: House) -> None:
    """In the foreground that is a failure: a supervisor waits for the process that it has started."""
    pid = house.started("sleep", "1000")
    process = run(house, "sleep", "1000", stderr=subprocess.PIPE)
    err = process.communicate(timeout=LIMIT)[1]
    assert process.returncode == 1 and f"already running as PID {pid}" in err
    house.start("--dry-run", "sleep", verb="run").is_(1)
    house.stop().is_(0)


def test_what_a_supervisor_passes_on(house: House) -> None:
    listener = socket.socket()
    script = house.script("""
        report(os.environ["NOTIFY_SOCKET"], os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] == str(os.getpid()),
               os.environ["WATCHDOG_USEC"], socket.socket(fileno=3).family.name)
        forever()
    """)
    names = 'NOTIFY_SOCKET=@somewhere WATCHDOG_USEC=9 WATCHDOG_PID=$$ LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"'
    line = f"exec 3<&{listener.fileno()}; {names}"
    argv = ["bash", "-c", line, "bash", COMMAND, "run", "-p", str(house.pid_path), "--keep-fd", str(house.mouth), script]
    process = subprocess.Popen(argv, pass_fds=[house.mouth, listener.fileno()])
    listener.close()
    assert house.hear() == "@somewhere 1 True 9 AF_INET"
    assert process.pid == house.pid()
    house.stop().is_(0)
    process.wait(LIMIT)


def test_in_a_terminal(house: House) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        words = ["run", "-p", house.pid_path, "--keep-fd", house.mouth, *house.shell("say here; exec sleep 1000")]
        os.execv(COMMAND, [COMMAND, *map(str, words)])
    assert house.hear() == "here" and stat(pid)[4] != "0"
    os.write(terminal, b"\x03")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGINT
    os.close(terminal)
    house.stop().is_(0)


def test_without_a_pid_file(house: House) -> None:
    argv = [COMMAND, "run", "--no-pidfile", "--keep-fd", str(house.mouth), house.script("report('here')\nforever()")]
    process = subprocess.Popen(argv, pass_fds=[house.mouth])
    assert house.hear() == "here"
    assert set(descriptors(process.pid)) == {0, 1, 2, house.mouth}
    process.kill()
    process.wait(LIMIT)


def test_dry_run(house: House) -> None:
    said = house.start("--dry-run", "--json", "sleep", "1000", verb="run").is_(0).json
    assert said["result"] == "would_run" and said["command"] == ["sleep", "1000"] and not house.pid_path.exists()
