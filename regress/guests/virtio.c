/* SPDX-License-Identifier: ISC */
#include "regress/guests/virtio.h"

#define PCI_ADDRESS 0xcf8
#define PCI_DATA 0xcfc
#define PCI_BAR 0x10
#define PCI_CAPS 0x34
#define CAP_MSIX 0x11
#define MSIX_ON 0x8000

/* virtio 1.2, 4.1.4 */
enum { CAP_COMMON = 1, CAP_NOTIFY = 2, CAP_ISR = 3, CAP_DEVICE = 4 };

static void
pci_at(const struct virtio *v, unsigned reg)
{
	outl(PCI_ADDRESS, 0x80000000u | v->slot << 11 | (reg & 0xfc));
}

uint32_t
virtio_pci(const struct virtio *v, unsigned reg)
{
	pci_at(v, reg);
	return (inl(PCI_DATA) >> 8 * (reg & 3));
}

static uint64_t
bar(const struct virtio *v, unsigned n)
{
	uint32_t low;

	low = virtio_pci(v, PCI_BAR + 4 * n);
	return (low & ((low & 1) ? ~3u : ~15u));
}

static void
take(struct virtio *v, unsigned cap)
{
	uint64_t where;

	where = bar(v, virtio_pci(v, cap + 4) & 7) + virtio_pci(v, cap + 8);
	switch (virtio_pci(v, cap + 3) & 0xff) {
	case CAP_COMMON:
		v->common = where;
		break;
	case CAP_NOTIFY:
		v->notify = (uint16_t)where;
		v->multiplier = virtio_pci(v, cap + 16);
		break;
	case CAP_ISR:
		v->isr = where;
		break;
	case CAP_DEVICE:
		v->device = where;
		break;
	}
}

void
virtio_find(struct virtio *v)
{
	unsigned cap;
	uint64_t where;

	for (cap = virtio_pci(v, PCI_CAPS) & 0xff; cap != 0;
	     cap = virtio_pci(v, cap + 1) & 0xff) {
		if ((virtio_pci(v, cap) & 0xff) != CAP_MSIX) {
			take(v, cap);
			continue;
		}
		v->msix_cap = (uint16_t)cap;
		where = virtio_pci(v, cap + 4);
		v->table = bar(v, where & 7) + (where & ~7ull);
	}
}

void
virtio_set_status(const struct virtio *v, uint8_t status)
{
	*(volatile uint8_t *)(v->common + V_STATUS) = status;
}

uint8_t
virtio_status(const struct virtio *v)
{
	return (*(volatile uint8_t *)(v->common + V_STATUS));
}

void
virtio_accept(const struct virtio *v, uint32_t low, uint32_t high)
{
	put32(v->common + V_DRIVER_FEATURE_SELECT, 0);
	put32(v->common + V_DRIVER_FEATURE, low);
	put32(v->common + V_DRIVER_FEATURE_SELECT, 1);
	put32(v->common + V_DRIVER_FEATURE, high);
}

void
virtio_vector(const struct virtio *v, unsigned entry, uint8_t vec)
{
	uint64_t at;

	at = v->table + 16 * entry;
	put32(at, LAPIC);
	put32(at + 4, 0);
	put32(at + 8, vec);
	put32(at + 12, 0);
}

void
virtio_msix(const struct virtio *v, bool on)
{
	pci_at(v, v->msix_cap);
	outw(PCI_DATA + 2, on ? MSIX_ON : 0);
}

static void
address(const struct virtio *v, unsigned reg, const void *p)
{
	put32(v->common + reg, (uint32_t)(uint64_t)p);
	put32(v->common + reg + 4, 0);
}

void
virtio_open(const struct virtio *v, struct virtio_ring *r, uint16_t entry)
{
	r->avail[1] = 0;
	r->used[0] = 0;
	put16(v->common + V_QUEUE_SELECT, r->index);
	put16(v->common + V_QUEUE_SIZE, r->size);
	put16(v->common + V_QUEUE_VECTOR, entry);
	address(v, V_QUEUE_DESC, r->desc);
	address(v, V_QUEUE_AVAIL, r->avail);
	address(v, V_QUEUE_USED, r->used);
	r->port = (uint16_t)(v->notify +
	    get16(v->common + V_QUEUE_NOTIFY) * v->multiplier);
	put16(v->common + V_QUEUE_ENABLE, 1);
}

void
virtio_put(struct virtio_ring *r, unsigned n, unsigned d)
{
	volatile uint16_t *avail = r->avail;

	avail[2 + (uint16_t)(avail[1] + n) % r->size] = (uint16_t)d;
}

void
virtio_kick(struct virtio_ring *r, unsigned n)
{
	volatile uint16_t *avail = r->avail;

	__asm__ volatile("" : : : "memory");
	avail[1] = (uint16_t)(avail[1] + n);
	__asm__ volatile("mfence" : : : "memory");
	outw(r->port, r->index);
}

uint16_t
virtio_used(const struct virtio_ring *r)
{
	return ((uint16_t)(*(const volatile uint32_t *)r->used >> 16));
}
