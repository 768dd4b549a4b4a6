"""Log files and standard input in directories that other users can write to."""

from __future__ import annotations

import os
import pathlib
import signal
import threading

import pytest
from conftest import House
from test_logging import HEAD
from test_signals import run


NOBODY = 65534
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def hostile(house: House) -> tuple[pathlib.Path, pathlib.Path]:
    """A directory of nobody's, and a file of root's outside of it."""
    theirs, precious = house.folder / "theirs", house.folder / "precious"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    precious.write_text("secret\n")
    precious.chmod(0o600)
    return theirs, precious


def nobodys_link(target: pathlib.Path, link: pathlib.Path) -> None:
    link.symlink_to(target)
    os.lchown(link, NOBODY, NOBODY)


def nobodys_fifo(path: pathlib.Path) -> None:
    os.mkfifo(path, 0o666)
    os.chown(path, NOBODY, NOBODY)


REFUSAL = """
def refusal(*args, **options):
    try:
        ReopeningFileHandler(*args, **options).close()
    except OSError as error:
        import errno
        return errno.errorcode[error.errno]
    return "opened"
"""


@is_root
def test_what_others_have_put_there(house: House) -> None:
    theirs, precious = hostile(house)
    nobodys_link(precious, theirs / "link")
    nobodys_link(house.folder / "made", theirs / "dangling")
    nobodys_link(house.folder, theirs / "folder")
    nobodys_fifo(theirs / "fifo")
    os.link(precious, theirs / "hard")
    (theirs / "plain").touch()
    said = run(
        house,
        """
        for name in ("link", "dangling", "folder/log", "fifo", "hard", "plain"):
            path = f"{FOLDER}/theirs/{name}"
            print(name, *(refusal(path, mode, user="nobody", file_mode=0o606) for mode in ("a", "w")))
        """,
        head=HEAD + REFUSAL,
    )
    assert said == [
        "link ELOOP ELOOP",
        "dangling ELOOP ELOOP",
        "folder/log ELOOP ELOOP",
        "fifo EPERM EPERM",
        "hard EMLINK EMLINK",
        "plain opened opened",
    ]
    status = precious.stat()
    assert (precious.read_text(), status.st_uid, status.st_mode & 0o7777) == ("secret\n", 0, 0o600)
    assert not (house.folder / "made").exists()


def test_a_link_of_ones_own(house: House) -> None:
    """An administrator's link is followed, but nothing is truncated through it."""
    said = run(
        house,
        """
        with open(FOLDER + "/target", "w") as file: file.write("old\\n")
        os.symlink(FOLDER + "/target", PATH)
        print(refusal(PATH, "w"), refusal(PATH, "x"), text("target"))
        log.addHandler(ReopeningFileHandler(PATH))
        log.info("new")
        print(text("target"))
        """,
        head=HEAD + REFUSAL,
    )
    assert said == ["ELOOP EEXIST ['old']", "['old', 'new']"]


@pytest.mark.parametrize("encoding, errors", [(None, None), ("utf-16-le", None), ("ascii", "backslashreplace")])
@pytest.mark.parametrize("mode, first", [("a", "old\n"), ("w", ""), ("a+", "old\n"), ("w+", ""), ("at", "old\n"), ("x", "")])
@pytest.mark.parametrize("delay", [False, True])
def test_modes(house: House, mode: str, first: str, delay: bool, encoding: str | None, errors: str | None) -> None:
    text = "é\n" if errors is None else "\\xe9\n"
    path = house.folder / "log"
    if mode != "x":
        path.write_bytes("old\n".encode(encoding or "utf-8"))
    run(
        house,
        f"""
        handler = ReopeningFileHandler(PATH, {mode!r}, {encoding!r}, {delay}, {errors!r})
        log.addHandler(handler)
        log.info("\\u00e9")
        handler.reopen()
        log.info("\\u00e9")
        """,
        head=HEAD,
    )
    assert path.read_bytes().decode(encoding or "utf-8") == first + text * 2


