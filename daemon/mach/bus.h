/* SPDX-License-Identifier: ISC */
/*
 * Port and memory buses: which device answers at which address.
 * vCPU threads dispatch; ranges are added at start and moved when a guest moves
 * a BAR.  A device's access function runs under that device's own lock.
 */
#ifndef MACH_BUS_H
#define MACH_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/err.h"

struct dev;

struct bus_access {
	uint64_t off_bytes; /* from the range's start */
	uint64_t val;       /* write: what; read: all ones before the call */
	uint8_t len_bytes;  /* 1, 2, 4 or 8 (8 only on the memory bus) */
	bool write;
};

struct bus_range {
	uint64_t base; /* port number or guest physical address */
	uint64_t len_bytes;
	struct dev *dev;
	unsigned range; /* the device's own number for it */
};

struct bus;
/* max: 0x10000 for ports, 1 << 52 for memory. */
struct bus *bus_open(const char *name, uint64_t max);
void bus_close(struct bus *);
/*
 * -1 EEXIST when it overlaps a range that is there, EINVAL past the end.  A
 * range may lie inside a larger one (0xcf9 in 0xcf8-0xcff): an access goes to
 * the smallest range that holds all of it.
 */
int bus_add(struct bus *, const struct bus_range *, struct err *);
/* Remove every range of dev with this number (~0u: all of them). */
void bus_remove(struct bus *, const struct dev *, unsigned range);
/*
 * One access by the guest.  Any address, any length 1..8: an access that no
 * range holds whole reads all ones and writes nothing; one that straddles two
 * ranges is split into bytes.  T37.  Any thread.
 */
void bus_rw(
    struct bus *, uint64_t addr, void *data, unsigned len_bytes, bool write);

#endif
