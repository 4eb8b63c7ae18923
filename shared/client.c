/* SPDX-License-Identifier: ISC */
/*
 * A connection to vmd's control socket: see client.h.
 * Runs in: vmctl, vmtop.  Trusts: vmd no further than the message table.
 */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "shared/client.h"
#include "shared/fd.h"
#include "shared/str.h"

#define HELLO_MS 10000 /* a busy machine; a person would have given up */

struct asked {
	TAILQ_ENTRY(asked) entry;
	uint32_t reqno;
	void (*fn)(void *arg, struct client *, const struct msg *);
	void *arg;
};

struct client {
	struct client_conf conf;
	struct event_base *base;
	struct peer *peer;   /* NULL: not connected */
	struct event *timer; /* of HELLO's answer, or the next try */
	struct msg_hello hello;
	struct err why; /* it is down */
	bool up;        /* HELLO is answered */
	uint32_t reqno;
	unsigned busy; /* callbacks below us on the stack */
	bool dead;     /* to be freed when busy is 0 again */
	TAILQ_HEAD(, asked) asked;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

const char *
client_path(const char *given)
{
	if (given == NULL || given[0] == '\0')
		given = getenv(CLIENT_SOCKET_ENV);
	if (given == NULL || given[0] == '\0')
		given = CLIENT_SOCKET;
	return (given);
}

/* ---- Connecting ----------------------------------------------------------- */

/* A refusal by file mode: who would get in? */
static int
explain_access(const char *path, struct err *e)
{
	struct group *gr;
	struct stat st;

	if (stat(path, &st) == -1)
		return (err_set(e, EACCES,
		    "no permission to use vmd's socket %s: ask root", path));
	gr = getgrgid(st.st_gid);
	if ((st.st_mode & S_IWGRP) == 0 || gr == NULL)
		return (err_set(e, EACCES,
		    "no permission to use vmd's socket %s: only its owner "
		    "(uid %u) may",
		    path, (unsigned)st.st_uid));
	return (err_set(e, EACCES,
	    "no permission to use vmd's socket %s: only members of group %s "
	    "may",
	    path, gr->gr_name));
}

static int
explain(const char *path, struct err *e)
{
	switch (errno) {
	case ENOENT:
		return (err_set(e, ENOENT,
		    "vmd is not running (no socket at %s): start it with "
		    "\"systemctl start vmd\" or run vmd as root",
		    path));
	case ECONNREFUSED:
		return (err_set(e, ECONNREFUSED,
		    "vmd is not running (nobody listens at %s): start it with "
		    "\"systemctl start vmd\" or run vmd as root",
		    path));
	case EACCES:
	case EPERM:
		return (explain_access(path, e));
	default:
		return (err_errno(e, "cannot connect to vmd at %s", path));
	}
}

/* Who tries again does not wait for a full backlog; who asks once does. */
static int
dial(const struct client *c, struct err *e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int type = SOCK_STREAM | SOCK_CLOEXEC;
	int fd;

	if (c->conf.retry_ms > 0)
		type |= SOCK_NONBLOCK;
	if ((fd = socket(AF_UNIX, type, 0)) == -1)
		return (err_errno(e, "socket"));
	strlcpy(sun.sun_path, c->path, sizeof(sun.sun_path));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
		return (fd);
	explain(c->path, e);
	fd_close(&fd);
	return (-1);
}

static void
arm(struct client *c, unsigned ms)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	event_add(c->timer, &tv);
}

static void
client_free(struct client *c)
{
	struct asked *a;

	while ((a = TAILQ_FIRST(&c->asked)) != NULL) {
		TAILQ_REMOVE(&c->asked, a, entry);
		free(a);
	}
	if (c->timer != NULL)
		event_free(c->timer);
	free(c);
}

static void
leave(struct client *c)
{
	if (--c->busy == 0 && c->dead)
		client_free(c);
}

/* Everyone who waits is told. */
static void
fail_asked(struct client *c, const struct err *why)
{
	struct msg_err body;
	struct msg m = { MSG_ERR, 0, &body, sizeof(body), -1 };
	struct asked *a;

	msg_from_err(&body, why);
	while (!c->dead && (a = TAILQ_FIRST(&c->asked)) != NULL) {
		TAILQ_REMOVE(&c->asked, a, entry);
		m.reqno = a->reqno;
		a->fn(a->arg, c, &m);
		free(a);
	}
}

/* The peer is closed already. */
static void
went_down(struct client *c, const struct err *why)
{
	c->busy++;
	c->peer = NULL;
	c->up = false;
	c->why = *why;
	event_del(c->timer);
	fail_asked(c, why);
	if (!c->dead && c->conf.down != NULL)
		c->conf.down(c->conf.ctx, c, why);
	if (!c->dead && c->conf.retry_ms > 0)
		arm(c, c->conf.retry_ms);
	leave(c);
}

