"""Has a folder of the machine for itself, in a mount namespace: what is written there is gone afterwards. Then runs a shell's script.

    alone.py SCRIPT, in the place that man/tests/sandbox.py makes.
"""

from __future__ import annotations

import os
import subprocess
import sys

# What recipes write to besides /run.
FOLDERS = ("/etc", "/var", "/srv", "/tmp", "/usr/local")


def main(script: str) -> None:
    here = os.getcwd()
    for folder in FOLDERS:
        layers = f"/run/.layers{folder}"
        for part in ("upper", "work"):
            os.makedirs(f"{layers}/{part}")
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={folder},upperdir={layers}/upper,workdir={layers}/work",
                        folder], check=True)
    os.chmod("/tmp", 0o1777)
    os.chdir(here)  # the same path, in what has been laid over it
    os.execv("/bin/bash", ["bash", script])


if __name__ == "__main__":
    main(sys.argv[1])
