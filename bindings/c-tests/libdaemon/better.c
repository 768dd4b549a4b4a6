/* Where ours is better on purpose. Each of these fails on the original: see common.h. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "script.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { UNTOUCHED = -77 };

/* --- the retval pipe ------------------------------------------------------------------------------------------------ */

static void is_noticed(pid_t parent)
{
    HEAR_FROM("parent", "init 0");
    CHECK(ends_within(parent, 3000));
    CHECK(strncmp(strchr(hear_from("parent"), ' '), " -1 ", 4) == 0);
    CHECK(atol(hear_from("parent took")) < 1000);
    CHECK_INT(finish(parent).code, 0);
}

BETTER("a daemon that ends before it has sent a value is noticed at once")
{
    is_noticed(SCRIPT(NULL, "init", "fork", "parent:", "wait=30", "took", "daemon:", "exit=3"));
    is_noticed(SCRIPT(NULL, "init", "fork", "parent:", "wait=30", "took", "daemon:", "kill=9"));
}

BETTER("and also by a parent that would wait for ever")
{
    is_noticed(SCRIPT(NULL, "init", "fork", "parent:", "wait=0", "took", "daemon:", "exit=3"));
}

BETTER("and also when a child of the daemon lives on and holds the pipe")
{
    is_noticed(SCRIPT(NULL, "init", "fork", "parent:", "wait=30", "took", "daemon:", "spawn", "exit=3"));
    kill_off((pid_t)atoi(hear_from("daemon spawn")));
}

BETTER("waiting where there is no pipe is an error, and not the program's end")
{
    pid_t parent = SCRIPT(NULL, "wait=5", "init", "fork", "parent:", "wait=5", "wait=5", "daemon:", "send=0");
    CHECK_INT(finish(parent).code, 0);
    CHECK(strncmp(hear_from("parent"), "wait=5 -1 E", 11) == 0);
    HEAR_FROM("parent", "init 0");
    HEAR_FROM("parent", "wait=5 0");
    CHECK(strncmp(hear_from("parent"), "wait=5 -1 E", 11) == 0);
}

static void is_told(pid_t parent)
{
    CHECK_INT(finish(parent).code, 0);
    pid_t daemon = (pid_t)atoi(hear_from("daemon pid"));
    go();
    while (is_silent())
        CHECK(!ends_within(daemon, 5));
    HEAR_FROM("daemon send=5", "-1 EPIPE");
    HEAR_FROM("daemon pid", text("%d", (int)daemon));
    terminate(daemon);
}

BETTER("sending when the starter has gone: EPIPE")
{
    is_told(SCRIPT(NULL, "init", "fork", "daemon:", "pid", "await", "send=5", "pid", "sleep"));
}

BETTER("sending when the starter has gone, after daemon_close_all: EPIPE, and not death by SIGPIPE")
{
    is_told(SCRIPT(NULL, "init", "fork", "daemon:", "close_all", "pid", "await", "send=5", "pid", "sleep"));
}

BETTER("the same with SIGPIPE blocked: none is pending afterwards")
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    NEED(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    NEED(daemon_retval_init() == 0 && daemon_close_all(-1) == 0);
    CHECK(daemon_retval_send(5) < 0);
    NEED(sigpending(&set) == 0);
    CHECK(!sigismember(&set, SIGPIPE));
}

/* Where a program begins, it has these open. */
PROGRAM(lists_descriptors)
{
    say("%s", own_descriptors());
    return 0;
}

PROGRAM(runs_another)
{
    NEED(strcmp(argv[1], "retval") == 0 ? daemon_retval_init() == 0 : daemon_signal_init(SIGUSR1, 0) == 0);
    NEED(strlen(own_descriptors()) > 5);
    execv(link_of(getpid(), "exe"), (char *[]){"lists_descriptors", NULL});
    return 1;
}

BETTER("the retval pipe is not inherited by programs")
{
    CHECK_INT(START(NULL, "runs_another", "retval").code, 0);
    HEAR("0 1 2");
}

