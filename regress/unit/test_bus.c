/* SPDX-License-Identifier: ISC */
/* The buses: T37, all addresses and lengths around ranges that touch. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "daemon/dev/dev.h"
#include "regress/lib/tap.h"

struct note {
	unsigned range, n;
	struct bus_access last;
};

static void
note_access(struct dev *d, unsigned range, struct bus_access *a)
{
	struct note *s = d->state;

	s->n++;
	s->range = range;
	s->last = *a;
	if (!a->write)
		a->val = 0x1122334455667700ull + a->off_bytes;
}

static const struct dev_ops note_ops = {
	.name = "note",
	.access = note_access,
};

static void
note_dev(struct dev *d, struct note *s)
{
	memset(d, 0, sizeof(*d));
	memset(s, 0, sizeof(*s));
	d->ops = &note_ops;
	d->state = s;
	pthread_mutex_init(&d->lock, NULL);
}

static int
add(struct bus *b, struct dev *d, uint64_t base, uint64_t len, unsigned n,
    struct err *e)
{
	struct bus_range r = { base, len, d, n };

	return (bus_add(b, &r, e));
}

static void
t_add(void)
{
	struct bus *b = bus_open("port", 0x10000);
	struct note s;
	struct dev d;
	struct err e;

	note_dev(&d, &s);
	CHECK_EQ(add(b, &d, 0x3f8, 8, 0, &e), 0);
	CHECK_EQ(add(b, &d, 0x3f8, 8, 1, &e), -1);
	CHECK_EQ(e.code, EEXIST);
	CHECK_EQ(add(b, &d, 0x3f4, 8, 1, &e), -1);
	CHECK_EQ(add(b, &d, 0x3ff, 8, 1, &e), -1);
	CHECK_EQ(add(b, &d, 0x400, 8, 1, &e), 0);
	CHECK_EQ(add(b, &d, 0x3f0, 8, 1, &e), 0);
	CHECK_EQ(add(b, &d, 0xffff, 1, 1, &e), 0);
	CHECK_EQ(add(b, &d, 0xffff, 2, 1, &e), -1);
	CHECK_EQ(e.code, EINVAL);
	CHECK_EQ(add(b, &d, 0x10000, 1, 1, &e), -1);
	CHECK_EQ(add(b, &d, 0x500, 0, 1, &e), -1);
	CHECK_EQ(add(b, &d, 0x500, ~0ull, 1, &e), -1);
	bus_remove(b, &d, 1);
	CHECK_EQ(add(b, &d, 0x400, 8, 2, &e), 0);
	CHECK_EQ(add(b, &d, 0x3f8, 8, 2, &e), -1);
	bus_remove(b, &d, ~0u);
	CHECK_EQ(add(b, &d, 0x3f8, 8, 2, &e), 0);
	bus_close(b);
}

static void
t_whole(void)
{
	struct bus *b = bus_open("memory", 1ull << 52);
	struct note s;
	struct dev d;
	struct err e;
	uint64_t v = 0xdeadbeefcafef00dull;

	note_dev(&d, &s);
	CHECK_EQ(add(b, &d, 0xd0000000, 4096, 7, &e), 0);
	bus_rw(b, 0xd0000010, &v, 4, true);
	CHECK_EQ(s.n, 1);
	CHECK_EQ(s.range, 7);
	CHECK_EQ(s.last.off_bytes, 0x10);
	CHECK_EQ(s.last.val, 0xcafef00d);
	CHECK_EQ(s.last.len_bytes, 4);
	bus_rw(b, 0xd0000ff8, &v, 8, false);
	CHECK_EQ(v, 0x1122334455667700ull + 0xff8);
	v = 0;
	bus_rw(b, 0xd0000000, &v, 2, false); /* no more than two bytes */
	CHECK_EQ(v, 0x7700);
	bus_close(b);
}

/* What a byte at addr belongs to, as the board of t_table has it. */
static int
owner(uint64_t addr)
{
	if (addr >= 0x60 && addr < 0x62)
		return (0);
	if (addr >= 0x62 && addr < 0x66)
		return (1);
	return (addr >= 0xfffe && addr < 0x10000 ? 0 : -1);
}

static void
check_access(
    struct bus *b, struct note *s, uint64_t addr, unsigned len, bool write)
{
	uint8_t buf[16];
	unsigned i, calls, before = s[0].n + s[1].n;
	bool covered = true, whole = true;

	memset(buf, 0x5a, sizeof(buf));
	for (i = 0; i < len; i++) {
		covered = covered && owner(addr + i) != -1;
		whole = whole && owner(addr + i) == owner(addr);
	}
	whole = whole && covered && (len & (len - 1)) == 0 && len <= 4;
	bus_rw(b, addr, buf, len, write);
	calls = s[0].n + s[1].n - before;
	CHECK_EQ(calls, whole ? 1 : covered ? len : 0);
	for (i = 0; i < sizeof(buf); i++)
		if (write || i >= len)
			CHECK_EQ(buf[i], 0x5a);
		else if (!covered)
			CHECK_EQ(buf[i], 0xff);
}

static void
t_table(void)
{
	static const uint64_t from[] = { 0x58, 0xfff0, 0x1fff8,
		0xfffffffffffffff0ull };
	struct bus *b = bus_open("port", 0x10000);
	struct note s[2];
	struct dev d[2];
	struct err e;
	uint64_t a;
	unsigned len, i;

	note_dev(&d[0], &s[0]);
	note_dev(&d[1], &s[1]);
	CHECK_EQ(add(b, &d[0], 0x60, 2, 0, &e), 0);
	CHECK_EQ(add(b, &d[1], 0x62, 4, 0, &e), 0);
	CHECK_EQ(add(b, &d[0], 0xfffe, 2, 1, &e), 0);
	for (i = 0; i < 4; i++)
		for (a = 0; a < 16; a++)
			for (len = 1; len <= 8; len++) {
				check_access(b, s, from[i] + a, len, false);
				check_access(b, s, from[i] + a, len, true);
			}
	bus_rw(b, 0x60, &a, 0, true); /* lengths that nothing makes */
	bus_rw(b, 0x60, &a, 9, true);
	bus_close(b);
}

/* 0xcf9, the reset register, lies inside the PCI host's 0xcf8-0xcff. */
static void
t_nested(void)
{
	struct bus *b = bus_open("port", 0x10000);
	struct note s[2];
	struct dev d[2];
	struct err e;
	uint32_t v = 0x80000000;

	note_dev(&d[0], &s[0]);
	note_dev(&d[1], &s[1]);
	CHECK_EQ(add(b, &d[1], 0xcf9, 1, 0, &e), 0);
	CHECK_EQ(add(b, &d[0], 0xcf8, 8, 0, &e), 0);
	bus_rw(b, 0xcf8, &v, 4, true);
	CHECK_EQ(s[0].n, 1);
	CHECK_EQ(s[0].last.len_bytes, 4);
	bus_rw(b, 0xcf9, &v, 1, true);
	CHECK_EQ(s[1].n, 1);
	bus_rw(b, 0xcf9, &v, 2, true);
	bus_rw(b, 0xcf8, &v, 1, true);
	CHECK_EQ(s[0].n, 3);
	CHECK_EQ(s[1].n, 1);
	bus_close(b);
}

static const struct tap_case cases[] = {
	{ "bus: overlaps and ends are refused", t_add },
	{ "bus: one access, one call", t_whole },
	{ "T37 bus: address x length x direction around ranges", t_table },
	{ "bus: a range inside a range", t_nested },
};
TAP_MAIN(cases)
