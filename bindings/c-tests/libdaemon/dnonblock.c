/* <libdaemon/dnonblock.h> */
#define _GNU_SOURCE
#include "test.h"

#include "common.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int flags_of(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    NEED(flags >= 0);
    return flags;
}

TEST("a pipe is made non-blocking and blocking again, and twice is once")
{
    int ends[2];
    char byte;
    NEED(pipe(ends) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK_CALL(daemon_nonblock(ends[0], 1), "0");
        CHECK_INT(flags_of(ends[0]), O_NONBLOCK | O_RDONLY);
    }
    CHECK_CALL(read(ends[0], &byte, 1), "-1 EAGAIN");
    CHECK_INT(flags_of(ends[1]), O_WRONLY);
    for (int i = 0; i < 2; i++) {
        CHECK_CALL(daemon_nonblock(ends[0], 0), "0");
        CHECK_INT(flags_of(ends[0]), O_RDONLY);
    }
}

TEST("any value but 0 is true, and the other flags stay as they are")
{
    int fd = open("file", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    NEED(fd >= 0);
    int before = flags_of(fd);
    CHECK((before & O_APPEND) != 0);
    CHECK_CALL(daemon_nonblock(fd, -5), "0");
    CHECK_INT(flags_of(fd), before | O_NONBLOCK);
    CHECK_INT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_CALL(daemon_nonblock(fd, 0), "0");
    CHECK_INT(flags_of(fd), before);
    CHECK_CALL(daemon_nonblock(fd, 256), "0");
    CHECK_INT(flags_of(fd), before | O_NONBLOCK);
}

TEST("no descriptor: EBADF, and not a word")
{
    const char *complaints = quietly();
    CHECK_CALL(daemon_nonblock(-1, 1), "-1 EBADF");
    CHECK_CALL(daemon_nonblock(-1, 0), "-1 EBADF");
    CHECK_CALL(daemon_nonblock(999, 1), "-1 EBADF");
    int only_a_name = open("/", O_PATH);
    CHECK_CALL(daemon_nonblock(only_a_name, 1), "-1 EBADF");
    CHECK_TEXT(content(complaints), "");
}
