/* SPDX-License-Identifier: ISC */
/* The 16550A as a driver sees it. */
#include <string.h>

#include "regress/lib/fakemach.h"
#include "regress/lib/tap.h"

#define COM1 0x3f8
#define IRQ 4

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

static struct fakemach f;
static struct dev *uart;

static void
out(unsigned reg, uint8_t v)
{
	fake_outb(&f, (uint16_t)(COM1 + reg), v);
}

static uint8_t
in(unsigned reg)
{
	return (fake_inb(&f, (uint16_t)(COM1 + reg)));
}

static void
up(void)
{
	fakemach_open(&f, 1 << 20, 1);
	uart = fakemach_add(&f, fakemach_slot(&dev_uart));
}

static void
down(void)
{
	fakemach_close(&f);
}

static void
power_on(void)
{
	up();
	CHECK_EQ(in(IER), 0);
	CHECK_EQ(in(IIR), 0x01);
	CHECK_EQ(in(LCR), 0);
	CHECK_EQ(in(MCR), 0);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(MSR), 0xb0);
	CHECK(!f.line[IRQ]);
	CHECK_EQ(f.irq_calls, 0);
	down();
}

/* What Linux's 8250 autoconfig does to tell a 16550A from its kin. */
static void
autoconfig(void)
{
	up();
	out(IER, 0);
	CHECK_EQ(in(IER)&0x0f, 0);
	out(IER, 0x0f);
	CHECK_EQ(in(IER), 0x0f);
	out(IER, 0xff);
	CHECK_EQ(in(IER), 0x0f); /* no XScale UUE, no sleep bits */
	out(IER, 0);
	out(MCR, 0x10 | 0x0a);
	CHECK_EQ(in(MSR)&0xf0, 0x90); /* loopback: CTS from RTS, DCD */
	out(MCR, 0);
	out(LCR, 0xbf); /* an EFR would read 0 here */
	CHECK(in(2) != 0);
	out(LCR, 0);
	out(FCR, 0x01);
	CHECK_EQ(in(IIR) >> 6, 3);
	CHECK_EQ(in(IIR) >> 5, 6);
	out(FCR, 0x21); /* 64-byte FIFO of a 16750: not here */
	CHECK_EQ(in(IIR) >> 5, 6);
	out(LCR, 0x80);
	out(FCR, 0x21);
	CHECK_EQ(in(IIR) >> 5, 6);
	out(LCR, 0);
	out(FCR, 0);
	CHECK_EQ(in(IIR) >> 6, 0);
	down();
}

static void
output_interrupt(void)
{
	unsigned i;

	up();
	out(FCR, 0x07);
	out(MCR, 0x08);
	out(IER, 0x02);
	CHECK(f.line[IRQ]); /* empty when enabled */
	CHECK_EQ(in(IIR), 0xc2);
	CHECK(!f.line[IRQ]); /* reading it was the answer */
	CHECK_EQ(in(IIR), 0xc1);
	for (i = 0; i < 16; i++)
		out(DATA, (uint8_t)('a' + i));
	CHECK(f.line[IRQ]);
	CHECK_EQ(f.rises[IRQ], 2); /* one for the sixteen */
	CHECK_EQ(f.console_bytes, 16);
	CHECK(memcmp(f.console, "abcdefghijklmnop", 16) == 0);
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(IIR), 0xc2);
	CHECK_EQ(in(IIR), 0xc1);
	out(IER, 0);
	CHECK(!f.line[IRQ]);
	out(IER, 0x02); /* Linux's THRE test: shows again */
	CHECK_EQ(in(IIR), 0xc2);
	out(IER, 0x02); /* not when it was enabled already */
	CHECK_EQ(in(IIR), 0xc1);
	down();
}

