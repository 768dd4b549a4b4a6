"""Started and stopped for ever: nothing is more than at the beginning.

    endurance.py [--times N] [DOOR...]

For each door one process that goes on starts and stops a daemon so many times; it compares its own descriptors, children and memory
with the beginning. From here it is seen that no process and no file is left.
"""

from __future__ import annotations

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
import trust


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=10_000)
    parser.add_argument("doors", nargs="*")
    options = parser.parse_args()
    run = trust.Run("endurance")
    house = run.folder / "house"
    house.mkdir()
    # The command's default takes half a second.
    run.environment["TRUST_NOTIFY"] = "exec"
    for name, door in trust.doors(options.doors).items():
        done = run.call([*door, "restart", str(house / "it.pid"), str(options.times)], 60 + options.times * 2, bury=True)
        print(done.stdout, end="", flush=True)
        if done.returncode != 0:
            run.violation(f"{name}: has ended with {done.returncode}: {done.stderr[-300:]}")
        if left := [path.name for path in house.iterdir()]:
            run.violation(f"{name}: files left: {left}")
        # The last daemon is gone from its file before it is gone from the table; a daemon that has ended is a zombie here.
        if alive := [pid for pid in trust.children() if not zombie(pid)]:
            run.violation(f"{name}: processes left: {alive}")
        run.clear()
    return run.finish()


def zombie(pid: int) -> bool:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"


if __name__ == "__main__":
    sys.exit(main())
