/* SPDX-License-Identifier: ISC */
/*
 * Split virtqueues: see vq.h.  Section numbers are of virtio 1.2.
 * Runs in: vm process, device processes.  Trusts: nobody.
 *
 * Every number in a ring is read once and judged by the copy.
 */
#include <string.h>

#include "daemon/dev/vq.h"

/* 2.7.5 */
#define DESC_BYTES 16
#define DESC_NEXT 1
#define DESC_WRITE 2
#define DESC_INDIRECT 4
/* 2.7.6, 2.7.8: flags and idx come first in both rings. */
#define RING_IDX 2
#define RING_HEAD_BYTES 4
#define AVAIL_NO_INTERRUPT 1
#define USED_ELEM_BYTES 8

struct desc {
	uint64_t addr;
	uint32_t len_bytes;
	uint16_t flags, next;
};

#ifndef VQ_GET /* the fuzzer's own changes what was read */
#define VQ_GET vq_get

static uint64_t
vq_get(const uint8_t *p, unsigned bytes)
{
	uint64_t v;

	if (bytes == 2)
		return (__atomic_load_n(
		    (const uint16_t *)(const void *)p, __ATOMIC_SEQ_CST));
	if (((uintptr_t)p & 7) == 0)
		return (__atomic_load_n(
		    (const uint64_t *)(const void *)p, __ATOMIC_RELAXED));
	memcpy(&v, p, sizeof(v)); /* an indirect table may lie anywhere */
	__asm__ volatile("" : : : "memory");
	return (v);
}
#endif

#ifndef VQ_STEP /* a test dies before any store that others see */
#define VQ_STEP() (void)0
#endif

/* Before whatever is read after it, and after whatever was written before. */
static void
put16(uint8_t *p, uint16_t v)
{
	VQ_STEP();
	__atomic_store_n((uint16_t *)(void *)p, v, __ATOMIC_SEQ_CST);
}

static void
put32(uint8_t *p, uint32_t v)
{
	VQ_STEP();
	__atomic_store_n((uint32_t *)(void *)p, v, __ATOMIC_RELAXED);
}

static bool
apart(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return (a + a_bytes <= b || b + b_bytes <= a);
}

/* What the guest wrote before its idx is read after it: 2.7.13.3. */
static uint16_t
avail_idx(const struct vq *q)
{
	return ((uint16_t)VQ_GET(q->avail + RING_IDX, 2));
}

/*
 * The log.  Its stores are in program order for whoever goes on with it after
 * this process was killed; what is read from it is an index of no table but its
 * own, and masked or bounded there.
 */
#define LOG_VERSION 1
#define LOG_GET(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define LOG_PUT(field, v)                                                      \
	do {                                                                   \
		VQ_STEP();                                                     \
		__atomic_store_n(&(field), (v), __ATOMIC_RELEASE);             \
	} while (0)

size_t
vq_log_bytes(unsigned size)
{
	size_t n = sizeof(struct vq_log) + size * sizeof(struct vq_log_desc);

	return ((n + 63) & ~(size_t)63);
}

static void
log_pop(struct vq *q, uint16_t head)
{
	struct vq_log_desc *d;

	if (q->log == NULL)
		return;
	d = &q->log->desc[head];
	LOG_PUT(d->counter, q->counter++);
	LOG_PUT(d->inflight, 1);
}

/* Before used.idx says so: the batch is this one, and this one first. */
static void
log_push(struct vq *q, uint16_t head)
{
	if (q->log == NULL)
		return;
	LOG_PUT(q->log->desc[head].next, LOG_GET(q->log->last_batch_head));
	LOG_PUT(q->log->last_batch_head, head);
}

static void
log_pushed(struct vq *q, uint16_t head)
{
	if (q->log == NULL)
		return;
	LOG_PUT(q->log->desc[head].inflight, 0);
	LOG_PUT(q->log->used_idx, q->next_used);
}

