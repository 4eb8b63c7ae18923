/* SPDX-License-Identifier: ISC */
/* A machine for device tests: see fakemach.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/acpi.h"
#include "regress/lib/fakemach.h"

#define NS 1000000000ull

const struct board_slot fake_board[] = {
	{ .ops = &dev_uart, .range = { { false, 0x3f8, 8 } }, .gsi = 4 },
	{ .ops = &dev_rtc, .range = { { false, 0x70, 2 } }, .gsi = 8 },
	{
	    .ops = &dev_i8042,
	    .range = { { false, 0x60, 1 }, { false, 0x64, 1 } },
	    .gsi = 1,
	},
	{
	    .ops = &dev_reset_ctl,
	    .range = { { false, ACPI_RESET_PORT, 1 } },
	    .gsi = DEV_NO_GSI,
	},
	{
	    .ops = &dev_acpi_pm,
	    .range = { { false, ACPI_PM1_EVT, 4 }, { false, ACPI_PM1_CNT, 2 },
		{ false, ACPI_PM_TMR, 4 } },
	    .gsi = ACPI_SCI_GSI,
	},
	{
	    .ops = &dev_pci_host,
	    .range = { { false, 0xcf8, 8 } },
	    .gsi = DEV_NO_GSI,
	},
	{
	    .ops = &dev_debug_exit,
	    .range = { { false, 0xf4, 4 } },
	    .gsi = DEV_NO_GSI,
	    .debug_only = true,
	},
};
const unsigned fake_board_n = sizeof(fake_board) / sizeof(fake_board[0]);

static struct fakemach *
fake(struct mach *m)
{
	return ((struct fakemach *)m->ctx);
}

static void
on_irq(struct mach *m, unsigned gsi, bool level)
{
	struct fakemach *f = fake(m);

	if (gsi >= FAKE_GSIS || f->line[gsi] == level)
		abort(); /* dev_irq() lets only changes through */
	f->irq_calls++;
	f->line[gsi] = level;
	if (level)
		f->rises[gsi]++;
}

static void
on_msi(struct mach *m, uint64_t addr, uint32_t data)
{
	struct fakemach *f = fake(m);

	f->msis++;
	f->msi_addr = addr;
	f->msi_data = data;
}

static uint64_t
on_mono(struct mach *m)
{
	return (fake(m)->mono_ns);
}

static int64_t
on_wall(struct mach *m)
{
	return (fake(m)->wall_s);
}

static void
on_event(struct mach *m, enum mach_event ev, uint32_t arg)
{
	struct fakemach *f = fake(m);

	switch (ev) {
	case MACH_RESET:
		f->resets++;
		break;
	case MACH_POWEROFF:
		f->poweroffs++;
		break;
	case MACH_EXIT:
		f->exits++;
		f->exit_code = arg;
		break;
	}
}

static void
on_console(struct mach *m, const void *buf, size_t len)
{
	struct fakemach *f = fake(m);
	size_t room = 0;

	if (f->console_bytes < FAKE_CONSOLE_BYTES)
		room = FAKE_CONSOLE_BYTES - (size_t)f->console_bytes;
	if (room > 0)
		memcpy(f->console + f->console_bytes, buf,
		    len < room ? len : room);
	f->console_bytes += len;
}

static void
on_room(struct mach *m, size_t taken)
{
	struct fakemach *f = fake(m);

	f->room_calls++;
	f->room_bytes += taken;
}

static void
on_timer(struct mach *m, struct dev *d, uint64_t at)
{
	struct fakemach *f = fake(m);
	unsigned i;

	for (i = 0; i < FAKE_DEVS; i++)
		if (f->timer[i].dev == d || f->timer[i].dev == NULL)
			break;
	if (i == FAKE_DEVS)
		abort();
	f->timer[i].dev = d;
	f->timer[i].at_ns = at;
}

static const struct mach_ops fake_ops = {
	.irq = on_irq,
	.msi = on_msi,
	.mono_ns = on_mono,
	.wall_s = on_wall,
	.event = on_event,
	.console = on_console,
	.console_room = on_room,
	.timer = on_timer,
};

