/* Makes the calls that a script says, one a line, and reports what each returned.
 *
 *     program SCRIPT REPORT OUT ERR    or    program describe [ARGUMENT...]
 *
 * The report is shared memory, so that reporting needs no descriptor. OUT and ERR are the files that descriptors 1 and 2 were at first.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <libdaemon/daemon.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* --- the report: observe.py has the same layout ------------------------------------------------------------------------ */

enum { SLOTS = 16, NAME = 32, ROOM = 1 << 19, MILESTONES = 4, RUNNING = 1, AT_END = 2, AWAITING = 3 /* and up: which one */ };
/* What errno is before each call: no call sets it. */
enum { UNTOUCHED = EXDEV };

struct slot {
    int32_t pid, state, line, go, is_reported;
    char role[NAME];
};

struct report {
    uint32_t used, events, slots, reached[MILESTONES];
    int32_t victim, dead;
    struct slot slot[SLOTS];
    char text[ROOM];
};

static struct report *report;
static struct slot *self;
static long long began;
static const char *captured[2];

static void futex(void *word, int operation, uint32_t value)
{
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void tell(void)
{
    __atomic_add_fetch(&report->events, 1, __ATOMIC_SEQ_CST);
    futex(&report->events, FUTEX_WAKE, INT32_MAX);
}

static void enter(const char *role)
{
    self = &report->slot[__atomic_fetch_add(&report->slots, 1, __ATOMIC_SEQ_CST) % SLOTS];
    snprintf(self->role, sizeof self->role, "%s", role);
    self->line = -1;
    self->state = RUNNING;
    __atomic_store_n(&self->pid, getpid(), __ATOMIC_SEQ_CST);
    tell();
}

static void wait_for(void *word, uint32_t value, int state)
{
    self->state = state;
    tell();
    while (__atomic_load_n((uint32_t *)word, __ATOMIC_SEQ_CST) != value)
        futex(word, FUTEX_WAIT, 0);
    self->state = RUNNING;
}

static void add(const char *line)
{
    size_t length = strlen(line);
    uint32_t at = __atomic_fetch_add(&report->used, (uint32_t)length, __ATOMIC_SEQ_CST);
    if (at + length < ROOM)
        memcpy(report->text + at, line, length);
}

static long size_of(int stream)
{
    struct stat status;
    return stat(captured[stream], &status) == 0 ? (long)status.st_size : -1;
}

/* By the clock of a message's time stamp: observe.py finds the call that has logged a message. */
static long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void say(const char *call, long returned, int error, const char *detail)
{
    char line[2048];
    const char *name = error == UNTOUCHED ? "-" : error == 0 ? "0" : strerrorname_np(error);
    snprintf(line, sizeof line, "%s\t%d\t%s\t%ld\t%s\t%ld\t%ld\t%lld\t%lld\t%s\n", self->role, self->line, call, returned,
             name != NULL ? name : "?", size_of(0), size_of(1), began, now(), detail);
    add(line);
}

/* --- the script -------------------------------------------------------------------------------------------------------- */

enum { LINES = 256, WORDS = 24, LIST = 10, DEEPEST = 20 };

static char *words[LINES][WORDS];
static int line_count;

static void unescape(char *text)
{
    char *to = text;
    for (; *text != '\0'; text++)
        *to++ = *text != '\\' ? *text : *++text == 'n' ? '\n' : *text == 't' ? '\t' : *text == '0' ? '\0' : *text;
    *to = '\0';
}

static void read_script(const char *path)
{
    static char text[1 << 16];
    char *rest = text;
    char *line;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
        _exit(126);
    close(fd);
    while ((line = strsep(&rest, "\n")) != NULL && line_count < LINES) {
        int word = 0;
        char *next;
        while ((next = strsep(&line, "\t")) != NULL && word < WORDS - 1) {
            unescape(next);
            words[line_count][word++] = next;
        }
        if (*words[line_count][0] != '\0')
            line_count++;
    }
}

static const char *pid_file;

static const char *own_pid_file(void)
{
    return pid_file;
}

/* The timer interrupts a wait, whenever that begins, and is reported once. */
static volatile sig_atomic_t is_waiting, is_interrupted;

static void handler(int signum)
{
    int error = errno;
    char line[128];
    if (signum == SIGALRM && (!is_waiting || is_interrupted))
        return;
    is_interrupted = is_interrupted || signum == SIGALRM;
    snprintf(line, sizeof line, "%s\t%d\thandler\t%d\t-\t-1\t-1\t0\t0\t\n", self->role, self->line, signum);
    add(line);
    errno = error;
}

/* A number, or one of the processes. */
static int number(const char *word)
{
    return word == NULL                     ? 0
           : strcmp(word, "SELF") == 0      ? getpid()
           : strcmp(word, "PARENT") == 0    ? getppid()
           : strcmp(word, "VICTIM") == 0    ? report->victim
           : strcmp(word, "DEAD") == 0      ? report->dead
                                            : (int)strtol(word, NULL, 0);
}

static void write_words(int fd, char **word)
{
    for (; *word != NULL; word++)
        if (strcmp(*word, "SELF") == 0 || strcmp(*word, "VICTIM") == 0 || strcmp(*word, "DEAD") == 0 || strcmp(*word, "PARENT") == 0)
            dprintf(fd, "%d", number(*word));
        else
            dprintf(fd, "%s", *word);
}

static const char *shown(const char *text)
{
    static char room[1024];
    size_t at = 0;
    if (text == NULL)
        return "NULL";
    for (; *text != '\0' && at < sizeof room - 2; text++)
        room[at++] = *text == '\n' || *text == '\t' ? ' ' : *text;
    room[at] = '\0';
    return room;
}

static long exec(bool as_list, const char *dir, int *ret, const char *prog, ...)
{
    va_list ap;
    long result;
    va_start(ap, prog);
    result = as_list ? daemon_execv(dir, ret, prog, ap) : -2;
    va_end(ap);
    return result;
}

static void log_list(int prio, const char *t, ...)
{
    va_list ap;
    va_start(ap, t);
    daemon_logv(prio, t, ap);
    va_end(ap);
}

static int block_end(int line)
{
    int depth = 0;
    do {
        const char *last = words[line][0];
        if (strcmp(last, "daemon_fork") == 0 || strcmp(last, "fork") == 0)
            depth++;
        else if (strcmp(last, "}") == 0)
            depth--;
        line++;
    } while (depth > 0 && line < line_count);
    return line;
}

static void leave(char **word)
{
    const char *how = word[1];
    self->line++;
    wait_for(&self->go, 1, AT_END);
    self->line = 1000;
    if (strcmp(how, "exit") == 0)
        exit(number(word[2]));
    if (strcmp(how, "_exit") == 0)
        _exit(number(word[2]));
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "kill") == 0) {
        kill(getpid(), number(word[2]));
        /* It may be blocked, ignored or handled. */
        _exit(99);
    }
    _exit(98);
}

