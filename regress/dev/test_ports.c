/* SPDX-License-Identifier: ISC */
/*
 * All port devices at once: random and odd accesses, saved state.
 * A device's load() checks every bound of its state; so "what was saved is
 * taken back and saves the same" is the invariant after random accesses.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/snap.h"
#include "regress/lib/fakemach.h"
#include "regress/lib/tap.h"

#define STEPS 1000000
#define CHECK_EVERY 500

static struct fakemach f;
static uint64_t seed;

static uint32_t
rnd(void)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return ((uint32_t)(seed >> 32));
}

/* Save, load, save: true when taken back and the same. */
static bool
round_trip(struct dev *d)
{
	struct snap_w a, b;
	struct snap_r r;
	struct err e;
	bool ok;

	snap_w_init(&a);
	snap_w_init(&b);
	dev_save(d, &a);
	snap_r_init(&r, a.buf, a.len_bytes);
	ok = dev_load(d, &r, &e) == 0 && r.left_bytes == 0;
	dev_save(d, &b);
	ok = ok && !a.failed && !b.failed && a.len_bytes == b.len_bytes &&
	    memcmp(a.buf, b.buf, a.len_bytes) == 0;
	snap_w_fini(&a);
	snap_w_fini(&b);
	return (ok);
}

static void
random_access(const struct board_slot *s)
{
	unsigned r, bytes = 1u << rnd() % 3;
	uint16_t port;

	do
		r = rnd() % DEV_RANGES;
	while (s->range[r].len_bytes == 0);
	port = (uint16_t)(s->range[r].base +
	    rnd() % (uint32_t)s->range[r].len_bytes);
	if (rnd() % 2)
		fake_out(&f, port, bytes, rnd());
	else
		fake_in(&f, port, bytes);
}

/* What comes from outside, between the guest's accesses. */
static void
random_event(struct dev *d)
{
	fakemach_run(&f, rnd() % 3000000000u);
	if (rnd() % 16 == 0)
		f.wall_s = (int64_t)((uint64_t)rnd() << rnd() % 32);
	if (d->ops == &dev_uart) {
		uart_input(d, "0123456789abcdefghij", rnd() % 21);
		if (rnd() % 4 == 0)
			uart_break(d);
		CHECK(uart_room(d) <= 16);
	} else if (d->ops == &dev_acpi_pm)
		acpi_pm_power_button(d);
	if (rnd() % 64 == 0)
		dev_reset(d);
}

static void
random_ports(void)
{
	struct dev *d;
	unsigned i, n, bad;

	for (i = 0; i < fake_board_n; i++) {
		fakemach_open(&f, 2 << 20, 2);
		d = fakemach_add(&f, &fake_board[i]);
		seed = i;
		for (bad = 0, n = 0; n < STEPS; n++) {
			random_access(&fake_board[i]);
			if (n % CHECK_EVERY != 0)
				continue;
			random_event(d);
			if (!round_trip(d))
				bad++;
		}
		CHECK_MSG(
		    bad == 0, "%s: %u times out of bounds", d->ops->name, bad);
		fakemach_close(&f);
	}
}

/* The guest's view of an access of any width at any port near a device. */
static void
any_width(void)
{
	static const unsigned width[] = { 1, 2, 4 };
	unsigned port, w, n = 0;

	fakemach_open(&f, 1 << 20, 1);
	fakemach_add_all(&f);
	for (port = 0; port < 0x10000; port++)
		for (w = 0; w < 3; w++, n++) {
			fake_in(&f, (uint16_t)port, width[w]);
			fake_out(&f, (uint16_t)port, width[w], 0);
		}
	CHECK_EQ(n, 3 * 0x10000);
	CHECK_EQ(fake_in(&f, 0x1000, 4), 0xffffffff);
	CHECK_EQ(fake_in(&f, 0x3f8 + 8, 1) & 0xff, 0xff);
	/* Half in the UART, half outside: nobody's. */
	CHECK_EQ(fake_in(&f, 0x3ff, 2) & 0xffff, 0xffff);
	/* PM1 events and control, both halves there: bytes of both. */
	CHECK_EQ(fake_in(&f, 0x602, 4), 0x00010000);
	fakemach_close(&f);
}

