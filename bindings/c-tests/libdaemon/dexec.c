/* <libdaemon/dexec.h> */
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { UNTOUCHED = -77 };

/* What the caller of daemon_exec has set up. */
static void set_up(void)
{
    own_system();
    daemon_log_use = DAEMON_LOG_SYSLOG;
    daemon_log_ident = "me";
    NEED(daemon_signal_init(SIGCHLD, SIGUSR1, 0) == 0);
}

/* A shell script in /; its status. */
static int run(const char *script)
{
    int status = UNTOUCHED;
    CHECK_CALL(daemon_exec("/", &status, "/bin/sh", "sh", "-c", script, (char *)NULL), "0");
    return status;
}

static void client(const char *line)
{
    LOGGED(text("<30>me[%d]: client: %s", (int)getpid(), line));
}

TEST("each exit status, 0 to 255")
{
    set_up();
    for (int status = 0; status < 256; status++)
        CHECK_INT(run(text("exit %d", status)), status);
    CHECK(log_is_empty());
    CHECK_CALL(waitpid(-1, NULL, WNOHANG), "-1 ECHILD");
}

TEST("without a place for the status")
{
    set_up();
    CHECK_CALL(daemon_exec("/", NULL, "/bin/sh", "sh", "-c", "echo here; exit 3", (char *)NULL), "0");
    client("here");
}

TEST("standard output and error become lines of LOG_INFO, in their order")
{
    set_up();
    CHECK_INT(run("echo out; echo err >&2; printf 'a\\nb\\n'; echo 'err 2' >&2"), 0);
    client("out");
    client("err");
    client("a");
    client("b");
    client("err 2");
    CHECK(log_is_empty());
}

TEST("a last line without a newline is logged, as LOG_WARNING")
{
    set_up();
    CHECK_INT(run("echo one; printf 'no newline'"), 0);
    client("one");
    LOGGED(text("<28>me[%d]: client: no newline", (int)getpid()));
    CHECK(log_is_empty());
}

TEST("empty lines are left out, blanks and percent signs are not touched")
{
    set_up();
    CHECK_INT(run("printf '\\n\\none\\n\\n\\n  two  \\n\\n'; echo '%s%n%d %%'; printf 'tab\\there\\n'"), 0);
    client("one");
    client("  two  ");
    client("%s%n%d %%");
    client("tab\there");
    CHECK(log_is_empty());
}

TEST("a line that comes in parts is one line")
{
    set_up();
    CHECK_INT(run("printf one; sleep 0.05; printf two; sleep 0.05; echo three"), 0);
    client("onetwothree");
}

TEST("a line of 255 bytes is whole")
{
    set_up();
    CHECK_INT(run("printf '%0255d\\n' 7; echo next"), 0);
    client(text("%0255d", 7));
    client("next");
    CHECK(log_is_empty());
}

TEST("a thousand lines, none lost")
{
    set_up();
    CHECK_INT(run("i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done"), 0);
    for (int i = 0; i < 1000; i++)
        client(text("line %d", i));
    CHECK(log_is_empty());
}

