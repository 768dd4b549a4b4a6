/* Log files, opened again, and syslog. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

/* --- a daemon that goes on step by step ----------------------------------------------------------------------------- */

/* Writes a line on both streams each time it is let go, and opens them again before the second. */
PROGRAM(stepping)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    for (int line = 1;; line++) {
        await_go();
        if (line == 2) {
            daemonctx_status status = daemonctx_reopen_streams(ctx);
            const char *text;
            daemonctx_error(ctx, NULL, NULL, &text);
            say("%d %s", status, status == DAEMONCTX_OK ? "" : text);
        }
        printf("out %d\n", line);
        fflush(stdout);
        fprintf(stderr, "err %d\n", line);
        say("written");
    }
    return 0;
}

static pid_t start_stepping(const char *first, const char *second, const char *third)
{
    struct outcome starter = START(NULL, "stepping", first, second, third);
    CHECK_TEXT(starter.err, "");
    CHECK_INT(starter.code, 0);
    return (pid_t)hear_number();
}

static mode_t mode_of(const char *file)
{
    struct stat status;
    NEED(stat(file, &status) == 0);
    return status.st_mode & 07777;
}

/* --- files ------------------------------------------------------------------------------------------------------------ */

TEST("a log file is made as it was asked for, and opened again when it has been moved away")
{
    umask(077);
    pid_t daemon = start_stepping(text("out=log:%s,0,664", path("log")), text("err=log:%s", path("log")), NULL);
    go();
    HEAR("written");
    CHECK_TEXT(content("log"), "out 1\nerr 1\n");
    CHECK_INT(mode_of("log"), 0664);
    NEED(rename("log", "log.1") == 0);
    go();
    HEAR("0 ");
    HEAR("written");
    CHECK_TEXT(content("log"), "out 2\nerr 2\n");
    CHECK_TEXT(content("log.1"), "out 1\nerr 1\n");
    CHECK_INT(mode_of("log"), 0664);
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    terminate(daemon);
}

TEST("a log file has the owner that was asked for, and is emptied where that was asked for")
{
    need_root();
    struct stat status;
    write_file("old", "before\n");
    pid_t daemon =
        start_stepping(text("out=log:%s,0,640,nobody,4242", path("log")), text("err=log:%s,1,600", path("old")), NULL);
    NEED(stat("log", &status) == 0);
    CHECK_INT(status.st_uid, 65534);
    CHECK_INT(status.st_gid, 4242);
    CHECK_TEXT(content("old"), "");
    CHECK(mode_of("old") != 0600);
    terminate(daemon);
}

TEST("what cannot be opened again goes on")
{
    NEED(mkdir("folder", 0755) == 0);
    pid_t daemon = start_stepping(text("out=log:%s", path("folder/log")), text("err=file:%s", path("err")), NULL);
    go();
    HEAR("written");
    NEED(rename("folder", "moved") == 0 && rename("err", "err.1") == 0);
    go();
    HEAR(text("%d stdout failed: %s: No such file or directory (2 ENOENT)", DAEMONCTX_ERROR_OPTION, path("folder/log")));
    HEAR("written");
    CHECK_TEXT(content("moved/log"), "out 1\nout 2\n");
    CHECK_TEXT(content("err"), "err 2\n");
    terminate(daemon);
}

/* --- directories of others ---------------------------------------------------------------------------------------------- */

enum { NOBODY = 65534 };

static void given_away(const char *file)
{
    NEED(lchown(file, NOBODY, NOBODY) == 0);
}

/* A directory of nobody's, and a file of root's outside of it. */
static void their_directory(void)
{
    need_root();
    NEED(mkdir("theirs", 0755) == 0);
    given_away("theirs");
    write_file("precious", "secret\n");
    NEED(chmod("precious", 0600) == 0);
}

static void is_refused(const char *word, const char *file, const char *step, const char *name, const char *why)
{
    struct outcome starter = START(NULL, "stepping", text("%s%s", word, path(file)));
    CHECK_TEXT(starter.err, text("refused %d %s %s: %s failed: %s%s %s)\n", DAEMONCTX_ERROR_OPTION, name, step, step,
                                 path(file), why, name));
    CHECK_INT(starter.code, 1);
}

