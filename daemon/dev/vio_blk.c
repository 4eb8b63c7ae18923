/* SPDX-License-Identifier: ISC */
/*
 * Block device (virtio 1.2, 5.2): what the guest asks for, judged.  How it is
 * done is in vio_blk_io.c, where it is kept in daemon/disk.
 * Runs in: device process, a thread a queue; vm process.  Trusts: nobody.
 */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/snap.h"
#include "daemon/dev/vio_blk.h"
#include "shared/iov.h"

/* 5.2.6 */
struct blk_head {
	uint32_t type, reserved;
	uint64_t sector;
};

/* 5.2.4, as it lies in v->cfg. */
struct blk_cfg {
	uint64_t capacity;
	uint32_t size_max, seg_max, geometry, blk_size;
	uint8_t phys_exp, align_off;
	uint16_t min_io;
	uint32_t opt_io;
	uint8_t writeback, unused0;
	uint16_t num_queues;
	uint32_t discard_sectors, discard_segs, discard_align;
	uint32_t zero_sectors, zero_segs;
	uint8_t zero_unmap, unused1[3];
} __attribute__((packed));
_Static_assert(sizeof(struct blk_cfg) == 60, "5.2.4");
_Static_assert(sizeof(struct blk_cfg) <= VIO_CFG_MAX, "v->cfg");

/* ---- Requests --------------------------------------------------------------- */

static bool
range_ok(const struct blk *b, uint64_t sector, uint64_t sectors)
{
	return (sector <= b->sectors && sectors <= b->sectors - sector);
}

/* Keep the data's buffers: what is to be written or, for IN, but the status. */
static enum blk_status
read_or_write(const struct blk *b, struct blk_req *r, struct vq_chain *c,
    const struct blk_head *h)
{
	bool in = r->type == BLK_T_IN;
	uint64_t sector = le64toh(h->sector);
	struct iovec *v = in ? c->in : c->iov;

	r->bytes = in ? c->in_bytes - 1
		      : c->out_bytes - (uint32_t)sizeof(struct blk_head);
	if (r->bytes % DISK_SECTOR != 0 ||
	    !range_ok(b, sector, r->bytes / DISK_SECTOR) ||
	    (!in && b->disk.conf.readonly))
		return (BLK_S_IOERR);
	r->n = in ? iov_cut_back(v, c->nin, 1)
		  : iov_cut_front(v, c->nout, sizeof(struct blk_head));
	r->off = sector * DISK_SECTOR;
	memcpy(r->iov, v, r->n * sizeof(*v));
	return (BLK_S_OK);
}

/* 5.2.6.2: a flag that is not known, or has no meaning here, is UNSUPP. */
static enum blk_status
range_check(const struct blk *b, uint8_t type, const struct blk_range *g)
{
	bool discard = type == BLK_T_DISCARD;
	uint32_t known = discard ? 0 : BLK_RANGE_UNMAP;
	uint32_t max = discard ? BLK_DISCARD_SECTORS_MAX : BLK_ZERO_SECTORS_MAX;

	if (g->flags & ~known)
		return (BLK_S_UNSUPP);
	if (g->sectors > max || !range_ok(b, g->sector, g->sectors))
		return (BLK_S_IOERR);
	return (BLK_S_OK);
}

/* All ranges are good, or none is touched. */
static enum blk_status
ranges(const struct blk *b, struct blk_req *r, const struct vq_chain *c)
{
	uint32_t bytes = c->out_bytes - (uint32_t)sizeof(struct blk_head);
	enum blk_status s = BLK_S_OK;
	struct blk_range *g;
	unsigned i;

	r->n = bytes / sizeof(*g);
	if (b->disk.conf.readonly || bytes == 0 || bytes % sizeof(*g) != 0 ||
	    r->n > BLK_RANGES_MAX)
		return (BLK_S_IOERR);
	iov_get(c->iov, c->nout, sizeof(struct blk_head), r->range, bytes);
	for (i = 0; i < r->n && s == BLK_S_OK; i++) {
		g = &r->range[i];
		g->sector = le64toh(g->sector);
		g->sectors = le32toh(g->sectors);
		g->flags = le32toh(g->flags);
		s = range_check(b, r->type, g);
	}
	return (s);
}

/* 5.2.6: 20 bytes, or as many of them as there is room for. */
static enum blk_status
get_id(const struct blk *b, struct blk_req *r, const struct vq_chain *c)
{
	uint32_t n = c->in_bytes - 1;

	r->bytes = n < BLK_ID_BYTES ? n : BLK_ID_BYTES;
	iov_put(c->in, c->nin, 0, b->serial, r->bytes);
	return (BLK_S_OK);
}

