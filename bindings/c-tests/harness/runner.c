/* Runs the tests, one after the other, each as a process with a directory and a time limit of its own.
 *
 * The runner is the reaper of everything below it (PR_SET_CHILD_SUBREAPER): what a test leaves behind becomes the runner's
 * child when the test's process ends, wherever it had hidden in the tree. So it is found, named and killed, and nothing
 * else can be. By the name of a PROGRAM the same executable is that program.
 *
 * Arguments: words; only tests run whose file or sentence has one of them, and none that has one with a minus before it.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "harness.h"
#include "test.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { FAILED = 1, SKIPPED = 77 };

static struct test *tests;
static struct program *programs;
static char executable[PATH_MAX];
/* The signal by which a person has ended the run. */
static volatile sig_atomic_t called_off;

void add_test(struct test *test)
{
    struct test **place = &tests;
    while (*place != NULL)
        place = &(*place)->next;
    *place = test;
}

void add_program(struct program *program)
{
    program->next = programs;
    programs = program;
}

const char *own_executable(void)
{
    return executable;
}

static void call_off(int signum)
{
    called_off = signum;
}

static void handle_ends(void (*handler)(int))
{
    static const int ends[] = {SIGHUP, SIGINT, SIGTERM};
    /* Without SA_RESTART: whatever waits stops waiting. */
    struct sigaction action = {.sa_handler = handler};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigaction(ends[i], &action, NULL);
}

/* --- a test's process ----------------------------------------------------------------------------------------------- */

__attribute__((noreturn)) static void be_test(const struct test *test, const char *directory)
{
    NEED(chdir(directory) == 0);
    NEED(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    handle_ends(SIG_DFL);
    open_conversation();
    test->run();
    _exit(0);
}

/* --- what is left of it --------------------------------------------------------------------------------------------- */

static long parent_of(const char *pid)
{
    char line[512];
    long parent = -1;
    FILE *file = fopen(text("/proc/%s/stat", pid), "re");
    if (file == NULL)
        return -1;
    char *rest = fgets(line, sizeof line, file) == NULL ? NULL : strrchr(line, ')');
    if (rest == NULL || sscanf(rest + 1, " %*c %ld", &parent) != 1)
        parent = -1;
    fclose(file);
    return parent;
}

static void kill_child(const char *pid, bool tell)
{
    char command[256] = "";
    FILE *file = fopen(text("/proc/%s/cmdline", pid), "re");
    if (file != NULL) {
        size_t length = fread(command, 1, sizeof command - 1, file);
        for (size_t i = 0; i + 1 < length; i++)
            if (command[i] == '\0')
                command[i] = ' ';
        fclose(file);
    }
    if (tell)
        printf("    left alive: PID %s (%s)\n", pid, command);
    /* It is our child, so the number is its own until we wait for it. */
    kill((pid_t)atoi(pid), SIGKILL);
}

static void kill_children(bool tell)
{
    DIR *directory = opendir("/proc");
    if (directory == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' && parent_of(entry->d_name) == getpid())
            kill_child(entry->d_name, tell);
    closedir(directory);
}

/* Takes the bodies away; false when there are living children. */
static bool bury(void)
{
    pid_t gone;
    do
        gone = waitpid(-1, NULL, WNOHANG);
    while (gone > 0);
    return gone < 0;
}

/* Ends all that a test has left; false when there was anything. */
static bool clear_away(bool tell)
{
    bool clean = bury();
    if (clean)
        return true;
    kill_children(tell);
    /* Children of the killed are ours only after that. */
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        kill_children(tell);
    return false;
}

static int remove_one(const char *name, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(name);
}

/* --- one after the other -------------------------------------------------------------------------------------------- */

static int wait_for(pid_t test, unsigned seconds)
{
    int status;
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, test, 0), .events = POLLIN};
    int ready;
    do
        ready = poll(&end, 1, (int)seconds * 1000);
    while (ready < 0 && errno == EINTR && !called_off);
    if (ready == 0)
        printf("    stopped after %u s\n", seconds);
    if (ready <= 0)
        kill(test, SIGKILL);
    close(end.fd);
    while (waitpid(test, &status, 0) < 0 && errno == EINTR)
        continue;
    if (WIFSIGNALED(status) && ready > 0)
        printf("    killed by signal %d\n", WTERMSIG(status));
    return ready > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : FAILED;
}

static int run(const struct test *test)
{
    char directory[] = "/tmp/c-tests.XXXXXX";
    /* Others may pass: daemons become other users. */
    if (mkdtemp(directory) == NULL || chmod(directory, 0755) < 0) {
        printf("    %s: %s\n", directory, strerror(errno));
        return FAILED;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        be_test(test, directory);
    int status = child < 0 ? FAILED : wait_for(child, test->seconds * (unsigned)slowness());
    /* What a failed test leaves is no news. */
    if (!clear_away(status == 0) && status == 0)
        status = FAILED;
    nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return status;
}

static bool has(const struct test *test, const char *word)
{
    return strstr(test->file, word) != NULL || strstr(test->name, word) != NULL;
}

/* A word behind a minus leaves tests out, whatever other words say. */
static bool wanted(const struct test *test, char **words)
{
    bool asked_for = false;
    bool found = false;
    for (; *words != NULL; words++) {
        if (**words == '-' && has(test, *words + 1))
            return false;
        asked_for |= **words != '-';
        found |= **words != '-' && has(test, *words);
    }
    return found || !asked_for;
}

static long milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int run_all(char **words)
{
    unsigned passed = 0;
    unsigned failed = 0;
    const char *file = "";
    for (struct test *test = tests; test != NULL && !called_off; test = test->next) {
        if (!wanted(test, words))
            continue;
        if (strcmp(file, test->file) != 0)
            printf("%s\n", file = test->file);
        long began = milliseconds();
        int status = run(test);
        passed += status == 0;
        failed += status != 0 && status != SKIPPED;
        const char *word = status == 0 ? "ok" : status == SKIPPED ? "skipped" : "FAILED";
        printf("  %-7s %s (%ld ms)\n", word, test->name, milliseconds() - began);
    }
    if (called_off)
        printf("called off by signal %d\n", called_off);
    printf("%u passed, %u failed\n", passed, failed);
    return called_off || failed > 0 || passed == 0;
}

/* The same for all, whoever runs make. */
static void prepare(void)
{
    static const char *const meant_for_others[] = {"NOTIFY_SOCKET", "LISTEN_PID", "LISTEN_FDS", "SYSTEMD_EXEC_PID"};
    for (size_t i = 0; i < sizeof meant_for_others / sizeof *meant_for_others; i++)
        unsetenv(meant_for_others[i]);
    for (int signum = 1; signum < 32; signum++)
        signal(signum, SIG_DFL);
    /* The C library's own two: its posix_spawn(3) (so make) starts programs with them ignored, and only the kernel takes
     * that back. */
    for (int signum = 32; signum < 34; signum++)
        syscall(SYS_rt_sigaction, signum, (const unsigned long[8]){0}, NULL, 8UL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    syscall(SYS_close_range, 3U, ~0U, 0U);
    umask(022);
    handle_ends(call_off);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    setvbuf(stdout, NULL, _IOLBF, 0);
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    const char *name = slash == NULL ? argv[0] : slash + 1;
    for (struct program *program = programs; program != NULL; program = program->next)
        if (strcmp(program->name, name) == 0)
            return program->run(argc, argv);
    if (readlink("/proc/self/exe", executable, sizeof executable - 1) < 0)
        return FAILED;
    prepare();
    return run_all(argv + 1);
}