TEST("what others have put into their directory is neither read nor written to")
{
    static const char loop[] = " (a symbolic link to itself, or one that another user owns or can rename): Too many levels of symbolic links (40";
    static const char linked[] = " (a file with other names, in a directory that others can write): Too many links (31";
    their_directory();
    NEED(symlink("../precious", "theirs/link") == 0);
    given_away("theirs/link");
    NEED(symlink("..", "theirs/folder") == 0);
    given_away("theirs/folder");
    NEED(mkfifo("theirs/fifo", 0666) == 0);
    given_away("theirs/fifo");
    NEED(link("precious", "theirs/hard") == 0);
    static const char *const steps[] = {"stdin", "stdout", "stderr"};
    static const char *const words[] = {"in=file:", "out=log:", "err=file:"};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        is_refused(words[i], "theirs/link", steps[i], "ELOOP", loop);
        is_refused(words[i], "theirs/folder/precious", steps[i], "ELOOP", loop);
        is_refused(words[i], "theirs/fifo", steps[i], "EPERM", ": Operation not permitted (1");
        is_refused(words[i], "theirs/hard", steps[i], "EMLINK", linked);
    }
    NEED(rename("precious", "theirs/moved") == 0);
    is_refused("in=file:", "theirs/moved", "stdin", "EMLINK", linked);
    NEED(unlink("theirs/hard") == 0);
    is_refused("in=file:", "theirs/moved", "stdin", "EACCES", ": Permission denied (13");
    CHECK_TEXT(content("theirs/moved"), "secret\n");
}

TEST("a log that is opened again does not follow what others have put there")
{
    their_directory();
    pid_t daemon = start_stepping(text("out=log:%s", path("theirs/log")), text("err=file:%s", path("err")), NULL);
    go();
    HEAR("written");
    NEED(unlink("theirs/log") == 0 && symlink("../precious", "theirs/log") == 0);
    given_away("theirs/log");
    go();
    HEAR(text("%d stdout failed: %s: Too many levels of symbolic links (40 ELOOP)", DAEMONCTX_ERROR_OPTION, path("theirs/log")));
    HEAR("written");
    CHECK_TEXT(content("precious"), "secret\n");
    terminate(daemon);
}

TEST("a null device that is a regular file is an error, and nothing is written to it")
{
    need_root();
    if (unshare(CLONE_NEWNS) < 0)
        skip("no mount namespace: %s", strerror(errno));
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    write_file("file", "");
    NEED(mount("file", "/dev/null", NULL, MS_BIND, NULL) == 0);
    struct outcome starter = START(NULL, "stepping");
    CHECK_TEXT(starter.err, text("refused %d ENODEV stdin: stdin failed: /dev/null (a regular file): No such device (19 ENODEV)\n",
                                 DAEMONCTX_ERROR_OPTION));
    CHECK_INT(starter.code, 1);
    CHECK_TEXT(content("file"), "");
}

/* --- what cannot be ------------------------------------------------------------------------------------------------------- */

static void gives(daemonctx *ctx, daemonctx_status actual, daemonctx_status expected, int number, const char *line)
{
    int seen = errno;
    const char *why;
    CHECK_INT(actual, expected);
    CHECK_INT(seen, number);
    daemonctx_error(ctx, NULL, NULL, &why);
    CHECK_TEXT(why, line);
}

TEST("log files and syslog: what they cannot be")
{
    const daemonctx_status OPTION = DAEMONCTX_ERROR_OPTION, USAGE = DAEMONCTX_ERROR_USAGE;
    daemonctx *ctx = daemonctx_new();
    gives(ctx, daemonctx_set_stream_log_file(ctx, 0, "/x", 0, 0640, NULL, NULL), OPTION, EINVAL,
          "stdin failed: /x: Invalid argument (22 EINVAL)");
    gives(ctx, daemonctx_set_stream_log_file(ctx, 1, "/x", 0, 01777, NULL, NULL), OPTION, EINVAL,
          "stdout failed: 01777: Invalid argument (22 EINVAL)");
    gives(ctx, daemonctx_set_stream_log_file(ctx, 1, "/x", 2, 0640, NULL, NULL), USAGE, EINVAL,
          "daemonctx_set_stream_log_file: invalid value 2");
    gives(ctx, daemonctx_set_stream_log_file(ctx, 2, "", 0, 0640, NULL, NULL), OPTION, ENOENT,
          "stderr failed: No such file or directory (2 ENOENT)");
    gives(ctx, daemonctx_set_stream_log_file(ctx, 1, NULL, 0, 0640, NULL, NULL), USAGE, EINVAL,
          "daemonctx_set_stream_log_file: path is NULL");
    gives(ctx, daemonctx_set_stream_log_file(ctx, 1, "/x", 0, 0640, "", NULL), OPTION, EINVAL,
          "stdout failed: Invalid argument (22 EINVAL)");
    gives(ctx, daemonctx_set_stream_syslog(ctx, 0, NULL, -1), OPTION, EINVAL,
          "stdin failed: syslog: Invalid argument (22 EINVAL)");
    gives(ctx, daemonctx_set_stream_syslog(ctx, 1, "", -1), OPTION, EINVAL,
          "stdout failed: Invalid argument (22 EINVAL)");
    gives(ctx, daemonctx_set_stream_syslog(ctx, 1, NULL, 24 << 3), USAGE, EINVAL,
          "daemonctx_set_stream_syslog: invalid value 192");
    gives(ctx, daemonctx_set_stream_syslog(ctx, 1, NULL, 1 << 20), USAGE, EINVAL,
          "daemonctx_set_stream_syslog: invalid value 1048576");
    gives(ctx, daemonctx_reopen_streams(ctx), USAGE, EBADF, "handle failed: not opened: Bad file descriptor (9 EBADF)");
    MUST(daemonctx_set_stream_log_file(ctx, 1, "relative", DAEMONCTX_LOG_TRUNCATE, 0, "0", "0"));
    MUST(daemonctx_set_stream_syslog(ctx, 1, "me", LOG_LOCAL7 | LOG_DEBUG));
    MUST(daemonctx_set_stream_syslog(ctx, 1, "me", -100));
    daemonctx_free(ctx);
}

