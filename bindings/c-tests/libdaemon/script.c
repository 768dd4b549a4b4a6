/* A program that does what its arguments say. */
#define _GNU_SOURCE
#include "script.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static const char *who = "parent";
static long began;

static void do_nothing(int signum)
{
    (void)signum;
}

static void ring_soon(void)
{
    struct sigaction action = {.sa_handler = do_nothing};
    struct itimerval soon = {.it_value = {.tv_usec = 50000}};
    NEED(sigaction(SIGALRM, &action, NULL) == 0);
    NEED(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

static void allow(int descriptors)
{
    struct rlimit limit;
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = (rlim_t)descriptors;
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

static void spawn(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0)
        sleep_forever();
    say("%s spawn %d", who, (int)child);
}

static void tell(const char *word, char *result)
{
    say("%s %s %s", who, word, result);
}

/* What is not the library's; false when it is. */
static bool is_ours(const char *word, int number)
{
    if (strcmp(word, "fds") == 0)
        tell(word, own_descriptors());
    else if (strcmp(word, "took") == 0)
        say("%s took %ld", who, clock_now() - began);
    else if (strcmp(word, "pid") == 0)
        say("%s pid %d", who, (int)getpid());
    else if (strcmp(word, "await") == 0)
        await_go();
    else if (strcmp(word, "sleep") == 0)
        sleep_forever();
    else if (strcmp(word, "alarm") == 0)
        ring_soon();
    else if (strcmp(word, "spawn") == 0)
        spawn();
    else if (strncmp(word, "limit=", 6) == 0)
        allow(number);
    else if (strncmp(word, "exit=", 5) == 0)
        _exit(number);
    else if (strncmp(word, "kill=", 5) == 0)
        raise(number);
    else
        return false;
    return true;
}

static void call(const char *word, int number)
{
    began = clock_now();
    if (strcmp(word, "init") == 0)
        tell(word, RESULT(daemon_retval_init()));
    else if (strncmp(word, "wait=", 5) == 0)
        tell(word, RESULT(daemon_retval_wait(number)));
    else if (strncmp(word, "send=", 5) == 0)
        tell(word, RESULT(daemon_retval_send(number)));
    else if (strcmp(word, "done") == 0)
        daemon_retval_done();
    else if (strcmp(word, "close_all") == 0)
        tell(word, RESULT(daemon_close_all(-1)));
    else
        FAIL("the word %s", word);
}

PROGRAM(script)
{
    const char *reader = NULL;
    for (char **word = argv + 1; *word != NULL; word++) {
        const char *value = strchr(*word, '=');
        int number = value == NULL ? 0 : (int)strtol(value + 1, NULL, 10);
        if (strcmp(*word, "parent:") == 0 || strcmp(*word, "daemon:") == 0) {
            reader = *word;
        } else if (reader != NULL && strncmp(reader, who, strlen(who)) != 0) {
            continue;
        } else if (strcmp(*word, "fork") == 0) {
            pid_t pid = daemon_fork();
            if (pid < 0)
                FAIL("daemon_fork: %m");
            if (pid == 0)
                who = "daemon";
        } else if (!is_ours(*word, number)) {
            call(*word, number);
        }
    }
    return 0;
}
