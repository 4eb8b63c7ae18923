/* SPDX-License-Identifier: ISC */
/*
 * Block requests against a model in memory.  The input is a program: requests
 * whose end is known beforehand, chains of any bytes, faults of the host, and
 * ways in which requests are done.  The image is memory behind system calls of
 * our own, which abort when they are asked for what no host may be asked for.
 * They also overwrite every header that was read (T15).
 *
 * An execution: an image of zeros and an empty ring, STEPS_MAX of those with as
 * many kicks as they need, and a last kick, after which image and model agree.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/snap.h"
#include "daemon/disk/raw_int.h"
#include "regress/fuzz/input.h"
#include "regress/lib/blkguest.h"

NO_COVERAGE_BEGIN

#define SECTORS 40
#define BYTES (SECTORS * 512u)
#define SLOTS 12 /* requests of a kick */
#define SLOT_BYTES 0x4000
#define PIECES_MAX 12
#define INPUT_MAX 192
#define STEPS_MAX 24

enum { REQUEST, RANGES, ANY, KICK, FAULT, MODE, STOP, SAVE };

/* What is in flight and how it has to end. */
struct asked {
	uint8_t type, status;
	uint32_t bytes, len; /* of data; used.len */
	uint64_t sector, data, status_at, head_at;
	uint32_t head_bytes;
	bool known;
};

static struct blkguest g;
static struct raw *raw;
static uint8_t *bounce;
static uint8_t image[BYTES], model[BYTES];
static struct asked asked[SLOTS];
static uint8_t slot_of[BG_RING];
static unsigned nasked, ndesc;
/*
 * Of the requests of this kick is known only that they end; with any() among
 * them, not even that: it may have written where others have their status.
 */
static bool vague, wild;
static uint8_t salt;

/* Guest memory, of which there is one piece. */
static uint8_t *
ram(uint64_t gpa)
{
	return (g.mem.base + gpa);
}

/* ---- The host --------------------------------------------------------------------- */

static struct {
	unsigned after, times;
	int error;
	size_t cut;
} fault;
static struct io_event ended[BLK_BATCH];
static unsigned nended;

/* Does it happen now? */
static bool
faulty(void)
{
	if (fault.times == 0 || fault.after-- > 0)
		return (false);
	fault.after = 0;
	fault.times--;
	return (true);
}

static void
scribble(void)
{
	unsigned i;

	for (i = 0; i < nasked; i++)
		memset(ram(asked[i].head_at), salt += 13, asked[i].head_bytes);
}

static bool
aligned(const struct iovec *v, int n, uint64_t off)
{
	uintptr_t sum = 0;
	size_t all = 0;
	int i;

	if (raw->bounce == NULL)
		return (true);
	for (i = 0; i < n; i++) {
		sum |= (uintptr_t)v[i].iov_base | v[i].iov_len;
		all += v[i].iov_len;
	}
	return (sum % raw->mem_align == 0 && (off | all) % raw->off_align == 0);
}

static ssize_t
ram_move(bool write, const struct iovec *v, int n, uint64_t off)
{
	bool now = faulty();
	size_t done = 0, part,
	       max = now && fault.error == 0 ? fault.cut : BYTES;
	int i;

	scribble();
	if (now && fault.error != 0) {
		errno = fault.error;
		return (-1);
	}
	if (!aligned(v, n, off)) {
		if (!vague) /* after a short transfer it may be so */
			abort();
		errno = EINVAL;
		return (-1);
	}
	for (i = 0; i < n && done < max; i++, done += part) {
		part = v[i].iov_len < max - done ? v[i].iov_len : max - done;
		if (off > BYTES || done + part > BYTES - off)
			abort();
		if (write)
			memcpy(image + off + done, v[i].iov_base, part);
		else
			memcpy(v[i].iov_base, image + off + done, part);
	}
	return ((ssize_t)done);
}

static ssize_t
ram_preadv(int fd, const struct iovec *v, int n, off_t off)
{
	(void)fd;
	return (ram_move(false, v, n, (uint64_t)off));
}

