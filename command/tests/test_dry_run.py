"""`--dry-run`: everything is checked and said, and nothing done."""

from __future__ import annotations

import os

import pytest
from daemons import House, house

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]


def test_start(house: House) -> None:
    said = house.start("--dry-run", "-n", "x", "--chdir", "/tmp", *SLEEP).is_(0)
    lines = said.stdout.splitlines()
    assert lines[0] == "x: would start sleep 1000"
    assert any(line.split() == ["program", "/usr/bin/sleep"] or line.split() == ["program", "/bin/sleep"] for line in lines)
    assert any(line.split() == ["pid", "file", str(house.pid_path)] for line in lines)
    assert "  --name x" in lines and "  --chdir /tmp" in lines
    assert not house.pid_path.exists()


def test_json(house: House) -> None:
    said = house.start("--dry-run", "--json", "-n", "x", *SLEEP).is_(0).json
    assert said.pop("program").endswith("/bin/sleep")
    expected = {"result": "would_start", "dry_run": True, "name": "x", "command": ["sleep", "1000"]}
    assert said == {**expected, "pidfile": str(house.pid_path)}


def test_one_that_runs(house: House) -> None:
    pid = house.started(*SLEEP)
    house.start("--dry-run", *SLEEP).is_(0, f"sleep: runs already, PID {pid}")
    house.stop("--dry-run").is_(0)
    assert house.pid() == pid
    house.stop().is_(0)


@pytest.mark.parametrize(
    "words, code",
    [
        (["/nonexistent"], 5),
        (["/etc/passwd"], 4),
        (["--user", "nonesuch", *SLEEP], 6),
        (["--chdir", "/nonexistent", *SLEEP], 6),
        (["--keep-fd", "97", *SLEEP], 6),
        (["--umask", "x", *SLEEP], 2),
        (["--stdout", "/nonexistent/log", *SLEEP], 6),
        (["--stderr", "/tmp", *SLEEP], 6),
        (["--stdin", "/nonexistent", *SLEEP], 6),
        (["--stdout", "/proc/log", "--log-owner", "nonesuch", *SLEEP], 6),
    ],
)
def test_what_is_wrong(house: House, words: list[str], code: int) -> None:
    house.start("--dry-run", *words).is_(code)


def test_nothing_is_touched(house: House) -> None:
    log = house.folder / "log"
    log.write_text("old\n")
    house.start("--dry-run", "-o", log, "--truncate", "-e", house.folder / "new", *SLEEP).is_(0)
    assert log.read_text() == "old\n" and sorted(os.listdir(house.folder)) == ["log"]
    house.pid_path.write_text("77777777\n")
    house.start("--dry-run", *SLEEP).is_(0)
    assert house.pid_path.read_text() == "77777777\n"
    house.pid_path.unlink()


def test_options_are_shown_as_they_are_typed(house: House) -> None:
    words = ["--env", "A=it's here", "--no-core", "--notify", "exec"]
    lines = house.start("--dry-run", *words, *SLEEP).is_(0).stdout.splitlines()
    own = ["  --dry-run", f"  --keep-fd {house.mouth}", f"  --pidfile {house.pid_path}"]
    assert sorted(line for line in lines if line.startswith("  --")) == sorted(
        [*own, "  --env 'A=it'\\''s here'", "  --no-core", "  --notify exec"])


def test_every_option_is_shown_once(house: House) -> None:
    """One of each structure of options."""
    words = ["--name", "x", "--group", "0", "--stdout", house.folder / "log", "--truncate", "--env", "A=b", "--env", "C=d", "-t", "5s",
             "--respawn", "--quiet"]
    shown = house.start("--dry-run", "--json", *words, *SLEEP).is_(0).json
    assert shown["result"] == "would_start"
    lines = house.start("--dry-run", *words[:-1], *SLEEP).is_(0).stdout.splitlines()
    own = ["--dry-run", f"--keep-fd {house.mouth}", f"--pidfile {house.pid_path}"]
    expected = ["--name x", "--group 0", f"--stdout {house.folder}/log", "--truncate", "--env A=b", "--env C=d", "--ready-timeout 5s",
                "--respawn"]
    assert sorted(line.strip() for line in lines if line.startswith("  --")) == sorted([*own, *expected])
