"""Lays over the machine, in a mount namespace, what a recipe needs and may write to; then runs a shell's script.

    alone.py SCRIPT, in the place that man/tests/sandbox.py makes.
"""

from __future__ import annotations

import os
import subprocess
import sys

# What recipes write to besides /run: all that is written is gone afterwards.
FOLDERS = ("/etc", "/var", "/srv", "/tmp", "/usr")
# What the installation of packages would have made.
MADE = ("/var/lib/logrotate", "/var/spool/cron/crontabs", "/etc/cron.d", "/etc/logrotate.d", "/usr/local/bin")
# Users, each with a folder for logs.
USERS = {"tinyproxy": 64001, "memcache": 64002}


def lay_over(folder: str, *below: str) -> None:
    layers = f"/run/.layers{folder}"
    for part in ("upper", "work"):
        os.makedirs(f"{layers}/{part}")
    lower = ":".join((*below, folder))
    options = f"lowerdir={lower},upperdir={layers}/upper,workdir={layers}/work"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, folder], check=True)


def add_user(user: str, number: int) -> None:
    with open("/etc/passwd", "a") as passwd, open("/etc/group", "a") as group:
        passwd.write(f"{user}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin\n")
        group.write(f"{user}:x:{number}:\n")
    os.makedirs(f"/var/log/{user}", exist_ok=True)
    os.chown(f"/var/log/{user}", number, number)


def main(script: str) -> None:
    here = os.getcwd()
    for folder in FOLDERS:
        tools = [tools + folder for tools in os.environ["TOOLS"].split(":")]
        lay_over(folder, *filter(os.path.isdir, tools))
    for folder in MADE:
        os.makedirs(folder, exist_ok=True)
    for user, number in USERS.items():
        add_user(user, number)
    os.chmod("/tmp", 0o1777)
    os.symlink(os.environ["DAEMONCTX"], "/usr/local/bin/daemonctx")
    os.chdir(here)  # the same path, in what has been laid over it
    os.execv("/bin/bash", ["bash", script])


if __name__ == "__main__":
    main(sys.argv[1])
