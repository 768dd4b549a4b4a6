/* libdaemon's interface, used as its documentation does.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "door.h"

#include <errno.h>
#include <grp.h>
#include <libdaemon/daemon.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char door_name[] = "libdaemon";

static const char *path;

static const char *file(void)
{
    return path;
}

static void use(const char *pid_file)
{
    path = pid_file;
    daemon_pid_file_proc = file;
    daemon_log_ident = "door";
    daemon_log_use = DAEMON_LOG_STDERR;
    daemon_set_verbosity(LOG_EMERG);
}

static void leave(void)
{
    daemon_pid_file_remove();
}

static void become(const struct wishes *wishes)
{
    struct passwd *user = wishes->user != NULL ? getpwnam(wishes->user) : NULL;


    /* One that a killed start has left behind is not called a daemon. */
    if (daemon_close_all(WITNESS, -1) < 0)
        _exit(FAILED);
    if (daemon_pid_file_create() < 0) {
        /* EAGAIN: whoever had it has gone meanwhile, and its file with it. */
        daemon_retval_send(errno == EEXIST || errno == EAGAIN ? ALREADY : FAILED);
        _exit(FAILED);
    }
    if (wishes->user != NULL &&
        (user == NULL || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)) {
        leave();
        _exit(FAILED);
    }
    /* From its word on it may be told to end, and only a daemon that hears of it removes its file. */
    door_listen();
    if (daemon_retval_send(STARTED) < 0) {
        leave();
        _exit(FAILED);
    }
    door_live(NULL, leave);
}

int door_start_here(const char *pid_file, const struct wishes *wishes)
{
    pid_t daemon;
    int outcome;

    use(pid_file);
    door_prepare();
    if (daemon_pid_file_is_running() >= 0 || errno == EAGAIN) {
        close(WITNESS);
        return ALREADY;
    }
    if (daemon_retval_init() < 0)
        return FAILED;
    daemon = daemon_fork();
    if (daemon == 0)
        become(wishes);
    outcome = daemon < 0 ? FAILED : daemon_retval_wait(60);
    /* The daemon went before it told: somebody has killed it, and who that was it cannot say any more. */
    if (outcome < 0)
        outcome = 128 + SIGKILL;
    daemon_retval_done();
    close(WITNESS);
    return outcome;
}

int door_start(const char *pid_file, const struct wishes *wishes)
{
    return door_start_here(pid_file, wishes);
}

int door_signal(const char *pid_file, int signum)
{
    use(pid_file);
    return daemon_pid_file_kill(signum) < 0 ? errno : 0;
}

int door_stop(const char *pid_file)
{
    use(pid_file);
    if (daemon_pid_file_kill_wait(SIGTERM, door_grace()) < 0)
        /* None runs, one is just being started (and none runs), or what is there names none. */
        if (errno != ENOENT && errno != ESRCH && errno != EAGAIN && errno != EINVAL) {
            fprintf(stderr, "door: daemon_pid_file_kill_wait: %m\n");
            return errno;
        }
    return 0;
}

pid_t door_status(const char *pid_file)
{
    pid_t pid;

    use(pid_file);
    pid = daemon_pid_file_is_running();
    if (pid > 0)
        return pid;
    return errno == ENOENT || errno == ESRCH || errno == EAGAIN || errno == EINVAL ? NOT_RUNNING : UNCLEAR;
}

int door_cycle(const char *pid_file)
{
    use(pid_file);
    if (daemon_pid_file_create() < 0)
        return errno;
    return daemon_pid_file_remove() < 0 ? errno : 0;
}
