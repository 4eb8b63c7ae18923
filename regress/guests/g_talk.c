/* SPDX-License-Identifier: ISC */
/*
 * A guest for the daemon's tests: it says numbers, one a line and each one more
 * than the last, and does what keys tell it.  Its command line is the first
 * keys.
 *   c  a number at each tick, 50 a second     f  as fast as it goes, in lines
 *   s  silence                                   of 64 bytes
 *   q  power off      r  reset      t  triple fault
 *   d  be deaf to the power button, which else is q
 *   e  run into nothing, which KVM cannot emulate
 */
#include "regress/guests/guest.h"

#define HZ 50
#define DIGITS 8
#define NOWHERE 0xd0000000ull
#define UNMAPPED (1ull << 40)

static char line[] =
    "00000000 is one more than the line before this one was.........\n";
static volatile bool pressed;
static bool deaf;
static char mode = 's';

static void
on_tick(void)
{
	pic_eoi(0);
}

static void
on_sci(void)
{
	outw(PM1_EVT, 0x100);
	pressed = true;
	pic_eoi(9);
}

static void
say(const char *from, uint64_t n)
{
	__asm__ volatile("rep outsb"
			 : "+S"(from), "+c"(n)
			 : "d"((uint16_t)UART)
			 : "memory");
}

static void
count(void)
{
	unsigned i;

	for (i = DIGITS; i > 0 && ++line[i - 1] > '9'; i--)
		line[i - 1] = '0';
}

static void
number(void)
{
	say(line, DIGITS);
	putch('\n');
	count();
}

static void
long_line(void)
{
	say(line, sizeof(line) - 1);
	count();
}

static void
triple_fault(void)
{
	static const uint8_t none[10];

	__asm__ volatile("lidt %0" : : "m"(none));
	(void)get32(UNMAPPED);
}

static void
key(char c)
{
	switch (c) {
	case 'c':
	case 'f':
	case 's':
		mode = c;
		break;
	case 'd':
		deaf = true;
		break;
	case 'e':
		((void (*)(void))NOWHERE)();
		break;
	case 'q':
		outw(PM1_CNT, 5 << 10 | 1 << 13);
		break;
	case 'r':
		outb(0xcf9, 6);
		break;
	case 't':
		triple_fault();
		break;
	default:
		print("what? ");
		putch(c);
		putch('\n');
		break;
	}
}

static void
begin(void)
{
	const char *first;

	trap_set(VEC_IRQ, on_tick);
	trap_set(VEC_IRQ + 9, on_sci);
	pic_open(1 << 0 | 1 << 9);
	outw(PM1_EVT + 2, 0x100);
	pit_open(HZ);
	print("up\n");
	for (first = start_cmdline(); *first != '\0'; first++)
		key(*first);
}

void
guest(void)
{
	begin();
	for (;;) {
		if (mode == 'f') {
			irq_on();
			long_line();
			irq_off();
		} else
			irq_wait();
		if (mode == 'c')
			number();
		if (pressed && !deaf) {
			print("button\n");
			key('q');
		}
		if ((inb(UART + 5) & 1) != 0)
			key((char)inb(UART));
	}
}
