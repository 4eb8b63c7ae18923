/* SPDX-License-Identifier: ISC */
/* Virtqueues against hostile rings, at the very end of guest memory. */
#include <pthread.h>
#include <string.h>

#include "daemon/dev/vq.h"
#include "regress/lib/tap.h"

#define MIB (1ull << 20)
#define SIZE 128
#define DESC (MIB - 0x2000) /* rings end where memory ends */
#define AVAIL (MIB - 0x1000)
#define USED (MIB - (4 + 8 * SIZE + 2) - 2)
#define DATA 0x1000
#define TABLE 0x8000
#define NEXT 1
#define WRITE 2
#define INDIRECT 4

static struct mem mem;
static struct vq q;
static struct vq_chain c;
static uint16_t avail_idx;

static void
desc_at(uint64_t table, unsigned i, uint64_t addr, uint32_t len, uint16_t flags,
    uint16_t next)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d = { addr, len, flags, next };

	CHECK_EQ(mem_write(&mem, table + 16 * i, &d, sizeof(d)), 0);
}

static void
desc(unsigned i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	desc_at(DESC, i, addr, len, flags, next);
}

static void
set16(uint64_t gpa, uint16_t v)
{
	CHECK_EQ(mem_write(&mem, gpa, &v, 2), 0);
}

static uint16_t
get16(uint64_t gpa)
{
	uint16_t v = 0;

	CHECK_EQ(mem_read(&mem, gpa, &v, 2), 0);
	return (v);
}

static uint32_t
get32(uint64_t gpa)
{
	uint32_t v = 0;

	CHECK_EQ(mem_read(&mem, gpa, &v, 4), 0);
	return (v);
}

static void
avail(uint16_t head)
{
	set16(AVAIL + 4 + 2 * (avail_idx % SIZE), head);
	set16(AVAIL + 2, ++avail_idx);
}

static void
start(bool event_idx)
{
	struct vq_rings r = { DESC, AVAIL, USED, SIZE };
	struct err e;

	if (mem.base == NULL)
		CHECK_EQ(mem_open(&mem, "vq", MIB, false, &e), 0);
	CHECK_EQ(mem_clear(&mem, &e), 0);
	avail_idx = 0;
	CHECK_EQ(vq_open(&q, &mem, &r, true, event_idx, NULL), 0);
}

/* One chain that begins at 0 and is refused. */
static int
pop0(void)
{
	avail(0);
	return (vq_pop(&q, &c));
}

static void
plain(void)
{
	start(false);
	CHECK_EQ(vq_pop(&q, &c), 0);
	CHECK(!vq_waits(&q));
	desc(0, DATA, 10, NEXT, 7);
	desc(7, DATA + 100, 20, NEXT, 3);
	desc(3, DATA + 200, 30, NEXT | WRITE, 9);
	desc(9, DATA + 300, 40, WRITE, 77); /* next does not count */
	avail(0);
	CHECK(vq_waits(&q));
	CHECK_EQ(vq_pop(&q, &c), 1);
	CHECK(!vq_waits(&q));
	CHECK_EQ(c.head, 0);
	CHECK_EQ(c.nout, 2);
	CHECK_EQ(c.nin, 2);
	CHECK_EQ(c.out_bytes, 30);
	CHECK_EQ(c.in_bytes, 70);
	CHECK(c.iov[1].iov_base == mem_ptr(&mem, DATA + 100, 20));
	CHECK(c.in[1].iov_base == mem_ptr(&mem, DATA + 300, 40));
	CHECK_EQ(c.in[1].iov_len, 40);
	CHECK(!vq_signal(&q));
	vq_push(&q, &c, 70);
	CHECK_EQ(get16(USED + 2), 1);
	CHECK_EQ(get32(USED + 4), 0);
	CHECK_EQ(get32(USED + 8), 70);
	CHECK(vq_signal(&q));
	CHECK(!vq_signal(&q));
	CHECK_EQ(vq_pop(&q, &c), 0);
}

/* T01: heads past the queue, right up to the page that is not there. */
static void
heads(void)
{
	unsigned head, bad = 0;

	for (head = 0; head < 0x10000; head++) {
		if (head % 4096 == 0)
			start(false);
		q.next_avail = q.next_used = 0;
		avail_idx = 0;
		avail((uint16_t)head);
		if (vq_pop(&q, &c) != (head < SIZE ? 1 : -1))
			bad++;
	}
	CHECK_EQ(bad, 0);
}

