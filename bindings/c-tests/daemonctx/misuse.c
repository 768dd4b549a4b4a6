/* The interface used wrongly: a status, errno and words, never a crash, and a process that is as it was. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Both what is given back and what errno says; errno is set to something else before each call. */
#define GIVES(call, status, number)                                                                                    \
    do {                                                                                                               \
        errno = ENOTTY;                                                                                                \
        long given = (call);                                                                                           \
        int seen = errno;                                                                                              \
        if (given != (status) || seen != (number))                                                                     \
            FAIL("%s gives %ld with errno %d", #call, given, seen);                                                    \
    } while (0)

#define IS_USAGE(call) GIVES(call, DAEMONCTX_ERROR_USAGE, EINVAL)

static void error_is(daemonctx *ctx, daemonctx_status expected, int expected_number, const char *expected_step,
                     const char *expected_line)
{
    const char *step = NULL;
    const char *line = NULL;
    int number = -1;
    CHECK_INT(daemonctx_error(ctx, &step, &number, &line), expected);
    CHECK_TEXT(daemonctx_error_text(ctx), line);
    CHECK_TEXT(step, expected_step);
    CHECK_TEXT(line, expected_line);
    CHECK_INT(number, expected_number);
}

/* --- NULL ----------------------------------------------------------------------------------------------------------- */

TEST("a NULL handle: every setter")
{
    IS_USAGE(daemonctx_set_program_name(NULL, "x"));
    IS_USAGE(daemonctx_set_working_directory(NULL, "/"));
    IS_USAGE(daemonctx_set_chroot(NULL, "/"));
    IS_USAGE(daemonctx_set_umask(NULL, 0));
    IS_USAGE(daemonctx_set_user(NULL, "root"));
    IS_USAGE(daemonctx_set_user_id(NULL, 0));
    IS_USAGE(daemonctx_set_group(NULL, "root"));
    IS_USAGE(daemonctx_set_group_id(NULL, 0));
    IS_USAGE(daemonctx_set_supplementary_groups(NULL, DAEMONCTX_GROUPS_OWN));
    IS_USAGE(daemonctx_set_no_new_privileges(NULL, 1));
    IS_USAGE(daemonctx_set_prevent_core(NULL, 1));
    IS_USAGE(daemonctx_set_allow_threads(NULL, 1));
    IS_USAGE(daemonctx_set_detach(NULL, DAEMONCTX_DETACH_NO));
    IS_USAGE(daemonctx_keep_descriptor(NULL, 0));
    IS_USAGE(daemonctx_set_stream_file(NULL, 1, "/x"));
    IS_USAGE(daemonctx_set_stream_descriptor(NULL, 1, 1));
    IS_USAGE(daemonctx_set_stream_null(NULL, 1));
    IS_USAGE(daemonctx_set_stream_inherit(NULL, 1));
    IS_USAGE(daemonctx_set_stream_log_file(NULL, 1, "/x", 0, 0640, NULL, NULL));
    IS_USAGE(daemonctx_set_stream_syslog(NULL, 1, NULL, -1));
    IS_USAGE(daemonctx_reopen_streams(NULL));
    IS_USAGE(daemonctx_set_signal(NULL, SIGTERM, DAEMONCTX_SIGNAL_IGNORE));
    IS_USAGE(daemonctx_set_pid_file(NULL, "/x"));
    IS_USAGE(daemonctx_set_manual_ready(NULL, 1));
    IS_USAGE(daemonctx_set_ready_timeout(NULL, 1));
}

TEST("a NULL handle: everything else")
{
    const char *untouched = "untouched";
    const char *step = untouched;
    pid_t pid = 77;
    int value = 77;
    IS_USAGE(daemonctx_open(NULL));
    IS_USAGE(daemonctx_fork(NULL, &pid));
    IS_USAGE(daemonctx_wait_ready(NULL, 0, &value));
    IS_USAGE(daemonctx_ready(NULL));
    IS_USAGE(daemonctx_fail(NULL, 1, "x"));
    IS_USAGE(daemonctx_close(NULL));
    IS_USAGE(daemonctx_error(NULL, &step, &value, &step));
    IS_USAGE(daemonctx_pidfile_acquire(NULL));
    IS_USAGE(daemonctx_pidfile_release(NULL));
    IS_USAGE(daemonctx_pidfile_read(NULL, &pid));
    IS_USAGE(daemonctx_pidfile_status(NULL, NULL, &pid));
    IS_USAGE(daemonctx_pidfile_signal(NULL, 0));
    IS_USAGE(daemonctx_pidfile_stop(NULL, 0, NULL));
    IS_USAGE(daemonctx_pidfile_wait(NULL, 0, &value));
    IS_USAGE(daemonctx_pidfile_error(NULL, &step, &value, &step));
    CHECK_INT(pid, 77);
    CHECK_INT(value, 77);
    CHECK(step == untouched);
    CHECK_TEXT(daemonctx_error_text(NULL), "out of memory");
    CHECK_TEXT(daemonctx_pidfile_error_text(NULL), "bad path for a pid file, or out of memory");
    CHECK_INT(daemonctx_exit_status(NULL), 1);
    daemonctx_free(NULL);
    daemonctx_pidfile_free(NULL);
}

TEST("NULL arguments")
{
    daemonctx *ctx = daemonctx_new();
    daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
    NEED(ctx != NULL && file != NULL);
    IS_USAGE(daemonctx_set_program_name(ctx, NULL));
    IS_USAGE(daemonctx_set_working_directory(ctx, NULL));
    IS_USAGE(daemonctx_set_chroot(ctx, NULL));
    IS_USAGE(daemonctx_set_user(ctx, NULL));
    IS_USAGE(daemonctx_set_group(ctx, NULL));
    IS_USAGE(daemonctx_set_stream_file(ctx, 1, NULL));
    IS_USAGE(daemonctx_set_pid_file(ctx, NULL));
    IS_USAGE(daemonctx_fork(ctx, NULL));
    IS_USAGE(daemonctx_wait_ready(ctx, 0, NULL));
    IS_USAGE(daemonctx_fail(ctx, 1, NULL));
    error_is(ctx, DAEMONCTX_ERROR_USAGE, EINVAL, "argument", "daemonctx_fail: message is NULL");
    IS_USAGE(daemonctx_set_user(ctx, NULL));
    error_is(ctx, DAEMONCTX_ERROR_USAGE, EINVAL, "argument", "daemonctx_set_user: user is NULL");
    IS_USAGE(daemonctx_notify(NULL, NULL));
    CHECK_INT(daemonctx_error(ctx, NULL, NULL, NULL), DAEMONCTX_ERROR_USAGE);
    CHECK_INT(daemonctx_pidfile_read(file, NULL), DAEMONCTX_OK);
    daemonctx_pidfile_free(file);
    daemonctx_free(ctx);
}

/* --- values --------------------------------------------------------------------------------------------------------- */

TEST("before any error a handle has none, and success leaves the last one")
{
    daemonctx *ctx = daemonctx_new();
    NEED(ctx != NULL);
    error_is(ctx, DAEMONCTX_OK, 0, "", "");
    CHECK_INT(daemonctx_exit_status(ctx), 0);
    GIVES(daemonctx_set_umask(ctx, 01000), DAEMONCTX_ERROR_OPTION, EINVAL);
    CHECK_INT(daemonctx_set_umask(ctx, 0777), DAEMONCTX_OK);
    error_is(ctx, DAEMONCTX_ERROR_OPTION, EINVAL, "umask", "umask failed: 01000: Invalid argument (22 EINVAL)");
    CHECK_INT(daemonctx_exit_status(ctx), 1);
    daemonctx_free(ctx);
}

static daemonctx *bad;

static void said(daemonctx_status status, int number, const char *step, const char *rest)
{
    error_is(bad, status, number, step, text("%s failed: %s", step, rest));
}

static void invalid(const char *function, long value)
{
    error_is(bad, DAEMONCTX_ERROR_USAGE, EINVAL, "argument", text("%s: invalid value %ld", function, value));
}

TEST("numbers that are none of the choices")
{
    static const int none[] = {-1, 3, 4, INT_MAX, INT_MIN};
    bad = daemonctx_new();
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        IS_USAGE(daemonctx_set_detach(bad, (daemonctx_detach)none[i]));
        invalid("daemonctx_set_detach", none[i]);
        IS_USAGE(daemonctx_set_supplementary_groups(bad, (daemonctx_groups)none[i]));
        invalid("daemonctx_set_supplementary_groups", none[i]);
        IS_USAGE(daemonctx_set_signal(bad, SIGTERM, (daemonctx_signal_action)none[i]));
        invalid("daemonctx_set_signal", none[i]);
        IS_USAGE(daemonctx_set_stream_file(bad, none[i], "/x"));
        IS_USAGE(daemonctx_set_stream_descriptor(bad, none[i], 1));
        IS_USAGE(daemonctx_set_stream_null(bad, none[i]));
        IS_USAGE(daemonctx_set_stream_inherit(bad, none[i]));
        IS_USAGE(daemonctx_set_stream_log_file(bad, none[i], "/x", 0, 0640, NULL, NULL));
        IS_USAGE(daemonctx_set_stream_syslog(bad, none[i], NULL, -1));
        invalid("daemonctx_set_stream_syslog", none[i]);
    }
    IS_USAGE(daemonctx_set_supplementary_groups(bad, (daemonctx_groups)2));
    daemonctx_free(bad);
}

