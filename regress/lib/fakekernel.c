/* SPDX-License-Identifier: ISC */
#include <elf.h>
#include <stddef.h>
#include <string.h>

#include "regress/lib/fakekernel.h"

void
fake_put(uint8_t *p, uint64_t v, unsigned len)
{
	unsigned i;

	for (i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

uint64_t
fake_get(const uint8_t *p, unsigned len)
{
	uint64_t v;
	unsigned i;

	for (v = 0, i = 0; i < len; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return (v);
}

void
fake_bzimage(uint8_t f[FAKE_BYTES])
{
	unsigned i;

	memset(f, 0, FAKE_BYTES);
	for (i = FAKE_SETUP_BYTES; i < FAKE_BYTES; i++)
		f[i] = (uint8_t)(i * 7 + i / 256);
	f[BZ_SETUP_SECTS] = 1;
	fake_put(f + BZ_SYSSIZE, (FAKE_BYTES - FAKE_SETUP_BYTES) / 16, 4);
	fake_put(f + BZ_BOOT_FLAG, 0xaa55, 2);
	f[BZ_JUMP_END] = 0x6a;
	memcpy(f + BZ_MAGIC, "HdrS", 4);
	fake_put(f + BZ_VERSION, 0x20f, 2);
	f[BZ_LOADFLAGS] = 1;
	fake_put(f + BZ_INITRD_MAX, 0x7fffffff, 4);
	fake_put(f + BZ_ALIGN, 0x200000, 4);
	f[BZ_RELOCATABLE] = 1;
	fake_put(f + BZ_XLOADFLAGS, 1, 2);
	fake_put(f + BZ_CMDLINE_SIZE, 2047, 4);
	fake_put(f + BZ_PREF, FAKE_PREF, 8);
	fake_put(f + BZ_INIT_SIZE, FAKE_INIT_BYTES, 4);
}

static void
contents(uint8_t f[FAKE_BYTES], unsigned desc_bytes)
{
	unsigned i;

	memset(f, 0, FAKE_BYTES);
	for (i = FAKE_TEXT; i < FAKE_BYTES; i++)
		f[i] = (uint8_t)(i * 5 + i / 256 + 1);
	memcpy(f, ELFMAG, SELFMAG);
	f[EI_DATA] = ELFDATA2LSB;
	f[EI_VERSION] = EV_CURRENT;
	fake_put(f + 16, ET_EXEC, 2);
	fake_put(f + FAKE_NOTE, 4, 4);
	fake_put(f + FAKE_NOTE + 4, desc_bytes, 4);
	fake_put(f + FAKE_NOTE + 8, 18, 4);
	memcpy(f + FAKE_NOTE + 12, "Xen", 4);
	fake_put(f + FAKE_NOTE + 16, FAKE_ENTRY, desc_bytes);
}

static void
phdr64(uint8_t *p, uint32_t type, uint64_t off, uint64_t paddr,
    uint64_t file_bytes, uint64_t mem_bytes)
{
	fake_put(p + offsetof(Elf64_Phdr, p_type), type, 4);
	fake_put(p + offsetof(Elf64_Phdr, p_offset), off, 8);
	fake_put(p + offsetof(Elf64_Phdr, p_paddr), paddr, 8);
	fake_put(p + offsetof(Elf64_Phdr, p_filesz), file_bytes, 8);
	fake_put(p + offsetof(Elf64_Phdr, p_memsz), mem_bytes, 8);
	fake_put(p + offsetof(Elf64_Phdr, p_align), 4, 8);
}

static void
phdr32(uint8_t *p, uint32_t type, uint64_t off, uint64_t paddr,
    uint64_t file_bytes, uint64_t mem_bytes)
{
	fake_put(p + offsetof(Elf32_Phdr, p_type), type, 4);
	fake_put(p + offsetof(Elf32_Phdr, p_offset), off, 4);
	fake_put(p + offsetof(Elf32_Phdr, p_paddr), paddr, 4);
	fake_put(p + offsetof(Elf32_Phdr, p_filesz), file_bytes, 4);
	fake_put(p + offsetof(Elf32_Phdr, p_memsz), mem_bytes, 4);
	fake_put(p + offsetof(Elf32_Phdr, p_align), 4, 4);
}

static void
phdrs(uint8_t *p, size_t each,
    void (*put)(uint8_t *, uint32_t, uint64_t, uint64_t, uint64_t, uint64_t),
    uint64_t note_bytes)
{
	put(p, PT_NOTE, FAKE_NOTE, 0, note_bytes, note_bytes);
	put(p + each, PT_LOAD, FAKE_TEXT, FAKE_TEXT_GPA, FAKE_TEXT_BYTES,
	    FAKE_TEXT_BYTES);
	put(p + 2 * each, PT_LOAD, FAKE_DATA, FAKE_DATA_GPA, FAKE_DATA_BYTES,
	    FAKE_DATA_MEM);
}

void
fake_elf64(uint8_t f[FAKE_BYTES])
{
	contents(f, 4);
	f[EI_CLASS] = ELFCLASS64;
	fake_put(f + offsetof(Elf64_Ehdr, e_machine), EM_X86_64, 2);
	fake_put(f + offsetof(Elf64_Ehdr, e_phoff), FAKE_PHDR, 8);
	fake_put(f + offsetof(Elf64_Ehdr, e_phentsize), sizeof(Elf64_Phdr), 2);
	fake_put(f + offsetof(Elf64_Ehdr, e_phnum), 3, 2);
	phdrs(f + FAKE_PHDR, sizeof(Elf64_Phdr), phdr64, FAKE_NOTE_BYTES);
}

void
fake_elf32(uint8_t f[FAKE_BYTES])
{
	contents(f, 8);
	f[EI_CLASS] = ELFCLASS32;
	fake_put(f + offsetof(Elf32_Ehdr, e_machine), EM_386, 2);
	fake_put(f + offsetof(Elf32_Ehdr, e_phoff), FAKE_PHDR, 4);
	fake_put(f + offsetof(Elf32_Ehdr, e_phentsize), sizeof(Elf32_Phdr), 2);
	fake_put(f + offsetof(Elf32_Ehdr, e_phnum), 3, 2);
	phdrs(f + FAKE_PHDR, sizeof(Elf32_Phdr), phdr32, FAKE_NOTE_BYTES + 4);
}