/* T51's spirit: each bit of a saved record flipped is refused or runs on. */
static void
flips(void)
{
	struct snap_w w, again;
	struct snap_r r;
	struct err e;
	struct dev *d;
	unsigned i, n, taken, bad;
	size_t bit;

	for (i = 0; i < fake_board_n; i++) {
		fakemach_open(&f, 2 << 20, 2);
		d = fakemach_add(&f, &fake_board[i]);
		seed = i;
		for (n = 0; n < 1000; n++)
			random_access(&fake_board[i]);
		random_event(d);
		snap_w_init(&w);
		dev_save(d, &w);
		for (taken = bad = 0, bit = 0; bit < w.len_bytes * 8; bit++) {
			w.buf[bit / 8] ^= 1u << bit % 8;
			snap_r_init(&r, w.buf, w.len_bytes);
			if (dev_load(d, &r, &e) == 0) {
				taken++;
				/* Name, version and length have to be right. */
				if (bit / 8 < strlen(d->ops->name) + 7)
					bad++;
				for (n = 0; n < 20; n++)
					random_access(&fake_board[i]);
				if (!round_trip(d))
					bad++;
			} else if (e.code == 0 || e.text[0] == '\0')
				bad++;
			w.buf[bit / 8] ^= 1u << bit % 8;
		}
		CHECK_MSG(bad == 0, "%s: %u of %u", d->ops->name, bad, taken);
		/* A refused record leaves the device as it was. */
		snap_r_init(&r, w.buf, w.len_bytes);
		CHECK_EQ(dev_load(d, &r, &e), 0);
		for (n = 0; n < w.len_bytes; n++) {
			snap_r_init(&r, w.buf, n);
			CHECK_EQ(dev_load(d, &r, &e), -1);
		}
		snap_w_init(&again);
		dev_save(d, &again);
		CHECK(again.len_bytes == w.len_bytes &&
		    memcmp(again.buf, w.buf, w.len_bytes) == 0);
		snap_w_fini(&again);
		snap_w_fini(&w);
		fakemach_close(&f);
	}
}

/* One byte of a fresh device's body that no such device can have. */
static const struct {
	const struct dev_ops *ops;
	unsigned off;
	uint8_t v;
} impossible[] = {
	{ &dev_uart, 0, 0x10 },    /* IER */
	{ &dev_uart, 1, 0xc0 },    /* trigger level, FIFO off */
	{ &dev_uart, 3, 0x20 },    /* MCR */
	{ &dev_uart, 7, 0x04 },    /* LSR: parity */
	{ &dev_uart, 8, 0x00 },    /* MSR: no peer */
	{ &dev_uart, 9, 2 },       /* a bool */
	{ &dev_uart, 11, 2 },      /* bytes without a FIFO */
	{ &dev_uart, 11, 17 },     /* more than a FIFO holds */
	{ &dev_rtc, 10, 0xa6 },    /* UIP */
	{ &dev_rtc, 11, 0x82 },    /* SET, and not stopped */
	{ &dev_rtc, 12, 0x80 },    /* IRQF */
	{ &dev_rtc, 13, 0x01 },    /* D */
	{ &dev_rtc, 128, 0x80 },   /* index */
	{ &dev_rtc, 129, 0x01 },   /* stopped, and no SET */
	{ &dev_rtc, 136, 0x01 },   /* offset: 2^48 s */
	{ &dev_rtc, 137, 0x80 },   /* offset: -2^63 s */
	{ &dev_i8042, 32, 0x02 },  /* status */
	{ &dev_i8042, 34, 0x80 },  /* pending command */
	{ &dev_reset_ctl, 0, 4 },  /* RST_CPU */
	{ &dev_acpi_pm, 0, 0x02 }, /* status */
	{ &dev_acpi_pm, 2, 0x02 }, /* enable */
	{ &dev_acpi_pm, 5, 0x20 }, /* SLP_EN */
	{ &dev_pci_host, 0, 1 },   /* address */
	{ &dev_pci_host, 4, 0 },   /* vendor */
};

