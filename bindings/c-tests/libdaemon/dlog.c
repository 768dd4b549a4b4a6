/* <libdaemon/dlog.h> */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "common.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void use(int flags)
{
    daemon_log_use = (enum daemon_log_flags)flags;
}

/* Standard output and error of the test's process to files of these names. */
static void redirect(void)
{
    static const char *const names[] = {"stdout", "stderr"};
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        int fd = open(names[i], O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0644);
        NEED(fd >= 0 && dup2(fd, i + 1) == i + 1);
        close(fd);
    }
}

static void undo(int out, int err)
{
    fflush(stdout);
    NEED(dup2(out, 1) == 1 && dup2(err, 2) == 2);
    close(out);
    close(err);
}

struct written {
    char *out;
    char *err;
};

/* What is written on standard output and error while `write` runs. */
static struct written written_by(void (*write)(void))
{
    int out = dup(1);
    int err = dup(2);
    redirect();
    write();
    undo(out, err);
    return (struct written){content("stdout"), content("stderr")};
}

static void writes(void (*write)(void), const char *out, const char *err)
{
    struct written written = written_by(write);
    CHECK_TEXT(written.out, out);
    CHECK_TEXT(written.err, err);
}

/* --- where to ------------------------------------------------------------------------------------------------------- */

static int flags;

static void log_one(void)
{
    use(flags);
    daemon_log(LOG_ERR, "message");
    use(0);
}

TEST("at the beginning: standard error and auto, no ident")
{
    CHECK_INT(daemon_log_use, DAEMON_LOG_STDERR | DAEMON_LOG_AUTO);
    CHECK(daemon_log_ident == NULL);
}

TEST("every combination of daemon_log_use: the message and a newline on the streams, ident and PID in syslog")
{
    own_system();
    daemon_log_ident = "me";
    for (flags = 0; flags < 16; flags++) {
        writes(log_one, flags & DAEMON_LOG_STDOUT ? "message\n" : "", flags & DAEMON_LOG_STDERR ? "message\n" : "");
        if (flags & DAEMON_LOG_SYSLOG)
            LOGGED(text("<27>me[%d]: message", (int)getpid()));
        CHECK(log_is_empty());
    }
}

TEST("bits without a meaning are no matter")
{
    own_system();
    flags = 16 | 1024;
    writes(log_one, "", "");
    flags = 16 | DAEMON_LOG_STDERR;
    writes(log_one, "", "message\n");
    CHECK(log_is_empty());
}

static void log_values(void)
{
    use(flags);
    daemon_log(LOG_ERR, "%s %d %ld %.1f %c %%", "text", 42, 1L << 30, 2.5, 'x');
    use(0);
}

TEST("arguments, of each kind, on each target")
{
    own_system();
    static const char expected[] = "text 42 1073741824 2.5 x %";
    flags = DAEMON_LOG_STDERR;
    writes(log_values, "", text("%s\n", expected));
    flags = DAEMON_LOG_STDOUT;
    writes(log_values, text("%s\n", expected), "");
    flags = DAEMON_LOG_SYSLOG | DAEMON_LOG_STDERR;
    writes(log_values, "", text("%s\n", expected));
    LOGGED(text("<27>UNKNOWN[%d]: %s", (int)getpid(), expected));
}

static void call_logv(int priority, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    daemon_logv(priority, format, arguments);
    va_end(arguments);
}

static void logv_values(void)
{
    use(flags);
    call_logv(LOG_NOTICE, "%d %s %d %d %d %d %d", 1, "2", 3, 4, 5, 6, 7);
    use(0);
}

TEST("daemon_logv does the same")
{
    own_system();
    flags = DAEMON_LOG_STDERR | DAEMON_LOG_SYSLOG;
    writes(logv_values, "", "1 2 3 4 5 6 7\n");
    LOGGED(text("<29>UNKNOWN[%d]: 1 2 3 4 5 6 7", (int)getpid()));
}

static void log_lines(void)
{
    use(flags);
    daemon_log(LOG_ERR, "ends\n");
    daemon_log(LOG_ERR, "two\nlines");
    daemon_log(LOG_ERR, "%s", "");
    use(0);
}

TEST("newlines in a message stay, and there is one more at its end")
{
    flags = DAEMON_LOG_STDERR;
    writes(log_lines, "", "ends\n\ntwo\nlines\n\n");
    flags = DAEMON_LOG_STDOUT;
    writes(log_lines, "ends\n\ntwo\nlines\n\n", "");
}

static void log_between(void)
{
    setvbuf(stdout, NULL, _IOFBF, 4096);
    use(DAEMON_LOG_STDOUT);
    printf("before ");
    daemon_log(LOG_ERR, "message");
    printf("after");
    use(0);
}

TEST("on standard output it keeps its place between what the program prints")
{
    writes(log_between, "before message\nafter", "");
}

/* --- syslog --------------------------------------------------------------------------------------------------------- */

