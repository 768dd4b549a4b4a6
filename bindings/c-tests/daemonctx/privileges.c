/* Another user: what is dropped, and what may not be left. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOBODY = 65534 };

static void have_groups(void)
{
    gid_t groups[] = {0, 4, 27};
    NEED(setgroups(3, groups) == 0);
}

static pid_t dropped(const char *first, const char *second, const char *third)
{
    need_root();
    struct outcome starter = START(have_groups, "daemon", first, second, third);
    CHECK_TEXT(starter.err, "");
    CHECK_INT(starter.code, 0);
    return (pid_t)hear_number();
}

static void is_powerless(pid_t daemon, unsigned uid, unsigned gid)
{
    CHECK_TEXT(status_of(daemon, "Uid"), text("%u %u %u %u", uid, uid, uid, uid));
    CHECK_TEXT(status_of(daemon, "Gid"), text("%u %u %u %u", gid, gid, gid, gid));
    CHECK_TEXT(status_of(daemon, "CapInh"), "0000000000000000");
    CHECK_TEXT(status_of(daemon, "CapPrm"), "0000000000000000");
    CHECK_TEXT(status_of(daemon, "CapEff"), "0000000000000000");
    CHECK_TEXT(status_of(daemon, "CapAmb"), "0000000000000000");
}

TEST("to nobody, by name: all ids, nobody's own groups, no capabilities")
{
    pid_t daemon = dropped("user=nobody", NULL, NULL);
    is_powerless(daemon, NOBODY, NOBODY);
    CHECK_TEXT(status_of(daemon, "Groups"), "65534");
    CHECK_TEXT(status_of(daemon, "NoNewPrivs"), "0");
    terminate(daemon);
}

TEST("to nobody, by a number in words and by number")
{
    pid_t daemon = dropped("user=65534", NULL, NULL);
    is_powerless(daemon, NOBODY, NOBODY);
    CHECK_TEXT(status_of(daemon, "Groups"), "65534");
    terminate(daemon);
    daemon = dropped("user_id=65534", NULL, NULL);
    is_powerless(daemon, NOBODY, NOBODY);
    CHECK_TEXT(status_of(daemon, "Groups"), "65534");
    terminate(daemon);
}

TEST("without supplementary groups, and with no_new_privs")
{
    pid_t daemon = dropped("user=nobody", text("groups=%d", DAEMONCTX_GROUPS_NONE), "no_new=1");
    is_powerless(daemon, NOBODY, NOBODY);
    CHECK_TEXT(status_of(daemon, "Groups"), "");
    CHECK_TEXT(status_of(daemon, "NoNewPrivs"), "1");
    terminate(daemon);
}

TEST("another group than the user's, by name and by number")
{
    pid_t daemon = dropped("user=nobody", "group=daemon", NULL);
    struct group *group = getgrnam("daemon");
    CHECK(group != NULL);
    is_powerless(daemon, NOBODY, group->gr_gid);
    CHECK_TEXT(status_of(daemon, "Groups"), text("%u", group->gr_gid));
    terminate(daemon);
    daemon = dropped("user=nobody", "group_id=12345", text("groups=%d", DAEMONCTX_GROUPS_NONE));
    is_powerless(daemon, NOBODY, 12345);
    terminate(daemon);
}

TEST("a number without an entry in the user database needs a group, and then has only that")
{
    pid_t daemon = dropped("user_id=54321", "group_id=12345", NULL);
    is_powerless(daemon, 54321, 12345);
    CHECK_TEXT(status_of(daemon, "Groups"), "");
    terminate(daemon);
    struct outcome starter = START(NULL, "daemon", "user_id=54321", with_pid_file());
    CHECK_HAS(starter.err, text("refused %d ENOENT group: group failed: 54321 (", DAEMONCTX_ERROR_OPTION));
    CHECK(!exists("pid"));
}

static void keep_capabilities(void)
{
    have_groups();
    /* SECBIT_NO_SETUID_FIXUP: the kernel leaves the capabilities at a change of user. */
    NEED(prctl(PR_SET_SECUREBITS, 1 << 2) == 0);
}

