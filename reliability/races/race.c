/* Starts, stops and kills in random order, by several at once, in a PID namespace so small that PIDs come again in no time.
 *
 *     race FOLDER SECONDS SEED PID_MAX DOOR...
 *
 * An epoch: some actors (`DOOR act`) work on one pid file for a moment; when all is quiet there is one last start. Then one daemon
 * must run, and the file must name it. Meanwhile innocents are born and die all the time; none may get a signal.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "witness.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ACTORS = 4, INNOCENTS = 16, HIGHEST = 32768, ALREADY = 75, PATIENCE = 120 };

static char pid_file[4096];
static char **door;
static int pid_max;

/* Shared with the innocents. */
static struct counts {
    atomic_long born, named, signalled;
} *counts;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static pid_t named(void)
{
    char text[32] = "";
    int fd = open(pid_file, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 0;
    if (read(fd, text, sizeof text - 1) < 0)
        text[0] = 0;
    close(fd);
    return (pid_t)atoi(text);
}

/* --- innocents ------------------------------------------------------------------------------------------------------ */

static void hit(int signum, siginfo_t *info, void *context)
{
    (void)context;
    atomic_fetch_add(&counts->signalled, 1);
    violation("innocent: got signal %d from %d", signum, (int)info->si_pid);
}

static void live_shortly(unsigned seed)
{
    atomic_fetch_add(&counts->born, 1);
    /* How often one has the very number that is in the pid file: without that nothing would be proved. */
    if (named() == getpid())
        atomic_fetch_add(&counts->named, 1);
    usleep((useconds_t)(rand_r(&seed) % 3000));
    if (named() == getpid())
        atomic_fetch_add(&counts->named, 1);
    _exit(0);
}

__attribute__((noreturn)) static void innocents(unsigned seed)
{
    struct sigaction action = {.sa_sigaction = hit, .sa_flags = SA_SIGINFO | SA_RESTART};
    int alive = 0, status;

    for (int signum = 1; signum < SIGRTMIN; signum++)
        if (signum != SIGCHLD)
            sigaction(signum, &action, NULL);
    for (;;) {
        pid_t child = alive < INNOCENTS ? fork() : -1;
        if (child == 0)
            live_shortly(seed);
        seed = seed * 1103515245 + 12345;
        alive += child > 0;
        if (child < 0 && waitpid(-1, &status, 0) > 0) {
            alive--;
            if (WIFSIGNALED(status)) {
                atomic_fetch_add(&counts->signalled, 1);
                violation("innocent: killed by signal %d", WTERMSIG(status));
            }
        }
    }
}

/* --- an epoch ------------------------------------------------------------------------------------------------------- */

/* This is PID 1: every orphan is its child, too. So who has ended is remembered; a child that does not end is a hang. */
static int ended[HIGHEST]; /* Its status and ENDED, by PID. */
#define ENDED 0x10000

static pid_t run(const char *word, const char *third, const char *fourth, int out)
{
    pid_t child = fork();

    if (child == 0) {
        char *argv[16];
        int count = 0;
        for (; door[count] != NULL && count < 10; count++)
            argv[count] = door[count];
        argv[count++] = (char *)word;
        argv[count++] = pid_file;
        argv[count++] = (char *)third;
        argv[count++] = (char *)fourth;
        argv[count] = NULL;
        dup2(out, 1);
        execv(argv[0], argv);
        _exit(127);
    }
    if (child > 0)
        ended[child % HIGHEST] = 0;
    return child;
}

static int reap(pid_t wanted)
{
    double until = now() + PATIENCE;
    int status = 0;
    pid_t pid;

    while (wanted > 0 && !(ended[wanted % HIGHEST] & ENDED) && now() < until) {
        pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0)
            ended[pid % HIGHEST] = ENDED | (WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        else
            usleep(300);
    }
    if (wanted <= 0 || !(ended[wanted % HIGHEST] & ENDED)) {
        violation("%d hangs", (int)wanted);
        kill(wanted, SIGKILL);
        return -1;
    }
    return ended[wanted % HIGHEST] & 0xff;
}

struct tally {
    long epochs, operations, works[4], started, running, again;
};

static void tell(const char *path, struct tally *tally)
{
    FILE *file = fopen(path, "r");
    int work, outcome;

    while (file != NULL && fscanf(file, "%d %d", &work, &outcome) == 2) {
        tally->operations++;
        tally->works[work & 3]++;
        tally->started += work == 0 && outcome == 0;
        tally->running += work == 0 && outcome == ALREADY;
    }
    if (file != NULL)
        fclose(file);
}

static pid_t settled_within(double seconds)
{
    double until = now() + seconds;
    pid_t holder;

    while ((holder = witness_holder()) == 0 && now() < until)
        usleep(500);
    return holder;
}

static pid_t settled(void)
{
    return settled_within(5);
}

/* A daemon that was killed a moment ago has the lock until it has run once more, which takes its time on a busy machine. */
static pid_t settled_soon(void)
{
    return settled_within(0.1);
}

static void last_start(struct tally *tally, unsigned seed)
{
    int outcome = reap(run("start", NULL, NULL, 1));
    pid_t daemon = 0;

    /* One that was killed a moment ago may still have been there for it. Then there is none afterwards, and another start. */
    for (double until = now() + PATIENCE; outcome == ALREADY && settled_soon() == 0 && now() < until;) {
        tally->again++;
        outcome = reap(run("start", NULL, NULL, 1));
    }
    if (outcome != 0 && outcome != ALREADY)
        violation("epoch %ld (seed %u): the last start has ended with %d", tally->epochs, seed, outcome);
    daemon = settled();
    if (daemon == 0 || named() != daemon)
        violation("epoch %ld (seed %u): after the last start (%d) the daemon is %d, the file names %d", tally->epochs, seed, outcome,
                  (int)daemon, (int)named());
}

static void epoch(const char *folder, unsigned seed, struct tally *tally)
{
    pid_t actors[ACTORS];
    char path[4200], number[16], operations[16];
    int out;

    snprintf(path, sizeof path, "%s/done", folder);
    out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666);
    for (int i = 0; i < ACTORS; i++) {
        snprintf(number, sizeof number, "%u", (seed + (unsigned)i * 7919) & 0x7fffffff);
        snprintf(operations, sizeof operations, "%u", 4 + (seed >> 3) % 12);
        actors[i] = run("act", number, operations, out);
    }
    close(out);
    for (int i = 0; i < ACTORS; i++)
        reap(actors[i]);
    tell(path, tally);
    last_start(tally, seed);
    tally->epochs++;
    /* By turns the next epoch begins with a daemon, or without. */
    if (seed & 1)
        reap(run("stop", NULL, NULL, 1));
}

