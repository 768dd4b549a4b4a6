/* Descriptors that do not block.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_DNONBLOCK_H
#define LIBDAEMON_DNONBLOCK_H

#ifdef __cplusplus
extern "C" {
#endif

/* Puts O_NONBLOCK on the file that fd is open on, or, if b is 0, takes it off (fcntl(2), F_SETFL). Descriptors that share the
 * open file share the flag. Async-signal-safe.
 *
 * 0, or -1 with the errno of fcntl(2): EBADF. */
int daemon_nonblock(int fd, int b);

#ifdef __cplusplus
}
#endif

#endif