/*
 * Died between used.idx and the log's own?  Then the last batch is done,
 * whatever the log says of it.
 */
static void
log_repair(struct vq *q)
{
	uint16_t n = (uint16_t)(q->next_used - LOG_GET(q->log->used_idx));
	uint16_t head = LOG_GET(q->log->last_batch_head);

	if (n > q->rings.size)
		n = q->rings.size; /* zeros, with a ring that is not new */
	for (; n > 0 && head < q->rings.size; n--) {
		LOG_PUT(q->log->desc[head].inflight, 0);
		head = LOG_GET(q->log->desc[head].next);
	}
	LOG_PUT(q->log->used_idx, q->next_used);
}

unsigned
vq_inflight(const struct vq *q)
{
	unsigned i, n = 0;

	if (q->log == NULL)
		return (0);
	for (i = 0; i < q->rings.size; i++)
		n += LOG_GET(q->log->desc[i].inflight) == 1;
	return (n);
}

bool
vq_ring_ok(const struct vq *q)
{
	return ((uint16_t)(avail_idx(q) - q->next_used) <= q->rings.size);
}

/* Taken and not given back is no more than was made available. */
static bool
taken_ok(const struct vq *q)
{
	uint16_t given = (uint16_t)(avail_idx(q) - q->next_used);

	return (given <= q->rings.size &&
	    (uint16_t)(q->next_avail - q->next_used) <= given);
}

int
vq_resume(struct vq *q)
{
	uint64_t counter;
	unsigned i;

	q->next_used = (uint16_t)VQ_GET(q->used + RING_IDX, 2);
	q->signalled = q->next_used;
	q->again = 0;
	if (q->log != NULL) {
		log_repair(q);
		q->again = (uint16_t)vq_inflight(q);
		for (i = 0; i < q->rings.size; i++) {
			counter = LOG_GET(q->log->desc[i].counter);
			if (counter >= q->counter)
				q->counter = counter + 1;
		}
	}
	q->again_slot = 0;
	q->again_counter = 0;
	q->next_avail = q->next_used + q->again;
	return (taken_ok(q) ? 0 : -1);
}

int
vq_forget(struct vq *q, uint16_t next_avail)
{
	unsigned i;

	for (i = 0; q->log != NULL && i < q->rings.size; i++)
		LOG_PUT(q->log->desc[i].inflight, 0);
	q->again = 0;
	q->next_avail = next_avail;
	return (taken_ok(q) ? 0 : -1);
}

/*
 * The oldest of the log that was not done again yet: that with the least
 * (counter, place) above the last one's.  Nobody has to sort, and numbers that
 * change meanwhile cannot make it more than there were.
 */
static bool
log_again(struct vq *q, uint16_t *head)
{
	uint64_t counter, best = 0;
	unsigned i, found = q->rings.size;

	for (i = 0; i < q->rings.size; i++) {
		if (LOG_GET(q->log->desc[i].inflight) != 1)
			continue;
		counter = LOG_GET(q->log->desc[i].counter);
		if (counter < q->again_counter ||
		    (counter == q->again_counter && i < q->again_slot))
			continue;
		if (found == q->rings.size || counter < best) {
			found = i;
			best = counter;
		}
	}
	if (found == q->rings.size)
		return (false);
	q->again_counter = best;
	q->again_slot = found + 1;
	*head = (uint16_t)found;
	return (true);
}

