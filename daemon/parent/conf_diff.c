/* SPDX-License-Identifier: ISC */
/*
 * Compare two struct conf, and say what a reload has to do.  Names of users are
 * no difference, their numbers are; nor is a default that was written out.
 *
 * Runs in: parent.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/conf.h"

static bool
owner_equal(const struct conf_owner *a, const struct conf_owner *b)
{
	return (a->uid == b->uid && a->gid == b->gid);
}

/* One plain key of two objects; CONF_SPECIAL is always equal here. */
static bool
key_equal(const struct conf_key *k, const void *a, const void *b)
{
	const char *x = (const char *)a + k->field;
	const char *y = (const char *)b + k->field;

	switch (k->type) {
	case CONF_SPECIAL:
		return (true);
	case CONF_FLAG:
		return (*(const bool *)x == *(const bool *)y);
	case CONF_CHOICE:
		return (*x == *y);
	case CONF_NUM:
		return (memcmp(x, y, sizeof(uint32_t)) == 0);
	case CONF_SIZE:
		return (memcmp(x, y, sizeof(uint64_t)) == 0);
	case CONF_OWNER:
		return (owner_equal((const struct conf_owner *)(const void *)x,
		    (const struct conf_owner *)(const void *)y));
	default:
		return (strcmp(x, y) == 0);
	}
}

static bool
keys_equal(enum conf_scope scope, const void *a, const void *b)
{
	const struct conf_keys *keys = &conf_keys[scope];
	size_t i;

	for (i = 0; i < keys->nrows; i++)
		if (!key_equal(&keys->rows[i], a, b))
			return (false);
	return (true);
}

static bool
nic_equal(const struct conf_nic *a, const struct conf_nic *b)
{
	return (keys_equal(CONF_SCOPE_IF, a, b) && a->local == b->local &&
	    a->locked == b->locked && a->has_lladdr == b->has_lladdr &&
	    memcmp(a->lladdr, b->lladdr, sizeof(a->lladdr)) == 0 &&
	    strcmp(a->tap, b->tap) == 0);
}

static bool
allow_equal(const struct conf_vm *a, const struct conf_vm *b)
{
	return (a->allow == b->allow &&
	    ((a->allow & CONF_ALLOW_OWNER) == 0 ||
		owner_equal(&a->allow_owner, &b->allow_owner)));
}

bool
conf_switch_equal(const struct conf_switch *a, const struct conf_switch *b)
{
	return (strcmp(a->name, b->name) == 0 &&
	    keys_equal(CONF_SCOPE_SWITCH, a, b));
}

bool
conf_vm_equal(const struct conf_vm *a, const struct conf_vm *b)
{
	unsigned i;

	if (strcmp(a->name, b->name) != 0 ||
	    strcmp(a->instance, b->instance) != 0 ||
	    (a->instance[0] != '\0' && a->set != b->set) ||
	    a->ndisks != b->ndisks || a->nnics != b->nnics ||
	    a->nshares != b->nshares || !allow_equal(a, b) ||
	    !keys_equal(CONF_SCOPE_VM, a, b))
		return (false);
	for (i = 0; i < a->ndisks; i++)
		if (strcmp(a->disks[i].path, b->disks[i].path) != 0 ||
		    !keys_equal(CONF_SCOPE_DISK, &a->disks[i], &b->disks[i]))
			return (false);
	for (i = 0; i < a->nshares; i++)
		if (strcmp(a->shares[i].path, b->shares[i].path) != 0 ||
		    !keys_equal(CONF_SCOPE_SHARE, &a->shares[i], &b->shares[i]))
			return (false);
	for (i = 0; i < a->nnics; i++)
		if (!nic_equal(&a->nics[i], &b->nics[i]))
			return (false);
	return (true);
}

/* ---- global ---- */

static bool
global_special_equal(
    const char *key, const struct conf *a, const struct conf *b)
{
	if (strcmp(key, "user range") == 0)
		return (
		    a->uid_first == b->uid_first && a->uid_last == b->uid_last);
	if (strcmp(key, "staggered start") == 0)
		return (a->staggered == b->staggered &&
		    a->parallel == b->parallel && a->delay == b->delay);
	if (strcmp(key, "local prefix") == 0)
		return (
		    a->prefix == b->prefix && a->prefix_len == b->prefix_len);
	if (strcmp(key, "local inet6") == 0)
		return (a->inet6 == b->inet6 &&
		    a->has_prefix6 == b->has_prefix6 &&
		    a->prefix6_len == b->prefix6_len &&
		    memcmp(a->prefix6, b->prefix6, sizeof(a->prefix6)) == 0);
	if (strcmp(key, "agentx") == 0)
		return (a->agentx == b->agentx &&
		    strcmp(a->agentx_path, b->agentx_path) == 0 &&
		    strcmp(a->agentx_context, b->agentx_context) == 0);
	return (true);
}