def exchange(theirs: pathlib.Path, precious: pathlib.Path, over: threading.Event) -> None:
    """Puts one thing after another where the log file is."""
    log, put = theirs / "log", theirs / "next"
    while not over.is_set():
        for make in (
            lambda: nobodys_link(precious, put),
            lambda: nobodys_link(theirs.parent / "made", put),
            lambda: nobodys_fifo(put),
            lambda: os.link(precious, put),
        ):
            make()
            os.rename(put, log)
            log.unlink(missing_ok=True)


@is_root
@pytest.mark.parametrize("mode", ["a", "w"])
def test_exchanged_all_the_time(house: House, mode: str) -> None:
    theirs, precious = hostile(house)
    over = threading.Event()
    attacker = threading.Thread(target=exchange, args=(theirs, precious, over))
    attacker.start()
    try:
        done = house.run(
            f"""
            path, opened = FOLDER + "/theirs/log", 0
            for _ in range(3000):
                try:
                    handler = ReopeningFileHandler(path, {mode!r}, user="nobody", group="nogroup", file_mode=0o606)
                    log.addHandler(handler)
                    log.info("something")
                    handler.reopen()
                    log.info("something")
                    opened += 1
                except OSError:
                    pass
                log.removeHandler(handler)
                handler.close()
            print(opened > 0)
            """,
            head=HEAD + "handler = logging.NullHandler()\nlogging.raiseExceptions = False\n",
        )
    finally:
        over.set()
        attacker.join()
    assert (done.stdout, done.stderr) == ("True\n", "")
    status = precious.stat()
    assert (precious.read_text(), status.st_uid, status.st_mode & 0o7777) == ("secret\n", 0, 0o600)
    assert not (house.folder / "made").exists()


@is_root
def test_below_a_chroot_and_as_another_user(house: House) -> None:
    """Nothing is imported any more when the file is opened: neither the package nor an encoding is there."""
    for folder in [house.folder, *list(house.folder.parents)[:3]]:
        folder.chmod(folder.stat().st_mode | 0o111)
    root = house.folder / "root"
    root.mkdir()
    root.chmod(0o777)
    house.run(
        """
        handler = ReopeningFileHandler("/log", encoding="utf-16-le", errors="surrogateescape", delay=True, file_mode=0o640)
        failing = ReopeningFileHandler("/absent/log", delay=True)
        log.addHandler(handler)
        DaemonContext(chroot_directory=FOLDER + "/root", uid="nobody", files_preserve=[REPORT], preserve_logging=True,
                      detach_process=True).open()
        log.info("one")
        os.rename("/log", "/log.1")
        handler.reopen()
        log.info("two")
        try:
            failing._open()
        except FileNotFoundError as error:
            report(os.getpid(), error)
        signal.pause()
        """,
        head=HEAD,
    )
    pid, _, said = house.hear().partition(" ")
    assert said == "[Errno 2] No such file or directory: '/absent/log'"
    assert (root / "log.1").read_text("utf-16-le") == "one\n"
    assert (root / "log").read_text("utf-16-le") == "two\n"
    house.end(int(pid), signal.SIGKILL)


@is_root
@pytest.mark.parametrize("what, error", [("link", "ELOOP"), ("fifo", "EPERM"), ("hard", "EMLINK"), ("secret", "EACCES")])
def test_standard_input(house: House, what: str, error: str) -> None:
    theirs, precious = hostile(house)
    place = theirs / "input"
    if what == "link":
        nobodys_link(precious, place)
    elif what == "fifo":
        nobodys_fifo(place)
    elif what == "hard":
        os.link(precious, place)
    else:
        precious.rename(place)
    done = house.run(f"DaemonContext(stdin={str(place)!r}, detach_process=True).open()")
    assert done.returncode == 1
    assert f"stdin failed: {place}" in done.stderr and f"{error})" in done.stderr