/* 2.7, table of sizes and alignments; event words are always counted in. */
int
vq_open(struct vq *q, const struct mem *mem, const struct vq_rings *r,
    bool indirect, bool event_idx, struct vq_log *log)
{
	uint64_t desc_bytes = (uint64_t)r->size * DESC_BYTES;
	uint64_t avail_bytes = RING_HEAD_BYTES + 2ull * r->size + 2;
	uint64_t used_bytes =
	    RING_HEAD_BYTES + (uint64_t)r->size * USED_ELEM_BYTES + 2;

	memset(q, 0, sizeof(*q));
	if (r->size == 0 || r->size > VQ_SIZE_MAX ||
	    (r->size & (r->size - 1)) != 0)
		return (-1);
	if (r->desc_gpa % 16 != 0 || r->avail_gpa % 2 != 0 ||
	    r->used_gpa % 4 != 0)
		return (-1);
	q->desc = mem_ptr(mem, r->desc_gpa, desc_bytes);
	q->avail = mem_ptr(mem, r->avail_gpa, avail_bytes);
	q->used = mem_ptr(mem, r->used_gpa, used_bytes);
	/* All three are RAM before sums are made of their addresses. */
	if (q->desc == NULL || q->avail == NULL || q->used == NULL)
		return (-1);
	if (!apart(r->desc_gpa, desc_bytes, r->avail_gpa, avail_bytes) ||
	    !apart(r->desc_gpa, desc_bytes, r->used_gpa, used_bytes) ||
	    !apart(r->avail_gpa, avail_bytes, r->used_gpa, used_bytes))
		return (-1);
	q->rings = *r;
	q->indirect = indirect;
	q->event_idx = event_idx;
	q->mem = mem;
	q->log = log;
	q->counter = 1;
	if (log != NULL && log->version != LOG_VERSION) {
		log->version = LOG_VERSION;
		log->desc_num = r->size;
	}
	return (0);
}

void
vq_close(struct vq *q)
{
	memset(q, 0, sizeof(*q));
}

bool
vq_is_open(const struct vq *q)
{
	return (q->mem != NULL);
}

static struct desc
desc_get(const uint8_t *table, unsigned i)
{
	const uint8_t *p = table + (size_t)i * DESC_BYTES;
	uint64_t rest;
	struct desc d;

	d.addr = VQ_GET(p, 8);
	rest = VQ_GET(p + 8, 8);
	d.len_bytes = (uint32_t)rest;
	d.flags = (uint16_t)(rest >> 32);
	d.next = (uint16_t)(rest >> 48);
	return (d);
}

/* One buffer; what the device reads comes before what it writes: 2.7.4.2. */
static int
chain_add(const struct vq *q, struct vq_chain *c, const struct desc *d)
{
	bool in = (d->flags & DESC_WRITE) != 0;
	uint32_t *sum = in ? &c->in_bytes : &c->out_bytes;
	struct iovec *v = &c->iov[c->nout + c->nin];

	if (d->len_bytes == 0)
		return (0);
	if (!in && c->nin > 0)
		return (-1);
	if (d->len_bytes > UINT32_MAX - c->in_bytes - c->out_bytes)
		return (-1); /* 2.7.5: 2^32 bytes at most in all */
	v->iov_base = mem_ptr(q->mem, d->addr, d->len_bytes);
	v->iov_len = d->len_bytes;
	if (v->iov_base == NULL)
		return (-1);
	*sum += d->len_bytes;
	if (in)
		c->nin++;
	else
		c->nout++;
	return (0);
}

/*
 * 2.7.5.3: a table takes the place of the last descriptor, has no table in
 * it, and no more entries than the queue: no chain may be longer.
 */
static const uint8_t *
indirect_table(const struct vq *q, const struct desc *d, unsigned *n)
{
	if (!q->indirect || (d->flags & DESC_NEXT) != 0 || d->len_bytes == 0 ||
	    d->len_bytes % DESC_BYTES != 0 ||
	    d->len_bytes / DESC_BYTES > q->rings.size)
		return (NULL);
	*n = d->len_bytes / DESC_BYTES;
	return (mem_ptr(q->mem, d->addr, d->len_bytes));
}

