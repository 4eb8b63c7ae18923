/* SPDX-License-Identifier: ISC */
/* virtio-blk by a driver: what it is, good requests, and all the bad ones. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/dev/snap.h"
#include "regress/lib/blkguest.h"
#include "regress/lib/faultsys.h"
#include "regress/lib/tap.h"

#define SECTORS 2048 /* 1 MiB */
#define NO_STATUS 0xff

static struct blkguest g;

static uint64_t
cfg(unsigned at, unsigned bytes)
{
	uint64_t v = 0;

	memcpy(&v, g.v.cfg + at, bytes);
	return (v);
}

static uint64_t
hash(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t h = 14695981039346656037ull;

	for (; n > 0; n--)
		h = (h ^ *b++) * 1099511628211ull;
	return (h);
}

static uint64_t
image_hash(void)
{
	static uint8_t buf[SECTORS * 512 + 1];
	ssize_t n = pread(g.fd, buf, sizeof(buf), 0);

	CHECK_EQ(n, SECTORS * 512);
	return (hash(buf, (size_t)n));
}

/* ---- What it is -------------------------------------------------------------- */

static void
config(void)
{
	struct bg_conf c = { .bytes = (1 << 20) + 700, .nqueues = 3 };

	bg_open(&g, &c);
	CHECK_EQ(g.v.nqueues, 3);
	CHECK_EQ(cfg(0, 8), 2049); /* 188 bytes are no sector */
	CHECK_EQ(cfg(8, 4), 0);    /* no size_max */
	CHECK_EQ(cfg(12, 4), 254);
	CHECK_EQ(cfg(20, 4), 512);
	CHECK_EQ(cfg(24, 1), 3); /* 4 KiB */
	CHECK_EQ(cfg(25, 1), 0);
	CHECK_EQ(cfg(26, 2), 8);
	CHECK_EQ(cfg(32, 1), 0);
	CHECK_EQ(cfg(34, 2), 3);
	CHECK_EQ(cfg(36, 4), BLK_DISCARD_SECTORS_MAX);
	CHECK_EQ(cfg(40, 4), BLK_RANGES_MAX);
	CHECK_EQ(cfg(44, 4), 8);
	CHECK_EQ(cfg(48, 4), BLK_ZERO_SECTORS_MAX);
	CHECK_EQ(cfg(52, 4), BLK_RANGES_MAX);
	CHECK_EQ(cfg(56, 1), 1);
	CHECK_EQ(g.v.features_own,
	    BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH | BLK_F_TOPOLOGY |
		BLK_F_MQ | BLK_F_DISCARD | BLK_F_WRITE_ZEROES);
	bg_close(&g);
}

static void
config_readonly(void)
{
	struct bg_conf c = { .readonly = true };

	bg_open(&g, &c);
	CHECK_EQ(cfg(34, 2), 1);
	CHECK_EQ(g.v.features_own,
	    BLK_F_SEG_MAX | BLK_F_BLK_SIZE | BLK_F_FLUSH | BLK_F_TOPOLOGY |
		BLK_F_RO);
	bg_close(&g);
}

static void
config_bad(void)
{
	struct bg_conf c = { .bytes = 511 };
	struct devpage_conf dc = { .nqueues = 1 };
	struct devpage page = { 0 };
	int fd[2] = { -1, -1 };
	struct vio_conf vc = { &dc, &page, fd, 1 };
	struct vio v;
	struct err e;

	CHECK_EQ(bg_try(&g, &c, &e), -1);
	CHECK_STR(e.text, "the image is empty; make one with vmctl create");
	bg_close(&g);
	fd[0] = open("/dev/null", O_RDWR);
	vio_init(&v, &vio_blk, NULL, NULL);
	v.state = calloc(1, vio_blk.state_bytes);
	CHECK_EQ(vio_open(&v, &vc, &e), -1);
	CHECK_STR(
	    e.text, "a disk image is a file or a block device, this is none");
	CHECK_EQ(fd[0], -1);
	fd[0] = open("/dev/null", O_RDWR);
	fd[1] = open("/dev/null", O_RDWR);
	vc.nfds = 2;
	CHECK_EQ(vio_open(&v, &vc, &e), -1);
	CHECK_STR(e.text, "a raw image is one file, not 2");
	CHECK(fd[0] == -1 && fd[1] == -1);
	vc.nfds = 0;
	CHECK_EQ(vio_open(&v, &vc, &e), -1);
	CHECK_STR(e.text, "a disk is made of 1 to 8 files, not of 0");
	free(v.state);
}

