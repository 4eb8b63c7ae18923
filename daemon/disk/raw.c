/* SPDX-License-Identifier: ISC */
/*
 * Raw images: the file, or the block device, is the disk.
 * Runs in: device process, queue threads.  Trusts: nobody; when the file has
 * become shorter, reading what it lost is EIO.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "daemon/disk/raw_int.h"
#include "shared/iov.h"

#define ZEROS_BYTES (64u << 10)
#define ZEROS_AT_ONCE 16

static uint8_t zeros[ZEROS_BYTES] __attribute__((aligned(4096)));

static ssize_t
move_once(
    struct disk *d, bool write, const struct iovec *v, int n, uint64_t off)
{
	ssize_t done;

	do
		done = (write ? d->sys->pwritev : d->sys->preadv)(
		    d->fd[0], v, n, (off_t)off);
	while (done == -1 && errno == EINTR);
	if (done == 0) {
		errno = EIO; /* the file ends here now */
		return (-1);
	}
	return (done);
}

/* All of it.  What the first call leaves is done a buffer at a time. */
static int
move_all(struct disk *d, bool write, const struct iovec *v, int n, uint64_t off)
{
	ssize_t done = move_once(d, write, v, n, off);
	struct iovec rest;
	size_t skip;
	int i;

	if (done == -1)
		return (-1);
	for (i = 0, skip = (size_t)done; i < n; i++) {
		while (skip < v[i].iov_len) {
			rest.iov_base = (uint8_t *)v[i].iov_base + skip;
			rest.iov_len = v[i].iov_len - skip;
			done = move_once(d, write, &rest, 1, off + skip);
			if (done == -1)
				return (-1);
			skip += (size_t)done;
		}
		skip -= v[i].iov_len;
		off += v[i].iov_len;
	}
	return (0);
}

static size_t
total(const struct iovec *v, int n)
{
	size_t sum = 0;

	while (n > 0)
		sum += v[--n].iov_len;
	return (sum);
}

/*
 * By a buffer of our own and whole blocks of the file.  Two requests that
 * share a block wait for each other, so that neither brings back the old
 * bytes of the other's part.
 */
static int
bounce_all(
    struct disk *d, bool write, const struct iovec *v, int n, uint64_t off)
{
	struct raw *r = d->state;
	uint64_t mask = r->off_align - 1ull, lo, hi;
	size_t all = total(v, n), pos, len;
	struct iovec b;

	for (pos = 0; pos < all; pos += len) {
		lo = (off + pos) & ~mask;
		len = RAW_BOUNCE_BYTES - (size_t)(off + pos - lo);
		if (len > all - pos)
			len = all - pos;
		hi = (off + pos + len + mask) & ~mask;
		b.iov_base = r->bounce;
		b.iov_len = (size_t)(hi - lo);
		if ((!write || lo != off + pos || hi != off + pos + len) &&
		    move_all(d, false, &b, 1, lo) == -1)
			return (-1);
		if (!write) {
			iov_put(v, (unsigned)n, pos,
			    r->bounce + (off + pos - lo), len);
			continue;
		}
		iov_get(v, (unsigned)n, pos, r->bounce + (off + pos - lo), len);
		if (move_all(d, true, &b, 1, lo) == -1)
			return (-1);
	}
	return (0);
}

static int
bounce(struct disk *d, bool write, const struct iovec *v, int n, uint64_t off)
{
	struct raw *r = d->state;
	int ret;

	pthread_mutex_lock(&r->mtx);
	ret = bounce_all(d, write, v, n, off);
	pthread_mutex_unlock(&r->mtx);
	return (ret);
}

/* Does direct I/O take it, as far as the host has said? */
static bool
fits(const struct raw *r, const struct iovec *v, int n, uint64_t off)
{
	uintptr_t sum = 0;
	int i;

	if (r->bounce == NULL)
		return (true);
	for (i = 0; i < n; i++)
		sum |= (uintptr_t)v[i].iov_base | v[i].iov_len;
	return ((sum & (r->mem_align - 1)) == 0 &&
	    (off & (r->off_align - 1)) == 0 &&
	    (total(v, n) & (r->off_align - 1)) == 0);
}

