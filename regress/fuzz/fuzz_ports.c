/* SPDX-License-Identifier: ISC */
/*
 * A guest's port accesses as a byte program over the whole board.
 * An operation is one byte (low three bits: what; the rest: which) and its
 * operands.  At the end each device must take back what it saved.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/snap.h"
#include "regress/fuzz/input.h"
#include "regress/lib/fakemach.h"

enum { IN, OUT, TIME, INPUT, BUTTON, WALL, LOAD, RESET };

/* A port of the device that the number names, and a little past it. */
static uint16_t
port_of(unsigned which, unsigned off)
{
	const struct board_slot *s = &fake_board[which % fake_board_n];
	unsigned r = off >> 4 & (DEV_RANGES - 1);

	if (s->range[r].len_bytes == 0)
		r = 0;
	return ((uint16_t)(s->range[r].base + (off & 15)));
}

static void
reload(struct fakemach *f, struct dev *d, struct input *g)
{
	struct snap_w a, b;
	struct snap_r r;
	struct err e;
	size_t at;

	(void)f;
	snap_w_init(&a);
	snap_w_init(&b);
	dev_save(d, &a);
	snap_r_init(&r, a.buf, a.len_bytes);
	if (dev_load(d, &r, &e) == -1)
		abort();
	dev_save(d, &b);
	if (a.len_bytes != b.len_bytes ||
	    memcmp(a.buf, b.buf, a.len_bytes) != 0)
		abort();
	if (g->left > 2) { /* and a damaged one */
		at = take(g, 2) % a.len_bytes;
		a.buf[at] ^= take(g, 1);
		snap_r_init(&r, a.buf, a.len_bytes);
		dev_load(d, &r, &e);
	}
	snap_w_fini(&a);
	snap_w_fini(&b);
}

static void
step(struct fakemach *f, struct input *g)
{
	unsigned op = take(g, 1), which = op >> 3, bytes;
	struct dev *d = f->dev[which % f->ndevs];
	unsigned off;

	switch (op & 7) {
	case IN:
	case OUT:
		off = take(g, 1);
		bytes = 1u << (off >> 6) % 3;
		if ((op & 7) == OUT)
			fake_out(f, port_of(which, off), bytes, take(g, bytes));
		else
			fake_in(f, port_of(which, off), bytes);
		break;
	case TIME:
		fakemach_run(f, (uint64_t)take(g, 2) << which % 24);
		break;
	case INPUT:
		if (which % 4 == 0)
			uart_break(fakemach_dev(f, &dev_uart));
		uart_input(fakemach_dev(f, &dev_uart), "0123456789abcdef+++",
		    which % 20);
		break;
	case BUTTON:
		acpi_pm_power_button(fakemach_dev(f, &dev_acpi_pm));
		break;
	case WALL:
		f->wall_s = (int64_t)((uint64_t)take(g, 4) << which);
		break;
	case LOAD:
		reload(f, d, g);
		break;
	default:
		dev_reset(d);
		break;
	}
}

/* Made once: memory and buses do not change. */
static struct fakemach *
machine(void)
{
	static struct fakemach f;
	static bool up;

	if (!up) {
		fakemach_open(&f, 1 << 20, 4);
		up = true;
	}
	return (&f);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fakemach *f = machine();
	struct input g = { data, size }, none = { NULL, 0 };
	unsigned i, steps;

	f->mono_ns = 5000000000ull;
	f->wall_s = 1700000000;
	memset(f->timer, 0, sizeof(f->timer));
	memset(f->line, 0, sizeof(f->line));
	fakemach_add_all(f);
	for (steps = 0; g.left > 0 && steps < 4096; steps++)
		step(f, &g);
	for (i = 0; i < f->ndevs; i++)
		reload(f, f->dev[i], &none);
	while (f->ndevs > 0)
		dev_close(f->dev[--f->ndevs]);
	return (0);
}