BETTER("the signal pipe is not inherited by programs")
{
    CHECK_INT(START(NULL, "runs_another", "signal").code, 0);
    HEAR("0 1 2");
}

/* --- signals -------------------------------------------------------------------------------------------------------- */

enum { KINDS = 10, EACH = 2000 };

BETTER("twenty thousand real-time signals of ten kinds, which no pipe holds, are all read")
{
    int count[KINDS] = {0};
    int sum = 0;
    NEED(daemon_signal_init(0) == 0);
    for (int kind = 0; kind < KINDS; kind++)
        NEED(daemon_signal_install(SIGRTMIN + kind) == 0);
    pid_t test = getpid();
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < KINDS * EACH; i++)
            NEED(sigqueue(test, SIGRTMIN + i % KINDS, (union sigval){0}) == 0);
        _exit(0);
    }
    CHECK_INT(ended(child).code, 0);
    while (sum < KINDS * EACH && readable_within(daemon_signal_fd(), 3000)) {
        int signum = daemon_signal_next();
        CHECK(signum >= 0);
        if (signum == 0)
            continue;
        CHECK(signum >= SIGRTMIN && signum < SIGRTMIN + KINDS);
        count[signum - SIGRTMIN]++;
        sum++;
    }
    CHECK_INT(sum, KINDS * EACH);
    for (int kind = 0; kind < KINDS; kind++)
        CHECK_INT(count[kind], EACH);
    CHECK_INT(daemon_signal_next(), 0);
}

/* --- logging -------------------------------------------------------------------------------------------------------- */

/* Both streams to one file. */
static char *written_by(void (*write)(void))
{
    int out = dup(1);
    int err = dup(2);
    fflush(stdout);
    int fd = open("both", O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644);
    NEED(fd >= 0 && dup2(fd, 1) == 1 && dup2(fd, 2) == 2);
    write();
    fflush(stdout);
    NEED(dup2(out, 1) == 1 && dup2(err, 2) == 2);
    close(out);
    close(err);
    close(fd);
    return content("both");
}

static void log_twice(void)
{
    daemon_log_use = (enum daemon_log_flags)(DAEMON_LOG_STDERR | DAEMON_LOG_STDOUT | DAEMON_LOG_SYSLOG);
    daemon_log(LOG_ERR, "%s %d %s %ld", "one", 2, "three", 4L);
}

BETTER("standard error, standard output and syslog at once have the same, right arguments")
{
    own_system();
    CHECK_TEXT(written_by(log_twice), "one 2 three 4\none 2 three 4\n");
    LOGGED(text("<27>UNKNOWN[%d]: one 2 three 4", (int)getpid()));
}

BETTER("a facility that comes with the priority is the one in syslog")
{
    static const int facilities[] = {LOG_USER, LOG_MAIL, LOG_AUTH, LOG_LOCAL0, LOG_LOCAL4};
    own_system();
    daemon_log_use = DAEMON_LOG_SYSLOG;
    for (size_t i = 0; i < sizeof facilities / sizeof *facilities; i++) {
        daemon_log(facilities[i] | LOG_ERR, "text");
        LOGGED(text("<%d>UNKNOWN[%d]: text", facilities[i] | LOG_ERR, (int)getpid()));
    }
}

static void log_with_facility(void)
{
    daemon_log_use = DAEMON_LOG_STDERR;
    daemon_log(LOG_LOCAL0 | LOG_ERR, "error");
    daemon_log(LOG_LOCAL0 | LOG_DEBUG, "debug");
}

BETTER("a message that has a facility is shown by its priority")
{
    CHECK_TEXT(written_by(log_with_facility), "error\n");
}

static void set_each_verbosity(void)
{
    for (int priority = LOG_EMERG; priority <= LOG_DEBUG; priority++) {
        daemon_log_use = (enum daemon_log_flags)0;
        daemon_set_verbosity(LOG_DEBUG);
        daemon_log_use = DAEMON_LOG_STDERR;
        daemon_set_verbosity(priority);
    }
}

BETTER("each priority is a verbosity about which nothing is said")
{
    CHECK_TEXT(written_by(set_each_verbosity), "");
}