static void
on_closed(void *ctx, struct peer *p, const struct err *why)
{
	struct client *c = ctx;
	struct err e = *why;

	(void)p;
	if (e.code == 0)
		err_set(&e, ECONNRESET,
		    c->up ? "vmd closed the connection"
			  : "vmd closed the connection before it said hello");
	else
		err_prefix(&e, "connection to vmd");
	went_down(c, &e);
}

/* ---- Receiving ------------------------------------------------------------ */

/* Is this the last answer to a request? */
static bool
is_last(enum msg_type type)
{
	return (type == MSG_OK || type == MSG_ERR || type == MSG_STARTED ||
	    type == MSG_LENT || type == MSG_CONS_ATTACHED);
}

static void
hang_up(struct client *c, const struct err *why)
{
	peer_close(c->peer);
	went_down(c, why);
}

/* HELLO, or ERR to ours. */
static void
on_greeting(struct client *c, const struct msg *m)
{
	const struct msg_hello *h = m->body;
	struct err e;

	if (m->type == MSG_ERR) {
		msg_to_err(m->body, &e);
		hang_up(c, &e);
		return;
	}
	if (m->type != MSG_HELLO || h->version != PROTO_VERSION) {
		err_set(&e, EPROTO,
		    "this program and the running vmd are of different "
		    "versions (protocol %u, vmd %u): restart vmd",
		    PROTO_VERSION, m->type == MSG_HELLO ? h->version : 0);
		hang_up(c, &e);
		return;
	}
	event_del(c->timer);
	c->hello = *h;
	c->up = true;
	if (c->conf.up != NULL)
		c->conf.up(c->conf.ctx, c, &c->hello);
}

static void
on_answer(struct client *c, const struct msg *m)
{
	struct asked *a;

	TAILQ_FOREACH(a, &c->asked, entry)
		if (a->reqno == m->reqno)
			break;
	if (a == NULL)
		return;
	if (!is_last(m->type)) {
		a->fn(a->arg, c, m);
		return;
	}
	TAILQ_REMOVE(&c->asked, a, entry);
	a->fn(a->arg, c, m);
	free(a);
}

static int
on_news(struct client *c, struct peer *p, struct msg *m, struct err *e)
{
	size_t i;

	for (i = 0; i < c->conf.nhandlers; i++)
		if (c->conf.handlers[i].type == m->type)
			return (c->conf.handlers[i].fn(c->conf.ctx, p, m, e));
	return (0);
}

static int
on_any(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct client *c = ctx;
	int r = 0;

	c->busy++;
	if (!c->up)
		on_greeting(c, m);
	else if (m->reqno != 0)
		on_answer(c, m);
	else
		r = on_news(c, p, m, e);
	leave(c);
	return (r);
}

/* All that control says to a client. */
static const struct msg_handler hears[] = {
	{ MSG_OK, on_any },
	{ MSG_ERR, on_any },
	{ MSG_HELLO, on_any },
	{ MSG_LENT, on_any },
	{ MSG_STARTED, on_any },
	{ MSG_VM_ROW, on_any },
	{ MSG_VM_GONE, on_any },
	{ MSG_VM_FIGURES, on_any },
	{ MSG_DEV_ROW, on_any },
	{ MSG_DEV_FIGURES, on_any },
	{ MSG_EVENT, on_any },
	{ MSG_CONS_ATTACHED, on_any },
	{ MSG_CONS_INPUT_CREDIT, on_any },
	{ MSG_CONS_DATA, on_any },
	{ MSG_CONS_GAP, on_any },
	{ MSG_CONS_PEERS, on_any },
	{ MSG_CONS_CLOSED, on_any },
};

/* 0 is for what nobody asked. */
static uint32_t
next_reqno(struct client *c)
{
	if (++c->reqno == 0)
		c->reqno = 1;
	return (c->reqno);
}

/* ---- Opening -------------------------------------------------------------- */

static int
client_connect(struct client *c, struct err *e)
{
	struct msg_hello hello = { .version = PROTO_VERSION };
	struct peer_conf pc = {
		.other = ROLE_CONTROL,
		.handlers = hears,
		.nhandlers = sizeof(hears) / sizeof(hears[0]),
		.ctx = c,
		.closed = on_closed,
	};
	int fd;

	if ((fd = dial(c, e)) == -1 ||
	    (c->peer = peer_open(c->base, &fd, &pc, e)) == NULL)
		return (-1);
	strlcpy(hello.text, c->conf.text, sizeof(hello.text));
	if (peer_send(c->peer, MSG_HELLO, next_reqno(c), NULL, &hello,
		sizeof(hello)) == -1) {
		err_errno(e, "cannot talk to vmd at %s", c->path);
		peer_close(c->peer);
		c->peer = NULL;
		return (-1);
	}
	arm(c, HELLO_MS);
	return (0);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	struct err e;

	(void)fd;
	(void)what;
	if (c->peer == NULL) {
		if (client_connect(c, &e) == -1)
			went_down(c, &e);
	} else {
		err_set(&e, ETIMEDOUT, "vmd at %s does not answer", c->path);
		hang_up(c, &e);
	}
}

