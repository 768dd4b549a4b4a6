/* The headers and the library as files, and programs compiled in every way: what is shared and what is exported. */
#define _GNU_SOURCE
#include "proc.h"
#include "test.h"

#include "common.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const HEADERS[] = {"daemon", "dfork", "dlog", "dpid", "dsignal", "dexec", "dnonblock"};
enum { HEADER_COUNT = sizeof HEADERS / sizeof *HEADERS };

static char *library(void)
{
    return text("%s/libdaemon.so.0", setting("HARNESS_LIBDIR"));
}

/* --- the library ---------------------------------------------------------------------------------------------------- */

#if UINTPTR_MAX > 0xffffffff
#define POINTER "8"
#else
#define POINTER "4"
#endif

/* Name and size of each object, name alone of each function; those of the library's own interface left out. */
static const char EXPORTED[] = "daemon_close_all\n"
                               "daemon_close_allv\n"
                               "daemon_exec\n"
                               "daemon_execv\n"
                               "daemon_fork\n"
                               "daemon_ident_from_argv0\n"
                               "daemon_log\n"
                               "daemon_log_ident " POINTER "\n"
                               "daemon_log_use 4\n"
                               "daemon_logv\n"
                               "daemon_nonblock\n"
                               "daemon_pid_file_create\n"
                               "daemon_pid_file_ident " POINTER "\n"
                               "daemon_pid_file_is_running\n"
                               "daemon_pid_file_kill\n"
                               "daemon_pid_file_kill_wait\n"
                               "daemon_pid_file_proc " POINTER "\n"
                               "daemon_pid_file_proc_default\n"
                               "daemon_pid_file_remove\n"
                               "daemon_reset_sigs\n"
                               "daemon_reset_sigsv\n"
                               "daemon_retval_done\n"
                               "daemon_retval_init\n"
                               "daemon_retval_send\n"
                               "daemon_retval_wait\n"
                               "daemon_set_verbosity\n"
                               "daemon_signal_done\n"
                               "daemon_signal_fd\n"
                               "daemon_signal_init\n"
                               "daemon_signal_install\n"
                               "daemon_signal_next\n"
                               "daemon_unblock_sigs\n"
                               "daemon_unblock_sigsv\n";

TEST("exported are the 29 functions and 4 objects with their sizes, without versions")
{
    char *symbols = shell(text("readelf -W --dyn-syms %s | awk '$7 != \"UND\" && $5 != \"LOCAL\" && $8 !~ /^daemonctx_/ { "
                               "if ($4 == \"OBJECT\") print $8, $3; else if ($4 == \"FUNC\") print $8; }' | LC_ALL=C sort",
                               library()));
    CHECK_TEXT(symbols, EXPORTED);
}

TEST("nothing else is exported")
{
    char *pattern = is_original() ? "^daemon_" : "^daemon_|^daemonctx_";
    CHECK_TEXT(shell(text("nm -D --defined-only %s | awk '{print $3}' | grep -vE '%s' || :", library(), pattern)), "");
}

TEST("the file's name for programs is libdaemon.so.0")
{
    CHECK_HAS(shell(text("readelf -d %s | grep SONAME", library())), "[libdaemon.so.0]");
}

TEST("pkg-config knows libdaemon, at least 0.14")
{
    char *folder = text("%s/pkgconfig", setting("HARNESS_LIBDIR"));
    if (!exists(text("%s/libdaemon.pc", folder)))
        skip("there is no %s/libdaemon.pc", folder);
    if (START(NULL, "/bin/sh", "-c", "command -v pkg-config").code != 0)
        skip("there is no pkg-config");
    NEED(setenv("PKG_CONFIG_PATH", folder, 1) == 0);
    shell("pkg-config --atleast-version=0.14 libdaemon");
    CHECK_HAS(shell("pkg-config --libs libdaemon"), "-ldaemon");
    CHECK_HAS(shell("pkg-config --cflags libdaemon"), "");
}

/* --- the headers ---------------------------------------------------------------------------------------------------- */