static void log_with_negative_verbosity(void)
{
    static const int verbosities[] = {-1, -5, -8, -1000};
    for (size_t i = 0; i < sizeof verbosities / sizeof *verbosities; i++) {
        daemon_log_use = DAEMON_LOG_STDERR;
        daemon_set_verbosity(verbosities[i]);
        for (int priority = LOG_EMERG; priority <= LOG_DEBUG; priority++)
            daemon_log(priority, "%d", priority);
    }
}

BETTER("a negative verbosity hides all")
{
    CHECK_TEXT(written_by(log_with_negative_verbosity), "");
}

/* --- pid files ------------------------------------------------------------------------------------------------------ */

static const char *file;

static const char *the_file(void)
{
    return file;
}

static void at_home(void)
{
    file = path("pid");
    daemon_pid_file_proc = the_file;
    quietly();
}

static volatile sig_atomic_t signalled;

static void count_signal(int signum)
{
    (void)signum;
    signalled++;
}

/* The signal is one that harms nobody who gets it by mistake. */
static void is_nobody(const char *bytes)
{
    signal(SIGURG, count_signal);
    for (int i = 0; i < 3; i++) {
        write_file(file, bytes);
        long result = i == 0 ? daemon_pid_file_is_running() : i == 1 ? daemon_pid_file_kill(SIGURG) : daemon_pid_file_kill_wait(SIGURG, -1);
        int number = errno;
        CHECK_INT(result, -1);
        CHECK(number != 0);
        CHECK_INT(signalled, 0);
        errno = 0;
    }
}

BETTER("an empty pid file is nobody's, and nothing is signalled")
{
    at_home();
    is_nobody("");
    is_nobody("\n");
}

BETTER("0 in a pid file is not this process's group")
{
    at_home();
    is_nobody("0\n");
    is_nobody("0");
}

BETTER("1 in a pid file is not the process that everything else hangs on")
{
    at_home();
    is_nobody("1\n");
}

BETTER("negative numbers in a pid file are nobody, with a reason")
{
    at_home();
    NEED(setpgid(0, 0) == 0);
    is_nobody(text("-%d\n", (int)getpid()));
    is_nobody("-1\n");
}

/* A process that has begun after the file was written is not the one that wrote it. */
BETTER("a PID that another process has now is not running, and is not signalled")
{
    struct timespec an_hour_ago[2];
    at_home();
    pid_t innocent = idle_child();
    clock_gettime(CLOCK_REALTIME, &an_hour_ago[0]);
    an_hour_ago[0].tv_sec -= 3600;
    an_hour_ago[1] = an_hour_ago[0];
    for (int i = 0; i < 3; i++) {
        write_file(file, text("%d\n", (int)innocent));
        NEED(utimensat(AT_FDCWD, file, an_hour_ago, 0) == 0);
        int result = i == 0 ? daemon_pid_file_is_running() : i == 1 ? daemon_pid_file_kill(SIGTERM) : daemon_pid_file_kill_wait(SIGTERM, -1);
        CHECK_INT(result, -1);
        CHECK(!ends_within(innocent, 20));
    }
    kill_off(innocent);
}

PROGRAM(contender)
{
    at_home();
    file = argv[1];
    await_go();
    if (daemon_fork() != 0)
        return 0;
    if (daemon_pid_file_create() < 0) {
        const char *name = strerrorname_np(errno);
        /* As testd does it. */
        daemon_pid_file_remove();
        say("%s %d", name, (int)getpid());
        return 1;
    }
    say("won %d", (int)getpid());
    sleep_forever();
}

