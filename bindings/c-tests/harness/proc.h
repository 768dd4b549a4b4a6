/* A process as /proc shows it.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef HARNESS_PROC_H
#define HARNESS_PROC_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct place {
    char state;
    pid_t parent;
    pid_t group;
    pid_t session;
    int terminal; /* 0 for none */
};

struct place place_of(pid_t process);

/* The words behind a name in /proc/PID/status, "0 0 0 0" for "Uid", one space between them. */
char *status_of(pid_t process, const char *name);

/* The signals in "SigBlk", "SigIgn" or "SigCgt". */
uint64_t signals_of(pid_t process, const char *name);
uint64_t signal_bit(int signum);
void check_signals_at(const char *file, int line, pid_t process, const char *name, uint64_t expected);
#define CHECK_SIGNALS(process, name, expected) check_signals_at(__FILE__, __LINE__, process, name, expected)

/* Where "cwd", "root", "exe" or "fd/1" leads. */
char *link_of(pid_t process, const char *name);

/* Whether it has this file open for writing. */
bool writes_to(pid_t process, const char *file);

/* The numbers of all open descriptors in rising order, "0 1 2 5", but for those by which it speaks to the test. */
char *descriptors_of(pid_t process);

/* Soft and hard limit as /proc/PID/limits has them: "0 0". */
char *limit_of(pid_t process, const char *name);

/* The PIDs of a process's children in rising order, separated by spaces. */
char *children_of(pid_t process);

/* What is left of this process's own, adopted ones included. Programs that cannot adopt their daemons (portability/without.c) cannot
   bury them either: there this process does first. */
char *left_behind(void);

#endif
