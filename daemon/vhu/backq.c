/* SPDX-License-Identifier: ISC */
/*
 * The threads of a back end, one a queue: wait for a kick, serve, tell.
 * Runs in: device processes; all but bq_* in the queue's thread.
 * Trusts: nobody.
 */
#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "daemon/vhu/back_int.h"
#include "shared/clock.h"
#include "shared/devpage.h"
#include "shared/fd.h"

#define NS 1000000000ull
#define NEVER UINT64_MAX
#define STOP_S 30 /* the front end has lost its patience long before */

/* A device's requests on its stack; sanitizers want more. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES (2048 << 10)
#else
#define STACK_BYTES (256 << 10)
#endif

/* Whose thread this is: a carrier is not told. */
static _Thread_local struct backq *self;

/* read(2) and write(2) by the calls that images need anyhow. */
static ssize_t
bell_read(int fd)
{
	uint64_t n;
	struct iovec iov = { &n, sizeof(n) };

	return (preadv2(fd, &iov, 1, -1, 0));
}

int
bq_ring(int fd, uint64_t n)
{
	struct iovec iov = { &n, sizeof(n) };

	return (pwritev2(fd, &iov, 1, -1, 0) == sizeof(n) ? 0 : -1);
}

void
bq_fail(struct backq *q, const struct err *e)
{
	pthread_mutex_lock(&q->b->page_lock);
	devpage_err_put(q->b->page, e);
	pthread_mutex_unlock(&q->b->page_lock);
	pthread_mutex_lock(&q->lock);
	if (q->err_fd != -1)
		bq_ring(q->err_fd, 1);
	pthread_mutex_unlock(&q->lock);
}

void
bq_broken(struct backq *q)
{
	struct err e;

	devpage_count(&q->b->page->broken_rings, 1);
	err_set(&e, EPROTO,
	    "the guest broke queue %u: it stands until the guest resets it",
	    (unsigned)(q - q->b->q));
	bq_fail(q, &e);
}

static void
call(struct backq *q)
{
	pthread_mutex_lock(&q->lock);
	if (q->call_fd != -1)
		bq_ring(q->call_fd, 1);
	pthread_mutex_unlock(&q->lock);
}

/* ---- What a device asks of us ------------------------------------------- */

static void
on_needs_reset(struct vio *v)
{
	struct vhu_back *b = v->carrier_ctx;

	if (self == NULL || self->b != b) {
		devpage_count(&b->page->broken_rings, 1);
		return;
	}
	self->broken = true;
	bq_broken(self);
}

/* There is no message for it that we offer: sizes do not change. */
static void
on_cfg_changed(struct vio *v)
{
	(void)v;
}

static uint64_t
on_now_ns(struct vio *v)
{
	(void)v;
	return (clock_now_ns());
}

/* Of devices with one queue: its thread keeps time. */
static void
on_timer(struct vio *v, uint64_t at_ns)
{
	struct vhu_back *b = v->carrier_ctx;

	b->timer_ns = at_ns;
}

static void
on_signal(struct vio *v, struct vq *vq)
{
	struct vhu_back *b = v->carrier_ctx;

	if (vq_signal(vq))
		call(&b->q[vq - v->vq]);
}

static void
on_stuck(struct vio *v, struct vq *vq, const struct err *e)
{
	struct vhu_back *b = v->carrier_ctx;
	struct backq *q = &b->q[vq - v->vq];

	q->stuck = true;
	atomic_store(&b->page->state, DEVP_STUCK);
	bq_fail(q, e);
}

const struct vio_carrier back_carrier = {
	.needs_reset = on_needs_reset,
	.cfg_changed = on_cfg_changed,
	.now_ns = on_now_ns,
	.timer = on_timer,
	.signal = on_signal,
	.stuck = on_stuck,
};

/* ---- Waiting ------------------------------------------------------------- */

