/* Descriptors and standard streams. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HIGHEST = 900, LOWERED = 64 };

/* Descriptors that a careless parent has left: some low, some with gaps, one far up. */
static void leak_some(void)
{
    static const int numbers[] = {3, 4, 5, 7, 20, 21, 22, 40, 100, 255, 256, 700, HIGHEST};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        NEED(dup2(STDIN_FILENO, numbers[i]) == numbers[i]);
}

static void leak_and_lower(void)
{
    struct rlimit low = {LOWERED, LOWERED};
    leak_some();
    NEED(setrlimit(RLIMIT_NOFILE, &low) == 0);
}

TEST("leaked descriptors are closed")
{
    CHECK_INT(START(leak_some, "daemon").code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    terminate(daemon);
}

TEST("leaked descriptors above a lowered RLIMIT_NOFILE are closed too")
{
    CHECK_INT(START(leak_and_lower, "daemon").code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    terminate(daemon);
}

TEST("kept ones are kept, those between them closed")
{
    CHECK_INT(START(leak_some, "daemon", "keep=255", "keep=4", "keep=900", "keep=4", "keep=1", "keep=20").code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(descriptors_of(daemon), "0 1 2 4 20 255 900");
    terminate(daemon);
}

TEST("all are kept where asked")
{
    CHECK_INT(START(leak_some, "daemon", "keep_all=1").code, 0);
    pid_t daemon = (pid_t)hear_number();
    char *all = descriptors_of(daemon);
    CHECK_HAS(all, "0 1 2 3 4 5 7 ");
    CHECK_HAS(all, " 20 21 22 40 100 255 256 700 900");
    terminate(daemon);
}

TEST("kept above a lowered RLIMIT_NOFILE")
{
    CHECK_INT(START(leak_and_lower, "daemon", "keep=900").code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(descriptors_of(daemon), "0 1 2 900");
    terminate(daemon);
}

TEST("a kept descriptor that is not open is an error in the starter")
{
    struct outcome starter = START(leak_some, "daemon", "keep=6", with_pid_file());
    CHECK_TEXT(starter.err, text("refused %d EBADF keep descriptor: keep descriptor failed: 6: "
                                 "Bad file descriptor (9 EBADF)\n", DAEMONCTX_ERROR_OPTION));
    CHECK_INT(starter.code, 1);
    CHECK(!exists("pid"));
}

PROGRAM(keeper)
{
    daemonctx *ctx = keep(daemonctx_new());
    int stays = open("/dev/null", O_RDONLY);
    int closes = open("/dev/null", O_RDONLY | O_CLOEXEC);
    MUST(daemonctx_keep_descriptor(ctx, stays));
    MUST(daemonctx_keep_descriptor(ctx, closes));
    open_or_leave(ctx);
    say("%d %d", fcntl(stays, F_GETFD), fcntl(closes, F_GETFD));
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("a kept descriptor's close-on-exec flag stays as it is")
{
    CHECK_INT(START(NULL, "keeper").code, 0);
    HEAR(text("0 %d", FD_CLOEXEC));
    terminate((pid_t)hear_number());
}

/* --- streams -------------------------------------------------------------------------------------------------------- */

PROGRAM(writer)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    char input[16] = "";
    ssize_t got = read(STDIN_FILENO, input, sizeof input - 1);
    ssize_t put = write(STDOUT_FILENO, "out\n", 4) + write(STDERR_FILENO, "err\n", 4);
    say("%zd %zd %s", got, put, input);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("streams to files: read from, created 0640, appended to")
{
    struct stat status;
    write_file("input", "words");
    write_file("old", "old\n");
    NEED(chmod("old", 0600) == 0);
    CHECK_INT(START(NULL, "writer", "in=file:input", "out=file:old", text("err=file:%s", path("new"))).code, 0);
    HEAR("5 8 words");
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(content("old"), "old\nout\n");
    CHECK_TEXT(content("new"), "err\n");
    NEED(stat("new", &status) == 0);
    CHECK_INT(status.st_mode & 07777, 0640);
    NEED(stat("old", &status) == 0);
    CHECK_INT(status.st_mode & 07777, 0600);
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    for (int stream = 1; stream < 3; stream++) {
        char *info = content(text("/proc/%d/fdinfo/%d", (int)daemon, stream));
        long flags = strtol(strstr(info, "flags:") + strlen("flags:"), NULL, 8);
        CHECK((flags & O_APPEND) != 0);
        /* Log files are opened without waiting, but programs expect to block. */
        CHECK((flags & O_NONBLOCK) == 0);
    }
    terminate(daemon);
}

TEST("the same file for output and errors keeps both")
{
    CHECK_INT(START(NULL, "writer", "out=file:log", "err=file:log").code, 0);
    HEAR("0 8 ");
    CHECK_TEXT(content("log"), "out\nerr\n");
    terminate((pid_t)hear_number());
}

static int given;

static void give_descriptor(void)
{
    given = open("given", O_WRONLY | O_CREAT, 0644);
    NEED(dup2(given, 9) == 9);
}

TEST("streams to descriptors: duplicated, and closed unless kept")
{
    CHECK_INT(START(give_descriptor, "writer", "out=fd:9", "err=fd:9").code, 0);
    hear();
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(content("given"), "out\nerr\n");
    CHECK_TEXT(descriptors_of(daemon), "0 1 2");
    terminate(daemon);
    CHECK_INT(START(give_descriptor, "writer", "out=fd:9", "keep=9").code, 0);
    hear();
    daemon = (pid_t)hear_number();
    CHECK_TEXT(descriptors_of(daemon), "0 1 2 9");
    terminate(daemon);
}

TEST("standard output and error can change places")
{
    CHECK_INT(START(NULL, "writer", "out=fd:2", "err=fd:1").code, 0);
    hear();
    terminate((pid_t)hear_number());
    CHECK_TEXT(content(".out.0"), "err\n");
    CHECK_TEXT(content(".err.0"), "out\n");
}

TEST("inherited streams stay, null ones are /dev/null")
{
    CHECK_INT(START(NULL, "writer", "in=null", "out=inherit", "err=null").code, 0);
    hear();
    pid_t daemon = (pid_t)hear_number();
    CHECK_TEXT(content(".out.0"), "out\n");
    CHECK_TEXT(content(".err.0"), "");
    CHECK_TEXT(link_of(daemon, "fd/2"), "/dev/null");
    terminate(daemon);
}

static void is_refused(const char *word, const char *expected)
{
    struct outcome starter = START(NULL, "daemon", word, with_pid_file());
    CHECK_TEXT(starter.err, text("refused %d %s\n", DAEMONCTX_ERROR_OPTION, expected));
    CHECK_INT(starter.code, 1);
    CHECK(!exists("pid"));
}

TEST("a stream that cannot be had is an error in the starter, at once, and names it")
{
    NEED(mkfifo("fifo", 0600) == 0);
    NEED(mkdir("folder", 0700) == 0);
    is_refused("in=file:absent", "ENOENT stdin: stdin failed: absent: No such file or directory (2 ENOENT)");
    is_refused("out=file:no/where", "ENOENT stdout: stdout failed: no/where: No such file or directory (2 ENOENT)");
    is_refused("err=file:folder", "EISDIR stderr: stderr failed: folder: Is a directory (21 EISDIR)");
    is_refused("out=file:fifo", "ENXIO stdout: stdout failed: fifo: No such device or address (6 ENXIO)");
    is_refused("err=fd:77", "EBADF stderr: stderr failed: 77: Bad file descriptor (9 EBADF)");
    is_refused("in=file:folder", "EISDIR stdin: stdin failed: folder: Is a directory (21 EISDIR)");
}

TEST("a working directory that cannot be entered is an error in the starter")
{
    write_file("file", "");
    is_refused("directory=absent", text("ENOENT working directory: working directory failed: %s: "
                                        "No such file or directory (2 ENOENT)", path("absent")));
    is_refused("directory=file", text("ENOTDIR working directory: working directory failed: %s: "
                                      "Not a directory (20 ENOTDIR)", path("file")));
}

static rlim_t most;

static void have_few(void)
{
    struct rlimit few = {most, most};
    NEED(setrlimit(RLIMIT_NOFILE, &few) == 0);
}

TEST("with few descriptors to be had: a daemon, or an error in the starter and nothing left")
{
    bool refused = false;
    bool started = false;
    for (most = 4; most < 16; most++) {
        struct outcome starter = START(have_few, "quiet", with_pid_file(), text("err=file:%s", path("log")));
        if (starter.code == 0) {
            terminate(pid_in("pid"));
            started = true;
        } else {
            CHECK_INT(starter.code, 1);
            CHECK_HAS(starter.err, "Too many open files (24 EMFILE)\n");
            refused = true;
        }
        CHECK(!exists("pid"));
        CHECK_TEXT(left_behind(), "");
    }
    CHECK(refused && started);
}
