"""Every program of a page compiles without a warning, and does what the comment above it says."""

from __future__ import annotations

import os
import pathlib
import shlex
import subprocess
import sys

import pytest
from pages import COMMAND, HERE, INCLUDE, LIBRARY_FOLDER, Example, Page, pages

LIMIT = 30  # seconds for an example
ALL = [(page, example) for page in pages() for example in page.examples()]
WARNINGS = "-std=gnu11 -Wall -Wextra -Werror"


def compiled(example: Example, folder: pathlib.Path) -> None:
    source = folder / f"{example.name}.c"
    source.write_text(example.program)
    subprocess.run([os.environ.get("CC", "cc"), *WARNINGS.split(), "-I", INCLUDE, "-o", folder / example.name, source,
                    "-L", LIBRARY_FOLDER, f"-Wl,-rpath,{LIBRARY_FOLDER}", *example.libraries()], check=True, timeout=LIMIT)


def run(example: Example, folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
    mapped = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    enter = ["unshare", *mapped, "--mount", "--pid", "--net", "--fork", "--kill-child", "--mount-proc"]
    environment = {"PATH": f"{folder}:{COMMAND.parent}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    # A file and no pipe: a daemon that keeps one would be waited for.
    with open(folder / "output", "w+") as output:
        done = subprocess.run([*enter, sys.executable, "-I", "-S", HERE / "sandbox.py", folder, example.run], cwd=folder,
                              env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=LIMIT)
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, output.read(), "")


@pytest.mark.parametrize(("page", "example"), ALL, ids=[f"{page}-{example.name}" for page, example in ALL])
def test_example(page: Page, example: Example, tmp_path: pathlib.Path) -> None:
    if os.geteuid() != 0 and "set_user" in example.program:
        pytest.skip("another user needs root")
    tmp_path.chmod(0o755)
    compiled(example, tmp_path)
    done = run(example, tmp_path)
    assert done.returncode == 0, f"{shlex.quote(example.run)}: {done.returncode}\n{done.stdout}"


@pytest.mark.parametrize("page", pages(), ids=repr)
def test_no_program_without_a_test(page: Page) -> None:
    assert page.programs() == len(page.examples())
