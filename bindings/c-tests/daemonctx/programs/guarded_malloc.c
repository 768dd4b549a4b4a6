/* A daemon whose malloc aborts a process that is not the starter, until daemonctx_open() or daemonctx_fork() has returned.
 *
 * Argument 1: "open", "manual" or "fork". The rest are settings of the start: pid file, log file or "syslog", user.
 */
#define _GNU_SOURCE
#include <daemonctx.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *old);

static volatile pid_t starter;
static volatile unsigned long calls;

static void guard(void)
{
    calls++;
    /* By the kernel: nothing between us and it may have an opinion. */
    if (starter != 0 && (pid_t)syscall(SYS_getpid) != starter)
        syscall(SYS_kill, (pid_t)syscall(SYS_getpid), SIGABRT);
}

void *malloc(size_t size)
{
    guard();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    guard();
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    guard();
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    guard();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    guard();
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **place, size_t alignment, size_t size)
{
    guard();
    *place = __libc_memalign(alignment, size);
    return *place == NULL;
}

void free(void *old)
{
    guard();
    __libc_free(old);
}

static void settings(daemonctx *ctx, char **argv)
{
    int to_syslog = strcmp(argv[3], "syslog") == 0;
    for (int stream = 1; stream <= 2; stream++)
        if (to_syslog ? daemonctx_set_stream_syslog(ctx, stream, NULL, -1) : daemonctx_set_stream_file(ctx, stream, argv[3]))
            exit(89);
    if (daemonctx_set_pid_file(ctx, argv[2]) || daemonctx_keep_descriptor(ctx, 0) ||
        daemonctx_keep_descriptor(ctx, 1) || daemonctx_set_umask(ctx, 022) ||
        daemonctx_set_signal(ctx, SIGUSR1, DAEMONCTX_SIGNAL_IGNORE))
        exit(90);
    if (argv[4] != NULL && daemonctx_set_user(ctx, argv[4]))
        exit(91);
    if (strcmp(argv[1], "open") != 0 && daemonctx_set_manual_ready(ctx, 1))
        exit(92);
}

int main(int argc, char **argv)
{
    daemonctx *ctx = daemonctx_new();
    pid_t daemon = 0;
    unsigned long before = calls;
    if (argc < 4 || ctx == NULL || before == 0)
        return 93;
    settings(ctx, argv);
    daemonctx_status status;
    starter = getpid();
    if (strcmp(argv[1], "fork") == 0)
        status = daemonctx_fork(ctx, &daemon);
    else
        status = daemonctx_open(ctx);
    starter = 0;
    if (status != DAEMONCTX_OK)
        return 94;
    /* The starter of a fork: whether its daemon becomes ready. */
    if (daemon != 0) {
        int ready = 0;
        return daemonctx_wait_ready(ctx, -1, &ready) == DAEMONCTX_OK && ready ? 0 : daemonctx_exit_status(ctx);
    }
    if (strcmp(argv[1], "open") != 0 && daemonctx_ready(ctx))
        return 95;
    for (;;)
        pause();
}
