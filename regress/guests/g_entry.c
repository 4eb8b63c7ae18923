/* SPDX-License-Identifier: ISC */
/*
 * The state that a boot protocol promises, seen by the guest: registers,
 * memory map, command line, initrd, ACPI tables.  guests.ini gives it
 * "mem=MiB cpus=n", an initrd of 5000 bytes and the same as a bzImage.
 */
#include "regress/guests/guest.h"

#define MIB 0x100000ull
#define INITRD_BYTES 5000

struct e820 {
	uint64_t gpa, bytes;
	uint32_t type;
} __attribute__((packed));

/* A number of the command line, "name=" given. */
static uint64_t
arg(const char *name)
{
	const char *s, *p, *q;
	uint64_t v;

	for (s = start_cmdline(); *s != '\0'; s++) {
		for (p = s, q = name; *q != '\0' && *p == *q; p++, q++)
			;
		if (*q != '\0')
			continue;
		for (v = 0; *p >= '0' && *p <= '9'; p++)
			v = v * 10 + (uint64_t)(*p - '0');
		return (v);
	}
	return (0);
}

static void
check_pvh(void)
{
	report_eq(start.cr0 & ~0x10ull, 1, "pvh: CR0 has PE only");
	report_eq(start.cr4, 0, "pvh: CR4");
	report_eq(start.efer & 0x501, 0, "pvh: EFER");
	report_eq(get32(start.info), 0x336ec578, "pvh: magic");
	report_eq(get32(start.info + 4), 1, "pvh: version");
}

static void
check_linux(void)
{
	report_eq(start.cr0 & 0x80000001, 0x80000001, "linux: CR0 PG, PE");
	report_eq(start.cr4 & 0x20, 0x20, "linux: CR4 PAE");
	report_eq(start.efer & 0x500, 0x500, "linux: EFER LME, LMA");
	report_eq(start.cs, 0x10, "linux: CS is __BOOT_CS");
	report_eq(start.ds, 0x18, "linux: DS is __BOOT_DS");
	report_eq(start.ss, 0x18, "linux: SS is __BOOT_DS");
	report_eq(get32(start.info + 0x202), 0x53726448, "linux: HdrS");
	report_eq(
	    get32(start.info + 0x210) & 0xff, 0xff, "linux: type_of_loader");
}

/* Descriptors that the selectors name: flat, right mode, busy 32-bit TSS. */
static void
check_segments(void)
{
	const uint64_t *gdt;

	gdt = (const uint64_t *)*(const uint64_t *)(start.gdtr + 2);
	if (start.protocol == 1)
		gdt =
		    (const uint64_t *)(uint64_t)get32((uint64_t)start.gdtr + 2);
	report((start.rflags & 0x20300) == 0, "IF, TF, VM clear");
	report_eq(gdt[start.cs / 8],
	    start.protocol == 1 ? 0x00cf9b000000ffff : 0x00af9b000000ffff,
	    "CS descriptor");
	report_eq(gdt[start.ds / 8], 0x00cf93000000ffff, "DS descriptor");
	report_eq(gdt[start.tr / 8], 0x00008b0000000067, "TSS descriptor");
}

static void
check_range(unsigned i, uint64_t gpa, uint64_t bytes, uint32_t type)
{
	const struct e820 *r;

	r = start.protocol == 1
	    ? (const void *)(*(uint64_t *)(start.info + 40) + i * 24)
	    : (const void *)(start.info + 0x2d0 + i * 20);
	report_eq(r->gpa, gpa, "memory map: address");
	report_eq(r->bytes, bytes, "memory map: length");
	report_eq(r->type, type, "memory map: type");
}

static void
check_map(void)
{
	uint64_t mem, low;
	unsigned n;

	mem = arg("mem=") * MIB;
	low = mem < 0xc0000000 ? mem : 0xc0000000;
	n = start.protocol == 1 ? get32(start.info + 48)
				: get32(start.info + 0x1e8) & 0xff;
	report_eq(n, mem > low ? 4 : 3, "memory map: ranges");
	check_range(0, 0, 0x9fc00, 1);
	check_range(1, 0x9fc00, 0x60400, 2);
	check_range(2, MIB, low - MIB, 1);
	if (mem > low)
		check_range(3, 1ull << 32, mem - low, 1);
	/* The last word of low RAM is there, the next one is not. */
	put32(low - 4, 0x12345678);
	report_eq(get32(low - 4), 0x12345678, "RAM ends where it is said to");
	put32(low - 4, 0);
	put32(low, 0x12345678);
	report_eq(get32(low), 0xffffffff, "nothing behind the end of RAM");
}

static void
check_initrd(void)
{
	uint64_t at, bytes, i, mod;
	const uint8_t *p;

	if (start.protocol == 1) {
		report_eq(get32(start.info + 12), 1, "pvh: modules");
		mod = *(uint64_t *)(start.info + 16);
		at = *(uint64_t *)mod;
		bytes = *(uint64_t *)(mod + 8);
	} else {
		at = get32(start.info + 0x218);
		bytes = get32(start.info + 0x21c);
	}
	report_eq(bytes, INITRD_BYTES, "initrd: length");
	report_eq(at % 4096, 0, "initrd: page aligned");
	p = (const uint8_t *)at;
	for (i = 0; i < INITRD_BYTES; i += 7)
		if (p[i] != (uint8_t)(i * 7 + 3))
			break;
	report(i >= INITRD_BYTES, "initrd: its bytes");
}

static void
check_acpi(void)
{
	const uint8_t *madt, *fadt, *dsdt;
	uint32_t i, n, cpus;

	madt = acpi_find("APIC");
	fadt = acpi_find("FACP");
	report(madt != NULL && fadt != NULL, "RSDP, XSDT, MADT, FADT");
	if (madt == NULL || fadt == NULL)
		return;
	n = *(const uint32_t *)(madt + 4);
	report_eq(*(const uint32_t *)(madt + 36), LAPIC, "MADT: LAPIC");
	for (cpus = 0, i = 44; i + 2 <= n && madt[i + 1] >= 2; i += madt[i + 1])
		if (madt[i] == 0 && (madt[i + 4] & 1) != 0)
			cpus++;
	report_eq(cpus, arg("cpus="), "MADT: CPUs");
	report_eq(*(const uint32_t *)(fadt + 56), PM1_EVT, "FADT: PM1 event");
	report_eq(*(const uint32_t *)(fadt + 64), PM1_CNT, "FADT: PM1 control");
	report_eq(*(const uint32_t *)(fadt + 76), PM_TMR, "FADT: PM timer");
	report_eq(*(const uint16_t *)(fadt + 46), 9, "FADT: SCI");
	dsdt = (const uint8_t *)*(const uint64_t *)(fadt + 140);
	report(mem_eq(dsdt, "DSDT", 4), "FADT: DSDT");
}

void
guest(void)
{
	if (start.protocol == 1)
		check_pvh();
	else
		check_linux();
	check_segments();
	check_map();
	check_initrd();
	check_acpi();
}
