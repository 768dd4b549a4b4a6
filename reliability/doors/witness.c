/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _GNU_SOURCE
#include "witness.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

static int open_in_folder(const char *name, int flags)
{
    const char *folder = getenv("TRUST_DIR");
    char path[4096];

    if (folder == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return open(path, flags | O_CREAT | O_CLOEXEC, 0666);
}

void violation(const char *format, ...)
{
    char line[512];
    va_list ap;
    int fd = open_in_folder("violations", O_WRONLY | O_APPEND);
    int length = snprintf(line, sizeof line, "%d: ", (int)getpid());

    va_start(ap, format);
    length += vsnprintf(line + length, sizeof line - (size_t)length - 1, format, ap);
    va_end(ap);
    if (length > (int)sizeof line - 2)
        length = sizeof line - 2;
    line[length] = '\n';
    if (write(fd >= 0 ? fd : 2, line, (size_t)length + 1) < 0)
        abort();
    close(fd);
}

static const char *who;

static void hit(int signum, siginfo_t *info, void *context)
{
    (void)context;
    violation("%s: got signal %d from %d", who, signum, (int)info->si_pid);
}

void witness_signals(const char *name)
{
    struct sigaction action = {.sa_sigaction = hit, .sa_flags = SA_SIGINFO | SA_RESTART};

    who = name;
    for (int signum = 1; signum < SIGRTMIN; signum++)
        sigaction(signum, &action, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static pid_t written(int fd)
{
    char text[32] = "";

    return pread(fd, text, sizeof text - 1, 0) > 0 ? (pid_t)atoi(text) : 0;
}

/* What /proc has on a process; empty when it is gone. */
static void read_of(pid_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    ssize_t length = -1;
    int fd;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        length = read(fd, text, size - 1);
        close(fd);
    }
    text[length > 0 ? length : 0] = 0;
}

/* Sent SIGKILL, and has not run since. */
static int is_killed(pid_t pid)
{
    const unsigned long long bit = 1ULL << (SIGKILL - 1);
    unsigned long long mine = 0, shared = 0;
    char text[4096];
    const char *line;

    read_of(pid, "status", text, sizeof text);
    line = strstr(text, "SigPnd:");
    return line == NULL || sscanf(line, "SigPnd: %llx ShdPnd: %llx", &mine, &shared) != 2 || (mine | shared) & bit;
}

/* Gone, a zombie, or in exit(2): the kernel gives locks up one after the other, in no promised order. */
static int is_leaving(pid_t pid)
{
    enum { EXITING = 0x4 };
    char text[512], state;
    unsigned flags = 0;
    const char *end;

    read_of(pid, "stat", text, sizeof text);
    end = strrchr(text, ')');
    return end == NULL || sscanf(end + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) != 2 || strchr("ZX", state) ||
           flags & EXITING || is_killed(pid);
}

void witness_begin(int to)
{
    char text[32];
    pid_t other;
    int fd = open_in_folder("witness", O_RDWR);

    if (fd < 0)
        return;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        other = written(fd);
        /* Looked at once more: the first look may have been at one who has left since, and the lock another's. */
        if (other != 0 && !is_leaving(other) && flock(fd, LOCK_EX | LOCK_NB) != 0 && written(fd) == other &&
            !is_leaving(other))
            violation("two daemons: %d is one already", (int)other);
        usleep(500);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)snprintf(text, sizeof text, "%d\n", (int)getpid()), 0) < 1)
        violation("the witness cannot be written: %m");
    dup3(fd, to, O_CLOEXEC);
    close(fd);
}

void witness_end(int fd)
{
    if (getenv("TRUST_DIR") == NULL)
        return;
    if (ftruncate(fd, 0) != 0)
        violation("the witness cannot be emptied: %m");
    close(fd);
}

pid_t witness_holder(void)
{
    int fd = open_in_folder("witness", O_RDWR);
    pid_t holder = 0;

    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        holder = written(fd);
    close(fd);
    return holder != 0 && !is_leaving(holder) ? holder : 0;
}