TEST("values that an option cannot have")
{
    bad = daemonctx_new();
    GIVES(daemonctx_set_umask(bad, UINT_MAX), DAEMONCTX_ERROR_OPTION, EINVAL);
    GIVES(daemonctx_keep_descriptor(bad, -1), DAEMONCTX_ERROR_OPTION, EBADF);
    said(DAEMONCTX_ERROR_OPTION, EBADF, "keep descriptor", "-1: Bad file descriptor (9 EBADF)");
    GIVES(daemonctx_keep_descriptor(bad, INT_MIN), DAEMONCTX_ERROR_OPTION, EBADF);
    GIVES(daemonctx_set_stream_descriptor(bad, 2, -1), DAEMONCTX_ERROR_OPTION, EBADF);
    said(DAEMONCTX_ERROR_OPTION, EBADF, "stderr", "-1: Bad file descriptor (9 EBADF)");
    GIVES(daemonctx_set_user_id(bad, (uid_t)-1), DAEMONCTX_ERROR_OPTION, EINVAL);
    said(DAEMONCTX_ERROR_OPTION, EINVAL, "user", "-1: Invalid argument (22 EINVAL)");
    GIVES(daemonctx_set_group_id(bad, (gid_t)-1), DAEMONCTX_ERROR_OPTION, EINVAL);
    said(DAEMONCTX_ERROR_OPTION, EINVAL, "group", "-1: Invalid argument (22 EINVAL)");
    GIVES(daemonctx_set_ready_timeout(bad, 0), DAEMONCTX_ERROR_OPTION, EINVAL);
    said(DAEMONCTX_ERROR_OPTION, EINVAL, "ready timeout", "0 s: Invalid argument (22 EINVAL)");
    CHECK_INT(daemonctx_set_ready_timeout(bad, LONG_MAX), DAEMONCTX_OK);
    CHECK_INT(daemonctx_set_ready_timeout(bad, DAEMONCTX_FOREVER), DAEMONCTX_OK);
    daemonctx_free(bad);
}

