/* A process that nobody may signal: it writes down who does. Holds the pid file of its own that it is given, as any daemon does.
 *
 *     canary [PIDFILE]
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "witness.h"

#include <daemonctx.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static void hit(int signum, siginfo_t *info, void *context)
{
    (void)context;
    violation("canary: got signal %d from %d", signum, (int)info->si_pid);
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_sigaction = hit, .sa_flags = SA_SIGINFO | SA_RESTART};

    for (int signum = 1; signum < SIGRTMIN; signum++)
        sigaction(signum, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc > 1 && daemonctx_pidfile_acquire(daemonctx_pidfile_new(argv[1])))
        return 1;
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}
