/* SPDX-License-Identifier: ISC */
/*
 * What all formats share: see disk.h.
 * Runs in: device process, queue threads; vm process, in tests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/disk/disk.h"
#include "shared/fd.h"

/* By the names that the sandbox knows; those without the 2 it does not. */
static ssize_t
linux_preadv(int fd, const struct iovec *v, int n, off_t off)
{
	return (preadv2(fd, v, n, off, 0));
}

static ssize_t
linux_pwritev(int fd, const struct iovec *v, int n, off_t off)
{
	return (pwritev2(fd, v, n, off, 0));
}

static long
linux_submit(aio_context_t ctx, long n, struct iocb **cbs)
{
	return (syscall(SYS_io_submit, ctx, n, cbs));
}

static long
linux_getevents(aio_context_t ctx, long min, long n, struct io_event *ev,
    struct timespec *limit)
{
	return (syscall(SYS_io_getevents, ctx, min, n, ev, limit));
}

const struct disk_sys disk_sys_linux = {
	.preadv = linux_preadv,
	.pwritev = linux_pwritev,
	.fallocate = fallocate,
	.fdatasync = fdatasync,
	.submit = linux_submit,
	.getevents = linux_getevents,
};

int
disk_prepare(struct disk *d, const struct disk_ops *ops,
    const struct disk_conf *conf, const struct disk_sys *sys, int *fd,
    unsigned nfds, struct err *e)
{
	unsigned i;

	memset(d, 0, sizeof(*d));
	d->ops = ops;
	d->sys = sys;
	d->conf = *conf;
	d->flusher.lost = conf->lost != NULL && atomic_load(conf->lost) != 0;
	pthread_mutex_init(&d->flusher.mtx, NULL);
	pthread_cond_init(&d->flusher.done, NULL);
	for (i = 0; i < nfds && i < DISK_FILES_MAX; i++)
		d->fd[d->nfds++] = fd_move(&fd[i]);
	for (; i < nfds; i++)
		fd_close(&fd[i]);
	if (nfds == 0 || nfds > DISK_FILES_MAX)
		return (err_set(e, EINVAL,
		    "a disk is made of 1 to %u files, not of %u",
		    DISK_FILES_MAX, nfds));
	if (ops->state_bytes > 0 &&
	    (d->state = calloc(1, ops->state_bytes)) == NULL)
		return (err_errno(e, "no memory for a %s image", ops->name));
	return (ops->prepare(d, e));
}

int
disk_open(struct disk *d, struct err *e)
{
	return (d->ops->open == NULL ? 0 : d->ops->open(d, e));
}

void
disk_close(struct disk *d)
{
	unsigned i;

	if (d->ops == NULL)
		return;
	if (d->ops->state_bytes == 0 || d->state != NULL)
		d->ops->close(d);
	free(d->state);
	for (i = 0; i < d->nfds; i++)
		fd_close(&d->fd[i]);
	pthread_cond_destroy(&d->flusher.done);
	pthread_mutex_destroy(&d->flusher.mtx);
	memset(d, 0, sizeof(*d));
}

/*
 * When writing back fails, the kernel tells one fsync(2) of an open file, and
 * from then on takes the lost pages for clean: the next fsync(2) succeeds, and
 * means nothing.  So one failure is for ever: also for a process that takes
 * over, which has the very same open file.
 *
 * For the same reason no two are in the kernel at once: of them, too, only one
 * would hear of it.  It costs nothing, because one that began after a request
 * came answers that request, and all others that came before it began.
 */
int
disk_flush(struct disk *d)
{
	struct disk_flusher *f = &d->flusher;
	uint64_t mine;
	bool lost;
	int r;

	if (d->conf.readonly)
		return (0);
	pthread_mutex_lock(&f->mtx);
	for (mine = f->begun + 1; f->ended < mine && !f->lost;) {
		if (f->begun > f->ended) {
			pthread_cond_wait(&f->done, &f->mtx);
			continue;
		}
		f->begun++;
		pthread_mutex_unlock(&f->mtx);
		r = d->ops->flush(d);
		pthread_mutex_lock(&f->mtx);
		f->ended++;
		f->lost |= r == -1;
		if (r == -1 && d->conf.lost != NULL)
			atomic_store(d->conf.lost, 1);
		pthread_cond_broadcast(&f->done);
	}
	/* The mark may come after us, from the page of the one before. */
	f->lost |= d->conf.lost != NULL && atomic_load(d->conf.lost) != 0;
	lost = f->lost;
	pthread_mutex_unlock(&f->mtx);
	errno = EIO;
	return (lost ? -1 : 0);
}