static void
save_load(void)
{
	struct bg_conf c = { 0 };
	struct snap_w w;
	struct snap_r r;
	struct err e;

	bg_open(&g, &c);
	snap_w_init(&w);
	vio_blk.save(&g.v, &w);
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(vio_blk.load(&g.v, &r, &e), 0);
	snap_r_init(&r, w.buf, w.len_bytes - 1);
	CHECK_EQ(vio_blk.load(&g.v, &r, &e), -1);
	bg_blk(&g)->sectors++;
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(vio_blk.load(&g.v, &r, &e), -1);
	CHECK_STR(e.text, "blk: the disk had 2048 sectors, this one has 2049");
	snap_w_fini(&w);
	bg_close(&g);
}

/* ---- Good requests ------------------------------------------------------------ */

static void
read_write(void)
{
	struct bg_conf c = { 0 };
	uint8_t buf[4096];
	uint32_t n;

	bg_open(&g, &c);
	bg_fill(bg_ptr(&g, BG_DATA), 4096, 3);
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 5, BG_DATA, 4096, &n), BLK_S_OK);
	CHECK_EQ(n, 1);
	CHECK_EQ(pread(g.fd, buf, 4096, 5 * 512), 4096);
	CHECK(bg_same(buf, 4096, 3));
	CHECK_EQ(bg_do(&g, BLK_T_IN, 5, BG_DATA + 8192, 4096, &n), BLK_S_OK);
	CHECK_EQ(n, 4097); /* T16 */
	CHECK(bg_same(bg_ptr(&g, BG_DATA + 8192), 4096, 3));
	CHECK_EQ(bg_do(&g, BLK_T_IN, SECTORS - 1, BG_DATA, 512, &n), BLK_S_OK);
	CHECK_EQ(bg_do(&g, BLK_T_FLUSH, 0, 0, 0, &n), BLK_S_OK);
	CHECK_EQ(n, 1);
	CHECK_EQ(faultsys.calls[FS_FDATASYNC], 1);
	/* No bytes at all, at the very end too. */
	CHECK_EQ(bg_do(&g, BLK_T_OUT, 0, 0, 0, &n), BLK_S_OK);
	CHECK_EQ(bg_do(&g, BLK_T_IN, SECTORS, 0, 0, &n), BLK_S_OK);
	CHECK_EQ(n, 1);
	CHECK_EQ(g.page.reads, 3);
	CHECK_EQ(g.page.writes, 2);
	CHECK_EQ(g.page.flushes, 1);
	CHECK_EQ(g.page.read_bytes, 4096 + 512);
	CHECK_EQ(g.page.write_bytes, 4096);
	CHECK_EQ(g.page.errors, 0);
	CHECK_EQ(g.page.inflight, 0);
	bg_close(&g);
}

/* 2.7.10: where the guest is to notify of the next. */
static uint16_t
avail_event(void)
{
	const struct vq *q = &g.v.vq[0];

	return (*(uint16_t *)(void *)(q->used + 4 + 8 * q->rings.size));
}

/* While a request is being done the guest makes another available. */
static void
ask_another(enum fs_call call)
{
	(void)call;
	CHECK_EQ(avail_event(), 0);
	if (faultsys.calls[FS_PREADV] == 1)
		bg_ask(&g, 0, 1, BLK_T_IN, 1, BG_DATA + 512, 512);
}

