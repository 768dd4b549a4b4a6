/* Startup truth: the starter leaves when it knows, with a status and a line that say what became of the daemon. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* --- ready ---------------------------------------------------------------------------------------------------------- */

PROGRAM(manual)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    errno = ENOENT;
    perror("before");
    say("%d", (int)getpid());
    await_go();
    MUST(daemonctx_ready(ctx));
    fputs("after\n", stderr);
    /* Again it does nothing. */
    MUST(daemonctx_ready(ctx));
    say("ready");
    sleep_forever();
}

/* Closes what it does not know, and opens files of its own, which get the numbers. They stay as they are. */
static int reuse_numbers(const char *data)
{
    int file = -1;

    for (int fd = 3; fd < 64; fd++)
        close(fd);
    file = open(data, O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < 20; i++)
        dup(file);
    if (write(file, "precious\n", 9) != 9)
        _exit(99);
    return file;
}

static int count_open(int file)
{
    struct stat wanted, status;
    int count = 0;

    fstat(file, &wanted);
    for (int fd = 3; fd < 64; fd++)
        count += fstat(fd, &status) == 0 && status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev;
    return count;
}

PROGRAM(reusing)
{
    daemonctx *ctx = configured(argc - 1, argv + 1);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    MUST(daemonctx_set_ready_timeout(ctx, 300));
    open_or_leave(ctx);
    int file = reuse_numbers(argv[1]);
    daemonctx_status status = daemonctx_ready(ctx);
    say("%d %d %d", status == DAEMONCTX_OK, errno, count_open(file));
    sleep_forever();
}

TEST("ready() after the program closed what it does not know: an error, and no file of the program is touched")
{
    pid_t starter = LAUNCH(NULL, "reusing", path("data"));
    struct outcome end = finish(starter);
    CHECK_INT(end.code == 0, 0);
    HEAR("0 9 21");
    CHECK_TEXT(content(path("data")), "precious\n");
}

TEST("with manual readiness the starter waits, and standard error is its own until then")
{
    char *log = path("log");
    pid_t starter = LAUNCH(NULL, "manual", with_pid_file(), text("err=file:%s", log));
    pid_t daemon = (pid_t)hear_number();
    CHECK(is_alive(starter));
    CHECK_INT(pid_in("pid"), daemon);
    CHECK_TEXT(errors_of(starter), "before: No such file or directory\n");
    CHECK_TEXT(link_of(daemon, "fd/2"), link_of(starter, "fd/2"));
    CHECK_TEXT(link_of(daemon, "fd/0"), "/dev/null");
    CHECK_TEXT(link_of(daemon, "fd/1"), "/dev/null");
    go();
    struct outcome end = finish(starter);
    HEAR("ready");
    CHECK_INT(end.code, 0);
    CHECK_TEXT(end.err, "before: No such file or directory\n");
    CHECK_TEXT(link_of(daemon, "fd/2"), log);
    CHECK_TEXT(content(log), "after\n");
    /* The descriptor that waited for its turn is closed, and the line to the starter too. */
    CHECK_TEXT(link_of(daemon, text("fd/%s", descriptors_of(daemon) + strlen("0 1 2 "))), path("pid"));
    terminate(daemon);
    CHECK(!exists("pid"));
}

TEST("without a file standard error goes to /dev/null at ready()")
{
    pid_t starter = LAUNCH(NULL, "manual");
    pid_t daemon = (pid_t)hear_number();
    go();
    CHECK_TEXT(finish(starter).err, "before: No such file or directory\n");
    HEAR("ready");
    CHECK_TEXT(link_of(daemon, "fd/2"), "/dev/null");
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    terminate(daemon);
}

PROGRAM(ready_at_once)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    MUST(daemonctx_ready(ctx));
    int status = daemonctx_fail(ctx, 3, "too late");
    say("%d %d", status, errno == EALREADY);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("ready() after an ordinary start does nothing, and fail() comes too late")
{
    CHECK_INT(START(NULL, "ready_at_once").code, 0);
    HEAR(text("%d 1", DAEMONCTX_ERROR_START));
    terminate((pid_t)hear_number());
}

PROGRAM(failed_and_ready)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    MUST(daemonctx_fail(ctx, 3, "no port"));
    int ready = daemonctx_ready(ctx);
    int errnum = errno;
    int again = daemonctx_fail(ctx, 4, "no port either");
    say("%d %d %d", ready, again, errnum == EALREADY && errno == EALREADY);
    exit(0);
}

TEST("after fail() neither ready() nor another fail() is told to anybody")
{
    const char *said = text("%d %d 1", DAEMONCTX_ERROR_START, DAEMONCTX_ERROR_START);
    struct outcome starter = START(NULL, "failed_and_ready", "program=me");
    HEAR(said);
    CHECK_INT(starter.code, 3);
    CHECK_TEXT(starter.err, "me: start failed: no port\n");
    starter = START(NULL, "failed_and_ready", "program=me", "detach=2");
    HEAR(said);
    CHECK_TEXT(starter.err, "me: start failed: no port\n");
}

/* --- not ready ------------------------------------------------------------------------------------------------------ */

