/* <libdaemon/dsignal.h> */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "common.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool has_signal(void)
{
    return readable_within(daemon_signal_fd(), 0);
}

static void init_is(int result)
{
    CHECK_INT(result, 0);
    CHECK(daemon_signal_fd() >= 0);
}

/* The next signal, which may be on its way. */
static int awaited(void)
{
    CHECK(readable_within(daemon_signal_fd(), 5000));
    return daemon_signal_next();
}

TEST("before init: no descriptor, and no signals, EBADF")
{
    quietly();
    CHECK_INT(daemon_signal_fd(), -1);
    CHECK_CALL(daemon_signal_next(), "-1 EBADF");
    daemon_signal_done();
}

TEST("signals come in the order of their arrival, each time they have come, then 0")
{
    init_is(daemon_signal_init(SIGHUP, SIGUSR1, SIGUSR2, SIGRTMIN + 3, 0));
    CHECK(!has_signal());
    CHECK_INT(daemon_signal_next(), 0);
    static const int order[] = {SIGUSR2, SIGHUP, SIGUSR1, SIGUSR1, SIGUSR2};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        raise(order[i]);
    raise(SIGRTMIN + 3);
    CHECK(has_signal());
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        CHECK_INT(daemon_signal_next(), order[i]);
    CHECK_INT(daemon_signal_next(), SIGRTMIN + 3);
    CHECK(!has_signal());
    CHECK_INT(daemon_signal_next(), 0);
    daemon_signal_done();
}

TEST("every signal that can be handled can be, and each has its number")
{
    init_is(daemon_signal_init(0));
    for (int signum = 1; signum <= SIGRTMAX; signum++) {
        if (signum == SIGKILL || signum == SIGSTOP || (signum > 31 && signum < SIGRTMIN))
            continue;
        CHECK_CALL(daemon_signal_install(signum), "0");
        raise(signum);
        CHECK_INT(daemon_signal_next(), signum);
    }
}

