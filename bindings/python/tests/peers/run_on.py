"""Runs the tests on other CPythons, with the wheel: ``run_on.py 3.9 3.13 [-- what pytest takes]``.

What one of them does not have is said and left out; that none is there is an error.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import fetch

TESTS = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ("pytest>=7", "pytest-timeout")


def main(words: list[str]) -> int:
    versions, _, arguments = (words[: words.index("--")], "", words[words.index("--") + 1 :]) if "--" in words else (words, "", [])
    ran, failed = [], []
    for version in versions:
        try:
            python = fetch.python(version)
        except fetch.Unavailable as why:
            print(f"== left out: {why}")
            continue
        wheel = fetch.wheel()
        # Those of two wheels would make each other's anew each time.
        folder = fetch.venv("tests-of-given" if "DAEMONCTX_WHEEL" in os.environ else "tests", wheel, *TOOLS, python=python)
        print(f"== CPython {version}: {python}", flush=True)
        ran.append(version)
        # Not in the folder of the sources: there is another build of the package.
        command = [str(folder / "bin/python"), "-m", "pytest", "-q", "-c", str(TESTS.parent / "pyproject.toml"), *arguments]
        if subprocess.run(command + [str(TESTS)], cwd=folder).returncode:
            failed.append(version)
    if failed or not ran:
        print(f"failed on {', '.join(failed)}" if failed else f"none of {', '.join(versions)} is here", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