/* It is found without a word, and the guest was not asked for one. */
static void
no_kicks(void)
{
	struct bg_conf c = { .event_idx = true };
	uint32_t head, n;

	bg_open(&g, &c);
	faultsys.hook = ask_another;
	bg_ask(&g, 0, 0, BLK_T_IN, 0, BG_DATA, 512);
	bg_kick(&g, 0);
	CHECK_EQ(faultsys.calls[FS_PREADV], 2);
	CHECK(bg_used(&g, 0, &head, &n) && bg_used(&g, 0, &head, &n));
	CHECK_EQ(avail_event(), 2);
	bg_close(&g);
}

static void
id(void)
{
	struct bg_conf c = { 0 };
	uint8_t *p;
	uint32_t n;

	bg_open(&g, &c);
	p = bg_ptr(&g, BG_DATA);
	memset(p, '.', 64);
	CHECK_EQ(bg_do(&g, BLK_T_GET_ID, 7, BG_DATA, 20, &n), BLK_S_OK);
	CHECK_EQ(n, 21);
	CHECK_EQ(memcmp(p, "serial-1234567890abc.", 20), 0);
	memset(p, '.', 64);
	CHECK_EQ(bg_do(&g, BLK_T_GET_ID, 0, BG_DATA, 6, &n), BLK_S_OK);
	CHECK_EQ(n, 7);
	CHECK_EQ(memcmp(p, "serial..", 8), 0);
	CHECK_EQ(bg_do(&g, BLK_T_GET_ID, 0, BG_DATA, 40, &n), BLK_S_OK);
	CHECK_EQ(n, 21);
	CHECK_EQ(p[20], '.');
	bg_close(&g);
}

/* 2.7.4: where one descriptor ends and the next begins says nothing. */
static void
layouts(void)
{
	static struct bg_buf b[BG_RING];
	struct bg_conf c = { 0 };
	uint32_t type, head, n;
	unsigned i, cut;
	uint8_t *p;

	bg_open(&g, &c);
	bg_fill(bg_ptr(&g, BG_DATA), 1024, 1);
	CHECK_EQ(pwrite(g.fd, bg_ptr(&g, BG_DATA), 1024, 512), 1024);
	p = bg_ptr(&g, BG_HEAD);
	/* Header, 512 bytes and status in two buffers cut anywhere. */
	for (cut = 0; cut <= 16 + 1024; cut++) {
		memset(p, 0, 16);
		p[0] = BLK_T_OUT;
		p[8] = 64;
		bg_fill(p + 16, 1024, cut);
		p[16 + 1024] = NO_STATUS;
		b[0] = (struct bg_buf){ BG_HEAD, cut, false };
		b[1] = (struct bg_buf){ BG_HEAD + cut, 16 + 1024 - cut, false };
		b[2] = (struct bg_buf){ BG_HEAD + 16 + 1024, 1, true };
		bg_put(&g, 0, b, 3);
		bg_kick(&g, 0);
		CHECK(bg_used(&g, 0, &head, &n) && n == 1);
		CHECK_EQ(p[16 + 1024], BLK_S_OK);
		CHECK_EQ(
		    pread(g.fd, bg_ptr(&g, BG_DATA + 4096), 1024, 64 * 512),
		    1024);
		CHECK(bg_same(bg_ptr(&g, BG_DATA + 4096), 1024, cut));
	}
	for (cut = 0; cut <= 1024 + 1; cut++) {
		memset(p, 0, 16 + 1024);
		p[8] = 1;
		p[16 + 1024] = NO_STATUS;
		b[0] = (struct bg_buf){ BG_HEAD, 16, false };
		b[1] = (struct bg_buf){ BG_HEAD + 16, cut, true };
		b[2] = (struct bg_buf){ BG_HEAD + 16 + cut, 1025 - cut, true };
		bg_put(&g, 0, b, 3);
		bg_kick(&g, 0);
		CHECK(bg_used(&g, 0, &head, &n) && n == 1025);
		CHECK_EQ(p[16 + 1024], BLK_S_OK);
		CHECK(bg_same(p + 16, 1024, 1));
	}
	/* A byte a buffer, as many as the ring has. */
	type = BLK_T_OUT;
	memcpy(p, &type, 4);
	p[8] = 2;
	for (i = 0; i < 16; i++)
		b[i] = (struct bg_buf){ BG_HEAD + i, 1, false };
	for (; i < BG_RING - 1; i++)
		b[i] = (struct bg_buf){ BG_DATA + i, 1, false };
	b[BG_RING - 2].len = 512 - (BG_RING - 18);
	b[BG_RING - 1] = (struct bg_buf){ BG_HEAD + 100, 1, true };
	bg_put(&g, 0, b, BG_RING);
	bg_kick(&g, 0);
	CHECK(bg_used(&g, 0, &head, &n) && n == 1);
	CHECK_EQ(*(uint8_t *)bg_ptr(&g, BG_HEAD + 100), BLK_S_OK);
	CHECK_EQ(pread(g.fd, bg_ptr(&g, BG_DATA + 8192), 512, 1024), 512);
	CHECK_EQ(
	    memcmp(bg_ptr(&g, BG_DATA + 8192), bg_ptr(&g, BG_DATA + 16), 512),
	    0);
	CHECK_EQ(g.resets, 0);
	bg_close(&g);
}

