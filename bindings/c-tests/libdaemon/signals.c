/* <libdaemon/dfork.h>: daemon_reset_sigs(v) and daemon_unblock_sigs(v). In each test's own process, which is its own. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "common.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void handle(int signum)
{
    (void)signum;
}

/* Even signals are ignored, odd ones handled, as far as they can be. */
static void dispose(void)
{
    for (int signum = 1; signum < NSIG; signum++)
        signal(signum, signum % 2 ? handle : SIG_IGN);
}

static void have(uint64_t ignored, uint64_t handled)
{
    CHECK_SIGNALS(getpid(), "SigIgn", ignored);
    CHECK_SIGNALS(getpid(), "SigCgt", handled);
}

static void block(int signum)
{
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, signum);
    NEED(sigprocmask(SIG_BLOCK, &one, NULL) == 0);
}

/* --- reset ---------------------------------------------------------------------------------------------------------- */

TEST("reset: all handled and ignored ones are default, up to the last of the real-time signals")
{
    dispose();
    CHECK_CALL(daemon_reset_sigs(-1), "0");
    have(0, 0);
    dispose();
    CHECK_CALL(daemon_reset_sigsv((const int[]){-1}), "0");
    have(0, 0);
}

TEST("reset: what is excepted stays as it is, ignored or handled")
{
    dispose();
    CHECK_CALL(daemon_reset_sigs(SIGHUP, SIGUSR1, SIGUSR2, 63, 64, -1), "0");
    have(signal_bit(SIGUSR1) | signal_bit(SIGUSR2) | signal_bit(64), signal_bit(SIGHUP) | signal_bit(63));
    dispose();
    CHECK_CALL(daemon_reset_sigsv((const int[]){64, 64, SIGPIPE, SIGHUP, -1}), "0");
    have(signal_bit(64), signal_bit(SIGPIPE) | signal_bit(SIGHUP));
}

TEST("reset: exceptions that are no signals are no error")
{
    dispose();
    CHECK_CALL(daemon_reset_sigs(99, SIGKILL, 1000000, SIGHUP, -1), "0");
    have(0, signal_bit(SIGHUP));
}

TEST("reset: 0 ends the list as -1 does, and any negative number")
{
    dispose();
    CHECK_CALL(daemon_reset_sigs(SIGHUP, 0, SIGINT, -1), "0");
    have(0, signal_bit(SIGHUP));
    dispose();
    CHECK_CALL(daemon_reset_sigsv((const int[]){SIGHUP, -7, SIGINT, -1}), "0");
    have(0, signal_bit(SIGHUP));
}

TEST("reset: lists of more than fit into registers, or any buffer")
{
    int list[1001];
    for (int i = 0; i < 999; i++)
        list[i] = SIGHUP;
    list[999] = SIGPIPE;
    list[1000] = -1;
    dispose();
    CHECK_CALL(daemon_reset_sigsv(list), "0");
    have(0, signal_bit(SIGHUP) | signal_bit(SIGPIPE));
    dispose();
    CHECK_CALL(daemon_reset_sigs(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 13, -1),
               "0");
    have(0, signal_bit(SIGHUP) | signal_bit(SIGPIPE));
}

TEST("reset: the mask is not touched")
{
    block(SIGUSR1);
    dispose();
    CHECK_CALL(daemon_reset_sigs(-1), "0");
    CHECK_TEXT(blocked(), text("%d", SIGUSR1));
}

/* --- unblock -------------------------------------------------------------------------------------------------------- */

TEST("unblock: all")
{
    block_all_signals();
    CHECK_CALL(daemon_unblock_sigs(-1), "0");
    CHECK_TEXT(blocked(), "");
    CHECK_SIGNALS(getpid(), "SigBlk", 0);
    block_all_signals();
    CHECK_CALL(daemon_unblock_sigsv((const int[]){-1}), "0");
    CHECK_TEXT(blocked(), "");
}

TEST("unblock: the exceptions are blocked afterwards, also those that were not before")
{
    block(SIGUSR1);
    block(SIGTERM);
    CHECK_CALL(daemon_unblock_sigs(SIGUSR1, SIGINT, -1), "0");
    CHECK_TEXT(blocked(), text("%d %d", SIGINT, SIGUSR1));
    block_all_signals();
    CHECK_CALL(daemon_unblock_sigsv((const int[]){64, SIGINT, 34, -1}), "0");
    CHECK_TEXT(blocked(), text("%d 34 64", SIGINT));
}

TEST("unblock: 0 ends the list as -1 does, and any negative number")
{
    block_all_signals();
    CHECK_CALL(daemon_unblock_sigs(SIGUSR1, 0, SIGHUP, -1), "0");
    CHECK_TEXT(blocked(), text("%d", SIGUSR1));
    block_all_signals();
    CHECK_CALL(daemon_unblock_sigsv((const int[]){SIGUSR1, -7, SIGHUP, -1}), "0");
    CHECK_TEXT(blocked(), text("%d", SIGUSR1));
}

static void is_refused(int signum)
{
    block_all_signals();
    char *before = blocked();
    CHECK_CALL(daemon_unblock_sigs(SIGHUP, signum, -1), "-1 EINVAL");
    CHECK_TEXT(blocked(), before);
    CHECK_CALL(daemon_unblock_sigsv((const int[]){signum, -1}), "-1 EINVAL");
    CHECK_TEXT(blocked(), before);
}

TEST("unblock: exceptions that are no signals, or the C library's own: EINVAL, not a word, and the mask is as it was")
{
    const char *words = quietly();
    is_refused(65);
    is_refused(99);
    is_refused(32);
    is_refused(33);
    CHECK_CALL(daemon_unblock_sigs(SIGKILL, -1), "0");
    CHECK_TEXT(content(words), "");
}

TEST("unblock: dispositions are not touched")
{
    signal(SIGUSR1, handle);
    signal(SIGUSR2, SIG_IGN);
    CHECK_CALL(daemon_unblock_sigs(-1), "0");
    have(signal_bit(SIGUSR2), signal_bit(SIGUSR1));
}

TEST("unblock: a signal that waited is delivered")
{
    signal(SIGTERM, handle);
    block(SIGTERM);
    raise(SIGTERM);
    CHECK(signals_of(getpid(), "SigPnd") != 0);
    CHECK_CALL(daemon_unblock_sigs(-1), "0");
    CHECK_SIGNALS(getpid(), "SigPnd", 0);
}
