/* Checks, strings and files. */
#define _GNU_SOURCE
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FAILED = 1, SKIPPED = 77 };

/* By _exit: a test's process is a copy of the runner, whose affairs it must not end. */
__attribute__((noreturn)) static void leave(int status, const char *line)
{
    ssize_t written = write(STDOUT_FILENO, line, strlen(line));
    _exit(written < 0 ? FAILED : status);
}

void fail_at(const char *file, int line, const char *format, ...)
{
    char *message;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    va_end(arguments);
    leave(FAILED, text("    %s:%d: %s\n", file, line, message == NULL ? format : message));
}

void skip(const char *format, ...)
{
    char *message;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&message, format, arguments) < 0)
        message = NULL;
    va_end(arguments);
    leave(SKIPPED, text("    %s\n", message == NULL ? format : message));
}

void check_int(const char *file, int line, const char *what, long long actual, long long expected)
{
    if (actual != expected)
        fail_at(file, line, "%s is %lld, not %lld", what, actual, expected);
}

void check_text(const char *file, int line, const char *what, const char *actual, const char *expected)
{
    if (strcmp(actual, expected) != 0)
        fail_at(file, line, "%s is\n      \"%s\"\n    and not\n      \"%s\"", what, actual, expected);
}

void check_part(const char *file, int line, const char *what, const char *actual, const char *part)
{
    if (strstr(actual, part) == NULL)
        fail_at(file, line, "%s is\n      \"%s\"\n    and has no\n      \"%s\"", what, actual, part);
}

void need_root(void)
{
    if (geteuid() != 0)
        skip("needs root");
}

/* All that keep() was given; threads use it too. */
struct kept {
    void *what;
    struct kept *before;
};
static struct kept *_Atomic latest;

void *keep(void *what)
{
    struct kept *entry = malloc(sizeof *entry);
    if (entry == NULL)
        abort();
    entry->what = what;
    entry->before = atomic_exchange(&latest, entry);
    return what;
}

char *text(const char *format, ...)
{
    char *result;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&result, format, arguments);
    va_end(arguments);
    if (length < 0)
        abort();
    return keep(result);
}

char *path(const char *name)
{
    char here[PATH_MAX];
    NEED(getcwd(here, sizeof here) != NULL);
    return text("%s/%s", here, name);
}

bool exists(const char *file)
{
    struct stat status;
    return lstat(file, &status) == 0;
}

char *content(const char *file)
{
    size_t room = 1 << 16;
    size_t length = 0;
    char *bytes = malloc(room);
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || bytes == NULL)
        FAIL("%s: %m", file);
    for (;;) {
        ssize_t got = read(fd, bytes + length, room - length - 1);
        if (got < 0)
            FAIL("%s: %m", file);
        if (got == 0)
            break;
        length += (size_t)got;
    }
    close(fd);
    bytes[length] = '\0';
    return keep(bytes);
}

void write_file(const char *file, const char *bytes)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    size_t length = strlen(bytes);
    if (fd < 0 || write(fd, bytes, length) != (ssize_t)length)
        FAIL("%s: %m", file);
    close(fd);
}

pid_t pid_in(const char *file)
{
    char *bytes = content(file);
    int pid = atoi(bytes);
    CHECK_TEXT(bytes, text("%d\n", pid));
    CHECK(pid > 1);
    return pid;
}