static void one_wins(void)
{
    enum { STARTS = 8 };
    pid_t starters[STARTS];
    pid_t winner = 0;
    int winners = 0;
    for (int i = 0; i < STARTS; i++)
        starters[i] = LAUNCH(NULL, "contender", file);
    for (int i = 0; i < STARTS; i++)
        go();
    for (int i = 0; i < STARTS; i++)
        CHECK_INT(finish(starters[i]).code, 0);
    for (int i = 0; i < STARTS; i++) {
        char *line = hear();
        pid_t daemon = (pid_t)atoi(strchr(line, ' '));
        if (strncmp(line, "won ", 4) == 0) {
            winner = daemon;
            winners++;
        } else {
            CHECK_TEXT(line, text("EEXIST %d", (int)daemon));
            CHECK_INT(ended(daemon).code, 1);
        }
    }
    CHECK_INT(winners, 1);
    CHECK_INT(pid_in(file), winner);
    CHECK_INT(daemon_pid_file_is_running(), winner);
    kill_off(winner);
}

BETTER("eight starts at once: one wins, and the losers do not take its file away")
{
    at_home();
    one_wins();
}

BETTER("eight starts at once over a dead one's file: one wins")
{
    at_home();
    write_file(file, text("%d\n", (int)dead_pid()));
    one_wins();
    /* That one has been killed, and left its file. */
    one_wins();
}

BETTER("a dead one's file does not stand in a start's way")
{
    at_home();
    write_file(file, text("%d and more than is written now\n", (int)dead_pid()));
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_INT(pid_in(file), getpid());
    CHECK_CALL(daemon_pid_file_remove(), "0");
    write_file(file, text("%d\n", (int)dead_pid()));
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_INT(pid_in(file), getpid());
    CHECK_INT(daemon_pid_file_is_running(), getpid());
}

BETTER("another's file is not removed")
{
    at_home();
    pid_t other = idle_child();
    char *bytes = text("%d\n", (int)other);
    write_file(file, bytes);
    CHECK(daemon_pid_file_remove() < 0);
    CHECK_TEXT(content(file), bytes);
    kill_off(other);
}

static void is_no_file(pid_t innocent)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        CHECK(daemon_pid_file_is_running() < 0);
        CHECK(daemon_pid_file_kill(SIGTERM) < 0);
        CHECK(daemon_pid_file_kill_wait(SIGTERM, -1) < 0);
        CHECK(daemon_pid_file_create() < 0);
        _exit(0);
    }
    CHECK(ends_within(child, 3000));
    CHECK_INT(ended(child).code, 0);
    CHECK(exists(file));
    CHECK(!ends_within(innocent, 20));
}

BETTER("a symlink is not followed to a pid file")
{
    at_home();
    pid_t innocent = idle_child();
    write_file("target", text("%d\n", (int)innocent));
    NEED(symlink(path("target"), file) == 0);
    is_no_file(innocent);
    CHECK_TEXT(content("target"), text("%d\n", (int)innocent));
    kill_off(innocent);
}

BETTER("a FIFO is no pid file, at once")
{
    at_home();
    pid_t innocent = idle_child();
    NEED(mkfifo(file, 0644) == 0);
    is_no_file(innocent);
    kill_off(innocent);
}

/* --- kill_wait ------------------------------------------------------------------------------------------------------ */

static void was_asked(int signum)
{
    (void)signum;
    say("asked");
}

/* Is asked by SIGTERM, and stays. */
PROGRAM(holds_file)
{
    at_home();
    signal(SIGTERM, was_asked);
    if (daemon_fork() != 0)
        return 0;
    file = argv[1];
    NEED(daemon_pid_file_create() == 0);
    say("%d", (int)getpid());
    sleep_forever();
}

static pid_t held(void)
{
    CHECK_INT(START(NULL, "holds_file", file).code, 0);
    return (pid_t)hear_number();
}

PROGRAM(kills)
{
    at_home();
    file = argv[1];
    return daemon_pid_file_kill_wait(SIGTERM, 30) != 0;
}

static long sleeps_of(pid_t process)
{
    return strtol(status_of(process, "voluntary_ctxt_switches"), NULL, 10);
}

BETTER("kill_wait sleeps until the end, and does not look for it again and again")
{
    at_home();
    pid_t daemon = held();
    pid_t killer = LAUNCH(NULL, "kills", file);
    HEAR("asked");
    long before = sleeps_of(killer);
    nanosleep(&(struct timespec){2, 0}, NULL);
    long sleeps = sleeps_of(killer) - before;
    kill_off(daemon);
    CHECK_INT(ended(killer).code, 0);
    /* Some to get there, on a busy machine. */
    if (sleeps > 5)
        FAIL("it has slept %ld times in two seconds", sleeps);
}

