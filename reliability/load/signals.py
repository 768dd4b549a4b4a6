"""signals.c for Python's stream: signals.py COUNT."""

import os
import random
import signal
import sys
import time

import daemonctx

KINDS = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGRTMIN + 1, signal.SIGRTMIN + 2]
BURST = 10_000


def in_order(stream: daemonctx.SignalStream, count: int) -> int:
    began, failures = time.monotonic(), 0
    for seed in range(count // BURST):
        sent = random.Random(seed).choices(KINDS, k=BURST)
        for signum in sent:
            signal.raise_signal(signum)
        got = [stream.take() for _ in range(BURST)]
        failures += sum(one != other for one, other in zip(sent, got)) + (stream.take() is not None)
    print(f"Python: {count} raised and taken by turns: {failures} not in their place, {time.monotonic() - began:.2f} s")
    return failures


def all_at_once(stream: daemonctx.SignalStream, count: int) -> int:
    began = time.monotonic()
    sent = random.Random(1).choices(KINDS, k=count)
    for signum in sent:
        signal.raise_signal(signum)
    got = []
    while (signum := stream.take()) is not None:
        got.append(signum)
    failures = sum(abs(sent.count(kind) - got.count(kind)) for kind in KINDS)
    print(f"Python: {count} raised, then taken: {failures} lost or too many, {time.monotonic() - began:.2f} s")
    return failures


def main(count: int) -> int:
    with daemonctx.signals(*KINDS) as stream:
        return int(in_order(stream, count) + all_at_once(stream, count) > 0)


sys.exit(main(int(sys.argv[1])))
