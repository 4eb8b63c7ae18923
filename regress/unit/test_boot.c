/* SPDX-License-Identifier: ISC */
/* Boot protocols with right kernels: what the guest finds, word by word. */
#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/boot/boot.h"
#include "regress/lib/fakekernel.h"
#include "regress/lib/tap.h"

#define MIB (1024ull * 1024)
#define PARAMS 0x7000
#define RSDP 0xe0000

static uint8_t file[FAKE_BYTES];
static uint8_t rd[5000];
static struct boot_img img, rdimg;
static struct mem mem = { .fd = -1 };
static struct hv_regs regs;
static struct err err;

/* Load file with a 5000-byte initrd into a new memory. */
static int
load(uint64_t mem_bytes, const char *cmdline, bool initrd)
{
	struct boot_conf conf = {
		.cmdline = cmdline, .ncpus = 1, .rsdp_gpa = RSDP
	};
	size_t i;

	for (i = 0; i < sizeof(rd); i++)
		rd[i] = (uint8_t)(i * 3 + 1);
	boot_img_mem(&img, file, sizeof(file));
	boot_img_mem(&rdimg, rd, sizeof(rd));
	if (initrd)
		conf.initrd = &rdimg;
	err_clear(&err);
	mem_close(&mem);
	if (mem_open(&mem, "test", mem_bytes, false, &err) == -1)
		return (-1);
	return (boot_load(&img, &conf, &mem, &regs, &err));
}

static uint64_t
word(uint64_t gpa, unsigned len)
{
	uint8_t raw[8];

	if (mem_read(&mem, gpa, raw, len) == -1)
		return (~0ull);
	return (fake_get(raw, len));
}

static bool
holds(uint64_t gpa, const void *data, size_t len)
{
	const void *p;

	p = mem_ptr(&mem, gpa, len);
	return (p != NULL && memcmp(p, data, len) == 0);
}

/* Follow the guest's own page tables, Intel SDM 3A, 4.5. */
static bool
maps_itself(uint64_t va)
{
	uint64_t e;

	e = word((regs.cr3 & ~0xfffull) + (va >> 39 & 511) * 8, 8);
	if ((e & 3) != 3)
		return (false);
	e = word((e & ~0xfffull) + (va >> 30 & 511) * 8, 8);
	if ((e & 3) != 3)
		return (false);
	e = word((e & ~0xfffull) + (va >> 21 & 511) * 8, 8);
	return (
	    (e & 0x83) == 0x83 && (e & ~0x1fffffull) == (va & ~0x1fffffull));
}

static void
check_range(uint64_t at, uint64_t gpa, uint64_t bytes, unsigned type)
{
	CHECK_EQ(word(at, 8), gpa);
	CHECK_EQ(word(at + 8, 8), bytes);
	CHECK_EQ(word(at + 16, 4), type);
}

static void
linux_params(void)
{
	fake_bzimage(file);
	CHECK_EQ(load(64 * MIB, "console=ttyS0", true), 0);
	CHECK_STR(err.text, "");
	CHECK_EQ(regs.rsi, PARAMS);
	CHECK(holds(PARAMS + BZ_MAGIC, "HdrS", 4));
	CHECK_EQ(word(PARAMS + BZ_VERSION, 2), 0x20f);
	CHECK_EQ(word(PARAMS + BZ_LOADER, 1), 0xff);
	CHECK_EQ(word(PARAMS + BZ_CODE32, 4), FAKE_PREF);
	CHECK_EQ(word(PARAMS + BZ_SETUP_DATA, 8), 0);
	CHECK_EQ(word(PARAMS + 0x70, 8), RSDP);
	CHECK_EQ(word(PARAMS + 0x1ef, 1), 0); /* the sentinel */
	CHECK(holds(word(PARAMS + BZ_CMDLINE, 4), "console=ttyS0",
	    sizeof("console=ttyS0")));
	CHECK(holds(
	    FAKE_PREF, file + FAKE_SETUP_BYTES, FAKE_BYTES - FAKE_SETUP_BYTES));
	CHECK_EQ(word(PARAMS + BZ_RAMDISK_SIZE, 4), sizeof(rd));
	CHECK_EQ(word(PARAMS + BZ_RAMDISK, 4), 64 * MIB - 8192);
	CHECK(holds(64 * MIB - 8192, rd, sizeof(rd)));
	CHECK_EQ(load(64 * MIB, NULL, false), 0);
	CHECK_EQ(word(PARAMS + BZ_RAMDISK, 8), 0);
	CHECK_EQ(word(word(PARAMS + BZ_CMDLINE, 4), 1), 0);
}