TEST("negative times, but for the one that means for ever")
{
    static const long none[] = {-2, -1000, LONG_MIN};
    int value = 77;
    bad = daemonctx_new();
    daemonctx_pidfile *file = daemonctx_pidfile_new("pid");
    NEED(bad != NULL && file != NULL);
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        IS_USAGE(daemonctx_set_ready_timeout(bad, none[i]));
        invalid("daemonctx_set_ready_timeout", none[i]);
        IS_USAGE(daemonctx_pidfile_stop(file, none[i], NULL));
        CHECK_TEXT(daemonctx_pidfile_error_text(file), text("daemonctx_pidfile_stop: invalid value %ld", none[i]));
        IS_USAGE(daemonctx_pidfile_wait(file, none[i], &value));
        CHECK_TEXT(daemonctx_pidfile_error_text(file), text("daemonctx_pidfile_wait: invalid value %ld", none[i]));
        IS_USAGE(daemonctx_notify_barrier(none[i], NULL));
    }
    /* A daemon is always killed in the end. */
    IS_USAGE(daemonctx_pidfile_stop(file, DAEMONCTX_FOREVER, NULL));
    CHECK_INT(value, 77);
    daemonctx_pidfile_free(file);
    daemonctx_free(bad);
}

TEST("the version of the library is that of the header")
{
    CHECK_TEXT(daemonctx_version(), DAEMONCTX_VERSION);
    CHECK_TEXT(text("%d.%d.%d", DAEMONCTX_VERSION_MAJOR, DAEMONCTX_VERSION_MINOR, DAEMONCTX_VERSION_PATCH), DAEMONCTX_VERSION);
}

