/* <libdaemon/dpid.h> */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "common.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *file;

static const char *the_file(void)
{
    return file;
}

/* The pid file "pid" in the test's directory, and no words about it on standard error. */
static void at_home(void)
{
    file = path("pid");
    daemon_pid_file_proc = the_file;
    quietly();
}

/* --- the name ------------------------------------------------------------------------------------------------------- */

TEST("the default path is /var/run/IDENT.pid, and the program's own function takes its place")
{
    CHECK(daemon_pid_file_proc == daemon_pid_file_proc_default);
    CHECK(daemon_pid_file_ident == NULL);
    CHECK_TEXT(daemon_pid_file_proc_default(), "/var/run/unknown.pid");
    daemon_pid_file_ident = "service";
    CHECK_TEXT(daemon_pid_file_proc_default(), "/var/run/service.pid");
    CHECK_TEXT(daemon_pid_file_proc(), "/var/run/service.pid");
    daemon_pid_file_ident = "folder/other";
    CHECK_TEXT(daemon_pid_file_proc_default(), "/var/run/folder/other.pid");
    daemon_pid_file_ident = "";
    CHECK_TEXT(daemon_pid_file_proc_default(), "/var/run/.pid");
}

TEST("a long ident is not cut")
{
    daemon_pid_file_ident = text("%0300d", 7);
    CHECK_TEXT(daemon_pid_file_proc_default(), text("/var/run/%0300d.pid", 7));
}

TEST("by ident: created, found and removed in /var/run")
{
    own_system();
    daemon_pid_file_ident = "service";
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_INT(pid_in("/run/service.pid"), getpid());
    CHECK_INT(daemon_pid_file_is_running(), getpid());
    daemon_pid_file_ident = "other";
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ENOENT");
    daemon_pid_file_ident = "service";
    CHECK_CALL(daemon_pid_file_remove(), "0");
    CHECK(!exists("/run/service.pid"));
}

TEST("without an ident it is unknown.pid")
{
    own_system();
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ENOENT");
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_INT(pid_in("/run/unknown.pid"), getpid());
    CHECK_CALL(daemon_pid_file_remove(), "0");
}

static const char *no_file(void)
{
    errno = 0;
    return NULL;
}

TEST("a function that gives no name: EINVAL everywhere")
{
    daemon_pid_file_proc = no_file;
    CHECK_CALL(daemon_pid_file_is_running(), "-1 EINVAL");
    CHECK_CALL(daemon_pid_file_create(), "-1 EINVAL");
    CHECK_CALL(daemon_pid_file_kill(0), "-1 EINVAL");
    CHECK_CALL(daemon_pid_file_kill_wait(SIGTERM, 1), "-1 EINVAL");
    CHECK_CALL(daemon_pid_file_remove(), "-1 EINVAL");
}

/* --- create --------------------------------------------------------------------------------------------------------- */

TEST("create: PID and newline, mode 0644 whatever the umask, which stays as it is")
{
    static const mode_t masks[] = {0, 022, 077, 0777};
    struct stat status;
    at_home();
    for (size_t i = 0; i < sizeof masks / sizeof *masks; i++) {
        umask(masks[i]);
        CHECK_CALL(daemon_pid_file_create(), "0");
        CHECK_INT(umask(022), masks[i]);
        NEED(stat(file, &status) == 0);
        CHECK_INT(status.st_mode, S_IFREG | 0644);
        CHECK_INT(pid_in(file), getpid());
        CHECK_CALL(daemon_pid_file_remove(), "0");
        CHECK(!exists(file));
    }
}

TEST("create: EEXIST when a process that runs has one, and it stays as it is")
{
    at_home();
    pid_t other = idle_child();
    char *bytes = text("%d\n", (int)other);
    write_file(file, bytes);
    CHECK_CALL(daemon_pid_file_create(), "-1 EEXIST");
    CHECK_TEXT(content(file), bytes);
    kill_off(other);
}

