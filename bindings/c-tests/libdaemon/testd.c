/* The example that Debian's libdaemon-dev ships lives its whole life, in namespaces of its own. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "common.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *program;

/* Builds it; skips where it is not to be had. */
static void build(void)
{
    const char *source = setting("HARNESS_TESTD");
    if (*source == '\0')
        source = "/usr/share/doc/libdaemon-dev/examples/testd.c.gz";
    if (!exists(source))
        skip("there is no %s: name it with TESTD=", source);
    own_system();
    shell(text("gzip -dcf %s > testd.c", source));
    shell(text("%s -Wall -Werror -I%s -o testd testd.c %s", setting("HARNESS_CC"), setting("HARNESS_INCLUDE"), setting("HARNESS_LINK")));
    program = path("testd");
}

static void says(pid_t daemon, int priority, const char *message)
{
    LOGGED(text("<%d>testd[%d]: %s", priority, (int)daemon, message));
}

static pid_t started(void)
{
    struct outcome starter = START(NULL, program);
    CHECK_TEXT(starter.err, "Daemon returned 0 as return value.\n");
    CHECK_TEXT(starter.out, "");
    CHECK_INT(starter.code, 0);
    pid_t daemon = pid_in("/var/run/testd.pid");
    says(daemon, 30, "Sucessfully started");
    return daemon;
}

static void has_ended(pid_t daemon)
{
    CHECK_INT(ended(daemon).code, 0);
    says(daemon, 28, "Got SIGINT, SIGQUIT or SIGTERM.");
    says(daemon, 30, "Exiting...");
    CHECK(log_is_empty());
    CHECK(!exists("/var/run/testd.pid"));
}

static void fails(const char *argument, const char *line)
{
    struct outcome end = START(NULL, program, argument);
    CHECK_TEXT(end.err, text("%s\n", line));
    CHECK_INT(end.code, 1);
}

static void stop(pid_t daemon)
{
    pid_t stopper = LAUNCH(NULL, program, "-k");
    has_ended(daemon);
    struct outcome end = finish(stopper);
    CHECK_TEXT(end.err, "");
    CHECK_INT(end.code, 0);
}

TEST("testd: start, refused second start, -k, -k again")
{
    build();
    pid_t daemon = started();
    CHECK_TEXT(link_of(daemon, "cwd"), "/");
    CHECK_INT(place_of(daemon).terminal, 0);
    fails("", text("Daemon already running on PID file %d", (int)daemon));
    CHECK(is_alive(daemon));
    CHECK_INT(pid_in("/var/run/testd.pid"), daemon);
    CHECK(log_is_empty());
    stop(daemon);
    fails("-k", "Failed to kill daemon: No such file or directory");
}

/* It runs ls(1) on a SIGHUP; another signal while that runs would have it kill ls. */
static void is_hung_up(pid_t daemon)
{
    NEED(kill(daemon, SIGHUP) == 0);
    says(daemon, 30, "Got a HUP");
    for (char *name = strtok(shell("ls /"), "\n"); name != NULL; name = strtok(NULL, "\n"))
        says(daemon, 30, text("client: %s", name));
    while (*children_of(daemon) != '\0')
        sched_yield();
}

TEST("testd: SIGHUP, and what its child says is in the log")
{
    build();
    pid_t daemon = started();
    is_hung_up(daemon);
    is_hung_up(daemon);
    stop(daemon);
}

TEST("testd: SIGTERM, SIGINT, SIGQUIT end it")
{
    static const int signals[] = {SIGTERM, SIGINT, SIGQUIT};
    build();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        pid_t daemon = started();
        NEED(kill(daemon, signals[i]) == 0);
        has_ended(daemon);
    }
}

TEST("testd: after SIGKILL it is not running, and starts again")
{
    build();
    kill_off(started());
    struct outcome end = START(NULL, program, "-k");
    CHECK_HAS(end.err, "Failed to kill daemon: No such process\n");
    CHECK_INT(end.code, 1);
    kill_off(started());
    CHECK(exists("/var/run/testd.pid"));
    struct outcome starter = START(NULL, program);
    CHECK_HAS(starter.err, "Daemon returned 0 as return value.\n");
    CHECK_INT(starter.code, 0);
    pid_t daemon = pid_in("/var/run/testd.pid");
    says(daemon, 30, "Sucessfully started");
    stop(daemon);
}

TEST("testd: a daemon that cannot make its pid file tells its status")
{
    build();
    shell("mkdir /run/testd.pid");
    struct outcome starter = START(NULL, program);
    CHECK_INT(starter.code, 2);
    CHECK_HAS(starter.err, "Daemon returned 2 as return value.\n");
    /* One line is the library's, or none. */
    char *line = logged();
    while (strstr(line, "Could not create PID file") == NULL)
        line = logged();
    CHECK(strncmp(line, "<27>testd[", 10) == 0);
    CHECK_HAS(logged(), "]: Exiting...");
}
