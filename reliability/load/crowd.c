/* A start from a process that has many descriptors and threads.
 *
 *     crowd new|old DESCRIPTORS THREADS PIDFILE
 *
 * Prints how long the start took and how many descriptors and threads the daemon has, and has it ended.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <daemonctx.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libdaemon/daemon.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *pid_file;
static int speak;

static const char *path(void)
{
    return pid_file;
}

static int entries(const char *directory)
{
    DIR *open = opendir(directory);
    int count = 0;
    struct dirent *entry;

    while (open != NULL && (entry = readdir(open)) != NULL)
        count += entry->d_name[0] != '.';
    if (open != NULL)
        closedir(open);
    return count;
}

static void *rest(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

static void crowd(int descriptors, int threads)
{
    struct rlimit limit;
    pthread_attr_t small;
    pthread_t thread;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < descriptors; i++)
        if (open("/dev/null", O_RDONLY) < 0)
            break;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&thread, &small, rest, NULL) != 0)
            abort();
}

__attribute__((noreturn)) static void daemon_part(void)
{
    int descriptors = entries("/proc/self/fd") - 1;

    if (dprintf(speak, "%d %d\n", descriptors, entries("/proc/self/task")) < 0)
        _exit(1);
    exit(0);
}

static int start_new(void)
{
    daemonctx *ctx = daemonctx_new();
    pid_t daemon = -1;
    int ready = 0;

    if (!daemonctx_set_detach(ctx, DAEMONCTX_DETACH_YES) && !daemonctx_set_pid_file(ctx, pid_file) &&
        !daemonctx_set_allow_threads(ctx, 1) &&
        !daemonctx_keep_descriptor(ctx, speak) && !daemonctx_fork(ctx, &daemon) && daemon == 0)
        daemon_part();
    if (daemon > 0 && daemonctx_wait_ready(ctx, DAEMONCTX_FOREVER, &ready) == DAEMONCTX_OK)
        return 0;
    printf("refused: %s\n", daemonctx_error_text(ctx));
    return 1;
}

static int start_old(void)
{
    pid_t daemon;

    daemon_pid_file_proc = path;
    daemon_log_use = DAEMON_LOG_STDERR;
    if (daemon_retval_init() < 0 || (daemon = daemon_fork()) < 0) {
        printf("refused: %m\n");
        return 1;
    }
    if (daemon == 0) {
        daemon_close_all(speak, -1);
        if (daemon_pid_file_create() < 0 || daemon_retval_send(0) < 0)
            _exit(1);
        daemon_part();
    }
    return daemon_retval_wait(20);
}

int main(int argc, char **argv)
{
    struct timespec before, after;
    char told[64] = "";
    int talk[2], failed;

    if (argc < 5 || pipe(talk) != 0)
        return 2;
    pid_file = argv[4];
    speak = talk[1];
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    crowd(atoi(argv[2]), atoi(argv[3]));
    clock_gettime(CLOCK_MONOTONIC, &before);
    failed = strcmp(argv[1], "old") ? start_new() : start_old();
    clock_gettime(CLOCK_MONOTONIC, &after);
    close(talk[1]);
    if (!failed && read(talk[0], told, sizeof told - 1) < 0)
        failed = 1;
    printf("%s: %s descriptors, %s threads: %s in %.1f ms; the daemon has (descriptors, threads): %s\n", argv[1], argv[2], argv[3],
           failed ? "failed" : "started", (double)(after.tv_sec - before.tv_sec) * 1e3 + (double)(after.tv_nsec - before.tv_nsec) / 1e6,
           strtok(told, "\n"));
    while (wait(NULL) > 0)
        ;
    return failed;
}
