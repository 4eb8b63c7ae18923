/* SPDX-License-Identifier: ISC */
/*
 * What both boot protocols need: where our own structures live in low memory,
 * the map of guest memory, descriptor and page tables, initrd and command
 * line.  Kernels are loaded at 1 MiB or above, so they cannot reach these.
 */
#ifndef BOOT_LAYOUT_H
#define BOOT_LAYOUT_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#include "daemon/boot/boot.h"

#define GDT_GPA 0x500
#define PVH_INFO_GPA 0x6000
#define BOOT_PARAMS_GPA 0x7000
#define PAGES_GPA 0x9000 /* PML4, PDPT, four page directories */
#define CMDLINE_GPA 0x20000
#define CMDLINE_BYTES 0x8000 /* with NUL */
#define KERNEL_MIN_GPA 0x100000

/* Selectors in the GDT; Linux wants 0x10 and 0x18 (boot protocol, 64-bit). */
#define GDT_CODE32 0x08
#define GDT_CODE64 0x10
#define GDT_DATA 0x18
#define GDT_TSS 0x20
#define GDT_BYTES 0x30

/* ACPI 6.5, 15: address range types, the same in e820 and PVH. */
#define RANGE_RAM 1
#define RANGE_RESERVED 2
#define RANGES_MAX 4

struct range {
	uint64_t gpa, bytes;
	uint32_t type;
};

static inline uint16_t
get16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return (le16toh(v));
}

static inline uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return (le32toh(v));
}

static inline uint64_t
get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (le64toh(v));
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static inline void
put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

/* Is [off, off + len) inside [0, end)?  Cannot wrap. */
static inline bool
range_ok(uint64_t off, uint64_t len, uint64_t end)
{
	return (len <= end && off <= end - len);
}

/* End of the RAM that begins at 0: at most MEM_LOW_MAX. */
uint64_t layout_low_end(const struct mem *);
/* Guest memory as the guest is told; returns how many of map[] are filled. */
unsigned layout_map(const struct mem *, struct range map[RANGES_MAX]);
/* Kernel command line; max: bytes without NUL that the kernel takes. */
int layout_cmdline(struct mem *, const char *, uint64_t max, struct err *);
/*
 * Read the initrd as high as it goes below limit and the end of low RAM, but not
 * below floor, where the kernel ends; page aligned.  -1: err, prefixed.
 */
int layout_initrd(struct mem *, const struct boot_img *, uint64_t floor,
    uint64_t limit, uint64_t *gpa, struct err *);
/* GDT, page tables that map 4 GiB one to one, long mode entered. */
int layout_enter64(struct mem *, struct hv_regs *, struct err *);
/* GDT, flat 32-bit protected mode without paging. */
int layout_enter32(struct mem *, struct hv_regs *, struct err *);
/* "WHAT in N MiB: give the VM M MiB or more"; what: "does not fit". */
int layout_too_small(
    const struct mem *, const char *what, uint64_t need_end, struct err *);

#endif
