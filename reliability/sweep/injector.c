/* Runs a start, writes down its system calls, and disturbs it at one of them.
 *
 *     injector [-r ROLE -n NUMBER -k NTH (-e ERRNO | -K | -s SIGNAL | -z MS | -d MS)] [-b] [-p ROLE] [-t MS] [-q MS]
 *              LOG PROGRAM [ARGUMENT ...]
 *
 * What strace's inject does, but for one process of several: strace counts calls in every process it follows, so "the third
 * close" is hit in all that get so far, and in the dynamic linker first. Here calls are counted from where the program says
 * that its start begins (SIGURG to itself, which it does not get) and for each process on its own. Where a process has come to
 * the end of its start it says so too (it closes MARK), and is let go.
 *
 * A ROLE is a process's place in the tree: "0" the starter, "0.0" its first child, "0.0.0" that one's first.
 *
 * -e  the call is not made and fails with this number. close(2) is made: on Linux the descriptor is gone whatever it says.
 * -K  SIGKILL at the call's entry: it is not made. Right after a call is right before the next.
 * -s  this signal to the starter at the call's entry, whichever process makes the call.
 * -z  SIGSTOP at the call's entry, and SIGCONT so many milliseconds later.
 * -d  the call is made so many milliseconds later.
 * -b  the start begins when the program is executed: for one that does not say so itself.
 * -p  this process is let go at its first poll(2): it has nothing more to do.
 * -t  how long all of it may take. What is left then is let go and lives on.
 * -q  the same, from the end of the starter on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <linux/ptrace.h>
#include <time.h>
#include <unistd.h>

#ifndef __x86_64__
#error "how a call's number and result are set is written for x86_64 only"
#endif

enum { MARK = 0x53574545, MOST = 64, NUMBERS = 512 };

struct tracee {
    pid_t pid;
    char role[32];
    int children;
    int tracing; /* the start has begun */
    int in_call;
    int asking;  /* brk(2) under way with another argument than its own */
    int failing; /* the errno that the call under way is to give */
    long number;
    unsigned long long arguments[6];
    char text[96];
    unsigned short seen[NUMBERS];
};

static struct tracee tracees[MOST];
static pid_t parked[MOST]; /* children that have stopped before their parent said whose they are */
static FILE *logfile;
static const char *role = "";
static const char *poller = "";
static long number = -1;
static int nth, error, killing, signalling, stopping, delaying, from_execution, quiet;
static struct timespec begun;
static volatile sig_atomic_t timer;
/* Milliseconds since `begun`: when to stop watching, and when the process that is stopped or delayed goes on. */
static double limit, resumption;
static struct tracee *paused;

static void timer_fired(int signum)
{
    (void)signum;
    timer = 1;
}

static double elapsed(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun.tv_sec) * 1e3 + (double)(now.tv_nsec - begun.tv_nsec) / 1e6;
}

static struct tracee *find(pid_t pid)
{
    for (int i = 0; i < MOST; i++)
        if (tracees[i].pid == pid)
            return &tracees[i];
    return NULL;
}

static struct tracee *find_role(const char *wanted)
{
    for (int i = 0; i < MOST; i++)
        if (tracees[i].pid != 0 && strcmp(tracees[i].role, wanted) == 0)
            return &tracees[i];
    return NULL;
}

static struct tracee *enter(pid_t pid, struct tracee *parent)
{
    struct tracee *new = find(0);
    if (new == NULL)
        exit(99);
    memset(new, 0, sizeof *new);
    new->pid = pid;
    if (parent == NULL)
        strcpy(new->role, "0");
    else {
        snprintf(new->role, sizeof new->role, "%.24s.%d", parent->role, parent->children++);
        new->tracing = parent->tracing;
    }
    fprintf(logfile, "process %s %d %.3f\n", new->role, (int)pid, elapsed());
    return new;
}

/* The path or name that a call is about, for people and for the table of steps. */
static void read_text(struct tracee *it)
{
    int at, skip = 0;
    it->text[0] = '\0';
    switch (it->number) {
    case SYS_openat: case SYS_newfstatat: case SYS_unlinkat: case SYS_statx: case SYS_readlinkat: case SYS_faccessat:
        at = 1;
        break;
    case SYS_open: case SYS_stat: case SYS_lstat: case SYS_unlink: case SYS_chdir: case SYS_chroot: case SYS_access:
    case SYS_readlink: case SYS_link: case SYS_symlink: case SYS_rename: case SYS_chmod: case SYS_mkdir: case SYS_rmdir:
        at = 0;
        break;
    case SYS_connect: /* a struct sockaddr_un: the family, then the path */
        at = 1;
        skip = 2;
        break;
    default:
        return;
    }
    struct iovec here = { it->text, sizeof it->text - 1 };
    struct iovec there = { (void *)(uintptr_t)(it->arguments[at] + (unsigned)skip), sizeof it->text - 1 };
    ssize_t got = -1;
    /* A string near the end of a page. */
    for (; there.iov_len > 0 && got < 0; there.iov_len /= 2)
        got = process_vm_readv(it->pid, &here, 1, &there, 1, 0);
    it->text[got < 0 ? 0 : got] = '\0';
    it->text[strcspn(it->text, "\n\r\t ")] = '\0';
}

