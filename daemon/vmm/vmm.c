/* SPDX-License-Identifier: ISC */
/*
 * vmm: talks with the VM processes, so that the parent does not have to.
 *
 * A VM process is run by a guest that may have taken it over; what it sends is
 * checked here against the message table and passed on to the parent in vmm's
 * own words: its id is the one its link was made for, whatever it says.
 *
 * Runs in: vmm.  Trusts: the parent.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/proc/link.h"
#include "daemon/proc/proc.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/peer.h"
#include "shared/str.h"

#define GUEST_SAYS 256 /* messages of one VM process in a second */

struct vmm;

struct guest {
	TAILQ_ENTRY(guest) entry;
	struct vmm *vmm;
	uint32_t id;
	char name[VM_NAME_BYTES];
	struct peer *peer; /* NULL: its link is closed */
	bool reaped;       /* the parent says that its process is dead */
	struct event *ev_rest;
	time_t second; /* in which it said so many things */
	unsigned said;
};

struct vmm {
	struct event_base *base;
	struct peer *parent;
	TAILQ_HEAD(, guest) guests;
};

static struct guest *
guest_find(struct vmm *vmm, uint32_t id)
{
	struct guest *g;

	TAILQ_FOREACH(g, &vmm->guests, entry)
		if (g->id == id)
			return (g);
	return (NULL);
}

static void
guest_free(struct guest *g)
{
	TAILQ_REMOVE(&g->vmm->guests, g, entry);
	event_free(g->ev_rest);
	peer_close(g->peer);
	free(g);
}

/* Everything it said has been passed on: the last word. */
static void
guest_gone(struct guest *g)
{
	struct msg_vm_event ev = { .id = g->id, .what = WHAT_GONE };

	peer_send(g->vmm->parent, MSG_VM_EVENT, 0, NULL, &ev, sizeof(ev));
	guest_free(g);
}

static void
guest_failed(struct guest *g, const struct err *err)
{
	struct msg_vm_event ev = { .id = g->id, .what = WHAT_FAILED };

	msg_from_err(&ev.why, err);
	peer_send(g->vmm->parent, MSG_VM_EVENT, 0, NULL, &ev, sizeof(ev));
}

static void
guest_closed(void *ctx, struct peer *peer, const struct err *why)
{
	struct guest *g = ctx;

	(void)peer;
	g->peer = NULL;
	if (g->reaped) {
		guest_gone(g);
		return;
	}
	if (why->code != 0)
		log_guest("vm %s: link closed: %s", g->name, why->text);
}

/*
 * One that talks without end is not listened to for a while: what it says goes
 * on to the parent, to control and to every client that looks.
 */
static void
guest_said(struct guest *g)
{
	struct timeval rest = { .tv_sec = 1 };
	time_t now = clock_now_s();

	if (now != g->second) {
		g->second = now;
		g->said = 0;
	}
	if (++g->said < GUEST_SAYS || g->reaped)
		return;
	peer_pause(g->peer, 1);
	event_add(g->ev_rest, &rest);
}

static void
on_rested(int fd, short what, void *arg)
{
	struct guest *g = arg;

	(void)fd;
	(void)what;
	if (g->peer != NULL)
		peer_pause(g->peer, 0);
}

static int
on_guest_event(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct guest *g = ctx;
	struct msg_vm_event ev = *(const struct msg_vm_event *)msg->body;

	(void)from;
	(void)e;
	guest_said(g);
	if (ev.what == WHAT_GONE)
		return (0); /* that is ours to say */
	ev.id = g->id;
	peer_send(g->vmm->parent, MSG_VM_EVENT, 0, NULL, &ev, sizeof(ev));
	return (0);
}

/* A VM taken back says how it is. */
static int
on_guest_attached(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_attached_vm *m = msg->body;
	struct guest *g = ctx;
	struct msg_vm_event ev = {
		.id = g->id,
		.what = WHAT_STATE,
		.state = m->state,
		.restarts = m->restarts,
	};

	(void)from;
	(void)e;
	guest_said(g);
	peer_send(g->vmm->parent, MSG_VM_EVENT, 0, NULL, &ev, sizeof(ev));
	return (0);
}

/* It did not do what it was told: OP is passed on, the answer only logged. */
static int
on_guest_err(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_err *m = msg->body;
	struct guest *g = ctx;

	(void)from;
	(void)e;
	guest_said(g);
	log_guest("vm %s: %s", g->name, m->text);
	return (0);
}

static int
on_guest_ok(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	(void)from;
	(void)msg;
	(void)e;
	guest_said(ctx);
	return (0);
}

/* Its log lines, under its name and the guests' limit. */
static int
on_guest_log(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_logline *m = msg->body;
	struct guest *g = ctx;

	(void)from;
	(void)e;
	guest_said(g);
	log_guest("vm %s: %.*s", g->name, (int)m->len, (const char *)(m + 1));
	return (0);
}

static const struct msg_handler from_vm[] = {
	{ MSG_VM_EVENT, on_guest_event },
	{ MSG_ATTACHED, on_guest_attached },
	{ MSG_LOG, on_guest_log },
	{ MSG_ERR, on_guest_err },
	{ MSG_OK, on_guest_ok },
};

