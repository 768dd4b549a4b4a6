/* Exceptions of C++ pass through the library, and so does the end of a cancelled thread. */
#define _GNU_SOURCE
#include "common.h"

TEST("an exception that daemon_pid_file_proc throws arrives at the caller")
{
    struct outcome done = START(NULL, built("libdaemon/programs/throwing"));
    CHECK_TEXT(done.err, "");
    CHECK_INT(done.code, 0);
}

TEST("a thread that is cancelled in daemon_retval_wait() destroys its objects")
{
    struct outcome done = START(NULL, built("libdaemon/programs/cancelled"));
    CHECK_TEXT(done.err, "");
    CHECK_INT(done.code, 0);
}
