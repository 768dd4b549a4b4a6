/* What the tests of <libdaemon/daemon.h> have in common.
 *
 * They run on the original library and on ours. Where ours is better on purpose the original must fail:
 *
 *     BETTER("a daemon that dies before it has sent a value is noticed at once")
 *
 * is a TEST on ours; on the original (make ORIGINAL=1) it passes when the body fails, and shows how.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_TESTS_COMMON_H
#define LIBDAEMON_TESTS_COMMON_H

#include "test.h"

#include <errno.h>

#include <libdaemon/daemon.h>

/* --- tests ---------------------------------------------------------------------------------------------------------- */

/* As in the harness, but daemons that are ending are waited for: most of these end as soon as they have said what they
 * have to say. */
#undef TEST
#define TEST(sentence)                                                                                                 \
    static void JOIN(body_, __LINE__)(void);                                                                           \
    TEST_WITHIN(20, sentence)                                                                                          \
    {                                                                                                                  \
        JOIN(body_, __LINE__)();                                                                                       \
        settle();                                                                                                      \
    }                                                                                                                  \
    static void JOIN(body_, __LINE__)(void)

void settle(void);

/* --- better on purpose ---------------------------------------------------------------------------------------------- */

#define BETTER(sentence)                                                                                               \
    static void JOIN(better_, __LINE__)(void);                                                                         \
    TEST(sentence)                                                                                                     \
    {                                                                                                                  \
        better(JOIN(better_, __LINE__));                                                                               \
    }                                                                                                                  \
    static void JOIN(better_, __LINE__)(void)

void better(void (*body)(void));
bool is_original(void);

/* --- calls ---------------------------------------------------------------------------------------------------------- */

/* "0", or "-1 ENOENT": what a call returned, and why when that is negative. */
#define RESULT(call) result_of((errno = 0, (long)(call)))
char *result_of(long returned);
#define CHECK_CALL(call, expected)                                                                                     \
    do {                                                                                                               \
        errno = 0;                                                                                                     \
        long returned_ = (long)(call);                                                                                 \
        check_text(__FILE__, __LINE__, #call, result_of(returned_), expected);                                         \
    } while (0)

/* Milliseconds of a clock that only goes forwards. */
long clock_now(void);

/* --- processes ------------------------------------------------------------------------------------------------------ */

/* The next line said that begins with this word and a space, without them. Others stay to be heard. */
char *hear_from(const char *word);
void hear_from_this(const char *file, int line, const char *word, const char *expected);
#define HEAR_FROM(word, expected) hear_from_this(__FILE__, __LINE__, word, expected)

/* Whether a process ends in time; it is not waited for. */
bool ends_within(pid_t process, int milliseconds);
/* A child that does nothing and dies of any signal. */
pid_t idle_child(void);
/* A PID that no process has. */
pid_t dead_pid(void);
/* What a program says of its disposition of a signal: "default", "ignored", "handled". */
const char *disposition(int signum);
/* The numbers of the signals that the caller has blocked, those of glibc left out: "1 10". */
char *blocked(void);
void block_all_signals(void);

/* The caller's open descriptors, "0 1 2"; of a program, as a test has those by which it hears. */
char *own_descriptors(void);
/* Descriptors 3, 4, 5, 7, 20, 100, 255, 700 on /dev/null; what the test has there is closed. */
void leak_descriptors(void);
/* The library's complaints are expected: standard error to a file, whose name it gives. */
const char *quietly(void);

/* A shell command, which must succeed: its output. */
char *shell(const char *command);

/* --- a system of the test's own -------------------------------------------------------------------------------------- */

/* A mount namespace with an own /dev, whose log is heard, and an own empty /run. Skips where that cannot be had. */
void own_system(void);
/* The next message at /dev/log, without the date: "<30>ident[123]: text". */
char *logged(void);
void logged_this(const char *file, int line, const char *expected);
#define LOGGED(expected) logged_this(__FILE__, __LINE__, expected)
/* Whether everything that was sent has been read by logged(). */
bool log_is_empty(void);

#endif
