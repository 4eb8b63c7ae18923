/* SPDX-License-Identifier: ISC */
/*
 * The receive loop: see peer.h.
 * Runs in: every process, on its event loop's thread.  Trusts: nobody at the
 * other end; what breaks the table closes this channel and nothing else.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/imsg.h"
#include "shared/log.h"
#include "shared/peer.h"

#define QUEUE_BYTES (1u << 20)

struct peer {
	struct peer_conf conf;
	struct imsgbuf ibuf;
	struct event *rd, *wr;
	int fd;
	unsigned busy;  /* callbacks below us on the stack */
	bool dead;      /* to be freed when busy is 0 again */
	bool paused;    /* does not read */
	bool deaf;      /* the other side takes nothing any more */
	bool overrun;   /* lossless, and something was lost */
	bool above_low; /* the queue was over low_bytes */
};

static void
peer_free(struct peer *p)
{
	if (p->rd != NULL)
		event_free(p->rd);
	if (p->wr != NULL)
		event_free(p->wr);
	imsgbuf_clear(&p->ibuf);
	fd_close(&p->fd);
	free(p);
}

static void
peer_enter(struct peer *p)
{
	p->busy++;
}

static void
peer_leave(struct peer *p)
{
	if (--p->busy == 0 && p->dead)
		peer_free(p);
}

/* No event of a dead peer comes any more, whatever its callbacks do. */
static void
peer_die(struct peer *p)
{
	p->dead = true;
	event_del(p->rd);
	event_del(p->wr);
}

/* The channel is over; the caller is between peer_enter and peer_leave. */
static void
peer_fail(struct peer *p, const struct err *why)
{
	if (p->dead)
		return;
	peer_die(p);
	if (p->conf.closed != NULL)
		p->conf.closed(p->conf.ctx, p, why);
}

static void
fail_errno(struct peer *p, const char *what)
{
	struct err e;

	err_errno(&e, "%s", what);
	peer_fail(p, &e);
}

static const struct msg_handler *
handler_of(const struct peer *p, uint32_t type)
{
	size_t i;

	for (i = 0; i < p->conf.nhandlers; i++)
		if (p->conf.handlers[i].type == type)
			return (&p->conf.handlers[i]);
	return (NULL);
}

/*
 * Does somebody wait for an ERR?  Whoever sends what a client may send, or what
 * only goes down from the parent.  The rest are answers and news themselves,
 * and an answer to an answer would go round for ever.
 */
static bool
is_request(const struct peer *p, uint32_t type)
{
	uint32_t from = msg_table[type].from;

	if ((from & ROLE_CLIENT) != 0)
		return (p->conf.other == ROLE_CLIENT || type != MSG_HELLO);
	return ((from & ~(uint32_t)(ROLE_PARENT | ROLE_VMM)) == 0);
}

/* The handler said no: tell who asked. */
static void
answer_err(struct peer *p, const struct msg *m, struct err *e)
{
	struct err full;

	log_debug("%s: %s", msg_name(m->type), e->text);
	if (p->dead || m->reqno == 0 || !is_request(p, m->type))
		return;
	if (peer_err(p, m->reqno, e) == -1) {
		err_set(&full, ENOBUFS, "does not read its answers");
		peer_fail(p, &full);
	}
}

static void
dispatch(struct peer *p, struct imsg *im)
{
	const struct msg_handler *h;
	uint32_t type = imsg_get_type(im);
	struct msg m = { 0 };
	struct err e;

	err_clear(&e);
	m.reqno = imsg_get_id(im);
	m.body = im->data;
	m.len = imsg_get_len(im);
	m.fd = imsg_get_fd(im);
	h = handler_of(p, type);
	if (msg_check(type, p->conf.other, m.body, m.len, m.fd != -1, &e) ==
	    -1) {
		peer_fail(p, &e);
	} else if (h == NULL) {
		err_set(&e, EPERM, "%s: not for this process", msg_name(type));
		peer_fail(p, &e);
	} else {
		m.type = (enum msg_type)type;
		if (h->fn(p->conf.ctx, p, &m, &e) == -1)
			answer_err(p, &m, &e);
	}
	fd_close(&m.fd);
}

