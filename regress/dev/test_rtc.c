/* SPDX-License-Identifier: ISC */
/* The clock: calendar, formats, interrupts, odd host clocks. */
#include <limits.h>
#include <string.h>
#include <time.h>

#include "daemon/dev/rtc_time.h"
#include "regress/lib/fakemach.h"
#include "regress/lib/tap.h"

#define NS 1000000000ull
#define IRQ 8
#define B_24H 0x02
#define B_BIN 0x04
#define A 0x0a
#define B 0x0b
#define C 0x0c
#define D 0x0d
#define CENTURY 0x32

static struct fakemach f;
static struct dev *rtc;

static void
wr(uint8_t reg, uint8_t v)
{
	fake_outb(&f, 0x70, reg);
	fake_outb(&f, 0x71, v);
}

static uint8_t
rd(uint8_t reg)
{
	fake_outb(&f, 0x70, reg);
	return (fake_inb(&f, 0x71));
}

static void
up(void)
{
	fakemach_open(&f, 1 << 20, 1);
	rtc = fakemach_add(&f, fakemach_slot(&dev_rtc));
}

static void
down(void)
{
	fakemach_close(&f);
}

static bool
same_day(const struct rtc_tm *a, const struct tm *b)
{
	return (a->sec == b->tm_sec && a->min == b->tm_min &&
	    a->hour == b->tm_hour && a->day == b->tm_mday &&
	    a->month == b->tm_mon + 1 && a->year == b->tm_year + 1900 &&
	    a->wday == b->tm_wday + 1);
}

/* Every day that the clock can show, against the C library. */
static void
calendar(void)
{
	int64_t t, bad = 0;
	struct rtc_tm tm;
	struct tm want;
	time_t c;

	for (t = 0; t <= RTC_TIME_MAX; t += 86400 - 7) {
		c = (time_t)t;
		gmtime_r(&c, &want);
		rtc_split(t, &tm);
		if (!same_day(&tm, &want) || rtc_join(&tm) != t)
			bad++;
	}
	CHECK_EQ(bad, 0);
	rtc_split(INT64_MIN, &tm);
	CHECK_EQ(rtc_join(&tm), 0);
	rtc_split(INT64_MAX, &tm);
	CHECK_EQ(rtc_join(&tm), RTC_TIME_MAX);
	CHECK_EQ(rtc_add(INT64_MAX, 1), RTC_TIME_MAX);
	CHECK_EQ(rtc_add(INT64_MIN, -1), 0);
	tm = (struct rtc_tm){ .day = 1, .month = 0, .year = 2000 };
	CHECK_EQ(rtc_join(&tm), 944006400); /* 1999-12-01 */
	tm = (struct rtc_tm){ .day = 31, .month = 14, .year = 2000 };
	CHECK_EQ(rtc_join(&tm), 983577600); /* 31 February: 3 March */
}

static void
check_time(const uint8_t want[8])
{
	static const uint8_t reg[8] = { CENTURY, 9, 8, 7, 4, 2, 0, 6 };
	unsigned i;

	for (i = 0; i < 8; i++)
		CHECK_MSG(rd(reg[i]) == want[i], "reg 0x%02x is %02x, not %02x",
		    reg[i], rd(reg[i]), want[i]);
}

static void
formats(void)
{
	up();
	f.wall_s = 951827696; /* 2000-02-29 12:34:56, a Tuesday */
	CHECK_EQ(rd(B), B_24H);
	CHECK_EQ(rd(D), 0x80);
	check_time((uint8_t[]){ 0x20, 0, 2, 0x29, 0x12, 0x34, 0x56, 3 });
	wr(B, B_24H | B_BIN);
	check_time((uint8_t[]){ 20, 0, 2, 29, 12, 34, 56, 3 });
	wr(B, 0);
	CHECK_EQ(rd(4), 0x92); /* 12 pm */
	f.wall_s += 3600;
	CHECK_EQ(rd(4), 0x81);
	f.wall_s += 11 * 3600;
	CHECK_EQ(rd(4), 0x12); /* 12 am */
	f.wall_s += 3600;
	CHECK_EQ(rd(4), 0x01);
	wr(B, B_BIN);
	f.wall_s += 22 * 3600;
	CHECK_EQ(rd(4), 0x80 | 11);
	down();
}

