/* A program that is linked with the library and hardly uses it. */
#include <libdaemon/daemon.h>

int main(void)
{
    return daemon_signal_fd() < 0 ? 0 : 1;
}
