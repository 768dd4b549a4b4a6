/* By itself it is the program that the command starts; drop.c and drop.py use it as well.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LAST_CAPABILITY = 40 };

static void thread(const char *tid)
{
    static const char *const wanted[] = {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapAmb", "NoNewPrivs"};
    char path[300], line[65536];
    FILE *file;

    snprintf(path, sizeof path, "/proc/self/task/%s/status", tid);
    file = fopen(path, "r");
    if (file == NULL)
        return;
    printf("thread %s", tid);
    while (fgets(line, sizeof line, file) != NULL) {
        for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
            size_t length = strlen(wanted[i]);
            if (!strncmp(line, wanted[i], length) && line[length] == ':') {
                line[strcspn(line, "\n")] = 0;
                for (char *c = line; *c != 0; c++)
                    *c = *c == '\t' ? ' ' : *c;
                printf(";%s", line);
            }
        }
    }
    printf("\n");
    fclose(file);
}

static void tried(const char *what, int number, int result)
{
    if (result == 0)
        printf("regained %s %d\n", what, number);
}

/* One capability, in all three sets. */
static int raise_capability(int number)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{0, 0, 0}, {0, 0, 0}};

    sets[number / 32].effective = sets[number / 32].permitted = 1U << number % 32;
    return (int)syscall(SYS_capset, &header, sets);
}

static void try_all(void)
{
    gid_t root = 0;

    /* One after the other, each by itself: what works changes what the next finds, but then it is over anyway. */
    for (int number = 0; number <= LAST_CAPABILITY; number++) {
        tried("capability", number, raise_capability(number));
        tried("ambient capability", number, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0));
    }
    tried("setgroups", 0, setgroups(1, &root));
    tried("setgid", 0, setgid(0));
    tried("setegid", 0, setegid(0));
    tried("setregid", 0, setregid(0, (gid_t)-1));
    tried("setresgid", 0, setresgid((gid_t)-1, (gid_t)-1, 0));
    tried("setuid", 0, setuid(0));
    tried("seteuid", 0, seteuid(0));
    tried("setreuid", 0, setreuid(0, (uid_t)-1));
    tried("setresuid real", 0, setresuid(0, (uid_t)-1, (uid_t)-1));
    tried("setresuid saved", 0, setresuid((uid_t)-1, (uid_t)-1, 0));
    setfsuid(0);
    tried("setfsuid", 0, setfsuid((uid_t)-1) == 0 ? 0 : -1);
    setfsgid(0);
    tried("setfsgid", 0, setfsgid((gid_t)-1) == 0 ? 0 : -1);
    /* What only root may do, done. */
    tried("open /etc/shadow", 0, open("/etc/shadow", O_RDONLY) >= 0 ? 0 : -1);
    tried("chroot", 0, chroot("/"));
}

void look(void)
{
    DIR *tasks = opendir("/proc/self/task");
    struct dirent *entry;

    while (tasks != NULL && (entry = readdir(tasks)) != NULL)
        if (entry->d_name[0] != '.')
            thread(entry->d_name);
    if (tasks != NULL)
        closedir(tasks);
    try_all();
    printf("done\n");
    fflush(stdout);
}

#ifdef PROGRAM
int main(void)
{
    look();
    /* One that ends at once may be called failed. */
    alarm(20);
    pause();
    return 0;
}
#endif
