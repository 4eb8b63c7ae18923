/* SPDX-License-Identifier: ISC */
/*
 * Linux bzImage by the 64-bit boot protocol: the setup header is checked and
 * handed on in boot_params, the rest of the file is read to where the kernel
 * wants to be, and entered 0x200 bytes in, in long mode.
 * Runs in: vm process, inside the sandbox.  Trusts: nobody.
 */
#include <errno.h>
#include <inttypes.h>

#include "daemon/boot/layout.h"

/* Setup header, offsets in the file and in boot_params alike. */
#define HDR_START 0x1f1
#define HDR_SETUP_SECTS 0x1f1
#define HDR_SYSSIZE 0x1f4
#define HDR_BOOT_FLAG 0x1fe
#define HDR_END_BYTE 0x201 /* the header ends at 0x202 + this byte */
#define HDR_MAGIC 0x202
#define HDR_VERSION 0x206
#define HDR_LOADER 0x210
#define HDR_LOADFLAGS 0x211
#define HDR_CODE32 0x214
#define HDR_RAMDISK 0x218
#define HDR_RAMDISK_SIZE 0x21c
#define HDR_CMDLINE 0x228
#define HDR_INITRD_MAX 0x22c
#define HDR_ALIGN 0x230
#define HDR_RELOCATABLE 0x234
#define HDR_XLOADFLAGS 0x236
#define HDR_CMDLINE_SIZE 0x238
#define HDR_SETUP_DATA 0x250
#define HDR_PREF 0x258
#define HDR_INIT_SIZE 0x260
#define HDR_LIMIT 0x290 /* boot_params goes on with other things here */

/* The rest of boot_params (Linux, zero-page.rst). */
#define BP_RSDP 0x070
#define BP_E820_N 0x1e8
#define BP_E820 0x2d0
#define BP_E820_BYTES 20
#define BP_BYTES 4096

#define LOADED_HIGH 0x01
#define XLF_KERNEL_64 0x01
#define LOADER_UNDEFINED 0xff
#define VERSION_MIN 0x20c /* xloadflags */
#define ENTRY64 0x200
#define ALIGN_MIN 0x1000u
#define ALIGN_MAX 0x40000000u

struct bzimage {
	uint64_t setup_bytes;    /* of the file; the kernel proper follows */
	uint64_t kernel_bytes;   /* of the file */
	uint64_t gpa, run_bytes; /* what the kernel takes while it unpacks */
	uint64_t initrd_end;
	uint32_t cmdline_max;
	uint32_t hdr_end;
};

static bool
linux_probe(const struct boot_img *img)
{
	return (get16(img->head + HDR_BOOT_FLAG) == 0xaa55 &&
	    memcmp(img->head + HDR_MAGIC, "HdrS", 4) == 0);
}

/* Can this loader start it at all? */
static int
check_version(const uint8_t *h, struct err *e)
{
	uint16_t v;

	v = get16(h + HDR_VERSION);
	if (v < VERSION_MIN)
		return (err_set(e, ENOTSUP,
		    "boot protocol %u.%02u is too old: use a kernel of 3.8 or "
		    "later",
		    v >> 8, v & 0xff));
	if ((h[HDR_LOADFLAGS] & LOADED_HIGH) == 0)
		return (err_set(e, ENOTSUP, "is a zImage, not a bzImage"));
	if ((get16(h + HDR_XLOADFLAGS) & XLF_KERNEL_64) == 0)
		return (err_set(e, ENOTSUP,
		    "has no 64-bit entry: use a kernel for x86-64"));
	return (0);
}

/* Where in the file the kernel proper lies. */
static int
find_kernel(const struct boot_img *img, struct bzimage *z, struct err *e)
{
	const uint8_t *h = img->head;
	uint64_t sects, size, left;

	sects = h[HDR_SETUP_SECTS] == 0 ? 4 : h[HDR_SETUP_SECTS];
	z->setup_bytes = (sects + 1) * 512;
	z->hdr_end = HDR_MAGIC + h[HDR_END_BYTE];
	if (z->hdr_end < HDR_INIT_SIZE + 4)
		return (err_set(e, EINVAL,
		    "setup header ends at 0x%x, before its own fields",
		    z->hdr_end));
	if (z->hdr_end > HDR_LIMIT)
		z->hdr_end = HDR_LIMIT;
	if (img->bytes <= z->setup_bytes)
		return (err_set(e, EINVAL,
		    "file ends at %" PRIu64 ", its kernel begins at %" PRIu64,
		    img->bytes, z->setup_bytes));
	left = img->bytes - z->setup_bytes;
	/* In paragraphs, rounded up by the newer build tools. */
	size = (uint64_t)get32(h + HDR_SYSSIZE) * 16;
	if (size > left + 15)
		return (err_set(e, EINVAL,
		    "file is cut short: %" PRIu64 " bytes of a kernel of "
		    "%" PRIu64,
		    left, size));
	z->kernel_bytes = size < left ? size : left;
	if (z->kernel_bytes <= ENTRY64)
		return (err_set(e, EINVAL,
		    "kernel of %" PRIu64 " bytes has no 64-bit entry",
		    z->kernel_bytes));
	return (0);
}

