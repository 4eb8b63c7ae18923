/* SPDX-License-Identifier: ISC */
/*
 * What clients see: rows, figures, events.
 *
 * Figures are made only while somebody looks: a round asks every running VM's
 * process once (SAMPLE), and when all have answered, or the slow ones have used
 * up their time, lists and figures go out.  Without clients nothing ticks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "shared/log.h"

void
view_row(const struct cvm *v, struct msg_row *row)
{
	const struct cons *c = v->cons;

	*row = v->row;
	if (c == NULL)
		return;
	row->console_bytes = ring_end(&c->ring);
	if (c->link != NULL)
		row->resident_bytes = atomic_load_explicit(
		    &c->figures->resident_bytes, memory_order_relaxed);
}

static void
view_figures(const struct cvm *v, struct msg_figures *m)
{
	const struct figures *f = v->cons->figures;
	unsigned i, k, n = v->row.ncpus;

	memset(m, 0, sizeof(*m));
	m->id = v->row.id;
	m->ncpus = n < FIGURES_VCPUS ? n : FIGURES_VCPUS;
	m->now_ns = atomic_load_explicit(&f->sampled_ns, memory_order_relaxed);
	m->resident_bytes =
	    atomic_load_explicit(&f->resident_bytes, memory_order_relaxed);
	m->console_bytes = ring_end(&v->cons->ring);
	for (i = 0; i < m->ncpus; i++) {
		m->run_ns += atomic_load_explicit(
		    &f->vcpu[i].run_ns, memory_order_relaxed);
		for (k = 0; k < EXIT_N; k++)
			m->exits[k] += atomic_load_explicit(
			    &f->vcpu[i].exits[k], memory_order_relaxed);
	}
}

/* ---- rounds of samples ---- */

static bool
round_waits(const struct control *ctl)
{
	const struct cvm *v;

	TAILQ_FOREACH(v, &ctl->vms, entry)
		if (v->cons != NULL && v->cons->link != NULL &&
		    v->cons->sampled != ctl->round_seq)
			return (true);
	return (false);
}

static void
client_figures(struct client *cl)
{
	struct msg_figures m;
	struct cvm *v;

	cl->wants_figures = false;
	if (peer_queued(cl->peer) >= CLIENT_LOW)
		return; /* it does not keep up: the next ones will do */
	TAILQ_FOREACH(v, &cl->ctl->vms, entry) {
		if (v->cons == NULL || v->cons->link == NULL)
			continue;
		view_figures(v, &m);
		peer_send(cl->peer, MSG_VM_FIGURES, 0, NULL, &m, sizeof(m));
		if (cl->subs & SUB_DEVS)
			cdev_send_figures(cl->peer, 0, v);
	}
}

static void
round_end(struct control *ctl)
{
	struct client *cl, *next;

	ctl->round = false;
	event_del(ctl->ev_round);
	for (cl = TAILQ_FIRST(&ctl->clients); cl != NULL; cl = next) {
		next = TAILQ_NEXT(cl, entry);
		if (cl->wants_figures)
			client_figures(cl);
		if (cl->list.reqno != 0 && cl->list.sampling) {
			cl->list.sampling = false;
			list_go_on(cl);
		}
	}
}

static void
round_late(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	round_end(arg);
}

static void
round_start(struct control *ctl)
{
	struct timeval limit = { .tv_usec = SAMPLE_LIMIT_MS * 1000 };
	struct msg_sample m;
	struct cvm *v;

	if (ctl->round)
		return;
	if (ctl->ev_round == NULL &&
	    (ctl->ev_round = evtimer_new(ctl->base, round_late, ctl)) == NULL)
		return;
	ctl->round = true;
	if (++ctl->round_seq == 0)
		ctl->round_seq = 1;
	m.seq = ctl->round_seq;
	TAILQ_FOREACH(v, &ctl->vms, entry)
		if (v->cons != NULL && v->cons->link != NULL)
			peer_send(
			    v->cons->link, MSG_SAMPLE, 0, NULL, &m, sizeof(m));
	if (round_waits(ctl))
		event_add(ctl->ev_round, &limit);
	else
		round_end(ctl);
}

void
view_sampled(struct cons *c, uint32_t seq)
{
	c->sampled = seq;
	if (c->ctl->round && seq == c->ctl->round_seq && !round_waits(c->ctl))
		round_end(c->ctl);
}

/* ---- lists ---- */

