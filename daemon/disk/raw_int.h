/* SPDX-License-Identifier: ISC */
/* What raw.c and raw_look.c share. */
#ifndef DISK_RAW_INT_H
#define DISK_RAW_INT_H

#include "daemon/disk/disk.h"

#define RAW_BOUNCE_BYTES (128u << 10)

struct raw {
	uint32_t mem_align, off_align; /* of direct I/O; 1: anything goes */
	/* For requests that direct I/O does not take as they are. */
	pthread_mutex_t mtx;
	uint8_t *bounce; /* lock: mtx; NULL: not direct */
};

/* Fill limits and the two alignments; O_DIRECT is set where it may be. */
int raw_look(struct disk *, struct err *);

#endif