static int
guest_new(struct vmm *vmm, const struct msg_vm_spec *spec, int *fd,
    struct guest **gp, struct err *e)
{
	struct peer_conf conf = {
		.other = ROLE_VM,
		.handlers = from_vm,
		.nhandlers = sizeof(from_vm) / sizeof(from_vm[0]),
		.closed = guest_closed,
		.no_fds = 1,
	};
	struct guest *g;

	if (*fd == -1)
		return (err_set(
		    e, EINVAL, "vm %s came without a link", spec->name));
	/* An earlier run, whose link somebody keeps open: the parent knows. */
	if ((g = guest_find(vmm, spec->id)) != NULL)
		guest_free(g);
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return (err_errno(e, "vm %s", spec->name));
	g->vmm = vmm;
	g->id = spec->id;
	strlcpy(g->name, spec->name, sizeof(g->name));
	conf.ctx = g;
	if ((g->ev_rest = evtimer_new(vmm->base, on_rested, g)) == NULL) {
		free(g);
		return (err_set(e, ENOMEM, "no memory for a timer"));
	}
	if ((g->peer = peer_open(vmm->base, fd, &conf, e)) == NULL) {
		event_free(g->ev_rest);
		free(g);
		return (-1);
	}
	TAILQ_INSERT_TAIL(&vmm->guests, g, entry);
	*gp = g;
	return (0);
}

/* Tell the guest's process; what cannot be told fails the guest. */
static void
guest_send(
    struct guest *g, enum msg_type type, int *fd, const void *body, size_t len)
{
	struct err e;

	if (g->peer != NULL && peer_send(g->peer, type, 0, fd, body, len) == 0)
		return;
	err_set(&e, EPIPE, "its process does not take messages");
	guest_failed(g, &e);
}

static int
on_vm_new(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_vm_spec *spec = msg->body;
	struct guest *g;

	(void)from;
	if (guest_new(ctx, spec, &msg->fd, &g, e) == -1)
		return (-1);
	guest_send(g, MSG_VM_NEW, NULL, spec, sizeof(*spec));
	return (0);
}

static int
on_vm_adopt(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct guest *g;

	(void)from;
	return (guest_new(ctx, msg->body, &msg->fd, &g, e));
}

/* What the parent tells a guest's process begins with the guest's id. */
static int
on_forward(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const uint32_t *id = msg->body;
	struct guest *g;

	(void)from;
	(void)e;
	if ((g = guest_find(ctx, *id)) != NULL)
		guest_send(g, msg->type, &msg->fd, msg->body, msg->len);
	return (0);
}

/* Its process is dead; its last messages may still be in the socket. */
static int
on_vm_reaped(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_reaped *m = msg->body;
	struct msg_vm_event ev = { .id = m->id, .what = WHAT_GONE };
	struct guest *g;

	(void)e;
	if ((g = guest_find(ctx, m->id)) == NULL) {
		peer_send(from, MSG_VM_EVENT, 0, NULL, &ev, sizeof(ev));
		return (0);
	}
	g->reaped = true;
	if (g->peer == NULL)
		guest_gone(g);
	else
		peer_pause(g->peer, 0);
	return (0);
}

static int
on_verbose(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_level *m = msg->body;
	struct vmm *vmm = ctx;
	struct guest *g;

	TAILQ_FOREACH(g, &vmm->guests, entry)
		if (g->peer != NULL)
			peer_send(g->peer, MSG_VERBOSE, 0, NULL, m, sizeof(*m));
	return (link_verbose(ctx, from, msg, e));
}

static const struct msg_handler from_parent[] = {
	{ MSG_VM_NEW, on_vm_new },
	{ MSG_VM_ADOPT, on_vm_adopt },
	{ MSG_VM_FD, on_forward },
	{ MSG_VM_DEV, on_forward },
	{ MSG_VM_DEV_GONE, on_forward },
	{ MSG_VM_GO, on_forward },
	{ MSG_VM_OP, on_forward },
	{ MSG_VM_REAPED, on_vm_reaped },
	{ MSG_VERBOSE, on_verbose },
};

/* Without a parent there is nothing to do; the guests run on. */
static void
parent_closed(void *ctx, struct peer *peer, const struct err *why)
{
	struct vmm *vmm = ctx;

	(void)peer;
	(void)why;
	vmm->parent = NULL;
	event_base_loopbreak(vmm->base); /* nothing may need it any more */
}

int
vmm_run(const struct proc_start *start)
{
	struct vmm vmm = { .base = event_base_new() };
	struct peer_conf conf = {
		.other = ROLE_PARENT,
		.handlers = from_parent,
		.nhandlers = sizeof(from_parent) / sizeof(from_parent[0]),
		.ctx = &vmm,
		.closed = parent_closed,
		.queue_bytes = 16u << 20,
	};
	int fd = start->link_fd;
	struct err e;

	TAILQ_INIT(&vmm.guests);
	if (vmm.base == NULL ||
	    (vmm.parent = peer_open(vmm.base, &fd, &conf, &e)) == NULL)
		return (1);
	return (link_run(vmm.base, &vmm.parent, &filter_vmm));
}
