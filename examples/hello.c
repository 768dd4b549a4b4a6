#include <daemonctx.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    daemonctx *ctx = daemonctx_new();

    if (!ctx || daemonctx_set_pid_file(ctx, "/tmp/hello.pid") || daemonctx_open(ctx)) {
        fprintf(stderr, "hello: %s\n", daemonctx_error_text(ctx));
        return daemonctx_exit_status(ctx);
    }
    for (;;) /* only the daemon gets here */
        sleep(1);
}
