/* SPDX-License-Identifier: ISC */
/*
 * A file of a FUSE mount whose server answers nobody but the calling process:
 * whoever else closes it waits, and cannot be killed meanwhile.  Needs root and
 * moves the caller into a mount namespace of its own.
 */
#ifndef REGRESS_SILENTFUSE_H
#define REGRESS_SILENTFUSE_H

#include <sys/types.h>

struct silentfuse {
	pid_t pid; /* the server */
	char dir[32];
};

/* A FUSE file system on dir: the server's fd; -1 with errno. */
int silentfuse_mount(const char *dir, const char *more_options);
/* The file, open for reading; -1 with errno. */
int silentfuse_open(struct silentfuse *);
/* The server dies; who waited goes on. */
void silentfuse_close(struct silentfuse *);

#endif
