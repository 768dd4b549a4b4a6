/* Pid files of programs that do not lock: when a file's age proves who runs.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "test.h"

#include <daemonctx.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static void in_the_future(void)
{
    NEED(utimensat(AT_FDCWD, "pid", (const struct timespec[]){{4000000000, 0}, {4000000000, 0}}, 0) == 0);
}

static void before_boot(void)
{
    NEED(utimensat(AT_FDCWD, "pid", (const struct timespec[]){{1000, 0}, {1000, 0}}, 0) == 0);
}

static void group_may_write_the_file(void)
{
    NEED(chown("pid", 0, NOBODY) == 0 && chmod("pid", 0664) == 0);
}

static void others_may_write_the_file(void)
{
    NEED(chmod("pid", 0646) == 0);
}

static void group_may_write_the_directory(void)
{
    NEED(chown(".", 0, NOBODY) == 0 && chmod(".", 0775) == 0);
}

static void others_may_write_the_directory(void)
{
    NEED(chmod(".", 0757) == 0);
}

static void the_directory_is_sticky(void)
{
    NEED(chmod(".", 01777) == 0);
}

static void the_directory_is_anothers(void)
{
    NEED(chown(".", NOBODY, NOBODY) == 0);
}

static const struct {
    const char *name;
    void (*spoil)(void);
} doubts[] = {
    {"its time lies in the future", in_the_future},
    {"its time lies before boot", before_boot},
    {"a group may write the file", group_may_write_the_file},
    {"others may write the file", others_may_write_the_file},
    {"a group may write the directory", group_may_write_the_directory},
    {"others may write the directory", others_may_write_the_directory},
    {"the directory is sticky", the_directory_is_sticky},
    {"the directory is another user's", the_directory_is_anothers},
};

/* An innocent process whose PID is in a file that no process locks. */
static pid_t named(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        sleep_forever();
    }
    /* Made anew: the owner and the mode of the case before are gone. */
    unlink("pid");
    NEED(chown(".", 0, 0) == 0 && chmod(".", 0755) == 0);
    write_file("pid", text("%d\n", (int)child));
    NEED(chmod("pid", 0644) == 0);
    return child;
}

TEST("foreign: a file's age proves who runs where only root can write and its time is plausible")
{
    need_root();
    pid_t child = named();
    daemonctx_pidfile *file = daemonctx_pidfile_foreign("pid");
    CHECK_INT(daemonctx_pidfile_signal(file, SIGTERM), DAEMONCTX_OK);
    CHECK_INT(ended(child).signal, SIGTERM);
    daemonctx_pidfile_free(file);
}

TEST("foreign: a file's age proves nothing where others may write, in the future or before boot")
{
    need_root();
    for (size_t i = 0; i < sizeof doubts / sizeof *doubts; i++) {
        pid_t child = named();
        daemonctx_pidfile_state status = (daemonctx_pidfile_state)-1;
        doubts[i].spoil();
        daemonctx_pidfile *file = daemonctx_pidfile_foreign("pid");
        if (daemonctx_pidfile_status(file, &status, NULL) == DAEMONCTX_OK && status == DAEMONCTX_RUNNING)
            FAIL("%s: running", doubts[i].name);
        if (daemonctx_pidfile_signal(file, SIGTERM) == DAEMONCTX_OK)
            FAIL("%s: signalled", doubts[i].name);
        if (daemonctx_pidfile_stop(file, 50, NULL) == DAEMONCTX_OK && !is_alive(child))
            FAIL("%s: stopped", doubts[i].name);
        CHECK(!readable_within(watch(child), 0));
        kill_off(child);
        daemonctx_pidfile_free(file);
    }
}
