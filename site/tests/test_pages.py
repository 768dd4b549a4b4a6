"""The pages to start with and the recipes, done as they stand there: files written, commands typed, what they print compared."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import uuid

import pytest
from page import HERE, REPOSITORY, Type, outputs, pages, place, script, steps

LIMIT = 60  # seconds for a page
SANDBOX = REPOSITORY / "man/tests/sandbox.py"
LIBRARY_FOLDER = pathlib.Path(os.environ.get("LIBDAEMON_DIR") or REPOSITORY / "target/lib").resolve()
COMMAND = pathlib.Path(os.environ.get("DAEMONCTX") or REPOSITORY / "target/release/daemonctx").resolve()
TOOLS = pathlib.Path(os.environ.get("SITE_TOOLS") or REPOSITORY / "target/debian/site/root").resolve()
HERE_PAGES = [path for path in pages() if place(path) == "here"]


def environment(folder: pathlib.Path) -> dict[str, str]:
    """As after `make install` and `pip install`."""
    paths = [folder, COMMAND.parent, pathlib.Path(sys.executable).parent, TOOLS / "usr/bin", TOOLS / "usr/sbin", TOOLS / "bin"]
    cargo = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    libraries = f"{LIBRARY_FOLDER}:{TOOLS}/usr/lib/x86_64-linux-gnu:{TOOLS}/lib/x86_64-linux-gnu"
    return {"PATH": ":".join(map(str, paths)) + f":{cargo}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
            "LD_LIBRARY_PATH": libraries, "PKG_CONFIG_PATH": str(LIBRARY_FOLDER / "pkgconfig"), "HOME": os.environ.get("HOME", "/root"),
            "CARGO_HOME": cargo, "CARGO_NET_OFFLINE": "true", "CARGO_TARGET_DIR": str(REPOSITORY / "target/site-cargo"),
            "TOOLS": str(TOOLS), "PYTHONDONTWRITEBYTECODE": "1"}


def done(path: pathlib.Path, folder: pathlib.Path) -> str:
    """All that the page's commands print, in a machine that is gone afterwards."""
    mark = f"mark{uuid.uuid4().hex}"
    work = folder / "work"
    work.mkdir()
    # Where a page's reader has the sources.
    (folder / "daemonctx").symlink_to(REPOSITORY)
    (folder / "script").write_text(script(steps(path), mark))
    line = f"cd {work} && exec python3 -I -S {HERE / 'alone.py'} {folder / 'script'}"
    enter = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc"]
    with open(folder / "output", "w+") as output:
        subprocess.run([*enter, sys.executable, "-I", "-S", SANDBOX, folder, line], cwd=folder, env=environment(work),
                       stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=LIMIT, check=False)
        output.seek(0)
        return f"{mark} {output.read()}"


def compare(path: pathlib.Path, text: str) -> None:
    mark, _, text = text.partition(" ")
    said = outputs(text, mark)
    assert "end" in said, f"the commands were not all run\n{text[-2000:]}"
    for number, step in enumerate(steps(path)):
        if isinstance(step, Type):
            printed = said[str(number)].strip("\n")
            assert re.fullmatch(step.pattern(), printed) or printed == step.output.strip("\n"), \
                f"$ {step.command}\nthe page says:\n{step.output}\nthis is printed:\n{printed}"


@pytest.mark.parametrize("path", HERE_PAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_done_as_it_stands(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("a machine of its own for each page needs root")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    compare(path, done(path, tmp_path))
