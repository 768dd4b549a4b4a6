/* A FUSE file system with one file, "file", whose server stops answering.
 *
 *     hang DIRECTORY
 *
 * Says "mounted". After SIGUSR1 it reads no request any more, and says "hangs". At its end the kernel answers for it.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "fuse.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t hangs;

static void stop(int signum)
{
    (void)signum;
    hangs = 1;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = stop};
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    sigaction(SIGUSR1, &action, NULL);
    if (argc != 2 || fuse < 0 || fuse_mount(fuse, argv[1], ",allow_other") != 0) {
        perror("no FUSE");
        return 77;
    }
    puts("mounted");
    fflush(stdout);
    while (!hangs) {
        struct pollfd wait = {.fd = fuse, .events = POLLIN};
        if (poll(&wait, 1, 100) > 0 && !hangs)
            fuse_serve(fuse);
    }
    puts("hangs");
    fflush(stdout);
    for (;;)
        pause();
}
