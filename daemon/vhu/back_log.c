/* SPDX-License-Identifier: ISC */
/*
 * The log of what is in flight: a back end makes it, the front end keeps it
 * when that dies.  vhost-user, "Inflight I/O tracking".
 * Runs in: device processes, main thread.  Trusts: nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "daemon/vhu/back_int.h"
#include "shared/fd.h"

#define PAGE 4096
#define LOG_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

int
back_log_make(struct vhu_back *b, unsigned nqueues, struct err *e)
{
	void *map;

	b->own.nqueues = nqueues;
	b->own.queue_size = VQ_SIZE_MAX;
	b->own.bytes = (nqueues * vq_log_bytes(VQ_SIZE_MAX) + PAGE - 1) &
	    ~(size_t)(PAGE - 1);
	b->own.fd = memfd_sealed_map("vhu-log", b->own.bytes, LOG_SEALS, &map);
	if (b->own.fd == -1)
		return (err_errno(e, "cannot make a log of requests"));
	b->own.map = map;
	return (0);
}

void
back_log_close(struct back_log *l)
{
	if (l->map != NULL)
		munmap(l->map, l->bytes);
	l->map = NULL;
}

static int
log_check(const struct vhu_inflight *f, struct err *e)
{
	if (f->nqueues == 0 || f->nqueues > VIO_QUEUES_MAX ||
	    f->queue_size == 0 || f->queue_size > VQ_SIZE_MAX)
		return (err_set(e, EINVAL, "a log of %u queues of %u",
		    f->nqueues, f->queue_size));
	return (0);
}

/* A clean one each time: the front end asks for one when the guest is new. */
int
back_get_inflight_fd(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	const struct vhu_inflight *f = &m->body.inflight;

	if (log_check(f, e) == -1)
		return (-1);
	if (f->nqueues > b->own.nqueues)
		return (err_set(e, EINVAL, "a log of %u queues, there are %u",
		    f->nqueues, b->own.nqueues));
	if (back_any_open(b))
		return (err_set(e, EBUSY, "a new log for queues that run"));
	back_log_close(&b->shared);
	memset(b->own.map, 0, b->own.bytes);
	reply->body.inflight = (struct vhu_inflight){
		.map_bytes = f->nqueues * vq_log_bytes(f->queue_size),
		.nqueues = f->nqueues,
		.queue_size = f->queue_size,
	};
	b->own.given = true;
	reply->fd[0] = b->own.fd;
	reply->nfds = 1;
	return (1);
}

int
back_set_inflight_fd(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	const struct vhu_inflight *f = &m->body.inflight;
	uint64_t bytes = f->nqueues * vq_log_bytes(f->queue_size);
	struct stat st;
	int seals;
	void *map;

	(void)reply;
	if (log_check(f, e) == -1)
		return (-1);
	if (back_any_open(b))
		return (err_set(e, EBUSY, "another log for queues that run"));
	/* As guest memory: what can shrink is a SIGBUS. */
	seals = fcntl(m->fd[0], F_GET_SEALS);
	if (seals == -1 || !(seals & F_SEAL_SHRINK) ||
	    fstat(m->fd[0], &st) == -1 || f->map_bytes < bytes ||
	    f->off_bytes % PAGE != 0 || f->off_bytes > INT64_MAX - bytes ||
	    (uint64_t)st.st_size < f->off_bytes + bytes)
		return (err_set(e, EINVAL,
		    "a log must be a memfd with "
		    "F_SEAL_SHRINK, of 0x%llx bytes at least",
		    (unsigned long long)bytes));
	map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd[0],
	    (off_t)f->off_bytes);
	if (map == MAP_FAILED)
		return (err_errno(e, "cannot map the log"));
	back_log_close(&b->shared);
	b->shared = (struct back_log){
		.fd = -1,
		.map = map,
		.bytes = bytes,
		.nqueues = f->nqueues,
		.queue_size = f->queue_size,
	};
	return (0);
}
