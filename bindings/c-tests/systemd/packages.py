"""Which systemd there are to test with: unpacked packages of the distribution, nothing is installed.

Always the one of the distribution; and where that does not know Type=notify-reload yet (Debian 12), beside it the one that
its backports have.
"""

from __future__ import annotations

import fcntl
import functools
import os
import pathlib
import re
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
REPOSITORY = HERE.parents[2]
FETCH = HERE.parent / "clients" / "fetch"
FOLDER = pathlib.Path(os.environ.get("SYSTEMD_PACKAGES") or REPOSITORY / "target" / "debian" / "systemd")

PACKAGES = ("systemd", "systemd-container", "libsystemd-shared")
KNOWS_NOTIFY_RELOAD = 253


class Systemd:
    """One version of it, unpacked."""

    def __init__(self, name: str, folder: pathlib.Path, configuration: pathlib.Path | None = None) -> None:
        self.name, self.root = name, folder / "root"
        environment = dict(os.environ)
        if configuration is not None:
            environment["APT_CONFIG"] = str(configuration)
        subprocess.run([FETCH, folder, *PACKAGES], check=True, env=environment)
        self.version = int(re.match(r"\d+", (folder / "fetched" / "systemd").read_text())[0])
        with open(folder / "fetched" / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            merge_usr(self.root)


def merge_usr(root: pathlib.Path) -> None:
    """What packages still have in /bin, /sbin and /lib goes to where these lead to."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if (root / name).is_dir():
            shutil.copytree(root / name, root / "usr" / name, symlinks=True, dirs_exist_ok=True)
            shutil.rmtree(root / name)


def backports(release: str) -> pathlib.Path:
    """An apt that knows nothing but a release's backports, with lists of its own."""
    folder = FOLDER / "apt"
    for made in ("lists/partial", "cache/archives/partial"):
        (folder / made).mkdir(parents=True, exist_ok=True)
    sources = folder / "sources.list"
    sources.write_text("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
                       f"http://deb.debian.org/debian {release}-backports main\n")
    configuration = folder / "apt.conf"
    configuration.write_text(f'Dir::Etc::sourcelist "{sources}";\nDir::Etc::sourceparts "-";\n'
                             f'Dir::State::lists "{folder}/lists";\nDir::Cache "{folder}/cache";\n')
    return configuration


@functools.cache  # pytest has one machine for one value, and asks for each test
def fetch() -> list[Systemd]:
    found = [Systemd("distribution", FOLDER / "distribution")]
    words = pathlib.Path("/etc/os-release").read_text().splitlines()
    release = {name: value.strip('"') for name, _, value in (line.partition("=") for line in words)}
    if found[0].version < KNOWS_NOTIFY_RELOAD and release.get("ID") == "debian":
        found.append(Systemd("backports", FOLDER / "backports", backports(release["VERSION_CODENAME"])))
    return found