static void
linux_entry(void)
{
	uint64_t va;

	fake_bzimage(file);
	CHECK_EQ(load(64 * MIB, "", false), 0);
	CHECK_EQ(regs.rip, FAKE_PREF + 0x200);
	CHECK_EQ(regs.cr0 & 0x80000001, 0x80000001);
	CHECK_EQ(regs.cr4, 0x20);
	CHECK_EQ(regs.efer, 0x500);
	CHECK_EQ(regs.rflags, 2);
	CHECK_EQ(regs.cs.sel, 0x10);
	CHECK(regs.cs.l == 1 && regs.cs.db == 0 && regs.cs.type == 0xb);
	CHECK_EQ(regs.ds.sel, 0x18);
	CHECK(regs.ds.type == 3 && regs.ss.sel == 0x18 && regs.ds.s == 1);
	CHECK(regs.tr.type == 0xb && regs.tr.s == 0 && regs.tr.limit == 0x67);
	CHECK_EQ(word(regs.gdt_base + 0x10, 8), 0x00af9b000000ffff);
	CHECK_EQ(word(regs.gdt_base + 0x18, 8), 0x00cf93000000ffff);
	CHECK(regs.gdt_limit >= 0x2f);
	for (va = 0; va < 1ull << 32; va += 2 * MIB)
		if (!maps_itself(va))
			tap_fail(__FILE__, __LINE__, "0x%llx not mapped",
			    (unsigned long long)va);
	CHECK(!maps_itself(1ull << 32));
}

static void
linux_e820(void)
{
	fake_bzimage(file);
	CHECK_EQ(load(3072 * MIB, "", true), 0);
	CHECK_EQ(word(PARAMS + 0x1e8, 1), 3);
	check_range(PARAMS + 0x2d0, 0, 0x9fc00, 1);
	check_range(PARAMS + 0x2d0 + 20, 0x9fc00, 0x60400, 2);
	check_range(PARAMS + 0x2d0 + 40, MIB, 3071 * MIB, 1);
	/* Below what the kernel takes, not at the end of RAM. */
	CHECK_EQ(word(PARAMS + BZ_RAMDISK, 4), 0x80000000 - 8192);
	fake_put(file + BZ_INITRD_MAX, 0xffffffff, 4);
	CHECK_EQ(load(8192 * MIB, "", true), 0);
	CHECK_EQ(word(PARAMS + 0x1e8, 1), 4);
	check_range(PARAMS + 0x2d0 + 40, MIB, 3071 * MIB, 1);
	check_range(PARAMS + 0x2d0 + 60, 4096 * MIB, 5120 * MIB, 1);
	CHECK_EQ(word(PARAMS + BZ_RAMDISK, 4), 3072 * MIB - 8192);
}

static void
linux_placed(void)
{
	fake_bzimage(file);
	fake_put(file + BZ_PREF, 0x1234567, 8);
	CHECK_EQ(load(64 * MIB, "", false), 0);
	CHECK_EQ(regs.rip, 0x1400200);
	fake_put(file + BZ_PREF, 0, 8);
	CHECK_EQ(load(64 * MIB, "", false), 0);
	CHECK_EQ(regs.rip, 0x200200);
	fake_put(file + BZ_PREF, 0x1234000, 8);
	file[BZ_RELOCATABLE] = 0;
	CHECK_EQ(load(64 * MIB, "", false), 0);
	CHECK_EQ(regs.rip, 0x1234200);
}

