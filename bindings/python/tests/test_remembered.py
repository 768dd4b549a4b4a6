"""What Python remembers by number through a start: kept, forgotten, or named in a warning."""

from __future__ import annotations

import pytest
from conftest import House, children
from doors import DATA, DOORS, EACH_CLOSING_DOOR, EACH_DOOR

LOGGING = {
    "a MemoryHandler": "front = logging.handlers.MemoryHandler(1, target=logging.FileHandler(FOLDER + '/log'))\n"
    "logging.getLogger().addHandler(front)\ndef flush(): pass\n",
    "a QueueListener": "import queue\nq = queue.Queue()\n"
    "listener = logging.handlers.QueueListener(q, logging.FileHandler(FOLDER + '/log'))\n"
    "logging.getLogger().addHandler(logging.handlers.QueueHandler(q))\n"
    "def flush(): listener.start(); listener.stop()\n",
    "dictConfig": "import logging.config\n"
    "logging.config.dictConfig({'version': 1, 'root': {'handlers': ['memory']}, 'handlers': {\n"
    "    'file': {'class': 'logging.FileHandler', 'filename': FOLDER + '/log'},\n"
    "    'memory': {'class': 'logging.handlers.MemoryHandler', 'capacity': 1, 'target': 'file'}}})\n"
    "def flush(): pass\n",
    "a logger of its own": "own = logging.Logger('own')\nown.addHandler(logging.FileHandler(FOLDER + '/log'))\n"
    "logging.warning = own.warning\ndef flush(): pass\n",
}


