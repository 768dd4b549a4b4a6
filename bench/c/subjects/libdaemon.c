/* libdaemon's interface, in the order of its own example: for the original library and ours. */
#include "subject.h"

#include <errno.h>
#include <libdaemon/daemon.h>
#include <unistd.h>

static const char *path;

static const char *where(void)
{
    return path;
}

static int be_starter(void)
{
    int value = daemon_retval_wait(20);
    if (value == 0)
        _exit(0);
    return value < 0 ? errno : value;
}

static int give_up(void)
{
    daemon_retval_send(errno);
    _exit(1);
}

int become_daemon(const char *pid_file)
{
    path = pid_file;
    daemon_pid_file_proc = where;
    if (daemon_reset_sigs(-1) < 0 || daemon_unblock_sigs(-1) < 0)
        return errno;
    if (daemon_pid_file_is_running() >= 0)
        return EEXIST;
    if (daemon_retval_init() < 0)
        return errno;
    pid_t pid = daemon_fork();
    if (pid < 0)
        return errno;
    if (pid > 0)
        return be_starter();
    if (daemon_close_all(-1) < 0 || daemon_pid_file_create() < 0)
        give_up();
    return daemon_retval_send(0) < 0 ? errno : 0;
}
