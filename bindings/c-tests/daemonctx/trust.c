/* Pid files that cannot be trusted: what is no pid file stays as it is, and nothing that another user writes, locks or links
 * decides who runs or who is signalled.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "handle.h"
#include "proc.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

struct sample {
    const char *name;
    const char *bytes;
    size_t size;
};

#define SAMPLE(name, bytes) {name, bytes, sizeof bytes - 1},
#define IGNORED(name, bytes)

#define NOT_A_PID_FILE SAMPLE
#define STALE IGNORED
static const struct sample not_pid_files[] = {
#include "../../../core/tests/contents.def"
};
#undef NOT_A_PID_FILE
#undef STALE

#define NOT_A_PID_FILE IGNORED
#define STALE SAMPLE
static const struct sample stale_files[] = {
#include "../../../core/tests/contents.def"
};
#undef NOT_A_PID_FILE
#undef STALE

#define EACH(sample, table)                                                                                            \
    (const struct sample *sample = (table); sample < (table) + sizeof(table) / sizeof *(table); sample++)

/* --- one file, as it was and as it is -------------------------------------------------------------------------------- */

struct seen {
    struct stat status;
    char bytes[256];
    ssize_t size;
};

static struct seen look_at(const char *name)
{
    struct seen seen = {.size = 0};
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    NEED(fd >= 0 && fstat(fd, &seen.status) == 0);
    NEED((seen.size = read(fd, seen.bytes, sizeof seen.bytes)) >= 0);
    close(fd);
    return seen;
}

static void is_unchanged(const char *what, const char *name, const struct seen *before)
{
    if (!exists(name))
        FAIL("%s: the file is gone", what);
    struct seen now = look_at(name);
    if (now.size != before->size || memcmp(now.bytes, before->bytes, (size_t)now.size) != 0)
        FAIL("%s: the content has changed", what);
    if (now.status.st_ino != before->status.st_ino || now.status.st_mode != before->status.st_mode ||
        now.status.st_uid != before->status.st_uid || now.status.st_nlink != before->status.st_nlink ||
        memcmp(&now.status.st_mtim, &before->status.st_mtim, sizeof now.status.st_mtim) != 0)
        FAIL("%s: inode, mode, owner, links or time have changed", what);
}

static void put(const char *name, const struct sample *sample)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    NEED(fd >= 0 && write(fd, sample->bytes, sample->size) == (ssize_t)sample->size);
    close(fd);
}

/* --- every call ------------------------------------------------------------------------------------------------------- */

static daemonctx_status ask_status(daemonctx_pidfile *file)
{
    daemonctx_pidfile_state status;
    return daemonctx_pidfile_status(file, &status, NULL);
}

static daemonctx_status ask_pid(daemonctx_pidfile *file)
{
    pid_t pid;
    return daemonctx_pidfile_read(file, &pid);
}

static daemonctx_status check(daemonctx_pidfile *file)
{
    return daemonctx_pidfile_signal(file, 0);
}

static daemonctx_status end(daemonctx_pidfile *file)
{
    return daemonctx_pidfile_signal(file, SIGTERM);
}

static daemonctx_status stop(daemonctx_pidfile *file)
{
    return daemonctx_pidfile_stop(file, 100, NULL);
}

static daemonctx_status await(daemonctx_pidfile *file)
{
    return daemonctx_pidfile_wait(file, 100, NULL);
}

static const struct {
    const char *name;
    daemonctx_status (*call)(daemonctx_pidfile *file);
} calls[] = {
    {"status", ask_status}, {"read", ask_pid}, {"signal 0", check},
    {"signal", end},        {"stop", stop},    {"wait", await},
    {"acquire", daemonctx_pidfile_acquire},
};

static void each_call_refuses(const char *what, daemonctx_pidfile *file, const char *why)
{
    struct seen before = look_at("pid");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        char *which = text("%s: %s", what, calls[i].name);
        const char *line = "";
        if (calls[i].call(file) != DAEMONCTX_ERROR_PID_FILE)
            FAIL("%s: not refused", which);
        daemonctx_pidfile_error(file, NULL, NULL, &line);
        CHECK_HAS(line, path("pid"));
        CHECK_HAS(line, why);
        CHECK(strchr(line, '\n') == NULL);
        is_unchanged(which, "pid", &before);
    }
}

