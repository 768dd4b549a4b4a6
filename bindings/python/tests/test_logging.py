"""`daemonctx.ReopeningFileHandler`: log files that are rotated while they are written to."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from conftest import LIMIT, House
from test_signals import run

sys.path.insert(0, str(pathlib.Path(__file__).parent / "peers"))
import fetch

HEAD = """
import logging
log = logging.getLogger("mine")
log.setLevel("INFO")
def target(fd):
    try: return os.readlink(f"/proc/self/fd/{fd}")
    except FileNotFoundError: return ""  # that was for the listing
def logs(): return sorted(name.rpartition("/")[2] for name in map(target, os.listdir("/proc/self/fd")) if "/log" in name)
def text(name):
    with open(f"{FOLDER}/{name}") as file: return file.read().split()
def hup(): os.kill(os.getpid(), signal.SIGHUP)
PATH = FOLDER + "/log"
"""


def log_files(pid: int) -> list[str]:
    """What a process has open that is called log-something; a removed file is ``… (deleted)``."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:
            continue
        if target.rpartition("/")[2].startswith("log"):
            found.append(target.rpartition("/")[2])
    return sorted(found)


def logrotate() -> tuple[str, dict[str, str]]:
    if os.path.exists("/usr/sbin/logrotate"):
        return "/usr/sbin/logrotate", {}
    try:
        root = fetch.debian("logrotate", "libpopt0")
    except fetch.Unavailable as why:
        pytest.skip(str(why))
    libraries = os.pathsep.join(str(path.parent) for path in root.rglob("libpopt.so.0"))
    return str(root / "usr/sbin/logrotate"), {"LD_LIBRARY_PATH": libraries}