static const uint32_t lengths[] = { 0, 1, 15, 16, 17, 1 << 16, 1u << 31,
	0xffffffff };

/* T03: each length at each place of the memory. */
static void
buffers(void)
{
	static const uint64_t addrs[] = { 0, DATA, MIB - 16, MIB - 1, MIB,
		0xc0000000, 0xe0000000, 0xfee00000, 0x100000000, 1ull << 63,
		~0ull - 15, ~0ull };
	unsigned a, l, n = 0;
	bool good;

	for (a = 0; a < sizeof(addrs) / sizeof(addrs[0]); a++)
		for (l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
			start(false);
			desc(0, addrs[a], lengths[l], WRITE, 0);
			good = lengths[l] == 0 ||
			    (addrs[a] < MIB && lengths[l] <= MIB - addrs[a]);
			CHECK_EQ(pop0(), good ? 1 : -1);
			if (good)
				CHECK_EQ(c.in_bytes, lengths[l]);
			n++;
		}
	CHECK_EQ(n, 96);
}

/* T04 */
static void
empty(void)
{
	unsigned zero, i;

	for (zero = 0; zero < 8; zero++) {
		start(false);
		for (i = 0; i < 3; i++)
			desc(i, zero >> i & 1 ? ~0ull : DATA,
			    zero >> i & 1 ? 0 : 8,
			    (uint16_t)((i == 2 ? 0 : NEXT) | WRITE),
			    (uint16_t)(i + 1));
		CHECK_EQ(pop0(), 1);
		CHECK_EQ(c.nin, 3 - __builtin_popcount(zero));
		CHECK_EQ(c.in_bytes, 8 * c.nin);
		for (i = 0; i < c.nin; i++)
			CHECK_EQ(c.in[i].iov_len, 8);
	}
	start(false);
	for (i = 0; i < SIZE; i++)
		desc(i, 0, 0, (uint16_t)(i == SIZE - 1 ? 0 : NEXT),
		    (uint16_t)(i + 1));
	CHECK_EQ(pop0(), 1);
	CHECK_EQ(c.nout + c.nin, 0);
}

/* T05 */
static void
jumps(void)
{
	unsigned n, i;

	for (n = 0; n < 0x10000; n++) {
		if (n % 8192 == 0)
			start(false);
		q.next_avail = q.next_used = 0;
		set16(AVAIL + 2, (uint16_t)n);
		CHECK_MSG(vq_pop(&q, &c) ==
			(n == 0             ? 0
				: n <= SIZE ? 1
					    : -1),
		    "idx jumps by %u", n);
	}
	/* A full queue in flight, and one head given again. */
	start(false);
	for (i = 0; i < SIZE; i++) {
		avail((uint16_t)i);
		CHECK_EQ(vq_pop(&q, &c), 1);
	}
	CHECK_EQ(vq_pop(&q, &c), 0);
	avail(5);
	CHECK_EQ(vq_pop(&q, &c), -1);
	vq_push(&q, &c, 0);
	CHECK_EQ(vq_pop(&q, &c), 1);
}

/* T06: cycles of every length, and the longest chain that is none. */
static void
cycles(void)
{
	unsigned n, i;

	for (n = 1; n <= SIZE; n++) {
		start(false);
		for (i = 0; i < n; i++)
			desc(i, DATA, 4, NEXT, (uint16_t)((i + 1) % n));
		CHECK_EQ(pop0(), -1);
		CHECK(c.nout <= SIZE);
		start(false);
		for (i = 0; i < n; i++)
			desc(i, DATA, 4, (uint16_t)(i + 1 < n ? NEXT : 0),
			    (uint16_t)(i + 1));
		CHECK_EQ(pop0(), 1);
		CHECK_EQ(c.nout, n);
	}
	start(false);
	desc(0, DATA, 4, NEXT, SIZE);
	CHECK_EQ(pop0(), -1);
	start(false);
	desc(0, DATA, 4, NEXT, 0xffff);
	CHECK_EQ(pop0(), -1);
}

