/* SPDX-License-Identifier: ISC */
/*
 * ACPI tables for the board, written straight into guest memory.  Section
 * numbers are of ACPI 6.5.
 * Runs in: vm process, before the guest does.
 */
#include <errno.h>
#include <string.h>

#include "daemon/dev/acpi.h"
#include "daemon/dev/aml.h"
#include "daemon/dev/pci.h"

#define HDR_BYTES 36
#define RSDP_BYTES 36
#define FADT_BYTES 276
#define FACS_BYTES 64
#define XSDT_TABLES 2
#define LAPIC_GPA 0xfee00000u
#define IOAPIC_GPA 0xfec00000u
#define CPUS_MAX 64

_Static_assert(PCI_MEM_LAST < IOAPIC_GPA, "BARs end below the APICs");

/* FADT: 5.2.9 */
#define BOOT_LEGACY 0x0001 /* there are ISA devices; no 8042 flag: no probe */
#define BOOT_NO_VGA 0x0004
#define FLAG_WBINVD (1u << 0)
#define FLAG_PROC_C1 (1u << 2)
#define FLAG_SLP_BUTTON (1u << 5) /* not a fixed button: there is none */
#define FLAG_FIX_RTC (1u << 6)    /* the RTC does not wake through PM1 */
#define FLAG_TMR_32 (1u << 8)
#define FLAG_RESET_REG (1u << 10)
#define CMOS_CENTURY 0x32

/* MADT interrupt flags: 5.2.12.5 */
#define INTI_LEVEL_HIGH 0x000d

/* Where the tables go; everything that grows comes last. */
struct layout {
	uint8_t *base;
	uint64_t gpa;
	size_t used_bytes;
	bool full;
};

static void
put(uint8_t *p, uint64_t v, unsigned n)
{
	for (; n > 0; n--, v >>= 8)
		*p++ = (uint8_t)v;
}

static uint8_t
sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n-- > 0)
		s += *p++;
	return (s);
}

/* Room for a table, 64-byte aligned as the FACS wants it (5.2.10). */
static uint8_t *
take(struct layout *l, size_t bytes, uint64_t *gpa)
{
	size_t at = (l->used_bytes + 63) & ~(size_t)63;

	if (l->full || bytes > BOOT_ACPI_BYTES ||
	    at > BOOT_ACPI_BYTES - bytes) {
		l->full = true;
		return (NULL);
	}
	l->used_bytes = at + bytes;
	*gpa = l->gpa + at;
	return (l->base + at);
}

/* 5.2.6; the checksum last. */
static void
header(uint8_t *t, const char *sig, size_t bytes, uint8_t revision)
{
	memcpy(t, sig, 4);
	put(t + 4, bytes, 4);
	t[8] = revision;
	memcpy(t + 10, "VMD   ", 6);
	memcpy(t + 16, "VMDBOARD", 8);
	put(t + 24, 1, 4);
	memcpy(t + 28, "VMD ", 4);
	put(t + 32, 1, 4);
	t[9] = 0;
	t[9] = (uint8_t)-sum(t, bytes);
}

/* Generic address of I/O ports: 5.2.3.2. */
static void
gas_io(uint8_t *p, uint16_t port, uint8_t bytes)
{
	p[0] = 1;
	p[1] = bytes * 8;
	p[2] = 0;
	p[3] = bytes == 1 ? 1 : bytes == 2 ? 2 : 3;
	put(p + 4, port, 8);
}

/* ACPI 6.5, 6.2.13: INTA# of each slot is wired to a pin of the IOAPIC. */
static void
dsdt_prt(struct aml *a)
{
	unsigned slot;
	size_t prt, pkg;

	aml_name(a, "_PRT");
	prt = aml_package(a, PCI_INTX_SLOTS);
	for (slot = 1; slot <= PCI_INTX_SLOTS; slot++) {
		pkg = aml_package(a, 4);
		aml_int(a, slot << 16 | 0xffff);
		aml_int(a, 0);
		aml_int(a, 0);
		aml_int(a, PCI_INTX_GSI(slot));
		aml_end(a, pkg);
	}
	aml_end(a, prt);
}

