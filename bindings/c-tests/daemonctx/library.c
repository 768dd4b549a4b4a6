/* The header and the library as files: what they are written in, export and weigh. */
#define _GNU_SOURCE
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Runs a shell command, which must succeed; what it wrote. */
static char *shell(const char *command)
{
    struct outcome done = START(NULL, "/bin/sh", "-c", command);
    if (done.code != 0)
        FAIL("%s\n      exits with %d: %s%s", command, done.code, done.out, done.err);
    return done.out;
}

static char *library(void)
{
    return text("%s/libdaemonctx.so.0", setting("HARNESS_LIBDIR"));
}

/* A translation unit that has the header and nothing else, so what it needs it must include itself. */
static void compiles(const char *compiler, const char *language, const char *standard)
{
    write_file("alone", "#include <daemonctx.h>\nint main(void) { return DAEMONCTX_OK; }\n");
    shell(text("%s -x %s -std=%s -Wall -Wextra -pedantic -Werror -I%s -fsyntax-only alone", setting(compiler), language,
               standard, setting("HARNESS_INCLUDE")));
}

TEST("the header compiles alone as C89, C99 and C11")
{
    compiles("HARNESS_CC", "c", "c89");
    compiles("HARNESS_CC", "c", "c99");
    compiles("HARNESS_CC", "c", "c11");
}

TEST("the header compiles alone as C++98 and C++17")
{
    compiles("HARNESS_CXX", "c++", "c++98");
    compiles("HARNESS_CXX", "c++", "c++17");
}

TEST("a result that must not be ignored is a warning")
{
    write_file("ignored.c", "#include <daemonctx.h>\nint main(void) { daemonctx_open(daemonctx_new()); return 0; }\n");
    shell(text("! %s -I%s -Werror -c -o ignored.o ignored.c 2> said && grep -q 'warn_unused_result' said", setting("HARNESS_CC"),
               setting("HARNESS_INCLUDE")));
}

TEST("C++ finds the functions under their C names")
{
    write_file("link", "#include <daemonctx.h>\nint main() { daemonctx_free(daemonctx_new()); return 0; }\n");
    shell(text("%s -x c++ -I%s -o linked link -L%s -Wl,-rpath,%s -ldaemonctx && ./linked", setting("HARNESS_CXX"),
               setting("HARNESS_INCLUDE"), setting("HARNESS_LIBDIR"), setting("HARNESS_LIBDIR")));
}

TEST("the library exports the functions of the header and nothing else, with a version")
{
    /* The preprocessor takes the comments away, which name functions too. */
    const char *compiler = setting("HARNESS_CC");
    shell(text("%s -E -P %s/daemonctx.h | grep -o '\\bdaemonctx_[a-z_]*(' | sed 's/(/@@DAEMONCTX_0.1/' | sort -u > declared", compiler,
               setting("HARNESS_INCLUDE")));
    shell(text("nm -D --defined-only %s | awk '$2 != \"A\" {print $3}' | sort > exported", library()));
    CHECK(strlen(content("declared")) > 500);
    CHECK_TEXT(content("exported"), content("declared"));
}

/* A stand-in for another version of the library: it defines what this program needs, and marks that with `version`. */
static struct outcome run_beside(const char *version)
{
    write_file("program.c", "#include <daemonctx.h>\nint main(void) { daemonctx_free(daemonctx_new()); return 0; }\n");
    write_file("stub.c", "void *daemonctx_new(void) { return 0; } void daemonctx_free(void *ctx) { (void)ctx; }\n");
    write_file("stub.map", text("%s { global: daemonctx_*; };\n", version));
    const char *compiler = setting("HARNESS_CC");
    shell(text("%s -I%s -o program program.c -L%s -Wl,-rpath,'$ORIGIN' -l:libdaemonctx.so.0", compiler, setting("HARNESS_INCLUDE"),
               setting("HARNESS_LIBDIR")));
    shell(text("%s -shared -fPIC -Wl,-soname,libdaemonctx.so.0 -Wl,--version-script,stub.map -o libdaemonctx.so.0 stub.c", compiler));
    return START(NULL, "/bin/sh", "-c", "./program");
}

TEST("a program is not loaded with a library that lacks the version it needs")
{
    CHECK_INT(run_beside("DAEMONCTX_0.1").code, 0);
    struct outcome refused = run_beside("DAEMONCTX_0.0");
    CHECK_INT(refused.code, 1);
    CHECK_HAS(refused.err, "version `DAEMONCTX_0.1' not found");
}

TEST("a program is not loaded without the library")
{
    run_beside("DAEMONCTX_0.1");
    shell("rm libdaemonctx.so.0");
    struct outcome refused = START(NULL, "/bin/sh", "-c", "./program");
    CHECK_INT(refused.code, 127);
    CHECK_HAS(refused.err, "libdaemonctx.so.0");
}

TEST("its name is libdaemonctx.so.0")
{
    CHECK_HAS(shell(text("readelf -d %s | grep SONAME", library())), "[libdaemonctx.so.0]");
}

TEST("it needs nothing but the C library")
{
    char *needed = shell(text("readelf -d %s | sed -n 's/.*NEEDED.*\\[\\(.*\\)\\]/\\1/p' | grep -Ev '^(libc|ld-linux.*)\\.' || :",
                              library()));
    /* libgcc_s has the unwinder, which nothing here calls; loading it would cost every program. */
    CHECK_TEXT(needed, "");
}

TEST("nothing in it can panic")
{
    if (*shell(text("nm %s 2>&1 | grep -v 'no symbols' || :", library())) == '\0')
        skip("the library is stripped");
    CHECK_TEXT(shell(text("nm %s | grep -Ei 'panic|rust_begin_unwind|handle_alloc_error' || :", library())), "");
}

/* A program that loads the library as a foreign function interface does, and closes it as one whose handle is collected as garbage. */
static const char host[] =
    "#include <dlfcn.h>\n"
    "#include <unistd.h>\n"
    "int main(int argc, char **argv)\n"
    "{\n"
    "    void *library = dlopen(argv[1], RTLD_NOW);\n"
    "    void *(*new)(void) = (void *(*)(void))dlsym(library, \"daemonctx_new\");\n"
    "    int (*set_pid_file)(void *, const char *) = (int (*)(void *, const char *))dlsym(library, \"daemonctx_set_pid_file\");\n"
    "    int (*set_manual_ready)(void *, int) = (int (*)(void *, int))dlsym(library, \"daemonctx_set_manual_ready\");\n"
    "    int (*open)(void *) = (int (*)(void *))dlsym(library, \"daemonctx_open\");\n"
    "    int (*ready)(void *) = (int (*)(void *))dlsym(library, \"daemonctx_ready\");\n"
    "    void *ctx = new();\n"
    "    if (argc != 2 || set_pid_file(ctx, \"pid\") || set_manual_ready(ctx, 1) || open(ctx) || dlclose(library) || ready(ctx))\n"
    "        return 1;\n"
    "    for (;;)\n"
    "        pause();\n"
    "}\n";

TEST("a daemon whose program closes the library by dlclose(3) keeps its pid file, and removes it at SIGTERM")
{
    write_file("host.c", host);
    shell(text("%s -o host host.c -ldl", setting("HARNESS_CC")));
    struct outcome starter = START(NULL, path("host"), library());
    CHECK_TEXT(starter.err, "");
    CHECK_INT(starter.code, 0);
    pid_t daemon = pid_in("pid");
    CHECK(is_alive(daemon));
    terminate(daemon);
    CHECK(!exists("pid"));
}
