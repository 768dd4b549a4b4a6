/* A daemon by libdaemon's interface; in C and, as classic.cc, in C++. Its only argument is its pid file. */
#include <errno.h>
#include <libdaemon/daemon.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const char *path;

static const char *file(void)
{
    return path;
}

int main(int argc, char **argv)
{
    int status;
    pid_t daemon;

    if (argc != 2)
        return 2;
    path = argv[1];
    daemon_pid_file_proc = file;
    if (daemon_retval_init() < 0 || (daemon = daemon_fork()) < 0)
        return 1;
    if (daemon == 0) {
        status = daemon_pid_file_create() < 0 ? errno : 0;
        daemon_retval_send(status);
        while (status == 0)
            pause();
        return 1;
    }
    status = daemon_retval_wait(10);
    if (status != 0)
        daemon_log(LOG_ERR, "classic: %s", strerror(status < 0 ? errno : status));
    return status != 0;
}
