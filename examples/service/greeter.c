/* A small service: answers every HTTP request with a greeting. In C, with daemonctx.h; beside it the same in Rust and Python.
 *
 *     greeter [-p PORT] [-c CONFIG] [-l LOG] [-i PIDFILE] [-u USER]
 *
 * SIGHUP reads the greeting again, SIGUSR1 opens the log anew, SIGTERM ends it. README.md says how to run it.
 */
#define _GNU_SOURCE
#include <daemonctx.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE = 1000 /* milliseconds for a client to say what it wants */ };

static const char *config = "/etc/greeter.conf", *logfile = "/var/log/greeter.log", *pidfile = "/run/greeter.pid", *user = "nobody";
static unsigned short port = 80;
static char greeting[256];
static volatile sig_atomic_t reload, reopen, end;

__attribute__((noreturn)) static void fail(const char *what)
{
    fprintf(stderr, "greeter: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The first line of the configuration, and the one before where it cannot be read. */
static int read_greeting(void)
{
    char line[sizeof greeting];
    FILE *file = fopen(config, "re");
    if (file == NULL)
        return -1;
    int found = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    if (!found) {
        errno = ENODATA;
        return -1;
    }
    line[strcspn(line, "\n")] = '\0';
    strcpy(greeting, line);
    return 0;
}

static int listen_on_loopback(void)
{
    const int yes = 1;
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(listener, (struct sockaddr *)&place, sizeof place) < 0 || listen(listener, SOMAXCONN) < 0)
        fail("port");
    return listener;
}

/* --- signals: they are let through in ppoll(2) alone, so none comes between a look and a wait --------------------------- */

static void note(int signum)
{
    if (signum == SIGHUP)
        reload = 1;
    else if (signum == SIGUSR1)
        reopen = 1;
    else
        end = 1;
}

static void catch_signals(void)
{
    static const int caught[] = {SIGHUP, SIGUSR1, SIGTERM, SIGINT};
    struct sigaction action = {.sa_handler = note};
    sigset_t mask;
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaddset(&mask, caught[i]);
    sigprocmask(SIG_BLOCK, &mask, NULL);
    for (size_t i = 0; i < sizeof caught / sizeof *caught; i++)
        sigaction(caught[i], &action, NULL);
}

/* --- serving ------------------------------------------------------------------------------------------------------------- */

/* One at a time, each for a second at most. What it asks for does not matter. */
static void answer(int listener)
{
    char request[4096], reply[512];
    int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0)
        return;
    struct pollfd asks = {.fd = client, .events = POLLIN};
    if (poll(&asks, 1, PATIENCE) == 1 && recv(client, request, sizeof request, 0) > 0) {
        int length = snprintf(reply, sizeof reply,
                              "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
                              strlen(greeting) + 1, greeting);
        if (send(client, reply, (size_t)length, MSG_NOSIGNAL) < 0)
            perror("send");
    }
    close(client);
}

static void obey(daemonctx *ctx)
{
    if (reload) {
        reload = 0;
        daemonctx_notify_reloading(NULL);
        if (read_greeting() < 0)
            fprintf(stderr, "greeter: %s: %s\n", config, strerror(errno));
        else
            fprintf(stderr, "greeter: greets with: %s\n", greeting);
        daemonctx_notify("READY=1", NULL);
    }
    if (reopen) {
        const char *why;
        reopen = 0;
        if (daemonctx_reopen_streams(ctx) != DAEMONCTX_OK && daemonctx_error(ctx, NULL, NULL, &why) != DAEMONCTX_OK)
            fprintf(stderr, "greeter: %s\n", why);
    }
}

static void serve(daemonctx *ctx, int listener)
{
    /* Microseconds; 0 where nobody wants to hear. Twice in each interval. */
    long pause = (long)(daemonctx_watchdog_interval() / 2);
    struct timespec timeout = {.tv_sec = pause / 1000000, .tv_nsec = pause % 1000000 * 1000};
    struct pollfd asks = {.fd = listener, .events = POLLIN};
    sigset_t none;
    sigemptyset(&none);
    while (!end) {
        if (pause > 0)
            daemonctx_notify("WATCHDOG=1", NULL);
        if (ppoll(&asks, 1, pause > 0 ? &timeout : NULL, &none) > 0)
            answer(listener);
        obey(ctx);
    }
}

/* --- the start ----------------------------------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void give_up(daemonctx *ctx)
{
    const char *why = "out of memory";
    daemonctx_error(ctx, NULL, NULL, &why);
    fprintf(stderr, "greeter: %s\n", why);
    exit(ctx == NULL ? 1 : daemonctx_exit_status(ctx));
}

/* Comes back in the daemon, which is `user` by then. */
static daemonctx *become_daemon(int listener)
{
    daemonctx *ctx = daemonctx_new();
    if (!ctx || daemonctx_set_pid_file(ctx, pidfile) || daemonctx_set_user(ctx, user) ||
        daemonctx_set_stream_log_file(ctx, 2, logfile, 0, 0640, user, NULL) || daemonctx_keep_descriptor(ctx, listener) ||
        daemonctx_set_manual_ready(ctx, 1) || daemonctx_open(ctx))
        give_up(ctx);
    return ctx;
}

static unsigned short port_number(const char *word)
{
    char *rest;
    errno = 0;
    unsigned long number = strtoul(word, &rest, 10);
    if (errno != 0 || rest == word || *rest != '\0' || number == 0 || number > 65535) {
        fprintf(stderr, "greeter: port: %s: not a number from 1 to 65535\n", word);
        exit(2);
    }
    return (unsigned short)number;
}

static void read_options(int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "p:c:l:i:u:")) != -1;) {
        switch (option) {
        case 'p': port = port_number(optarg); break;
        case 'c': config = optarg; break;
        case 'l': logfile = optarg; break;
        case 'i': pidfile = optarg; break;
        case 'u': user = optarg; break;
        default: exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    if (read_greeting() < 0)
        fail(config);
    int listener = listen_on_loopback(); /* as root: ports below 1024 are its */
    daemonctx *ctx = become_daemon(listener);
    catch_signals();
    if (daemonctx_ready(ctx) != DAEMONCTX_OK) /* clients are answered from here on */
        give_up(ctx);
    serve(ctx, listener);
    daemonctx_notify("STOPPING=1", NULL);
    daemonctx_close(ctx); /* the pid file, before others may look */
    daemonctx_free(ctx);
    return 0;
}
