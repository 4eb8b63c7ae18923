/* SPDX-License-Identifier: ISC */
/*
 * A virtqueue in hostile memory.  The input is a program: open rings, write
 * guest memory, take and give back requests.  In the second mode every byte
 * that the device reads from a ring is another one when it reads it again (T15).
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/vq.h"
#include "regress/fuzz/input.h"

static bool mutate;
static uint8_t salt;

/* Instead of vq.c's own: this object brings its functions. */
static uint64_t
fuzz_get(const uint8_t *p, unsigned bytes)
{
	uint8_t *mine = (uint8_t *)(uintptr_t)p;
	uint64_t v = 0;
	unsigned i;

	memcpy(&v, p, bytes);
	for (i = 0; mutate && i < bytes; i++)
		mine[i] = (uint8_t)(mine[i] * 5 + ++salt);
	return (v);
}
#define VQ_GET fuzz_get
#include "daemon/dev/vq.c"

#define MEM_BYTES (1u << 20)
#define NEAR 0x4000 /* where addresses of two bytes lead */
#define HELD 4

enum { OPEN, WRITE, DESC, AVAIL, POP, PUSH, SIGNAL, MODE };

static struct mem mem;

/* Mostly near by; sometimes anywhere. */
static uint64_t
take_gpa(struct input *g)
{
	unsigned how = (unsigned)take(g, 1);

	if (how < 0xe0)
		return ((how << 8 | take(g, 1)) % NEAR & ~(how & 15ull));
	return (how < 0xf0 ? MEM_BYTES - take(g, 1) : take(g, 8));
}

static void
put_desc(struct input *g, struct vq *q)
{
	struct desc d;
	unsigned i = (unsigned)take(g, 1);
	uint64_t at = i & 0x80 ? take_gpa(g) : q->rings.desc_gpa;

	d.addr = take_gpa(g);
	d.len_bytes = (uint32_t)take(g, 2);
	d.flags = (uint16_t)take(g, 1);
	d.next = (uint16_t)take(g, 1);
	mem_write(&mem, at + (i & 0x7f) * DESC_BYTES, &d, sizeof(d));
}

static void
put_avail(struct input *g, struct vq *q)
{
	uint16_t idx = 0, head = (uint16_t)take(g, 1);
	uint64_t at = q->rings.avail_gpa;

	if (!vq_is_open(q))
		return;
	mem_read(&mem, at + RING_IDX, &idx, 2);
	mem_write(&mem, at + RING_HEAD_BYTES + 2 * (idx & (q->rings.size - 1)),
	    &head, 2);
	idx++;
	mem_write(&mem, at + RING_IDX, &idx, 2);
}

static void
check(const struct vq *q, const struct vq_chain *c)
{
	uint64_t out = 0, in = 0;
	unsigned i, n = c->nout + c->nin;

	if (n > q->rings.size || c->head >= q->rings.size ||
	    c->in != c->iov + c->nout)
		abort();
	for (i = 0; i < n; i++) {
		uint8_t *p = c->iov[i].iov_base;
		size_t len = c->iov[i].iov_len;

		if (len == 0 || p < mem.base || len > mem.bytes ||
		    (size_t)(p - mem.base) > mem.bytes - len)
			abort();
		*(i < c->nout ? &out : &in) += len;
	}
	if (out != c->out_bytes || in != c->in_bytes)
		abort();
}

static void
open_rings(struct input *g, struct vq *q)
{
	unsigned how = (unsigned)take(g, 1);
	struct vq_rings r = { .size = (uint16_t)(1u << (how & 15)) };

	if (how & 0x80) {
		r.size = (uint16_t)take(g, 2);
		r.desc_gpa = take_gpa(g);
		r.avail_gpa = take_gpa(g);
		r.used_gpa = take_gpa(g);
	} else {
		r.avail_gpa = 0x1000;
		r.used_gpa = 0x2000;
	}
	if (vq_open(q, &mem, &r, how & 0x20, how & 0x40, NULL) == -1 &&
	    vq_is_open(q))
		abort();
}

struct state {
	struct vq q;
	struct vq_chain c[HELD];
	unsigned nheld;
};

static void
step(struct input *g, struct state *s)
{
	uint8_t byte;
	uint64_t at;

	switch (take(g, 1) & 7) {
	case OPEN:
		open_rings(g, &s->q);
		s->nheld = 0;
		break;
	case WRITE:
		at = take_gpa(g);
		byte = (uint8_t)take(g, 1);
		mem_write(&mem, at, &byte, 1);
		break;
	case DESC:
		put_desc(g, &s->q);
		break;
	case AVAIL:
		put_avail(g, &s->q);
		break;
	case POP:
		if (!vq_is_open(&s->q) || s->nheld == HELD)
			break;
		switch (vq_pop(&s->q, &s->c[s->nheld])) {
		case 1:
			check(&s->q, &s->c[s->nheld++]);
			break;
		case -1:
			vq_close(&s->q);
			break;
		}
		break;
	case PUSH:
		if (vq_is_open(&s->q) && s->nheld > 0)
			vq_push(&s->q, &s->c[--s->nheld], (uint32_t)take(g, 4));
		break;
	case SIGNAL:
		if (vq_is_open(&s->q))
			vq_signal(&s->q);
		break;
	default:
		mutate = take(g, 1) & 1;
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct state s;
	struct input g = { data, size };
	struct err e;
	unsigned n;

	if (mem.base == NULL &&
	    mem_open(&mem, "fuzz", MEM_BYTES, false, &e) == -1)
		abort();
	memset(mem.base, 0, NEAR + 0x1000);
	memset(mem.base + MEM_BYTES - 512, 0, 512);
	vq_close(&s.q);
	s.nheld = 0;
	mutate = false;
	salt = 0;
	for (n = 0; g.left > 0 && n < 2048; n++)
		step(&g, &s);
	return (0);
}
