/* SPDX-License-Identifier: ISC */
/*
 * Boot protocols: put a kernel into guest memory and say how to enter it.
 * Runs in: vm process, inside the sandbox.  Trusts: nobody; the kernel, the
 * initrd and every number in them are hostile.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/hv/regs.h"
#include "daemon/mach/mem.h"
#include "shared/err.h"

#define BOOT_HEAD_BYTES 4096 /* of the image, for probe() and headers */

/* The image: read by pread-like calls straight into guest memory. */
struct boot_img {
	uint8_t
	    head[BOOT_HEAD_BYTES]; /* zero-filled when the file is shorter */
	uint64_t bytes;            /* of the file */
	/* Exactly len bytes at off into buf, or -1. */
	int (*read)(const struct boot_img *, uint64_t off, void *buf,
	    size_t len, struct err *);
	int fd;              /* read()'s own: a file, or -1 */
	const uint8_t *data; /* or memory (tests, fuzzing) */
};
int boot_img_fd(struct boot_img *, int fd, struct err *); /* borrows fd */
void boot_img_mem(struct boot_img *, const void *, size_t);

struct boot_conf {
	const struct boot_img *initrd; /* NULL: none */
	const char *cmdline;
	unsigned ncpus;
	uint64_t rsdp_gpa; /* where the caller put the ACPI RSDP; 0: none */
};

struct boot_ops {
	const char *name, *spec;
	bool (*probe)(const struct boot_img *);
	int (*load)(const struct boot_img *, const struct boot_conf *,
	    struct mem *, struct hv_regs *entry, struct err *);
};
extern const struct boot_ops boot_linux, boot_pvh;

/* Probe in order and load; the error names what the file is not. */
int boot_load(const struct boot_img *, const struct boot_conf *, struct mem *,
    struct hv_regs *entry, struct err *);

#endif
