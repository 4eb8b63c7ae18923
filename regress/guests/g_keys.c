/* SPDX-License-Identifier: ISC */
/*
 * Takes keys by interrupt and counts them: each must be one more than the one
 * before, none may be missing, and none may wait in the UART without an
 * interrupt.  Command line: how many, then the value of FCR in hexadecimal.
 */
#include "regress/guests/guest.h"

#define IER (UART + 1)
#define IIR (UART + 2)
#define FCR (UART + 2)
#define MCR (UART + 4)
#define LSR (UART + 5)

#define LSR_DR 0x01
#define LSR_OE 0x02

static volatile unsigned nkeys, nwrong, nover;

/* What is said back never looks like a question to the host. */
static void
take(void)
{
	uint8_t lsr, key;

	while (((lsr = inb(LSR)) & LSR_DR) != 0) {
		if ((lsr & LSR_OE) != 0)
			nover++;
		key = inb(UART);
		if (key != (uint8_t)nkeys)
			nwrong++;
		nkeys++;
		outb(UART, key | 0x80);
	}
}

static void
on_irq(void)
{
	/* None may be pending any more where the next edge is waited for. */
	do
		take();
	while ((inb(IIR) & 1) == 0);
	pic_eoi(4);
}

static unsigned
number(const char **p, unsigned base)
{
	unsigned n = 0;
	char c;

	for (; (c = **p) > ' '; ++*p)
		n = n * base + (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
	while (**p == ' ')
		++*p;
	return (n);
}

void
guest(void)
{
	const char *p = start_cmdline();
	unsigned want = number(&p, 10);

	trap_set(VEC_IRQ + 4, on_irq);
	pic_open(1 << 4);
	outb(MCR, 0x08); /* OUT2 lets the interrupt through */
	outb(FCR, (uint8_t)number(&p, 16));
	outb(IER, 0x01);
	print("keys?\n");
	while (nkeys < want)
		irq_wait();
	print("\n");
	report_eq(nkeys, want, "every key, and none twice");
	report_eq(nwrong, 0, "in their order");
	report_eq(nover, 0, "without an overrun");
}
