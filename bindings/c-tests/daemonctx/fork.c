/* The start that returns in the starter too. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <sched.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The program that goes on tells by lines "program …", the daemon by lines "daemon …"; each at its time. */
static void program_says_how_it_went(daemonctx *ctx, daemonctx_status status, int ready)
{
    const char *why = "";
    int number = errno;
    if (status != DAEMONCTX_OK)
        daemonctx_error(ctx, NULL, &number, &why);
    say("program %d %d %d %s", status, ready, daemonctx_exit_status(ctx), why);
}

__attribute__((noreturn)) static void be_daemon(daemonctx *ctx, const char *how)
{
    await_go();
    if (strcmp(how, "ready") == 0)
        MUST(daemonctx_ready(ctx));
    else if (strcmp(how, "speak") == 0)
        say("daemon %d", daemonctx_ready(ctx));
    else if (strcmp(how, "fail") == 0)
        exit(daemonctx_fail(ctx, 77, "no luck"));
    else if (strcmp(how, "kill") == 0)
        raise(SIGKILL);
    else if (strcmp(how, "exit") == 0)
        exit(5);
    sleep_forever();
}

/* Arguments: what the daemon does when told to, then settings. */
PROGRAM(forker)
{
    pid_t daemon = -1;
    int ready = -1;
    daemonctx *ctx = configured(argc - 1, argv + 1);
    MUST(daemonctx_fork(ctx, &daemon));
    if (daemon == 0)
        be_daemon(ctx, argv[1]);
    say("%d", (int)daemon);
    MUST(daemonctx_wait_ready(ctx, 0, &ready));
    say("%d", ready);
    await_go();
    /* Twice: it knows for good. */
    for (int i = 0; i < 2; i++) {
        daemonctx_status status = daemonctx_wait_ready(ctx, -1, &ready);
        program_says_how_it_went(ctx, status, ready);
    }
    int none = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
    say("program has %s children", none ? "no" : "some");
    sleep_forever();
}

static pid_t program;
static pid_t daemon_pid;

static void forked(const char *how, const char *word)
{
    program = LAUNCH(NULL, "forker", how, "manual=1", with_pid_file(), word);
    daemon_pid = (pid_t)hear_number();
    /* Not ready yet, and asking took no time. */
    HEAR("0");
}

static void both_go(void)
{
    /* Each takes one. */
    go();
    go();
}

static void program_ends_with(const char *line)
{
    HEAR(line);
    HEAR(line);
    HEAR("program has no children");
    CHECK(is_alive(program));
}

TEST("daemonctx_fork(): the program has the daemon's PID, waits for it, and is not its parent")
{
    forked("ready", NULL);
    both_go();
    program_ends_with("program 0 1 0 ");
    CHECK_INT(pid_in("pid"), daemon_pid);
    CHECK(place_of(daemon_pid).parent != program);
    CHECK(place_of(daemon_pid).session != place_of(program).session);
    /* The program is as it was. */
    CHECK_SIGNALS(program, "SigBlk", 0);
    CHECK_SIGNALS(program, "SigIgn", 0);
    CHECK_SIGNALS(program, "SigCgt", 0);
    kill_off(program);
    CHECK(is_alive(daemon_pid));
    terminate(daemon_pid);
    CHECK(!exists("pid"));
}

static void fails(const char *how, const char *word, const char *line)
{
    forked(how, word);
    both_go();
    program_ends_with(line);
    CHECK(!exists("pid"));
    CHECK_TEXT(left_behind(), text("%d", (int)program));
    kill_off(program);
}

TEST("daemonctx_fork(): a daemon that exits first")
{
    forked("exit", NULL);
    both_go();
    program_ends_with(text("program %d 0 5 start failed: PID %d: exited with status 5 before it was ready",
                           DAEMONCTX_ERROR_START, (int)daemon_pid));
    CHECK(!exists("pid"));
    kill_off(program);
}

TEST("daemonctx_fork(): a daemon that is killed first")
{
    forked("kill", NULL);
    both_go();
    program_ends_with(text("program %d 0 137 start failed: PID %d: killed by signal 9 (SIGKILL) before it was ready",
                           DAEMONCTX_ERROR_START, (int)daemon_pid));
    CHECK(!exists("pid"));
    kill_off(program);
}

TEST("daemonctx_fork(): a daemon that says why")
{
    fails("fail", NULL, text("program %d 0 77 start failed: no luck", DAEMONCTX_ERROR_START));
}

TEST("daemonctx_fork(): the ready timeout")
{
    fails("sleep", "timeout=100", text("program %d 0 124 ready failed: 0.100 s: Connection timed out (110 ETIMEDOUT)",
                                       DAEMONCTX_ERROR_TIMEOUT));
}

TEST("daemonctx_fork(): the program is killed, and the start goes on")
{
    forked("speak", NULL);
    kill_off(program);
    go();
    HEAR("daemon 0");
    CHECK(is_alive(daemon_pid));
    CHECK_INT(pid_in("pid"), daemon_pid);
    /* The helper has become ours, and leaves when it knows. */
    for (;;) {
        pid_t first = (pid_t)atoi(children_of(getpid()));
        if (first == daemon_pid)
            break;
        CHECK_INT(ended(first).code, 0);
    }
    terminate(daemon_pid);
    CHECK(!exists("pid"));
}

PROGRAM(refused_forker)
{
    pid_t daemon = -1;
    daemonctx *ctx = configured(argc, argv);
    daemonctx_status status = daemonctx_fork(ctx, &daemon);
    if (daemon == 0 && status == DAEMONCTX_OK)
        _exit(0);
    program_says_how_it_went(ctx, status, (int)daemon);
    int none = waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
    say("program has %s children", none ? "no" : "some");
    return 0;
}

