/* A thread that is cancelled while it waits in the library: its objects are destroyed. */
#include <libdaemon/daemon.h>

#include <pthread.h>
#include <unistd.h>

namespace {

bool destroyed = false;

struct object {
    ~object() { destroyed = true; }
};

void *wait_for_ever(void *)
{
    object on_the_stack;
    daemon_retval_wait(0);
    return NULL;
}

}

int main()
{
    pthread_t thread;
    int end[2];
    char nothing;
    if (daemon_retval_init() < 0 || pipe(end) < 0)
        return 2;
    switch (fork()) {
    case -1:
        return 2;
    case 0:
        /* It has the other end, never answers, and ends with this process. */
        close(end[1]);
        _exit(read(end[0], &nothing, 1) < 0);
    }
    if (pthread_create(&thread, NULL, wait_for_ever, NULL) || pthread_cancel(thread) || pthread_join(thread, NULL))
        return 2;
    return !destroyed;
}
