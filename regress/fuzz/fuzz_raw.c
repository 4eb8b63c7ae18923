/* SPDX-License-Identifier: ISC */
/*
 * A raw image whose host says anything of it: sizes, blocks, alignments,
 * errors.  What is made of that has to be usable.  Then the host's own system
 * calls, on a file in memory, against a model: fuzz_blk has calls of its own.
 *
 * An execution: one image is looked at and opened, at most STEPS_MAX requests
 * are done, and it is closed.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fuzz_statx(int, const char *, int, unsigned, struct statx *);
static int fuzz_ioctl(int, unsigned long, void *);
static int fuzz_fcntl(int, int, ...);
#define statx(...) fuzz_statx(__VA_ARGS__)
#define ioctl fuzz_ioctl
#define fcntl fuzz_fcntl
#include "daemon/disk/raw_look.c"
#undef statx
#undef ioctl
#undef fcntl

#include "regress/fuzz/input.h"

NO_COVERAGE_BEGIN

#define INPUT_MAX 96
#define STEPS_MAX 12
#define BYTES 0x8000u

enum { READ, WRITE, FLUSH, DISCARD, ZERO, UNMAP, SUBMIT };

static struct input in;
static int file = -1;
static aio_context_t aio;
static uint8_t model[BYTES], buf[BYTES + 4096] __attribute__((aligned(4096)));

/* ---- What the host says ------------------------------------------------- */

/* A power of two mostly, as it should be. */
static uint32_t
number(void)
{
	uint32_t v = take_byte(&in);

	if (v & 0x80)
		take_bytes(&in, &v, sizeof(v));
	else
		v = 1u << (v & 31);
	return (v);
}

static int
fuzz_statx(int fd, const char *path, int flags, unsigned mask, struct statx *st)
{
	static const uint16_t modes[] = { S_IFREG, S_IFREG, S_IFBLK, S_IFDIR };
	unsigned how = take_byte(&in);

	(void)path;
	if (fd < 0 || !(flags & AT_EMPTY_PATH) || !(mask & STATX_DIOALIGN))
		abort();
	memset(st, 0, sizeof(*st));
	st->stx_mode = modes[how & 3];
	st->stx_mask = STATX_BASIC_STATS | (how & 4 ? STATX_DIOALIGN : 0);
	st->stx_size = BYTES;
	if (how & 8)
		take_bytes(&in, &st->stx_size, sizeof(st->stx_size));
	st->stx_blksize = number();
	st->stx_dio_mem_align = number();
	st->stx_dio_offset_align = number();
	errno = EIO;
	return (how & 0xe0 ? 0 : -1);
}

static int
fuzz_ioctl(int fd, unsigned long request, void *to)
{
	uint64_t bytes = BYTES;
	uint32_t v;

	(void)fd;
	errno = ENOTTY;
	if (take_byte(&in) < 8)
		return (-1);
	switch (request) {
	case BLKGETSIZE64:
		if (take_byte(&in) & 1)
			take_bytes(&in, &bytes, sizeof(bytes));
		memcpy(to, &bytes, sizeof(bytes));
		return (0);
	case BLKSSZGET:
	case BLKPBSZGET:
		v = number();
		memcpy(to, &v, sizeof(v));
		return (0);
	default:
		abort();
	}
}

/* O_DIRECT is not really set: a file in memory would take it or not. */
static int
fuzz_fcntl(int fd, int cmd, ...)
{
	if (fd < 0 || (cmd != F_GETFL && cmd != F_SETFL))
		abort();
	errno = EINVAL;
	return (take_byte(&in) < 8 ? -1 : 0);
}

static bool
pow2(uint64_t v)
{
	return (v != 0 && (v & (v - 1)) == 0);
}

static void
usable(const struct disk *d)
{
	const struct disk_limits *l = &d->limits;
	const struct raw *r = d->state;

	if (!pow2(l->block_bytes) || l->block_bytes < DISK_SECTOR ||
	    l->block_bytes > 4096 || !pow2(l->phys_bytes) ||
	    l->phys_bytes < l->block_bytes || l->phys_bytes > 64 << 10)
		abort();
	if (l->bytes == 0 || l->bytes % l->block_bytes != 0)
		abort();
	if (l->discard_bytes != 0 && !pow2(l->discard_bytes))
		abort();
	if (!pow2(r->mem_align) || r->mem_align > 4096 || !pow2(r->off_align) ||
	    r->off_align > l->block_bytes)
		abort();
	if (!d->conf.direct && (r->mem_align != 1 || r->off_align != 1))
		abort();
}

