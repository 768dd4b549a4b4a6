"""The stand-in for daemoniker: the original's interface, and what a start and its signals do, with real processes."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import textwrap

import pytest
from conftest import LIMIT, House, children
from peers import fetch

USE = """
import daemonctx.compat
daemonctx.compat.install("daemoniker")
import daemoniker
from daemoniker import *
"""
# The two ways to start. What is in `{options}` goes to daemonize.
WITHIN = """
with Daemonizer() as (is_setup, daemonizer):
    result = daemonizer(PID_FILE, "word", {options})
    if result[0]:
        print("the block of the starter")
"""
BARE = """
result = daemonize(PID_FILE, "word", {options})
"""
EITHER_WAY = pytest.mark.parametrize("way", [WITHIN, BARE], ids=["Daemonizer", "daemonize"])
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
NOBODY = 65534


def run(house: House, body: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return house.run(body, use=USE, **kwargs)  # type: ignore[arg-type]


def start(house: House, way: str = WITHIN, options: str = "", before: str = "", then: str = "signal.pause()") -> int:
    """Starts a daemon that keeps the report's descriptor; returns its PID."""
    body = before + way.format(options=f"shielded_fds=[REPORT], {options}") + f"\nreport(os.getpid())\n{then}\n"
    done = run(house, body)
    assert done.returncode == 0, done.stderr
    return int(house.hear())


# --- the interface ----------------------------------------------------------------------------------------------------


def interface(modules: list[str], **environment: str) -> dict[str, dict[str, object]]:
    command = [sys.executable, str(pathlib.Path(fetch.__file__).with_name("interface.py")), *modules]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=LIMIT, check=True, env={**os.environ, **environment}
    )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


# What the original's modules need for themselves; and `logger`, which ours makes when it is asked for.
NOT_PUBLIC = {"daemoniker": {"NullHandler"}, "daemoniker.utils": {"logger"}}


@pytest.mark.timeout(600)  # The original is fetched.
def test_every_public_name_is_there_with_its_parameters_and_defaults() -> None:
    names = ["daemoniker", "daemoniker.exceptions", "daemoniker.utils"]
    originals = interface(names, PYTHONPATH=str(fetch.sdist("daemoniker", "0.2.3")))
    ours = interface([f"{name}=daemonctx.compat.{name}" for name in names])
    for module, own in NOT_PUBLIC.items():
        for name in own:
            del originals[module][name]
    assert [len(originals[name]) for name in names] == [12, 7, 2]
    # That there is more in ours is fine.
    assert {name: {key: ours[name].get(key) for key in originals[name]} for name in names} == originals


@pytest.mark.timeout(600)
def test_the_modules_behind_have_what_they_define() -> None:
    """Those with an underscore are nobody's business, but programs' own tests import from them."""
    defined = {
        "_daemonize_unix": ["Daemonizer", "daemonize"],
        "_privdrop_unix": ["daemote"],
        "_signals_common": ["IGNORE_SIGNAL", "ping", "send"],
        "_signals_unix": ["SignalHandler1"],
    }
    originals = interface([f"daemoniker.{name}" for name in defined], PYTHONPATH=str(fetch.sdist("daemoniker", "0.2.3")))
    ours = interface([f"daemoniker.{name}=daemonctx.compat.daemoniker.{name}" for name in defined])
    for module, names in defined.items():
        for name in names:
            assert originals[f"daemoniker.{module}"][name] == ours[f"daemoniker.{module}"][name]


def test_exceptions_are_numbers_too() -> None:
    from daemonctx.compat.daemoniker import exceptions

    assert issubclass(exceptions.SignalError, exceptions.DaemonikerException)
    assert exceptions.ReceivedSignal is exceptions.DaemonikerSignal
    assert not issubclass(exceptions.DaemonikerSignal, Exception)
    assert (int(exceptions.DaemonikerSignal), int(exceptions.DaemonikerSignal())) == (-1, -1)
    for cls, number in ((exceptions.SIGINT, 2), (exceptions.SIGTERM, 15), (exceptions.SIGABRT, 6)):
        assert (int(cls), int(cls()), cls.SIGNUM, cls("said").args) == (number, number, number, ("said",))

    class Own(exceptions.DaemonikerSignal):
        SIGNUM = signal.SIGUSR1

    assert (int(Own), int(Own())) == (10, 10)


