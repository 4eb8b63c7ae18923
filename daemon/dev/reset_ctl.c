/* SPDX-License-Identifier: ISC */
/*
 * The reset control register at 0xcf9, which ACPI names as the reset register.
 * A byte of its own inside the PCI host's ports.
 * Runs in: vm process.  Trusts: nobody.
 */
#include "daemon/dev/dev.h"
#include "daemon/dev/snap.h"

#define RST_CPU 0x04  /* setting it starts the reset */
#define RST_KEPT 0x0a /* kind of reset: system, full */

struct reset_ctl {
	uint8_t kind;
};

static void
reset_ctl_reset(struct dev *d)
{
	struct reset_ctl *s = d->state;

	s->kind = 0;
}

/* The processor-only reset is done as a reset of all, as chipsets may. */
static void
reset_ctl_access(struct dev *d, unsigned range, struct bus_access *a)
{
	struct reset_ctl *s = d->state;

	(void)range;
	if (!a->write) {
		a->val = s->kind;
		return;
	}
	s->kind = a->val & RST_KEPT;
	if (a->val & RST_CPU)
		d->mach->ops->event(d->mach, MACH_RESET, 0);
}

static void
reset_ctl_save(struct dev *d, struct snap_w *w)
{
	const struct reset_ctl *s = d->state;

	snap_put_u8(w, s->kind);
}

static int
reset_ctl_load(struct dev *d, struct snap_r *r, struct err *e)
{
	struct reset_ctl *s = d->state;
	uint8_t kind = snap_get_u8(r);

	if (kind & ~RST_KEPT)
		r->failed = true;
	if (snap_end(r, d->ops->name, e) == -1)
		return (-1);
	s->kind = kind;
	return (0);
}

const struct dev_ops dev_reset_ctl = {
	.name = "reset_ctl",
	.spec = "Intel 82371SB (PIIX3), 2.4.4",
	.state_bytes = sizeof(struct reset_ctl),
	.version = 1,
	.bytes_only = true,
	.reset = reset_ctl_reset,
	.access = reset_ctl_access,
	.save = reset_ctl_save,
	.load = reset_ctl_load,
};
