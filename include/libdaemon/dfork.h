/* Becoming a daemon.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_DFORK_H
#define LIBDAEMON_DFORK_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Forks a daemon: in a session without a terminal, which it does not lead; working directory /; umask 0077; standard streams
 * on /dev/null; SIGTTIN, SIGTTOU and SIGTSTP ignored. With DAEMON_LOG_AUTO it logs to syslog from now on. Everything else is
 * as it was: other descriptors, the signal mask, other dispositions.
 *
 * Returns the daemon's PID in the program that has called, 0 in the daemon. Neither has a child of the forks to wait for.
 *
 * -1, in the program that has called only and with no process left: errno of the step that failed (pipe(2), fork(2),
 * setsid(2), open(2) of /dev/null, chdir(2)), or EIO when the new process was killed.
 *
 * With other threads alive it works as fork(2) does: they do not exist in the daemon. */
pid_t daemon_fork(void);

/* --- how the daemon's initialisation went ------------------------------------------------------------------------- */

/* Before the fork: makes the pipe, close-on-exec, on which the daemon tells its starter how it went. 0, or -1 with the errno
 * of pipe(2). When there is one already, that stays. */
int daemon_retval_init(void);

/* In a process that neither waits nor sends: gives the pipe up. After daemon_retval_wait() or daemon_retval_send() it does
 * nothing. errno stays. */
void daemon_retval_done(void);

/* In the starter, once: waits for the daemon's number, so many seconds at the most, any time for 0 and less. A daemon that
 * ends without having sent one is noticed at once.
 *
 * Returns the number, or -1: ETIMEDOUT, or EINTR when a signal was handled, after which it may be called again; EINVAL
 * when the daemon is gone; EBADF without a pipe. */
int daemon_retval_wait(int timeout);

/* In the daemon, once: sends a number to the starter. Not -1, which the starter could not tell from a failure.
 *
 * 0, or -1: EPIPE when the starter is gone (no SIGPIPE comes with it); EINVAL, without a message, when there is no pipe, or one
 * has been sent already. */
int daemon_retval_send(int s);

/* --- what a daemon inherits and does not want ------------------------------------------------------------------------ */

#define DAEMON_CLOSE_ALL_AVAILABLE 1

/* Closes every descriptor but 0, 1, 2 and those given; the list ends in -1. The pipe of daemon_retval_init(), the queue of
 * daemon_signal_init() and the lock of daemon_pid_file_create() stay too; a connection to syslog is closed, and opened again
 * for the next message.
 *
 * 0, or -1 with ENOMEM: nothing was closed. */
int daemon_close_all(int except_fd, ...);

/* The same with the list in an array that ends in -1. EINVAL for NULL. */
int daemon_close_allv(const int except_fds[]);

#define DAEMON_UNBLOCK_SIGS_AVAILABLE 1

/* Makes the signals given the mask of this thread: they are blocked from now on, all others are not. The list ends in -1 (or
 * 0).
 *
 * 0, or -1 with EINVAL for a number that is no signal: the mask is as it was. */
int daemon_unblock_sigs(int except, ...);

/* The same with the list in an array. EINVAL for NULL. */
int daemon_unblock_sigsv(const int except[]);

#define DAEMON_RESET_SIGS_AVAILABLE 1

/* Gives every signal its default action, whether it is handled or ignored, but those given; the list ends in -1 (or 0).
 * Async-signal-safe. Returns 0. */
int daemon_reset_sigs(int except, ...);

/* The same with the list in an array. EINVAL for NULL. */
int daemon_reset_sigsv(const int except[]);

#ifdef __cplusplus
}
#endif

#endif
