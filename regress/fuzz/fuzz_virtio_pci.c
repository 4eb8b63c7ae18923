/* SPDX-License-Identifier: ISC */
/*
 * A guest that misuses a virtio function: configuration space, BARs, MSI-X,
 * common configuration, queues, saved state.  Invariant: what was saved is
 * taken back and saves the same.
 *
 * An execution: power on, accesses and requests of up to INPUT_MAX bytes, a
 * reload in between whose state is also damaged, and a reload at the end.  The
 * machine is made once; what a run leaves in it, power-on has to take away.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* The device's, without the host's: the same in each run. */
static ssize_t
fuzz_random(void *buf, size_t n, unsigned flags)
{
	(void)flags;
	memset(buf, 0x5a, n);
	return ((ssize_t)n);
}
#define getrandom fuzz_random
#include "daemon/dev/vio_rng.c"

#include "regress/fuzz/input.h"
#include "regress/lib/fakeguest.h"

NO_COVERAGE_BEGIN

#define INPUT_MAX 64 /* run gives it to libFuzzer */
#define RELOADS_MAX 1

enum { CFG, BAR, COMMON, PORT, MEMORY, UP, TIME, OTHER };

static unsigned reloads;

static void
save(struct fakeguest *fg, struct snap_w *w)
{
	w->len_bytes = 0;
	dev_save(fg->dev, w);
}

static void
reload(struct fakeguest *fg, struct input *g)
{
	static struct snap_w a, b;
	struct snap_r r;
	struct err e;
	size_t at;

	save(fg, &a);
	snap_r_init(&r, a.buf, a.len_bytes);
	if (dev_load(fg->dev, &r, &e) == -1)
		abort();
	save(fg, &b);
	if (a.len_bytes != b.len_bytes ||
	    memcmp(a.buf, b.buf, a.len_bytes) != 0)
		abort();
	if (g->left > 2) { /* and a damaged one */
		at = take(g, 2) % a.len_bytes;
		a.buf[at] ^= (uint8_t)take(g, 1);
		snap_r_init(&r, a.buf, a.len_bytes);
		dev_load(fg->dev, &r, &e);
	}
}

static void
step(struct fakeguest *fg, struct input *g)
{
	unsigned op = (unsigned)take(g, 1), bytes = 1u << (op >> 3 & 3);
	bool write = op >> 5 & 1;
	uint64_t at, v;

	switch (op & 7) {
	case CFG:
		at = take(g, 1);
		if (bytes == 8 || at % bytes != 0)
			bytes = 1;
		if (write)
			fg_cfg_out(
			    fg, (unsigned)at, bytes, (uint32_t)take(g, bytes));
		else
			fg_cfg_in(fg, (unsigned)at, bytes);
		break;
	case BAR:
		at = fg->slot.range[1].base + take(g, 2) % 0x2008;
		if (write)
			fg_mem_out(fg, at, bytes, take(g, bytes));
		else
			fg_mem_in(fg, at, bytes);
		break;
	case COMMON:
		at = take(g, 1) % 0x40;
		if (write)
			fg_out(fg, (unsigned)at, (uint32_t)take(g, bytes));
		else
			fg_in(fg, (unsigned)at);
		break;
	case PORT:
		at = fg->slot.range[0].base + take(g, 1) % 68;
		fake_out(&fg->f, (uint16_t)at, bytes == 8 ? 2 : bytes,
		    (uint32_t)take(g, 1));
		break;
	case MEMORY:
		at = FG_RINGS + take(g, 2) % 0x4000;
		v = take(g, bytes);
		mem_write(&fg->f.mem, at, &v, bytes);
		break;
	case UP:
		if (op >> 6 == 0) {
			/* It may have moved the BARs: then nobody answers. */
			fg_negotiate(fg,
			    VIO_F_VERSION_1 |
				(write ? VIO_F_INDIRECT : VIO_F_EVENT_IDX));
			fg_queue(fg, 0, 8);
			fg_out(fg, FG_STATUS, 15);
			break;
		}
		if (fg->q[0].size == 0)
			break;
		at = take(g, 1);
		fg_desc(fg, 0, at & 7, FG_DATA + at * 256, (uint32_t)take(g, 2),
		    (uint16_t)(at >> 3 & 7), (uint16_t)take(g, 1));
		fg_avail(fg, 0, at & 7);
		fg_kick(fg, 0);
		break;
	case TIME:
		fakemach_run(&fg->f, take(g, 1) << 18);
		break;
	default:
		if (bytes == 8) {
			if (reloads++ < RELOADS_MAX)
				reload(fg, g);
			break;
		}
		at = take(g, 1) & 7; /* the mechanism itself, any width */
		if (write)
			fake_out(&fg->f, (uint16_t)(0xcf8 + at), bytes,
			    (uint32_t)take(g, bytes));
		else
			fake_in(&fg->f, (uint16_t)(0xcf8 + at), bytes);
		break;
	}
}

/* Made once; power-on for each input. */
static struct fakeguest *
guest(void)
{
	static struct fakeguest g;
	static bool there;

	if (!there) {
		fg_open(&g, &vio_rng);
		there = true;
	}
	dev_reset(g.host);
	dev_reset(g.dev);
	g.q[0].size = 0;
	g.f.mono_ns += 1000000000ull; /* all tokens are there again */
	memset(mem_ptr(&g.f.mem, FG_RINGS, 0x4000), 0, 0x4000);
	return (&g);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input g = { data, size }, none = { NULL, 0 };
	struct fakeguest *fg = guest();

	reloads = 0;
	while (g.left > 0)
		step(fg, &g);
	reload(fg, &none);
	return (0);
}

NO_COVERAGE_END
