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

/* PCI 3.0, 6.1: the header's registers. */
#define PCI_VENDOR 0x00
#define PCI_DEVICE 0x02
#define PCI_COMMAND 0x04
#define PCI_STATUS 0x06
#define PCI_REVISION 0x08
#define PCI_CLASS 0x0a /* sub-class, base class */
#define PCI_LATENCY 0x0d

struct pci_func {
	uint8_t cfg[PCI_CFG_BYTES];
	uint8_t wmask[PCI_CFG_BYTES]; /* const once it is in a slot */
};

void pci_put16(struct pci_func *, unsigned reg, uint16_t);
/*
 * Put fn (borrowed until the host is closed) into a slot of the bus whose host
 * bridge is `host`; -1 when the slot is taken or there is no such slot.
 */
int pci_add(struct dev *host, unsigned slot, struct pci_func *fn, struct err *);

#endif
