/* A start with libdaemon's interface, as its own example testd does it: what fails in the daemon is sent to the starter. */
#include "mark.h"

#include <errno.h>
#include <libdaemon/dfork.h>
#include <libdaemon/dlog.h>
#include <libdaemon/dpid.h>
#include <libdaemon/dsignal.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static char pid_file[4096];

static const char *where(void)
{
    return pid_file;
}

static int complain(const char *step, int number)
{
    fprintf(stderr, "subject: %s failed: %s (%d)\n", step, strerror(number), number);
    return 1;
}

enum { STEPS_LENGTH = 4 };
static const char *const steps[STEPS_LENGTH] = { "daemon_close_all", "daemon_pid_file_create", "daemon_signal_init", "umask" };

/* Step and errno in one number, other than 0. */
static int give_up(int step)
{
    daemon_retval_send(1000 * (step + 1) + errno);
    daemon_signal_done();
    return 1;
}

static int be_starter(void)
{
    int value = daemon_retval_wait(20);
    if (value < 0)
        return complain("daemon_retval_wait", errno);
    if (value == 0)
        _exit(0);
    if (value >= 1000 && value / 1000 <= STEPS_LENGTH)
        return complain(steps[value / 1000 - 1], value % 1000);
    return complain("daemon", value);
}

static void live(void)
{
    int fd = daemon_signal_fd();
    fd_set fds;
    do {
        FD_ZERO(&fds);
        FD_SET(fd, &fds);
    } while (select(fd + 1, &fds, NULL, NULL, NULL) < 0 && errno == EINTR);
    daemon_signal_done();
    daemon_pid_file_remove();
}

static int be_daemon(void)
{
    if (daemon_close_all(-1) < 0)
        return give_up(0);
    if (daemon_pid_file_create() < 0)
        return give_up(1);
    if (daemon_signal_init(SIGINT, SIGTERM, SIGQUIT, SIGHUP, 0) < 0) {
        int number = errno;
        daemon_pid_file_remove();
        errno = number;
        return give_up(2);
    }
    /* Whoever started it is gone. */
    if (daemon_retval_send(0) < 0) {
        daemon_pid_file_remove();
        return 1;
    }
    START_ENDS();
    live();
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    snprintf(pid_file, sizeof pid_file, "%s/daemon.pid", argv[2]);
    daemon_pid_file_proc = where;
    daemon_log_ident = "subject";
    START_BEGINS();
    if (daemon_reset_sigs(-1) < 0)
        return complain("daemon_reset_sigs", errno);
    if (daemon_unblock_sigs(-1) < 0)
        return complain("daemon_unblock_sigs", errno);
    pid_t running = daemon_pid_file_is_running();
    if (running >= 0)
        return complain("already running", EEXIST);
    if (daemon_retval_init() < 0)
        return complain("daemon_retval_init", errno);
    pid_t pid = daemon_fork();
    if (pid < 0) {
        int number = errno;
        daemon_retval_done();
        return complain("daemon_fork", number);
    }
    return pid > 0 ? be_starter() : be_daemon();
}