/* As Linux sets it: SET, the fields, the divider held, then go. */
static void
set_and_survive_reset(void)
{
	static const uint8_t v[] = { 0x31, 0x59, 0x23, 0x31, 0x12, 0x37 };
	static const uint8_t reg[] = { 0, 2, 4, 7, 8, 9 };
	unsigned i;

	up();
	wr(B, 0x80 | B_24H);
	wr(A, 0x70);
	for (i = 0; i < 6; i++)
		wr(reg[i], v[i]);
	f.wall_s += 100; /* it stands */
	CHECK_EQ(rd(0), 0x31);
	wr(CENTURY, 0x20);
	wr(B, B_24H);
	wr(A, 0x26);
	check_time((uint8_t[]){ 0x20, 0x37, 0x12, 0x31, 0x23, 0x59, 0x31, 5 });
	f.wall_s += 29;
	check_time((uint8_t[]){ 0x20, 0x38, 1, 1, 0, 0, 0, 6 });
	wr(B, B_24H | 0x70);
	dev_reset(rtc);
	CHECK_EQ(rd(B), B_24H);
	check_time((uint8_t[]){ 0x20, 0x38, 1, 1, 0, 0, 0, 6 });
	wr(4, 0x05); /* while it runs */
	check_time((uint8_t[]){ 0x20, 0x38, 1, 1, 5, 0, 0, 6 });
	down();
}

static void
idle_costs_nothing(void)
{
	up();
	rd(0);
	rd(A);
	rd(C);
	wr(A, 0x23);
	CHECK_EQ(fakemach_armed(&f, rtc), ~0ull);
	fakemach_run(&f, 3600 * NS);
	CHECK_EQ(f.timer_fired, 0);
	CHECK_EQ(rd(C), 0x50); /* yet the flags show that time passed */
	CHECK_EQ(rd(C), 0);
	down();
}

static void
update_ended(void)
{
	unsigned i;

	up();
	f.mono_ns += NS / 2;
	rd(C);
	wr(B, B_24H | 0x10);
	CHECK_EQ(fakemach_armed(&f, rtc), 6 * NS);
	fakemach_run(&f, NS);
	CHECK(f.line[IRQ]);
	fakemach_run(&f, 1000 * NS);
	CHECK_EQ(f.timer_fired, 1); /* not acknowledged: no more */
	CHECK_EQ(rd(C) & 0xb0, 0x90);
	CHECK(!f.line[IRQ]);
	for (i = 0; i < 10; i++) {
		fakemach_run(&f, NS);
		CHECK_EQ(rd(C) & 0x90, 0x90);
	}
	CHECK_EQ(f.rises[IRQ], 11);
	down();
}

static void
periodic(void)
{
	unsigned rate, i, hz;

	for (rate = 1; rate < 16; rate++) {
		up();
		wr(A, (uint8_t)(0x20 | rate));
		wr(B, B_24H | 0x40);
		hz = rate < 3 ? 512 >> rate : 65536 >> rate;
		rd(C);
		for (i = 0; i < hz; i++) {
			fakemach_run(&f, fakemach_armed(&f, rtc) - f.mono_ns);
			CHECK_EQ(rd(C) & 0xc0, 0xc0);
		}
		CHECK_EQ(f.mono_ns, 6 * NS);
		CHECK_EQ(f.rises[IRQ], hz);
		down();
	}
}

static void
alarm_set(uint8_t h, uint8_t m, uint8_t s)
{
	wr(B, B_24H);
	wr(5, h);
	wr(3, m);
	wr(1, s);
	rd(C);
	wr(B, B_24H | 0x20);
}

