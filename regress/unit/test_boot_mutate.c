/* SPDX-License-Identifier: ISC */
/*
 * T41: every field of the headers of a bzImage and of an ELF kernel, set to
 * the numbers that break loaders, in memories of every interesting size.  Each
 * such kernel is refused in words, or loaded without touching what is not its
 * own.
 */
#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "daemon/boot/boot.h"
#include "regress/lib/fakekernel.h"
#include "regress/lib/tap.h"

#define MIB (1024ull * 1024)
#define CANARY 0x5a

struct field {
	unsigned off, len;
};

static const struct field bz_fields[] = {
	{ BZ_SETUP_SECTS, 1 },
	{ BZ_SYSSIZE, 4 },
	{ BZ_JUMP_END, 1 },
	{ BZ_VERSION, 2 },
	{ BZ_LOADFLAGS, 1 },
	{ BZ_RAMDISK, 4 },
	{ BZ_RAMDISK_SIZE, 4 },
	{ BZ_INITRD_MAX, 4 },
	{ BZ_ALIGN, 4 },
	{ BZ_RELOCATABLE, 1 },
	{ BZ_XLOADFLAGS, 2 },
	{ BZ_CMDLINE_SIZE, 4 },
	{ BZ_SETUP_DATA, 8 },
	{ BZ_PREF, 8 },
	{ BZ_INIT_SIZE, 4 },
};

#define E64(f)                                                                 \
	{                                                                      \
		offsetof(Elf64_Ehdr, f), sizeof(((Elf64_Ehdr *)0)->f)          \
	}
#define P64(n, f)                                                              \
	{                                                                      \
		FAKE_PHDR + (n) * sizeof(Elf64_Phdr) +                         \
		    offsetof(Elf64_Phdr, f),                                   \
		    sizeof(((Elf64_Phdr *)0)->f)                               \
	}
#define PALL64(n)                                                              \
	P64(n, p_type), P64(n, p_offset), P64(n, p_paddr), P64(n, p_filesz),   \
	    P64(n, p_memsz), P64(n, p_align)
#define E32(f)                                                                 \
	{                                                                      \
		offsetof(Elf32_Ehdr, f), sizeof(((Elf32_Ehdr *)0)->f)          \
	}
#define P32(n, f)                                                              \
	{                                                                      \
		FAKE_PHDR + (n) * sizeof(Elf32_Phdr) +                         \
		    offsetof(Elf32_Phdr, f),                                   \
		    sizeof(((Elf32_Phdr *)0)->f)                               \
	}
#define PALL32(n)                                                              \
	P32(n, p_type), P32(n, p_offset), P32(n, p_paddr), P32(n, p_filesz),   \
	    P32(n, p_memsz), P32(n, p_align)
#define NOTES                                                                  \
	{ FAKE_NOTE, 4 }, { FAKE_NOTE + 4, 4 }, { FAKE_NOTE + 8, 4 },          \
	{                                                                      \
		FAKE_NOTE + 16, 4                                              \
	}

static const struct field elf64_fields[] = { { EI_CLASS, 1 }, { EI_DATA, 1 },
	E64(e_type), E64(e_machine), E64(e_phoff), E64(e_phentsize),
	E64(e_phnum), PALL64(0), PALL64(1), PALL64(2), NOTES };
static const struct field elf32_fields[] = { { EI_CLASS, 1 }, { EI_DATA, 1 },
	E32(e_type), E32(e_machine), E32(e_phoff), E32(e_phentsize),
	E32(e_phnum), PALL32(0), PALL32(1), PALL32(2), NOTES };

static const struct {
	const char *name;
	void (*make)(uint8_t *);
	const struct field *fields;
	size_t nfields;
} kinds[] = {
	{ "bzImage", fake_bzimage, bz_fields,
	    sizeof(bz_fields) / sizeof(bz_fields[0]) },
	{ "ELF64", fake_elf64, elf64_fields,
	    sizeof(elf64_fields) / sizeof(elf64_fields[0]) },
	{ "ELF32", fake_elf32, elf32_fields,
	    sizeof(elf32_fields) / sizeof(elf32_fields[0]) },
};
#define NKINDS (sizeof(kinds) / sizeof(kinds[0]))

