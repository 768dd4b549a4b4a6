/* Much to log, in two ways.
 *
 *     talk exec LINES [syslog]      daemon_exec() of a program that writes so many lines; logged to standard error, or to syslog
 *     talk stream LINES             a daemon whose standard output is a syslog stream writes them, and ends
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <daemonctx.h>
#include <libdaemon/daemon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

static int execute(const char *lines, int to_syslog)
{
    int code = -1;

    daemon_log_ident = "talk";
    daemon_log_use = to_syslog ? DAEMON_LOG_SYSLOG : DAEMON_LOG_STDERR;
    return daemon_exec(NULL, &code, "/usr/bin/seq", "seq", "-f", "line %.0f", lines, NULL) < 0 || code != 0;
}

static int stream(int lines)
{
    daemonctx *ctx = daemonctx_new();

    if (ctx == NULL || daemonctx_set_detach(ctx, DAEMONCTX_DETACH_YES) ||
        daemonctx_set_stream_syslog(ctx, 1, "talk", LOG_DAEMON | LOG_INFO) || daemonctx_open(ctx))
        return 1;
    for (int i = 1; i <= lines; i++)
        printf("line %d\n", i);
    return fflush(stdout) != 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    return !strcmp(argv[1], "exec") ? execute(argv[2], argc > 3) : stream(atoi(argv[2]));
}