@EACH_DOOR
@pytest.mark.parametrize("where", LOGGING)
def test_a_log_file_behind_other_handlers_is_kept(house: House, door: str, where: str) -> None:
    done = house.run(
        """
        become()
        take_numbers()
        logging.warning("from the daemon")
        flush()
        report(os.getpid(), dirt(), open(FOLDER + "/log").read())
        """,
        head=DATA + DOORS[door] + "import logging, logging.handlers\n" + LOGGING[where],
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, _, said = house.hear().partition(" ")
    assert said == "[] from the daemon"
    assert house.hear() == ""  # The rest of the log's line.
    house.reap(int(pid))


def test_a_log_file_that_is_not_kept_is_named(house: House) -> None:
    done = house.run(
        """
        file = logging.FileHandler(FOLDER + "/app.log")
        DaemonContext(files_preserve=[REPORT], preserve_logging=False, detach_process=True).open()
        report(os.getpid())
        """,
        use="import logging\nfrom daemonctx import *",
    )
    assert f"DaemonWarning: closed in the daemon: {house.folder}/app.log (descriptor " in done.stderr
    house.reap(int(house.hear()))


def reap_helpers(house: House) -> None:
    """multiprocessing's own processes end when nobody uses them any more."""
    for pid in children():
        house.reap(pid)


@EACH_DOOR
def test_the_resource_tracker_goes_on(house: House, door: str) -> None:
    done = house.run(
        """
        if __name__ == "__main__":
            context = mp.get_context("spawn")
            lock = context.Lock()
            memory = shared_memory.SharedMemory(create=True, size=8)
            name = memory.name
            become()
            take_numbers()
            another = context.Lock()
            memory.buf[0] = 1
            report(os.getpid(), dirt(), os.path.exists("/dev/shm/" + name))
            memory.close()
            memory.unlink()
            report(all(not file.closed and os.fstat(file.fileno()) for file in data))
        """,
        head=DATA + DOORS[door] + "import multiprocessing as mp\nfrom multiprocessing import shared_memory\n",
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, _, said = house.hear().partition(" ")
    assert said == "[] True"
    assert house.hear() == "True", "the memory's descriptors were its own"
    house.reap(int(pid))
    reap_helpers(house)


@EACH_DOOR
def test_the_fork_server_is_started_anew(house: House, door: str) -> None:
    done = house.run(
        """
        def work(): pass
        if __name__ == "__main__":
            context = mp.get_context("forkserver")
            first = context.Process(target=work); first.start(); first.join()
            become()
            take_numbers()
            second = context.Process(target=work); second.start(); second.join()
            report(os.getpid(), dirt(), second.exitcode)
        """,
        head=DATA + DOORS[door] + "import multiprocessing as mp\n",
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, _, said = house.hear().partition(" ")
    assert said == "[] 0"
    house.reap(int(pid))
    reap_helpers(house)


@EACH_DOOR
def test_a_process_of_the_starter_is_forgotten(house: House, door: str) -> None:
    """The end of the interpreter would join it, and it is no child of the daemon's."""
    done = house.run(
        """
        if __name__ == "__main__":
            process = mp.get_context("fork").Process(target=signal.pause)
            process.start()
            become()
            os.dup2(os.open(FOLDER + "/log", os.O_WRONLY | os.O_CREAT), 2)
            report(os.getpid(), process.pid)
        """,
        head=DATA + DOORS[door] + "import multiprocessing as mp\n",
    )
    assert done.returncode == 0
    said = "DaemonWarning: 1 child process (ForkProcess-1) will not be the daemon's, nor end with it; start it after open()"
    assert said in done.stderr and done.stderr.count("DaemonWarning") == 1
    pid, process = map(int, house.hear().split())
    assert house.reap(pid) == 0
    assert (house.folder / "log").read_text() == ""
    house.end(process)


@EACH_DOOR
def test_a_manager_that_was_started_before_is_named(house: House, door: str) -> None:
    """It goes on for the daemon, and nobody ends it."""
    done = house.run(
        """
        if __name__ == "__main__":
            manager = mp.get_context("fork").Manager()
            shared = manager.dict(a=1)
            become()
            shared["b"] = 2
            report(os.getpid(), manager._process.pid, dict(shared))
        """,
        head=DATA + DOORS[door] + "import multiprocessing as mp\n",
    )
    assert done.returncode == 0
    assert "DaemonWarning: 1 child process (SyncManager-1) will not be the daemon's, nor end with it" in done.stderr
    pid, manager, said = house.hear().split(" ", 2)
    assert said == "{'a': 1, 'b': 2}"
    assert house.reap(int(pid)) == 0
    house.end(int(manager), 9)


@EACH_DOOR
@pytest.mark.parametrize("call", ["register(signal.SIGUSR1, file=trace)", "enable(trace)"])
def test_a_file_of_faulthandler_is_kept(house: House, door: str, call: str) -> None:
    done = house.run(
        f"""
        trace = open(FOLDER + "/trace", "w")
        faulthandler.{call}
        number = trace.fileno()
        become()
        take_numbers()
        report(os.getpid(), os.path.samestat(os.fstat(number), os.stat(FOLDER + "/trace")))
        """,
        head=DATA + DOORS[door] + "import faulthandler\n",
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, said = house.hear().split()
    assert said == "True"
    house.reap(int(pid))


@EACH_DOOR
def test_a_dump_for_later_is_cancelled_as_the_end_would_wait_for_its_thread(house: House, door: str) -> None:
    done = house.run(
        """
        trace = open(FOLDER + "/trace", "w")
        faulthandler.dump_traceback_later(1000, file=trace)
        become(trace)
        report(os.getpid())
        """,
        head=DATA + DOORS[door] + "import faulthandler\n",
    )
    assert done.returncode == 0
    assert "DaemonWarning: faulthandler.dump_traceback_later() is cancelled; call it in the daemon" in done.stderr
    house.reap(int(house.hear()))


LOOPS = {
    "asyncio": "import asyncio\nloop = asyncio.new_event_loop()\n"
    "async def main(): await asyncio.sleep(0.001); return await loop.run_in_executor(None, lambda: 'served')\n"
    "def serve(): return loop.run_until_complete(main())\n",
    "asyncio with a signal": "import asyncio\nloop = asyncio.new_event_loop()\ngot = loop.create_future()\n"
    "loop.add_signal_handler(signal.SIGUSR1, lambda: got.set_result('served'))\n"
    "def serve(): os.kill(os.getpid(), signal.SIGUSR1); return loop.run_until_complete(got)\n",
    "the thread's loop": "import asyncio\nasyncio.set_event_loop(asyncio.new_event_loop())\n"
    "async def main(): return 'served'\n"
    "def serve(): return asyncio.get_event_loop().run_until_complete(main())\n",
    "a selector": "import selectors, socket\nselector = selectors.DefaultSelector()\n"
    "server = socket.create_server(('127.0.0.1', 0))\nselector.register(server, selectors.EVENT_READ, 'served')\n"
    "def serve():\n    with socket.create_connection(server.getsockname()): return selector.select()[0][0].data\n",
}


@EACH_DOOR
@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_that_was_made_before_goes_on(house: House, door: str, loop: str) -> None:
    done = house.run(
        """
        become()
        take_numbers()
        report(os.getpid(), dirt(), serve())
        """,
        head=DATA + DOORS[door] + LOOPS[loop],
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, _, said = house.hear().partition(" ")
    assert said == "[] served"
    house.reap(int(pid))


@EACH_DOOR
def test_a_random_number_generator_goes_on(house: House, door: str) -> None:
    body = "it = open('/dev/urandom', 'rb', buffering=0)\nbecome()\ntake_numbers()\nreport(os.getpid(), len(it.read(4)))\n"
    done = house.run(body, head=DATA + DOORS[door])
    assert (done.returncode, done.stderr) == (0, "")
    pid, length = house.hear().split()
    assert length == "4"
    house.reap(int(pid))


OTHERS = {
    "a file": ("it = open(FOLDER + '/x.csv', 'w'); it.write('text')", "{0}/x.csv (descriptor "),
    "a temporary file": ("import tempfile; it = tempfile.TemporaryFile()", " (deleted) (descriptor "),
    "the null device": ("it = open(os.devnull, 'w')", "/dev/null (descriptor "),
    "a socket": ("import socket; it = socket.create_server(('127.0.0.1', 0))", "socket 127.0.0.1:"),
    "a lock": (
        "import fcntl; it = os.open(FOLDER + '/lock', os.O_RDWR | os.O_CREAT); fcntl.flock(it, fcntl.LOCK_EX)",
        "{0}/lock (descriptor ",
    ),
    "inotify, without a mark": (
        "import ctypes; it = ctypes.CDLL(None).inotify_init()",
        "inotify (descriptor ",
    ),
    "a pipe": ("it = os.pipe()[0]", "pipe (descriptor "),
    "a mapping": (
        "import mmap; it = mmap.mmap(os.open(FOLDER + '/map', os.O_RDWR | os.O_CREAT | os.O_TRUNC), 0) "
        "if open(FOLDER + '/map', 'w').write('x') is None else None; it = open(FOLDER + '/map')",
        "{0}/map (descriptor ",
    ),
}


@EACH_CLOSING_DOOR
@pytest.mark.parametrize("what", OTHERS)
def test_what_else_is_open_is_named(house: House, door: str, what: str) -> None:
    opened, named = OTHERS[what]
    done = house.run(f"{opened}\nbecome()\nreport(os.getpid())", head=DATA + DOORS[door])
    line = next(line for line in done.stderr.splitlines() if "DaemonWarning" in line)
    assert "script.py:" in line, "it names the program's line"
    assert "DaemonWarning: closed in the daemon: " in line and named.format(house.folder) in line
    house.reap(int(house.hear()))


@EACH_DOOR
@pytest.mark.parametrize("what", ["a file", "a socket", "a lock"])
def test_what_is_kept_is_not_named(house: House, door: str, what: str) -> None:
    done = house.run(f"{OTHERS[what][0]}\nbecome(it)\nreport(os.getpid())", head=DATA + DOORS[door])
    assert (done.returncode, done.stderr) == (0, "")
    house.reap(int(house.hear()))


# What a program may open before the start and drop in the daemon, and what writes to it.
OWNERS = {
    "a file": ("it = open(FOLDER + '/x.csv', 'w'); it.write('text')", "it.write('more'); it.flush()"),
    "an unbuffered file": ("it = open(FOLDER + '/x.csv', 'wb', buffering=0); it.write(b'text')", "it.write(b'more')"),
    "a file of a number": ("it = os.fdopen(os.open(FOLDER + '/x.csv', os.O_RDWR | os.O_CREAT), 'r+b'); it.write(b'text')", "it.flush()"),
    "sockets": ("import socket; it = [*socket.socketpair(), open(FOLDER + '/x.csv', 'w').write('text')]", "it[0].send(b'more')"),
    "a pipe of multiprocessing": (
        "import multiprocessing; it = [*multiprocessing.Pipe(), open(FOLDER + '/x.csv', 'w').write('text')]",
        "it[1].send(1)",
    ),
}


@EACH_CLOSING_DOOR
@pytest.mark.parametrize("what", OWNERS)
def test_an_object_whose_descriptor_was_closed_touches_no_other_file(house: House, door: str, what: str) -> None:
    """The number is another file's by then: what is written would go there, and the object's end would close that."""
    opened, used = OWNERS[what]
    done = house.run(
        f"""
        import gc
        {opened}
        become()
        take_numbers()
        try: {used}
        except (OSError, ValueError): report("refused")
        else: report("accepted")
        it = None; gc.collect()
        report(os.getpid(), dirt(), all(os.fstat(file.fileno()) and file.write("x") == 1 and not file.flush() for file in data))
        """,
        head=DATA + DOORS[door],
    )
    assert "DaemonWarning: closed in the daemon: " in done.stderr
    assert house.hear() == "refused"
    pid, _, said = house.hear().partition(" ")
    assert said == "[] True"
    assert (house.folder / "x.csv").read_text() == "text", "what was written before the start is there, once"
    house.reap(int(pid))


def test_an_object_whose_number_the_daemon_uses_itself_does_not_close_it(house: House) -> None:
    done = house.run(
        """
        import gc
        it = [open(FOLDER + f"/x{number}", "w") for number in range(8)]
        DaemonContext(pidfile=PidFile(PID_FILE), files_preserve=[REPORT], detach_process=True).open()
        it = None; gc.collect()
        report(PidFile(PID_FILE).status())
        signal.pause()
        """
    )
    assert done.returncode == 0
    assert house.hear() == "running"
    house.end(house.pid())
    assert not house.pid_path.exists()


@EACH_DOOR
def test_a_mapping_goes_on(house: House, door: str) -> None:
    """Its descriptor is its own, as that of libffi is, which maps more of its own code later."""
    done = house.run(
        """
        import ctypes, mmap
        open(FOLDER + "/map", "w").write("text")
        with open(FOLDER + "/map", "r+b") as file:
            it = mmap.mmap(file.fileno(), 0)
        become()
        take_numbers()
        it.resize(mmap.PAGESIZE)
        calls = [ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7) for number in range(1000)]
        report(os.getpid(), dirt(), it[:4], os.path.getsize(FOLDER + "/map") == mmap.PAGESIZE, {call() for call in calls})
        it.close()
        report(all(os.fstat(file.fileno()) for file in data))
        """,
        head=DATA + DOORS[door],
    )
    assert (done.returncode, done.stderr) == (0, "")
    pid, _, said = house.hear().partition(" ")
    assert said == "[] b'text' True {7}"
    assert house.hear() == "True"
    house.reap(int(pid))


@EACH_DOOR
def test_an_ordinary_program_is_not_warned(house: House, door: str) -> None:
    """What these modules open when they are imported, or leave behind when they are used, is not the program's."""
    done = house.run(
        """
        import asyncio, ctypes, hashlib, json, locale, logging, pwd, random, socket, sqlite3, ssl, subprocess, tempfile, zoneinfo
        pwd.getpwnam("root"); random.SystemRandom().random(); subprocess.run(["true"], check=True)
        asyncio.run(asyncio.sleep(0))
        # Inherited from whoever started this, and closed without a word.
        os.set_inheritable(os.open("/etc/passwd", os.O_RDONLY), True)
        become()
        report(os.getpid())
        """,
        head=DATA + DOORS[door],
    )
    assert (done.returncode, done.stderr) == (0, "")
    house.reap(int(house.hear()))


def test_threads_of_libraries_are_not_counted(house: House) -> None:
    """As OpenBLAS's, of which Python knows nothing, and which it makes anew in the daemon."""
    done = house.run(
        """
        import ctypes
        libc = ctypes.CDLL(None)
        thread = ctypes.c_ulong()
        assert libc.pthread_create(ctypes.byref(thread), None, libc.sleep, 1000) == 0
        DaemonContext(files_preserve=[REPORT], detach_process=True).open()
        report(os.getpid())
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    house.reap(int(house.hear()))


@EACH_CLOSING_DOOR
@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_database_of_sqlite_writes_to_its_own_file(house: House, door: str, mode: str) -> None:
    done = house.run(
        f"""
        path = FOLDER + "/it.db"
        connection = sqlite3.connect(path)
        connection.execute("pragma journal_mode = {mode}")
        connection.execute("create table t (x)")
        connection.commit()
        become()
        take_numbers()
        connection.execute("insert into t values (1)")
        connection.commit()
        connection.close()
        report(os.getpid(), dirt(), all(os.fstat(file.fileno()) for file in data), sqlite3.connect(path).execute("select x from t").fetchall())
        """,
        head=DATA + DOORS[door] + "import sqlite3\n",
    )
    assert done.returncode == 0
    assert "kept open in the daemon, but without their locks: SQLite's " in done.stderr and "/it.db (descriptor " in done.stderr
    assert "closed in the daemon" not in done.stderr
    pid, _, said = house.hear().partition(" ")
    assert said == "[] True [(1,)]"
    house.reap(int(pid))


def test_a_socket_that_another_thread_closes_meanwhile_fails_no_start() -> None:
    import socket

    from daemonctx import _remembered

    with socket.socket() as closed, open("/dev/null") as file:
        fd = closed.fileno()
        closed.close()
        # What the kernel said of it before.
        for descriptor in (fd, file.fileno()):
            assert _remembered._name(descriptor, "socket:[1]") == f"socket (descriptor {descriptor})"
            assert not _remembered._is_of_pair(descriptor) and not _remembered._peer(descriptor)
