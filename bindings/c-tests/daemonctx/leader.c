/* How the session leader and the daemon are made, as a tracer is told by the kernel. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* A second thread is there before anything is forked, if it is wanted. */
PROGRAM(traced)
{
    daemonctx *ctx = configured(argc - 1, argv);
    with_or_without_threads(argc, argv);
    MUST(daemonctx_set_allow_threads(ctx, 1));
    raise(SIGSTOP);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

/* Where the leader has been shown to be right in the starter's memory: glibc with rseq(2), on two architectures. Programs without what
   other systems lack (portability/without.c) find no such thing. */
static bool may_borrow(void)
{
#if defined __GLIBC__ && (defined __x86_64__ && !defined __ILP32__ || defined __aarch64__)
    const unsigned *size = dlsym(RTLD_DEFAULT, "__rseq_size");
    return size != NULL && *size > 0 && getenv("WITHOUT") == NULL;
#else
    return false;
#endif
}

/* --- tracing --------------------------------------------------------------------------------------------------------- */

/* The next stop of a process: the signal, and the event in the second byte. */
static int stop_of(pid_t process)
{
    int status;
    NEED(waitpid(process, &status, __WALL) == process);
    CHECK(WIFSTOPPED(status));
    return status >> 8;
}

static void trace(pid_t starter)
{
    const uintptr_t options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
    int status;
    /* It stops itself when there is nothing left to do but the start. */
    NEED(waitpid(starter, &status, WUNTRACED) == starter && WIFSTOPPED(status));
    if (ptrace(PTRACE_SEIZE, starter, NULL, (void *)options) != 0)
        skip("needs ptrace(2): %s", strerror(errno));
    NEED(kill(starter, SIGCONT) == 0);
}

/* Waits until a process has made another, which is stopped before its first instruction: which event that was, and who. */
static int next_child(pid_t parent, pid_t *child)
{
    unsigned long number;
    int stop;
    /* Signals that have come go on to where they were meant to go. */
    while ((stop = stop_of(parent)) >> 8 == 0 || stop >> 8 == PTRACE_EVENT_STOP)
        NEED(ptrace(PTRACE_CONT, parent, NULL, (void *)(uintptr_t)(stop >> 8 == 0 ? stop & 0xff : 0)) == 0);
    NEED(ptrace(PTRACE_GETEVENTMSG, parent, NULL, &number) == 0);
    *child = (pid_t)number;
    stop_of(*child);
    return stop >> 8;
}

/* Where nobody has anything: the end of the stack that has not been reached. */
static uintptr_t unused_place(pid_t process)
{
    char line[512];
    uintptr_t start = 0;
    FILE *maps = fopen(text("/proc/%d/maps", (int)process), "re");
    NEED(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, "[stack]") != NULL)
            start = (uintptr_t)strtoull(line, NULL, 16);
    fclose(maps);
    NEED(start != 0);
    return start;
}

/* Whether what is written in one's memory stands in the other's, too. */
static bool share_memory(pid_t one, pid_t other)
{
    uintptr_t place = unused_place(one);
    errno = 0;
    long before = ptrace(PTRACE_PEEKDATA, other, (void *)place, NULL);
    NEED(errno == 0);
    NEED(ptrace(PTRACE_POKEDATA, one, (void *)place, (void *)~before) == 0);
    long after = ptrace(PTRACE_PEEKDATA, other, (void *)place, NULL);
    NEED(ptrace(PTRACE_POKEDATA, one, (void *)place, (void *)before) == 0);
    return after != before;
}

static void let_go(pid_t process)
{
    NEED(ptrace(PTRACE_DETACH, process, NULL, NULL) == 0);
}

static void is_made(const char *threads, bool borrows)
{
    pid_t leader, daemon;
    pid_t starter = LAUNCH(NULL, "traced", threads);
    trace(starter);
    CHECK_INT(next_child(starter, &leader), borrows ? PTRACE_EVENT_VFORK : PTRACE_EVENT_FORK);
    CHECK_INT(share_memory(starter, leader), borrows);
    NEED(ptrace(PTRACE_CONT, leader, NULL, NULL) == 0);
    CHECK_INT(next_child(leader, &daemon), PTRACE_EVENT_FORK);
    CHECK_INT(share_memory(starter, daemon), false);
    CHECK_INT(share_memory(leader, daemon), false);
    let_go(daemon);
    let_go(leader);
    let_go(starter);
    CHECK_INT(finish(starter).code, 0);
    CHECK_INT(hear_number(), daemon);
    terminate(daemon);
}

TEST("the session leader is made by vfork, in the starter's memory, where that can be; the daemon by fork")
{
    is_made("alone", may_borrow());
}

TEST("the session leader of a starter with threads is made by fork")
{
    is_made("thread", false);
}
