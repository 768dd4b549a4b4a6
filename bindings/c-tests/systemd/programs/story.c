#define _GNU_SOURCE
#include "story.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char **story;
static unsigned long period;
static void (*act_each_period)(void);

static const struct {
    const char *title;
    int signum;
} parts[] = {{"HUP:", SIGHUP}, {"TERM:", SIGTERM}, {"USR1:", SIGUSR1}, {"USR2:", SIGUSR2}};

enum { PARTS = sizeof parts / sizeof *parts };

void broken(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    _exit(99);
}

static int part_at(const char *word)
{
    for (int i = 0; i < PARTS; i++)
        if (strcmp(word, parts[i].title) == 0)
            return parts[i].signum;
    return 0;
}

static char **part(int signum)
{
    for (char **word = story; *word != NULL; word++)
        if (part_at(*word) == signum)
            return word + 1;
    return NULL;
}

int has_part(int signum)
{
    return part(signum) != NULL;
}

void every(unsigned long microseconds, void (*act)(void))
{
    period = microseconds;
    act_each_period = act;
}

static void tell_words(char **word);

static void leave(const char *value)
{
    exit(atoi(value));
}

static void be_killed(const char *value)
{
    raise(atoi(value));
}

static void hang(const char *value)
{
    (void)value;
    for (;;)
        pause();
}

/* Waits for the test, which waits for this, at a FIFO. */
static void meet(const char *path)
{
    char byte;
    settle();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        broken(path);
    while (read(fd, &byte, 1) > 0)
        ;
    close(fd);
}

static void say(const char *text)
{
    fprintf(stderr, "%s\n", text);
}

static long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000L + time.tv_nsec / 1000;
}

static void serve(const char *value)
{
    (void)value;
    long next = now();
    for (;;) {
        long rest = -1;
        if (period > 0) {
            rest = next - now();
            if (rest <= 0) {
                act_each_period();
                next = now() + (long)(period / 2);
                continue;
            }
        }
        int signum = next_signal(rest);
        if (signum > 0 && part(signum) != NULL)
            tell_words(part(signum));
    }
}

static const struct word common_words[] = {
    {"exit", leave}, {"kill", be_killed}, {"hang", hang}, {"meet", meet}, {"say", say}, {"serve", serve}, {NULL, NULL},
};

static const struct word *find(const struct word *words, const char *name, size_t length)
{
    for (; words->name != NULL; words++)
        if (strlen(words->name) == length && strncmp(words->name, name, length) == 0)
            return words;
    return NULL;
}

static void tell_words(char **word)
{
    for (; *word != NULL && part_at(*word) == 0; word++) {
        size_t length = strcspn(*word, "=");
        const struct word *found = find(own_words, *word, length);
        if (found == NULL)
            found = find(common_words, *word, length);
        if (found == NULL) {
            errno = EINVAL;
            broken(*word);
        }
        found->act((*word)[length] == '=' ? *word + length + 1 : "");
    }
}

void play(char **words)
{
    story = words;
    tell_words(words);
}
