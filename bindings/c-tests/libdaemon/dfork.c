/* <libdaemon/dfork.h>: daemon_fork. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void catch(int signum)
{
    (void)signum;
    caught++;
}

/* Arguments: use=N, what daemon_log_use is to be; catch=SIGNAL; ignore=SIGNAL; block; text. */
static void prepare(char **words)
{
    for (; *words != NULL; words++) {
        char *value = strchr(*words, '=');
        int number = value == NULL ? 0 : atoi(value + 1);
        if (strncmp(*words, "use=", 4) == 0)
            daemon_log_use = (enum daemon_log_flags)number;
        else if (strncmp(*words, "catch=", 6) == 0)
            signal(number, catch);
        else if (strncmp(*words, "ignore=", 7) == 0)
            signal(number, SIG_IGN);
        else if (strcmp(*words, "block") == 0)
            block_all_signals();
        else if (strcmp(*words, "text") == 0)
            printf("text");
    }
}

/* Both say "PID USE", the parent also how it finds itself afterwards; then it ends. */
PROGRAM(forks_daemon)
{
    prepare(argv + 1);
    pid_t pid = daemon_fork();
    if (pid < 0) {
        say("parent failed %s", strerrorname_np(errno));
        say("signals %s|%s", disposition(SIGCHLD), blocked());
        say("children %s", RESULT(waitpid(-1, NULL, WNOHANG)));
        return 1;
    }
    if (pid == 0) {
        say("daemon %d %d", (int)getpid(), (int)daemon_log_use);
        sleep_forever();
    }
    say("parent %d %d", (int)pid, (int)daemon_log_use);
    say("signals %s|%s", disposition(SIGCHLD), blocked());
    say("children %s", RESULT(waitpid(-1, NULL, WNOHANG)));
    say("caught %d", (int)caught);
    return 0;
}

/* The daemon's PID as the parent was given it. Nothing waits for the daemon: what it is now it was before the parent went on. */
static pid_t fork_by(pid_t parent)
{
    CHECK_INT(finish(parent).code, 0);
    return (pid_t)atoi(hear_from("parent"));
}

/* The same, when daemon_fork has returned in the daemon too: its mask may be last. */
static pid_t running_by(pid_t parent)
{
    pid_t daemon = fork_by(parent);
    CHECK_INT(atoi(hear_from("daemon")), daemon);
    return daemon;
}

static pid_t forked(surroundings *around)
{
    return fork_by(LAUNCH(around, "forks_daemon"));
}

TEST("the parent is given the daemon's PID, the daemon 0; nothing is left to wait for")
{
    pid_t daemon = forked(NULL);
    CHECK_INT(atoi(hear_from("daemon")), daemon);
    HEAR_FROM("children", "-1 ECHILD");
    CHECK_INT(place_of(daemon).parent, getpid());
    terminate(daemon);
}

TEST("the daemon is in a session of its own that has neither terminal nor leader")
{
    pid_t daemon = forked(NULL);
    struct place place = place_of(daemon);
    CHECK(place.session != daemon);
    CHECK_INT(place.group, place.session);
    CHECK(place.session != place_of(getpid()).session);
    CHECK_INT(place.terminal, 0);
    CHECK(!exists(text("/proc/%d", (int)place.session)));
    terminate(daemon);
}

TEST("its directory is /, its umask 0077 and not the 0777 of the header")
{
    pid_t daemon = forked(NULL);
    CHECK_TEXT(link_of(daemon, "cwd"), "/");
    CHECK_TEXT(status_of(daemon, "Umask"), "0077");
    terminate(daemon);
}

static int access_of(pid_t process, int fd)
{
    char *info = content(text("/proc/%d/fdinfo/%d", (int)process, fd));
    return (int)strtol(strstr(info, "flags:") + strlen("flags:"), NULL, 8) & O_ACCMODE;
}

static void has_null_streams(pid_t daemon)
{
    for (int stream = 0; stream < 3; stream++)
        CHECK_TEXT(link_of(daemon, text("fd/%d", stream)), "/dev/null");
    CHECK(access_of(daemon, 0) != O_WRONLY);
    CHECK(access_of(daemon, 1) != O_RDONLY);
    CHECK(access_of(daemon, 2) != O_RDONLY);
}

TEST("its descriptors 0 to 2 are on /dev/null, none is added")
{
    pid_t daemon = forked(NULL);
    /* Until it has come back from daemon_fork() it may have the line to its starter. */
    CHECK_INT(atoi(hear_from("daemon")), daemon);
    has_null_streams(daemon);
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    terminate(daemon);
}