TEST("syslog: the ident of each call counts, NULL is UNKNOWN, the text behind the pointer too")
{
    static char changing[] = "four";
    int pid = (int)getpid();
    own_system();
    use(DAEMON_LOG_SYSLOG);
    daemon_log_ident = "one";
    daemon_log(LOG_ERR, "1");
    LOGGED(text("<27>one[%d]: 1", pid));
    daemon_log_ident = "two words";
    daemon_log(LOG_ERR, "2");
    LOGGED(text("<27>two words[%d]: 2", pid));
    daemon_log_ident = NULL;
    daemon_log(LOG_ERR, "3");
    LOGGED(text("<27>UNKNOWN[%d]: 3", pid));
    daemon_log_ident = changing;
    daemon_log(LOG_ERR, "4");
    LOGGED(text("<27>four[%d]: 4", pid));
    changing[0] = 'p';
    daemon_log(LOG_ERR, "5");
    LOGGED(text("<27>pour[%d]: 5", pid));
    daemon_log_ident = "";
    daemon_log(LOG_ERR, "6");
    LOGGED(text("<27>[%d]: 6", pid));
}

TEST("syslog: priorities, all of them whatever the verbosity, and facilities")
{
    int pid = (int)getpid();
    own_system();
    daemon_log_ident = "me";
    use(DAEMON_LOG_SYSLOG);
    for (int priority = LOG_EMERG; priority <= LOG_DEBUG; priority++) {
        daemon_log(priority, "p");
        LOGGED(text("<%d>me[%d]: p", LOG_DAEMON | priority, pid));
    }
    daemon_set_verbosity(0);
    daemon_log(LOG_DEBUG, "p");
    LOGGED(text("<%d>me[%d]: p", LOG_DAEMON | LOG_DEBUG, pid));
    daemon_log(LOG_LOCAL3 | LOG_CRIT, "p");
    LOGGED(text("<%d>me[%d]: p", LOG_LOCAL3 | LOG_CRIT, pid));
    daemon_log(LOG_LOCAL7 | LOG_INFO, "p");
    LOGGED(text("<%d>me[%d]: p", LOG_LOCAL7 | LOG_INFO, pid));
    daemon_log(LOG_INFO, "p");
    LOGGED(text("<%d>me[%d]: p", LOG_DAEMON | LOG_INFO, pid));
}

TEST("syslog: the PID is that of the process, after a fork too")
{
    own_system();
    use(DAEMON_LOG_SYSLOG);
    daemon_log(LOG_ERR, "parent");
    pid_t child = fork();
    if (child == 0) {
        daemon_log(LOG_ERR, "child");
        _exit(0);
    }
    CHECK_INT(ended(child).code, 0);
    daemon_log(LOG_ERR, "parent");
    LOGGED(text("<27>UNKNOWN[%d]: parent", (int)getpid()));
    LOGGED(text("<27>UNKNOWN[%d]: child", (int)child));
    LOGGED(text("<27>UNKNOWN[%d]: parent", (int)getpid()));
}

PROGRAM(logs_in_root)
{
    use(DAEMON_LOG_SYSLOG);
    daemon_log_ident = "rooted";
    daemon_log(LOG_INFO, "outside");
    NEED(chroot(argv[1]) == 0 && chdir("/") == 0);
    daemon_log_ident = "jailed";
    daemon_log(LOG_INFO, "inside %d", 1);
    daemon_log(LOG_INFO, "inside %d", 2);
    return 0;
}

TEST("syslog: the connection stays open, so it is heard from a chroot")
{
    own_system();
    pid_t program = LAUNCH(NULL, "logs_in_root", path(""));
    CHECK_INT(finish(program).code, 0);
    LOGGED(text("<30>rooted[%d]: outside", (int)program));
    LOGGED(text("<30>jailed[%d]: inside 1", (int)program));
    LOGGED(text("<30>jailed[%d]: inside 2", (int)program));
}

PROGRAM(logs_after_close_all)
{
    use(DAEMON_LOG_SYSLOG);
    daemon_log_ident = "me";
    daemon_log(LOG_INFO, "before");
    NEED(daemon_close_all(-1) == 0);
    daemon_log(LOG_INFO, "after");
    return 0;
}

TEST("syslog: it is heard after daemon_close_all, which closes the connection")
{
    own_system();
    pid_t program = LAUNCH(NULL, "logs_after_close_all");
    CHECK_INT(finish(program).code, 0);
    LOGGED(text("<30>me[%d]: before", (int)program));
    LOGGED(text("<30>me[%d]: after", (int)program));
}

PROGRAM(logs_as_daemon)
{
    daemon_log_ident = "me";
    daemon_log(LOG_INFO, "starter");
    if (daemon_fork() != 0)
        return 0;
    daemon_log(LOG_INFO, "daemon %d", 7);
    say("%d", (int)getpid());
    return 0;
}

TEST("the starter logs to standard error, its daemon to syslog")
{
    own_system();
    struct outcome starter = START(NULL, "logs_as_daemon");
    CHECK_INT(starter.code, 0);
    CHECK_TEXT(starter.err, "starter\n");
    pid_t daemon = (pid_t)hear_number();
    LOGGED(text("<30>me[%d]: daemon 7", (int)daemon));
    CHECK(log_is_empty());
    CHECK_INT(ended(daemon).code, 0);
}