TEST("signals that are none, or cannot be caught")
{
    static const int none[] = {-1, 0, 32, 33, 65, 1000, INT_MAX, INT_MIN};
    bad = daemonctx_new();
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        GIVES(daemonctx_set_signal(bad, none[i], DAEMONCTX_SIGNAL_IGNORE), DAEMONCTX_ERROR_OPTION, EINVAL);
        said(DAEMONCTX_ERROR_OPTION, EINVAL, "signal map", text("signal %d: Invalid argument (22 EINVAL)", none[i]));
    }
    GIVES(daemonctx_set_signal(bad, SIGKILL, DAEMONCTX_SIGNAL_IGNORE), DAEMONCTX_ERROR_OPTION, EINVAL);
    said(DAEMONCTX_ERROR_OPTION, EINVAL, "signal map",
         "signal 9 (SIGKILL) (cannot be caught): Invalid argument (22 EINVAL)");
    GIVES(daemonctx_set_signal(bad, SIGSTOP, DAEMONCTX_SIGNAL_KEEP), DAEMONCTX_ERROR_OPTION, EINVAL);
    daemonctx_free(bad);
}

TEST("empty strings and strings that are too long")
{
    char *too_long = text("/%05000d", 0);
    bad = daemonctx_new();
    GIVES(daemonctx_set_program_name(bad, ""), DAEMONCTX_ERROR_OPTION, EINVAL);
    GIVES(daemonctx_set_user(bad, ""), DAEMONCTX_ERROR_OPTION, EINVAL);
    GIVES(daemonctx_set_group(bad, ""), DAEMONCTX_ERROR_OPTION, EINVAL);
    GIVES(daemonctx_set_working_directory(bad, ""), DAEMONCTX_ERROR_OPTION, ENOENT);
    GIVES(daemonctx_set_chroot(bad, ""), DAEMONCTX_ERROR_OPTION, ENOENT);
    GIVES(daemonctx_set_pid_file(bad, ""), DAEMONCTX_ERROR_PID_FILE, ENOENT);
    GIVES(daemonctx_set_working_directory(bad, too_long), DAEMONCTX_ERROR_OPTION, ENAMETOOLONG);
    GIVES(daemonctx_set_chroot(bad, too_long), DAEMONCTX_ERROR_OPTION, ENAMETOOLONG);
    GIVES(daemonctx_set_pid_file(bad, too_long), DAEMONCTX_ERROR_PID_FILE, ENAMETOOLONG);
    GIVES(daemonctx_set_stream_file(bad, 2, too_long), DAEMONCTX_ERROR_OPTION, ENAMETOOLONG);
    daemonctx_free(bad);
}

TEST("a stream's bad path names that stream")
{
    bad = daemonctx_new();
    GIVES(daemonctx_set_stream_file(bad, 0, ""), DAEMONCTX_ERROR_OPTION, ENOENT);
    said(DAEMONCTX_ERROR_OPTION, ENOENT, "stdin", "No such file or directory (2 ENOENT)");
    GIVES(daemonctx_set_stream_file(bad, 2, ""), DAEMONCTX_ERROR_OPTION, ENOENT);
    said(DAEMONCTX_ERROR_OPTION, ENOENT, "stderr", "No such file or directory (2 ENOENT)");
    daemonctx_free(bad);
}

TEST("control characters in a value do not break the line")
{
    struct outcome starter = START(NULL, "daemon", "user=two\nlines\033[2J");
    CHECK_HAS(starter.err, "user failed: two?lines?[2J (no such user)");
}

/* --- order ---------------------------------------------------------------------------------------------------------- */

TEST("calls that come before the start")
{
    int ready = 77;
    bad = daemonctx_new();
    GIVES(daemonctx_ready(bad), DAEMONCTX_ERROR_USAGE, EBADF);
    said(DAEMONCTX_ERROR_USAGE, EBADF, "handle", "not opened: Bad file descriptor (9 EBADF)");
    GIVES(daemonctx_fail(bad, 3, "x"), DAEMONCTX_ERROR_USAGE, EBADF);
    GIVES(daemonctx_close(bad), DAEMONCTX_ERROR_USAGE, EBADF);
    GIVES(daemonctx_wait_ready(bad, 0, &ready), DAEMONCTX_ERROR_USAGE, EBADF);
    CHECK_INT(ready, 77);
    daemonctx_free(bad);
}