/* ---- Discard and write zeroes -------------------------------------------------- */

static uint8_t
do_ranges(uint32_t type, const struct blk_range *r, unsigned n, uint32_t *w)
{
	memcpy(bg_ptr(&g, BG_DATA), r, n * sizeof(*r));
	return (bg_do(&g, type, 0, BG_DATA, (uint32_t)(n * sizeof(*r)), w));
}

static bool
image_is(uint64_t off, size_t n, uint8_t byte)
{
	uint8_t buf[65536];
	size_t i;

	if (n > sizeof(buf) || pread(g.fd, buf, n, (off_t)off) != (ssize_t)n)
		return (false);
	for (i = 0; i < n && buf[i] == byte; i++)
		;
	return (i == n);
}

static void
ones(void)
{
	static uint8_t buf[SECTORS * 512];

	memset(buf, 1, sizeof(buf));
	CHECK_EQ(pwrite(g.fd, buf, sizeof(buf), 0), sizeof(buf));
}

static long
blocks(void)
{
	struct stat st;

	fsync(g.fd); /* those that are only promised are none yet */
	CHECK_EQ(fstat(g.fd, &st), 0);
	return ((long)st.st_blocks);
}

static void
discard(void)
{
	struct blk_range r[3] = { { 8, 8, 0 }, { 0, 0, 0 }, { 800, 16, 0 } };
	struct bg_conf c = { .dir = "/tmp" };
	long had;
	uint32_t n;

	bg_open(&g, &c);
	ones();
	had = blocks();
	CHECK_EQ(do_ranges(BLK_T_DISCARD, r, 3, &n), BLK_S_OK);
	CHECK_EQ(n, 1);
	CHECK_EQ(had - blocks(), 24);
	CHECK(image_is(0, 4096, 1) && image_is(4096, 4096, 0));
	CHECK(image_is(8192, 4096, 1) && image_is(800 * 512, 8192, 0));
	CHECK_EQ(g.page.discards, 1);
	/* A file system without holes: good advice, not taken. */
	faultsys_fail(FS_FALLOCATE, 1, 1, EOPNOTSUPP, 0);
	r[0].sector = 16;
	CHECK_EQ(do_ranges(BLK_T_DISCARD, r, 1, &n), BLK_S_OK);
	CHECK(image_is(8192, 4096, 1));
	faultsys_fail(FS_FALLOCATE, 1, 1, EIO, 0);
	CHECK_EQ(do_ranges(BLK_T_DISCARD, r, 1, &n), BLK_S_IOERR);
	bg_close(&g);
}

static void
zeroes(void)
{
	struct blk_range r[2] = { { 8, 8, 0 }, { 16, 8, BLK_RANGE_UNMAP } };
	struct bg_conf c = { .dir = "/tmp" };
	long had;
	uint32_t n;

	bg_open(&g, &c);
	ones();
	had = blocks();
	CHECK_EQ(do_ranges(BLK_T_WRITE_ZEROES, r, 1, &n), BLK_S_OK);
	CHECK_EQ(n, 1);
	CHECK_EQ(had, blocks()); /* kept, without unmap */
	CHECK(image_is(4096, 4096, 0) && image_is(8192, 4096, 1));
	CHECK_EQ(do_ranges(BLK_T_WRITE_ZEROES, r + 1, 1, &n), BLK_S_OK);
	CHECK_EQ(had - blocks(), 8);
	CHECK(image_is(8192, 4096, 0) && image_is(12288, 4096, 1));
	bg_close(&g);
}