static void read_ends(struct tracee *it)
{
    int ends[2] = { -1, -1 };
    struct iovec here = { ends, sizeof ends };
    struct iovec there = { (void *)(uintptr_t)it->arguments[0], sizeof ends };
    if (process_vm_readv(it->pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof ends)
        snprintf(it->text, sizeof it->text, "%d,%d", ends[0], ends[1]);
}

static void write_call(const struct tracee *it, const char *result)
{
    fprintf(logfile, "call %s %ld %d %llx %llx %llx %s %s\n", it->role, it->number, it->seen[it->number], it->arguments[0],
            it->arguments[1], it->arguments[2], *it->text ? it->text : "-", result);
}

static void arm(void)
{
    double next = paused && resumption < limit ? resumption : limit;
    long microseconds = (long)((next - elapsed()) * 1e3);
    if (microseconds < 1)
        microseconds = 1;
    /* Again and again: one that fires right before waitpid(2) interrupts nothing. */
    struct itimerval value = { .it_value = { microseconds / 1000000, microseconds % 1000000 }, .it_interval = { 0, 5000 } };
    setitimer(ITIMER_REAL, &value, NULL);
}

static void disturb(struct tracee *it)
{
    struct tracee *starter = find_role("0");
    if (signalling) {
        if (starter != NULL)
            kill(starter->pid, signalling);
        return;
    }
    if (stopping)
        kill(it->pid, SIGSTOP);
    paused = it;
    resumption = elapsed() + (stopping ? stopping : delaying);
    arm();
}

/* Whether the process goes on being watched. */
static int at_entry(struct tracee *it, const struct ptrace_syscall_info *info)
{
    it->in_call = 1;
    it->number = (long)info->entry.nr;
    for (int i = 0; i < 6; i++)
        it->arguments[i] = info->entry.args[i];
    if (it->number < 0 || it->number >= NUMBERS)
        return 1;
    if (it->number == SYS_close && (int)it->arguments[0] == MARK)
        return 0;
    it->seen[it->number]++;
    read_text(it);
    int is_exit = it->number == SYS_exit_group || it->number == SYS_exit;
    if (strcmp(it->role, role) == 0 && it->number == number && it->seen[number] == nth) {
        fprintf(logfile, "hit %.3f\n", elapsed());
        if (killing) {
            write_call(it, "killed");
            kill(it->pid, SIGKILL);
            return 1;
        }
        if (signalling || stopping || delaying) {
            disturb(it);
            if (is_exit)
                write_call(it, "?");
            return 1;
        }
        it->failing = error;
        if (number == SYS_brk) {
            /* The kernel does not say that it failed, but where the end still is. */
            it->failing = 0;
            it->asking = 1;
            ptrace(PTRACE_POKEUSER, it->pid, offsetof(struct user_regs_struct, rdi), 0L);
        } else if (number != SYS_close)
            ptrace(PTRACE_POKEUSER, it->pid, offsetof(struct user_regs_struct, orig_rax), -1L);
    }
    if (is_exit)
        write_call(it, "?");
    return !(it->number == SYS_poll && !it->failing && strcmp(it->role, poller) == 0);
}

static void at_exit(struct tracee *it, const struct ptrace_syscall_info *info)
{
    char result[32];
    it->in_call = 0;
    if (it->number < 0 || it->number >= NUMBERS)
        return;
    long long value = info->exit.rval;
    if (it->failing) {
        value = -it->failing;
        ptrace(PTRACE_POKEUSER, it->pid, offsetof(struct user_regs_struct, rax), (long)value);
        it->failing = 0;
    }
    if (it->asking) {
        ptrace(PTRACE_POKEUSER, it->pid, offsetof(struct user_regs_struct, rdi), (long)it->arguments[0]);
        it->asking = 0;
    }
    if (it->number == SYS_pipe2 && value == 0)
        read_ends(it);
    snprintf(result, sizeof result, "%lld", value);
    write_call(it, result);
}

static void let_go(struct tracee *it)
{
    if (it->number == SYS_poll && it->in_call)
        write_call(it, "?");
    fprintf(logfile, "free %s %.3f\n", it->role, elapsed());
    ptrace(PTRACE_DETACH, it->pid, 0, 0L);
    it->pid = 0;
}

static void go_on(const struct tracee *it, int signum)
{
    if (it == paused && delaying)
        return;
    ptrace(it->tracing ? PTRACE_SYSCALL : PTRACE_CONT, it->pid, 0, (long)signum);
}

static void at_call(struct tracee *it)
{
    struct ptrace_syscall_info info;
    memset(&info, 0, sizeof info);
    if (ptrace(PTRACE_GET_SYSCALL_INFO, it->pid, sizeof info, &info) <= 0)
        return;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && !at_entry(it, &info)) {
        let_go(it);
        return;
    }
    if (info.op == PTRACE_SYSCALL_INFO_EXIT)
        at_exit(it, &info);
    go_on(it, 0);
}

