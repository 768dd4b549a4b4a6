/* What else service managers are told, and what they pass on: descriptors, the watchdog, barriers, a newline.
 *
 * What the messages look like from the manager's side, with their descriptors, is tested with the core; here is C's side of it.
 */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int manager;

static void listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CHECK(strlen(name) < sizeof address.sun_path);
    strcpy(address.sun_path, name);
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    NEED(bind(manager, (struct sockaddr *)&address, sizeof address) == 0);
    NEED(setenv("NOTIFY_SOCKET", name, 1) == 0);
}

/* The next message; how many descriptors come with it. They are closed at once. */
static char *message(size_t *count)
{
    char bytes[4096];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(8 * sizeof(int))];
    } control;
    struct iovec vector = {bytes, sizeof bytes - 1};
    struct msghdr envelope = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control};
    if (!readable_within(manager, 10000))
        FAIL("no message");
    ssize_t got = recvmsg(manager, &envelope, MSG_CMSG_CLOEXEC);
    NEED(got >= 0);
    bytes[got] = '\0';
    *count = 0;
    struct cmsghdr *header = CMSG_FIRSTHDR(&envelope);
    if (header != NULL) {
        int fds[8];
        *count = (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
        memcpy(fds, CMSG_DATA(header), *count * sizeof *fds);
        for (size_t i = 0; i < *count; i++)
            close(fds[i]);
    }
    return text("%s", bytes);
}

TEST("descriptors go along with a message")
{
    int fds[2], sent = -1;
    size_t count;
    listen_at(path("notify"));
    NEED(pipe(fds) == 0);
    CHECK_INT(daemonctx_notify_descriptors("FDSTORE=1\nFDNAME=pipe", fds, 2, &sent), DAEMONCTX_OK);
    CHECK_INT(sent, 1);
    CHECK_TEXT(message(&count), "FDSTORE=1\nFDNAME=pipe");
    CHECK_INT(count, 2);
    CHECK_INT(daemonctx_notify_descriptors("STATUS=none", NULL, 0, NULL), DAEMONCTX_OK);
    CHECK_TEXT(message(&count), "STATUS=none");
    CHECK_INT(count, 0);
}

TEST("descriptors that cannot go along: EBADF, E2BIG, EINVAL, and nothing is sent")
{
    int many[254] = {0}, closed = 99, sent = 77;
    listen_at(path("notify"));
    CHECK_INT(daemonctx_notify_descriptors("FDSTORE=1", &closed, 1, &sent), DAEMONCTX_ERROR_SYSTEM);
    CHECK_INT(errno, EBADF);
    CHECK_INT(sent, 0);
    CHECK_INT(daemonctx_notify_descriptors("FDSTORE=1", many, 254, NULL), DAEMONCTX_ERROR_SYSTEM);
    CHECK_INT(errno, E2BIG);
    CHECK_INT(daemonctx_notify_descriptors("FDSTORE=1", NULL, 1, NULL), DAEMONCTX_ERROR_USAGE);
    CHECK_INT(errno, EINVAL);
    CHECK_INT(daemonctx_notify_descriptors(NULL, many, 1, NULL), DAEMONCTX_ERROR_USAGE);
    CHECK(!readable_within(manager, 0));
}

TEST("reloading, with the time")
{
    size_t count;
    int sent = -1;
    listen_at(path("notify"));
    CHECK_INT(daemonctx_notify_reloading(&sent), DAEMONCTX_OK);
    CHECK_INT(sent, 1);
    CHECK_HAS(message(&count), "RELOADING=1\nMONOTONIC_USEC=");
}

TEST("a barrier ends when the manager closes it, or with the time; without a manager at once")
{
    size_t count;
    int sent = -1;
    listen_at(path("notify"));
    CHECK_INT(daemonctx_notify_barrier(100, &sent), DAEMONCTX_ERROR_SYSTEM);
    CHECK_INT(errno, ETIMEDOUT);
    CHECK_TEXT(message(&count), "BARRIER=1");
    CHECK_INT(count, 1);
    pid_t other = fork();
    NEED(other >= 0);
    if (other == 0) {
        message(&count);
        _exit(0);
    }
    CHECK_INT(daemonctx_notify_barrier(-1, &sent), DAEMONCTX_OK);
    CHECK_INT(sent, 1);
    CHECK_INT(ended(other).code, 0);
    unsetenv("NOTIFY_SOCKET");
    CHECK_INT(daemonctx_notify_barrier(-1, &sent), DAEMONCTX_OK);
    CHECK_INT(sent, 0);
}

