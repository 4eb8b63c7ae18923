/* SPDX-License-Identifier: ISC */
/*
 * Attachments: clients at the consoles of VMs, who sees what and who types.
 *
 * Nothing is queued here beyond a client's credit: an attachment is an offset
 * into the ring.  Who falls behind by more than the ring finds a gap, told with
 * its size; who keeps up gets every byte.
 *
 * Runs in: control.  Trusts: no client, and nothing that stands in a ring.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "daemon/proc/perm.h"

static void
attach_peers(const struct cons *c)
{
	struct msg_cons_peers m;
	const struct attach *a;

	memset(&m, 0, sizeof(m));
	TAILQ_FOREACH(a, &c->attached, entry) {
		if (m.n == CONS_PEERS_MAX)
			break;
		m.peer[m.n].uid = a->client->cred.uid;
		m.peer[m.n++].writer = a == c->writer;
	}
	TAILQ_FOREACH(a, &c->attached, entry) {
		m.chan = a->chan;
		m.you_write = a == c->writer;
		peer_send(
		    a->client->peer, MSG_CONS_PEERS, 0, NULL, &m, sizeof(m));
	}
}

void
attach_credit(struct cons *c, uint32_t bytes)
{
	struct msg_credit m = { .bytes = bytes };

	if (c->writer == NULL || c->credit_due || bytes == 0)
		return;
	m.chan = c->writer->chan;
	peer_send(c->writer->client->peer, MSG_CONS_INPUT_CREDIT, 0, NULL, &m,
	    sizeof(m));
}

/* Then, and not before, who took the keyboard may be told its credit. */
void
attach_peers_due(int fd, short what, void *arg)
{
	struct cons *c = arg;
	bool due = c->credit_due;

	(void)fd;
	(void)what;
	attach_peers(c);
	c->credit_due = false;
	if (due)
		attach_credit(c, c->input_credit);
}

/*
 * Once a turn of the loop, however many come, go and take: it costs a message
 * for each who is attached.
 */
static void
peers_later(struct cons *c)
{
	event_active(c->ev_peers, 0, 0);
}

/* Its writer has left: who waits for the keyboard longest. */
static void
attach_next_writer(struct cons *c)
{
	struct attach *a;

	TAILQ_FOREACH(a, &c->attached, entry)
		if (a->types)
			break;
	c->writer = a;
	c->credit_due = a != NULL;
}

static void
attach_free(struct attach *a)
{
	struct cons *c = a->cons;

	a->client->chan[a->chan] = NULL;
	TAILQ_REMOVE(&c->attached, a, entry);
	if (c->writer == a)
		attach_next_writer(c);
	free(a);
	if (c->vm == NULL && TAILQ_EMPTY(&c->attached))
		cons_free(c);
	else
		peers_later(c);
}

/* It has all there is of a run that has ended. */
static void
attach_end(struct attach *a)
{
	struct msg_cons_closed m = { .chan = a->chan };
	struct err why = { .code = 0 };

	err_set(&why, ENOTCONN, "the vm is not running any more");
	msg_from_err(&m.why, &why);
	peer_send(a->client->peer, MSG_CONS_CLOSED, 0, NULL, &m, sizeof(m));
	attach_free(a);
}

static void
attach_gap(struct attach *a, uint64_t from, uint64_t lost)
{
	struct msg_gap m = { .chan = a->chan, .off = from, .lost = lost };

	peer_send(a->client->peer, MSG_CONS_GAP, 0, NULL, &m, sizeof(m));
}

/* Send what is there and wanted; true when it has caught up with the guest. */
static bool
attach_send(struct attach *a)
{
	static uint8_t buf[CONS_DATA_BYTES];
	struct peer *peer = a->client->peer;
	struct msg_chunk head = { .chan = a->chan };
	struct iovec iov[2];
	uint64_t from, lost;
	size_t n, want;

	while (a->credit > 0 && peer_queued(peer) < CLIENT_LOW) {
		want = a->credit < sizeof(buf) ? a->credit : sizeof(buf);
		from = a->off;
		lost = 0;
		n = ring_read(&a->cons->ring, &a->off, buf, want, &lost);
		if (lost > 0)
			attach_gap(a, from, lost);
		if (n == 0)
			return (true);
		head.len = n;
		head.off = a->off - n;
		iov[0].iov_base = &head;
		iov[0].iov_len = sizeof(head);
		iov[1].iov_base = buf;
		iov[1].iov_len = n;
		if (peer_sendv(peer, MSG_CONS_DATA, 0, iov, 2) == -1) {
			a->off -= n; /* drained() comes back to it */
			return (false);
		}
		a->credit -= n;
	}
	return (false);
}

