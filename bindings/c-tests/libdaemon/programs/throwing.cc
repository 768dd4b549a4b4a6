/* A program whose function for the pid file's path throws: the exception arrives at who called the library. */
#include <libdaemon/daemon.h>

#include <cerrno>

namespace {

struct no_path {};

const char *throwing()
{
    throw no_path();
}

template <typename call> int caught(call function)
{
    try {
        function();
    } catch (const no_path &) {
        return 1;
    }
    return 0;
}

int create() { return daemon_pid_file_create(); }
int running() { return daemon_pid_file_is_running(); }
int kill() { return daemon_pid_file_kill(0); }
int kill_and_wait() { return daemon_pid_file_kill_wait(0, 1); }
int remove() { return daemon_pid_file_remove(); }

}

int main()
{
    daemon_pid_file_proc = throwing;
    return 5 - caught(create) - caught(running) - caught(kill) - caught(kill_and_wait) - caught(remove);
}
