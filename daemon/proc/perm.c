/* SPDX-License-Identifier: ISC */
/* Who may do what to which VM: see perm.h.  Pure. */
#include "daemon/proc/perm.h"

static bool
perm_member(const struct msg_cred *c, uint32_t gid)
{
	uint32_t i;

	if (gid == UINT32_MAX)
		return (false);
	if (c->gid == gid)
		return (true);
	for (i = 0; i < c->ngroups && i < CRED_GROUPS; i++)
		if (c->groups[i] == gid)
			return (true);
	return (false);
}

bool
perm_ok(const struct msg_cred *c, enum perm_verb verb, const struct perm_vm *vm)
{
	if (c->uid == 0 || verb == PERM_STATUS)
		return (true);
	if (verb == PERM_ADMIN || verb >= PERM_NVERBS)
		return (false);
	if (c->uid == vm->owner_uid || perm_member(c, vm->owner_gid))
		return (true);
	return (verb == PERM_STOP && vm->started && c->uid == vm->starter_uid);
}
