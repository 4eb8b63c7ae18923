/* SPDX-License-Identifier: ISC */
/* A device that copies, slowly if it shall: see slowdev.h. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "regress/lib/slowdev.h"
#include "regress/lib/tap.h"

#define HELD 64

struct held {
	struct vq_chain c[HELD];
};

struct slowdev slow;
static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool closed; /* the gate: requests wait behind it */
	unsigned waiting;
} gate = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.cond = PTHREAD_COND_INITIALIZER };

static void
gate_pass(unsigned n)
{
	pthread_mutex_lock(&gate.lock);
	gate.waiting += n;
	pthread_cond_broadcast(&gate.cond);
	while (gate.closed)
		pthread_cond_wait(&gate.cond, &gate.lock);
	gate.waiting -= n;
	pthread_mutex_unlock(&gate.lock);
}

void
slow_gate(bool closed)
{
	pthread_mutex_lock(&gate.lock);
	gate.closed = closed;
	pthread_cond_broadcast(&gate.cond);
	pthread_mutex_unlock(&gate.lock);
}

void
slow_gate_wait(unsigned n)
{
	pthread_mutex_lock(&gate.lock);
	while (gate.waiting < n)
		pthread_cond_wait(&gate.cond, &gate.lock);
	pthread_mutex_unlock(&gate.lock);
}

static uint32_t
copy(struct vq_chain *c)
{
	uint32_t n = c->out_bytes < c->in_bytes ? c->out_bytes : c->in_bytes;

	if (c->nout == 1 && c->nin == 1)
		memcpy(c->in[0].iov_base, c->iov[0].iov_base, n);
	return (n);
}

static void
slow_kick(struct vio *v, struct vq *q)
{
	struct held *h = (struct held *)v->state + (q - v->vq);
	struct err e;
	unsigned i, n;
	int r;

	do {
		for (n = 0; n < HELD && (r = vq_pop(q, &h->c[n])) == 1; n++)
			if (atomic_load(&slow.stuck)) {
				err_set(&e, ENOSPC, "disk: the host is full");
				v->carrier->stuck(v, q, &e);
				return;
			}
		if (n > 0)
			gate_pass(n);
		for (i = n; i-- > 0;)
			vq_push(q, &h->c[i], copy(&h->c[i]));
		atomic_fetch_add(&slow.done, n);
		v->carrier->signal(v, q);
	} while (n > 0 && r != -1);
	if (r == -1)
		v->carrier->needs_reset(v);
}

static void
slow_start(struct vio *v)
{
	CHECK(v->features & VIO_F_VERSION_1);
	atomic_fetch_add(&slow.starts, 1);
}

static void
slow_reset(struct vio *v)
{
	(void)v;
	atomic_fetch_add(&slow.resets, 1);
}

static int
slow_configure(struct vio *v, const struct vio_conf *conf, struct err *e)
{
	(void)e;
	CHECK(conf->page != NULL);
	memcpy(v->cfg, "0123456789abcdef", 16);
	return (0);
}

static const uint16_t slow_queues[] = { 1024, 1024, 1024, 1024 };
static const struct vio_ops slow_ops = {
	.name = "slow",
	.spec = "none",
	.queue_max = slow_queues,
	.cfg_bytes = 16,
	.state_bytes = FF_QUEUES * sizeof(struct held),
	.id = 63,
	.nqueues = FF_QUEUES,
	.version = 1,
	.kick = slow_kick,
	.open = slow_configure,
	.start = slow_start,
	.reset = slow_reset,
};

void
slow_open(struct fakefront *f)
{
	slow.done = slow.starts = slow.resets = 0;
	slow.stuck = false;
	ff_open(f, &slow_ops, FF_QUEUES, NULL, 0);
}

void
slow_request(struct fakefront *f, unsigned q, unsigned n)
{
	uint64_t at = FF_DATA + 0x10000ull * q + 16ull * n;
	unsigned head = 2 * n % f->q[q].size;
	uint32_t word = 0x1000 + n, none = 0;

	mem_write(&f->mem, at, &word, 4);
	mem_write(&f->mem, at + 4, &none, 4);
	ff_desc(f, q, head, at, 4, FF_NEXT, (uint16_t)(head + 1));
	ff_desc(f, q, head + 1, at + 4, 4, FF_WRITE, 0);
	ff_avail(f, q, (uint16_t)head);
}

void
slow_answers(struct fakefront *f, unsigned q, unsigned n)
{
	uint32_t id, len, word;
	bool seen[SLOW_SIZE] = { false };

	while (n-- > 0) {
		ff_used_wait(f, q, &id, &len);
		REQUIRE(id < SLOW_SIZE && id % 2 == 0);
		CHECK(!seen[id]);
		seen[id] = true;
		CHECK_EQ(len, 4);
		mem_read(&f->mem, FF_DATA + 0x10000 * q + 8 * id + 4, &word, 4);
		CHECK_EQ(word, 0x1000 + id / 2);
	}
}

void
slow_round(struct fakefront *f, unsigned q, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		slow_request(f, q, i);
	ff_kick(f, q);
	slow_answers(f, q, n);
}