/* Just after a second has begun: who counts those of the clock is late by nearly one. */
static void await_second(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct timespec begin = {now.tv_sec + 1, 5000000};
    while (clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &begin, NULL) == EINTR)
        continue;
}

BETTER("kill_wait gives up when the time is over that was asked for: at once, or after a second")
{
    at_home();
    pid_t daemon = held();
    for (int seconds = 0; seconds < 2; seconds++) {
        await_second();
        long began = clock_now();
        CHECK_CALL(daemon_pid_file_kill_wait(0, seconds), "-1 ETIME");
        long took = clock_now() - began;
        if (took < 1000 * seconds - 5 || took > 1000 * seconds + 300)
            FAIL("%d s took %ld ms", seconds, took);
    }
    kill_off(daemon);
}

BETTER("kill_wait does not wait for the dead: a zombie has gone")
{
    at_home();
    pid_t child = idle_child();
    write_file(file, text("%d\n", (int)child));
    CHECK_CALL(daemon_pid_file_kill_wait(SIGKILL, 3), "0");
    CHECK_INT(ended(child).signal, SIGKILL);
}

/* --- daemon_exec ---------------------------------------------------------------------------------------------------- */

static void set_up(void)
{
    own_system();
    daemon_log_use = DAEMON_LOG_SYSLOG;
    daemon_log_ident = "me";
    NEED(daemon_signal_init(SIGCHLD, SIGUSR1, SIGUSR2, 0) == 0);
}

static int run(const char *script)
{
    int status = UNTOUCHED;
    CHECK_CALL(daemon_exec("/", &status, "/bin/sh", "sh", "-c", script, (char *)NULL), "0");
    return status;
}

static void client(const char *line)
{
    LOGGED(text("<30>me[%d]: client: %s", (int)getpid(), line));
}

/* SIGCHLD may be among them, for the child that was run. */
static int next_but_sigchld(void)
{
    int signum;
    do
        signum = daemon_signal_next();
    while (signum == SIGCHLD);
    return signum;
}

BETTER("daemon_exec goes on when another signal comes, and leaves it to be read")
{
    set_up();
    CHECK_INT(run(text("echo one; kill -USR1 %d; kill -USR2 %d; sleep 0.1; echo two; exit 4", (int)getpid(), (int)getpid())), 4);
    client("one");
    client("two");
    CHECK(log_is_empty());
    /* Which of the two is first is the kernel's affair. */
    CHECK_INT(next_but_sigchld() + next_but_sigchld(), SIGUSR1 + SIGUSR2);
    CHECK_INT(next_but_sigchld(), 0);
}

BETTER("daemon_exec goes on with a signal queued from before, and leaves it to be read")
{
    set_up();
    raise(SIGUSR2);
    raise(SIGUSR1);
    CHECK_INT(run("sleep 0.05; exit 4"), 4);
    CHECK(readable_within(daemon_signal_fd(), 0));
    CHECK_INT(next_but_sigchld(), SIGUSR2);
    CHECK_INT(next_but_sigchld(), SIGUSR1);
    CHECK_INT(next_but_sigchld(), 0);
}

#define TEN "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"
#define HUNDRED TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN, TEN

BETTER("daemon_exec passes more than 64 arguments, and more than a thousand")
{
    int status = UNTOUCHED;
    set_up();
    CHECK_CALL(daemon_exec("/", &status, "/bin/sh", "sh", "-c", "echo $# ${101}", "zero", HUNDRED, "last", (char *)NULL), "0");
    client("101 last");
    CHECK_CALL(daemon_exec("/", &status, "/bin/sh", "sh", "-c", "echo $# ${1001}", "zero", HUNDRED, HUNDRED, HUNDRED, HUNDRED,
                           HUNDRED, HUNDRED, HUNDRED, HUNDRED, HUNDRED, HUNDRED, "last", (char *)NULL),
               "0");
    client("1001 last");
    CHECK_INT(status, 0);
}

