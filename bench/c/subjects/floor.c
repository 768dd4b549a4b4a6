/* The least that has the same effect, in bare system calls: two forks, a session, a line for readiness, a pid file that is locked,
 * /dev/null as 0 to 2, all else closed, umask, directory. Whatever can go wrong is noticed and nothing of it is said. */
#define _GNU_SOURCE
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int line[2], lock;

/* The two that are kept are numbered one after the other, first the line. */
static int close_others(void)
{
    int first = line[1] < lock ? line[1] : lock, second = line[1] < lock ? lock : line[1];
    if (first > 3 && close_range(3, (unsigned)first - 1, 0) < 0)
        return -1;
    if (second > first + 1 && close_range((unsigned)first + 1, (unsigned)second - 1, 0) < 0)
        return -1;
    return close_range((unsigned)second + 1, ~0U, 0);
}

static int connect_streams(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    return null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ? -1 : 0;
}

static int write_pid(void)
{
    char text[16];
    int length = sprintf(text, "%d\n", (int)getpid());
    return pwrite(lock, text, (size_t)length, 0) == length ? 0 : -1;
}

static _Noreturn void be_starter(void)
{
    char byte;
    close(line[1]);
    _exit(read(line[0], &byte, 1) == 1 ? 0 : 1);
}

int become_daemon(const char *pid_file)
{
    lock = open(pid_file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0 || pipe2(line, O_CLOEXEC) < 0)
        return errno;
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child > 0)
        be_starter();
    if (setsid() < 0 || (child = fork()) < 0)
        _exit(1);
    if (child > 0)
        _exit(0);
    if (connect_streams() < 0 || close_others() < 0)
        _exit(1);
    umask(0);
    if (chdir("/") < 0 || write_pid() < 0 || write(line[1], "", 1) != 1)
        _exit(1);
    close(line[1]);
    return 0;
}
