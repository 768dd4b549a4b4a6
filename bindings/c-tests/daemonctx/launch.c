/* Programs that are launched, by one that goes on and may have threads. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONG = 20000 };

/* The daemon: it does what its arguments say. */
PROGRAM(launched)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "pid"))
            say("daemon %d", (int)getpid());
        else if (!strcmp(argv[i], "ready"))
            NEED(write(3, "\n", 1) == 1 && close(3) == 0);
        else if (!strcmp(argv[i], "child") && fork() == 0)
            sleep_forever();
        else if (!strncmp(argv[i], "variable:", 9))
            say("%s", getenv(argv[i] + 9) ? getenv(argv[i] + 9) : "unset");
        else if (!strncmp(argv[i], "exit:", 5))
            exit(atoi(argv[i] + 5));
    }
    sleep_forever();
}

static void *pause_for_ever(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return NULL;
}

/* A handle of the words before "--", and a launch of this executable under the name behind it, twice if that is "again". The words between
   "--" and "env" are its arguments, those behind "env" its environment. */
PROGRAM(launcher)
{
    int end = 1;
    while (strcmp(argv[end], "--") != 0)
        end++;
    daemonctx *ctx = configured(end, argv);
    pthread_t thread;
    for (int i = 0; i < 4; i++)
        NEED(pthread_create(&thread, NULL, pause_for_ever, NULL) == 0);
    char **arguments = argv + end + 1, **environment = NULL;
    for (int i = 0; arguments[i] != NULL; i++)
        if (!strcmp(arguments[i], "env")) {
            arguments[i] = NULL;
            environment = arguments + i + 1;
            break;
        }
    pid_t daemon = 0;
    /* As a program that launches itself, and so that its own links count. */
    const char *executable = strchr(arguments[0], '/') ? arguments[0] : "/proc/self/exe";
    if (daemonctx_launch(ctx, executable, (const char *const *)arguments, (const char *const *)environment, &daemon) != DAEMONCTX_OK)
        refuse(ctx);
    say("launched %d", (int)daemon);
    daemonctx_free(ctx);
    return 0;
}

/* There is one daemon for a name on the machine. */
static const char *with_name(void)
{
    return text("program=test-%d", (int)getpid());
}

/* A daemon that has said where it is, after its launcher has. */
static pid_t launched_pid(void)
{
    char *launched = hear();
    CHECK_HAS(launched, "launched ");
    return (pid_t)atoi(launched + strlen("launched "));
}

static void stop(daemonctx_stop expected)
{
    daemonctx_pidfile *file = daemonctx_pidfile_new(path("pid"));
    daemonctx_stop how = DAEMONCTX_STOP_NOT_RUNNING;
    CHECK_INT(daemonctx_pidfile_stop(file, LONG, &how), DAEMONCTX_OK);
    CHECK_INT(how, expected);
    daemonctx_pidfile_free(file);
    CHECK(!exists("pid"));
    all_end();
}

TEST("a program is launched beside threads, is ready when it says so, and has a monitor")
{
    struct outcome launcher = START(NULL, "launcher", with_pid_file(), with_name(), "ready=fd", "--", "launched", "pid", "ready");
    CHECK_TEXT(launcher.err, "");
    CHECK_INT(launcher.code, 0);
    char *said = hear();
    pid_t daemon = launched_pid();
    CHECK_TEXT(said, text("daemon %d", (int)daemon));
    CHECK_INT(pid_in("pid"), daemon);
    CHECK_TEXT(content(text("/proc/%d/comm", (int)place_of(daemon).parent)), text("daemonctx: test\n"));
    CHECK_INT(place_of(daemon).terminal, 0);
    stop(DAEMONCTX_STOP_TERMINATED);
}

TEST("without a word about it a launched program is ready when it has run for a while")
{
    CHECK_INT(START(NULL, "launcher", with_pid_file(), with_name(), "--", "launched").code, 0);
    CHECK_INT(pid_in("pid"), launched_pid());
    stop(DAEMONCTX_STOP_TERMINATED);
}