/* T07: tables, good and bad. */
static const struct {
	const char *what;
	uint64_t addr;
	uint32_t len;
	uint16_t flags, inner;
	int want;
} tables[] = {
	{ "good", TABLE, 32, INDIRECT, 0, 1 },
	{ "WRITE is ignored", TABLE, 32, INDIRECT | WRITE, 0, 1 },
	{ "lies anywhere", TABLE + 3, 32, INDIRECT, 0, 1 },
	{ "nested", TABLE, 32, INDIRECT, INDIRECT, -1 },
	{ "not whole descriptors", TABLE, 33, INDIRECT, 0, -1 },
	{ "less than one", TABLE, 15, INDIRECT, 0, -1 },
	{ "empty", TABLE, 0, INDIRECT, 0, -1 },
	{ "INDIRECT and NEXT", TABLE, 32, INDIRECT | NEXT, 0, -1 },
	{ "as large as the queue", TABLE, 16 * SIZE, INDIRECT, 0, 1 },
	{ "larger than the queue", TABLE, 16 * SIZE + 16, INDIRECT, 0, -1 },
	{ "huge", TABLE, 0xfffffff0, INDIRECT, 0, -1 },
	{ "in the hole", 0xe0000000, 32, INDIRECT, 0, -1 },
	{ "over the end", MIB - 16, 32, INDIRECT, 0, -1 },
	{ "near 2^64", ~0ull - 15, 32, INDIRECT, 0, -1 },
	{ "inner next past the table", TABLE, 16, INDIRECT, 0, -1 },
};

static void
indirect(void)
{
	struct vq_rings r = { DESC, AVAIL, USED, SIZE };
	unsigned i;
	int got;

	for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		start(false);
		desc(0, tables[i].addr, tables[i].len, tables[i].flags, 1);
		desc_at(TABLE + tables[i].addr % 16, 0, DATA, 8,
		    NEXT | tables[i].inner, 1);
		desc_at(TABLE + tables[i].addr % 16, 1, DATA + 8, 8, WRITE, 0);
		got = pop0();
		CHECK_MSG(got == tables[i].want, "%s: %d", tables[i].what, got);
		if (got == 1) {
			CHECK_EQ(c.out_bytes, 8);
			CHECK_EQ(c.in_bytes, 8);
		}
	}
	/* The last of a chain, and counted with it. */
	start(false);
	desc(0, DATA, 1, NEXT, 1);
	desc(1, TABLE, 16 * SIZE, INDIRECT, 0);
	for (i = 0; i < SIZE; i++)
		desc_at(TABLE, i, DATA, 1, (uint16_t)(i < 9 ? NEXT : 0),
		    (uint16_t)(i + 1));
	CHECK_EQ(pop0(), 1);
	CHECK_EQ(c.nout, 11);
	for (i = 0; i < SIZE; i++)
		desc_at(TABLE, i, DATA, 1, NEXT, (uint16_t)(i + 1));
	CHECK_EQ(pop0(), -1);
	/* A table in a table, good but for that. */
	start(false);
	desc(0, TABLE, 16, INDIRECT, 0);
	desc_at(TABLE, 0, TABLE + 64, 16, INDIRECT, 0);
	desc_at(TABLE + 64, 0, DATA, 8, WRITE, 0);
	CHECK_EQ(pop0(), -1);
	/* Not negotiated. */
	start(false);
	CHECK_EQ(vq_open(&q, &mem, &r, false, false, NULL), 0);
	desc(0, TABLE, 16, INDIRECT, 0);
	CHECK_EQ(pop0(), -1);
	/* In the used ring itself: read before anything is pushed there. */
	start(false);
	desc(0, USED & ~15ull, 16, INDIRECT, 0);
	CHECK_EQ(pop0(), 1);
	vq_push(&q, &c, 0);
}

static void
order(void)
{
	start(false);
	desc(0, DATA, 8, NEXT | WRITE, 1);
	desc(1, DATA, 8, 0, 0);
	CHECK_EQ(pop0(), -1);
	/* More than 2^32 bytes in all cannot be had in 1 MiB; sums hold. */
	start(false);
	desc(0, 0, MIB, NEXT, 1);
	desc(1, 0, MIB, WRITE, 0);
	CHECK_EQ(pop0(), 1);
	CHECK_EQ(c.out_bytes, MIB);
}