static void set_signal(int signum, const char *how)
{
    struct sigaction action = {0};
    action.sa_handler = strcmp(how, "ignore") == 0 ? SIG_IGN : strcmp(how, "default") == 0 ? SIG_DFL : handler;
    action.sa_flags = strcmp(how, "restart") == 0 ? SA_RESTART : 0;
    say("sigaction", sigaction(signum, &action, NULL), errno, "");
}

static void set_mask(int how, char **word)
{
    sigset_t set;
    sigemptyset(&set);
    for (; *word != NULL; word++)
        sigaddset(&set, number(*word));
    say("sigprocmask", sigprocmask(how, &set, NULL), errno, "");
}

static long wait_for_value(int timeout)
{
    static const struct itimerval none;
    long result;
    is_waiting = 1;
    result = daemon_retval_wait(timeout);
    is_waiting = 0;
    int error = errno;
    setitimer(ITIMER_REAL, &none, NULL);
    errno = error;
    return result;
}

/* One line of the script that is no fork. */
static void call(char **word)
{
    const char *name = word[0];
    int list[LIST];
    int count = 0;
    long result = 0;
    const char *detail = "";
    char text[64];

    while (word[count] != NULL)
        count++;
    for (int i = 0; i < LIST; i++)
        list[i] = i + 1 < count ? number(word[i + 1]) : -1;
    int *l = list;
    errno = UNTOUCHED;

#define IS(other) (strcmp(name, other) == 0)
#define LISTED(function) function(l[0], l[1], l[2], l[3], l[4], l[5], l[6], l[7], l[8], -1)
    if (IS("daemon_retval_init"))
        result = daemon_retval_init();
    else if (IS("daemon_retval_done"))
        daemon_retval_done();
    else if (IS("daemon_retval_wait"))
        result = wait_for_value(l[0]);
    else if (IS("daemon_retval_send"))
        result = daemon_retval_send(l[0]);
    else if (IS("daemon_close_all"))
        result = LISTED(daemon_close_all);
    else if (IS("daemon_close_allv"))
        result = daemon_close_allv(list);
    else if (IS("daemon_unblock_sigs"))
        result = LISTED(daemon_unblock_sigs);
    else if (IS("daemon_unblock_sigsv"))
        result = daemon_unblock_sigsv(list);
    else if (IS("daemon_reset_sigs"))
        result = LISTED(daemon_reset_sigs);
    else if (IS("daemon_reset_sigsv"))
        result = daemon_reset_sigsv(list);
    else if (IS("daemon_nonblock"))
        result = daemon_nonblock(l[0], l[1]);
    else if (IS("daemon_log"))
        daemon_log(l[0], "MARK %s %d %m", word[2], l[0]);
    else if (IS("daemon_log_plain"))
        daemon_log(l[0], "%s", word[2]);
    else if (IS("daemon_logv"))
        log_list(l[0], "MARK %s %d %m", word[2], l[0]);
    else if (IS("daemon_log_long")) {
        char *much = malloc((size_t)l[1] + 1);
        memset(much, 'x', (size_t)l[1]);
        much[l[1]] = '\0';
        errno = UNTOUCHED;
        daemon_log(l[0], "MARK %s", much);
        free(much);
    } else if (IS("daemon_set_verbosity"))
        daemon_set_verbosity(l[0]);
    else if (IS("daemon_log_use"))
        daemon_log_use = (enum daemon_log_flags)l[0];
    else if (IS("daemon_log_ident"))
        daemon_log_ident = word[1];
    else if (IS("daemon_ident_from_argv0"))
        detail = shown(daemon_ident_from_argv0(word[1]));
    else if (IS("daemon_pid_file_proc_default"))
        detail = shown(daemon_pid_file_proc_default());
    else if (IS("daemon_pid_file_ident"))
        daemon_pid_file_ident = word[1];
    else if (IS("daemon_pid_file_proc")) {
        pid_file = word[1];
        daemon_pid_file_proc = own_pid_file;
    } else if (IS("default_pid_file_proc"))
        daemon_pid_file_proc = daemon_pid_file_proc_default;
    else if (IS("daemon_pid_file_create"))
        result = daemon_pid_file_create();
    else if (IS("daemon_pid_file_remove"))
        result = daemon_pid_file_remove();
    else if (IS("daemon_pid_file_is_running"))
        result = daemon_pid_file_is_running();
    else if (IS("daemon_pid_file_kill"))
        result = daemon_pid_file_kill(l[0]);
    else if (IS("daemon_pid_file_kill_wait"))
        result = daemon_pid_file_kill_wait(l[0], l[1]);
    else if (IS("daemon_signal_init"))
        result = LISTED(daemon_signal_init);
    else if (IS("daemon_signal_install"))
        result = daemon_signal_install(l[0]);
    else if (IS("daemon_signal_next"))
        result = daemon_signal_next();
    else if (IS("daemon_signal_fd"))
        result = daemon_signal_fd();
    else if (IS("daemon_signal_done"))
        daemon_signal_done();
    else if (IS("daemon_exec") || IS("daemon_execv")) {
        /* The directory or "-", whether there is a place for the status, the program, its arguments. */
        int status = -77;
        int *place = l[1] ? &status : NULL;
        char *dir = strcmp(word[1], "-") == 0 ? NULL : word[1];
        char **a = word + 4;
        char *arguments[12] = {NULL};
        for (int i = 0; i < 11 && a[i] != NULL; i++)
            arguments[i] = a[i];
        char **b = arguments;
        result = IS("daemon_exec") ? daemon_exec(dir, place, word[3], b[0], b[1], b[2], b[3], b[4], b[5], b[6], NULL)
                                   : exec(true, dir, place, word[3], b[0], b[1], b[2], b[3], b[4], b[5], b[6], NULL);
        snprintf(text, sizeof text, "status %d", status);
        detail = text;
    } else if (IS("drain")) {
        /* Signals that were sent together come in an order of the kernel's. */
        static char seen[1024];
        size_t at = 0;
        int signum;
        seen[0] = '\0';
        while ((signum = daemon_signal_next()) > 0 && at < sizeof seen - 16)
            at += (size_t)snprintf(seen + at, sizeof seen - at, "%d ", signum);
        result = signum;
        detail = seen;
    } else if (IS("poll")) {
        struct pollfd fd = {.fd = daemon_signal_fd(), .events = POLLIN};
        result = poll(&fd, 1, 0);
    } else if (IS("open"))
        result = open(word[1], (int)strtol(word[2], NULL, 0), 0666);
    else if (IS("close"))
        result = close(l[0]);
    else if (IS("dup2"))
        result = dup2(l[0], l[1]);
    else if (IS("pipe")) {
        int ends[2] = {-1, -1};
        result = pipe(ends);
        snprintf(text, sizeof text, "%d %d", ends[0], ends[1]);
        detail = text;
    } else if (IS("sigaction")) {
        set_signal(l[0], word[2]);
        return;
    } else if (IS("block") || IS("unblock")) {
        set_mask(IS("block") ? SIG_BLOCK : SIG_UNBLOCK, word + 1);
        return;
    } else if (IS("raise"))
        result = kill(getpid(), l[0]);
    else if (IS("timer")) {
        struct itimerval timer = {.it_interval = {.tv_usec = 1000 * l[0]}, .it_value = {.tv_usec = 1000 * l[0]}};
        result = setitimer(ITIMER_REAL, &timer, NULL);
    } else if (IS("chdir"))
        result = chdir(word[1]);
    else if (IS("umask"))
        result = (long)umask((mode_t)l[0]);
    else if (IS("setsid"))
        result = setsid() < 0 ? -1 : 0;
    else if (IS("setpgid"))
        result = setpgid(0, 0);
    else if (IS("nofile")) {
        struct rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur = (rlim_t)l[0];
        result = setrlimit(RLIMIT_NOFILE, &limit);
    } else if (IS("write")) {
        int fd = open(word[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
        result = fd < 0 ? -1 : 0;
        if (fd >= 0) {
            write_words(fd, word + 2);
            close(fd);
        }
    } else if (IS("chmod"))
        result = chmod(word[1], (mode_t)l[1]);
    else if (IS("unlink"))
        result = unlink(word[1]);
    else if (IS("rename"))
        result = rename(word[1], word[2]);
    else if (IS("nobody"))
        result = setgroups(0, NULL) < 0 || setgid(65534) < 0 ? -1 : setuid(65534);
    else if (IS("print"))
        result = printf("MARK %s\n", word[1]);
    else if (IS("flush"))
        result = fflush(stdout);
    else if (IS("await") || IS("reach")) {
        if (IS("await"))
            wait_for(&report->reached[l[0]], 1, AWAITING + l[0]);
        /* Before another process goes on, and writes. */
        say(name, 0, UNTOUCHED, "");
        /* Where it is when another process kills it is nobody's fault. */
        self->line = 1000;
        report->reached[l[0]] = 1;
        futex(&report->reached[l[0]], FUTEX_WAKE, INT32_MAX);
        return;
    } else if (IS("wait child"))
        result = waitpid(-1, NULL, WNOHANG) > 0;
    else
        abort();
    say(name, result, errno, detail);
}

/* A child that ends before it has reported is no difference between libraries. */
static void wait_until_entered(pid_t pid)
{
    struct timespec moment = {.tv_nsec = 1000000};
    for (int tries = 0; pid > 0 && tries < 2000; tries++) {
        for (int i = 0; i < SLOTS; i++)
            if (__atomic_load_n(&report->slot[i].pid, __ATOMIC_SEQ_CST) == pid) {
                __atomic_store_n(&report->slot[i].is_reported, 1, __ATOMIC_SEQ_CST);
                return;
            }
        nanosleep(&moment, NULL);
    }
}

/* The same the other way round: one that its child kills has reported before. */
static void wait_until_reported(void)
{
    struct timespec moment = {.tv_nsec = 1000000};
    for (int tries = 0; !__atomic_load_n(&self->is_reported, __ATOMIC_SEQ_CST) && tries < 2000; tries++)
        nanosleep(&moment, NULL);
}

static void run(int line, const char *role)
{
    int children = 0;
    int index = 0;
    if (strlen(role) > DEEPEST)
        _exit(96);
    for (; line < line_count; index++) {
        char **word = words[line];
        const char *name = word[0];
        self->line = index;
        began = now();
        if (strcmp(name, "end") == 0)
            leave(word);
        if (strcmp(name, "daemon_fork") != 0 && strcmp(name, "fork") != 0) {
            call(word);
            line++;
            continue;
        }
        char child[NAME];
        snprintf(child, sizeof child, "%.24s.%c%d", role, *name == 'd' ? 'd' : 'c', children++);
        errno = UNTOUCHED;
        pid_t pid = *name == 'd' ? daemon_fork() : fork();
        if (pid == 0) {
            int error = errno;
            enter(child);
            say(name, 0, error, "");
            wait_until_reported();
            run(line + 1, child);
            _exit(97);
        }
        say(name, pid, errno, "");
        wait_until_entered(pid);
        line = block_end(line);
    }
}

/* --- what daemon_exec() runs -------------------------------------------------------------------------------------------- */

static int describe(int count, char **argument)
{
    char buffer[4096];
    sigset_t mask;
    DIR *fds = opendir("/proc/self/fd");
    mode_t mode = umask(0);
    printf("umask %o\n", (unsigned)mode);
    printf("directory %s\n", getcwd(buffer, sizeof buffer) != NULL ? buffer : "none");
    for (int i = 0; i < count; i++)
        printf("argument %s\n", argument[i]);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    for (int signum = 1; signum < NSIG; signum++) {
        struct sigaction action;
        if (sigismember(&mask, signum) == 1)
            printf("blocked %d\n", signum);
        if (sigaction(signum, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            printf("ignored %d\n", signum);
    }
    for (struct dirent *entry; fds != NULL && (entry = readdir(fds)) != NULL;)
        if (*entry->d_name != '.' && atoi(entry->d_name) != dirfd(fds))
            printf("descriptor %s %d\n", entry->d_name, fcntl(atoi(entry->d_name), F_GETFL) & (O_ACCMODE | O_NONBLOCK));
    printf("session %s group %s\n", getsid(0) == getpid() ? "own" : "inherited", getpgid(0) == getpid() ? "own" : "inherited");
    fflush(stdout);
    fprintf(stderr, "on standard error\n");
    return 3;
}

int main(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "describe") == 0)
        return describe(argc, argv);
    if (argc != 5)
        return 2;
    int fd = open(argv[2], O_RDWR | O_CLOEXEC);
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd < 0 || report == MAP_FAILED)
        return 125;
    close(fd);
    captured[0] = argv[3];
    captured[1] = argv[4];
    read_script(argv[1]);
    enter("main");
    run(0, "main");
    return 97;
}
