/* Messages, to syslog and to the person who has started the program.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_DLOG_H
#define LIBDAEMON_DLOG_H

#include <stdarg.h>
#include <syslog.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where messages go; bits of daemon_log_use. */
enum daemon_log_flags {
    DAEMON_LOG_SYSLOG = 1,
    DAEMON_LOG_STDERR = 2,
    DAEMON_LOG_STDOUT = 4,
    DAEMON_LOG_AUTO = 8 /* in the daemon, daemon_fork() changes all of it to DAEMON_LOG_SYSLOG */
};

/* At first DAEMON_LOG_STDERR | DAEMON_LOG_AUTO. */
extern enum daemon_log_flags daemon_log_use;

/* The name that syslog shows in front of the PID: read again for each message, and not copied. NULL, as it is at first, shows
 * as "UNKNOWN". */
extern const char *daemon_log_ident;

#ifndef DAEMON_GCC_PRINTF_ATTR
#ifdef __GNUC__
#define DAEMON_GCC_PRINTF_ATTR(a, b) __attribute__((format(printf, a, b)))
#else
#define DAEMON_GCC_PRINTF_ATTR(a, b)
#endif
#endif

/* Logs a message: prio is a priority of syslog(3), LOG_EMERG to LOG_DEBUG, the rest as for printf(3), with %m for
 * strerror(errno). No newline is needed.
 *
 * To syslog it goes with the facility LOG_DAEMON, unless prio has another one, and by the C library's connection, which stays
 * open: from then on it works after chroot(2) as well. To standard error and standard output it goes as a line, if its
 * priority is not less important than daemon_set_verbosity() says.
 *
 * errno stays as it was. */
void daemon_log(int prio, const char *t, ...) DAEMON_GCC_PRINTF_ATTR(2, 3);

#define DAEMON_LOGV_AVAILABLE 1

/* The same with the arguments in a list. What ap is afterwards is undefined, as after vprintf(3). */
void daemon_logv(int prio, const char *t, va_list ap);

/* The part of argv0 behind the last slash; argv0 itself where there is none, NULL for NULL. It is a place in argv0: nothing is
 * allocated. */
char *daemon_ident_from_argv0(char *argv0);

#define DAEMON_SET_VERBOSITY_AVAILABLE 1

/* The least important priority, LOG_EMERG (0) to LOG_DEBUG (7), that is written to standard error and standard output;
 * LOG_INFO at first. A negative one silences them. What is greater than LOG_DEBUG is refused with a message. Syslog gets
 * everything, always. */
void daemon_set_verbosity(int verbosity_prio);

#ifdef __cplusplus
}
#endif

#endif
