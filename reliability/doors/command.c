/* The command `daemonctx`, at COMMAND, starting this program's `live`.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char door_name[] = "command";

__attribute__((noreturn)) static void become(char *const *argv)
{
    const char *other = getenv("TRUST_COMMAND");

    execv(other != NULL ? other : COMMAND, argv);
    _exit(127);
}

/* What the command has said last, by whichever stream. */
static char said[4096];

static int run(char *const *argv)
{
    int status = 0, talk[2];
    size_t length = 0;
    ssize_t got;
    pid_t child;

    if (pipe2(talk, O_CLOEXEC) != 0)
        abort();
    child = fork();
    if (child == 0) {
        dup2(talk[1], 1);
        dup2(talk[1], 2);
        become(argv);
    }
    close(talk[1]);
    while ((got = read(talk[0], said + length, sizeof said - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = 0;
    close(talk[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void self(char *room, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", room, size - 1);

    room[length < 0 ? 0 : length] = 0;
}

/* When a daemon is ready: the command's default unless TRUST_NOTIFY says otherwise. */
static char *notify(void)
{
    char *wanted = getenv("TRUST_NOTIFY");

    return wanted != NULL ? wanted : (char *)"running:500ms";
}

int door_start_here(const char *pid_file, const struct wishes *wishes)
{
    char program[4096];
    char *log = wishes->log != NULL ? (char *)wishes->log : (char *)"/dev/null";
    int outcome;

    self(program, sizeof program);
    if (wishes->forgery != NULL)
        outcome = run((char *const[]){"daemonctx", "start", "--pidfile", (char *)pid_file, "--user", (char *)wishes->user, "--",
                                      program, "live", (char *)pid_file, (char *)wishes->victim, (char *)wishes->forgery, NULL});
    else
        outcome = run((char *const[]){"daemonctx", "start", "--pidfile", (char *)pid_file, "--notify", notify(), "--stdout", log, "--", program, "live",
                                      wishes->log != NULL ? "log" : NULL, NULL});
    if (outcome > 128 || outcome == STARTED)
        /* To start what runs is no error. */
        return strstr(said, "runs already") != NULL ? ALREADY : outcome;
    if (strstr(said, "another start is under way") != NULL)
        return ALREADY;
    /* Its daemon was ended before it was ready: by the others here. */
    if (strstr(said, "before it was ready") != NULL || strstr(said, "(stopped)") != NULL)
        return 128 + SIGTERM;
    fprintf(stderr, "%s", said);
    return outcome;
}

int door_start(const char *pid_file, const struct wishes *wishes)
{
    return door_start_here(pid_file, wishes);
}

int door_signal(const char *pid_file, int signum)
{
    char schedule[32];

    if (signum == SIGHUP)
        return run((char *const[]){"daemonctx", "reload", "--pidfile", (char *)pid_file, NULL});
    snprintf(schedule, sizeof schedule, "%d/%d", signum, door_grace());
    return run((char *const[]){"daemonctx", "stop", "--pidfile", (char *)pid_file, "--retry", schedule, NULL}) == 0 ? 0 : ESRCH;
}

int door_stop(const char *pid_file)
{
    char grace[32];
    int outcome;

    snprintf(grace, sizeof grace, "%d", door_grace());
    outcome = run((char *const[]){"daemonctx", "stop", "--pidfile", (char *)pid_file, "--retry", grace, NULL});
    /* Another start is under way, whose processes have the lock: it says so, and no daemon runs. */
    if (strstr(said, "which the daemon has left") != NULL)
        return 0;
    if (outcome != 0)
        fprintf(stderr, "%s", said);
    return outcome;
}

pid_t door_status(const char *pid_file)
{
    char text[32] = "";
    int fd;

    if (run((char *const[]){"daemonctx", "status", "--pidfile", (char *)pid_file, NULL}) != 0)
        return NOT_RUNNING;
    fd = open(pid_file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) < 0)
            text[0] = 0;
        close(fd);
    }
    return (pid_t)atoi(text);
}

int door_cycle(const char *pid_file)
{
    (void)pid_file;
    return ENOSYS;
}