/* T11 */
static const struct {
	uint64_t desc, avail, used;
	uint16_t size;
	int want;
} places[] = {
	{ 0x1000, 0x2000, 0x3000, 128, 0 },
	{ 0x1000, 0x1800, 0x1908, 128, 0 }, /* as close as can be */
	{ 0, 0x1000, 0x2000, 256, 0 },
	{ 0x1000, 0x2000, 0x3000, 1, 0 },
	{ 0x1000, 0x2000, 0x3000, 0, -1 },
	{ 0x1000, 0x2000, 0x3000, 3, -1 },
	{ 0x1000, 0x2000, 0x3000, 127, -1 },
	{ 0x1000, 0x2000, 0x3000, 512, -1 },
	{ 0x1000, 0x2000, 0x3000, 0x8000, -1 },
	{ 0x1000, 0x2000, 0x3000, 0xffff, -1 },
	{ 0x1008, 0x2000, 0x3000, 128, -1 },
	{ 0x1000, 0x2001, 0x3000, 128, -1 },
	{ 0x1000, 0x2000, 0x3002, 128, -1 },
	{ 0xff800, 0x2000, 0x3000, 128, 0 },
	{ 0xff810, 0x2000, 0x3000, 128, -1 },
	{ 0x1000, 0xffefa, 0x3000, 128, 0 },
	{ 0x1000, 0xffefc, 0x3000, 128, -1 },
	{ 0x1000, 0x2000, 0xffbf8, 128, 0 },
	{ 0x1000, 0x2000, 0xffbfc, 128, -1 },
	{ 0x100000, 0x2000, 0x3000, 128, -1 },
	{ 0x1000, 0x100000, 0x3000, 128, -1 },
	{ 0x1000, 0x2000, 0x100000, 128, -1 },
	{ 0xc0000000, 0x2000, 0x3000, 128, -1 },
	{ 0x1000, 0xe0000000, 0x3000, 128, -1 },
	{ 0x1000, 0x2000, 0xfee00000, 128, -1 },
	{ 0xfffffffffffffff0, 0x2000, 0x3000, 128, -1 },
	{ 0x1000, 0xfffffffffffffffe, 0x3000, 128, -1 },
	{ 0x1000, 0x2000, 0xfffffffffffffffc, 128, -1 },
	{ 0x8000000000000000, 0x2000, 0x3000, 128, -1 },
	{ 0x1000, 0x1000, 0x3000, 128, -1 },
	{ 0x1000, 0x17fe, 0x3000, 128, -1 },
	{ 0x1000, 0x2000, 0x1400, 128, -1 },
	{ 0x1000, 0x2000, 0x2000, 128, -1 },
	{ 0x1000, 0x2000, 0x2104, 128, -1 },
	{ 0x2000, 0x1f00, 0x3000, 128, -1 },
};

static void
placements(void)
{
	struct vq_rings r;
	unsigned i;

	start(false);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		r = (struct vq_rings){ places[i].desc, places[i].avail,
			places[i].used, places[i].size };
		CHECK_MSG(
		    vq_open(&q, &mem, &r, true, true, NULL) == places[i].want,
		    "placement %u", i);
		CHECK_EQ(vq_is_open(&q), places[i].want == 0);
	}
}

/* T16: never more than there was room for. */
static void
used_len(void)
{
	start(false);
	desc(0, DATA, 100, NEXT, 1);
	desc(1, DATA, 50, WRITE, 0);
	CHECK_EQ(pop0(), 1);
	vq_push(&q, &c, 150);
	CHECK_EQ(get32(USED + 8), 50);
}

/* Round the 16 bits of the indices, interrupts wanted or not. */
static void
wrap(void)
{
	unsigned i;

	start(false);
	desc(0, DATA, 4, WRITE, 0);
	for (i = 0; i < 70000; i++) {
		set16(AVAIL, i % 3 == 0);
		CHECK_EQ(pop0(), 1);
		vq_push(&q, &c, 4);
		CHECK_EQ(vq_signal(&q), i % 3 != 0);
	}
	CHECK_EQ(get16(USED + 2), 70000 & 0xffff);
}