static char *compiler_for(const char *language)
{
    const char *compiler = setting(strcmp(language, "c++") == 0 ? "HARNESS_CXX" : "HARNESS_CC");
    return text("%s -x %s -I%s", compiler, language, setting("HARNESS_INCLUDE"));
}

static void compiles(const char *language, const char *standard)
{
    for (int i = 0; i < HEADER_COUNT; i++) {
        /* Twice, as programs do it. */
        write_file("alone", text("#include <libdaemon/%s.h>\n#include <libdaemon/%s.h>\nint main(void) { return 0; }\n",
                                 HEADERS[i], HEADERS[i]));
        shell(text("%s -std=%s -Wall -Wextra -pedantic -Werror -fsyntax-only alone", compiler_for(language), standard));
    }
}

TEST("each header compiles alone, as C89, C99 and C11")
{
    compiles("c", "c89");
    compiles("c", "c99");
    compiles("c", "c11");
    compiles("c", "gnu89");
}

TEST("each header compiles alone, as C++98 and C++17")
{
    compiles("c++", "c++98");
    compiles("c++", "c++17");
}

static const char INTERFACE[] =
    "#include <libdaemon/daemon.h>\n"
    "#if DAEMON_CLOSE_ALL_AVAILABLE != 1 || DAEMON_UNBLOCK_SIGS_AVAILABLE != 1 || DAEMON_RESET_SIGS_AVAILABLE != 1\n"
    "#error dfork\n"
    "#endif\n"
    "#if DAEMON_LOGV_AVAILABLE != 1 || DAEMON_SET_VERBOSITY_AVAILABLE != 1 || DAEMON_PID_FILE_KILL_WAIT_AVAILABLE != 1\n"
    "#error dlog, dpid\n"
    "#endif\n"
    "#if DAEMON_EXEC_AVAILABLE != 1 || DAEMON_EXECV_AVAILABLE != 1\n"
    "#error dexec\n"
    "#endif\n"
    "#if !defined(DAEMON_GCC_PRINTF_ATTR) || !defined(DAEMON_GCC_SENTINEL)\n"
    "#error attributes\n"
    "#endif\n"
    "typedef char values[DAEMON_LOG_SYSLOG == 1 && DAEMON_LOG_STDERR == 2 && DAEMON_LOG_STDOUT == 4 && DAEMON_LOG_AUTO == 8\n"
    "                    && sizeof(enum daemon_log_flags) == 4 ? 1 : -1];\n"
    "pid_t (*f1)(void) = daemon_fork;\n"
    "int (*f2)(void) = daemon_retval_init;\n"
    "void (*f3)(void) = daemon_retval_done;\n"
    "int (*f4)(int) = daemon_retval_wait;\n"
    "int (*f5)(int) = daemon_retval_send;\n"
    "int (*f6)(int, ...) = daemon_close_all;\n"
    "int (*f7)(const int *) = daemon_close_allv;\n"
    "int (*f8)(int, ...) = daemon_unblock_sigs;\n"
    "int (*f9)(const int *) = daemon_unblock_sigsv;\n"
    "int (*f10)(int, ...) = daemon_reset_sigs;\n"
    "int (*f11)(const int *) = daemon_reset_sigsv;\n"
    "void (*f12)(int, const char *, ...) = daemon_log;\n"
    "void (*f13)(int, const char *, va_list) = daemon_logv;\n"
    "char *(*f14)(char *) = daemon_ident_from_argv0;\n"
    "void (*f15)(int) = daemon_set_verbosity;\n"
    "const char *(*f16)(void) = daemon_pid_file_proc_default;\n"
    "int (*f17)(void) = daemon_pid_file_create;\n"
    "int (*f18)(void) = daemon_pid_file_remove;\n"
    "pid_t (*f19)(void) = daemon_pid_file_is_running;\n"
    "int (*f20)(int) = daemon_pid_file_kill;\n"
    "int (*f21)(int, int) = daemon_pid_file_kill_wait;\n"
    "int (*f22)(int, ...) = daemon_signal_init;\n"
    "int (*f23)(int) = daemon_signal_install;\n"
    "void (*f24)(void) = daemon_signal_done;\n"
    "int (*f25)(void) = daemon_signal_next;\n"
    "int (*f26)(void) = daemon_signal_fd;\n"
    "int (*f27)(const char *, int *, const char *, ...) = daemon_exec;\n"
    "int (*f28)(const char *, int *, const char *, va_list) = daemon_execv;\n"
    "int (*f29)(int, int) = daemon_nonblock;\n"
    "enum daemon_log_flags *o1 = &daemon_log_use;\n"
    "const char **o2 = &daemon_log_ident;\n"
    "const char **o3 = &daemon_pid_file_ident;\n"
    "daemon_pid_file_proc_t *o4 = &daemon_pid_file_proc;\n"
    "const char *(**o5)(void) = &daemon_pid_file_proc;\n"
    "int main(void) { return 0; }\n";

