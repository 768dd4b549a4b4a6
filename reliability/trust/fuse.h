/* A FUSE file system with one file, "file", of one page.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef FUSE_SERVER_H
#define FUSE_SERVER_H

#include <stdbool.h>

/* Mounts it in a directory by a descriptor of /dev/fuse. OPTIONS are further mount options; 0, or -1 and errno. */
int fuse_mount(int fuse, const char *directory, const char *options);

/* Answers one request. A read is not answered: true. */
bool fuse_serve(int fuse);

#endif
