/* Pid files from outside: asking, signalling, stopping, taking one by hand. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "handle.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static daemonctx_pidfile *file_at(const char *name)
{
    daemonctx_pidfile *file = daemonctx_pidfile_new(name);
    NEED(file != NULL);
    return file;
}

static pid_t started(void)
{
    CHECK_INT(START(NULL, "daemon", with_pid_file()).code, 0);
    return (pid_t)hear_number();
}

static void status_is(daemonctx_pidfile *file, int expected, pid_t expected_pid)
{
    daemonctx_pidfile_state status = (daemonctx_pidfile_state)-1;
    pid_t pid = -1;
    CHECK_INT(daemonctx_pidfile_status(file, &status, &pid), DAEMONCTX_OK);
    CHECK_INT(status, expected);
    CHECK_INT(pid, expected_pid);
}

static void stop_is(daemonctx_pidfile *file, long grace, int expected)
{
    daemonctx_stop how = (daemonctx_stop)-1;
    CHECK_INT(daemonctx_pidfile_stop(file, grace, &how), DAEMONCTX_OK);
    CHECK_INT(how, expected);
}

/* An error by all the roads on which it is told. */
static void is_error(daemonctx_pidfile *file, daemonctx_status status, daemonctx_status expected, int number,
                     const char *step, const char *line)
{
    int seen = errno;
    int told = -1;
    const char *told_step = NULL;
    const char *told_line = NULL;
    CHECK_INT(status, expected);
    CHECK_INT(seen, number);
    CHECK_INT(daemonctx_pidfile_error(file, &told_step, &told, &told_line), expected);
    CHECK_INT(told, number);
    CHECK_TEXT(told_step, step);
    CHECK_TEXT(told_line, line);
}

/* A child that does nothing, and is none of any pid file's business. */
static pid_t innocent(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        sleep_forever();
    }
    return child;
}

static void is_unharmed(pid_t child)
{
    CHECK(!readable_within(watch(child), 20));
    kill_off(child);
}

/* --- status and read ------------------------------------------------------------------------------------------------ */

TEST("status: not running, running, stale")
{
    daemonctx_pidfile *file = file_at("pid");
    pid_t pid = -1;
    status_is(file, DAEMONCTX_NOT_RUNNING, 0);
    CHECK_INT(daemonctx_pidfile_read(file, &pid), DAEMONCTX_OK);
    CHECK_INT(pid, 0);
    pid_t daemon = started();
    status_is(file, DAEMONCTX_RUNNING, daemon);
    CHECK_INT(daemonctx_pidfile_read(file, &pid), DAEMONCTX_OK);
    CHECK_INT(pid, daemon);
    NEED(kill(daemon, SIGKILL) == 0);
    CHECK(readable_within(watch(daemon), 10000));
    /* Still a zombie: dead all the same. */
    status_is(file, DAEMONCTX_STALE, 0);
    ended(daemon);
    status_is(file, DAEMONCTX_STALE, 0);
    CHECK_INT(daemonctx_pidfile_read(file, &pid), DAEMONCTX_OK);
    CHECK_INT(pid, daemon);
    CHECK_INT(daemonctx_pidfile_status(file, NULL, NULL), DAEMONCTX_OK);
    daemonctx_pidfile_free(file);
}

static int locked_by_us(const char *name, int kind)
{
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    NEED(fd >= 0 && flock(fd, kind | LOCK_NB) == 0);
    return fd;
}

TEST("status: starting, while a start holds the file and has not written it")
{
    int lock = locked_by_us("pid", LOCK_EX);
    daemonctx_pidfile *file = file_at("pid");
    status_is(file, DAEMONCTX_STARTING, 0);
    close(lock);
    status_is(file, DAEMONCTX_STALE, 0);
    daemonctx_pidfile_free(file);
}

static void *say_number(void *unused)
{
    (void)unused;
    write_file("pid", text("%d\n", (int)gettid()));
    say("written");
    sleep_forever();
}

/* kill(2) would take it for its process. */
TEST("status: the number of a thread is nobody's, though its process holds the file")
{
    pthread_t thread;
    locked_by_us("pid", LOCK_EX);
    NEED(pthread_create(&thread, NULL, say_number, NULL) == 0);
    HEAR("written");
    daemonctx_pidfile *file = file_at("pid");
    status_is(file, DAEMONCTX_STARTING, 0);
    CHECK_INT(daemonctx_pidfile_signal(file, 0), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, ESRCH);
    daemonctx_pidfile_free(file);
}

