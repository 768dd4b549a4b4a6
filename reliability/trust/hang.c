/* A FUSE file system with one file, "file", whose server stops answering.
 *
 *     hang DIRECTORY
 *
 * Says "mounted". After SIGUSR1 it reads no request any more, and says "hangs". At its end the kernel answers for it.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FILE_NODE = 2 };

static volatile sig_atomic_t hangs;

static void stop(int signum)
{
    (void)signum;
    hangs = 1;
}

static void answer(int fuse, const struct fuse_in_header *request, int error, const void *body, size_t size)
{
    struct fuse_out_header header = {
        .len = (uint32_t)(sizeof header + size), .error = -error, .unique = request->unique};
    struct iovec parts[] = {{&header, sizeof header}, {(void *)body, size}};

    if (writev(fuse, parts, 2) < 0 && errno != ENOENT)
        perror("answer");
}

static struct fuse_attr attributes(uint64_t node)
{
    return (struct fuse_attr){.ino = node, .mode = node == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0644, .nlink = 1};
}

static void serve(int fuse, const struct fuse_in_header *request)
{
    struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = 26, .max_write = 4096};
    struct fuse_entry_out entry = {.nodeid = FILE_NODE, .attr = attributes(FILE_NODE)};
    struct fuse_attr_out attr = {.attr = attributes(request->nodeid)};
    struct fuse_open_out opened = {0};

    switch (request->opcode) {
    case FUSE_INIT:
        return answer(fuse, request, 0, &init, sizeof init);
    case FUSE_LOOKUP:
        if (strcmp((const char *)(request + 1), "file") != 0)
            return answer(fuse, request, ENOENT, NULL, 0);
        return answer(fuse, request, 0, &entry, sizeof entry);
    case FUSE_GETATTR:
        return answer(fuse, request, 0, &attr, sizeof attr);
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        return answer(fuse, request, 0, &opened, sizeof opened);
    case FUSE_FORGET:
    case FUSE_INTERRUPT:
        return;
    default:
        return answer(fuse, request, ENOSYS, NULL, 0);
    }
}

int main(int argc, char **argv)
{
    static _Alignas(8) char request[1 << 16];
    struct sigaction action = {.sa_handler = stop};
    char options[128];
    int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    sigaction(SIGUSR1, &action, NULL);
    snprintf(options, sizeof options, "fd=%d,rootmode=40755,user_id=0,group_id=0,allow_other", fuse);
    if (argc != 2 || fuse < 0 || mount("hang", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0) {
        perror("no FUSE");
        return 77;
    }
    puts("mounted");
    fflush(stdout);
    while (!hangs) {
        struct pollfd wait = {.fd = fuse, .events = POLLIN};
        if (poll(&wait, 1, 100) > 0 && !hangs && read(fuse, request, sizeof request) > 0)
            serve(fuse, (const struct fuse_in_header *)request);
    }
    puts("hangs");
    fflush(stdout);
    for (;;)
        pause();
}
