/* SPDX-License-Identifier: ISC */
/*
 * Low memory, memory map, entry states: shared by the boot protocols.
 * Runs in: vm process, inside the sandbox.  Trusts: nobody.
 */
#include <errno.h>
#include <inttypes.h>

#include "daemon/boot/layout.h"

#define PAGE_BYTES 4096u
#define MIB (1024u * 1024)

#define CR0_PE 0x1u
#define CR0_ET 0x10u
#define CR0_PG 0x80000000u
#define CR4_PAE 0x20u
#define EFER_LME 0x100u
#define EFER_LMA 0x400u
#define RFLAGS_ONE 0x2u /* bit 1 is always set */

#define PTE_PRESENT_RW 0x3u
#define PDE_2M 0x80u

/* Intel SDM 3A, 3.4.5: flat, accessed, so that the guest faults on none. */
static const uint64_t gdt[GDT_BYTES / 8] = {
	[GDT_CODE32 / 8] = 0x00cf9b000000ffff,
	[GDT_CODE64 / 8] = 0x00af9b000000ffff,
	[GDT_DATA / 8] = 0x00cf93000000ffff,
	[GDT_TSS / 8] = 0x00008b0000000067, /* 16 bytes in long mode */
};

uint64_t
layout_low_end(const struct mem *m)
{
	return (m->slot[0].gpa + m->slot[0].len_bytes);
}

unsigned
layout_map(const struct mem *m, struct range map[RANGES_MAX])
{
	uint64_t end;
	unsigned n;

	end = layout_low_end(m);
	n = 0;
	map[n++] = (struct range){ 0, BOOT_LOW_RAM_BYTES, RANGE_RAM };
	map[n++] = (struct range){ BOOT_LOW_RAM_BYTES,
		KERNEL_MIN_GPA - BOOT_LOW_RAM_BYTES, RANGE_RESERVED };
	if (end > KERNEL_MIN_GPA)
		map[n++] = (struct range){ KERNEL_MIN_GPA, end - KERNEL_MIN_GPA,
			RANGE_RAM };
	if (m->nslots > 1)
		map[n++] = (struct range){ m->slot[1].gpa, m->slot[1].len_bytes,
			RANGE_RAM };
	return (n);
}

int
layout_too_small(
    const struct mem *m, const char *what, uint64_t need_end, struct err *e)
{
	uint64_t have, need;

	have = m->bytes / MIB;
	need = need_end / MIB + (need_end % MIB != 0);
	if (need_end > MEM_LOW_MAX)
		return (err_set(e, EFBIG, "%s below 3 GiB", what));
	return (err_set(e, ENOMEM,
	    "%s in %" PRIu64 " MiB: give the VM %" PRIu64 " MiB or more", what,
	    have, need));
}

int
layout_cmdline(struct mem *m, const char *s, uint64_t max, struct err *e)
{
	size_t len;

	if (s == NULL)
		s = "";
	if (max > CMDLINE_BYTES - 1)
		max = CMDLINE_BYTES - 1;
	len = strlen(s);
	if (len > max)
		return (err_set(e, E2BIG,
		    "command line has %zu bytes, this kernel takes %" PRIu64,
		    len, max));
	if (mem_write(m, CMDLINE_GPA, s, len + 1) == -1)
		return (err_set(e, EFAULT, "no memory for the command line"));
	return (0);
}

/* What to do about it depends on whose limit it is. */
static int
initrd_misfit(const struct mem *m, uint64_t floor, uint64_t bytes, uint64_t end,
    struct err *e)
{
	if (end >= layout_low_end(m))
		return (layout_too_small(m,
		    "initrd: does not fit beside the kernel",
		    floor + bytes + PAGE_BYTES, e));
	return (err_set(e, EFBIG,
	    "initrd: does not fit between the kernel and 0x%" PRIx64
	    ", the highest address that this kernel takes",
	    end));
}

