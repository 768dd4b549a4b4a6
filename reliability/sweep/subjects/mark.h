/* Where a start begins and ends, for the injector. */
#ifndef MARK_H
#define MARK_H

#include <signal.h>
#include <unistd.h>

/* Nothing happens where nobody watches: SIGURG is ignored, and there is no such descriptor. */
#define START_BEGINS() raise(SIGURG)
#define START_ENDS() close(0x53574545)

#endif
