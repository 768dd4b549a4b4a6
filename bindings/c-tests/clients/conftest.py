"""A house for each test, a limit for each, and nothing left on the machine."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any, Iterator

# Nothing is left in the sources' tree.
sys.dont_write_bytecode = True

import pytest

import house as houses
import inherited  # noqa: F401: it has done its work by being imported
from time_limit import at_most

LIMIT = 60  # seconds for a test, all in all

# The clients, and those of the libraries they load that a small Debian does not have.
PACKAGES = """
    libdaemon0 strace libunwind8
    avahi-daemon avahi-autoipd avahi-dnsconfd
        libavahi-common3 libavahi-core7 libavahi-client3 libcap2 libdbus-1-3 libexpat1
    ifplugd
    libteam-utils libteam5 libteamdctl0 libjansson4
        libnl-3-200 libnl-cli-3-200 libnl-genl-3-200 libnl-nf-3-200 libnl-route-3-200
    infinoted libinfinity-0.7-0 libxml2 libicu72 libglib2.0-0 libgsasl18 libidn12 libntlm0 libgssglue1
    mpdcron libmpdclient2
    shairport-sync dbus-daemon libapparmor1 libcap-ng0
        libasound2 libconfig9 libjack-jackd2-0 libdb5.3 libmosquitto1 libpopt0 libpulse0 libasyncns0 libsndfile1
        libflac12 libvorbis0a libvorbisenc2 libopus0 libogg0 libmpg123-0 libmp3lame0 libsoxr0 libgomp1 libssl3
        libx11-6 libx11-xcb1 libxcb1 libxau6 libxdmcp6 libbsd0 libmd0
""".split()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("LIBDAEMON_IS_ORIGINAL") == "1":
        left_out = [item for item in items if item.get_closest_marker("ours_only")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    used = getattr(item, "funcargs", {}).get("house")
    if report.failed and isinstance(used, houses.House):
        report.sections.append(("syslog of the house", used.log.tail()))
        used.failed = True
    return report


def traces() -> dict[str, Any]:
    """What these clients would change on the machine if they got out of their house."""
    names = ("avahi", "ifplugd", "teamd", "infinoted", "shairport", "mpdcron")
    folders = ("/etc", "/run", "/var/run", "/var/lib", "/tmp", os.path.expanduser("~"))
    found = {folder: sorted(name for name in os.listdir(folder) if name.lstrip(".").startswith(names))
             for folder in folders}
    mounts = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return {
        "files": found,
        "log": os.path.exists("/dev/log"),
        "users": [pathlib.Path(path).read_bytes() for path in ("/etc/passwd", "/etc/group")],
        "interfaces": [name for name in os.listdir("/sys/class/net") if name.startswith(("eth7", "plug", "eth8"))],
        "mounts": [line for line in mounts if line.startswith("house ")],
    }


@pytest.fixture(scope="session", autouse=True)
def machine() -> Iterator[None]:
    """What the tests need, fetched; and the machine, as it was afterwards."""
    if os.geteuid() != 0:
        pytest.skip("namespaces, network interfaces and other users need root")
    assert houses.LIBRARY.exists(), f"no {houses.LIBRARY}: LIBDAEMON_DIR is to be the folder of libdaemon.so.0"
    subprocess.run([houses.HERE / "fetch", houses.DEBIAN, *PACKAGES], check=True)
    before = traces()
    yield
    assert traces() == before


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    with at_most(LIMIT):
        yield


@pytest.fixture
def house(limit: None) -> Iterator[houses.House]:
    built = houses.House()
    try:
        yield built
        if not built.failed:
            built.empty(5)  # a test ends what it has started, by the client's own means
    finally:
        built.close()
    assert not list(houses.processes_of(built.token)), "processes have got out of the house"
