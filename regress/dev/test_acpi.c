/* SPDX-License-Identifier: ISC */
/* ACPI: the tables as a guest finds them, and the fixed hardware they name. */
#include <string.h>

#include "daemon/dev/acpi.h"
#include "daemon/dev/aml.h"
#include "regress/lib/fakemach.h"
#include "regress/lib/tap.h"

#define NS 1000000000ull
#define PWRBTN 0x0100

static struct fakemach f;
static struct dev *pm;

static uint64_t
le(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return (v);
}

static unsigned
sum(const uint8_t *p, size_t n)
{
	unsigned s = 0;

	while (n-- > 0)
		s += *p++;
	return (s & 0xff);
}

/* A table inside the area, of that name, with length and sum right. */
static const uint8_t *
table(struct mem *m, uint64_t gpa, const char *sig)
{
	const uint8_t *t;
	uint64_t len;

	CHECK(gpa >= BOOT_ACPI_GPA && gpa % 4 == 0);
	if ((t = mem_ptr(m, gpa, 36)) == NULL)
		return (NULL);
	len = le(t + 4, 4);
	CHECK(memcmp(t, sig, 4) == 0);
	CHECK(len >= 36 && gpa + len <= BOOT_ACPI_GPA + BOOT_ACPI_BYTES);
	if (strcmp(sig, "FACS") != 0)
		CHECK_EQ(sum(t, len), 0);
	return (t);
}

static void
check_madt(const uint8_t *t, unsigned ncpus)
{
	const uint8_t *p = t + 44, *end = t + le(t + 4, 4);
	unsigned cpus = 0, ioapics = 0, overrides = 0;

	CHECK_EQ(le(t + 36, 4), 0xfee00000);
	CHECK_EQ(le(t + 40, 4), 1);
	for (; p < end && p[1] >= 2; p += p[1])
		switch (p[0]) {
		case 0:
			CHECK_EQ(p[3], cpus);
			CHECK_EQ(le(p + 4, 4), 1);
			cpus++;
			break;
		case 1:
			CHECK_EQ(le(p + 4, 4), 0xfec00000);
			ioapics++;
			break;
		case 2:
			CHECK_EQ(le(p + 4, 4), p[3] == 0 ? 2 : p[3]);
			CHECK_EQ(le(p + 8, 2), p[3] == ACPI_SCI_GSI ? 13 : 0);
			overrides++;
			break;
		default:
			CHECK_EQ(p[0], 4);
			break;
		}
	CHECK(p == end);
	CHECK_EQ(cpus, ncpus);
	CHECK_EQ(ioapics, 1);
	CHECK_EQ(overrides, 2);
}

static void
check_fadt(struct mem *m, const uint8_t *t)
{
	const uint8_t *facs;

	CHECK_EQ(le(t + 4, 4), 276);
	CHECK_EQ(t[8], 6);
	CHECK_EQ(le(t + 36, 4) % 64, 0);
	CHECK_EQ(le(t + 132, 8), 0); /* one FACS pointer only */
	facs = table(m, le(t + 36, 4), "FACS");
	CHECK_EQ(le(facs + 4, 4), 64);
	CHECK_EQ(le(t + 40, 4), le(t + 140, 8));
	table(m, le(t + 40, 4), "DSDT");
	CHECK_EQ(le(t + 46, 2), ACPI_SCI_GSI);
	CHECK_EQ(le(t + 48, 4), 0); /* no SMI */
	CHECK_EQ(le(t + 56, 4), le(t + 152, 8));
	CHECK_EQ(le(t + 64, 4), le(t + 176, 8));
	CHECK_EQ(le(t + 76, 4), le(t + 212, 8));
	CHECK_EQ(le(t + 120, 8), 0xcf9);
	CHECK_EQ(t[128], 6);
	CHECK_EQ(le(t + 109, 2) & 2, 0); /* no 8042 to probe */
	CHECK_EQ(le(t + 112, 4) & (1u << 4 | 1u << 20), 0);
}