void
attach_pump(struct cons *c)
{
	struct attach *a, *next;
	uint64_t off;
	bool waits, more = false;

	do {
		waits = false;
		off = UINT64_MAX;
		for (a = TAILQ_FIRST(&c->attached); a != NULL; a = next) {
			next = TAILQ_NEXT(a, entry);
			if (!attach_send(a))
				continue;
			if (c->link == NULL) {
				/* The last one of a console without a VM
				 * takes it along. */
				bool last = c->vm == NULL && next == NULL &&
				    a == TAILQ_FIRST(&c->attached);

				attach_end(a);
				if (last)
					return;
				continue;
			}
			/* The least: what came after the first of them had
			 * caught up is missing there, and rang no bell. */
			waits = true;
			if (a->off < off)
				off = a->off;
		}
		/* Who has caught up is woken by the bell. */
		if (waits)
			more = bell_arm(c->bell, &c->ring, off);
	} while (waits && more);
}

void
attach_pump_all(struct client *cl)
{
	unsigned i;

	for (i = 0; i < CONS_CHANS; i++)
		if (cl->chan[i] != NULL)
			attach_pump(cl->chan[i]->cons);
}

void
attach_drop_all(struct client *cl)
{
	unsigned i;

	for (i = 0; i < CONS_CHANS; i++)
		if (cl->chan[i] != NULL)
			attach_free(cl->chan[i]);
}

/* ---- what clients ask ---- */

static struct attach *
attach_of(struct client *cl, uint32_t chan, struct err *e)
{
	if (cl->chan[chan] == NULL)
		err_set(e, ENOTCONN, "no console is attached as %u", chan);
	return (cl->chan[chan]);
}

/* Where its first byte comes from, as the flags say. */
static uint64_t
attach_start(const struct msg_attach *m, const struct ring_r *r)
{
	uint64_t end = ring_end(r);

	if (m->flags & CONS_NOREPLAY)
		return (end);
	if ((m->flags & CONS_FROM) && m->from <= end)
		return (m->from);
	return (ring_oldest(r));
}

static int
attach_allowed(const struct client *cl, const struct cvm *v, struct err *e)
{
	struct perm_vm pv = {
		.owner_uid = v->row.owner_uid,
		.owner_gid = v->row.owner_gid,
	};

	if (!perm_ok(&cl->cred, PERM_CONSOLE, &pv))
		return (err_set(e, EPERM,
		    "you do not own vm %s: ask root, or "
		    "its owner in vm.conf",
		    v->row.name));
	return (0);
}

int
on_attach(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_attach *m = msg->body;
	struct client *cl = ctx;
	struct cvm *v;

	(void)from;
	v = cvm_find(cl->ctl, &m->vm);
	if (v != NULL && cons_expected(v) && attach_allowed(cl, v, e) == 0)
		return (held_add(cl, v, msg->reqno, m, e));
	return (attach_open(cl, msg->reqno, m, e));
}

int
attach_open(struct client *cl, uint32_t reqno, const struct msg_attach *m,
    struct err *e)
{
	struct msg_attached r = { .chan = m->chan };
	struct attach *a;
	struct cons *c;
	struct cvm *v;