@pytest.mark.parametrize("threads", [1, 3])
def test_the_real_logrotate(house: House, threads: int) -> None:
    """Ten rotations while numbers are logged: each number is there once, in order, over all files."""
    program, environment = logrotate()
    house.folder.chmod(0o755)  # logrotate refuses folders that others can write to
    configuration, state = house.folder / "rotate.conf", house.folder / "state"
    configuration.write_text(
        f"{house.folder}/log {{\n  rotate 20\n  create 0640\n  compress\n  missingok\n"
        f"  postrotate\n    kill -HUP $(cat {house.pid_path})\n"
        # What follows the signal at once is compression: whoever still wrote then would write in vain.
        f"    while readlink /proc/$(cat {house.pid_path})/fd/* | grep -q 'log\\.1$'; do :; done\n  endscript\n}}\n"
    )
    configuration.chmod(0o644)
    done = house.run(
        f"""
        handler = ReopeningFileHandler(PATH, signal=signal.SIGHUP)
        log.addHandler(handler)
        context = DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], preserve_logging=True, detach_process=True)
        context.open()
        report(os.getpid())
        end = threading.Event()
        stream = signals(signal.SIGTERM)
        def work(name):
            number = 0
            while not end.is_set():
                log.info("%s %d", name, number)
                number += 1
                end.wait(0.0002)
            report(name, number)
        others = [threading.Thread(target=work, args=[name]) for name in range(1, {threads})]
        for thread in others: thread.start()
        threading.Thread(target=lambda: (next(stream), end.set())).start()
        work(0)
        for thread in others: thread.join()
        """,
        head=HEAD,
    )
    assert (done.returncode, done.stderr) == (0, "")
    daemon = int(house.hear())
    for _ in range(10):
        command = [program, "-f", "-s", str(state), str(configuration)]
        rotated = subprocess.run(command, env={**os.environ, **environment}, timeout=LIMIT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert (rotated.returncode, rotated.stdout) == (0, b"")
        assert log_files(daemon) == ["log"]
    assert house.end(daemon) == 0
    counts = {name: int(count) for name, count in (house.hear().split() for _ in range(threads))}
    files = [f"log.{number}.gz" for number in range(10, 0, -1)]
    lines = []
    for name in files:
        lines += subprocess.run(["gzip", "-dc", name], cwd=house.folder, stdout=subprocess.PIPE, check=True).stdout.decode().splitlines()
    lines += (house.folder / "log").read_text().splitlines()
    for name, count in counts.items():
        assert [int(line.split()[1]) for line in lines if line.split()[0] == name] == list(range(count))
    assert len(lines) == sum(counts.values()) > 100


def test_an_idle_daemon_lets_go_at_once(house: House) -> None:
    house.run(
        """
        os.chdir(FOLDER)
        log.addHandler(ReopeningFileHandler("log", signal=signal.SIGHUP))
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], preserve_logging=True, detach_process=True).open()
        log.addHandler(ReopeningFileHandler(FOLDER + "/log-after", signal=signal.SIGHUP))
        log.info("one")
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        report(os.getpid())
        while signal.sigwaitinfo([signal.SIGUSR1]):
            report("woken")
        """,
        head=HEAD,
    )
    daemon = int(house.hear())
    for name in ("log", "log-after"):
        (house.folder / name).rename(house.folder / f"{name}.1")
    assert log_files(daemon) == ["log-after.1", "log.1"]
    os.kill(daemon, signal.SIGHUP)
    os.kill(daemon, signal.SIGUSR1)
    assert house.hear() == "woken"
    assert log_files(daemon) == ["log", "log-after"]
    assert (house.folder / "log.1").read_text() == "one\n"
    house.end(daemon)


def test_a_signal_in_the_middle_of_a_record(house: House) -> None:
    """Once before the stream is taken, once between that and writing, once after; and a record logged by a handler of signals."""
    said = run(
        house,
        """
        class Handler(ReopeningFileHandler):
            @property
            def terminator(self):
                rotate("terminator")
                return "\\n"
            def format(self, record):
                rotate("format")
                return super().format(record)
            def flush(self):
                super().flush()
                rotate("flush")
        def rotate(where):
            if where == now[0]:
                now[0] = None
                os.rename(PATH, f"{PATH}.{where}")
                hup()
                print(where, logs())  # not yet
        now = [None]
        signal.signal(signal.SIGHUP, lambda *_: log.info("chained"))
        log.addHandler(Handler(PATH, signal=signal.SIGHUP))
        for where in ("format", "terminator", "flush"):
            now[0] = where
            log.info("during-%s", where)
            print(logs())
            log.info("after-%s", where)
            print(sorted(text("log")), sorted(text("log." + where)))
        """,
        head=HEAD,
    )
    # What the chained handler logs is a record inside of a record: it goes where that one goes.
    assert said == [
        "format ['log.format']",
        "['log']",
        "['after-format'] ['chained', 'during-format']",
        "terminator ['log.terminator']",
        "['log']",
        "['after-terminator'] ['after-format', 'chained', 'during-terminator']",
        "flush ['log.flush']",
        "['log']",
        "['after-flush'] ['after-terminator', 'chained', 'during-flush']",
    ]


def test_a_signal_in_the_middle_of_reopening(house: House) -> None:
    said = run(
        house,
        """
        class Handler(ReopeningFileHandler):
            def _open(self):
                stream = super()._open()
                if rotations:
                    os.rename(PATH, PATH + rotations.pop())
                    hup()
                return stream
        rotations = []
        handler = Handler(PATH, signal=signal.SIGHUP)
        for reopen in (hup, handler.reopen):
            rotations += [".2", ".1"]
            reopen()
            print(logs())
        """,
        head=HEAD,
    )
    assert said == ["['log']"] * 2


def test_a_signal_while_another_thread_writes(house: House) -> None:
    said = run(
        house,
        """
        class Handler(ReopeningFileHandler):
            def format(self, record):
                inside.set(); go_on.wait()
                return super().format(record)
        inside, go_on = threading.Event(), threading.Event()
        log.addHandler(Handler(PATH, signal=signal.SIGHUP))
        thread = threading.Thread(target=log.info, args=["one"]); thread.start()
        inside.wait()
        os.rename(PATH, PATH + ".1")
        hup()
        print(logs())  # it does not wait
        go_on.set(); thread.join()
        print(logs(), text("log.1"), text("log"))
        """,
        head=HEAD,
    )
    assert said == ["['log.1']", "['log'] ['one'] []"]


def test_many_signals_many_threads(house: House) -> None:
    """The lock is given back at the very moment that the signal finds it taken."""
    said = run(
        house,
        """
        handler = ReopeningFileHandler(PATH, signal=signal.SIGUSR1)
        log.addHandler(handler)
        end = threading.Event()
        counts = [0, 0, 0]
        def work(name):
            while not end.is_set():
                log.info("%d %d", name, counts[name]); counts[name] += 1
        threads = [threading.Thread(target=work, args=[name]) for name in range(3)]
        sys.setswitchinterval(1e-5)
        for thread in threads: thread.start()
        for number in range(300):
            os.rename(PATH, f"{PATH}.{number}")
            os.kill(os.getpid(), signal.SIGUSR1)
            while not os.path.exists(PATH):
                pass
        end.set()
        for thread in threads: thread.join()
        lines = [line for n in [*range(300)] for line in open(f"{PATH}.{n}")] + [*open(PATH)]
        for name in range(3):
            numbers = [int(line.split()[1]) for line in lines if line.split()[0] == str(name)]
            print(numbers == list(range(counts[name])))
        print(logs())
        """,
        head=HEAD,
    )
    assert said == ["True"] * 3 + ["['log']"]


def test_several_on_one_signal_and_what_was_there_before(house: House) -> None:
    said = run(
        house,
        """
        def previous(signum, frame): print("previous", signum)
        signal.signal(signal.SIGHUP, previous)
        one, two = (ReopeningFileHandler(PATH + name, signal=signal.SIGHUP) for name in "12")
        def rotate():
            for name in "12": os.rename(PATH + name, PATH + name + ".old"); open(PATH + name, "w").close()
            hup()
            print(logs())
        rotate()
        one.close(); one.close()
        rotate()
        two.close()
        print(signal.getsignal(signal.SIGHUP) is previous, logs())
        # Ignored before, ignored again; and what somebody else has set later stays.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        one = ReopeningFileHandler(PATH, signal=signal.SIGHUP)
        hup(); one.close()
        print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)
        one = ReopeningFileHandler(PATH, signal=signal.SIGHUP)
        signal.signal(signal.SIGHUP, previous); one.close()
        print(signal.getsignal(signal.SIGHUP) is previous)
        one = ReopeningFileHandler(PATH, signal=signal.SIGHUP)
        del one  # logging has no strong reference either
        import gc; gc.collect()
        print(logs()); hup()
        for number in (signal.SIGKILL, 0):
            try:
                ReopeningFileHandler(PATH, signal=number)
            except OptionError as error:
                print(error, logs())
        """,
        head="import warnings\nwarnings.simplefilter('ignore', ResourceWarning)\n" + HEAD,
    )
    assert said == [
        "previous 1",
        "['log1', 'log2']",
        "previous 1",
        "['log2']",
        "True []",
        "True",
        "True",
        "[]",
        "previous 1",
        "signal: expected a signal that can be caught, got <Signals.SIGKILL: 9> []",
        "signal: expected a signal that can be caught, got 0 []",
    ]


def test_what_cannot_be_opened_leaves_the_old_file(house: House) -> None:
    done = house.run(
        """
        import daemonctx._logging as part, time
        class Handler(ReopeningFileHandler):
            tries = 0
            def _open(self):
                self.tries += 1
                return super()._open()
        handler = Handler(PATH, signal=signal.SIGHUP)
        log.addHandler(handler)
        os.rename(PATH, PATH + ".1"); os.mkdir(PATH)
        part._RETRY = 3600
        hup()
        log.info("one"); log.info("two")
        print(handler.tries)
        part._RETRY = 0
        log.info("three")
        try:
            handler.reopen()
        except IsADirectoryError:
            print("raised")
        os.rmdir(PATH)
        log.info("four")
        print(text("log.1"), text("log"), logs())
        """,
        head=HEAD,
    )
    assert done.stdout.splitlines() == ["2", "raised", "['one', 'two', 'three'] ['four'] ['log']"]
    assert done.stderr.count("--- Logging error ---") == 1
    assert f"IsADirectoryError: [Errno 21] Is a directory: '{house.folder}/log'" in done.stderr
    assert "cannot be opened anew; the old file is written to" in done.stderr


def test_what_cannot_be_told_is_told_later(house: House) -> None:
    """A signal in the middle of a write to standard error, whose buffer is not for two."""
    said = run(
        house,
        """
        import daemonctx._logging as part
        part._RETRY = 0
        class Handler(ReopeningFileHandler):
            told = 0
            def handleError(self, record):
                self.told += 1
                if self.told == 1:
                    raise RuntimeError("reentrant call")
        handler = Handler(PATH, signal=signal.SIGHUP)
        log.addHandler(handler)
        os.rename(PATH, PATH + ".1"); os.mkdir(PATH)
        hup()
        log.info("one"); log.info("two")
        print(handler.told, text("log.1"))
        """,
        head=HEAD,
    )
    assert said == ["2 ['one', 'two']"]


def test_modes(house: House) -> None:
    said = run(
        house,
        """
        import stat
        def mode(path=PATH): return oct(stat.S_IMODE(os.stat(path).st_mode))
        os.umask(0)
        handler = ReopeningFileHandler(PATH, "w", delay=True, encoding="utf-16-le")
        log.addHandler(handler)
        open(PATH, "w").write("old ")
        handler.reopen()
        log.info("one")
        handler.reopen()
        log.info("two")
        print(open(PATH, encoding="utf-16-le").read().split(), handler.baseFilename == PATH)
        os.unlink(PATH); handler.reopen(); print(mode())
        os.umask(0o077); os.unlink(PATH); handler.reopen(); print(mode())
        log.removeHandler(handler); handler.close()
        one = ReopeningFileHandler(PATH + "1", file_mode=0o664)
        print(mode(PATH + "1"))
        try:
            ReopeningFileHandler(PATH + "1", "x")
        except FileExistsError:
            print("there")
        two = ReopeningFileHandler(PATH + "1"); print(mode(PATH + "1"))  # that is not made here
        os.symlink(PATH + "nowhere", PATH + "link")
        try:
            ReopeningFileHandler(PATH + "link")
        except FileNotFoundError as error:
            print(error.filename == PATH + "link", os.path.exists(PATH + "nowhere"))  # nothing is made through a link
        os.mkdir(PATH + "nowhere")
        late = ReopeningFileHandler(PATH + "nowhere", delay=True)
        late.reopen()
        log.addHandler(late)
        logging.raiseExceptions = False
        log.info("nowhere to go")  # no exception in the program
        for option in ("user", "group"):
            try:
                ReopeningFileHandler(PATH, **{option: "nobody-at-all"})
            except OptionError as error:
                print(error)
        one.close(); two.close()
        """,
        head=HEAD,
    )
    assert said == [
        "['one', 'two'] True", "0o640", "0o600", "0o664", "there", "0o664", "True False", "no such user: nobody-at-all",
        "no such group: nobody-at-all"
    ]  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="changing the user needs root")