TEST("create: EEXIST the second time")
{
    at_home();
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_CALL(daemon_pid_file_create(), "-1 EEXIST");
    CHECK_INT(pid_in(file), getpid());
}

TEST("create: where there is no folder, ENOENT; below a file, ENOTDIR")
{
    at_home();
    file = path("no/pid");
    CHECK_CALL(daemon_pid_file_create(), "-1 ENOENT");
    write_file("no", "");
    CHECK_CALL(daemon_pid_file_create(), "-1 ENOTDIR");
}

/* Calls of another user, to whom the folder belongs not. */
PROGRAM(nobody)
{
    at_home();
    NEED(setuid(65534) == 0);
    say("%s", RESULT(daemon_pid_file_is_running()));
    say("%s", RESULT(daemon_pid_file_kill(0)));
    say("%s", RESULT(daemon_pid_file_kill_wait(SIGTERM, 1)));
    say("%s", RESULT(daemon_pid_file_create()));
    say("%s", RESULT(daemon_pid_file_remove()));
    return 0;
}

TEST("without permission: no file to be made")
{
    need_root();
    CHECK_INT(START(NULL, "nobody").code, 0);
    HEAR("-1 ENOENT");
    HEAR("-1 ENOENT");
    HEAR("-1 ENOENT");
    HEAR("-1 EACCES");
    HEAR("-1 ENOENT");
}

TEST("without permission: another user's process runs, but cannot be signalled, nor its file removed")
{
    need_root();
    at_home();
    write_file(file, text("%d\n", (int)getpid()));
    CHECK_INT(START(NULL, "nobody").code, 0);
    HEAR(text("%d", (int)getpid()));
    HEAR("-1 EPERM");
    HEAR("-1 EPERM");
    HEAR("-1 EEXIST");
    CHECK(strncmp(hear(), "-1 ", 3) == 0);
    CHECK_INT(pid_in(file), getpid());
}

TEST("without permission: a file that cannot be read")
{
    need_root();
    at_home();
    write_file(file, text("%d\n", (int)getpid()));
    NEED(chmod(file, 0600) == 0);
    CHECK_INT(START(NULL, "nobody").code, 0);
    HEAR("-1 EACCES");
    HEAR("-1 EACCES");
    HEAR("-1 EACCES");
    CHECK(strncmp(hear(), "-1 ", 3) == 0);
    HEAR("-1 EACCES");
}

static int lines_of(const char *text)
{
    int lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n';
    return lines;
}

PROGRAM(nobody_asks)
{
    at_home();
    NEED(setuid(65534) == 0);
    say("%s", RESULT(daemon_pid_file_is_running()));
    return 0;
}

TEST("without permission: a dead process's file that stays is one message")
{
    need_root();
    at_home();
    write_file(file, text("%d\n", (int)dead_pid()));
    CHECK_INT(START(NULL, "nobody_asks").code, 0);
    HEAR("-1 ESRCH");
    CHECK_INT(lines_of(content("complaints")), 1);
}

TEST("without permission: a dead process's file is seen to be that, and stays")
{
    need_root();
    at_home();
    write_file(file, text("%d\n", (int)dead_pid()));
    CHECK_INT(START(NULL, "nobody").code, 0);
    HEAR("-1 ESRCH");
    HEAR("-1 ESRCH");
    HEAR("-1 ESRCH");
    CHECK(strncmp(hear(), "-1 ", 3) == 0);
    HEAR("-1 EACCES");
    CHECK(exists(file));
}

/* --- is it running? ------------------------------------------------------------------------------------------------- */

TEST("no file: ENOENT, and not a word")
{
    at_home();
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ENOENT");
    CHECK_CALL(daemon_pid_file_kill(SIGTERM), "-1 ENOENT");
    CHECK_CALL(daemon_pid_file_kill_wait(SIGTERM, 5), "-1 ENOENT");
    CHECK_CALL(daemon_pid_file_remove(), "-1 ENOENT");
    CHECK_TEXT(content("complaints"), "");
}

