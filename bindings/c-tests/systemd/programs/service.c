/* A service made with daemonctx.h. */
#define _GNU_SOURCE
#include "story.h"

#include <daemonctx.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static daemonctx *ctx;
static sigset_t handled;
static volatile sig_atomic_t come[NSIG];

/* What was passed on. */
static int listening;
static char **names;

static void must(daemonctx_status status)
{
    if (status == DAEMONCTX_OK)
        return;
    const char *why;
    daemonctx_error(ctx, NULL, NULL, &why);
    fprintf(stderr, "service: %s\n", why);
    exit(daemonctx_exit_status(ctx));
}

/* For what has no handle, and so only errno. */
static void told(daemonctx_status status, const char *what)
{
    if (status != DAEMONCTX_OK)
        broken(what);
}

/* --- the start ------------------------------------------------------------------------------------------------------- */

static void set_pid_file(const char *path)
{
    must(daemonctx_set_pid_file(ctx, path));
}

static void set_detach(const char *value)
{
    must(daemonctx_set_detach(ctx, strcmp(value, "yes") == 0 ? DAEMONCTX_DETACH_YES : DAEMONCTX_DETACH_NO));
}

static void set_manual(const char *value)
{
    (void)value;
    must(daemonctx_set_manual_ready(ctx, 1));
}

static void set_timeout(const char *value)
{
    must(daemonctx_set_ready_timeout(ctx, atol(value)));
}

static void set_user(const char *name)
{
    must(daemonctx_set_user(ctx, name));
}

static void keep_stderr(const char *value)
{
    (void)value;
    must(daemonctx_set_stream_inherit(ctx, 2));
}

static void open_it(const char *value)
{
    (void)value;
    must(daemonctx_open(ctx));
}

static void be_ready(const char *value)
{
    (void)value;
    must(daemonctx_ready(ctx));
}

static void fail(const char *message)
{
    must(daemonctx_fail(ctx, 3, message));
    exit(3);
}

/* --- what the manager is told ------------------------------------------------------------------------------------------ */

static void tell(const char *state)
{
    int sent;
    told(daemonctx_notify(state, &sent), state);
    if (!sent) {
        errno = ENOTCONN;
        broken(state);
    }
}

static void reloading(const char *value)
{
    int sent;
    (void)value;
    told(daemonctx_notify_reloading(&sent), "reloading");
}

void settle(void)
{
    told(daemonctx_notify_barrier(10000, NULL), "barrier");
}

static void ping(void)
{
    tell("WATCHDOG=1");
}

static void watchdog(const char *value)
{
    (void)value;
    if (daemonctx_watchdog_interval() == 0) {
        errno = ENOENT;
        broken("watchdog");
    }
    every(daemonctx_watchdog_interval(), ping);
}

static void be_silent(const char *value)
{
    (void)value;
    every(0, NULL);
}

/* --- descriptors ----------------------------------------------------------------------------------------------------- */

static void take(const char *value)
{
    (void)value;
    told(daemonctx_listen_descriptors(&listening, &names), "listen");
}

/* Has the manager keep a pipe with a few bytes in it. */
static void store(const char *text)
{
    int ends[2], sent;
    if (pipe2(ends, O_CLOEXEC) != 0 || write(ends[1], text, strlen(text)) < 0)
        broken("pipe");
    told(daemonctx_notify_descriptors("FDSTORE=1\nFDNAME=pipe-read", ends, 1, &sent), "store");
    told(daemonctx_notify_descriptors("FDSTORE=1\nFDNAME=pipe-write", ends + 1, 1, &sent), "store");
}

/* What there is of the pipe's content, as STATUS=; with "none" where there is none. */
static void restore(const char *value)
{
    char text[200] = "STATUS=none";
    (void)value;
    for (int i = 0; i < listening; i++) {
        if (strcmp(names[i], "pipe-read") != 0)
            continue;
        size_t prefix = (size_t)snprintf(text, sizeof text, "STATUS=found ");
        ssize_t count = read(3 + i, text + prefix, sizeof text - prefix - 1);
        if (count < 0)
            broken("pipe");
        text[prefix + (size_t)count] = '\0';
    }
    tell(text);
}

/* Says to whoever asks at a socket who answers, and at which. */
static void answer(int fd, const char *name)
{
    char text[300], bytes[100];
    int kind, connection = fd;
    socklen_t length = sizeof kind;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &length) != 0)
        broken("socket");
    int size = snprintf(text, sizeof text, "%d %s of %d, close-on-exec %d, variables %d\n", (int)getpid(), name, listening,
                        (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0,
                        getenv("LISTEN_FDS") != NULL || getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDNAMES") != NULL);
    if (kind == SOCK_STREAM) {
        connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
        if (connection < 0 || send(connection, text, (size_t)size, MSG_NOSIGNAL) < 0)
            broken("answer");
        close(connection);
    } else {
        struct sockaddr_storage from;
        length = sizeof from;
        if (recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &length) < 0 ||
            sendto(fd, text, (size_t)size, 0, (struct sockaddr *)&from, length) < 0)
            broken("answer");
    }
}

/* --- serving --------------------------------------------------------------------------------------------------------- */

static void note(int signum)
{
    come[signum] = 1;
}

int next_signal(long microseconds)
{
    struct timespec limit = {microseconds / 1000000, microseconds % 1000000 * 1000};
    sigset_t before;
    int signum = 0;
    sigprocmask(SIG_BLOCK, &handled, &before);
    for (int i = 1; i < NSIG && signum == 0; i++)
        if (come[i])
            signum = i;
    if (signum > 0) {
        come[signum] = 0;
        sigprocmask(SIG_SETMASK, &before, NULL);
        return signum;
    }
    struct pollfd sockets[16];
    int count = listening < 16 ? listening : 16;
    for (int i = 0; i < count; i++)
        sockets[i] = (struct pollfd){.fd = 3 + i, .events = POLLIN};
    int ready = ppoll(sockets, (nfds_t)count, microseconds < 0 ? NULL : &limit, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    for (int i = 0; ready > 0 && i < count; i++)
        if (sockets[i].revents & POLLIN)
            answer(3 + i, names[i]);
    return 0;
}

const struct word own_words[] = {
    {"pidfile", set_pid_file}, {"detach", set_detach}, {"manual", set_manual}, {"timeout", set_timeout}, {"user", set_user},
    {"keep-stderr", keep_stderr}, {"open", open_it}, {"ready", be_ready}, {"fail", fail}, {"tell", tell},
    {"reloading", reloading}, {"watchdog", watchdog}, {"silent", be_silent}, {"listen", take}, {"store", store},
    {"restore", restore}, {NULL, NULL},
};

int main(int argc, char **argv)
{
    static const int signals[] = {SIGHUP, SIGTERM, SIGUSR1, SIGUSR2};
    (void)argc;
    ctx = daemonctx_new();
    if (ctx == NULL)
        return 98;
    sigemptyset(&handled);
    /* What is not told of keeps its action: with SIGTERM that is the library's. */
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        for (char **word = argv + 1; *word != NULL; word++)
            if (strlen(*word) > 2 && (*word)[strlen(*word) - 1] == ':' && strncmp(*word, sigabbrev_np(signals[i]), strlen(*word) - 1) == 0) {
                struct sigaction action = {.sa_handler = note};
                sigaction(signals[i], &action, NULL);
                sigaddset(&handled, signals[i]);
            }
    play(argv + 1);
    return 0;
}
