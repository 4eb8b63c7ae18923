/* SPDX-License-Identifier: ISC */
/*
 * MSI-X: table, masks and pending bits (PCI 3.0, 6.8.2).
 * Runs in: vm process, under the lock of the device that has it.
 * Trusts: nobody; the guest picks offsets, widths, addresses and data.
 */
#ifndef DEV_MSIX_H
#define DEV_MSIX_H

#include "daemon/mach/mach.h"

#define MSIX_VECTORS_MAX 32

struct snap_w;
struct snap_r;

struct msix {
	struct mach *mach; /* borrowed: where messages go */
	unsigned nvec;
	bool enabled, masked; /* of the whole function */
	uint32_t pending;     /* a bit a vector */
	struct {
		uint64_t addr;
		uint32_t data, control;
	} entry[MSIX_VECTORS_MAX];
};

void msix_init(struct msix *, struct mach *, unsigned nvec);
void msix_reset(struct msix *);
/* Accesses to the table and to the pending bits, a->off_bytes from their start.
 * Past the end: reads zero, writes nothing.  T36. */
void msix_table(struct msix *, struct bus_access *);
void msix_pba(const struct msix *, struct bus_access *);
/* It would be sent now. */
bool msix_may_send(const struct msix *, unsigned vec);
/* Message Control's two bits have been written. */
void msix_control(struct msix *, bool enabled, bool masked);
/* Send, or keep until it may be sent; a vector that is not there: nothing. */
void msix_notify(struct msix *, unsigned vec);
void msix_save(const struct msix *, struct snap_w *);
void msix_load(struct msix *, struct snap_r *);

#endif