static void
alarms(void)
{
	up();
	f.wall_s = 1000 * 86400 + 10 * 3600; /* 10:00:00 */
	alarm_set(0x10, 0x00, 0x05);
	CHECK_EQ(fakemach_armed(&f, rtc), f.mono_ns + 5 * NS);
	fakemach_run(&f, 5 * NS - 1);
	CHECK(!f.line[IRQ]);
	fakemach_run(&f, 1);
	CHECK(f.line[IRQ]);
	CHECK_EQ(rd(C) & 0xa0, 0xa0);
	CHECK_EQ(fakemach_armed(&f, rtc), f.mono_ns + 86400 * NS);
	alarm_set(0xff, 0x30, 0xc0); /* each second of minute 30 */
	CHECK_EQ(fakemach_armed(&f, rtc), f.mono_ns + 1795 * NS);
	fakemach_run(&f, 1795 * NS);
	CHECK_EQ(rd(C) & 0xa0, 0xa0);
	fakemach_run(&f, NS);
	CHECK_EQ(rd(C) & 0xa0, 0xa0);
	alarm_set(0x25, 0x00, 0x00); /* no such hour */
	CHECK_EQ(fakemach_armed(&f, rtc), ~0ull);
	down();
}

/* Unacknowledged, one cause keeps all others from waking anybody. */
static void
line_is_up(void)
{
	up();
	rd(C);
	wr(B, B_24H | 0x10);
	fakemach_run(&f, NS);
	CHECK(f.line[IRQ]);
	wr(A, 0x23);
	wr(B, B_24H | 0x50); /* 8192 Hz */
	CHECK_EQ(fakemach_armed(&f, rtc), ~0ull);
	CHECK_EQ(rd(C) & 0x90, 0x90);
	CHECK(fakemach_armed(&f, rtc) <= f.mono_ns + NS / 8192 + 1);
	down();
}

/* The fastest alarm, never or always acknowledged: one wake-up a second. */
static void
alarm_flood(void)
{
	unsigned i;

	up();
	alarm_set(0xff, 0xff, 0xff);
	fakemach_run(&f, 100 * NS);
	CHECK_EQ(f.timer_fired, 1);
	for (i = 0; i < 5000; i++) {
		alarm_set(0xff, 0xff, 0xff);
		fakemach_run(&f, NS / 100);
	}
	CHECK(f.timer_fired <= 52);
	down();
}

static void
odd_clocks(void)
{
	static const int64_t at[] = { INT64_MIN, -1, 0, 1, INT32_MAX - 1ll,
		INT32_MAX, INT32_MAX + 1ll, UINT32_MAX - 1ll, UINT32_MAX,
		UINT32_MAX + 1ll, 4102444799, 4102444800, RTC_TIME_MAX - 1,
		RTC_TIME_MAX, RTC_TIME_MAX + 1, INT64_MAX - 1, INT64_MAX };
	unsigned i, reg, v;

	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		up();
		f.wall_s = at[i];
		for (v = 0; v < 256; v++)
			for (reg = 0; reg < 11; reg++) {
				wr((uint8_t)reg, (uint8_t)v);
				wr(B, (uint8_t)(v ^ reg));
				wr(CENTURY, (uint8_t)v);
				rd((uint8_t)reg);
				rd(C);
			}
		down();
	}
	up();
	f.wall_s = INT32_MAX;
	check_time((uint8_t[]){ 0x20, 0x38, 0x01, 0x19, 0x03, 0x14, 0x07, 3 });
	f.wall_s = 4107542400; /* 2100-03-01: 2100 has no leap day */
	check_time((uint8_t[]){ 0x21, 0x00, 0x03, 0x01, 0, 0, 0, 2 });
	f.wall_s -= 1;
	check_time((uint8_t[]){ 0x21, 0x00, 0x02, 0x28, 0x23, 0x59, 0x59, 1 });
	down();
}

