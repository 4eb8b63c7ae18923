/* SPDX-License-Identifier: ISC */
/*
 * A driver for virtio-blk in slot 2: what it says of itself, bad requests, and
 * a queue for each of four CPUs, which write, flush and read back at the same
 * time.  CPU 0 sleeps until its interrupt; the others watch their used rings.
 */
#include "regress/guests/virtio.h"

#define AP_GPA 0x8000 /* start_*.S */
#define ICR_LOW (LAPIC + 0x300)
#define ICR_HIGH (LAPIC + 0x310)
#define VEC_MSI 0x30
#define ANY (~0u) /* length of a used element */
#define CPUS 4
#define SIZE 16  /* descriptors of a queue */
#define BATCH 4  /* requests of three each */
#define ROUNDS 3 /* "long": 60 */
#define WORDS 64 /* of a sector */
#define F_LOW (1u << 2 | 1u << 6 | 1u << 9 | 1u << 12)

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8 };

struct head {
	uint32_t type, pad;
	uint64_t sector;
};

struct queue {
	struct virtio_ring ring;
	struct head head[BATCH];
	uint64_t data[BATCH][WORDS];
	uint8_t status[BATCH];
};

static struct virtio disk = { .slot = 2 };
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

static void
queue_open(unsigned i)
{
	struct virtio_ring *r = &queue[i].ring;

	r->index = (uint16_t)i;
	r->size = SIZE;
	put16(disk.common + V_QUEUE_SELECT, r->index);
	report(get16(disk.common + V_QUEUE_SIZE) >= SIZE, "room in the queue");
	virtio_open(&disk, r, i == 0 ? 1 : VIRTIO_NO_VECTOR);
}

/* virtio 1.2, 3.1.1 */
static void
driver(void)
{
	unsigned i;

	virtio_set_status(&disk, 0);
	virtio_set_status(&disk, 1);
	virtio_set_status(&disk, 3);
	put32(disk.common + V_DEVICE_FEATURE_SELECT, 0);
	report_eq(
	    get32(disk.common + V_DEVICE_FEATURE) & F_LOW, F_LOW, "features");
	virtio_accept(&disk, F_LOW, VIRTIO_F_VERSION_1);
	virtio_set_status(&disk, 11);
	report_eq(virtio_status(&disk), 11, "features are agreed");
	for (i = 0; i < CPUS; i++)
		queue_open(i);
	virtio_set_status(&disk, 15);
	report_eq(virtio_status(&disk), 15, "the device runs");
}

/* Request n of the batch: header, data unless len is 0, status. */
static void
ask(struct queue *q, unsigned n, uint32_t type, uint64_t sector, uint32_t len)
{
	struct virtio_ring *r = &q->ring;
	unsigned d;

	d = 3 * n;
	q->head[n].type = type;
	q->head[n].sector = sector;
	q->status[n] = 0xff;
	r->desc[d].addr = (uint64_t)&q->head[n];
	r->desc[d].len = sizeof(q->head[n]);
	r->desc[d].flags = VIRTIO_NEXT;
	r->desc[d].next = (uint16_t)(len == 0 ? d + 2 : d + 1);
	r->desc[d + 1].addr = (uint64_t)q->data[n];
	r->desc[d + 1].len = len;
	r->desc[d + 1].flags =
	    type == OUT ? VIRTIO_NEXT : VIRTIO_NEXT | VIRTIO_WRITE;
	r->desc[d + 1].next = (uint16_t)(d + 2);
	r->desc[d + 2].addr = (uint64_t)&q->status[n];
	r->desc[d + 2].len = 1;
	r->desc[d + 2].flags = VIRTIO_WRITE;
	virtio_put(r, n, d);
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
	const volatile uint32_t *used = q->ring.used, *elem;
	unsigned i, was;

	for (was = i = 0; i < n; i++, q->ring.seen++) {
		elem = &used[1 + 2 * (q->ring.seen % SIZE)];
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
	struct queue *q = &queue[0];
	struct virtio_ring *r = &q->ring;
	unsigned before;
	bool came;

	before = nmsi;
	ask(q, 0, type, sector, len);
	virtio_kick(r, 1);
	/* QEMU's back end begins with an interrupt about nothing. */
	do
		came = wait_for(&nmsi, ++before);
	while (came && virtio_used(r) == r->seen);
	report(came, what);
	report_eq(virtio_used(r), (uint16_t)(r->seen + 1), what);
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
	struct queue *q = &queue[cpu];
	struct virtio_ring *r = &q->ring;
	unsigned n, before;
	uint16_t end;

	before = nmsi;
	for (n = 0; n < BATCH; n++)
		ask(q, n, type, cpu * 256 + round * BATCH + n,
		    type == FLUSH ? 0 : 512);
	end = (uint16_t)(r->seen + BATCH);
	virtio_kick(r, BATCH);
	if (cpu == 0)
		while (virtio_used(r) != end)
			wrong(!wait_for(&nmsi, ++before));
	while (virtio_used(r) != end)
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
	report_eq(virtio_pci(&disk, 0), 0x10421af4, "blk in slot 2");
	virtio_find(&disk);
	report(disk.common != 0 && disk.notify != 0 && disk.device != 0 &&
		disk.table != 0,
	    "its capabilities");
	report_eq(get32(disk.device), 2048, "sectors");
	report_eq(get32(disk.device + 20), 512, "bytes of a block");
	report_eq(get16(disk.device + 34), CPUS, "queues");
	put32(LAPIC + 0xf0, 0x1ff);
	trap_set(VEC_MSI, on_msi);
	virtio_vector(&disk, 1, VEC_MSI);
	virtio_msix(&disk, true);
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
	report_eq(virtio_status(&disk), 15, "the device is well");
	virtio_set_status(&disk, 0);
	report_eq(virtio_status(&disk), 0, "reset");
}