static void
linux_init_size(void)
{
	fake_bzimage(file);
	fake_put(file + BZ_INIT_SIZE, 62 * MIB, 4);
	CHECK_EQ(load(64 * MIB, "", false), 0);
	CHECK_EQ(load(63 * MIB, "", false), -1);
	CHECK_STR(err.text,
	    "kernel: does not fit in 63 MiB: "
	    "give the VM 64 MiB or more");
	CHECK_EQ(load(64 * MIB, "", true), -1);
	CHECK_STR(err.text,
	    "initrd: does not fit beside the kernel in "
	    "64 MiB: give the VM 65 MiB or more");
	CHECK_EQ(load(65 * MIB, "", true), 0);
	fake_put(file + BZ_INITRD_MAX, 32 * MIB, 4);
	CHECK_EQ(load(128 * MIB, "", true), -1);
	CHECK(strstr(err.text, "the highest address") != NULL);
	/* One that lies: the file's own bytes count as well. */
	fake_put(file + BZ_INIT_SIZE, 0, 4);
	fake_put(file + BZ_INITRD_MAX, FAKE_PREF + 0x2fff, 4);
	CHECK_EQ(load(64 * MIB, "", true), -1);
	fake_put(file + BZ_INITRD_MAX, FAKE_PREF + 0x3fff, 4);
	CHECK_EQ(load(64 * MIB, "", true), 0);
}

/* A header said to be longer than there is room is cut there. */
static void
linux_long_header(void)
{
	fake_bzimage(file);
	memset(file + 0x264, 0xee, 0x390 - 0x264);
	file[BZ_JUMP_END] = 0xff;
	CHECK_EQ(load(64 * MIB, "", false), 0);
	CHECK_EQ(word(PARAMS + 0x28f, 1), 0xee);
	CHECK_EQ(word(PARAMS + 0x290, 8), 0);
	CHECK_EQ(word(PARAMS + 0x2d0 + 60, 8), 0);
}

static void
linux_refused(void)
{
	char cmd[2049];

	fake_bzimage(file);
	fake_put(file + BZ_VERSION, 0x20b, 2);
	CHECK_EQ(load(64 * MIB, "", false), -1);
	CHECK(strstr(err.text, "boot protocol 2.11 is too old") != NULL);
	fake_bzimage(file);
	file[BZ_XLOADFLAGS] = 0;
	CHECK_EQ(load(64 * MIB, "", false), -1);
	CHECK(strstr(err.text, "no 64-bit entry") != NULL);
	fake_bzimage(file);
	memset(cmd, 'x', sizeof(cmd));
	cmd[2047] = '\0';
	CHECK_EQ(load(64 * MIB, cmd, false), 0);
	cmd[2047] = 'x';
	cmd[2048] = '\0';
	CHECK_EQ(load(64 * MIB, cmd, false), -1);
	CHECK_STR(
	    err.text, "command line has 2048 bytes, this kernel takes 2047");
	fake_put(file + BZ_SYSSIZE, FAKE_BYTES / 16, 4);
	CHECK_EQ(load(64 * MIB, "", false), -1);
	CHECK(strstr(err.text, "cut short") != NULL);
}

