/* SPDX-License-Identifier: ISC */
/* What a host may say of a raw image, and what is made of it. */
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "regress/lib/tap.h"

static int fake_statx(int, const char *, int, unsigned, struct statx *);
static int fake_fcntl(int, int, ...);
#define statx(...) fake_statx(__VA_ARGS__)
#define fcntl fake_fcntl
#include "daemon/disk/raw_look.c"

static struct statx said;
static unsigned nfcntl;

static int
fake_statx(int fd, const char *path, int flags, unsigned mask, struct statx *st)
{
	(void)fd;
	(void)path;
	(void)flags;
	(void)mask;
	*st = said;
	return (0);
}

static int
fake_fcntl(int fd, int cmd, ...)
{
	(void)fd;
	(void)cmd;
	nfcntl++;
	return (0);
}

static int
no_fallocate(int fd, int mode, off_t off, off_t len)
{
	(void)fd;
	(void)mode;
	(void)off;
	(void)len;
	return (-1);
}

static const struct disk_sys sys = { .fallocate = no_fallocate };

/* A file for direct I/O that says so: is it taken, and in which blocks? */
static bool
direct(uint32_t mem_align, uint32_t off_align, struct disk_limits *l)
{
	struct raw r = { 0 };
	struct disk d = {
		.sys = &sys,
		.conf = { .direct = true },
		.state = &r,
	};
	struct err e;

	memset(&said, 0, sizeof(said));
	said.stx_mask = STATX_BASIC_STATS | STATX_DIOALIGN;
	said.stx_mode = S_IFREG;
	said.stx_size = 1 << 20;
	said.stx_blksize = 4096;
	said.stx_dio_mem_align = mem_align;
	said.stx_dio_offset_align = off_align;
	nfcntl = 0;
	CHECK_EQ(raw_look(&d, &e), 0);
	*l = d.limits;
	CHECK_EQ(nfcntl, r.mem_align == 1 && r.off_align == 1 ? 0 : 2);
	return (r.mem_align == mem_align && r.off_align == off_align);
}

static void
taken(void)
{
	struct disk_limits l;

	CHECK(direct(4, 512, &l));
	CHECK_EQ(l.block_bytes, 512);
	CHECK(direct(512, 4096, &l));
	CHECK_EQ(l.block_bytes, 4096);
	CHECK_EQ(l.bytes, 1 << 20);
}

/* Masks are made of both: what is no power of two would lose bytes. */
static void
not_taken(void)
{
	static const uint32_t odd[][2] = { { 0, 512 }, { 512, 0 }, { 513, 512 },
		{ 768, 512 }, { 512, 520 }, { 512, 3072 }, { 8192, 512 },
		{ 512, 8192 } };
	struct disk_limits l;
	unsigned i;

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		CHECK(!direct(odd[i][0], odd[i][1], &l));
		CHECK_EQ(l.block_bytes, 512);
		CHECK_EQ(l.bytes, 1 << 20);
	}
}

static const struct tap_case cases[] = {
	{ "raw: alignments of direct I/O", taken },
	{ "raw: alignments that are none", not_taken },
};
TAP_MAIN(cases)
