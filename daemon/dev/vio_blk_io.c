/* SPDX-License-Identifier: ISC */
/*
 * How requests of a block device are done: one alone by preadv(2), with one
 * system call; several by one io_submit(2), as long as they last.
 * Runs in: device process, a thread a queue; vm process, where there are no
 * contexts for io_submit(2).
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/vio_blk.h"

static const char *
verb(const struct blk_req *r)
{
	switch (r->type) {
	case BLK_T_IN:
		return ("read");
	case BLK_T_OUT:
		return ("write");
	default:
		return ("discard or zero");
	}
}

/* Would it help to wait until somebody has made room, or put a cable in? */
static bool
sticks(
    const struct vio *v, const struct vq *q, const struct blk_req *r, int error)
{
	const struct blk *b = v->state;

	if (q->log == NULL || v->carrier->stuck == NULL)
		return (false); /* nobody would bring it back */
	if (r->type == BLK_T_FLUSH)
		return (false); /* what is lost does not come back */
	switch (b->on_error) {
	case DEV_ERROR_PAUSE:
		return (true);
	case DEV_ERROR_PAUSE_ENOSPC:
		return (error == ENOSPC || error == EDQUOT);
	default:
		return (false);
	}
}

static void
count(struct blk_figures *f, const struct blk_req *r)
{
	switch (r->type) {
	case BLK_T_IN:
		f->reads++;
		f->read_bytes += r->bytes;
		break;
	case BLK_T_OUT:
		f->writes++;
		f->write_bytes += r->bytes;
		break;
	case BLK_T_FLUSH:
		f->flushes++;
		break;
	default:
		f->discards++;
		break;
	}
}

/*
 * It has ended, well when error is 0.  A request that is stuck is not given
 * back, so it stays in the log.  What went wrong wrote nothing that the guest
 * may look at but the status.
 */
static void
finish(
    struct vio *v, struct vq *q, struct blk_req *r, int error, uint64_t now_ns)
{
	struct blk *b = v->state;
	struct blk_queue *bq = &b->queue[q - v->vq];
	uint32_t written = 1;

	bq->idle[bq->nidle++] = r;
	if (error != 0 && sticks(v, q, r, error)) {
		err_set(&bq->stuck, error,
		    "cannot %s %" PRIu32 " bytes at %" PRIu64
		    ": %s; help it, then unpause",
		    verb(r), r->bytes, r->off, strerror(error));
		return;
	}
	if (error == 0) {
		count(&bq->sum, r);
		written += r->type == BLK_T_IN ? r->bytes : 0;
		devpage_hist_add(r->type == BLK_T_FLUSH ? b->page->flush_hist
							: b->page->io_hist,
		    now_ns - r->start_ns);
	} else
		bq->sum.errors++;
	*r->status = error == 0 ? BLK_S_OK : BLK_S_IOERR;
	bq->chain.head = r->head; /* vq_push() looks at no more of it */
	bq->chain.in_bytes = r->in_bytes;
	vq_push(q, &bq->chain, written);
	bq->pushed = true;
}

static int
do_ranges(struct disk *d, const struct blk_req *r)
{
	const struct blk_range *g;
	uint64_t off, len;
	unsigned i;
	int ret = 0;

	for (i = 0; i < r->n && ret == 0; i++) {
		g = &r->range[i];
		off = g->sector * DISK_SECTOR;
		len = (uint64_t)g->sectors * DISK_SECTOR;
		if (len == 0)
			continue;
		if (r->type == BLK_T_DISCARD)
			ret = d->ops->discard(d, off, len);
		else
			ret = d->ops->zero(
			    d, off, len, (g->flags & BLK_RANGE_UNMAP) != 0);
	}
	return (ret);
}

/* Now, and until it is done.  0 or errno. */
static int
do_one(struct disk *d, const struct blk_req *r)
{
	int n = (int)r->n, ret = 0;

	switch (r->type) {
	case BLK_T_IN:
		if (r->bytes != 0)
			ret = d->ops->readv(d, r->iov, n, r->off);
		break;
	case BLK_T_OUT:
		if (r->bytes != 0)
			ret = d->ops->writev(d, r->iov, n, r->off);
		break;
	case BLK_T_FLUSH:
		ret = disk_flush(d);
		break;
	default:
		ret = do_ranges(d, r);
		break;
	}
	return (ret == 0 ? 0 : errno);
}

/*
 * 5.2.6.2: when the driver does not know of flushes, a write that is done is
 * on the medium.
 */
static int
do_stable(const struct vio *v, struct disk *d, const struct blk_req *r)
{
	int error = do_one(d, r);

	if (error == 0 && r->type != BLK_T_IN && !(v->features & BLK_F_FLUSH) &&
	    disk_flush(d) == -1)
		error = errno;
	return (error);
}

