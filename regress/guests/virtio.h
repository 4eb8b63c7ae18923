/* SPDX-License-Identifier: ISC */
/*
 * A virtio device over PCI, as the flat guests drive it: virtio 1.2, 4.1.  No
 * answer of a device is checked here; that is the guest's affair.
 */
#ifndef REGRESS_GUESTS_VIRTIO_H
#define REGRESS_GUESTS_VIRTIO_H

#include "regress/guests/guest.h"

#define VIRTIO_RING_MAX 64
#define VIRTIO_NO_VECTOR 0xffff
#define VIRTIO_NEXT 1 /* flags of a descriptor */
#define VIRTIO_WRITE 2
#define VIRTIO_F_VERSION_1 1 /* of the high word */

/* Registers of the common configuration. */
enum {
	V_DEVICE_FEATURE_SELECT = 0x00,
	V_DEVICE_FEATURE = 0x04,
	V_DRIVER_FEATURE_SELECT = 0x08,
	V_DRIVER_FEATURE = 0x0c,
	V_STATUS = 0x14,
	V_QUEUE_SELECT = 0x16,
	V_QUEUE_SIZE = 0x18,
	V_QUEUE_VECTOR = 0x1a,
	V_QUEUE_ENABLE = 0x1c,
	V_QUEUE_NOTIFY = 0x1e,
	V_QUEUE_DESC = 0x20,
	V_QUEUE_AVAIL = 0x28,
	V_QUEUE_USED = 0x30,
};

struct virtio {
	unsigned slot;
	uint64_t common, isr, device, table; /* 0: it has none */
	uint32_t multiplier;
	uint16_t notify, msix_cap;
};

struct virtio_ring {
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} desc[VIRTIO_RING_MAX];
	uint16_t avail[2 + VIRTIO_RING_MAX + 1];
	uint32_t used[1 + 2 * VIRTIO_RING_MAX + 1];
	uint16_t index, size, seen; /* seen: the guest's own */
	uint16_t port;              /* its doorbell */
} __attribute__((aligned(16)));

static inline uint16_t
get16(uint64_t gpa)
{
	return (*(volatile uint16_t *)gpa);
}

static inline void
put16(uint64_t gpa, uint16_t v)
{
	*(volatile uint16_t *)gpa = v;
}

/* Configuration space, from that byte on. */
uint32_t virtio_pci(const struct virtio *, unsigned reg);
/* All but the slot. */
void virtio_find(struct virtio *);
void virtio_set_status(const struct virtio *, uint8_t);
uint8_t virtio_status(const struct virtio *);
void virtio_accept(const struct virtio *, uint32_t low, uint32_t high);
/* An entry of the MSI-X table: that vector of CPU 0. */
void virtio_vector(const struct virtio *, unsigned entry, uint8_t vec);
void virtio_msix(const struct virtio *, bool on);
/* Enable it as queue ring->index of ring->size, empty; entry: of MSI-X. */
void virtio_open(const struct virtio *, struct virtio_ring *, uint16_t entry);
/* Descriptor d as the nth that the next kick makes available. */
void virtio_put(struct virtio_ring *, unsigned n, unsigned d);
void virtio_kick(struct virtio_ring *, unsigned n);
/* The index of the used ring. */
uint16_t virtio_used(const struct virtio_ring *);

#endif
