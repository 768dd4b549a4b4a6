/* The arguments of daemon_exec(): turned into an array for dexec.rs.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "internal.h"

#include <stddef.h>

int daemon_execv(const char *dir, int *ret, const char *prog, va_list ap)
{
    va_list again;
    size_t number = 0;

    va_copy(again, ap);
    while (va_arg(again, char *) != NULL)
        number++;
    va_end(again);

    /* No longer than what the caller has put on the stack already. */
    char *argv[number + 1];
    for (size_t i = 0; i <= number; i++)
        argv[i] = va_arg(ap, char *);
    return libdaemon_run(dir, ret, prog, argv);
}

int daemon_exec(const char *dir, int *ret, const char *prog, ...)
{
    va_list ap;
    int result;

    va_start(ap, prog);
    result = daemon_execv(dir, ret, prog, ap);
    va_end(ap);
    return result;
}
