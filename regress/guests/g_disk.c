/* SPDX-License-Identifier: ISC */
/*
 * Reads from the disk in slot 2 for as long as it runs, for benchmarks: so many
 * requests at once as its command line says (1 to 16), then it sleeps until the
 * interrupt.  At a key it prints, in ticks of the time stamp counter and in
 * hexadecimal: from kick to interrupt, the median; the longest since the last
 * key; and the number of requests since then.
 */
#include "regress/guests/guest.h"

#define SLOT 2
#define VEC_MSI 0x30
#define SIZE 64 /* descriptors: three a request */
#define DEPTH_MAX 16
#define BLOCK 4096
#define F_VERSION_1 1 /* of the high word */
#define BUCKETS 4096
#define BUCKET_SHIFT 12 /* ticks in a bucket, as a power of two */
#define LOOK_EVERY 64   /* rounds, for a key */

static struct {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[SIZE];
	uint16_t avail[2 + SIZE + 1];
	uint32_t used[1 + 2 * SIZE + 1];
	struct {
		uint32_t type, pad;
		uint64_t sector;
	} head[DEPTH_MAX];
	uint8_t status[DEPTH_MAX];
} q __attribute__((aligned(4096)));

static uint8_t data[DEPTH_MAX][BLOCK] __attribute__((aligned(4096)));
static uint64_t common, table;
static uint16_t notify, msix_cap;
static unsigned bucket[BUCKETS];
static volatile uint64_t came;

static uint64_t
ticks(void)
{
	uint32_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return ((uint64_t)hi << 32 | lo);
}

static void
on_msi(void)
{
	came = ticks();
	put32(LAPIC + 0xb0, 0);
}

static uint32_t
cfg(unsigned reg)
{
	outl(0xcf8, 0x80000000u | SLOT << 11 | (reg & 0xfc));
	return (inl(0xcfc) >> 8 * (reg & 3));
}

static uint64_t
bar(unsigned n)
{
	uint32_t v;

	v = cfg(0x10 + 4 * n);
	return (v & ((v & 1) ? ~3u : ~15u));
}

/* virtio 1.2, 4.1.4 */
static void
find(void)
{
	unsigned cap;
	uint64_t where;

	for (cap = cfg(0x34) & 0xff; cap != 0; cap = cfg(cap + 1) & 0xff) {
		if ((cfg(cap) & 0xff) == 0x11) {
			msix_cap = (uint16_t)cap;
			where = cfg(cap + 4);
			table = bar(where & 7) + (where & ~7ull);
			continue;
		}
		where = bar(cfg(cap + 4) & 7) + cfg(cap + 8);
		if ((cfg(cap + 3) & 0xff) == 1)
			common = where;
		else if ((cfg(cap + 3) & 0xff) == 2)
			notify = (uint16_t)where;
	}
}

static void
put16(uint64_t gpa, uint16_t v)
{
	*(volatile uint16_t *)gpa = v;
}

static void
status(uint8_t v)
{
	*(volatile uint8_t *)(common + 0x14) = v;
}

static void
address(unsigned reg, const volatile void *p)
{
	put32(common + reg, (uint32_t)(uint64_t)p);
	put32(common + reg + 4, 0);
}

static void
interrupt(void)
{
	put32(LAPIC + 0xf0, 0x1ff);
	trap_set(VEC_MSI, on_msi);
	put32(table, LAPIC);
	put32(table + 4, 0);
	put32(table + 8, VEC_MSI);
	put32(table + 12, 0);
	outl(0xcf8, 0x80000000u | SLOT << 11 | (msix_cap & 0xfc));
	outw((uint16_t)(0xcfc + 2), 0x8000);
	pic_open(0);
}

/* Requests are written once; each round only makes them available again. */
static void
requests(unsigned depth)
{
	unsigned i, d;

	for (i = 0; i < depth; i++) {
		d = 3 * i;
		q.head[i].sector = i * (BLOCK / 512);
		q.desc[d].addr = (uint64_t)&q.head[i];
		q.desc[d].len = sizeof(q.head[i]);
		q.desc[d].flags = 1;
		q.desc[d].next = (uint16_t)(d + 1);
		q.desc[d + 1].addr = (uint64_t)data[i];
		q.desc[d + 1].len = BLOCK;
		q.desc[d + 1].flags = 3;
		q.desc[d + 1].next = (uint16_t)(d + 2);
		q.desc[d + 2].addr = (uint64_t)&q.status[i];
		q.desc[d + 2].len = 1;
		q.desc[d + 2].flags = 2;
	}
}

/* virtio 1.2, 3.1.1 */
static void
driver(void)
{
	status(0);
	status(3);
	put32(common + 8, 0);
	put32(common + 0xc, 0);
	put32(common + 8, 1);
	put32(common + 0xc, F_VERSION_1);
	status(11);
	put16(common + 0x16, 0);
	put16(common + 0x18, SIZE);
	put16(common + 0x1a, 0);
	address(0x20, q.desc);
	address(0x28, q.avail);
	address(0x30, q.used);
	put16(common + 0x1c, 1);
	status(15);
}

static uint16_t
used_idx(void)
{
	return ((uint16_t)(*(volatile uint32_t *)q.used >> 16));
}

/* Ticks from the kick to the last interrupt. */
static uint64_t
round_trip(unsigned depth)
{
	volatile uint16_t *avail = q.avail;
	uint16_t want;
	uint64_t begun_at;
	unsigned i;

	want = avail[1];
	for (i = 0; i < depth; i++, want++)
		avail[2 + want % SIZE] = (uint16_t)(3 * i);
	came = 0;
	begun_at = ticks();
	__asm__ volatile("" : : : "memory");
	avail[1] = want;
	__asm__ volatile("mfence" : : : "memory");
	outw(notify, 0);
	while (came == 0 || used_idx() != want)
		irq_wait();
	return (came - begun_at);
}

static void
say(uint64_t longest, uint64_t n)
{
	uint64_t half, seen;
	unsigned i;

	for (half = i = 0; i < BUCKETS; i++)
		half += bucket[i];
	half /= 2;
	for (seen = i = 0; i < BUCKETS - 1 && seen <= half; i++)
		seen += bucket[i];
	print("ticks ");
	print_hex((uint64_t)i << BUCKET_SHIFT);
	print(" ");
	print_hex(longest);
	print(" ");
	print_hex(n);
	print(" .\n");
}

void
guest(void)
{
	uint64_t took, longest = 0, n = 0;
	unsigned depth, rounds, i;
	const char *s;

	for (depth = 0, s = start_cmdline(); *s >= '0' && *s <= '9'; s++)
		depth = 10 * depth + (unsigned)(*s - '0');
	if (depth < 1 || depth > DEPTH_MAX)
		depth = 1;
	find();
	interrupt();
	requests(depth);
	driver();
	for (rounds = 0;; rounds++) {
		took = round_trip(depth);
		n += depth;
		if (took > longest)
			longest = took;
		i = (unsigned)(took >> BUCKET_SHIFT);
		bucket[i < BUCKETS ? i : BUCKETS - 1]++;
		if (rounds % LOOK_EVERY != 0 || !(inb(UART + 5) & 1))
			continue;
		(void)inb(UART);
		say(longest, n);
		longest = n = 0;
	}
}
