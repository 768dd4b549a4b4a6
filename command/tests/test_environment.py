"""Who the daemon is, where it is, and what it inherits: every such option, seen through /proc."""

from __future__ import annotations

import os
import pathlib
import resource
import shutil
import subprocess
from typing import Iterator

import pytest
from daemons import LIMIT, NOBODY, NOGROUP, House, descriptors, environment, house, is_gone, is_root, stat, status

__all__ = ["house"]
SLEEP = ["--", "sleep", "1000"]


def ids(pid: int) -> tuple[list[str], list[str], list[str]]:
    seen = status(pid)
    return seen["Uid"].split(), seen["Gid"].split(), seen["Groups"].split()


def groups_of(user: str) -> list[str]:
    return sorted(subprocess.run(["id", "-G", user], capture_output=True, text=True, check=True).stdout.split(), key=int)


@pytest.fixture
def member() -> Iterator[str]:
    """A user with supplementary groups."""
    name = f"dctx{os.getpid() % 10000}"
    subprocess.run(["useradd", "--no-create-home", "--user-group", "-G", "daemon,mail", name], check=True)
    yield name
    subprocess.run(["userdel", name], check=True)


def privileges_gone(pid: int) -> bool:
    seen = status(pid)
    return all(int(seen[which], 16) == 0 for which in ("CapInh", "CapPrm", "CapEff", "CapAmb"))


@is_root
def test_user(house: House, member: str) -> None:
    uid = subprocess.run(["id", "-u", member], capture_output=True, text=True, check=True).stdout.strip()
    for words in (["--user", member], ["-u", uid], ["--user", member, "--groups", "own"]):
        pid = house.started(*words, *SLEEP, extra_groups=[0, 4])
        users, groups, more = ids(pid)
        assert users == [uid] * 4 and groups == [uid] * 4 or groups == [groups[0]] * 4
        assert sorted(more, key=int) == groups_of(member), "its own groups, and none of the starter's"
        assert privileges_gone(pid)
        house.stop().is_(0)


@is_root
def test_groups(house: House, member: str) -> None:
    pid = house.started("--user", member, "--groups", "none", *SLEEP, extra_groups=[0, 4])
    assert ids(pid)[2] == []
    house.stop().is_(0)
    for words in (["-u", f"{member}:nogroup"], ["-u", member, "-g", "nogroup"], ["-u", f"{member}:{NOGROUP}"]):
        pid = house.started(*words, "--groups", "none", *SLEEP)
        assert ids(pid)[1] == [str(NOGROUP)] * 4 and ids(pid)[2] == []
        house.stop().is_(0)
    for words in (["--group", "nogroup"], ["-u", ":nogroup"]):
        pid = house.started(*words, *SLEEP)
        assert ids(pid)[:2] == (["0"] * 4, [str(NOGROUP)] * 4)
        house.stop().is_(0)


@is_root
def test_no_new_privs(house: House) -> None:
    pid = house.started("--no-new-privs", *SLEEP)
    assert status(pid)["NoNewPrivs"] == "1"
    house.stop().is_(0)
    pid = house.started(*SLEEP)
    assert status(pid)["NoNewPrivs"] == "0"
    house.stop().is_(0)


def test_umask(house: House) -> None:
    for mode, seen in (("077", "0077"), ("0", "0000"), ("27", "0027")):
        pid = house.started("--umask", mode, *SLEEP, umask=0o111)
        assert status(pid)["Umask"] == seen
        house.stop().is_(0)


def test_chdir(house: House) -> None:
    pid = house.started("--chdir", house.folder, *SLEEP)
    assert os.readlink(f"/proc/{pid}/cwd") == str(house.folder)
    house.stop().is_(0)
    # From here, as a person means it.
    pid = house.started("-d", ".", *SLEEP, cwd=house.folder)
    assert os.readlink(f"/proc/{pid}/cwd") == str(house.folder)
    house.stop().is_(0)


