"""What docs/command.md and docs/monitor.md promise of JSON, of exit codes and of the state file."""

from __future__ import annotations

import os
import pathlib
import re
from typing import Any

import pytest
from daemons import House, house
from fetched import REPOSITORY

__all__ = ["house"]

COMMAND_PAGE = REPOSITORY / "docs/command.md"
MONITOR_PAGE = REPOSITORY / "docs/monitor.md"
TYPES = {"string": str, "number": (int, float), "object": dict, "array": list}
SLEEP = ["sleep", "1000"]


def table(page: pathlib.Path, heading: str) -> dict[str, str]:
    """The names in the first column of the last table below a heading, with what stands beside them."""
    part = page.read_text().split(f"\n{heading}\n")[1]
    part = re.split(r"\n##+ ", part)[0]
    rows = re.findall(r"^\| (`[^|]*`) \| (.*) \|$", part, re.MULTILINE)
    return {name: value for names, value in rows for name in re.findall(r"`([^`]+)`", names)}


def assert_as_documented(found: dict[str, Any], documented: dict[str, str]) -> None:
    assert list(found) == list(documented)
    for key, value in found.items():
        kind = re.match(r"\w+", documented[key])
        assert value is None or isinstance(value, TYPES[kind[0]] if kind else object), (key, value)
        if isinstance(value, dict):
            assert list(value) == re.findall(r"`(\w+)`", documented[key])
        if isinstance(value, list) and value and isinstance(value[0], dict):
            assert list(value[0]) == re.findall(r"`(\w+)`", documented[key])


def status(house: House) -> Any:
    return house.command("status", "--pidfile", house.pid_path, "--json").json


def listed(house: House) -> Any:
    daemons = house.command("list", "--json").is_(0).json["daemons"]
    return next(one for one in daemons if one["pidfile"] == str(house.pid_path))


def state_file(house: House) -> dict[str, str]:
    """By its documented place: the pid file's path, escaped."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/tmp/daemonctx-{os.geteuid()}"
    key = str(house.pid_path).replace("-", "\\x2d").replace("/", "-")
    with open(f"{'/run' if os.geteuid() == 0 else runtime}/daemonctx/{key}.state") as file:
        assert os.fstat(file.fileno()).st_mode & 0o777 == 0o644
        lines = file.read().splitlines()
    assert lines[0] == "daemonctx=1"
    return dict(line.split("=", 1) for line in lines)


def test_status_and_list_of_a_running_daemon(house: House) -> None:
    pid = house.started("--stdout", house.folder / "log", *house.shell("echo line; exec sleep 1000"))
    found = status(house)
    assert_as_documented(found, table(COMMAND_PAGE, "### `status --json`"))
    assert (found["result"], found["status"], found["pid"]) == ("running", 0, pid)
    assert_as_documented(listed(house), table(COMMAND_PAGE, "### `list --json`"))
    house.stop().is_(0)


def test_status_of_what_does_not_run(house: House) -> None:
    found = status(house)
    assert_as_documented(found, table(COMMAND_PAGE, "### `status --json`"))
    assert (found["result"], found["status"]) == ("not_running", 3)


def test_status_of_what_is_left(house: House) -> None:
    go = house.pid_path.with_name("go")
    os.mkfifo(go)
    house.started("--notify", "exec", *house.shell(f"sleep 1000 & say here; read line <{go}; exit 4"))
    house.hear()
    go.write_text("\n")
    while (found := status(house))["result"] == "running":
        pass
    assert_as_documented(found, table(COMMAND_PAGE, "### `status --json`"))
    assert (found["result"], found["status"], len(found["holders"])) == ("held", 2, 1)
    house.stop().is_(0)


def test_exit_codes_of_status_have_their_results() -> None:
    part = COMMAND_PAGE.read_text().split("| code of `status` |")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| (\d) \| (`[^|]+) \|", part, re.MULTILINE))
    assert rows == {"0": "`running`", "1": "`dead`", "2": "`held`", "3": "`not_running`", "4": "`starting`, `unknown`"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--bogus", *SLEEP], 2), (["/nonexistent/program"], 5), (["/etc/passwd"], 4), (["--user", "no-such-user", *SLEEP], 6),
        (["--chdir", "/nonexistent", *SLEEP], 6), (["--keep-fd", "777", *SLEEP], 6), (["--stdout", "/nonexistent/log", *SLEEP], 6),
        (["--notify", "fd", "--ready-timeout", "200ms", *SLEEP], 124), (["sh", "-c", "exit 42"], 42), (["sh", "-c", "exit 0"], 1),
        (["sh", "-c", "kill -9 $$"], 137),
    ],
)
def test_exit_codes_of_start(house: House, words: list[str], code: int) -> None:
    said = house.start("--json", *words)
    assert said.returncode == code
    error = said.json["error"]
    assert error["status"] == code and error["message"] in said.stderr


def test_exit_code_of_another_command_line(house: House) -> None:
    house.started(*SLEEP)
    house.start("sleep", "1001").is_(1, "", "another command line")
    house.stop().is_(0)


def test_exit_code_of_what_does_not_run(house: House) -> None:
    house.command("reload", "--pidfile", house.pid_path).is_(7)
    house.stop().is_(0)


def test_state_file_has_the_documented_fields(house: House) -> None:
    documented = set(table(MONITOR_PAGE, "## State file"))
    words = ["--stdout", house.folder / "log", "--stderr", house.folder / "log", "--kill-mode", "process", "--respawn"]
    pid = house.started(*words, *house.shell("exec sleep 1000"))
    found = state_file(house)
    assert set(found) <= documented
    assert found["state"] == "running" and found["pidfile"] == str(house.pid_path) and found["killmode"] == "process"
    assert found["program"].split(" ")[0] == str(pid) and found["stdout"] == f"file {house.folder}/log"
    assert found["command"].split("\t")[:2] == ["sh", "-c"] and "\\n" in found["command"]
    assert documented - set(found) <= {"guard", "end"}
    house.stop().is_(0)


def test_state_file_of_a_daemon_that_ended_says_how(house: House) -> None:
    house.start("--notify", "exec", "sh", "-c", "sleep 0.3; exit 3").is_(0)
    while (found := state_file(house))["state"] != "ended":
        pass
    assert found["end"] == "exited 3" and "program" not in found
    assert status(house)["last_end"] == "exited with status 3"
    house.stop().is_(0)
