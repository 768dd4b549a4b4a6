/* A daemon that crashes inside the library, two functions down: the text is no string. */
#include <daemonctx.h>
#include <stddef.h>

static void tell(const char *text)
{
    daemonctx_notify(text, NULL);
}

int main(void)
{
    daemonctx *ctx = daemonctx_new();
    if (ctx == NULL || daemonctx_open(ctx))
        return 1;
    tell((const char *)8);
    return 0;
}