	if ((v = cvm_find(cl->ctl, &m->vm)) == NULL)
		return (m->vm.id != 0
			? err_set(e, ENOENT, "no vm with id %u", m->vm.id)
			: err_set(e, ENOENT, "no vm named %s", m->vm.name));
	if (cl->chan[m->chan] != NULL)
		return (err_set(
		    e, EBUSY, "console %u is attached already", m->chan));
	if (attach_allowed(cl, v, e) == -1)
		return (-1);
	if (v->cons == NULL)
		return (err_set(e, ENOTCONN,
		    "vm %s has no console: it has not "
		    "run since vmd's control process was started",
		    v->row.name));
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return (err_errno(e, "console"));
	c = v->cons;
	a->client = cl;
	a->cons = c;
	a->chan = m->chan;
	a->credit = m->credit;
	a->off = attach_start(m, &c->ring);
	cl->chan[m->chan] = a;
	TAILQ_INSERT_TAIL(&c->attached, a, entry);
	a->types = (m->flags & (CONS_WRITE | CONS_TAKE)) != 0;
	if (c->link != NULL && a->types &&
	    (c->writer == NULL || (m->flags & CONS_TAKE)))
		c->writer = a;
	r.id = v->row.id;
	r.writer = c->writer == a;
	r.input_credit = r.writer ? c->input_credit : 0;
	r.start = a->off;
	r.end = ring_end(&c->ring);
	if (r.writer)
		c->credit_due = false; /* told here */
	peer_send(cl->peer, MSG_CONS_ATTACHED, reqno, NULL, &r, sizeof(r));
	peers_later(c);
	attach_pump(c);
	return (0);
}

int
on_detach(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_chan *m = msg->body;
	struct attach *a;

	if (held_cancel(ctx, m->chan)) {
		peer_ok(from, msg->reqno);
		return (0);
	}
	if ((a = attach_of(ctx, m->chan, e)) == NULL)
		return (-1);
	attach_free(a);
	peer_ok(from, msg->reqno);
	return (0);
}

int
on_credit(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_credit *m = msg->body;
	struct client *cl = ctx;
	struct attach *a = cl->chan[m->chan];

	(void)from;
	(void)e;
	if (a == NULL)
		return (0); /* it was closed while the credit was on its way */
	if (m->bytes > UINT32_MAX - a->credit)
		a->credit = UINT32_MAX;
	else
		a->credit += m->bytes;
	attach_pump(a->cons);
	return (0);
}

/* The attachment, if it has the keyboard. */
static struct attach *
attach_writer(struct client *cl, uint32_t chan, struct err *e)
{
	struct attach *a;

	if ((a = attach_of(cl, chan, e)) == NULL)
		return (NULL);
	if (a->cons->link == NULL) {
		err_set(e, ENOTCONN, "the vm is not running any more");
		return (NULL);
	}
	if (a->cons->writer != a) {
		err_set(e, EPERM,
		    "somebody else has the keyboard of this "
		    "console: you are watching");
		return (NULL);
	}
	return (a);
}

int
on_input(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_chunk *m = msg->body;
	struct msg_chunk head = { .len = m->len };
	struct iovec iov[2];
	struct attach *a;

	(void)from;
	if ((a = attach_writer(ctx, m->chan, e)) == NULL)
		return (-1);
	if (m->len > a->cons->input_credit)
		return (err_set(e, ENOBUFS,
		    "more input than the console takes "
		    "now: wait for credit"));
	iov[0].iov_base = &head;
	iov[0].iov_len = sizeof(head);
	iov[1].iov_base = (void *)(uintptr_t)(m + 1);
	iov[1].iov_len = m->len;
	if (peer_sendv(a->cons->link, MSG_CONS_INPUT, 0, iov, 2) == -1)
		return (err_errno(e, "keys are lost on their way to the vm"));
	a->cons->input_credit -= m->len;
	return (0);
}

int
on_break(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_chan *m = msg->body;
	struct msg_chan up = { .chan = 0 };
	struct attach *a;

	if ((a = attach_writer(ctx, m->chan, e)) == NULL)
		return (-1);
	peer_send(a->cons->link, MSG_CONS_BREAK, 0, NULL, &up, sizeof(up));
	if (msg->reqno != 0)
		peer_ok(from, msg->reqno);
	return (0);
}

int
on_take(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_chan *m = msg->body;
	struct attach *a;

	if ((a = attach_of(ctx, m->chan, e)) == NULL)
		return (-1);
	if (a->cons->link == NULL)
		return (err_set(e, ENOTCONN, "the vm is not running any more"));
	a->types = true;
	if (a->cons->writer != a) {
		a->cons->writer = a;
		a->cons->credit_due = true;
		peers_later(a->cons);
	}
	if (msg->reqno != 0)
		peer_ok(from, msg->reqno);
	return (0);
}