static bool
global_equal(
    const struct conf_key *k, const struct conf *a, const struct conf *b)
{
	if (k->type == CONF_SPECIAL)
		return (global_special_equal(k->name, a, b));
	return (key_equal(k, a, b));
}

static bool
switches_equal(const struct conf *a, const struct conf *b)
{
	size_t i;

	if (a->nswitches != b->nswitches)
		return (false);
	for (i = 0; i < a->nswitches; i++)
		if (!conf_switch_equal(&a->switches[i], &b->switches[i]))
			return (false);
	return (true);
}

bool
conf_equal(const struct conf *a, const struct conf *b)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_GLOBAL];
	size_t i;

	for (i = 0; i < keys->nrows; i++)
		if (!global_equal(&keys->rows[i], a, b))
			return (false);
	if (!switches_equal(a, b) || a->nvms != b->nvms)
		return (false);
	for (i = 0; i < a->nvms; i++)
		if (!conf_vm_equal(&a->vms[i], &b->vms[i]))
			return (false);
	return (true);
}

/* ---- reload ---- */

struct diff {
	const struct conf *old, *new;
	const struct conf_have *have;
	size_t nhave;
	bool add_only;
	struct conf_action *acts; /* has room for all there can be */
	size_t nacts;
};

static struct conf_action *
diff_add(struct diff *d, enum conf_act act)
{
	struct conf_action *a = &d->acts[d->nacts++];

	memset(a, 0, sizeof(*a));
	a->act = act;
	return (a);
}

static void
diff_global(struct diff *d)
{
	const struct conf_keys *keys = &conf_keys[CONF_SCOPE_GLOBAL];
	size_t i;

	for (i = 0; i < keys->nrows; i++)
		if (!global_equal(&keys->rows[i], d->old, d->new))
			diff_add(d, CONF_GLOBAL_CHANGE)->key = &keys->rows[i];
	if (!switches_equal(d->old, d->new))
		diff_add(d, CONF_SWITCHES_CHANGE);
}

/* A switch that "vmctl load" brings and that is not there yet. */
static void
diff_add_switches(struct diff *d)
{
	size_t i;

	for (i = 0; i < d->new->nswitches; i++)
		if (conf_switch_find(d->old, d->new->switches[i].name) ==
		    NULL) {
			diff_add(d, CONF_SWITCHES_CHANGE);
			return;
		}
}

static void
diff_gone(struct diff *d)
{
	const struct conf_have *h;
	size_t i;

	for (i = 0; i < d->nhave; i++) {
		h = &d->have[i];
		if (conf_vm_find(d->new, h->vm->name) == NULL)
			diff_add(d, h->running ? CONF_VM_LATER : CONF_VM_REMOVE)
			    ->have = i;
	}
}

static size_t
diff_find(const struct diff *d, const char *name)
{
	size_t i;

	for (i = 0; i < d->nhave; i++)
		if (strcmp(d->have[i].vm->name, name) == 0)
			break;
	return (i);
}

static void
diff_vm(struct diff *d, const struct conf_vm *vm)
{
	const size_t i = diff_find(d, vm->name);
	struct conf_action *a;

	if (i == d->nhave) {
		diff_add(d, CONF_VM_ADD)->vm = vm;
		return;
	}
	if (conf_vm_equal(d->have[i].vm, vm))
		return;
	a = diff_add(d,
	    d->have[i].running || d->add_only ? CONF_VM_LATER : CONF_VM_CHANGE);
	a->have = i;
	a->vm = vm;
}

int
conf_diff(const struct conf *old, const struct conf_have *have, size_t nhave,
    const struct conf *new, bool add_only, struct conf_action **acts,
    size_t *nacts)
{
	struct diff d = { .old = old,
		.new = new,
		.have = have,
		.nhave = nhave,
		.add_only = add_only };
	size_t i;

	*acts = NULL;
	*nacts = 0;
	d.acts =
	    calloc(conf_keys[CONF_SCOPE_GLOBAL].nrows + 1 + nhave + new->nvms,
		sizeof(*d.acts));
	if (d.acts == NULL)
		return (-1);
	if (add_only)
		diff_add_switches(&d);
	else {
		diff_global(&d);
		diff_gone(&d);
	}
	for (i = 0; i < new->nvms; i++)
		diff_vm(&d, &new->vms[i]);
	if (d.nacts == 0)
		free(d.acts);
	else
		*acts = d.acts;
	*nacts = d.nacts;
	return (0);
}
