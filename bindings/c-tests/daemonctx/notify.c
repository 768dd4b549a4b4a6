/* The service manager's socket. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int manager;
static pid_t sender;

/* A socket as a service manager has one; NOTIFY_SOCKET names it, with "@" for an abstract one. */
static void listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(name);
    int on = 1;
    CHECK(length < sizeof address.sun_path);
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    NEED(bind(manager, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) == 0);
    NEED(setsockopt(manager, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) == 0);
    NEED(setenv("NOTIFY_SOCKET", name, 1) == 0);
}

/* The next message, and in `sender` the process that the kernel says it is from. */
static char *message(void)
{
    char bytes[4096];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec vector = {bytes, sizeof bytes - 1};
    struct msghdr envelope = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = &control,
                              .msg_controllen = sizeof control};
    if (!readable_within(manager, 10000))
        FAIL("no message");
    ssize_t got = recvmsg(manager, &envelope, MSG_CMSG_CLOEXEC);
    NEED(got >= 0);
    bytes[got] = '\0';
    struct cmsghdr *header = CMSG_FIRSTHDR(&envelope);
    CHECK(header != NULL && header->cmsg_type == SCM_CREDENTIALS);
    struct ucred from;
    memcpy(&from, CMSG_DATA(header), sizeof from);
    sender = from.pid;
    return text("%s", bytes);
}

static void tells_readiness(const char *name)
{
    listen_at(name);
    /* The socket alone would mean that the manager has detached it. */
    CHECK_INT(START(NULL, "daemon", text("detach=%d", DAEMONCTX_DETACH_YES)).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(message(), text("READY=1\nMAINPID=%d", (int)daemon));
    CHECK_INT(sender, daemon);
    CHECK(!readable_within(manager, 0));
    terminate(daemon);
}

TEST("READY=1 and MAINPID at a pathname")
{
    tells_readiness(path("notify"));
}

TEST("READY=1 and MAINPID at an abstract name")
{
    tells_readiness(text("@%s", path("notify")));
}

TEST("a name that fills the address")
{
    char *name = path("");
    size_t room = sizeof((struct sockaddr_un *)0)->sun_path - 1;
    while (strlen(name) < room)
        name = text("%sn", name);
    tells_readiness(name);
}

TEST("with a socket, detach auto stays the process that the manager knows")
{
    listen_at(path("notify"));
    pid_t service = LAUNCH(NULL, "daemon", with_pid_file());
    CHECK_INT(hear_number(), service);
    CHECK_TEXT(message(), text("READY=1\nMAINPID=%d", (int)service));
    CHECK_INT(pid_in("pid"), service);
    terminate(service);
}

TEST("a socket that SYSTEMD_EXEC_PID says is another's: detach auto detaches")
{
    listen_at(path("notify"));
    NEED(setenv("SYSTEMD_EXEC_PID", text("%d", (int)getpid()), 1) == 0);
    pid_t starter = LAUNCH(NULL, "daemon");
    pid_t daemon = (pid_t)hear_number();
    CHECK(daemon != starter);
    CHECK_INT(finish(starter).code, 0);
    terminate(daemon);
}

PROGRAM(talker)
{
    int sent = -1;
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_manual_ready(ctx, 1));
    open_or_leave(ctx);
    MUST(daemonctx_notify("STATUS=reading the configuration", &sent));
    say("%d", sent);
    await_go();
    MUST(daemonctx_ready(ctx));
    MUST(daemonctx_ready(ctx));
    MUST(daemonctx_notify("STOPPING=1\nSTATUS=tired", NULL));
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("with manual readiness READY=1 comes with ready(), once; other messages at any time")
{
    listen_at(path("notify"));
    pid_t starter = LAUNCH(NULL, "talker", text("detach=%d", DAEMONCTX_DETACH_YES));
    HEAR("1");
    CHECK_TEXT(message(), "STATUS=reading the configuration");
    CHECK(!readable_within(manager, 0));
    go();
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(message(), text("READY=1\nMAINPID=%d", (int)daemon));
    CHECK_TEXT(message(), "STOPPING=1\nSTATUS=tired");
    CHECK(!readable_within(manager, 0));
    CHECK_INT(finish(starter).code, 0);
    terminate(daemon);
}

TEST("a start that fails tells no readiness")
{
    listen_at(path("notify"));
    CHECK_INT(START(NULL, "daemon", "directory=/no/where").code, 1);
    CHECK(!readable_within(manager, 0));
}

static void sends(const char *socket_name, daemonctx_status expected, int number)
{
    int sent = 77;
    if (socket_name == NULL)
        unsetenv("NOTIFY_SOCKET");
    else
        setenv("NOTIFY_SOCKET", socket_name, 1);
    errno = 0;
    CHECK_INT(daemonctx_notify("READY=1", &sent), expected);
    CHECK_INT(errno, number);
    CHECK_INT(sent, 0);
}

TEST("where there is no service manager nothing is sent; one that cannot be reached is an error")
{
    sends(NULL, DAEMONCTX_OK, 0);
    sends("", DAEMONCTX_OK, 0);
    sends(path("absent"), DAEMONCTX_ERROR_SYSTEM, ENOENT);
    sends("@absent", DAEMONCTX_ERROR_SYSTEM, ECONNREFUSED);
    sends("relative", DAEMONCTX_ERROR_SYSTEM, EAFNOSUPPORT);
    listen_at(path("notify"));
    close(manager);
    sends(path("notify"), DAEMONCTX_ERROR_SYSTEM, ECONNREFUSED);
}

TEST("a service manager that cannot be reached is in no start's way")
{
    NEED(setenv("NOTIFY_SOCKET", "/no/where", 1) == 0);
    CHECK_INT(START(NULL, "daemon", text("detach=%d", DAEMONCTX_DETACH_YES)).code, 0);
    terminate((pid_t)hear_number());
}

TEST("no descriptor is left of a message")
{
    listen_at(path("notify"));
    char *before = descriptors_of(getpid());
    for (int i = 0; i < 5; i++)
        CHECK_INT(daemonctx_notify("WATCHDOG=1", NULL), DAEMONCTX_OK);
    CHECK_TEXT(descriptors_of(getpid()), before);
}

/* --- sockets that are handed over ----------------------------------------------------------------------------------- */

static void hand_over(void)
{
    for (int fd = 3; fd < 7; fd++)
        NEED(dup2(STDIN_FILENO, fd) == fd);
    NEED(setenv("LISTEN_PID", text("%d", (int)getpid()), 1) == 0);
    NEED(setenv("LISTEN_FDS", "2", 1) == 0);
}

TEST("LISTEN_FDS meant for the process are kept, close-on-exec, and it stays that process")
{
    pid_t service = LAUNCH(hand_over, "daemon");
    CHECK_INT(hear_number(), service);
    CHECK_TEXT(descriptors_of(service), "0 1 2 3 4");
    char *info = content(text("/proc/%d/fdinfo/4", (int)service));
    CHECK((strtol(strstr(info, "flags:") + strlen("flags:"), NULL, 8) & 02000000) != 0);
    terminate(service);
}
