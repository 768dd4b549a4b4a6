/* Starting processes, meeting them, and hearing what they say. */
#define _GNU_SOURCE
#include "test.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Longer than anything takes that works, under any load; shorter than a test may take. Less of it is for those who break
 * the library on purpose and have many tests fail. */
#ifndef PATIENCE
#define PATIENCE 15000
#endif

int slowness(void)
{
    const char *said = getenv("HARNESS_SLOWNESS");
    int times = said == NULL ? 1 : atoi(said);
    return times > 0 && times <= 100 ? times : 1;
}

static const char REPORT[] = "HARNESS_REPORT";
static const char ORDERS[] = "HARNESS_ORDERS";
static int report = -1;
static int orders = -1;

/* --- FIFOs ---------------------------------------------------------------------------------------------------------- */

static int open_fifo(const char *name, const char *variable)
{
    char *file = path(name);
    NEED(mkfifo(file, 0666) == 0);
    /* For a daemon that has become somebody else. */
    NEED(chmod(file, 0666) == 0);
    NEED(setenv(variable, file, 1) == 0);
    /* For reading and writing, so it never ends and never waits for the other side. */
    int fd = open(file, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    NEED(fd >= 0);
    return fd;
}

void open_conversation(void)
{
    report = open_fifo("report", REPORT);
    orders = open_fifo("orders", ORDERS);
}

const char *report_fifo(void)
{
    return getenv(REPORT);
}

const char *orders_fifo(void)
{
    return getenv(ORDERS);
}

char *hear(void)
{
    static char heard[1 << 16];
    static size_t length;
    for (;;) {
        char *newline = memchr(heard, '\n', length);
        if (newline != NULL) {
            char *line = text("%.*s", (int)(newline - heard), heard);
            size_t used = (size_t)(newline - heard) + 1;
            length -= used;
            memmove(heard, newline + 1, length);
            return line;
        }
        if (!readable_within(report, PATIENCE * slowness()))
            FAIL("nothing was said");
        ssize_t got = read(report, heard + length, sizeof heard - length);
        NEED(got > 0);
        length += (size_t)got;
    }
}

void hear_this(const char *file, int line, const char *expected)
{
    check_text(file, line, "what was said", hear(), expected);
}

long hear_number(void)
{
    char *line = hear();
    char *end;
    long number = strtol(line, &end, 10);
    if (end == line || *end != '\0')
        FAIL("\"%s\" was said, not a number", line);
    return number;
}

bool is_silent(void)
{
    return !readable_within(report, 0);
}

void go(void)
{
    NEED(write(orders, "g", 1) == 1);
}

/* Programs end with a status that nothing else has when the conversation breaks down. */
enum { SPEECHLESS = 98 };

void say(const char *format, ...)
{
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    const char *fifo = report_fifo();
    int fd = fifo == NULL ? -1 : open(fifo, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (length < 0 || (size_t)length >= sizeof line - 1)
        _exit(SPEECHLESS);
    line[length] = '\n';
    if (write(fd, line, (size_t)length + 1) != length + 1)
        _exit(SPEECHLESS);
    close(fd);
}

void await_go(void)
{
    char order;
    const char *fifo = orders_fifo();
    int fd = fifo == NULL ? -1 : open(fifo, O_RDONLY | O_CLOEXEC);
    ssize_t got;
    do
        got = read(fd, &order, 1);
    while (got < 0 && errno == EINTR);
    if (got != 1)
        _exit(SPEECHLESS);
    close(fd);
}

void sleep_forever(void)
{
    for (;;)
        pause();
}

/* --- starting ------------------------------------------------------------------------------------------------------- */

/* The processes that were launched, for the files that have their output. */
static pid_t launched[4096];
static size_t launches;

static char *output_file(const char *stream, size_t number)
{
    return path(text(".%s.%zu", stream, number));
}

static char *output_of(const char *stream, pid_t process)
{
    for (size_t i = launches; i-- > 0;)
        if (launched[i] == process)
            return content(output_file(stream, i));
    return NULL;
}

char *errors_of(pid_t starter)
{
    return output_of("err", starter);
}

static void connect_to(int stream, const char *file, int flags)
{
    int fd = open(file, flags, 0644);
    NEED(fd >= 0);
    if (fd != stream) {
        NEED(dup2(fd, stream) == stream);
        close(fd);
    }
}

/* Below valgrind a program is called by its file, whatever its first argument: so there is a link for each. */
static const char *executable_of(const char *program)
{
    const char *links = getenv("HARNESS_PROGRAMS");
    if (strchr(program, '/') != NULL)
        return program;
    return links == NULL ? own_executable() : text("%s/%s", links, program);
}

void become(const char *const *argv)
{
    const char *file = executable_of(argv[0]);
    execv(file, (char *const *)argv);
    FAIL("%s: %m", file);
}

pid_t launch(surroundings *around, const char *const *argv)
{
    char *out = output_file("out", launches);
    char *err = output_file("err", launches);
    NEED(launches < sizeof launched / sizeof *launched);
    pid_t child = fork();
    NEED(child >= 0);
    if (child == 0) {
        connect_to(STDIN_FILENO, "/dev/null", O_RDONLY);
        /* O_APPEND: a test may empty the file meanwhile. */
        int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;
        connect_to(STDOUT_FILENO, out, flags);
        connect_to(STDERR_FILENO, err, flags);
        if (around != NULL)
            around();
        become(argv);
    }
    launched[launches++] = child;
    return child;
}

struct outcome finish(pid_t starter)
{
    struct outcome outcome = ended(starter);
    outcome.out = output_of("out", starter);
    outcome.err = output_of("err", starter);
    return outcome;
}

struct outcome start(surroundings *around, const char *const *argv)
{
    return finish(launch(around, argv));
}

const char *setting(const char *name)
{
    const char *value = getenv(name);
    if (value == NULL)
        FAIL("%s is not set: run this by make check", name);
    return value;
}

char *built(const char *name)
{
    return text("%s/%s", setting("HARNESS_BUILD"), name);
}

/* --- meeting -------------------------------------------------------------------------------------------------------- */

int watch(pid_t process)
{
    return (int)syscall(SYS_pidfd_open, process, 0);
}

bool readable_within(int fd, int milliseconds)
{
    struct pollfd one = {.fd = fd, .events = POLLIN};
    int ready;
    do
        ready = poll(&one, 1, milliseconds);
    while (ready < 0 && errno == EINTR);
    return ready == 1;
}

struct outcome ended(pid_t process)
{
    struct outcome outcome = {.code = -1};
    int fd = watch(process);
    int status;
    if (fd < 0)
        FAIL("PID %d: %m", (int)process);
    if (!readable_within(fd, PATIENCE * slowness()))
        FAIL("PID %d does not end", (int)process);
    close(fd);
    if (waitpid(process, &status, 0) != process)
        FAIL("PID %d: %m", (int)process);
    if (WIFEXITED(status))
        outcome.code = WEXITSTATUS(status);
    else
        outcome.signal = WTERMSIG(status);
    return outcome;
}

void all_end(void)
{
    /* The test's time limit is this one's, too. */
    while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
        continue;
}

bool is_alive(pid_t process)
{
    int fd = watch(process);
    bool alive = fd >= 0 && !readable_within(fd, 0);
    close(fd);
    return alive;
}

void terminate(pid_t process)
{
    NEED(kill(process, SIGTERM) == 0);
    CHECK_INT(ended(process).signal, SIGTERM);
}

void kill_off(pid_t process)
{
    NEED(kill(process, SIGKILL) == 0);
    CHECK_INT(ended(process).signal, SIGKILL);
}