/* OK: it is to be done, or has been. */
static enum blk_status
judge(struct vio *v, struct blk_req *r, struct vq_chain *c)
{
	const struct blk *b = v->state;
	struct blk_head h;

	if (iov_get(c->iov, c->nout, 0, &h, sizeof(h)) != sizeof(h) ||
	    c->nout + c->nin > BLK_QUEUE_SIZE)
		return (BLK_S_IOERR);
	if (le32toh(h.type) > UINT8_MAX)
		return (BLK_S_UNSUPP);
	r->type = (uint8_t)le32toh(h.type);
	switch (r->type) {
	case BLK_T_IN:
	case BLK_T_OUT:
		return (read_or_write(b, r, c, &h));
	case BLK_T_FLUSH:
		return (BLK_S_OK);
	case BLK_T_GET_ID:
		return (get_id(b, r, c));
	case BLK_T_DISCARD:
		if (v->features & BLK_F_DISCARD)
			return (ranges(b, r, c));
		return (BLK_S_UNSUPP);
	case BLK_T_WRITE_ZEROES:
		if (v->features & BLK_F_WRITE_ZEROES)
			return (ranges(b, r, c));
		return (BLK_S_UNSUPP);
	default:
		return (BLK_S_UNSUPP);
	}
}

/*
 * 5.2.6: header, data and status are bytes in this order, in whatever
 * descriptors (2.7.4); the status is the last of all.
 */
static void
take(struct vio *v, struct blk_queue *bq, struct vq *q)
{
	struct vq_chain *c = &bq->chain;
	struct blk_req *r;
	enum blk_status s;

	if (c->in_bytes == 0) { /* no place to say anything */
		bq->sum.errors++;
		vq_push(q, c, 0);
		bq->pushed = true;
		return;
	}
	r = bq->idle[bq->nidle - 1];
	r->head = c->head;
	r->in_bytes = c->in_bytes;
	r->bytes = 0;
	r->n = 0;
	r->status = (uint8_t *)c->in[c->nin - 1].iov_base +
	    c->in[c->nin - 1].iov_len - 1;
	s = judge(v, r, c);
	if (s == BLK_S_OK && r->type != BLK_T_GET_ID) {
		bq->nidle--;
		bq->todo[bq->ntodo++] = r;
		return;
	}
	*r->status = s;
	bq->sum.errors += s == BLK_S_IOERR;
	vq_push(q, c, s == BLK_S_OK ? r->bytes + 1 : 1);
	bq->pushed = true;
}

static void
add(_Atomic uint64_t *figure, uint64_t n)
{
	if (n != 0)
		devpage_count(figure, n);
}

static void
figures(struct devpage *page, struct blk_figures *f)
{
	add(&page->reads, f->reads);
	add(&page->writes, f->writes);
	add(&page->flushes, f->flushes);
	add(&page->discards, f->discards);
	add(&page->errors, f->errors);
	add(&page->read_bytes, f->read_bytes);
	add(&page->write_bytes, f->write_bytes);
	memset(f, 0, sizeof(*f));
}

/* With something to do, an empty ring is not worth a word to the guest. */
static bool
worth_a_pop(const struct blk_queue *bq, const struct vq *q)
{
	return (bq->nidle > 0 && (bq->ntodo + bq->nflying == 0 || vq_waits(q)));
}

/* As many as there is room for; what the last vq_pop() said. */
static int
fill(struct vio *v, struct blk_queue *bq, struct vq *q)
{
	struct blk *b = v->state;
	unsigned first = bq->ntodo, i;
	uint64_t now;
	int more = 1;

	while (worth_a_pop(bq, q) && (more = vq_pop(q, &bq->chain)) == 1)
		take(v, bq, q);
	if (bq->ntodo == first)
		return (more);
	now = v->carrier->now_ns(v);
	for (i = first; i < bq->ntodo; i++)
		bq->todo[i]->start_ns = now;
	devpage_count(&b->page->inflight, bq->ntodo - first);
	return (more);
}

/*
 * The ring is looked at again whenever some have ended, until it is empty: a
 * guest that is quick enough need not notify, which is dear to it.
 */
static void
blk_kick(struct vio *v, struct vq *q)
{
	struct blk *b = v->state;
	struct blk_queue *bq = &b->queue[q - v->vq];
	bool busy;
	int more = 1;

	bq->stuck.code = 0;
	do {
		if (more != -1 && bq->stuck.code == 0)
			more = fill(v, bq, q);
		busy = bq->ntodo + bq->nflying > 0;
		if (busy)
			blk_run(v, q);
		if (bq->pushed)
			v->carrier->signal(v, q);
		bq->pushed = false;
		figures(b->page, &bq->sum);
	} while (busy);
	if (more == -1)
		v->carrier->needs_reset(v);
	else if (bq->stuck.code != 0)
		v->carrier->stuck(v, q, &bq->stuck);
}

/* ---- The device ------------------------------------------------------------- */

