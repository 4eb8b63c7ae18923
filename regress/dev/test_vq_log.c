/* SPDX-License-Identifier: ISC */
/*
 * A server of a virtqueue dies before every single store that it makes, and
 * another goes on with the log: nothing is lost, and nothing that the guest was
 * told of is done again.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"

static jmp_buf death;
static long fuse; /* stores until then; 0: immortal */

static void
step(void)
{
	if (fuse > 0 && --fuse == 0)
		longjmp(death, 1);
}
#define VQ_STEP() step()
#include "daemon/dev/vq.c"

#define MIB (1u << 20)
#define SIZE 8
#define DESC 0x1000
#define AVAIL 0x2000
#define USED 0x3000
#define DATA 0x4000 /* a word a descriptor: the number of its request */
#define TOTAL 60

static struct mem mem;
static union {
	struct vq_log log;
	uint8_t bytes[1024];
} shared;

/* The guest, which lives on. */
static struct {
	uint16_t avail_idx, used_seen, first;
	bool busy[SIZE];
	unsigned sent, answers[TOTAL];
} guest;

/* What a server did, over all of its lives. */
static unsigned popped[TOTAL], published[TOTAL];
static struct vq q;
static uint32_t seed;

static unsigned
rnd(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return ((seed >> 16) % n);
}

static uint16_t
get16(uint64_t gpa)
{
	uint16_t v;

	memcpy(&v, mem.base + gpa, sizeof(v));
	return (v);
}

static void
set16(uint64_t gpa, uint16_t v)
{
	memcpy(mem.base + gpa, &v, sizeof(v));
}

static unsigned
number(unsigned head)
{
	uint32_t n;

	memcpy(&n, mem.base + DATA + 4 * head, sizeof(n));
	return (n);
}

static void
guest_take(void)
{
	unsigned head;

	while (guest.used_seen != get16(USED + 2)) {
		head = get16(USED + 4 + 8 * (guest.used_seen % SIZE));
		guest.used_seen++;
		if (head >= SIZE || !guest.busy[head]) {
			tap_fail(__FILE__, __LINE__, "head %u came back", head);
			continue;
		}
		guest.busy[head] = false;
		guest.answers[number(head)]++;
	}
}

static void
guest_put(void)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d = { 0, 4, 0, 0 };
	unsigned head = rnd(SIZE);
	uint32_t n = guest.sent;

	if (guest.busy[head] || guest.sent == TOTAL)
		return;
	guest.busy[head] = true;
	guest.sent++;
	d.addr = DATA + 4 * head;
	memcpy(mem.base + DATA + 4 * head, &n, sizeof(n));
	memcpy(mem.base + DESC + 16 * head, &d, sizeof(d));
	set16(AVAIL + 4 + 2 * (guest.avail_idx % SIZE), (uint16_t)head);
	set16(AVAIL + 2, ++guest.avail_idx);
}

/* Up to some requests, given back in any order, as disks do. */
static void
serve(void)
{
	static struct vq_chain c[SIZE];
	unsigned i, n = 0, most = 1 + rnd(SIZE), done;

	while (n < most && vq_pop(&q, &c[n]) == 1)
		popped[number(c[n++].head)]++;
	while (n > 0) {
		i = rnd(n);
		done = number(c[i].head);
		vq_push(&q, &c[i], 0);
		published[done]++;
		c[i] = c[--n];
		c[i].in = c[i].iov + c[i].nout;
	}
}

static int
server_start(void)
{
	struct vq_rings r = { DESC, AVAIL, USED, SIZE };

	if (vq_open(&q, &mem, &r, false, false, &shared.log) == -1)
		return (-1);
	return (vq_resume(&q));
}