/* A file system that knows nothing of it has zeros written to it. */
static void
zeroes_written(void)
{
	struct blk_range r[2] = { { 3, 1500, BLK_RANGE_UNMAP },
		{ 1504, 1, 0 } };
	struct bg_conf c = { 0 };
	uint32_t n;

	bg_open(&g, &c);
	ones();
	faultsys_fail(FS_FALLOCATE, 1, 9, EOPNOTSUPP, 0);
	CHECK_EQ(do_ranges(BLK_T_WRITE_ZEROES, r, 2, &n), BLK_S_OK);
	CHECK_EQ(faultsys.calls[FS_FALLOCATE], 3);
	CHECK_EQ(faultsys.calls[FS_PWRITEV], 2);
	CHECK(image_is(0, 1536, 1) && image_is(1536, 65536, 0));
	CHECK(image_is(1503 * 512 - 65536, 65536, 0));
	CHECK(image_is(1503 * 512, 512, 1) && image_is(1504 * 512, 512, 0));
	CHECK(image_is(1505 * 512, 65536, 1));
	bg_close(&g);
}

/* ---- Bad requests -------------------------------------------------------------- */

static const struct bad {
	const char *what;
	uint32_t type;
	uint64_t sector;
	uint32_t len;
	uint8_t status;
	bool readonly;
} bad[] = {
#define R(w, ...)                                                              \
	{                                                                      \
		w, __VA_ARGS__, BLK_S_IOERR, false                             \
	}
	R("read at the end", BLK_T_IN, SECTORS, 512),
	R("read over the end", BLK_T_IN, SECTORS - 1, 1024),
	R("read past the end", BLK_T_IN, SECTORS + 1, 512),
	R("read of none past the end", BLK_T_IN, SECTORS + 1, 0),
	R("write at the end", BLK_T_OUT, SECTORS, 512),
	R("write over the end", BLK_T_OUT, SECTORS - 7, 4096),
	R("write past the end", BLK_T_OUT, SECTORS + 1, 512),
	R("write of none past the end", BLK_T_OUT, SECTORS + 1, 0),
	R("write of more than there is", BLK_T_OUT, 0, (SECTORS + 1) * 512),
	R("read of more than there is", BLK_T_IN, 0, (SECTORS + 1) * 512),
	R("read, sector * 512 is 0", BLK_T_IN, 1ull << 55, 512),
	R("read, sector * 512 is 512", BLK_T_IN, (1ull << 55) + 1, 512),
	R("write, sector * 512 is 0", BLK_T_OUT, 1ull << 55, 512),
	R("write, sector * 512 is 512", BLK_T_OUT, (1ull << 55) + 1, 512),
	R("read at 2^63", BLK_T_IN, 1ull << 63, 512),
	R("write at 2^63", BLK_T_OUT, 1ull << 63, 512),
	R("read at -1", BLK_T_IN, ~0ull, 512),
	R("write at -1", BLK_T_OUT, ~0ull, 512),
	R("read at -1, two", BLK_T_IN, ~0ull, 1024),
	R("write at -2, four", BLK_T_OUT, ~0ull - 1, 2048),
	R("read at 2^32", BLK_T_IN, 1ull << 32, 512),
	R("write at 2^32", BLK_T_OUT, 1ull << 32, 512),
	R("read of a byte", BLK_T_IN, 0, 1),
	R("read of 511", BLK_T_IN, 0, 511),
	R("read of 513", BLK_T_IN, 0, 513),
	R("write of a byte", BLK_T_OUT, 0, 1),
	R("write of 511", BLK_T_OUT, 0, 511),
	R("write of 513", BLK_T_OUT, 0, 513),
	R("write of 4095", BLK_T_OUT, 0, 4095),
	R("discard of nothing", BLK_T_DISCARD, 0, 0),
	R("discard by 15 bytes", BLK_T_DISCARD, 0, 15),
	R("discard by 17 bytes", BLK_T_DISCARD, 0, 17),
	R("discard by 33 ranges", BLK_T_DISCARD, 0, 33 * 16),
	R("discard by 65536 ranges", BLK_T_DISCARD, 0, 65536 * 16),
	R("zero of nothing", BLK_T_WRITE_ZEROES, 0, 0),
	R("zero by 15 bytes", BLK_T_WRITE_ZEROES, 0, 15),
	R("zero by 17 bytes", BLK_T_WRITE_ZEROES, 0, 17),
	R("zero by 33 ranges", BLK_T_WRITE_ZEROES, 0, 33 * 16),
#undef R
	{ "read-only: write", BLK_T_OUT, 0, 512, BLK_S_IOERR, true },
	{ "read-only: write of none", BLK_T_OUT, 0, 0, BLK_S_IOERR, true },
	{ "read-only: discard", BLK_T_DISCARD, 0, 16, BLK_S_UNSUPP, true },
	{ "read-only: zero", BLK_T_WRITE_ZEROES, 0, 16, BLK_S_UNSUPP, true },
	{ "read-only: read past", BLK_T_IN, SECTORS, 512, BLK_S_IOERR, true },
};