/* Argument: the pid file. */
PROGRAM(asker)
{
    daemonctx_pidfile_state status = (daemonctx_pidfile_state)-1;
    pid_t pid = -1;
    daemonctx_pidfile *file = daemonctx_pidfile_new(argv[1]);
    MUST(daemonctx_pidfile_status(file, &status, &pid));
    say("%d %d", status, (int)pid);
    int result = daemonctx_pidfile_signal(file, 0);
    say("%d %s", result, strerrorname_np(errno));
    daemonctx_pidfile_free(file);
    return 0;
}

static void be_nobody(void)
{
    NEED(setgid(65534) == 0 && setuid(65534) == 0);
}

TEST("status: unknown, where the file may not be read")
{
    need_root();
    write_file("pid", "4711\n");
    NEED(chmod("pid", 0600) == 0);
    CHECK_INT(START(be_nobody, "asker", path("pid")).code, 0);
    HEAR(text("%d 0", DAEMONCTX_UNKNOWN));
    HEAR(text("%d EACCES", DAEMONCTX_ERROR_PID_FILE));
}

TEST("status: everybody sees who runs, but may not signal root's daemon")
{
    need_root();
    pid_t daemon = started();
    CHECK_INT(START(be_nobody, "asker", path("pid")).code, 0);
    HEAR(text("%d %d", DAEMONCTX_RUNNING, (int)daemon));
    HEAR(text("%d EPERM", DAEMONCTX_ERROR_PID_FILE));
    terminate(daemon);
}

/* --- signal, stop, wait --------------------------------------------------------------------------------------------- */

static void report_usr1(int signum)
{
    say("caught %d", signum);
}

