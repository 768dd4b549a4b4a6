/* A hostile daemon: what it tries with the descriptors that it inherited.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "forge.h"

#include "pass.h"
#include "witness.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static char number[32];
static struct stat wanted;

static void worked(const char *way, int result)
{
    if (result >= 0)
        violation("a dropped daemon changed its pid file: %s", way);
}

static int reopen(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK);

    return fd < 0 ? -1 : close(fd);
}

static int map(int fd)
{
    char *room = mmap(NULL, sizeof number, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (room == MAP_FAILED)
        return -1;
    memcpy(room, number, strlen(number));
    munmap(room, sizeof number);
    return 0;
}

/* A second link in a directory of its own, under which it could be locked and kept. */
static int give_a_name(int fd)
{
    char from[64];

    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, from, AT_FDCWD, "/tmp/forged-by-a-dropped-daemon", AT_SYMLINK_FOLLOW);
}

static void write_through(int fd)
{
    static const struct timespec future[2] = {{4000000000, 0}, {4000000000, 0}};
    char path[64];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    worked("reopened for reading and writing", reopen(path, O_RDWR));
    worked("reopened for writing", reopen(path, O_WRONLY));
    worked("reopened and emptied", reopen(path, O_WRONLY | O_TRUNC));
    worked("fchmod", fchmod(fd, 0666));
    worked("fchown", fchown(fd, geteuid(), getegid()));
    worked("futimens to a time", futimens(fd, future));
    worked("futimens to now", futimens(fd, NULL));
    worked("fsetxattr", fsetxattr(fd, "user.pid", number, strlen(number), 0));
    worked("linkat", give_a_name(fd));
    worked("fallocate", fallocate(fd, 0, 0, 64));
    worked("mmap", map(fd));
    worked("ftruncate", ftruncate(fd, 0));
    worked("pwrite", (int)pwrite(fd, number, strlen(number), 0));
    int appending = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_APPEND);
    worked("O_APPEND and write", appending == 0 ? (int)write(fd, number, strlen(number)) : -1);
}

/* Unlocked at last: the lock belongs to the open file that the starter locked. Without O_NOATIME it does not count either. */
static void unlock(int fd)
{
    fcntl(fd, F_SETFL, 0);
    for (int i = 0; i < 100; i++) {
        flock(fd, LOCK_UN);
        flock(fd, LOCK_SH | LOCK_NB);
        flock(fd, LOCK_EX | LOCK_NB);
    }
    flock(fd, LOCK_UN);
}

static const char *service;

static void pass(int fd)
{
    if (pass_to(service, dup(fd)) != 0)
        violation("%s: %m", service);
}

static int is_the_file(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && status.st_ino == wanted.st_ino && status.st_dev == wanted.st_dev;
}

/* Listed before the first is used: that may open others. */
static void each_descriptor(void (*use)(int fd))
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    int numbers[1024], count = 0;

    while (directory != NULL && (entry = readdir(directory)) != NULL && count < 1024)
        if (entry->d_name[0] != '.')
            numbers[count++] = atoi(entry->d_name);
    if (directory != NULL)
        closedir(directory);
    for (int i = 0; i < count; i++)
        if (is_the_file(numbers[i]))
            use(numbers[i]);
}

static void by_path(const char *pid_file)
{
    char other[4096];

    snprintf(other, sizeof other, "%s.forged", pid_file);
    worked("open", reopen(pid_file, O_RDWR));
    worked("truncate", truncate(pid_file, 0));
    worked("chmod", chmod(pid_file, 0666));
    worked("rename", rename(pid_file, other));
    worked("unlink", unlink(pid_file));
    worked("symlink", symlink("/etc/passwd", other));
}

static void try_all(const char *pid_file, const char *mode)
{
    if (stat(pid_file, &wanted) != 0) {
        violation("the pid file of a dropped daemon is not there: %m");
    } else if (!strcmp(mode, "unlock")) {
        each_descriptor(unlock);
    } else if (mode[0] == '/') {
        service = mode;
        each_descriptor(pass);
    } else {
        each_descriptor(write_through);
        by_path(pid_file);
    }
}

void forge(const char *pid_file, pid_t victim, const char *mode)
{
    const char *folder = getenv("TRUST_DIR");
    char fifo[4096];
    int done;

    snprintf(number, sizeof number, "%d\n", (int)victim);
    snprintf(fifo, sizeof fifo, "%s/forged", folder != NULL ? folder : "");
    try_all(pid_file, mode);
    done = open(fifo, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (done < 0 || dprintf(done, "%d\n", (int)getpid()) < 0)
        violation("%s: %m", fifo);
    close(done);
}
