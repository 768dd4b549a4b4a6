/* A Linux that has not what other systems have not: preloaded, for the programs under test and not for the tests.
 *
 *     LD_PRELOAD=.../without.so SUITE
 *
 * The first process that loads it is the one that tests, and is left alone; so is what it forks and does not execute. Every program
 * that these execute finds a system without
 *
 *     close_range, pidfd_open, pidfd_send_signal, signalfd, faccessat2, openat2, statx, clone3   ENOSYS, by a seccomp filter
 *     subreapers                                                    EINVAL from prctl(2), as before Linux 3.4
 *     /proc                                                         empty, in a mount namespace of the program's own
 *     _Fork, and memory that a session leader could borrow          not found by dlsym(3)
 *
 * Elsewhere orphans have an init that buries them at once. The tests adopt daemons, and wait for them when they please: so kill(2) says
 * of a zombie that is somebody else's child that there is none.
 *
 * A program that has no right to make namespaces keeps /proc. WITHOUT=all in the environment has the first process restricted too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#define OLDEST "GLIBC_2.2.5"
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#define OLDEST "GLIBC_2.17"
#else
#error "no architecture that this is written for"
#endif

static const char MARK[] = "WITHOUT";

/* --- system calls ---------------------------------------------------------------------------------------------------- */

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ANSWER(errnum) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (errnum))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define SKIP_UNLESS(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define MISSING(call) SKIP_UNLESS(SYS_##call, 1), ANSWER(ENOSYS)

/* An argument that pidfd_open(2) does not have tells our own call from the program's. */
enum { OURS = 0x4f555253 };

static int filter_calls(void)
{
    struct sock_filter code[] = {
        LOAD(arch),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
        ALLOW,
        LOAD(nr),
        MISSING(close_range),
        SKIP_UNLESS(SYS_pidfd_open, 4),
        LOAD(args[2]),
        SKIP_UNLESS(OURS, 1),
        ALLOW,
        ANSWER(ENOSYS),
        MISSING(pidfd_send_signal),
        MISSING(signalfd4),
        MISSING(faccessat2),
        MISSING(openat2),
        MISSING(statx),
        MISSING(clone3),
        SKIP_UNLESS(SYS_prctl, 5),
        LOAD(args[0]),
        SKIP_UNLESS(PR_SET_CHILD_SUBREAPER, 1),
        ANSWER(EINVAL),
        SKIP_UNLESS(PR_GET_CHILD_SUBREAPER, 1),
        ANSWER(EINVAL),
        ALLOW,
    };
    struct sock_fprog program = {.len = sizeof code / sizeof *code, .filter = code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return 0;
    /* Who is not root may do so that gives up what execve(2) could grant. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Filters stay, and are handed on. */
static int is_filtered(void)
{
    return syscall(SYS_close_range, 1U, 0U, 0U) < 0 && errno == ENOSYS;
}

/* --- /proc ----------------------------------------------------------------------------------------------------------- */

static void hide_proc(void)
{
    if (access("/proc/self", F_OK) != 0 || unshare(CLONE_NEWNS) != 0)
        return;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        mount("none", "/proc", "tmpfs", MS_RDONLY, NULL);
}

/* --- the C library --------------------------------------------------------------------------------------------------- */

static int restricted;

static int is_missing(const char *name)
{
    return strcmp(name, "_Fork") == 0 || strcmp(name, "__libc_single_threaded") == 0;
}

__attribute__((visibility("default"))) void *dlsym(void *handle, const char *name)
{
    static void *(*original)(void *, const char *);
    if (original == NULL)
        *(void **)&original = dlvsym(RTLD_NEXT, "dlsym", OLDEST);
    return restricted && is_missing(name) ? NULL : original(handle, name);
}

static int is_zombie_of_others(pid_t pid)
{
    siginfo_t info = {0};
    int fd = (int)syscall(SYS_pidfd_open, pid, 0, OURS);
    struct pollfd end = {.fd = fd, .events = POLLIN};
    int ended = fd >= 0 && poll(&end, 1, 0) == 1;
    if (fd >= 0)
        close(fd);
    return ended && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0;
}

__attribute__((visibility("default"))) int kill(pid_t pid, int signum)
{
    int before = errno;
    if (restricted && pid > 0 && is_zombie_of_others(pid)) {
        errno = ESRCH;
        return -1;
    }
    errno = before;
    return (int)syscall(SYS_kill, pid, signum);
}

/* --------------------------------------------------------------------------------------------------------------------- */

__attribute__((constructor)) static void take_away(void)
{
    int errnum = errno;
    if (getenv(MARK) == NULL) {
        setenv(MARK, "programs", 1);
        return;
    }
    restricted = 1;
    hide_proc();
    if (!is_filtered() && filter_calls() != 0) {
        perror("without.so: seccomp");
        _exit(99);
    }
    errno = errnum;
}
