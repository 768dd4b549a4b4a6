/* A process as /proc shows it. */
#define _GNU_SOURCE
#include "proc.h"

#include "harness.h"
#include "test.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *file_of(pid_t process, const char *name)
{
    return content(text("/proc/%d/%s", (int)process, name));
}

struct place place_of(pid_t process)
{
    struct place place;
    char *stat = file_of(process, "stat");
    /* The command stands in brackets and may hold any character. */
    char *rest = strrchr(stat, ')');
    CHECK(rest != NULL);
    int found = sscanf(rest + 1, " %c %d %d %d %d", &place.state, &place.parent, &place.group, &place.session,
                       &place.terminal);
    CHECK_INT(found, 5);
    return place;
}

/* Runs of white space become one space, and none is left at the ends. */
static char *tidy(char *line)
{
    char *to = line;
    for (char *from = line; *from != '\0'; from++) {
        if (!isspace((unsigned char)*from))
            *to++ = *from;
        else if (to > line && to[-1] != ' ')
            *to++ = ' ';
    }
    if (to > line && to[-1] == ' ')
        to--;
    *to = '\0';
    return line;
}

/* The rest of the line that begins with `start`. */
static char *line_of(char *all, const char *start)
{
    size_t length = strlen(start);
    for (char *line = strtok(all, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (strncmp(line, start, length) == 0)
            return line + length;
    return NULL;
}

char *status_of(pid_t process, const char *name)
{
    char *value = line_of(file_of(process, "status"), text("%s:", name));
    if (value == NULL)
        FAIL("PID %d has no \"%s\" in its status", (int)process, name);
    return tidy(value);
}

uint64_t signals_of(pid_t process, const char *name)
{
    return strtoull(status_of(process, name), NULL, 16);
}

uint64_t signal_bit(int signum)
{
    return UINT64_C(1) << (signum - 1);
}

void check_signals_at(const char *file, int line, pid_t process, const char *name, uint64_t expected)
{
    uint64_t actual = signals_of(process, name);
    if (actual != expected)
        fail_at(file, line, "%s of PID %d is %#" PRIx64 ", not %#" PRIx64, name, (int)process, actual, expected);
}

char *link_of(pid_t process, const char *name)
{
    char target[PATH_MAX];
    ssize_t length = readlink(text("/proc/%d/%s", (int)process, name), target, sizeof target - 1);
    if (length < 0)
        FAIL("/proc/%d/%s: %m", (int)process, name);
    target[length] = '\0';
    return text("%s", target);
}

static int by_number(const void *a, const void *b)
{
    int left = *(const int *)a;
    int right = *(const int *)b;
    return (left > right) - (left < right);
}

static char *in_order(int *numbers, size_t count)
{
    char *all = text("%s", "");
    qsort(numbers, count, sizeof *numbers, by_number);
    for (size_t i = 0; i < count; i++)
        all = text("%s%s%d", all, i > 0 ? " " : "", numbers[i]);
    return all;
}

/* A process that speaks to the test has a FIFO open for a moment; that does not count. Nor do valgrind's own, far up. */
static bool is_conversation(pid_t process, const char *number)
{
    char target[PATH_MAX];
    const char *of_valgrind = getenv("HARNESS_VALGRIND_DESCRIPTORS");
    if (of_valgrind != NULL && atoi(number) >= atoi(of_valgrind))
        return true;
    ssize_t length = readlink(text("/proc/%d/fd/%s", (int)process, number), target, sizeof target - 1);
    target[length < 0 ? 0 : length] = '\0';
    /* Closed meanwhile is the end of such a moment too. */
    return length < 0 || strcmp(target, report_fifo()) == 0 || strcmp(target, orders_fifo()) == 0;
}

char *descriptors_of(pid_t process)
{
    int numbers[1024];
    size_t count = 0;
    DIR *directory = opendir(text("/proc/%d/fd", (int)process));
    NEED(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.' && !is_conversation(process, entry->d_name) && count < 1024)
            numbers[count++] = atoi(entry->d_name);
    closedir(directory);
    return in_order(numbers, count);
}

/* The permissions of the links below /proc/PID/fd say how the files are open (proc(5)). */
bool writes_to(pid_t process, const char *file)
{
    bool found = false;
    DIR *directory = opendir(text("/proc/%d/fd", (int)process));
    NEED(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat status;
        if (entry->d_name[0] == '.' || fstatat(dirfd(directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (status.st_mode & S_IWUSR && strcmp(link_of(process, text("fd/%s", entry->d_name)), file) == 0)
            found = true;
    }
    closedir(directory);
    return found;
}

char *limit_of(pid_t process, const char *name)
{
    char *words = line_of(file_of(process, "limits"), name);
    char soft[32];
    char hard[32];
    CHECK(words != NULL);
    CHECK_INT(sscanf(words, " %31s %31s", soft, hard), 2);
    return text("%s %s", soft, hard);
}

char *children_of(pid_t process)
{
    int numbers[1024];
    size_t count = 0;
    DIR *directory = opendir("/proc");
    NEED(directory != NULL);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        /* Others come and go meanwhile. */
        FILE *stat = fopen(text("/proc/%s/stat", entry->d_name), "re");
        char line[512];
        if (stat == NULL)
            continue;
        char *rest = fgets(line, sizeof line, stat) == NULL ? NULL : strrchr(line, ')');
        int parent;
        if (rest != NULL && sscanf(rest + 1, " %*c %d", &parent) == 1 && parent == process && count < 1024)
            numbers[count++] = atoi(entry->d_name);
        fclose(stat);
    }
    closedir(directory);
    return in_order(numbers, count);
}

char *left_behind(void)
{
    if (getenv("WITHOUT") != NULL)
        while (waitpid(-1, NULL, WNOHANG) > 0)
            ;
    return children_of(getpid());
}