TEST("all other descriptors stay open")
{
    pid_t daemon = forked(leak_descriptors);
    /* Until it has come back from daemon_fork() it may have the line to its starter. */
    CHECK_INT(atoi(hear_from("daemon")), daemon);
    has_null_streams(daemon);
    CHECK_TEXT(descriptors_of(daemon), "0 1 2 3 4 5 7 20 100 255 700");
    terminate(daemon);
}

static unsigned closed;

static void close_streams(void)
{
    for (int stream = 0; stream < 3; stream++)
        if (closed & 1U << stream)
            close(stream);
}

TEST("with any of descriptors 0 to 2 closed")
{
    for (closed = 0; closed < 8; closed++) {
        pid_t daemon = forked(close_streams);
        CHECK_INT(atoi(hear_from("daemon")), daemon);
        has_null_streams(daemon);
        CHECK_TEXT(descriptors_of(daemon), "0 1 2");
        terminate(daemon);
    }
}

static uint64_t stops(void)
{
    return signal_bit(SIGTTOU) | signal_bit(SIGTTIN) | signal_bit(SIGTSTP);
}

TEST("TTOU, TTIN and TSTP are ignored; other dispositions are the caller's, ignored or handled")
{
    pid_t daemon = forked(NULL);
    /* Until it has come back from daemon_fork() it holds SIGPIPE back. */
    hear_from("daemon");
    CHECK_SIGNALS(daemon, "SigIgn", stops());
    CHECK_SIGNALS(daemon, "SigCgt", 0);
    CHECK_SIGNALS(daemon, "SigBlk", 0);
    terminate(daemon);
    daemon = fork_by(LAUNCH(NULL, "forks_daemon", "ignore=1", "ignore=13", "catch=10", "catch=20", "catch=40", "ignore=41"));
    CHECK_SIGNALS(daemon, "SigIgn", stops() | signal_bit(1) | signal_bit(13) | signal_bit(41));
    CHECK_SIGNALS(daemon, "SigCgt", signal_bit(10) | signal_bit(40));
    terminate(daemon);
}

/* In parent and daemon alike. */
static void keeps_signals(const char *word, const char *sigchld, uint64_t ignored, uint64_t handled)
{
    pid_t daemon = running_by(LAUNCH(NULL, "forks_daemon", word));
    HEAR_FROM("signals", text("%s|", sigchld));
    HEAR_FROM("caught", "0");
    CHECK_SIGNALS(daemon, "SigIgn", stops() | ignored);
    CHECK_SIGNALS(daemon, "SigCgt", handled);
    CHECK_SIGNALS(daemon, "SigBlk", 0);
    terminate(daemon);
}

TEST("SIGCHLD: ignored, handled or default, it is so again in both, and a handler is not called for what is ours")
{
    keeps_signals(text("ignore=%d", SIGCHLD), "ignored", signal_bit(SIGCHLD), 0);
    keeps_signals(text("catch=%d", SIGCHLD), "handled", 0, signal_bit(SIGCHLD));
    keeps_signals("", "default", 0, 0);
}

TEST("all signals blocked: they are in both, and it works")
{
    block_all_signals();
    char *all = blocked();
    pid_t daemon = running_by(LAUNCH(NULL, "forks_daemon", "block", text("catch=%d", SIGCHLD)));
    HEAR_FROM("signals", text("handled|%s", all));
    CHECK_SIGNALS(daemon, "SigBlk", signals_of(getpid(), "SigBlk"));
    sigset_t none;
    sigemptyset(&none);
    NEED(sigprocmask(SIG_SETMASK, &none, NULL) == 0);
    kill_off(daemon);
}

/* --- a terminal ----------------------------------------------------------------------------------------------------- */

static int terminal;
static int typed;

/* As a login does it: the program leads the session whose terminal this is. */
static void log_in(void)
{
    NEED(setsid() >= 0);
    NEED(ioctl(typed, TIOCSCTTY, 0) == 0);
    for (int stream = 0; stream < 3; stream++)
        NEED(dup2(typed, stream) == stream);
}

