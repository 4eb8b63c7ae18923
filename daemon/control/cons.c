/* SPDX-License-Identifier: ISC */
/*
 * The console of a VM: the link to its process, the pages and the bell that came
 * over it.  Who looks at it: attach.c.
 *
 * Runs in: control.  Trusts: no page, no fd and no number of a VM process.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "shared/fd.h"
#include "shared/log.h"

#define PAGE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define BELL_BYTES 4096
/* All keys that there is credit for, each in a message of its own, and more. */
#define LINK_QUEUE (CONS_INPUT_BYTES * 512)
#define REST_MS 10 /* after a bell that rang for nothing */

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
	attach_pump(c);
}

static void
on_rested(int fd, short what, void *arg)
{
	struct cons *c = arg;

	(void)fd;
	(void)what;
	event_add(c->ev_bell, NULL);
	attach_pump(c);
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

/* ---- from beginning to end ---- */

void
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
		attach_pump(c);
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
	attach_pump(c);
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
	uint32_t n = CONS_INPUT_BYTES - c->input_credit;

	(void)from;
	(void)e;
	if (n > m->bytes)
		n = m->bytes;
	c->input_credit += n;
	attach_credit(c, n);
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
	if ((c->ev_peers = event_new(
		 v->ctl->base, -1, 0, attach_peers_due, c)) == NULL) {
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

bool
cons_expected(const struct cvm *v)
{
	if (v->row.state == VM_STOPPED || v->row.state == VM_WAITING)
		return (false);
	return (v->joining != NULL || v->cons == NULL || v->cons->link == NULL);
}