TEST("an empty name: the same")
{
    at_home();
    file = "";
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ENOENT");
    CHECK_CALL(daemon_pid_file_kill(SIGTERM), "-1 ENOENT");
    CHECK_CALL(daemon_pid_file_remove(), "-1 ENOENT");
    CHECK_TEXT(content("complaints"), "");
}

TEST("a name that is too long is an error that is logged, but not by remove")
{
    at_home();
    file = text("/%0300d", 0);
    CHECK_CALL(daemon_pid_file_remove(), "-1 ENAMETOOLONG");
    CHECK_TEXT(content("complaints"), "");
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ENAMETOOLONG");
    CHECK(strlen(content("complaints")) > 0);
}

TEST("one's own file, seen by oneself and by others")
{
    at_home();
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_INT(daemon_pid_file_is_running(), getpid());
    pid_t test = getpid();
    pid_t child = fork();
    if (child == 0)
        _exit(daemon_pid_file_is_running() == test ? 3 : 4);
    CHECK_INT(ended(child).code, 3);
    CHECK_CALL(daemon_pid_file_kill(0), "0");
}

PROGRAM(holder)
{
    at_home();
    if (daemon_fork() != 0)
        return 0;
    file = argv[1];
    NEED(daemon_pid_file_create() == 0);
    say("%d", (int)getpid());
    sleep_forever();
}

static pid_t held(void)
{
    CHECK_INT(START(NULL, "holder", file).code, 0);
    pid_t daemon = (pid_t)hear_number();
    CHECK_INT(pid_in(file), daemon);
    return daemon;
}

TEST("a daemon's file: running, and not any more when it is dead, then the file is removed")
{
    at_home();
    pid_t daemon = held();
    CHECK_INT(daemon_pid_file_is_running(), daemon);
    CHECK_INT(daemon_pid_file_is_running(), daemon);
    kill_off(daemon);
    CHECK(exists(file));
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ESRCH");
    CHECK(!exists(file));
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ENOENT");
}

PROGRAM(careless_holder)
{
    at_home();
    file = argv[1];
    NEED(daemon_pid_file_create() == 0);
    NEED(daemon_close_all(-1) == 0);
    say("%d", (int)getpid());
    await_go();
    say("%s", RESULT(daemon_pid_file_remove()));
    return 0;
}

TEST("a program that closes all descriptors afterwards is running, and removes its file")
{
    at_home();
    pid_t program = LAUNCH(NULL, "careless_holder", file);
    CHECK_INT(hear_number(), program);
    CHECK_INT(daemon_pid_file_is_running(), program);
    CHECK_CALL(daemon_pid_file_create(), "-1 EEXIST");
    CHECK_CALL(daemon_pid_file_kill(0), "0");
    go();
    HEAR("0");
    CHECK(!exists(file));
    CHECK_INT(finish(program).code, 0);
}

TEST("no descriptor is left of creating and asking")
{
    at_home();
    char *before = descriptors_of(getpid());
    for (int i = 0; i < 3; i++) {
        daemon_pid_file_is_running();
        CHECK_CALL(daemon_pid_file_create(), "0");
        daemon_pid_file_is_running();
        daemon_pid_file_kill(0);
        daemon_pid_file_kill_wait(0, -1);
        CHECK_CALL(daemon_pid_file_remove(), "0");
    }
    CHECK_TEXT(descriptors_of(getpid()), before);
}

static void is_running_with(const char *before, pid_t pid, const char *after)
{
    char *bytes = text("%s%d%s", before, (int)pid, after);
    write_file(file, bytes);
    CHECK_INT(daemon_pid_file_is_running(), pid);
    CHECK_TEXT(content(file), bytes);
}