/* RAM: none above 1 MiB, little, around the hole, beyond it. */
static const uint64_t sizes[] = { MIB, 2 * MIB, 3 * MIB, 16 * MIB, 128 * MIB,
	2047 * MIB, 2048 * MIB, 2049 * MIB, 3071 * MIB, 3072 * MIB, 3073 * MIB,
	4095 * MIB, 4096 * MIB, 4097 * MIB, 8192 * MIB };
#define NSIZES (sizeof(sizes) / sizeof(sizes[0]))

static uint8_t file[FAKE_BYTES], rd[4097];
static struct mem mem = { .fd = -1 };
static unsigned long nloaded, nrefused;

static uint64_t
word(uint64_t gpa, unsigned len)
{
	uint8_t raw[8];

	return (
	    mem_read(&mem, gpa, raw, len) == -1 ? ~0ull : fake_get(raw, len));
}

/* Where the loader said that the initrd is: whole, in RAM, behind floor. */
static void
check_initrd(const char *what, uint64_t gpa, uint64_t bytes, uint64_t floor)
{
	const void *p;

	p = mem_ptr(&mem, gpa, bytes);
	CHECK_MSG(bytes == sizeof(rd) && gpa >= floor && p != NULL &&
		gpa < MEM_LOW_MAX && memcmp(p, rd, sizeof(rd)) == 0,
	    "%s: initrd of %llu at 0x%llx", what, (unsigned long long)bytes,
	    (unsigned long long)gpa);
}

static void
check_loaded(const char *what, const struct hv_regs *r, const uint8_t *bios)
{
	uint64_t mod, floor;

	CHECK_MSG(r->rip >= MIB && mem_ptr(&mem, r->rip, 1) != NULL,
	    "%s: entry at 0x%llx", what, (unsigned long long)r->rip);
	CHECK_MSG(bios[0] == CANARY &&
		memcmp(bios, bios + 1, MIB - BOOT_LOW_RAM_BYTES - 1) == 0,
	    "%s: wrote below 1 MiB, above RAM", what);
	if (r->efer != 0) {
		floor = word(r->rsi + BZ_CODE32, 4) +
		    word(r->rsi + BZ_INIT_SIZE, 4);
		check_initrd(what, word(r->rsi + BZ_RAMDISK, 4),
		    word(r->rsi + BZ_RAMDISK_SIZE, 4), floor);
		CHECK_EQ(word(r->rsi + BZ_SETUP_DATA, 8), 0);
		CHECK(floor <= mem.slot[0].len_bytes);
	} else {
		mod = word(r->rbx + 16, 8);
		check_initrd(what, word(mod, 8), word(mod + 8, 8), r->rip);
	}
}

static void
try_load(const char *what, const uint8_t *data, size_t len)
{
	static struct boot_img img, rdimg;
	struct boot_conf conf = { .initrd = &rdimg, .cmdline = "quiet" };
	struct hv_regs regs;
	struct err err;
	uint8_t *bios;

	boot_img_mem(&img, data, len);
	boot_img_mem(&rdimg, rd, sizeof(rd));
	bios = mem_ptr(&mem, BOOT_LOW_RAM_BYTES, MIB - BOOT_LOW_RAM_BYTES);
	err_clear(&err);
	if (boot_load(&img, &conf, &mem, &regs, &err) == 0) {
		nloaded++;
		check_loaded(what, &regs, bios);
		return;
	}
	nrefused++;
	CHECK_MSG(err.code != 0 && strlen(err.text) > 20 &&
		strncmp(err.text + strlen(err.text) - 3, "...", 3) != 0,
	    "%s: \"%s\"", what, err.text);
}

static void
open_mem(uint64_t bytes)
{
	struct err err;

	mem_close(&mem);
	if (mem_open(&mem, "test", bytes, false, &err) == -1) {
		tap_fail(__FILE__, __LINE__, "%s", err.text);
		return;
	}
	memset(mem_ptr(&mem, BOOT_LOW_RAM_BYTES, MIB - BOOT_LOW_RAM_BYTES),
	    CANARY, MIB - BOOT_LOW_RAM_BYTES);
}