TEST("capabilities that securebits would keep are dropped")
{
    need_root();
    struct outcome starter = START(keep_capabilities, "daemon", "user=nobody");
    CHECK_TEXT(starter.err, "");
    CHECK_INT(starter.code, 0);
    pid_t daemon = (pid_t)hear_number();
    is_powerless(daemon, NOBODY, NOBODY);
    terminate(daemon);
}

TEST("user 0 for root is no change: groups and capabilities stay")
{
    pid_t daemon = dropped("user_id=0", NULL, NULL);
    CHECK_TEXT(status_of(daemon, "Groups"), "0 4 27");
    CHECK_TEXT(status_of(daemon, "CapEff"), status_of(getpid(), "CapEff"));
    terminate(daemon);
}

TEST("a pid file in a directory of root's is written, locked, and stays stale at the end")
{
    struct stat status;
    need_root();
    NEED(mkdir("private", 0700) == 0);
    char *file = path("private/pid");
    pid_t daemon = dropped("user=nobody", text("pid_file=%s", file), NULL);
    CHECK_INT(pid_in(file), daemon);
    NEED(stat(file, &status) == 0);
    CHECK_INT(status.st_uid, 0);
    CHECK_INT(status.st_mode & 07777, 0644);
    struct outcome second = START(NULL, "daemon", "user=nobody", text("pid_file=%s", file));
    CHECK_HAS(second.err, text("(already running as PID %d)", (int)daemon));
    /* It keeps nothing through which it could write another PID. */
    CHECK(!writes_to(daemon, file));
    terminate(daemon);
    CHECK_INT(pid_in(file), daemon);
    /* And a stale file is in no start's way. */
    daemon = dropped("user=nobody", text("pid_file=%s", file), NULL);
    CHECK_INT(pid_in(file), daemon);
    terminate(daemon);
}

TEST("a pid file in a directory of the daemon's own is removed by the daemon")
{
    need_root();
    char *file = path("run/pid");
    for (int round = 0; round < 2; round++) {
        CHECK_INT(START(NULL, "daemon", "user=nobody", text("runtime=%s", path("run")), text("pid_file=%s", file)).code, 0);
        pid_t daemon = (pid_t)hear_number();
        CHECK_INT(pid_in(file), daemon);
        terminate(daemon);
        CHECK(!exists(file));
    }
    struct outcome other = START(NULL, "daemon", text("runtime=%s", path("run")));
    CHECK_HAS(other.err, "runtime directory failed: ");
    CHECK_HAS(other.err, "(1 EPERM)");
}

TEST("a log file that only root can open")
{
    need_root();
    NEED(mkdir("private", 0700) == 0);
    pid_t daemon = dropped("user=nobody", text("err=file:%s", path("private/log")), NULL);
    CHECK_TEXT(link_of(daemon, "fd/2"), path("private/log"));
    terminate(daemon);
}

static void unknown(const char *word, const char *text_expected)
{
    struct outcome starter = START(NULL, "daemon", word, with_pid_file());
    CHECK_TEXT(starter.err, text("refused %d ENOENT %s: No such file or directory (2 ENOENT)\n",
                                 DAEMONCTX_ERROR_OPTION, text_expected));
    CHECK_INT(starter.code, 1);
    CHECK(!exists("pid"));
}

TEST("an unknown user or group is an error in the starter that names it")
{
    unknown("user=no-such-user", "user: user failed: no-such-user (no such user)");
    unknown("user=-1", "user: user failed: -1 (no such user)");
    unknown("user=4294967295", "user: user failed: 4294967295 (no such user)");
    unknown("group=no-such-group", "group: group failed: no-such-group (no such group)");
}

