/* SPDX-License-Identifier: ISC */
/*
 * PCI functions: configuration space as numbers, and base address registers
 * (PCI 3.0, 6.2.5).
 * Runs in: vm process.  Trusts: nobody.
 */
#include "daemon/dev/pci.h"

#define BAR_IO 1u

void
pci_put16(struct pci_func *f, unsigned reg, uint16_t v)
{
	f->cfg[reg] = v & 0xff;
	f->cfg[reg + 1] = v >> 8;
}

void
pci_put32(struct pci_func *f, unsigned reg, uint32_t v)
{
	pci_put16(f, reg, v & 0xffff);
	pci_put16(f, reg + 2, v >> 16);
}

uint16_t
pci_get16(const struct pci_func *f, unsigned reg)
{
	return (f->cfg[reg] | (uint16_t)(f->cfg[reg + 1] << 8));
}

uint32_t
pci_get32(const struct pci_func *f, unsigned reg)
{
	return (pci_get16(f, reg) | (uint32_t)pci_get16(f, reg + 2) << 16);
}

void
pci_bars_init(struct pci_func *f)
{
	const struct board_slot *s = f->dev->slot;
	uint32_t mask;
	unsigned i, j;

	for (i = 0; i < PCI_BARS; i++) {
		if (s->range[i].len_bytes == 0)
			continue;
		pci_put32(f, PCI_BAR + 4 * i,
		    (uint32_t)s->range[i].base |
			(s->range[i].mmio ? 0 : BAR_IO));
		mask = ~((uint32_t)s->range[i].len_bytes - 1);
		for (j = 0; j < 4; j++)
			f->wmask[PCI_BAR + 4 * i + j] = mask >> 8 * j & 0xff;
	}
}

/* Where the guest wants it, 0 where it is not to be decoded. */
static uint32_t
bar_wanted(const struct pci_func *f, unsigned i)
{
	const struct board_slot *s = f->dev->slot;
	bool mmio = s->range[i].mmio;
	uint32_t len = (uint32_t)s->range[i].len_bytes;
	uint32_t base = pci_get32(f, PCI_BAR + 4 * i) & ~(len - 1);
	uint32_t first = mmio ? PCI_MEM_FIRST : PCI_IO_FIRST;
	uint32_t last = mmio ? PCI_MEM_LAST : PCI_IO_LAST;

	if (!(f->cfg[PCI_COMMAND] & (mmio ? PCI_CMD_MEM : PCI_CMD_IO)))
		return (0);
	if (base < first || base > last || len - 1 > last - base)
		return (0);
	return (base);
}

/* A place that another function's BAR has is not given to this one.  T35. */
void
pci_bars_update(struct pci_func *f)
{
	const struct board_slot *s = f->dev->slot;
	struct bus_range r = { .dev = f->dev };
	struct bus *bus;
	uint32_t base;
	struct err e;
	unsigned i;

	for (i = 0; i < PCI_BARS; i++) {
		if (s->range[i].len_bytes == 0 ||
		    (base = bar_wanted(f, i)) == f->bar[i])
			continue;
		bus = s->range[i].mmio ? f->dev->mach->mmio : f->dev->mach->pio;
		bus_remove(bus, f->dev, i);
		r.base = base;
		r.len_bytes = s->range[i].len_bytes;
		r.range = i;
		if (base != 0 && bus_add(bus, &r, &e) == -1)
			base = 0;
		f->bar[i] = base;
	}
}
