/* What a process may do: looked at from inside, and tried.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LOOK_H
#define LOOK_H

/* Writes to standard output: for each thread a line `thread TID Uid:... Gid:... CapPrm:...` from /proc, and a line `regained WHAT`
 * for each way back to privileges that is open; at last `done`. */
void look(void);

#endif
