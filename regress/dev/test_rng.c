/* SPDX-License-Identifier: ISC */
/* virtio-rng by a driver: bytes, lengths, and the token bucket. */
#include <string.h>

#include "daemon/dev/snap.h"
#include "regress/lib/fakeguest.h"
#include "regress/lib/tap.h"

#define SEC 1000000000ull
#define RATE (1u << 20)
#define BURST (64u << 10)

static struct fakeguest g;

static bool
all_zero(uint64_t gpa, unsigned n)
{
	const uint8_t *p = mem_ptr(&g.f.mem, gpa, n);

	while (n > 0 && *p++ == 0)
		n--;
	return (n == 0);
}

static void
bytes(void)
{
	uint32_t id, len;

	fg_open(&g, &vio_rng);
	fg_msix(&g);
	fg_negotiate(&g, VIO_F_VERSION_1);
	fg_out(&g, FG_Q_SEL, 0);
	fg_out(&g, FG_Q_VECTOR, 1);
	fg_queue(&g, 0, 64);
	fg_out(&g, FG_STATUS, 15);
	/* Two buffers of one request, a hole before and after each. */
	fg_desc(&g, 0, 3, FG_DATA + 16, 32, FG_WRITE | FG_NEXT, 5);
	fg_desc(&g, 0, 5, FG_DATA + 128, 64, FG_WRITE, 0);
	fg_avail(&g, 0, 3);
	fg_kick(&g, 0);
	CHECK(fg_used(&g, 0, &id, &len));
	CHECK_EQ(id, 3);
	CHECK_EQ(len, 96); /* T16 */
	CHECK(!fg_used(&g, 0, &id, &len));
	CHECK(all_zero(FG_DATA, 16) && !all_zero(FG_DATA + 16, 32));
	CHECK(all_zero(FG_DATA + 48, 80) && !all_zero(FG_DATA + 128, 64));
	CHECK(all_zero(FG_DATA + 192, 256));
	CHECK_EQ(g.f.msis, 1);
	CHECK_EQ(g.f.msi_data, 0x41);
	CHECK(!g.f.line[16]);
	fg_close(&g);
}

/* T16: nothing to write into, nothing of any length, only to read from. */
static void
nothing(void)
{
	uint32_t id, len;

	fg_open(&g, &vio_rng);
	fg_up(&g, 0, 8);
	fg_desc(&g, 0, 0, FG_DATA, 64, 0, 0);
	fg_desc(&g, 0, 1, FG_DATA, 0, FG_WRITE, 0);
	fg_avail(&g, 0, 0);
	fg_avail(&g, 0, 1);
	fg_kick(&g, 0);
	CHECK(fg_used(&g, 0, &id, &len) && id == 0 && len == 0);
	CHECK(fg_used(&g, 0, &id, &len) && id == 1 && len == 0);
	CHECK(all_zero(FG_DATA, 64));
	CHECK(!fg_needs_reset(&g));
	CHECK(g.f.line[16]);
	CHECK_EQ(fg_mem_in(&g, g.isr.addr, 1), 1);
	CHECK(!g.f.line[16]);
	fg_close(&g);
}

/* All that it gives in so many seconds to a driver that never rests. */
static uint64_t
greedy(uint32_t want, unsigned at_once, unsigned seconds)
{
	uint64_t sum = 0, end = g.f.mono_ns + seconds * SEC;
	uint32_t id, len;
	unsigned i, waits = 0;

	for (i = 0; i < at_once; i++) {
		fg_desc(&g, 0, i, FG_DATA, want, FG_WRITE, 0);
		fg_avail(&g, 0, (uint16_t)i);
	}
	fg_kick(&g, 0);
	while (g.f.mono_ns < end) {
		if (!fg_used(&g, 0, &id, &len)) {
			fakemach_run(&g.f, SEC / 1000);
			CHECK(++waits < 1000 * seconds + 2);
			continue;
		}
		CHECK(len > 0 && len <= want);
		sum += len;
		fg_avail(&g, 0, (uint16_t)id);
		fg_kick(&g, 0);
	}
	return (sum);
}