/* --- errno ---------------------------------------------------------------------------------------------------------- */

static void log_errno(void)
{
    use(flags);
    errno = ENOENT;
    daemon_log(LOG_ERR, "%m");
    CHECK_INT(errno, ENOENT);
    call_logv(LOG_ERR, "%m");
    CHECK_INT(errno, ENOENT);
    daemon_log(LOG_DEBUG, "hidden");
    CHECK_INT(errno, ENOENT);
    use(0);
}

TEST("errno is the caller's for %m on each target, and stays as it was")
{
    static const char line[] = "No such file or directory";
    own_system();
    flags = DAEMON_LOG_STDERR;
    writes(log_errno, "", text("%s\n%s\n", line, line));
    flags = DAEMON_LOG_STDOUT;
    writes(log_errno, text("%s\n%s\n", line, line), "");
    flags = DAEMON_LOG_SYSLOG | DAEMON_LOG_STDERR | DAEMON_LOG_STDOUT;
    writes(log_errno, text("%s\n%s\n", line, line), text("%s\n%s\n", line, line));
    LOGGED(text("<27>UNKNOWN[%d]: %s", (int)getpid(), line));
    LOGGED(text("<27>UNKNOWN[%d]: %s", (int)getpid(), line));
    LOGGED(text("<31>UNKNOWN[%d]: hidden", (int)getpid()));
}

/* Nothing of this has anywhere to go. */
PROGRAM(logs_nowhere)
{
    int full = open("/dev/full", O_WRONLY);
    NEED(unlink("/dev/log") == 0);
    flags = DAEMON_LOG_SYSLOG | DAEMON_LOG_STDERR | DAEMON_LOG_STDOUT;
    setvbuf(stdout, NULL, _IONBF, 0);
    NEED(dup2(full, 1) == 1 && dup2(full, 2) == 2);
    log_errno();
    close(1);
    close(2);
    log_errno();
    _exit(5);
}

TEST("errno stays where syslog cannot be reached and the streams are full or closed")
{
    own_system();
    CHECK_INT(START(NULL, "logs_nowhere").code, 5);
}

/* --- long ones ------------------------------------------------------------------------------------------------------ */

static int length;

static void log_long(void)
{
    char *end = text("%0*d", length, 7);
    use(flags);
    daemon_log(LOG_ERR, "%s", end);
    use(0);
}

TEST("long messages are whole, up to a datagram's length in syslog")
{
    static const int lengths[] = {100, 1023, 1024, 1025, 2048, 5000, 8192, 60000};
    own_system();
    flags = DAEMON_LOG_SYSLOG | DAEMON_LOG_STDERR;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        length = lengths[i];
        writes(log_long, "", text("%0*d\n", length, 7));
        LOGGED(text("<27>UNKNOWN[%d]: %0*d", (int)getpid(), length, 7));
    }
    length = 64000;
    flags = DAEMON_LOG_STDOUT;
    writes(log_long, text("%0*d\n", length, 7), "");
}

/* --- verbosity ------------------------------------------------------------------------------------------------------ */

static void log_all(void)
{
    use(DAEMON_LOG_STDERR);
    for (int priority = LOG_EMERG; priority <= LOG_DEBUG; priority++)
        daemon_log(priority, "%d", priority);
    use(0);
}

static void shows(const char *digits)
{
    char *lines = text("%s", "");
    for (; *digits != '\0'; digits++)
        lines = text("%s%c\n", lines, *digits);
    writes(log_all, "", lines);
}

TEST("verbosity is LOG_INFO at first, whatever the header says")
{
    shows("0123456");
}

TEST("verbosity: what is as urgent as that, or more, is shown")
{
    use(0);
    for (int priority = LOG_EMERG; priority <= LOG_DEBUG; priority++) {
        daemon_set_verbosity(priority);
        shows(text("%.*s", priority + 1, "01234567"));
    }
}

static void log_all_to_stdout(void)
{
    use(DAEMON_LOG_STDOUT);
    daemon_log(LOG_DEBUG, "debug");
    daemon_log(LOG_ERR, "err");
    use(0);
}

TEST("verbosity counts for standard output as for standard error")
{
    use(0);
    daemon_set_verbosity(LOG_ERR);
    writes(log_all_to_stdout, "err\n", "");
    daemon_set_verbosity(LOG_DEBUG);
    writes(log_all_to_stdout, "debug\nerr\n", "");
}

/* --- ident ---------------------------------------------------------------------------------------------------------- */

static void ident_is(const char *path_of_program, size_t offset)
{
    char *argv0 = text("%s", path_of_program);
    CHECK(daemon_ident_from_argv0(argv0) == argv0 + offset);
    CHECK_TEXT(argv0, path_of_program);
}

TEST("the ident from argv[0] is what follows the last slash, in the same string")
{
    ident_is("/usr/sbin/service", 10);
    ident_is("service", 0);
    ident_is("./service", 2);
    ident_is("//a//b", 5);
    ident_is("folder/", 7);
    ident_is("/", 1);
    ident_is("", 0);
}
