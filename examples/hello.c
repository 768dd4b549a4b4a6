#include <daemonctx.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    const char *why = "out of memory";
    daemonctx *ctx = daemonctx_new();

    if (!ctx || daemonctx_set_pid_file(ctx, "/tmp/hello.pid") || daemonctx_set_umask(ctx, 022) || daemonctx_open(ctx)) {
        daemonctx_error(ctx, NULL, NULL, &why);
        fprintf(stderr, "hello: %s\n", why);
        return 1;
    }
    for (;;) /* only the daemon gets here */
        sleep(1);
}
