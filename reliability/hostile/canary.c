/* A process that nobody may signal: it writes down who does. Holds the pid file of its own that it is given, as any daemon does.
 *
 *     canary [PIDFILE]
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "witness.h"

#include <daemonctx.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    witness_signals("canary");
    if (argc > 1 && daemonctx_pidfile_acquire(daemonctx_pidfile_new(argv[1])))
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