TEST("from a terminal, which closes afterwards")
{
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    NEED(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    typed = open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
    NEED(typed >= 0);
    pid_t daemon = forked(log_in);
    CHECK_INT(place_of(daemon).terminal, 0);
    has_null_streams(daemon);
    close(typed);
    close(terminal);
    CHECK(!ends_within(daemon, 50));
    terminate(daemon);
}

/* --- daemon_log_use ------------------------------------------------------------------------------------------------- */

static void switches(int before, int in_daemon)
{
    pid_t daemon = fork_by(LAUNCH(NULL, "forks_daemon", text("use=%d", before)));
    HEAR_FROM("daemon", text("%d %d", (int)daemon, in_daemon));
    terminate(daemon);
}

TEST("DAEMON_LOG_AUTO becomes DAEMON_LOG_SYSLOG alone in the daemon; without it nothing changes")
{
    for (int flags = 0; flags < 16; flags++)
        switches(flags, flags & DAEMON_LOG_AUTO ? DAEMON_LOG_SYSLOG : flags);
}

TEST("in the parent daemon_log_use stays as it was")
{
    pid_t parent = LAUNCH(NULL, "forks_daemon", text("use=%d", DAEMON_LOG_AUTO | DAEMON_LOG_STDOUT));
    CHECK_INT(finish(parent).code, 0);
    pid_t daemon = (pid_t)atoi(hear_from("daemon"));
    HEAR_FROM("parent", text("%d %d", (int)daemon, DAEMON_LOG_AUTO | DAEMON_LOG_STDOUT));
    terminate(daemon);
}

/* --- odds and ends -------------------------------------------------------------------------------------------------- */

TEST("text that stdio holds back is written once by the parent")
{
    struct outcome parent = START(NULL, "forks_daemon", "text");
    CHECK_TEXT(parent.out, "text");
    CHECK_TEXT(parent.err, "");
    terminate((pid_t)atoi(hear_from("daemon")));
}

static void fails(surroundings *around, const char *name)
{
    pid_t parent = LAUNCH(around, "forks_daemon", text("catch=%d", SIGCHLD), "block");
    struct outcome end = finish(parent);
    CHECK_INT(end.code, 1);
    HEAR_FROM("parent", text("failed %s", name));
    block_all_signals();
    HEAR_FROM("signals", text("handled|%s", blocked()));
    HEAR_FROM("children", "-1 ECHILD");
    CHECK(strlen(end.err) > 0);
    CHECK_TEXT(left_behind(), "");
}

TEST("with no other number than a standard stream's to be had: -1 and EMFILE")
{
    struct rlimit before;
    NEED(getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit few = {3, before.rlim_max};
    NEED(close(0) == 0);
    NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
    CHECK_CALL(daemon_fork(), "-1 EMFILE");
    NEED(setrlimit(RLIMIT_NOFILE, &before) == 0);
}

/* The FIFO by which it speaks needs a descriptor as well, so it must be one that a call for itself gets. */
PROGRAM(poor_forker)
{
    struct rlimit before;
    NEED(getrlimit(RLIMIT_NOFILE, &before) == 0);
    struct rlimit few = {3, before.rlim_max};
    NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
    signal(SIGCHLD, catch);
    pid_t pid = daemon_fork();
    int number = errno;
    NEED(setrlimit(RLIMIT_NOFILE, &before) == 0);
    say("%d %s %s|%s %s", (int)pid, strerrorname_np(number), disposition(SIGCHLD), blocked(), own_descriptors());
    return 0;
}

TEST("without descriptors to be had: -1 and EMFILE in the parent, which is as before, and nothing is left")
{
    struct outcome parent = START(NULL, "poor_forker");
    HEAR("-1 EMFILE handled| 0 1 2");
    CHECK(strlen(parent.err) > 0);
    CHECK_TEXT(left_behind(), "");
}

static void allow_no_process(void)
{
    struct rlimit none = {0, 0};
    NEED(setuid(65534) == 0);
    NEED(setrlimit(RLIMIT_NPROC, &none) == 0);
}

TEST("without processes to be had: -1 and EAGAIN in the parent, which is as before, and nothing is left")
{
    need_root();
    fails(allow_no_process, "EAGAIN");
}

PROGRAM(grandparent)
{
    for (int i = 0; i < 2; i++) {
        pid_t pid = daemon_fork();
        if (pid != 0)
            _exit(pid < 0);
    }
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("a daemon can fork a daemon")
{
    CHECK_INT(START(NULL, "grandparent").code, 0);
    pid_t daemon = (pid_t)hear_number();
    has_null_streams(daemon);
    CHECK(place_of(daemon).session != daemon);
    CHECK_TEXT(status_of(daemon, "Umask"), "0077");
    terminate(daemon);
}
