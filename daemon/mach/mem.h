/* SPDX-License-Identifier: ISC */
/*
 * Guest memory: one memfd, low part at 0, the rest from 4 GiB up.  The only
 * way from a guest physical address to host memory.
 */
#ifndef MACH_MEM_H
#define MACH_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

#define MEM_LOW_MAX 0xc0000000ull    /* 3 GiB; above: PCI, APICs, firmware */
#define MEM_HIGH_BASE 0x100000000ull /* 4 GiB */

/*
 * Physical layout below 1 MiB, as the e820 map shows it: RAM 0..0x9fbff,
 * reserved 0x9fc00..0xfffff (ACPI tables at BOOT_ACPI_GPA).
 */
#define BOOT_LOW_RAM_BYTES 0x9fc00
#define BOOT_ACPI_GPA 0xe0000
#define BOOT_ACPI_BYTES 0x20000

struct mem_slot {
	uint64_t gpa, len_bytes, off_bytes; /* off: in the memfd */
};

#define MEM_SLOTS_MAX 8

struct mem {
	uint8_t *base; /* the whole memfd, 2 MiB aligned */
	uint64_t bytes;
	int fd;          /* owned; -1 after mem_map_regions() */
	unsigned nslots; /* 1, or 2 above 3 GiB; of regions: theirs */
	struct mem_slot slot[MEM_SLOTS_MAX];
};

/* A piece of guest memory as another process describes it. */
struct mem_region {
	uint64_t gpa, len_bytes, off_bytes;
	int fd; /* a memfd that cannot shrink */
};

/* Make a sealed memfd (SHRINK, GROW, SEAL) of bytes and map it; hugepages:
 * advise.  bytes: multiple of 1 MiB, 1 MiB..128 GiB. */
int mem_open(struct mem *, const char *name, uint64_t bytes, bool hugepages,
    struct err *);
/* Map a memfd made by another process; takes fd.  Checks size and seals. */
int mem_attach(struct mem *, int *fd, uint64_t bytes, struct err *);
/*
 * Map up to MEM_SLOTS_MAX regions, all or none of them; the fds stay the
 * caller's and are of no more use.  -1: a region that is not whole pages, that
 * meets another, that is not inside a memfd with F_SEAL_SHRINK: a file that
 * can shrink is a SIGBUS.
 */
int mem_map_regions(
    struct mem *, const struct mem_region *, unsigned n, struct err *);
void mem_close(struct mem *);
/* Give every page back: reads as zeros.  For a guest's reset. */
int mem_clear(struct mem *, struct err *);
/* Host address of [gpa, gpa + len): NULL unless all of it is RAM in one slot. */
void *mem_ptr(const struct mem *, uint64_t gpa, uint64_t len_bytes);
/* Copy; -1 (EFAULT) and nothing done unless all of it is RAM. */
int mem_read(const struct mem *, uint64_t gpa, void *buf, size_t len_bytes);
int mem_write(struct mem *, uint64_t gpa, const void *buf, size_t len_bytes);
/* Bytes of it that take host memory now. */
uint64_t mem_resident(const struct mem *);

#endif
