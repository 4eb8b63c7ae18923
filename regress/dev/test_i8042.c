/* SPDX-License-Identifier: ISC */
/* The keyboard controller without a keyboard. */
#include "regress/lib/fakemach.h"
#include "regress/lib/tap.h"

#define DATA 0x60
#define CMD 0x64
#define OBF 0x01
#define TIMEOUT 0x40
#define IRQ 1

static struct fakemach f;

static void
up(void)
{
	fakemach_open(&f, 1 << 20, 1);
	fakemach_add(&f, fakemach_slot(&dev_i8042));
}

static void
down(void)
{
	fakemach_close(&f);
}

/* The answer to a command: there at once, taken once. */
static unsigned
ask(uint8_t cmd)
{
	unsigned v;

	fake_outb(&f, CMD, cmd);
	CHECK_EQ(fake_inb(&f, CMD) & OBF, OBF);
	v = fake_inb(&f, DATA);
	CHECK_EQ(fake_inb(&f, CMD) & OBF, 0);
	return (v);
}

static void
tests_and_config(void)
{
	up();
	CHECK_EQ(fake_inb(&f, CMD), 0x14);
	CHECK_EQ(ask(0xaa), 0x55);
	CHECK_EQ(ask(0xab), 0x00);
	CHECK_EQ(ask(0xa9), 0x01); /* no second port */
	fake_outb(&f, CMD, 0x60);
	CHECK_EQ(fake_inb(&f, CMD) & 0x08, 0x08);
	fake_outb(&f, DATA, 0x65);
	CHECK_EQ(fake_inb(&f, CMD) & 0x08, 0);
	CHECK_EQ(ask(0x20), 0x65);
	fake_outb(&f, CMD, 0xad);
	CHECK_EQ(ask(0x20) & 0x10, 0x10);
	fake_outb(&f, CMD, 0xae);
	CHECK_EQ(ask(0x20) & 0x10, 0);
	fake_outb(&f, CMD, 0xa8); /* its clock stays off */
	CHECK_EQ(ask(0x20) & 0x20, 0x20);
	fake_outb(&f, CMD, 0x7f);
	fake_outb(&f, DATA, 0xa5);
	CHECK_EQ(ask(0x3f), 0xa5);
	down();
}

/* Linux: i8042_check_aux() and atkbd's reset come to their end at once. */
static void
nothing_plugged_in(void)
{
	up();
	fake_outb(&f, DATA, 0xff);
	CHECK_EQ(fake_inb(&f, CMD) & (OBF | TIMEOUT), OBF | TIMEOUT);
	CHECK_EQ(fake_inb(&f, DATA), 0xfe);
	CHECK_EQ(fake_inb(&f, CMD) & (OBF | TIMEOUT), 0);
	fake_outb(&f, CMD, 0xd3);
	fake_outb(&f, DATA, 0x5a);
	CHECK_EQ(fake_inb(&f, CMD) & (OBF | 0x20), OBF); /* not from aux */
	CHECK_EQ(fake_inb(&f, DATA), 0x5a);
	fake_outb(&f, CMD, 0xd4);
	fake_outb(&f, DATA, 0xf2);
	CHECK_EQ(fake_inb(&f, CMD) & TIMEOUT, TIMEOUT);
	CHECK_EQ(fake_inb(&f, DATA), 0xfe);
	down();
}

static void
interrupt(void)
{
	up();
	fake_outb(&f, CMD, 0xd2);
	fake_outb(&f, DATA, 0x1c);
	CHECK(!f.line[IRQ]);
	fake_outb(&f, CMD, 0x60);
	fake_outb(&f, DATA, 0x45);
	CHECK(f.line[IRQ]);
	CHECK_EQ(fake_inb(&f, DATA), 0x1c);
	CHECK(!f.line[IRQ]);
	down();
}

static void
resets(void)
{
	unsigned v;

	up();
	for (v = 0xf0; v < 0x100; v++)
		fake_outb(&f, CMD, (uint8_t)v);
	CHECK_EQ(f.resets, 8); /* those with bit 0 clear, 0xfe among them */
	fake_outb(&f, CMD, 0xfe);
	CHECK_EQ(f.resets, 9);
	fake_outb(&f, CMD, 0xd1);
	fake_outb(&f, DATA, 0xcf);
	CHECK_EQ(f.resets, 9);
	fake_outb(&f, CMD, 0xd1);
	fake_outb(&f, DATA, 0xce);
	CHECK_EQ(f.resets, 10);
	fake_outb(&f, DATA, 0xfe); /* data, not a command */
	CHECK_EQ(f.resets, 10);
	down();
}

/* A command that waits for its byte: another takes its place. */
static void
unfinished(void)
{
	unsigned i;

	up();
	for (i = 0; i < 1000; i++)
		fake_outb(&f, CMD, (uint8_t)(0x60 + i % 32));
	fake_outb(&f, CMD, 0xaa);
	CHECK_EQ(fake_inb(&f, DATA), 0x55);
	fake_outb(&f, DATA, 0x00); /* to the keyboard */
	CHECK_EQ(fake_inb(&f, DATA), 0xfe);
	CHECK_EQ(ask(0x20), 0x64);
	down();
}

static const struct tap_case cases[] = {
	{ "i8042 self tests and configuration", tests_and_config },
	{ "i8042 with nothing plugged in answers at once", nothing_plugged_in },
	{ "i8042 interrupt", interrupt },
	{ "i8042 resets the machine", resets },
	{ "T31 i8042: unfinished commands", unfinished },
};

TAP_MAIN(cases)