static int
blk_prepare(struct vio *v, const struct vio_conf *conf, struct err *e)
{
	const struct devpage_conf *dc = conf->conf;
	struct disk_conf disk = {
		.readonly = dc->readonly != 0,
		.direct = dc->direct != 0,
		.lost = &conf->page->lost,
	};
	struct blk *b = v->state;
	struct blk_queue *bq;
	unsigned i, j;

	b->page = conf->page;
	b->on_error = dc->on_error;
	memcpy(b->serial, dc->serial, sizeof(b->serial));
	if (dc->nqueues >= 1 && dc->nqueues < v->nqueues)
		v->nqueues = (uint8_t)dc->nqueues;
	if ((b->queue = calloc(v->nqueues, sizeof(*b->queue))) == NULL)
		return (err_errno(e, "no memory for %u queues", v->nqueues));
	for (i = 0; i < v->nqueues; i++) {
		bq = &b->queue[i];
		bq->nidle = BLK_BATCH;
		for (j = 0; j < BLK_BATCH; j++) {
			bq->req[j].iov = bq->iov[j];
			bq->idle[BLK_BATCH - 1 - j] = &bq->req[j];
		}
	}
	return (disk_prepare(&b->disk, &disk_raw, &disk, &disk_sys_linux,
	    conf->fd, conf->nfds, e));
}

static uint8_t
log2_of(uint32_t pow2)
{
	return ((uint8_t)__builtin_ctz(pow2));
}

static void
cfg_fill(struct vio *v)
{
	const struct blk *b = v->state;
	const struct disk_limits *l = &b->disk.limits;
	struct blk_cfg c = { 0 };

	c.capacity = htole64(b->sectors);
	c.seg_max = htole32(BLK_SEG_MAX);
	c.blk_size = htole32(l->block_bytes);
	c.phys_exp = log2_of(l->phys_bytes / l->block_bytes);
	c.min_io = htole16((uint16_t)(l->phys_bytes / l->block_bytes));
	c.num_queues = htole16(v->nqueues);
	c.discard_sectors = htole32(BLK_DISCARD_SECTORS_MAX);
	c.discard_segs = htole32(BLK_RANGES_MAX);
	c.discard_align = htole32(l->discard_bytes / DISK_SECTOR);
	c.zero_sectors = htole32(BLK_ZERO_SECTORS_MAX);
	c.zero_segs = htole32(BLK_RANGES_MAX);
	c.zero_unmap = l->discard_bytes != 0;
	memcpy(v->cfg, &c, sizeof(c));
}

static int
blk_open(struct vio *v, const struct vio_conf *conf, struct err *e)
{
	struct blk *b = v->state;

	(void)conf;
	if (disk_open(&b->disk, e) == -1)
		return (-1);
	b->sectors = b->disk.limits.bytes / DISK_SECTOR;
	if (b->disk.conf.readonly) {
		v->features_own |= BLK_F_RO;
		v->features_own &= ~(BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
	}
	if (b->disk.limits.discard_bytes == 0)
		v->features_own &= ~BLK_F_DISCARD;
	if (v->nqueues == 1)
		v->features_own &= ~BLK_F_MQ;
	cfg_fill(v);
	return (0);
}

static void
blk_close(struct vio *v)
{
	struct blk *b = v->state;

	disk_close(&b->disk);
	free(b->queue);
	memset(b, 0, sizeof(*b));
}

/* No request is in flight; all that a guest could miss is its disk. */
static void
blk_save(struct vio *v, struct snap_w *w)
{
	const struct blk *b = v->state;

	snap_put_u64(w, b->sectors);
}

static int
blk_load(struct vio *v, struct snap_r *r, struct err *e)
{
	const struct blk *b = v->state;
	uint64_t sectors = snap_get_u64(r);

	if (snap_end(r, v->ops->name, e) == -1)
		return (-1);
	if (sectors != b->sectors)
		return (err_set(e, EINVAL,
		    "blk: the disk had %" PRIu64
		    " sectors, this one has %" PRIu64,
		    sectors, b->sectors));
	return (0);
}

#define Q BLK_QUEUE_SIZE
static const uint16_t blk_queues[] = { Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q,
	Q, Q };
#undef Q
_Static_assert(sizeof(blk_queues) / sizeof(blk_queues[0]) == VIO_QUEUES_MAX,
    "a size for each");

const struct vio_ops vio_blk = {
	.name = "blk",
	.spec = "virtio 1.2, 5.2",
	.features = BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH |
	    BLK_F_TOPOLOGY | BLK_F_MQ | BLK_F_DISCARD | BLK_F_WRITE_ZEROES,
	.queue_max = blk_queues,
	.cfg_bytes = sizeof(struct blk_cfg),
	.state_bytes = sizeof(struct blk),
	.id = 2,
	.nqueues = VIO_QUEUES_MAX,
	.version = 1,
	.kick = blk_kick,
	.prepare = blk_prepare,
	.open = blk_open,
	.close = blk_close,
	.save = blk_save,
	.load = blk_load,
};