def test_after_privileges_are_dropped(house: House) -> None:
    house.folder.chmod(0o777)
    for folder in list(house.folder.parents)[:3]:
        folder.chmod(folder.stat().st_mode | 0o111)
    house.run(
        """
        theirs = ReopeningFileHandler(PATH + "1", signal=signal.SIGHUP, user="nobody", group="nogroup")
        roots = ReopeningFileHandler(PATH + "2", signal=signal.SIGHUP)
        roots.handleError = lambda record: report("error", record.getMessage().rpartition("/")[2])
        for handler in (theirs, roots): log.addHandler(handler)
        os.chdir("/")
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], preserve_logging=True, uid="nobody",
                      detach_process=True).open()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        report(os.getpid())
        signal.sigwaitinfo([signal.SIGUSR1])
        log.info("one")
        report("logged")
        signal.pause()
        """,
        head=HEAD,
    )
    daemon = int(house.hear())
    assert (house.folder / "log1").stat().st_uid == 65534
    (house.folder / "log2").rename(house.folder / "log2.old")
    (house.folder / "log2").touch(0o600)
    os.kill(daemon, signal.SIGHUP)
    assert house.hear() == "error log2 cannot be opened anew; the old file is written to"
    os.kill(daemon, signal.SIGUSR1)
    assert house.hear() == "logged"
    assert (house.folder / "log1").read_text() == (house.folder / "log2.old").read_text() == "one\n"
    house.end(daemon)


