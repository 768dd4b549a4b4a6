/* What it costs a program to be linked with a library: the time from spawning it until it has ended, for two builds of the
 * same program in turn.
 *
 *     loading ROUNDS MOST ORIGINAL OURS
 *
 * Prints the medians, and the median of the ratios of neighbours with the interval that 19 of 20 resamplings lie in. Fails
 * when all of that interval lies above MOST.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

/* Microseconds from spawn to exit. */
static double run(char *program)
{
    char *argv[] = {program, NULL};
    double begin = now();
    pid_t pid;
    int status;
    if (posix_spawn(&pid, program, NULL, NULL, argv, environ) != 0)
        err(2, "%s", program);
    if (waitpid(pid, &status, 0) != pid || status != 0)
        errx(2, "%s has failed", program);
    return now() - begin;
}

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, ascending);
    return values[count / 2];
}

static double *room(size_t count)
{
    double *values = calloc(count, sizeof *values);
    if (values == NULL)
        err(2, "memory");
    return values;
}

int main(int argc, char **argv)
{
    enum { RESAMPLINGS = 400, WARM_UP = 20 };
    if (argc != 5)
        errx(2, "usage: loading ROUNDS MOST ORIGINAL OURS");
    size_t rounds = (size_t)atol(argv[1]);
    double most = atof(argv[2]);
    double *times[2] = {room(rounds), room(rounds)}, *ratios = room(rounds), *sample = room(rounds),
           *medians = room(RESAMPLINGS);

    /* On one processor: which one the child gets would be the greatest part of the difference. */
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);

    for (size_t round = 0; round < rounds + WARM_UP; round++) {
        double time[2];
        size_t first = round % 2;
        time[first] = run(argv[3 + first]);
        time[!first] = run(argv[3 + !first]);
        if (round < WARM_UP)
            continue;
        for (size_t i = 0; i < 2; i++)
            times[i][round - WARM_UP] = time[i];
        ratios[round - WARM_UP] = time[1] / time[0];
    }
    srand(1);
    for (size_t i = 0; i < RESAMPLINGS; i++) {
        for (size_t j = 0; j < rounds; j++)
            sample[j] = ratios[(size_t)rand() % rounds];
        medians[i] = median(sample, rounds);
    }
    double ratio = median(ratios, rounds);
    median(medians, RESAMPLINGS);
    double least = medians[RESAMPLINGS / 40], highest = medians[RESAMPLINGS - 1 - RESAMPLINGS / 40];
    printf("original %.0f us, ours %.0f us: %.3f times (%.3f to %.3f), %.2f allowed\n", median(times[0], rounds),
           median(times[1], rounds), ratio, least, highest, most);
    return least > most ? 1 : 0;
}
