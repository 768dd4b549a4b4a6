"""Runs a suite and holds its failures against those that are expected: run.py NAME COMMAND...

`expected.txt` beside this file has a line `NAME: TEST  # why` for each test that needs what is missing. A test that fails and is not
listed fails the run, and so does one that is listed and passes. pytest's are counted without their parameters.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

# How the suites say it: bindings/c-tests, core/tests/processes and libtest, pytest -rfEp.
FAILED = [
    re.compile(r"^  FAILED +(?P<test>.+) \(\d+ ms\)$"),
    re.compile(r"^test (?P<test>.+) \.\.\. FAILED"),
    re.compile(r"^(?:FAILED|ERROR) (?P<test>[^\[\s]+)"),
]
PASSED = [
    re.compile(r"^  ok +(?P<test>.+) \(\d+ ms\)$"),
    re.compile(r"^test (?P<test>.+) \.\.\. ok"),
    re.compile(r"^PASSED (?P<test>[^\[\s]+)"),
]


def expected(suite: str) -> dict[str, str]:
    """The tests of a suite that fail, with the reason."""
    lines = (pathlib.Path(__file__).parent / "expected.txt").read_text().splitlines()
    entries = (line.split("  # ", 1) for line in lines if line and not line.startswith("#"))
    named = ((*entry.split(": ", 1), reason) for entry, reason in entries)
    return {test: reason for name, test, reason in named if name == suite}


def found(line: str, patterns: list[re.Pattern[str]]) -> str | None:
    matches = (pattern.match(line) for pattern in patterns)
    return next((match["test"] for match in matches if match), None)


def run(command: list[str]) -> tuple[set[str], set[str], str]:
    """What failed, what passed, and all that was said."""
    failed: set[str] = set()
    passed: set[str] = set()
    said: list[str] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as suite:
        assert suite.stdout
        for line in suite.stdout:
            said.append(line)
            if test := found(line.rstrip("\n"), FAILED):
                failed.add(test)
            elif test := found(line.rstrip("\n"), PASSED):
                passed.add(test)
    return failed, passed, "".join(said)


def main() -> int:
    suite, *command = sys.argv[1:]
    failed, passed, said = run(command)
    listed = expected(suite)
    unexpected, stale = failed - listed.keys(), listed.keys() - failed
    if unexpected or stale or not passed:
        print(said)
    for test in sorted(unexpected):
        print(f"{suite}: fails: {test}")
    for test in sorted(stale):
        print(f"{suite}: listed in expected.txt, and does not fail: {test}")
    print(f"{suite}: {len(passed)} passed, {len(failed)} failed, of which {len(failed & listed.keys())} are expected")
    return int(bool(unexpected or stale or not passed))


if __name__ == "__main__":
    sys.exit(main())
