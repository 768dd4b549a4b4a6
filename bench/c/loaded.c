/* A program that is linked with the library and hardly uses it. With an argument it prints what it occupies, in KiB. */
#define _GNU_SOURCE
#include <libdaemon/daemon.h>
#include <stdio.h>
#include <string.h>

static void print_memory(void)
{
    char line[128];
    FILE *memory = fopen("/proc/self/smaps_rollup", "re");
    while (memory && fgets(line, sizeof line, memory))
        if (strncmp(line, "Rss:", 4) == 0 || strncmp(line, "Private_", 8) == 0)
            fputs(line, stdout);
}

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        print_memory();
    return daemon_signal_fd() < 0 ? 0 : 1;
}