struct client *
client_open(
    struct event_base *base, const struct client_conf *conf, struct err *e)
{
	const char *path = client_path(conf->path);
	struct client *c;

	if ((c = calloc(1, sizeof(*c))) == NULL) {
		err_errno(e, "client");
		return (NULL);
	}
	c->conf = *conf;
	c->base = base;
	TAILQ_INIT(&c->asked);
	if (strlcpy(c->path, path, sizeof(c->path)) >= sizeof(c->path)) {
		err_set(e, ENAMETOOLONG,
		    "the path of vmd's socket is longer than %zu bytes: %s",
		    sizeof(c->path) - 1, path);
		goto fail;
	}
	if ((c->timer = evtimer_new(base, on_timer, c)) == NULL) {
		err_set(e, ENOMEM, "no timer");
		goto fail;
	}
	if (conf->retry_ms > 0)
		arm(c, 0);
	else if (client_connect(c, e) == -1)
		goto fail;
	return (c);
fail:
	client_free(c);
	return (NULL);
}

void
client_close(struct client *c)
{
	if (c == NULL || c->dead)
		return;
	peer_close(c->peer);
	c->peer = NULL;
	c->up = false;
	c->dead = true;
	if (c->busy == 0)
		client_free(c);
	else
		event_del(c->timer);
}

bool
client_up(const struct client *c)
{
	return (c->up);
}

const struct msg_hello *
client_hello(const struct client *c)
{
	return (&c->hello);
}

struct peer *
client_peer(struct client *c)
{
	return (c->peer);
}

/* ---- Asking --------------------------------------------------------------- */

uint32_t
client_request(struct client *c, enum msg_type type, const void *body,
    size_t len, void (*fn)(void *, struct client *, const struct msg *),
    void *arg, struct err *e)
{
	struct asked *a;

	if (!c->up) {
		err_set(e, ENOTCONN, "not connected to vmd");
		return (0);
	}
	if ((a = calloc(1, sizeof(*a))) == NULL) {
		err_errno(e, "request");
		return (0);
	}
	a->reqno = next_reqno(c);
	a->fn = fn;
	a->arg = arg;
	if (peer_send(c->peer, type, a->reqno, NULL, body, len) == -1) {
		err_errno(e, "cannot ask vmd");
		free(a);
		return (0);
	}
	TAILQ_INSERT_TAIL(&c->asked, a, entry);
	return (a->reqno);
}

int
client_send(struct client *c, enum msg_type type, const void *body, size_t len)
{
	if (!c->up) {
		errno = ENOTCONN;
		return (-1);
	}
	return (peer_send(c->peer, type, 0, NULL, body, len));
}

int
client_sendv(
    struct client *c, enum msg_type type, const struct iovec *iov, int niov)
{
	if (!c->up) {
		errno = ENOTCONN;
		return (-1);
	}
	return (peer_sendv(c->peer, type, 0, iov, niov));
}

/* ---- Asking and waiting --------------------------------------------------- */

int
client_ready(struct client *c, struct err *e)
{
	while (!c->up && (c->peer != NULL || c->conf.retry_ms > 0))
		if (event_base_loop(c->base, EVLOOP_ONCE) != 0)
			return (err_set(e, EIO, "the event loop failed"));
	if (c->up)
		return (0);
	if (e != NULL)
		*e = c->why;
	return (-1);
}

struct call {
	bool done;
	int result;
	struct err *e;
	void (*each)(void *, const struct msg *);
	void *arg;
};

static void
on_call(void *arg, struct client *c, const struct msg *m)
{
	struct call *call = arg;
	struct err e;

	(void)c;
	if (m->type == MSG_ERR) {
		msg_to_err(m->body, &e);
		if (call->e != NULL)
			*call->e = e;
		call->result = -1;
	} else if (m->type != MSG_OK && call->each != NULL)
		call->each(call->arg, m);
	call->done = is_last(m->type);
}

int
client_call(struct client *c, enum msg_type type, const void *body, size_t len,
    void (*each)(void *, const struct msg *), void *arg, struct err *e)
{
	struct call call = { .e = e, .each = each, .arg = arg };

	if (client_request(c, type, body, len, on_call, &call, e) == 0)
		return (-1);
	while (!call.done)
		if (event_base_loop(c->base, EVLOOP_ONCE) != 0)
			return (err_set(e, EIO, "the event loop failed"));
	return (call.result);
}