/* Handle the whole messages that were read. */
static void
drain(struct peer *p)
{
	struct imsg im;
	int r = 0;

	while (
	    !p->dead && !p->paused && (r = imsgbuf_get(&p->ibuf, &im)) == 1) {
		dispatch(p, &im);
		imsg_free(&im);
	}
	if (!p->dead && r == -1)
		fail_errno(p, "broken message");
}

static void
on_read(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;
	struct err gone = { 0 };
	int r;

	(void)fd;
	(void)what;
	peer_enter(p);
	drain(p); /* what a pause left behind */
	if (!p->dead && !p->paused) {
		if ((r = imsgbuf_read(&p->ibuf)) == -1)
			fail_errno(p, "read");
		else if (r == 0)
			peer_fail(p, &gone);
		else
			drain(p);
	}
	peer_leave(p);
}

/*
 * The other side has closed.  What it said before may still wait to be read,
 * so that its end is found there; only who does not read is told now.
 */
static void
write_failed(struct peer *p)
{
	struct err gone = { 0 };

	if (errno != EPIPE && errno != ECONNRESET)
		fail_errno(p, "write");
	else if (p->paused)
		peer_fail(p, &gone);
	else {
		p->deaf = true;
		event_active(p->rd, EV_READ, 0);
	}
}

static void
overrun(struct peer *p)
{
	struct err e;

	err_set(&e, ENOBUFS, "does not read: %zu KiB wait for it",
	    peer_queued(p) >> 10);
	peer_fail(p, &e);
}

static void
on_write(evutil_socket_t fd, short what, void *arg)
{
	struct peer *p = arg;

	(void)fd;
	(void)what;
	peer_enter(p);
	if (p->overrun)
		overrun(p);
	else if (imsgbuf_write(&p->ibuf) == -1)
		write_failed(p);
	else if (imsgbuf_queuelen(&p->ibuf) > 0)
		event_add(p->wr, NULL);
	if (!p->dead && p->above_low && peer_queued(p) <= p->conf.low_bytes) {
		p->above_low = false;
		if (p->conf.drained != NULL)
			p->conf.drained(p->conf.ctx, p);
	}
	peer_leave(p);
}

struct peer *
peer_open(struct event_base *base, int *fd, const struct peer_conf *conf,
    struct err *e)
{
	struct peer *p;

	if ((p = calloc(1, sizeof(*p))) == NULL) {
		fd_close(fd);
		err_errno(e, "peer");
		return (NULL);
	}
	p->conf = *conf;
	p->fd = fd_move(fd);
	if (fd_set_nonblock(p->fd) == -1 || imsgbuf_init(&p->ibuf, p->fd) == -1)
		goto fail;
	imsgbuf_allow_fdpass(&p->ibuf);
	if (conf->no_fds)
		imsgbuf_refuse_fds(&p->ibuf);
	imsgbuf_set_queuelimit(
	    &p->ibuf, conf->queue_bytes > 0 ? conf->queue_bytes : QUEUE_BYTES);
	p->rd = event_new(base, p->fd, EV_READ | EV_PERSIST, on_read, p);
	p->wr = event_new(base, p->fd, EV_WRITE, on_write, p);
	if (p->rd == NULL || p->wr == NULL || event_add(p->rd, NULL) == -1)
		goto fail;
	return (p);
fail:
	err_errno(e, "peer");
	peer_free(p);
	return (NULL);
}

void
peer_close(struct peer *p)
{
	if (p == NULL || p->dead)
		return;
	if (!p->deaf)
		imsgbuf_write(&p->ibuf);
	peer_die(p);
	if (p->busy == 0)
		peer_free(p);
}

/* Queued: it goes out when the callbacks that are active now have run. */
static void
sent(struct peer *p)
{
	if (peer_queued(p) > p->conf.low_bytes)
		p->above_low = true;
	if (!event_pending(p->wr, EV_WRITE, NULL))
		event_active(p->wr, EV_WRITE, 0);
}

