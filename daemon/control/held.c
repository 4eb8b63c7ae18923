/* SPDX-License-Identifier: ISC */
/*
 * Requests for a console that is about to come: a VM that has just started, or
 * whose process this fresh control has not heard from yet.  They wait for its
 * link, for a short time, instead of being refused.
 */
#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "shared/log.h"

struct held {
	TAILQ_ENTRY(held) entry;
	struct client *client;
	struct event *ev_late;
	uint32_t reqno, id; /* id: of the VM */
	struct msg_attach m;
};

static void
held_free(struct held *h)
{
	TAILQ_REMOVE(&h->client->ctl->held, h, entry);
	h->client->nheld--;
	event_free(h->ev_late);
	free(h);
}

/* Now or never. */
static void
held_try(struct held *h)
{
	struct client *cl = h->client;
	struct msg_attach m = h->m;
	uint32_t reqno = h->reqno;
	struct err e;

	held_free(h);
	if (attach_open(cl, reqno, &m, &e) == -1)
		peer_err(cl->peer, reqno, &e);
}

static void
on_late(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	held_try(arg);
}

int
held_add(struct client *cl, const struct cvm *v, uint32_t reqno,
    const struct msg_attach *m, struct err *e)
{
	struct timeval limit = { .tv_sec = HELD_LIMIT_S };
	struct held *h;

	if (cl->nheld >= CONS_CHANS)
		return (err_set(e, EBUSY, "%d consoles are waited for already",
		    CONS_CHANS));
	if ((h = calloc(1, sizeof(*h))) == NULL)
		return (err_errno(e, "console"));
	h->client = cl;
	h->reqno = reqno;
	h->id = v->row.id;
	h->m = *m;
	h->ev_late = evtimer_new(cl->ctl->base, on_late, h);
	if (h->ev_late == NULL || evtimer_add(h->ev_late, &limit) == -1) {
		if (h->ev_late != NULL)
			event_free(h->ev_late);
		free(h);
		return (err_set(e, ENOMEM, "no memory for a timer"));
	}
	cl->nheld++;
	TAILQ_INSERT_TAIL(&cl->ctl->held, h, entry);
	return (0);
}

void
held_vm(struct control *ctl, uint32_t id)
{
	struct held *h, *next;

	for (h = TAILQ_FIRST(&ctl->held); h != NULL; h = next) {
		next = TAILQ_NEXT(h, entry);
		if (h->id == id)
			held_try(h);
	}
}

bool
held_cancel(struct client *cl, uint32_t chan)
{
	struct held *h, *next;
	bool any = false;
	struct err e;

	err_set(&e, ECANCELED, "detached before it was attached");
	for (h = TAILQ_FIRST(&cl->ctl->held); h != NULL; h = next) {
		next = TAILQ_NEXT(h, entry);
		if (h->client != cl || h->m.chan != chan)
			continue;
		peer_err(cl->peer, h->reqno, &e);
		held_free(h);
		any = true;
	}
	return (any);
}

void
held_client_gone(struct client *cl)
{
	struct held *h, *next;

	for (h = TAILQ_FIRST(&cl->ctl->held); h != NULL; h = next) {
		next = TAILQ_NEXT(h, entry);
		if (h->client == cl)
			held_free(h);
	}
}
