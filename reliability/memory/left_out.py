"""The tests that are left out below each tool: words of their sentences, and why."""

from __future__ import annotations

NUMBERS = "valgrind has descriptors of its own among the program's numbers, and closes none of those that it is not told of"
SIGNALS = "valgrind handles all signals itself, as /proc says"
LATE = "no pidfds in valgrind 3.19, so an end is noticed at the next look, or after what the test allows"
SLOW = "hundreds of programs and more, half a second each"

LEFT_OUT: dict[str, dict[str, str]] = {
    "address": {
        # Of the file that is shipped, and this is another.
        "it needs nothing but the C library": "needs the sanitizer's",
        "nothing in it can panic": "debug builds panic",
        "160 KB at the most": "instrumented code is larger",
        "nothing else is exported": "the sanitizer marks each object with a symbol",
        "exported are the 29 functions": "and enlarges it",
        # Of the tool.
        "heard from a chroot": "LeakSanitizer needs /proc",
        "allocate without pause": "gcc 12's runtime does not hold its allocator's locks across fork(2), as the C library does: a"
        " daemon of a program with threads may wait for ever in its first malloc(3)",
    },
    "valgrind": {
        "lowered RLIMIT_NOFILE": NUMBERS,
        "a kept descriptor that is not open": NUMBERS,
        "with few descriptors to be had": NUMBERS,
        "pipe is not inherited by programs": NUMBERS,
        "exceptions that are not open": NUMBERS,
        "a list of twenty thousand": NUMBERS,
        "those of 0 to 2 that are closed stay closed": NUMBERS,
        "end for sending is spared": NUMBERS,
        "none is added": NUMBERS,
        "all other descriptors stay open": NUMBERS,
        "with any of descriptors 0 to 2 closed": NUMBERS,
        "from a caller whose descriptors 0 to 2 are closed": "valgrind 3.19 loses the mask of a ppoll(2) that is made again: EFAULT",
        "PID, waits for it, and is not its parent": SIGNALS,
        "goes back to the default, and the start works below it": SIGNALS,
        "the signal map: default, ignore, keep": SIGNALS,
        "TTOU, TTIN and TSTP are ignored; other": SIGNALS,
        "when a child of the daemon lives on and holds the pipe": LATE,
        "kill_wait returns within 20 ms": LATE,
        "kill_wait: a process that takes its time": "that process has ended before a program below valgrind has begun",
        "SIGCHLD: ignored, handled or default": SIGNALS,
        "all signals blocked: they are in both": SIGNALS,
        "without descriptors to be had": NUMBERS,
        "no descriptor is left of it": NUMBERS,
        "the pipe stays, and a second wait gets the value": NUMBERS,
        "init twice is init once": NUMBERS,
        "both have closed the pipe": NUMBERS,
        "instead of wait and send": NUMBERS,
        "-1 with errno as it was": "where there is no pidfd_open(2), errno says so",
        "without processes to be had": "valgrind 3.19 leaves SIGSEGV blocked after a fork(2) that has failed, as SigBlk of any program"
        " shows, and is killed by it when the stack has to grow",
        "of twenty starts at once": SLOW,
        "the values 0 and 1 to 255 reach": SLOW,
        "starts as many daemons as it likes": SLOW,
        "five hundred daemons that exit at once": SLOW,
        "two hundred starts beside threads": "valgrind runs one thread at a time, and the others of this never wait",
    },
}
