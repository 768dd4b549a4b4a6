/* Where a start may happen: terminals, missing streams, odd signals, below inetd, in a container. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- a terminal ----------------------------------------------------------------------------------------------------- */

static int terminal; /* the side of whoever looks at it */
static int typed;    /* the program's side */

static void open_terminal(void)
{
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    NEED(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    typed = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    NEED(typed >= 0);
}

/* As a login does it: the starter leads the session whose terminal this is. */
static void log_in(void)
{
    NEED(setsid() >= 0);
    NEED(ioctl(typed, TIOCSCTTY, 0) == 0);
    for (int stream = 0; stream < 3; stream++)
        NEED(dup2(typed, stream) == stream);
}

static void close_terminal(void)
{
    close(typed);
    close(terminal);
}

TEST("from a terminal that closes as soon as the starter has left")
{
    open_terminal();
    pid_t starter = LAUNCH(log_in, "daemon", with_pid_file());
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(ended(starter).code, 0);
    CHECK_INT(place_of(daemon).terminal, 0);
    close_terminal();
    CHECK(!readable_within(watch(daemon), 50));
    CHECK_INT(pid_in("pid"), daemon);
    terminate(daemon);
}

PROGRAM(slow)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    say("%d", (int)getpid());
    await_go();
    MUST(daemonctx_ready(ctx));
    say("ready");
    sleep_forever();
}

TEST("a terminal that closes in the middle of a start does not end it")
{
    open_terminal();
    pid_t starter = LAUNCH(log_in, "slow", with_pid_file());
    pid_t daemon = (pid_t)hear_number();
    /* SIGHUP for all that belong to the terminal. */
    close_terminal();
    go();
    HEAR("ready");
    CHECK_INT(ended(starter).code, 0);
    CHECK(is_alive(daemon));
    terminate(daemon);
    CHECK(!exists("pid"));
}

TEST("a terminal that closes at any moment: there is a daemon, or nothing")
{
    for (int round = 0; round < 50; round++) {
        open_terminal();
        pid_t starter = LAUNCH(log_in, "daemon", with_pid_file());
        /* Loops of growing length instead of a sleep, as that would be too long for most moments. */
        for (volatile int wait = 0; wait < round * 20000; wait++)
            continue;
        close_terminal();
        struct outcome end = ended(starter);
        if (end.code == 0) {
            terminate((pid_t)hear_number());
        } else {
            /* Before the start the program is as mortal as any. */
            CHECK(end.signal == SIGHUP);
            CHECK(is_silent());
        }
        CHECK(!exists("pid"));
    }
}