static void
world(unsigned how)
{
	struct err e;

	if (mem.base == NULL && mem_open(&mem, "log", MIB, false, &e) == -1)
		abort();
	memset(mem.base, 0, 0x5000);
	memset(&shared, 0, sizeof(shared));
	memset(&guest, 0, sizeof(guest));
	memset(popped, 0, sizeof(popped));
	memset(published, 0, sizeof(published));
	seed = how * 7919 + 1;
	fuse = 0;
	/* Rings whose indices wrap within the test. */
	guest.avail_idx = guest.used_seen = (uint16_t)(0u - how % TOTAL);
	set16(AVAIL + 2, guest.avail_idx);
	set16(USED + 2, guest.used_seen);
}

static unsigned
again(void)
{
	unsigned i, n = 0;

	for (i = 0; i < TOTAL; i++)
		n += popped[i] - 1;
	return (n);
}

static void
judge(unsigned how, long at, unsigned deaths)
{
	unsigned i;

	for (i = 0; i < TOTAL; i++) {
		if (guest.answers[i] != 1)
			tap_fail(__FILE__, __LINE__,
			    "run %u, dead before store %ld: request %u has %u "
			    "answers",
			    how, at, i, guest.answers[i]);
		/* popped[] of one that died may be one short. */
		if (published[i] > 1)
			tap_fail(__FILE__, __LINE__,
			    "run %u, dead before store %ld: request %u done "
			    "after its answer",
			    how, at, i);
	}
	/* No more than was in flight is done again. */
	CHECK(again() <= deaths * SIZE);
}

/* A run that dies before store number at, and that often; stores it made. */
static long
run(unsigned how_arg, long at_arg, unsigned deaths_arg)
{
	/* longjmp(3) leaves these alone. */
	static unsigned how, deaths, died, rounds, n;
	static long at;

	how = how_arg;
	at = at_arg;
	deaths = deaths_arg;
	died = rounds = 0;
	world(how);
	fuse = at;
	if (setjmp(death) != 0) {
		died++;
		memset(&q, 0xa5, sizeof(q)); /* its memory has gone */
		fuse = died < deaths ? 1 + (long)rnd(40) : 0;
		guest_take();
		guest_put();
	}
	if (server_start() == -1) {
		tap_fail(
		    __FILE__, __LINE__, "run %u, store %ld: resume", how, at);
		fuse = 0;
		return (0);
	}
	while (guest.sent < TOTAL || guest.used_seen != guest.avail_idx) {
		for (n = 1 + rnd(SIZE); n > 0; n--)
			guest_put();
		serve();
		guest_take();
		if (++rounds > 10000) {
			tap_fail(__FILE__, __LINE__,
			    "run %u, store %ld: requests are lost", how, at);
			break;
		}
	}
	fuse = 0;
	judge(how, at, died);
	return (died > 0 ? 1 : 0);
}

static void
once(void)
{
	unsigned how, deaths = 0;
	long at;

	for (how = 0; how < 40; how++)
		for (at = 1; run(how, at, 1) == 1; at++)
			deaths++;
	CHECK_MSG(deaths > 40 * TOTAL * 6, "only %u deaths", deaths);
}

static void
often(void)
{
	unsigned how;
	long at;

	for (how = 0; how < 40; how++)
		for (at = 1; at < 300; at += 7)
			run(how, at, 1 + how);
}

/* ---- What is done again, and in which order ------------------------------ */

static void
send(unsigned head)
{
	uint32_t n = head;
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d = { DATA + 4 * head, 4, 0, 0 };

	memcpy(mem.base + DATA + 4 * head, &n, sizeof(n));
	memcpy(mem.base + DESC + 16 * head, &d, sizeof(d));
	set16(AVAIL + 4 + 2 * (guest.avail_idx % SIZE), (uint16_t)head);
	set16(AVAIL + 2, ++guest.avail_idx);
}

