/* SPDX-License-Identifier: ISC */
/* A guest's block driver, and its device's carrier: see blkguest.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "regress/lib/blkguest.h"
#include "regress/lib/faultsys.h"
#include "regress/lib/tap.h"
#include "shared/clock.h"

#define RING_STRIDE 0x4000
#define AVAIL 0x1000
#define USED 0x2000
#define STATUS_AT 16

static void
on_needs_reset(struct vio *v)
{
	((struct blkguest *)v->carrier_ctx)->resets++;
}

static void
on_signal(struct vio *v, struct vq *q)
{
	if (vq_signal(q))
		__atomic_add_fetch(
		    &((struct blkguest *)v->carrier_ctx)->signals, 1,
		    __ATOMIC_RELAXED);
}

static void
on_stuck(struct vio *v, struct vq *q, const struct err *e)
{
	struct blkguest *g = v->carrier_ctx;

	(void)q;
	g->stucks++;
	g->stuck = *e;
}

static uint64_t
on_now_ns(struct vio *v)
{
	(void)v;
	return (clock_now_ns());
}

static const struct vio_carrier carrier = {
	.needs_reset = on_needs_reset,
	.now_ns = on_now_ns,
	.signal = on_signal,
	.stuck = on_stuck,
};

struct blk *
bg_blk(struct blkguest *g)
{
	return (g->v.state);
}

void *
bg_ptr(struct blkguest *g, uint64_t gpa)
{
	return (mem_ptr(&g->mem, gpa, 1));
}

static int
open_queue(struct blkguest *g, unsigned q)
{
	struct vq_rings r = {
		.desc_gpa = q * RING_STRIDE,
		.avail_gpa = q * RING_STRIDE + AVAIL,
		.used_gpa = q * RING_STRIDE + USED,
		.size = BG_RING,
	};

	return (
	    vq_open(&g->v.vq[q], &g->mem, &r, true, g->event_idx, g->log[q]));
}

static bool
takes_direct(const char *dir)
{
	char path[PATH_MAX];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/vmd-direct.XXXXXX", dir);
	if ((fd = mkstemp(path)) == -1)
		return (false);
	unlink(path);
	ok = fcntl(fd, F_SETFL, O_RDWR | O_DIRECT) == 0;
	close(fd);
	return (ok);
}

const char *
bg_direct_dir(void)
{
	static char own[PATH_MAX], why[PATH_MAX + 128];
	const char *dir[] = { own, getenv("TMPDIR"), "/tmp", "/var/tmp" };
	ssize_t len;
	size_t i;

	len = readlink("/proc/self/exe", own, sizeof(own) - 1);
	own[len > 0 ? len : 0] = '\0';
	if (strrchr(own, '/') != NULL)
		*strrchr(own, '/') = '\0';
	for (i = 0; i < sizeof(dir) / sizeof(dir[0]); i++)
		if (dir[i] != NULL && takes_direct(dir[i]))
			return (dir[i]);
	snprintf(why, sizeof(why),
	    "no O_DIRECT in %s, $TMPDIR, /tmp or /var/tmp: set TMPDIR", own);
	tap_skip(why);
	return (NULL);
}

static int
image(struct blkguest *g, const struct bg_conf *c, int *fd)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/vmd-blk.XXXXXX",
	    c->dir != NULL ? c->dir : "/dev/shm");
	if ((g->fd = mkstemp(path)) == -1 ||
	    ftruncate(g->fd, (off_t)(c->bytes != 0 ? c->bytes : 1u << 20)) ==
		-1)
		return (-1);
	*fd = open(path, c->readonly ? O_RDONLY : O_RDWR);
	return (unlink(path));
}

static int
open_device(struct blkguest *g, const struct bg_conf *c, int *fd, struct err *e)
{
	struct vio_conf conf = { &g->conf, &g->page, fd, 1 };
	unsigned q;

	vio_init(&g->v, &vio_blk, &carrier, g);
	if ((g->v.state = calloc(1, vio_blk.state_bytes)) == NULL)
		return (err_errno(e, "calloc"));
	if (vio_blk.prepare(&g->v, &conf, e) == -1)
		return (-1);
	bg_blk(g)->disk.sys = &faultsys_sys;
	if (vio_blk.open(&g->v, &conf, e) == -1)
		return (-1);
	g->v.features = g->v.features_own & ~c->features;
	for (q = 0; q < g->v.nqueues; q++) {
		if (c->log)
			g->log[q] = calloc(1, vq_log_bytes(BG_RING));
		if (c->aio &&
		    syscall(SYS_io_setup, VIO_AIO_MAX, &g->v.aio[q]) == -1)
			return (err_errno(e, "io_setup"));
		if (open_queue(g, q) == -1)
			return (err_set(e, EINVAL, "queue %u", q));
	}
	return (0);
}

int
bg_try(struct blkguest *g, const struct bg_conf *c, struct err *e)
{
	int fd = -1;

	memset(g, 0, sizeof(*g));
	faultsys_reset();
	g->event_idx = c->event_idx;
	g->page.lost = c->lost;
	g->conf = (struct devpage_conf){
		.magic = DEVPAGE_MAGIC,
		.kind = DEV_BLK,
		.nqueues = c->nqueues != 0 ? c->nqueues : 1,
		.readonly = c->readonly,
		.direct = c->direct,
		.on_error = c->on_error,
	};
	memcpy(g->conf.serial, "serial-1234567890abcd", sizeof(g->conf.serial));
	if (mem_open(&g->mem, "guest", BG_MEM_BYTES, false, e) == -1)
		return (-1);
	if (image(g, c, &fd) == -1)
		return (err_errno(e, "image"));
	return (open_device(g, c, &fd, e));
}

void
bg_open(struct blkguest *g, const struct bg_conf *c)
{
	struct err e;

	if (bg_try(g, c, &e) == 0)
		return;
	fprintf(stderr, "blkguest: %s\n", e.text);
	abort();
}

void
bg_close(struct blkguest *g)
{
	unsigned q;

	for (q = 0; q < VIO_QUEUES_MAX; q++) {
		vq_close(&g->v.vq[q]);
		free(g->log[q]);
		if (g->v.aio[q] != 0)
			syscall(SYS_io_destroy, g->v.aio[q]);
	}
	vio_blk.close(&g->v);
	free(g->v.state);
	mem_close(&g->mem);
	close(g->fd);
}

static uint8_t *
ring(struct blkguest *g, unsigned q, uint64_t at)
{
	return (bg_ptr(g, q * RING_STRIDE + at));
}

static void
put_desc(struct blkguest *g, unsigned q, uint16_t i, const struct bg_buf *b,
    bool last)
{
	uint8_t *p = ring(g, q, i * 16u);
	uint16_t flags = (last ? 0 : 1) | (b->in ? 2 : 0);
	uint16_t next = (uint16_t)((i + 1) % BG_RING);

	memcpy(p, &b->gpa, 8);
	memcpy(p + 8, &b->len, 4);
	memcpy(p + 12, &flags, 2);
	memcpy(p + 14, &next, 2);
}

uint16_t
bg_put(struct blkguest *g, unsigned q, const struct bg_buf *b, unsigned n)
{
	uint16_t head = g->desc[q];
	uint8_t *p = ring(g, q, AVAIL);
	unsigned i;

	for (i = 0; i < n; i++) {
		put_desc(g, q, g->desc[q], &b[i], i == n - 1);
		g->desc[q] = (uint16_t)((g->desc[q] + 1) % BG_RING);
	}
	memcpy(p + 4 + 2 * (g->avail[q] % BG_RING), &head, 2);
	__atomic_store_n(
	    (uint16_t *)(void *)(p + 2), ++g->avail[q], __ATOMIC_SEQ_CST);
	return (head);
}

uint16_t
bg_ask(struct blkguest *g, unsigned q, unsigned slot, uint32_t type,
    uint64_t sector, uint64_t gpa, uint32_t len)
{
	uint64_t at = BG_HEAD + 32 * slot;
	bool in = type == BLK_T_IN || type == BLK_T_GET_ID;
	struct bg_buf b[3] = { { at, STATUS_AT, false }, { gpa, len, in },
		{ at + STATUS_AT, 1, true } };
	uint8_t *p = bg_ptr(g, at);

	memset(p, 0, 32);
	memcpy(p, &type, 4);
	memcpy(p + 8, &sector, 8);
	p[STATUS_AT] = 0xff;
	if (len == 0)
		b[1] = b[2];
	return (bg_put(g, q, b, len == 0 ? 2 : 3));
}

uint8_t
bg_status(struct blkguest *g, unsigned slot)
{
	return (*(uint8_t *)bg_ptr(g, BG_HEAD + 32 * slot + STATUS_AT));
}

void
bg_kick(struct blkguest *g, unsigned q)
{
	vio_blk.kick(&g->v, &g->v.vq[q]);
}

bool
bg_used(struct blkguest *g, unsigned q, uint32_t *id, uint32_t *len)
{
	uint8_t *p = ring(g, q, USED);
	uint16_t idx =
	    __atomic_load_n((uint16_t *)(void *)(p + 2), __ATOMIC_SEQ_CST);

	if (idx == g->used[q])
		return (false);
	p += 4 + 8 * (g->used[q]++ % BG_RING);
	memcpy(id, p, 4);
	memcpy(len, p + 4, 4);
	return (true);
}

uint8_t
bg_do(struct blkguest *g, uint32_t type, uint64_t sector, uint64_t gpa,
    uint32_t len, uint32_t *written)
{
	uint32_t id, n;
	uint16_t head = bg_ask(g, 0, 0, type, sector, gpa, len);

	bg_kick(g, 0);
	if (!bg_used(g, 0, &id, &n) || id != head)
		return (0xff);
	if (written != NULL)
		*written = n;
	return (bg_status(g, 0));
}

int
bg_requeue(struct blkguest *g, unsigned q)
{
	vq_close(&g->v.vq[q]);
	return (open_queue(g, q));
}

int
bg_restart(struct blkguest *g, unsigned q)
{
	if (bg_requeue(g, q) == -1 || vq_resume(&g->v.vq[q]) == -1)
		return (-1);
	bg_kick(g, q);
	return (0);
}

static uint8_t
pattern(size_t i, unsigned seed)
{
	return ((uint8_t)(seed * 31 + i * 7 + (i >> 8)));
}

void
bg_fill(void *p, size_t n, unsigned seed)
{
	uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		b[i] = pattern(i, seed);
}

bool
bg_same(const void *p, size_t n, unsigned seed)
{
	const uint8_t *b = p;
	size_t i;

	for (i = 0; i < n; i++)
		if (b[i] != pattern(i, seed))
			return (false);
	return (true);
}
