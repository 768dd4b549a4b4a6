/* What the programs of these tests do with a handle before they come to their point.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef DAEMONCTX_TESTS_HANDLE_H
#define DAEMONCTX_TESTS_HANDLE_H

#include <daemonctx.h>

/* A call that only fails when the test is broken: ends the program with 97 then. */
#define MUST(call) must(call, #call)
void must(daemonctx_status status, const char *call);

/* A handle set as a program's arguments say:
 *
 *     pid_file=PATH directory=PATH chroot=PATH umask=OCTAL user=NAME user_id=N group=NAME group_id=N groups=N no_new=N
 *     core=N detach=N keep=FD keep_all=N signal=SIGNAL:ACTION manual=N timeout=MS program=NAME threads=N
 *     ready=READINESS respawn=N monitor=PATH stop_signal=N stop_timeout=MS kill_mode=N
 *     STREAM=file:PATH STREAM=fd:N STREAM=null STREAM=inherit, where STREAM is in, out or err
 *     STREAM=log:PATH,FLAGS,MODE,USER,GROUP STREAM=syslog:PRIORITY,IDENTITY, from behind as far as they are wanted
 */
daemonctx *configured(int argc, char **argv);

/* Ends the program after a call that failed, as programs end: "refused STATUS ERRNO STEP: TEXT" on standard error, and the exit
 * status that the library advises. */
__attribute__((noreturn)) void refuse(daemonctx *ctx);

/* Opens, or ends in that way. */
void open_or_leave(daemonctx *ctx);

/* Makes a thread if the last argument is "thread", and then no leader may borrow memory. */
void with_or_without_threads(int argc, char **argv);

/* A word of `configured` for the pid file "pid" in the test's directory. */
const char *with_pid_file(void);

#endif