TEST("a file by another program, which locks nothing, is as good: with newline and without, and what people write")
{
    at_home();
    pid_t other = idle_child();
    is_running_with("", other, "\n");
    is_running_with("", other, "");
    is_running_with("", other, "\r\n");
    is_running_with("  ", other, "\n");
    is_running_with("000", other, "\n");
    is_running_with("+", other, "\n");
    is_running_with("", other, "\nstarted by hand\n");
    CHECK_CALL(daemon_pid_file_kill(0), "0");
    CHECK_CALL(daemon_pid_file_kill(SIGTERM), "0");
    CHECK_INT(ended(other).signal, SIGTERM);
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ESRCH");
    CHECK(!exists(file));
}

TEST("dead PIDs: ESRCH for each call, and the file is removed")
{
    at_home();
    char *bytes = text("%d\n", (int)dead_pid());
    write_file(file, bytes);
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ESRCH");
    CHECK(!exists(file));
    write_file(file, bytes);
    CHECK_CALL(daemon_pid_file_kill(SIGTERM), "-1 ESRCH");
    CHECK(!exists(file));
    write_file(file, bytes);
    CHECK_CALL(daemon_pid_file_kill_wait(SIGTERM, 5), "-1 ESRCH");
    CHECK(!exists(file));
}

static void is_corrupt(const char *bytes)
{
    write_file(file, bytes);
    CHECK_CALL(daemon_pid_file_is_running(), "-1 EINVAL");
    CHECK(!exists(file));
    write_file(file, bytes);
    CHECK_CALL(daemon_pid_file_kill(SIGTERM), "-1 EINVAL");
    CHECK(!exists(file));
}

TEST("garbage: EINVAL, and the file is removed")
{
    at_home();
    is_corrupt("garbage\n");
    is_corrupt("12garbage\n");
    is_corrupt("0x10\n");
    is_corrupt(text("%d and more\n", (int)getpid()));
    is_corrupt("1.5\n");
    is_corrupt(text("%d \n", (int)getpid()));
}

static void is_too_large(const char *bytes, int error)
{
    write_file(file, bytes);
    CHECK_INT(daemon_pid_file_is_running(), -1);
    CHECK_INT(errno, error);
    CHECK(!exists(file));
}

TEST("numbers that no process can have: nobody runs, and the file is removed")
{
    at_home();
    is_too_large("2147483647\n", ESRCH);
    is_too_large("2147483648\n", EINVAL);
    is_too_large("4294967297\n", EINVAL);
    is_too_large("99999999999999999999999999\n", EINVAL);
}

TEST("a directory in its place: none can be had, and it stays")
{
    at_home();
    NEED(mkdir(file, 0755) == 0);
    CHECK(daemon_pid_file_is_running() < 0);
    CHECK(daemon_pid_file_create() < 0);
    CHECK(daemon_pid_file_remove() < 0);
    CHECK(exists(file));
}

TEST("create does not follow a symlink, whatever it leads to")
{
    at_home();
    NEED(symlink(path("target"), file) == 0);
    CHECK(daemon_pid_file_create() < 0);
    CHECK(!exists("target"));
    write_file("target", "bytes");
    CHECK(daemon_pid_file_create() < 0);
    CHECK_TEXT(content("target"), "bytes");
}

/* --- signals -------------------------------------------------------------------------------------------------------- */

TEST("kill sends the signal and does not wait; numbers that are no signals are EINVAL")
{
    at_home();
    pid_t daemon = held();
    CHECK_CALL(daemon_pid_file_kill(0), "0");
    CHECK_CALL(daemon_pid_file_kill(999), "-1 EINVAL");
    CHECK_CALL(daemon_pid_file_kill(SIGSTOP), "0");
    while (place_of(daemon).state != 'T')
        continue;
    CHECK_CALL(daemon_pid_file_kill(SIGUSR1), "0");
    CHECK(is_alive(daemon));
    CHECK_CALL(daemon_pid_file_kill(SIGCONT), "0");
    CHECK_INT(ended(daemon).signal, SIGUSR1);
    CHECK(exists(file));
}