static void
input_triggers(void)
{
	static const unsigned level[] = { 1, 4, 8, 14 };
	unsigned t, i;

	for (t = 0; t < 4; t++) {
		up();
		out(FCR, (uint8_t)(0x01 | t << 6));
		out(MCR, 0x08);
		CHECK_EQ(uart_room(uart), 16);
		for (i = 1; i <= 16; i++) {
			CHECK_EQ(uart_input(uart, "x", 1), 1);
			out(IER, 0x01);
			CHECK(f.line[IRQ]);
			CHECK_EQ(in(IIR), i >= level[t] ? 0xc4 : 0xcc);
		}
		CHECK_EQ(uart_room(uart), 0);
		CHECK_EQ(uart_input(uart, "y", 1), 0);
		down();
	}
}

static void
input_order_and_room(void)
{
	unsigned i;

	up();
	CHECK_EQ(uart_input(uart, "abc", 3), 1); /* no FIFO yet */
	CHECK_EQ(in(DATA), 'a');
	CHECK_EQ(f.room_bytes, 1);
	out(FCR, 0x01);
	CHECK_EQ(uart_input(uart, "0123456789abcdefXYZ", 19), 16);
	for (i = 0; i < 16; i++) {
		CHECK_EQ(in(LSR)&1, 1);
		CHECK_EQ(in(DATA), "0123456789abcdef"[i]);
		CHECK_EQ(f.room_bytes, 2 + i);
	}
	CHECK_EQ(in(LSR), 0x60);
	CHECK_EQ(in(DATA), 0);
	CHECK_EQ(f.room_bytes, 17);
	CHECK_EQ(uart_input(uart, "gone", 4), 4);
	out(FCR, 0x03); /* clears: the host may send anew */
	CHECK_EQ(f.room_bytes, 21);
	CHECK_EQ(uart_room(uart), 16);
	down();
}

static void
break_and_overrun(void)
{
	unsigned i;

	up();
	out(FCR, 0x01);
	out(MCR, 0x08);
	out(IER, 0x05);
	CHECK_EQ(uart_input(uart, "a", 1), 1);
	uart_break(uart);
	CHECK_EQ(in(LSR), 0xe1); /* behind the 'a': only the FIFO bit */
	CHECK_EQ(in(DATA), 'a');
	CHECK_EQ(in(IIR), 0xc6);
	CHECK_EQ(in(LSR), 0xf1);
	CHECK_EQ(in(LSR), 0x61); /* read once */
	CHECK_EQ(in(DATA), 0);
	CHECK_EQ(f.room_bytes, 1); /* the break was no byte of the host's */
	CHECK(!f.line[IRQ]);
	for (i = 0; i < 16; i++)
		CHECK_EQ(uart_input(uart, "z", 1), 1);
	uart_break(uart); /* waits for room */
	CHECK_EQ(in(LSR)&0x92, 0);
	CHECK_EQ(in(DATA), 'z');
	CHECK_EQ(in(LSR)&0x80, 0x80);
	out(MCR, 0x18);
	out(DATA, 'q'); /* loopback into a full queue */
	CHECK_EQ(in(LSR)&0x02, 0x02);
	CHECK_EQ(in(LSR)&0x02, 0);
	CHECK_EQ(f.console_bytes, 0);
	down();
}

static void
loopback(void)
{
	unsigned v, n;

	up();
	out(FCR, 0x01);
	out(MCR, 0x10);
	CHECK_EQ(uart_room(uart), 0); /* the wire is cut */
	CHECK_EQ(uart_input(uart, "a", 1), 0);
	in(MSR);
	for (v = 0; v < 16; v++) {
		out(MCR, (uint8_t)(0x10 | v));
		CHECK_EQ(in(MSR) >> 4,
		    (v & 1 ? 2 : 0) | (v & 2 ? 1 : 0) | (v & 4) | (v & 8));
	}
	out(MCR, 0x10);
	in(MSR);
	out(MCR, 0x14);
	CHECK_EQ(in(MSR), 0x40);
	out(MCR, 0x10);
	CHECK_EQ(in(MSR), 0x04); /* RI's end shows, its start did not */
	out(DATA, 'L');
	CHECK_EQ(in(DATA), 'L');
	CHECK_EQ(f.room_bytes, 0);
	n = f.room_calls;
	out(MCR, 0);
	CHECK_EQ(f.room_calls, n + 1); /* the wire is whole again */
	CHECK_EQ(in(MSR), 0xbb);
	CHECK_EQ(f.console_bytes, 0);
	down();
}