/*
 * poll(2) by means that are there anyhow, for the two cases where a read that
 * blocks does not do: a front end gave us a non-blocking eventfd, which is its
 * own too and stays as it is; a device has set its timer.  1 readable, 0 late.
 */
static int
kick_poll(struct backq *q, uint64_t until_ns)
{
	struct iocb cb = {
		.aio_fildes = (uint32_t)q->kick_fd,
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_buf = POLLIN,
	}, *list = &cb;
	uint64_t now = clock_now_ns(),
		 left = until_ns > now ? until_ns - now : 0;
	struct timespec ts = { (time_t)(left / NS), (long)(left % NS) };
	struct io_event ev;
	long n;

	if (!q->armed && syscall(SYS_io_submit, q->wait_ctx, 1, &list) != 1)
		return (-1);
	q->armed = true;
	n = syscall(SYS_io_getevents, q->wait_ctx, 1, 1, &ev,
	    until_ns == NEVER ? NULL : &ts);
	if (n == -1 && errno != EINTR)
		return (-1);
	if (n == 1)
		q->armed = false;
	return (n == 1);
}

/* A poll that is under way holds the kick: end it before the queue stands. */
static void
kick_settle(struct backq *q)
{
	if (q->armed && kick_poll(q, 0) == 0) {
		bq_ring(q->kick_fd, 1);
		while (kick_poll(q, NEVER) == 0)
			;
	}
}

static bool
standing(const struct backq *q)
{
	return (q->broken || q->stuck || vq_stopped(q->vq));
}

static uint64_t
timer_of(const struct backq *q)
{
	const struct vhu_back *b = q->b;

	return (q == b->q && b->vio.ops->timer != NULL ? b->timer_ns : NEVER);
}

static void
timer_run(struct backq *q)
{
	struct vio *v = &q->b->vio;

	q->b->timer_ns = NEVER;
	v->ops->timer(v);
	on_signal(v, q->vq);
}

/* 1 kicked, 0 look again, -1 the kick is none. */
static int
kick_try(struct backq *q)
{
	uint64_t until_ns = timer_of(q);
	ssize_t n;
	int r;

	/* One that is under way answers for the next kick. */
	if ((until_ns != NEVER || q->armed) &&
	    (r = kick_poll(q, until_ns)) != 1) {
		if (r == 0 && until_ns <= clock_now_ns())
			timer_run(q);
		return (r);
	}
	n = bell_read(q->kick_fd);
	if (n == sizeof(uint64_t))
		return (1);
	if (n == -1 && errno == EINTR)
		return (0);
	if (n == -1 && errno == EAGAIN)
		return (kick_poll(q, NEVER) == -1 ? -1 : 0);
	return (-1);
}

/* Until the guest kicks; false: this queue stands. */
static bool
kick_wait(struct backq *q)
{
	struct err e;
	int r = 0;

	while (!standing(q) && (r = kick_try(q)) == 0)
		;
	if (r == -1) {
		err_set(&e, EIO, "queue %u: its kick cannot be read",
		    (unsigned)(q - q->b->q));
		q->broken = true;
		bq_fail(q, &e);
	}
	return (r == 1 && !standing(q));
}

/* ---- A thread ------------------------------------------------------------ */

/*
 * Whoever served this ring before us may have died after he put something into
 * it and before he said so; and the guest may have kicked nobody.  Only where
 * neither ring nor log tells of anybody there was none.
 */
static void
serve(struct backq *q)
{
	struct vio *v = &q->b->vio;

	if (q->vq->next_used != 0 || q->vq->counter > 1)
		call(q);
	do {
		v->ops->kick(v, q->vq);
		on_signal(v, q->vq);
	} while (kick_wait(q));
	kick_settle(q);
}

