"""The stand-ins beside their originals: the same program runs with both, and what differs is in the documentation."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
from conftest import LIMIT
from differential import allowed, compare, observe, programs
from peers import fetch

SEED = 18
PROGRAMS = 8  # of each library; `python -m differential` runs any number
ATTEMPTS = 3
LIBRARIES = sorted(programs.MAKERS)
CONTEXTS = ["python_daemon", "pep3143daemon"]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="changing the user or the root needs root")


@pytest.fixture(scope="module")
def paths() -> dict[bool, list[str]]:
    try:
        return compare.places()
    except fetch.Unavailable as why:
        pytest.skip(str(why))


@pytest.mark.timeout(600)  # The originals are fetched.
@pytest.mark.parametrize("library", LIBRARIES)
def test_random_programs_differ_only_as_documented(library: str, paths: dict[bool, list[str]]) -> None:
    for number in range(PROGRAMS):
        spec = programs.make(library, SEED, number)
        # What two processes do in the same moment is seen in either order.
        found = compare.unexplained(spec, paths)
        for _ in range(1, ATTEMPTS):
            found = found and compare.unexplained(spec, paths)
        assert found == {}, spec


@pytest.mark.parametrize("page", sorted(allowed.DIFFERENCES))
def test_the_table_of_a_page_is_the_list_of_differences(page: str) -> None:
    assert allowed.table(page) == allowed.rows(page)


# --- programs that have differed --------------------------------------------------------------------------------------


def program(library: str, **more: Any) -> dict[str, Any]:
    """A program that does no more than the library needs."""
    surroundings = {
        "stdin": "null",
        "closed": [],
        "ignored": [],
        "blocked": [],
        "umask": 0o022,
        "nofile": 256,
        "user": "root",
        "inherited": 0,
        "notify": False,
        **more.pop("surroundings", {}),
    }
    spec: dict[str, Any] = {"library": library, "interpreter": programs.INTERPRETER, "surroundings": surroundings}
    spec.update({"before import": [], "before": [], "options": {}, "after": [["print", "after"], ["warn", "after"]], "later": []})
    spec.update(end="return", uncaught=False, function="daemonize", arguments=[], in_starter="nothing", plugins=[])
    if library == "daemoniker":
        spec["options"] = {"pid_file": ["path", "x.pid"]}
    spec.update({name.replace("_import", " import"): value for name, value in more.items()})
    return spec


def detached(library: str) -> dict[str, Any]:
    return {"detach_process": True} if library in CONTEXTS else {"pid_file": ["path", "x.pid"]} if library == "daemoniker" else {}


def same(paths: dict[bool, list[str]], library: str, *names: str, **more: Any) -> None:
    """What differs is documented, and of *names* nothing does."""
    spec = program(library, **more)
    original, ours = compare.run(spec, paths)
    assert compare.outcome(original)[0] == compare.outcome(ours)[0] == "starts", (original, ours)
    assert compare.unexplained_in(spec, original, ours) == {}
    assert {name: ours.get(name) for name in names} == {name: original.get(name) for name in names}


@pytest.mark.parametrize("library", [*CONTEXTS, "cherrypy", "pyzenkit"])
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_to_a_file_of_the_programs_own(library: str, stream: str, paths: dict[bool, list[str]]) -> None:
    before = [["replace", stream, ["file", "own.log", "w"]]]
    same(paths, library, "left own.log", "streams", before=before, options=detached(library))


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_signal_mask(library: str, paths: dict[bool, list[str]]) -> None:
    same(paths, library, "SigBlk", before=[["block", "SIGHUP"]], surroundings={"blocked": ["SIGUSR1"]})
    if library in CONTEXTS:
        same(paths, library, "SigBlk", before=[["block", "SIGHUP"]], options={"detach_process": False})


@pytest.mark.parametrize("library", LIBRARIES)
def test_ignored_signals(library: str, paths: dict[bool, list[str]]) -> None:
    ignored = {"surroundings": {"ignored": ["SIGHUP", "SIGINT"]}, "before_import": [["ignore", "SIGCHLD"]]}
    same(paths, library, "SigIgn", "signals", **ignored)
    if library in CONTEXTS:
        same(paths, library, "SigIgn", "signals", options={"detach_process": False}, **ignored)


@pytest.mark.parametrize("library", CONTEXTS)
@pytest.mark.parametrize("detach", [True, False])
def test_standard_input_is_a_socket(library: str, detach: bool, paths: dict[bool, list[str]]) -> None:
    same(paths, library, options={"detach_process": detach}, surroundings={"stdin": "tcp"})


@pytest.mark.parametrize("library", ["daemoniker", "pyzenkit"])
def test_keyboard_interrupt_removes_the_pid_file(library: str, paths: dict[bool, list[str]]) -> None:
    same(paths, library, "left x.pid", options={"pid_file": ["path", "x.pid"]}, end="interrupt")


def test_a_pid_file_acquired_before(paths: dict[bool, list[str]]) -> None:
    for notify in (False, True):
        options = {"pidfile": ["held pidfile", ["path", "x.pid"]], "detach_process": True}
        spec = program("pep3143daemon", options=options, surroundings={"notify": notify})
        original, ours = compare.run(spec, paths)
        # The original depends on whether the starter has exited.
        assert compare.outcome(ours) == ["starts"]
        assert compare.unexplained_in(spec, original, ours) == {}


@AS_ROOT
def test_initgroups_without_a_change_of_user(paths: dict[bool, list[str]]) -> None:
    same(paths, "python_daemon", "Groups", "Gid", options={"initgroups": True})


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_parent_does_not_change_afterwards(library: str, paths: dict[bool, list[str]]) -> None:
    if library == "cherrypy":
        pytest.skip("the starter is the parent until the bus has STARTED")
    for _ in range(5):
        assert compare.run(program(library), paths)[1]["parent changes"] is False


@AS_ROOT
@pytest.mark.parametrize("library", CONTEXTS)
@pytest.mark.parametrize("original", [True, False])
def test_a_second_context_in_the_daemon_does_not_detach(
    library: str, original: bool, tmp_path: pathlib.Path, paths: dict[bool, list[str]]
) -> None:
    """In a PID namespace, whose first process is the daemon's parent."""
    name = {"python_daemon": "daemon"}.get(library, library) if original else f"daemonctx.compat.{library}"
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nsys.path[:0] = {paths[original]!r}\nfrom {name} import DaemonContext\n"
        "DaemonContext(detach_process=True).open()\n"
        f"second = DaemonContext().detach_process\nopen({str(tmp_path / 'said')!r}, 'w').write(f'{{second}}\\n')\n"
    )
    os.mkfifo(tmp_path / "said")
    line = f"{sys.executable} {script}; read word < {tmp_path}/said; echo $word"
    command = ["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", line]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT)
    if "unshare failed" in done.stderr:
        pytest.skip(done.stderr)
    assert done.stdout == "False\n", done


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_closed_descriptor_in_listen_fds(library: str, paths: dict[bool, list[str]]) -> None:
    same(paths, library, options=detached(library), surroundings={"listen": [2, "closed"]})


