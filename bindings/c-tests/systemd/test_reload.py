"""Type=notify-reload: `systemctl reload` comes back when the daemon has said that it is done."""

from __future__ import annotations

from conftest import Door, Units


def test_it_comes_back_when_all_is_read(units: Units, door: Door) -> None:
    meet = f"/run/{units.name()}.meet"
    unit = units.service(door.command("open", "serve", "HUP:", "reloading", "tell=STATUS=reads", f"meet={meet}",
                                      "tell=READY=1\nSTATUS=has read"), Type="notify-reload")
    unit.fifo()
    process = unit.start()
    reload = unit.machine.popen("systemctl", "reload", unit.name)
    with unit.meet(meet):
        unit.is_(ActiveState="reloading", StatusText="reads", MainPID=process.pid)
        assert reload.poll() is None
    assert reload.wait(10) == 0
    unit.is_(StatusText="has read")
    assert unit.runs().pid == process.pid
    unit.stop(process)


def test_many_times(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "serve", "HUP:", "reloading", "tell=READY=1"), Type="notify-reload")
    process = unit.start()
    for _ in range(10):
        unit.must("reload")
    assert unit.runs().pid == process.pid
    unit.stop(process)


def test_a_crash_on_the_way(units: Units, door: Door) -> None:
    unit = units.service(door.command("open", "serve", "HUP:", "reloading", "exit=7"), Type="notify-reload")
    process = unit.start()
    unit.expects(rf"Reload failed for {unit.name}\.")
    assert unit.control("reload").returncode == 1
    unit.fails(process, "exit-code", "Main process exited, code=exited, status=7/NOTRUNNING", ExecMainStatus=7)
