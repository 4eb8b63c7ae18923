/* SPDX-License-Identifier: ISC */
/*
 * MC146818A real-time clock with 128 bytes of CMOS memory.
 * The time is the host's plus an offset that the guest sets.  Nothing ticks:
 * register C's flags are worked out when somebody looks, and a timer is armed
 * only for an interrupt that is enabled and not pending, so that neither an
 * idle clock nor a guest that never acknowledges costs a wake-up.
 * Runs in: vm process.  Trusts: nobody.
 */
#include <string.h>

#include "daemon/dev/dev.h"
#include "daemon/dev/rtc_time.h"
#include "daemon/dev/snap.h"

#define NS 1000000000ull
#define RAM_BYTES 128
#define RTC_HZ 32768
#define UIP_NS 244000 /* announced this long before an update: 146818A, 4 */
#define NEVER INT64_MAX
#define DAY_S 86400

enum {
	R_SEC,
	R_SEC_ALARM,
	R_MIN,
	R_MIN_ALARM,
	R_HOUR,
	R_HOUR_ALARM,
	R_WDAY,
	R_DAY,
	R_MONTH,
	R_YEAR,
	R_A,
	R_B,
	R_C,
	R_D,
	R_EQUIP = 0x14,
	R_BASE_KB = 0x15,
	R_EXT_KB = 0x17,
	R_SUM = 0x2e,
	R_EXT_KB2 = 0x30,
	R_CENTURY = 0x32,
	R_ABOVE_16M = 0x34, /* in 64 KiB */
	R_ABOVE_4G = 0x5b,  /* in 64 KiB */
	R_CPUS = 0x5f       /* less one */
};

#define A_UIP 0x80
#define A_RATE 0x0f
#define A_DIV 0x70
#define A_DIV_RUN 0x20
#define B_SET 0x80
#define B_INTS 0x70 /* PIE, AIE, UIE, as the flags stand in C */
#define B_SQWE 0x08
#define B_BINARY 0x04
#define B_24H 0x02
#define C_IRQF 0x80
#define C_PF 0x40
#define C_AF 0x20
#define C_UF 0x10
#define D_VRT 0x80
#define HOUR_PM 0x80
#define ALARM_ANY 0xc0 /* "don't care": 146818A, alarm bytes */

struct rtc {
	uint8_t ram[RAM_BYTES]; /* C: flags; time: as it stands when stopped */
	uint8_t index;
	bool stopped;      /* SET, or the divider held */
	bool up;           /* not the first reset */
	int64_t offset_s;  /* guest's time less the host's */
	int64_t alarm_s;   /* guest's time when it goes off next, or NEVER */
	uint64_t seen_ns;  /* flags are up to date until here */
	uint64_t armed_ns; /* what the timer is set to */
};

static uint64_t
now_ns(struct dev *d)
{
	return (d->mach->ops->mono_ns(d->mach));
}

static int64_t
host_s(struct dev *d)
{
	return (rtc_add(d->mach->ops->wall_s(d->mach), 0));
}

static int64_t
now_s(struct dev *d)
{
	const struct rtc *s = d->state;

	return (rtc_add(host_s(d), s->offset_s));
}

static int
decode(const struct rtc *s, uint8_t v)
{
	return (s->ram[R_B] & B_BINARY ? v : (v >> 4) * 10 + (v & 0x0f));
}

static uint8_t
encode(const struct rtc *s, int v)
{
	return ((uint8_t)(s->ram[R_B] & B_BINARY ? v : v / 10 << 4 | v % 10));
}

static int
decode_hour(const struct rtc *s, uint8_t v)
{
	if (s->ram[R_B] & B_24H)
		return (decode(s, v));
	return (decode(s, v & ~HOUR_PM) % 12 + (v & HOUR_PM ? 12 : 0));
}

static uint8_t
encode_hour(const struct rtc *s, int v)
{
	uint8_t h;

	if (s->ram[R_B] & B_24H)
		return (encode(s, v));
	h = encode(s, v % 12 == 0 ? 12 : v % 12);
	return (v >= 12 ? h | HOUR_PM : h);
}