PROGRAM(deaf)
{
    struct sigaction action = {.sa_handler = report_usr1};
    sigaction(SIGUSR1, &action, NULL);
    daemonctx *ctx = configured(argc, argv);
    MUST(daemonctx_set_signal(ctx, SIGTERM, DAEMONCTX_SIGNAL_IGNORE));
    open_or_leave(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("signal reaches the daemon, 0 only checks, a number that is none is an error")
{
    CHECK_INT(START(NULL, "deaf", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number();
    daemonctx_pidfile *file = file_at("pid");
    CHECK_INT(daemonctx_pidfile_signal(file, 0), DAEMONCTX_OK);
    CHECK_INT(daemonctx_pidfile_signal(file, SIGUSR1), DAEMONCTX_OK);
    HEAR(text("caught %d", SIGUSR1));
    static const int none[] = {-1, 65, 32, 1000};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK_INT(daemonctx_pidfile_signal(file, none[i]), DAEMONCTX_ERROR_PID_FILE);
        CHECK_INT(errno, EINVAL);
    }
    kill_off(daemon);
    is_error(file, daemonctx_pidfile_signal(file, SIGUSR1), DAEMONCTX_ERROR_PID_FILE, ESRCH, "signal",
             text("signal failed: %s: No such process (3 ESRCH)", path("pid")));
    NEED(unlink("pid") == 0);
    CHECK_INT(daemonctx_pidfile_signal(file, 0), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, ESRCH);
    daemonctx_pidfile_free(file);
}

TEST("stop: a daemon that ends on SIGTERM, at once")
{
    struct timespec before;
    struct timespec after;
    pid_t daemon = started();
    daemonctx_pidfile *file = file_at("pid");
    clock_gettime(CLOCK_MONOTONIC, &before);
    stop_is(file, 10000, DAEMONCTX_STOP_TERMINATED);
    clock_gettime(CLOCK_MONOTONIC, &after);
    CHECK(after.tv_sec - before.tv_sec < 5);
    CHECK(!exists("pid"));
    CHECK_INT(ended(daemon).signal, SIGTERM);
    stop_is(file, 10000, DAEMONCTX_STOP_NOT_RUNNING);
    CHECK_INT(daemonctx_pidfile_stop(file, 10000, NULL), DAEMONCTX_OK);
    daemonctx_pidfile_free(file);
}

static void is_killed(long grace)
{
    CHECK_INT(START(NULL, "deaf", with_pid_file()).code, 0);
    pid_t daemon = (pid_t)hear_number();
    daemonctx_pidfile *file = file_at("pid");
    stop_is(file, grace, DAEMONCTX_STOP_KILLED);
    /* Its file too, which it could not remove any more. */
    CHECK(!exists("pid"));
    CHECK_INT(ended(daemon).signal, SIGKILL);
    daemonctx_pidfile_free(file);
}

TEST("stop: a daemon that does not is killed")
{
    is_killed(50);
    is_killed(0);
}

TEST("stop: a stale file is not running, and is cleaned up")
{
    pid_t daemon = started();
    kill_off(daemon);
    daemonctx_pidfile *file = file_at("pid");
    stop_is(file, 100, DAEMONCTX_STOP_NOT_RUNNING);
    CHECK(!exists("pid"));
    daemonctx_pidfile_free(file);
}

static void wait_is(daemonctx_pidfile *file, long milliseconds, int expected)
{
    int over = -1;
    CHECK_INT(daemonctx_pidfile_wait(file, milliseconds, &over), DAEMONCTX_OK);
    CHECK_INT(over, expected);
}

TEST("wait: for a time, for ever, for nobody")
{
    daemonctx_pidfile *file = file_at("pid");
    wait_is(file, 0, 1);
    pid_t daemon = started();
    wait_is(file, 0, 0);
    wait_is(file, 50, 0);
    CHECK_INT(daemonctx_pidfile_wait(file, 1, NULL), DAEMONCTX_OK);
    pid_t killer = fork();
    if (killer == 0) {
        readable_within(-1, 50);
        kill(daemon, SIGTERM);
        _exit(0);
    }
    wait_is(file, -1, 1);
    ended(daemon);
    ended(killer);
    CHECK(!exists("pid"));
    daemonctx_pidfile_free(file);
}

/* --- innocent processes --------------------------------------------------------------------------------------------- */

TEST("an innocent process named in a file that nobody holds is never signalled, and a start works")
{
    pid_t child = innocent();
    daemonctx_pidfile *file = file_at("pid");
    write_file("pid", text("%d\n", (int)child));
    status_is(file, DAEMONCTX_STALE, 0);
    CHECK_INT(daemonctx_pidfile_signal(file, SIGKILL), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, ESRCH);
    stop_is(file, 0, DAEMONCTX_STOP_NOT_RUNNING);
    CHECK(!exists("pid"));
    write_file("pid", text("%d\n", (int)child));
    pid_t daemon = started();
    CHECK_INT(pid_in("pid"), daemon);
    terminate(daemon);
    is_unharmed(child);
    daemonctx_pidfile_free(file);
}

TEST("an innocent process named in a file that another one holds is not signalled either")
{
    pid_t child = innocent();
    write_file("pid", text("%d\n", (int)child));
    int lock = locked_by_us("pid", LOCK_EX);
    daemonctx_pidfile *file = file_at("pid");
    CHECK_INT(daemonctx_pidfile_signal(file, SIGKILL), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, ESRCH);
    stop_is(file, 0, DAEMONCTX_STOP_NOT_RUNNING);
    is_unharmed(child);
    close(lock);
    daemonctx_pidfile_free(file);
}

static void names_nobody(const char *bytes)
{
    pid_t pid = -1;
    write_file("pid", bytes);
    daemonctx_pidfile *file = file_at("pid");
    status_is(file, DAEMONCTX_STALE, 0);
    CHECK_INT(daemonctx_pidfile_read(file, &pid), DAEMONCTX_OK);
    CHECK_INT(pid, 0);
    CHECK_INT(daemonctx_pidfile_signal(file, SIGKILL), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, ESRCH);
    daemonctx_pidfile_free(file);
    pid_t daemon = started();
    CHECK_INT(pid_in("pid"), daemon);
    terminate(daemon);
}

TEST("what is no PID is never signalled, and in no start's way")
{
    static const char *const files[] = {"", "0\n", "1\n", "4194305\n", "99999999999999999999"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        names_nobody(files[i]);
    names_nobody(text("%0100d", 1));
}

TEST("a daemon ends without touching the file that another has at its path")
{
    pid_t first = started();
    NEED(unlink("pid") == 0);
    daemonctx_pidfile *file = file_at("pid");
    status_is(file, DAEMONCTX_NOT_RUNNING, 0);
    pid_t second = started();
    terminate(first);
    CHECK_INT(pid_in("pid"), second);
    status_is(file, DAEMONCTX_RUNNING, second);
    terminate(second);
    CHECK(!exists("pid"));
    daemonctx_pidfile_free(file);
}

TEST("a daemon ends without touching a file that was written in its file's place")
{
    pid_t daemon = started();
    write_file("new", "hello");
    NEED(rename("new", "pid") == 0);
    terminate(daemon);
    CHECK_TEXT(content("pid"), "hello");
}

/* --- foreign files -------------------------------------------------------------------------------------------------- */

TEST("a foreign file: read, asked, signalled, and left where it is")
{
    pid_t child = innocent();
    write_file("pid", text("%d\n", (int)child));
    daemonctx_pidfile *file = daemonctx_pidfile_foreign("pid");
    NEED(file != NULL);
    status_is(file, DAEMONCTX_RUNNING, child);
    CHECK_INT(daemonctx_pidfile_signal(file, 0), DAEMONCTX_OK);
    stop_is(file, 5000, DAEMONCTX_STOP_TERMINATED);
    CHECK_INT(pid_in("pid"), child);
    status_is(file, DAEMONCTX_STALE, 0);
    CHECK_INT(ended(child).signal, SIGTERM);
    status_is(file, DAEMONCTX_STALE, 0);
    stop_is(file, 0, DAEMONCTX_STOP_NOT_RUNNING);
    CHECK_INT(daemonctx_pidfile_signal(file, SIGTERM), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, ESRCH);
    daemonctx_pidfile_free(file);
}

TEST("a foreign file: a process that began after it was written is not the one")
{
    struct timespec long_ago[2] = {{.tv_sec = time(NULL) - 3600}, {.tv_sec = time(NULL) - 3600}};
    pid_t child = innocent();
    write_file("pid", text("%d\n", (int)child));
    NEED(utimensat(AT_FDCWD, "pid", long_ago, 0) == 0);
    daemonctx_pidfile *file = daemonctx_pidfile_foreign("pid");
    status_is(file, DAEMONCTX_STALE, 0);
    CHECK_INT(daemonctx_pidfile_signal(file, SIGKILL), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, ESRCH);
    stop_is(file, 0, DAEMONCTX_STOP_NOT_RUNNING);
    is_unharmed(child);
    daemonctx_pidfile_free(file);
}

TEST("a foreign file of another user does not make root kill root's processes")
{
    need_root();
    pid_t child = innocent();
    write_file("pid", text("%d\n", (int)child));
    NEED(chown("pid", 65534, 65534) == 0);
    daemonctx_pidfile *file = daemonctx_pidfile_foreign("pid");
    status_is(file, DAEMONCTX_UNKNOWN, 0);
    CHECK_INT(daemonctx_pidfile_signal(file, SIGKILL), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, EPERM);
    CHECK_INT(daemonctx_pidfile_stop(file, 0, NULL), DAEMONCTX_ERROR_PID_FILE);
    CHECK_INT(errno, EPERM);
    is_unharmed(child);
    daemonctx_pidfile_free(file);
}

/* --- what is no regular file ---------------------------------------------------------------------------------------- */

static void query_fails(int number, const char *line)
{
    pid_t pid = -1;
    int value = -1;
    daemonctx_pidfile_state status;
    daemonctx_stop how;
    daemonctx_pidfile *file = file_at("pid");
    is_error(file, daemonctx_pidfile_read(file, &pid), DAEMONCTX_ERROR_PID_FILE, number, "pid file", line);
    is_error(file, daemonctx_pidfile_status(file, &status, &pid), DAEMONCTX_ERROR_PID_FILE, number, "pid file", line);
    is_error(file, daemonctx_pidfile_signal(file, SIGTERM), DAEMONCTX_ERROR_PID_FILE, number, "pid file", line);
    is_error(file, daemonctx_pidfile_stop(file, 0, &how), DAEMONCTX_ERROR_PID_FILE, number, "pid file", line);
    is_error(file, daemonctx_pidfile_wait(file, -1, &value), DAEMONCTX_ERROR_PID_FILE, number, "pid file", line);
    is_error(file, daemonctx_pidfile_acquire(file), DAEMONCTX_ERROR_PID_FILE, number, "pid file", line);
    daemonctx_pidfile_free(file);
}

/* Neither a start nor a question hangs, and both say the same. */
static void is_no_pid_file(int number, const char *note, const char *words)
{
    char *line = text("pid file failed: %s%s: %s (%d %s)", path("pid"), note, words, number, strerrorname_np(number));
    query_fails(number, line);
    struct outcome starter = START(NULL, "daemon", with_pid_file());
    CHECK_TEXT(starter.err, text("refused %d %s pid file: %s\n", DAEMONCTX_ERROR_PID_FILE, strerrorname_np(number), line));
    CHECK_INT(starter.code, 1);
    CHECK(exists("pid"));
    NEED(remove("pid") == 0);
}

TEST("a symbolic link at the path is an error, and what it leads to is not touched")
{
    write_file("precious", "data");
    NEED(symlink("precious", "pid") == 0);
    is_no_pid_file(ELOOP, " (a symbolic link)", "Too many levels of symbolic links");
    CHECK_TEXT(content("precious"), "data");
    NEED(symlink("absent", "pid") == 0);
    is_no_pid_file(ELOOP, " (a symbolic link)", "Too many levels of symbolic links");
    CHECK(!exists("absent"));
}

TEST("a FIFO, a directory, a socket, a device at the path are errors at once")
{
    NEED(mkfifo("pid", 0644) == 0);
    is_no_pid_file(EINVAL, " (a FIFO)", "Invalid argument");
    NEED(mkdir("pid", 0755) == 0);
    is_no_pid_file(EISDIR, "", "Is a directory");
    struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "pid"};
    NEED(bind(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&name, sizeof name) == 0);
    is_no_pid_file(EINVAL, " (a socket)", "Invalid argument");
    if (mknod("pid", S_IFCHR | 0666, (1 << 8) | 3) < 0)
        skip("all but the device: mknod: %s", strerror(errno));
    is_no_pid_file(EINVAL, " (a device)", "Invalid argument");
}

/* Every door says so, and changes nothing. */
TEST("a file with anything but a PID in it is refused and left as it is")
{
    static const char *const files[] = {"\n",  "-1\n", "-4711\n", "+7\n", "abc",     "0x10",  "12 34",   "\x7f\x45\x4c\x46",
                                        " 7\n", "7 \n", "7\r\n",  "7\n\n", "7\n7\n", "12345 # comment\n",
                                        "server { listen 80; }\n", "[section]\npid = 7\n"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *line = text("not a pid file: %s: it holds something other than a PID, and was left unchanged", path("pid"));
        write_file("pid", files[i]);
        query_fails(EINVAL, line);
        struct outcome starter = START(NULL, "daemon", with_pid_file());
        CHECK_TEXT(starter.err, text("refused %d EINVAL pid file: %s\n", DAEMONCTX_ERROR_PID_FILE, line));
        CHECK_INT(starter.code, 1);
        CHECK_TEXT(content("pid"), files[i]);
    }
}

TEST("a directory that is missing or no directory is an error that names the path")
{
    struct outcome starter = START(NULL, "daemon", text("pid_file=%s", path("no/where/pid")));
    CHECK_TEXT(starter.err, text("refused %d ENOENT pid file: pid file failed: %s: No such file or directory "
                                 "(2 ENOENT)\n", DAEMONCTX_ERROR_PID_FILE, path("no/where/pid")));
    starter = START(NULL, "daemon", "pid_file=report/pid");
    CHECK_HAS(starter.err, text("refused %d ENOTDIR pid file: ", DAEMONCTX_ERROR_PID_FILE));
    starter = START(NULL, "daemon", "pid_file=/proc/pid");
    CHECK_HAS(starter.err, text("refused %d ENOENT pid file: ", DAEMONCTX_ERROR_PID_FILE));
}

TEST("a directory that may not be written is an error")
{
    need_root();
    struct outcome starter = START(be_nobody, "daemon", with_pid_file());
    CHECK_HAS(starter.err, text("refused %d EACCES pid file: pid file failed: %s: Permission denied (13 EACCES)",
                                DAEMONCTX_ERROR_PID_FILE, path("pid")));
}

/* --- handles -------------------------------------------------------------------------------------------------------- */

static void no_handle(const char *name, int number)
{
    errno = 0;
    CHECK(daemonctx_pidfile_new(name) == NULL);
    CHECK_INT(errno, number);
    errno = 0;
    CHECK(daemonctx_pidfile_foreign(name) == NULL);
    CHECK_INT(errno, number);
}

TEST("a path that cannot be one gives no handle")
{
    no_handle(NULL, EINVAL);
    no_handle("", ENOENT);
    no_handle(text("/%05000d", 0), ENAMETOOLONG);
    no_handle(text("%04090d", 0), ENAMETOOLONG);
}

TEST("a relative path is made absolute by the handle, not by its use")
{
    daemonctx_pidfile *file = file_at("pid");
    pid_t daemon = started();
    NEED(chdir("/") == 0);
    status_is(file, DAEMONCTX_RUNNING, daemon);
    terminate(daemon);
    daemonctx_pidfile_free(file);
}

TEST("before any error a handle has none, and success changes nothing")
{
    const char *step = NULL;
    const char *line = NULL;
    int number = -1;
    daemonctx_pidfile *file = file_at("pid");
    CHECK_INT(daemonctx_pidfile_error(file, &step, &number, &line), DAEMONCTX_OK);
    CHECK_TEXT(step, "");
    CHECK_TEXT(line, "");
    CHECK_INT(number, 0);
    CHECK_INT(daemonctx_pidfile_signal(file, 0), DAEMONCTX_ERROR_PID_FILE);
    status_is(file, DAEMONCTX_NOT_RUNNING, 0);
    CHECK_INT(daemonctx_pidfile_error(file, NULL, NULL, NULL), DAEMONCTX_ERROR_PID_FILE);
    daemonctx_pidfile_free(file);
}

/* --- taking one by hand --------------------------------------------------------------------------------------------- */

/* Arguments: pid file, how to end. */
PROGRAM(taker)
{
    daemonctx_pidfile *file = daemonctx_pidfile_new(argv[1]);
    say("%d", daemonctx_pidfile_release(file) == DAEMONCTX_ERROR_USAGE && errno == EBADF);
    MUST(daemonctx_pidfile_acquire(file));
    say("%d", daemonctx_pidfile_acquire(file) == DAEMONCTX_ERROR_USAGE && errno == EALREADY);
    await_go();
    if (strcmp(argv[2], "release") == 0)
        MUST(daemonctx_pidfile_release(file));
    if (strcmp(argv[2], "free") == 0)
        daemonctx_pidfile_free(file);
    if (strcmp(argv[2], "exit") == 0)
        exit(3);
    if (strcmp(argv[2], "_exit") == 0)
        _exit(3);
    say("done");
    await_go();
    _exit(3);
}

static pid_t taken(const char *how)
{
    pid_t program = LAUNCH(NULL, "taker", path("pid"), how);
    HEAR("1");
    HEAR("1");
    CHECK_INT(pid_in("pid"), program);
    return program;
}

TEST("acquire takes the file for this process, with mode and lock, until it is released")
{
    struct stat status;
    pid_t program = taken("release");
    daemonctx_pidfile *file = file_at("pid");
    NEED(stat("pid", &status) == 0);
    CHECK_INT(status.st_mode & 07777, 0644);
    status_is(file, DAEMONCTX_RUNNING, program);
    is_error(file, daemonctx_pidfile_acquire(file), DAEMONCTX_ERROR_ALREADY_RUNNING, EAGAIN, "pid file",
             text("pid file failed: %s (already running as PID %d): Resource temporarily unavailable (11 EAGAIN)",
                  path("pid"), (int)program));
    CHECK_HAS(START(NULL, "daemon", with_pid_file()).err, text("(already running as PID %d)", (int)program));
    go();
    HEAR("done");
    CHECK(!exists("pid"));
    status_is(file, DAEMONCTX_NOT_RUNNING, 0);
    go();
    CHECK_INT(ended(program).code, 3);
    daemonctx_pidfile_free(file);
}

TEST("free releases what was acquired")
{
    pid_t program = taken("free");
    go();
    HEAR("done");
    CHECK(!exists("pid"));
    go();
    CHECK_INT(ended(program).code, 3);
}

TEST("exit(3) releases what was acquired; _exit(2) leaves a stale file")
{
    pid_t program = taken("exit");
    go();
    CHECK_INT(ended(program).code, 3);
    CHECK(!exists("pid"));
    program = taken("_exit");
    go();
    CHECK_INT(ended(program).code, 3);
    daemonctx_pidfile *file = file_at("pid");
    status_is(file, DAEMONCTX_STALE, 0);
    stop_is(file, 0, DAEMONCTX_STOP_NOT_RUNNING);
    CHECK(!exists("pid"));
    daemonctx_pidfile_free(file);
}

/* Argument: a pid file of its own. The rest are settings. */
PROGRAM(taker_and_starter)
{
    daemonctx_pidfile *own = daemonctx_pidfile_new(argv[1]);
    daemonctx *ctx = configured(argc - 1, argv + 1);
    MUST(daemonctx_pidfile_acquire(own));
    open_or_leave(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

TEST("a file that was acquired goes along into the daemon")
{
    struct outcome starter = START(NULL, "taker_and_starter", path("own"), with_pid_file());
    CHECK_INT(starter.code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(pid_in("own"), daemon);
    CHECK_INT(pid_in("pid"), daemon);
    terminate(daemon);
    CHECK(!exists("own"));
    CHECK(!exists("pid"));
}

TEST_WITHIN(60, "a stop of a process that SIGKILL does not end fails after ten seconds")
{
    struct timespec began, now;
    int status;
    pid_t daemon = started();
    daemonctx_pidfile *file = file_at("pid");
    /* It stops in _exit(2), where no other SIGKILL reaches it. */
    if (ptrace(PTRACE_SEIZE, daemon, NULL, (void *)(uintptr_t)PTRACE_O_TRACEEXIT) != 0) {
        int why = errno;
        terminate(daemon);
        skip("needs ptrace(2): %s", strerror(why));
    }
    clock_gettime(CLOCK_MONOTONIC, &began);
    const char *line = text("wait failed: %s (not ended 10 s after SIGKILL): Connection timed out (110 ETIMEDOUT)", path("pid"));
    is_error(file, daemonctx_pidfile_stop(file, 0, NULL), DAEMONCTX_ERROR_PID_FILE, ETIMEDOUT, "wait", line);
    clock_gettime(CLOCK_MONOTONIC, &now);
    CHECK((now.tv_sec - began.tv_sec) * 1000 + (now.tv_nsec - began.tv_nsec) / 1000000 >= 10000);
    status_is(file, DAEMONCTX_RUNNING, daemon);
    NEED(waitpid(daemon, &status, __WALL) == daemon && status >> 16 == PTRACE_EVENT_EXIT);
    NEED(ptrace(PTRACE_DETACH, daemon, NULL, NULL) == 0);
    ended(daemon);
    stop_is(file, 0, DAEMONCTX_STOP_NOT_RUNNING);
    daemonctx_pidfile_free(file);
}

TEST("a file that has another name as well is refused: it may have been linked there")
{
    pid_t daemon = started();
    NEED(link("pid", "other") == 0);
    daemonctx_pidfile *file = file_at("other");
    const char *line = text("pid file failed: %s (the file has other names): Too many links (31 EMLINK)", path("other"));
    is_error(file, daemonctx_pidfile_status(file, NULL, NULL), DAEMONCTX_ERROR_PID_FILE, EMLINK, "pid file", line);
    is_error(file, daemonctx_pidfile_signal(file, SIGTERM), DAEMONCTX_ERROR_PID_FILE, EMLINK, "pid file", line);
    is_error(file, daemonctx_pidfile_stop(file, 0, NULL), DAEMONCTX_ERROR_PID_FILE, EMLINK, "pid file", line);
    is_error(file, daemonctx_pidfile_acquire(file), DAEMONCTX_ERROR_PID_FILE, EMLINK, "pid file", line);
    CHECK(is_alive(daemon));
    NEED(unlink("other") == 0);
    daemonctx_pidfile_free(file);
    file = file_at("pid");
    stop_is(file, 10000, DAEMONCTX_STOP_TERMINATED);
    ended(daemon);
    daemonctx_pidfile_free(file);
}
