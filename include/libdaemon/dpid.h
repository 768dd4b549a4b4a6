/* The pid file: who runs, and how to reach it.
 *
 * The file holds one decimal PID and a newline. The daemon that has made it holds a lock on it (flock(2)) until it ends, so a
 * file that was left behind stops nobody, and a PID that the kernel has given to another process reaches no innocent. Files of
 * programs that do not lock, such as those linked with the original libdaemon, are understood: then the process must have begun
 * before the file was written.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_DPID_H
#define LIBDAEMON_DPID_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Gives the path of the pid file; it belongs to the function. NULL makes the functions below fail with EINVAL. */
typedef const char *(*daemon_pid_file_proc_t)(void);

/* What daemon_pid_file_proc_default() makes the path of. NULL, as it is at first, shows as "unknown". */
extern const char *daemon_pid_file_ident;

/* Asked for the path at each call; daemon_pid_file_proc_default() at first. A program may put its own here. */
extern daemon_pid_file_proc_t daemon_pid_file_proc;

/* "/var/run/", daemon_pid_file_ident and ".pid". The text stays until the next call. */
const char *daemon_pid_file_proc_default(void);

/* Makes the file for this process, mode 0644 whatever the umask, and locks it for as long as the process lives. It is removed
 * at the latest at exit(3). Of any number of programs that call this at once, one gets it. A file that was left behind is
 * replaced.
 *
 * 0, or -1: EEXIST when the daemon of that file runs, or when what is there is no regular file or cannot be replaced; otherwise
 * the errno of the system call: EACCES, ENOENT, ENOSPC and so on. */
int daemon_pid_file_create(void);

/* Removes the file: this process's own, that of the process that this one was forked from, or one that was left behind.
 *
 * 0, or -1: ENOENT; EPERM when it belongs to another process that runs. */
int daemon_pid_file_remove(void);

/* The PID of the daemon, or -1: ENOENT when there is no file; ESRCH when it was left behind or holds no PID, EINVAL when
 * there is no number in it at all (in both cases it is removed, as far as that is allowed); EAGAIN when a daemon is just
 * starting and has not written its PID yet; EACCES when the file cannot be read. */
pid_t daemon_pid_file_is_running(void);

/* Sends signal s to the daemon, and surely to nobody else (pidfd_send_signal(2)); 0 only checks.
 *
 * 0, or -1 with an errno of daemon_pid_file_is_running(); EINVAL for what is no signal; EPERM when this process may not, or
 * when the file's owner is neither root, nor this user, nor the daemon's. */
int daemon_pid_file_kill(int s);

#define DAEMON_PID_FILE_KILL_WAIT_AVAILABLE 1

/* The same, and waits until the daemon has ended, m seconds at the most. It comes back at that moment; a zombie has ended.
 *
 * 0, or -1: ETIME when the time passed first; otherwise as for daemon_pid_file_kill(). */
int daemon_pid_file_kill_wait(int s, int m);

#ifdef __cplusplus
}
#endif

#endif