void
fakemach_open(struct fakemach *f, uint64_t mem_bytes, unsigned ncpus)
{
	struct err e;

	memset(f, 0, sizeof(*f));
	if (mem_open(&f->mem, "fakemach", mem_bytes, false, &e) == -1 ||
	    (f->m.pio = bus_open("pio", 0x10000)) == NULL ||
	    (f->m.mmio = bus_open("mmio", 1ull << 52)) == NULL) {
		fprintf(stderr, "fakemach: no memory\n");
		abort();
	}
	f->m.mem = &f->mem;
	f->m.ops = &fake_ops;
	f->m.ctx = f;
	f->m.ncpus = ncpus;
	f->mono_ns = 5 * NS;
	f->wall_s = 1700000000;
}

void
fakemach_close(struct fakemach *f)
{
	while (f->ndevs > 0)
		dev_close(f->dev[--f->ndevs]);
	bus_close(f->m.pio);
	bus_close(f->m.mmio);
	mem_close(&f->mem);
}

struct dev *
fakemach_add(struct fakemach *f, const struct board_slot *s)
{
	struct err e;
	struct dev *d;

	if ((d = dev_open(s, &f->m, &e)) == NULL) {
		fprintf(stderr, "fakemach: %s\n", e.text);
		abort();
	}
	f->dev[f->ndevs++] = d;
	return (d);
}

void
fakemach_add_all(struct fakemach *f)
{
	unsigned i;

	for (i = 0; i < fake_board_n; i++)
		fakemach_add(f, &fake_board[i]);
}

const struct board_slot *
fakemach_slot(const struct dev_ops *ops)
{
	unsigned i;

	for (i = 0; i < fake_board_n; i++)
		if (fake_board[i].ops == ops)
			return (&fake_board[i]);
	abort();
}

struct dev *
fakemach_dev(struct fakemach *f, const struct dev_ops *ops)
{
	unsigned i;

	for (i = 0; i < f->ndevs; i++)
		if (f->dev[i]->ops == ops)
			return (f->dev[i]);
	abort();
}

void
fake_out(struct fakemach *f, uint16_t port, unsigned bytes, uint32_t v)
{
	uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
		(uint8_t)(v >> 24) };

	bus_rw(f->m.pio, port, b, bytes, true);
}

uint32_t
fake_in(struct fakemach *f, uint16_t port, unsigned bytes)
{
	uint8_t b[4] = { 0 };

	bus_rw(f->m.pio, port, b, bytes, false);
	return (b[0] | b[1] << 8 | b[2] << 16 | (uint32_t)b[3] << 24);
}

void
fake_outb(struct fakemach *f, uint16_t port, uint8_t v)
{
	fake_out(f, port, 1, v);
}

uint8_t
fake_inb(struct fakemach *f, uint16_t port)
{
	return ((uint8_t)fake_in(f, port, 1));
}

uint64_t
fakemach_armed(const struct fakemach *f, const struct dev *d)
{
	unsigned i;

	for (i = 0; i < FAKE_DEVS; i++)
		if (f->timer[i].dev == d)
			return (f->timer[i].at_ns);
	return (~0ull);
}

static void
clock_to(struct fakemach *f, uint64_t ns)
{
	if (ns <= f->mono_ns)
		return;
	f->wall_s += (int64_t)(ns / NS - f->mono_ns / NS);
	f->mono_ns = ns;
}

void
fakemach_run(struct fakemach *f, uint64_t ns)
{
	uint64_t end = f->mono_ns + ns;
	unsigned i, next;

	for (;;) {
		next = 0;
		for (i = 1; i < FAKE_DEVS && f->timer[i].dev != NULL; i++)
			if (f->timer[i].at_ns < f->timer[next].at_ns)
				next = i;
		if (f->timer[next].dev == NULL || f->timer[next].at_ns > end)
			break;
		clock_to(f, f->timer[next].at_ns);
		f->timer[next].at_ns = ~0ull;
		f->timer_fired++;
		dev_timer(f->timer[next].dev);
	}
	clock_to(f, end);
}