static void
check_pvh(void)
{
	uint64_t info = regs.rbx;

	CHECK_STR(err.text, "");
	CHECK_EQ(regs.rip, FAKE_ENTRY);
	CHECK_EQ(regs.cr0 & ~0x10ull, 1);
	CHECK_EQ(regs.cr4, 0);
	CHECK_EQ(regs.efer, 0);
	CHECK_EQ(regs.rflags, 2);
	CHECK(regs.cs.db == 1 && regs.cs.l == 0 && regs.cs.type == 0xb);
	CHECK(regs.cs.base == 0 && regs.cs.limit == 0xffffffff);
	CHECK_EQ(word(regs.gdt_base + regs.cs.sel, 8), 0x00cf9b000000ffff);
	CHECK_EQ(word(info, 4), 0x336ec578);
	CHECK_EQ(word(info + 4, 4), 1);
	CHECK_EQ(word(info + 12, 4), 1);
	CHECK_EQ(word(word(info + 16, 8), 8), 8192 * 1024 - 8192);
	CHECK_EQ(word(word(info + 16, 8) + 8, 8), sizeof(rd));
	CHECK(holds(8192 * 1024 - 8192, rd, sizeof(rd)));
	CHECK(holds(word(info + 24, 8), "quiet", 6));
	CHECK_EQ(word(info + 32, 8), RSDP);
	CHECK_EQ(word(info + 48, 4), 3);
	check_range(word(info + 40, 8), 0, 0x9fc00, 1);
	check_range(word(info + 40, 8) + 24, 0x9fc00, 0x60400, 2);
	check_range(word(info + 40, 8) + 48, MIB, 7 * MIB, 1);
	CHECK(holds(FAKE_TEXT_GPA, file + FAKE_TEXT, FAKE_TEXT_BYTES));
	CHECK(holds(FAKE_DATA_GPA, file + FAKE_DATA, FAKE_DATA_BYTES));
	CHECK_EQ(word(FAKE_DATA_GPA + FAKE_DATA_BYTES, 8), 0);
}

static void
pvh_both(void)
{
	fake_elf64(file);
	CHECK_EQ(load(8 * MIB, "quiet", true), 0);
	check_pvh();
	fake_elf32(file);
	CHECK_EQ(load(8 * MIB, "quiet", true), 0);
	check_pvh();
}

static void
pvh_high(void)
{
	fake_elf64(file);
	CHECK_EQ(load(4096 * MIB, "", true), 0);
	CHECK_EQ(word(regs.rbx + 48, 4), 4);
	check_range(word(regs.rbx + 40, 8) + 72, 4096 * MIB, 1024 * MIB, 1);
	CHECK_EQ(word(word(regs.rbx + 16, 8), 8), 3072 * MIB - 8192);
	CHECK_EQ(load(64 * MIB, "", false), 0);
	CHECK_EQ(word(regs.rbx + 12, 8), 0);
}

/* Offset of a field of program header n of the 64-bit file. */
#define PH(n, f)                                                               \
	(FAKE_PHDR + (n) * sizeof(Elf64_Phdr) + offsetof(Elf64_Phdr, f))

static void
pvh_refused(void)
{
	static const struct {
		unsigned off, len;
		uint64_t val;
		const char *text;
	} bad[] = {
		{ 18, 2, EM_AARCH64, "not for x86" },
		{ 16, 2, ET_REL, "object or core file" },
		{ 56, 2, 0, "0 program headers" },
		{ 56, 2, 65, "65 program headers" },
		{ 54, 2, 55, "headers of 55 bytes" },
		{ 32, 8, FAKE_BYTES - 100, "outside of the file" },
		{ PH(0, p_type), 4, PT_NULL, "no PVH entry note" },
		{ PH(0, p_filesz), 8, 65537, "too long" },
		{ FAKE_NOTE + 4, 4, 5, "no PVH entry note" },
		{ FAKE_NOTE + 4, 4, 3, "PVH note has 3 bytes" },
		{ FAKE_NOTE + 16, 4, 0x100000 - 1, "in no segment" },
		{ FAKE_NOTE + 16, 4, 0x112000, "in no segment" },
		{ PH(1, p_paddr), 8, 0xff000, "below 1 MiB" },
		{ PH(1, p_paddr), 8, 3072 * MIB - 2047, "above 3 GiB" },
		{ PH(1, p_paddr), 8, 8 * MIB - 2047,
		    "does not fit in 8 MiB: give the VM 9 MiB" },
		{ PH(1, p_paddr), 8, 0x10f801, "overlap" },
		{ PH(1, p_offset), 8, FAKE_BYTES - 2047, "cut short" },
		{ PH(1, p_memsz), 8, 2047, "2048 bytes in the file" },
	};
	unsigned i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fake_elf64(file);
		fake_put(file + bad[i].off, bad[i].val, bad[i].len);
		CHECK_EQ(load(8 * MIB, "", false), -1);
		CHECK_MSG(strstr(err.text, bad[i].text) != NULL,
		    "row %u: \"%s\"", i, err.text);
	}
}

