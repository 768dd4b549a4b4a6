"""The C tests of both interfaces, below AddressSanitizer or below valgrind.

    suites.py address  [--suites NAME...] [WORD...]
    suites.py valgrind [--suites NAME...] [WORD...]

What a daemon or a starter does wrong is in no exit status that a test sees: each process writes what it has to say to a file of its
own, and one such file with anything in it is a violation, as is a test that fails. Words are those of `make check TESTS=...`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "common"))
import trust

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from left_out import LEFT_OUT

TARGET = "x86_64-unknown-linux-gnu"
BUILT = trust.TOP / "target/memory"
TESTS = trust.TOP / "bindings/c-tests"
SANITIZERS = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer"
# Without freeres: that writes what stdio has buffered at every _exit(2).
VALGRIND = ["valgrind", "-q", "--vgdb=no", "--run-libc-freeres=no", "--leak-check=full", "--show-leak-kinds=definite,indirect", "--errors-for-leak-kinds=definite,indirect"]
# What is no finding: LeakSanitizer below a PID namespace, where threads have other numbers, and where there is no /proc to look in;
# valgrind 3.19, which does not know pidfd_open(2): the library goes on without.
HARMLESS = re.compile(
    r"(?:==\d+==Running thread \d+ was not suspended. False leaks are possible.\n"
    r"|==\d+==LeakSanitizer has encountered a fatal error.\n(?:==\d+==HINT: .*\n)+"
    r"|--\d+-- WARNING: unhandled amd64-linux syscall: 434\n(?:--\d+-- .*\n){4}|\s)*"
)


def sanitized_libraries() -> pathlib.Path:
    """The libraries with AddressSanitizer and the checks that debug builds have; the folder that it is in."""
    flags = {"RUSTFLAGS": "-Zsanitizer=address -C force-frame-pointers=yes", "CFLAGS": f"{SANITIZERS} -g"}
    command = ["cargo", "+nightly", "build", "--quiet", "--release", "-j2", "-p", "daemonctx-ffi", "-p", "daemonctx-ffi-libdaemon", "--target", TARGET]
    command += ["--target-dir", str(BUILT / "address")]
    for setting in ("lto=false", "codegen-units=16", "debug=1", "debug-assertions=true", "overflow-checks=true"):
        command += ["--config", f"profile.release.{setting}"]
    subprocess.run(command, cwd=trust.TOP, env={**os.environ, **flags}, check=True)
    folder = BUILT / "address/lib"
    folder.mkdir(parents=True, exist_ok=True)
    for archive, crate, name, version in (("libdaemonctx_ffi.a", "daemonctx", "libdaemonctx", "0.1.0"), ("libdaemon.a", "libdaemon", "libdaemon", "0.6.0")):
        link = [trust.TOP / "ffi/link", BUILT / f"address/{TARGET}/release" / archive, trust.TOP / "ffi" / crate / "symbols.map", name, version, folder]
        subprocess.run(list(map(str, link)), env={**os.environ, "CC": f"gcc {SANITIZERS}"}, check=True)
    return folder


def address(logs: pathlib.Path) -> tuple[dict[str, str], list[str]]:
    """What each process is told, and what make is. Daemons look at signals: the sanitizer leaves them alone."""
    signals = ":".join(f"handle_{name}=0" for name in ("segv", "abort", "sigbus", "sigill", "sigfpe"))
    said = {
        # The ten lines are a user's, who need not free what the process ends with: the handle that main() has made.
        "LSAN_OPTIONS": f"suppressions={pathlib.Path(__file__).resolve().parent / 'leaks.txt'}:print_suppressions=0",
        "ASAN_OPTIONS": f"log_path={logs}/process:detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:{signals}",
        "UBSAN_OPTIONS": f"log_path={logs}/process:print_stacktrace=1",
    }
    return said, [f"CC=gcc {SANITIZERS}", f"CXX=g++ {SANITIZERS}"]


def valgrind(logs: pathlib.Path, suite: pathlib.Path) -> dict[str, str]:
    """A script for each program that runs it below valgrind, by a link: valgrind does not pass on what a program is called by."""
    place = suite.parent / "programs"
    shutil.rmtree(place, ignore_errors=True)
    (place / "links").mkdir(parents=True)
    for source in TESTS.glob("*/*.c"):
        for name in re.findall(r"^PROGRAM\((\w+)\)", source.read_text(), re.MULTILINE):
            link, script = place / "links" / name, place / name
            if not link.is_symlink():
                link.symlink_to(suite)
            script.write_text(f'#!/bin/sh\nexec {" ".join(VALGRIND)} --log-file={logs}/process.%p {link} "$@"\n')
            script.chmod(0o755)
    # It takes the highest numbers that there can be, whatever limit a test has set meanwhile.
    own = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 64
    return {"HARNESS_PROGRAMS": str(place), "HARNESS_VALGRIND_DESCRIPTORS": str(own)}


def make(goal: str, suite: str, build: pathlib.Path, library: pathlib.Path, more: list[str], said: dict[str, str]) -> subprocess.Popen[str]:
    testd = trust.TOP / "target/debian/root/usr/share/doc/libdaemon-dev/examples/testd.c.gz"
    command = ["make", "-s", "-j2", "-C", str(TESTS), goal, f"SUITES={suite}", f"LIBDIR={library}", f"BUILD={build}", f"TESTD={testd}"]
    return subprocess.Popen([*command, *more], env={**os.environ, **said}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run_suite(run: trust.Run, kind: str, suite: str, words: list[str]) -> None:
    build = BUILT / f"{kind}-{suite}"
    logs = run.folder / f"{suite}-logs"
    logs.mkdir()
    # Daemons are other users.
    logs.chmod(0o1777)
    library = sanitized_libraries() if kind == "address" else trust.TOP / "target/lib"
    said, settings = address(logs) if kind == "address" else ({}, [])
    if make("all", suite, build, library, settings, {}).wait() != 0:
        return run.violation(f"{suite}: cannot be built")
    if kind == "valgrind":
        said = valgrind(logs, build / f"suite-{suite}")
    tests = " ".join(f"'{word}'" for word in [*words, *(f"-{text}" for text in LEFT_OUT[kind])])
    hear(run, suite, make("check", suite, build, library, [*settings, f"TESTS={tests}"], said))
    judge(run, suite, logs)


def hear(run: trust.Run, suite: str, tests: subprocess.Popen[str]) -> None:
    """Reads what the tests say: those that fail, with their reason, and the last line."""
    lines: list[str] = []
    last = ""
    assert tests.stdout is not None
    for line in tests.stdout:
        if line.startswith("  FAILED"):
            run.violation(f"{suite}: {line.strip()}: {' '.join(' '.join(lines).split())[-600:]}")
        lines = [] if line.startswith("  ") and not line.startswith("    ") else [*lines, line]
        if " passed, " in line:
            last = line.strip()
    tests.wait()
    if not last:
        run.violation(f"{suite}: the tests did not come to their end: {' '.join(lines)[-600:]}")
    print(f"{suite}: {last}", flush=True)


def judge(run: trust.Run, suite: str, logs: pathlib.Path) -> None:
    """Every process that has said something has done something wrong."""
    said = [log for log in sorted(logs.iterdir()) if not HARMLESS.fullmatch(log.read_text(errors="replace"))]
    for log in said:
        text = log.read_text(errors="replace")
        print(text[:6000], flush=True)
        run.violation(f"{suite}: a process has said something: {first_of(text)}")
    print(f"{suite}: {len(said)} processes with something to say", flush=True)


def first_of(text: str) -> str:
    """What it is about, and the first place in the library or a test."""
    about = re.search(r"ERROR: (.*)|== (.*(?:lost|Invalid|uninitialised).*)|(.*runtime error.*)", text)
    place = re.search(r"(?:core/src|ffi/\w+/src|harness|daemonctx|libdaemon)/[\w/]+\.(?:rs|c):\d+|\w+ \(\w+\.c:\d+\)", text)
    return f"{about.group(0) if about else text[:200]}: {place.group(0) if place else '?'}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["address", "valgrind"])
    parser.add_argument("--suites", nargs="+", default=["daemonctx", "libdaemon"])
    parser.add_argument("words", nargs="*")
    options = parser.parse_intermixed_args()
    run = trust.Run(f"memory-{options.kind}")
    for suite in options.suites:
        run_suite(run, options.kind, suite, options.words)
    return run.finish()


if __name__ == "__main__":
    sys.exit(main())