static bool
to_iocb(const struct vio *v, struct disk *d, struct blk_req *r)
{
	bool write = r->type == BLK_T_OUT;
	uint64_t off;
	int fd;

	if (r->bytes == 0 || (r->type != BLK_T_IN && !write) ||
	    (write && !(v->features & BLK_F_FLUSH)) ||
	    !d->ops->map(
		d, r->iov, (int)r->n, r->off, r->bytes, write, &fd, &off))
		return (false);
	memset(&r->cb, 0, sizeof(r->cb));
	r->cb.aio_data = (uintptr_t)r;
	r->cb.aio_lio_opcode = write ? IOCB_CMD_PWRITEV : IOCB_CMD_PREADV;
	r->cb.aio_fildes = (uint32_t)fd;
	r->cb.aio_buf = (uintptr_t)r->iov;
	r->cb.aio_nbytes = r->n;
	r->cb.aio_offset = (int64_t)off;
	return (true);
}

/* Move what can fly from todo into the air. */
static void
submit(struct vio *v, struct vq *q, aio_context_t ctx)
{
	struct blk *b = v->state;
	struct blk_queue *bq = &b->queue[q - v->vq];
	unsigned i, n = 0, left = 0;
	long got;

	for (i = 0; i < bq->ntodo; i++)
		if (to_iocb(v, &b->disk, bq->todo[i]))
			bq->cb[n++] = &bq->todo[i]->cb;
		else
			bq->todo[left++] = bq->todo[i];
	bq->ntodo = left;
	for (i = 0; i < n; i += (unsigned)got) {
		got = b->disk.sys->submit(ctx, (long)(n - i), bq->cb + i);
		if (got > 0) {
			bq->nflying += (unsigned)got;
			continue;
		}
		/* The kernel is short of something, or does not want it. */
		bq->todo[bq->ntodo++] = (void *)(uintptr_t)bq->cb[i]->aio_data;
		got = 1;
	}
}

/*
 * How a flight ended.  What was cut short, or not to the file's liking, is
 * done again from its beginning: then it ends, one way or the other.
 */
static int
landed(struct disk *d, const struct blk_req *r, int64_t res)
{
	if (res == (int64_t)r->bytes)
		return (0);
	if (res >= 0 || res == -EINVAL || res == -EAGAIN || res == -EINTR)
		return (do_one(d, r));
	return ((int)-res);
}

static void
reap(struct vio *v, struct vq *q, aio_context_t ctx)
{
	struct blk *b = v->state;
	struct blk_queue *bq = &b->queue[q - v->vq];
	struct blk_req *r;
	uint64_t now;
	long i, n;

	do
		n = b->disk.sys->getevents(
		    ctx, 1, (long)bq->nflying, bq->event, NULL);
	while (n == -1 && errno == EINTR);
	if (n <= 0) /* the kernel has them, and guest memory with them */
		abort();
	bq->nflying -= (unsigned)n;
	now = v->carrier->now_ns(v);
	for (i = 0; i < n; i++) {
		r = (void *)(uintptr_t)bq->event[i].data;
		finish(v, q, r, landed(&b->disk, r, bq->event[i].res), now);
	}
	devpage_count(&b->page->inflight, -(uint64_t)n);
}

/* One flush serves all that came before it. */
static void
do_rest(struct vio *v, struct vq *q)
{
	struct blk *b = v->state;
	struct blk_queue *bq = &b->queue[q - v->vq];
	struct blk_req *r;
	unsigned i, left = 0;
	int error;

	for (i = 0; i < bq->ntodo; i++) {
		r = bq->todo[i];
		if (r->type == BLK_T_FLUSH) {
			bq->todo[left++] = r;
			continue;
		}
		error = do_stable(v, &b->disk, r);
		finish(v, q, r, error, v->carrier->now_ns(v));
	}
	error = left > 0 ? do_one(&b->disk, bq->todo[0]) : 0;
	for (i = 0; i < left; i++)
		finish(v, q, bq->todo[i], error, v->carrier->now_ns(v));
}

void
blk_run(struct vio *v, struct vq *q)
{
	struct blk *b = v->state;
	struct blk_queue *bq = &b->queue[q - v->vq];
	aio_context_t ctx = v->aio[q - v->vq];
	unsigned n;

	if (ctx != 0 && bq->ntodo + bq->nflying > 1)
		submit(v, q, ctx);
	n = bq->ntodo;
	if (n > 0) {
		do_rest(v, q);
		devpage_count(&b->page->inflight, -(uint64_t)n);
	}
	bq->ntodo = 0;
	if (bq->nflying > 0)
		reap(v, q, ctx);
}
