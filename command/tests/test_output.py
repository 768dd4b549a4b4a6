"""What is printed on standard output."""

from __future__ import annotations

from daemons import House, house

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]


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
