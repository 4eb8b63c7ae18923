/* SPDX-License-Identifier: ISC */
/*
 * Four CPUs: INIT and SIPI to those that the MADT names; all of them work.
 * With "again", once more after a reset, which must stop them all.
 */
#include "regress/guests/guest.h"

#define AP_GPA 0x8000 /* start_*.S */
#define ICR_LOW (LAPIC + 0x300)
#define ICR_HIGH (LAPIC + 0x310)
#define ICR_INIT 0x4500
#define ICR_SIPI 0x4600
#define IPI_VEC 0x31

extern const uint8_t ap_begin[];
extern const uint32_t ap_bytes;
void ap_main(void);

static volatile uint32_t nup, nipi, nspin;
static volatile uint64_t ids;

static void
on_ipi(void)
{
	__atomic_fetch_add(&nipi, 1, __ATOMIC_SEQ_CST);
	put32(LAPIC + 0xb0, 0);
}

void
ap_main(void)
{
	put32(LAPIC + 0xf0, 0x1ff);
	__atomic_fetch_or(
	    &ids, 1ull << (get32(LAPIC + 0x20) >> 24), __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&nup, 1, __ATOMIC_SEQ_CST);
	irq_on();
	for (;;)
		nspin++;
}

static void
ipi(uint32_t id, uint32_t what)
{
	put32(ICR_HIGH, id << 24);
	put32(ICR_LOW, what);
	while ((get32(ICR_LOW) & 0x1000) != 0)
		;
}

void
guest(void)
{
	const uint8_t *madt;
	uint32_t i, n, want, self;
	uint8_t *to;

	madt = acpi_find("APIC");
	report(madt != NULL, "MADT");
	if (madt == NULL)
		return;
	to = (uint8_t *)AP_GPA;
	for (i = 0; i < ap_bytes; i++)
		to[i] = ap_begin[i];
	for (i = 0; i < 200; i++) /* time for one that should not run */
		(void)inb(UART + 7);
	report_eq(nspin, 0, "none works before it is told to");
	trap_set(IPI_VEC, on_ipi);
	put32(LAPIC + 0xf0, 0x1ff);
	self = get32(LAPIC + 0x20) >> 24;
	n = *(const uint32_t *)(madt + 4);
	for (want = 0, i = 44; i + 2 <= n && madt[i + 1] >= 2;
	     i += madt[i + 1]) {
		if (madt[i] != 0 || madt[i + 3] == self)
			continue;
		ipi(madt[i + 3], ICR_INIT);
		ipi(madt[i + 3], ICR_SIPI | AP_GPA >> 12);
		want++;
		while (nup < want)
			__asm__ volatile("pause");
		ipi(madt[i + 3], 0x4000 | IPI_VEC);
		while (nipi < want)
			__asm__ volatile("pause");
	}
	report(nspin > 0, "each works on");
	report_eq(want, 3, "three more CPUs");
	report_eq(nup, 3, "each came up");
	report_eq(ids, 0xe, "each has its own APIC id");
	report_eq(nipi, 3, "each takes interrupts");
	if (str_eq(start_cmdline(), "again") && begun() == 0) {
		outb(0xcf9, 6);
		die();
	}
}
