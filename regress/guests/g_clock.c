/* SPDX-License-Identifier: ISC */
/* RTC, PM timer, and the timers that wake a halted CPU: PIT and LAPIC. */
#include "regress/guests/guest.h"

static volatile unsigned nticks;

static void
on_pit(void)
{
	nticks++;
	pic_eoi(0);
}

static void
on_lapic(void)
{
	nticks++;
	put32(LAPIC + 0xb0, 0);
}

static uint8_t
cmos(uint8_t reg)
{
	outb(0x70, reg);
	return (inb(0x71));
}

static bool
bcd_in(uint8_t v, unsigned lo, unsigned hi)
{
	unsigned n;

	n = (v >> 4) * 10u + (v & 15);
	return ((v & 15) <= 9 && n >= lo && n <= hi);
}

static void
rtc(void)
{
	report_eq(cmos(0x0d) & 0x80, 0x80, "RTC: battery is good");
	report_eq(cmos(0x0b) & 0x06, 0x02, "RTC: BCD, 24 hours");
	report(bcd_in(cmos(0), 0, 59), "RTC: seconds");
	report(bcd_in(cmos(2), 0, 59), "RTC: minutes");
	report(bcd_in(cmos(4), 0, 23), "RTC: hours");
	report(bcd_in(cmos(7), 1, 31), "RTC: day");
	report(bcd_in(cmos(8), 1, 12), "RTC: month");
	report(bcd_in(cmos(9), 20, 99), "RTC: year");
	report(bcd_in(cmos(0x32), 20, 21), "RTC: century");
	outb(0x70, 0x40);
	outb(0x71, 0x5c);
	report_eq(cmos(0x40), 0x5c, "CMOS memory");
}

static void
pm_timer(void)
{
	uint32_t a, b, first;
	unsigned i, back;

	first = a = inl(PM_TMR);
	for (i = back = 0; i < 50; i++, a = b) {
		b = inl(PM_TMR);
		if ((int32_t)(b - a) < 0)
			back++;
	}
	report_eq(back, 0, "PM timer never goes back");
	report(a != first, "PM timer goes on");
}

static void
pit(void)
{
	trap_set(VEC_IRQ, on_pit);
	pic_open(1 << 0);
	nticks = 0;
	pit_open(500);
	while (nticks < 10)
		irq_wait();
	report_eq(nticks, 10, "PIT wakes a halted CPU");
	pic_open(0);
}

/* Periodic, so that a wake-up that went missing is made good by the next. */
static void
lapic(void)
{
	trap_set(0x30, on_lapic);
	nticks = 0;
	put32(LAPIC + 0xf0, 0x1ff);
	put32(LAPIC + 0x3e0, 0x0b);    /* divide by 1 */
	put32(LAPIC + 0x320, 0x20030); /* periodic, vector 0x30 */
	put32(LAPIC + 0x380, 2000000);
	while (nticks < 10)
		irq_wait();
	put32(LAPIC + 0x320, 0x10000);
	report_eq(nticks, 10, "LAPIC timer wakes a halted CPU");
}

void
guest(void)
{
	rtc();
	pm_timer();
	pit();
	lapic();
}