static int
refuse(int *fd, int code)
{
	if (fd != NULL)
		fd_close(fd);
	errno = code;
	return (-1);
}

/* Our own message breaks the table: our bug, found here and not over there. */
static bool
is_sound(enum msg_type type, const void *body, size_t len, bool has_fd)
{
	uint32_t from;
	struct err e;

	from = type < MSG_NTYPES ? msg_table[type].from : 0;
	from &= -from; /* any role that may */
	if (msg_check(type, (enum role)from, body, len, has_fd, &e) == 0)
		return (true);
	log_warnx("not sent: %s", e.text);
	return (false);
}

int
peer_send(struct peer *p, enum msg_type type, uint32_t reqno, int *fd,
    const void *body, size_t len)
{
	int n = fd != NULL ? *fd : -1;

	if (p->dead || p->deaf)
		return (refuse(fd, EPIPE));
	if (!is_sound(type, body, len, n != -1))
		return (refuse(fd, EINVAL));
	if (imsg_compose(&p->ibuf, type, reqno, 0, n, body, len) == -1) {
		if (p->conf.lossless && errno == ENOBUFS) {
			p->deaf = p->overrun = true;
			event_active(p->wr, EV_WRITE, 0);
			errno = ENOBUFS;
		}
		return (refuse(fd, errno));
	}
	if (fd != NULL)
		*fd = -1;
	sent(p);
	return (0);
}

int
peer_sendv(struct peer *p, enum msg_type type, uint32_t reqno,
    const struct iovec *iov, int niov)
{
	_Alignas(8) uint8_t body[MAX_IMSGSIZE];
	size_t len = 0;
	int i;

	if (p->dead || p->deaf)
		return (refuse(NULL, EPIPE));
	for (i = 0; i < niov; i++) {
		if (iov[i].iov_len > sizeof(body) - len)
			return (refuse(NULL, EINVAL));
		memcpy(body + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return (peer_send(p, type, reqno, NULL, body, len));
}

int
peer_ok(struct peer *p, uint32_t reqno)
{
	return (peer_send(p, MSG_OK, reqno, NULL, NULL, 0));
}

int
peer_err(struct peer *p, uint32_t reqno, const struct err *e)
{
	struct err none;
	struct msg_err m;

	if (e->code < 1 || e->code > 4095) {
		err_set(&none, EIO, "%s",
		    e->text[0] != '\0' ? e->text : "failed, no reason given");
		e = &none;
	}
	msg_from_err(&m, e);
	return (peer_send(p, MSG_ERR, reqno, NULL, &m, sizeof(m)));
}

size_t
peer_queued(const struct peer *p)
{
	return (imsgbuf_queuebytes(&p->ibuf));
}

void
peer_pause(struct peer *p, int paused)
{
	if (p->dead || p->paused == (paused != 0))
		return;
	p->paused = paused != 0;
	if (p->paused) {
		event_del(p->rd);
		return;
	}
	event_add(p->rd, NULL);
	event_active(
	    p->rd, EV_READ, 0); /* whole messages may be here already */
}

void
peer_become(struct peer *p, enum role other, const struct msg_handler *handlers,
    size_t nhandlers)
{
	p->conf.other = other;
	p->conf.handlers = handlers;
	p->conf.nhandlers = nhandlers;
}

int
peer_fd(const struct peer *p)
{
	return (p->fd);
}

void *
peer_ctx(const struct peer *p)
{
	return (p->conf.ctx);
}

int
peer_flush(struct peer *p, int limit_ms)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLOUT };
	int64_t left, end = clock_now_ms() + limit_ms;

	while (!p->dead && !p->deaf) {
		if (imsgbuf_write(&p->ibuf) == -1)
			return (-1);
		if (imsgbuf_queuelen(&p->ibuf) == 0)
			return (0);
		if ((left = end - clock_now_ms()) <= 0)
			break;
		if (poll(&pfd, 1, (int)left) == -1 && errno != EINTR)
			return (-1);
	}
	errno = p->dead || p->deaf ? EPIPE : ETIMEDOUT;
	return (-1);
}
