/* The smallest daemon, in C and in C++: what it is, who else may run, how it ends. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pid_t started(const char *program, const char *pid_file)
{
    struct outcome starter = START(NULL, built(program), pid_file);
    CHECK_TEXT(starter.err, "");
    CHECK_TEXT(starter.out, "");
    CHECK_INT(starter.code, 0);
    /* Complete before the starter leaves. */
    pid_t daemon = pid_in(pid_file);
    CHECK(is_alive(daemon));
    return daemon;
}

static void belongs_to_nobody(pid_t daemon)
{
    struct place place = place_of(daemon);
    CHECK_INT(place.terminal, 0);
    CHECK(place.session != getsid(0));
    CHECK_INT(place.group, place.session);
    /* No session leader, so no terminal that it opens becomes its own; and the leader is gone. */
    CHECK(place.session != daemon);
    CHECK(!exists(text("/proc/%d", (int)place.session)));
    CHECK_INT(place.parent, getpid());
}

static void has_only_what_it_needs(pid_t daemon, const char *pid_file)
{
    CHECK_TEXT(link_of(daemon, "cwd"), "/");
    CHECK_TEXT(link_of(daemon, "fd/0"), "/dev/null");
    CHECK_TEXT(link_of(daemon, "fd/1"), "/dev/null");
    CHECK_TEXT(link_of(daemon, "fd/2"), "/dev/null");
    /* It closes its line to the starter when that has heard of it, which may be a moment after that has left. */
    char *others;
    while (strchr(others = descriptors_of(daemon) + strlen("0 1 2 "), ' ') != NULL)
        sched_yield();
    CHECK_TEXT(link_of(daemon, text("fd/%s", others)), pid_file);
    /* For reading alone, and kept by a program that the daemon becomes. */
    char *info = content(text("/proc/%d/fdinfo/%s", (int)daemon, others));
    char *flags = strstr(info, "flags:");
    CHECK(flags != NULL);
    CHECK((strtol(flags + strlen("flags:"), NULL, 8) & (02000000 | O_ACCMODE)) == 0);
    CHECK_HAS(info, "FLOCK  ADVISORY  WRITE");
    CHECK_TEXT(status_of(daemon, "Umask"), "0022");
    CHECK_TEXT(limit_of(daemon, "Max core file size"), "0 0");
}

static void begins_with_clean_signals(pid_t daemon)
{
    CHECK_SIGNALS(daemon, "SigBlk", 0);
    CHECK_SIGNALS(daemon, "SigPnd", 0);
    CHECK_SIGNALS(daemon, "SigIgn", signal_bit(SIGTSTP) | signal_bit(SIGTTIN) | signal_bit(SIGTTOU));
    /* These remove the pid file before they end it. */
    CHECK_SIGNALS(daemon, "SigCgt", signal_bit(SIGTERM) | signal_bit(SIGINT) | signal_bit(SIGHUP));
}

static void is_a_daemon(const char *program)
{
    char *file = path("pid");
    struct stat status;
    pid_t daemon = started(program, file);
    belongs_to_nobody(daemon);
    has_only_what_it_needs(daemon, file);
    begins_with_clean_signals(daemon);
    NEED(stat(file, &status) == 0);
    CHECK_INT(status.st_mode & 07777, 0644);
    terminate(daemon);
    CHECK(!exists(file));
}

TEST("in C: a daemon as it should be, gone with its pid file on SIGTERM")
{
    is_a_daemon("daemonctx/programs/ten_lines_c");
}

TEST("in C++: a daemon as it should be, gone with its pid file on SIGTERM")
{
    is_a_daemon("daemonctx/programs/ten_lines_cc");
}

static mode_t mask;

static void set_mask(void)
{
    umask(mask);
}

TEST("the pid file's mode is 0644 whatever the starter's umask")
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        struct stat status;
        char *file = path(text("pid%zu", i));
        mask = masks[i];
        CHECK_INT(START(set_mask, "daemon", text("pid_file=%s", file)).code, 0);
        pid_t daemon = (pid_t)hear_number();
        NEED(stat(file, &status) == 0);
        CHECK_INT(status.st_mode & 07777, 0644);
        terminate(daemon);
    }
}

static void removes_its_file_on(int signum)
{
    char *file = path("pid");
    pid_t daemon = started("daemonctx/programs/ten_lines_c", file);
    NEED(kill(daemon, signum) == 0);
    struct outcome end = ended(daemon);
    CHECK_INT(end.signal, signum);
    CHECK(!exists(file));
}

TEST("SIGINT and SIGHUP remove the pid file too, and still kill")
{
    removes_its_file_on(SIGINT);
    removes_its_file_on(SIGHUP);
}

PROGRAM(leaver)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    await_go();
    exit(7);
}

