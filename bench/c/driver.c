/* Starts programs in turn and reads the clock.
 *
 *     driver ROUNDS FIFO , PID-FILE PROGRAM [ARGUMENT ...] [, PID-FILE PROGRAM ...]
 *
 * A line for each start: which program, nanoseconds until the starter had left, nanoseconds until its daemon said "ready". The word
 * is a line on the FIFO, whose path is in BENCH_FIFO: the daemon's PID, and the time at which the start began, or 0 for the time at
 * which the starter was spawned. A FIFO, because it can be opened after a start by those who cannot keep a descriptor through it.
 * A program that stays what it is says "ready" too, and leaves. "-" for the FIFO: nobody says anything.
 *
 * On one processor: which one a child gets would be the greatest part of the difference. As a subreaper, so that all that a start has
 * left behind is found here, ended and reaped before the next one; then the pid file is removed, so each start finds none.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { MOST = 32, WARM_UP = 3, LIMIT = 20000 /* ms */ };

struct program {
    const char *pid_file;
    char **command;
};

struct outcome {
    long long left, ready; /* ns */
};

static int fifo = -1;

static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void use_one_processor(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
}

/* What the daemon says: when its start began, or 0. */
static long long hear(const char *who)
{
    char line[64];
    long long pid, began;
    ssize_t length = read(fifo, line, sizeof line - 1);
    line[length < 0 ? 0 : length] = '\0';
    if (sscanf(line, "%lld %lld", &pid, &began) != 2)
        errx(2, "%s has said \"%s\"", who, line);
    return began;
}

/* Ends and reaps whatever has become a child of this process. */
static void clear_away(void)
{
    char path[64];
    int child;
    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    do {
        FILE *children = fopen(path, "re");
        if (children == NULL)
            err(2, "%s", path);
        while (fscanf(children, "%d", &child) == 1)
            kill(child, SIGKILL);
        fclose(children);
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
    } while (waitpid(-1, NULL, 0) > 0);
}

static struct outcome start(const struct program *it)
{
    struct outcome outcome = {0, 0};
    pid_t pid;
    int status;
    long long began = now();
    if (posix_spawn(&pid, it->command[0], NULL, NULL, it->command, environ) != 0)
        err(2, "%s", it->command[0]);
    int starter = (int)syscall(SYS_pidfd_open, pid, 0);
    if (starter < 0)
        err(2, "pidfd_open");
    struct pollfd watched[2] = {{.fd = starter, .events = POLLIN}, {.fd = fifo, .events = POLLIN}};
    while (watched[0].fd >= 0 || watched[1].fd >= 0) {
        if (poll(watched, 2, LIMIT) <= 0)
            errx(2, "%s: no end in %d ms", it->command[0], LIMIT);
        long long time = now();
        if (watched[0].fd >= 0 && watched[0].revents) {
            outcome.left = time;
            watched[0].fd = -1;
            if (waitpid(pid, &status, 0) != pid || status != 0)
                errx(2, "%s has ended with %#x", it->command[0], (unsigned)status);
        }
        if (watched[1].fd >= 0 && watched[1].revents) {
            outcome.ready = time;
            long long said = hear(it->command[0]);
            began = said ? said : began;
            watched[1].fd = -1;
        }
    }
    close(starter);
    clear_away();
    unlink(it->pid_file);
    outcome.left -= began;
    outcome.ready -= fifo < 0 ? outcome.ready : began;
    return outcome;
}

static int read_programs(char **arguments, struct program *programs)
{
    int count = 0;
    while (*arguments) {
        if (strcmp(*arguments, ",") != 0 || arguments[1] == NULL || arguments[2] == NULL || count == MOST)
            errx(2, "usage: driver ROUNDS FIFO , PID-FILE PROGRAM [ARGUMENT ...] ...");
        *arguments = NULL;
        programs[count].pid_file = arguments[1];
        programs[count++].command = arguments + 2;
        for (arguments += 2; *arguments && strcmp(*arguments, ",") != 0; arguments++) {}
    }
    return count;
}

/* Who comes after whom matters: its caches are warm after itself. The same orders in each run. */
static void shuffle(int *order, int count)
{
    for (int i = count - 1; i > 0; i--) {
        int other = rand() % (i + 1), kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}

int main(int argc, char **argv)
{
    struct program programs[MOST];
    int order[MOST];
    if (argc < 6)
        errx(2, "usage: driver ROUNDS FIFO , PID-FILE PROGRAM [ARGUMENT ...] ...");
    int rounds = atoi(argv[1]), count = read_programs(argv + 3, programs);
    if (strcmp(argv[2], "-") != 0 && (fifo = open(argv[2], O_RDWR | O_CLOEXEC)) < 0)
        err(2, "%s", argv[2]);
    if (fifo >= 0)
        setenv("BENCH_FIFO", argv[2], 1);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    use_one_processor();
    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int round = 0; round < rounds + WARM_UP; round++) {
        shuffle(order, count);
        for (int i = 0; i < count; i++) {
            struct outcome outcome = start(&programs[order[i]]);
            if (round >= WARM_UP)
                printf("%d %lld %lld\n", order[i], outcome.left, outcome.ready);
        }
    }
    return 0;
}
