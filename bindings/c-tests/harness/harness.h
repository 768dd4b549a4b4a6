/* What the parts of the harness need of each other, and no test.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef HARNESS_HARNESS_H
#define HARNESS_HARNESS_H

/* Makes the FIFOs between a test and what it starts, in the directory of the test. */
void open_conversation(void);
const char *report_fifo(void);
const char *orders_fifo(void);

/* How many times longer than usual everything may take: what HARNESS_SLOWNESS says, for a machine that is emulated; else 1. */
int slowness(void);

/* This executable, which holds the programs too. */
const char *own_executable(void);

#endif
