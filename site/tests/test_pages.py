"""The pages to start with and the recipes, done as they stand there: files written, commands typed, what they print compared."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import uuid
from typing import Iterator

import pytest
# A machine with a real systemd, as the tests of services have it.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bindings/c-tests/systemd"))

import machine as machines
import packages
from page import HERE, REPOSITORY, Type, outputs, pages, place, script, steps

LIMIT = 180  # seconds for a page, which may compile tokio
SANDBOX = REPOSITORY / "man/tests/sandbox.py"
LIBRARY_FOLDER = pathlib.Path(os.environ.get("LIBDAEMON_DIR") or REPOSITORY / "target/lib").resolve()
COMMAND = pathlib.Path(os.environ.get("DAEMONCTX") or REPOSITORY / "target/release/daemonctx").resolve()
TOOLS = pathlib.Path(os.environ.get("SITE_TOOLS") or REPOSITORY / "target/debian/site/root").resolve()
RUNTIMES = pathlib.Path(os.environ.get("RUNTIMES") or REPOSITORY / "target/debian/runtimes").resolve()
RUNTIMES_NEEDED = ("usr/bin/go", "usr/bin/node", "usr/bin/ruby", "usr/bin/php", "usr/bin/luajit", "usr/local/lib/node_modules/koffi")
SYSTEMD = REPOSITORY / "bindings/c-tests/systemd"
SYSTEM_PYTHON = "/usr/bin/python3"
HERE_PAGES = [path for path in pages() if place(path) == "here"]
RUNTIMES_PAGES = [path for path in pages() if place(path) == "with the runtimes"]
SYSTEMD_PAGES = [path for path in pages() if place(path) == "below systemd"]


def environment(folder: pathlib.Path) -> dict[str, str]:
    """As after `make install` and `pip install`."""
    paths = [folder, pathlib.Path(sys.executable).parent, "/usr/local/bin"]
    cargo = os.environ.get("CARGO_HOME", os.path.expanduser("~/.cargo"))
    return {
        "PATH": ":".join([*map(str, paths), f"{cargo}/bin", "/usr/sbin:/usr/bin:/sbin:/bin"]),
        "LC_ALL": "C.UTF-8",
        "HOME": os.environ.get("HOME", "/root"),
        "LD_LIBRARY_PATH": str(LIBRARY_FOLDER),
        "PKG_CONFIG_PATH": str(LIBRARY_FOLDER / "pkgconfig"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "CARGO_HOME": cargo,
        "CARGO_NET_OFFLINE": "true",
        "CARGO_TARGET_DIR": str(REPOSITORY / "target/site-cargo"),
        "NODE_PATH": "/usr/local/lib/node_modules",
        "GOCACHE": str(RUNTIMES / "go-cache"),
        # For alone.py.
        "TOOLS": f"{TOOLS}:{RUNTIMES / 'root'}",
        "DAEMONCTX": str(COMMAND),
    }


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


@pytest.mark.parametrize("path", RUNTIMES_PAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_done_with_the_runtimes(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    # One JDK is new enough, and not another that the machine has.
    places = {name: [RUNTIMES / "root", pathlib.Path("/")] for name in RUNTIMES_NEEDED} | {"usr/bin/javac": [RUNTIMES / "root"]}
    missing = [name for name, folders in places.items() if not any((folder / name).exists() for folder in folders)]
    if missing:
        pytest.skip(f"`make check-runtimes` unpacks what it can; there is no {', '.join(missing)}")
    test_done_as_it_stands(path, tmp_path)


@pytest.fixture(scope="module")
def machine() -> Iterator[machines.Machine]:
    """As after `make install` and `pip install`."""
    if os.geteuid() != 0 or not os.path.exists(SYSTEM_PYTHON):
        pytest.skip("a machine with systemd needs root, and services in Python the system's own")
    version = subprocess.run([SYSTEM_PYTHON, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], check=True,
                             capture_output=True, text=True).stdout.strip()
    files = {(LIBRARY_FOLDER / "libdaemonctx.so.0").resolve(): "/usr/local/lib/libdaemonctx.so.0", COMMAND: "/usr/local/bin/daemonctx",
             machines.PYTHON_PACKAGE: f"/usr/local/lib/python{version}/dist-packages/daemonctx"}
    try:
        made = machines.Machine(packages.fetch()[0].root, files)
    except machines.Impossible as reason:
        pytest.skip(f"no machine with systemd can be made here: {reason}")
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("path", SYSTEMD_PAGES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_done_below_systemd(path: pathlib.Path, machine: machines.Machine) -> None:
    mark = f"mark{uuid.uuid4().hex}"
    machine.path("/root/script").write_text(script(steps(path), mark))
    compare(path, f"{mark} {machine.run('bash', '/root/script').stdout}")