/* What the PCI bus may use: 32-bit memory between RAM and the APICs. */
static void
dsdt_pci(struct aml *a)
{
	size_t dev = aml_device(a, "PCI0");
	struct aml_res r;

	aml_name(a, "_HID");
	aml_eisaid(a, "PNP0A03");
	aml_name(a, "_UID");
	aml_int(a, 0);
	aml_name(a, "_CRS");
	aml_res_begin(a, &r);
	aml_res_bus(a, 0, 0);
	aml_res_io(a, 0xcf8, 8);
	aml_res_io_window(a, 0x0000, 0x0cf7);
	aml_res_io_window(a, 0x0d00, 0xffff);
	aml_res_mem_window(a, PCI_MEM_FIRST, PCI_MEM_LAST);
	aml_res_end(a, &r);
	dsdt_prt(a);
	aml_end(a, dev);
}

static void
dsdt_isa(struct aml *a, const char *name, const char *hid, uint16_t port,
    uint8_t len, unsigned irq)
{
	size_t dev = aml_device(a, name);
	struct aml_res r;

	aml_name(a, "_HID");
	aml_eisaid(a, hid);
	aml_name(a, "_UID");
	aml_int(a, 1);
	aml_name(a, "_CRS");
	aml_res_begin(a, &r);
	aml_res_io(a, port, len);
	aml_res_irq(a, irq);
	aml_res_end(a, &r);
	aml_end(a, dev);
}

/* SLP_TYP of PM1a and PM1b for S5: 7.4.2. */
static void
dsdt_s5(struct aml *a)
{
	size_t pkg;

	aml_name(a, "\\_S5_");
	pkg = aml_package(a, 4);
	aml_int(a, ACPI_S5_TYP);
	aml_int(a, ACPI_S5_TYP);
	aml_int(a, 0);
	aml_int(a, 0);
	aml_end(a, pkg);
}

static uint64_t
dsdt(struct layout *l)
{
	uint8_t code[1024], *t;
	struct aml a;
	uint64_t gpa = 0;
	size_t sb;

	aml_init(&a, code, sizeof(code));
	dsdt_s5(&a);
	sb = aml_scope(&a, "\\_SB_");
	dsdt_pci(&a);
	dsdt_isa(&a, "COM1", "PNP0501", 0x3f8, 8, 4);
	dsdt_isa(&a, "RTC_", "PNP0B00", 0x70, 2, 8);
	aml_end(&a, sb);
	if (a.failed)
		l->full = true;
	if ((t = take(l, HDR_BYTES + a.len_bytes, &gpa)) == NULL)
		return (0);
	memcpy(t + HDR_BYTES, code, a.len_bytes);
	header(t, "DSDT", HDR_BYTES + a.len_bytes, 2);
	return (gpa);
}

static uint64_t
facs(struct layout *l)
{
	uint64_t gpa = 0;
	uint8_t *t;

	if ((t = take(l, FACS_BYTES, &gpa)) == NULL)
		return (0);
	memcpy(t, "FACS", 4);
	put(t + 4, FACS_BYTES, 4);
	t[32] = 2;
	return (gpa);
}

/* 5.2.9, table 5.9; no SMI command port: the machine is in ACPI mode. */
static uint64_t
fadt(struct layout *l, uint64_t facs_gpa, uint64_t dsdt_gpa)
{
	uint64_t gpa = 0;
	uint8_t *t;

	if ((t = take(l, FADT_BYTES, &gpa)) == NULL)
		return (0);
	put(t + 36, facs_gpa, 4);
	put(t + 40, dsdt_gpa, 4);
	put(t + 46, ACPI_SCI_GSI, 2);
	put(t + 56, ACPI_PM1_EVT, 4);
	put(t + 64, ACPI_PM1_CNT, 4);
	put(t + 76, ACPI_PM_TMR, 4);
	t[88] = 4;            /* PM1_EVT_LEN */
	t[89] = 2;            /* PM1_CNT_LEN */
	t[91] = 4;            /* PM_TMR_LEN */
	put(t + 96, 101, 2);  /* P_LVL2_LAT: no C2 */
	put(t + 98, 1001, 2); /* P_LVL3_LAT: no C3 */
	t[108] = CMOS_CENTURY;
	put(t + 109, BOOT_LEGACY | BOOT_NO_VGA, 2);
	put(t + 112,
	    FLAG_WBINVD | FLAG_PROC_C1 | FLAG_SLP_BUTTON | FLAG_FIX_RTC |
		FLAG_TMR_32 | FLAG_RESET_REG,
	    4);
	gas_io(t + 116, ACPI_RESET_PORT, 1);
	t[128] = ACPI_RESET_VAL;
	put(t + 140, dsdt_gpa, 8);
	gas_io(t + 148, ACPI_PM1_EVT, 4);
	gas_io(t + 172, ACPI_PM1_CNT, 2);
	gas_io(t + 208, ACPI_PM_TMR, 4);
	header(t, "FACP", FADT_BYTES, 6);
	return (gpa);
}