static void
out2_gate(void)
{
	up();
	out(IER, 0x01);
	uart_input(uart, "a", 1);
	CHECK(!f.line[IRQ]);
	out(MCR, 0x08);
	CHECK(f.line[IRQ]);
	out(MCR, 0x00);
	CHECK(!f.line[IRQ]);
	down();
}

/* Every register takes every value, with and without DLAB. */
static void
every_value(void)
{
	unsigned reg, v, dlab, i;

	up();
	for (dlab = 0; dlab < 2; dlab++)
		for (reg = 0; reg < 8; reg++)
			for (v = 0; v < 256; v++) {
				out(LCR, dlab ? 0x80 : 0);
				out(reg, (uint8_t)v);
				for (i = 0; i < 8; i++)
					in(i);
				CHECK(uart_room(uart) <= 16);
			}
	for (v = 0; v < 256; v++) {
		out(LCR, 0x80);
		out(DATA, (uint8_t)v);
		out(IER, (uint8_t)(255 - v));
		CHECK_EQ(in(DATA), v);
		CHECK_EQ(in(IER), 255 - v);
		out(LCR, 0x03);
		out(SCR, (uint8_t)v);
		CHECK_EQ(in(SCR), v);
	}
	/* Divisor 0, and it still sends. */
	out(LCR, 0x80);
	out(DATA, 0);
	out(IER, 0);
	out(LCR, 0x03);
	out(MCR, 0);
	f.console_bytes = 0;
	out(DATA, '!');
	CHECK_EQ(f.console_bytes, 1);
	down();
}

/* Nobody reads: nothing piles up in the device (the ring bounds the rest). */
static void
flood(void)
{
	static const uint32_t n = 1 << 20;
	uint32_t i;

	up();
	out(FCR, 0x01);
	out(MCR, 0x08);
	out(IER, 0x02);
	for (i = 0; i < n; i++)
		out(DATA, (uint8_t)i);
	CHECK_EQ(f.console_bytes, n);
	CHECK_EQ(f.rises[IRQ], 1);
	CHECK_EQ(in(LSR), 0x60);
	down();
}

static void
guest_reset(void)
{
	up();
	out(FCR, 0x01);
	out(IER, 0x01);
	out(MCR, 0x08);
	CHECK_EQ(uart_input(uart, "lost", 4), 4);
	CHECK(f.line[IRQ]);
	dev_reset(uart);
	CHECK(!f.line[IRQ]);
	CHECK_EQ(f.room_bytes, 4);
	CHECK_EQ(uart_room(uart), 1);
	CHECK_EQ(in(LSR), 0x60);
	down();
}

/* A 16-bit access is two bytes; the bus keeps 32-bit ones inside. */
static void
wide(void)
{
	up();
	fake_out(&f, COM1 + SCR - 1, 2, 0x5aff);
	CHECK_EQ(in(SCR), 0x5a);
	CHECK_EQ(fake_in(&f, COM1 + MSR, 2), 0x5ab0);
	CHECK_EQ(fake_in(&f, COM1 + MCR, 4), 0x5ab06000);
	down();
}

static const struct tap_case cases[] = {
	{ "uart power-on values", power_on },
	{ "uart is a 16550A to Linux's autoconfig", autoconfig },
	{ "uart output: one interrupt for 16 bytes", output_interrupt },
	{ "uart input: trigger levels and timeout", input_triggers },
	{ "uart input: order and room", input_order_and_room },
	{ "uart break and overrun", break_and_overrun },
	{ "uart loopback and modem lines", loopback },
	{ "uart OUT2 gates the interrupt", out2_gate },
	{ "T29 uart: every register, value and DLAB", every_value },
	{ "T30 uart: output with no reader", flood },
	{ "uart reset gives back its queue", guest_reset },
	{ "T37 uart: wide accesses", wide },
};

TAP_MAIN(cases)
