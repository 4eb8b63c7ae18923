/* SPDX-License-Identifier: ISC */
/* The table of VMs: ids, names, uids, and the rows that clients see. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/parent.h"
#include "shared/log.h"
#include "shared/str.h"

struct vment *
vmtab_id(struct parent *p, uint32_t id)
{
	struct vment *v;

	TAILQ_FOREACH(v, &p->vms, entry)
		if (v->id == id)
			return (v);
	return (NULL);
}

struct vment *
vmtab_find(struct parent *p, const struct vm_ref *ref)
{
	struct vment *v;

	if (ref->id != 0)
		return (vmtab_id(p, ref->id));
	TAILQ_FOREACH(v, &p->vms, entry)
		if (strcmp(v->conf.name, ref->name) == 0)
			return (v);
	return (NULL);
}

/* Ids go up and are not used twice before they wrap.  T75. */
static uint32_t
vmtab_next_id(struct parent *p)
{
	do {
		if (++p->next_id == 0)
			p->next_id = 1;
	} while (vmtab_id(p, p->next_id) != NULL);
	return (p->next_id);
}

struct vment *
vmtab_add(struct parent *p, const struct conf_vm *conf, struct err *e)
{
	struct vment *v;

	if ((v = calloc(1, sizeof(*v))) == NULL) {
		err_errno(e, "vm %s", conf->name);
		return (NULL);
	}
	v->p = p;
	v->id = vmtab_next_id(p);
	v->state = VM_STOPPED;
	v->conf = *conf;
	v->pidfd = -1;
	TAILQ_INIT(&v->waiters);
	TAILQ_INSERT_TAIL(&p->vms, v, entry);
	return (v);
}

void
vmtab_remove(struct vment *v, const char *reason)
{
	struct msg_gone gone = { .id = v->id };

	bug_on(vm_runs(v));
	strlcpy(gone.name, v->conf.name, sizeof(gone.name));
	strlcpy(gone.reason, reason, sizeof(gone.reason));
	if (v->p->control.peer != NULL)
		peer_send(v->p->control.peer, MSG_VM_GONE, 0, NULL, &gone,
		    sizeof(gone));
	TAILQ_REMOVE(&v->p->vms, v, entry);
	bug_on(!TAILQ_EMPTY(&v->waiters));
	vmdev_clear(v);
	free(v->later);
	free(v);
}

bool
vm_runs(const struct vment *v)
{
	return (v->state != VM_STOPPED && v->state != VM_WAITING);
}

unsigned
vmtab_running(const struct parent *p)
{
	const struct vment *v;
	unsigned n = 0;

	TAILQ_FOREACH(v, &p->vms, entry)
		n += vm_runs(v);
	return (n);
}

unsigned
vmtab_devs(const struct parent *p)
{
	const struct vment *v;
	unsigned n = 0;

	TAILQ_FOREACH(v, &p->vms, entry)
		n += v->ndevs;
	return (n);
}

void
vm_row(const struct vment *v, struct msg_row *row)
{
	memset(row, 0, sizeof(*row));
	row->id = v->id;
	row->state = v->state;
	row->flags = (v->conf.enabled ? 0 : ROW_DISABLED) |
	    (v->configured ? ROW_CONFIGURED : 0) |
	    (v->reason[0] != '\0' ? ROW_FAILED : 0);
	row->ncpus = v->conf.cpus;
	row->owner_uid = v->conf.owner.uid;
	row->owner_gid = v->conf.owner.gid;
	row->mem_bytes = v->conf.memory;
	row->console_ring = v->conf.console_size;
	row->ndevs = v->conf.ndisks + v->conf.nshares;
	if (vm_runs(v)) {
		row->pid = v->lingers ? 0 : v->pid;
		row->restarts = v->restarts;
		row->started_s = v->started_s;
	}
	strlcpy(row->name, v->conf.name, sizeof(row->name));
	strlcpy(row->reason, v->reason, sizeof(row->reason));
	if (v->lingers) {
		row->flags |= ROW_FAILED;
		vmdev_left(v, row->reason, sizeof(row->reason));
	}
}

void
vm_changed(struct vment *v)
{
	struct msg_row row;

	if (v->p->control.peer == NULL)
		return; /* it gets all rows when it is up again */
	vm_row(v, &row);
	peer_send(v->p->control.peer, MSG_VM_ROW, 0, NULL, &row, sizeof(row));
}

int
vmtab_uid(struct parent *p, uid_t *uid, struct err *e)
{
	struct vment *v;
	uint64_t u;

	for (u = p->conf->uid_first; u <= p->conf->uid_last; u++) {
		if (u == p->uid)
			continue;
		TAILQ_FOREACH(v, &p->vms, entry)
			if (vm_runs(v) && v->uid == u)
				break;
		if (v == NULL && !record_uid_used(p, (uid_t)u)) {
			*uid = u;
			return (0);
		}
	}
	return (err_set(e, EAGAIN,
	    "all uids %u - %u of \"user range\" are in use: stop a vm, or widen "
	    "it in vm.conf",
	    p->conf->uid_first, p->conf->uid_last));
}
