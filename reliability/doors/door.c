/* The command line that every door in C has:
 *
 *     start PIDFILE [LOG [truncate]]     stop PIDFILE     signal PIDFILE N     status PIDFILE
 *     hostile PIDFILE VICTIM MODE        starts a daemon that gives up its privileges and does what forge.h says
 *     herd PIDFILE COUNT ROUNDS          so many starts at once, again and again
 *     act PIDFILE SEED OPERATIONS        starts, stops, kills and asks in random order
 *     restart PIDFILE TIMES              starts and stops from one process that goes on
 *     cycle PIDFILE TIMES                takes the pid file and gives it up
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "door.h"
#include "forge.h"
#include "witness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE 60 /* seconds that anything may take */

static struct wishes wishes;
static int witness = WITNESS;

int door_grace(void)
{
    return getenv("TRUST_GRACE") != NULL ? atoi(getenv("TRUST_GRACE")) : 10;
}

void door_prepare(void)
{
    int fd = open("/dev/null", O_RDWR);

    if (fd >= 0 && fd != WITNESS) {
        dup2(fd, WITNESS);
        close(fd);
    }
}

sigset_t door_listen(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return set;
}

void door_live(void (*reopen)(void), void (*leave)(void))
{
    sigset_t set = door_listen();
    int signum;

    alarm(0);
    witness_begin(witness);
    if (wishes.forgery != NULL)
        forge(wishes.pid_file, (pid_t)atoi(wishes.victim), wishes.forgery);
    if (wishes.log != NULL)
        dprintf(1, "the daemon %d has written this\n", (int)getpid());
    while (sigwait(&set, &signum) == 0 && signum == SIGHUP) {
        if (reopen != NULL)
            reopen();
        if (wishes.log != NULL)
            dprintf(1, "the daemon %d has written this, too\n", (int)getpid());
    }
    witness_end(witness);
    if (leave != NULL)
        leave();
    exit(0);
}

/* --- a part of the work in a process of its own ---------------------------------------------------------------------- */

enum work { START, STOP, KILL, ASK };

static int do_work(enum work work, const char *pid_file)
{
    switch (work) {
    case START:
        return door_start(pid_file, &wishes);
    case STOP:
        return door_stop(pid_file) != 0;
    case KILL:
        return door_signal(pid_file, SIGKILL) == ESRCH ? ESRCH : 0;
    default:
        return door_status(pid_file) < 0;
    }
}

static pid_t set_to_work(enum work work, const char *pid_file)
{
    pid_t child = fork();

    if (child != 0)
        return child;
    alarm(PATIENCE);
    _exit(do_work(work, pid_file));
}

/* What became of it; 128 + N when signal N ended it, HUNG when that was the alarm. */
static int outcome_of(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    return WTERMSIG(status) == SIGALRM ? HUNG : 128 + WTERMSIG(status);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pause_ms(double milliseconds)
{
    usleep((useconds_t)(milliseconds * 1000));
}

/* --- so many at once ------------------------------------------------------------------------------------------------ */

static int one_herd(const char *pid_file, int count, int counts[256])
{
    pid_t *children = calloc((size_t)count, sizeof *children);
    int gate[2], started = 0;

    if (children == NULL || pipe(gate) != 0)
        abort();
    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            char byte;
            close(gate[1]);
            if (read(gate[0], &byte, 1) != 0)
                _exit(98);
            close(gate[0]);
            alarm(PATIENCE);
            _exit(do_work(START, pid_file));
        }
    }
    close(gate[0]);
    close(gate[1]);
    for (int i = 0; i < count; i++) {
        int outcome = outcome_of(children[i]);
        counts[outcome & 255]++;
        started += outcome == STARTED;
    }
    free(children);
    return started;
}

/* The one daemon, once it has taken the witness; 0 when there is none. */
static pid_t settled(double seconds)
{
    double until = now() + seconds;
    pid_t holder;

    while ((holder = witness_holder()) == 0 && now() < until)
        pause_ms(1);
    return holder;
}

static int herd(const char *pid_file, int count, int rounds)
{
    int counts[256] = {0};
    double began = now();

    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int round = 0; round < rounds; round++) {
        int started = one_herd(pid_file, count, counts);
        pid_t daemon = settled(5), named = door_status(pid_file);

        if (started != 1)
            violation("%s: round %d: %d of %d starts at once say that they have started", door_name, round, started, count);
        if (daemon == 0 || daemon != named)
            violation("%s: round %d: the daemon is %d, the file names %d", door_name, round, (int)daemon, (int)named);
        /* By turns, so that every second round begins with a stale file. It is our child: nobody else has its PID. */
        if (round % 2 == 0)
            door_stop(pid_file);
        else if (daemon > 0)
            kill(daemon, SIGKILL);
        while (waitpid(-1, NULL, daemon > 0 ? 0 : WNOHANG) > 0)
            ;
    }
    printf("%s: %d rounds of %d starts at once: %d started, %d found it running,", door_name, rounds, count, counts[0],
           counts[ALREADY]);
    counts[0] = counts[ALREADY] = 0;
    for (int i = 0; i < 256; i++) {
        if (counts[i] != 0) {
            violation("%s: %d starts ended with %d", door_name, counts[i], i);
            printf(" %d ended with %d,", counts[i], i);
        }
    }
    printf(" %.1f s\n", now() - began);
    return 0;
}

