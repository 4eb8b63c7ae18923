/* SPDX-License-Identifier: ISC */
/*
 * Reads from the disk in slot 2 for as long as it runs, for benchmarks: so many
 * requests at once as its command line says (1 to 16), then it sleeps until the
 * interrupt.  At a key it prints, in ticks of the time stamp counter and in
 * hexadecimal: from kick to interrupt, the median; the longest since the last
 * key; and the number of requests since then.  At the power button it writes,
 * as guests do then, and powers off.
 */
#include "regress/guests/virtio.h"

#define VEC_MSI 0x30
#define SIZE 64 /* descriptors: three a request */
#define DEPTH_MAX 16
#define BLOCK 4096
#define BUCKETS 4096
#define BUCKET_SHIFT 12 /* ticks in a bucket, as a power of two */
#define LOOK_EVERY 64   /* rounds, for a key */

static struct virtio disk = { .slot = 2 };
static struct virtio_ring ring = { .size = SIZE };
static struct {
	uint32_t type, pad;
	uint64_t sector;
} head[DEPTH_MAX];
static uint8_t status[DEPTH_MAX];
static uint8_t data[DEPTH_MAX][BLOCK] __attribute__((aligned(4096)));
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

static void
interrupt(void)
{
	put32(LAPIC + 0xf0, 0x1ff);
	trap_set(VEC_MSI, on_msi);
	virtio_vector(&disk, 0, VEC_MSI);
	virtio_msix(&disk, true);
	pic_open(0);
}

/* Requests are written once; each round only makes them available again. */
static void
requests(unsigned depth)
{
	unsigned i, d;

	for (i = 0; i < depth; i++) {
		d = 3 * i;
		head[i].sector = i * (BLOCK / 512);
		ring.desc[d].addr = (uint64_t)&head[i];
		ring.desc[d].len = sizeof(head[i]);
		ring.desc[d].flags = VIRTIO_NEXT;
		ring.desc[d].next = (uint16_t)(d + 1);
		ring.desc[d + 1].addr = (uint64_t)data[i];
		ring.desc[d + 1].len = BLOCK;
		ring.desc[d + 1].flags = VIRTIO_NEXT | VIRTIO_WRITE;
		ring.desc[d + 1].next = (uint16_t)(d + 2);
		ring.desc[d + 2].addr = (uint64_t)&status[i];
		ring.desc[d + 2].len = 1;
		ring.desc[d + 2].flags = VIRTIO_WRITE;
	}
}

/* virtio 1.2, 3.1.1 */
static void
driver(void)
{
	virtio_set_status(&disk, 0);
	virtio_set_status(&disk, 3);
	virtio_accept(&disk, 0, VIRTIO_F_VERSION_1);
	virtio_set_status(&disk, 11);
	virtio_open(&disk, &ring, 0);
	virtio_set_status(&disk, 15);
}

/* Ticks from the kick to the last interrupt. */
static uint64_t
round_trip(unsigned depth)
{
	uint16_t want;
	uint64_t begun_at;
	unsigned i;

	want = (uint16_t)(virtio_used(&ring) + depth);
	for (i = 0; i < depth; i++)
		virtio_put(&ring, i, 3 * i);
	came = 0;
	begun_at = ticks();
	virtio_kick(&ring, depth);
	while (came == 0 || virtio_used(&ring) != want)
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

static void
leave(void)
{
	print("writes\n");
	head[0].type = 1;
	ring.desc[1].flags = VIRTIO_NEXT;
	status[0] = 0xff;
	(void)round_trip(1);
	print(status[0] == 0 ? "written\n" : "not written\n");
	outw(PM1_CNT, 5 << 10 | 1 << 13);
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
	virtio_find(&disk);
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
		if (rounds % LOOK_EVERY != 0)
			continue;
		if (inw(PM1_EVT) & 0x100)
			leave();
		if (!(inb(UART + 5) & 1))
			continue;
		(void)inb(UART);
		say(longest, n);
		longest = n = 0;
	}
}
