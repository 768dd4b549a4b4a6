/* One bare fork, and nothing else: what copying this process once costs. The child says that it runs. */
#define _GNU_SOURCE
#include "subject.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int become_daemon(const char *pid_file)
{
    int line[2];
    char byte;
    (void)pid_file;
    if (pipe2(line, O_CLOEXEC) < 0)
        return errno;
    pid_t child = fork();
    if (child < 0)
        return errno;
    if (child > 0) {
        close(line[1]);
        _exit(read(line[0], &byte, 1) == 1 ? 0 : 1);
    }
    return write(line[1], "", 1) == 1 ? 0 : errno;
}
