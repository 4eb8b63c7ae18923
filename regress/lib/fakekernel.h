/* SPDX-License-Identifier: ISC */
/* Small kernels made in memory, right in every field, for tests to damage. */
#ifndef REGRESS_FAKEKERNEL_H
#define REGRESS_FAKEKERNEL_H

#include <stdint.h>

#define FAKE_BYTES 8192 /* of either file */

/* Offsets in a bzImage's setup header. */
enum {
	BZ_SETUP_SECTS = 0x1f1,
	BZ_SYSSIZE = 0x1f4,
	BZ_BOOT_FLAG = 0x1fe,
	BZ_JUMP_END = 0x201,
	BZ_MAGIC = 0x202,
	BZ_VERSION = 0x206,
	BZ_LOADER = 0x210,
	BZ_LOADFLAGS = 0x211,
	BZ_CODE32 = 0x214,
	BZ_RAMDISK = 0x218,
	BZ_RAMDISK_SIZE = 0x21c,
	BZ_CMDLINE = 0x228,
	BZ_INITRD_MAX = 0x22c,
	BZ_ALIGN = 0x230,
	BZ_RELOCATABLE = 0x234,
	BZ_XLOADFLAGS = 0x236,
	BZ_CMDLINE_SIZE = 0x238,
	BZ_SETUP_DATA = 0x250,
	BZ_PREF = 0x258,
	BZ_INIT_SIZE = 0x260,
};
#define FAKE_SETUP_BYTES 1024 /* one setup sector, and the boot sector */
#define FAKE_PREF 0x200000    /* 2 MiB */
#define FAKE_INIT_BYTES 0x10000

/* An ELF64 file: header, 3 program headers, note, two segments. */
#define FAKE_PHDR 64
#define FAKE_NOTE 256
#define FAKE_NOTE_BYTES 20
#define FAKE_TEXT 4096 /* in the file; 2048 bytes at 1 MiB */
#define FAKE_TEXT_BYTES 2048
#define FAKE_TEXT_GPA 0x100000
#define FAKE_DATA 6144 /* 1024 bytes, 8 KiB in memory, at 1 MiB + 64 KiB */
#define FAKE_DATA_BYTES 1024
#define FAKE_DATA_MEM 8192
#define FAKE_DATA_GPA 0x110000
#define FAKE_ENTRY (FAKE_TEXT_GPA + 0x40)

void fake_bzimage(uint8_t file[FAKE_BYTES]);
void fake_elf64(uint8_t file[FAKE_BYTES]);
void fake_elf32(uint8_t file[FAKE_BYTES]);
/* Little endian, len bytes of v. */
void fake_put(uint8_t *p, uint64_t v, unsigned len);
uint64_t fake_get(const uint8_t *p, unsigned len);

#endif
