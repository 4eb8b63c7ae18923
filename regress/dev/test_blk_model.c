/* SPDX-License-Identifier: ISC */
/*
 * virtio-blk against a model in memory: random requests, one by one and many
 * at once, by every way that requests are done; several queues at once; and
 * how many system calls a request costs.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "regress/lib/blkguest.h"
#include "regress/lib/faultsys.h"
#include "regress/lib/tap.h"

#define SECTORS 2048
#define ROUNDS 33000 /* times three ways: 10^5 requests */
#define BATCH 24
#define AREA 0x10000 /* guest memory of one request */
#define LEN_MAX (64 * 512)

static struct blkguest g;
static uint8_t model[SECTORS * 512];

/* What one request has asked for. */
struct asked {
	uint32_t type, bytes;
	uint64_t sector, at;
	bool is_bad;
};

static uint64_t seed;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return ((uint32_t)(seed >> 33) % below);
}

static void
rnd_fill(uint8_t *p, size_t n)
{
	uint64_t v;
	size_t i;

	for (i = 0; i + 8 <= n; i += 8) {
		seed = seed * 6364136223846793005ull + 1;
		v = seed >> 8;
		memcpy(p + i, &v, 8);
	}
}

/* No two requests in flight touch the same sectors: their order is free. */
static bool
overlaps(const struct asked *a, unsigned n, uint64_t sector, uint32_t sectors)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (sector < a[i].sector + a[i].bytes / 512 + 1 &&
		    a[i].sector < sector + sectors + 1)
			return (true);
	return (false);
}

static void
put_ranges(struct asked *a, unsigned slot)
{
	struct blk_range r = { a->sector, a->bytes / 512, 0 };
	uint64_t off = a->sector * 512;

	if (a->type == BLK_T_WRITE_ZEROES) {
		r.flags = rnd(2);
		memset(model + off, 0, a->bytes);
	} else /* all file systems of this test make holes, which are zeros */
		memset(model + off, 0, a->bytes);
	memcpy(bg_ptr(&g, a->at), &r, sizeof(r));
	bg_ask(&g, 0, slot, a->type, 0, a->at, sizeof(r));
}

static void
ask(struct asked *all, unsigned slot, bool blocks)
{
	static const uint32_t types[] = { BLK_T_IN, BLK_T_IN, BLK_T_IN,
		BLK_T_OUT, BLK_T_OUT, BLK_T_OUT, BLK_T_OUT, BLK_T_FLUSH,
		BLK_T_DISCARD, BLK_T_WRITE_ZEROES };
	struct asked *a = &all[slot];
	uint32_t unit = blocks ? 8 : 1;

	a->type = types[rnd(10)];
	do {
		a->bytes = (1 + rnd(LEN_MAX / 512 / unit)) * unit * 512;
		a->sector =
		    rnd((SECTORS * 512 - a->bytes) / 512 / unit + 1) * unit;
	} while (overlaps(all, slot, a->sector, a->bytes / 512));
	a->at = BG_DATA + slot * AREA + (rnd(4) == 0 ? rnd(512) : 0);
	a->is_bad = rnd(50) == 0;
	if (a->type == BLK_T_FLUSH) {
		a->is_bad = false;
		bg_ask(&g, 0, slot, a->type, 0, 0, 0);
		return;
	}
	if (a->type == BLK_T_DISCARD || a->type == BLK_T_WRITE_ZEROES) {
		a->is_bad = false;
		put_ranges(a, slot);
		return;
	}
	rnd_fill(bg_ptr(&g, a->at), a->bytes);
	if (a->is_bad) {
		bg_ask(&g, 0, slot, a->type, SECTORS - rnd(a->bytes / 512),
		    a->at, a->bytes);
		a->bytes = 0;
		return;
	}
	if (a->type == BLK_T_OUT)
		memcpy(model + a->sector * 512, bg_ptr(&g, a->at), a->bytes);
	bg_ask(&g, 0, slot, a->type, a->sector, a->at, a->bytes);
}

