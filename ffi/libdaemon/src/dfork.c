/* The functions of dfork.h whose arguments are a list of any length: turned into an array for dfork.rs.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "internal.h"

/* How many numbers belong to a list that begins with first, without the one that ends it. The same test ends it that the
 * functions for arrays go by. */
static int count(int first, int least, va_list ap)
{
    int number = 0;

    for (; first >= least; first = va_arg(ap, int))
        number++;
    return number;
}

static void copy(int *to, int number, int first, va_list ap)
{
    for (int i = 0; i < number; i++) {
        to[i] = first;
        first = va_arg(ap, int);
    }
    to[number] = -1;
}

/* Passes the numbers after `first`, down to `least`, to a function that takes an array. The array is no longer than what the
 * caller has put on the stack already. */
#define WITH_ARRAY(function, first, least)                                                                              \
    do {                                                                                                               \
        va_list ap;                                                                                                    \
        int number;                                                                                                    \
        va_start(ap, first);                                                                                           \
        number = count(first, least, ap);                                                                              \
        va_end(ap);                                                                                                    \
        int array[number + 1];                                                                                         \
        va_start(ap, first);                                                                                           \
        copy(array, number, first, ap);                                                                                \
        va_end(ap);                                                                                                    \
        return function(array);                                                                                        \
    } while (0)

int daemon_close_all(int except_fd, ...)
{
    WITH_ARRAY(daemon_close_allv, except_fd, 0);
}

int daemon_unblock_sigs(int except, ...)
{
    WITH_ARRAY(daemon_unblock_sigsv, except, 1);
}

int daemon_reset_sigs(int except, ...)
{
    WITH_ARRAY(daemon_reset_sigsv, except, 1);
}