def test_a_child_of_a_fork_has_a_free_lock(house: House) -> None:
    said = run(
        house,
        """
        import warnings; warnings.simplefilter("ignore")
        class Handler(ReopeningFileHandler):
            def format(self, record):
                if threading.current_thread() is not threading.main_thread():
                    inside.set(); go_on.wait()
                return super().format(record)
        inside, go_on = threading.Event(), threading.Event()
        log.addHandler(Handler(PATH, signal=signal.SIGHUP))
        thread = threading.Thread(target=log.info, args=["parent"]); thread.start(); inside.wait()
        pid = os.fork()
        if pid == 0:
            log.info("child")
            hup()
            log.info("child-again")
            os._exit(0)
        print(os.waitpid(pid, 0)[1])
        go_on.set(); thread.join()
        print(text("log"))
        """,
        head=HEAD,
    )
    assert said == ["0", "['child', 'child-again', 'parent']"]


def test_it_is_configured_by_name(house: House) -> None:
    said = run(
        house,
        """
        import logging.config
        logging.config.dictConfig({"version": 1, "root": {"handlers": ["file"], "level": "INFO"}, "handlers": {"file": {
            "class": "daemonctx.ReopeningFileHandler", "filename": PATH, "signal": signal.SIGHUP, "file_mode": 0o600}}})
        logging.info("one")
        hup()
        print(text("log"))
        """,
        head="import logging\n" + HEAD,
    )
    assert said == ["one"] or said == ["['one']"]
