/* SPDX-License-Identifier: ISC */
/*
 * ACPI fixed hardware: PM1 events and control, the PM timer (ACPI 6.5, 4.8.3).
 * There is no SMI: the machine is in ACPI mode from the start (SCI_EN set).
 * Ranges: 0 PM1 event block, 1 PM1 control, 2 PM timer.
 * Runs in: vm process.  Trusts: nobody.
 */
#include <string.h>

#include "daemon/dev/acpi.h"
#include "daemon/dev/dev.h"
#include "daemon/dev/snap.h"

#define NS 1000000000ull
#define TMR_HZ 3579545
#define TMR_HALF_BITS 31 /* TMR_STS is set when bit 31 changes */

#define EVT_TMR 0x0001
#define EVT_GBL 0x0020
#define EVT_PWRBTN 0x0100
#define EVT_RTC 0x0400
#define STS_ALL (EVT_TMR | EVT_GBL | EVT_PWRBTN | EVT_RTC)
#define EN_ALL STS_ALL

#define CNT_SCI_EN 0x0001
#define CNT_BM_RLD 0x0002
#define CNT_SLP_TYP 0x1c00
#define CNT_SLP_EN 0x2000
#define CNT_KEPT (CNT_BM_RLD | CNT_SLP_TYP)

struct acpi_pm {
	uint16_t sts, en, cnt;
	uint64_t half; /* timer halves seen by TMR_STS */
};

static uint64_t
pm_ticks(struct dev *d)
{
	uint64_t ns = d->mach->ops->mono_ns(d->mach);

	return (ns / NS * TMR_HZ + ns % NS * TMR_HZ / NS);
}

static void
pm_sync(struct dev *d)
{
	struct acpi_pm *s = d->state;
	uint64_t half = pm_ticks(d) >> TMR_HALF_BITS;

	if (half != s->half)
		s->sts |= EVT_TMR;
	s->half = half;
}

/* The timer is armed only while the guest wants its event and has none. */
static void
pm_update(struct dev *d, bool rearm)
{
	const struct acpi_pm *s = d->state;
	uint64_t at = ~0ull, next;

	dev_irq(d, (s->sts & s->en) != 0);
	if (!rearm)
		return;
	if (s->en & ~s->sts & EVT_TMR) {
		next = (s->half + 1) << TMR_HALF_BITS;
		at = next / TMR_HZ * NS +
		    (next % TMR_HZ * NS + TMR_HZ - 1) / TMR_HZ;
	}
	d->mach->ops->timer(d->mach, d, at);
}

/* One byte of status (written ones clear) or enable. */
static void
evt_write(struct dev *d, unsigned off, uint8_t v)
{
	struct acpi_pm *s = d->state;
	unsigned shift = 8 * (off & 1);
	uint16_t was = s->en;
	bool acked;

	acked = off < 2 && (s->sts & (v << shift) & EVT_TMR) != 0;
	if (off < 2)
		s->sts &= (uint16_t) ~(v << shift);
	else
		s->en = (uint16_t)((s->en & ~(0xff << shift)) | v << shift) &
		    EN_ALL;
	pm_update(d, acked || ((was ^ s->en) & EVT_TMR) != 0);
}

/* One byte of control; SLP_EN sits in the second, beside SLP_TYP. */
static void
cnt_write(struct dev *d, unsigned off, uint8_t v)
{
	struct acpi_pm *s = d->state;
	unsigned shift = 8 * off;
	uint16_t all = (uint16_t)((s->cnt & ~(0xff << shift)) | v << shift);

	s->cnt = all & CNT_KEPT;
	if (all & CNT_SLP_EN && (all & CNT_SLP_TYP) == ACPI_S5_TYP << 10)
		d->mach->ops->event(d->mach, MACH_POWEROFF, 0);
}

static uint32_t
pm_read(struct dev *d, unsigned range)
{
	const struct acpi_pm *s = d->state;

	switch (range) {
	case 0:
		return (s->sts | (uint32_t)s->en << 16);
	case 1:
		return (s->cnt | CNT_SCI_EN);
	default:
		return ((uint32_t)pm_ticks(d));
	}
}

static void
acpi_pm_access(struct dev *d, unsigned range, struct bus_access *a)
{
	unsigned i;

	if (range == 0)
		pm_sync(d);
	if (!a->write) {
		a->val = pm_read(d, range) >> (8 * (a->off_bytes & 3));
		return;
	}
	for (i = 0; i < a->len_bytes; i++)
		if (range == 0)
			evt_write(d, (a->off_bytes + i) & 3,
			    (uint8_t)(a->val >> (8 * i)));
		else if (range == 1)
			cnt_write(d, (a->off_bytes + i) & 1,
			    (uint8_t)(a->val >> (8 * i)));
}

static void
acpi_pm_timer(struct dev *d)
{
	pm_sync(d);
	pm_update(d, true);
}

void
acpi_pm_power_button(struct dev *d)
{
	struct acpi_pm *s = d->state;

	pthread_mutex_lock(&d->lock);
	s->sts |= EVT_PWRBTN;
	pm_update(d, false);
	pthread_mutex_unlock(&d->lock);
}

static void
acpi_pm_reset(struct dev *d)
{
	struct acpi_pm *s = d->state;

	memset(s, 0, sizeof(*s));
	s->half = pm_ticks(d) >> TMR_HALF_BITS;
}

static void
acpi_pm_save(struct dev *d, struct snap_w *w)
{
	const struct acpi_pm *s = d->state;

	pm_sync(d);
	snap_put_u16(w, s->sts);
	snap_put_u16(w, s->en);
	snap_put_u16(w, s->cnt);
}

static int
acpi_pm_load(struct dev *d, struct snap_r *r, struct err *e)
{
	struct acpi_pm s = { .half = pm_ticks(d) >> TMR_HALF_BITS };

	s.sts = snap_get_u16(r);
	s.en = snap_get_u16(r);
	s.cnt = snap_get_u16(r);
	if (s.sts & ~STS_ALL || s.en & ~EN_ALL || s.cnt & ~CNT_KEPT)
		r->failed = true;
	if (snap_end(r, d->ops->name, e) == -1)
		return (-1);
	*(struct acpi_pm *)d->state = s;
	pm_update(d, true);
	return (0);
}

const struct dev_ops dev_acpi_pm = {
	.name = "acpi_pm",
	.spec = "ACPI 6.5, 4.8.3",
	.state_bytes = sizeof(struct acpi_pm),
	.version = 1,
	.reset = acpi_pm_reset,
	.access = acpi_pm_access,
	.timer = acpi_pm_timer,
	.save = acpi_pm_save,
	.load = acpi_pm_load,
};