static void
regs_from_time(struct rtc *s, int64_t t)
{
	struct rtc_tm tm;

	rtc_split(t, &tm);
	s->ram[R_SEC] = encode(s, tm.sec);
	s->ram[R_MIN] = encode(s, tm.min);
	s->ram[R_HOUR] = encode_hour(s, tm.hour);
	s->ram[R_WDAY] = encode(s, tm.wday);
	s->ram[R_DAY] = encode(s, tm.day);
	s->ram[R_MONTH] = encode(s, tm.month);
	s->ram[R_YEAR] = encode(s, tm.year % 100);
	s->ram[R_CENTURY] = encode(s, tm.year / 100);
}

static int64_t
time_from_regs(const struct rtc *s)
{
	struct rtc_tm tm = {
		.sec = decode(s, s->ram[R_SEC]),
		.min = decode(s, s->ram[R_MIN]),
		.hour = decode_hour(s, s->ram[R_HOUR]),
		.day = decode(s, s->ram[R_DAY]),
		.month = decode(s, s->ram[R_MONTH]),
		.year = decode(s, s->ram[R_CENTURY]) * 100 +
		    decode(s, s->ram[R_YEAR]),
	};

	return (rtc_join(&tm));
}

static bool
is_time(unsigned reg)
{
	return (reg == R_SEC || reg == R_MIN || reg == R_HOUR ||
	    (reg >= R_WDAY && reg <= R_YEAR) || reg == R_CENTURY);
}

static bool
alarm_hit(const struct rtc *s, unsigned reg, int now)
{
	uint8_t v = s->ram[reg];

	if ((v & ALARM_ANY) == ALARM_ANY)
		return (true);
	return (
	    (reg == R_HOUR_ALARM ? decode_hour(s, v) : decode(s, v)) == now);
}

/*
 * First second after t that the alarm bytes name.  Each step goes to the next
 * hour, minute or second; twice round each is enough to meet every wanted one.
 */
static int64_t
alarm_after(const struct rtc *s, int64_t t)
{
	unsigned n;

	for (t++, n = 0; n < 2 * (24 + 60 + 60); n++) {
		if (!alarm_hit(s, R_HOUR_ALARM, (int)(t / 3600 % 24)))
			t += 3600 - t % 3600;
		else if (!alarm_hit(s, R_MIN_ALARM, (int)(t / 60 % 60)))
			t += 60 - t % 60;
		else if (!alarm_hit(s, R_SEC_ALARM, (int)(t % 60)))
			t++;
		else
			return (t);
	}
	return (NEVER);
}

/* Length of the periodic interrupt's period; 0: none.  146818A, table 5. */
static uint64_t
period_ticks(const struct rtc *s)
{
	unsigned rate = s->ram[R_A] & A_RATE;

	if (rate == 0 || (s->ram[R_A] & A_DIV) != A_DIV_RUN)
		return (0);
	return (1u << ((rate <= 2 ? rate + 7 : rate) - 1));
}

static uint64_t
ns_to_ticks(uint64_t ns)
{
	return (ns / NS * RTC_HZ + ns % NS * RTC_HZ / NS);
}

/* First nanosecond of that tick. */
static uint64_t
ticks_to_ns(uint64_t ticks)
{
	return (
	    ticks / RTC_HZ * NS + (ticks % RTC_HZ * NS + RTC_HZ - 1) / RTC_HZ);
}

/* Bring register C up to now. */
static void
rtc_sync(struct dev *d)
{
	struct rtc *s = d->state;
	uint64_t ns = now_ns(d), period = period_ticks(s);
	int64_t t;

	if (ns <= s->seen_ns)
		return;
	if (period != 0 &&
	    ns_to_ticks(ns) / period != ns_to_ticks(s->seen_ns) / period)
		s->ram[R_C] |= C_PF;
	if (!s->stopped && ns / NS != s->seen_ns / NS) {
		s->ram[R_C] |= C_UF;
		t = now_s(d);
		if (s->alarm_s - t > DAY_S) /* the host's clock went back */
			s->alarm_s = alarm_after(s, t - 1);
		if (t >= s->alarm_s) {
			s->ram[R_C] |= C_AF;
			s->alarm_s = alarm_after(s, t);
		}
	}
	s->seen_ns = ns;
}