TEST("macros, values, and the types of all functions and objects, in C and C++; and they can be linked")
{
    write_file("interface.c", INTERFACE);
    write_file("interface.cc", INTERFACE);
    shell(text("%s -Wall -Wextra -Werror -o in_c interface.c %s && ./in_c", compiler_for("c"),
               "-x none ${HARNESS_LINK}"));
    shell(text("%s -Wall -Wextra -Werror -o in_cxx interface.cc -x none ${HARNESS_LINK} && ./in_cxx", compiler_for("c++")));
}

/* A call that must be warned of, beside the same without its fault. */
static void is_warned_of(const char *right, const char *wrong)
{
    static const char frame[] = "#include <libdaemon/daemon.h>\nvoid f(void);\nvoid f(void) { %s; }\n";
    for (int i = 0; i < 2; i++) {
        char *compiler = compiler_for(i == 0 ? "c" : "c++");
        write_file("right", text(frame, right));
        shell(text("%s -Wall -Werror -fsyntax-only right", compiler));
        write_file("wrong", text(frame, wrong));
        shell(text("! %s -Wall -Werror -fsyntax-only wrong 2>warning && %s -fsyntax-only -w wrong", compiler, compiler));
    }
}

TEST("the compiler looks at formats and at the end of argument lists")
{
    is_warned_of("daemon_log(LOG_ERR, \"%s\", \"text\")", "daemon_log(LOG_ERR, \"%d\", \"text\")");
    CHECK_HAS(content("warning"), "format");
    is_warned_of("daemon_exec(\"/\", 0, \"/bin/true\", \"true\", (char *)0)", "daemon_exec(\"/\", 0, \"/bin/true\", \"true\")");
    CHECK_HAS(content("warning"), "sentinel");
}

/* --- objects that program and library share --------------------------------------------------------------------------- */

static const char SHARER[] =
    "#include <libdaemon/daemon.h>\n"
    "#include <stdio.h>\n"
    "#include <stdlib.h>\n"
    "#include <unistd.h>\n"
    "static char *path;\n"
    "static const char *mine(void) { return path; }\n"
    "int main(int argc, char **argv)\n"
    "{\n"
    "    /* What the library has set at the beginning. */\n"
    "    printf(\"%d %d %d %d\\n\", (int)daemon_log_use, daemon_log_ident == NULL, daemon_pid_file_ident == NULL,\n"
    "           daemon_pid_file_proc == daemon_pid_file_proc_default);\n"
    "    /* What the program sets, the library sees. */\n"
    "    daemon_pid_file_ident = \"mine\";\n"
    "    puts(daemon_pid_file_proc());\n"
    "    puts(daemon_pid_file_proc_default());\n"
    "    path = argv[argc - 1];\n"
    "    daemon_pid_file_proc = mine;\n"
    "    printf(\"%d \", daemon_pid_file_create());\n"
    "    printf(\"%d %d\\n\", daemon_pid_file_is_running() == getpid(), access(path, F_OK));\n"
    "    daemon_pid_file_remove();\n"
    "    daemon_log_use = DAEMON_LOG_STDOUT;\n"
    "    daemon_log(LOG_ERR, \"on %s\", \"stdout\");\n"
    "    daemon_log_use = DAEMON_LOG_SYSLOG;\n"
    "    daemon_log_ident = \"mine\";\n"
    "    daemon_log(LOG_ERR, \"in %s\", \"syslog\");\n"
    "    fflush(stdout);\n"
    "    /* What the library sets, the program sees. */\n"
    "    daemon_log_use = DAEMON_LOG_AUTO;\n"
    "    daemon_retval_init();\n"
    "    if (daemon_fork() == 0) {\n"
    "        daemon_retval_send((int)daemon_log_use);\n"
    "        _exit(0);\n"
    "    }\n"
    "    printf(\"%d %d\\n\", daemon_retval_wait(10), (int)daemon_log_use);\n"
    "    return 0;\n"
    "}\n";

