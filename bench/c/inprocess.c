/* What libdaemon's functions cost in a program that runs, for the original library and ours.
 *
 *     inprocess WHAT COUNT FOLDER
 *
 * Prints nanoseconds for each of COUNT, of `exec` for each byte of COUNT. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <libdaemon/daemon.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static char pid_file[4096];
static const char *folder;

static const char *where(void)
{
    return pid_file;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void must(int result, const char *what)
{
    if (result < 0)
        err(2, "%s", what);
}

static double pid_files(long count)
{
    double began = now();
    for (long i = 0; i < count; i++) {
        must(daemon_pid_file_create(), "create");
        must(daemon_pid_file_remove(), "remove");
    }
    return (now() - began) / (double)count;
}

static double running(long count)
{
    must(daemon_pid_file_create(), "create");
    double began = now();
    for (long i = 0; i < count; i++)
        if (daemon_pid_file_is_running() != getpid())
            errx(2, "not running");
    double took = now() - began;
    daemon_pid_file_remove();
    return took / (double)count;
}

static void stderr_to_nothing(void)
{
    int null = open("/dev/null", O_WRONLY);
    must(dup2(null, 2), "dup2");
    close(null);
}

static double lines(long count)
{
    double began = now();
    for (long i = 0; i < count; i++)
        daemon_log(LOG_INFO, "line %ld of %ld, of the length that lines of a daemon's log have", i, count);
    return (now() - began) / (double)count;
}

static double log_stderr(long count)
{
    stderr_to_nothing();
    daemon_log_use = DAEMON_LOG_STDERR;
    return lines(count);
}

/* A /dev of this process's own, with a log that somebody reads. */
static void make_dev_log(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    char message[8192];
    must(unshare(CLONE_NEWNS), "unshare");
    must(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), "mount /");
    must(mount("none", "/dev", "tmpfs", 0, NULL), "mount /dev");
    must(mknod("/dev/null", S_IFCHR | 0666, makedev(1, 3)), "mknod");
    int server = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    must(bind(server, (struct sockaddr *)&address, sizeof address), "bind");
    pid_t reader = fork();
    must(reader, "fork");
    if (reader == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        while (read(server, message, sizeof message) > 0) {}
        _exit(0);
    }
    close(server);
}

static double log_syslog(long count)
{
    make_dev_log();
    daemon_log_use = DAEMON_LOG_SYSLOG;
    return lines(count);
}

static double signals(long count)
{
    must(daemon_signal_init(SIGUSR1, 0), "signal_init");
    double began = now();
    for (long i = 0; i < count; i++) {
        kill(getpid(), SIGUSR1);
        if (daemon_signal_next() != SIGUSR1)
            errx(2, "no signal");
    }
    return (now() - began) / (double)count;
}

static double exec(long count)
{
    char path[4096], line[81];
    int status;
    snprintf(path, sizeof path, "%s/output", folder);
    FILE *file = fopen(path, "we");
    if (file == NULL)
        err(2, "%s", path);
    memset(line, 'x', 79);
    strcpy(line + 79, "\n");
    for (long i = 0; i < count / 80; i++)
        fputs(line, file);
    fclose(file);
    stderr_to_nothing();
    daemon_log_use = DAEMON_LOG_STDERR;
    must(daemon_signal_init(SIGCHLD, 0), "signal_init");
    double began = now();
    must(daemon_exec("/", &status, "/bin/cat", "cat", path, (char *)NULL), "exec");
    double took = now() - began;
    unlink(path);
    return took / (double)count;
}

/* A process that has the pid file and ends at SIGTERM. */
static void begin_victim(void)
{
    int line[2];
    char byte;
    must(pipe(line), "pipe");
    pid_t pid = fork();
    must(pid, "fork");
    if (pid == 0) {
        must(daemon_pid_file_create(), "create");
        must((int)write(line[1], "", 1), "write");
        for (;;)
            pause();
    }
    if (read(line[0], &byte, 1) != 1)
        err(2, "read");
    close(line[0]);
    close(line[1]);
}

static double kill_wait(long count)
{
    double took = 0;
    signal(SIGCHLD, SIG_IGN); /* No zombies: the original takes one for alive. */
    for (long i = 0; i < count; i++) {
        begin_victim();
        double began = now();
        must(daemon_pid_file_kill_wait(SIGTERM, 5), "kill_wait");
        took += now() - began;
        unlink(pid_file);
    }
    return took / (double)count;
}

static double close_none(long count)
{
    daemon_close_all(-1);
    double began = now();
    for (long i = 0; i < count; i++)
        daemon_close_all(-1);
    return (now() - began) / (double)count;
}

static double close_many(long count)
{
    double took = 0;
    for (long i = 0; i < count; i++) {
        for (int fd = 0; fd < 10000; fd++)
            must(open("/dev/null", O_RDONLY), "open");
        double began = now();
        daemon_close_all(-1);
        took += now() - began;
    }
    return took / (double)count;
}

static const struct {
    const char *name;
    double (*measure)(long);
} things[] = {
    {"pid-file", pid_files}, {"running", running}, {"log-stderr", log_stderr}, {"log-syslog", log_syslog},   {"signals", signals},
    {"exec", exec},          {"kill-wait", kill_wait}, {"close-none", close_none}, {"close-10000", close_many},
};

int main(int argc, char **argv)
{
    if (argc != 4)
        errx(2, "usage: inprocess WHAT COUNT FOLDER");
    folder = argv[3];
    snprintf(pid_file, sizeof pid_file, "%s/inprocess.%d.pid", folder, (int)getpid());
    daemon_pid_file_proc = where;
    daemon_log_ident = "inprocess";
    for (size_t i = 0; i < sizeof things / sizeof *things; i++)
        if (strcmp(argv[1], things[i].name) == 0) {
            printf("%.3f\n", things[i].measure(atol(argv[2])));
            return 0;
        }
    errx(2, "no such thing: %s", argv[1]);
}
