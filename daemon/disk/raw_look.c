/* SPDX-License-Identifier: ISC */
/*
 * Raw images: what the host says of the file.
 * Runs in: device process, before its sandbox is shut; reads no byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "daemon/disk/raw_int.h"

#define BLOCK_MAX 4096u /* a guest's pages are no larger, nor its blocks */
#define PHYS_MAX (64u << 10)
/* Where a file system takes direct I/O and does not say how: pages. */
#define ALIGN_SURE 4096u

static bool
is_pow2(uint64_t v, uint32_t min, uint32_t max)
{
	return (v >= min && v <= max && (v & (v - 1)) == 0);
}

static uint32_t
pow2_within(uint64_t v, uint32_t min, uint32_t max)
{
	return (is_pow2(v, min, max) ? (uint32_t)v : min);
}

static int
look_blkdev(struct disk *d, struct err *e)
{
	struct disk_limits *l = &d->limits;
	unsigned phys = 0;
	int block = 0;

	if (ioctl(d->fd[0], BLKGETSIZE64, &l->bytes) == -1 ||
	    ioctl(d->fd[0], BLKSSZGET, &block) == -1)
		return (err_errno(e, "the device does not tell its size"));
	if (ioctl(d->fd[0], BLKPBSZGET, &phys) == -1)
		phys = 0;
	l->block_bytes = pow2_within((unsigned)block, DISK_SECTOR, BLOCK_MAX);
	l->phys_bytes = pow2_within(phys, l->block_bytes, PHYS_MAX);
	l->discard_bytes = l->phys_bytes;
	return (0);
}

/*
 * The hole asked for lies where no bytes are, so that nothing is lost but the
 * knowledge whether this file system makes any.
 */
static void
look_file(struct disk *d, const struct statx *st)
{
	struct disk_limits *l = &d->limits;

	l->bytes = st->stx_size;
	l->block_bytes = DISK_SECTOR;
	l->phys_bytes = pow2_within(st->stx_blksize, DISK_SECTOR, PHYS_MAX);
	if (!d->conf.readonly &&
	    d->sys->fallocate(d->fd[0],
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		(off_t)((st->stx_size + PHYS_MAX) & ~(PHYS_MAX - 1ull)),
		PHYS_MAX) == 0)
		l->discard_bytes = l->phys_bytes;
}

/* Blocks of direct I/O are what costs no reading before writing. */
static void
look_direct(struct disk *d, const struct statx *st)
{
	struct disk_limits *l = &d->limits;
	struct raw *r = d->state;
	int flags;

	if (!d->conf.direct)
		return;
	r->mem_align = r->off_align = ALIGN_SURE;
	if (st->stx_mask & STATX_DIOALIGN) {
		r->mem_align = st->stx_dio_mem_align;
		r->off_align = st->stx_dio_offset_align;
	}
	if (!is_pow2(r->mem_align, 1, ALIGN_SURE) ||
	    !is_pow2(r->off_align, 1, BLOCK_MAX) ||
	    (flags = fcntl(d->fd[0], F_GETFL)) == -1 ||
	    fcntl(d->fd[0], F_SETFL, flags | O_DIRECT) == -1) {
		r->mem_align = r->off_align = 1;
		return;
	}
	if (l->block_bytes < r->off_align)
		l->block_bytes = r->off_align;
	if (l->phys_bytes < l->block_bytes)
		l->phys_bytes = l->block_bytes;
}

int
raw_look(struct disk *d, struct err *e)
{
	struct disk_limits *l = &d->limits;
	struct raw *r = d->state;
	struct statx st;

	r->mem_align = r->off_align = 1;
	if (statx(d->fd[0], "", AT_EMPTY_PATH,
		STATX_BASIC_STATS | STATX_DIOALIGN, &st) == -1)
		return (err_errno(e, "cannot look at the image"));
	if (S_ISBLK(st.stx_mode)) {
		if (look_blkdev(d, e) == -1)
			return (-1);
	} else if (S_ISREG(st.stx_mode))
		look_file(d, &st);
	else
		return (err_set(e, EINVAL,
		    "a disk image is a file or a block device, this is none"));
	look_direct(d, &st);
	/* A last piece that is no whole block is not the guest's. */
	l->bytes &= ~(l->block_bytes - 1ull);
	if (l->bytes == 0)
		return (err_set(e, EINVAL,
		    "the image is empty; make one with vmctl create"));
	return (0);
}
