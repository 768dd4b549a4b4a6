/* What libdaemon's C files have in common: the public headers, and what only these files and Rust call.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef INTERNAL_H
#define INTERNAL_H

#include <libdaemon/daemon.h>

#include <stddef.h>

/* In Rust, for these files alone. A path is NULL where the program names no pid file. */
int libdaemon_run(const char *dir, int *ret, const char *prog, char *const argv[]); /* dexec.rs */
int libdaemon_signal_open(void);                                                   /* dsignal.rs */
int libdaemon_pid_file_create(const char *path);                                   /* dpid.rs */
int libdaemon_pid_file_remove(const char *path);
pid_t libdaemon_pid_file_is_running(const char *path);
int libdaemon_pid_file_kill(const char *path, int s);
int libdaemon_pid_file_kill_wait(const char *path, int s, int m);

/* For Rust alone. */
void libdaemon_say(int prio, size_t prefix_length, const char *prefix, size_t length, const char *text); /* dlog.c */
void libdaemon_forget_syslog(void);                                                                    /* dlog.c */

#endif
