/* The header and the library as files: what they are written in, export and weigh. */
#define _GNU_SOURCE
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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
    return text("%s/libdaemon.so.0", setting("HARNESS_LIBDIR"));
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

TEST("C++ finds the functions under their C names")
{
    write_file("link", "#include <daemonctx.h>\nint main() { daemonctx_free(daemonctx_new()); return 0; }\n");
    shell(text("%s -x c++ -I%s -o linked link -L%s -Wl,-rpath,%s -ldaemon && ./linked", setting("HARNESS_CXX"),
               setting("HARNESS_INCLUDE"), setting("HARNESS_LIBDIR"), setting("HARNESS_LIBDIR")));
}

TEST("the library exports the functions of the header, and no other of that name")
{
    /* The preprocessor takes the comments away, which name functions too. */
    const char *compiler = setting("HARNESS_CC");
    shell(text("%s -E -P %s/daemonctx.h | grep -o '\\bdaemonctx_[a-z_]*(' | tr -d '(' | sort -u > declared", compiler,
               setting("HARNESS_INCLUDE")));
    shell(text("nm -D --defined-only %s | awk '{print $3}' | grep '^daemonctx_' | sort > exported", library()));
    CHECK(strlen(content("declared")) > 500);
    CHECK_TEXT(content("exported"), content("declared"));
}

TEST("its name is libdaemon.so.0")
{
    CHECK_HAS(shell(text("readelf -d %s | grep SONAME", library())), "[libdaemon.so.0]");
}

TEST("it needs nothing but the C library")
{
    char *needed = shell(text("readelf -d %s | sed -n 's/.*NEEDED.*\\[\\(.*\\)\\]/\\1/p' | grep -Ev '^(libc|ld-linux.*)\\.' || :",
                              library()));
    /* libgcc_s is there for unwinding, and nothing here unwinds; loading it would cost every program. */
    CHECK_TEXT(needed, "");
}

TEST("nothing in it can panic")
{
    if (*shell(text("nm %s 2>&1 | grep -v 'no symbols' || :", library())) == '\0')
        skip("the library is stripped");
    CHECK_TEXT(shell(text("nm %s | grep -Ei 'panic|rust_begin_unwind|handle_alloc_error' || :", library())), "");
}

/* What a file has between its segments, and holds nothing: where pages may be of 64 KB, both begin at the same place in one. */
static long between_segments(const char *file)
{
    char *headers = shell(text("readelf -lW %s", file));
    unsigned long offset, length, alignment;
    long end = 0, between = 0;
    for (char *line = strtok(headers, "\n"); line != NULL; line = strtok(NULL, "\n"))
        if (sscanf(line, " LOAD %lx %*s %*s %lx %*s %*[RWE ] %lx", &offset, &length, &alignment) == 3) {
            between += end > 0 && alignment > 4096 ? (long)offset - end : 0;
            end = (long)(offset + length);
        }
    CHECK(end > 0);
    return between;
}

TEST("stripped it has 160 KB at the most, less what lies between its segments where pages may be of 64 KB")
{
    struct stat status;
    shell(text("strip -o stripped %s", library()));
    NEED(stat("stripped", &status) == 0);
    CHECK(status.st_size - between_segments("stripped") <= 160 * 1024);
}
