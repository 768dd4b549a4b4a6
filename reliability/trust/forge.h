/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef FORGE_H
#define FORGE_H

#include <sys/types.h>

/* Called by a daemon that gave up its privileges. "write": tries every way to change its pid file, above all to have it name
 * `victim`; each way that works is a violation. "unlock": plays with the lock that it shares with its starter. A path: passes the lock to the service that listens there. At
 * the end it writes
 * its number to the FIFO TRUST_DIR/forged. */
void forge(const char *pid_file, pid_t victim, const char *mode);

#endif
