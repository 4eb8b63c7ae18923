/* SPDX-License-Identifier: ISC */
/*
 * Uncompressed ELF kernels by PVH, Xen's direct boot ABI: segments are read to
 * their physical addresses, the entry is in a note, and EBX names a structure
 * with memory map, modules and command line.
 * Runs in: vm process, inside the sandbox.  Trusts: nobody.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/boot/layout.h"

#define PHDRS_MAX 64
#define NOTE_BYTES_MAX 65536
#define NOTE_HEAD_BYTES 12
#define NOTE_PHYS32_ENTRY 18 /* Xen public/elfnote.h */

/* struct hvm_start_info and what it points to (Xen, start_info.h). */
#define INFO_MAGIC 0x336ec578
#define MAP_BYTES 24
#define MOD_OFF 64
#define MAP_OFF 128
#define PAGE_BYTES (MAP_OFF + RANGES_MAX * MAP_BYTES)

struct phdr {
	uint64_t off, paddr, file_bytes, mem_bytes, align;
	uint32_t type;
};

struct elf {
	struct phdr ph[PHDRS_MAX];
	unsigned nph;
	uint64_t end; /* of the highest segment in memory */
	uint32_t entry;
	bool found;
};

static bool
pvh_probe(const struct boot_img *img)
{
	return (memcmp(img->head, ELFMAG, SELFMAG) == 0);
}

/* e_type and e_machine lie at the same place in both classes. */
static int
check_ident(const uint8_t *h, struct err *e)
{
	uint16_t type, machine;

	type = get16(h + offsetof(Elf64_Ehdr, e_type));
	machine = get16(h + offsetof(Elf64_Ehdr, e_machine));
	if ((h[EI_CLASS] != ELFCLASS64 && h[EI_CLASS] != ELFCLASS32) ||
	    h[EI_DATA] != ELFDATA2LSB ||
	    (machine != EM_X86_64 && machine != EM_386))
		return (err_set(e, ENOEXEC,
		    "ELF file is not for x86 (machine %u)", machine));
	if (type != ET_EXEC && type != ET_DYN)
		return (err_set(e, ENOEXEC,
		    "ELF file is an object or core file, not a kernel"));
	return (0);
}

static void
phdr64(const uint8_t *p, struct phdr *ph)
{
	ph->type = get32(p + offsetof(Elf64_Phdr, p_type));
	ph->off = get64(p + offsetof(Elf64_Phdr, p_offset));
	ph->paddr = get64(p + offsetof(Elf64_Phdr, p_paddr));
	ph->file_bytes = get64(p + offsetof(Elf64_Phdr, p_filesz));
	ph->mem_bytes = get64(p + offsetof(Elf64_Phdr, p_memsz));
	ph->align = get64(p + offsetof(Elf64_Phdr, p_align));
}

static void
phdr32(const uint8_t *p, struct phdr *ph)
{
	ph->type = get32(p + offsetof(Elf32_Phdr, p_type));
	ph->off = get32(p + offsetof(Elf32_Phdr, p_offset));
	ph->paddr = get32(p + offsetof(Elf32_Phdr, p_paddr));
	ph->file_bytes = get32(p + offsetof(Elf32_Phdr, p_filesz));
	ph->mem_bytes = get32(p + offsetof(Elf32_Phdr, p_memsz));
	ph->align = get32(p + offsetof(Elf32_Phdr, p_align));
}

static int
read_phdrs(const struct boot_img *img, struct elf *elf, struct err *e)
{
	uint8_t raw[PHDRS_MAX * sizeof(Elf64_Phdr)];
	const uint8_t *h = img->head;
	uint64_t off, each;
	unsigned i, n, want;
	bool is64;

	is64 = h[EI_CLASS] == ELFCLASS64;
	off = is64 ? get64(h + offsetof(Elf64_Ehdr, e_phoff))
		   : get32(h + offsetof(Elf32_Ehdr, e_phoff));
	each = get16(h +
	    (is64 ? offsetof(Elf64_Ehdr, e_phentsize)
		  : offsetof(Elf32_Ehdr, e_phentsize)));
	n = get16(h +
	    (is64 ? offsetof(Elf64_Ehdr, e_phnum)
		  : offsetof(Elf32_Ehdr, e_phnum)));
	want = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
	if (n == 0 || n > PHDRS_MAX || each != want)
		return (err_set(e, EINVAL,
		    "ELF file has %u program headers of %" PRIu64 " bytes", n,
		    each));
	if (!range_ok(off, n * each, img->bytes))
		return (err_set(e, EINVAL,
		    "ELF program headers at %" PRIu64
		    " lie outside of the file",
		    off));
	if (img->read(img, off, raw, n * each, e) == -1)
		return (-1);
	for (i = 0; i < n; i++)
		(is64 ? phdr64 : phdr32)(raw + i * each, &elf->ph[i]);
	elf->nph = n;
	return (0);
}

