/* The session leader borrows the starter's memory where it can: what that must not change. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A daemon whose only word is the line that is wanted; with an argument for its program, or NULL. */
static void says(const char *line, const char *program, const char *argument)
{
    CHECK_INT(START(NULL, program, argument).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(hear(), line);
    CHECK_INT(ended(daemon).code, 0);
}

/* --- on which processor it runs -------------------------------------------------------------------------------------- */

/* The C library reads the number from memory that the kernel keeps for each thread (rseq(2)), if it was told of it. */
static void check_processors(void)
{
    cpu_set_t all, one;
    NEED(sched_getaffinity(0, sizeof all, &all) == 0);
    for (int round = 0; round < 3; round++)
        for (int i = 0; i < CPU_SETSIZE; i++) {
            if (!CPU_ISSET(i, &all))
                continue;
            CPU_ZERO(&one);
            CPU_SET(i, &one);
            NEED(sched_setaffinity(0, sizeof one, &one) == 0);
            unsigned really = 0;
            NEED(syscall(SYS_getcpu, &really, NULL, NULL) == 0);
            if ((int)really != i || sched_getcpu() != i)
                say("on %d it is %u, and it is said to be %d", i, really, sched_getcpu());
        }
}

PROGRAM(on_processors)
{
    daemonctx *ctx = configured(argc - 1, argv);
    with_or_without_threads(argc, argv);
    MUST(daemonctx_set_allow_threads(ctx, 1));
    open_or_leave(ctx);
    say("%d", (int)getpid());
    check_processors();
    say("all told");
    exit(0);
}

TEST("a daemon knows on which processor it runs")
{
    says("all told", "on_processors", "alone");
    says("all told", "on_processors", "thread");
}

/* --- handlers -------------------------------------------------------------------------------------------------------- */

static struct {
    int before, starter, daemon;
} *calls;

static void before(void)
{
    calls->before++;
}

static void in_starter(void)
{
    calls->starter++;
}

static void in_daemon(void)
{
    calls->daemon++;
}

PROGRAM(handled)
{
    daemonctx *ctx = configured(argc - 1, argv);
    with_or_without_threads(argc, argv);
    MUST(daemonctx_set_allow_threads(ctx, 1));
    calls = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    NEED(calls != MAP_FAILED && pthread_atfork(before, in_starter, in_daemon) == 0);
    open_or_leave(ctx);
    /* The starter may not have come so far. */
    while (calls->starter == 0)
        sched_yield();
    say("%d", (int)getpid());
    say("%d before, %d in the starter, %d in the daemon", calls->before, calls->starter, calls->daemon);
    exit(0);
}

TEST("pthread_atfork(): each handler is called once")
{
    says("1 before, 1 in the starter, 1 in the daemon", "handled", "alone");
    says("1 before, 1 in the starter, 1 in the daemon", "handled", "thread");
}

/* --- the stack ------------------------------------------------------------------------------------------------------- */

/* Deep in a stack full of numbers, which all have to be there afterwards. */
static int deep(daemonctx *ctx, int depth)
{
    volatile int here[64];
    for (int i = 0; i < 64; i++)
        here[i] = depth * 64 + i;
    int wrong = 0;
    if (depth > 0)
        wrong = deep(ctx, depth - 1);
    else
        open_or_leave(ctx);
    for (int i = 0; i < 64; i++)
        wrong += here[i] != depth * 64 + i;
    return wrong;
}

PROGRAM(deep_in_a_stack)
{
    int wrong = deep(configured(argc, argv), 100);
    say("%d", (int)getpid());
    say("%d wrong", wrong);
    exit(0);
}

TEST("what is on the stack stays")
{
    for (int i = 0; i < 20; i++)
        says("0 wrong", "deep_in_a_stack", NULL);
}

/* --- memory ---------------------------------------------------------------------------------------------------------- */

PROGRAM(large)
{
    const size_t size = 512 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    NEED(memory != MAP_FAILED);
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < size; i += 4096)
        memory[i] = (char)(i >> 12);
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    size_t wrong = 0;
    for (size_t i = 0; i < size; i += 4096)
        wrong += memory[i] != (char)(i >> 12);
    say("%d", (int)getpid());
    say("%zu wrong", wrong);
    exit(0);
}

TEST("half a gigabyte is there in the daemon")
{
    says("0 wrong", "large", NULL);
}