def test_helpers() -> None:
    from daemonctx.compat.daemoniker import utils

    assert utils.platform_specificker("l", "w", "c", "m", "o") == ("l" if sys.platform == "linux" else "m")
    assert [utils.default_to(None, 1), utils.default_to(0, 1), utils.default_to(7, 1, comparator=7)] == [1, 0, 1]
    assert [utils.default_to(None, 1, comparator=7), utils.default_to(8, 1, 7)] == [None, 8]
    assert utils.logger.name == "daemoniker.utils"
    with pytest.raises(AttributeError):
        utils.nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("platform", "error", "words"),
    [("win32", ImportError, "on Windows use daemoniker"), ("cygwin", RuntimeError, "Cygwin")],
)
def test_where_it_is_not_for_importing_says_so(platform: str, error: type[Exception], words: str) -> None:
    body = f"import sys; import daemonctx.compat; sys.platform = {platform!r}; import daemonctx.compat.daemoniker"
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(error.__name__) and words in last


def test_installing() -> None:
    body = """
        import sys, daemonctx.compat
        module = daemonctx.compat.install("daemoniker")
        import daemoniker, daemoniker.exceptions, daemoniker._signals_common
        from daemoniker.utils import default_to
        assert daemoniker is module is sys.modules["daemonctx.compat.daemoniker"]
        assert daemoniker.exceptions.SIGINT is daemoniker.SIGINT
        assert daemoniker.__all__ == ["Daemonizer", "daemonize", "SignalHandler1", "IGNORE_SIGNAL", "send", "SIGINT", "SIGTERM", "SIGABRT"]
        assert "logging" not in sys.modules, "it costs more than all of ours"
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(body)], timeout=LIMIT, check=True)


# --- what a start is --------------------------------------------------------------------------------------------------


def test_the_context_manager_in_starter_and_daemon(house: House) -> None:
    done = run(
        house,
        """
        word, things = "hello", [1]
        atexit.register(lambda: report("atexit", os.getpid()))
        with Daemonizer() as (is_setup, daemonizer):
            assert is_setup is True
            starter = os.getpid()
            is_parent, *both = result = daemonizer(PID_FILE, word, things, shielded_fds=[REPORT])
            assert type(result) is list
            if is_parent:
                assert is_parent is True and both == [None, None] and os.getpid() == starter
                try:
                    os.waitpid(-1, 0)
                except ChildProcessError:
                    print("no child left", open(PID_FILE).read(), end="")
            else:
                assert is_parent is False and both[0] is word and both[1] is things
                report("in the block", os.getpid())
        # It does not end before the starter has looked at it.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        report("behind the block", os.getpid())
        signal.sigwait([signal.SIGUSR1])
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    where, pid = house.hear().rsplit(" ", 1)
    assert done.stdout == f"no child left {pid}\n"
    assert where == "in the block"
    # Only the daemon gets there, and only in it atexit functions run.
    assert house.hear() == f"behind the block {pid}"
    assert house.end(int(pid), signal.SIGUSR1) == 0
    assert house.hear() == f"atexit {pid}"
    assert house.silent() and not house.pid_path.exists()