static bool
loads(const struct phdr *ph)
{
	return (ph->type == PT_LOAD && ph->mem_bytes > 0);
}

/* In the file, in RAM, and above what the loader itself puts there. */
static int
check_segment(const struct boot_img *img, const struct mem *m,
    const struct phdr *ph, unsigned i, struct err *e)
{
	if (ph->file_bytes > ph->mem_bytes)
		return (err_set(e, EINVAL,
		    "ELF segment %u has %" PRIu64 " bytes in the file, "
		    "%" PRIu64 " in memory",
		    i, ph->file_bytes, ph->mem_bytes));
	if (!range_ok(ph->off, ph->file_bytes, img->bytes))
		return (err_set(e, EINVAL,
		    "ELF segment %u at %" PRIu64 " lies outside of the file: "
		    "is it cut short?",
		    i, ph->off));
	if (ph->paddr < KERNEL_MIN_GPA)
		return (err_set(e, EINVAL,
		    "ELF segment %u at 0x%" PRIx64 " lies below 1 MiB", i,
		    ph->paddr));
	if (!range_ok(ph->paddr, ph->mem_bytes, MEM_LOW_MAX))
		return (err_set(e, EINVAL,
		    "ELF segment %u at 0x%" PRIx64 " lies above 3 GiB", i,
		    ph->paddr));
	if (!range_ok(ph->paddr, ph->mem_bytes, layout_low_end(m)))
		return (layout_too_small(
		    m, "does not fit", ph->paddr + ph->mem_bytes, e));
	return (0);
}

/*
 * Guest memory reads as zeros before a load; segments that share no byte keep
 * it so for the part that is in memory only.
 */
static int
check_segments(const struct boot_img *img, const struct mem *m, struct elf *elf,
    struct err *e)
{
	const struct phdr *a, *b;
	unsigned i, j;

	for (i = 0; i < elf->nph; i++) {
		a = &elf->ph[i];
		if (!loads(a))
			continue;
		if (check_segment(img, m, a, i, e) == -1)
			return (-1);
		for (j = 0; j < i; j++) {
			b = &elf->ph[j];
			if (loads(b) && a->paddr < b->paddr + b->mem_bytes &&
			    b->paddr < a->paddr + a->mem_bytes)
				return (err_set(e, EINVAL,
				    "ELF segments %u and %u overlap", j, i));
		}
		if (a->paddr + a->mem_bytes > elf->end)
			elf->end = a->paddr + a->mem_bytes;
	}
	return (0);
}

/* Xen's entry note: 4 bytes, or 8 with the upper half zero. */
static int
take_note(
    struct elf *elf, const uint8_t *desc, uint32_t desc_bytes, struct err *e)
{
	uint64_t v;

	if (desc_bytes != 4 && desc_bytes != 8)
		return (err_set(
		    e, EINVAL, "PVH note has %" PRIu32 " bytes", desc_bytes));
	v = desc_bytes == 4 ? get32(desc) : get64(desc);
	if (v > UINT32_MAX)
		return (err_set(
		    e, EINVAL, "PVH entry 0x%" PRIx64 " lies above 4 GiB", v));
	elf->entry = (uint32_t)v;
	elf->found = true;
	return (0);
}

/* Every step is NOTE_HEAD_BYTES at least, so this ends. */
static int
scan_notes(struct elf *elf, const uint8_t *p, uint64_t bytes, uint64_t align,
    struct err *e)
{
	uint64_t at, name, desc;
	uint32_t name_bytes, desc_bytes;

	at = 0;
	while (!elf->found && at + NOTE_HEAD_BYTES <= bytes) {
		name_bytes = get32(p + at);
		desc_bytes = get32(p + at + 4);
		name = at + NOTE_HEAD_BYTES;
		desc = (name + name_bytes + align - 1) & ~(align - 1);
		if (!range_ok(desc, desc_bytes, bytes))
			break;
		if (get32(p + at + 8) == NOTE_PHYS32_ENTRY && name_bytes == 4 &&
		    memcmp(p + name, "Xen", 4) == 0 &&
		    take_note(elf, p + desc, desc_bytes, e) == -1)
			return (-1);
		at = (desc + desc_bytes + align - 1) & ~(align - 1);
	}
	return (0);
}

static int
read_notes(const struct boot_img *img, struct elf *elf, const struct phdr *ph,
    struct err *e)
{
	uint8_t *p;
	int r;