static int be_init(const char *folder, double seconds, unsigned seed)
{
    struct tally tally = {0};
    double until = now() + seconds;
    int fd;
    pid_t crowd;

    if (mount("proc", "/proc", "proc", 0, NULL) != 0)
        abort();
    fd = open("/proc/sys/kernel/pid_max", O_WRONLY);
    if (fd < 0 || dprintf(fd, "%d\n", pid_max) < 0)
        printf("races: no small pid_max here: PIDs are reused by chance only\n");
    close(fd);
    crowd = fork();
    if (crowd == 0)
        innocents(seed);
    while (now() < until) {
        epoch(folder, seed, &tally);
        seed = seed * 1103515245 + 12345;
    }
    printf("%ld epochs, %ld operations (%ld starts of which %ld started and %ld found it running, %ld stops, %ld kills, %ld "
           "queries), %ld last starts tried again; %ld innocents, %ld times one had the number in the pid file, %ld signalled\n",
           tally.epochs, tally.operations, tally.works[0], tally.started, tally.running, tally.works[1], tally.works[2],
           tally.works[3], tally.again, atomic_load(&counts->born), atomic_load(&counts->named), atomic_load(&counts->signalled));
    fflush(stdout);
    kill(crowd, SIGKILL);
    return 0; /* The end of PID 1 ends all. */
}

int main(int argc, char **argv)
{
    const char *folder = argc > 5 ? argv[1] : "";
    int status = 0;
    pid_t init;

    if (argc < 6) {
        fprintf(stderr, "usage: race FOLDER SECONDS SEED PID_MAX DOOR...\n");
        return 2;
    }
    snprintf(pid_file, sizeof pid_file, "%s/race.pid", folder);
    setenv("TRUST_DIR", folder, 1);
    door = argv + 5;
    pid_max = atoi(argv[4]);
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED || unshare(CLONE_NEWPID | CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        perror("race: a PID namespace");
        return 2;
    }
    init = fork();
    if (init == 0)
        exit(be_init(folder, atof(argv[2]), (unsigned)strtoul(argv[3], NULL, 10)));
    waitpid(init, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