static void at_fork(struct tracee *it)
{
    unsigned long message = 0;
    ptrace(PTRACE_GETEVENTMSG, it->pid, 0, &message);
    struct tracee *child = enter((pid_t)message, it);
    for (int i = 0; i < MOST; i++)
        if (parked[i] == child->pid) {
            parked[i] = 0;
            go_on(child, 0);
        }
    go_on(it, 0);
}

static void park(pid_t pid)
{
    for (int i = 0; i < MOST; i++)
        if (parked[i] == 0) {
            parked[i] = pid;
            return;
        }
    exit(98);
}

/* What was stopped or delayed goes on. */
static void resume(void)
{
    struct tracee *it = paused;
    paused = NULL;
    if (stopping)
        kill(it->pid, SIGCONT);
    else
        go_on(it, 0);
}

static void at_stop(pid_t pid, int status)
{
    struct tracee *it = find(pid);
    int signum = WSTOPSIG(status), event = status >> 16;
    if (it == NULL)
        park(pid);
    else if (signum == (SIGTRAP | 0x80))
        at_call(it);
    else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE)
        at_fork(it);
    else if (event == PTRACE_EVENT_STOP && (signum == SIGSTOP || signum == SIGTSTP || signum == SIGTTIN || signum == SIGTTOU))
        ptrace(PTRACE_LISTEN, pid, 0, 0L);
    else if (event != 0)
        go_on(it, 0);
    else if (signum == SIGURG && !it->tracing) {
        it->tracing = 1;
        double before = elapsed();
        clock_gettime(CLOCK_MONOTONIC, &begun);
        limit -= before;
        fprintf(logfile, "begin\n");
        go_on(it, 0);
    } else
        go_on(it, signum);
}

static void set_limit(int milliseconds)
{
    limit = elapsed() + milliseconds;
    arm();
}

static void at_end(pid_t pid, int status)
{
    struct tracee *it = find(pid);
    if (it == NULL)
        return;
    fprintf(logfile, "end %s %d %.3f\n", it->role, WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), elapsed());
    if (quiet && strcmp(it->role, "0") == 0)
        set_limit(quiet);
    if (it == paused)
        paused = NULL;
    it->pid = 0;
}

/* What a start does about signals depends on what it inherits: from nohup(1), say. */
static void defaults(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    for (int signum = 1; signum <= SIGRTMAX; signum++)
        signal(signum, SIG_DFL);
}

static pid_t launch(char **command)
{
    int ready[2];
    char byte;
    if (pipe2(ready, O_CLOEXEC) < 0)
        exit(97);
    pid_t pid = fork();
    if (pid == 0) {
        close(ready[1]);
        if (read(ready[0], &byte, 1) == 1) {
            defaults();
            if (from_execution)
                raise(SIGURG);
            execv(command[0], command);
            perror(command[0]);
        }
        _exit(96);
    }
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
    if (ptrace(PTRACE_SEIZE, pid, 0, options) < 0) {
        perror("ptrace");
        exit(95);
    }
    if (write(ready[1], "x", 1) != 1)
        exit(94);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

int main(int argc, char **argv)
{
    int option, milliseconds = 8000, status;
    while ((option = getopt(argc, argv, "+r:n:k:e:Ks:z:d:bp:t:q:")) >= 0)
        switch (option) {
        case 'r': role = optarg; break;
        case 'n': number = atol(optarg); break;
        case 'k': nth = atoi(optarg); break;
        case 'e': error = atoi(optarg); break;
        case 'K': killing = 1; break;
        case 's': signalling = atoi(optarg); break;
        case 'z': stopping = atoi(optarg); break;
        case 'd': delaying = atoi(optarg); break;
        case 'b': from_execution = 1; break;
        case 'p': poller = optarg; break;
        case 't': milliseconds = atoi(optarg); break;
        case 'q': quiet = atoi(optarg); break;
        default: return 93;
        }
    if (argc - optind < 2 || (logfile = fopen(argv[optind], "we")) == NULL)
        return 93;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    enter(launch(argv + optind + 1), NULL);
    struct sigaction action = { .sa_handler = timer_fired };
    sigaction(SIGALRM, &action, NULL);
    set_limit(milliseconds);
    for (;;) {
        if (timer) {
            timer = 0;
            if (elapsed() >= limit)
                break;
            if (paused && elapsed() >= resumption)
                resume();
            arm();
        }
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR)
            continue;
        if (pid < 0)
            return fclose(logfile) == 0 ? 0 : 92;
        if (WIFSTOPPED(status))
            at_stop(pid, status);
        else
            at_end(pid, status);
    }
    fprintf(logfile, "late %.3f\n", elapsed());
    /* A stop outlives its tracer. */
    if (paused)
        resume();
    return fclose(logfile) == 0 ? 0 : 92;
}