/*
 * Where in memory it goes.  A relocatable kernel moves itself up to its
 * preferred address if it is below, so that is the lowest there is.
 */
static int
place_kernel(const struct boot_img *img, const struct mem *m, struct bzimage *z,
    struct err *e)
{
	const uint8_t *h = img->head;
	uint64_t align, pref, end;

	align = get32(h + HDR_ALIGN);
	pref = get64(h + HDR_PREF);
	if (align < ALIGN_MIN || align > ALIGN_MAX ||
	    (align & (align - 1)) != 0)
		return (err_set(
		    e, EINVAL, "cannot be aligned to 0x%" PRIx64, align));
	if (pref > MEM_LOW_MAX)
		return (layout_too_small(m, "does not fit", pref, e));
	if (h[HDR_RELOCATABLE] != 0) {
		if (pref < KERNEL_MIN_GPA)
			pref = KERNEL_MIN_GPA;
		pref = (pref + align - 1) & ~(align - 1);
	} else if (pref < KERNEL_MIN_GPA || pref % ALIGN_MIN != 0)
		return (err_set(e, EINVAL,
		    "cannot be loaded at its address 0x%" PRIx64, pref));
	z->gpa = pref;
	z->run_bytes = get32(h + HDR_INIT_SIZE);
	if (z->run_bytes < z->kernel_bytes)
		z->run_bytes = z->kernel_bytes;
	end = layout_low_end(m);
	if (!range_ok(z->gpa, z->run_bytes, end))
		return (layout_too_small(
		    m, "does not fit", z->gpa + z->run_bytes, e));
	z->initrd_end = (uint64_t)get32(h + HDR_INITRD_MAX) + 1;
	z->cmdline_max = get32(h + HDR_CMDLINE_SIZE);
	return (0);
}

static void
fill_e820(const struct mem *m, uint8_t *bp)
{
	struct range map[RANGES_MAX];
	unsigned n, i;
	uint8_t *p;

	n = layout_map(m, map);
	for (i = 0; i < n; i++) {
		p = bp + BP_E820 + i * BP_E820_BYTES;
		put64(p, map[i].gpa);
		put64(p + 8, map[i].bytes);
		put32(p + 16, map[i].type);
	}
	bp[BP_E820_N] = (uint8_t)n;
}

static int
write_params(const struct boot_img *img, const struct boot_conf *conf,
    const struct bzimage *z, uint64_t initrd_gpa, struct mem *m, struct err *e)
{
	uint8_t bp[BP_BYTES];

	memset(bp, 0, sizeof(bp));
	memcpy(bp + HDR_START, img->head + HDR_START, z->hdr_end - HDR_START);
	bp[HDR_LOADER] = LOADER_UNDEFINED;
	put32(bp + HDR_CODE32, (uint32_t)z->gpa);
	put32(bp + HDR_CMDLINE, CMDLINE_GPA);
	put64(bp + HDR_SETUP_DATA, 0);
	put32(bp + HDR_RAMDISK, (uint32_t)initrd_gpa);
	put32(bp + HDR_RAMDISK_SIZE,
	    conf->initrd == NULL ? 0 : (uint32_t)conf->initrd->bytes);
	put64(bp + BP_RSDP, conf->rsdp_gpa);
	fill_e820(m, bp);
	if (mem_write(m, BOOT_PARAMS_GPA, bp, sizeof(bp)) == -1)
		return (err_set(e, EFAULT, "no memory for boot_params"));
	return (0);
}

static int
read_kernel(const struct boot_img *img, const struct bzimage *z, struct mem *m,
    struct err *e)
{
	void *to;

	if ((to = mem_ptr(m, z->gpa, z->kernel_bytes)) == NULL)
		return (err_set(e, EFAULT, "no memory there"));
	return (img->read(img, z->setup_bytes, to, (size_t)z->kernel_bytes, e));
}

static int
linux_load(const struct boot_img *img, const struct boot_conf *conf,
    struct mem *m, struct hv_regs *entry, struct err *e)
{
	struct bzimage z = { 0 };
	uint64_t initrd_gpa;

	initrd_gpa = 0;
	if (check_version(img->head, e) == -1 ||
	    find_kernel(img, &z, e) == -1 ||
	    place_kernel(img, m, &z, e) == -1 ||
	    read_kernel(img, &z, m, e) == -1)
		return (err_prefix(e, "kernel"));
	if (layout_cmdline(m, conf->cmdline, z.cmdline_max, e) == -1)
		return (-1);
	if (conf->initrd != NULL &&
	    layout_initrd(m, conf->initrd, z.gpa + z.run_bytes, z.initrd_end,
		&initrd_gpa, e) == -1)
		return (-1);
	if (write_params(img, conf, &z, initrd_gpa, m, e) == -1 ||
	    layout_enter64(m, entry, e) == -1)
		return (-1);
	entry->rip = z.gpa + ENTRY64;
	entry->rsi = BOOT_PARAMS_GPA;
	return (0);
}

const struct boot_ops boot_linux = {
	.name = "linux",
	.spec = "Linux/x86 boot protocol 2.12, 64-bit",
	.probe = linux_probe,
	.load = linux_load,
};