static bool
list_names(const struct client *cl, const struct cvm *v)
{
	const struct vm_ref *ref = &cl->list.vm;

	if (ref->id != 0)
		return (v->row.id == ref->id);
	return (ref->name[0] == '\0' || strcmp(ref->name, v->row.name) == 0);
}

static bool
list_wants(struct client *cl, const struct cvm *v)
{
	if (v->row.id <= cl->list.after_id || !list_names(cl, v))
		return (false);
	if ((cl->list.flags & LIST_RUNNING) == 0 ||
	    (v->row.state != VM_STOPPED && v->row.state != VM_WAITING))
		return (true);
	cl->list.stopped = true;
	return (false);
}

static void
list_end(struct client *cl)
{
	bool none = !cl->list.any && !cl->list.stopped;
	struct err e;

	if (none && cl->list.vm.id != 0)
		err_set(&e, ENOENT, "no vm with id %u", cl->list.vm.id);
	else if (none && cl->list.vm.name[0] != '\0')
		err_set(&e, ENOENT, "no vm named %s", cl->list.vm.name);
	else {
		peer_ok(cl->peer, cl->list.reqno);
		cl->list.reqno = 0;
		return;
	}
	peer_err(cl->peer, cl->list.reqno, &e);
	cl->list.reqno = 0;
}

/* As many rows as the client takes now; drained() brings us back. */
void
list_go_on(struct client *cl)
{
	struct msg_row row;
	struct cvm *v;

	if (cl->list.reqno == 0 || cl->list.sampling)
		return;
	TAILQ_FOREACH(v, &cl->ctl->vms, entry) {
		if (!list_wants(cl, v))
			continue;
		if (peer_queued(cl->peer) >= CLIENT_LOW)
			return;
		view_row(v, &row);
		peer_send(cl->peer, MSG_VM_ROW, cl->list.reqno, NULL, &row,
		    sizeof(row));
		if (cl->list.flags & LIST_DEVS) {
			cdev_send_rows(cl->peer, cl->list.reqno, v);
			cdev_send_figures(cl->peer, cl->list.reqno, v);
		}
		cl->list.after_id = v->row.id;
		cl->list.any = true;
	}
	list_end(cl);
}

int
on_list(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_list *m = msg->body;
	struct client *cl = ctx;

	(void)from;
	if (cl->list.reqno != 0)
		return (err_set(e, EBUSY, "one list at a time, please"));
	if (msg->reqno == 0)
		return (err_set(e, EINVAL, "a list needs a request number"));
	memset(&cl->list, 0, sizeof(cl->list));
	cl->list.reqno = msg->reqno;
	cl->list.flags = m->flags;
	cl->list.vm = m->vm;
	cl->list.sampling = true;
	round_start(cl->ctl);
	return (0);
}

/* ---- subscriptions ---- */

static void
on_tick(int fd, short what, void *arg)
{
	struct client *cl = arg;

	(void)fd;
	(void)what;
	cl->wants_figures = true;
	event_add(cl->ev_tick, &cl->interval);
	round_start(cl->ctl);
}

static void
send_events(struct client *cl)
{
	struct control *ctl = cl->ctl;
	unsigned i, n = ctl->nevents;

	for (i = n > EVENTS_KEPT ? n - EVENTS_KEPT : 0; i < n; i++)
		peer_send(cl->peer, MSG_EVENT, 0, NULL,
		    &ctl->events[i % EVENTS_KEPT], sizeof(ctl->events[0]));
}

int
on_subscribe(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_subscribe *m = msg->body;
	struct client *cl = ctx;
	bool events = (m->what & SUB_EVENTS) && !(cl->subs & SUB_EVENTS);

	if (cl->ev_tick == NULL &&
	    (cl->ev_tick = evtimer_new(cl->ctl->base, on_tick, cl)) == NULL)
		return (err_set(e, ENOMEM, "no memory for a timer"));
	cl->subs = m->what;
	cl->interval.tv_sec = m->interval_ms / 1000;
	cl->interval.tv_usec = (suseconds_t)(m->interval_ms % 1000) * 1000;
	event_del(cl->ev_tick);
	peer_ok(from, msg->reqno);
	if (events)
		send_events(cl);
	if (cl->subs & SUB_FIGURES)
		on_tick(-1, 0, cl);
	return (0);
}

void
view_client_gone(struct client *cl)
{
	if (cl->ev_tick != NULL)
		event_free(cl->ev_tick);
	cl->ev_tick = NULL;
}
