/* The C library's daemon(3): one fork, a session, /dev/null, a directory. It closes nothing else, knows no pid file (the program
 * writes one, without a lock) and does not wait: the starter has left before anything is done. */
#define _GNU_SOURCE
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

int become_daemon(const char *pid_file)
{
    if (daemon(0, 0) < 0)
        return errno;
    int file = open(pid_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || dprintf(file, "%d\n", (int)getpid()) < 0)
        return errno;
    close(file);
    return 0;
}
