/* SPDX-License-Identifier: ISC */
/* A machine for device tests: see fakemach.h. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static void
on_defer(struct mach *m, struct dev *d)
{
	struct fakemach *f = fake(m);
	unsigned i;

	for (i = 0; i < f->ndeferred; i++)
		if (f->deferred[i] == d)
			return;
	f->deferred[f->ndeferred++] = d;
}

void
fakemach_sync(struct fakemach *f)
{
	while (f->ndeferred > 0)
		dev_sync(f->deferred[--f->ndeferred]);
}

/* As KVM and epoll: an fd is once in each kind; two have not one port. */
static int
fd_set_to(struct fakemach *f, const struct fake_fd *want, bool on)
{
	struct fake_fd *x, *room = NULL;
	unsigned i;

	for (i = 0; i < FAKE_FDS; i++) {
		x = &f->fds[i];
		if (x->fd == -1) {
			room = x;
			continue;
		}
		if (x->kind == want->kind &&
		    (x->fd == want->fd ||
			(x->kind == FAKE_DOORBELL && x->arg == want->arg)))
			break;
	}
	if ((i == FAKE_FDS) != on)
		return (-1);
	if (on)
		*room = *want;
	else if (f->fds[i].arg == want->arg)
		f->fds[i].fd = -1;
	else
		return (-1);
	return (0);
}

const struct fake_fd *
fakemach_fd(const struct fakemach *f, int kind, int fd)
{
	unsigned i;

	for (i = 0; i < FAKE_FDS; i++)
		if (f->fds[i].fd == fd && (int)f->fds[i].kind == kind)
			return (&f->fds[i]);
	return (NULL);
}

static int
on_doorbell(struct mach *m, int efd, uint16_t port, bool on)
{
	struct fake_fd x = { .fd = efd, .kind = FAKE_DOORBELL, .arg = port };

	if (on && fake(m)->fail_doorbell)
		return (-1);
	if (fd_set_to(fake(m), &x, on) == -1)
		abort();
	return (0);
}

static int
on_irqfd(struct mach *m, int efd, unsigned gsi, bool on)
{
	struct fake_fd x = { .fd = efd, .kind = FAKE_IRQFD, .arg = gsi };

	if (on && fake(m)->fail_irqfd)
		return (-1);
	if (fd_set_to(fake(m), &x, on) == -1)
		abort();
	return (0);
}

static int
on_routes(struct mach *m, unsigned gsi, const struct mach_msi *msi, unsigned n)
{
	struct fakemach *f = fake(m);

	f->route_calls++;
	if (f->fail_routes)
		return (-1);
	if (gsi < FAKE_GSIS || gsi >= FAKE_ROUTES || n > FAKE_ROUTES - gsi)
		abort();
	memcpy(&f->route[gsi], msi, n * sizeof(*msi));
	return (0);
}

static void
on_watch(struct mach *m, struct dev *d, unsigned which, int fd, bool on)
{
	struct fake_fd x = {
		.fd = fd, .kind = FAKE_WATCH, .arg = which, .dev = d
	};

	if (fd_set_to(fake(m), &x, on) == -1)
		abort();
}

static void
on_dev_event(struct mach *m, struct dev *d, enum mach_dev_event what,
    const struct err *e)
{
	struct fakemach *f = fake(m);

	(void)d;
	f->dev_events[what]++;
	if (e != NULL)
		f->dev_err = *e;
}

static void
fd_ready(struct fakemach *f, const struct fake_fd *x)
{
	uint64_t n;

	if (x->kind == FAKE_WATCH) {
		dev_ready(x->dev, x->arg);
		return;
	}
	if (fakemach_fd(f, FAKE_WATCH, x->fd) != NULL)
		abort(); /* two would take what is in it */
	if (read(x->fd, &n, sizeof(n)) == sizeof(n))
		on_msi(&f->m, f->route[x->arg].addr, f->route[x->arg].data);
}

unsigned
fakemach_poll(struct fakemach *f, int ms)
{
	struct pollfd p[FAKE_FDS];
	struct fake_fd was[FAKE_FDS];
	unsigned i, n = 0;

	memcpy(was, f->fds, sizeof(was));
	for (i = 0; i < FAKE_FDS; i++) {
		p[i].fd = was[i].kind == FAKE_DOORBELL ? -1 : was[i].fd;
		p[i].events = POLLIN;
		p[i].revents = 0;
	}
	if (poll(p, FAKE_FDS, ms) <= 0)
		return (0);
	for (i = 0; i < FAKE_FDS; i++)
		if (p[i].revents != 0 &&
		    memcmp(&was[i], &f->fds[i], sizeof(was[i])) == 0) {
			fd_ready(f, &was[i]);
			n++;
		}
	fakemach_sync(f);
	return (n);
}

/* A 16-bit write to a port with a doorbell goes no further. */
static bool
rings(struct fakemach *f, uint16_t port, unsigned bytes)
{
	uint64_t one = 1;
	unsigned i;

	for (i = 0; i < FAKE_FDS && bytes == 2; i++)
		if (f->fds[i].fd != -1 && f->fds[i].kind == FAKE_DOORBELL &&
		    f->fds[i].arg == port)
			return (write(f->fds[i].fd, &one, sizeof(one)) ==
			    sizeof(one));
	return (false);
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
	.defer = on_defer,
	.doorbell = on_doorbell,
	.irqfd = on_irqfd,
	.routes = on_routes,
	.watch = on_watch,
	.dev_event = on_dev_event,
};

void
fakemach_open(struct fakemach *f, uint64_t mem_bytes, unsigned ncpus)
{
	struct err e;
	unsigned i;

	memset(f, 0, sizeof(*f));
	for (i = 0; i < FAKE_FDS; i++)
		f->fds[i].fd = -1;
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
	fakemach_sync(f);
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

	if (!rings(f, port, bytes))
		bus_rw(f->m.pio, port, b, bytes, true);
	fakemach_sync(f);
}

uint32_t
fake_in(struct fakemach *f, uint16_t port, unsigned bytes)
{
	uint8_t b[4] = { 0 };

	bus_rw(f->m.pio, port, b, bytes, false);
	fakemach_sync(f);
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
