/* SPDX-License-Identifier: ISC */
/*
 * Applying a configuration: at the start, on SIGHUP or "vmctl reload", and
 * "vmctl load".  What runs goes on as it is; its new settings wait for its end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/parent/parent.h"
#include "shared/log.h"
#include "shared/str.h"

struct have {
	struct conf_have *row;
	struct vment **vm;
	size_t n;
};

static int
have_make(struct parent *p, struct have *h, struct err *e)
{
	struct vment *v;
	size_t n = 0;

	TAILQ_FOREACH(v, &p->vms, entry)
		n++;
	h->n = 0;
	h->row = calloc(n + 1, sizeof(*h->row));
	h->vm = calloc(n + 1, sizeof(*h->vm));
	if (h->row == NULL || h->vm == NULL)
		return (err_errno(e, "configuration"));
	TAILQ_FOREACH(v, &p->vms, entry) {
		h->row[h->n].vm = v->later != NULL ? v->later : &v->conf;
		h->row[h->n].running = vm_runs(v);
		h->vm[h->n++] = v;
	}
	return (0);
}

static void
apply_later(struct vment *v, const struct conf_vm *conf)
{
	v->leaves = conf == NULL;
	if (conf == NULL)
		return;
	v->configured = true;
	if (v->later == NULL &&
	    (v->later = malloc(sizeof(*v->later))) == NULL) {
		log_warn("vm %s keeps its settings", v->conf.name);
		return;
	}
	*v->later = *conf;
	/* Who owns it and whether it starts by itself counts at once. */
	v->conf.owner = conf->owner;
	v->conf.enabled = conf->enabled;
	vm_changed(v);
}

/* Settings that must not change under running guests and clients. */
static bool
key_fixed(const char *name)
{
	static const char *const fixed[] = {
		"socket owner",
		"socket path",
		"state directory",
		"user range",
	};
	size_t i;

	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (strcmp(name, fixed[i]) == 0)
			return (true);
	return (false);
}

static int
apply(struct parent *p, const struct conf_action *a, const struct have *h,
    struct err *e)
{
	struct vment *v = a->have < h->n ? h->vm[a->have] : NULL;

	switch (a->act) {
	case CONF_GLOBAL_CHANGE:
		if (key_fixed(a->key->name))
			parent_event(p, NULL, false,
			    "\"%s\" changes when vmd is started again",
			    a->key->name);
		break;
	case CONF_SWITCHES_CHANGE:
		break; /* the new list comes with the new conf */
	case CONF_VM_REMOVE:
		vmtab_remove(v, "it is not in vm.conf any more");
		break;
	case CONF_VM_CHANGE:
		v->conf = *a->vm;
		v->configured = true;
		v->leaves = false;
		vm_changed(v);
		vmdev_rows(v);
		break;
	case CONF_VM_ADD:
		if ((v = vmtab_add(p, a->vm, e)) == NULL)
			return (-1);
		v->configured = true;
		vm_changed(v);
		vmdev_rows(v);
		break;
	case CONF_VM_LATER:
		apply_later(v, a->vm);
		if (vm_runs(v))
			break;
		vm_settle(v); /* "vmctl load": its end was before */
		vm_changed(v);
		vmdev_rows(v);
		break;
	}
	return (0);
}

static void
report(void *ctx, enum conf_level level, const char *line)
{
	(void)ctx;
	if (level == CONF_NOTE)
		log_debug("%s", line);
	else
		log_warnx("%s", line);
}

/* What must not change under running guests keeps its value. */
static void
keep_fixed(const struct conf *old, struct conf *new)
{
	new->uid_first = old->uid_first;
	new->uid_last = old->uid_last;
	strlcpy(new->state_dir, old->state_dir, sizeof(new->state_dir));
	strlcpy(new->socket_path, old->socket_path, sizeof(new->socket_path));
	new->socket_owner = old->socket_owner;
}

/* Takes new. */
static int
parent_apply(struct parent *p, struct conf *new, bool add_only, struct err *e)
{
	struct conf_action *acts = NULL;
	struct have h = { NULL, NULL, 0 };
	struct conf *old = p->conf;
	size_t i, n = 0;
	int rc = -1;

	if (have_make(p, &h, e) == -1)
		goto out;
	if (conf_diff(old, h.row, h.n, new, add_only, &acts, &n) == -1) {
		err_errno(e, "configuration");
		goto out;
	}
	/*
	 * One taken back that is just as the file has it needs no action, nor
	 * does one that is in the file again before it ended.
	 */
	for (i = 0; i < h.n; i++)
		if (conf_vm_find(new, h.row[i].vm->name) != NULL) {
			h.vm[i]->configured = true;
			h.vm[i]->leaves = false;
		}
	for (rc = 0, i = 0; rc == 0 && i < n; i++)
		rc = apply(p, &acts[i], &h, e);
	if (!add_only) {
		keep_fixed(old, new);
		p->conf = new;
		new = old;
	}
	parent_event(p, NULL, false, "configuration %s, %zu change%s",
	    add_only ? "added to" : "read", n, n == 1 ? "" : "s");
out:
	free(acts);
	free(h.row);
	free(h.vm);
	conf_free(new);
	return (rc);
}

int
parent_load(struct parent *p, const char *path, bool add_only, struct err *e)
{
	struct conf *new;

	if (conf_load(&new, path, p->macros, p->nmacros,
		add_only ? p->conf : NULL, report, NULL, e) == -1 ||
	    parent_apply(p, new, add_only, e) == -1)
		return (-1);
	vm_start_enabled(p);
	return (0);
}

int
parent_first_load(struct parent *p, struct err *e)
{
	struct conf *new, *none;

	if (conf_load(&new, p->conf_path, p->macros, p->nmacros, NULL, report,
		NULL, e) == -1)
		return (-1);
	if ((none = conf_new()) == NULL) {
		conf_free(new);
		return (err_errno(e, "configuration"));
	}
	/* These count from the start, the VMs when the table is there. */
	keep_fixed(new, none);
	p->conf = none;
	p->first = new;
	return (0);
}

int
parent_first_apply(struct parent *p, struct err *e)
{
	struct conf *new = p->first;

	p->first = NULL;
	return (parent_apply(p, new, false, e));
}

void
parent_forget_vms(struct parent *p)
{
	struct vment *v, *next;

	for (v = TAILQ_FIRST(&p->vms); v != NULL; v = next) {
		next = TAILQ_NEXT(v, entry);
		v->leaves = true;
		if (vm_runs(v))
			vm_kill(v);
		else
			vmtab_remove(v, "vmctl reset");
	}
}