static void build(const char *flags)
{
    write_file("sharer.c", SHARER);
    shell(text("%s -Wall -Wextra -Werror %s -o sharer sharer.c -x none ${HARNESS_LINK}", compiler_for("c"), flags));
}

static void shares(const char *flags)
{
    build(flags);
    pid_t program = LAUNCH(NULL, path("sharer"), path("pid"));
    struct outcome end = finish(program);
    CHECK_TEXT(end.err, "");
    CHECK_TEXT(end.out, "10 1 1 1\n/var/run/mine.pid\n/var/run/mine.pid\n0 1 0\non stdout\n1 8\n");
    CHECK_INT(end.code, 0);
    LOGGED(text("<27>mine[%d]: in syslog", (int)program));
}

TEST("a position-independent program and the library share the objects, both ways")
{
    own_system();
    shares("-fPIE -pie");
    shares("-fPIE -pie -O2 -Wl,-z,now");
}

TEST("a program at a fixed place shares them, by copies of them in it")
{
    own_system();
    shares("-fno-pie -no-pie");
    CHECK_TEXT(shell("readelf -W -r sharer | awk '/_COPY/ {print $5}' | sed 's/@.*//' | grep ^daemon_ | LC_ALL=C sort"),
               "daemon_log_ident\ndaemon_log_use\ndaemon_pid_file_ident\ndaemon_pid_file_proc\n");
    shares("-fno-pie -no-pie -O2 -Wl,-z,now");
}

TEST("a program that was compiled to be a library's part shares them")
{
    own_system();
    shares("-fPIC -pie");
    shares("-fno-plt -fPIC -pie -Wl,-z,now");
}

static const char PLUGIN[] = "#include <libdaemon/daemon.h>\n"
                             "void change(void);\n"
                             "void change(void)\n"
                             "{\n"
                             "    daemon_log_use = DAEMON_LOG_STDOUT;\n"
                             "    daemon_pid_file_ident = \"changed\";\n"
                             "}\n";
static const char HOST[] = "#include <libdaemon/daemon.h>\n"
                           "#include <stdio.h>\n"
                           "void change(void);\n"
                           "int main(void)\n"
                           "{\n"
                           "    change();\n"
                           "    printf(\"%d %s %s\\n\", (int)daemon_log_use, daemon_pid_file_ident, daemon_pid_file_proc_default());\n"
                           "    daemon_log(LOG_ERR, \"here\");\n"
                           "    return 0;\n"
                           "}\n";

TEST("program, another library and this one share them")
{
    static const char *const kinds[] = {"-fPIE -pie", "-fno-pie -no-pie"};
    write_file("plugin.c", PLUGIN);
    write_file("host.c", HOST);
    shell(text("%s -fPIC -shared -o libplugin.so plugin.c -x none ${HARNESS_LINK}", compiler_for("c")));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char *out = shell(text("%s %s -o host host.c -x none -L. -Wl,-rpath,. -lplugin ${HARNESS_LINK} && ./host", compiler_for("c"), kinds[i]));
        CHECK_TEXT(out, "4 changed /var/run/changed.pid\nhere\n");
    }
}

TEST("a C++ program")
{
    write_file("program.cc", text("#include <iostream>\n%s", HOST));
    write_file("plugin.cc", PLUGIN);
    char *out = shell(text("%s -std=c++98 -Wall -Wextra -Werror -o program program.cc plugin.cc -x none ${HARNESS_LINK} && ./program",
                           compiler_for("c++")));
    CHECK_TEXT(out, "4 changed /var/run/changed.pid\nhere\n");
}
