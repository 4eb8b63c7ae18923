/* SPDX-License-Identifier: ISC */
/* Who may do what to which VM: one function, asked by parent and control. */
#ifndef PROC_PERM_H
#define PROC_PERM_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/proto.h"

enum perm_verb {
	PERM_CONSOLE,
	PERM_START,
	PERM_STOP,
	PERM_PAUSE,
	PERM_REBOOT,
	PERM_WAIT,
	PERM_STATUS,
	PERM_ADMIN, /* load, reload, reset, log, a VM not in vm.conf */
	PERM_NVERBS
};

struct perm_vm {
	uint32_t owner_uid, owner_gid; /* gid ~0: no group */
	bool started;
	uint32_t starter_uid; /* valid if started */
};

/*
 * Root may do everything, everyone may see the status, a VM's owner (uid, or
 * member of the group) all that concerns the VM, and who started it may stop
 * it.  vm is not looked at for PERM_ADMIN.  vmctl(8), PERMISSIONS.
 */
bool perm_ok(const struct msg_cred *, enum perm_verb, const struct perm_vm *);

#endif
