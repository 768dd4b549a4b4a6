/* <libdaemon/dfork.h>: daemon_retval_init, _wait, _send and _done. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "script.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void hear_about(int milliseconds)
{
    long took = atol(hear_from("parent took"));
    if (took < milliseconds - 5 || took > milliseconds + 700)
        FAIL("it took %ld ms, not about %d", took, milliseconds);
}

static void passes(int value)
{
    pid_t parent = SCRIPT(NULL, "init", "fork", "parent:", "wait=10", "daemon:", text("send=%d", value));
    HEAR_FROM("daemon", text("send=%d 0", value));
    HEAR_FROM("parent", "init 0");
    /* errno stays as it was: nothing has failed. */
    HEAR_FROM("parent", text(value < 0 ? "wait=10 %d 0" : "wait=10 %d", value));
    struct outcome end = finish(parent);
    CHECK_INT(end.code, 0);
    CHECK_TEXT(end.err, "");
    all_end();
}

TEST_WITHIN(60, "the values 0 and 1 to 255 reach the parent")
{
    for (int value = 0; value < 256; value++)
        passes(value);
}

TEST("and any other int does: 256, the largest, negative ones; -1 with errno as it was")
{
    static const int values[] = {256, 257, 65536, INT_MAX, -1, -2, -255, INT_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        passes(values[i]);
}

TEST("a timeout: -1 and ETIMEDOUT after the seconds asked for; the pipe stays, and a second wait gets the value")
{
    pid_t parent = SCRIPT(NULL, "init", "fork", "parent:", "wait=1", "took", "wait=10", "fds", "daemon:", "await", "send=7");
    HEAR_FROM("parent", "init 0");
    hear_about(1000);
    HEAR_FROM("parent", "wait=1 -1 ETIMEDOUT");
    go();
    HEAR_FROM("parent", "wait=10 7");
    HEAR_FROM("parent", "fds 0 1 2");
    HEAR_FROM("daemon", "send=7 0");
    CHECK_INT(finish(parent).code, 0);
    all_end();
}

TEST("a timeout of two seconds takes two")
{
    pid_t parent = SCRIPT(NULL, "init", "fork", "parent:", "wait=2", "took", "daemon:", "pid", "sleep");
    hear_about(2000);
    CHECK_INT(finish(parent).code, 0);
    terminate((pid_t)atoi(hear_from("daemon pid")));
}

static void waits_for_ever(const char *wait)
{
    pid_t parent = SCRIPT(NULL, "init", "fork", "parent:", wait, "daemon:", "await", "send=5");
    HEAR_FROM("parent", "init 0");
    CHECK(!ends_within(parent, 100));
    go();
    HEAR_FROM("parent", text("%s 5", wait));
    CHECK_INT(finish(parent).code, 0);
    all_end();
}

TEST("a timeout of 0, and a negative one, is none: it waits until there is a value")
{
    waits_for_ever("wait=0");
    waits_for_ever("wait=-1");
}

static void is_interrupted(const char *wait)
{
    pid_t parent = SCRIPT(NULL, "init", "fork", "parent:", "alarm", wait, "wait=10", "daemon:", "await", "send=5");
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", text("%s -1 EINTR", wait));
    go();
    HEAR_FROM("parent", "wait=10 5");
    CHECK_INT(finish(parent).code, 0);
    all_end();
}

TEST("a signal whose handler does not restart calls: EINTR, and one can go on waiting")
{
    is_interrupted("wait=5");
    is_interrupted("wait=0");
}

TEST("sending without init, a second time, or after done: EINVAL, and not a word")
{
    pid_t parent = SCRIPT(NULL, "send=1", "init", "done", "send=2", "init", "fork", "parent:", "wait=10", "daemon:", "send=3", "send=255");
    HEAR_FROM("parent", "send=1 -1 EINVAL");
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", "send=2 -1 EINVAL");
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", "wait=10 3");
    HEAR_FROM("daemon", "send=3 0");
    HEAR_FROM("daemon", "send=255 -1 EINVAL");
    struct outcome end = finish(parent);
    CHECK_INT(end.code, 0);
    CHECK_TEXT(end.err, "");
    all_end();
}

PROGRAM(starts_another)
{
    NEED(daemon_retval_init() == 0);
    NEED(daemon_close_all(-1) == 0);
    NEED(daemon_retval_init() == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(daemon_retval_send(argc) != 0);
    return daemon_retval_wait(10) == argc ? ended(child).code : 1;
}

TEST("a pipe can be made after daemon_close_all, which leaves of the last one the daemon's end alone")
{
    CHECK_INT(START(NULL, "starts_another").code, 0);
}

PROGRAM(keeps_reading)
{
    int taken = open("/dev/null", O_RDONLY);
    close(taken);
    NEED(daemon_retval_init() == 0);
    NEED(daemon_close_all(taken, -1) == 0);
    return argc == 1 && fcntl(taken, F_GETFD) >= 0 ? 0 : 1;
}

TEST("daemon_close_all keeps the starter's end where it is asked to")
{
    CHECK_INT(START(NULL, "keeps_reading").code, 0);
}

TEST("waiting for ever where there is no pipe: EBADF")
{
    pid_t parent = SCRIPT(NULL, "wait=0", "init", "done", "wait=-1", "init", "fork", "parent:", "wait=5", "wait=0", "daemon:", "send=3");
    HEAR_FROM("parent", "wait=0 -1 EBADF");
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", "wait=-1 -1 EBADF");
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", "wait=5 3");
    HEAR_FROM("parent", "wait=0 -1 EBADF");
    CHECK_INT(finish(parent).code, 0);
    all_end();
}

TEST("init twice is init once; done takes it all back, and again does nothing")
{
    CHECK_INT(finish(SCRIPT(NULL, "init", "fds", "init", "fds", "done", "fds", "done", "fds", "init", "fds")).code, 0);
    static const char *const expected[] = {"init 0", "fds 0 1 2 3 4", "init 0", "fds 0 1 2 3 4", "fds 0 1 2", "fds 0 1 2",
                                           "init 0", "fds 0 1 2 3 4"};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        HEAR_FROM("parent", expected[i]);
}

TEST("once the value has come both have closed the pipe")
{
    CHECK_INT(finish(SCRIPT(NULL, "init", "fork", "parent:", "wait=5", "fds", "done", "fds", "daemon:", "send=0", "fds", "done", "fds")).code, 0);
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", "wait=5 0");
    HEAR_FROM("parent", "fds 0 1 2");
    HEAR_FROM("parent", "fds 0 1 2");
    HEAR_FROM("daemon", "send=0 0");
    HEAR_FROM("daemon", "fds 0 1 2");
    HEAR_FROM("daemon", "fds 0 1 2");
    all_end();
}

TEST("done in parent and daemon instead of wait and send")
{
    CHECK_INT(finish(SCRIPT(NULL, "init", "fork", "done", "fds")).code, 0);
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", "fds 0 1 2");
    HEAR_FROM("daemon", "fds 0 1 2");
    all_end();
}

TEST("without descriptors to be had init fails, EMFILE, and leaves none")
{
    pid_t parent = SCRIPT(NULL, "limit=4", "init", "limit=100", "fds");
    /* Speaking needs one, so there is one. */
    HEAR_FROM("parent", "init -1 EMFILE");
    HEAR_FROM("parent", "fds 0 1 2");
    CHECK_INT(finish(parent).code, 0);
}

TEST("daemon_close_all spares what the daemon sends by")
{
    CHECK_INT(finish(SCRIPT(leak_descriptors, "init", "fork", "parent:", "wait=5", "daemon:", "close_all", "send=9", "fds")).code, 0);
    HEAR_FROM("daemon", "close_all 0");
    HEAR_FROM("daemon", "send=9 0");
    HEAR_FROM("daemon", "fds 0 1 2");
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", "wait=5 9");
    all_end();
}

static unsigned closed;

static void close_streams(void)
{
    for (int stream = 0; stream < 3; stream++)
        if (closed & 1U << stream)
            close(stream);
}

TEST("with any of descriptors 0 to 2 closed the value still comes, though the pipe has had their numbers")
{
    for (closed = 0; closed < 8; closed++) {
        CHECK_INT(finish(SCRIPT(close_streams, "init", "fork", "parent:", "wait=5", "daemon:", "send=9", "fds")).code, 0);
        HEAR_FROM("parent", "init 0");
        HEAR_FROM("parent", "wait=5 9");
        HEAR_FROM("daemon", "send=9 0");
        HEAR_FROM("daemon", "fds 0 1 2");
    }
    all_end();
}

TEST("a daemon that ends before it has sent anything: -1 by the end of the timeout")
{
    pid_t parent = SCRIPT(NULL, "init", "fork", "parent:", "wait=1", "daemon:", "exit=0");
    HEAR_FROM("parent", "init 0");
    CHECK(strncmp(hear_from("parent"), "wait=1 -1 ", 10) == 0);
    CHECK_INT(finish(parent).code, 0);
    all_end();
}

/* The pipe is inherited by any fork, not only by daemon_fork. */
PROGRAM(forks_itself)
{
    NEED(daemon_retval_init() == 0);
    pid_t child = fork();
    if (child == 0)
        _exit(daemon_retval_send(42));
    say("%s", RESULT(daemon_retval_wait(5)));
    return 0;
}

TEST("it works with a child of fork(2) too")
{
    CHECK_INT(START(NULL, "forks_itself").code, 0);
    HEAR("42");
    all_end();
}
