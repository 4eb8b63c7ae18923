/* SPDX-License-Identifier: ISC */
/* struct conf: its defaults, end, and questions to it.  See conf.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/conf_int.h"

/* One plain key's default into the object that has it. */
static void
key_default(const struct conf_key *k, void *object)
{
	char *field = (char *)object + k->field;
	struct conf_owner *o;

	switch (k->type) {
	case CONF_FLAG:
		*(bool *)field = k->def != 0;
		break;
	case CONF_CHOICE:
		*(uint8_t *)field = (uint8_t)k->def;
		break;
	case CONF_NUM:
		*(uint32_t *)(void *)field = (uint32_t)k->def;
		break;
	case CONF_SIZE:
		*(uint64_t *)(void *)field = k->def;
		break;
	case CONF_OWNER:
		o = (struct conf_owner *)(void *)field;
		memset(o, 0, sizeof(*o));
		o->gid = (uint32_t)k->def;
		break;
	case CONF_STRING:
	case CONF_PATH:
	case CONF_ABSPATH:
	case CONF_NAME:
	case CONF_IFNAME:
	case CONF_GROUP:
		snprintf(
		    field, k->max + 1, "%s", k->sdef == NULL ? "" : k->sdef);
		break;
	case CONF_SPECIAL:
		break;
	}
}

void
conf_defaults(enum conf_scope scope, void *object)
{
	size_t i;

	for (i = 0; i < conf_keys[scope].nrows; i++)
		key_default(&conf_keys[scope].rows[i], object);
}

struct conf *
conf_new(void)
{
	struct conf *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return (NULL);
	conf_defaults(CONF_SCOPE_GLOBAL, c);
	c->prefix = CONF_PREFIX;
	c->prefix_len = CONF_PREFIX_LEN;
	c->delay = CONF_DELAY;
	c->uid_first = CONF_UID_FIRST;
	c->uid_last = CONF_UID_LAST;
	snprintf(c->agentx_path, sizeof(c->agentx_path), "%s", CONF_AGENTX);
	return (c);
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	free(c->switches);
	free(c->vms);
	free(c);
}

void
conf_vm_init(struct conf_vm *vm)
{
	memset(vm, 0, sizeof(*vm));
	conf_defaults(CONF_SCOPE_VM, vm);
	vm->allow_owner.gid = CONF_NONE;
}

void
conf_disk_init(struct conf_disk *d)
{
	memset(d, 0, sizeof(*d));
	conf_defaults(CONF_SCOPE_DISK, d);
}

bool
conf_text_ok(const char *text)
{
	return (cp_text_ok(text));
}

const struct conf_vm *
conf_vm_find(const struct conf *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nvms; i++)
		if (strcmp(c->vms[i].name, name) == 0)
			return (&c->vms[i]);
	return (NULL);
}

const struct conf_switch *
conf_switch_find(const struct conf *c, const char *name)
{
	size_t i;

	for (i = 0; i < c->nswitches; i++)
		if (strcmp(c->switches[i].name, name) == 0)
			return (&c->switches[i]);
	return (NULL);
}

uint32_t
conf_stop_timeout(const struct conf *c, const struct conf_vm *vm)
{
	return (
	    vm->stop_timeout == CONF_NONE ? c->stop_timeout : vm->stop_timeout);
}

/*
 * Without a format an image is raw: one that a guest can write must not be
 * asked what it is (T46).  But its name may say that it is something else.
 */
static const struct conf_disk *
disk_unsupported(const struct conf_vm *vm)
{
	const struct conf_disk *d;
	const char *dot;

	for (d = vm->disks; d < vm->disks + vm->ndisks; d++) {
		dot = strrchr(d->path, '.');
		if (d->format == CONF_FORMAT_QCOW2 ||
		    (d->format == CONF_FORMAT_AUTO && dot != NULL &&
			strcmp(dot, ".qcow2") == 0))
			return (d);
	}
	return (NULL);
}

int
conf_vm_unsupported(const struct conf_vm *vm, struct err *e)
{
	const char *what = NULL, *instead = "remove it from vm.conf";
	const struct conf_disk *d;

	if (vm->instance[0] != '\0')
		what = "instance";
	else if (vm->boot[0] == '\0') {
		what = "firmware boot (no \"boot PATH\")";
		instead = "name a Linux kernel with \"boot\"";
	} else if (vm->bootdev != CONF_BOOTDEV_AUTO)
		what = "boot device";
	else if ((d = disk_unsupported(vm)) != NULL)
		return (err_set(e, ENOTSUP,
		    "vm \"%s\", disk %s: this version serves raw images only; "
		    "convert it, or say \"format raw\" if it is one",
		    vm->name, d->path));
	else if (vm->cdrom[0] != '\0')
		what = "cdrom";
	else if (vm->nnics > 0)
		what = vm->nics[0].local ? "local interface" : "interface";
	else if (vm->sev)
		what = "sev";
	else if (vm->seves)
		what = "seves";
	if (what == NULL)
		return (0);
	return (err_set(e, ENOTSUP,
	    "vm \"%s\": this version cannot start a VM "
	    "with %s%s%s yet; %s",
	    vm->name, strchr(what, '"') ? "" : "\"", what,
	    strchr(what, '"') ? "" : "\"", instead));
}
