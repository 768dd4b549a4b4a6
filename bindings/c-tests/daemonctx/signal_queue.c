/* A program that has libdaemon's signal queue before it starts by daemonctx.h. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <libdaemon/dsignal.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Files of its own get the numbers that a start has closed: none of them may get a signal's. */
static void open_files(int files[8])
{
    for (int i = 0; i < 8; i++) {
        files[i] = open(".", O_TMPFILE | O_RDWR, 0600);
        NEED(files[i] >= 0);
    }
}

static long written(const int files[8])
{
    struct stat status;
    long bytes = 0;
    for (int i = 0; i < 8; i++) {
        NEED(fstat(files[i], &status) == 0);
        bytes += status.st_size;
    }
    return bytes;
}

static void tell_queue(const char *who)
{
    int files[8];
    open_files(files);
    NEED(raise(SIGUSR1) == 0);
    int signum = daemon_signal_fd() < 0 ? -1 : daemon_signal_next();
    say("%s: %d, and %ld bytes elsewhere", who, signum, written(files));
}

PROGRAM(queuer)
{
    char *directory = path("");
    NEED(daemon_signal_init(SIGUSR1, 0) == 0);
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    NEED(chdir(directory) == 0);
    tell_queue("the daemon");
    exit(0);
}

TEST("a queue that was made before daemonctx_open() is the daemon's")
{
    CHECK_INT(START(NULL, "queuer").code, 0);
    pid_t daemon = (pid_t)hear_number();
    HEAR(text("the daemon: %d, and 0 bytes elsewhere", SIGUSR1));
    CHECK_INT(ended(daemon).code, 0);
}

PROGRAM(queuer_that_goes_on)
{
    char *directory = path("");
    pid_t daemon = -1;
    int ready = 0;
    NEED(daemon_signal_init(SIGUSR1, 0) == 0);
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    MUST(daemonctx_fork(ctx, &daemon));
    if (daemon == 0) {
        say("%d", (int)getpid());
        NEED(chdir(directory) == 0);
        tell_queue("the daemon");
        MUST(daemonctx_ready(ctx));
        exit(0);
    }
    MUST(daemonctx_wait_ready(ctx, -1, &ready));
    tell_queue("the program");
    exit(0);
}

TEST("with daemonctx_fork() it stays the program's, and the daemon has none")
{
    CHECK_INT(START(NULL, "queuer_that_goes_on", "manual=1").code, 0);
    pid_t daemon = (pid_t)hear_number();
    HEAR("the daemon: -1, and 0 bytes elsewhere");
    HEAR(text("the program: %d, and 0 bytes elsewhere", SIGUSR1));
    CHECK_INT(ended(daemon).code, 0);
}