static void
refusals(void)
{
	struct snap_w w;
	struct snap_r r;
	struct err e;
	struct dev *d;
	size_t i, at;

	for (i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
		fakemach_open(&f, 1 << 20, 1);
		d = fakemach_add(&f, fakemach_slot(impossible[i].ops));
		snap_w_init(&w);
		dev_save(d, &w);
		at = strlen(d->ops->name) + 7 + impossible[i].off;
		CHECK(at < w.len_bytes);
		w.buf[at] = impossible[i].v;
		snap_r_init(&r, w.buf, w.len_bytes);
		CHECK_MSG(dev_load(d, &r, &e) == -1, "%s took byte %u = 0x%02x",
		    d->ops->name, impossible[i].off, impossible[i].v);
		snap_w_fini(&w);
		fakemach_close(&f);
	}
}

/* More bytes waiting than the UART holds once its FIFO is off. */
static void
too_many(void)
{
	struct snap_w w;
	struct snap_r r;
	struct err e;
	struct dev *d;

	fakemach_open(&f, 1 << 20, 1);
	d = fakemach_add(&f, fakemach_slot(&dev_uart));
	fake_outb(&f, 0x3fa, 0x01);
	CHECK_EQ(uart_input(d, "hello", 5), 5);
	snap_w_init(&w);
	dev_save(d, &w);
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(dev_load(d, &r, &e), 0);
	w.buf[strlen("uart") + 7 + 1] = 0; /* FCR */
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(dev_load(d, &r, &e), -1);
	CHECK_EQ(fake_inb(&f, 0x3f8), 'h'); /* refused: as it was */
	snap_w_fini(&w);
	fakemach_close(&f);
}

/* A record goes to its own device only, and lines follow what was loaded. */
static void
loaded_lines(void)
{
	struct snap_w w;
	struct snap_r r;
	struct dev *d;
	struct err e;

	fakemach_open(&f, 2 << 20, 2);
	fakemach_add_all(&f);
	d = fakemach_dev(&f, &dev_acpi_pm);
	snap_w_init(&w);
	fake_out(&f, 0x602, 2, 0x100);
	acpi_pm_power_button(d);
	CHECK(f.line[9]);
	dev_save(d, &w);
	dev_reset(d);
	CHECK(!f.line[9]);
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(dev_load(fakemach_dev(&f, &dev_uart), &r, &e), -1);
	CHECK_STR(e.text, "saved state is of acpi_pm where uart should be");
	snap_r_init(&r, w.buf, w.len_bytes);
	CHECK_EQ(dev_load(d, &r, &e), 0);
	CHECK(f.line[9]);
	snap_w_fini(&w);
	fakemach_close(&f);
}

static void
debug_exit(void)
{
	fakemach_open(&f, 1 << 20, 1);
	fakemach_add_all(&f);
	CHECK_EQ(fake_inb(&f, 0xf4), 0xff);
	CHECK_EQ(f.exits, 0);
	fake_outb(&f, 0xf4, 0x2a);
	CHECK_EQ(f.exit_code, 0x2a);
	fake_out(&f, 0xf4, 4, 0xdeadbeef);
	CHECK_EQ(f.exit_code, 0xdeadbeef);
	CHECK_EQ(f.exits, 2);
	fakemach_close(&f);
}

/* A second device at the same ports is refused and leaves nothing behind. */
static void
taken_ports(void)
{
	struct err e;

	fakemach_open(&f, 1 << 20, 1);
	fakemach_add_all(&f);
	CHECK(dev_open(fakemach_slot(&dev_i8042), &f.m, &e) == NULL);
	CHECK_EQ(strncmp(e.text, "i8042: ", 7), 0);
	CHECK_EQ(fake_inb(&f, 0x64), 0x14);
	while (f.ndevs > 0)
		dev_close(f.dev[--f.ndevs]);
	CHECK_EQ(fake_inb(&f, 0x64), 0xff); /* gone with its ports */
	fakemach_close(&f);
}

static const struct tap_case cases[] = {
	{ "T31 every port device: 10^6 random accesses", random_ports },
	{ "T37 every port, every width", any_width },
	{ "T51 every bit of saved state flipped", flips },
	{ "T51 saved state that cannot be", refusals },
	{ "T51 saved state: too many bytes", too_many },
	{ "saved state: lines, and whose it is", loaded_lines },
	{ "debug_exit", debug_exit },
	{ "two devices at one port", taken_ports },
};

TAP_MAIN(cases)
