/* SPDX-License-Identifier: ISC */
/* 16550: registers, FIFO, loop back, interrupt 4 through the PIC. */
#include "regress/guests/guest.h"

#define THR UART
#define IER (UART + 1)
#define IIR (UART + 2)
#define FCR (UART + 2)
#define LCR (UART + 3)
#define MCR (UART + 4)
#define LSR (UART + 5)
#define MSR (UART + 6)
#define SCR (UART + 7)

static volatile unsigned nirq;
static volatile uint8_t iir_seen;

static void
on_irq(void)
{
	nirq++;
	iir_seen = inb(IIR);
	pic_eoi(4);
}

static void
registers(void)
{
	outb(SCR, 0xa5);
	report_eq(inb(SCR), 0xa5, "scratch register");
	outb(LCR, 0x83);
	outb(UART, 0x34);
	outb(IER, 0x12);
	report_eq(inb(UART), 0x34, "divisor low");
	report_eq(inb(IER), 0x12, "divisor high");
	outb(UART, 1);
	outb(IER, 0);
	outb(LCR, 0x03);
	report_eq(inb(LCR), 0x03, "line control");
	report_eq(inb(LSR) & 0x60, 0x60, "transmitter empty");
	outb(IER, 0xff);
	report_eq(inb(IER), 0x0f, "interrupt enable has four bits");
	outb(IER, 0);
	report_eq(inb(IIR) & 0xc1, 0x01, "no FIFO, no interrupt");
	outb(FCR, 0x01);
	report_eq(inb(IIR) & 0xc0, 0xc0, "FIFO enabled");
}

/* In loop back what is sent comes back, and MCR shows in MSR. */
static void
loopback(void)
{
	unsigned i;

	outb(MCR, 0x1a); /* LOOP, OUT2, RTS */
	report_eq(inb(MSR) & 0xf0, 0x90, "loop back: OUT2 is DCD, RTS is CTS");
	for (i = 0; i < 16; i++)
		outb(THR, (uint8_t)(0x30 + i));
	for (i = 0; i < 16; i++)
		if ((inb(LSR) & 1) == 0 || inb(UART) != 0x30 + i)
			break;
	report_eq(i, 16, "loop back: sixteen bytes in order");
	report_eq(inb(LSR) & 1, 0, "loop back: then empty");
	outb(MCR, 0);
}

static void
interrupt(void)
{
	trap_set(VEC_IRQ + 4, on_irq);
	pic_open(1 << 4);
	outb(MCR, 0x08); /* OUT2 lets it through */
	outb(IER, 0x02);
	report(wait_for(&nirq, 1), "transmitter empty interrupts");
	report_eq(nirq, 1, "transmitter empty interrupts once");
	report_eq(iir_seen & 0x0f, 0x02, "and says so");
	outb(IER, 0);
	outb(MCR, 0x18); /* LOOP, OUT2 */
	outb(IER, 0x01);
	outb(THR, 'x');
	report(wait_for(&nirq, 2), "received byte interrupts");
	report_eq(nirq, 2, "received byte interrupts once");
	report((iir_seen & 0x0f) == 0x04 || (iir_seen & 0x0f) == 0x0c,
	    "and says so");
	report_eq(inb(UART), 'x', "and is there");
	report_eq(inb(IIR) & 0x01, 0x01, "then nothing is pending");
	outb(IER, 0);
	outb(MCR, 0);
}

void
guest(void)
{
	registers();
	loopback();
	interrupt();
	report_eq((uint8_t)prompt(), 'k', "a key from the host");
}