/* Line and timer, from what is enabled and what is pending. */
static void
rtc_update(struct dev *d)
{
	struct rtc *s = d->state;
	uint8_t on = s->ram[R_B] & B_INTS, idle = on & ~s->ram[R_C];
	uint64_t at = ~0ull, period = period_ticks(s), t;
	int64_t left;

	dev_irq(d, (on & s->ram[R_C]) != 0);
	if (on & s->ram[R_C])
		idle = 0; /* the line is up: no other cause can show */
	if (idle & C_PF && period != 0)
		at = ticks_to_ns(
		    (ns_to_ticks(s->seen_ns) / period + 1) * period);
	t = (s->seen_ns / NS + 1) * NS;
	if (idle & C_UF && !s->stopped && t < at)
		at = t;
	if (idle & C_AF && !s->stopped && s->alarm_s != NEVER) {
		left = s->alarm_s - now_s(d) - 1;
		left = left < 0 ? 0 : left > DAY_S ? DAY_S : left;
		t += (uint64_t)left * NS;
		if (t < at)
			at = t;
	}
	if (at != s->armed_ns)
		d->mach->ops->timer(d->mach, d, at);
	s->armed_ns = at;
}

static void
alarm_again(struct dev *d)
{
	struct rtc *s = d->state;

	s->alarm_s = s->stopped ? NEVER : alarm_after(s, now_s(d));
}

/* SET or the divider's hold stops the time; letting go starts it. */
static void
rtc_stop_go(struct dev *d)
{
	struct rtc *s = d->state;
	bool stop = s->ram[R_B] & B_SET || (s->ram[R_A] & A_DIV) != A_DIV_RUN;

	if (stop && !s->stopped)
		regs_from_time(s, now_s(d));
	else if (!stop && s->stopped)
		s->offset_s = time_from_regs(s) - host_s(d);
	s->stopped = stop;
	alarm_again(d);
}

static void
write_time(struct dev *d, unsigned reg, uint8_t v)
{
	struct rtc *s = d->state;

	if (s->stopped) {
		s->ram[reg] = v;
		return;
	}
	regs_from_time(s, now_s(d));
	s->ram[reg] = v;
	s->offset_s = time_from_regs(s) - host_s(d);
	alarm_again(d);
}

static void
rtc_write(struct dev *d, uint8_t v)
{
	struct rtc *s = d->state;

	if (is_time(s->index)) {
		write_time(d, s->index, v);
		return;
	}
	switch (s->index) {
	case R_A:
		s->ram[R_A] = v & ~A_UIP;
		rtc_stop_go(d);
		break;
	case R_B:
		/* SET clears the update interrupt's enable, too. */
		s->ram[R_B] = v & B_SET ? v & ~C_UF : v;
		rtc_stop_go(d);
		break;
	case R_C:
	case R_D:
		break;
	default:
		s->ram[s->index] = v;
		if (s->index <= R_HOUR_ALARM)
			alarm_again(d);
		break;
	}
}

static uint8_t
rtc_read(struct dev *d)
{
	struct rtc *s = d->state;
	uint8_t v;

	if (is_time(s->index) && !s->stopped)
		regs_from_time(s, now_s(d));
	v = s->ram[s->index];
	switch (s->index) {
	case R_A:
		if (!s->stopped && s->seen_ns % NS >= NS - UIP_NS)
			v |= A_UIP;
		break;
	case R_C:
		if (v & s->ram[R_B] & B_INTS)
			v |= C_IRQF;
		s->ram[R_C] = 0;
		break;
	case R_D:
		v = D_VRT;
		break;
	default:
		break;
	}
	return (v);
}

/* Index at +0 (bit 7 masks NMI on a PC, there is none), data at +1. */
static void
rtc_access(struct dev *d, unsigned range, struct bus_access *a)
{
	struct rtc *s = d->state;

	(void)range;
	if ((a->off_bytes & 1) == 0) {
		if (a->write)
			s->index = a->val & (RAM_BYTES - 1);
		return;
	}
	rtc_sync(d);
	if (a->write)
		rtc_write(d, (uint8_t)a->val);
	else
		a->val = rtc_read(d);
	rtc_update(d);
}