static void
order(void)
{
	static const unsigned heads[] = { 5, 2, 7, 0, 3 };
	static struct vq_chain c[5];
	unsigned i;

	world(0);
	CHECK_EQ(server_start(), 0);
	for (i = 0; i < 5; i++)
		send(heads[i]);
	for (i = 0; i < 4; i++)
		CHECK_EQ(vq_pop(&q, &c[i]), 1);
	vq_push(&q, &c[1], 0);
	CHECK_EQ(vq_inflight(&q), 3);
	CHECK_EQ(shared.log.version, 1);
	CHECK_EQ(shared.log.desc_num, SIZE);

	CHECK_EQ(server_start(), 0);
	for (i = 0; i < 5; i++) {
		if (i == 1)
			continue;
		CHECK_EQ(vq_pop(&q, &c[0]), 1);
		CHECK_EQ(c[0].head, heads[i]);
		CHECK_EQ(c[0].nout, 1);
		if (i == 2) /* gives it back at once, stays right */
			vq_push(&q, &c[0], 0);
	}
	CHECK_EQ(vq_pop(&q, &c[0]), 0);
	CHECK_EQ(vq_inflight(&q), 3);
	/* The counter went on where it was: new ones come after. */
	send(7);
	CHECK_EQ(vq_pop(&q, &c[0]), 1);
	CHECK_EQ(server_start(), 0);
	CHECK_EQ(vq_pop(&q, &c[0]), 1);
	CHECK_EQ(c[0].head, 5);
}

static void
stopping(void)
{
	static struct vq_chain c;

	world(0);
	CHECK_EQ(server_start(), 0);
	send(1);
	vq_stop(&q, true);
	CHECK(vq_stopped(&q));
	CHECK_EQ(vq_pop(&q, &c), 0);
	vq_stop(&q, false);
	CHECK_EQ(vq_pop(&q, &c), 1);
}

static void
forgetting(void)
{
	static struct vq_chain c;

	world(0);
	CHECK_EQ(server_start(), 0);
	send(1);
	send(2);
	CHECK_EQ(vq_pop(&q, &c), 1);
	CHECK_EQ(server_start(), 0);
	CHECK_EQ(vq_forget(&q, 3), -1); /* the guest made two available */
	CHECK_EQ(vq_forget(&q, 1), 0);
	CHECK_EQ(vq_inflight(&q), 0);
	CHECK_EQ(vq_pop(&q, &c), 1);
	CHECK_EQ(c.head, 2);
	CHECK_EQ(vq_pop(&q, &c), 0);
}

/* ---- A log of somebody who means ill ------------------------------------- */

static void
hostile(void)
{
	static struct vq_chain c;
	unsigned i, run_nr, pops;

	for (run_nr = 0; run_nr < 20000; run_nr++) {
		world(0);
		for (i = rnd(SIZE); i > 0; i--)
			send(i);
		seed += run_nr;
		for (i = 0; i < vq_log_bytes(SIZE); i++)
			shared.bytes[i] = (uint8_t)(rnd(3) == 0 ? rnd(256) : 1);
		shared.log.version = 1;
		if (server_start() == -1)
			continue;
		for (pops = 0; pops <= 2 * SIZE && vq_pop(&q, &c) == 1;
		     pops++) {
			CHECK(c.head < SIZE);
			shared.bytes[16 + rnd(SIZE * 16)] = (uint8_t)rnd(3);
			if (rnd(2))
				vq_push(&q, &c, 0);
		}
		CHECK(pops <= 2 * SIZE);
	}
}

static void
sizes(void)
{
	CHECK_EQ(vq_log_bytes(1), 64);
	CHECK_EQ(vq_log_bytes(3), 64);
	CHECK_EQ(vq_log_bytes(4), 128);
	CHECK_EQ(vq_log_bytes(VQ_SIZE_MAX), 16448);
	CHECK_EQ(vq_log_bytes(128), 2112);
}

static const struct tap_case cases[] = {
	{ "vq log: death before every store", once },
	{ "vq log: deaths upon deaths", often },
	{ "vq log: what is done again, oldest first", order },
	{ "vq log: a queue that is stopped", stopping },
	{ "vq log: another's base", forgetting },
	{ "vq log: hostile", hostile },
	{ "vq log: sizes", sizes },
};

TAP_MAIN(cases)
