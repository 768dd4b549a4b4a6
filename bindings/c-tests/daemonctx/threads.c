/* Starts of a process with other threads: nothing between the first fork and the report may wait for one of their locks. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *allocate_without_pause(void *unused)
{
    (void)unused;
    for (;;)
        for (size_t size = 16; size < 1 << 18; size *= 2) {
            /* The compiler must not see that nothing is done with it. */
            void *volatile room = malloc(size);
            free(room);
        }
    return NULL;
}

static void *print_without_pause(void *unused)
{
    FILE *null = fopen("/dev/null", "w");
    for (;;) {
        fprintf(null, "%s", "x");
        fflush(NULL);
    }
    return unused;
}

PROGRAM(threaded)
{
    pthread_t thread;
    daemonctx *ctx = configured(argc, argv);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, allocate_without_pause, NULL);
    pthread_create(&thread, NULL, print_without_pause, NULL);
    open_or_leave(ctx);
    /* The daemon can use what the threads have used. */
    free(malloc(100000));
    printf("%d", 7);
    say("%d", (int)getpid());
    exit(0);
}

TEST_WITHIN(60, "two hundred starts beside threads that allocate without pause: none hangs")
{
    for (int i = 0; i < 200; i++) {
        CHECK_INT(START(NULL, "threaded", with_pid_file(), "out=inherit", "threads=1").code, 0);
        pid_t daemon = (pid_t)hear_number();
        CHECK_INT(ended(daemon).code, 0);
        CHECK(!exists("pid"));
    }
}

PROGRAM(threaded_waiter)
{
    pthread_t thread;
    daemonctx *ctx = configured(argc, argv);
    pthread_create(&thread, NULL, allocate_without_pause, NULL);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("the daemon has one thread")
{
    CHECK_INT(START(NULL, "threaded_waiter", "threads=1").code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(status_of(daemon, "Threads"), "1");
    terminate(daemon);
}

TEST("a start beside other threads is refused before anything happens, with how many there are and what to do")
{
    struct outcome refused = START(NULL, "threaded", with_pid_file());
    CHECK_INT(refused.code, 1);
    CHECK_TEXT(refused.err, "refused 1 EOPNOTSUPP start with threads: start with threads failed: 5 others (the daemon would not have "
                            "them: start before they begin, use launch, or allow threads): Operation not supported (95 EOPNOTSUPP)\n");
    CHECK(!exists("pid"));
    CHECK_INT(START(NULL, "threaded", with_pid_file(), "detach=2", "out=inherit").code, 0);
    CHECK(hear_number() > 0);
}

static void allocates_nothing(const char *how, const char *user)
{
    char *file = path(text("%s.pid", how));
    struct outcome starter =
        START(NULL, built("daemonctx/programs/guarded_malloc"), how, file, path("log"), user);
    CHECK_TEXT(starter.err, "");
    CHECK_INT(starter.code, 0);
    terminate(pid_in(file));
}

TEST("nothing is allocated between the first fork and the report")
{
    allocates_nothing("open", NULL);
    allocates_nothing("manual", NULL);
}

TEST("nothing is allocated in the helper of daemonctx_fork() either")
{
    allocates_nothing("fork", NULL);
}

TEST("nothing is allocated while privileges are dropped")
{
    need_root();
    allocates_nothing("open", "nobody");
    allocates_nothing("fork", "nobody");
}
