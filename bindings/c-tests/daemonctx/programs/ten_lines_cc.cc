// The ten lines of the header, as C++ writes them.
#include <daemonctx.h>
#include <cstdio>
#include <memory>
#include <unistd.h>

int main(int argc, char **argv)
{
    std::unique_ptr<daemonctx, void (*)(daemonctx *)> ctx(daemonctx_new(), daemonctx_free);
    const char *why;
    if (!ctx || argc < 2)
        return 1;
    if (daemonctx_set_pid_file(ctx.get(), argv[1]) || daemonctx_open(ctx.get())) {
        daemonctx_error(ctx.get(), nullptr, nullptr, &why);
        std::fprintf(stderr, "ten: %s\n", why);
        return daemonctx_exit_status(ctx.get());
    }
    for (;;)
        pause();
}