static void
rtc_timer(struct dev *d)
{
	struct rtc *s = d->state;

	s->armed_ns = ~0ull;
	rtc_sync(d);
	rtc_update(d);
}

static void
put16(struct rtc *s, unsigned reg, uint64_t v)
{
	if (v > 0xffff)
		v = 0xffff;
	s->ram[reg] = v & 0xff;
	s->ram[reg + 1] = (uint8_t)(v >> 8);
}

/* What a PC's firmware finds there: memory sizes, no floppy, no disk. */
static void
rtc_fill(struct dev *d)
{
	const struct mem *m = d->mach->mem;
	uint64_t low = m->slot[0].len_bytes, high = 0;
	struct rtc *s = d->state;
	unsigned i, sum = 0;

	if (m->nslots > 1)
		high = m->slot[1].len_bytes >> 16;
	s->ram[R_EQUIP] = 0x02; /* floating point */
	put16(s, R_BASE_KB, 640);
	put16(s, R_EXT_KB, (low - (1u << 20)) >> 10);
	put16(s, R_EXT_KB2, (low - (1u << 20)) >> 10);
	put16(s, R_ABOVE_16M, low > 16u << 20 ? (low >> 16) - 256 : 0);
	put16(s, R_ABOVE_4G, high & 0xffff);
	s->ram[R_ABOVE_4G + 2] = (uint8_t)(high >> 16);
	s->ram[R_CPUS] = (uint8_t)(d->mach->ncpus - 1);
	for (i = 0x10; i < R_SUM; i++)
		sum += s->ram[i];
	s->ram[R_SUM] = (uint8_t)(sum >> 8);
	s->ram[R_SUM + 1] = (uint8_t)sum;
}

/* The battery keeps memory and time; RESET clears the interrupts: 146818A. */
static void
rtc_reset(struct dev *d)
{
	struct rtc *s = d->state;

	if (!s->up) {
		s->up = true;
		s->ram[R_A] = A_DIV_RUN | 6;
		s->ram[R_B] = B_24H;
		s->seen_ns = now_ns(d);
	}
	s->armed_ns = ~0ull;
	s->index = 0;
	s->ram[R_B] &= ~(B_INTS | B_SQWE);
	s->ram[R_C] = 0;
	rtc_fill(d);
	rtc_stop_go(d);
}

static void
rtc_save(struct dev *d, struct snap_w *w)
{
	const struct rtc *s = d->state;

	rtc_sync(d);
	snap_put_bytes(w, s->ram, sizeof(s->ram));
	snap_put_u8(w, s->index);
	snap_put_u8(w, s->stopped);
	snap_put_u64(w, (uint64_t)s->offset_s);
}

static int
rtc_load(struct dev *d, struct snap_r *r, struct err *e)
{
	struct rtc s = { .up = true }, *to = d->state;

	snap_get_bytes(r, s.ram, sizeof(s.ram));
	s.index = snap_get_u8(r);
	s.stopped = snap_get_bool(r);
	s.offset_s = (int64_t)snap_get_u64(r);
	if (s.index >= RAM_BYTES || s.ram[R_A] & A_UIP ||
	    s.ram[R_C] & ~B_INTS || s.ram[R_D] != 0 ||
	    s.offset_s > RTC_TIME_MAX || s.offset_s < -RTC_TIME_MAX ||
	    s.stopped !=
		(s.ram[R_B] & B_SET || (s.ram[R_A] & A_DIV) != A_DIV_RUN))
		r->failed = true;
	if (snap_end(r, d->ops->name, e) == -1)
		return (-1);
	s.seen_ns = now_ns(d);
	s.armed_ns = to->armed_ns;
	*to = s;
	alarm_again(d);
	rtc_update(d);
	return (0);
}

const struct dev_ops dev_rtc = {
	.name = "rtc",
	.spec = "MC146818A data sheet",
	.state_bytes = sizeof(struct rtc),
	.version = 1,
	.bytes_only = true,
	.reset = rtc_reset,
	.access = rtc_access,
	.timer = rtc_timer,
	.save = rtc_save,
	.load = rtc_load,
};
