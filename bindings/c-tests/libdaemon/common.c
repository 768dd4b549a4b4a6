/* What the tests of <libdaemon/daemon.h> have in common. */
#define _GNU_SOURCE
#include "common.h"

#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- tests ---------------------------------------------------------------------------------------------------------- */

void settle(void)
{
    for (;;) {
        pid_t gone = waitpid(-1, NULL, WNOHANG);
        if (gone < 0)
            return;
        if (gone == 0 && !ends_within((pid_t)atoi(children_of(getpid())), 2000))
            return;
    }
}

/* --- better on purpose ---------------------------------------------------------------------------------------------- */

enum { SKIPPED = 77 };

bool is_original(void)
{
    const char *word = getenv("HARNESS_ORIGINAL");
    return word != NULL && *word != '\0';
}

/* Waits for all children that end, and kills the others. */
static void clear_away(void)
{
    for (;;) {
        pid_t gone = waitpid(-1, NULL, WNOHANG);
        if (gone < 0 && errno == ECHILD)
            return;
        if (gone == 0) {
            char *end = children_of(getpid());
            for (long child; (child = strtol(end, &end, 10)) > 0;)
                kill((pid_t)child, SIGKILL);
            waitpid(-1, NULL, 0);
        }
    }
}

/* Runs the body in a process of its own, since it ends when it fails, and its words in a file. */
static int status_of_body(void (*body)(void), const char *words)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        int out = open(words, O_WRONLY | O_CREAT | O_APPEND, 0644);
        NEED(out >= 0 && dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0);
        close(out);
        NEED(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
        body();
        _exit(0);
    }
    NEED(waitpid(child, &status, 0) == child);
    return status;
}

void better(void (*body)(void))
{
    if (!is_original()) {
        body();
        return;
    }
    char *words = path("words");
    int status = status_of_body(body, words);
    clear_away();
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        skip("%s", content(words));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        FAIL("passes on the original too: is it better?");
    char *reason = content(words);
    if (*reason != '\0' && reason[strlen(reason) - 1] == '\n')
        reason[strlen(reason) - 1] = '\0';
    if (WIFSIGNALED(status))
        reason = text("    killed by signal %d%s%s", WTERMSIG(status), *reason == '\0' ? "" : "\n", reason);
    printf("    the original, as expected:\n%.400s%s\n", reason, strlen(reason) > 400 ? "..." : "");
    fflush(stdout);
}

/* --- calls ---------------------------------------------------------------------------------------------------------- */

char *result_of(long returned)
{
    const char *name = returned >= 0 ? NULL : errno == 0 ? "0" : strerrorname_np(errno);
    return name == NULL ? text("%ld", returned) : text("%ld %s", returned, name);
}

long clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- processes ------------------------------------------------------------------------------------------------------ */

char *hear_from(const char *word)
{
    static char *kept[256];
    static size_t count;
    size_t length = strlen(word);
    for (size_t i = 0;; i++) {
        if (i == count) {
            NEED(count < sizeof kept / sizeof *kept);
            kept[count++] = hear();
        }
        if (strncmp(kept[i], word, length) == 0 && kept[i][length] == ' ') {
            char *line = kept[i] + length + 1;
            memmove(kept + i, kept + i + 1, (--count - i) * sizeof *kept);
            return line;
        }
    }
}

void hear_from_this(const char *file, int line, const char *word, const char *expected)
{
    check_text(file, line, text("what %s said", word), hear_from(word), expected);
}

bool ends_within(pid_t process, int milliseconds)
{
    int fd = watch(process);
    bool ends = fd < 0 || readable_within(fd, milliseconds);
    close(fd);
    return ends;
}

pid_t idle_child(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        for (int signum = 1; signum < NSIG; signum++)
            signal(signum, SIG_DFL);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        sleep_forever();
    }
    return child;
}

pid_t dead_pid(void)
{
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0)
        _exit(0);
    NEED(waitpid(child, NULL, 0) == child);
    return child;
}

const char *disposition(int signum)
{
    struct sigaction action;
    NEED(sigaction(signum, NULL, &action) == 0);
    return action.sa_handler == SIG_DFL ? "default" : action.sa_handler == SIG_IGN ? "ignored" : "handled";
}

char *blocked(void)
{
    sigset_t mask;
    char *all = text("%s", "");
    NEED(sigprocmask(SIG_SETMASK, NULL, &mask) == 0);
    for (int signum = 1; signum < NSIG; signum++)
        if (sigismember(&mask, signum) == 1)
            all = text("%s%s%d", all, *all == '\0' ? "" : " ", signum);
    return all;
}

void block_all_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    NEED(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
}

