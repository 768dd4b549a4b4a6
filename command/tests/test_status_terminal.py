"""`daemonctx status` on a real terminal: as wide as that is, in colours where it has some."""

from __future__ import annotations

import os
import pathlib

import pytest
from daemons import COMMAND, House, house, proc
from terminal import SEQUENCE, plain, shown, width
from test_status import start_busy

__all__ = ["house"]


def look(house: House, *words: str, columns: int = 80, **variables: str) -> str:
    status, text = shown(COMMAND, "status", "--pidfile", str(house.pid_path), *words, columns=columns, **variables)
    assert status == 0
    return text


@pytest.fixture
def busy(house: House) -> House:
    """A daemon with long lines in its log, in letters of one column and of two."""
    start_busy(house)
    with open(house.folder / "out.log", "a") as file:
        file.write("words " * 100 + "\n" + "日本語" * 100 + "\n" + "-" * 1000 + "\n")
    return house


@pytest.mark.parametrize("columns", [20, 40, 80, 120])
def test_nothing_is_wider_than_the_terminal(busy: House, columns: int) -> None:
    lines = plain(look(busy, columns=columns)).splitlines()
    assert max(map(width, lines)) <= columns
    assert max(map(width, lines)) > columns - 3, "what is there is used"
    rows = [line for line in lines if line.startswith("    words")]
    assert 1 < len(rows) <= 3 and rows[-1].endswith("…"), "a line takes three rows at most"
    assert len([line for line in lines if "日" in line or "本" in line]) <= 3
    busy.stop().is_(0)


def test_it_says_the_same_at_any_width(busy: House) -> None:
    def words(text: str) -> list[str]:
        return [word for word in plain(text).split("out.log\n")[0].split("  processes")[0].split() if word != "CPU"]

    narrow, wide = (look(busy, columns=columns, LC_ALL="C.UTF-8") for columns in (60, 300))
    assert words(narrow)[:9] == words(wide)[:9]
    assert "two words'" in plain(narrow) and "two words'" in plain(wide)
    busy.stop().is_(0)


def test_colours(busy: House) -> None:
    text = look(busy)
    assert text.startswith("\x1b[1;32m●\x1b[0m \x1b[1mtest\x1b[0m is \x1b[1;32mrunning\x1b[0m since ")
    assert "\x1b[2mcommand\x1b[0m" in text and f"\x1b[1m{busy.folder}/out.log\x1b[0m" in text
    for without in ({"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}):
        assert not SEQUENCE.search(look(busy, **without)), without
    assert SEQUENCE.search(look(busy, NO_COLOR="")), "empty is not set (no-color.org)"
    busy.stop().is_(0)


def test_colours_of_other_states(house: House) -> None:
    where = [COMMAND, "status", "--pidfile", str(house.pid_path)]
    status, text = shown(*where)
    assert status == 3 and text.startswith("\x1b[2m○\x1b[0m \x1b[1mtest\x1b[0m is \x1b[2mnot running\x1b[0m\n")
    house.pid_path.write_text("0")
    status, text = shown(*where)
    assert status == 1 and text.startswith("\x1b[1;31m●\x1b[0m \x1b[1mtest\x1b[0m is \x1b[1;31mdead\x1b[0m, and ")
    house.pid_path.unlink()


@pytest.mark.parametrize(
    "locale, unicode",
    [
        ({"LC_ALL": "C", "LANG": "C.UTF-8"}, False),
        ({"LC_ALL": "", "LC_CTYPE": "en_US.utf8", "LANG": "C"}, True),
        ({"LC_CTYPE": "C", "LANG": "C.UTF-8"}, False),
        ({"LANG": "de_DE.UTF-8"}, True),
        ({"LANG": ""}, False),
    ],
)
def test_characters(busy: House, locale: dict[str, str], unicode: bool) -> None:
    text = plain(look(busy, **locale))
    assert text.isascii() != unicode
    assert ("● test" if unicode else "* test") in text and ("└─ " if unicode else "`- ") in text
    assert ("日本語" if unicode else r"\xe6\x97\xa5\xe6") in text
    assert ("…\n" if unicode else "...\n") in text
    busy.stop().is_(0)


def test_a_terminal_that_does_not_know_its_width(busy: House) -> None:
    for variables, columns in (({}, 80), ({"COLUMNS": "50"}, 50), ({"COLUMNS": "x"}, 80)):
        lines = plain(look(busy, columns=0, **variables)).splitlines()
        assert columns - 3 < max(map(width, lines)) <= columns
    assert max(map(width, plain(look(busy, columns=60, COLUMNS="200")).splitlines())) <= 60, "what is there counts"
    busy.stop().is_(0)


def test_many_processes(house: House) -> None:
    pid = house.started("--", *house.shell("for n in 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0; do sleep 100 & done; say x; wait"))
    house.hear()
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    while {proc(child, "comm") for child in children} != {"sleep\n"}:
        os.sched_yield()
    text = plain(look(house))
    assert text.count(" sleep 100\n") == 23 and "             and 7 more\n" in text
    assert house.command("status", "--pidfile", house.pid_path).stdout.count(" sleep 100\n") == 30
    house.stop().is_(0)


def test_hundreds_of_processes(house: House) -> None:
    """In text two hundred; in JSON all."""
    house.started("--", *house.shell("n=0; while [ $n -lt 230 ]; do sleep 1000 & n=$((n + 1)); done; say x; wait"))
    house.hear()
    shown = house.command("status", "--pidfile", house.pid_path, env={**os.environ, "LC_ALL": "C"}).is_(0).stdout
    assert shown.count("|- ") == 199 and "             and 31 more\n" in shown
    assert len(house.command("status", "--json", "--pidfile", house.pid_path).json["processes"]) == 231
    house.stop().is_(0)


def test_json_is_for_programs(busy: House) -> None:
    text = look(busy, "--json", columns=40)
    assert text.count("\n") == 1 and not SEQUENCE.search(text) and "\x1b" not in text
    busy.stop().is_(0)


def test_printed_to_nowhere(house: House) -> None:
    """A reader that leaves is no error; test_output.py has the full disk."""
    house.started("--", "sleep", "1000")
    reader, writer = os.pipe()
    os.close(reader)
    house.command("status", "--pidfile", house.pid_path, stdout=writer).is_(0)
    os.close(writer)
    house.stop().is_(0)
