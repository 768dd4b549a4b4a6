"""Keeps a machine with systemd: builds its root, boots it, and clears it away when stdin is closed.

    unshare --mount --propagation=private keeper.py PACKAGES-ROOT INTERPRETER-PREFIX TOKEN FILES...

The root is an overlay: the real machine's, and over it a tmpfs with the packages, for all that is written. /etc and /var
begin empty, so that no service of the real machine is one of this. FILES are pairs: what, and as what it is to be
in there.

Says "PID\\n" of the machine's init when it has booted; or says why there can be no such machine here and leaves with 77.
The other end of stdin is with the tests: no machine outlives them, however they end. All mounts are in the keeper's own
namespace and end with it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import pathlib
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

IMPOSSIBLE = 77  # the status that says: not here
LIMIT = 30.0  # seconds to boot

# Not needed by a service manager and its journal, and slow or foreign.
MASKED = """
    apt-daily-upgrade.timer apt-daily.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer logrotate.timer man-db.timer
    motd-news.timer systemd-tmpfiles-clean.timer
    dbus.socket systemd-initctl.socket systemd-networkd.socket systemd-networkd.service systemd-resolved.service
    systemd-timesyncd.service systemd-logind.service systemd-firstboot.service systemd-sysusers.service
    systemd-tmpfiles-setup.service systemd-tmpfiles-setup-dev.service systemd-tmpfiles-setup-dev-early.service
    systemd-update-utmp.service systemd-journal-flush.service systemd-journal-catalog-update.service
    systemd-remount-fs.service systemd-machine-id-commit.service systemd-hwdb-update.service ldconfig.service
    systemd-ask-password-console.path systemd-ask-password-wall.path
    dev-hugepages.mount dev-mqueue.mount sys-fs-fuse-connections.mount
    cryptsetup.target integritysetup.target veritysetup.target swap.target
""".split()

SETTINGS = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1::/:/bin/sh\ntester:x:4711:4711::/:/bin/sh\n"
              "nobody:x:65534:65534::/:/bin/sh\n",
    "group": "root:x:0:\ndaemon:x:1:\ntester:x:4711:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost\n",
    # No limits on what is logged, nothing of it on disk.
    "systemd/journald.conf": "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nForwardToSyslog=no\nForwardToConsole=no\n",
    "systemd/system.conf": "[Manager]\nLogLevel=info\nDefaultTimeoutStopSec=20s\n",
}

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Impossible(Exception):
    """What this machine would need to be able to do."""


def mount(source: str, target: pathlib.Path, kind: str, data: str) -> None:
    if _libc.mount(source.encode(), bytes(target), kind.encode(), ctypes.c_ulong(0), data.encode()) != 0:
        error = ctypes.get_errno()
        if error in (errno.EPERM, errno.EACCES, errno.ENODEV):
            raise Impossible(f"cannot mount {kind}: {os.strerror(error)}")
        raise OSError(error, os.strerror(error), str(target))


def build(folder: pathlib.Path, packages: str, prefix: str, token: str, files: list[str]) -> pathlib.Path:
    mount("daemonctx-systemd", folder, "tmpfs", "mode=755")
    upper, work, root = folder / "upper", folder / "work", folder / "root"
    for made in (upper, work, root, upper / "etc", upper / "var"):
        made.mkdir()
    for empty in ("etc", "var"):
        os.setxattr(upper / empty, "trusted.overlay.opaque", b"y")
    # A copy: the kernel wants no layer that lies in another one.
    shutil.copytree(pathlib.Path(packages, "usr"), upper / "usr", symlinks=True, ignore=shutil.ignore_patterns("share"))
    mount("daemonctx-systemd", root, "overlay", f"lowerdir=/,upperdir={upper},workdir={work}")

    # An interpreter in somebody's home is for all users there.
    for parent in pathlib.Path(prefix).parents:
        inside = root / str(parent).lstrip("/")
        if inside.is_dir():
            inside.chmod(inside.stat().st_mode | 0o555)
    for name in ("cache", "lib", "log", "tmp"):
        (root / "var" / name).mkdir()
    (root / "var" / "run").symlink_to("/run")
    etc = root / "etc"
    units = etc / "systemd" / "system"
    units.mkdir(parents=True)
    for name in MASKED:
        (units / name).symlink_to("/dev/null")
    for name, text in {**SETTINGS, "machine-id": f"{token}\n"}.items():
        (etc / name).write_text(text)
    for name in ("ld.so.cache", "os-release"):
        source = pathlib.Path("/etc", name)
        if source.exists():
            (etc / name).write_bytes(source.read_bytes())

    for source, target in zip(files[::2], files[1::2]):
        inside = root / target.lstrip("/")
        inside.parent.mkdir(parents=True, exist_ok=True)
        if os.path.isdir(source):
            shutil.copytree(source, inside, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, inside)
    return root


def hierarchies() -> list[tuple[pathlib.Path, str]]:
    """Where the control groups are that systemd uses to tell processes, and which of them this process is in."""
    mine = {}
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        mine[controllers] = path
    found = []
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        place, (kind, _, options) = pathlib.Path(before.split()[4]), after.split(maxsplit=2)
        if kind == "cgroup2" and "" in mine:
            found.append((place, mine[""]))
        elif kind == "cgroup" and "name=systemd" in options.split(",") and "name=systemd" in mine:
            found.append((place, mine["name=systemd"]))
    return found


def make_groups(token: str) -> list[pathlib.Path]:
    groups = [place / path.lstrip("/") / f"daemonctx-{token}" for place, path in hierarchies()]
    if not groups:
        raise Impossible("no control groups of systemd's kind are mounted")
    made = []
    try:
        for group in groups:
            group.mkdir()
            made.append(group)
    except OSError as error:
        remove_groups(made)
        raise Impossible(f"no control groups can be made: {error}") from None
    return made


def remove_groups(groups: list[pathlib.Path]) -> None:
    for group in groups:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)


def boot(root: pathlib.Path, prefix: str, token: str, groups: list[pathlib.Path],
         console: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Starts it, and says where news of it will come in."""
    news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    news.bind(f"\0daemonctx-{token}")
    nspawn = root / "usr/bin/systemd-nspawn"
    command = [nspawn, "--quiet", "--register=no", "--keep-unit", "--console=pipe", "--private-network", "--notify-ready=yes",
               f"--machine=d{token[:12]}", f"--directory={root}", "--boot", "systemd.unit=basic.target"]
    if pathlib.Path(prefix) != pathlib.Path("/usr"):
        command.insert(-2, f"--bind-ro={prefix}")

    def enter() -> None:
        # Its own group of processes: what is typed at the tests' terminal is for them.
        os.setsid()
        for group in groups:
            (group / "cgroup.procs").write_text("0")
        # Should even the keeper be killed: nspawn shuts its machine down then.
        _libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGTERM))

    libraries = f"{root}/usr/lib/{os.uname().machine}-linux-gnu/systemd"
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": f"@daemonctx-{token}", "LD_LIBRARY_PATH": libraries}
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, env=environment,
                            preexec_fn=enter), news


