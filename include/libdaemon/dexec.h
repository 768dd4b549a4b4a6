/* Running another program, with what it writes logged.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_DEXEC_H
#define LIBDAEMON_DEXEC_H

#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DAEMON_EXEC_AVAILABLE 1

#ifndef DAEMON_GCC_SENTINEL
#ifdef __GNUC__
#define DAEMON_GCC_SENTINEL __attribute__((sentinel))
#else
#define DAEMON_GCC_SENTINEL
#endif
#endif

/* Runs the executable prog in directory dir (NULL: where this process is; / with a warning where that cannot be) with the
 * arguments that follow, the program's own name first, NULL at the end; and waits until it has ended and its output is closed.
 *
 * Each line that it writes to standard output or standard error is logged by daemon_log() as "client: LINE" with LOG_INFO; a
 * last line without a newline with LOG_WARNING. Empty lines are left out; lines longer than 32 KiB are logged in pieces.
 *
 * The program has umask 022, default signals, none of them blocked, standard input on /dev/null and no other descriptor of
 * this process. Signals that arrive meanwhile stay queued for daemon_signal_next(), SIGCHLD among them. When SIGTERM, SIGINT or
 * SIGQUIT comes and comes again, the program hangs, it seems, and is sent SIGTERM.
 *
 * 0, with what the program has exited with in *ret, if ret is not NULL; a program that could not be executed counts as one that
 * has exited with 1. -1: ECANCELED when a signal has killed it; ECHILD when its status was lost (SIGCHLD is ignored, or a
 * handler waits for every child); otherwise the errno of pipe(2) or fork(2). */
int daemon_exec(const char *dir, int *ret, const char *prog, ...) DAEMON_GCC_SENTINEL;

#define DAEMON_EXECV_AVAILABLE 1

/* The same with the arguments in a list, NULL at its end. What ap is afterwards is undefined. */
int daemon_execv(const char *dir, int *ret, const char *prog, va_list ap);

#ifdef __cplusplus
}
#endif

#endif