int
layout_initrd(struct mem *m, const struct boot_img *rd, uint64_t floor,
    uint64_t limit, uint64_t *gpa, struct err *e)
{
	uint64_t end, need;
	void *to;

	if (rd->bytes == 0)
		return (err_set(e, EINVAL, "initrd: the file is empty"));
	if (rd->bytes > MEM_LOW_MAX)
		return (err_set(e, EFBIG, "initrd: does not fit below 3 GiB"));
	end = limit < layout_low_end(m) ? limit : layout_low_end(m);
	end -= end % PAGE_BYTES;
	need = (rd->bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	if (floor > end || need > end - floor)
		return (initrd_misfit(m, floor, need, limit, e));
	*gpa = end - need;
	if ((to = mem_ptr(m, *gpa, rd->bytes)) == NULL)
		return (err_set(e, EFAULT, "initrd: no memory there"));
	if (rd->read(rd, 0, to, (size_t)rd->bytes, e) == -1)
		return (err_prefix(e, "initrd"));
	return (0);
}

static int
write_gdt(struct mem *m, struct hv_regs *r, struct err *e)
{
	uint8_t raw[GDT_BYTES];
	unsigned i;

	for (i = 0; i < GDT_BYTES / 8; i++)
		put64(raw + i * 8, gdt[i]);
	if (mem_write(m, GDT_GPA, raw, sizeof(raw)) == -1)
		return (err_set(e, EFAULT, "no memory for the GDT"));
	r->gdt_base = GDT_GPA;
	r->gdt_limit = GDT_BYTES - 1;
	return (0);
}

/* PML4, PDPT and four directories of 2 MiB pages: 4 GiB, one to one. */
static int
write_pages(struct mem *m, struct err *e)
{
	uint64_t pd, i;
	uint8_t *p;

	if ((p = mem_ptr(m, PAGES_GPA, 6 * PAGE_BYTES)) == NULL)
		return (err_set(e, EFAULT, "no memory for page tables"));
	memset(p, 0, 2 * PAGE_BYTES);
	put64(p, (PAGES_GPA + PAGE_BYTES) | PTE_PRESENT_RW);
	for (i = 0; i < 4; i++) {
		pd = PAGES_GPA + (2 + i) * PAGE_BYTES;
		put64(p + PAGE_BYTES + i * 8, pd | PTE_PRESENT_RW);
	}
	for (i = 0; i < 4 * 512; i++)
		put64(p + 2 * PAGE_BYTES + i * 8,
		    (i << 21) | PDE_2M | PTE_PRESENT_RW);
	return (0);
}

/* Data, stack and task segments: the same in both modes. */
static void
flat_segments(struct hv_regs *r)
{
	r->ds = (struct hv_seg){ .limit = 0xffffffff,
		.sel = GDT_DATA,
		.type = 3,
		.s = 1,
		.present = 1,
		.db = 1,
		.g = 1 };
	r->ss = r->ds;
	r->cs = r->ds;
	r->cs.type = 0xb;
	r->tr = (struct hv_seg){
		.limit = 0x67, .sel = GDT_TSS, .type = 0xb, .present = 1
	};
	r->rflags = RFLAGS_ONE;
}

int
layout_enter64(struct mem *m, struct hv_regs *r, struct err *e)
{
	memset(r, 0, sizeof(*r));
	if (write_gdt(m, r, e) == -1 || write_pages(m, e) == -1)
		return (-1);
	flat_segments(r);
	r->cs.sel = GDT_CODE64;
	r->cs.l = 1;
	r->cs.db = 0;
	r->cr0 = CR0_PG | CR0_ET | CR0_PE;
	r->cr3 = PAGES_GPA;
	r->cr4 = CR4_PAE;
	r->efer = EFER_LME | EFER_LMA;
	return (0);
}

int
layout_enter32(struct mem *m, struct hv_regs *r, struct err *e)
{
	memset(r, 0, sizeof(*r));
	if (write_gdt(m, r, e) == -1)
		return (-1);
	flat_segments(r);
	r->cs.sel = GDT_CODE32;
	r->cr0 = CR0_ET | CR0_PE;
	return (0);
}