def test_the_function_comes_back_in_the_daemon_with_a_tuple(house: House) -> None:
    done = run(
        house,
        """
        atexit.register(lambda: report("atexit", os.getpid()))
        things = [1]
        result = daemonize(PID_FILE, "word", things, shielded_fds=[REPORT])
        assert result == ("word", [1]) and type(result) is tuple and result[1] is things
        report("behind", os.getpid())
        """,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    where, pid = house.hear().split()
    assert house.hear() == f"atexit {pid}"
    assert (where, house.reap(int(pid))) == ("behind", 0)
    assert house.silent() and not house.pid_path.exists()


@EITHER_WAY
def test_the_daemon_is_one(house: House, way: str) -> None:
    pid = start(house, way)
    assert house.pid_path.read_text() == f"{pid}\n"
    assert stat.S_IMODE(house.pid_path.stat().st_mode) == 0o644
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    session, terminal = int(fields[3]), int(fields[4])
    assert session not in (pid, os.getsid(0)) and terminal == 0
    assert os.readlink(f"/proc/{pid}/cwd") == os.getcwd()
    descriptors = {int(fd): os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
    assert [descriptors.pop(fd) for fd in range(3)] == ["/dev/null"] * 3
    del descriptors[house.report_write]
    assert list(descriptors.values()) == [str(house.pid_path)]
    assert "Umask:\t0027" in pathlib.Path(f"/proc/{pid}/status").read_text()
    assert house.end(pid) == signal.SIGTERM
    assert not house.pid_path.exists()


@EITHER_WAY
def test_what_nothing_was_said_about_stays(house: House, way: str) -> None:
    """Core files, handlers; and below inetd the connection is no reason to stay in the foreground, or to talk to it."""
    before = "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (4096, 4096))\nsignal.signal(signal.SIGUSR1, print)\n"
    then = "\nreport(resource.getrlimit(resource.RLIMIT_CORE), signal.getsignal(signal.SIGUSR1) is print, os.readlink('/proc/self/fd/0'))"
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = run(house, before + way.format(options="shielded_fds=[REPORT]") + then + "\nsignal.pause()", stdin=server.fileno())
    assert done.returncode == 0
    assert house.hear() == "(4096, 4096) True /dev/null"
    house.end(house.pid())


def test_what_the_starter_prints_appears_once(house: House) -> None:
    pid = start(house, options="stdout_goto=FOLDER + '/log'", before="print('before', end=' ')\n", then="sys.exit()")
    house.reap(pid)
    assert (house.folder / "out").read_text() == "before the block of the starter\n"
    assert (house.folder / "log").read_text() == ""


@pytest.mark.parametrize(
    ("block", "status", "said"),
    [
        ("raise RuntimeError('of the starter')", 2, "RuntimeError: of the starter"),
        ("sys.exit(3)", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit('words')", 1, "words"),
        ("os.close(1)", 0, ""),
    ],
)
def test_how_the_starter_leaves(house: House, block: str, status: int, said: str) -> None:
    done = run(
        house,
        f"""
        atexit.register(lambda: report("atexit"))
        with Daemonizer() as (is_setup, daemonizer):
            is_parent, = daemonizer(PID_FILE, shielded_fds=[REPORT])
            if is_parent:
                print("printed")
                {block}
        signal.pause()
        """,
    )
    assert done.returncode == status
    assert (done.stderr.splitlines() or [""])[-1] == said
    assert ("printed" in done.stdout) == (block != "os.close(1)")
    assert house.silent()
    house.end(house.pid())


def test_an_exception_in_the_daemon_is_the_daemons(house: House) -> None:
    done = run(
        house,
        """
        with Daemonizer() as (is_setup, daemonizer):
            is_parent, = daemonizer(PID_FILE, shielded_fds=[REPORT], stderr_goto=FOLDER + "/log")
            if not is_parent:
                report(os.getpid())
                raise RuntimeError("of the daemon")
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert os.WEXITSTATUS(house.reap(int(house.hear()))) == 1
    assert (house.folder / "log").read_text().endswith("RuntimeError: of the daemon\n")
    assert not house.pid_path.exists()


def test_a_context_manager_that_is_not_used_as_one(house: House) -> None:
    done = run(
        house,
        """
        import logging
        logging.basicConfig(level="DEBUG", stream=sys.stdout, format="%(name)s %(levelname)s")
        daemonizer = Daemonizer()
        for again in range(2):
            try:
                daemonizer.__exit__(None, None, None)
            except RuntimeError as error:
                print("not entered")
            if not again:
                with daemonizer:
                    pass
        print("goes on")
        """,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["not entered", "daemoniker WARNING", "not entered", "goes on"]


def test_nothing_is_printed_where_nobody_logs(house: House) -> None:
    done = run(house, "import logging\nwith Daemonizer():\n    pass\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_context_manager_can_be_used_again(house: House) -> None:
    """In the daemon, where it has done what it was for."""
    done = run(
        house,
        """
        again = Daemonizer()
        with again as (is_setup, daemonizer):
            is_parent, = daemonizer(PID_FILE, shielded_fds=[REPORT])
        with again as (is_setup, daemonizer):
            is_parent, = daemonizer(PID_FILE + "2", shielded_fds=[REPORT])
            report(os.getpid(), is_parent)
        """,
    )
    assert done.returncode == 0
    pids = [int(pid) for pid, _ in sorted((house.hear().split() for _ in range(2)), key=lambda said: said[1])]
    assert [house.reap(pid) for pid in pids] == [0, 0]


def test_fork_hooks_run_once(house: House) -> None:
    done = run(
        house,
        """
        def hook(name): return lambda: report(name, os.getpid())
        os.register_at_fork(before=hook("before"), after_in_parent=hook("parent"), after_in_child=hook("child"))
        # So early that the hooks have it too.
        with Daemonizer() as (is_setup, daemonizer):
            is_parent, = daemonizer(PID_FILE, shielded_fds=[REPORT])
            report("starter" if is_parent else "daemon", os.getpid())
        """,
    )
    assert done.returncode == 0, done.stderr
    said = dict(house.hear().split() for _ in range(5))
    assert said["before"] == said["parent"] == said["starter"]
    assert said["child"] == said["daemon"] != said["starter"]
    house.reap(int(said["daemon"]))
    assert house.silent()


# --- the truth about it -----------------------------------------------------------------------------------------------

TRUTHS = [
    ("os.kill(os.getpid(), 9)", "", 137, "script.py: start failed: PID {}: killed by signal 9 (SIGKILL) before it was ready"),
    ("os._exit(7)", "", 7, "script.py: start failed: PID {}: exited with status 7 before it was ready"),
    ("os._exit(0)", "", 1, "script.py: start failed: PID {}: exited with status 0 before it was ready"),
    (
        "signal.sigwait([signal.SIGCONT])",
        "success_timeout=0.3",
        124,
        "script.py: ready failed: 0.300 s: Connection timed out (110 ETIMEDOUT)",
    ),
]


@EITHER_WAY
@pytest.mark.parametrize(("death", "options", "status", "line"), TRUTHS, ids=["killed", "status 7", "status 0", "hangs"])
def test_a_daemon_that_dies_before_it_is_ready(
    house: House, way: str, death: str, options: str, status: int, line: str
) -> None:
    """In a hook of the fork: the last moment before. The block of the starter does not run."""
    before = f"def die():\n    report(os.getpid())\n    {death}\nos.register_at_fork(after_in_child=die)\n"
    done = run(house, before + way.format(options="shielded_fds=[REPORT], " + options))
    assert done.returncode == status
    assert (done.stdout, done.stderr) == ("", line.format(house.hear()) + "\n")
    assert not house.pid_path.exists()


def test_a_start_that_failed_can_be_tried_again(house: House) -> None:
    done = run(
        house,
        """
        dying = True
        os.register_at_fork(after_in_child=lambda: dying and os._exit(7))
        with Daemonizer() as (is_setup, daemonizer):
            try:
                daemonizer(PID_FILE)
            except SystemExit as exit:
                print(exit.code, type(exit.__cause__).__name__)
            dying = False
            is_parent, = daemonizer(PID_FILE, shielded_fds=[REPORT])
        report("open")
        signal.pause()
        """,
    )
    assert (done.returncode, done.stdout) == (0, "7 StartError\n")
    assert house.hear() == "open"
    house.end(house.pid())


OPTIONS = {
    "chdir='/nonexistent'": "working directory failed: /nonexistent: No such file or directory (2 ENOENT)",
    "stdout_goto='/nonexistent/log'": "stdout failed: /nonexistent/log: No such file or directory (2 ENOENT)",
    "stderr_goto=FOLDER": "stderr failed: {}: Is a directory (21 EISDIR)",
    "stdin_goto='/nonexistent/in'": "stdin failed: /nonexistent/in: No such file or directory (2 ENOENT)",
}


@EITHER_WAY
@pytest.mark.parametrize("option", OPTIONS)
def test_what_can_be_known_before_is_raised_in_the_starter(house: House, way: str, option: str) -> None:
    done = run(house, "import daemonctx\ntry:\n" + textwrap.indent(way.format(options=option), "    ") + """
except daemonctx.OptionError as error:
    print(error)
    raise
""")
    assert done.returncode == 1
    assert done.stdout.startswith(OPTIONS[option].format(house.folder)), done
    assert not house.pid_path.exists()


@EITHER_WAY
def test_a_daemon_that_runs_already(house: House, way: str) -> None:
    pid = start(house, way)
    done = run(house, way.format(options=""))
    why = f"pid file failed: {house.pid_path} (already running as PID {pid}): Resource temporarily unavailable (11 EAGAIN)"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"script.py: {why}\n")
    assert house.pid() == pid
    house.end(pid)


@EITHER_WAY
def test_a_pid_file_that_cannot_be_had(house: House, way: str) -> None:
    done = run(house, f"PID_FILE = '/nonexistent/x.pid'\n{way.format(options='')}")
    why = "pid file failed: /nonexistent/x.pid: No such file or directory (2 ENOENT)"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"script.py: {why}\n")


@EITHER_WAY
def test_a_file_that_was_left_behind_is_nobodys(house: House, way: str) -> None:
    """With the original it stops every start until somebody removes it."""
    for expected in range(2):
        pid = start(house, way)
        assert house.pid() == pid
        assert house.end(pid, signal.SIGKILL) == signal.SIGKILL
        assert house.pid_path.exists()


@EITHER_WAY
def test_a_file_of_the_original_is_understood(house: House, way: str) -> None:
    """It is not locked; what it names has been running since before."""
    other = subprocess.Popen(["sleep", str(LIMIT)])
    try:
        house.pid_path.write_text(f"{other.pid}\n")
        done = run(house, way.format(options=""))
        assert (done.returncode, done.stdout) == (1, "")
        assert f"already running as PID {other.pid}" in done.stderr
        assert house.pid() == other.pid
    finally:
        other.kill()
        other.wait()
    house.end(start(house, way))


def test_of_many_starts_at_once_one_wins(house: House) -> None:
    script = house.folder / "many.py"
    script.write_text(
        "import signal\nfrom daemonctx.compat.daemoniker import *\n"
        f"with Daemonizer() as (_, daemonizer):\n    daemonizer({str(house.pid_path)!r})\nsignal.pause()\n"
    )
    starts = [subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True) for _ in range(10)]
    said = [process.communicate(timeout=LIMIT)[1] for process in starts]
    assert sorted(process.returncode for process in starts) == [0] + [1] * 9
    assert sum("already running" in words or "under way" in words for words in said) == 9
    house.end(house.pid())


def test_the_starter_can_be_interrupted_while_it_waits(house: House) -> None:
    """Ctrl-C reaches all processes of the terminal; the helper that watches calls the start off."""
    script = house.folder / "script.py"
    script.write_text(
        # Whoever runs the tests in the background has them ignore it.
        "import os, signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nfrom daemonctx.compat.daemoniker import *\n"
        f"def hang():\n    os.write({house.report_write}, b'%d\\n' % os.getpid())\n    signal.sigwait([signal.SIGCONT])\n"
        "os.register_at_fork(after_in_child=hang)\n"
        f"with Daemonizer() as (_, daemonizer):\n    daemonizer({str(house.pid_path)!r}, shielded_fds=[{house.report_write}])\n"
    )
    starter = subprocess.Popen(
        [sys.executable, str(script)], pass_fds=[house.report_write], start_new_session=True, stderr=subprocess.DEVNULL
    )
    house.hear()
    os.killpg(starter.pid, signal.SIGINT)
    assert starter.wait(LIMIT) != 0
    # The helper may still be clearing away, as an orphan of the starter.
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break
    assert not house.pid_path.exists()


# --- streams and descriptors ------------------------------------------------------------------------------------------


@EITHER_WAY
def test_streams_are_files_below_the_working_directory(house: House, way: str) -> None:
    (house.folder / "in").write_text("input")
    (house.folder / "old").write_text("old\n")
    options = "chdir=FOLDER, stdin_goto='in', stdout_goto='old', stderr_goto=b'new', umask=0o002"
    pid = start(house, way, options, then="print(input()); print('error', file=sys.stderr); sys.stdout.flush(); report(os.getcwd())")
    assert house.hear() == str(house.folder)
    house.reap(pid)
    # The original writes over the beginning of what is there.
    assert (house.folder / "old").read_text() == "old\ninput\n"
    assert (house.folder / "new").read_text() == "error\n"
    assert stat.S_IMODE((house.folder / "new").stat().st_mode) == 0o664


def test_all_streams_can_be_one_file(house: House) -> None:
    options = "stdin_goto=FOLDER + '/all', stdout_goto=FOLDER + '/all', stderr_goto=FOLDER + '/all'"
    pid = start(house, options=options, then="print('out', flush=True); print('error', file=sys.stderr); report(repr(sys.stdin.read()))")
    assert house.hear() == repr("out\nerror\n")
    house.reap(pid)
    assert stat.S_IMODE((house.folder / "all").stat().st_mode) == 0o640


def test_a_fifo_that_nobody_reads_is_an_error_and_no_hang(house: House) -> None:
    os.mkfifo(house.folder / "fifo")
    done = run(house, WITHIN.format(options="stdout_goto=FOLDER + '/fifo'"))
    assert done.returncode == 1 and f"stdout failed: {house.folder}/fifo" in done.stderr


@EITHER_WAY
def test_descriptors_are_closed_but_those_that_are_shielded(house: House, way: str) -> None:
    """Also one above a limit that was lowered; what is not open is left out, and the program's set stays as it is."""
    before = """
import resource
shielded, other = open(FOLDER + "/a", "w"), open(FOLDER + "/b", "w")
os.dup2(other.fileno(), 400)
resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
keep = {REPORT, shielded, 99, 5000}
"""
    body = before + way.format(options="shielded_fds=keep")
    done = run(
        house,
        body
        + """
report(len(keep), *sorted(os.path.basename(os.readlink(f"/proc/self/fd/{fd}")) for fd in os.listdir("/proc/self/fd") if int(fd) > 2 and
    os.path.exists(f"/proc/self/fd/{fd}") and os.readlink(f"/proc/self/fd/{fd}").startswith(FOLDER)))
""",
    )
    assert done.returncode == 0, done.stderr
    assert house.hear() == "4 a test.pid"
    # It ends by itself.
    os.waitpid(-1, 0)


def test_a_program_without_standard_streams_gets_them(house: House) -> None:
    done = run(
        house,
        """
        for fd in range(3):
            os.close(fd)
        command = [sys.executable, "-c", '''
        import sys, os
        from daemonctx.compat.daemoniker import daemonize
        assert sys.stdin is sys.stdout is sys.stderr is None
        daemonize(sys.argv[1] + ".two", stdout_goto=sys.argv[1] + ".log", shielded_fds=[int(sys.argv[2])])
        print("printed", sys.stdin.read(), flush=True)
        print("error", file=sys.stderr)
        os.write(int(sys.argv[2]), b"%d\\\\n" % os.getpid())
        '''.replace("\\n        ", "\\n"), PID_FILE, str(REPORT)]
        os.set_inheritable(REPORT, True)
        os.execv(sys.executable, command)
        """,
    )
    assert done.returncode == 0, done.stderr
    house.reap(int(house.hear()))
    assert (house.folder / "test.pid.log").read_text() == "printed \n"


def test_log_files_stay_open(house: House) -> None:
    before = "import logging; logging.basicConfig(filename=FOLDER + '/log', format='%(message)s')\n"
    pid = start(house, before=before, then="open('/dev/null'); logging.error('logged'); report('done')")
    house.hear()
    house.reap(pid)
    assert (house.folder / "log").read_text() == "logged\n"


@EITHER_WAY
def test_threads_are_warned_of(house: House, way: str) -> None:
    before = "threading.Thread(target=threading.Event().wait, name='sleeper', daemon=True).start()\n"
    pid = start(house, way, before=before, then="report(threading.active_count())\nsignal.pause()")
    assert house.hear() == "1"
    assert "DaemonWarning: 1 other thread (sleeper) will not exist in the daemon" in (house.folder / "err").read_text()
    house.end(pid)


@EITHER_WAY
def test_a_running_loop_is_refused(house: House, way: str) -> None:
    body = "import asyncio, daemonctx\nasync def main():\n" + textwrap.indent(way.format(options=""), "    ")
    done = run(house, body + "\ntry:\n    asyncio.run(main())\nexcept daemonctx.UsageError as error:\n    print(error)\n")
    assert (done.returncode, "asyncio.run" in done.stdout) == (0, True)
    assert not house.pid_path.exists()


@EITHER_WAY
def test_a_relative_pid_file_is_found_again(house: House, way: str) -> None:
    before = "os.chdir(FOLDER); PID_FILE = 'test.pid'\n"
    pid = start(house, way, "chdir='/'", before=before, then="sys.exit()")
    house.reap(pid)
    assert not house.pid_path.exists()


# --- signals ----------------------------------------------------------------------------------------------------------


def test_a_signal_handler_all_of_it(house: House) -> None:
    done = run(
        house,
        """
        handler = SignalHandler1(None, sigterm=lambda *args: report("term", args))
        usual = signal.getsignal(signal.SIGINT)
        handler.start()
        def send_me(number):
            os.kill(os.getpid(), number)
        def raised(number):
            try:
                send_me(number)
            except BaseException as error:
                return type(error).__name__, int(error)
        assert raised(signal.SIGINT) == ("SIGINT", 2) and raised(signal.SIGABRT) == ("SIGABRT", 6)
        assert raised(signal.SIGTERM) is None
        handler.sigint = lambda number: report("int", number)
        handler.sigabrt = IGNORE_SIGNAL
        assert handler.sigabrt("anything", more=1) is None
        assert raised(signal.SIGINT) is raised(signal.SIGABRT) is None
        del handler.sigint, handler.sigterm
        handler.sigabrt = None
        assert [raised(number)[1] for number in (2, 15, 6)] == [2, 15, 6]
        try:
            handler.start()
        except RuntimeError:
            report("started already")
        handler.stop()
        assert signal.getsignal(signal.SIGINT) is usual and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        mine = lambda number, frame: report("mine")
        signal.signal(signal.SIGINT, mine)
        handler.stop()
        assert signal.getsignal(signal.SIGINT) is mine
        handler.start()
        handler.stop()
        send_me(signal.SIGINT)
        # A handler that is asked for directly.
        try:
            handler.sigterm(signal.SIGTERM)
        except SIGTERM:
            pass
        try:
            handler.sigterm(signal.SIGUSR1)
        except daemoniker.exceptions.DaemonikerSignal as error:
            report(type(error).__name__)
        """,
    )
    assert done.returncode == 0, done.stderr
    expected = ["term (15,)", "int 2", "started already", "mine", "DaemonikerSignal"]
    assert [house.hear() for _ in expected] == expected
    assert house.silent()


def test_only_the_main_thread_starts_and_stops_handlers(house: House) -> None:
    done = run(
        house,
        """
        handler = SignalHandler1(PID_FILE)
        def attempt(function):
            try:
                function()
            except ValueError:
                report("refused")
        for function in (handler.start, handler.stop):
            thread = threading.Thread(target=attempt, args=[function])
            thread.start(); thread.join()
            if function == handler.start:
                assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
                handler.start()
        # It is as it was.
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SIGTERM:
            handler.stop()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        """,
    )
    assert done.returncode == 0, done.stderr
    assert [house.hear(), house.hear()] == ["refused", "refused"]


def test_handlers_of_c_code_are_put_back_too(house: House) -> None:
    """Python knows nothing of faulthandler's, nor of that which removes the pid file when SIGTERM ends the daemon."""
    then = "handler = SignalHandler1(PID_FILE); handler.start(); handler.stop(); report('stopped')\nsignal.pause()"
    pid = start(house, then=then)
    house.hear()
    assert house.end(pid) == signal.SIGTERM
    assert not house.pid_path.exists()
    done = run(house, "import faulthandler; faulthandler.enable()\nh = SignalHandler1(''); h.start(); h.stop(); os.abort()")
    assert done.returncode == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in done.stderr


@pytest.mark.parametrize(
    ("what", "number"),
    [("SIGTERM", 15), ("SIGTERM()", 15), ("SIGINT", 2), ("SIGABRT()", 6), ("15", 15), ("signal.SIGINT", 2), ("'6'", 6)],
)
def test_sending(house: House, what: str, number: int) -> None:
    then = """
handler = SignalHandler1(PID_FILE)
handler.start()
report("waits")
try:
    signal.pause()
except daemoniker.exceptions.ReceivedSignal as error:
    report("got", int(error))
"""
    pid = start(house, then=then)
    assert house.hear() == "waits"
    done = run(house, f"assert send(PID_FILE, {what}) is None")
    assert done.returncode == 0, done.stderr
    assert house.hear() == f"got {number}"
    assert house.reap(pid) == 0
    assert not house.pid_path.exists()


def test_sending_to_nobody() -> None:
    from daemonctx.compat.daemoniker import SIGTERM, _signals_common, send

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "x.pid")
        with pytest.raises(FileNotFoundError) as missing:
            send(str(path), SIGTERM)
        assert missing.value.filename == str(path)
        # Younger than the file says: the number was somebody else's.
        innocent = subprocess.Popen(["sleep", str(LIMIT)])
        try:
            path.write_text(f"{innocent.pid}\n")
            os.utime(path, (1, 1))
            with pytest.raises(ProcessLookupError):
                send(path, SIGTERM)
            assert not _signals_common.ping(path)
            assert innocent.poll() is None
        finally:
            innocent.kill()
            innocent.wait()
        for text in ("", "0\n", "1\n", "-1\n", f"{innocent.pid}\n"):
            path.write_text(text)
            # Nothing is sent, should it not be refused: -1 is everybody.
            with pytest.raises(ProcessLookupError):
                send(path, 0)
        path.write_text("no number\n")
        with pytest.raises(ValueError):
            send(path, SIGTERM)
        with pytest.raises(IsADirectoryError):
            send(folder, SIGTERM)


def test_sending_to_a_daemon_of_the_original_and_what_is_no_signal() -> None:
    from daemonctx.compat.daemoniker import SIGTERM, _signals_common, send

    other = subprocess.Popen(["sleep", str(LIMIT)])
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "x.pid")
            path.write_text(f"{other.pid}\n")
            assert _signals_common.ping(path)
            with pytest.raises(OSError) as caught:
                send(path, 1000)
            assert caught.value.errno == errno.EINVAL
            with pytest.raises(TypeError):
                send(path, None)  # type: ignore[arg-type]
            send(path, SIGTERM())
            assert other.wait(LIMIT) == -signal.SIGTERM
    finally:
        other.kill()
        other.wait()


@AS_ROOT
def test_who_may_not_signal_is_told_so() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = pathlib.Path(folder, "x.pid")
        path.write_text(f"{os.getpid()}\n")
        body = f"""
import os
from daemonctx.compat.daemoniker import SIGTERM, send
os.setuid({NOBODY})
try:
    send({str(path)!r}, SIGTERM)
except PermissionError as error:
    print("EPERM" if error.errno == {errno.EPERM} else error)
"""
        done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, timeout=LIMIT)
        assert (done.stdout, done.stderr) == ("EPERM\n", "")


# --- privileges -------------------------------------------------------------------------------------------------------


@AS_ROOT
def test_daemote_gives_up_everything_and_can_remove_the_file(house: House) -> None:
    then = f"""
from daemoniker._privdrop_unix import daemote
os.setgroups([4, 27])
fds = set(os.listdir("/proc/self/fd"))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
daemote(PID_FILE, {NOBODY}, {NOBODY})
assert set(os.listdir("/proc/self/fd")) == fds
report(os.getresuid(), os.getresgid(), os.getgroups(), signal.pthread_sigmask(signal.SIG_BLOCK, []) == {{signal.SIGUSR1}}, os.getcwd(),
    oct(os.umask(0)), os.stat(PID_FILE).st_uid, os.stat(PID_FILE).st_gid)
"""
    with tempfile.TemporaryDirectory() as folder:
        # Not below pytest's folder: that is closed again whenever another run begins.
        os.chmod(folder, 0o777)
        house.pid_path = pathlib.Path(folder, "test.pid")
        start_and_check_that_nothing_is_left(house, then)


def start_and_check_that_nothing_is_left(house: House, then: str) -> None:
    pid = start(house, then=then)
    nobody = (NOBODY,) * 3
    assert house.hear() == f"{nobody} {nobody} [] True {os.getcwd()} 0o27 {NOBODY} {NOBODY}"
    assert house.reap(pid) == 0
    assert not house.pid_path.exists()


# What daemoniker's own tests import from its modules. They are in its repository alone; all 17 of them for Unix pass on this.


def test_a_pid_file_taken_by_itself(house: House) -> None:
    done = run(house, """
from daemonctx.compat.daemoniker._daemonize_common import _acquire_pidfile
held = _acquire_pidfile(PID_FILE)
print(open(PID_FILE).read() == f"{os.getpid()}\\n")
try:
    _acquire_pidfile(PID_FILE, silence_logger=True)
except SystemExit as error:
    print("already" in str(error))
held.close()
print(os.path.exists(PID_FILE))
""")
    assert done.stdout.split() == ["True", "True", "False"]


def test_steps_by_themselves(house: House) -> None:
    done = run(house, """
from daemonctx.compat.daemoniker._daemonize_unix import _SUPPORTED_PLATFORM
from daemonctx.compat.daemoniker._daemonize_unix import _autoclose_files, _filial_usurpation, _fratricidal_fork
files = [open(os.devnull) for _ in range(5)]
def is_open(file):
    try: return bool(os.fstat(file.fileno()))
    except OSError: return False
_autoclose_files(shielded=[files[1].fileno(), files[3].fileno(), REPORT])
shown = "".join("-+"[is_open(file)] for file in files)
starter = os.getpid()
is_parent = _fratricidal_fork(have_mercy=True)
if is_parent:
    os._exit(0)
_fratricidal_fork()
_filial_usurpation("/", 0o027)
report(_SUPPORTED_PLATFORM, shown, os.getpid() != starter, os.getsid(0) == os.getpid(), os.getcwd(), os.umask(0) == 0o027, os.getpid())
""")
    assert done.returncode == 0
    *said, pid = house.hear().split()
    assert said == ["True", "-+-+-", "True", "True", "/", "True"]
    house.reap(int(pid))
    for child in children():
        house.reap(child)


def test_streams_and_ranges_by_themselves(house: House) -> None:
    from daemonctx.compat.daemoniker._daemonize_common import _make_range_tuples

    assert _make_range_tuples(3, 14, [4, 5, 10]) == [(3, 4), (6, 10), (11, 14)]
    assert _make_range_tuples(1, 3, [1, 2, 3]) == []
    assert _make_range_tuples(3, 10, [1, 2]) == [(3, 10)]
    done = run(house, """
from daemonctx.compat.daemoniker._daemonize_common import _flush_stds, _redirect_stds, _write_pid
print("before")
_redirect_stds(FOLDER + "/in", FOLDER + "/log", FOLDER + "/log")
print("after", sys.stdin.read())
_flush_stds()
with open(PID_FILE, "w+") as file:
    file.write("something longer than a PID")
    _write_pid(file)
""")
    assert done.stdout == "before\n"
    assert (house.folder / "log").read_text() == "after \n"
    assert house.pid_path.read_text().strip().isdigit()


def test_names_about_signals() -> None:
    from daemonctx.compat.daemoniker import IGNORE_SIGNAL, _signals_unix, _signals_windows
    from daemonctx.compat.daemoniker._signals_common import _noop, _normalize_handler

    assert (_signals_unix._SUPPORTED_PLATFORM, _signals_windows._SUPPORTED_PLATFORM) == (True, False)
    assert _noop(signal.SIGINT) is None
    assert _normalize_handler(IGNORE_SIGNAL, print) is _noop
    assert _normalize_handler(None, print) is _normalize_handler(print, None) is print
    before = signal.signal(signal.SIGUSR1, _noop)
    _signals_unix._restore_any_previous_handler(signal.SIGUSR1, ZeroDivisionError)
    assert signal.getsignal(signal.SIGUSR1) is _noop
    _signals_unix._restore_any_previous_handler(signal.SIGUSR1, before)
    assert signal.getsignal(signal.SIGUSR1) is before