BETTER("daemon_exec logs long lines whole")
{
    static const int lengths[] = {256, 257, 1000, 1024, 4096, 5000};
    set_up();
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        CHECK_INT(run(text("printf '%%0%dd\\n' 7; echo next", lengths[i])), 0);
        client(text("%0*d", lengths[i], 7));
        client("next");
    }
    CHECK(log_is_empty());
}

static long reads(void)
{
    char *line = strstr(content("/proc/self/io"), "syscr:");
    if (line == NULL)
        skip("system calls are not counted here");
    return atol(line + strlen("syscr:"));
}

BETTER("daemon_exec reads in blocks: a megabyte in less than ten thousand calls")
{
    if (!exists("/proc/self/io"))
        skip("system calls are not counted here");
    NEED(daemon_signal_init(SIGCHLD, 0) == 0);
    daemon_log_use = (enum daemon_log_flags)0;
    long before = reads();
    CHECK_INT(run("yes 'seventy-nine bytes that are a line of output, as many programs write it again 1' | head -c 1000000"), 0);
    long during = reads() - before;
    if (during > 10000)
        FAIL("%ld calls", during);
}

PROGRAM(runs_unprepared)
{
    daemon_log_use = (enum daemon_log_flags)0;
    int status = UNTOUCHED;
    int result = daemon_exec("/", &status, "/bin/sh", "sh", "-c", "exit 3", (char *)NULL);
    say("%d", result == 0 ? status == 3 : status == UNTOUCHED);
    return 0;
}

BETTER("daemon_exec without daemon_signal_init runs, or fails, but does not end the program")
{
    CHECK_INT(START(NULL, "runs_unprepared").code, 0);
    HEAR("1");
}

/* --- the null device ------------------------------------------------------------------------------------------------------ */

PROGRAM(forks_or_fails)
{
    daemon_log_use = (enum daemon_log_flags)0;
    int status = UNTOUCHED;
    pid_t pid = daemon_fork();
    if (pid == 0)
        return 0;
    say("fork %s", pid < 0 ? strerrorname_np(errno) : "done");
    if (daemon_signal_init(SIGCHLD, 0) < 0)
        return 1;
    int result = daemon_exec("/", &status, "/bin/sh", "sh", "-c", "exit 0", (char *)NULL);
    say("exec %s", result < 0 ? strerrorname_np(errno) : "done");
    return 0;
}

BETTER("a regular file that is called /dev/null is refused, not written to")
{
    own_system();
    write_file("file", "");
    NEED(mount("file", "/dev/null", "none", MS_BIND, NULL) == 0);
    CHECK_INT(START(NULL, "forks_or_fails").code, 0);
    HEAR("fork ENODEV");
    HEAR("exec ENODEV");
    CHECK_TEXT(content("file"), "");
}

static void *close_beside_the_dead(void *leader)
{
    enum { FAR = 2000 };
    pthread_join(*(pthread_t *)leader, NULL);
    /* The kernel shows no descriptors of a process once its main thread has ended. */
    while (access("/proc/self/fd/0", F_OK) == 0)
        usleep(1000);
    if (dup2(STDIN_FILENO, FAR) != FAR)
        _exit(77);
    daemon_close_all(-1);
    _exit(fcntl(FAR, F_GETFD) == -1 ? 0 : 1);
}

PROGRAM(leaderless_closer)
{
    static pthread_t leader;
    pthread_t other;
    struct rlimit high = {4096, 4096};
    leader = pthread_self();
    if (setrlimit(RLIMIT_NOFILE, &high) != 0)
        return 77;
    NEED(pthread_create(&other, NULL, close_beside_the_dead, &leader) == 0);
    pthread_exit(NULL);
}

BETTER("daemon_close_all() closes in a process whose main thread has ended")
{
    struct outcome closer = START(NULL, "leaderless_closer");
    if (closer.code == 77)
        skip("RLIMIT_NOFILE is below 4096");
    CHECK_INT(closer.code, 0);
}