/* The host's clock is set back and forth under an armed alarm. */
static void
host_clock_steps(void)
{
	up();
	f.wall_s = 2000 * 86400ll;
	alarm_set(0x00, 0x01, 0x00);
	f.wall_s -= 1000 * 86400;
	fakemach_run(&f, 61 * NS);
	CHECK(f.line[IRQ]);
	rd(C);
	f.wall_s += 5000ll * 86400 * 365;
	fakemach_run(&f, 86400 * NS);
	CHECK(f.line[IRQ]);
	CHECK(f.timer_fired < 10);
	down();
}

static void
index_masked(void)
{
	unsigned i;

	up();
	for (i = 0; i < 256; i++) {
		fake_outb(&f, 0x70, (uint8_t)i);
		fake_outb(&f, 0x71, 0xff);
		fake_inb(&f, 0x71);
		CHECK_EQ(fake_inb(&f, 0x70), 0xff); /* write only */
	}
	wr(0x7f, 0x12);
	CHECK_EQ(rd(0xff), 0x12);
	fake_out(&f, 0x70, 2, 0x347f); /* index and data at once */
	CHECK_EQ(rd(0x7f), 0x34);
	down();
}

static unsigned
rd16(uint8_t reg)
{
	return (rd(reg) | rd(reg + 1) << 8);
}

static void
memory_sizes(void)
{
	unsigned i, sum = 0;

	fakemach_open(&f, 5ull << 30, 8);
	rtc = fakemach_add(&f, fakemach_slot(&dev_rtc));
	CHECK_EQ(rd16(0x15), 640);
	CHECK_EQ(rd16(0x17), 0xffff);
	CHECK_EQ(rd16(0x30), 0xffff);
	CHECK_EQ(rd16(0x34), ((3ull << 30) - (16 << 20)) >> 16);
	CHECK_EQ(rd16(0x5b), (2ull << 30) >> 16);
	CHECK_EQ(rd(0x5d), 0);
	CHECK_EQ(rd(0x5f), 7);
	for (i = 0x10; i < 0x2e; i++)
		sum += rd((uint8_t)i);
	CHECK_EQ(rd(0x2e) << 8 | rd(0x2f), sum);
	down();
	fakemach_open(&f, 8 << 20, 1);
	rtc = fakemach_add(&f, fakemach_slot(&dev_rtc));
	CHECK_EQ(rd16(0x17), 7 << 10);
	CHECK_EQ(rd16(0x34), 0);
	CHECK_EQ(rd16(0x5b), 0);
	down();
}

static void
update_in_progress(void)
{
	up();
	f.mono_ns = 9 * NS;
	CHECK_EQ(rd(A) & 0x80, 0);
	f.mono_ns = 10 * NS - 1000;
	CHECK_EQ(rd(A) & 0x80, 0x80);
	f.mono_ns = 10 * NS;
	CHECK_EQ(rd(A) & 0x80, 0);
	wr(B, 0x80 | B_24H);
	f.mono_ns = 11 * NS - 1000;
	CHECK_EQ(rd(A) & 0x80, 0);
	down();
}

static const struct tap_case cases[] = {
	{ "rtc calendar agrees with the C library", calendar },
	{ "rtc formats: BCD, binary, 12 and 24 hours", formats },
	{ "rtc is set as Linux does, and reset keeps it",
	    set_and_survive_reset },
	{ "rtc without interrupts arms no timer", idle_costs_nothing },
	{ "rtc update-ended interrupt", update_ended },
	{ "rtc periodic interrupt at every rate", periodic },
	{ "rtc alarm", alarms },
	{ "rtc with its line up arms no timer", line_is_up },
	{ "T32 rtc: alarm flood", alarm_flood },
	{ "T32 rtc: clocks at 1970, 2038, 2100, 2^32 and the ends",
	    odd_clocks },
	{ "T32 rtc: the host's clock steps", host_clock_steps },
	{ "T32 rtc: index above 127", index_masked },
	{ "rtc memory sizes", memory_sizes },
	{ "rtc update in progress", update_in_progress },
};

TAP_MAIN(cases)
