/* Attacks of another user on root's pid files, one word each. It says "ready" when it is done, and stays.
 *
 *     hold FILE ex|sh         holds a lock
 *     orphan FILE ex|sh       the same, its parent dead
 *     flight FILE ex|sh       the lock's descriptor is in a socket's queue and in no process
 *     wait FILE               waits until the lock is free, and holds it then
 *     crowd FILE COUNT        so many processes hold a shared lock, and as many wait for an exclusive one
 *     grab DIRECTORY NAME     locks whatever appears under that name, at once and again
 *     give FILE SOCKET        locks and sends the descriptor to a service that listens there; with a third word as the file's
 *                             owner can, with O_NOATIME
 *     log FD DIRECTORY NUMBER [SOCKET]
 *                             writes the number into the log that it has open, locks it, and renames it from DIRECTORY/log to
 *                             DIRECTORY/web.pid; sends the descriptor to a service
 *     write FILE              writes its own number, and holds the lock where a third word follows
 *     descriptors COUNT       has so many open
 *     number N PROGRAM...     runs the program as process number N
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "pass.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(90);
    }
}

__attribute__((noreturn)) static void stay(void)
{
    puts("ready");
    fflush(stdout);
    for (;;)
        pause();
}

static int locked(const char *file, int kind)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);

    need(fd >= 0 && flock(fd, kind) == 0, file);
    return fd;
}

static int kind_of(const char *word)
{
    return !strcmp(word, "sh") ? LOCK_SH | LOCK_NB : LOCK_EX | LOCK_NB;
}

static void orphan(const char *file, int kind)
{
    pid_t child = fork();

    need(child >= 0, "fork");
    if (child == 0) {
        setsid();
        locked(file, kind);
        stay();
    }
    _exit(0);
}

static void flight(const char *file, int kind)
{
    int ends[2];

    need(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    need(pass_over(ends[0], locked(file, kind)) == 0, "sendmsg");
}

static void give(const char *file, const char *socket, int as_owner)
{
    int fd = locked(file, LOCK_EX | LOCK_NB);

    need(!as_owner || fcntl(fd, F_SETFL, O_NOATIME) == 0, "O_NOATIME");
    need(pass_to(socket, fd) == 0, socket);
}

static void await_lock(const char *file)
{
    puts("ready");
    fflush(stdout);
    locked(file, LOCK_EX);
}

static void crowd(const char *file, int count)
{
    int ready[2];
    char byte;

    need(pipe(ready) == 0, "pipe");
    for (int i = 0; i < 2 * count; i++) {
        if (fork() != 0)
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (i < count)
            locked(file, LOCK_SH);
        need(write(ready[1], ".", 1) == 1, "write");
        if (i >= count)
            locked(file, LOCK_EX);
        for (;;)
            pause();
    }
    for (int i = 0; i < 2 * count; i++)
        need(read(ready[0], &byte, 1) == 1, "read");
}

/* Tries all the time and not only when something happens: the file may be there before inotify says so. */
__attribute__((noreturn)) static void grab(const char *directory, const char *name)
{
    enum { HELD = 8 };
    int held[HELD] = {0}, next = 0, fd;
    int events = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    struct pollfd wait = {.fd = events, .events = POLLIN};
    char room[4096];

    need(chdir(directory) == 0 && inotify_add_watch(events, ".", IN_ALL_EVENTS) >= 0, directory);
    puts("ready");
    fflush(stdout);
    for (;;) {
        fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd >= 0 && flock(fd, (next % 2 ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0) {
            if (held[next] > 0)
                close(held[next]);
            held[next] = fd;
            next = (next + 1) % HELD;
        } else if (fd >= 0) {
            close(fd);
        }
        if (poll(&wait, 1, 1) > 0 && read(events, room, sizeof room) < 0)
            continue;
    }
}

static void write_number(const char *file, int lock)
{
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    need(fd >= 0 && dprintf(fd, "%d\n", (int)getpid()) > 0, file);
    if (lock)
        need(flock(fd, LOCK_EX | LOCK_NB) == 0, "flock");
    else
        close(fd);
}

static void make_of_log(int fd, const char *directory, const char *text, const char *socket)
{
    need(chdir(directory) == 0, directory);
    need(dprintf(fd, "%s\n", text) > 0 && flock(fd, LOCK_EX | LOCK_NB) == 0, "log");
    need(rename("log", "web.pid") == 0, "rename");
    if (socket != NULL)
        need(pass_to(socket, dup(fd)) == 0, socket);
}

static void descriptors(int count)
{
    for (int i = 0; i < count; i++)
        need(open("/dev/null", O_RDONLY) >= 0 || errno == EMFILE, "open");
}

/* The kernel gives numbers one after the other, and begins again at the end. In a namespace of the run's own it can be told where. */
static void number(pid_t wanted, char **program)
{
    enum { ENOUGH = 200000 };
    int last = getpid() < 100 ? open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC) : -1;

    if (last >= 0 && dprintf(last, "%d", (int)wanted - 1) > 0)
        close(last);

    for (int i = 0; i < ENOUGH; i++) {
        pid_t child = fork();
        need(child >= 0, "fork");
        if (child == 0) {
            if (getpid() != wanted)
                _exit(0);
            execv(program[0], program);
            _exit(91);
        }
        if (child == wanted) {
            int status;
            waitpid(child, &status, 0);
            exit(WIFEXITED(status) ? WEXITSTATUS(status) : 92);
        }
        waitpid(child, NULL, 0);
    }
    errno = EAGAIN;
    need(0, "number");
}

int main(int argc, char **argv)
{
    const char *word = argc > 2 ? argv[1] : "";

    if (!strcmp(word, "hold"))
        locked(argv[2], kind_of(argv[3]));
    else if (!strcmp(word, "orphan"))
        orphan(argv[2], kind_of(argv[3]));
    else if (!strcmp(word, "flight"))
        flight(argv[2], kind_of(argv[3]));
    else if (!strcmp(word, "wait"))
        await_lock(argv[2]);
    else if (!strcmp(word, "crowd"))
        crowd(argv[2], atoi(argv[3]));
    else if (!strcmp(word, "grab"))
        grab(argv[2], argv[3]);
    else if (!strcmp(word, "give"))
        give(argv[2], argv[3], argc > 4);
    else if (!strcmp(word, "log") && argc > 4)
        make_of_log(atoi(argv[2]), argv[3], argv[4], argv[5]);
    else if (!strcmp(word, "write"))
        write_number(argv[2], argc > 3);
    else if (!strcmp(word, "descriptors"))
        descriptors(atoi(argv[2]));
    else if (!strcmp(word, "number"))
        number((pid_t)atoi(argv[2]), argv + 3);
    else
        return 2;
    stay();
}