/* Zero, one, the signs, the ends of file, page, 1 MiB, RAM and hole. */
static size_t
values(uint64_t *v)
{
	static const uint64_t edges[] = { 0x80, 0x8000, 0x80000000, 1ull << 63,
		1ull << 32, FAKE_BYTES, FAKE_BYTES - FAKE_SETUP_BYTES,
		FAKE_BYTES - FAKE_TEXT_BYTES, FAKE_BYTES / 16, 4096, MIB,
		FAKE_TEXT_GPA + FAKE_TEXT_BYTES, FAKE_DATA_GPA,
		MEM_LOW_MAX - FAKE_TEXT_BYTES, MEM_LOW_MAX, 64, 65536, 0xfff0 };
	size_t n, i;

	n = 0;
	for (i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		v[n++] = edges[i] - 1;
		v[n++] = edges[i];
		v[n++] = edges[i] + 1;
	}
	v[n++] = 0;
	v[n++] = 1;
	v[n++] = 2;
	v[n++] = ~0ull;
	v[n++] = ~0ull - 1;
	v[n++] = ~0ull - FAKE_TEXT_BYTES;
	v[n++] = mem.slot[0].len_bytes - FAKE_TEXT_BYTES;
	v[n++] = mem.slot[0].len_bytes - FAKE_TEXT_BYTES + 1;
	v[n++] = mem.slot[0].len_bytes - sizeof(rd);
	v[n++] = mem.slot[0].len_bytes;
	v[n++] = mem.bytes;
	return (n);
}

static void
mutate(size_t k)
{
	uint64_t v[80];
	const struct field *f;
	char what[80];
	size_t n, i, j;

	n = values(v);
	for (i = 0; i < kinds[k].nfields; i++) {
		f = &kinds[k].fields[i];
		for (j = 0; j < n; j++) {
			kinds[k].make(file);
			fake_put(file + f->off, v[j], f->len);
			snprintf(what, sizeof(what),
			    "%s 0x%x = 0x%llx in %llu MiB", kinds[k].name,
			    f->off, (unsigned long long)v[j],
			    (unsigned long long)(mem.bytes / MIB));
			try_load(what, file, sizeof(file));
		}
	}
}

static void
fields(void)
{
	size_t i, k;

	memset(rd, 0xc3, sizeof(rd));
	nloaded = nrefused = 0;
	for (i = 0; i < NSIZES; i++) {
		open_mem(sizes[i]);
		for (k = 0; k < NKINDS; k++)
			mutate(k);
	}
	CHECK_MSG(nloaded >= 1000, "%lu loaded", nloaded);
	CHECK_MSG(nrefused >= 1000, "%lu refused", nrefused);
}

/* The file ends anywhere. */
static void
cut(void)
{
	char what[80];
	size_t k, len;

	open_mem(16 * MIB);
	nloaded = nrefused = 0;
	for (k = 0; k < NKINDS; k++) {
		kinds[k].make(file);
		for (len = 0; len < sizeof(file); len += len < 700 ? 1 : 61) {
			snprintf(what, sizeof(what), "%s of %zu bytes",
			    kinds[k].name, len);
			try_load(what, file, len);
		}
	}
	CHECK_MSG(nrefused >= 2400, "%lu refused", nrefused);
}

/* Any one byte of the headers, any value that has one bit flipped. */
static void
flips(void)
{
	char what[80];
	size_t k, i;
	unsigned bit;

	open_mem(16 * MIB);
	for (k = 0; k < NKINDS; k++)
		for (i = 0; i < 0x290; i++)
			for (bit = 0; bit < 8; bit++) {
				kinds[k].make(file);
				file[i] ^= (uint8_t)(1u << bit);
				snprintf(what, sizeof(what), "%s 0x%zx bit %u",
				    kinds[k].name, i, bit);
				try_load(what, file, sizeof(file));
			}
}

/* Right kernels still load where they fit, in every size of memory. */
static void
right(void)
{
	size_t i, k;

	for (i = 0; i < NSIZES; i++) {
		open_mem(sizes[i]);
		for (k = 0; k < NKINDS; k++) {
			nloaded = nrefused = 0;
			kinds[k].make(file);
			try_load(kinds[k].name, file, sizeof(file));
			CHECK_MSG(nloaded ==
				(sizes[i] >= 3 * MIB ||
				    (k > 0 && sizes[i] > MIB)),
			    "%s in %llu MiB", kinds[k].name,
			    (unsigned long long)(sizes[i] / MIB));
		}
	}
}

static const struct tap_case cases[] = {
	{ "T41 right kernels in 1 MiB to 8 GiB", right },
	{ "T41 every header field, every edge, 1 MiB to 8 GiB", fields },
	{ "T41 files cut anywhere", cut },
	{ "T41 every header bit flipped", flips },
};
TAP_MAIN(cases)