static void be_nobody(void)
{
    NEED(setgid(65534) == 0 && setuid(65534) == 0);
}

TEST("daemonctx_fork(): what is refused before the fork comes back at once")
{
    struct outcome end = START(NULL, "refused_forker", "directory=/no/where", with_pid_file());
    CHECK_INT(end.code, 0);
    HEAR(text("program %d 0 1 working directory failed: /no/where: No such file or directory (2 ENOENT)",
              DAEMONCTX_ERROR_OPTION));
    HEAR("program has no children");
    CHECK(!exists("pid"));
}

PROGRAM(step_forker)
{
    pid_t daemon = -1;
    int ready = -1;
    daemonctx *ctx = configured(argc, argv);
    daemonctx_status status = daemonctx_fork(ctx, &daemon);
    if (status == DAEMONCTX_OK && daemon == 0)
        sleep_forever();
    if (status == DAEMONCTX_OK)
        status = daemonctx_wait_ready(ctx, -1, &ready);
    program_says_how_it_went(ctx, status, status == DAEMONCTX_OK);
    return 0;
}

TEST("daemonctx_fork(): a step that fails in the daemon")
{
    need_root();
    CHECK_INT(START(be_nobody, "step_forker", "chroot=/").code, 0);
    HEAR(text("program %d 0 1 chroot failed: /: Operation not permitted (1 EPERM)", DAEMONCTX_ERROR_SYSTEM));
}

PROGRAM(twice_forker)
{
    daemonctx *ctx = configured(argc, argv);
    for (int i = 0; i < 2; i++) {
        pid_t daemon;
        int ready = 0;
        MUST(daemonctx_set_pid_file(ctx, argv[argc - 2 + i] + strlen("pid_file=")));
        MUST(daemonctx_fork(ctx, &daemon));
        if (daemon == 0)
            sleep_forever();
        MUST(daemonctx_wait_ready(ctx, -1, &ready));
        say("%d", (int)daemon);
    }
    return 0;
}

TEST("daemonctx_fork(): the same handle can start another, and the first holds nothing of it")
{
    CHECK_INT(START(NULL, "twice_forker", text("pid_file=%s", path("a")), text("pid_file=%s", path("b"))).code, 0);
    pid_t first = (pid_t)hear_number();
    pid_t second = (pid_t)hear_number();
    CHECK_INT(pid_in("a"), first);
    CHECK_INT(pid_in("b"), second);
    /* The line to its starter goes a moment after its report; the time limit is the test's. */
    while (strchr(descriptors_of(second) + strlen("0 1 2 "), ' '))
        sched_yield();
    CHECK_TEXT(link_of(second, text("fd/%s", descriptors_of(second) + strlen("0 1 2 "))), path("b"));
    terminate(first);
    CHECK(!exists("a"));
    CHECK_INT(pid_in("b"), second);
    terminate(second);
    CHECK(!exists("b"));
}

PROGRAM(reaper)
{
    pid_t daemon;
    int ready = 0;
    signal(SIGCHLD, SIG_IGN);
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_fork(ctx, &daemon));
    if (daemon == 0)
        sleep_forever();
    daemonctx_status status = daemonctx_wait_ready(ctx, -1, &ready);
    program_says_how_it_went(ctx, status, ready);
    say("%d", (int)daemon);
    return 0;
}

TEST("daemonctx_fork(): in a program that ignores SIGCHLD")
{
    CHECK_INT(START(NULL, "reaper", with_pid_file()).code, 0);
    HEAR("program 0 1 0 ");
    terminate((pid_t)hear_number());
}

PROGRAM(reuser)
{
    pid_t daemon = -1;
    int ready = -1;
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    MUST(daemonctx_fork(ctx, &daemon));
    if (daemon == 0)
        sleep_forever();
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    int file = open(path("data"), O_RDWR | O_CREAT, 0600);
    for (int i = 0; i < 20; i++)
        dup(file);
    if (write(file, "precious\n", 9) != 9 || lseek(file, 0, SEEK_SET) != 0)
        return 99;
    daemonctx_status status = daemonctx_wait_ready(ctx, -1, &ready);
    say("%d %d", status == DAEMONCTX_OK, (int)lseek(file, 0, SEEK_CUR));
    say("%d", (int)daemon);
    sleep_forever();
}

TEST("daemonctx_wait_ready() after the program closed what it does not know: an error, and no file of the program is read")
{
    pid_t program = LAUNCH(NULL, "reuser");
    HEAR("0 0");
    CHECK(!is_alive((pid_t)hear_number()));
    terminate(program);
}

/* Argument: a pid file. */
PROGRAM(often)
{
    daemonctx_pidfile *file = daemonctx_pidfile_new(argv[1]);
    for (int i = 0; i < 100; i++) {
        pid_t daemon = -1;
        int ready = 0;
        daemonctx *ctx = configured(0, argv + 1);
        MUST(daemonctx_set_pid_file(ctx, argv[1]));
        MUST(daemonctx_fork(ctx, &daemon));
        if (daemon == 0)
            sleep_forever();
        MUST(daemonctx_wait_ready(ctx, -1, &ready));
        MUST(daemonctx_pidfile_stop(file, 10000, NULL));
        daemonctx_free(ctx);
    }
    say("a hundred");
    daemonctx_pidfile_free(file);
    return 0;
}

TEST("a program that goes on starts as many daemons as it likes")
{
    CHECK_TEXT(START(NULL, "often", path("pid")).err, "");
    HEAR("a hundred");
    CHECK(!exists("pid"));
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}