@is_root
def test_chroot(house: House) -> None:
    """busybox in a root of its own: its links are absolute, and lead inside."""
    if not os.path.exists("/bin/busybox"):
        pytest.skip("no busybox")
    root = house.folder / "root"
    (root / "bin").mkdir(parents=True)
    (root / "work").mkdir()
    shutil.copy("/bin/busybox", root / "bin" / "busybox-of-the-root")
    (root / "bin" / "sleep").symlink_to("/bin/busybox-of-the-root")
    for words in (["/bin/sleep"], ["sleep"], ["bin/sleep"]):
        pid = house.started("--chroot", root, "--chdir", "/work", "-u", "nobody", "--", *words, "1000")
        assert os.readlink(f"/proc/{pid}/root") == str(root)
        assert os.readlink(f"/proc/{pid}/cwd") == f"{root}/work"
        assert ids(pid)[0] == [str(NOBODY)] * 4
        house.stop().is_(0)
    house.start("--chroot", root, "/usr/bin/env").is_(5, "", "/usr/bin/env: no such program")
    house.start("--chroot", root, "--chdir", "/nonexistent", "sleep").is_(6)


def test_nice(house: House) -> None:
    def nice(pid: int) -> int:
        return os.getpriority(os.PRIO_PROCESS, pid)

    own = nice(0)
    pid = house.started("--nice", "5", *SLEEP)
    assert nice(pid) == own + 5
    house.stop().is_(0)
    pid = house.started(*SLEEP, wrap=["nice", "-n", "3"])
    assert nice(pid) == own + 3, "inherited"
    house.stop().is_(0)
    if os.geteuid() == 0:
        pid = house.started("--nice", "-3", *SLEEP)
        assert nice(pid) == own - 3
        house.stop().is_(0)


def test_no_core(house: House) -> None:
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    pid = house.started("--no-core", *SLEEP)
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)
    house.stop().is_(0)
    pid = house.started(*SLEEP)
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == limits
    house.stop().is_(0)


def test_variables(house: House) -> None:
    given = {"PATH": os.environ["PATH"], "KEPT": "1", "GONE": "2", "CHANGED": "3"}
    words = ["--env", "CHANGED=a=b", "-E", "NEW=", "--unset", "GONE", "--unset", "NEVER"]
    pid = house.started(*words, *SLEEP, env=given)
    assert environment(pid) == {"PATH": given["PATH"], "KEPT": "1", "CHANGED": "a=b", "NEW": ""}
    house.stop().is_(0)
    pid = house.started("--clean-env", "--env", "ONLY=this", "-E", "ONLY=that", *SLEEP, env=given)
    assert environment(pid) == {"ONLY": "that"}
    house.stop().is_(0)


def test_streams(house: House) -> None:
    source, out, err = (house.folder / name for name in ("in", "out", "err"))
    source.write_text("from a file\n")
    out.write_text("before\n")
    words = ["--stdin", source, "--stdout", out, "--stderr", err]
    house.started(*words, *house.shell("read line; echo $line; echo oops >&2; say done; exec sleep 1000"))
    assert house.hear() == "done"
    assert (out.read_text(), err.read_text()) == ("before\nfrom a file\n", "oops\n")
    house.stop().is_(0)


def test_one_file_for_both(house: House) -> None:
    both = house.folder / "both"
    house.started("-o", both, "-e", both, *house.shell("echo 1; echo 2 >&2; echo 3; say done; exec sleep 1000"))
    assert house.hear() == "done" and both.read_text() == "1\n2\n3\n"
    house.stop().is_(0)


@is_root
def test_log_files(house: House) -> None:
    log = house.folder / "log"
    body = house.shell("echo x; say done; exec sleep 1000")
    house.started("--stdout", log, "--log-mode", "604", "--log-owner", "nobody:mail", *body)
    assert house.hear() == "done"
    made = log.stat()
    assert (made.st_mode & 0o777, made.st_uid, log.group()) == (0o604, NOBODY, "mail")
    house.stop().is_(0)
    house.started("--stdout", log, *body)
    assert house.hear() == "done" and log.read_text() == "x\nx\n"
    house.stop().is_(0)
    house.started("--stdout", log, "--truncate", *body)
    assert house.hear() == "done" and log.read_text() == "x\n"
    house.start("--stdout", log, "--truncate", *body).is_(0, "runs already")
    assert log.read_text() == "x\n", "a start that is refused empties nothing"
    house.stop().is_(0)
    log.unlink()
    house.started("--stdout", log, "-k", "0", *SLEEP)
    assert log.stat().st_mode & 0o777 == 0o640
    house.stop().is_(0)
    log.unlink()
    house.started("--stdout", log, "--log-owner", ":mail", "-u", "nobody", *SLEEP)
    assert log.group() == "mail" and log.stat().st_uid == 0
    house.stop().is_(0)