static void
bucket(void)
{
	static const struct {
		uint32_t want;
		unsigned at_once;
	} t[] = { { 64, 1 }, { 64, 64 }, { 4096, 1 }, { 0xa0000, 1 },
		{ 0xa0000, 64 } };
	unsigned i;
	uint64_t n;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		fg_open(&g, &vio_rng);
		fg_up(&g, 0, 64);
		n = greedy(t[i].want, t[i].at_once, 4);
		CHECK_MSG(n <= (4ull * RATE + BURST) * 105 / 100 &&
			n >= 4ull * RATE * 95 / 100,
		    "%u bytes, %u at once: %llu in 4 s", t[i].want,
		    t[i].at_once, (unsigned long long)n);
		/* A reset is no way to more. */
		fg_up(&g, 0, 64);
		n = greedy(t[i].want, t[i].at_once, 1);
		CHECK(n <= (RATE + BURST) * 105ull / 100);
		fg_close(&g);
	}
}

/* Empty requests are bounded too: a kick comes to an end. */
static void
empty_flood(void)
{
	unsigned i, n = 0;
	uint32_t id, len;

	fg_open(&g, &vio_rng);
	fg_up(&g, 0, 64);
	for (i = 0; i < 64; i++)
		fg_desc(&g, 0, i, FG_DATA, 0, FG_WRITE, 0);
	for (i = 0; i < 100000; i++) {
		fg_avail(&g, 0, i % 64);
		fg_kick(&g, 0);
		if (!fg_used(&g, 0, &id, &len))
			break;
		n++;
	}
	CHECK_EQ(n, BURST / 16);
	CHECK(fakemach_armed(&g.f, g.dev) != ~0ull);
	fakemach_run(&g.f, SEC / 100);
	CHECK(fg_used(&g, 0, &id, &len));
	fg_close(&g);
}

/* Saved while a request waits: it is served after the load, exactly once. */
static void
saved(void)
{
	struct snap_w w, again;
	struct snap_r r;
	struct err e;
	uint32_t id, len;

	fg_open(&g, &vio_rng);
	fg_up(&g, VIO_F_EVENT_IDX, 64);
	fg_desc(&g, 0, 0, FG_DATA, BURST, FG_WRITE, 0);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	CHECK(fg_used(&g, 0, &id, &len) && len == BURST);
	CHECK(!fg_used(&g, 0, &id, &len));
	snap_w_init(&w);
	snap_w_init(&again);
	dev_save(g.dev, &w);
	dev_reset(g.dev);
	CHECK_EQ(fg_in(&g, FG_STATUS), 0);
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(dev_load(g.dev, &r, &e), 0);
	dev_save(g.dev, &again);
	CHECK(w.len_bytes == again.len_bytes &&
	    memcmp(w.buf, again.buf, w.len_bytes) == 0);
	CHECK_EQ(fg_in(&g, FG_STATUS), 15);
	fakemach_run(&g.f, SEC / 100);
	CHECK(fg_used(&g, 0, &id, &len) && len > 0);
	CHECK(!fg_used(&g, 0, &id, &len));
	snap_w_fini(&w);
	snap_w_fini(&again);
	fg_close(&g);
}

/* Reset while it waits: the timer goes, nothing is written. */
static void
reset_waiting(void)
{
	uint32_t id, len;

	fg_open(&g, &vio_rng);
	fg_up(&g, 0, 64);
	fg_desc(&g, 0, 0, FG_DATA, BURST, FG_WRITE, 0);
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	CHECK(fg_used(&g, 0, &id, &len));
	fg_avail(&g, 0, 0);
	fg_kick(&g, 0);
	CHECK(fakemach_armed(&g.f, g.dev) != ~0ull);
	memset(mem_ptr(&g.f.mem, FG_DATA, BURST), 0, BURST);
	fg_out(&g, FG_STATUS, 0);
	CHECK_EQ(fakemach_armed(&g.f, g.dev), ~0ull);
	fakemach_run(&g.f, SEC);
	CHECK(!fg_used(&g, 0, &id, &len));
	CHECK(all_zero(FG_DATA, BURST));
	fg_close(&g);
}

static const struct tap_case cases[] = {
	{ "rng: bytes where they belong, MSI-X", bytes },
	{ "T04 T16 rng: requests without room", nothing },
	{ "T28 rng: token bucket", bucket },
	{ "T28 rng: empty requests", empty_flood },
	{ "rng: saved while a request waits", saved },
	{ "T12 rng: reset while a request waits", reset_waiting },
};

TAP_MAIN(cases)
