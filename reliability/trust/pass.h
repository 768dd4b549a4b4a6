/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef PASS_H
#define PASS_H

/* Sends a descriptor over a socket and closes it here. 0, or -1 with errno. */
int pass_over(int socket, int fd);
/* The same to the service that listens at a path. */
int pass_to(const char *path, int fd);

#endif
