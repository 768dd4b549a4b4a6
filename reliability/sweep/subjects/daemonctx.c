/* A start with our API. Arguments: how, a folder for the pid file and the log. */
#include "mark.h"

#include <daemonctx.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static daemonctx *ctx;

/* One line, and the status that a program should leave with. */
static int complain(const char *who)
{
    const char *text = "";
    daemonctx_error(ctx, NULL, NULL, &text);
    fprintf(stderr, "subject: %s%s\n", who, text);
    return daemonctx_exit_status(ctx);
}

static void must(daemonctx_status status)
{
    if (status != DAEMONCTX_OK)
        exit(complain("setting: "));
}

static void configure(const char *how, const char *folder)
{
    char path[4096];
    ctx = daemonctx_new();
    if (ctx == NULL)
        exit(70);
    must(daemonctx_set_detach(ctx, DAEMONCTX_DETACH_YES));
    must(daemonctx_set_user(ctx, "daemon"));
    snprintf(path, sizeof path, "%s/daemon.pid", folder);
    must(daemonctx_set_pid_file(ctx, path));
    if (strcmp(how, "syslog") == 0) {
        must(daemonctx_set_stream_syslog(ctx, 1, NULL, -1));
        must(daemonctx_set_stream_syslog(ctx, 2, NULL, -1));
    } else {
        snprintf(path, sizeof path, "%s/daemon.log", folder);
        must(daemonctx_set_stream_log_file(ctx, 1, path, DAEMONCTX_LOG_TRUNCATE, 0640, "daemon", NULL));
        must(daemonctx_set_stream_file(ctx, 2, path));
    }
    must(daemonctx_set_manual_ready(ctx, strcmp(how, "manual") == 0 || strcmp(how, "fork") == 0));
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    configure(argv[1], argv[2]);
    int forks = strcmp(argv[1], "fork") == 0;
    int manual = forks || strcmp(argv[1], "manual") == 0;
    START_BEGINS();
    if (forks) {
        pid_t daemon = -1;
        if (daemonctx_fork(ctx, &daemon) != DAEMONCTX_OK)
            return complain("");
        if (daemon != 0) {
            int ready = 0;
            if (daemonctx_wait_ready(ctx, -1, &ready) != DAEMONCTX_OK)
                return complain("");
            _exit(ready ? 0 : 71);
        }
    } else if (daemonctx_open(ctx) != DAEMONCTX_OK)
        return complain("");
    /* The program's part: with nobody to tell, it ends. */
    if (manual && daemonctx_ready(ctx) != DAEMONCTX_OK)
        return complain("");
    START_ENDS();
    for (;;)
        pause();
}