static void
others(void)
{
	static const struct {
		const char *head;
		size_t len;
		const char *text;
	} t[] = {
		{ "", 0, "kernel: the file is empty" },
		{ "\x1f\x8b\x08", 3, "gunzip" },
		{ "\x28\xb5\x2f\xfd", 4, "unzstd" },
		{ "\xfd"
		  "7zXZ",
		    5, "unxz" },
		{ "MZ\x90", 3, "EFI program" },
		{ "070701", 6, "belongs behind 'initrd'" },
		{ "QFI\xfb", 4, "belongs behind 'disk'" },
		{ "#!/bin/sh", 9, "script" },
		{ "\x7f", 1, "neither a Linux bzImage nor an ELF" },
		{ "\x7f"
		  "ELF",
		    4, "ELF file is not for x86" },
	};
	struct boot_conf conf = { 0 };
	unsigned i;

	fake_elf64(file);
	CHECK_EQ(load(8 * MIB, "", false), 0);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		boot_img_mem(&img, t[i].head, t[i].len);
		CHECK_EQ(boot_load(&img, &conf, &mem, &regs, &err), -1);
		CHECK_MSG(strstr(err.text, t[i].text) != NULL, "row %u: \"%s\"",
		    i, err.text);
	}
}

/* The same bytes through a file; a file that shrinks; no file at all. */
static void
img_fd(void)
{
	struct boot_conf conf = { .cmdline = "" };
	int fd;

	fake_bzimage(file);
	CHECK_EQ(load(64 * MIB, "", false), 0);
	fd = memfd_create("kernel", MFD_CLOEXEC);
	REQUIRE(fd != -1);
	CHECK_EQ(write(fd, file, sizeof(file)), sizeof(file));
	CHECK_EQ(boot_img_fd(&img, fd, &err), 0);
	CHECK_EQ(mem_clear(&mem, &err), 0);
	CHECK_EQ(boot_load(&img, &conf, &mem, &regs, &err), 0);
	CHECK(holds(
	    FAKE_PREF, file + FAKE_SETUP_BYTES, FAKE_BYTES - FAKE_SETUP_BYTES));
	CHECK_EQ(ftruncate(fd, 5000), 0);
	CHECK_EQ(boot_load(&img, &conf, &mem, &regs, &err), -1);
	CHECK_STR(err.text,
	    "kernel: file ends at byte 5000, it was longer "
	    "when it was opened");
	CHECK_EQ(ftruncate(fd, 0), 0);
	CHECK_EQ(boot_img_fd(&img, fd, &err), 0);
	CHECK_EQ(boot_load(&img, &conf, &mem, &regs, &err), -1);
	CHECK_STR(err.text, "kernel: the file is empty");
	close(fd);
	fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK_EQ(boot_img_fd(&img, fd, &err), -1);
	CHECK_STR(err.text, "is a directory, not a file");
	close(fd);
}

static const struct tap_case cases[] = {
	{ "linux: boot_params, command line, kernel, initrd", linux_params },
	{ "linux: long mode, descriptors, pages", linux_entry },
	{ "linux: memory map and initrd around the hole", linux_e820 },
	{ "linux: preferred address and alignment", linux_placed },
	{ "T41 linux: init_size fits, or says what would", linux_init_size },
	{ "T41 linux: header longer than boot_params", linux_long_header },
	{ "T41 linux: what is refused, in words", linux_refused },
	{ "pvh: ELF64 and ELF32, entry state, start info", pvh_both },
	{ "pvh: memory map and initrd around the hole", pvh_high },
	{ "T41 pvh: what is refused, in words", pvh_refused },
	{ "T41 files that are no kernel are named", others },
	{ "T41 images from files", img_fd },
};
TAP_MAIN(cases)
