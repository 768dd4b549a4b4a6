/* What the sweep over `daemonctx start` launches.
 *
 *     launched MODE FOLDER
 *
 * Linked statically, so that few of the calls that the sweep counts are the dynamic linker's. It creates FOLDER/sign right
 * before it says that it is ready, in the way that MODE names.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *folder;

static const char *in_folder(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* Whether it is new. */
static int create(const char *name)
{
    int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0 && errno != EEXIST)
        _exit(90);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void stay(void)
{
    for (;;)
        pause();
}

static socklen_t address(struct sockaddr_un *it, const char *path)
{
    memset(it, 0, sizeof *it);
    it->sun_family = AF_UNIX;
    memcpy(it->sun_path, path, strlen(path));
    if (*path == '@')
        it->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
}

static void notify(void)
{
    struct sockaddr_un manager;
    const char *path = getenv("NOTIFY_SOCKET");
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (path == NULL || fd < 0)
        _exit(91);
    socklen_t length = address(&manager, path);
    if (sendto(fd, "READY=1", 7, 0, (struct sockaddr *)&manager, length) != 7)
        _exit(92);
    close(fd);
}

static void listen_there(void)
{
    struct sockaddr_un here;
    const char *path = in_folder("socket");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* What a server does that was killed before. */
    unlink(path);
    socklen_t length = address(&here, path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&here, length) < 0 || listen(fd, 5) < 0)
        _exit(93);
}

static void write_child(pid_t child)
{
    char digits[32];
    int length = snprintf(digits, sizeof digits, "%d\n", (int)child);
    int fd = open(in_folder("child.pid"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, digits, (size_t)length) != length)
        _exit(94);
    close(fd);
}

static void go_into_background(int with_file)
{
    pid_t child = fork();
    if (child < 0)
        _exit(95);
    if (child == 0) {
        setsid();
        stay();
    }
    if (with_file)
        write_child(child);
    create("sign");
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 96;
    const char *mode = argv[1];
    folder = argv[2];
    if (strcmp(mode, "again") == 0 && create("second")) {
        /* Later than the start is confirmed: one that ends before has failed. */
        usleep(300000);
        return 3;
    }
    if (strcmp(mode, "lines") == 0 && (write(1, "out\n", 4) != 4 || write(2, "err\n", 4) != 4))
        return 97;
    if (strcmp(mode, "forking") == 0 || strcmp(mode, "forking-file") == 0)
        go_into_background(strcmp(mode, "forking-file") == 0);
    if (strcmp(mode, "ends") == 0) {
        if (fork() == 0) {
            setsid();
            stay();
        }
        return 3;
    }
    if (strcmp(mode, "silent") == 0) {
        if (fork() == 0) {
            setsid();
            stay();
        }
        stay();
    }
    create("sign");
    if (strcmp(mode, "newline") == 0 && write(3, "\n", 1) != 1)
        return 98;
    if (strcmp(mode, "newline") == 0)
        close(3);
    if (strcmp(mode, "notify") == 0)
        notify();
    if (strcmp(mode, "listen") == 0)
        listen_there();
    if (strcmp(mode, "file") == 0)
        create("ready");
    stay();
}
