"""What an import brings, and what it does not."""

from __future__ import annotations

import modulefinder
import pathlib
import pickle
import pydoc
import subprocess
import sys
import textwrap
import zipfile

import daemonctx
import pytest
from conftest import LIMIT


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def brought(statement: str) -> set[str]:
    """The modules that a statement imports. Without the lines that site runs for packages that are only linked to."""
    script = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint(*sorted(set(sys.modules) - before))"
    return set(run(script).split())


NATIVE = {"daemonctx", "daemonctx._native"}


def test_the_import_brings_what_has_to_be_there_early() -> None:
    assert brought("import daemonctx") == NATIVE


def test_a_daemon_with_a_pid_file_brings_two_modules_more() -> None:
    ordinary = brought("from daemonctx import DaemonContext, PidFile\nDaemonContext(pidfile=PidFile('/tmp/x.pid'))")
    assert ordinary == NATIVE | {"daemonctx._context", "daemonctx._pidfile"}


@pytest.mark.parametrize("name", daemonctx.__all__)
def test_each_name_is_there_whichever_is_used_first(name: str) -> None:
    assert run(f"from daemonctx import {name} as it; import daemonctx; print(it is daemonctx.{name} is not None)") == "True\n"


def test_all_of_it_is_listed_and_explained() -> None:
    assert run("import daemonctx; print(*dir(daemonctx))").split() == daemonctx.__all__
    explained = pydoc.plain(pydoc.render_doc(daemonctx))
    assert [name for name in daemonctx.__all__ if name not in explained] == ["__version__"]  # pydoc calls it VERSION.
    assert f"VERSION\n    {daemonctx.__version__}" in explained


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'daemonctx' has no attribute 'daemonize'"):
        daemonctx.daemonize


@pytest.mark.parametrize("name", [name for name in daemonctx.__all__ if name.endswith("Error")])
def test_an_exception_is_pickled_by_its_public_name(name: str) -> None:
    error = getattr(daemonctx, name)("a failed: b: why", 2, "a", "b")
    text = pickle.dumps(error, protocol=0)
    assert b"cdaemonctx\n" + name.encode() in text
    # Where nothing of it has been imported.
    assert run(f"import pickle; error = pickle.loads({text!r}); print(type(error).__name__, error)") == f"{name} {error}\n"


def test_the_parts_are_seen_by_what_freezes_programs(tmp_path: pathlib.Path) -> None:
    """PyInstaller, cx_Freeze and Nuitka look for import statements, as modulefinder does."""
    script = tmp_path / "app.py"
    script.write_text("from daemonctx import DaemonContext\nimport daemonctx.compat\n")
    finder = modulefinder.ModuleFinder()
    finder.run_script(str(script))
    package = pathlib.Path(daemonctx.__file__).parent
    names = {str(path.relative_to(package.parent).with_suffix("")).replace("/", ".") for path in package.rglob("*.py")}
    names = {name[: -len(".__init__")] if name.endswith(".__init__") else name for name in names}
    # Run by its name, never imported.
    assert names - set(finder.modules) == {"daemonctx.__main__"}


def test_a_zip_file_is_refused_in_plain_words(tmp_path: pathlib.Path) -> None:
    package = pathlib.Path(daemonctx.__file__).parent
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.write(package / "__init__.py", "daemonctx/__init__.py")
        archive.writestr("__main__.py", "import daemonctx\n")
    done = subprocess.run([sys.executable, "-I", tmp_path / "app.pyz"], stderr=subprocess.PIPE, text=True, timeout=LIMIT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "a native module cannot be imported from a zip file; unpack it first, as shiv and pex do"
    )


def test_a_program_ends_while_threads_are_in_the_library() -> None:
    """CPython ends a thread that wants to run Python by then with pthread_exit(3), in the middle of the library."""
    script = textwrap.dedent(
        """
        import threading, time, daemonctx

        def ask():
            file = daemonctx.PidFile("/nonexistent/x.pid")
            while True:
                file.wait(0.0001)

        for _ in range(8):
            threading.Thread(target=ask, daemon=True).start()
        time.sleep(0.01)
        """
    )
    for _ in range(20):
        assert run(script) == ""
