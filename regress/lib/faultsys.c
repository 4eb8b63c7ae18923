/* SPDX-License-Identifier: ISC */
/* System calls that fail when they are told to: see faultsys.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/faultsys.h"

struct faultsys faultsys;

void
faultsys_reset(void)
{
	memset(&faultsys, 0, sizeof(faultsys));
}

void
faultsys_fail(
    enum fs_call call, unsigned nth, unsigned times, int error, size_t cut)
{
	unsigned i;

	for (i = 0; faultsys.fault[i].times != 0; i++)
		if (i == FS_FAULTS_MAX - 1)
			abort();
	faultsys.fault[i] = (struct fs_fault){ call, faultsys.calls[call] + nth,
		times, error, cut };
}

unsigned
faultsys_total(void)
{
	unsigned i, n = 0;

	for (i = 0; i < FS_GETEVENTS; i++)
		n += faultsys.calls[i];
	return (n);
}

/* Count it; the fault that hits it, or NULL. */
static const struct fs_fault *
hit(enum fs_call call)
{
	unsigned nth = ++faultsys.calls[call], i;
	const struct fs_fault *f;

	if (faultsys.hook != NULL)
		faultsys.hook(call);
	for (i = 0; i < FS_FAULTS_MAX; i++) {
		f = &faultsys.fault[i];
		if (f->call == call && nth >= f->nth && nth - f->nth < f->times)
			return (f);
	}
	return (NULL);
}

static void
note(enum fs_call call, int mode, uint64_t off, uint64_t bytes)
{
	if (faultsys.nops < FS_OPS_MAX)
		faultsys.op[faultsys.nops] =
		    (struct fs_op){ call, mode, off, bytes };
	faultsys.nops++;
}

/* The buffers, no longer than cut bytes in all. */
static int
shorten(struct iovec *to, const struct iovec *v, int n, size_t cut)
{
	int i;

	for (i = 0; i < n && cut > 0; i++) {
		to[i] = v[i];
		if (to[i].iov_len > cut)
			to[i].iov_len = cut;
		cut -= to[i].iov_len;
	}
	return (i);
}

static ssize_t
move(enum fs_call call, int fd, const struct iovec *v, int n, off_t off)
{
	const struct disk_sys *sys = &disk_sys_linux;
	const struct fs_fault *f = hit(call);
	struct iovec cut[1024];
	ssize_t r;

	if (f != NULL && f->error != 0) {
		errno = f->error;
		return (-1);
	}
	if (f != NULL) {
		n = shorten(cut, v, n, f->cut);
		v = cut;
	}
	r = n == 0
	    ? 0
	    : (call == FS_PREADV ? sys->preadv : sys->pwritev)(fd, v, n, off);
	note(call, 0, (uint64_t)off, r > 0 ? (uint64_t)r : 0);
	return (r);
}

static ssize_t
fault_preadv(int fd, const struct iovec *v, int n, off_t off)
{
	return (move(FS_PREADV, fd, v, n, off));
}

static ssize_t
fault_pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	return (move(FS_PWRITEV, fd, v, n, off));
}

static int
fault_fallocate(int fd, int mode, off_t off, off_t len)
{
	const struct fs_fault *f = hit(FS_FALLOCATE);

	if (f != NULL) {
		errno = f->error;
		return (-1);
	}
	note(FS_FALLOCATE, mode, (uint64_t)off, (uint64_t)len);
	return (disk_sys_linux.fallocate(fd, mode, off, len));
}

static int
fault_fdatasync(int fd)
{
	const struct fs_fault *f = hit(FS_FDATASYNC);

	if (f != NULL) {
		errno = f->error;
		return (-1);
	}
	note(FS_FDATASYNC, 0, 0, 0);
	return (disk_sys_linux.fdatasync(fd));
}

static long
fault_submit(aio_context_t ctx, long n, struct iocb **cbs)
{
	const struct fs_fault *f = hit(FS_SUBMIT);

	if (f != NULL && f->error != 0) {
		errno = f->error;
		return (-1);
	}
	if (f != NULL && n > (long)f->cut)
		n = (long)f->cut;
	return (disk_sys_linux.submit(ctx, n, cbs));
}

static long
fault_getevents(aio_context_t ctx, long min, long n, struct io_event *ev,
    struct timespec *limit)
{
	const struct fs_fault *f;
	long i, got = disk_sys_linux.getevents(ctx, min, n, ev, limit);

	for (i = 0; i < got; i++) {
		if ((f = hit(FS_GETEVENTS)) == NULL)
			continue;
		ev[i].res = f->error != 0 ? -f->error : (int64_t)f->cut;
	}
	return (got);
}

const struct disk_sys faultsys_sys = {
	.preadv = fault_preadv,
	.pwritev = fault_pwritev,
	.fallocate = fault_fallocate,
	.fdatasync = fault_fdatasync,
	.submit = fault_submit,
	.getevents = fault_getevents,
};
