/* Becomes a daemon of another user's, from surroundings in which privileges like to stay.
 *
 *     drop LOG USER WORD...
 *
 * Words: keepcaps, securebits=N, ambient, threads=N, stay (does not detach), nnp, nogroups, groups (many to begin with).
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "look.h"

#include <daemonctx.h>
#include <grp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void need(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "surroundings: ");
        perror(what);
        exit(90);
    }
}

static void *rest(void *nothing)
{
    for (;;)
        pause();
    return nothing;
}

static void begin_threads(int count)
{
    pthread_attr_t small;
    pthread_t thread;

    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (int i = 0; i < count; i++)
        need(pthread_create(&thread, &small, rest, NULL) == 0, "pthread_create");
}

/* All that this process has, inheritable and then ambient. */
static void make_ambient(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2];
    int raised = 0;

    need(syscall(SYS_capget, &header, sets) == 0, "capget");
    for (int i = 0; i < 2; i++)
        sets[i].inheritable = sets[i].permitted;
    need(syscall(SYS_capset, &header, sets) == 0, "capset");
    for (int number = 0; number <= 40; number++)
        raised += prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) == 0;
    need(raised > 0, "ambient capabilities");
}

static void surround(daemonctx *ctx, const char *word)
{
    gid_t many[64];

    if (!strcmp(word, "keepcaps"))
        need(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0, word);
    else if (!strncmp(word, "securebits=", 11))
        need(prctl(PR_SET_SECUREBITS, strtol(word + 11, NULL, 0), 0, 0, 0) == 0, word);
    else if (!strcmp(word, "ambient"))
        make_ambient();
    else if (!strncmp(word, "threads=", 8))
        begin_threads(atoi(word + 8));
    else if (!strcmp(word, "groups")) {
        for (int i = 0; i < 64; i++)
            many[i] = (gid_t)i;
        need(setgroups(64, many) == 0, word);
    } else if (!strcmp(word, "stay"))
        need(daemonctx_set_detach(ctx, DAEMONCTX_DETACH_NO) == DAEMONCTX_OK, word);
    else if (!strcmp(word, "nnp"))
        need(daemonctx_set_no_new_privileges(ctx, 1) == DAEMONCTX_OK, word);
    else if (!strcmp(word, "nogroups"))
        need(daemonctx_set_supplementary_groups(ctx, DAEMONCTX_GROUPS_NONE) == DAEMONCTX_OK, word);
    else
        need(0, word);
}

int main(int argc, char **argv)
{
    daemonctx *ctx = daemonctx_new();
    const char *why = "";

    if (argc < 3 || ctx == NULL)
        return 2;
    if (daemonctx_set_detach(ctx, DAEMONCTX_DETACH_YES) || daemonctx_set_allow_threads(ctx, 1) || daemonctx_set_user(ctx, argv[2]) ||
        daemonctx_set_stream_file(ctx, 1, argv[1]))
        return 2;
    for (int i = 3; i < argc; i++)
        surround(ctx, argv[i]);
    if (daemonctx_open(ctx)) {
        daemonctx_error(ctx, NULL, NULL, &why);
        fprintf(stderr, "drop: %s\n", why);
        return daemonctx_exit_status(ctx);
    }
    look();
    return 0;
}
