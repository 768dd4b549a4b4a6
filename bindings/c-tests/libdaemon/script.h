/* A program that does what its arguments say, one word after the other, and says how it went.
 *
 *     START(NULL, "script", "init", "fork", "parent:", "wait=5", "daemon:", "send=7")
 *
 * Until a daemon forks off, and for the parent, words are said as "parent WORD RESULT", the daemon's as "daemon WORD RESULT".
 *
 *     init fork done wait=SECONDS send=VALUE close_all    calls of the library; RESULT is "0" or "-1 EINVAL"
 *     fork                                                what follows "parent:" or "daemon:" is for one of them
 *     fds                                                 the open descriptors
 *     took                                                milliseconds since the last call was begun
 *     pid await sleep                                     says the PID, waits for go(), sleeps for ever
 *     alarm                                               a signal without SA_RESTART in 50 ms
 *     spawn                                               a child that sleeps for ever, and holds all that it holds
 *     limit=DESCRIPTORS exit=STATUS kill=SIGNAL
 *
 * At the end of its words a process ends with status 0.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_TESTS_SCRIPT_H
#define LIBDAEMON_TESTS_SCRIPT_H

#include "common.h"

#define SCRIPT(around, ...) LAUNCH(around, "script", __VA_ARGS__)

#endif
