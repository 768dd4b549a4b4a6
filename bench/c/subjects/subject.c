/* A program that becomes a daemon, by the interface that it is linked with, and says that it is ready.
 *
 *     subject PID-FILE [MIB DESCRIPTORS THREADS]
 *
 * With more than the pid file: so much memory touched, so many descriptors open, so many threads besides the first, and the time is
 * read after that, right before the start. See driver.c for who listens.
 */
#define _GNU_SOURCE
#include "subject.h"

#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifdef MARKED /* for reliability/sweep/injector.c */
#include "../../../reliability/sweep/subjects/mark.h"
#else
#define START_BEGINS()
#define START_ENDS()
#endif

static void touch(size_t mib)
{
    size_t size = mib << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        err(2, "mmap");
    /* With huge pages there would be next to nothing to copy. */
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t at = 0; at < size; at += 4096)
        memory[at] = 1;
}

static void open_descriptors(int count)
{
    for (; count > 0; count--)
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
            err(2, "open");
}

static sem_t asleep;

static void *sleep_on(void *nothing)
{
    sem_post(&asleep);
    for (;;)
        pause();
    return nothing;
}

static void begin_threads(int count)
{
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    sem_init(&asleep, 0, 0);
    for (int i = 0; i < count; i++) {
        pthread_t thread;
        if (pthread_create(&thread, &small, sleep_on, NULL) != 0)
            errx(2, "pthread_create");
    }
    /* Their first steps are no part of the start. */
    for (int i = 0; i < count; i++)
        sem_wait(&asleep);
    sched_yield();
}

static long long prepare(char **sizes)
{
    struct timespec time;
    if (atoi(sizes[0]))
        touch((size_t)atoi(sizes[0]));
    open_descriptors(atoi(sizes[1]));
    begin_threads(atoi(sizes[2]));
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void say_ready(long long began)
{
    char line[64];
    const char *fifo = getenv("BENCH_FIFO");
    if (fifo == NULL)
        return;
    int length = snprintf(line, sizeof line, "%d %lld\n", (int)getpid(), began), fd = open(fifo, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, line, (size_t)length) != length)
        _exit(3);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 5)
        errx(2, "usage: subject PID-FILE [MIB DESCRIPTORS THREADS]");
    long long began = argc == 5 ? prepare(argv + 2) : 0;
    START_BEGINS();
    int error = become_daemon(argv[1]);
    if (error != 0)
        errx(1, "%s", strerror(error));
    START_ENDS();
    say_ready(began);
    for (;;)
        pause();
}