/* T18, T16: no byte of the image, nor of memory but the status, changes. */
static void
bad_one(const struct bad *t)
{
	struct bg_conf c = { .readonly = t->readonly };
	uint64_t image, mem;
	uint32_t n = 99;

	bg_open(&g, &c);
	if (!t->readonly)
		ones();
	image = image_hash();
	memset(bg_ptr(&g, BG_DATA), 0x5a, 2 << 20);
	mem = hash(bg_ptr(&g, BG_DATA), 2 << 20);
	faultsys_reset();
	CHECK_MSG(
	    bg_do(&g, t->type, t->sector, BG_DATA, t->len, &n) == t->status,
	    "%s: status %u", t->what, bg_status(&g, 0));
	CHECK_MSG(n == 1, "%s: used.len %u", t->what, n);
	CHECK_MSG(image_hash() == image, "%s: image", t->what);
	CHECK_MSG(
	    hash(bg_ptr(&g, BG_DATA), 2 << 20) == mem, "%s: memory", t->what);
	CHECK_MSG(
	    faultsys_total() == 0, "%s: %u calls", t->what, faultsys_total());
	CHECK_EQ(g.page.errors, t->status == BLK_S_IOERR);
	CHECK_EQ(g.resets, 0);
	bg_close(&g);
}

static void
bad_table(void)
{
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		bad_one(&bad[i]);
}

static const struct {
	const char *what;
	struct blk_range r[2];
	uint8_t discard, zero;
} bad_ranges[] = {
	{ "at the end", { { SECTORS, 1, 0 } }, 1, 1 },
	{ "over the end", { { SECTORS - 1, 2, 0 } }, 1, 1 },
	{ "overflow", { { ~0ull, 2, 0 } }, 1, 1 },
	{ "overflow of bytes", { { 1ull << 55, 8, 0 } }, 1, 1 },
	{ "all and one", { { 0, SECTORS + 1, 0 } }, 1, 1 },
	{ "2^32 - 1", { { 0, UINT32_MAX, 0 } }, 1, 1 },
	{ "unknown flag", { { 0, 8, 2 } }, 2, 2 },
	{ "all flags", { { 0, 8, UINT32_MAX } }, 2, 2 },
	{ "second is bad", { { 0, 8, 0 }, { SECTORS, 1, 0 } }, 1, 1 },
	{ "second has flags", { { 0, 8, 0 }, { 8, 8, 4 } }, 2, 2 },
	{ "unmap", { { 0, 8, 0 }, { 8, 8, 1 } }, 2, 0 },
};