static void *
queue_main(void *arg)
{
	struct backq *q = arg;

	self = q;
	pthread_mutex_lock(&q->lock);
	for (;;) {
		q->runs = q->run = false;
		pthread_cond_broadcast(&q->cond);
		while (!q->run && !q->quit)
			pthread_cond_wait(&q->cond, &q->lock);
		if (q->quit)
			break;
		pthread_mutex_unlock(&q->lock);
		serve(q);
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return (NULL);
}

static int
thread_start(struct backq *q)
{
	pthread_attr_t attr;
	int rc;

	if ((rc = pthread_attr_init(&attr)) != 0)
		return (rc);
	if ((rc = pthread_attr_setstacksize(&attr, STACK_BYTES)) == 0)
		rc = pthread_create(&q->thread, &attr, queue_main, q);
	pthread_attr_destroy(&attr);
	return (rc);
}

int
bq_open(struct backq *q, struct err *e)
{
	pthread_condattr_t attr;
	int rc;

	/* Where there is no room for one, only other front ends notice. */
	(void)syscall(SYS_io_setup, 1, &q->wait_ctx);
	pthread_mutex_init(&q->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&q->cond, &attr);
	pthread_condattr_destroy(&attr);
	q->runs = true; /* until it stands for the first time */
	if ((rc = thread_start(q)) != 0)
		return (
		    err_set(e, rc, "cannot start a thread: %s", strerror(rc)));
	pthread_mutex_lock(&q->lock);
	while (q->runs)
		pthread_cond_wait(&q->cond, &q->lock);
	pthread_mutex_unlock(&q->lock);
	return (0);
}

void
bq_close(struct backq *q)
{
	pthread_mutex_lock(&q->lock);
	q->quit = true;
	pthread_cond_broadcast(&q->cond);
	pthread_mutex_unlock(&q->lock);
	pthread_join(q->thread, NULL);
	if (q->wait_ctx != 0)
		syscall(SYS_io_destroy, q->wait_ctx);
	pthread_cond_destroy(&q->cond);
	pthread_mutex_destroy(&q->lock);
}

void
bq_start(struct backq *q)
{
	q->broken = q->stuck = false;
	pthread_mutex_lock(&q->lock);
	q->run = q->runs = true;
	pthread_cond_broadcast(&q->cond);
	pthread_mutex_unlock(&q->lock);
}

bool
bq_runs(struct backq *q)
{
	bool runs;

	pthread_mutex_lock(&q->lock);
	runs = q->runs;
	pthread_mutex_unlock(&q->lock);
	return (runs);
}

/*
 * The kick wakes it.  Once a second again, since the other end may read what
 * was meant for our thread.
 */
int
bq_stop(struct backq *q, struct err *e)
{
	struct timespec ts;
	unsigned tries;
	bool runs;

	vq_stop(q->vq, true);
	tries = q->b->wedged ? STOP_S : 0;
	for (; (runs = bq_runs(q)) && tries < STOP_S; tries++) {
		bq_ring(q->kick_fd, 1);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_sec++;
		pthread_mutex_lock(&q->lock);
		while (q->runs &&
		    pthread_cond_timedwait(&q->cond, &q->lock, &ts) == 0)
			;
		pthread_mutex_unlock(&q->lock);
	}
	q->b->wedged |= runs;
	if (runs)
		return (err_set(e, ETIMEDOUT,
		    "queue %u: its last request has not ended in %d seconds",
		    (unsigned)(q - q->b->q), STOP_S));
	return (0);
}

static void
bell_set(struct backq *q, int *bell, int *fd)
{
	int old;

	pthread_mutex_lock(&q->lock);
	old = *bell;
	*bell = fd_move(fd);
	pthread_mutex_unlock(&q->lock);
	fd_close(&old);
}

/* What was told to the old one while this was on its way may be lost. */
void
bq_set_call(struct backq *q, int *fd)
{
	bell_set(q, &q->call_fd, fd);
	if (bq_runs(q))
		call(q);
}

void
bq_set_err(struct backq *q, int *fd)
{
	bell_set(q, &q->err_fd, fd);
}
