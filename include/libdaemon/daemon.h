/* The whole interface of libdaemon 0.14, as daemonctx has it.
 *
 * None of these functions may run in two threads at once. Those that are said to be async-signal-safe may be called in a
 * signal handler. Functions that return an int give 0, or -1 and errno; what is to be said about a failure is logged by
 * daemon_log() as well.
 *
 * docs/libdaemon-behaviour.md tells what differs from the original, and where the original differs from its documentation.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef LIBDAEMON_DAEMON_H
#define LIBDAEMON_DAEMON_H

#include <libdaemon/dexec.h>
#include <libdaemon/dfork.h>
#include <libdaemon/dlog.h>
#include <libdaemon/dnonblock.h>
#include <libdaemon/dpid.h>
#include <libdaemon/dsignal.h>

#endif
