/* <libdaemon/dfork.h>: daemon_close_all and daemon_close_allv. */
#define _GNU_SOURCE
#include "test.h"

#include "common.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Arguments: the list as it is passed, with its end. */
PROGRAM(closes_all)
{
    int list[32];
    for (int i = 1; i < argc; i++)
        list[i - 1] = atoi(argv[i]);
    char *result = RESULT(daemon_close_allv(list));
    say("%s: %s", result, own_descriptors());
    return 0;
}

#define CLOSES(around, expected, ...)                                                                                  \
    do {                                                                                                               \
        CHECK_INT(START(around, "closes_all", __VA_ARGS__).code, 0);                                                       \
        HEAR(expected);                                                                                                \
    } while (0)

TEST("all but 0 to 2 are closed")
{
    CLOSES(leak_descriptors, "0: 0 1 2", "-1");
    CLOSES(NULL, "0: 0 1 2", "-1");
}

TEST("exceptions stay open: in any order, doubled, far up")
{
    CLOSES(leak_descriptors, "0: 0 1 2 4 20 700", "700", "4", "20", "4", "-1");
    CLOSES(leak_descriptors, "0: 0 1 2 3", "3", "-1");
}

TEST("0 to 2 as exceptions change nothing, and do not end the list")
{
    CLOSES(leak_descriptors, "0: 0 1 2 5 7", "5", "0", "2", "7", "-1");
    CLOSES(leak_descriptors, "0: 0 1 2 5", "0", "5", "-1");
}

TEST("exceptions that are not open are no error")
{
    CLOSES(leak_descriptors, "0: 0 1 2 5", "6", "99999", "5", "2147483647", "-1");
}

TEST("any negative number ends the list")
{
    CLOSES(leak_descriptors, "0: 0 1 2 5", "5", "-2", "7", "-1");
}

PROGRAM(variadic_closer)
{
    switch (atoi(argv[1])) {
    case 0:
        say("%s", RESULT(daemon_close_all(-1)));
        break;
    case 1:
        say("%s", RESULT(daemon_close_all(5, -1)));
        break;
    default:
        /* More than fit into registers. */
        say("%s", RESULT(daemon_close_all(3, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50,
                                          51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72,
                                          73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94,
                                          700, -1)));
    }
    say("%s", own_descriptors());
    return 0;
}

static void variadic(const char *which, const char *expected)
{
    CHECK_INT(START(leak_descriptors, "variadic_closer", which).code, 0);
    HEAR("0");
    HEAR(expected);
}

TEST("the variadic form: no exception, one, and more than sixty")
{
    variadic("0", "0 1 2");
    variadic("1", "0 1 2 5");
    variadic("2", "0 1 2 3 700");
}

enum { HUGE = 20000 };

PROGRAM(closer_with_list)
{
    int *list = keep(malloc((HUGE + 1) * sizeof *list));
    for (int i = 0; i < HUGE; i++)
        list[i] = 2 * (HUGE - i);
    list[HUGE] = -1;
    say("%s", RESULT(daemon_close_allv(list)));
    say("%s", own_descriptors());
    return 0;
}

TEST("a list of twenty thousand")
{
    CHECK_INT(START(leak_descriptors, "closer_with_list").code, 0);
    HEAR("0");
    HEAR("0 1 2 4 20 100 700");
}

TEST("the caller's list is not changed")
{
    int list[] = {900, 700, 901, 700, 2, -1};
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        int result = daemon_close_allv(list);
        _exit(result != 0 || list[0] != 900 || list[1] != 700 || list[2] != 901 || list[3] != 700 || list[4] != 2 || list[5] != -1);
    }
    CHECK_INT(ended(child).code, 0);
}

static void leak_and_lower(void)
{
    struct rlimit low = {64, 64};
    leak_descriptors();
    NEED(setrlimit(RLIMIT_NOFILE, &low) == 0);
}

TEST("descriptors above a lowered RLIMIT_NOFILE are closed, and kept when excepted")
{
    CLOSES(leak_and_lower, "0: 0 1 2", "-1");
    CLOSES(leak_and_lower, "0: 0 1 2 255", "255", "-1");
}

static void close_streams(void)
{
    leak_descriptors();
    for (int stream = 0; stream < 3; stream++)
        close(stream);
}

TEST("those of 0 to 2 that are closed stay closed")
{
    CLOSES(close_streams, "0: 5", "5", "-1");
    CLOSES(close_streams, "0: ", "0", "1", "2", "-1");
}

static void open_many(void)
{
    for (int i = 0; i < 900; i++)
        NEED(dup(STDIN_FILENO) >= 0);
}

TEST("nine hundred open ones, and all but a few closed")
{
    CLOSES(open_many, "0: 0 1 2 10 500 902", "10", "500", "902", "-1");
}

/* Closes and looks in a root where there is no /proc, and says from outside. */
PROGRAM(closer_in_root)
{
    int outside = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    NEED(dup2(outside, 9) == 9);
    NEED(chroot(argv[1]) == 0 && chdir("/") == 0);
    char *result = RESULT(daemon_close_all(9, 20, -1));
    char *open_now = own_descriptors();
    NEED(fchdir(9) == 0 && chroot(".") == 0);
    say("%s: %s", result, open_now);
    return 0;
}

TEST("where there is no /proc")
{
    need_root();
    CHECK_INT(START(leak_descriptors, "closer_in_root", path("")).code, 0);
    HEAR("0: 0 1 2 9 20");
}

PROGRAM(closer_of_pipe)
{
    signal(SIGPIPE, SIG_IGN);
    NEED(daemon_retval_init() == 0);
    say("%s", own_descriptors());
    say("%s", RESULT(daemon_close_all(-1)));
    say("%d", (int)strlen(own_descriptors()) > 5);
    say("%s", RESULT(daemon_retval_send(1)));
    say("%s", own_descriptors());
    return 0;
}

TEST("the retval pipe's end for sending is spared, that for receiving is not")
{
    CHECK_INT(START(NULL, "closer_of_pipe").code, 0);
    HEAR("0 1 2 3 4");
    HEAR("0");
    HEAR("1");
    /* The end for receiving was this process's own, and is closed. */
    HEAR("-1 EPIPE");
    HEAR("0 1 2");
}
