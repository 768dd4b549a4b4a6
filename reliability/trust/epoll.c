/* An epoll descriptor that nobody can look at: its lock is held by an epoll_wait(2) that writes to a page which never comes.
 *
 *     epoll FILE FUSE DIRECTORY
 *
 * In a user namespace of its own it mounts a FUSE file system at DIRECTORY by the device FUSE, and has epoll_wait write to a file there.
 * It locks FILE, and from then on one number is in turn a descriptor of FILE and the epoll descriptor: who takes the one for the other
 * and reads its fdinfo hangs. Says "ready".
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "fuse.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static int events;
static void *page;

static int put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int failed = fd < 0 || write(fd, text, strlen(text)) < 0;

    close(fd);
    return failed;
}

/* In a process of its own, so that its end ends the file system, and what hangs. */
static void serve(int fuse, int asked)
{
    if (fork() != 0)
        return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        if (fuse_serve(fuse))
            if (write(asked, "", 1) != 1)
                _exit(1);
}

static void *wait_for_ever(void *unused)
{
    epoll_wait(events, page, 1, -1);
    return unused;
}

static int give_up(const char *why)
{
    perror(why);
    return 77;
}

int main(int argc, char **argv)
{
    enum { NUMBER = 50 };
    struct epoll_event ready = {.events = EPOLLIN};
    pthread_t waiter;
    char user[64], group[64], name[4096];
    int file, target, fuse, asked[2];

    if (argc != 4 || (file = open(argv[1], O_RDONLY)) < 0)
        return give_up(argv[1]);
    flock(file, LOCK_EX | LOCK_NB);
    snprintf(user, sizeof user, "0 %d 1", (int)getuid());
    snprintf(group, sizeof group, "0 %d 1", (int)getgid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return give_up("no user namespace");
    if (put("/proc/self/setgroups", "deny") || put("/proc/self/uid_map", user) || put("/proc/self/gid_map", group)
        || (fuse = open(argv[2], O_RDWR)) < 0 || fuse_mount(fuse, argv[3], "") != 0)
        return give_up("no FUSE in a user namespace");
    if (pipe(asked) != 0)
        return give_up("pipe");
    serve(fuse, asked[1]);
    close(fuse);
    snprintf(name, sizeof name, "%s/file", argv[3]);
    if ((target = open(name, O_RDWR)) < 0)
        return give_up(name);
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, target, 0);
    events = epoll_create1(0);
    if (page == MAP_FAILED || epoll_ctl(events, EPOLL_CTL_ADD, eventfd(1, 0), &ready) != 0)
        return give_up("epoll");
    pthread_create(&waiter, NULL, wait_for_ever, NULL);
    if (read(asked[0], name, 1) != 1)
        return give_up("read");
    /* Who drops its privileges cannot be looked at by others; who is looked at wants to be. */
    prctl(PR_SET_DUMPABLE, 1);
    puts("ready");
    fflush(stdout);
    for (;;) {
        dup2(file, NUMBER);
        dup2(events, NUMBER);
    }
}