static bool
ended(const struct asked *a, unsigned slot, uint32_t len)
{
	uint32_t want = 1;

	if (bg_status(&g, slot) != (a->is_bad ? BLK_S_IOERR : BLK_S_OK))
		return (false);
	if (a->type == BLK_T_IN && !a->is_bad) {
		want += a->bytes;
		if (memcmp(bg_ptr(&g, a->at), model + a->sector * 512,
			a->bytes) != 0)
			return (false);
	}
	return (len == want);
}

static void
run(const struct bg_conf *c, unsigned batch, unsigned rounds)
{
	static uint8_t image[SECTORS * 512];
	struct asked a[BATCH];
	unsigned slot_of[BG_RING], i, n, k;
	uint32_t id, len;

	bg_open(&g, c);
	memset(model, 0, sizeof(model));
	for (k = 0; k < rounds; k += n) {
		n = batch == 1 ? 1 : 1 + rnd(batch);
		for (i = 0; i < n; i++) {
			slot_of[g.desc[0]] = i;
			ask(a, i, c->direct && rnd(4) != 0);
		}
		bg_kick(&g, 0);
		for (i = 0; i < n; i++) {
			REQUIRE(bg_used(&g, 0, &id, &len));
			REQUIRE(ended(&a[slot_of[id]], slot_of[id], len));
		}
		REQUIRE(!bg_used(&g, 0, &id, &len));
	}
	CHECK_EQ(pread(g.fd, image, sizeof(image), 0), sizeof(image));
	CHECK_EQ(memcmp(image, model, sizeof(model)), 0);
	CHECK_EQ(g.page.inflight, 0);
	CHECK_EQ(g.resets, 0);
	bg_close(&g);
}

static void
model_tmpfs(void)
{
	struct bg_conf c = { 0 };

	seed = 1;
	run(&c, 1, ROUNDS);
	run(&c, BATCH, ROUNDS);
	c.aio = true;
	c.event_idx = true;
	run(&c, BATCH, ROUNDS);
}

static void
model_file(void)
{
	struct bg_conf c = { .dir = "/tmp", .log = true };

	seed = 2;
	run(&c, BATCH, ROUNDS / 25);
	c.aio = true;
	run(&c, BATCH, ROUNDS / 25);
	c.direct = true;
	run(&c, BATCH, ROUNDS / 25);
	c.aio = false;
	run(&c, BATCH, ROUNDS / 25);
}

/* ---- Several queues -------------------------------------------------------------- */

#define QUEUES 4
#define AREA_SECTORS (SECTORS / QUEUES)

/* Each queue has its part of the disk and its own pages; only flushes meet. */
static void *
queue_main(void *arg)
{
	unsigned q = (unsigned)(uintptr_t)arg, k, i;
	uint32_t id, len;
	uint64_t at, sector;

	for (k = 0; k < 400; k++) {
		for (i = 0; i < 8; i++) {
			at = BG_DATA + (q * 16 + i) * AREA;
			sector = q * AREA_SECTORS + (k * 8 + i) % 64 * 8;
			if (k % 2 == 0)
				memset(bg_ptr(&g, at), (int)(q + i + k), 4096);
			bg_ask(&g, q, q * 16 + i,
			    k % 2 == 0 ? BLK_T_OUT : BLK_T_IN,
			    k % 2 == 0 ? sector : sector - 64, at, 4096);
		}
		bg_ask(&g, q, q * 16 + 8, BLK_T_FLUSH, 0, 0, 0);
		bg_kick(&g, q);
		while (bg_used(&g, q, &id, &len))
			;
	}
	return (NULL);
}

static void
queues(void)
{
	struct bg_conf c = { .aio = true, .nqueues = QUEUES };
	pthread_t t[QUEUES];
	unsigned q, i, j;
	uint8_t *p;

	bg_open(&g, &c);
	bg_blk(&g)->disk.sys = &disk_sys_linux; /* it counts for one thread */
	for (q = 0; q < QUEUES; q++)
		pthread_create(&t[q], NULL, queue_main, (void *)(uintptr_t)q);
	for (q = 0; q < QUEUES; q++)
		pthread_join(t[q], NULL);
	CHECK_EQ(g.page.writes, QUEUES * 200 * 8);
	CHECK_EQ(g.page.flushes, QUEUES * 400);
	CHECK_EQ(g.page.errors, 0);
	CHECK_EQ(g.page.inflight, 0);
	for (q = 0; q < QUEUES; q++)
		for (i = 0; i < 8; i++) {
			p = bg_ptr(&g, BG_DATA + (q * 16 + i) * AREA);
			for (j = 1; j < 4096 && p[j] == p[0]; j++)
				;
			CHECK_EQ(j, 4096);
			CHECK_EQ(p[0], (uint8_t)(q + i + 398));
		}
	bg_close(&g);
}