/* One entry of the MADT: type, length, body. */
static uint8_t *
entry(uint8_t *p, uint8_t type, uint8_t bytes)
{
	p[0] = type;
	p[1] = bytes;
	return (p + bytes);
}

static uint8_t *
madt_override(uint8_t *p, uint8_t irq, uint8_t gsi, uint16_t flags)
{
	p[3] = irq;
	put(p + 4, gsi, 4);
	put(p + 8, flags, 2);
	return (entry(p, 2, 10));
}

/* 5.2.12 */
static uint64_t
madt(struct layout *l, unsigned ncpus)
{
	size_t bytes = HDR_BYTES + 8 + ncpus * 8 + 12 + 2 * 10 + 6;
	uint64_t gpa = 0;
	uint8_t *t, *p;
	unsigned i;

	if ((t = take(l, bytes, &gpa)) == NULL)
		return (0);
	put(t + 36, LAPIC_GPA, 4);
	put(t + 40, 1, 4); /* PCAT_COMPAT: there are 8259s */
	p = t + 44;
	for (i = 0; i < ncpus; i++) {
		p[2] = (uint8_t)i;
		p[3] = (uint8_t)i;
		put(p + 4, 1, 4); /* enabled */
		p = entry(p, 0, 8);
	}
	put(p + 4, IOAPIC_GPA, 4);
	p = entry(p, 1, 12);
	p = madt_override(p, 0, 2, 0);
	p = madt_override(p, ACPI_SCI_GSI, ACPI_SCI_GSI, INTI_LEVEL_HIGH);
	p[2] = 0xff; /* NMI at LINT1 of all */
	p[5] = 1;
	entry(p, 4, 6);
	header(t, "APIC", bytes, 5);
	return (gpa);
}

static uint64_t
xsdt(struct layout *l, const uint64_t table[XSDT_TABLES])
{
	size_t bytes = HDR_BYTES + XSDT_TABLES * 8;
	uint64_t gpa = 0;
	uint8_t *t;
	unsigned i;

	if ((t = take(l, bytes, &gpa)) == NULL)
		return (0);
	for (i = 0; i < XSDT_TABLES; i++)
		put(t + HDR_BYTES + i * 8, table[i], 8);
	header(t, "XSDT", bytes, 1);
	return (gpa);
}

/* 5.2.5.3; the first 20 bytes have a checksum of their own. */
static void
rsdp(uint8_t *t, uint64_t xsdt_gpa)
{
	memcpy(t, "RSD PTR ", 8);
	memcpy(t + 9, "VMD   ", 6);
	t[15] = 2;
	put(t + 20, RSDP_BYTES, 4);
	put(t + 24, xsdt_gpa, 8);
	t[8] = (uint8_t)-sum(t, 20);
	t[32] = (uint8_t)-sum(t, RSDP_BYTES);
}

int
acpi_write(struct mem *m, unsigned ncpus, uint64_t *rsdp_gpa, struct err *e)
{
	struct layout l = { .gpa = BOOT_ACPI_GPA };
	uint64_t table[XSDT_TABLES], facs_gpa;
	uint8_t *first;

	if (ncpus < 1 || ncpus > CPUS_MAX)
		return (err_set(
		    e, EINVAL, "%u vCPUs: must be 1 to %u", ncpus, CPUS_MAX));
	l.base = mem_ptr(m, BOOT_ACPI_GPA, BOOT_ACPI_BYTES);
	if (l.base == NULL)
		return (err_set(
		    e, EFAULT, "guest memory does not reach the ACPI tables"));
	memset(l.base, 0, BOOT_ACPI_BYTES);
	first = take(&l, RSDP_BYTES, rsdp_gpa);
	facs_gpa = facs(&l);
	table[0] = fadt(&l, facs_gpa, dsdt(&l));
	table[1] = madt(&l, ncpus);
	rsdp(first, xsdt(&l, table));
	if (l.full)
		return (err_set(e, ENOSPC, "the ACPI tables do not fit"));
	return (0);
}