static void start_is_refused(const char *what, const char *why)
{
    struct seen before = look_at("pid");
    struct outcome starter = START(NULL, "daemon", with_pid_file());
    if (starter.code <= 0)
        FAIL("%s: the start ends with %d", what, starter.code);
    CHECK_HAS(starter.err, why);
    is_unchanged(what, "pid", &before);
}

TEST_WITHIN(60, "a file that is no pid file is refused by every call and stays as it is")
{
    for EACH(sample, not_pid_files) {
        put("pid", sample);
        daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
        each_call_refuses(sample->name, file, "not a pid file");
        daemonctx_pidfile_free(file);
        file = daemonctx_pidfile_foreign("pid");
        each_call_refuses(sample->name, file, "not a pid file");
        daemonctx_pidfile_free(file);
        start_is_refused(sample->name, "not a pid file");
        NEED(unlink("pid") == 0);
    }
}

TEST_WITHIN(60, "a stale pid file, whatever number it holds, never blocks a start and is removed by stop")
{
    for EACH(sample, stale_files) {
        daemonctx_stop how = (daemonctx_stop)-1;
        put("pid", sample);
        daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
        CHECK_INT(daemonctx_pidfile_stop(file, 100, &how), DAEMONCTX_OK);
        CHECK_INT(how, DAEMONCTX_STOP_NOT_RUNNING);
        CHECK(!exists("pid"));
        put("pid", sample);
        CHECK_INT(START(NULL, "daemon", with_pid_file()).code, 0);
        terminate((pid_t)hear_number());
        daemonctx_pidfile_free(file);
    }
}

TEST("a file with another link is refused by every call and stays as it is")
{
    write_file("precious", "4194303\n");
    NEED(link("precious", "pid") == 0);
    daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
    each_call_refuses("a hard link", file, "link");
    start_is_refused("a hard link", "link");
    daemonctx_pidfile_free(file);
}

/* --- a daemon that gave up its privileges ------------------------------------------------------------------------------ */

/* Whether this descriptor lets anything about its file be changed, the lock aside. */
static bool can_change(int fd)
{
    static const struct timespec future[2] = {{4000000000, 0}, {4000000000, 0}};
    int again = open(text("/proc/self/fd/%d", fd), O_RDWR | O_CLOEXEC);
    return pwrite(fd, "1\n", 2, 0) >= 0 || ftruncate(fd, 0) == 0 || fchmod(fd, 0666) == 0 || futimens(fd, future) == 0 ||
           again >= 0;
}

/* Says its PID, then how many of its descriptors of the pid file can change it. Arguments: as `daemon`; VICTIM or nothing. */
PROGRAM(forger)
{
    daemonctx *ctx = configured(argc - 1, argv);
    struct stat wanted, status;
    int found = 0;
    open_or_leave(ctx);
    say("%d", (int)getpid());
    for (int fd = 0; fd < 256; fd++) {
        bool is_it = stat(argv[argc - 1], &wanted) == 0 && fstat(fd, &status) == 0 && status.st_ino == wanted.st_ino &&
                     status.st_dev == wanted.st_dev;
        found += is_it && can_change(fd);
    }
    say("%d", found + (open(argv[argc - 1], O_RDWR | O_CLOEXEC) >= 0));
    sleep_forever();
}

TEST("a daemon that gave up its privileges cannot change its pid file, and is still found and stopped")
{
    need_root();
    CHECK_INT(START(NULL, "forger", with_pid_file(), text("user_id=%d", NOBODY), text("group_id=%d", NOBODY), path("pid")).code,
              0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(hear_number(), 0);
    CHECK_INT(pid_in("pid"), daemon);
    daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
    daemonctx_pidfile_state status = DAEMONCTX_UNKNOWN;
    daemonctx_stop how = DAEMONCTX_STOP_NOT_RUNNING;
    CHECK_INT(daemonctx_pidfile_status(file, &status, NULL), DAEMONCTX_OK);
    CHECK_INT(status, DAEMONCTX_RUNNING);
    CHECK_INT(daemonctx_pidfile_stop(file, 5000, &how), DAEMONCTX_OK);
    CHECK_INT(how, DAEMONCTX_STOP_TERMINATED);
    CHECK_INT(ended(daemon).signal, SIGTERM);
    daemonctx_pidfile_free(file);
}

TEST("a daemon that may not remove its file leaves it as it is; it is stale and the next start works")
{
    need_root();
    CHECK_INT(
        START(NULL, "daemon", with_pid_file(), text("user_id=%d", NOBODY), text("group_id=%d", NOBODY)).code, 0);
    pid_t daemon = (pid_t)hear_number();
    terminate(daemon);
    CHECK_INT(pid_in("pid"), daemon);
    daemonctx_pidfile_state status = (daemonctx_pidfile_state)-1;
    daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
    CHECK_INT(daemonctx_pidfile_status(file, &status, NULL), DAEMONCTX_OK);
    CHECK_INT(status, DAEMONCTX_STALE);
    CHECK_INT(START(NULL, "daemon", with_pid_file()).code, 0);
    terminate((pid_t)hear_number());
    daemonctx_pidfile_free(file);
}

/* Becomes another program, which closes nothing. */
PROGRAM(successor)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    execl("/bin/sleep", "sleep", "1000", NULL);
    return 1;
}

