/* What conmon calls an OCI runtime, with no container: `runtime … create … --pid-file FILE …` leaves the program of $BENCH_PROGRAM
 * running and writes its PID to FILE. Other commands succeed and do nothing. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words)
{
    const char *path = NULL, *program = getenv("BENCH_PROGRAM");
    int creates = 0;

    for (int index = 1; index < count; index++) {
        creates |= strcmp(words[index], "create") == 0;
        if (strcmp(words[index], "--pid-file") == 0 && index + 1 < count)
            path = words[index + 1];
    }
    if (!creates)
        return 0;
    if (!path || !program)
        return 1;
    pid_t child = fork();
    if (child == 0) {
        execl(program, program, (char *)NULL);
        _exit(127);
    }
    FILE *file = child < 0 ? NULL : fopen(path, "w");
    return !file || fprintf(file, "%d", (int)child) < 0 || fclose(file) != 0;
}
