/* Logging is C's from end to end: its arguments are a va_list, its connection the C library's.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum daemon_log_flags daemon_log_use = DAEMON_LOG_STDERR | DAEMON_LOG_AUTO;
const char *daemon_log_ident = NULL;

static int verbosity = LOG_INFO;
static int syslog_used = 0;

static void to_syslog(int prio, const char *t, va_list ap)
{
    openlog(daemon_log_ident != NULL ? daemon_log_ident : "UNKNOWN", LOG_PID, LOG_DAEMON);
    vsyslog(prio, t, ap);
    syslog_used = 1;
}

/* In one piece: several processes may share the stream, and standard error has no buffer. */
static void to_stream(FILE *stream, const char *t, va_list ap)
{
    char room[1024];
    char *line = room;
    va_list again;
    int length;

    va_copy(again, ap);
    length = vsnprintf(room, sizeof room, t, ap);
    if (length >= (int)sizeof room - 1) {
        line = malloc((size_t)length + 2);
        if (line != NULL)
            length = vsnprintf(line, (size_t)length + 1, t, again);
    }
    va_end(again);
    if (line == NULL) {
        line = room;
        length = (int)sizeof room - 2;
    }
    if (length >= 0) {
        line[length] = '\n';
        fwrite(line, 1, (size_t)length + 1, stream);
    }
    if (line != room)
        free(line);
}

void daemon_logv(int prio, const char *t, va_list ap)
{
    /* Given back to the caller, and before that to each of the three, for %m. */
    int error = errno;
    int use = (int)daemon_log_use;
    va_list copy;

    if (use & DAEMON_LOG_SYSLOG) {
        va_copy(copy, ap);
        to_syslog(prio, t, copy);
        va_end(copy);
        errno = error;
    }
    if (LOG_PRI(prio) <= verbosity) {
        if (use & DAEMON_LOG_STDERR) {
            va_copy(copy, ap);
            to_stream(stderr, t, copy);
            va_end(copy);
            errno = error;
        }
        if (use & DAEMON_LOG_STDOUT) {
            va_copy(copy, ap);
            to_stream(stdout, t, copy);
            va_end(copy);
            errno = error;
        }
    }
}

void daemon_log(int prio, const char *t, ...)
{
    va_list ap;

    va_start(ap, t);
    daemon_logv(prio, t, ap);
    va_end(ap);
}

void daemon_set_verbosity(int verbosity_prio)
{
    if (verbosity_prio > LOG_DEBUG)
        daemon_log(LOG_ERR, "verbosity failed: %d is no priority", verbosity_prio);
    else
        verbosity = verbosity_prio;
}

char *daemon_ident_from_argv0(char *argv0)
{
    char *slash = argv0 != NULL ? strrchr(argv0, '/') : NULL;

    return slash != NULL ? slash + 1 : argv0;
}

/* For what the library itself has to say: the text has no end of its own, and Rust has no printf. */
void libdaemon_say(int prio, size_t prefix_length, const char *prefix, size_t length, const char *text)
{
    daemon_log(prio, "%.*s%.*s", (int)prefix_length, prefix, (int)length, text);
}

/* Before every descriptor is closed. The C library would go on using the number, which may be another file's by then: it
 * would write to that, fail, and close it. */
void libdaemon_forget_syslog(void)
{
    if (syslog_used) {
        closelog();
        syslog_used = 0;
    }
}