static void
bad_range_table(void)
{
	struct bg_conf c = { 0 };
	uint64_t image;
	uint32_t n;
	size_t i;

	for (i = 0; i < sizeof(bad_ranges) / sizeof(bad_ranges[0]); i++) {
		bg_open(&g, &c);
		ones();
		image = image_hash();
		CHECK_MSG(do_ranges(BLK_T_DISCARD, bad_ranges[i].r, 2, &n) ==
			bad_ranges[i].discard,
		    "discard %s", bad_ranges[i].what);
		CHECK_EQ(image_hash(), image);
		CHECK_MSG(do_ranges(BLK_T_WRITE_ZEROES, bad_ranges[i].r, 2,
			      &n) == bad_ranges[i].zero,
		    "zero %s", bad_ranges[i].what);
		CHECK_EQ(n, 1);
		CHECK((image_hash() == image) == (bad_ranges[i].zero != 0));
		bg_close(&g);
	}
}

/* What the guest did not take with its features, it does not get. */
static void
not_negotiated(void)
{
	struct bg_conf c = { .features = BLK_F_DISCARD | BLK_F_WRITE_ZEROES };
	struct blk_range r = { 0, 8, 0 };
	uint32_t n;

	bg_open(&g, &c);
	ones();
	CHECK_EQ(do_ranges(BLK_T_DISCARD, &r, 1, &n), BLK_S_UNSUPP);
	CHECK_EQ(do_ranges(BLK_T_WRITE_ZEROES, &r, 1, &n), BLK_S_UNSUPP);
	CHECK(image_is(0, 4096, 1));
	bg_close(&g);
}

/* T19: SCSI commands, their old names, secure erase, and what nobody knows. */
static void
unknown_types(void)
{
	struct bg_conf c = { 0 };
	uint64_t mem;
	uint32_t type, n;
	unsigned i;

	bg_open(&g, &c);
	for (i = 0; i < 256 + 32; i++) {
		type = i < 256 ? i : 1u << (i - 256);
		if (type == BLK_T_IN || type == BLK_T_OUT ||
		    type == BLK_T_FLUSH || type == BLK_T_GET_ID ||
		    type == BLK_T_DISCARD || type == BLK_T_WRITE_ZEROES)
			continue;
		memset(bg_ptr(&g, BG_DATA), 0x77, 512);
		mem = hash(bg_ptr(&g, BG_DATA), 512);
		CHECK_MSG(bg_do(&g, type, 0, BG_DATA, 512, &n) == BLK_S_UNSUPP,
		    "type %u", type);
		CHECK_EQ(n, 1);
		CHECK_EQ(hash(bg_ptr(&g, BG_DATA), 512), mem);
	}
	CHECK_EQ(faultsys_total(), 0);
	bg_close(&g);
}

/* T03: every length of the header; T04: with nothing, and around nothing. */
static void
headers(void)
{
	static const uint32_t more[] = { 65536, 1u << 20, 8u << 20 };
	struct bg_conf c = { 0 };
	struct bg_buf b[3] = { { BG_HEAD, 0, false }, { BG_DATA, 512, true },
		{ BG_HEAD + 64, 1, true } };
	uint32_t id_, n, i;
	uint8_t *p;

	bg_open(&g, &c);
	p = bg_ptr(&g, BG_HEAD);
	for (i = 0; i < 16; i++) {
		memset(p, 0, 65);
		b[0].len = i;
		p[64] = NO_STATUS;
		bg_put(&g, 0, b, 3);
		bg_kick(&g, 0);
		CHECK(bg_used(&g, 0, &id_, &n) && n == 1);
		CHECK_EQ(p[64], BLK_S_IOERR);
	}
	/* Of a read, whatever comes after it is not looked at. */
	for (i = 0; i < 3; i++) {
		b[0].len = more[i];
		p[64] = NO_STATUS;
		bg_put(&g, 0, b, 3);
		bg_kick(&g, 0);
		CHECK(bg_used(&g, 0, &id_, &n) && n == 513);
		CHECK_EQ(p[64], BLK_S_OK);
	}
	CHECK_EQ(g.resets, 0);
	bg_close(&g);
}

