"""Fuzzing, in a house of its own.

    fuzz.py replay [--seed N] [--times N] [TARGET...]      the corpora, and so many random inputs, on stable Rust
    fuzz.py python [--seed N] [--calls N]                  the Python package, in batches of 200 calls
    fuzz.py run [--seconds N] [TARGET...]                  libFuzzer with AddressSanitizer, nightly Rust; adds to the corpora in target/

A house is a PID namespace and a mount namespace with everything read-only but a directory in memory: pid files name processes, and
log files are made wherever a path leads.
"""

from __future__ import annotations

import argparse
import ast
import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILT = TOP / "target/memory/fuzz"
TARGETS = ["pid_file", "environment", "calls", "whole"]
# By libFuzzer those that need no process of their own for each input: it would not see what they do.
GUIDED = TARGETS[:3]
CARGO_FUZZ = TOP / "target/memory/tools/bin/cargo-fuzz"
NIGHTLY = "x86_64-unknown-linux-gnu"

# Calls of Python in one process.
BATCH = 200

# $1 is the house, $2 what stays writable in it. The shell stays: PID 1 takes what loses its parent.
HOUSE = """
mount -t tmpfs -o mode=0777 house "$1" && mkdir "$1/corpus" && mount --bind "$2" "$1/corpus" || exit 99
mount -t tmpfs run /run && mount -o remount,bind,ro / || exit 99
cd "$1"; FUZZ_HOUSE=$1; export FUZZ_HOUSE; shift 2
"$@"
status=$?
[ $status = 0 ] || { echo "ended with $status"; cat wrong last-call 2>/dev/null; [ -f last-input ] && od -c last-input | head -40; }
exit $status
"""


def in_house(command: list[str], writable: pathlib.Path, limit: float, log: pathlib.Path | None = None) -> int:
    """Runs a command in a house; what it says of itself goes where this program's output goes, errors to the log."""
    house = pathlib.Path(tempfile.mkdtemp(prefix="fuzz-"))
    unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--", "sh", "-c", HOUSE, "sh"]
    known = {name: value for name, value in os.environ.items() if not name.startswith(("NOTIFY_", "LISTEN_", "WATCHDOG_"))}
    known["ASAN_OPTIONS"] = "detect_leaks=1:detect_stack_use_after_return=1:exitcode=86"
    with open(log or os.devnull, "w") as said:
        try:
            arguments = [*unshare, str(house), str(writable), *command]
            done = subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=known, timeout=limit)
            # What is tried logs there, too.
            for line in done.stdout.decode(errors="replace").splitlines():
                if ": seed " in line:
                    print(line, flush=True)
            return done.returncode
        except subprocess.TimeoutExpired:
            print(f"does not end: {' '.join(command)}")
            return 1
        finally:
            house.rmdir()


def replay(options: argparse.Namespace) -> int:
    subprocess.run(["cargo", "build", "--quiet", "--release", "-j2", "--locked", "--target-dir", str(BUILT)], cwd=HERE, check=True)
    unused = BUILT / "unused"
    unused.mkdir(exist_ok=True)
    failed = 0
    for target in options.targets or TARGETS:
        # Sequences in a process of their own begin as those within do. A start takes milliseconds.
        corpus = HERE / "corpus" / ("calls" if target == "whole" else target)
        times = options.times // 50 if target == "whole" else options.times
        command = [str(BUILT / "release/replay"), "--seed", str(options.seed), "--times", str(times), target, str(corpus)]
        log = BUILT / f"{target}.replay.log"
        if in_house(command, unused, 60 + times * 0.05, log) != 0:
            print(log.read_text(errors="replace")[-2000:])
            failed += 1
    return failed


def run(options: argparse.Namespace) -> int:
    if not CARGO_FUZZ.exists():
        print("installing cargo-fuzz in target/memory/tools", flush=True)
        subprocess.run(["cargo", "install", "--quiet", "--locked", "-j2", "--root", str(CARGO_FUZZ.parent.parent), "cargo-fuzz"], check=True)
    failed = 0
    for target in options.targets or GUIDED:
        build = [str(CARGO_FUZZ), "build", "--fuzz-dir", str(HERE), "--features", "fuzzer", "--target-dir", str(BUILT), target]
        subprocess.run(build, cwd=HERE, env={**os.environ, "RUSTUP_TOOLCHAIN": "nightly", "CARGO_BUILD_JOBS": "2"}, check=True)
        found, log = BUILT / "found" / target, BUILT / f"{target}.log"
        found.mkdir(parents=True, exist_ok=True)
        command = [str(BUILT / NIGHTLY / "release" / target), "corpus", str(HERE / "corpus" / target), f"-seed={options.seed}"]
        command += [f"-max_total_time={options.seconds}", "-max_len=256", "-timeout=20", "-print_final_stats=1", "-artifact_prefix=corpus/"]
        # Its standard output is what logs to it, and nobody's.
        status = in_house(["sh", "-c", 'exec "$@" >/dev/null', "sh", *command], found, options.seconds + 120, log)
        print(summary(target, log), flush=True)
        failed += status != 0
    return failed


def python(options: argparse.Namespace) -> int:
    unused = BUILT / "unused"
    unused.mkdir(parents=True, exist_ok=True)
    log = BUILT / "python.log"
    failed = 0
    came: collections.Counter[str] = collections.Counter()
    for batch in range(max(1, options.calls // BATCH)):
        seed = options.seed + batch
        said = unused / "said"
        command = [sys.executable, "-B", "-X", "faulthandler", str(HERE / "arguments.py"), "--seed", str(seed), "--calls", str(BATCH)]
        # Daemons, and whatever has a descriptor of the house, may outlive the batch: they end with its PID namespace.
        status = in_house(["sh", "-c", 'exec timeout -s ABRT 60 "$@" >corpus/said', "sh", *command], unused, 120, log)
        if status != 0:
            print(f"seed {seed}: {status}")
            print(log.read_text(errors="replace")[-3000:], flush=True)
            failed += 1
        else:
            came.update(ast.literal_eval(said.read_text().split(": ", 2)[2]))
    print(f"python: {batch + 1} batches of {BATCH} calls from seed {options.seed}, {failed} failed: {dict(came.most_common())}")
    return failed


def summary(target: str, log: pathlib.Path) -> str:
    """What libFuzzer says in the end: executions, places in the code, inputs that are worth keeping; or what it has found."""
    text = log.read_text(errors="replace")
    done = re.findall(r"^#\d+.*cov: (\d+) ft: (\d+) corp: (\d+)", text, re.MULTILINE)
    executed = re.findall(r"number_of_executed_units: (\d+)", text)
    wrong = re.findall(r"^(?:WRONG: .*|==\d+==ERROR.*|SUMMARY.*|thread .* panicked.*)$", text, re.MULTILINE)
    coverage = "%s places, %s features, %s inputs" % done[-1] if done else "no figures"
    return f"{target}: {executed[-1] if executed else '?'} executions, {coverage}; {wrong or 'nothing found'}; {log}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["replay", "python", "run"])
    parser.add_argument("--seed", type=int, default=int(time.time()) & 0x7FFFFFFF)
    parser.add_argument("--times", type=int, default=5000)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("targets", nargs="*")
    options = parser.parse_intermixed_args()
    print(f"seed {options.seed}", flush=True)
    return int({"replay": replay, "python": python, "run": run}[options.what](options) > 0)


if __name__ == "__main__":
    sys.exit(main())