char *own_descriptors(void)
{
    char *all = text("%s", "");
    for (int fd = 0; fd < 1024; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            all = text("%s%s%d", all, *all == '\0' ? "" : " ", fd);
    return all;
}

void leak_descriptors(void)
{
    static const int numbers[] = {3, 4, 5, 7, 20, 100, 255, 700};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        NEED(dup2(STDIN_FILENO, numbers[i]) == numbers[i]);
}

const char *quietly(void)
{
    char *file = path("complaints");
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    NEED(fd >= 0 && dup2(fd, STDERR_FILENO) == STDERR_FILENO);
    close(fd);
    return file;
}

char *shell(const char *command)
{
    struct outcome done = START(NULL, "/bin/sh", "-c", command);
    if (done.code != 0)
        FAIL("%s\n      exits with %d: %s%s", command, done.code, done.out, done.err);
    return done.out;
}

/* --- a system of the test's own -------------------------------------------------------------------------------------- */

static const char MARK[] = "<0>Jan  1 00:00:00 this is the test";
static int log_socket = -1;
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t log_grew = PTHREAD_COND_INITIALIZER;
static char **messages;
static size_t message_count;
static size_t messages_read;

/* The socket's queue is short, and who writes to it waits: something must always be reading. */
static void *listen_to_log(void *none)
{
    static char bytes[1 << 18];
    ssize_t got;
    while ((got = recv(log_socket, bytes, sizeof bytes - 1, 0)) >= 0) {
        bytes[got] = '\0';
        pthread_mutex_lock(&log_lock);
        messages = realloc(messages, (message_count + 1) * sizeof *messages);
        messages[message_count++] = strdup(bytes);
        pthread_cond_signal(&log_grew);
        pthread_mutex_unlock(&log_lock);
    }
    return none;
}

static struct sockaddr_un log_address(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/dev/log"};
    return address;
}

static void open_log(void)
{
    struct sockaddr_un address = log_address();
    sigset_t all;
    sigset_t before;
    pthread_t listener;
    log_socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    NEED(log_socket >= 0 && bind(log_socket, (struct sockaddr *)&address, sizeof address) == 0);
    NEED(chmod("/dev/log", 0666) == 0);
    sigfillset(&all);
    NEED(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    NEED(pthread_create(&listener, NULL, listen_to_log, NULL) == 0);
    NEED(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

void own_system(void)
{
    static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};
    need_root();
    if (unshare(CLONE_NEWNS) < 0)
        skip("no mount namespace: %s", strerror(errno));
    NEED(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
    NEED(mkdir("dev", 0755) == 0);
    NEED(mount("dev", "dev", "tmpfs", 0, "mode=0755") == 0);
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        char *inside = text("dev/%s", devices[i]);
        write_file(inside, "");
        NEED(mount(text("/dev/%s", devices[i]), inside, "none", MS_BIND, NULL) == 0);
    }
    NEED(symlink("/proc/self/fd", "dev/fd") == 0);
    NEED(mount("dev", "/dev", "none", MS_MOVE, NULL) == 0);
    NEED(mount("run", "/run", "tmpfs", 0, "mode=0755") == 0);
    if (access("/var/run/.", F_OK) != 0 || strcmp(keep(realpath("/var/run", NULL)), "/run") != 0)
        NEED(mount("run", "/var/run", "tmpfs", 0, "mode=0755") == 0);
    open_log();
}

/* Without the date, which libdaemon does not choose. */
static char *without_date(char *message)
{
    char *end = strchr(message, '>');
    if (end == NULL || strlen(end) < strlen("> Jan  1 00:00:00"))
        FAIL("\"%s\" was logged", message);
    size_t length = strlen(end + 17);
    memmove(end + 1, end + 17, length + 1);
    return message;
}

static char *next_message(void)
{
    char *message = NULL;
    struct timespec end;
    int problem = 0;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 10;
    pthread_mutex_lock(&log_lock);
    while (messages_read == message_count && problem == 0)
        problem = pthread_cond_timedwait(&log_grew, &log_lock, &end);
    if (messages_read < message_count)
        message = messages[messages_read++];
    pthread_mutex_unlock(&log_lock);
    return message == NULL ? NULL : without_date(message);
}

char *logged(void)
{
    char *message = next_message();
    if (message == NULL)
        FAIL("nothing was logged");
    return message;
}

void logged_this(const char *file, int line, const char *expected)
{
    check_text(file, line, "what was logged", logged(), expected);
}

/* Messages keep their order, so where the mark has arrived, all that was sent before it has. */
bool log_is_empty(void)
{
    struct sockaddr_un address = log_address();
    NEED(sendto(log_socket, MARK, strlen(MARK), 0, (struct sockaddr *)&address, sizeof address) > 0);
    char *message = logged();
    if (strcmp(message, "<0>this is the test") == 0)
        return true;
    printf("    logged: %.300s\n", message);
    fflush(stdout);
    return false;
}
