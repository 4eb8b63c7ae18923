/* SPDX-License-Identifier: ISC */
/*
 * A driver for virtio-blk in slot 2: what it says of itself, bad requests, and
 * a queue for each of four CPUs, which write, flush and read back at the same
 * time.  CPU 0 sleeps until its interrupt; the others watch their used rings.
 */
#include "regress/guests/guest.h"

#define AP_GPA 0x8000 /* start_*.S */
#define ICR_LOW (LAPIC + 0x300)
#define ICR_HIGH (LAPIC + 0x310)
#define SLOT 2
#define VEC_MSI 0x30
#define NO_VECTOR 0xffff
#define ANY (~0u) /* length of a used element */
#define CPUS 4
#define SIZE 16  /* descriptors of a queue */
#define BATCH 4  /* requests of three each */
#define ROUNDS 3 /* "long": 60 */
#define WORDS 64 /* of a sector */
#define F_LOW (1u << 2 | 1u << 6 | 1u << 9 | 1u << 12)
#define F_VERSION_1 1 /* of the high word */

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8 };

static struct {
	uint64_t common, device, table;
	uint32_t multiplier;
	uint16_t notify, msix_cap;
} at;

struct head {
	uint32_t type, pad;
	uint64_t sector;
};

struct queue {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[SIZE];
	uint16_t avail[2 + SIZE + 1];
	uint32_t used[1 + 2 * SIZE + 1];
	struct head head[BATCH];
	uint64_t data[BATCH][WORDS];
	uint8_t status[BATCH];
	uint16_t port, seen;
} __attribute__((aligned(4096)));

static struct queue queue[CPUS];

static unsigned rounds = ROUNDS;
static volatile unsigned nmsi, nup, ndone, go;
static volatile uint32_t nwrong;

extern const uint8_t ap_begin[];
extern const uint32_t ap_bytes;
void ap_main(void);

