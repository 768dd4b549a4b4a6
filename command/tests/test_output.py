"""Standard output that cannot be written: what was done or found has its exit status all the same."""

from __future__ import annotations

import pytest
from daemons import House, Said, house

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]
LINE = "daemonctx: cannot write to standard output: No space left on device (os error 28)\n"


def full(house: House, *words: object) -> Said:
    with open("/dev/full", "w") as disk:
        return house.command(*words, stdout=disk)


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
def test_a_full_output_changes_no_status_of_what_was_done(house: House, json: list[str]) -> None:
    place = ["--pidfile", house.pid_path, *json]
    steps = [
        (["status", *place], 3),
        (["start", *place, *SLEEP], 0),
        (["start", *place, *SLEEP], 0),
        (["status", *place], 0),
        (["reload", *place, "--signal", "CONT"], 0),
        (["restart", *place, *SLEEP], 0),
        (["try-restart", *place, *SLEEP], 0),
        (["stop", *place], 0),
        (["stop", *place], 0),
        (["try-restart", *place, *SLEEP], 0),
    ]
    for words, status in steps:
        said = full(house, *words)
        assert (said.returncode, said.stderr) == (status, LINE), words
    house.pid_path.write_text("77777777\n")
    dead = full(house, "status", *place)
    assert (dead.returncode, dead.stderr) == (1, LINE)
    house.pid_path.unlink()


def test_a_command_whose_only_result_is_its_output_fails(house: House) -> None:
    house.started("--stdout", house.folder / "log", *house.shell("echo logged; say here; exec sleep 1000"))
    assert house.hear() == "here"
    place = ["--pidfile", house.pid_path]
    commands = [["list"], ["logs", *place], ["help"], ["help", "start"], ["--version"], ["completions", "bash"],
                ["start", "--dry-run", *place, "--", "sh", "-c", "exec sleep 1"], ["stop", "--dry-run", *place], ["reload", "--dry-run", *place],
                ["try-restart", "--dry-run", "--pidfile", house.folder / "none.pid", *SLEEP]]
    for words in commands:
        said = full(house, *words)
        assert (said.returncode, said.stderr.count("\n")) == (1, 1), words
    house.stop().is_(0)


def test_quiet_writes_nothing(house: House) -> None:
    for verb, words, status in [("start", SLEEP, 0), ("status", [], 0), ("stop", [], 0), ("status", [], 3)]:
        said = full(house, verb, "-q", "--pidfile", house.pid_path, *words)
        assert (said.returncode, said.stderr) == (status, "")


def test_a_closed_output_is_the_null_device(house: House) -> None:
    for verb, words, status in [("start", SLEEP, 0), ("status", [], 0), ("stop", [], 0), ("status", [], 3), ("list", [], 0)]:
        place = [] if verb == "list" else ["--pidfile", house.pid_path]
        said = house.command(verb, *place, *words, wrap=["sh", "-c", 'exec "$@" >&-', "sh"])
        assert (said.returncode, said.stderr) == (status, "")


def test_control_characters_in_a_name_are_escaped_everywhere(house: House) -> None:
    name = "a\x1b[31m\nb: started, PID 1"
    shown = r"a\x1b[31m\nb: started, PID 1"
    steps = [
        (["start", "--dry-run", "--name", name, "--pidfile", house.pid_path, *SLEEP], f"{shown}: would start sleep 1000"),
        (["start", "--name", name, "--pidfile", house.pid_path, *SLEEP], f"{shown}: started, PID "),
        (["start", "--name", name, "--pidfile", house.pid_path, *SLEEP], f"{shown}: runs already, PID "),
        (["reload", "--signal", "CONT", "--pidfile", house.pid_path, name], f"{shown}: sent CONT to PID "),
        (["stop", "--dry-run", "--pidfile", house.pid_path, name], f"{shown}: would send TERM, KILL to PID "),
        (["stop", "--pidfile", house.pid_path, name], f"{shown}: stopped, PID "),
        (["stop", "--pidfile", house.pid_path, name], f"{shown}: does not run"),
    ]
    for words, line in steps:
        said = house.command(*words).is_(0)
        assert said.stdout.startswith(line)
        assert "--dry-run" in words or said.stdout.count("\n") == 1, said.stdout
