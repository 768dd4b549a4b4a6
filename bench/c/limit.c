/* Preloaded: answers questions for RLIMIT_NOFILE with BENCH_NOFILE. Where the limit cannot be raised, this shows a program another. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

static rlim_t shown(void)
{
    const char *text = getenv("BENCH_NOFILE");
    return text ? (rlim_t)atol(text) : 1024;
}

int prlimit(pid_t pid, enum __rlimit_resource resource, const struct rlimit *new, struct rlimit *old)
{
    static int (*next)(pid_t, enum __rlimit_resource, const struct rlimit *, struct rlimit *);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "prlimit");
    int result = next(pid, resource, new, old);
    if (result == 0 && resource == RLIMIT_NOFILE && old != NULL)
        old->rlim_cur = old->rlim_max = shown();
    return result;
}

int getrlimit(__rlimit_resource_t resource, struct rlimit *limit)
{
    return prlimit(0, resource, NULL, limit);
}

/* On 64-bit systems the same. */
int getrlimit64(__rlimit_resource_t resource, struct rlimit64 *limit)
{
    return prlimit(0, resource, NULL, (struct rlimit *)limit);
}

int prlimit64(pid_t pid, enum __rlimit_resource resource, const struct rlimit64 *new, struct rlimit64 *old)
{
    return prlimit(pid, resource, (const struct rlimit *)new, (struct rlimit *)old);
}

long sysconf(int name)
{
    static long (*next)(int);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "sysconf");
    return name == _SC_OPEN_MAX ? (long)shown() : next(name);
}