/* Arguments: how to end, then settings. */
PROGRAM(unready)
{
    const char *how = argv[1];
    daemonctx *ctx = configured(argc - 1, argv + 1);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    if (strcmp(how, "deaf") == 0)
        signal(SIGTERM, SIG_IGN);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    if (strncmp(how, "exit", 4) == 0)
        exit(atoi(how + 4));
    if (strncmp(how, "kill", 4) == 0)
        raise(atoi(how + 4));
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "offspring") == 0 && fork() != 0)
        exit(6);
    sleep_forever();
}

/* Starts `unready`, and looks that it has left nothing: no process, no pid file, no lock. */
static void fails(const char *how, int code, const char *line)
{
    struct outcome starter = START(NULL, "unready", how, with_pid_file(), "program=me", "core=1");
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(starter.err, text("me: start failed: PID %d: %s before it was ready\n", (int)daemon, line));
    CHECK_INT(starter.code, code);
    CHECK_INT(starter.signal, 0);
    CHECK_TEXT(starter.out, "");
    CHECK(!exists("pid"));
    CHECK_TEXT(left_behind(), "");
}

TEST("exit 3 before ready is the starter's 3")
{
    fails("exit3", 3, "exited with status 3");
}

TEST("exit 0 before ready becomes 1, and 255 stays")
{
    fails("exit0", 1, "exited with status 0");
    fails("exit255", 255, "exited with status 255");
}

TEST("killed before ready is 128 + N, and the line names the signal")
{
    fails("kill11", 139, "killed by signal 11 (SIGSEGV)");
    fails("kill9", 137, "killed by signal 9 (SIGKILL)");
    fails("kill15", 143, "killed by signal 15 (SIGTERM)");
    fails("abort", 134, "killed by signal 6 (SIGABRT)");
}

PROGRAM(hasty)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    _exit(5);
}

/* With the others that a loaded machine has. */
static void share_one_processor(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    NEED(sched_setaffinity(0, sizeof one, &one) == 0);
}

/* Before the session leader has ended, the daemon is not the starter's to wait for. */
TEST_WITHIN(60, "five hundred daemons that exit at once: each one's status is told")
{
    for (int i = 0; i < 500; i++) {
        struct outcome starter = START(i % 2 == 0 ? share_one_processor : NULL, "hasty", "program=me");
        CHECK_HAS(starter.err, "exited with status 5 before it was ready");
        CHECK_INT(starter.code, 5);
    }
}

static void hides_nothing(surroundings *around)
{
    struct outcome starter = START(around, "unready", "offspring", with_pid_file(), "program=me");
    long first = hear_number();
    CHECK_INT(starter.code, 6);
    CHECK_TEXT(starter.err, text("me: start failed: PID %ld: exited with status 6 before it was ready\n", first));
    CHECK(!exists("pid"));
    for (struct outcome orphan; *children_of(getpid()) != '\0';) {
        orphan = ended((pid_t)atoi(children_of(getpid())));
        CHECK_INT(orphan.signal, SIGKILL);
    }
}

TEST("a child of the daemon that lives on hides nothing, and does not stay")
{
    hides_nothing(NULL);
}

