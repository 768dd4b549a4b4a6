/* What a program has buffered, and what it has registered with atexit. */
#define _GNU_SOURCE
#include "test.h"

#include "handle.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ends by exit(), so that whatever a process has buffered is written when it ends. */
PROGRAM(printer)
{
    daemonctx *ctx = configured(argc, argv);
    printf("no newline");
    open_or_leave(ctx);
    printf(", daemon");
    say("%d", (int)getpid());
    await_go();
    exit(0);
}

static void prints_once(const char *expected, const char *word)
{
    pid_t starter = LAUNCH(NULL, "printer", word);
    pid_t daemon = (pid_t)hear_number();
    struct outcome before = finish(starter);
    CHECK_INT(before.code, 0);
    CHECK_TEXT(before.out, "no newline");
    go();
    CHECK_INT(ended(daemon).code, 0);
    CHECK_TEXT(content(".out.0"), expected);
}

TEST("text that printf has buffered for a file appears once")
{
    prints_once("no newline, daemon", "out=inherit");
}

TEST("the daemon's own text does not appear where the starter's went")
{
    prints_once("no newline", "out=null");
}

/* Holds the reading end too, so that the pipe is there when the starter is gone. */
static int ends[2];

static void write_to_pipe(void)
{
    NEED(dup2(ends[1], STDOUT_FILENO) == STDOUT_FILENO);
}

TEST("text that printf has buffered for a pipe appears once")
{
    char bytes[64] = "";
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    CHECK_INT(START(write_to_pipe, "printer", "out=inherit").code, 0);
    pid_t daemon = (pid_t)hear_number();
    go();
    ended(daemon);
    close(ends[1]);
    /* Whoever has the writing end has ended, so this comes to an end of file. */
    size_t length = 0;
    for (ssize_t got; (got = read(ends[0], bytes + length, sizeof bytes - 1 - length)) > 0;)
        length += (size_t)got;
    CHECK_TEXT(bytes, "no newline, daemon");
}

static void write_to_full_device(void)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    NEED(full >= 0 && dup2(full, STDOUT_FILENO) == STDOUT_FILENO);
}

static void write_to_closed_pipe(void)
{
    int pipe[2];
    NEED(pipe2(pipe, O_CLOEXEC) == 0 && dup2(pipe[1], STDOUT_FILENO) == STDOUT_FILENO);
    close(pipe[0]);
}

static void starts_with(void (*prepare)(void))
{
    struct outcome starter = START(prepare, "printer", "out=null");
    CHECK_INT(starter.code, 0);
    CHECK_TEXT(starter.err, "");
    pid_t daemon = (pid_t)hear_number();
    go();
    CHECK_INT(ended(daemon).code, 0);
}

TEST("text that cannot be written does not fail the start")
{
    starts_with(write_to_full_device);
    starts_with(write_to_closed_pipe);
}

static void at_exit(void)
{
    say("atexit %d", (int)getpid());
}

PROGRAM(registrar)
{
    daemonctx *ctx = configured(argc, argv);
    atexit(at_exit);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    await_go();
    exit(0);
}

TEST("atexit handlers run in the daemon and not in the starter")
{
    CHECK_INT(START(NULL, "registrar", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK(is_silent());
    go();
    HEAR(text("atexit %d", (int)daemon));
    CHECK_INT(ended(daemon).code, 0);
    CHECK(is_silent());
}

PROGRAM(failing_registrar)
{
    daemonctx *ctx = configured(argc, argv);
    atexit(at_exit);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    _exit(3);
}

TEST("they do not run in a starter whose start fails either")
{
    CHECK_INT(START(NULL, "failing_registrar").code, 3);
    CHECK(is_silent());
}

PROGRAM(unbuffered)
{
    daemonctx *ctx = configured(argc, argv);
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    /* A stream of the program's own, with text in its buffer: the program's to flush, but never written twice. */
    FILE *own = fopen("own", "w");
    fputs("own text", own);
    puts("first");
    MUST(daemonctx_keep_descriptor(ctx, fileno(own)));
    open_or_leave(ctx);
    fclose(own);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("a stream of the program's own is written once, by the daemon")
{
    struct outcome starter = START(NULL, "unbuffered");
    CHECK_INT(starter.code, 0);
    CHECK_TEXT(starter.out, "first\n");
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(content("own"), "own text");
    terminate(daemon);
}