/* Nowhere to write a status: it comes back with nothing written. */
static void
no_status(void)
{
	struct bg_conf c = { 0 };
	struct bg_buf b[2] = { { BG_HEAD, 16, false },
		{ BG_DATA, 512, false } };
	uint64_t image;
	uint32_t id_, n;
	uint8_t *p;

	bg_open(&g, &c);
	image = image_hash();
	p = bg_ptr(&g, BG_HEAD);
	memset(p, 0, 32);
	p[0] = BLK_T_OUT;
	memset(bg_ptr(&g, BG_DATA), 9, 512);
	bg_put(&g, 0, b, 2);
	bg_put(&g, 0, b, 1);
	b[0].len = 0;
	bg_put(&g, 0, b, 1);
	bg_kick(&g, 0);
	CHECK(bg_used(&g, 0, &id_, &n) && n == 0);
	CHECK(bg_used(&g, 0, &id_, &n) && n == 0);
	CHECK(bg_used(&g, 0, &id_, &n) && n == 0);
	CHECK_EQ(image_hash(), image);
	CHECK_EQ(g.page.errors, 3);
	CHECK_EQ(g.resets, 0);
	bg_close(&g);
}

/* More room than a status needs: the last byte is it, one byte is written. */
static void
wide_status(void)
{
	struct bg_conf c = { 0 };
	struct bg_buf b[3] = { { BG_HEAD, 16, false }, { BG_DATA, 512, false },
		{ BG_HEAD + 64, 100, true } };
	uint32_t id_, n;
	unsigned i;
	uint8_t *p;

	bg_open(&g, &c);
	p = bg_ptr(&g, BG_HEAD);
	memset(p, 0, 64);
	memset(p + 64, 0x33, 101);
	p[0] = BLK_T_OUT;
	bg_put(&g, 0, b, 3);
	bg_kick(&g, 0);
	CHECK(bg_used(&g, 0, &id_, &n) && n == 1);
	for (i = 0; i < 99 && p[64 + i] == 0x33; i++)
		;
	CHECK_EQ(i, 99);
	CHECK_EQ(p[64 + 99], BLK_S_OK);
	CHECK_EQ(p[64 + 100], 0x33);
	bg_close(&g);
}

/* A broken ring asks for a reset, after what came before it is done. */
static void
broken_ring(void)
{
	struct bg_conf c = { .aio = true };
	struct bg_buf b = { 1ull << 40, 16, false };
	uint32_t id_, n;
	unsigned i;

	bg_open(&g, &c);
	for (i = 0; i < 5; i++)
		bg_ask(&g, 0, i, BLK_T_IN, i, BG_DATA + i * 512, 512);
	bg_put(&g, 0, &b, 1);
	bg_kick(&g, 0);
	for (i = 0; i < 5; i++)
		CHECK(bg_used(&g, 0, &id_, &n) && n == 513);
	CHECK_EQ(g.resets, 1);
	CHECK_EQ(g.page.inflight, 0);
	bg_close(&g);
}

static const struct tap_case cases[] = {
	{ "blk: configuration and features", config },
	{ "blk: read-only configuration", config_readonly },
	{ "blk: what is no disk", config_bad },
	{ "blk: save and load", save_load },
	{ "T16 blk: read, write, flush, figures", read_write },
	{ "blk: a guest that is served need not notify", no_kicks },
	{ "T16 blk: serial number", id },
	{ "blk: any cut into descriptors", layouts },
	{ "blk: discard", discard },
	{ "blk: write zeroes", zeroes },
	{ "blk: write zeroes by writing", zeroes_written },
	{ "T18 T16 blk: bad requests", bad_table },
	{ "T18 blk: bad ranges", bad_range_table },
	{ "blk: features that were not taken", not_negotiated },
	{ "T19 blk: unknown types", unknown_types },
	{ "T03 T04 blk: length of the header", headers },
	{ "blk: no room for a status", no_status },
	{ "T16 blk: more room than a status needs", wide_status },
	{ "blk: a broken ring behind good requests", broken_ring },
};
TAP_MAIN(cases)