static ssize_t
ram_pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	(void)fd;
	if (g.conf.readonly)
		abort();
	return (ram_move(true, v, n, (uint64_t)off));
}

static int
ram_fallocate(int fd, int mode, off_t off, off_t len)
{
	(void)fd;
	scribble();
	if (faulty()) {
		errno = fault.error != 0 ? fault.error : EOPNOTSUPP;
		return (-1);
	}
	if ((mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_PUNCH_HOLE &&
	    (mode & ~FALLOC_FL_KEEP_SIZE) != FALLOC_FL_ZERO_RANGE)
		abort();
	if (g.conf.readonly || off < 0 || len <= 0 || (uint64_t)off > BYTES ||
	    (uint64_t)len > BYTES - (uint64_t)off)
		abort();
	memset(image + off, 0, (size_t)len);
	return (0);
}

static int
ram_fdatasync(int fd)
{
	(void)fd;
	scribble();
	if (!faulty())
		return (0);
	errno = fault.error != 0 ? fault.error : EIO;
	return (-1);
}

static long
ram_submit(aio_context_t ctx, long n, struct iocb **cbs)
{
	struct io_event *ev;
	bool write;
	ssize_t r;
	long i;

	if (ctx == 0 || n <= 0 || nended + (unsigned long)n > BLK_BATCH)
		abort();
	for (i = 0; i < n; i++) {
		if (i > 0 && (salt & 7) == 0)
			break; /* takes less now and then */
		ev = &ended[nended++];
		write = cbs[i]->aio_lio_opcode == IOCB_CMD_PWRITEV;
		r = (write ? ram_pwritev : ram_preadv)((int)cbs[i]->aio_fildes,
		    (const struct iovec *)(uintptr_t)cbs[i]->aio_buf,
		    (int)cbs[i]->aio_nbytes, cbs[i]->aio_offset);
		ev->data = cbs[i]->aio_data;
		ev->res = r == -1 ? -errno : r;
	}
	return (i);
}

/* Some of them, the last ones first. */
static long
ram_getevents(aio_context_t ctx, long min, long n, struct io_event *ev,
    struct timespec *limit)
{
	long i = 0;

	if (ctx == 0 || limit != NULL || min != 1 || n <= 0 || nended == 0)
		abort();
	if ((++salt & 15) == 0) {
		errno = EINTR;
		return (-1);
	}
	while (i < n && nended > 0 && (i == 0 || (salt & 3) != 0))
		ev[i++] = ended[--nended];
	return (i);
}

static const struct disk_sys ram_sys = {
	.preadv = ram_preadv,
	.pwritev = ram_pwritev,
	.fallocate = ram_fallocate,
	.fdatasync = ram_fdatasync,
	.submit = ram_submit,
	.getevents = ram_getevents,
};

/* ---- The guest -------------------------------------------------------------------- */

static bool
overlaps(uint64_t sector, uint64_t sectors)
{
	unsigned i;

	for (i = 0; i < nasked; i++)
		if (sector < asked[i].sector + asked[i].bytes / 512 + 8 &&
		    asked[i].sector < sector + sectors + 8)
			return (true); /* or shares a block with it */
	return (false);
}

/* One row of bytes, as many buffers as the program says; the ends of them. */
static void
put(struct input *p, uint64_t at, uint32_t out, uint32_t in)
{
	struct bg_buf b[PIECES_MAX + 2];
	unsigned n = 0, cuts = (unsigned)take(p, 1) % PIECES_MAX;
	uint32_t done, part, *left = &out;

	for (done = 0; out + in > 0; done += part) {
		if (out == 0)
			left = &in;
		part =
		    cuts > 0 && n < PIECES_MAX ? (uint32_t)take(p, 1) : *left;
		if (cuts > 0)
			cuts--;
		if (part > *left)
			part = *left;
		b[n++] = (struct bg_buf){ at + done, part, left == &in };
		*left -= part;
	}
	if (ndesc + n > BG_RING)
		abort();
	ndesc += n;
	slot_of[bg_put(&g, 0, b, n)] = (uint8_t)nasked;
	nasked++;
}

static struct asked *
next(struct input *p, uint64_t *at)
{
	struct asked *a = &asked[nasked];

	memset(a, 0, sizeof(*a));
	*at = BG_DATA + nasked * SLOT_BYTES;
	if (take(p, 1) & 1)
		*at += take(p, 1);
	else
		*at += 512 - 16; /* so that the data is aligned */
	a->head_at = *at;
	a->known = true;
	return (a);
}

static void
put_head(uint64_t at, uint32_t type, uint64_t sector)
{
	uint8_t *h = ram(at);

	memcpy(h, &type, 4);
	memset(h + 4, 0xee, 4);
	memcpy(h + 8, &sector, 8);
}

static uint64_t
take_sector(struct input *p)
{
	uint64_t v = take(p, 1);

	return (v < 0xf0 ? v % (SECTORS + 2) : take(p, 8));
}

static void
request(struct input *p)
{
	static const uint8_t types[] = { BLK_T_IN, BLK_T_OUT, BLK_T_FLUSH,
		BLK_T_GET_ID };
	uint64_t at;
	struct asked *a = next(p, &at);
	uint32_t how = (uint32_t)take(p, 1), out, i;
	uint8_t *d;

	a->type = how & 0x80 ? (uint8_t)take(p, 1) : types[how & 3];
	a->sector = take_sector(p);
	a->bytes =
	    how & 0x40 ? (uint32_t)take(p, 2) % 0x3000 : (how >> 2 & 15) * 512;
	put_head(at, a->type, a->sector);
	d = ram(at + 16);
	memset(d, salt, a->bytes);
	for (i = 0; i < a->bytes; i += 512)
		d[i] ^= (uint8_t)i;
	salt += 101;
	a->head_bytes = 16;
	a->data = at + 16;
	a->status_at = at + 16 + a->bytes;
	*ram(a->status_at) = 0xff;
	a->len = 1;
	out = 16 + (a->type == BLK_T_OUT ? a->bytes : 0);
	switch (a->type) {
	case BLK_T_IN:
	case BLK_T_OUT:
		if (a->bytes % 512 != 0 || a->sector > SECTORS ||
		    a->bytes / 512 > SECTORS - a->sector ||
		    (a->type == BLK_T_OUT && g.conf.readonly))
			a->status = BLK_S_IOERR;
		else if (overlaps(a->sector, a->bytes / 512))
			vague = true;
		break;
	case BLK_T_FLUSH:
	case BLK_T_GET_ID:
		break;
	case BLK_T_DISCARD:
	case BLK_T_WRITE_ZEROES: /* without a range, which is bad */
		a->status = g.conf.readonly ? BLK_S_UNSUPP : BLK_S_IOERR;
		break;
	default:
		a->status = BLK_S_UNSUPP;
		break;
	}
	if (a->status != BLK_S_OK || a->type > BLK_T_OUT)
		a->sector = 1ull << 40;
	put(p, at, out, 16 + a->bytes + 1 - out);
}

static bool
ranges_good(
    const struct blk_range *r, unsigned n, uint8_t type, uint8_t *status)
{
	uint32_t known = type == BLK_T_WRITE_ZEROES ? 1 : 0;
	unsigned i;

	*status = BLK_S_IOERR;
	if (n == 0 || n > BLK_RANGES_MAX)
		return (false);
	for (i = 0; i < n; i++) {
		if (r[i].flags & ~known)
			*status = BLK_S_UNSUPP;
		if ((r[i].flags & ~known) || r[i].sector > SECTORS ||
		    r[i].sectors > SECTORS - r[i].sector)
			return (false);
	}
	*status = BLK_S_OK;
	return (true);
}

static void
ranges(struct input *p)
{
	struct blk_range r[BLK_RANGES_MAX + 4];
	uint64_t at;
	struct asked *a = next(p, &at);
	unsigned how = (unsigned)take(p, 1), n = how % (BLK_RANGES_MAX + 4), i;

	a->type = how & 0x80 ? BLK_T_DISCARD : BLK_T_WRITE_ZEROES;
	n = how & 0x40 ? n : n & 3;
	for (i = 0; i < n; i++) {
		r[i].sector = take_sector(p);
		r[i].sectors = (uint32_t)take(p, 1) % 40;
		r[i].flags = (uint32_t)take(p, 1);
		r[i].flags = r[i].flags > 0xf0 ? r[i].flags : r[i].flags & 1;
		if (a->type == BLK_T_DISCARD && r[i].flags == 1)
			r[i].flags = 0;
	}
	put_head(at, a->type, 0);
	memcpy(ram(at + 16), r, n * sizeof(*r));
	a->sector = 1ull << 40;
	a->status_at = at + 16 + n * sizeof(*r);
	*ram(a->status_at) = 0xff;
	a->head_bytes = 16 + n * (uint32_t)sizeof(*r);
	a->len = 1;
	if (g.conf.readonly)
		a->status = BLK_S_UNSUPP;
	else if (ranges_good(r, n, a->type, &a->status))
		for (i = 0; i < n; i++)
			memset(
			    model + r[i].sector * 512, 0, r[i].sectors * 512);
	put(p, at, a->head_bytes, 1);
}

/* Buffers anywhere, of any length, in any order. */
static void
any(struct input *p)
{
	struct bg_buf b[4];
	unsigned n = 1 + (unsigned)take(p, 1) % 4, i;

	for (i = 0; i < n; i++) {
		b[i].gpa = BG_DATA + take(p, 2);
		b[i].len = (uint32_t)take(p, 2);
		b[i].in = take(p, 1) & 1;
		if (b[i].len > 0xfff0)
			b[i].len = UINT32_MAX;
	}
	memset(&asked[nasked], 0, sizeof(asked[nasked]));
	vague = wild = true;
	ndesc += n;
	slot_of[bg_put(&g, 0, b, n)] = (uint8_t)nasked++;
}

/* ---- How it ended ------------------------------------------------------------------ */

static void
check(const struct asked *a, uint32_t len)
{
	uint8_t status;

	if (!a->known || wild)
		return;
	status = *ram(a->status_at);
	if (vague && a->status == BLK_S_OK) {
		if (status > BLK_S_IOERR)
			abort();
		return;
	}
	if (status != a->status)
		abort();
	if (a->status == BLK_S_OK && a->type == BLK_T_GET_ID) {
		if (len != 1 + (a->bytes < 20 ? a->bytes : 20) ||
		    memcmp(ram(a->data), g.conf.serial, len - 1) != 0)
			abort();
		return;
	}
	if (a->status == BLK_S_OK && a->type == BLK_T_IN) {
		if (len != 1 + a->bytes ||
		    memcmp(ram(a->data), model + a->sector * 512, a->bytes) !=
			0)
			abort();
		return;
	}
	if (len != 1)
		abort();
	if (a->status == BLK_S_OK && a->type == BLK_T_OUT)
		memcpy(model + a->sector * 512, ram(a->data), a->bytes);
}

static void
reopen(void)
{
	memset(ram(0), 0, 0x4000);
	g.desc[0] = g.avail[0] = g.used[0] = 0;
	memset(g.log[0], 0, vq_log_bytes(BG_RING));
	bg_requeue(&g, 0);
	g.resets = 0;
}

static void
kick(void)
{
	unsigned resets = g.resets, n = 0;
	uint32_t id, len;

	vague |= wild || fault.times > 0 || bg_blk(&g)->disk.flusher.lost;
	bg_kick(&g, 0);
	for (; bg_used(&g, 0, &id, &len); n++)
		check(&asked[slot_of[id % BG_RING]], len);
	if (nended != 0 || atomic_load(&g.page.inflight) != 0)
		abort();
	if (!vague && (n != nasked || g.resets != resets))
		abort();
	if (vague)
		memcpy(model, image, BYTES);
	vague = wild = false;
	if (n != nasked && g.resets == resets) { /* stuck: once more, then go */
		fault.times = 0;
		vague = true;
		bg_restart(&g, 0);
		memcpy(model, image, BYTES);
		vague = false;
	}
	if (n != nasked || g.resets != resets)
		reopen();
	vq_stop(&g.v.vq[0], false);
	nasked = ndesc = 0;
}

static void
set_mode(struct input *p)
{
	unsigned m = (unsigned)take(p, 1);
	struct blk *b = bg_blk(&g);

	g.v.aio[0] = m & 1;
	raw->bounce = m & 2 ? bounce : NULL;
	raw->mem_align = 512;
	raw->off_align = m & 4 ? 4096 : 512;
	g.conf.readonly = b->disk.conf.readonly = (m & 8) != 0;
	g.v.features = g.v.features_own & (m & 16 ? ~BLK_F_FLUSH : ~0ull);
	if (m & 8)
		g.v.features &= ~(BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
	b->on_error = (uint8_t)(m >> 5) % DEV_ERROR_N;
	b->disk.flusher.lost = false;
	g.page.lost = 0;
}

static void
save_load(struct input *p)
{
	struct snap_w w;
	struct snap_r r;
	struct err e;

	snap_w_init(&w);
	vio_blk.save(&g.v, &w);
	w.buf[take(p, 1) % w.len_bytes] ^= (uint8_t)take(p, 1);
	snap_r_init(&r, w.buf, w.len_bytes - take(p, 1) % 2);
	vio_blk.load(&g.v, &r, &e);
	snap_w_fini(&w);
}

static void
step(struct input *p)
{
	static const int errors[] = { 0, EIO, ENOSPC, EINVAL, EAGAIN, EINTR,
		EOPNOTSUPP, EDQUOT };
	unsigned op = (unsigned)take(p, 1), how;

	/* Ranges come alone: what else they touch is not known. */
	if (nasked == SLOTS ||
	    (nasked > 0 && ((op & 7) >= MODE || (op & 7) == RANGES)))
		kick();
	switch (op & 7) {
	case REQUEST:
		request(p);
		break;
	case RANGES:
		ranges(p);
		kick();
		break;
	case ANY:
		any(p);
		break;
	case KICK:
		kick();
		break;
	case FAULT:
		how = (unsigned)take(p, 1);
		fault.error = errors[how & 7];
		fault.times = 1 + (how >> 3 & 3);
		fault.after = how >> 5;
		fault.cut = (size_t)take(p, 2) % 4000;
		vague = true;
		break;
	case MODE:
		set_mode(p);
		break;
	case STOP:
		vq_stop(&g.v.vq[0], true);
		vague = true;
		break;
	default:
		save_load(p);
		break;
	}
}

static void
once(void)
{
	struct bg_conf c = { .bytes = BYTES, .log = true, .nqueues = 1 };

	bg_open(&g, &c);
	bg_close(&g);
	bg_open(&g, &c);
	raw = bg_blk(&g)->disk.state;
	bg_blk(&g)->disk.sys = &ram_sys;
	if (posix_memalign((void **)&bounce, 4096, RAW_BOUNCE_BYTES) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t none[1];
	struct input p = { data, size }, mode = { none, 1 };
	unsigned n;

	if (raw == NULL)
		once();
	memset(image, 0, sizeof(image));
	memset(model, 0, sizeof(model));
	memset(&fault, 0, sizeof(fault));
	vague = wild = false;
	salt = 0;
	set_mode(&mode);
	nasked = ndesc = 0;
	reopen();
	for (n = 0; p.left > 0 && n < STEPS_MAX; n++)
		step(&p);
	vq_stop(&g.v.vq[0], false);
	kick();
	if (memcmp(model, image, BYTES) != 0)
		abort();
	return (0);
}

NO_COVERAGE_END
