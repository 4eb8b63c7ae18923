/* SPDX-License-Identifier: ISC */
/*
 * A driver for virtio-rng, found by its PCI capabilities: random bytes with
 * MSI-X through the local APIC, then once more with INTA# through the IOAPIC.
 * Command line: the slot it is in; nothing: 1.
 */
#include "regress/guests/guest.h"

#define VEC_MSI 0x30
#define VEC_INTX 0x31
#define IOAPIC 0xfec00000u
#define SIZE 8
#define BUF_BYTES 64
#define F_VERSION_1 1 /* of the high word */
#define COMMON_STATUS 0x14

static struct {
	uint64_t common, isr, table;
	uint16_t notify, msix_cap;
} at;

static struct {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[SIZE];
	uint16_t avail[2 + SIZE + 1];
	uint16_t pad[5];
	uint32_t used[1 + 2 * SIZE + 1];
} ring __attribute__((aligned(4096)));
static uint8_t buf[2][BUF_BYTES];
static unsigned slot = 1;
static volatile unsigned nmsi, nintx;

static void
on_msi(void)
{
	nmsi++;
	put32(LAPIC + 0xb0, 0);
}

static void
on_intx(void)
{
	if (*(volatile uint8_t *)at.isr & 1)
		nintx++;
	put32(LAPIC + 0xb0, 0);
}

static uint32_t
cfg(unsigned reg)
{
	outl(0xcf8, 0x80000000u | slot << 11 | (reg & 0xfc));
	return (inl(0xcfc) >> 8 * (reg & 3));
}

static void
cfg_out16(unsigned reg, uint16_t v)
{
	outl(0xcf8, 0x80000000u | slot << 11 | (reg & 0xfc));
	outw((uint16_t)(0xcfc + (reg & 2)), v);
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
			break;
		case 3:
			at.isr = where;
			break;
		}
	}
}

static void
status(uint8_t v)
{
	*(volatile uint8_t *)(at.common + COMMON_STATUS) = v;
}

static void
put16(uint64_t gpa, uint16_t v)
{
	*(volatile uint16_t *)gpa = v;
}

static void
address(unsigned reg, const void *p)
{
	put32(at.common + reg, (uint32_t)(uint64_t)p);
	put32(at.common + reg + 4, 0);
}

/* virtio 1.2, 3.1.1 */
static void
driver(uint16_t vector)
{
	unsigned i;

	for (i = 0; i < sizeof(ring) / 4; i++)
		((volatile uint32_t *)&ring)[i] = 0;
	status(0);
	status(1);
	status(3);
	put32(at.common + 0x08, 1);
	put32(at.common + 0x0c, F_VERSION_1);
	status(11);
	report_eq(*(volatile uint8_t *)(at.common + COMMON_STATUS), 11,
	    "features are agreed");
	put16(at.common + 0x16, 0);
	put16(at.common + 0x18, SIZE);
	put16(at.common + 0x1a, vector);
	address(0x20, ring.desc);
	address(0x28, ring.avail);
	address(0x30, ring.used);
	put16(at.common + 0x1c, 1);
	status(15);
	report_eq(*(volatile uint8_t *)(at.common + COMMON_STATUS), 15,
	    "the device runs");
}

static void
ask(uint8_t *to)
{
	volatile uint16_t *avail;

	avail = ring.avail;
	ring.desc[0].addr = (uint64_t)to;
	ring.desc[0].len = BUF_BYTES;
	ring.desc[0].flags = 2;
	avail[2 + avail[1] % SIZE] = 0;
	__asm__ volatile("" : : : "memory");
	avail[1]++;
	outw(at.notify, 0);
}

static void
check(const uint8_t *p, const char *what)
{
	const volatile uint32_t *used;
	unsigned i, n;

	used = ring.used;
	report_eq(used[0] >> 16, 1, "one request is done");
	report_eq(used[2], BUF_BYTES, "whole");
	for (n = i = 0; i < BUF_BYTES; i++)
		n += p[i] == 0;
	report(n < BUF_BYTES / 4, what);
}

/* Edge or level, active high, to CPU 0: a redirection entry. */
static void
ioapic(unsigned pin, uint32_t low)
{
	put32(IOAPIC, 0x10 + 2 * pin + 1);
	put32(IOAPIC + 0x10, 0);
	put32(IOAPIC, 0x10 + 2 * pin);
	put32(IOAPIC + 0x10, low);
}

void
guest(void)
{
	if (*start_cmdline() != '\0')
		slot = (unsigned)(*start_cmdline() - '0');
	report_eq(cfg(0), 0x10441af4, "rng in its slot");
	find();
	report(at.common != 0 && at.notify != 0 && at.isr != 0 && at.table != 0,
	    "its capabilities");
	put32(LAPIC + 0xf0, 0x1ff);
	trap_set(VEC_MSI, on_msi);
	trap_set(VEC_INTX, on_intx);
	put32(at.table + 16, LAPIC);
	put32(at.table + 16 + 4, 0);
	put32(at.table + 16 + 8, VEC_MSI);
	put32(at.table + 16 + 12, 0);
	cfg_out16(at.msix_cap + 2u, 0x8000);
	pic_open(0);
	driver(1);
	ask(buf[0]);
	report(wait_for(&nmsi, 1), "MSI-X");
	check(buf[0], "random bytes");
	cfg_out16(at.msix_cap + 2u, 0);
	ioapic(cfg(0x3c) & 0xff, 0x8000 | VEC_INTX);
	driver(0xffff);
	ask(buf[1]);
	report(wait_for(&nintx, 1), "INTA#");
	check(buf[1], "random bytes again");
	report(!mem_eq(buf[0], buf[1], BUF_BYTES), "other ones");
	report_eq(nmsi, 1, "no message for them");
	status(0);
	report_eq(*(volatile uint8_t *)(at.common + COMMON_STATUS), 0, "reset");
}
