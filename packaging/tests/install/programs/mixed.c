/* A daemon by daemonctx.h that logs by libdaemon; in C and, as mixed.cc, in C++. Its only argument is its pid file. */
#include <daemonctx.h>
#include <libdaemon/daemon.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const char *why = "out of memory";
    daemonctx *ctx = daemonctx_new();

    daemon_log_ident = daemon_ident_from_argv0(argv[0]);
    if (ctx == NULL || argc != 2 || daemonctx_set_pid_file(ctx, argv[1]) || daemonctx_open(ctx)) {
        daemonctx_error(ctx, NULL, NULL, &why);
        daemon_log(LOG_ERR, "mixed: %s", why);
        return 1;
    }
    for (;;)
        pause();
}