/* ---- Requests ----------------------------------------------------------- */

/* By io_submit(2), where it can be. */
static int
submit(struct disk *d, struct iovec *v, int n, uint64_t off, uint64_t len)
{
	struct iocb cb = { .aio_lio_opcode = IOCB_CMD_PREADV }, *cbs = &cb;
	struct io_event ev;
	uint64_t at;
	int fd;

	if (!d->ops->map(d, v, n, off, len, false, &fd, &at))
		return (d->ops->readv(d, v, n, off));
	cb.aio_fildes = (uint32_t)fd;
	cb.aio_buf = (uintptr_t)v;
	cb.aio_nbytes = (uint64_t)n;
	cb.aio_offset = (int64_t)at;
	if (d->sys->submit(aio, 1, &cbs) != 1 ||
	    d->sys->getevents(aio, 1, 1, &ev, NULL) != 1)
		abort();
	return (ev.res == (int64_t)len ? 0 : -1);
}

static void
request(struct disk *d)
{
	unsigned op = take_byte(&in) % 7, shift = take_byte(&in);
	uint64_t room = d->limits.bytes < BYTES ? d->limits.bytes : BYTES;
	uint64_t off, len;
	struct iovec v[2];
	int rc = 0;

	off = take_byte(&in) * 512ull % room & ~511ull;
	len = (take_byte(&in) & 31) * 512ull;
	if (len == 0 || len > room - off)
		len = room - off;
	v[0].iov_base = buf + (shift & 15);
	v[0].iov_len = shift & 0x80 ? len / 2 + (shift & 3) : len;
	v[1].iov_base = buf + (shift & 15) + v[0].iov_len;
	v[1].iov_len = len - v[0].iov_len;
	switch (op) {
	case WRITE:
		memset(v[0].iov_base, take_byte(&in), len);
		memcpy(model + off, v[0].iov_base, len);
		rc = d->ops->writev(d, v, 2, off);
		break;
	case FLUSH:
		rc = disk_flush(d);
		break;
	case DISCARD:
		memset(model + off, 0, len); /* what this host does */
		rc = d->ops->discard(d, off, len);
		break;
	case ZERO:
	case UNMAP:
		memset(model + off, 0, len);
		rc = d->ops->zero(d, off, len, op == UNMAP);
		break;
	default:
		rc = op == SUBMIT ? submit(d, v, 2, off, len)
				  : d->ops->readv(d, v, 2, off);
		if (rc == 0 && memcmp(v[0].iov_base, model + off, len) != 0)
			abort();
		break;
	}
	if (rc == -1)
		abort();
}

static void
once(void)
{
	if ((file = memfd_create("image", MFD_CLOEXEC)) == -1 ||
	    syscall(SYS_io_setup, 1, &aio) == -1)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static _Atomic uint64_t lost;
	struct disk_conf conf = { .lost = &lost };
	struct disk d;
	struct err e;
	unsigned how, i, nfds;
	int fds[2] = { -1, -1 };

	if (file == -1)
		once();
	in = (struct input){ data, size };
	how = take_byte(&in);
	conf.readonly = how & 1;
	conf.direct = how & 2;
	nfds = how & 0xc ? 1 : how >> 4 & 3;
	fds[0] = dup(file);
	if (disk_prepare(&d, &disk_raw, &conf, &disk_sys_linux, fds, nfds % 3,
		&e) == 0 &&
	    disk_open(&d, &e) == 0) {
		usable(&d);
		memset(model, 0, sizeof(model));
		if (ftruncate(file, 0) == -1 || ftruncate(file, BYTES) == -1)
			abort();
		for (i = 0; in.left > 0 && i < STEPS_MAX; i++)
			request(&d);
	}
	disk_close(&d);
	disk_close(&d); /* closed is closed */
	if (nfds % 3 == 0)
		close(fds[0]);
	return (0);
}

NO_COVERAGE_END
