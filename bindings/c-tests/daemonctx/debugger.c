/* What a debugger shows of a daemon that has crashed. */
#define _GNU_SOURCE
#include "test.h"

#include <string.h>

TEST("gdb shows the way from main() into the library in a daemon that crashed there")
{
    if (START(NULL, "/bin/sh", "-c", "command -v gdb").code != 0)
        skip("no gdb");
    /* Through the forks, to the daemon. */
    struct outcome done = START(NULL, "/bin/sh", "-c",
                                text("exec gdb -batch -nx -ex 'set debuginfod enabled off' -ex 'set follow-fork-mode child' -ex run -ex backtrace %s",
                                     built("daemonctx/programs/crashing")));
    if (strstr(done.err, "ptrace: Operation not permitted") != NULL)
        skip("no ptrace");
    CHECK_HAS(done.out, "SIGSEGV");
    char *library = strstr(done.out, " in daemonctx_notify (");
    CHECK(library != NULL);
    char *tell = strstr(library, " tell (");
    CHECK(tell != NULL);
    CHECK(strstr(tell, " main (") != NULL);
}
