/* What libdaemon's C files have in common: the functions of the public headers are exported, everything else is hidden
 * (the files are compiled with -fvisibility=hidden).
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef VISIBLE_H
#define VISIBLE_H

#pragma GCC visibility push(default)
#include <libdaemon/daemon.h>
#pragma GCC visibility pop

#include <stddef.h>

/* In Rust, for these files alone. */
int libdaemon_run(const char *dir, int *ret, const char *prog, char *const argv[]); /* dexec.rs */
int libdaemon_signal_open(void);                                                   /* dsignal.rs */

/* For Rust alone. */
void libdaemon_say(int prio, size_t prefix_length, const char *prefix, size_t length, const char *text); /* dlog.c */
void libdaemon_forget_syslog(void);                                                                    /* dlog.c */

#endif