/* ---- While others are in flight ---------------------------------------------------- */

static unsigned late;

/* The guest goes on while the device waits for the first that ends. */
static void
more_comes(enum fs_call call)
{
	if (call != FS_GETEVENTS || late == 20)
		return;
	bg_ask(&g, 0, 4 + late, BLK_T_IN, late, BG_DATA + late * AREA, 512);
	late++;
}

static void
refill(void)
{
	struct bg_conf c = { .aio = true };
	uint32_t id, len;
	unsigned i;

	bg_open(&g, &c);
	late = 0;
	faultsys.hook = more_comes;
	for (i = 0; i < 4; i++)
		bg_ask(&g, 0, i, BLK_T_IN, i, BG_DATA + i * AREA, 512);
	bg_kick(&g, 0);
	for (i = 0; i < 4 + 20; i++) {
		CHECK(bg_used(&g, 0, &id, &len) && len == 513);
		CHECK_EQ(bg_status(&g, i), BLK_S_OK);
	}
	bg_close(&g);
}

static void
stop_comes(enum fs_call call)
{
	more_comes(call);
	if (late == 3)
		vq_stop(&g.v.vq[0], true);
}

/* Stopped, it ends what it has begun and takes nothing more. */
static void
stopped(void)
{
	struct bg_conf c = { .aio = true, .log = true };
	uint32_t id, len;
	unsigned i;

	bg_open(&g, &c);
	late = 0;
	faultsys.hook = stop_comes;
	for (i = 0; i < 4; i++)
		bg_ask(&g, 0, i, BLK_T_IN, i, BG_DATA + i * AREA, 512);
	bg_kick(&g, 0);
	for (i = 0; bg_used(&g, 0, &id, &len); i++)
		;
	CHECK_EQ(i, 4);
	CHECK_EQ(vq_inflight(&g.v.vq[0]), 0);
	CHECK_EQ(g.page.inflight, 0);
	faultsys.hook = NULL;
	CHECK_EQ(bg_restart(&g, 0), 0);
	for (i = 0; bg_used(&g, 0, &id, &len); i++)
		;
	CHECK_EQ(i, late);
	bg_close(&g);
}

/* ---- What it costs ---------------------------------------------------------------- */

/*
 * Calls on the image for requests that come depth at once; read(kick) and
 * write(call) come on top, one each a kick.
 */
static unsigned
calls(unsigned depth)
{
	struct bg_conf c = { .aio = true };
	uint32_t id, len;
	unsigned i;

	bg_open(&g, &c);
	for (i = 0; i < depth; i++)
		bg_ask(&g, 0, i, BLK_T_IN, i * 8, BG_DATA + i * AREA, 4096);
	bg_kick(&g, 0);
	for (i = 0; i < depth; i++)
		CHECK(bg_used(&g, 0, &id, &len) && len == 4097);
	CHECK_EQ(g.signals, 1);
	i = faultsys.calls[FS_PREADV] + faultsys.calls[FS_SUBMIT];
	i += faultsys.calls[FS_SUBMIT]; /* and one io_getevents each */
	bg_close(&g);
	return (i);
}

static void
system_calls(void)
{
	CHECK_EQ(calls(1), 1);
	CHECK_EQ(calls(2), 2);
	CHECK_EQ(calls(16), 2);
	CHECK_EQ(calls(64), 2);
}

static const struct tap_case cases[] = {
	{ "blk: random requests, tmpfs", model_tmpfs },
	{ "blk: random requests, file system and direct", model_file },
	{ "blk: four queues at once", queues },
	{ "blk: the ring is looked at meanwhile", refill },
	{ "blk: stopped in the middle", stopped },
	{ "blk: system calls a request", system_calls },
};
TAP_MAIN(cases)
