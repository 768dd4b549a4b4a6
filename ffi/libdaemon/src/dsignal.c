/* The list of daemon_signal_init(), one by one for dsignal.rs.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "internal.h"

int daemon_signal_init(int s, ...)
{
    va_list ap;
    int result = libdaemon_signal_open();

    va_start(ap, s);
    for (; result == 0 && s > 0; s = va_arg(ap, int))
        result = daemon_signal_install(s);
    va_end(ap);
    return result;
}