PROGRAM(watched)
{
    daemonctx *ctx = configured(argc, argv);
    setenv("WATCHDOG_PID", text("%d", (int)getpid()), 1);
    setenv("WATCHDOG_USEC", "2000000", 1);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    say("%lu", daemonctx_watchdog_interval());
    setenv("WATCHDOG_PID", "1", 1);
    say("%lu", daemonctx_watchdog_interval());
    sleep_forever();
}

TEST("the watchdog's interval, still meant for the daemon after two forks")
{
    CHECK_INT(START(NULL, "watched", text("detach=%d", DAEMONCTX_DETACH_YES)).code, 0);
    pid_t daemon = (pid_t)hear_number();
    HEAR("2000000");
    HEAR("0");
    terminate(daemon);
}

static void passed_on(void)
{
    for (int fd = 3; fd < 6; fd++)
        NEED(dup2(STDIN_FILENO, fd) == fd);
    NEED(setenv("LISTEN_PID", text("%d", (int)getpid()), 1) == 0);
    NEED(setenv("LISTEN_FDS", "3", 1) == 0);
    NEED(setenv("LISTEN_FDNAMES", "web::control", 1) == 0);
}

PROGRAM(listener)
{
    int count = -1;
    char **names = NULL;
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    say("%d", atoi(getenv("LISTEN_PID")) == (int)getpid());
    MUST(daemonctx_listen_descriptors(&count, &names));
    say("%d %s %s %s %d", count, names[0], names[1], names[2], names[3] == NULL);
    free(names);
    say("%d %d", fcntl(3, F_GETFD), fcntl(5, F_GETFD));
    MUST(daemonctx_listen_descriptors(&count, &names));
    say("%d %d %d", count, names[0] == NULL, getenv("LISTEN_PID") == NULL);
    free(names);
    MUST(daemonctx_listen_descriptors(NULL, NULL));
    sleep_forever();
}

TEST("sockets that are passed on, with their names, once")
{
    CHECK_INT(START(passed_on, "listener", text("detach=%d", DAEMONCTX_DETACH_YES)).code, 0);
    pid_t daemon = (pid_t)hear_number();
    HEAR("1");
    HEAR("3 web unknown control 1");
    HEAR("1 1");
    HEAR("0 1 1");
    terminate(daemon);
}

PROGRAM(newline)
{
    daemonctx *ctx = configured(argc, argv);
    CHECK_INT(daemonctx_set_ready_descriptor(ctx, -1), DAEMONCTX_ERROR_OPTION);
    CHECK_INT(errno, EBADF);
    MUST(daemonctx_set_ready_descriptor(ctx, 20));
    open_or_leave(ctx);
    say("%d", (int)getpid());
    say("%d", fcntl(20, F_GETFD));
    sleep_forever();
}

static int ends[2];

static void ready_descriptor(void)
{
    NEED(dup2(ends[1], 20) == 20);
    close(ends[0]);
}

TEST("readiness as a newline on a descriptor, which is closed then")
{
    char said[8] = "";
    NEED(pipe2(ends, O_CLOEXEC) == 0);
    CHECK_INT(START(ready_descriptor, "newline", text("detach=%d", DAEMONCTX_DETACH_YES)).code, 0);
    close(ends[1]);
    pid_t daemon = (pid_t)hear_number();
    HEAR("-1");
    CHECK_INT(read(ends[0], said, sizeof said), 1);
    CHECK_TEXT(said, "\n");
    CHECK_INT(read(ends[0], said, sizeof said), 0);
    terminate(daemon);
}

TEST("a descriptor for readiness that is not open is an error of open")
{
    struct outcome refused = START(NULL, "newline", text("detach=%d", DAEMONCTX_DETACH_YES));
    CHECK_INT(refused.code, 1);
    CHECK_HAS(refused.err, "ready descriptor failed: 20: Bad file descriptor (9 EBADF)");
}
