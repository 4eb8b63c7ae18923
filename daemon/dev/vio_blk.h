/* SPDX-License-Identifier: ISC */
/* What vio_blk.c and vio_blk_io.c share, and tests that look inside. */
#ifndef DEV_VIO_BLK_H
#define DEV_VIO_BLK_H

#include "daemon/dev/virtio.h"
#include "daemon/disk/disk.h"
#include "shared/devpage.h"

/* virtio 1.2, 5.2.3 */
#define BLK_F_SEG_MAX (1ull << 2)
#define BLK_F_RO (1ull << 5)
#define BLK_F_BLK_SIZE (1ull << 6)
#define BLK_F_FLUSH (1ull << 9)
#define BLK_F_TOPOLOGY (1ull << 10)
#define BLK_F_MQ (1ull << 12)
#define BLK_F_DISCARD (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)

/* 5.2.6: types and how they end. */
enum blk_type {
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_GET_ID = 8,
	BLK_T_DISCARD = 11,
	BLK_T_WRITE_ZEROES = 13,
};

enum blk_status {
	BLK_S_OK,
	BLK_S_IOERR,
	BLK_S_UNSUPP,
};

#define BLK_QUEUE_SIZE 256
#define BLK_SEG_MAX (BLK_QUEUE_SIZE - 2) /* but header and status */
#define BLK_BATCH VIO_AIO_MAX
#define BLK_ID_BYTES 20
/* Of one request; more would keep a queue busy for too long. */
#define BLK_RANGES_MAX 32
#define BLK_DISCARD_SECTORS_MAX (1u << 21) /* 1 GiB */
#define BLK_ZERO_SECTORS_MAX (1u << 17)    /* 64 MiB, perhaps written */

#define BLK_RANGE_UNMAP 1u
struct blk_range { /* 5.2.6 */
	uint64_t sector;
	uint32_t sectors, flags;
};

/* What the guest asked for, judged, and private but for the data. */
struct blk_req {
	struct iocb cb;
	uint8_t *status; /* the last byte that it lets us write */
	uint64_t off, start_ns;
	uint32_t bytes;    /* of data */
	uint32_t in_bytes; /* as vq_push() wants it */
	uint16_t head;
	uint8_t type;
	unsigned n; /* of iov or range */
	union {
		struct iovec *iov; /* BLK_QUEUE_SIZE */
		struct blk_range *range;
	};
};

struct blk_figures {
	uint64_t reads, writes, flushes, discards, errors;
	uint64_t read_bytes, write_bytes;
};

/* Of the one thread that serves this queue. */
struct blk_queue {
	struct vq_chain chain; /* the request that is being read */
	struct blk_req *idle[BLK_BATCH], *todo[BLK_BATCH];
	unsigned nidle, ntodo;
	unsigned nflying; /* in io_submit(2)'s hands */
	bool pushed;      /* since the guest was last told */
	struct err stuck; /* code 0: it is not */
	struct blk_figures sum;
	struct iocb *cb[BLK_BATCH];
	struct io_event event[BLK_BATCH];
	struct blk_req req[BLK_BATCH];
	struct iovec iov[BLK_BATCH][BLK_QUEUE_SIZE];
};

struct blk {
	struct disk disk;
	struct blk_queue *queue; /* v->nqueues */
	struct devpage *page;
	uint64_t sectors;
	uint8_t on_error; /* enum dev_on_error */
	char serial[BLK_ID_BYTES];
};

/*
 * Do, or begin, all that is in todo, and take what has ended; waits for one at
 * least if any was begun.
 */
void blk_run(struct vio *, struct vq *);

#endif