static int
chain_walk(const struct vq *q, struct vq_chain *c)
{
	const uint8_t *table = q->desc;
	unsigned i = c->head, n = q->rings.size, steps;
	bool nested = false;
	struct desc d;

	/* A chain of more steps than the queue has descriptors is a loop. */
	for (steps = 0; steps < q->rings.size;) {
		d = desc_get(table, i);
		if (d.flags & DESC_INDIRECT) {
			if (nested ||
			    (table = indirect_table(q, &d, &n)) == NULL)
				return (-1);
			nested = true;
			i = 0;
			continue;
		}
		steps++;
		if (chain_add(q, c, &d) == -1)
			return (-1);
		if (!(d.flags & DESC_NEXT))
			return (0);
		if ((i = d.next) >= n)
			return (-1);
	}
	return (-1);
}

/*
 * How many requests wait.  With none, say that the guest shall notify of the
 * next (2.7.10: avail_event follows the used ring), and look again: the guest
 * writes its idx and then reads what we write, we do it the other way round.
 */
static uint16_t
waiting(struct vq *q)
{
	uint16_t n = avail_idx(q) - q->next_avail;

	if (n != 0 || !q->event_idx)
		return (n);
	put16(
	    q->used + RING_HEAD_BYTES + (size_t)q->rings.size * USED_ELEM_BYTES,
	    q->next_avail);
	return (avail_idx(q) - q->next_avail);
}

bool
vq_waits(const struct vq *q)
{
	return (q->again > 0 || avail_idx(q) != q->next_avail);
}

bool
vq_stopped(const struct vq *q)
{
	return (atomic_load_explicit(&q->stopped, memory_order_acquire));
}

static int
chain_take(struct vq *q, struct vq_chain *c)
{
	if (c->head >= q->rings.size)
		return (-1);
	c->nout = c->nin = 0;
	c->out_bytes = c->in_bytes = 0;
	if (chain_walk(q, c) == -1)
		return (-1);
	c->in = c->iov + c->nout;
	return (1);
}

int
vq_pop(struct vq *q, struct vq_chain *c)
{
	uint16_t n, slot;

	if (vq_stopped(q))
		return (0);
	if (q->again > 0) {
		q->again--;
		return (log_again(q, &c->head) ? chain_take(q, c) : -1);
	}
	if ((n = waiting(q)) == 0)
		return (0);
	/* Neither more waiting nor more in flight than descriptors.  T05. */
	if (n > q->rings.size ||
	    (uint16_t)(q->next_avail - q->next_used) >= q->rings.size)
		return (-1);
	slot = q->next_avail & (q->rings.size - 1);
	c->head = (uint16_t)VQ_GET(q->avail + RING_HEAD_BYTES + 2 * slot, 2);
	if (chain_take(q, c) == -1)
		return (-1);
	q->next_avail++;
	log_pop(q, c->head);
	return (1);
}

void
vq_stop(struct vq *q, bool stop)
{
	atomic_store_explicit(&q->stopped, stop, memory_order_release);
}

void
vq_push(struct vq *q, const struct vq_chain *c, uint32_t written)
{
	uint16_t slot = q->next_used & (q->rings.size - 1);
	uint8_t *elem =
	    q->used + RING_HEAD_BYTES + (size_t)slot * USED_ELEM_BYTES;

	if (written > c->in_bytes)
		written = c->in_bytes;
	put32(elem, c->head);
	put32(elem + 4, written);
	log_push(q, c->head);
	q->next_used++;
	/* 2.7.8.2: after the element and the data. */
	put16(q->used + RING_IDX, q->next_used);
	log_pushed(q, c->head);
}

bool
vq_signal(struct vq *q)
{
	uint16_t was = q->signalled, now = q->next_used, event;

	if (was == now)
		return (false);
	q->signalled = now;
	/* The guest writes its wish, then reads used.idx, which we wrote. */
	if (!q->event_idx)
		return (!(VQ_GET(q->avail, 2) & AVAIL_NO_INTERRUPT));
	event =
	    (uint16_t)VQ_GET(q->avail + RING_HEAD_BYTES + 2 * q->rings.size, 2);
	/* 2.7.7.2: used_event is one of those that were pushed. */
	return ((uint16_t)(now - event - 1) < (uint16_t)(now - was));
}