TEST("a launched program that ends before it is ready: its status, a line, and nothing left")
{
    struct outcome launcher = START(NULL, "launcher", with_pid_file(), "program=ends", "ready=fd", "--", "launched", "child", "exit:7");
    CHECK_INT(launcher.code, 7);
    CHECK_HAS(launcher.err, "refused 7 ");
    CHECK_HAS(launcher.err, "exit");
    CHECK(!exists("pid"));
    all_end();
}

TEST("a launched program that is not ready in time is ended with its descendants")
{
    struct outcome launcher =
        START(NULL, "launcher", with_pid_file(), "program=late", "ready=fd", "timeout=100", "--", "launched", "child");
    CHECK_INT(launcher.code, 124);
    CHECK_HAS(launcher.err, "refused 8 ETIMEDOUT ");
    CHECK(!exists("pid"));
    all_end();
}

static void with_descriptors(void)
{
    NEED(dup2(STDIN_FILENO, 20) == 20 && dup2(STDIN_FILENO, 30) == 30 && dup3(STDIN_FILENO, 60, O_CLOEXEC) == 60);
}

TEST("arguments, environment and descriptors are those that were asked for")
{
    struct outcome launcher = START(with_descriptors, "launcher", with_pid_file(), with_name(), "ready=fd", "keep=20", "--", "launched",
                                    "variable:FIRST", "variable:HOME", "ready", "env", "FIRST=1=2", text("HARNESS_REPORT=%s", getenv("HARNESS_REPORT")));
    CHECK_TEXT(launcher.err, "");
    CHECK_INT(launcher.code, 0);
    HEAR("1=2");
    HEAR("unset");
    /* And the lock of the pid file, at any other number. */
    int count = 0;
    pid_t daemon = launched_pid();
    for (char *number = strtok(descriptors_of(daemon), " "); number; number = strtok(NULL, " "), count++)
        if (atoi(number) > 2 && atoi(number) != 20)
            CHECK_TEXT(link_of(daemon, text("fd/%s", number)), path("pid"));
    CHECK_INT(count, 5);
    stop(DAEMONCTX_STOP_TERMINATED);
}

TEST("a launched program gets all descriptors where asked, but for those that are close-on-exec")
{
    CHECK_INT(START(with_descriptors, "launcher", with_pid_file(), with_name(), "ready=exec", "keep_all=1", "--", "launched").code, 0);
    char *all = descriptors_of(launched_pid());
    CHECK_HAS(all, " 20 30");
    CHECK(strstr(all, "60") == NULL);
    stop(DAEMONCTX_STOP_TERMINATED);
}

TEST("a relative path is taken from the working directory of who launches")
{
    NEED(symlink("/bin/sleep", "sleeping") == 0);
    CHECK_INT(START(NULL, "launcher", with_pid_file(), with_name(), "ready=exec", "--", "./sleeping", "1000").code, 0);
    CHECK(is_alive(launched_pid()));
    stop(DAEMONCTX_STOP_TERMINATED);
}

TEST("a second launch says what runs")
{
    const char *name = with_name();
    CHECK_INT(START(NULL, "launcher", with_pid_file(), name, "ready=exec", "--", "launched").code, 0);
    pid_t daemon = launched_pid();
    struct outcome same = START(NULL, "launcher", with_pid_file(), name, "ready=exec", "--", "launched");
    CHECK_HAS(same.err, "refused 5 ");
    CHECK_HAS(same.err, text("%d", (int)daemon));
    struct outcome other = START(NULL, "launcher", with_pid_file(), name, "ready=exec", "--", "launched", "x");
    CHECK_HAS(other.err, "refused 9 ");
    CHECK(same.code != 0 && other.code != 0);
    stop(DAEMONCTX_STOP_TERMINATED);
}

TEST("a launched program that was killed is started again")
{
    CHECK_INT(START(NULL, "launcher", with_pid_file(), with_name(), "ready=fd", "respawn=3", "--", "launched", "ready", "pid").code, 0);
    char *first = hear();
    if (strncmp(first, "launched", 8) == 0)
        first = hear();
    else
        launched_pid();
    pid_t daemon = (pid_t)atoi(first + strlen("daemon "));
    NEED(kill(daemon, SIGKILL) == 0);
    char *second = hear();
    CHECK_HAS(second, "daemon ");
    CHECK(strcmp(first, second) != 0);
    stop(DAEMONCTX_STOP_TERMINATED);
}

