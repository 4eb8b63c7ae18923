/* SPDX-License-Identifier: ISC */
/*
 * A port that ends the machine with a code: for tests and their tiny guests.
 * Runs in: vm process.  Trusts: nobody; only a VM started for it has one.
 */
#include "daemon/dev/dev.h"

static void
debug_exit_access(struct dev *d, unsigned range, struct bus_access *a)
{
	(void)range;
	if (a->write)
		d->mach->ops->event(d->mach, MACH_EXIT, (uint32_t)a->val);
}

const struct dev_ops dev_debug_exit = {
	.name = "debug_exit",
	.spec = "a write ends the machine, what was written is the code",
	.version = 1,
	.access = debug_exit_access,
};