TEST("a daemon that executes another program still runs by every call")
{
    CHECK_INT(START(NULL, "successor", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number(), pid = -1;
    while (strstr(content(text("/proc/%d/comm", (int)daemon)), "sleep") == NULL)
        sched_yield();
    daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
    daemonctx_pidfile_state status = (daemonctx_pidfile_state)-1;
    CHECK_INT(daemonctx_pidfile_status(file, &status, &pid), DAEMONCTX_OK);
    CHECK_INT(status, DAEMONCTX_RUNNING);
    CHECK_INT(pid, daemon);
    CHECK_INT(daemonctx_pidfile_acquire(file), DAEMONCTX_ERROR_ALREADY_RUNNING);
    CHECK_INT(daemonctx_pidfile_stop(file, 5000, NULL), DAEMONCTX_OK);
    CHECK_INT(ended(daemon).signal, SIGTERM);
    daemonctx_pidfile_free(file);
}

/* --- locks of others ---------------------------------------------------------------------------------------------------- */

static int lock_of_others;

/* Another user's process that holds a lock on "pid". */
static pid_t stranger(void)
{
    int ready[2];
    char byte;
    NEED(pipe2(ready, O_CLOEXEC) == 0);
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        int fd;
        NEED(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
        fd = open("pid", O_RDONLY);
        NEED(fd >= 0 && flock(fd, lock_of_others | LOCK_NB) == 0 && write(ready[1], ".", 1) == 1);
        sleep_forever();
    }
    close(ready[1]);
    CHECK_INT(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void does_not_run(const char *line)
{
    if (strstr(line, "running as") != NULL || strstr(line, "runs already") != NULL)
        FAIL("a dead process is called running: %s", line);
}

/* The file names a daemon that was killed; another user locks it. */
static void is_ignored(int kind)
{
    need_root();
    lock_of_others = kind;
    CHECK_INT(START(NULL, "daemon", with_pid_file()).code, 0);
    kill_off((pid_t)hear_number());
    pid_t other = stranger();
    daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
    daemonctx_pidfile_state status = (daemonctx_pidfile_state)-1;
    CHECK_INT(daemonctx_pidfile_status(file, &status, NULL), DAEMONCTX_OK);
    CHECK(status == DAEMONCTX_STALE || status == DAEMONCTX_UNKNOWN);
    CHECK(daemonctx_pidfile_signal(file, SIGTERM) != DAEMONCTX_OK);
    struct outcome starter = START(NULL, "daemon", with_pid_file());
    does_not_run(starter.err);
    CHECK_INT(starter.code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(pid_in("pid"), daemon);
    terminate(daemon);
    CHECK(is_alive(other));
    kill_off(other);
    daemonctx_pidfile_free(file);
}

TEST("another user's exclusive lock on a stale file blocks no start and makes no daemon run")
{
    is_ignored(LOCK_EX);
}

TEST("another user's shared lock on a stale file blocks no start and makes no daemon run")
{
    is_ignored(LOCK_SH);
}

TEST("another user's lock on a stale file does not keep a program from acquiring it")
{
    need_root();
    write_file("pid", "4194303\n");
    lock_of_others = LOCK_EX;
    pid_t other = stranger();
    daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
    CHECK_INT(daemonctx_pidfile_acquire(file), DAEMONCTX_OK);
    CHECK_INT(pid_in("pid"), getpid());
    CHECK_INT(daemonctx_pidfile_release(file), DAEMONCTX_OK);
    kill_off(other);
    daemonctx_pidfile_free(file);
}
