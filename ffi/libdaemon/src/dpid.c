/* The data objects of dpid.h, and the function that one of them points to. In C, so that a program that is linked at a fixed
 * address finds the same object and the same function as the library does.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "visible.h"

#include <limits.h>
#include <stdio.h>

const char *daemon_pid_file_ident = NULL;
daemon_pid_file_proc_t daemon_pid_file_proc = daemon_pid_file_proc_default;

const char *daemon_pid_file_proc_default(void)
{
    static char path[PATH_MAX + 1];

    /* What is cut off here is too long for the kernel as well. */
    snprintf(path, sizeof path, "/var/run/%s.pid", daemon_pid_file_ident != NULL ? daemon_pid_file_ident : "unknown");
    return path;
}
