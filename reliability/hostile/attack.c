/* Another user who may write to the directory of root's file, and does all he can, in a tight loop, until he is killed.
 *
 *     attack DIRECTORY NAME OUTSIDE SEED MODE PID...
 *
 * OUTSIDE has what he would like root to change, the PIDs are of those he would like root to signal. MODE is `pid` or `log`: what he
 * writes.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { STASHES = 6, HELD = 8 };

static const char *name, *outside;
static unsigned seed;
static char **pids;
static int pid_count, writes_pids;
static int held[HELD];

static int dice(int sides)
{
    return rand_r(&seed) % sides;
}

static char *at(char *room, const char *folder, const char *file)
{
    snprintf(room, 4096, "%s/%s", folder, file);
    return room;
}

static char *stash(char *room)
{
    snprintf(room, 32, "stash%d", dice(STASHES));
    return room;
}

/* Keeps a descriptor for a while, with all that hangs on it: locks, leases, the other end of a FIFO. */
static void hold(int fd)
{
    int *place = &held[dice(HELD)];

    if (*place > 0)
        close(*place);
    *place = fd;
}

static void away(void)
{
    if (unlink(name) != 0 && (errno == EISDIR || errno == EPERM))
        rmdir(name);
}

static void symbolic(void)
{
    static const char *const targets[] = {"precious", "readable", "not-there", "folder", "folder/not-there", "another.pid", "."};
    char target[4096];

    if (dice(8) == 0)
        snprintf(target, sizeof target, "%s", dice(2) ? name : "/dev/null");
    else
        at(target, outside, targets[dice(7)]);
    if (symlink(target, name) != 0)
        return;
}

static void hard(void)
{
    static const char *const targets[] = {"precious", "readable", "his-own", "another.pid"};
    char target[4096], room[32];

    if (dice(3) == 0)
        at(target, outside, targets[dice(4)]);
    else
        snprintf(target, sizeof target, "%s", stash(room));
    if (linkat(AT_FDCWD, target, AT_FDCWD, name, 0) != 0)
        return;
}

static void fill(int fd)
{
    char text[64] = "";
    int length;

    if (!writes_pids) {
        if (write(fd, "his\n", 4) < 0)
            return;
        return;
    }
    switch (dice(8)) {
    case 0:
        length = snprintf(text, sizeof text, "%d\n", dice(4) - 2);
        break;
    case 2:
        length = snprintf(text, sizeof text, "rubbish %s\n", pids[0]);
        break;
    case 3:
        length = snprintf(text, sizeof text, "-%s\n", pids[dice(pid_count)]);
        break;
    default:
        length = snprintf(text, sizeof text, "%s\n", pids[dice(pid_count)]);
    }
    if (write(fd, text, (size_t)length) < 0)
        return;
    if (dice(20) == 0 && ftruncate(fd, 1 << 20) != 0)
        return;
}

static void regular(void)
{
    int fd = open(name, O_RDWR | O_CREAT | O_NONBLOCK | O_NOFOLLOW | (dice(2) ? O_TRUNC : O_EXCL), dice(8) ? 0644 : 0000);

    if (fd < 0)
        return;
    fill(fd);
    if (dice(2))
        flock(fd, (dice(2) ? LOCK_EX : LOCK_SH) | LOCK_NB);
    /* Rarely: while he has it nobody can open the file, and that is that. */
    if (dice(100) == 0)
        fcntl(fd, F_SETLEASE, F_WRLCK);
    hold(fd);
}

/* What root has made can be read, and so it can be locked. */
static void lock(void)
{
    int fd = open(name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW);

    if (fd < 0)
        return;
    flock(fd, (dice(2) ? LOCK_EX : LOCK_SH) | LOCK_NB);
    hold(fd);
    if (dice(4) == 0)
        usleep((useconds_t)dice(50000));
}

static void fifo(void)
{
    if (mkfifo(name, 0666) == 0 && dice(2)) {
        int fd = open(name, O_RDWR | O_NONBLOCK);
        if (fd >= 0)
            hold(fd);
    }
}

static void socket_there(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        listen(fd, 1);
    if (fd >= 0)
        hold(fd);
}

static void move(void)
{
    char room[32];

    stash(room);
    switch (dice(3)) {
    case 0:
        rename(name, room);
        break;
    case 1:
        rename(room, name);
        break;
    default:
        renameat2(AT_FDCWD, name, AT_FDCWD, room, RENAME_EXCHANGE);
    }
}

static void change(void)
{
    if (dice(2))
        chmod(name, dice(2) ? 0600 : 0);
    else if (truncate(name, dice(3)) != 0)
        return;
}

static void once(void)
{
    switch (dice(13)) {
    case 0:
    case 1:
        away();
        break;
    case 2:
    case 3:
        symbolic();
        break;
    case 4:
        hard();
        break;
    case 5:
    case 6:
        regular();
        break;
    case 7:
        lock();
        break;
    case 8:
        fifo();
        break;
    case 9:
        socket_there();
        break;
    case 10:
        mkdir(name, 0777);
        break;
    case 11:
        move();
        break;
    default:
        change();
    }
}

/* A while of it, then a rest in which things are as he has left them: or root would never come further than the first step. */
static void phase(void)
{
    for (int turns = 20 + dice(200); turns > 0; turns--)
        once();
    if (dice(3) != 0)
        away();
    usleep((useconds_t)dice(60000));
}

int main(int argc, char **argv)
{
    if (argc < 7 || chdir(argv[1]) != 0)
        return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* A lease of his is broken by root: he is told, and does not care. */
    signal(SIGIO, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    /* What he writes in a file of his own, his own process may get. */
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    name = argv[2];
    outside = argv[3];
    seed = (unsigned)strtoul(argv[4], NULL, 10);
    writes_pids = !strcmp(argv[5], "pid");
    pids = argv + 6;
    pid_count = argc - 6;
    for (;;)
        phase();
}
