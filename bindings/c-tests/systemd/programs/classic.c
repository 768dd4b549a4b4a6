/* A service made with libdaemon's interface, put together as its example testd.c does it. */
#define _GNU_SOURCE
#include "story.h"

#include <libdaemon/daemon.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *pid_file;
static int wait_for = 20;

static const char *the_pid_file(void)
{
    return pid_file;
}

static void set_pid_file(const char *path)
{
    pid_file = path;
    daemon_pid_file_proc = the_pid_file;
}

static void set_timeout(const char *seconds)
{
    wait_for = atoi(seconds);
}

static void done(void)
{
    daemon_signal_done();
    daemon_pid_file_remove();
}

static void send_back(int status)
{
    if (daemon_retval_send(status) < 0)
        broken("retval");
}

static void open_it(const char *value)
{
    (void)value;
    if (daemon_reset_sigs(-1) < 0 || daemon_unblock_sigs(-1) < 0)
        broken("signals");
    pid_t running = daemon_pid_file_is_running();
    if (running >= 0) {
        daemon_log(LOG_ERR, "Daemon already running on PID file %u", (unsigned)running);
        exit(1);
    }
    if (daemon_retval_init() < 0)
        broken("pipe");
    pid_t daemon = daemon_fork();
    if (daemon < 0)
        broken("fork");
    if (daemon > 0) {
        int status = daemon_retval_wait(wait_for);
        if (status < 0) {
            daemon_log(LOG_ERR, "Could not receive return value from daemon process: %s", strerror(errno));
            exit(255);
        }
        exit(status);
    }
    if (daemon_close_all(-1) < 0)
        send_back(1);
    if (daemon_pid_file_create() < 0) {
        daemon_log(LOG_ERR, "Could not create PID file: %m");
        send_back(2);
        exit(1);
    }
    if (daemon_signal_init(SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, 0) < 0)
        send_back(3);
    atexit(done);
}

static void be_ready(const char *value)
{
    (void)value;
    send_back(0);
}

static void fail(const char *message)
{
    daemon_log(LOG_ERR, "%s", message);
    send_back(3);
    exit(1);
}

static void log_it(const char *text)
{
    daemon_log(LOG_INFO, "%s", text);
}

/* Another program, and what that says is logged. */
static void run(const char *command)
{
    int status;
    if (daemon_exec("/", &status, "/bin/sh", "sh", "-c", command, (char *)NULL) < 0)
        broken("exec");
    daemon_log(LOG_INFO, "it has left with %d", status);
}

void settle(void)
{
}

int next_signal(long microseconds)
{
    struct pollfd queue = {.fd = daemon_signal_fd(), .events = POLLIN};
    if (poll(&queue, 1, microseconds < 0 ? -1 : (int)(microseconds / 1000)) <= 0)
        return 0;
    int signum = daemon_signal_next();
    /* Without a part of its own, as testd.c does it. */
    if (signum == SIGTERM && !has_part(SIGTERM))
        exit(0);
    return signum;
}

/* The queue has the signals: nothing else would end it. */
static void hang(const char *value)
{
    (void)value;
    for (;;)
        next_signal(-1);
}

const struct word own_words[] = {
    {"pidfile", set_pid_file}, {"timeout", set_timeout}, {"open", open_it}, {"ready", be_ready}, {"fail", fail},
    {"log", log_it}, {"run", run}, {"hang", hang}, {NULL, NULL},
};

int main(int argc, char **argv)
{
    (void)argc;
    daemon_log_ident = daemon_ident_from_argv0(argv[0]);
    play(argv + 1);
    return 0;
}