TEST("the daemon cannot get a terminal by opening one")
{
    open_terminal();
    CHECK_INT(START(NULL, "daemon", text("in=file:%s", ptsname(terminal))).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(place_of(daemon).terminal, 0);
    terminate(daemon);
    close_terminal();
}

/* --- streams that are closed ---------------------------------------------------------------------------------------- */

static unsigned closed;

static void close_streams(void)
{
    for (int stream = 0; stream < 3; stream++)
        if (closed & 1U << stream)
            close(stream);
}

TEST("with any of descriptors 0 to 2 closed: the daemon has all three")
{
    for (closed = 0; closed < 8; closed++) {
        CHECK_INT(START(close_streams, "daemon", with_pid_file()).code, 0);
        pid_t daemon = (pid_t)hear_number();
        for (int stream = 0; stream < 3; stream++)
            CHECK_TEXT(link_of(daemon, text("fd/%d", stream)), "/dev/null");
        CHECK_INT(pid_in("pid"), daemon);
        terminate(daemon);
    }
}

TEST("with any of descriptors 0 to 2 closed: streams to inherit or from others' numbers are open")
{
    for (closed = 0; closed < 8; closed++) {
        CHECK_INT(START(close_streams, "daemon", "in=inherit", "out=inherit", "err=inherit").code, 0);
        pid_t daemon = (pid_t)hear_number();
        CHECK_TEXT(descriptors_of(daemon), "0 1 2");
        terminate(daemon);
    }
}

PROGRAM(early_exit)
{
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    say("%s", content(getenv("PID_FILE")));
    /* Where standard error was closed, nothing of ours may have its number now. */
    fputs("text for standard error\n", stderr);
    exit(5);
}

TEST("with any of descriptors 0 to 2 closed: a failing start tells its status, and writes into no file")
{
    NEED(setenv("PID_FILE", path("pid"), 1) == 0);
    for (closed = 0; closed < 8; closed++) {
        write_file("log", "");
        CHECK_INT(START(close_streams, "early_exit", with_pid_file(), text("out=file:%s", path("log"))).code, 5);
        CHECK(atoi(hear()) > 1);
        HEAR("");
        CHECK(is_silent());
        CHECK_TEXT(content("log"), "");
        CHECK(!exists("pid"));
    }
}

/* --- signals -------------------------------------------------------------------------------------------------------- */

static uint64_t terminal_stops(void)
{
    return signal_bit(SIGTSTP) | signal_bit(SIGTTIN) | signal_bit(SIGTTOU);
}

static void ignore_some(void)
{
    signal(SIGHUP, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGQUIT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGRTMIN, SIG_IGN);
}

TEST("inherited \"ignored\" goes back to the default, and the start works below it")
{
    CHECK_INT(START(ignore_some, "daemon").code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_SIGNALS(daemon, "SigIgn", terminal_stops());
    CHECK_SIGNALS(daemon, "SigCgt", 0);
    terminate(daemon);
}

TEST("with SIGCHLD ignored a failing start still tells its status")
{
    NEED(setenv("PID_FILE", path("pid"), 1) == 0);
    struct outcome starter = START(ignore_some, "early_exit", with_pid_file(), "program=me");
    CHECK_HAS(starter.err, "exited with status 5 before it was ready\n");
    CHECK_INT(starter.code, 5);
    hear();
    HEAR("");
}

static void block_all(void)
{
    sigset_t all;
    sigfillset(&all);
    NEED(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
}

TEST("with all signals blocked: the daemon's mask is empty")
{
    CHECK_INT(START(block_all, "daemon", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_SIGNALS(daemon, "SigBlk", 0);
    terminate(daemon);
    CHECK(!exists("pid"));
}

static void caught(int signum)
{
    say("caught %d", signum);
}

PROGRAM(handler)
{
    struct sigaction action = {.sa_handler = caught};
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);
    sigaction(SIGTTOU, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGUSR2, SIG_IGN);
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("what the program has installed itself stays, SIGTERM's handler with a pid file too")
{
    CHECK_INT(START(ignore_some, "handler", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number();
    NEED(kill(daemon, SIGUSR1) == 0);
    HEAR(text("caught %d", SIGUSR1));
    NEED(kill(daemon, SIGTERM) == 0);
    HEAR(text("caught %d", SIGTERM));
    NEED(kill(daemon, SIGCHLD) == 0);
    HEAR(text("caught %d", SIGCHLD));
    NEED(kill(daemon, SIGTTOU) == 0);
    HEAR(text("caught %d", SIGTTOU));
    /* SIGUSR2 was not ignored before, so it is the program's wish; SIGPIPE was, and nobody can tell. */
    uint64_t ignored = signals_of(daemon, "SigIgn");
    CHECK((ignored & signal_bit(SIGUSR2)) != 0);
    CHECK((ignored & signal_bit(SIGUSR1)) == 0);
    kill_off(daemon);
}

TEST("a program's own SIG_IGN stays where nothing was inherited")
{
    CHECK_INT(START(NULL, "handler").code, 0);
    pid_t daemon = (pid_t)hear_number();
    /* It has its own handler for SIGTTOU. */
    uint64_t ignored = terminal_stops() & ~signal_bit(SIGTTOU);
    CHECK_SIGNALS(daemon, "SigIgn", ignored | signal_bit(SIGPIPE) | signal_bit(SIGUSR2));
    kill_off(daemon);
}

TEST("the signal map: default, ignore, keep")
{
    pid_t starter = LAUNCH(ignore_some, "handler", text("signal=%d:%d", SIGUSR1, DAEMONCTX_SIGNAL_DEFAULT),
                           text("signal=%d:%d", SIGTERM, DAEMONCTX_SIGNAL_IGNORE),
                           text("signal=%d:%d", SIGHUP, DAEMONCTX_SIGNAL_KEEP),
                           text("signal=%d:%d", SIGTSTP, DAEMONCTX_SIGNAL_DEFAULT), with_pid_file());
    CHECK_INT(finish(starter).code, 0);
    pid_t daemon = (pid_t)hear_number();
    uint64_t ignored = signals_of(daemon, "SigIgn");
    uint64_t handled = signals_of(daemon, "SigCgt");
    CHECK(((ignored | handled) & signal_bit(SIGUSR1)) == 0);
    CHECK((ignored & signal_bit(SIGTERM)) != 0);
    CHECK((ignored & signal_bit(SIGHUP)) != 0);
    CHECK(((ignored | handled) & signal_bit(SIGTSTP)) == 0);
    kill_off(daemon);
}

TEST("SIGTERM set to its default removes the pid file all the same")
{
    pid_t starter = LAUNCH(NULL, "handler", text("signal=%d:%d", SIGTERM, DAEMONCTX_SIGNAL_DEFAULT), with_pid_file());
    CHECK_INT(finish(starter).code, 0);
    terminate((pid_t)hear_number());
    CHECK(!exists("pid"));
}

/* --- below a supervisor --------------------------------------------------------------------------------------------- */

static int service;

static int connection_on_loopback(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof here;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NEED(bind(listener, (struct sockaddr *)&here, length) == 0 && listen(listener, 1) == 0);
    NEED(getsockname(listener, (struct sockaddr *)&here, &length) == 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NEED(connect(client, (struct sockaddr *)&here, length) == 0);
    service = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    NEED(service >= 0);
    close(listener);
    return client;
}

static void be_served(void)
{
    for (int stream = 0; stream < 3; stream++)
        NEED(dup2(service, stream) == stream);
}

PROGRAM(answerer)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    await_go();
    return write(STDOUT_FILENO, "hello", 5) == 5 ? 0 : 1;
}

TEST("below inetd: no fork, and descriptors 0 to 2 stay the connection")
{
    char answer[8] = "";
    int client = connection_on_loopback();
    pid_t served = LAUNCH(be_served, "answerer", with_pid_file());
    CHECK_INT(hear_number(), served);
    CHECK_INT(pid_in("pid"), served);
    CHECK_TEXT(link_of(served, "fd/0"), link_of(served, "fd/1"));
    CHECK_HAS(link_of(served, "fd/0"), "socket:");
    CHECK_TEXT(link_of(served, "cwd"), "/");
    go();
    CHECK_INT(ended(served).code, 0);
    CHECK(readable_within(client, 5000));
    CHECK_INT(read(client, answer, sizeof answer), 5);
    CHECK_TEXT(answer, "hello");
    CHECK(!exists("pid"));
}

TEST("below inetd: a stream that was asked for is that")
{
    connection_on_loopback();
    pid_t served = LAUNCH(be_served, "answerer", text("err=file:%s", path("log")), "in=null");
    CHECK_INT(hear_number(), served);
    CHECK_TEXT(link_of(served, "fd/0"), "/dev/null");
    CHECK_HAS(link_of(served, "fd/1"), "socket:");
    CHECK_TEXT(link_of(served, "fd/2"), path("log"));
    go();
    CHECK_INT(ended(served).code, 0);
}

TEST("below inetd: detach yes detaches")
{
    connection_on_loopback();
    pid_t served = LAUNCH(be_served, "daemon", text("detach=%d", DAEMONCTX_DETACH_YES));
    pid_t daemon = (pid_t)hear_number();
    CHECK(daemon != served);
    CHECK_INT(ended(served).code, 0);
    terminate(daemon);
}

TEST("below inetd with \"wait\": a listening socket, also one of a unix socket, is a service")
{
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "socket"};
    service = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    NEED(bind(service, (struct sockaddr *)&name, sizeof name) == 0 && listen(service, 1) == 0);
    pid_t served = LAUNCH(be_served, "daemon");
    CHECK_INT(hear_number(), served);
    terminate(served);
}

TEST("a socket pair on standard input is a parent's pipe and not inetd")
{
    int pair[2];
    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    service = pair[0];
    pid_t starter = LAUNCH(be_served, "daemon");
    pid_t daemon = (pid_t)hear_number();
    CHECK(daemon != starter);
    CHECK_INT(ended(starter).code, 0);
    CHECK_TEXT(link_of(daemon, "fd/0"), "/dev/null");
    terminate(daemon);
}

TEST("detach no: the same process, all else as in a daemon")
{
    pid_t starter = LAUNCH(NULL, "daemon", text("detach=%d", DAEMONCTX_DETACH_NO), with_pid_file());
    CHECK_INT(hear_number(), starter);
    CHECK_INT(pid_in("pid"), starter);
    CHECK_TEXT(link_of(starter, "cwd"), "/");
    CHECK_TEXT(link_of(starter, "fd/1"), "/dev/null");
    terminate(starter);
    CHECK(!exists("pid"));
}

/* --- a container ---------------------------------------------------------------------------------------------------- */

static pid_t init_of_container;

/* Becomes PID 1 of a new PID namespace, runs the program as its child, and tells what became of the starter. */
__attribute__((noreturn)) static void be_init(surroundings *around, const char *const *argv)
{
    pid_t program = launch(around, argv);
    int status;
    NEED(waitpid(program, &status, 0) == program);
    say("starter %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    for (;;)
        waitpid(-1, NULL, 0) < 0 ? (void)pause() : (void)0;
}

static void in_container(surroundings *around, const char *const *argv)
{
    need_root();
    if (unshare(CLONE_NEWPID) < 0)
        skip("no PID namespace: %s", strerror(errno));
    init_of_container = fork();
    NEED(init_of_container >= 0);
    if (init_of_container == 0)
        be_init(around, argv);
}

/* PID 1 takes the whole namespace with it. */
static void end_container(void)
{
    kill_off(init_of_container);
}

TEST("as a child of PID 1 in a PID namespace: detaches, and PID 1 adopts the daemon")
{
    in_container(NULL, (const char *const[]){"daemon", with_pid_file(), NULL});
    /* Who of the two is first is open. */
    char *first = hear();
    char *second = hear();
    bool starter_first = strcmp(first, "starter 0") == 0;
    CHECK_TEXT(starter_first ? first : second, "starter 0");
    pid_t inside = (pid_t)atoi(starter_first ? second : first);
    CHECK_INT(pid_in("pid"), inside);
    pid_t outside = (pid_t)atoi(children_of(init_of_container));
    CHECK_TEXT(status_of(outside, "NSpid"), text("%d %d", (int)outside, (int)inside));
    /* Not the process that was started, which leads no session. */
    CHECK(inside != 2);
    end_container();
}

static void lead_session(void)
{
    NEED(setsid() > 0);
}

TEST("as a session leader below PID 1: somebody has detached it already")
{
    in_container(lead_session, (const char *const[]){"daemon", with_pid_file(), NULL});
    CHECK_INT(hear_number(), 2);
    CHECK_INT(pid_in("pid"), 2);
    end_container();
}

TEST("as a child of PID 1 in a PID namespace: a failing start has its status")
{
    NEED(setenv("PID_FILE", path("pid"), 1) == 0);
    in_container(NULL, (const char *const[]){"early_exit", with_pid_file(), NULL});
    hear();
    HEAR("");
    HEAR("starter 5");
    CHECK(!exists("pid"));
    CHECK_TEXT(children_of(init_of_container), "");
    end_container();
}
