/* What a test and the programs that it starts are written with.
 *
 *     PROGRAM(greeter)                          // a program of its own, run by exec under this name
 *     {
 *         ...
 *         say("here I am: %d", (int)getpid());  // reaches the test, wherever the program's descriptors are by now
 *         sleep_forever();
 *     }
 *
 *     TEST("a greeter says where it is")
 *     {
 *         struct outcome starter = START(NULL, "greeter");
 *         CHECK_INT(starter.code, 0);
 *         ...
 *     }
 *
 * Each test is a process in an empty directory of its own and the reaper of all that it starts, so it can wait for a
 * daemon as for a child. What it leaves alive fails it. Strings that functions give back are not freed: a test is short.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef HARNESS_TEST_H
#define HARNESS_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* --- declaring ---------------------------------------------------------------------------------------------------- */

struct test {
    const char *file;
    const char *name;
    unsigned seconds;
    void (*run)(void);
    struct test *next;
};

struct program {
    const char *name;
    int (*run)(int argc, char **argv);
    struct program *next;
};

void add_test(struct test *test);
void add_program(struct program *program);

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)

/* A test that may take as long as most; it is killed then. */
#define TEST(sentence) TEST_WITHIN(20, sentence)

#define TEST_WITHIN(limit, sentence)                                                                                   \
    static void JOIN(test_, __LINE__)(void);                                                                           \
    static struct test JOIN(entry_, __LINE__) = {__FILE__, sentence, limit, JOIN(test_, __LINE__), NULL};              \
    __attribute__((constructor)) static void JOIN(add_, __LINE__)(void)                                                \
    {                                                                                                                  \
        add_test(&JOIN(entry_, __LINE__));                                                                             \
    }                                                                                                                  \
    static void JOIN(test_, __LINE__)(void)

#define PROGRAM(word)                                                                                                  \
    static int program_##word(int argc, char **argv);                                                                  \
    static struct program program_entry_##word = {#word, program_##word, NULL};                                        \
    __attribute__((constructor)) static void add_program_##word(void)                                                  \
    {                                                                                                                  \
        add_program(&program_entry_##word);                                                                            \
    }                                                                                                                  \
    static int program_##word(int argc __attribute__((unused)), char **argv __attribute__((unused)))

/* --- checking: the first failure ends the test ---------------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 3, 4))) void fail_at(const char *file, int line, const char *format, ...);
__attribute__((noreturn, format(printf, 1, 2))) void skip(const char *format, ...);

void check_int(const char *file, int line, const char *what, long long actual, long long expected);
void check_text(const char *file, int line, const char *what, const char *actual, const char *expected);
void check_part(const char *file, int line, const char *what, const char *actual, const char *part);

#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition) ((condition) ? (void)0 : FAIL("not so: %s", #condition))
#define CHECK_INT(actual, expected) check_int(__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_TEXT(actual, expected) check_text(__FILE__, __LINE__, #actual, actual, expected)
#define CHECK_HAS(actual, part) check_part(__FILE__, __LINE__, #actual, actual, part)
/* For calls that only fail when the test itself is broken; errno is shown. */
#define NEED(condition) ((condition) ? (void)0 : FAIL("%s: %m", #condition))

void need_root(void);

/* --- strings and files ---------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) char *text(const char *format, ...);
/* Remembers what is not freed before the process ends: for a leak checker a leak is what nobody remembers. Gives it back. */
void *keep(void *what);
/* The absolute path of a name in the test's own directory. */
char *path(const char *name);
bool exists(const char *file);
/* What is in a file; a file that cannot be read fails the test. */
char *content(const char *file);
void write_file(const char *file, const char *bytes);
/* The PID in a pid file, which must hold that and a newline and nothing else. */
pid_t pid_in(const char *file);

/* --- starting programs ---------------------------------------------------------------------------------------------- */

/* How a process has ended. */
struct outcome {
    int code;   /* what it exited with; -1 when it was killed */
    int signal; /* what killed it; 0 when it exited */
    char *out;  /* what it and all that shared its standard output wrote there, until it ended */
    char *err;
};

/* Runs in the new process before exec, to make the surroundings that the program is to find. NULL for none. */
typedef void surroundings(void);

/* Starts a PROGRAM, or an executable file whose path has a slash. Standard input is /dev/null. */
pid_t launch(surroundings *around, const char *const *argv);
struct outcome finish(pid_t starter);
struct outcome start(surroundings *around, const char *const *argv);
#define LAUNCH(around, ...) launch(around, (const char *const[]){__VA_ARGS__, NULL})
#define START(around, ...) start(around, (const char *const[]){__VA_ARGS__, NULL})

/* What is in the file that a launched process has for standard error, so far. */
char *errors_of(pid_t starter);
/* Becomes the program; for a test's own children. */
__attribute__((noreturn)) void become(const char *const *argv);

/* Where the build has put an executable, and what it was built with. */
char *built(const char *name);
const char *setting(const char *name);

/* --- meeting processes ---------------------------------------------------------------------------------------------- */

/* Waits until a child or an adopted process has ended. */
struct outcome ended(pid_t process);

/* Waits until all that the test has started, and the daemons of those, have ended by themselves. */
void all_end(void);
bool is_alive(pid_t process);
/* SIGTERM, which must be what ends it. */
void terminate(pid_t process);
/* SIGKILL. */
void kill_off(pid_t process);
/* A pidfd, for poll(2). */
int watch(pid_t process);
/* Waits on a descriptor; false after so many milliseconds. */
bool readable_within(int fd, int milliseconds);

/* The next line that a program has said. */
char *hear(void);
void hear_this(const char *file, int line, const char *expected);
#define HEAR(expected) hear_this(__FILE__, __LINE__, expected)
/* The next line must be a number. */
long hear_number(void);
/* Whether nothing has been said that was not heard. */
bool is_silent(void);
/* Lets a program go on that waits in await_go(). */
void go(void);

/* --- what programs say ---------------------------------------------------------------------------------------------- */

/* Says a line to the test. Needs no descriptor: the way there is a FIFO with a name. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
void await_go(void);
__attribute__((noreturn)) void sleep_forever(void);

#endif
