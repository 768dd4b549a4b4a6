/* What the programs of these tests do with a handle before they come to their point. */
#define _GNU_SOURCE
#include "handle.h"

#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BROKEN = 97 };

void must(daemonctx_status status, const char *call)
{
    if (status != DAEMONCTX_OK) {
        fprintf(stderr, "%s gives %d: %m\n", call, status);
        _Exit(BROKEN);
    }
}

static const char *after(const char *word, const char *name)
{
    size_t length = strlen(name);
    return strncmp(word, name, length) == 0 && word[length] == '=' ? word + length + 1 : NULL;
}

/* "PATH" or "PATH,FLAGS,MODE" or "PATH,FLAGS,MODE,USER,GROUP". */
static daemonctx_status log_file(daemonctx *ctx, int number, const char *to)
{
    char file[4096], user[64] = "", group[64] = "";
    unsigned flags = 0, mode = 0640;
    sscanf(to, "%4095[^,],%u,%o,%63[^,],%63s", file, &flags, &mode, user, group);
    return daemonctx_set_stream_log_file(ctx, number, file, flags, mode, *user ? user : NULL,
                                         *group ? group : NULL);
}

/* "PRIORITY" or "PRIORITY,IDENTITY". */
static daemonctx_status syslog_stream(daemonctx *ctx, int number, const char *to)
{
    const char *identity = strchr(to, ',');
    return daemonctx_set_stream_syslog(ctx, number, identity == NULL ? NULL : identity + 1, atoi(to));
}

static daemonctx_status stream(daemonctx *ctx, int number, const char *to)
{
    if (strncmp(to, "log:", 4) == 0)
        return log_file(ctx, number, to + 4);
    if (strncmp(to, "syslog:", 7) == 0)
        return syslog_stream(ctx, number, to + 7);
    if (strncmp(to, "file:", 5) == 0)
        return daemonctx_set_stream_file(ctx, number, to + 5);
    if (strncmp(to, "fd:", 3) == 0)
        return daemonctx_set_stream_descriptor(ctx, number, atoi(to + 3));
    return strcmp(to, "null") == 0 ? daemonctx_set_stream_null(ctx, number) : daemonctx_set_stream_inherit(ctx, number);
}

/* A word that another function knows. */
#define NOT_THIS ((daemonctx_status)-1)

static daemonctx_status set_paths_and_names(daemonctx *ctx, const char *word)
{
    static const struct {
        const char *name;
        daemonctx_status (*set)(daemonctx *ctx, const char *value);
    } settings[] = {
        {"pid_file", daemonctx_set_pid_file}, {"directory", daemonctx_set_working_directory},
        {"chroot", daemonctx_set_chroot},     {"user", daemonctx_set_user},
        {"group", daemonctx_set_group},       {"program", daemonctx_set_program_name},
        {"runtime", daemonctx_set_runtime_directory}, {"ready", daemonctx_set_readiness},
        {"monitor", daemonctx_set_monitor},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const char *value = after(word, settings[i].name);
        if (value != NULL)
            return settings[i].set(ctx, value);
    }
    return NOT_THIS;
}

static daemonctx_status set_numbers(daemonctx *ctx, const char *word)
{
    static const struct {
        const char *name;
        daemonctx_status (*set)(daemonctx *ctx, int value);
    } settings[] = {
        {"no_new", daemonctx_set_no_new_privileges}, {"core", daemonctx_set_prevent_core},
        {"keep", daemonctx_keep_descriptor},         {"manual", daemonctx_set_manual_ready},
        {"threads", daemonctx_set_allow_threads},    {"keep_all", daemonctx_set_keep_all_descriptors},
        {"stop_signal", daemonctx_set_stop_signal},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const char *value = after(word, settings[i].name);
        if (value != NULL)
            return settings[i].set(ctx, atoi(value));
    }
    return NOT_THIS;
}

static daemonctx_status set(daemonctx *ctx, const char *word)
{
    static const char *const streams[] = {"in", "out", "err"};
    const char *value;
    for (int number = 0; number < 3; number++)
        if ((value = after(word, streams[number])) != NULL)
            return stream(ctx, number, value);
    if ((value = after(word, "umask")) != NULL)
        return daemonctx_set_umask(ctx, (unsigned)strtoul(value, NULL, 8));
    if ((value = after(word, "user_id")) != NULL)
        return daemonctx_set_user_id(ctx, (uid_t)atoi(value));
    if ((value = after(word, "group_id")) != NULL)
        return daemonctx_set_group_id(ctx, (gid_t)atoi(value));
    if ((value = after(word, "timeout")) != NULL)
        return daemonctx_set_ready_timeout(ctx, atol(value));
    if ((value = after(word, "signal")) != NULL)
        return daemonctx_set_signal(ctx, atoi(value), (daemonctx_signal_action)atoi(strchr(value, ':') + 1));
    if ((value = after(word, "groups")) != NULL)
        return daemonctx_set_supplementary_groups(ctx, (daemonctx_groups)atoi(value));
    if ((value = after(word, "detach")) != NULL)
        return daemonctx_set_detach(ctx, (daemonctx_detach)atoi(value));
    if ((value = after(word, "kill_mode")) != NULL)
        return daemonctx_set_kill_mode(ctx, (daemonctx_kill_mode)atoi(value));
    if ((value = after(word, "stop_timeout")) != NULL)
        return daemonctx_set_stop_timeout(ctx, atol(value));
    if ((value = after(word, "respawn")) != NULL)
        return daemonctx_set_respawn(ctx, atol(value), 0);
    daemonctx_status status = set_paths_and_names(ctx, word);
    return status != NOT_THIS ? status : set_numbers(ctx, word);
}

daemonctx *configured(int argc, char **argv)
{
    /* Not every program frees it: a daemon ends with it. */
    daemonctx *ctx = keep(daemonctx_new());
    if (ctx == NULL)
        must(DAEMONCTX_ERROR_SYSTEM, "daemonctx_new()");
    for (int i = 1; i < argc; i++)
        must(set(ctx, argv[i]), argv[i]);
    return ctx;
}

void refuse(daemonctx *ctx)
{
    const char *step;
    const char *why;
    int number;
    int seen = errno;
    daemonctx_status status = daemonctx_error(ctx, &step, &number, &why);
    if (seen != number)
        must(status, "errno is not what daemonctx_error() says");
    fprintf(stderr, "refused %d %s %s: %s\n", status, strerrorname_np(number), step, why);
    exit(daemonctx_exit_status(ctx));
}

void open_or_leave(daemonctx *ctx)
{
    if (daemonctx_open(ctx) != DAEMONCTX_OK)
        refuse(ctx);
}

const char *with_pid_file(void)
{
    return text("pid_file=%s", path("pid"));
}

/* A daemon that says its PID when it is one, and then is. */
PROGRAM(daemon)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    say("%d", (int)getpid());
    sleep_forever();
}

/* One that says nothing: for where it could not, in a chroot or without a descriptor to spare. */
PROGRAM(quiet)
{
    daemonctx *ctx = configured(argc, argv);
    open_or_leave(ctx);
    sleep_forever();
}

static void *wait_for_ever(void *unused)
{
    (void)unused;
    sleep_forever();
    return NULL;
}

void with_or_without_threads(int argc, char **argv)
{
    pthread_t thread;
    if (!strcmp(argv[argc - 1], "thread"))
        NEED(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0);
}
