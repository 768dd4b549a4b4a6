/* The witness: a lock that every daemon takes in its life, beside its pid file and without this library. Two daemons at once find
 * each other there.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <sys/types.h>

/* In the folder that TRUST_DIR names; nothing happens without one. */
void witness_begin(int fd);
void witness_end(int fd);
/* Who holds it now, or 0. One that is on its way out does not count. */
pid_t witness_holder(void);
/* Each signal that this process gets is a violation from now on. It ends with its parent. */
void witness_signals(const char *name);
void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
