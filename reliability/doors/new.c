/* daemonctx.h.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "door.h"

#include <daemonctx.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char door_name[] = "daemonctx.h";

static daemonctx *ctx;

static int said(void)
{
    const char *why;

    daemonctx_error(ctx, NULL, NULL, &why);
    fprintf(stderr, "door: %s\n", why);
    return daemonctx_error(ctx, NULL, NULL, NULL) == DAEMONCTX_ERROR_ALREADY_RUNNING ? ALREADY : daemonctx_exit_status(ctx);
}

static daemonctx *prepared(const char *pid_file, const struct wishes *wishes)
{
    ctx = daemonctx_new();
    door_prepare();
    if (ctx == NULL || daemonctx_set_pid_file(ctx, pid_file) || daemonctx_set_detach(ctx, DAEMONCTX_DETACH_YES) ||
        daemonctx_keep_descriptor(ctx, WITNESS) ||
        (wishes->user != NULL && daemonctx_set_user(ctx, wishes->user)) ||
        (wishes->log != NULL &&
         daemonctx_set_stream_log_file(ctx, 1, wishes->log, wishes->truncate ? DAEMONCTX_LOG_TRUNCATE : 0, 0640, NULL, NULL)))
        abort();
    return ctx;
}

static void reopen(void)
{
    if (daemonctx_reopen_streams(ctx))
        fprintf(stderr, "%s\n", daemonctx_error_text(ctx));
}

int door_start(const char *pid_file, const struct wishes *wishes)
{
    if (daemonctx_open(prepared(pid_file, wishes)))
        return said();
    door_live(reopen, NULL);
}

int door_start_here(const char *pid_file, const struct wishes *wishes)
{
    pid_t daemon = -1;
    int ready = 0, outcome = 0;

    if (daemonctx_fork(prepared(pid_file, wishes), &daemon))
        outcome = said();
    else if (daemon == 0)
        door_live(reopen, NULL);
    else if (daemonctx_wait_ready(ctx, -1, &ready) || !ready)
        outcome = said();
    daemonctx_free(ctx);
    close(WITNESS);
    return outcome;
}

static int failed(daemonctx_status status, daemonctx_pidfile *file)
{
    const char *why = NULL;
    int number = 0;

    if (status != DAEMONCTX_OK) {
        daemonctx_pidfile_error(file, NULL, &number, &why);
        fprintf(stderr, "door: %s\n", why);
    }
    daemonctx_pidfile_free(file);
    return status == DAEMONCTX_OK ? 0 : number != 0 ? number : EIO;
}

int door_signal(const char *pid_file, int signum)
{
    daemonctx_pidfile *file = daemonctx_pidfile_new(pid_file);

    return failed(daemonctx_pidfile_signal(file, signum), file);
}

int door_stop(const char *pid_file)
{
    daemonctx_pidfile *file = daemonctx_pidfile_new(pid_file);

    return failed(daemonctx_pidfile_stop(file, door_grace() * 1000L, NULL), file);
}

pid_t door_status(const char *pid_file)
{
    daemonctx_pidfile *file = daemonctx_pidfile_new(pid_file);
    daemonctx_pidfile_state status = DAEMONCTX_UNKNOWN;
    pid_t pid = UNCLEAR;

    if (failed(daemonctx_pidfile_status(file, &status, &pid), file))
        return UNCLEAR;
    return status == DAEMONCTX_RUNNING ? pid : NOT_RUNNING;
}

int door_cycle(const char *pid_file)
{
    daemonctx_pidfile *file = daemonctx_pidfile_new(pid_file);
    daemonctx_status status = daemonctx_pidfile_acquire(file);

    return failed(status ? status : daemonctx_pidfile_release(file), file);
}