PROGRAM(opener)
{
    pid_t daemon = 77;
    const char *why;
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    daemonctx_status status = daemonctx_open(ctx);
    say("%d %d", status, errno == EALREADY);
    daemonctx_error(ctx, NULL, NULL, &why);
    say("%s", why);
    status = daemonctx_fork(ctx, &daemon);
    say("%d %d", status, errno == EALREADY);
    say("%d", daemonctx_close(ctx));
    say("%d", daemonctx_close(ctx));
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("opening twice is an error in the daemon, which goes on; closing twice is none")
{
    CHECK_INT(START(NULL, "opener", with_pid_file()).code, 0);
    HEAR(text("%d 1", DAEMONCTX_ERROR_USAGE));
    HEAR("handle failed: opened already: Operation already in progress (114 EALREADY)");
    HEAR(text("%d 1", DAEMONCTX_ERROR_USAGE));
    HEAR("0");
    HEAR("0");
    pid_t daemon = (pid_t)hear_number();
    CHECK(is_silent());
    terminate(daemon);
}

/* --- a failed start changes nothing --------------------------------------------------------------------------------- */

/* All of a process that a start has to do with. */
static char *picture(void)
{
    static const char *const fields[] = {"Umask", "SigBlk", "SigIgn",  "SigCgt", "SigPnd",     "Uid",    "Gid",
                                         "Groups", "CapEff", "PPid", "NSsid",  "NoNewPrivs", "Threads"};
    pid_t me = getpid();
    char *all = text("cwd %s core %s children %s", link_of(me, "cwd"), limit_of(me, "Max core file size"),
                     children_of(me));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        all = text("%s\n%s %s", all, fields[i], status_of(me, fields[i]));
    for (int fd = 0; fd < 64; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0)
            all = text("%s\n%d %d %s", all, fd, flags, link_of(me, text("fd/%d", fd)));
    }
    return all;
}

static void nothing(int signum)
{
    (void)signum;
}

/* Something of its own in every respect. */
static void dress_up(void)
{
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    sigprocmask(SIG_SETMASK, &some, NULL);
    signal(SIGUSR1, nothing);
    signal(SIGCHLD, nothing);
    signal(SIGPIPE, SIG_IGN);
    umask(027);
    open("/dev/null", O_RDONLY);
    open("/dev/zero", O_RDONLY | O_CLOEXEC);
}

/* Arguments: one setting that is right, one that makes the start fail, one that corrects it. */
PROGRAM(corrector)
{
    dress_up();
    daemonctx *ctx = configured(argc - 1, argv);
    char *before = picture();
    /* Ten times, so that a leak of any kind shows. */
    for (int i = 0; i < 10; i++)
        if (daemonctx_open(ctx) == DAEMONCTX_OK)
            exit(90);
    CHECK_TEXT(picture(), before);
    const char *directory = argv[argc - 1];
    MUST(daemonctx_set_working_directory(ctx, directory));
    MUST(daemonctx_set_user_id(ctx, geteuid()));
    MUST(daemonctx_set_stream_null(ctx, 1));
    open_or_leave(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

static void is_corrected(const char *wrong)
{
    struct outcome starter = START(NULL, "corrector", with_pid_file(), wrong, "/");
    CHECK_TEXT(starter.out, "");
    CHECK_TEXT(starter.err, "");
    CHECK_INT(starter.code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(pid_in("pid"), daemon);
    terminate(daemon);
    CHECK(!exists("pid"));
}

TEST("a start that failed leaves the process as it was, and a corrected one works")
{
    is_corrected("directory=/no/where");
    is_corrected("user=no-such-user");
    is_corrected("out=file:/no/where");
    is_corrected("out=fd:99");
}

PROGRAM(refused_twice)
{
    dress_up();
    daemonctx *ctx = configured(argc, argv);
    char *before = picture();
    for (int i = 0; i < 10; i++) {
        daemonctx_status status = daemonctx_open(ctx);
        if (status != DAEMONCTX_ERROR_ALREADY_RUNNING || errno != EAGAIN)
            FAIL("status %d: %m", status);
    }
    CHECK_TEXT(picture(), before);
    /* Now without. */
    MUST(daemonctx_set_pid_file(ctx, argv[argc - 1] + strlen("pid_file=")));
    daemonctx *other = configured(1, argv);
    MUST(daemonctx_set_pid_file(other, "other"));
    open_or_leave(other);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("nor does one that another daemon has stood in the way of")
{
    CHECK_INT(START(NULL, "daemon", with_pid_file()).code, 0);
    pid_t first = (pid_t)hear_number();
    struct outcome starter = START(NULL, "refused_twice", with_pid_file());
    CHECK_TEXT(starter.out, "");
    CHECK_TEXT(starter.err, "");
    CHECK_INT(starter.code, 0);
    pid_t second = (pid_t)hear_number();
    CHECK_INT(pid_in("pid"), first);
    CHECK_INT(pid_in("other"), second);
    terminate(first);
    terminate(second);
}