/* virtio 1.2, 2.7.7 and 2.7.10: every used_event near every burst. */
static void
events(void)
{
	unsigned base, n, i;
	int ev;
	bool want;

	for (base = 65530; base < 65542; base++)
		for (n = 1; n <= 4; n++)
			for (ev = -3; ev < 8; ev++) {
				start(true);
				q.next_avail = q.next_used = q.signalled =
				    avail_idx = (uint16_t)base;
				set16(AVAIL + 2, avail_idx);
				for (i = 0; i < n; i++)
					avail(0);
				for (i = 0; i < n; i++) {
					CHECK_EQ(vq_pop(&q, &c), 1);
					vq_push(&q, &c, 0);
				}
				set16(AVAIL + 4 + 2 * SIZE,
				    (uint16_t)((int)base + ev));
				want = ev >= 0 && ev < (int)n;
				CHECK_MSG(vq_signal(&q) == want,
				    "%u, %u more, event at %+d", base, n, ev);
				CHECK_EQ(vq_pop(&q, &c), 0);
				/* avail_event: notify me of the next. */
				CHECK_EQ(get16(USED + 4 + 8 * SIZE),
				    (base + n) & 0xffff);
			}
}

/* T02: another thread changes a descriptor while chains are read. */
static bool racing;

static void *
race_main(void *arg)
{
	uint32_t *len = arg, i = 0;

	while (__atomic_load_n(&racing, __ATOMIC_RELAXED))
		__atomic_store_n(
		    len, i++ & 1 ? 16 : 0xfffffff0u, __ATOMIC_RELAXED);
	return (NULL);
}

static void
race(void)
{
	unsigned i, bad = 0, good = 0;
	pthread_t t;

	start(false);
	desc(0, DATA, 16, NEXT | WRITE, 1);
	desc(1, DATA, 16, WRITE, 0);
	racing = true;
	pthread_create(
	    &t, NULL, race_main, mem_ptr(&mem, DESC + 8, sizeof(uint32_t)));
	for (i = 0; i < 300000; i++) {
		q.next_avail = q.next_used = 0;
		avail_idx = 0;
		if (pop0() == -1)
			continue;
		good++;
		if (c.in_bytes != 32 || c.in[0].iov_len != 16)
			bad++;
	}
	__atomic_store_n(&racing, false, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
	CHECK_EQ(bad, 0);
	CHECK(good <= i);
}

/*
 * Every chain of up to 3 descriptors out of these: what is taken keeps within
 * memory and within its counts, whatever it is.
 */
static void
small_scope(void)
{
	static const uint32_t len[] = { 0, 8, 0xffffffff };
	unsigned n[3], taken = 0, i;
	uint64_t sum;

	start(false);
	for (i = 0; i < 8; i++)
		desc_at(TABLE, i, DATA, 8, WRITE, 0);
	for (n[0] = 0; n[0] < 72; n[0]++)
		for (n[1] = 0; n[1] < 72; n[1]++)
			for (n[2] = 0; n[2] < 72; n[2]++) {
				for (i = 0; i < 3; i++)
					desc(i, TABLE, len[n[i] / 8 % 3],
					    n[i] % 8, (uint16_t)(n[i] / 24));
				q.next_avail = q.next_used = avail_idx = 0;
				if (pop0() != 1)
					continue;
				taken++;
				for (sum = i = 0; i < c.nout + c.nin; i++)
					sum += c.iov[i].iov_len;
				if (sum != c.out_bytes + c.in_bytes ||
				    c.in != c.iov + c.nout ||
				    c.nout + c.nin > SIZE)
					tap_fail(__FILE__, __LINE__, "%u %u %u",
					    n[0], n[1], n[2]);
			}
	CHECK(taken > 1000);
}

static const struct tap_case cases[] = {
	{ "vq: a chain there and back", plain },
	{ "T01 vq: every head", heads },
	{ "T02 T15 vq: lengths change under us", race },
	{ "T03 T14 vq: lengths and addresses", buffers },
	{ "T04 vq: descriptors of no length", empty },
	{ "T05 vq: avail.idx jumps; too many in flight", jumps },
	{ "T06 vq: cycles", cycles },
	{ "T07 vq: indirect tables", indirect },
	{ "vq: written before read, sums", order },
	{ "T11 vq: where rings may be", placements },
	{ "T16 vq: used.len", used_len },
	{ "vq: indices wrap, interrupts suppressed", wrap },
	{ "vq: event index", events },
	{ "vq: every chain of three", small_scope },
};

TAP_MAIN(cases)
