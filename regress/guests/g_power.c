/* SPDX-License-Identifier: ISC */
/*
 * Ways to end and to begin again.  The command line says which; CMOS memory,
 * which has a battery, counts the beginnings, and each of them must find the
 * machine as new.
 */
#include "regress/guests/guest.h"

#define FAR 0x700000ull /* in RAM, far from what was loaded */

static volatile uint32_t touched[16]; /* .bss: zero at each beginning */

static void
as_new(void)
{
	unsigned i;
	bool ok;

	for (ok = true, i = 0; i < 16; i++)
		if (touched[i] != 0 || get32(FAR + i * 4096) != 0)
			ok = false;
	report(ok, "memory is zero");
	report_eq(start.cr0 & ~0x10ull, 1, "CR0 of a power-on");
	report_eq(start.cr4, 0, "CR4 of a power-on");
	report_eq(start.efer & 0x501, 0, "EFER of a power-on");
	report_eq(rdmsr(0x1b) & 0x900, 0x900, "APIC base of a power-on");
	report_eq(get32(LAPIC + 0xf0) & 0x100, 0, "LAPIC off");
	report_eq(inb(UART + 3), 0, "UART's line control");
	report_eq(inb(0x21), 0, "PIC's mask");
}

static void
spoil(void)
{
	unsigned i;

	for (i = 0; i < 16; i++) {
		touched[i] = 0xdead;
		put32(FAR + i * 4096, 0xdead);
	}
	put32(LAPIC + 0xf0, 0x1ff);
	outb(UART + 3, 0x1b);
	pic_open(0);
}

/* No handlers, then an access to what is not mapped. */
static void
triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	__asm__ volatile("lidt %0" : : "m"(none));
	(void)get32(1ull << 40);
}

static void
power_off(void)
{
	outw(PM1_CNT, 5 << 10 | 1 << 13);
}

static volatile unsigned nsci;
static volatile uint16_t button;

static void
on_sci(void)
{
	nsci++;
	button = inw(PM1_EVT);
	outw(PM1_EVT, 0x100);
	pic_eoi(9);
}

/* ACPI power button: SCI, status, then the guest switches itself off. */
static void
power_button(void)
{
	trap_set(VEC_IRQ + 9, on_sci);
	pic_open(1 << 9);
	outw(PM1_EVT + 2, 0x100);
	putch('?');
	report(wait_for(&nsci, 1), "SCI");
	report_eq(button & 0x100, 0x100, "power button status");
	report_eq(inw(PM1_EVT) & 0x100, 0, "is cleared by writing it");
	power_off();
}

void
guest(void)
{
	const char *how;
	unsigned n;

	how = start_cmdline();
	if (str_eq(how, "off"))
		power_off();
	else if (str_eq(how, "button"))
		power_button();
	else {
		n = begun();
		as_new();
		spoil();
		/* "loop" goes on until the host has enough of it. */
		if (n >= 1 && !str_eq(how, "loop")) {
			report_eq(n, 1, "one reset");
			return;
		}
		print("up\n");
		if (str_eq(how, "cf9"))
			outb(0xcf9, 6);
		else if (str_eq(how, "i8042"))
			outb(0x64, 0xfe);
		else
			triple_fault();
	}
	report(false, "still running");
}
