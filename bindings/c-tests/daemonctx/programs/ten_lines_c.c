/* The ten lines of the header. */
#include <daemonctx.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    daemonctx *ctx = daemonctx_new();
    const char *why;
    if (ctx == NULL || argc < 2)
        return 1;
    if (daemonctx_set_pid_file(ctx, argv[1]) || daemonctx_open(ctx)) {
        daemonctx_error(ctx, NULL, NULL, &why);
        fprintf(stderr, "ten: %s\n", why);
        return daemonctx_exit_status(ctx);
    }
    for (;;)
        pause();
}
