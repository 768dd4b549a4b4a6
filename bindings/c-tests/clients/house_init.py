"""PID 1 of a house: furnishes the new namespaces it was started in, then reaps until its stdin is closed.

    unshare --mount --net --pid --uts --ipc --fork --kill-child house_init.py LIBRARY-FOLDER PACKAGES-ROOT

The root stays the machine's own, read-only; what the clients write to or expect to be theirs is a fresh tmpfs. So
nothing of the machine can change. The end of PID 1 is the end of all processes in the house, the kernel sees to that,
and with the last of them all the rest is gone. stdin is a pipe whose other end the tests have: a house does not outlive
them, however they end.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pathlib
import select
import shutil
import signal
import socket
import stat
import struct
import sys

MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

# What a house has under /run/house is where tests find it; see house.py.
LIBRARY, PACKAGES = "/run/house/library", "/run/house/packages"

# Packages' scripts would have added these users. The numbers are none that the machine gives away by itself.
USERS = {"root": 0, "avahi": 59101, "avahi-autoipd": 59102, "nobody": 65534}

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    words = [None if word is None else word.encode() for word in (source, target, kind)]
    if _libc.mount(*words, ctypes.c_ulong(flags), data and data.encode()) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), target)


def devices() -> None:
    """A /dev of its own: the machine's is one file system for all mount namespaces, a /dev/log in it would be seen."""
    mount("house", "/dev", "tmpfs", MS_NOSUID, "mode=755")
    for name, minor in {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}.items():
        os.mknod(f"/dev/{name}", stat.S_IFCHR, os.makedev(1, minor))
        os.chmod(f"/dev/{name}", 0o666)
    os.mknod("/dev/tty", stat.S_IFCHR, os.makedev(5, 0))
    os.chmod("/dev/tty", 0o666)
    os.mkdir("/dev/shm")


def settings() -> None:
    """An /etc with what the C library reads and what the packages bring."""
    keep = {}
    for name in ("ld.so.cache", "protocols", "services"):
        path = pathlib.Path("/etc", name)
        if path.exists():
            keep[name] = path.read_bytes()
    mount("house", "/etc", "tmpfs", MS_NOSUID, "mode=755")
    for name, content in keep.items():
        pathlib.Path("/etc", name).write_bytes(content)
    files = {
        "passwd": "".join(f"{user}:x:{number}:{number}::/:/bin/sh\n" for user, number in USERS.items()),
        "group": "".join(f"{user}:x:{number}:\n" for user, number in USERS.items()),
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "hosts": "127.0.0.1 localhost\n::1 localhost\n",
        "hostname": "house\n",
    }
    for name, text in files.items():
        pathlib.Path("/etc", name).write_text(text)
    for name in ("avahi", "ifplugd"):
        shutil.copytree(f"{PACKAGES}/etc/{name}", f"/etc/{name}")


def up(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        name = interface.encode()
        flags = struct.unpack("16sh", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh", name, 0)))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh", name, flags | IFF_UP))


def furnish(library: str, packages: str) -> None:
    # Opened first: the folders may lie below one that gets covered.
    folders = {path: os.open(folder, os.O_PATH | os.O_DIRECTORY)
               for path, folder in ((LIBRARY, library), (PACKAGES, packages))}
    mount("house", "/", None, MS_REC | MS_PRIVATE)
    mount("house", "/", None, MS_REMOUNT | MS_BIND | MS_RDONLY)
    mount("house", "/run", "tmpfs", MS_NOSUID, "mode=755")
    for path, descriptor in folders.items():
        os.makedirs(path)
        mount(f"/proc/self/fd/{descriptor}", path, None, MS_BIND)
        mount("house", path, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        os.close(descriptor)
    mount("house", "/tmp", "tmpfs", MS_NOSUID, "mode=1777")
    mount("house", "/var/lib", "tmpfs", MS_NOSUID, "mode=755")
    if not pathlib.Path("/var/run").is_symlink():
        mount("/run", "/var/run", None, MS_BIND)
    os.mkdir("/run/lock")
    devices()
    settings()
    mount("house", "/sys", "sysfs", MS_RDONLY)  # shows this network namespace
    mount("house", "/proc", "proc")
    socket.sethostname("house")
    up("lo")


def reap_until_closed() -> None:
    wakeup, child_ended = os.pipe()
    os.set_blocking(child_ended, False)
    signal.set_wakeup_fd(child_ended, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    while 0 not in select.select([0, wakeup], [], [])[0]:
        os.read(wakeup, 4096)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass


def main() -> None:
    outside = os.readlink("/proc/self")  # this is still the machine's /proc
    os.chdir("/")
    os.umask(0o022)
    furnish(*sys.argv[1:])
    print(outside, flush=True)
    reap_until_closed()


if __name__ == "__main__":
    main()