TEST("a launched program's stop: its signal, its time, and whether descendants go on")
{
    CHECK_INT(START(NULL, "launcher", with_pid_file(), with_name(), "ready=exec", text("stop_signal=%d", SIGUSR1), "stop_timeout=50",
                    "kill_mode=1", "--", "launched").code, 0);
    pid_t daemon = launched_pid();
    CHECK(is_alive(daemon));
    stop(DAEMONCTX_STOP_TERMINATED);
}

TEST("what cannot be launched is said, and nothing is left")
{
    struct outcome missing = START(NULL, "launcher", with_pid_file(), "program=missing", "--", "/nonexistent/program");
    CHECK_HAS(missing.err, "ENOENT");
    CHECK_HAS(missing.err, "/nonexistent/program");
    struct outcome no_monitor =
        START(NULL, "launcher", with_pid_file(), "program=unmonitored", "monitor=/nonexistent/monitor", "--", "launched");
    CHECK_HAS(no_monitor.err, "/nonexistent/monitor");
    CHECK(missing.code != 0 && no_monitor.code != 0 && !exists("pid"));
    for (const char *const *name = (const char *const[]){"a/b", ".hidden", "..", NULL}; *name; name++) {
        struct outcome unnamable = START(NULL, "launcher", with_pid_file(), text("program=%s", *name), "--", "launched");
        CHECK_HAS(unnamable.err, *name);
        CHECK_HAS(unnamable.err, "no slash and no leading dot");
        CHECK(unnamable.code != 0 && !exists("pid"));
    }
    all_end();
}

TEST("what is no readiness, no mode, no time and no signal is refused with what is allowed")
{
    daemonctx *ctx = keep(daemonctx_new());
    CHECK_INT(daemonctx_set_readiness(ctx, "soon"), DAEMONCTX_ERROR_OPTION);
    CHECK_HAS(daemonctx_error_text(ctx), "soon");
    CHECK_HAS(daemonctx_error_text(ctx), "running");
    CHECK_INT(daemonctx_set_readiness(ctx, NULL), DAEMONCTX_ERROR_USAGE);
    CHECK_INT(daemonctx_set_respawn(ctx, -2, 0), DAEMONCTX_ERROR_USAGE);
    CHECK_HAS(daemonctx_error_text(ctx), "-2");
    CHECK_INT(daemonctx_set_respawn(ctx, 1, -1), DAEMONCTX_ERROR_USAGE);
    CHECK_INT(daemonctx_set_stop_timeout(ctx, -1), DAEMONCTX_ERROR_USAGE);
    CHECK_INT(daemonctx_set_stop_signal(ctx, 999), DAEMONCTX_ERROR_OPTION);
    CHECK_INT(daemonctx_set_kill_mode(ctx, (daemonctx_kill_mode)7), DAEMONCTX_ERROR_USAGE);
    CHECK_INT(daemonctx_launch(ctx, NULL, NULL, NULL, NULL), DAEMONCTX_ERROR_USAGE);
    CHECK_INT(daemonctx_launch(NULL, "/bin/true", NULL, NULL, NULL), DAEMONCTX_ERROR_USAGE);
    CHECK_INT(daemonctx_set_respawn(ctx, DAEMONCTX_FOREVER, 10), DAEMONCTX_OK);
    daemonctx_free(ctx);
}

TEST("a handle can be used again, after a launch that failed as well")
{
    daemonctx *ctx = keep(daemonctx_new());
    const char *argv[] = {"sleep", "1000", NULL};
    pid_t daemon = 0;
    MUST(daemonctx_set_program_name(ctx, text("test-%d", (int)getpid())));
    MUST(daemonctx_set_pid_file(ctx, path("pid")));
    MUST(daemonctx_set_readiness(ctx, "exec"));
    CHECK_INT(daemonctx_launch(ctx, "/nonexistent", NULL, NULL, &daemon), DAEMONCTX_ERROR_SYSTEM);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(daemonctx_launch(ctx, "/bin/sleep", argv, NULL, &daemon), DAEMONCTX_OK);
        CHECK(is_alive(daemon));
        stop(DAEMONCTX_STOP_TERMINATED);
    }
    daemonctx_free(ctx);
}