@pytest.mark.parametrize("library", CONTEXTS)
def test_detach_process_none_assigned_later(library: str, paths: dict[bool, list[str]]) -> None:
    same(paths, library, "process", late={"detach_process": None})


@AS_ROOT
@pytest.mark.parametrize("library", [*CONTEXTS, "pyzenkit"])
def test_seteuid_before(library: str, paths: dict[bool, list[str]]) -> None:
    same(paths, library, "Uid", "Gid", "Groups", before=[["seteuid", 65534]])


@AS_ROOT
def test_a_relative_directory_in_a_new_root(paths: dict[bool, list[str]]) -> None:
    same(paths, "python_daemon", "cwd", "root", options={"chroot_directory": ["path", "root"], "working_directory": "sub"})


@pytest.mark.parametrize("library", CONTEXTS)
def test_a_umask_of_more_than_nine_bits(library: str, paths: dict[bool, list[str]]) -> None:
    same(paths, library, "Umask", options={"umask": 0o7022})


@pytest.mark.parametrize("kind", ["link", "fifo", "sub"])
def test_asking_for_a_lock_that_is_no_file(kind: str, paths: dict[bool, list[str]]) -> None:
    before = [["make", "x.pid", kind]] if kind != "sub" else []
    options = {"pidfile": ["pidfile", ["path", "sub" if kind == "sub" else "x.pid"]]}
    spec = program("python_daemon", before=before, options=options, after=[], function="ask")
    ours = observe.observe(spec, False, paths[False])
    assert [event[:2] for event in ours["asked"]] == [["is_locked", "False"], ["i_am_locking", "False"], ["read_pid", "None"]]
    if kind != "fifo":  # The original reads it, and waits for a writer.
        assert observe.observe(spec, True, paths[True])["asked"][0][:2] == ["is_locked", "True"]


@pytest.mark.parametrize("library", CONTEXTS)
def test_paths_as_bytes(library: str, paths: dict[bool, list[str]]) -> None:
    same(paths, library, "cwd", options={"working_directory": ["bytes", "sub"]})


def test_paths_as_bytes_in_functions(paths: dict[bool, list[str]]) -> None:
    same(paths, "pyzenkit", "cwd", options={"work_dir": ["bytes", "sub"]})
    same(paths, "pep3143daemon", options={"pidfile": ["pidfile", ["bytes", "x.pid"]]})
    for path in (["path", "x.pid"], ["bytes", "x.pid"]):
        same(paths, "daemoniker", "event 01", options={"pid_file": path}, after=[["send", path, 0]])


@pytest.mark.parametrize("library", CONTEXTS)
@pytest.mark.parametrize("detach", [True, False])
def test_terminal_stops_that_the_signal_map_leaves_out(library: str, detach: bool, paths: dict[bool, list[str]]) -> None:
    options = {"signal_map": ["map", ["SIGUSR1", ["handler", "own"]]], "detach_process": detach}
    same(paths, library, "SigIgn", options=options)


def test_closing_a_file_from_before_keeps_the_lock(paths: dict[bool, list[str]]) -> None:
    options = {"pidfile": ["pidfile", ["path", "x.pid"]], "detach_process": True}
    before = [["pipe"], ["open", "other", "w"]]
    after = [["close", "other", "w"], ["close pipe"]]
    ours = compare.run(program("python_daemon", before=before, options=options, after=after), paths)[1]
    assert [value for name, value in ours.items() if name.startswith("descriptor") and "x.pid" in value], ours


def test_pyzenkit_closes_nothing(paths: dict[bool, list[str]]) -> None:
    same(paths, "pyzenkit", "descriptor 04", before=[["pipe"], ["open", "other", "w"]], surroundings={"inherited": 2})