/* --- in any order --------------------------------------------------------------------------------------------------- */

static int act(const char *pid_file, unsigned seed, int operations)
{
    int stale = getenv("TRUST_STALE") != NULL ? atoi(getenv("TRUST_STALE")) : 40; /* milliseconds */

    for (int i = 0; i < operations; i++) {
        int dice = rand_r(&seed) % 100;
        enum work work = dice < 40 ? START : dice < 65 ? STOP : dice < 90 ? KILL : ASK;
        int outcome = outcome_of(set_to_work(work, pid_file));

        /* A start may also fail because its daemon was ended or killed before it was ready: 128 + N says so. */
        if (outcome == HUNG || (work == STOP && outcome != 0) ||
            (work == START && outcome != STARTED && outcome != ALREADY && outcome != 128 + SIGKILL && outcome != 128 + SIGTERM))
            violation("%s: work %d has ended with %d", door_name, work, outcome);
        printf("%d %d\n", work, outcome);
        /* What a killed daemon has left lies there for a while, so that its number comes to somebody else. */
        pause_ms(work == KILL && dice % 2 == 0 ? rand_r(&seed) % stale : rand_r(&seed) % 3);
    }
    return 0;
}

/* --- for ever ------------------------------------------------------------------------------------------------------- */

static int open_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = -3; /* ".", ".." and its own */

    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static long pages(void)
{
    long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%ld %ld", &size, &resident) != 2)
        abort();
    fclose(file);
    return size;
}

static int children(void)
{
    char text[4096];
    int fd = open("/proc/thread-self/children", O_RDONLY), count = 0;
    ssize_t length = read(fd, text, sizeof text);

    close(fd);
    for (ssize_t i = 0; i < length; i++)
        count += text[i] == ' ';
    return count;
}

static int restart_once(const char *pid_file)
{
    int outcome = door_start_here(pid_file, &wishes);

    if (outcome == 0)
        outcome = door_stop(pid_file);
    /* The next start would take the file without a word. */
    return outcome == 0 && access(pid_file, F_OK) == 0 ? EEXIST : outcome;
}

/* Once in a while, what is had is compared with the beginning. */
static int repeat(const char *what, int (*once)(const char *), const char *pid_file, int times)
{
    int descriptors = 0, kids = 0, outcome = 0;
    long size = 0;
    double began = now();

    for (int i = 0; i < times; i++) {
        outcome = once(pid_file);
        if (outcome != 0) {
            violation("%s: %s %d: %d (%s)", door_name, what, i, outcome, strerror(outcome));
            break;
        }
        /* The first few fill what is allocated once. */
        if (i == times / 100 || i == 0) {
            descriptors = open_descriptors();
            kids = children();
            size = pages();
        }
    }
    if (open_descriptors() != descriptors || children() != kids)
        violation("%s: %s: %d descriptors became %d, %d children %d", door_name, what, descriptors, open_descriptors(), kids,
                  children());
    if (pages() > size)
        violation("%s: %s: %ld pages became %ld", door_name, what, size, pages());
    printf("%s: %s, %d times: %d descriptors, %d children, %ld pages before, %d, %d, %ld after, %.1f s\n", door_name, what, times,
           descriptors, kids, size, open_descriptors(), children(), pages(), now() - began);
    return outcome != 0;
}

static int restart(const char *pid_file, int times)
{
    return repeat("start and stop", restart_once, pid_file, times);
}

/* --- the command line ----------------------------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    const char *pid_file = argc > 2 ? argv[2] : "";
    int number = argc > 3 ? atoi(argv[3]) : 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    /* Below pytest and the like SIGPIPE is ignored; and whoever runs this may have blocked something. */
    signal(SIGPIPE, SIG_DFL);
    if (!strcmp(word, "start")) {
        wishes = (struct wishes){.log = argc > 3 ? argv[3] : NULL, .truncate = argc > 4};
        return door_start(pid_file, &wishes);
    }
    if (!strcmp(word, "hostile") && argc > 4) {
        wishes = (struct wishes){.user = "nobody", .forgery = argv[4], .pid_file = pid_file, .victim = argv[3]};
        return door_start(pid_file, &wishes);
    }
    /* What the command starts. The lock may have any number there. */
    if (!strcmp(word, "live")) {
        wishes.log = argc == 3 ? "standard output" : NULL;
        if (argc > 4)
            wishes = (struct wishes){.forgery = argv[4], .pid_file = pid_file, .victim = argv[3]};
        witness = 100;
        door_live(NULL, NULL);
    }
    if (!strcmp(word, "stop"))
        return door_stop(pid_file);
    if (!strcmp(word, "signal"))
        return door_signal(pid_file, number);
    if (!strcmp(word, "status")) {
        pid_t pid = door_status(pid_file);
        printf("%d\n", (int)pid);
        return pid < 0;
    }
    if (!strcmp(word, "herd"))
        return herd(pid_file, number, atoi(argv[4]));
    if (!strcmp(word, "act"))
        return act(pid_file, (unsigned)number, atoi(argv[4]));
    if (!strcmp(word, "restart"))
        return restart(pid_file, number);
    if (!strcmp(word, "cycle"))
        return repeat("taken and given up", door_cycle, pid_file, number);
    fprintf(stderr, "usage: %s start|stop|signal|status|hostile|herd|act|restart|cycle PIDFILE ...\n", argv[0]);
    return 2;
}
