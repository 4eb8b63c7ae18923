/* SPDX-License-Identifier: ISC */
/*
 * How a device process comes to its image: it opens it itself, as root and with
 * the rights that it is told, before it enters its sandbox.  For whoever has a
 * file of a server that is silent waits for that server, in open(2), in fstat(2)
 * and at the end in close(2); and that must not be the parent.
 *
 *	parent				device process
 *	order, then the spawn
 *					opens
 *					found: that file; or why not
 *	its table: nobody else's?
 *	go
 *					locks
 *					locked; or why not
 *					the sandbox
 *
 * Each is one message of a SOCK_SEQPACKET pair, the process's end of which is
 * where its image will be.  After a "why not" it waits to be killed.
 */
#ifndef PROC_OPENER_H
#define PROC_OPENER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/proc/open.h"
#include "shared/err.h"
#include "shared/proto.h"

struct opener_order {
	char path[PATH_BYTES];
	struct open_owner owner;
	struct msg_cred asker;
	uint8_t readonly, direct;
	uint8_t has_asker; /* else the owner's rights count */
	uint8_t pad;
};

enum opener_what {
	OPENER_FOUND,
	OPENER_LOCKED,
	OPENER_FAILED, /* code, text */
	OPENER_N,
};

struct opener_answer {
	uint32_t what;
	uint32_t direct; /* FOUND: it is open so */
	uint64_t dev, ino, bytes;
	int32_t code;
	char text[ERR_TEXT_BYTES];
};

/* ---- the parent: none of these waits ---- */

/* sv[0] is its end, with the order in it; sv[1] the process's. */
int opener_order(int sv[2], const struct opener_order *, struct err *);
int opener_go(int sock, struct err *);
/* 1: an answer; 0: not yet; -1: there is none that makes sense. */
int opener_answer(int sock, struct opener_answer *, struct err *);
/* The same of bytes: 0 or -1; text is one printable line then. */
int opener_answer_check(struct opener_answer *, size_t bytes, struct err *);

/* ---- the device process ---- */

/*
 * PROC_IMAGE_FD is the socket; after 0 it is the image, open and locked.  -1:
 * there is nobody any more who wants it.
 */
int opener_run(struct err *);
/* lock.c */
int opener_lock(const char *path, bool readonly, int fd, struct err *);

#endif
