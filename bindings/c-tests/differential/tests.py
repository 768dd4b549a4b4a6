"""The list of differences is the documentation's, and the programs call everything: ``python -m unittest differential.tests``."""

from __future__ import annotations

import pathlib
import re
import unittest
from typing import Any

from . import allowed, programs

HEADERS = pathlib.Path(__file__).resolve().parents[3] / "include/libdaemon"


class Tests(unittest.TestCase):
    def test_each_row_quotes_the_page(self) -> None:
        page = allowed.text_of_page()
        for row in [*allowed.ROWS, *allowed.CONSEQUENCES]:
            with self.subTest(row.sentence):
                self.assertIn(row.sentence, page)

    def test_each_row_names_what_differs(self) -> None:
        for row in [*allowed.ROWS, *allowed.CONSEQUENCES]:
            self.assertNotIn(".*", row.names)
            for name in ("main Umask", "main.d0 cwd", "main SigIgn", "main.d0 SigBlk", "main Uid"):
                case = allowed.Case(programs.make(1, 0), name, "0022", "0077", {}, {name: "0022"}, {name: "0077"})
                self.assertFalse(row.explains(case), row)

    def test_rows_take_what_one_does_not_have(self) -> None:
        for number in range(50):
            spec = programs.make(1, number)
            places = [f"main {line:02} {call[0]}" for line, call in enumerate(spec["script"])]
            # Each row looks at these first.
            found = {f"{place} returns": ("0", "-1") for place in places if "_pid_file_" in place or "_exec" in place}
            values: dict[str, Any] = {f"{place} {aspect}": "0" for place in places for aspect in ("returns", "errno", "detail")}
            values.update({f"{place} {aspect}": ["(message)"] for place in [*places, "end"] for aspect in ("stdout", "stderr", "syslog")})
            values.update({f"main {name}": [10] for name in ("SigPnd", "ShdPnd", "03 handlers", "zombies")})
            values.update({name: "-rw-r--r-- 0 0" for name in ("main descriptor 03", "main status", "main dies syslog", "left box/x.pid", "victim")})
            for name, value in values.items():
                for original, ours in ((value, None), (None, value)):
                    allowed.explanation(allowed.Case(spec, name, original, ours, {**found, name: (original, ours)}, {}, {}))

    def test_programs_call_every_function(self) -> None:
        headers = "".join(path.read_text() for path in HEADERS.glob("*.h"))
        functions = set(re.findall(r"^(?:int|void|pid_t|char \*|const char \*) ?(daemon_\w+)\(", headers, re.M))
        self.assertEqual(len(functions), 29)
        called = {call[0] for number in range(500) for call in allowed.all_calls(programs.make(1, number)["script"])}
        self.assertEqual(functions - called, set())

    def test_a_seed_gives_the_same_programs(self) -> None:
        self.assertEqual(programs.make(3, 4), programs.make(3, 4))
        self.assertNotEqual(programs.make(3, 4), programs.make(3, 5))


if __name__ == "__main__":
    unittest.main()