/* --- syslog --------------------------------------------------------------------------------------------------------------- */

/* A /dev of the test's own, in a mount namespace, with a log or without. */
static int own_dev(bool with_log)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    struct timeval limit = {.tv_sec = 10};
    need_root();
    if (unshare(CLONE_NEWNS) < 0)
        skip("no mount namespace: %s", strerror(errno));
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    NEED(mkdir("dev", 0755) == 0 && mount("dev", "dev", "tmpfs", 0, "mode=0755") == 0);
    write_file("dev/null", "");
    NEED(mount("/dev/null", "dev/null", NULL, MS_BIND, NULL) == 0 && mount("dev", "/dev", NULL, MS_MOVE, NULL) == 0);
    if (!with_log)
        return -1;
    int log = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    NEED(log >= 0 && bind(log, (struct sockaddr *)&address, sizeof address) == 0 && chmod("/dev/log", 0666) == 0);
    NEED(setsockopt(log, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    return log;
}

static char *logged(int log)
{
    char message[9000];
    ssize_t length = recv(log, message, sizeof message - 1, 0);
    NEED(length >= 0);
    message[length] = '\0';
    return text("%s", message);
}

static bool is_over(int log)
{
    char byte;
    return recv(log, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* The one child that is left when its daemon has ended: the logger, which ends by itself. */
static void logger_ends(void)
{
    int status;
    NEED(waitpid(-1, &status, 0) > 0);
    CHECK_INT(status, 0);
    CHECK(waitpid(-1, &status, 0) < 0 && errno == ECHILD);
}

TEST("syslog: a message for each line, with the daemon's PID and what was asked for")
{
    int log = own_dev(true);
    pid_t daemon = start_stepping("out=syslog:-1", text("err=syslog:%d,other", LOG_LOCAL0 | LOG_WARNING), "program=me");
    go();
    HEAR("written");
    CHECK_TEXT(logged(log), text("<30>me[%d]: out 1", (int)daemon));
    CHECK_TEXT(logged(log), text("<132>other[%d]: err 1", (int)daemon));
    CHECK_TEXT(children_of(daemon), "");
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    terminate(daemon);
    logger_ends();
    CHECK(is_over(log));
}

TEST("syslog: standard error is LOG_ERR, and no facility is LOG_DAEMON")
{
    int log = own_dev(true);
    pid_t daemon = start_stepping(text("out=syslog:%d", LOG_CRIT), "err=syslog:-1", "program=me");
    go();
    HEAR("written");
    CHECK_TEXT(logged(log), text("<26>me[%d]: out 1", (int)daemon));
    CHECK_TEXT(logged(log), text("<27>me[%d]: err 1", (int)daemon));
    terminate(daemon);
    logger_ends();
}

/* Says why on standard output, and ends before it is ready. */
PROGRAM(dying)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    say("%d", (int)getpid());
    fputs("why", stdout);
    fflush(stdout);
    kill(0, SIGKILL);
    return 0;
}

TEST("syslog: a start that fails has logged why when its starter leaves, and leaves nothing")
{
    int log = own_dev(true);
    struct outcome starter = START(NULL, "dying", "out=syslog:-1", "program=me", with_pid_file());
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(starter.code, 128 + SIGKILL);
    CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD);
    CHECK(!exists("pid"));
    CHECK_TEXT(logged(log), text("<30>me[%d]: why", (int)daemon));
}

TEST("syslog: none is there")
{
    own_dev(false);
    struct outcome starter = START(NULL, "stepping", "out=syslog:-1");
    CHECK_TEXT(starter.err, text("refused %d ENOENT stdout: stdout failed: /dev/log: No such file or directory (2 ENOENT)\n",
                                 DAEMONCTX_ERROR_OPTION));
    CHECK_INT(starter.code, 1);
}

TEST("syslog: nothing is allocated, neither in the daemon nor in its logger")
{
    own_dev(true);
    static const char *const ways[] = {"open", "manual", "fork"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char *file = path(text("%s.pid", ways[i]));
        struct outcome starter =
            START(NULL, built("daemonctx/programs/guarded_malloc"), ways[i], file, "syslog", "nobody");
        CHECK_TEXT(starter.err, "");
        CHECK_INT(starter.code, 0);
        terminate(pid_in(file));
        logger_ends();
    }
}
