/* SPDX-License-Identifier: ISC */
/*
 * Disk images: one const table a format.  An image is a row of bytes; whoever
 * asks has checked against its size.  What guests wait for returns 0, or -1
 * with errno; any thread may ask, at the same time as others.
 * Trusts: nobody; an image is its owner's.
 */
#ifndef DISK_DISK_H
#define DISK_DISK_H

#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include "shared/err.h"

#define DISK_SECTOR 512
#define DISK_FILES_MAX 8

struct disk;

/*
 * Every system call that guests' requests make goes through here, so that a
 * test can write them down, or let the nth one fail.
 */
struct disk_sys {
	ssize_t (*preadv)(int, const struct iovec *, int, off_t);
	ssize_t (*pwritev)(int, const struct iovec *, int, off_t);
	int (*fallocate)(int, int mode, off_t, off_t len);
	int (*fdatasync)(int);
	long (*submit)(aio_context_t, long n, struct iocb **);
	long (*getevents)(aio_context_t, long min, long n, struct io_event *,
	    struct timespec *);
};
extern const struct disk_sys disk_sys_linux;

struct disk_conf {
	bool readonly;
	bool direct; /* past the host's page cache, where the file takes it */
	/* Not 0: a flush failed.  Outlives the process; optional. */
	_Atomic uint64_t *lost;
};

/* How the image likes to be used; powers of two but for its size. */
struct disk_limits {
	uint64_t bytes;         /* of the image, a multiple of block_bytes */
	uint32_t block_bytes;   /* the smallest piece that costs no more */
	uint32_t phys_bytes;    /* what the storage below writes at once */
	uint32_t discard_bytes; /* what can be given back; 0: nothing */
};

struct disk_ops {
	const char *name;
	size_t state_bytes;
	/* Outside the sandbox: asks the host about the files, reads none. */
	int (*prepare)(struct disk *, struct err *);
	/* In the sandbox; d->limits are final.  Optional. */
	int (*open)(struct disk *, struct err *);
	void (*close)(struct disk *); /* after a failed prepare() too */
	/* All of it or -1; then any part of it may have been done. */
	int (*readv)(struct disk *, const struct iovec *, int n, uint64_t off);
	int (*writev)(struct disk *, const struct iovec *, int n, uint64_t off);
	int (*flush)(struct disk *);
	/* Back to the host; what is read there next is anything. */
	int (*discard)(struct disk *, uint64_t off, uint64_t len_bytes);
	/* unmap: may be given back to the host. */
	int (*zero)(
	    struct disk *, uint64_t off, uint64_t len_bytes, bool unmap);
	/*
	 * For I/O past the functions above (io_submit): true, and where, if
	 * these bytes are one piece of one file that takes them as they are.
	 */
	bool (*map)(struct disk *, const struct iovec *, int n, uint64_t off,
	    uint64_t len_bytes, bool write, int *fd, uint64_t *file_off);
};

/* Flushes in turn, many asked for at once done by one: see disk_flush(). */
struct disk_flusher {
	pthread_mutex_t mtx;
	pthread_cond_t done;
	uint64_t begun, ended; /* lock: mtx */
	bool lost;             /* lock: mtx; one failed */
};

struct disk {
	const struct disk_ops *ops;
	const struct disk_sys *sys;
	struct disk_conf conf;
	struct disk_limits limits;
	int fd[DISK_FILES_MAX]; /* the image, then what it is based on */
	unsigned nfds;
	void *state; /* ops->state_bytes */
	struct disk_flusher flusher;
};

/* Outside the sandbox.  Takes nfds fds and leaves -1 there, in any case. */
int disk_prepare(struct disk *, const struct disk_ops *,
    const struct disk_conf *, const struct disk_sys *, int *fd, unsigned nfds,
    struct err *);
/* In the sandbox. */
int disk_open(struct disk *, struct err *);
/* Any disk, also one of zeros that was never prepared. */
void disk_close(struct disk *);
/*
 * What was written before is on the medium: 0.  After one -1 there are only
 * more of them, until the image is opened again.
 */
int disk_flush(struct disk *);

extern const struct disk_ops disk_raw;

#endif
