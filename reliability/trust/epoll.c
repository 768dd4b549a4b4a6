/* An epoll descriptor that nobody can look at: its lock is held by an epoll_wait(2) that writes to a page which never comes.
 *
 *     epoll swap|close FILE FUSE DIRECTORY
 *
 * In a user namespace of its own it mounts a FUSE file system at DIRECTORY by the device FUSE, and has epoll_wait write to a file there.
 * It locks FILE and says "ready". From then on, with "swap", one number is in turn a descriptor of FILE and the epoll descriptor: who takes
 * the one for the other and reads its fdinfo hangs. With "close" it has many files that such an epoll watches, and closes all of them when
 * somebody opens FILE: who has just taken hold of one, by listing or following /proc/PID/fd, is left with its release, and hangs.
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
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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

enum { NUMBER = 50, FIRST = 300, MANY = 3000 };

static void begin(void *(*run)(void *))
{
    pthread_t thread;
    pthread_attr_t small;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &small, run, NULL) != 0)
        _exit(1);
}

/* An epoll that watches `count` descriptors from `first` on, in an epoll_wait that hangs. */
static void watch(int first, int count)
{
    struct epoll_event ready = {.events = EPOLLIN};

    events = epoll_create1(0);
    for (int number = first; number < first + count; number++) {
        int event = eventfd(1, 0);
        if (event != number && (dup2(event, number) < 0 || close(event) != 0))
            break;
        epoll_ctl(events, EPOLL_CTL_ADD, number, &ready);
    }
    begin(wait_for_ever);
}

static void *close_all(void *unused)
{
    close_range(FIRST, FIRST + MANY - 1, 0);
    return unused;
}

static void close_when_opened(const char *path)
{
    char told[4096];

    for (unsigned round = 0;; round++) {
        int opened = inotify_init1(IN_CLOEXEC);

        watch(FIRST, MANY);
        if (inotify_add_watch(opened, path, IN_OPEN) < 0 || read(opened, told, sizeof told) <= 0)
            _exit(1);
        close(opened);
        usleep(200 * (round % 20));
        begin(close_all);
        usleep(20000);
    }
}

static int give_up(const char *why)
{
    perror(why);
    return 77;
}

int main(int argc, char **argv)
{
    struct rlimit most;
    char user[64], group[64], name[4096];
    int file, target, fuse, asked[2];

    if (argc != 5 || (file = open(argv[2], O_RDONLY)) < 0)
        return give_up("FILE");
    flock(file, LOCK_EX | LOCK_NB);
    snprintf(user, sizeof user, "0 %d 1", (int)getuid());
    snprintf(group, sizeof group, "0 %d 1", (int)getgid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return give_up("no user namespace");
    if (put("/proc/self/setgroups", "deny") || put("/proc/self/uid_map", user) || put("/proc/self/gid_map", group)
        || (fuse = open(argv[3], O_RDWR)) < 0 || fuse_mount(fuse, argv[4], "") != 0)
        return give_up("no FUSE in a user namespace");
    if (pipe(asked) != 0)
        return give_up("pipe");
    serve(fuse, asked[1]);
    close(fuse);
    snprintf(name, sizeof name, "%s/file", argv[4]);
    if ((target = open(name, O_RDWR)) < 0)
        return give_up(name);
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, target, 0);
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    if (page == MAP_FAILED || setrlimit(RLIMIT_NOFILE, &most) != 0)
        return give_up("mmap, setrlimit");
    watch(FIRST + MANY, 1);
    if (read(asked[0], name, 1) != 1)
        return give_up("read");
    /* Who drops its privileges cannot be looked at by others; who is looked at wants to be. */
    prctl(PR_SET_DUMPABLE, 1);
    puts("ready");
    fflush(stdout);
    if (strcmp(argv[1], "close") == 0)
        close_when_opened(argv[2]);
    for (;;) {
        dup2(file, NUMBER);
        dup2(events, NUMBER);
    }
}
