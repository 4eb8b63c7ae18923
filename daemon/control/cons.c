/* SPDX-License-Identifier: ISC */
/*
 * Consoles: from a VM process's ring to any number of clients.
 *
 * Nothing is queued here beyond a client's credit: an attachment is an offset
 * into the ring.  Who falls behind by more than the ring finds a gap, told with
 * its size; who keeps up gets every byte.
 *
 * Runs in: control.  Trusts: no page, no fd and no number of a VM process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "daemon/proc/perm.h"
#include "shared/fd.h"
#include "shared/log.h"

#define PAGE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define BELL_BYTES 4096
/* All keys that there is credit for, each in a message of its own, and more. */
#define LINK_QUEUE (CONS_INPUT_BYTES * 512)
#define REST_MS 10 /* after a bell that rang for nothing */

static void cons_free(struct cons *);
static void bell_off(struct cons *);

/* ---- attachments ---- */

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

/* Then, and not before, who took the keyboard may be told its credit. */
static void
on_peers_due(int fd, short what, void *arg)
{
	struct cons *c = arg;
	struct msg_credit credit = { .bytes = c->input_credit };

	(void)fd;
	(void)what;
	attach_peers(c);
	if (c->credit_due && c->writer != NULL && credit.bytes > 0) {
		credit.chan = c->writer->chan;
		peer_send(c->writer->client->peer, MSG_CONS_INPUT_CREDIT, 0,
		    NULL, &credit, sizeof(credit));
	}
	c->credit_due = false;
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
cons_next_writer(struct cons *c)
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
		cons_next_writer(c);
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
attach_pump(struct attach *a)
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
cons_pump(struct cons *c)
{
	struct attach *a, *next;
	uint64_t off;
	bool waits, more = false;

	do {
		waits = false;
		off = UINT64_MAX;
		for (a = TAILQ_FIRST(&c->attached); a != NULL; a = next) {
			next = TAILQ_NEXT(a, entry);
			if (!attach_pump(a))
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
			cons_pump(cl->chan[i]->cons);
}

void
attach_drop_all(struct client *cl)
{
	unsigned i;

	for (i = 0; i < CONS_CHANS; i++)
		if (cl->chan[i] != NULL)
			attach_free(cl->chan[i]);
}

/* ---- the bell ---- */

static void
on_bell(int fd, short what, void *arg)
{
	struct timeval rest = { .tv_usec = REST_MS * 1000 };
	struct cons *c = arg;
	uint64_t n, end;
	struct iovec iov = { .iov_base = &n, .iov_len = sizeof(n) };

	(void)what;
	/* The VM process shares O_NONBLOCK with us, and could clear it. */
	if (preadv2(fd, &iov, 1, -1, RWF_NOWAIT) != (ssize_t)sizeof(n) &&
	    errno != EAGAIN) {
		log_guest("vm %u: bell: cannot be read",
		    c->vm != NULL ? c->vm->row.id : 0);
		event_del(c->ev_bell);
		return;
	}
	end = ring_end(&c->ring);
	if (end == c->rung_end) {
		/* For nothing: a VM process must not make us spin. */
		event_del(c->ev_bell);
		event_add(c->ev_rest, &rest);
		return;
	}
	c->rung_end = end;
	cons_pump(c);
}

static void
on_rested(int fd, short what, void *arg)
{
	struct cons *c = arg;

	(void)fd;
	(void)what;
	event_add(c->ev_bell, NULL);
	cons_pump(c);
}

/* ---- the link to a VM process ---- */

static void
cons_free(struct cons *c)
{
	bell_off(c);
	event_free(c->ev_peers);
	if (c->ring_map != NULL)
		munmap((void *)(uintptr_t)c->ring_map, c->ring_bytes);
	if (c->bell != NULL)
		munmap(c->bell, BELL_BYTES);
	if (c->figures != NULL)
		munmap((void *)(uintptr_t)c->figures, FIGURES_BYTES);
	cdev_unmap(c);
	peer_close(c->link);
	free(c);
}

static void
bell_off(struct cons *c)
{
	if (c->ev_bell != NULL)
		event_free(c->ev_bell);
	if (c->ev_rest != NULL)
		event_free(c->ev_rest);
	c->ev_bell = c->ev_rest = NULL;
	fd_close(&c->bell_fd);
}

void
cons_release(struct cons *c)
{
	c->vm = NULL;
	peer_close(c->link);
	c->link = NULL;
	c->writer = NULL;
	bell_off(c);
	if (TAILQ_EMPTY(&c->attached))
		cons_free(c);
	else
		cons_pump(c);
}

/* The link is gone: what is in the ring can still be had. */
static void
cons_lost(struct cons *c)
{
	struct cvm *v = c->vm;

	if (v->joining == c) {
		v->joining = NULL;
		cons_free(c);
		return;
	}
	bell_off(c);
	cons_pump(c);
}

static void
link_closed(void *ctx, struct peer *peer, const struct err *why)
{
	struct cons *c = ctx;

	(void)peer;
	c->link = NULL;
	c->writer = NULL;
	if (why->code != 0)
		log_guest("vm %u: console link: %s", c->vm->row.id, why->text);
	cons_lost(c);
}

/*
 * Map a page of a VM process.  Its size must be sealed: a file that shrinks
 * under a mapping would kill us.
 */
void *
page_map(int fd, size_t bytes, int prot, struct err *e)
{
	struct stat st;
	int seals;
	void *p;

	if (fstat(fd, &st) == -1 || (uint64_t)st.st_size != bytes ||
	    (seals = fcntl(fd, F_GET_SEALS)) == -1 ||
	    (seals & PAGE_SEALS) != PAGE_SEALS) {
		err_set(e, EINVAL,
		    "a shared page is not a sealed memfd of %zu "
		    "bytes",
		    bytes);
		return (NULL);
	}
	p = mmap(NULL, bytes, prot, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		err_errno(e, "mmap");
		return (NULL);
	}
	return (p);
}

/* Handlers break the link with this: -1 alone would only be answered. */
static int
link_bad(struct cons *c, const struct err *e)
{
	log_guest("vm %u: console link: %s", c->vm->row.id, e->text);
	peer_close(c->link);
	c->link = NULL;
	cons_lost(c);
	return (0);
}

static int
on_page_ring(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_page *m = msg->body;
	struct cons *c = ctx;
	uint32_t size = m->bytes - RING_HEAD_BYTES;

	(void)from;
	if (c->ring_map != NULL ||
	    m->bytes < RING_HEAD_BYTES + RING_MIN_BYTES ||
	    size > RING_MAX_BYTES || (size & (size - 1)) != 0) {
		err_set(e, EINVAL, "a ring of %u bytes", m->bytes);
		return (link_bad(c, e));
	}
	c->ring_map = page_map(msg->fd, m->bytes, PROT_READ, e);
	if (c->ring_map == NULL)
		return (link_bad(c, e));
	c->ring_bytes = m->bytes;
	c->ring.head_ro = c->ring_map;
	c->ring.data = (const uint8_t *)c->ring_map + RING_HEAD_BYTES;
	c->ring.size = size;
	return (0);
}

static int
on_page_bell(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct cons *c = ctx;

	(void)from;
	if (c->bell != NULL)
		return (0);
	c->bell = page_map(msg->fd, BELL_BYTES, PROT_READ | PROT_WRITE, e);
	return (c->bell == NULL ? link_bad(c, e) : 0);
}

static int
on_page_figures(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct cons *c = ctx;

	(void)from;
	if (c->figures != NULL)
		return (0);
	c->figures = page_map(msg->fd, FIGURES_BYTES, PROT_READ, e);
	return (c->figures == NULL ? link_bad(c, e) : 0);
}

static int
on_page_dev(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct cons *c = ctx;

	(void)from;
	return (cdev_map(c, msg->body, msg->fd, e) == -1 ? link_bad(c, e) : 0);
}

static int
on_bell_event(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct cons *c = ctx;
	struct event_base *b = c->ctl->base;
	struct stat st;

	(void)from;
	if (c->bell_fd != -1)
		return (0);
	/*
	 * An eventfd's inode has no type.  A socket has one: with its own end
	 * of a link here, a VM process's link would outlive it.
	 */
	if (fstat(msg->fd, &st) == -1 || (st.st_mode & S_IFMT) != 0) {
		err_set(e, EINVAL, "the bell is not an eventfd");
		return (link_bad(c, e));
	}
	c->bell_fd = fd_move(&msg->fd);
	if (fd_set_nonblock(c->bell_fd) == -1) {
		err_errno(e, "bell");
		return (link_bad(c, e));
	}
	c->ev_bell = event_new(b, c->bell_fd, EV_READ | EV_PERSIST, on_bell, c);
	c->ev_rest = event_new(b, -1, 0, on_rested, c);
	if (c->ev_bell == NULL || c->ev_rest == NULL ||
	    event_add(c->ev_bell, NULL) == -1) {
		err_set(e, EINVAL, "the bell is not an eventfd");
		return (link_bad(c, e));
	}
	return (0);
}

/* Everything has come: it may be attached to now. */
static int
on_attached(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct cons *c = ctx;
	struct cvm *v = c->vm;
	struct msg_row row;

	(void)from;
	(void)msg;
	if (c->ring_map == NULL || c->bell == NULL || c->figures == NULL ||
	    c->ev_bell == NULL) {
		err_set(e, EPROTO, "attached without its pages");
		return (link_bad(c, e));
	}
	c->input_credit = CONS_INPUT_BYTES;
	if (v->joining != c)
		return (0);
	v->joining = NULL;
	if (v->cons != NULL)
		cons_release(v->cons);
	v->cons = c;
	view_row(v, &row);
	client_push(c->ctl, SUB_ROWS, MSG_VM_ROW, &row, sizeof(row));
	held_vm(c->ctl, v->row.id);
	return (0);
}

static int
on_sampled(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_sample *m = msg->body;

	(void)from;
	(void)e;
	view_sampled(ctx, m->seq);
	return (0);
}

/* The guest took bytes: the writer may send as many more. */
static int
on_input_credit(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_credit *m = msg->body;
	struct cons *c = ctx;
	struct msg_credit up = { .bytes = m->bytes };

	(void)from;
	(void)e;
	if (m->bytes > CONS_INPUT_BYTES - c->input_credit)
		up.bytes = CONS_INPUT_BYTES - c->input_credit;
	c->input_credit += up.bytes;
	if (c->writer == NULL || c->credit_due || up.bytes == 0)
		return (0);
	up.chan = c->writer->chan;
	peer_send(c->writer->client->peer, MSG_CONS_INPUT_CREDIT, 0, NULL, &up,
	    sizeof(up));
	return (0);
}

static const struct msg_handler from_vm[] = {
	{ MSG_PAGE_RING, on_page_ring },
	{ MSG_PAGE_BELL, on_page_bell },
	{ MSG_PAGE_FIGURES, on_page_figures },
	{ MSG_PAGE_DEV, on_page_dev },
	{ MSG_BELL_EVENT, on_bell_event },
	{ MSG_ATTACHED, on_attached },
	{ MSG_SAMPLED, on_sampled },
	{ MSG_CONS_INPUT_CREDIT, on_input_credit },
};

int
cons_open(struct cvm *v, int *fd, struct err *e)
{
	struct peer_conf conf = {
		.other = ROLE_VM,
		.handlers = from_vm,
		.nhandlers = sizeof(from_vm) / sizeof(from_vm[0]),
		.closed = link_closed,
		.queue_bytes = LINK_QUEUE,
	};
	struct cons *c;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return (err_errno(e, "console"));
	c->ctl = v->ctl;
	c->vm = v;
	c->bell_fd = -1;
	TAILQ_INIT(&c->attached);
	if ((c->ev_peers = event_new(v->ctl->base, -1, 0, on_peers_due, c)) ==
	    NULL) {
		free(c);
		return (err_set(e, ENOMEM, "no memory for a console"));
	}
	conf.ctx = c;
	if ((c->link = peer_open(v->ctl->base, fd, &conf, e)) == NULL) {
		event_free(c->ev_peers);
		free(c);
		return (-1);
	}
	if (v->joining != NULL)
		cons_release(v->joining);
	v->joining = c;
	return (0);
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

bool
cons_expected(const struct cvm *v)
{
	if (v->row.state == VM_STOPPED || v->row.state == VM_WAITING)
		return (false);
	return (v->joining != NULL || v->cons == NULL || v->cons->link == NULL);
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
	return (cons_attach(cl, msg->reqno, m, e));
}

int
cons_attach(struct client *cl, uint32_t reqno, const struct msg_attach *m,
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
	cons_pump(c);
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
	cons_pump(a->cons);
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