static void
on_msi(void)
{
	nmsi++;
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

static void
find(void)
{
	unsigned cap;
	uint64_t where;

	for (cap = cfg(0x34) & 0xff; cap != 0; cap = cfg(cap + 1) & 0xff) {
		if ((cfg(cap) & 0xff) == 0x11) {
			at.msix_cap = (uint16_t)cap;
			where = cfg(cap + 4);
			at.table = bar(where & 7) + (where & ~7ull);
			continue;
		}
		where = bar(cfg(cap + 4) & 7) + cfg(cap + 8);
		switch (cfg(cap + 3) & 0xff) {
		case 1:
			at.common = where;
			break;
		case 2:
			at.notify = (uint16_t)where;
			at.multiplier = cfg(cap + 16);
			break;
		case 4:
			at.device = where;
			break;
		}
	}
}

static void
put16(uint64_t gpa, uint16_t v)
{
	*(volatile uint16_t *)gpa = v;
}

static uint16_t
get16(uint64_t gpa)
{
	return (*(volatile uint16_t *)gpa);
}

static void
status(uint8_t v)
{
	*(volatile uint8_t *)(at.common + 0x14) = v;
}

static uint8_t
status_is(void)
{
	return (*(volatile uint8_t *)(at.common + 0x14));
}

static void
address(unsigned reg, const volatile void *p)
{
	put32(at.common + reg, (uint32_t)(uint64_t)p);
	put32(at.common + reg + 4, 0);
}

static void
queue_open(unsigned i)
{
	struct queue *q;

	q = &queue[i];
	put16(at.common + 0x16, (uint16_t)i);
	report(get16(at.common + 0x18) >= SIZE, "room in the queue");
	put16(at.common + 0x18, SIZE);
	put16(at.common + 0x1a, i == 0 ? 1 : NO_VECTOR);
	address(0x20, q->desc);
	address(0x28, q->avail);
	address(0x30, q->used);
	q->port =
	    (uint16_t)(at.notify + get16(at.common + 0x1e) * at.multiplier);
	put16(at.common + 0x1c, 1);
}

/* virtio 1.2, 3.1.1 */
static void
driver(void)
{
	unsigned i;

	status(0);
	status(1);
	status(3);
	put32(at.common, 0);
	report_eq(get32(at.common + 4) & F_LOW, F_LOW, "features");
	put32(at.common + 8, 0);
	put32(at.common + 0xc, F_LOW);
	put32(at.common + 8, 1);
	put32(at.common + 0xc, F_VERSION_1);
	status(11);
	report_eq(status_is(), 11, "features are agreed");
	for (i = 0; i < CPUS; i++)
		queue_open(i);
	status(15);
	report_eq(status_is(), 15, "the device runs");
}

/* Request n of the batch: header, data unless len is 0, status. */
static void
ask(struct queue *q, unsigned n, uint32_t type, uint64_t sector, uint32_t len)
{
	volatile uint16_t *avail;
	unsigned d;

	avail = q->avail;
	d = 3 * n;
	q->head[n].type = type;
	q->head[n].sector = sector;
	q->status[n] = 0xff;
	q->desc[d].addr = (uint64_t)&q->head[n];
	q->desc[d].len = sizeof(q->head[n]);
	q->desc[d].flags = 1;
	q->desc[d].next = (uint16_t)(len == 0 ? d + 2 : d + 1);
	q->desc[d + 1].addr = (uint64_t)q->data[n];
	q->desc[d + 1].len = len;
	q->desc[d + 1].flags = type == OUT ? 1 : 3;
	q->desc[d + 1].next = (uint16_t)(d + 2);
	q->desc[d + 2].addr = (uint64_t)&q->status[n];
	q->desc[d + 2].len = 1;
	q->desc[d + 2].flags = 2;
	avail[2 + (uint16_t)(avail[1] + n) % SIZE] = (uint16_t)d;
}

/* Make n available at once and tell the device. */
static void
kick(struct queue *q, unsigned n)
{
	volatile uint16_t *avail;

	avail = q->avail;
	__asm__ volatile("" : : : "memory");
	avail[1] = (uint16_t)(avail[1] + n);
	__asm__ volatile("mfence" : : : "memory");
	outw(q->port, (uint16_t)(q - queue));
}

static uint16_t
used_idx(struct queue *q)
{
	return ((uint16_t)(*(volatile uint32_t *)q->used >> 16));
}

static void
wrong(bool is)
{
	if (is)
		__atomic_fetch_add(&nwrong, 1, __ATOMIC_SEQ_CST);
}

/* Each of n is used once, with this length; what was written is there. */
static void
check_used(struct queue *q, unsigned n, uint32_t len, uint8_t want)
{
	volatile uint32_t *elem;
	unsigned i, was;

	for (was = i = 0; i < n; i++, q->seen++) {
		elem =
		    &((volatile uint32_t *)q->used)[1 + 2 * (q->seen % SIZE)];
		wrong(elem[0] % 3 != 0 || elem[0] / 3 >= n ||
		    (was >> elem[0] / 3 & 1));
		was |= 1u << elem[0] / 3;
		wrong(len != ANY && elem[1] != len);
		wrong(((volatile uint8_t *)q->status)[elem[0] / 3] != want);
	}
}

static void
one(uint32_t type, uint64_t sector, uint32_t len, uint8_t want, uint32_t used,
    const char *what)
{
	struct queue *q;
	unsigned before;
	bool came;

	q = &queue[0];
	before = nmsi;
	ask(q, 0, type, sector, len);
	kick(q, 1);
	/* QEMU's back end begins with an interrupt about nothing. */
	do
		came = wait_for(&nmsi, ++before);
	while (came && used_idx(q) == q->seen);
	report(came, what);
	report_eq(used_idx(q), (uint16_t)(q->seen + 1), what);
	check_used(q, 1, used, want);
	report_eq(nwrong, 0, what);
}

/* A CPU's own words for each sector of its own part of the disk. */
static uint64_t
word(unsigned cpu, unsigned round, unsigned n, unsigned i)
{
	return ((uint64_t)cpu << 48 | (uint64_t)round << 32 | n << 16 | i);
}

static void
batch(unsigned cpu, unsigned round, uint32_t type, uint32_t used)
{
	struct queue *q;
	unsigned n, before;

	q = &queue[cpu];
	before = nmsi;
	for (n = 0; n < BATCH; n++)
		ask(q, n, type, cpu * 256 + round * BATCH + n,
		    type == FLUSH ? 0 : 512);
	kick(q, BATCH);
	if (cpu == 0)
		while (used_idx(q) != (uint16_t)(q->seen + BATCH))
			wrong(!wait_for(&nmsi, ++before));
	while (used_idx(q) != (uint16_t)(q->seen + BATCH))
		__asm__ volatile("pause");
	__asm__ volatile("" : : : "memory");
	check_used(q, BATCH, used, 0);
}

static void
work(unsigned cpu)
{
	struct queue *q;
	unsigned r, n, i;

	q = &queue[cpu];
	for (r = 0; r < rounds; r++) {
		for (n = 0; n < BATCH; n++)
			for (i = 0; i < WORDS; i++)
				q->data[n][i] = word(cpu, r, n, i);
		batch(cpu, r, OUT, 1);
		batch(cpu, r, FLUSH, 1);
		for (n = 0; n < BATCH; n++)
			for (i = 0; i < WORDS; i++)
				q->data[n][i] = 0;
		batch(cpu, r, IN, 513);
		for (n = 0; n < BATCH; n++)
			for (i = 0; i < WORDS; i++)
				wrong(q->data[n][i] != word(cpu, r, n, i));
	}
	__atomic_fetch_add(&ndone, 1, __ATOMIC_SEQ_CST);
}

void
ap_main(void)
{
	unsigned cpu;

	put32(LAPIC + 0xf0, 0x1ff);
	cpu = get32(LAPIC + 0x20) >> 24;
	__atomic_fetch_add(&nup, 1, __ATOMIC_SEQ_CST);
	while (go == 0)
		__asm__ volatile("pause");
	work(cpu);
	die();
}

static void
cpus_open(void)
{
	unsigned i;
	uint8_t *to;

	to = (uint8_t *)AP_GPA;
	for (i = 0; i < ap_bytes; i++)
		to[i] = ap_begin[i];
	for (i = 1; i < CPUS; i++) {
		put32(ICR_HIGH, i << 24);
		put32(ICR_LOW, 0x4500);
		put32(ICR_HIGH, i << 24);
		put32(ICR_LOW, 0x4600 | AP_GPA >> 12);
		while (nup < i)
			__asm__ volatile("pause");
	}
}

/* Of a device that is not ours ("foreign"), lengths of errors are its own. */
void
guest(void)
{
	bool foreign;

	foreign = *start_cmdline() == 'f';
	if (*start_cmdline() == 'l')
		rounds = 60;
	report_eq(cfg(0), 0x10421af4, "blk in slot 2");
	find();
	report(
	    at.common != 0 && at.notify != 0 && at.device != 0 && at.table != 0,
	    "its capabilities");
	report_eq(get32(at.device), 2048, "sectors");
	report_eq(get32(at.device + 20), 512, "bytes of a block");
	report_eq(get16(at.device + 34), CPUS, "queues");
	put32(LAPIC + 0xf0, 0x1ff);
	trap_set(VEC_MSI, on_msi);
	put32(at.table + 16, LAPIC);
	put32(at.table + 16 + 4, 0);
	put32(at.table + 16 + 8, VEC_MSI);
	put32(at.table + 16 + 12, 0);
	outl(0xcf8, 0x80000000u | SLOT << 11 | (at.msix_cap & 0xfc));
	outw((uint16_t)(0xcfc + 2), 0x8000);
	pic_open(0);
	driver();
	one(GET_ID, 0, 20, 0, 21, "serial number");
	if (!foreign)
		report(mem_eq(queue[0].data[0],
			   "flat guest\0\0\0\0\0\0\0\0\0\0", 20),
		    "what it says");
	one(IN, 2048, 512, 1, foreign ? ANY : 1, "a read past the end");
	one(OUT, ~0ull, 512, 1, foreign ? ANY : 1, "a write far past it");
	one(2, 0, 512, 2, foreign ? ANY : 1, "a SCSI command");
	cpus_open();
	go = 1;
	work(0);
	while (ndone < CPUS)
		__asm__ volatile("pause");
	report_eq(nwrong, 0, "four CPUs, four queues");
	report_eq(status_is(), 15, "the device is well");
	status(0);
	report_eq(status_is(), 0, "reset");
}