PROGRAM(killer)
{
    at_home();
    file = argv[1];
    char *result = RESULT(daemon_pid_file_kill_wait(atoi(argv[2]), atoi(argv[3])));
    say("%s", result);
    return 0;
}

static pid_t kill_by(const char *signum, const char *seconds)
{
    return LAUNCH(NULL, "killer", file, signum, seconds);
}

TEST("kill_wait: 0 when the process has gone, whose file it leaves")
{
    at_home();
    pid_t daemon = held();
    pid_t killer = kill_by(text("%d", SIGTERM), "5");
    CHECK_INT(ended(daemon).signal, SIGTERM);
    HEAR("0");
    CHECK_INT(finish(killer).code, 0);
    CHECK(exists(file));
    CHECK_CALL(daemon_pid_file_is_running(), "-1 ESRCH");
}

TEST("kill_wait: a process that takes its time")
{
    at_home();
    pid_t daemon = held();
    pid_t killer = kill_by("0", "10");
    CHECK(!ends_within(killer, 150));
    kill_off(daemon);
    HEAR("0");
    CHECK_INT(finish(killer).code, 0);
}

TEST("kill_wait: ETIME when it does not go, within a second of the time, and it was signalled")
{
    at_home();
    pid_t daemon = held();
    long began = clock_now();
    CHECK_CALL(daemon_pid_file_kill_wait(0, 1), "-1 ETIME");
    long took = clock_now() - began;
    CHECK(took >= 990 && took < 2700);
    CHECK_CALL(daemon_pid_file_kill_wait(0, 0), "-1 ETIME");
    CHECK_CALL(daemon_pid_file_kill_wait(SIGSTOP, -1), "-1 ETIME");
    while (place_of(daemon).state != 'T')
        continue;
    CHECK_INT(pid_in(file), daemon);
    kill_off(daemon);
}

TEST("kill_wait: for a process that locks nothing")
{
    at_home();
    pid_t other = idle_child();
    write_file(file, text("%d\n", (int)other));
    pid_t killer = kill_by(text("%d", SIGTERM), "5");
    CHECK_INT(ended(other).signal, SIGTERM);
    HEAR("0");
    CHECK_INT(finish(killer).code, 0);
}

TEST("kill_wait: numbers that are no signals are EINVAL")
{
    at_home();
    pid_t daemon = held();
    CHECK_CALL(daemon_pid_file_kill_wait(999, 1), "-1 EINVAL");
    kill_off(daemon);
}

/* --- remove --------------------------------------------------------------------------------------------------------- */

TEST("create: without a free descriptor it is EMFILE, also where there is a file")
{
    struct rlimit limit, none;
    at_home();
    write_file(file, text("%d\n", (int)dead_pid()));
    NEED(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 3;
    NEED(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_CALL(daemon_pid_file_create(), "-1 EMFILE");
    NEED(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    NEED(unlink(file) == 0);
}

TEST("remove: one's own that has another name by now is ENOENT, and the next create works")
{
    at_home();
    const char *other = path("moved");
    CHECK_CALL(daemon_pid_file_create(), "0");
    NEED(rename(file, other) == 0);
    CHECK_CALL(daemon_pid_file_remove(), "-1 ENOENT");
    CHECK(exists(other));
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_INT(pid_in(file), getpid());
    CHECK_CALL(daemon_pid_file_remove(), "0");
    NEED(unlink(other) == 0);
}

TEST("remove: one's own, once")
{
    at_home();
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_CALL(daemon_pid_file_remove(), "0");
    CHECK(!exists(file));
    CHECK_CALL(daemon_pid_file_remove(), "-1 ENOENT");
    CHECK_CALL(daemon_pid_file_create(), "0");
    CHECK_INT(pid_in(file), getpid());
    CHECK_CALL(daemon_pid_file_remove(), "0");
}
