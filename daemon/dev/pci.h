/* SPDX-License-Identifier: ISC */
/*
 * Bus 0 of PCI: up to 32 single-function devices, each a configuration space
 * and a mask of the bits in it that the guest may write.
 */
#ifndef DEV_PCI_H
#define DEV_PCI_H

#include <stdint.h>

#include "daemon/dev/dev.h"

#define PCI_SLOTS 32
#define PCI_CFG_BYTES 256
#define PCI_BARS 2 /* of a function, at most; all of 32 bits */

/*
 * Where BARs may be.  The DSDT says the same; what the guest moves elsewhere is
 * not decoded, so that no BAR ever lies over RAM, an APIC or an ISA device.
 */
#define PCI_MEM_FIRST 0xc0000000u /* MEM_LOW_MAX */
#define PCI_MEM_LAST 0xfebfffffu  /* below the IOAPIC */
#define PCI_IO_FIRST 0x1000u
#define PCI_IO_LAST 0xffffu

/* INTA# of slots 1 to 8: an IOAPIC pin each, so that none is shared. */
#define PCI_INTX_SLOTS 8
#define PCI_INTX_GSI(slot) (15u + (slot))

/* PCI 3.0, 6.1: the header's registers. */
#define PCI_VENDOR 0x00
#define PCI_DEVICE 0x02
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06
#define PCI_REVISION 0x08
#define PCI_CLASS 0x0a /* sub-class, base class */
#define PCI_LATENCY 0x0d
#define PCI_BAR 0x10
#define PCI_SUBSYS_VENDOR 0x2c
#define PCI_SUBSYS 0x2e
#define PCI_CAP_PTR 0x34
#define PCI_INT_LINE 0x3c
#define PCI_INT_PIN 0x3d

#define PCI_CMD_IO 0x0001
#define PCI_CMD_MEM 0x0002
#define PCI_CMD_MASTER 0x0004
#define PCI_CMD_NO_INTX 0x0400
#define PCI_STATUS_INTX 0x0008
#define PCI_STATUS_CAPS 0x0010

struct pci_func {
	uint8_t cfg[PCI_CFG_BYTES];
	uint8_t wmask[PCI_CFG_BYTES]; /* const once it is in a slot */
	/*
	 * Of a function that is a device of its own; its lock is held for all
	 * of this, and taken after the host's.
	 */
	struct dev *dev;
	/* Before a read, after a write of len_bytes at reg.  Optional. */
	void (*reading)(struct dev *, unsigned reg, unsigned len_bytes);
	void (*written)(struct dev *, unsigned reg, unsigned len_bytes);
	uint32_t bar[PCI_BARS]; /* where it is on a bus now; 0: nowhere */
};

void pci_put16(struct pci_func *, unsigned reg, uint16_t);
void pci_put32(struct pci_func *, unsigned reg, uint32_t);
uint16_t pci_get16(const struct pci_func *, unsigned reg);
uint32_t pci_get32(const struct pci_func *, unsigned reg);
/* BARs of fn->dev as its row of the board has them; a power of two each. */
void pci_bars_init(struct pci_func *);
/* Put them on the buses where configuration space says, or take them off. */
void pci_bars_update(struct pci_func *);
/*
 * Put fn (borrowed until it is removed) into a slot of the bus whose host
 * bridge is `host`; -1 when the slot is taken or there is no such slot.
 */
int pci_add(struct dev *host, unsigned slot, struct pci_func *fn, struct err *);
void pci_remove(struct dev *host, unsigned slot);

#endif
