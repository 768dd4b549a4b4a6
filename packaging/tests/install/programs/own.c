/* A daemon by daemonctx.h; in C and, as own.cc, in C++. Its only argument is its pid file. */
#include <daemonctx.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *why = "out of memory";
    daemonctx *ctx = daemonctx_new();

    if (ctx == NULL || argc != 2 || daemonctx_set_pid_file(ctx, argv[1]) || daemonctx_open(ctx)) {
        daemonctx_error(ctx, NULL, NULL, &why);
        fprintf(stderr, "own: %s\n", why);
        return 1;
    }
    for (;;)
        pause();
}