	if (ph->file_bytes > NOTE_BYTES_MAX ||
	    !range_ok(ph->off, ph->file_bytes, img->bytes))
		return (err_set(e, EINVAL,
		    "ELF notes of %" PRIu64 " bytes at %" PRIu64
		    " are too long, or outside of the file",
		    ph->file_bytes, ph->off));
	if (ph->file_bytes < NOTE_HEAD_BYTES)
		return (0);
	if ((p = malloc((size_t)ph->file_bytes)) == NULL)
		return (err_errno(e, "notes"));
	if ((r = img->read(img, ph->off, p, (size_t)ph->file_bytes, e)) == 0)
		r = scan_notes(
		    elf, p, ph->file_bytes, ph->align == 8 ? 8 : 4, e);
	free(p);
	return (r);
}

static int
find_entry(const struct boot_img *img, struct elf *elf, struct err *e)
{
	const struct phdr *ph;
	unsigned i;

	for (i = 0; i < elf->nph && !elf->found; i++)
		if (elf->ph[i].type == PT_NOTE &&
		    read_notes(img, elf, &elf->ph[i], e) == -1)
			return (-1);
	if (!elf->found)
		return (err_set(e, ENOEXEC,
		    "ELF file has no PVH entry note: use the kernel's bzImage, "
		    "or one built with CONFIG_PVH"));
	for (i = 0; i < elf->nph; i++) {
		ph = &elf->ph[i];
		if (loads(ph) && elf->entry >= ph->paddr &&
		    elf->entry - ph->paddr < ph->mem_bytes)
			return (0);
	}
	return (err_set(e, EINVAL, "PVH entry 0x%" PRIx32 " lies in no segment",
	    elf->entry));
}

static int
write_info(const struct boot_conf *conf, uint64_t initrd_gpa, struct mem *m,
    struct err *e)
{
	uint8_t page[PAGE_BYTES];
	struct range map[RANGES_MAX];
	unsigned n, i;
	uint8_t *p;

	memset(page, 0, sizeof(page));
	n = layout_map(m, map);
	put32(page, INFO_MAGIC);
	put32(page + 4, 1); /* version: with a memory map */
	if (conf->initrd != NULL) {
		put32(page + 12, 1);
		put64(page + 16, PVH_INFO_GPA + MOD_OFF);
		put64(page + MOD_OFF, initrd_gpa);
		put64(page + MOD_OFF + 8, conf->initrd->bytes);
	}
	put64(page + 24, CMDLINE_GPA);
	put64(page + 32, conf->rsdp_gpa);
	put64(page + 40, PVH_INFO_GPA + MAP_OFF);
	put32(page + 48, n);
	for (i = 0; i < n; i++) {
		p = page + MAP_OFF + i * MAP_BYTES;
		put64(p, map[i].gpa);
		put64(p + 8, map[i].bytes);
		put32(p + 16, map[i].type);
	}
	if (mem_write(m, PVH_INFO_GPA, page, sizeof(page)) == -1)
		return (err_set(e, EFAULT, "no memory for the start info"));
	return (0);
}

static int
read_segments(const struct boot_img *img, const struct elf *elf, struct mem *m,
    struct err *e)
{
	const struct phdr *ph;
	unsigned i;
	void *to;

	for (i = 0; i < elf->nph; i++) {
		ph = &elf->ph[i];
		if (!loads(ph) || ph->file_bytes == 0)
			continue;
		if ((to = mem_ptr(m, ph->paddr, ph->mem_bytes)) == NULL)
			return (
			    err_set(e, EFAULT, "no memory for segment %u", i));
		if (img->read(img, ph->off, to, (size_t)ph->file_bytes, e) ==
		    -1)
			return (-1);
	}
	return (0);
}

static int
pvh_load(const struct boot_img *img, const struct boot_conf *conf,
    struct mem *m, struct hv_regs *entry, struct err *e)
{
	struct elf elf = { 0 };
	uint64_t initrd_gpa;

	initrd_gpa = 0;
	if (check_ident(img->head, e) == -1 || read_phdrs(img, &elf, e) == -1 ||
	    check_segments(img, m, &elf, e) == -1 ||
	    find_entry(img, &elf, e) == -1 ||
	    read_segments(img, &elf, m, e) == -1)
		return (err_prefix(e, "kernel"));
	if (layout_cmdline(m, conf->cmdline, CMDLINE_BYTES - 1, e) == -1)
		return (-1);
	if (conf->initrd != NULL &&
	    layout_initrd(
		m, conf->initrd, elf.end, MEM_LOW_MAX, &initrd_gpa, e) == -1)
		return (-1);
	if (write_info(conf, initrd_gpa, m, e) == -1 ||
	    layout_enter32(m, entry, e) == -1)
		return (-1);
	entry->rip = elf.entry;
	entry->rbx = PVH_INFO_GPA;
	return (0);
}

const struct boot_ops boot_pvh = {
	.name = "pvh",
	.spec = "Xen x86/HVM direct boot ABI, start info 1",
	.probe = pvh_probe,
	.load = pvh_load,
};
