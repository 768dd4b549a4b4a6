"""The tests that are left out below each tool: words of their sentences, and why."""

from __future__ import annotations

LEFT_OUT: dict[str, dict[str, str]] = {
    "address": {
        # Of the file that is shipped, and this is another.
        "it needs nothing but the C library": "needs the sanitizer's",
        "nothing in it can panic": "debug builds panic",
        "120 KB at the most": "instrumented code is larger",
        "nothing else is exported": "the sanitizer marks each object with a symbol",
        "exported are the 29 functions": "and enlarges it",
        # Of the tool.
        "heard from a chroot": "LeakSanitizer needs /proc",
        "allocate without pause": "gcc 12's runtime does not hold its allocator's locks across fork(2), as the C library does: a"
        " daemon of a program with threads may wait for ever in its first malloc(3)",
    },
    "valgrind": {},
}