static void echo_to_stderr(const char *file)
{
    int before = dup(STDERR_FILENO);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    NEED(dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    daemon_log_use = DAEMON_LOG_STDERR;
    int status = run("echo out; echo err >&2; exit 4");
    NEED(dup2(before, STDERR_FILENO) == STDERR_FILENO);
    CHECK_INT(status, 4);
}

TEST("the lines go where daemon_log_use says, and verbosity counts")
{
    set_up();
    echo_to_stderr("first");
    CHECK_TEXT(content("first"), "client: out\nclient: err\n");
    daemon_log_use = (enum daemon_log_flags)0;
    daemon_set_verbosity(LOG_EMERG);
    echo_to_stderr("second");
    CHECK_TEXT(content("second"), "");
    CHECK(log_is_empty());
}

TEST("it runs in the directory that is asked for, or stays where it is for NULL")
{
    int status = UNTOUCHED;
    set_up();
    NEED(mkdir("folder", 0755) == 0);
    CHECK_CALL(daemon_exec(path("folder"), &status, "/bin/pwd", "pwd", "-P", (char *)NULL), "0");
    client(path("folder"));
    CHECK_CALL(daemon_exec("folder", &status, "/bin/pwd", "pwd", "-P", (char *)NULL), "0");
    client(path("folder"));
    CHECK_CALL(daemon_exec(NULL, &status, "/bin/pwd", "pwd", "-P", (char *)NULL), "0");
    client(link_of(getpid(), "cwd"));
    CHECK_INT(status, 0);
}

TEST("where there is no such directory it runs in /, with a warning")
{
    int status = UNTOUCHED;
    set_up();
    CHECK_CALL(daemon_exec("/no/where", &status, "/bin/pwd", "pwd", (char *)NULL), "0");
    char *warning = logged();
    CHECK(strncmp(warning, "<28>", 4) == 0);
    CHECK_HAS(warning, "/no/where");
    client("/");
    CHECK_INT(status, 0);
    CHECK(log_is_empty());
}

static void cannot_run(const char *program)
{
    int status = UNTOUCHED;
    CHECK_CALL(daemon_exec("/", &status, program, "word", (char *)NULL), "0");
    CHECK_INT(status, 1);
    char *error = logged();
    CHECK(strncmp(error, "<27>me[", 7) == 0);
    CHECK_HAS(error, program);
    CHECK(log_is_empty());
}

TEST("programs that cannot be run: status 1 and an error in the log; PATH is not searched")
{
    set_up();
    cannot_run("/no/where");
    cannot_run("/etc/passwd");
    cannot_run("/tmp");
    cannot_run("true");
}

TEST("a path that begins in the directory")
{
    int status = UNTOUCHED;
    set_up();
    CHECK_CALL(daemon_exec("/bin", &status, "./sh", "name", "-c", "echo $0; exit 9", (char *)NULL), "0");
    client("name");
    CHECK_INT(status, 9);
}

TEST("a child that is killed: ECANCELED, and the status is not touched")
{
    static const char *const signals[] = {"TERM", "KILL", "HUP", "ABRT"};
    set_up();
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        int status = UNTOUCHED;
        char *script = text("ulimit -c 0; echo now; kill -%s $$", signals[i]);
        CHECK_CALL(daemon_exec("/", &status, "/bin/sh", "sh", "-c", script, (char *)NULL), "-1 ECANCELED");
        CHECK_INT(status, UNTOUCHED);
        client("now");
    }
    CHECK_CALL(waitpid(-1, NULL, WNOHANG), "-1 ECHILD");
}

TEST("no argument at all")
{
    int status = UNTOUCHED;
    set_up();
    CHECK_CALL(daemon_exec("/", &status, "/bin/true", (char *)NULL), "0");
    CHECK_INT(status, 0);
}

TEST("arguments are passed as they are, with empty ones and all bytes, sixty of them")
{
    int status = UNTOUCHED;
    set_up();
    CHECK_CALL(daemon_exec("/", &status, "/bin/sh", "sh", "-c", "echo \"$#|$1|$2|$3|${56}\"", "zero", "", "two words", "'\"$*\\",
                           "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22",
                           "23", "24", "25", "26", "27", "28", "29", "30", "31", "32", "33", "34", "35", "36", "37", "38", "39", "40",
                           "41", "42", "43", "44", "45", "46", "47", "48", "49", "50", "51", "52", "53", "54", "55", "56",
                           (char *)NULL),
               "0");
    client("56||two words|'\"$*\\|56");
    CHECK_INT(status, 0);
}

static int call_execv(const char *directory, int *status, const char *program, ...)
{
    va_list arguments;
    va_start(arguments, program);
    int result = daemon_execv(directory, status, program, arguments);
    va_end(arguments);
    return result;
}

TEST("daemon_execv does the same")
{
    int status = UNTOUCHED;
    set_up();
    CHECK_CALL(call_execv("/proc", &status, "/bin/sh", "sh", "-c", "pwd; echo $0 $1 $2 $3 $4 $5; exit 5", "0", "1", "2", "3", "4", "5",
                          (char *)NULL),
               "0");
    client("/proc");
    client("0 1 2 3 4 5");
    CHECK_INT(status, 5);
}

/* --- what the child finds ------------------------------------------------------------------------------------------- */

static void handle(int signum)
{
    (void)signum;
}

PROGRAM(child_of_exec)
{
    int fds[3];
    for (int i = 0; i < 3; i++)
        fds[i] = fcntl(i, F_GETFL) & O_ACCMODE;
    say("%s", own_descriptors());
    say("%s %d", link_of(getpid(), "fd/0"), fds[0] != O_WRONLY);
    say("%d %d", fds[1] != O_RDONLY, fds[2] != O_RDONLY);
    say("%d", strcmp(link_of(getpid(), "fd/1"), link_of(getpid(), "fd/2")));
    say("%s", status_of(getpid(), "Umask"));
    say("%s|%s|%s", status_of(getpid(), "SigBlk"), status_of(getpid(), "SigIgn"), status_of(getpid(), "SigCgt"));
    say("%d %d %d", (int)getsid(0), (int)getpgrp(), (int)getppid());
    say("%s", getenv("OF_CALLER"));
    return 0;
}

