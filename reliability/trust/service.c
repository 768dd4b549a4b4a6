/* A service of root's that has nothing to do with the pid file under attack. It writes down each signal.
 *
 *     service lock FILE        holds a lock on a file that everybody may write
 *     service receive SOCKET   keeps the descriptors that it is sent
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "witness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void need(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(90);
    }
}

static void ready(void)
{
    puts("ready");
    fflush(stdout);
}

static void receive(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int from = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    need(bind(from, (struct sockaddr *)&address, sizeof address) == 0 && chmod(path, 0666) == 0 && listen(from, 8) == 0, path);
    ready();
    for (;;) {
        char room[CMSG_SPACE(sizeof(int))], byte;
        struct iovec data = {&byte, 1};
        struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
        int client = accept(from, NULL, NULL);
        if (client >= 0 && recvmsg(client, &message, 0) == 1)
            ready();
    }
}

int main(int argc, char **argv)
{
    witness_signals("a service of root's");
    if (argc < 3)
        return 2;
    if (!strcmp(argv[1], "receive"))
        receive(argv[2]);
    int fd = open(argv[2], O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    need(fd >= 0 && fchmod(fd, 0666) == 0 && flock(fd, LOCK_EX | LOCK_NB) == 0, argv[2]);
    ready();
    for (;;)
        pause();
}
