/* SPDX-License-Identifier: ISC */
/*
 * Files whose bytes a guest will see, opened with the rights that count.  Each
 * of these waits for the file's server, if it has one.  Only as root, and with
 * one thread.
 */
#ifndef PROC_OPEN_H
#define PROC_OPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/proto.h"

#define OPEN_NO_GROUP UINT32_MAX

/* Of a VM. */
struct open_owner {
	uint32_t uid, gid; /* gid may be OPEN_NO_GROUP */
};

struct open_disk {
	const char *path;
	bool readonly, direct;
	struct open_owner owner;
	const struct msg_cred *asker; /* NULL: the owner's rights count */
};

int open_image(const char *what, const char *path, const struct open_owner *,
    int *fd, struct err *);
/*
 * For reading and, if it is not read-only, writing: with the owner's rights as
 * above, or with those of an asker alone.  *direct: is it open so.
 */
int open_disk(const struct open_disk *, bool *direct, int *fd, struct err *);
int open_directory(
    const char *path, const struct open_owner *, int *fd, struct err *);

#endif