TEST("the child: fds 0 to 2 only, umask 022, default signals, an empty mask; session, group, environment the caller's")
{
    set_up();
    char *executable = link_of(getpid(), "exe");
    umask(0077);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, handle);
    signal(SIGHUP, SIG_IGN);
    signal(40, SIG_IGN);
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGTERM);
    sigaddset(&some, SIGUSR2);
    NEED(sigprocmask(SIG_BLOCK, &some, NULL) == 0);
    NEED(setenv("OF_CALLER", "value", 1) == 0);
    for (int fd = 20; fd < 30; fd++)
        NEED(dup2(STDIN_FILENO, fd) == fd);
    int status = UNTOUCHED;
    CHECK_CALL(daemon_exec("/", &status, executable, "child_of_exec", (char *)NULL), "0");
    CHECK_INT(status, 0);
    HEAR("0 1 2");
    HEAR("/dev/null 1");
    HEAR("1 1");
    HEAR("0");
    HEAR("0022");
    HEAR("0000000000000000|0000000000000000|0000000000000000");
    HEAR(text("%d %d %d", (int)getsid(0), (int)getpgrp(), (int)getpid()));
    HEAR("value");
    /* And the caller has what it had. */
    CHECK_INT(umask(0), 0077);
    CHECK_TEXT(disposition(SIGINT), "handled");
    CHECK_TEXT(disposition(SIGPIPE), "ignored");
    CHECK_TEXT(blocked(), text("%d %d", SIGUSR2, SIGTERM));
}

PROGRAM(caller_of_exec)
{
    set_up();
    for (int i = 0; i < 5; i++)
        NEED(run("exit 0") == 0);
    daemon_signal_done();
    /* One is the socket that is the log. */
    say("%s", own_descriptors());
    return 0;
}

TEST("no descriptor is left of it in the caller")
{
    need_root();
    CHECK_INT(START(NULL, "caller_of_exec").code, 0);
    HEAR("0 1 2 3");
}

static void close_streams(void)
{
    for (int stream = 0; stream < 3; stream++)
        close(stream);
}

PROGRAM(bare_caller)
{
    daemon_log_use = (enum daemon_log_flags)0;
    int status = UNTOUCHED;
    NEED(daemon_signal_init(SIGCHLD, 0) == 0);
    char *result = RESULT(daemon_exec("/", &status, "/bin/sh", "sh", "-c", "read a; echo $a; exit 7", (char *)NULL));
    say("%s %d", result, status);
    return 0;
}

TEST("from a caller whose descriptors 0 to 2 are closed")
{
    CHECK_INT(START(close_streams, "bare_caller").code, 0);
    HEAR("0 7");
}

/* --- meanwhile ------------------------------------------------------------------------------------------------------ */

TEST("a child that closes its output is waited for")
{
    set_up();
    CHECK_INT(run("exec >&- 2>&-; sleep 0.1; exit 6"), 6);
}

TEST("a child that stops is waited for")
{
    set_up();
    CHECK_INT(run("(sleep 0.1; kill -CONT $$) & kill -STOP $$; exit 8"), 8);
}

TEST("output that somebody else still writes when the child has ended is waited for, and logged")
{
    set_up();
    CHECK_INT(run("(sleep 0.2; echo late) & echo soon; exit 2"), 2);
    client("soon");
    client("late");
}

TEST("other children of the caller end meanwhile: they stay to be waited for, and the run goes on")
{
    set_up();
    pid_t other = fork();
    if (other == 0)
        _exit(3);
    CHECK_INT(run("echo one; sleep 0.1; echo two; exit 4"), 4);
    client("one");
    client("two");
    CHECK_INT(ended(other).code, 3);
}

TEST("with other signals than SIGCHLD installed it works too")
{
    own_system();
    daemon_log_use = DAEMON_LOG_SYSLOG;
    daemon_log_ident = "me";
    NEED(daemon_signal_init(SIGUSR1, 0) == 0);
    CHECK_INT(run("echo line; exit 3"), 3);
    client("line");
}

TEST("signals that come after it are there")
{
    set_up();
    CHECK_INT(run("exit 0"), 0);
    while (daemon_signal_next() == SIGCHLD)
        continue;
    raise(SIGUSR1);
    CHECK_INT(daemon_signal_next(), SIGUSR1);
    CHECK_INT(run("exit 5"), 5);
}