/* A filter of system calls, by which one of them fails. */
static void filter_out(unsigned int call, int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
    NEED(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    NEED(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* As in Linux before 5.3, and below valgrind. */
static void have_no_pidfd(void)
{
    filter_out(SYS_pidfd_open, ENOSYS);
}

TEST("where there are no pidfds, the end of a daemon is noticed as soon")
{
    struct timespec began, now;
    clock_gettime(CLOCK_MONOTONIC, &began);
    struct outcome starter = START(have_no_pidfd, "unready", "exit3", with_pid_file());
    hear_number();
    CHECK_INT(starter.code, 3);
    CHECK(!exists("pid"));
    hides_nothing(have_no_pidfd);
    clock_gettime(CLOCK_MONOTONIC, &now);
    CHECK(now.tv_sec - began.tv_sec < 3);
}

TEST("a timeout is 124, and the daemon is gone")
{
    struct outcome starter = START(NULL, "unready", "never", with_pid_file(), "timeout=150", "program=me");
    hear_number();
    CHECK_INT(starter.code, 124);
    CHECK_TEXT(starter.err, "me: ready failed: 0.150 s: Connection timed out (110 ETIMEDOUT)\n");
    CHECK(!exists("pid"));
    CHECK_TEXT(left_behind(), "");
}

TEST("a daemon that does not end on SIGTERM is killed after five seconds")
{
    struct outcome starter = START(NULL, "unready", "deaf", with_pid_file(), "timeout=50");
    hear_number();
    CHECK_INT(starter.code, 124);
    CHECK(!exists("pid"));
    CHECK_TEXT(left_behind(), "");
}

TEST("without a limit the starter waits")
{
    pid_t starter = LAUNCH(NULL, "manual", "timeout=-1");
    pid_t daemon = (pid_t)hear_number();
    CHECK(!readable_within(watch(starter), 100));
    go();
    CHECK_INT(finish(starter).code, 0);
    HEAR("ready");
    terminate(daemon);
}

static void called_off_by(int signum)
{
    pid_t starter = LAUNCH(NULL, "unready", "never", with_pid_file(), "program=me");
    hear_number();
    NEED(kill(starter, signum) == 0);
    struct outcome end = finish(starter);
    CHECK_INT(end.signal, signum);
    CHECK_HAS(end.err, text("me: start failed: signal %d (", signum));
    CHECK(!exists("pid"));
    CHECK_TEXT(left_behind(), "");
}

TEST("SIGINT, SIGTERM and SIGQUIT call the start off, and kill the starter as they would")
{
    called_off_by(SIGINT);
    called_off_by(SIGTERM);
    called_off_by(SIGQUIT);
}

PROGRAM(orphaned)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    say("%d", (int)getpid());
    await_go();
    int status = daemonctx_ready(ctx);
    say("%d %d", status, errno == EPIPE);
    exit(4);
}

TEST("the daemon of a starter that was killed learns it at ready()")
{
    pid_t starter = LAUNCH(NULL, "orphaned", with_pid_file());
    pid_t daemon = (pid_t)hear_number();
    kill_off(starter);
    go();
    HEAR(text("%d 1", DAEMONCTX_ERROR_SYSTEM));
    /* SIGPIPE has not killed it on the way. */
    CHECK_INT(ended(daemon).code, 4);
    CHECK(!exists("pid"));
}

/* --- fail() --------------------------------------------------------------------------------------------------------- */

/* Arguments: status, message, then settings. */
PROGRAM(failing)
{
    daemonctx *ctx = configured(argc - 2, argv + 2);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    MUST(daemonctx_fail(ctx, atoi(argv[1]), argv[2]));
    exit(0);
}

TEST("fail() gives the starter its status and its line")
{
    struct outcome starter = START(NULL, "failing", "42", "port 80: in use", with_pid_file(), "program=me");
    CHECK_INT(starter.code, 42);
    CHECK_TEXT(starter.err, "me: start failed: port 80: in use\n");
    CHECK(!exists("pid"));
    CHECK_TEXT(left_behind(), "");
}

TEST("a message of fail() stays one line, whatever is in it and however long")
{
    struct outcome starter = START(NULL, "failing", "1", "two\nlines\033[2J", "program=me");
    CHECK_TEXT(starter.err, "me: start failed: two?lines?[2J\n");
    char *long_message = malloc(5001);
    NEED(long_message != NULL);
    memset(long_message, 'x', 5000);
    long_message[5000] = '\0';
    starter = START(NULL, "failing", "9", long_message, "program=me");
    CHECK_INT(starter.code, 9);
    CHECK_HAS(starter.err, "me: start failed: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    CHECK(strchr(starter.err, '\n') == starter.err + strlen(starter.err) - 1);
}

static void say_refusal(daemonctx *ctx, int status, const char *message)
{
    errno = 0;
    daemonctx_status refusal = daemonctx_fail(ctx, status, message);
    say("%d %d", refusal, errno == EINVAL);
}

PROGRAM(stubborn)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    say_refusal(ctx, 0, "zero");
    say_refusal(ctx, 256, "more");
    say_refusal(ctx, 3, NULL);
    MUST(daemonctx_fail(ctx, 5, "I stay"));
    sleep_forever();
}

TEST("fail() refuses a status that is none, and a daemon that stays after it is killed")
{
    struct outcome starter = START(NULL, "stubborn", with_pid_file(), "program=me");
    for (int i = 0; i < 3; i++)
        HEAR(text("%d 1", DAEMONCTX_ERROR_USAGE));
    CHECK_INT(starter.code, 5);
    CHECK_TEXT(starter.err, "me: start failed: I stay\n");
    CHECK(!exists("pid"));
    CHECK_TEXT(left_behind(), "");
}

PROGRAM(failing_here)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_detach(ctx, DAEMONCTX_DETACH_NO));
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    MUST(daemonctx_fail(ctx, 8, "no port"));
    exit(8);
}

TEST("a process that did not detach prints the line of fail() itself")
{
    struct outcome starter = START(NULL, "failing_here", with_pid_file(), "program=me");
    CHECK_INT(starter.code, 8);
    CHECK_TEXT(starter.err, "me: start failed: no port\n");
    CHECK(!exists("pid"));
}

/* --- a step that fails in the daemon -------------------------------------------------------------------------------- */

static void may_not_change_root(void)
{
    filter_out(SYS_chroot, EPERM);
}

TEST("a step that fails after the fork has the line, and nothing stays")
{
    need_root();
    NEED(mkdir("root", 0755) == 0);
    NEED(mkdir("open", 0777) == 0 && chmod("open", 0777) == 0);
    char *file = path("open/pid");
    struct outcome starter = START(may_not_change_root, "daemon", text("chroot=%s", path("root")),
                                   text("pid_file=%s", file), "program=me");
    CHECK_TEXT(starter.err, text("me: chroot failed: %s: Operation not permitted (1 EPERM)\n", path("root")));
    CHECK_INT(starter.code, 1);
    CHECK(!exists(file));
    CHECK(is_silent());
    CHECK_TEXT(left_behind(), "");
}
