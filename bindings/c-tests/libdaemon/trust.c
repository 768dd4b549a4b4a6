/* libdaemon's interface and pid files that another user can write, lock or link.
 *
 * A corrupt file is removed here, as libdaemon documents: dpid.c has those tests.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "common.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static const char *file;

static const char *the_file(void)
{
    return file;
}

static void at_home(void)
{
    file = path("pid");
    daemon_pid_file_proc = the_file;
    quietly();
}

/* Creates its file as root, becomes nobody, and says how many of its descriptors can change the file. */
PROGRAM(dropped)
{
    struct stat wanted, status;
    int found = 0;
    at_home();
    file = argv[1];
    if (daemon_fork() != 0)
        return 0;
    NEED(daemon_pid_file_create() == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    NEED(stat(file, &wanted) == 0);
    for (int fd = 0; fd < 256; fd++)
        if (fstat(fd, &status) == 0 && status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev)
            found += pwrite(fd, "1\n", 2, 0) >= 0 || ftruncate(fd, 0) == 0 || fchmod(fd, 0666) == 0 || futimens(fd, NULL) == 0;
    say("%d", (int)getpid());
    say("%d", found);
    sleep_forever();
}

TEST("a daemon that gave up its privileges cannot change its pid file, and is still found")
{
    need_root();
    at_home();
    CHECK_INT(START(NULL, "dropped", file).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(hear_number(), 0);
    CHECK_INT(pid_in(file), daemon);
    CHECK_INT(daemon_pid_file_is_running(), daemon);
    CHECK_CALL(daemon_pid_file_kill(SIGTERM), "0");
    CHECK_INT(ended(daemon).signal, SIGTERM);
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ESRCH");
    CHECK_CALL(daemon_pid_file_create(), "0");
}

static pid_t stranger(int kind)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        NEED(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
        int fd = open(file, O_RDONLY);
        NEED(fd >= 0 && flock(fd, kind | LOCK_NB) == 0);
        say("locked");
        sleep_forever();
    }
    HEAR("locked");
    return child;
}

static void is_ignored(int kind)
{
    need_root();
    at_home();
    write_file(file, text("%d\n", (int)dead_pid()));
    NEED(chmod(file, 0644) == 0);
    pid_t other = stranger(kind);
    CHECK(daemon_pid_file_is_running() < 0);
    CHECK(daemon_pid_file_kill(SIGTERM) < 0);
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_INT(pid_in(file), getpid());
    CHECK_INT(daemon_pid_file_is_running(), getpid());
    kill_off(other);
}

TEST("another user's exclusive lock on a stale file blocks no start and makes no daemon run")
{
    is_ignored(LOCK_EX);
}

TEST("another user's shared lock on a stale file blocks no start and makes no daemon run")
{
    is_ignored(LOCK_SH);
}

static void in_the_future(void)
{
    NEED(utimensat(AT_FDCWD, file, (const struct timespec[]){{4000000000, 0}, {4000000000, 0}}, 0) == 0);
}

static void others_may_write_the_file(void)
{
    NEED(chmod(file, 0666) == 0);
}

static void others_may_write_the_directory(void)
{
    NEED(chmod(path("."), 0777) == 0);
}

static void the_directory_is_anothers(void)
{
    NEED(chown(path("."), NOBODY, NOBODY) == 0);
}

BETTER("a file's age proves nothing where others may write or its time lies in the future")
{
    static void (*const doubts[])(void) = {
        in_the_future,
        others_may_write_the_file,
        others_may_write_the_directory,
        the_directory_is_anothers,
    };
    need_root();
    at_home();
    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++) {
        pid_t other = idle_child();
        unlink(file);
        NEED(chown(path("."), 0, 0) == 0 && chmod(path("."), 0755) == 0);
        write_file(file, text("%d\n", (int)other));
        NEED(chmod(file, 0644) == 0);
        doubts[i]();
        CHECK_INT(daemon_pid_file_is_running(), -1);
        CHECK(daemon_pid_file_kill(SIGTERM) < 0);
        CHECK(!ends_within(other, 0));
        kill_off(other);
    }
}
