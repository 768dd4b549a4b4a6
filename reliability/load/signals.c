/* A million signals through libdaemon's descriptor, which is parts::signal_queue.
 *
 *     signals COUNT
 *
 * What the kernel merges is nobody's to count: it keeps one pending signal of a kind below SIGRTMIN. So a signal is counted that is
 * surely delivered: one that a process raises itself (raise(3) comes back after the handler), or a real-time one whose sigqueue(3) was
 * taken (EAGAIN: the queue is full, and it is sent again).
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libdaemon/daemon.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KINDS = 6, BURST = 10000 };

static int kinds[KINDS];
static int wrong;

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* In their order, as long as the pipe has room: bursts of ten thousand, of kinds by chance. */
static void in_order(int count)
{
    unsigned sent = 1, read = 1;
    double began = now();
    int failures = 0;

    for (int done = 0; done < count; done += BURST) {
        for (int i = 0; i < BURST; i++)
            raise(kinds[rand_r(&sent) % KINDS]);
        for (int i = 0; i < BURST; i++)
            failures += daemon_signal_next() != kinds[rand_r(&read) % KINDS];
        failures += daemon_signal_next() != 0;
    }
    printf("libdaemon: %d raised and taken by turns: %d not in their place, %.2f s\n", count, failures, now() - began);
    wrong += failures;
}

/* None taken until all have come: what finds no room in the pipe is counted. */
static void all_at_once(int count)
{
    long sent[KINDS] = {0}, got[KINDS] = {0}, failures = 0;
    unsigned seed = 7;
    double began = now();
    int signum;

    for (int i = 0; i < count; i++) {
        int kind = rand_r(&seed) % KINDS;
        raise(kinds[kind]);
        sent[kind]++;
    }
    while ((signum = daemon_signal_next()) > 0)
        for (int kind = 0; kind < KINDS; kind++)
            got[kind] += kinds[kind] == signum;
    for (int kind = 0; kind < KINDS; kind++)
        failures += labs(sent[kind] - got[kind]);
    printf("libdaemon: %d raised, then taken: %ld lost or too many, %.2f s\n", count, failures, now() - began);
    wrong += failures != 0;
}

static void send(pid_t to, int count)
{
    union sigval value = {0};

    for (int i = 0; i < count; i++)
        while (sigqueue(to, kinds[KINDS - 1 - i % 2], value) != 0 && errno == EAGAIN)
            usleep(50);
    _exit(0);
}

/* From another process, while this one takes them. */
static void from_outside(int count)
{
    struct pollfd news = {daemon_signal_fd(), POLLIN, 0};
    /* The kernel searches its queue from the front for each signal that it delivers: a long one takes it minutes. */
    struct rlimit few = {1000, 1000};
    double began = now();
    pid_t self = getpid(), child;
    long got[2] = {0};
    int signum;

    setrlimit(RLIMIT_SIGPENDING, &few);
    child = fork();
    if (child == 0)
        send(self, count);
    while (got[0] + got[1] < count && poll(&news, 1, 5000) != 0)
        while ((signum = daemon_signal_next()) > 0)
            for (int i = 0; i < 2; i++)
                got[i] += kinds[KINDS - 1 - i] == signum;
    waitpid(child, NULL, 0);
    printf("libdaemon: %d queued by another process: %ld lost, %.2f s\n", count, count - got[0] - got[1], now() - began);
    wrong += got[0] != (count + 1) / 2 || got[1] != count / 2;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 1000000;
    const int wanted[KINDS] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGRTMIN + 1, SIGRTMIN + 2};

    daemon_log_use = DAEMON_LOG_STDERR;
    for (int kind = 0; kind < KINDS; kind++) {
        kinds[kind] = wanted[kind];
        if (daemon_signal_init(wanted[kind], 0) != 0)
            return 2;
    }
    in_order(count);
    all_at_once(count);
    from_outside(count);
    return wrong != 0;
}