static int
raw_move(struct disk *d, bool write, const struct iovec *v, int n, uint64_t off)
{
	struct raw *r = d->state;

	if (!fits(r, v, n, off))
		return (bounce(d, write, v, n, off));
	if (move_all(d, write, v, n, off) == 0)
		return (0);
	/* It knows more reasons than it told; or stopped within a block. */
	if (errno != EINVAL || r->bounce == NULL)
		return (-1);
	return (bounce(d, write, v, n, off));
}

static int
raw_readv(struct disk *d, const struct iovec *v, int n, uint64_t off)
{
	return (raw_move(d, false, v, n, off));
}

static int
raw_writev(struct disk *d, const struct iovec *v, int n, uint64_t off)
{
	return (raw_move(d, true, v, n, off));
}

static int
raw_flush(struct disk *d)
{
	int r;

	do
		r = d->sys->fdatasync(d->fd[0]);
	while (r == -1 && errno == EINTR);
	return (r);
}

static int
range(struct disk *d, int mode, uint64_t off, uint64_t len)
{
	int r;

	do
		r = d->sys->fallocate(d->fd[0], mode | FALLOC_FL_KEEP_SIZE,
		    (off_t)off, (off_t)len);
	while (r == -1 && errno == EINTR);
	return (r);
}

/* The host has no such thing, or not for these blocks. */
static bool
not_here(void)
{
	return (errno == EOPNOTSUPP || errno == EINVAL || errno == ENOSYS);
}

static int
raw_discard(struct disk *d, uint64_t off, uint64_t len)
{
	if (range(d, FALLOC_FL_PUNCH_HOLE, off, len) == 0 || not_here())
		return (0); /* it was good advice only */
	return (-1);
}

static int
write_zeros(struct disk *d, uint64_t off, uint64_t len)
{
	struct iovec v[ZEROS_AT_ONCE];
	uint64_t end = off + len;
	int n;

	while (off < end) {
		for (n = 0, len = 0; n < ZEROS_AT_ONCE && off + len < end;
		     n++) {
			v[n].iov_base = zeros;
			v[n].iov_len = end - off - len < ZEROS_BYTES
			    ? (size_t)(end - off - len)
			    : ZEROS_BYTES;
			len += v[n].iov_len;
		}
		if (raw_move(d, true, v, n, off) == -1)
			return (-1);
		off += len;
	}
	return (0);
}

static int
raw_zero(struct disk *d, uint64_t off, uint64_t len, bool unmap)
{
	if (unmap && range(d, FALLOC_FL_PUNCH_HOLE, off, len) == 0)
		return (0);
	if (unmap && !not_here())
		return (-1);
	if (range(d, FALLOC_FL_ZERO_RANGE, off, len) == 0)
		return (0);
	return (not_here() ? write_zeros(d, off, len) : -1);
}

static bool
raw_map(struct disk *d, const struct iovec *v, int n, uint64_t off,
    uint64_t len, bool write, int *fd, uint64_t *file_off)
{
	(void)len;
	(void)write;
	*fd = d->fd[0];
	*file_off = off;
	return (fits(d->state, v, n, off));
}

static int
raw_prepare(struct disk *d, struct err *e)
{
	struct raw *r = d->state;
	void *p;

	pthread_mutex_init(&r->mtx, NULL);
	if (d->nfds != 1)
		return (err_set(
		    e, EINVAL, "a raw image is one file, not %u", d->nfds));
	if (raw_look(d, e) == -1)
		return (-1);
	if (r->off_align == 1 && r->mem_align == 1)
		return (0);
	p = mmap(NULL, RAW_BOUNCE_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return (err_errno(e, "no memory for direct I/O"));
	r->bounce = p;
	return (0);
}

static void
raw_close(struct disk *d)
{
	struct raw *r = d->state;

	if (r->bounce != NULL)
		munmap(r->bounce, RAW_BOUNCE_BYTES);
	pthread_mutex_destroy(&r->mtx);
}

const struct disk_ops disk_raw = {
	.name = "raw",
	.state_bytes = sizeof(struct raw),
	.prepare = raw_prepare,
	.close = raw_close,
	.readv = raw_readv,
	.writev = raw_writev,
	.flush = raw_flush,
	.discard = raw_discard,
	.zero = raw_zero,
	.map = raw_map,
};
