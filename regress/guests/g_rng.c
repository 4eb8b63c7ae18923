/* SPDX-License-Identifier: ISC */
/*
 * A driver for virtio-rng, found by its PCI capabilities: random bytes with
 * MSI-X through the local APIC, then once more with INTA# through the IOAPIC.
 * Command line: the slot it is in; nothing: 1.
 */
#include "regress/guests/virtio.h"

#define VEC_MSI 0x30
#define VEC_INTX 0x31
#define IOAPIC 0xfec00000u
#define SIZE 8
#define BUF_BYTES 64

static struct virtio rng = { .slot = 1 };
static struct virtio_ring ring = { .size = SIZE };
static uint8_t buf[2][BUF_BYTES];
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
	if (*(volatile uint8_t *)rng.isr & 1)
		nintx++;
	put32(LAPIC + 0xb0, 0);
}

/* virtio 1.2, 3.1.1 */
static void
driver(uint16_t vector)
{
	virtio_set_status(&rng, 0);
	virtio_set_status(&rng, 1);
	virtio_set_status(&rng, 3);
	virtio_accept(&rng, 0, VIRTIO_F_VERSION_1);
	virtio_set_status(&rng, 11);
	report_eq(virtio_status(&rng), 11, "features are agreed");
	virtio_open(&rng, &ring, vector);
	virtio_set_status(&rng, 15);
	report_eq(virtio_status(&rng), 15, "the device runs");
}

static void
ask(uint8_t *to)
{
	ring.used[2] = 0;
	ring.desc[0].addr = (uint64_t)to;
	ring.desc[0].len = BUF_BYTES;
	ring.desc[0].flags = VIRTIO_WRITE;
	virtio_put(&ring, 0, 0);
	virtio_kick(&ring, 1);
}

static void
check(const uint8_t *p, const char *what)
{
	const volatile uint32_t *used;
	unsigned i, n;

	used = ring.used;
	report_eq(virtio_used(&ring), 1, "one request is done");
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
		rng.slot = (unsigned)(*start_cmdline() - '0');
	report_eq(virtio_pci(&rng, 0), 0x10441af4, "rng in its slot");
	virtio_find(&rng);
	report(rng.common != 0 && rng.notify != 0 && rng.isr != 0 &&
		rng.table != 0,
	    "its capabilities");
	put32(LAPIC + 0xf0, 0x1ff);
	trap_set(VEC_MSI, on_msi);
	trap_set(VEC_INTX, on_intx);
	virtio_vector(&rng, 1, VEC_MSI);
	virtio_msix(&rng, true);
	pic_open(0);
	driver(1);
	ask(buf[0]);
	report(wait_for(&nmsi, 1), "MSI-X");
	check(buf[0], "random bytes");
	virtio_msix(&rng, false);
	ioapic(virtio_pci(&rng, 0x3c) & 0xff, 0x8000 | VEC_INTX);
	driver(VIRTIO_NO_VECTOR);
	ask(buf[1]);
	report(wait_for(&nintx, 1), "INTA#");
	check(buf[1], "random bytes again");
	report(!mem_eq(buf[0], buf[1], BUF_BYTES), "other ones");
	report_eq(nmsi, 1, "no message for them");
	virtio_set_status(&rng, 0);
	report_eq(virtio_status(&rng), 0, "reset");
}