static void be_nobody(void)
{
    NEED(setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
}

TEST("without the right to: the step that would fail, and no daemon")
{
    need_root();
    struct outcome starter = START(be_nobody, "daemon", "user=daemon", "program=me");
    CHECK_TEXT(starter.err, text("refused %d EPERM setgroups: setgroups failed: Operation not permitted (1 EPERM)\n",
                                 DAEMONCTX_ERROR_PRIVILEGES));
    CHECK_INT(starter.code, 1);
    starter = START(be_nobody, "daemon", "user=root", text("groups=%d", DAEMONCTX_GROUPS_NONE), "program=me");
    CHECK_HAS(starter.err, "Operation not permitted (1 EPERM)\n");
    CHECK_INT(starter.code, 1);
    CHECK(is_silent());
}

static pid_t jailed(const char *file, const char *word)
{
    need_root();
    NEED(mkdir("jail", 0755) == 0 && mkdir("jail/home", 0755) == 0);
    struct outcome starter = START(NULL, "quiet", "chroot=jail", text("pid_file=%s", file), word);
    CHECK_TEXT(starter.err, "");
    CHECK_INT(starter.code, 0);
    return pid_in(file);
}

TEST("chroot: root and working directory inside, pid file outside")
{
    pid_t daemon = jailed(path("pid"), "directory=/home");
    CHECK_TEXT(link_of(daemon, "root"), path("jail"));
    CHECK_TEXT(link_of(daemon, "cwd"), path("jail/home"));
    terminate(daemon);
    /* Out of its reach, so it can neither remove nor empty it. */
    CHECK_INT(pid_in("pid"), daemon);
}

TEST("chroot: a pid file inside is removed")
{
    char *file = path("jail/pid");
    pid_t daemon = jailed(file, NULL);
    CHECK_TEXT(link_of(daemon, "cwd"), path("jail"));
    terminate(daemon);
    CHECK(!exists(file));
}

TEST("chroot: a working directory that is not inside is an error in the starter")
{
    need_root();
    NEED(mkdir("jail", 0755) == 0);
    struct outcome starter = START(NULL, "quiet", "chroot=jail", "directory=/home/x", with_pid_file());
    CHECK_HAS(starter.err, text("refused %d ENOENT working directory: ", DAEMONCTX_ERROR_OPTION));
    starter = START(NULL, "quiet", "chroot=jail", "directory=home", with_pid_file());
    CHECK_HAS(starter.err, text("refused %d EINVAL working directory: ", DAEMONCTX_ERROR_OPTION));
    starter = START(NULL, "quiet", "chroot=absent", with_pid_file());
    CHECK_HAS(starter.err, text("refused %d ENOENT chroot: chroot failed: %s: ", DAEMONCTX_ERROR_OPTION, path("absent")));
    CHECK(!exists("pid"));
}

static void *rest(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

/* Argument: 1 where the other thread keeps its capabilities. */
PROGRAM(dropping_with_thread)
{
    const char *why = "";
    int number = 0;
    pthread_t thread;
    daemonctx *ctx = keep(daemonctx_new());
    NEED(prctl(PR_SET_KEEPCAPS, argv[1][0] == '1', 0, 0, 0) == 0);
    NEED(pthread_create(&thread, NULL, rest, NULL) == 0);
    MUST(daemonctx_set_detach(ctx, DAEMONCTX_DETACH_NO));
    MUST(daemonctx_set_user(ctx, "nobody"));
    /* As nobody it cannot speak to the test. */
    if (daemonctx_open(ctx) == DAEMONCTX_OK)
        return 0;
    daemonctx_error(ctx, NULL, &number, &why);
    return strstr(why, "capabilities left") != NULL ? number : 99;
}

TEST("a thread that keeps its capabilities when the user changes: the start fails")
{
    need_root();
    struct outcome without = START(NULL, "dropping_with_thread", "0");
    CHECK_TEXT(without.err, "");
    CHECK_INT(without.code, 0);
    CHECK_INT(START(NULL, "dropping_with_thread", "1").code, EPERM);
}
