/* Both libraries in one process: each works as it does alone, and they agree on who holds a pid file. libdaemon.so.0 is ours or the
 * original. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include <daemonctx.h>
#include <libdaemon/daemon.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *pid_file;

static const char *pid_file_of_libdaemon(void)
{
    return pid_file;
}

/* Ours locks its pid files. The original's says that the process is the daemon's by its age alone. */
static daemonctx_pidfile_state status_of_pid_file(void)
{
    daemonctx_pidfile *file = getenv("HARNESS_ORIGINAL") != NULL && *getenv("HARNESS_ORIGINAL") != '\0'
                                  ? daemonctx_pidfile_foreign(pid_file)
                                  : daemonctx_pidfile_new(pid_file);
    daemonctx_pidfile_state status = DAEMONCTX_UNKNOWN;
    NEED(file != NULL && daemonctx_pidfile_status(file, &status, NULL) == DAEMONCTX_OK);
    daemonctx_pidfile_free(file);
    return status;
}

static void take_a_signal(void)
{
    NEED(daemon_signal_init(SIGUSR1, 0) == 0);
    NEED(raise(SIGUSR1) == 0);
    say("signal %d", daemon_signal_next());
    daemon_signal_done();
}

PROGRAM(started_by_daemonctx)
{
    (void)argc, (void)argv;
    daemonctx *ctx = daemonctx_new();
    pid_file = path("pid");
    daemon_pid_file_proc = pid_file_of_libdaemon;
    NEED(ctx != NULL && daemonctx_set_pid_file(ctx, pid_file) == DAEMONCTX_OK && daemonctx_open(ctx) == DAEMONCTX_OK);
    say("%d", (int)getpid());
    take_a_signal();
    say("it runs as %s", daemon_pid_file_is_running() == getpid() ? "itself" : "another");
    NEED(daemonctx_close(ctx) == DAEMONCTX_OK);
    say("then %d", (int)daemon_pid_file_is_running());
    exit(0);
}

TEST("a daemon started by daemonctx_open() uses libdaemon: signals, and the pid file that the other library holds")
{
    CHECK_INT(START(NULL, "started_by_daemonctx").code, 0);
    pid_t daemon = (pid_t)hear_number();
    HEAR(text("signal %d", SIGUSR1));
    HEAR("it runs as itself");
    HEAR("then -1");
    CHECK_INT(ended(daemon).code, 0);
}

PROGRAM(started_by_libdaemon)
{
    (void)argc, (void)argv;
    pid_file = path("pid");
    daemon_pid_file_proc = pid_file_of_libdaemon;
    daemon_log_use = DAEMON_LOG_STDERR;
    NEED(daemon_retval_init() == 0);
    pid_t daemon = daemon_fork();
    NEED(daemon >= 0);
    if (daemon != 0)
        exit(daemon_retval_wait(10));
    NEED(daemon_close_all(-1) == 0);
    NEED(daemon_pid_file_create() == 0);
    say("%d", (int)getpid());
    say("status %d", (int)status_of_pid_file());
    NEED(daemonctx_notify("STATUS=both", NULL) == DAEMONCTX_OK);
    take_a_signal();
    NEED(daemon_retval_send(0) == 0);
    daemon_pid_file_remove();
    say("then %d", (int)status_of_pid_file());
    exit(0);
}

TEST("a daemon started by libdaemon uses daemonctx.h: notification, and the pid file that the other library holds")
{
    CHECK_INT(START(NULL, "started_by_libdaemon").code, 0);
    pid_t daemon = (pid_t)hear_number();
    HEAR(text("status %d", DAEMONCTX_RUNNING));
    HEAR(text("signal %d", SIGUSR1));
    HEAR(text("then %d", DAEMONCTX_NOT_RUNNING));
    CHECK_INT(ended(daemon).code, 0);
}

TEST("each library is mapped once, under its own name")
{
    char *maps = content(text("/proc/%d/maps", (int)getpid()));
    CHECK_HAS(maps, "/libdaemonctx.so.0");
    CHECK_HAS(maps, "/libdaemon.so.0");
}
