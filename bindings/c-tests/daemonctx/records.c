/* A daemon without privileges that forges records on every pipe it can write to: nobody but itself is signalled. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFUSED "report failed: invalid record from the daemon: Bad message (74 EBADMSG)"

enum { FORKED = 0, ENDED = 4, VALUE = 8, LOGGER = 9 };

/* A record is as long as `whole`; `header` is where its text would begin. */
static const size_t whole = 512, header = 16;

/* A child of the starter's, with its privileges. */
static pid_t begin_victim(void)
{
    pid_t victim = fork();
    if (victim == 0)
        sleep_forever();
    return victim;
}

/* Both in one piece: the first may be the daemon's end. */
static void forge(int fd, unsigned char kind, int32_t number, size_t size)
{
    unsigned char records[2 * 512] = {FORKED};
    memcpy(records + 4, &number, sizeof number);
    records[size] = kind;
    memcpy(records + size + 4, &number, sizeof number);
    NEED(write(fd, records, 2 * size) == (ssize_t)(2 * size));
}

static bool is_line(int fd)
{
    char target[64] = "";
    if (fd <= STDERR_FILENO || readlink(text("/proc/self/fd/%d", fd), target, sizeof target - 1) < 0)
        return false;
    return strncmp(target, "pipe:", 5) == 0 && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
}

/* The first word is the kind of the second record, the second the size of both. The line that was opened last comes first: what is
 * forged on the first ends the daemon. */
__attribute__((noreturn)) static void misbehave(char **argv, pid_t victim)
{
    int found = 0;
    for (int fd = 0; fd < 1000; fd++)
        found += is_line(fd);
    say("lines %d", found);
    for (int fd = 1000; fd > STDERR_FILENO; fd--)
        if (is_line(fd))
            forge(fd, (unsigned char)atoi(argv[1]), victim, (size_t)atoi(argv[2]));
    sleep_forever();
}

PROGRAM(forging)
{
    pid_t victim = begin_victim();
    signal(SIGPIPE, SIG_IGN);
    daemonctx *ctx = configured(argc - 2, argv + 2);
    say("%d", (int)victim);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    misbehave(argv, victim);
}

PROGRAM(forging_aside)
{
    pid_t daemon = -1, victim = begin_victim();
    int ready = -1;
    const char *why = "";
    daemonctx *ctx = configured(argc - 2, argv + 2);
    say("%d", (int)victim);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    MUST(daemonctx_fork(ctx, &daemon));
    if (daemon == 0)
        misbehave(argv, victim);
    daemonctx_status status = daemonctx_wait_ready(ctx, -1, &ready);
    daemonctx_error(ctx, NULL, NULL, &why);
    fprintf(stderr, "%d %s\n", status == DAEMONCTX_OK, why);
    return 3;
}

static void is_unharmed(pid_t victim)
{
    CHECK(is_alive(victim));
    kill_off(victim);
}

static void forges(const char *program, int kind, size_t size, const char *line)
{
    need_root();
    struct outcome starter = START(NULL, program, text("%d", kind), text("%zu", size), "user=nobody", "program=me", with_pid_file());
    pid_t victim = (pid_t)hear_number();
    CHECK(atoi(hear() + strlen("lines ")) > 0);
    CHECK_TEXT(starter.err, line);
    CHECK(starter.code != 0);
    CHECK(!exists("pid"));
    is_unharmed(victim);
    CHECK_TEXT(left_behind(), "");
}

static void forges_each(const char *program, const char *line)
{
    static const int kinds[] = {FORKED, ENDED, VALUE, LOGGER};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        forges(program, kinds[i], whole, line);
        forges(program, kinds[i], header, line);
    }
}

TEST_WITHIN(60, "a daemon of nobody's names another process: daemonctx_open() fails, and the process is unharmed")
{
    forges_each("forging", "me: " REFUSED "\n");
}

TEST_WITHIN(60, "the same by daemonctx_fork()")
{
    forges_each("forging_aside", "0 " REFUSED "\n");
}