def booted(machine: subprocess.Popen[bytes], news: socket.socket) -> int | None:
    """The PID of its init, when that says that all is up; None when nobody wants to know any more."""
    ended = os.pidfd_open(machine.pid)
    leader = None
    try:
        while True:
            ready = select.select([0, ended, news], [], [], LIMIT)[0]
            if news in ready:
                said = dict(line.partition("=")[::2] for line in news.recv(4096).decode().splitlines())
                leader = said.get("X_NSPAWN_LEADER_PID", leader)
                if said.get("READY") == "1" and leader:
                    return int(leader)
            elif 0 in ready:
                return None
            elif ended in ready:
                raise RuntimeError(f"systemd-nspawn has left with {machine.wait()}")
            else:
                raise RuntimeError(f"systemd is not up after {LIMIT} s")
    finally:
        os.close(ended)


def end(machine: subprocess.Popen[bytes], leader: int | None) -> None:
    """With its init all of a machine ends at once, nspawn too. One that has not come up is shut down."""
    if machine.poll() is not None:
        return
    if leader is not None:
        os.kill(leader, signal.SIGKILL)  # nspawn's child: not reaped before nspawn is
    else:
        machine.terminate()
    try:
        machine.wait(LIMIT)
    except subprocess.TimeoutExpired:
        machine.kill()
        machine.wait()


def keep(packages: str, prefix: str, token: str, *files: str) -> None:
    # Ended only by the end of the tests.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    folder = pathlib.Path(tempfile.gettempdir(), f"daemonctx-{token}")
    folder.mkdir(mode=0o700)
    groups: list[pathlib.Path] = []
    try:
        with tempfile.TemporaryFile() as console:
            root = build(folder, packages, prefix, token, list(files))
            groups = make_groups(token)
            machine, news = boot(root, prefix, token, groups, console.fileno())
            leader = None
            try:
                leader = booted(machine, news)
                if leader is not None:
                    print(leader, flush=True)
                    select.select([0], [], [])
            except RuntimeError as error:
                end(machine, leader)
                console.seek(0)
                raise RuntimeError(f"{error}\n{console.read().decode(errors='backslashreplace')}") from None
            finally:
                end(machine, leader)
                news.close()
    finally:
        remove_groups_soon(groups)
        for place in (folder / "root", folder):
            _libc.umount2(bytes(place), 0)
        folder.rmdir()


def remove_groups_soon(groups: list[pathlib.Path]) -> None:
    """nspawn is reaped a moment before the last of its machine: the kernel tells nobody when that is."""
    deadline = 200
    while True:
        try:
            return remove_groups(groups)
        except OSError as error:
            if error.errno != errno.EBUSY or deadline == 0:
                raise
        deadline -= 1
        select.select([], [], [], 0.01)


if __name__ == "__main__":
    try:
        keep(*sys.argv[1:])
    except Impossible as reason:
        print(reason, file=sys.stderr)
        sys.exit(IMPOSSIBLE)