TEST("the descriptor does not block and can be polled; others' flags are not its business")
{
    init_is(daemon_signal_init(SIGTERM, 0));
    int fd = daemon_signal_fd();
    CHECK((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK_INT(daemon_signal_fd(), fd);
    pid_t test = getpid();
    pid_t child = fork();
    if (child == 0) {
        kill(test, SIGTERM);
        _exit(0);
    }
    CHECK_INT(awaited(), SIGTERM);
    CHECK_INT(ended(child).code, 0);
}

TEST("SIGCHLD, also when it was ignored before")
{
    signal(SIGCHLD, SIG_IGN);
    init_is(daemon_signal_init(SIGCHLD, 0));
    pid_t child = fork();
    if (child == 0)
        _exit(3);
    CHECK_INT(awaited(), SIGCHLD);
    CHECK_INT(ended(child).code, 3);
}

TEST("init and install unblock their signals, and no others")
{
    block_all_signals();
    init_is(daemon_signal_init(SIGHUP, SIGTERM, 0));
    CHECK_CALL(daemon_signal_install(SIGUSR1), "0");
    char *now = text(" %s ", blocked());
    CHECK(strstr(now, text(" %d ", SIGHUP)) == NULL);
    CHECK(strstr(now, text(" %d ", SIGTERM)) == NULL);
    CHECK(strstr(now, text(" %d ", SIGUSR1)) == NULL);
    CHECK_HAS(now, text(" %d ", SIGINT));
    CHECK_HAS(now, text(" %d ", SIGUSR2));
    raise(SIGTERM);
    raise(SIGUSR2);
    CHECK_INT(daemon_signal_next(), SIGTERM);
    CHECK_INT(daemon_signal_next(), 0);
}

TEST("calls that can be are restarted when a signal comes")
{
    int ends[2];
    char byte = 0;
    pid_t test = getpid();
    NEED(pipe(ends) == 0);
    init_is(daemon_signal_init(SIGUSR1, 0));
    pid_t child = fork();
    if (child == 0) {
        while (place_of(test).state != 'S')
            continue;
        kill(test, SIGUSR1);
        CHECK(readable_within(daemon_signal_fd(), 5000));
        NEED(write(ends[1], "x", 1) == 1);
        _exit(0);
    }
    CHECK_CALL(read(ends[0], &byte, 1), "1");
    CHECK_INT(byte, 'x');
    CHECK_INT(daemon_signal_next(), SIGUSR1);
    CHECK_INT(ended(child).code, 0);
}

TEST("the handler leaves errno as it is")
{
    init_is(daemon_signal_init(SIGUSR1, 0));
    errno = ENOLCK;
    raise(SIGUSR1);
    CHECK_INT(errno, ENOLCK);
}

TEST("init with no signal makes the descriptor, install alone too")
{
    init_is(daemon_signal_init(0));
    CHECK_INT(daemon_signal_next(), 0);
    daemon_signal_done();
    CHECK_CALL(daemon_signal_install(SIGUSR1), "0");
    CHECK(daemon_signal_fd() >= 0);
    raise(SIGUSR1);
    CHECK_INT(daemon_signal_next(), SIGUSR1);
}

TEST("a list of more signals than fit into registers")
{
    init_is(daemon_signal_init(1, 2, 3, 10, 12, 13, 14, 15, 17, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 40, 41, 42, 64, 0));
    raise(64);
    raise(42);
    CHECK_INT(daemon_signal_next(), 64);
    CHECK_INT(daemon_signal_next(), 42);
}

TEST("init again: what was installed stays, what was queued too, and the descriptor")
{
    init_is(daemon_signal_init(SIGHUP, 0));
    int fd = daemon_signal_fd();
    raise(SIGHUP);
    init_is(daemon_signal_init(SIGTERM, 0));
    CHECK_INT(daemon_signal_fd(), fd);
    raise(SIGTERM);
    raise(SIGHUP);
    CHECK_INT(daemon_signal_next(), SIGHUP);
    CHECK_INT(daemon_signal_next(), SIGTERM);
    CHECK_INT(daemon_signal_next(), SIGHUP);
    CHECK_INT(daemon_signal_next(), 0);
}

TEST("signals that cannot be handled: EINVAL; those before it in the list are installed, those after it are not")
{
    quietly();
    CHECK_CALL(daemon_signal_install(SIGKILL), "-1 EINVAL");
    CHECK_CALL(daemon_signal_install(SIGSTOP), "-1 EINVAL");
    CHECK_CALL(daemon_signal_install(0), "-1 EINVAL");
    CHECK_CALL(daemon_signal_install(99), "-1 EINVAL");
    CHECK_CALL(daemon_signal_install(-1), "-1 EINVAL");
    CHECK_CALL(daemon_signal_init(SIGUSR2, SIGSTOP, SIGUSR1, 0), "-1 EINVAL");
    CHECK_TEXT(disposition(SIGUSR2), "handled");
    CHECK_TEXT(disposition(SIGUSR1), "default");
}

TEST("a negative number ends the list of init, as 0 does")
{
    init_is(daemon_signal_init(SIGHUP, -1, SIGUSR2, 0));
    CHECK_TEXT(disposition(SIGHUP), "handled");
    CHECK_TEXT(disposition(SIGUSR2), "default");
}

TEST("done: no descriptor, nothing queued; the signals do no harm; init begins anew")
{
    quietly();
    init_is(daemon_signal_init(SIGUSR1, SIGTERM, 0));
    int fd = daemon_signal_fd();
    raise(SIGUSR1);
    daemon_signal_done();
    CHECK_INT(fcntl(fd, F_GETFD), -1);
    CHECK_INT(daemon_signal_fd(), -1);
    CHECK_CALL(daemon_signal_next(), "-1 EBADF");
    raise(SIGTERM);
    daemon_signal_done();
    init_is(daemon_signal_init(SIGUSR2, 0));
    CHECK_INT(daemon_signal_next(), 0);
    raise(SIGUSR2);
    CHECK_INT(daemon_signal_next(), SIGUSR2);
    daemon_signal_done();
}

PROGRAM(tidy)
{
    NEED(daemon_signal_init(SIGUSR1, SIGUSR2, 0) == 0);
    raise(SIGUSR1);
    NEED(daemon_signal_next() == SIGUSR1);
    daemon_signal_done();
    say("%s", own_descriptors());
    return 0;
}

TEST("no descriptor is left of it")
{
    CHECK_INT(START(NULL, "tidy").code, 0);
    HEAR("0 1 2");
}

TEST("a child that calls done and init has its own")
{
    init_is(daemon_signal_init(SIGTERM, 0));
    int ready[2];
    NEED(pipe(ready) == 0);
    pid_t child = fork();
    if (child == 0) {
        daemon_signal_done();
        init_is(daemon_signal_init(SIGTERM, 0));
        NEED(write(ready[1], "x", 1) == 1);
        _exit(awaited() == SIGTERM ? 5 : 6);
    }
    CHECK(readable_within(ready[0], 5000));
    NEED(kill(child, SIGTERM) == 0);
    CHECK_INT(ended(child).code, 5);
    CHECK_INT(daemon_signal_next(), 0);
}

PROGRAM(forks_after_init)
{
    NEED(daemon_signal_init(SIGTERM, SIGHUP, 0) == 0);
    if (daemon_fork() != 0)
        _exit(0);
    say("%d", (int)getpid());
    for (int signum; readable_within(daemon_signal_fd(), 10000) && (signum = daemon_signal_next()) > 0;)
        say("%d", signum);
    return 0;
}

TEST("signals installed before daemon_fork reach the daemon")
{
    CHECK_INT(START(NULL, "forks_after_init").code, 0);
    pid_t daemon = (pid_t)hear_number();
    NEED(kill(daemon, SIGHUP) == 0);
    CHECK_INT(hear_number(), SIGHUP);
    NEED(kill(daemon, SIGTERM) == 0);
    CHECK_INT(hear_number(), SIGTERM);
    kill_off(daemon);
}

TEST("sixteen thousand at once are all there")
{
    init_is(daemon_signal_init(SIGUSR1, SIGUSR2, 0));
    for (int i = 0; i < 16000; i++)
        raise(i % 3 == 0 ? SIGUSR2 : SIGUSR1);
    for (int i = 0; i < 16000; i++)
        CHECK_INT(daemon_signal_next(), i % 3 == 0 ? SIGUSR2 : SIGUSR1);
    CHECK_INT(daemon_signal_next(), 0);
}