TEST("exit() removes the pid file, and the daemon's exit status is its own")
{
    CHECK_INT(START(NULL, "leaver", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(pid_in("pid"), daemon);
    go();
    CHECK_INT(ended(daemon).code, 7);
    CHECK(!exists("pid"));
}

PROGRAM(closer)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    MUST(daemonctx_close(ctx));
    daemonctx_free(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("daemonctx_close() removes the pid file, and the daemon goes on")
{
    CHECK_INT(START(NULL, "closer", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK(!exists("pid"));
    CHECK(is_alive(daemon));
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    terminate(daemon);
}

PROGRAM(freer)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    daemonctx_free(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("daemonctx_free() lets daemon and pid file be")
{
    CHECK_INT(START(NULL, "freer", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(pid_in("pid"), daemon);
    CHECK_INT(START(NULL, "daemon", with_pid_file()).code, 1);
    terminate(daemon);
    CHECK(!exists("pid"));
}

static bool holds(pid_t process, const char *file)
{
    char *all = descriptors_of(process);
    for (char *number = strtok(all, " "); number != NULL; number = strtok(NULL, " "))
        if (strcmp(link_of(process, text("fd/%s", number)), file) == 0)
            return true;
    return false;
}

PROGRAM(parent)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    pid_t child = fork();
    if (child == 0) {
        say("%d", (int)getpid());
        await_go();
        /* With exit handlers, among them the one that removes pid files. */
        exit(0);
    }
    sleep_forever();
}

TEST("a child of the daemon neither removes the pid file nor holds its lock")
{
    CHECK_INT(START(NULL, "parent", with_pid_file()).code, 0);
    pid_t child = (pid_t)hear_number();
    pid_t daemon = pid_in("pid");
    CHECK(!holds(child, path("pid")));
    CHECK(holds(daemon, path("pid")));
    go();
    CHECK(readable_within(watch(child), 10000));
    CHECK_INT(pid_in("pid"), daemon);
    terminate(daemon);
    ended(child);
    CHECK(!exists("pid"));
}

static void is_refused(const char *program, const char *file, pid_t running)
{
    struct outcome second = START(NULL, built(program), file);
    CHECK_INT(second.code, 1);
    CHECK_TEXT(second.out, "");
    CHECK_TEXT(second.err, text("ten: pid file failed: %s (already running as PID %d): "
                                "Resource temporarily unavailable (11 EAGAIN)\n", file, (int)running));
}

TEST("a second start is refused, names the PID, and harms nothing")
{
    char *file = path("pid");
    pid_t daemon = started("daemonctx/programs/ten_lines_c", file);
    is_refused("daemonctx/programs/ten_lines_c", file, daemon);
    is_refused("daemonctx/programs/ten_lines_cc", file, daemon);
    struct outcome second = START(NULL, "daemon", text("pid_file=%s", file));
    CHECK_HAS(second.err, text("refused %d EAGAIN pid file: ", DAEMONCTX_ERROR_ALREADY_RUNNING));
    CHECK(is_silent());
    CHECK_INT(pid_in(file), daemon);
    CHECK(is_alive(daemon));
    terminate(daemon);
    CHECK(!exists(file));
}

TEST("after kill -9 the file is stale and the next start takes it")
{
    char *file = path("pid");
    pid_t first = started("daemonctx/programs/ten_lines_c", file);
    kill_off(first);
    CHECK_INT(pid_in(file), first);
    pid_t second = started("daemonctx/programs/ten_lines_c", file);
    CHECK(second != first);
    terminate(second);
    CHECK(!exists(file));
}

enum { ROUNDS = 10, AT_ONCE = 20 };

static void one_wins(const char *word)
{
    pid_t starters[AT_ONCE];
    int won = 0;
    for (int i = 0; i < AT_ONCE; i++)
        starters[i] = LAUNCH(NULL, "daemon", word);
    for (int i = 0; i < AT_ONCE; i++) {
        struct outcome starter = finish(starters[i]);
        won += starter.code == 0;
        if (starter.code != 0)
            CHECK_HAS(starter.err, text("refused %d EAGAIN pid file: ", DAEMONCTX_ERROR_ALREADY_RUNNING));
    }
    CHECK_INT(won, 1);
    pid_t daemon = (pid_t)hear_number();
    CHECK(is_silent());
    CHECK_INT(pid_in("pid"), daemon);
    terminate(daemon);
    CHECK(!exists("pid"));
}

TEST_WITHIN(60, "of twenty starts at once one wins")
{
    for (int round = 0; round < ROUNDS; round++)
        one_wins(with_pid_file());
}

TEST("the settings that change what it is: directory, umask, core files")
{
    NEED(mkdir("home", 0755) == 0);
    CHECK_INT(START(NULL, "daemon", "directory=home", "umask=027", "core=0").code, 0);
    pid_t daemon = (pid_t)hear_number();
    /* A relative path is taken from the starter's directory. */
    CHECK_TEXT(link_of(daemon, "cwd"), path("home"));
    CHECK_TEXT(status_of(daemon, "Umask"), "0027");
    CHECK_TEXT(limit_of(daemon, "Max core file size"), limit_of(getpid(), "Max core file size"));
    terminate(daemon);
}

TEST("nice value and environment stay")
{
    NEED(setenv("KEEP_ME", "yes", 1) == 0);
    /* Whoever runs the tests may be nice already. */
    int nicer = nice(5);
    CHECK(nicer > 0);
    CHECK_INT(START(NULL, "daemon").code, 0);
    pid_t daemon = (pid_t)hear_number();
    char *rest = strrchr(content(text("/proc/%d/stat", (int)daemon)), ')');
    char *end = NULL;
    for (int field = 2; rest != NULL && field < 19; field++)
        rest = strchr(rest + 1, ' ');
    CHECK(rest != NULL);
    CHECK_INT(strtol(rest, &end, 10), nicer);
    char *file = text("/proc/%d/environ", (int)daemon);
    struct outcome found = START(NULL, "/bin/sh", "-c", text("tr '\\0' '\\n' < %s | grep -x KEEP_ME=yes", file));
    CHECK_INT(found.code, 0);
    terminate(daemon);
}
