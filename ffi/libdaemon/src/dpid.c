/* The data objects of dpid.h, the function that one of them points to, and the call of that function. In C, so that a program that
 * is linked at a fixed address finds the same object and the same function as the library does; and so that an exception of C++
 * that the program's function throws passes no frame of Rust.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "internal.h"

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

static const char *path(void)
{
    return daemon_pid_file_proc != NULL ? daemon_pid_file_proc() : NULL;
}

int daemon_pid_file_create(void)
{
    return libdaemon_pid_file_create(path());
}

int daemon_pid_file_remove(void)
{
    return libdaemon_pid_file_remove(path());
}

pid_t daemon_pid_file_is_running(void)
{
    return libdaemon_pid_file_is_running(path());
}

int daemon_pid_file_kill(int s)
{
    return libdaemon_pid_file_kill(path(), s);
}

int daemon_pid_file_kill_wait(int s, int m)
{
    return libdaemon_pid_file_kill_wait(path(), s, m);
}
