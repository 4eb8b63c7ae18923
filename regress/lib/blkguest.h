/* SPDX-License-Identifier: ISC */
/*
 * A guest's block driver and the carrier of its device in one: vio_blk on an
 * image of its own, with rings in guest memory and nothing between.
 */
#ifndef REGRESS_BLKGUEST_H
#define REGRESS_BLKGUEST_H

#include "daemon/dev/vio_blk.h"

#define BG_MEM_BYTES (16u << 20)
#define BG_DATA 0x100000 /* gpa; below: rings, and headers and statuses */
#define BG_HEAD 0x80000
#define BG_RING BLK_QUEUE_SIZE

struct bg_conf {
	const char *dir;   /* of the image; NULL: /dev/shm */
	uint64_t bytes;    /* 0: 1 MiB */
	uint64_t features; /* that the guest does not take */
	uint32_t nqueues;  /* 0: 1 */
	uint8_t readonly, direct, on_error;
	bool aio, log, event_idx;
	bool lost; /* the page says that an earlier process lost writes */
};

struct bg_buf {
	uint64_t gpa;
	uint32_t len;
	bool in; /* the device writes */
};

struct blkguest {
	struct mem mem;
	struct vio v;
	struct devpage page;
	struct devpage_conf conf;
	struct vq_log *log[VIO_QUEUES_MAX];
	int fd; /* of the image, our own */
	uint16_t desc[VIO_QUEUES_MAX], avail[VIO_QUEUES_MAX],
	    used[VIO_QUEUES_MAX];
	bool event_idx;
	/* What the device did to its carrier. */
	unsigned signals, resets, stucks;
	struct err stuck;
};

/*
 * A directory whose file system takes O_DIRECT: where the test is, $TMPDIR, /tmp
 * or /var/tmp; NULL if none does, and then the case is skipped.
 */
const char *bg_direct_dir(void);
/* 0, or -1 with the device's words. */
int bg_try(struct blkguest *, const struct bg_conf *, struct err *);
/* As bg_try(), or the test ends; everything goes through faultsys. */
void bg_open(struct blkguest *, const struct bg_conf *);
void bg_close(struct blkguest *);
struct blk *bg_blk(struct blkguest *);
void *bg_ptr(struct blkguest *, uint64_t gpa);

/* Make a chain available: its head. */
uint16_t bg_put(
    struct blkguest *, unsigned q, const struct bg_buf *, unsigned n);
/* Header at BG_HEAD + 32 * slot, status after it; data of len at gpa. */
uint16_t bg_ask(struct blkguest *, unsigned q, unsigned slot, uint32_t type,
    uint64_t sector, uint64_t gpa, uint32_t len);
uint8_t bg_status(struct blkguest *, unsigned slot);
void bg_kick(struct blkguest *, unsigned q);
bool bg_used(struct blkguest *, unsigned q, uint32_t *id, uint32_t *len);
/* Ask in slot 0 of queue 0, kick: the status; 0xff when nothing came back. */
uint8_t bg_do(struct blkguest *, uint32_t type, uint64_t sector, uint64_t gpa,
    uint32_t len, uint32_t *written);
/* Open the queue anew, as after a reset. */
int bg_requeue(struct blkguest *, unsigned q);
/* As pause and unpause: what was in flight comes again. */
int bg_restart(struct blkguest *, unsigned q);
/* A pattern of bytes, another for each seed; is it there? */
void bg_fill(void *, size_t n, unsigned seed);
bool bg_same(const void *, size_t n, unsigned seed);

#endif
