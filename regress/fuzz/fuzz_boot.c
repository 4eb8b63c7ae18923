/* SPDX-License-Identifier: ISC */
/*
 * Kernel loaders against any bytes.  The first byte chooses memory, initrd and
 * command line; the rest is the file.  RAM lies between redzones (malloc), so
 * that a write past it is seen.
 */
#include <stdint.h>
#include <stdlib.h>

#include "daemon/boot/boot.h"

#define MIB (1024u * 1024)
#define RAM_MAX (4u * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct mem *m, const struct hv_regs *r)
{
	if (r->rip < MIB || mem_ptr(m, r->rip, 1) == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t *ram[4];
	static struct boot_img img, rd;
	struct boot_conf conf = { .ncpus = 1, .rsdp_gpa = BOOT_ACPI_GPA };
	struct mem m = { .fd = -1, .nslots = 1 };
	struct hv_regs regs;
	struct err e;
	unsigned n;

	if (len < 1)
		return (0);
	n = data[0] & 3;
	m.bytes = RAM_MAX / 4 * (n + 1);
	if (ram[n] == NULL && (ram[n] = malloc(m.bytes)) == NULL)
		return (0);
	m.base = ram[n];
	m.slot[0].len_bytes = m.bytes;
	boot_img_mem(&img, data + 1, len - 1);
	boot_img_mem(&rd, data, (data[0] & 4) != 0 ? len : 1);
	if ((data[0] & 8) != 0)
		conf.initrd = &rd;
	conf.cmdline = (data[0] & 16) != 0 ? "console=ttyS0 quiet" : NULL;
	if (boot_load(&img, &conf, &m, &regs, &e) == 0)
		check(&m, &regs);
	return (0);
}
