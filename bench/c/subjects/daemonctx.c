/* Our own interface. */
#include "subject.h"

#include <daemonctx.h>
#include <errno.h>
#include <stdio.h>

int become_daemon(const char *pid_file)
{
    daemonctx *ctx = daemonctx_new();
    const char *why = "";
    int number = ENOMEM;
    if (ctx != NULL && daemonctx_set_detach(ctx, DAEMONCTX_DETACH_YES) == DAEMONCTX_OK &&
        daemonctx_set_allow_threads(ctx, 1) == DAEMONCTX_OK &&
        daemonctx_set_pid_file(ctx, pid_file) == DAEMONCTX_OK && daemonctx_open(ctx) == DAEMONCTX_OK)
        return 0;
    daemonctx_error(ctx, NULL, &number, &why);
    fprintf(stderr, "%s\n", why);
    return number ? number : EINVAL;
}
