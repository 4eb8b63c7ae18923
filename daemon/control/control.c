/* SPDX-License-Identifier: ISC */
/* control: see control.h.  Here: its start, and what the parent tells it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "daemon/proc/link.h"
#include "daemon/proc/proc.h"

struct cvm *
cvm_id(struct control *ctl, uint32_t id)
{
	struct cvm *v;

	TAILQ_FOREACH(v, &ctl->vms, entry)
		if (v->row.id == id)
			return (v);
	return (NULL);
}

struct cvm *
cvm_find(struct control *ctl, const struct vm_ref *ref)
{
	struct cvm *v;

	if (ref->id != 0)
		return (cvm_id(ctl, ref->id));
	TAILQ_FOREACH(v, &ctl->vms, entry)
		if (strcmp(v->row.name, ref->name) == 0)
			return (v);
	return (NULL);
}

/* Kept in the order of ids: lists go on after the last one sent. */
static struct cvm *
cvm_new(struct control *ctl, uint32_t id)
{
	struct cvm *v, *after;

	if ((v = calloc(1, sizeof(*v))) == NULL)
		return (NULL);
	v->ctl = ctl;
	v->row.id = id;
	TAILQ_FOREACH_REVERSE(after, &ctl->vms, cvmhead, entry)
		if (after->row.id < id)
			break;
	if (after == NULL)
		TAILQ_INSERT_HEAD(&ctl->vms, v, entry);
	else
		TAILQ_INSERT_AFTER(&ctl->vms, after, v, entry);
	return (v);
}

static int
on_row(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_row *m = msg->body;
	struct control *ctl = ctx;
	struct msg_row row;
	struct cvm *v;

	(void)from;
	if ((v = cvm_id(ctl, m->id)) == NULL &&
	    (v = cvm_new(ctl, m->id)) == NULL)
		return (err_errno(e, "row"));
	v->row = *m;
	cdev_forget(v, m->ndevs);
	view_row(v, &row);
	client_push(ctl, SUB_ROWS, MSG_VM_ROW, &row, sizeof(row));
	if (!cons_expected(v))
		held_vm(ctl, v->row.id);
	return (0);
}

static int
on_gone(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_gone *m = msg->body;
	struct control *ctl = ctx;
	struct cvm *v;

	(void)from;
	(void)e;
	client_push(ctl, SUB_ROWS, MSG_VM_GONE, m, sizeof(*m));
	if ((v = cvm_id(ctl, m->id)) == NULL)
		return (0);
	TAILQ_REMOVE(&ctl->vms, v, entry);
	cdev_forget(v, 0);
	if (v->cons != NULL)
		cons_release(v->cons);
	if (v->joining != NULL)
		cons_release(v->joining);
	free(v);
	held_vm(ctl, m->id);
	return (0);
}

static int
on_event(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_event *m = msg->body;
	struct control *ctl = ctx;

	(void)from;
	(void)e;
	ctl->events[ctl->nevents++ % EVENTS_KEPT] = *m;
	client_push(ctl, SUB_EVENTS, MSG_EVENT, m, sizeof(*m));
	return (0);
}

static int
on_answer(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	(void)from;
	(void)e;
	client_answer(ctx, msg);
	return (0);
}

static int
on_listen(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct control *ctl = ctx;

	(void)from;
	if (ctl->ev_listen != NULL)
		return (err_set(e, EEXIST, "there is a socket already"));
	return (client_listen(ctl, &msg->fd, e));
}

static int
on_vm(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_vm_channel *m = msg->body;
	struct cvm *v;

	(void)from;
	if ((v = cvm_id(ctx, m->id)) == NULL)
		return (err_set(e, ENOENT, "no vm with id %u", m->id));
	return (cons_open(v, &msg->fd, e));
}

static const struct msg_handler from_parent[] = {
	{ MSG_OK, on_answer },
	{ MSG_ERR, on_answer },
	{ MSG_LENT, on_answer },
	{ MSG_STARTED, on_answer },
	{ MSG_VM_ROW, on_row },
	{ MSG_VM_GONE, on_gone },
	{ MSG_DEV_ROW, on_dev_row },
	{ MSG_EVENT, on_event },
	{ MSG_CTL_LISTEN, on_listen },
	{ MSG_CTL_VM, on_vm },
	{ MSG_VERBOSE, link_verbose },
};

/* The next parent starts a control of its own. */
static void
parent_closed(void *ctx, struct peer *peer, const struct err *why)
{
	struct control *ctl = ctx;

	(void)peer;
	(void)why;
	ctl->parent = NULL;
	event_base_loopbreak(ctl->base); /* nothing may need it any more */
}

int
control_open(
    struct control *ctl, struct event_base *base, int *link, struct err *e)
{
	struct peer_conf conf = {
		.other = ROLE_PARENT,
		.handlers = from_parent,
		.nhandlers = sizeof(from_parent) / sizeof(from_parent[0]),
		.ctx = ctl,
		.closed = parent_closed,
		.queue_bytes = 16u << 20,
	};

	memset(ctl, 0, sizeof(*ctl));
	ctl->base = base;
	ctl->listen_fd = -1;
	TAILQ_INIT(&ctl->clients);
	TAILQ_INIT(&ctl->vms);
	TAILQ_INIT(&ctl->requests);
	TAILQ_INIT(&ctl->held);
	ctl->parent = peer_open(base, link, &conf, e);
	return (ctl->parent == NULL ? -1 : 0);
}

int
control_run(const struct proc_start *start)
{
	static struct control ctl;
	struct event_base *base = event_base_new();
	int fd = start->link_fd;
	struct err e;

	if (base == NULL || control_open(&ctl, base, &fd, &e) == -1)
		return (1);
	return (link_run(base, &ctl.parent, &filter_control));
}