static void
tables(void)
{
	const uint8_t *r, *x;
	struct mem m;
	uint64_t gpa;
	unsigned n;
	struct err e;

	REQUIRE(mem_open(&m, "acpi", 1 << 20, false, &e) == 0);
	for (n = 1; n <= 64; n++) {
		memset(mem_ptr(&m, BOOT_ACPI_GPA, 0x20000), 0xa5, 0x20000);
		REQUIRE(acpi_write(&m, n, &gpa, &e) == 0);
		CHECK(gpa % 16 == 0 && gpa >= 0xe0000 && gpa < 0x100000);
		r = mem_ptr(&m, gpa, 36);
		CHECK(memcmp(r, "RSD PTR ", 8) == 0);
		CHECK_EQ(sum(r, 20), 0);
		CHECK_EQ(sum(r, 36), 0);
		CHECK_EQ(r[15], 2);
		REQUIRE((x = table(&m, le(r + 24, 8), "XSDT")) != NULL);
		REQUIRE(le(x + 4, 4) == 36 + 2 * 8);
		check_fadt(&m, table(&m, le(x + 36, 8), "FACP"));
		check_madt(table(&m, le(x + 44, 8), "APIC"), n);
	}
	CHECK_EQ(acpi_write(&m, 0, &gpa, &e), -1);
	CHECK_EQ(acpi_write(&m, 65, &gpa, &e), -1);
	mem_close(&m);
}

/* By hand: a scope, a device in it; lengths count themselves. */
static void
aml_encoding(void)
{
	static const uint8_t want[] = { 0x10, 0x8b, 0x02, 0x00, '\\', '_', 'S',
		'B', '_', 0x5b, 0x82, 0x81, 0x02, 0x00, 'C', 'O', 'M', '1',
		0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01, 0x08,
		'_', 'U', 'I', 'D', 0x01, 0x08, '_', 'A', 'D', 'R', 0x0c, 0x00,
		0x00, 0x34, 0x12 };
	uint8_t buf[64];
	struct aml a;
	size_t sb, dev, room;

	for (room = 0; room < sizeof(buf); room++) {
		aml_init(&a, buf, room);
		sb = aml_scope(&a, "\\_SB_");
		dev = aml_device(&a, "COM1");
		aml_name(&a, "_HID");
		aml_eisaid(&a, "PNP0501");
		aml_name(&a, "_UID");
		aml_int(&a, 1);
		aml_name(&a, "_ADR");
		aml_int(&a, 0x12340000);
		aml_end(&a, dev);
		aml_end(&a, sb);
		CHECK_EQ(a.failed, room < sizeof(want));
		CHECK(a.len_bytes <= room);
	}
	CHECK(memcmp(buf, want, sizeof(want)) == 0);
}

static void
up(void)
{
	fakemach_open(&f, 1 << 20, 1);
	pm = fakemach_add(&f, fakemach_slot(&dev_acpi_pm));
}

static void
down(void)
{
	fakemach_close(&f);
}

