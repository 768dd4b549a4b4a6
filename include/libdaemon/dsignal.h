/* Signals one after the other, through a descriptor, for select(2) and poll(2).
 *
 *     daemon_signal_init(SIGTERM, SIGHUP, 0);
 *     ... when daemon_signal_fd() is readable:
 *     while ((s = daemon_signal_next()) > 0) ...
 *
 * No signal that the kernel delivers is lost: what finds no room in the pipe (16,384 by default) is counted until there is
 * some.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_DSIGNAL_H
#define LIBDAEMON_DSIGNAL_H

#ifdef __cplusplus
extern "C" {
#endif

/* Queues the signals given from now on, and unblocks them; the list ends in 0. Without any it only makes the queue. System calls
 * that they interrupt are restarted, where the kernel can (SA_RESTART, signal(7)).
 *
 * 0, or -1: EINVAL for what is no signal or cannot be caught (those before it in the list are queued); the errno of pipe(2). */
int daemon_signal_init(int s, ...);

/* The same for one signal. */
int daemon_signal_install(int s);

/* Gives the queue up, with what is in it. The signals do nothing from now on, until they are installed again. errno stays. */
void daemon_signal_done(void);

/* The next signal, 0 when there is none now, -1 with EBADF without a queue. Does not block. */
int daemon_signal_next(void);

/* The descriptor that is readable when there is a signal to take, close-on-exec and not blocking; -1 without a queue. */
int daemon_signal_fd(void);

#ifdef __cplusplus
}
#endif

#endif
