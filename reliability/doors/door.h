/* A door: one of the interfaces to daemonctx, behind the same few words. door.c has what they share, and the command line.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef DOOR_H
#define DOOR_H

#include <signal.h>
#include <sys/types.h>

/* What a start ends with. */
enum { STARTED = 0, FAILED = 1, ALREADY = 75, HUNG = 99 };

/* What door_status() says when it is no PID. */
enum { NOT_RUNNING = 0, UNCLEAR = -1 };

struct wishes {
    const char *log;  /* standard output, NULL for none */
    int truncate;     /* the log is emptied */
    const char *user; /* to become, NULL to stay */
    /* What a hostile daemon does with its pid file, NULL for nothing: forge.h. */
    const char *forgery, *pid_file, *victim;
};

extern const char door_name[];

/* Starts the daemon; leaves with the outcome, or returns it. The daemon does not come back. */
int door_start(const char *pid_file, const struct wishes *wishes);
/* The same in a process that goes on. */
int door_start_here(const char *pid_file, const struct wishes *wishes);
/* 0, or an errno. A daemon that does not run is ESRCH. */
int door_signal(const char *pid_file, int signum);
/* 0 when no daemon runs (any more), or an errno. */
int door_stop(const char *pid_file);
pid_t door_status(const char *pid_file);

/* Takes and gives up the pid file of this process. */
int door_cycle(const char *pid_file);

/* --- for the doors ------------------------------------------------------------------------------------------------- */

/* Before the start: number 3 is taken, so that the witness gets it later and the lock does not. */
#define WITNESS 3
/* Seconds that a daemon has between SIGTERM and SIGKILL. */
int door_grace(void);
void door_prepare(void);
/* SIGTERM and SIGHUP wait from now on until the daemon's life begins, which does the same. */
sigset_t door_listen(void);
/* The daemon's life; `reopen` is called on SIGHUP, `leave` before the end. Either may be NULL. */
void door_live(void (*reopen)(void), void (*leave)(void)) __attribute__((noreturn));

/* Writes a line down that makes the run a failure, or that only counts. */
void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