static void
power_button(void)
{
	up();
	acpi_pm_power_button(pm); /* before the guest listens */
	CHECK(!f.line[ACPI_SCI_GSI]);
	fake_out(&f, ACPI_PM1_EVT, 2, 0xffff);
	fake_out(&f, ACPI_PM1_EVT + 2, 2, PWRBTN);
	CHECK_EQ(fake_in(&f, ACPI_PM1_EVT + 2, 2), PWRBTN);
	CHECK(!f.line[ACPI_SCI_GSI]);
	acpi_pm_power_button(pm);
	CHECK(f.line[ACPI_SCI_GSI]);
	acpi_pm_power_button(pm);
	CHECK_EQ(fake_in(&f, ACPI_PM1_EVT, 2), PWRBTN);
	CHECK_EQ(fake_in(&f, ACPI_PM1_EVT, 4), PWRBTN << 16 | PWRBTN);
	fake_out(&f, ACPI_PM1_EVT, 2, (uint16_t)~PWRBTN);
	CHECK(f.line[ACPI_SCI_GSI]); /* zeros leave it */
	fake_outb(&f, ACPI_PM1_EVT + 1, PWRBTN >> 8);
	CHECK(!f.line[ACPI_SCI_GSI]);
	CHECK_EQ(fake_in(&f, ACPI_PM1_EVT, 2), 0);
	CHECK_EQ(f.rises[ACPI_SCI_GSI], 1);
	acpi_pm_power_button(pm);
	dev_reset(pm);
	CHECK(!f.line[ACPI_SCI_GSI]);
	CHECK_EQ(fake_in(&f, ACPI_PM1_EVT, 4), 0);
	down();
}

/* As ACPICA goes to sleep: the type first, then type and enable. */
static void
soft_off(void)
{
	unsigned typ;

	up();
	CHECK_EQ(fake_in(&f, ACPI_PM1_CNT, 2), 1); /* SCI_EN */
	for (typ = 0; typ < 8; typ++) {
		fake_out(&f, ACPI_PM1_CNT, 2, typ << 10);
		CHECK_EQ(f.poweroffs, typ > ACPI_S5_TYP);
		CHECK_EQ(fake_in(&f, ACPI_PM1_CNT, 2), typ << 10 | 1);
		fake_out(&f, ACPI_PM1_CNT, 2, typ << 10 | 1 << 13);
		CHECK_EQ(f.poweroffs, typ >= ACPI_S5_TYP);
	}
	fake_outb(&f, ACPI_PM1_CNT + 1, ACPI_S5_TYP << 2 | 0x20);
	CHECK_EQ(f.poweroffs, 2);
	CHECK_EQ(f.resets, 0);
	down();
}

static void
pm_timer(void)
{
	uint32_t was;

	up();
	was = fake_in(&f, ACPI_PM_TMR, 4);
	fakemach_run(&f, NS);
	CHECK_EQ(fake_in(&f, ACPI_PM_TMR, 4) - was, 3579545);
	fake_out(&f, ACPI_PM_TMR, 4, 0);
	CHECK(fake_in(&f, ACPI_PM_TMR, 4) > was);
	fakemach_run(&f, 2000 * NS); /* past the 20 minutes of 32 bits */
	CHECK_EQ(f.timer_fired, 0);
	CHECK_EQ(fake_in(&f, ACPI_PM1_EVT, 2), 1); /* TMR_STS */
	fake_out(&f, ACPI_PM1_EVT + 2, 2, 1);
	CHECK(f.line[ACPI_SCI_GSI]);
	CHECK_EQ(fakemach_armed(&f, pm), ~0ull);
	fake_out(&f, ACPI_PM1_EVT, 2, 1);
	CHECK(!f.line[ACPI_SCI_GSI]);
	CHECK(fakemach_armed(&f, pm) - f.mono_ns < 600 * NS);
	fakemach_run(&f, 600 * NS);
	CHECK(f.line[ACPI_SCI_GSI]);
	CHECK_EQ(f.timer_fired, 1);
	fake_out(&f, ACPI_PM1_EVT + 2, 2, 0);
	fake_out(&f, ACPI_PM1_EVT, 2, 1);
	CHECK_EQ(fakemach_armed(&f, pm), ~0ull);
	down();
}

static const struct tap_case cases[] = {
	{ "acpi tables: sums, lengths, pointers, 1 to 64 vCPUs", tables },
	{ "acpi AML encoding, and no room for it", aml_encoding },
	{ "acpi_pm power button", power_button },
	{ "acpi_pm soft off", soft_off },
	{ "acpi_pm timer and its event", pm_timer },
};

TAP_MAIN(cases)