@is_root
def test_syslog(house: House) -> None:
    """A listener of the test's own at /dev/log, in a mount namespace of its own."""
    script = house.script(SYSLOG)
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
        pytest.skip("no mount namespaces")
    made = not os.path.lexists("/dev/log")
    try:
        said = subprocess.run(["unshare", "--mount", script], pass_fds=[house.mouth], timeout=LIMIT, text=True, capture_output=True)
        assert said.returncode == 0, said.stderr
    finally:
        if made:
            pathlib.Path("/dev/log").unlink(missing_ok=True)
    daemon, info, err, local3 = 3 << 3, 6, 3, 19 << 3
    assert house.hear() == f"<{daemon | err}>usual: err|<{daemon | info}>usual: out"
    assert house.hear() == f"<{local3 | err}>me: err|<{local3 | info}>me: out"


SYSLOG = r"""
import re
folder = FOLDER + "/dev"
os.mkdir(folder)
line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
line.bind(folder + "/log")
if not os.path.lexists("/dev/log"):
    open("/dev/log", "w").close()
subprocess.run(["mount", "--bind", folder + "/log", "/dev/log"], check=True)
line.settimeout(15)
for words, facility in ([["-n", "usual"], []], [["-n", "x"], ["--syslog-identity", "me", "--syslog-facility", "local3"]]):
    start = [COMMAND, "start", "-p", PID_FILE, "--syslog", *words, *facility]
    program = ["--", "sh", "-c", "echo out; echo err >&2; exec sleep 1000"]
    subprocess.run([*start, *program], check=True, stdout=subprocess.DEVNULL)
    heard = sorted(line.recv(4096).decode() for _ in range(2))
    # Without the date, if there is one, and the PID.
    plain = (re.sub(r"^(<\d+>)(?:\w{3} [ \d]\d [\d:]{8} )?(\w+)\[\d+\]: ", r"\1\2: ", text).strip("\n\0") for text in heard)
    report("|".join(plain))
    subprocess.run([COMMAND, "stop", "-q", "-p", PID_FILE], check=True)
"""


def test_kept_descriptors(house: House) -> None:
    fd = os.open("/dev/zero", os.O_RDONLY)
    pid = house.started("--keep-fd", fd, *SLEEP, pass_fds=[house.mouth, fd])
    assert descriptors(pid)[fd] == "/dev/zero" and house.mouth in descriptors(pid)
    house.stop().is_(0)
    os.close(fd)


def test_what_stays_as_it_was(house: House) -> None:
    """Limits, the OOM score and the scheduler are inherited: nice, chrt, ionice, taskset, prlimit and choom before it work."""
    words = ["choom", "-n", "300", "--", "prlimit", "--nofile=77:88", "chrt", "--batch", "0"]
    pid = house.started(*SLEEP, wrap=words)
    assert pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text() == "300\n"
    assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (77, 88)
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH
    assert stat(pid)[4] == "0"
    house.stop().is_(0)


def test_the_monitors_variable_in_somebodys_environment(house: House) -> None:
    said = house.command("status", "-p", house.pid_path, env={**os.environ, "DAEMONCTX_MONITOR": "1"})
    assert said.returncode == 3 and "is not running" in said.stdout, said


@is_root
def test_without_proc(house: House) -> None:
    inside = ["unshare", "--mount", "sh", "-c", 'while umount -l /proc 2>/dev/null; do :; done; exec "$@"', "sh"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    pid = house.started("--", "sleep", "1000", wrap=inside)
    house.command("status", "-p", house.pid_path, wrap=inside).is_(0)
    house.stop(wrap=inside).is_(0, f"stopped, PID {pid}")
    assert is_gone(pid)
