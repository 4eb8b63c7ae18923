/* SPDX-License-Identifier: ISC */
/* The connection to vmd: see link.h. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/fd.h"
#include "shared/peer.h"
#include "tui/console.h"
#include "tui/link.h"
#include "tui/users.h"

#define REQUESTS 256 /* under way at a time */

/* What an answer is for. */
struct request {
	uint32_t reqno; /* 0: free */
	enum {
		REQ_OP,
		REQ_LIST,
		REQ_HELLO,
		REQ_SUBSCRIBE,
		REQ_ATTACH,
		REQ_TAKE
	} what;
	enum guest_op op;
	uint32_t id; /* guest, or channel of a console */
};

struct link {
	struct event_base *base;
	struct event *retry;
	struct model *model;
	struct app *app;
	struct peer *peer; /* NULL: not connected */
	link_changed *changed;
	void *ctx;
	int tries;
	int64_t up_s; /* since when it stands */
	uint32_t next_reqno;
	struct request req[REQUESTS];
};

static void connect_now(struct link *);

static uint32_t
request_new(struct link *l, int what, enum guest_op op, uint32_t id)
{
	size_t i;

	for (i = 0; i < REQUESTS; i++)
		if (l->req[i].reqno == 0)
			break;
	if (i == REQUESTS)
		return (0);
	if (++l->next_reqno == 0)
		l->next_reqno = 1;
	l->req[i].reqno = l->next_reqno;
	l->req[i].what = what;
	l->req[i].op = op;
	l->req[i].id = id;
	return (l->next_reqno);
}

/* Give the request of this number back and forget it; false: none. */
static bool
request_take(struct link *l, uint32_t reqno, struct request *out)
{
	size_t i;

	for (i = 0; reqno != 0 && i < REQUESTS; i++)
		if (l->req[i].reqno == reqno) {
			*out = l->req[i];
			l->req[i].reqno = 0;
			return (true);
		}
	return (false);
}

static int
ask(struct link *l, enum msg_type type, int what, enum guest_op op, uint32_t id,
    const void *body, size_t len, struct err *e)
{
	struct request gone;
	uint32_t reqno;

	if (l->peer == NULL)
		return (err_set(e, ENOTCONN, "not connected to vmd"));
	if ((reqno = request_new(l, what, op, id)) == 0)
		return (err_set(e, EBUSY, "too many requests are under way"));
	if (peer_send(l->peer, type, reqno, NULL, body, len) == -1) {
		request_take(l, reqno, &gone);
		return (err_errno(e, "to vmd"));
	}
	return (0);
}

static void
model_changed(struct link *l)
{
	l->model->generation++;
	l->changed(l->ctx, true);
}

/* The next try: at once, then after 1, 2, 4, at most 8 seconds. */
static void
retry_later(struct link *l)
{
	struct timeval tv = { 0, 0 };

	tv.tv_sec = l->tries == 0 ? 1 : l->tries > 3 ? 8 : 1 << l->tries;
	l->tries++;
	l->model->retry_s = (int)tv.tv_sec;
	event_add(l->retry, &tv);
	model_changed(l);
}

static void
lost(struct link *l, const char *why)
{
	size_t i;

	l->model->link = LINK_LOST;
	snprintf(l->model->link_text, sizeof(l->model->link_text), "%s", why);
	memset(l->req, 0, sizeof(l->req));
	for (i = 0; i < l->model->nguests; i++) {
		l->model->guests[i].busy[0] = '\0';
		l->model->guests[i].last_ns = 0;
	}
	consoles_link_lost(l->app->views[VIEW_CONSOLE]);
	retry_later(l);
}

static void
on_closed(void *ctx, struct peer *p, const struct err *why)
{
	struct link *l = ctx;
	char text[ERR_TEXT_BYTES + 64];

	(void)p;
	l->peer = NULL;
	if (why->code == 0)
		snprintf(text, sizeof(text),
		    "vmd at %s is gone; guests run "
		    "on, the last figures stay",
		    l->model->socket);
	else
		snprintf(text, sizeof(text), "vmd: %s", why->text);
	lost(l, text);
}

/* vmd is there, but we do not understand each other. */
static void
hang_up(struct link *l, const struct err *why)
{
	peer_close(l->peer);
	l->peer = NULL;
	lost(l, why->text);
}

static int
subscribe(struct link *l, int ms, struct err *e)
{
	struct msg_subscribe s = { .what = SUB_ROWS | SUB_EVENTS | SUB_DEVS };

	if (ms > 0)
		s.what |= SUB_FIGURES;
	s.interval_ms = ms < 200 ? 1000 : (uint32_t)ms;
	return (ask(l, MSG_SUBSCRIBE, REQ_SUBSCRIBE, 0, 0, &s, sizeof(s), e));
}

static int
on_hello(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_hello *h = m->body;
	struct msg_list list = { .flags = LIST_DEVS };
	struct link *l = ctx;
	struct request r;

	(void)p;
	request_take(l, m->reqno, &r);
	if (h->version != PROTO_VERSION) {
		err_set(e, EPROTO,
		    "%s speaks version %u of the protocol, this vmtop %d; "
		    "restart the older of the two",
		    h->text, h->version, PROTO_VERSION);
		hang_up(l, e);
		return (0);
	}
	snprintf(l->model->daemon, sizeof(l->model->daemon), "%s", h->text);
	l->model->uid = h->uid;
	l->model->link = LINK_UP;
	l->model->link_text[0] = '\0';
	l->tries = 0;
	l->up_s = l->model->now_s;
	model_mark(l->model);
	if (subscribe(l, l->app->frozen ? 0 : l->model->delay_ms, e) == -1 ||
	    ask(l, MSG_LIST, REQ_LIST, 0, 0, &list, sizeof(list), e) == -1)
		app_error(l->app, e);
	consoles_link_up(l->app->views[VIEW_CONSOLE]);
	model_changed(l);
	return (0);
}

static int
on_row(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_row *r = m->body;
	char owner[OWNER_BYTES];
	struct link *l = ctx;

	(void)p;
	(void)e;
	user_name(r->owner_uid, owner);
	model_row(l->model, r, owner);
	model_changed(l);
	return (0);
}

static int
on_gone(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct link *l = ctx;

	(void)p;
	(void)e;
	model_gone(l->model, m->body);
	model_changed(l);
	return (0);
}

static int
on_figures(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct link *l = ctx;

	(void)p;
	(void)e;
	model_figures(l->model, m->body);
	model_changed(l);
	return (0);
}

static int
on_dev(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct link *l = ctx;

	(void)p;
	(void)e;
	model_dev(l->model, m->body);
	model_changed(l);
	return (0);
}

static int
on_dev_figures(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct link *l = ctx;

	(void)p;
	(void)e;
	model_dev_figures(l->model, m->body);
	model_changed(l);
	return (0);
}

static int
on_event(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_event *ev = m->body;
	struct link *l = ctx;

	(void)p;
	(void)e;
	model_event(l->model, ev);
	if (ev->bad && ev->time_s >= l->up_s) /* not one of the past */
		app_status(l->app, TR_ERROR, "%s%s%s", ev->name,
		    ev->name[0] != '\0' ? ": " : "", ev->text);
	model_changed(l);
	return (0);
}

static int
on_ok(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct link *l = ctx;
	struct request r;
	struct guest *g;

	(void)p;
	(void)e;
	if (!request_take(l, m->reqno, &r))
		return (0);
	if (r.what == REQ_LIST)
		model_sweep(l->model);
	if (r.what == REQ_OP && (g = model_find(l->model, r.id)) != NULL)
		g->busy[0] = '\0';
	model_changed(l);
	return (0);
}

static int
on_err(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct console *cons;
	struct link *l = ctx;
	struct request r;
	struct err why;

	(void)p;
	(void)e;
	if (!request_take(l, m->reqno, &r))
		return (0);
	msg_to_err(m->body, &why);
	if (r.what == REQ_HELLO) {
		hang_up(l, &why);
		return (0);
	}
	if (r.what == REQ_OP)
		model_reason(l->model, r.id, why.text);
	cons = console_by_chan(l->app->views[VIEW_CONSOLE], r.id);
	if (r.what == REQ_ATTACH && cons != NULL)
		console_closed(cons, why.text);
	app_error(l->app, &why);
	model_changed(l);
	return (0);
}

/* Where the time of a start went, longest step first named. */
static int
on_started(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_started *s = m->body;
	uint64_t total = 0;
	uint32_t i, top = 0;
	struct link *l = ctx;
	struct request r;
	struct guest *g;

	(void)p;
	(void)e;
	request_take(l, m->reqno, &r);
	for (i = 0; i < STEP_N; i++) {
		total += s->step_us[i];
		if (s->step_us[i] > s->step_us[top])
			top = i;
	}
	if ((g = model_find(l->model, s->id)) != NULL) {
		g->busy[0] = '\0';
		app_status(l->app, TR_NOTICE,
		    "%s runs after %.1f ms, %.1f of them for %s", g->name,
		    (double)total / 1000, s->step_us[top] / 1000.0,
		    start_step_name(top));
	}
	model_changed(l);
	return (0);
}

static void
console_changed(struct link *l)
{
	l->changed(l->ctx, false);
}

static struct console *
console_of(struct link *l, uint32_t chan)
{
	return (console_by_chan(l->app->views[VIEW_CONSOLE], chan));
}

static int
on_attached(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_attached *a = m->body;
	struct link *l = ctx;
	struct console *cons = console_of(l, a->chan);
	struct request r;

	(void)p;
	(void)e;
	request_take(l, m->reqno, &r);
	if (cons != NULL)
		console_attached(cons, a);
	console_changed(l);
	return (0);
}

static int
on_data(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_chunk *c = m->body;
	struct console *cons = console_of(ctx, c->chan);

	(void)p;
	(void)e;
	if (cons != NULL)
		console_data(cons, c->off, c + 1, c->len);
	console_changed(ctx);
	return (0);
}

static int
on_gap(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_gap *g = m->body;
	struct console *cons = console_of(ctx, g->chan);

	(void)p;
	(void)e;
	if (cons != NULL)
		console_gap(cons, g);
	console_changed(ctx);
	return (0);
}

static int
on_peers(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_cons_peers *c = m->body;
	struct console *cons = console_of(ctx, c->chan);

	(void)p;
	(void)e;
	if (cons != NULL)
		console_peers(cons, c);
	console_changed(ctx);
	return (0);
}

static int
on_input_credit(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_credit *c = m->body;
	struct console *cons = console_of(ctx, c->chan);

	(void)p;
	(void)e;
	if (cons != NULL)
		console_input_credit(cons, c->bytes);
	return (0);
}

static int
on_cons_closed(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_cons_closed *c = m->body;
	struct console *cons = console_of(ctx, c->chan);
	struct err why;

	(void)p;
	(void)e;
	msg_to_err(&c->why, &why);
	if (cons != NULL)
		console_closed(cons, why.text);
	console_changed(ctx);
	return (0);
}

static const struct msg_handler handlers[] = {
	{ MSG_OK, on_ok },
	{ MSG_ERR, on_err },
	{ MSG_HELLO, on_hello },
	{ MSG_STARTED, on_started },
	{ MSG_VM_ROW, on_row },
	{ MSG_VM_GONE, on_gone },
	{ MSG_VM_FIGURES, on_figures },
	{ MSG_DEV_ROW, on_dev },
	{ MSG_DEV_FIGURES, on_dev_figures },
	{ MSG_EVENT, on_event },
	{ MSG_CONS_ATTACHED, on_attached },
	{ MSG_CONS_INPUT_CREDIT, on_input_credit },
	{ MSG_CONS_DATA, on_data },
	{ MSG_CONS_GAP, on_gap },
	{ MSG_CONS_PEERS, on_peers },
	{ MSG_CONS_CLOSED, on_cons_closed },
};

static int
open_socket(const char *path, struct err *e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(sun.sun_path))
		return (err_set(e, ENAMETOOLONG,
		    "%s: name too long for a "
		    "socket",
		    path));
	memcpy(sun.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return (err_errno(e, "socket"));
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		if (errno == ENOENT || errno == ECONNREFUSED)
			err_set(e, errno, "vmd does not run: %s: %s", path,
			    strerror(errno));
		else if (errno == EACCES)
			err_set(e, errno,
			    "no permission to use %s: only its "
			    "owner and its group may",
			    path);
		else
			err_errno(e, "%s", path);
		fd_close(&fd);
		return (-1);
	}
	return (fd);
}

static void
connect_now(struct link *l)
{
	struct peer_conf conf = { .other = ROLE_CONTROL,
		.handlers = handlers,
		.nhandlers = sizeof(handlers) / sizeof(handlers[0]),
		.ctx = l,
		.closed = on_closed };
	struct msg_hello hello = { .version = PROTO_VERSION };
	struct err e;
	int fd;

	l->model->retry_s = 0;
	err_clear(&e);
	if ((fd = open_socket(l->model->socket, &e)) == -1 ||
	    (l->peer = peer_open(l->base, &fd, &conf, &e)) == NULL) {
		lost(l, e.text);
		return;
	}
	snprintf(hello.text, sizeof(hello.text), "vmtop");
	if (ask(l, MSG_HELLO, REQ_HELLO, 0, 0, &hello, sizeof(hello), &e) == -1)
		app_error(l->app, &e);
}

static void
on_retry(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	connect_now(ctx);
}

struct link *
link_open(struct event_base *base, struct model *m, const char *path,
    link_changed *changed, void *ctx)
{
	struct link *l;

	if ((l = calloc(1, sizeof(*l))) == NULL)
		return (NULL);
	l->base = base;
	l->model = m;
	l->changed = changed;
	l->ctx = ctx;
	snprintf(m->socket, sizeof(m->socket), "%s", path);
	if ((l->retry = evtimer_new(base, on_retry, l)) == NULL) {
		free(l);
		return (NULL);
	}
	return (l);
}

void
link_start(struct link *l, struct app *app)
{
	l->app = app;
	connect_now(l);
}

void
link_close(struct link *l)
{
	if (l == NULL)
		return;
	peer_close(l->peer);
	event_free(l->retry);
	free(l);
}

void
link_tick(struct link *l)
{
	if (l->model->link == LINK_LOST && l->model->retry_s > 0)
		l->model->retry_s--;
}

static const char *
busy_word(enum guest_op op)
{
	static const char *const words[] = { "starting", "pausing", "resuming",
		"stopping", "resetting", "killing" };

	return (words[op]);
}

static int
do_op(void *ctx, enum guest_op op, uint32_t id, struct err *e)
{
	struct link *l = ctx;
	struct guest *g = model_find(l->model, id);
	struct msg_start start = { .vm.id = id };
	struct msg_stop stop = { .vm.id = id };
	struct msg_ref ref = { .vm.id = id };
	int rc;

	switch (op) {
	case GOP_START:
		rc =
		    ask(l, MSG_START, REQ_OP, op, id, &start, sizeof(start), e);
		break;
	case GOP_SHUTDOWN:
	case GOP_KILL:
		stop.flags = op == GOP_KILL ? STOP_FORCE : 0;
		rc = ask(l, MSG_STOP, REQ_OP, op, id, &stop, sizeof(stop), e);
		break;
	default:
		rc = ask(l,
		    op == GOP_PAUSE         ? MSG_PAUSE
			: op == GOP_UNPAUSE ? MSG_UNPAUSE
					    : MSG_REBOOT,
		    REQ_OP, op, id, &ref, sizeof(ref), e);
	}
	if (rc == 0 && g != NULL) {
		snprintf(g->busy, sizeof(g->busy), "%s", busy_word(op));
		g->reason[0] = '\0';
		g->flags &= ~(uint32_t)ROW_FAILED;
	}
	return (rc);
}

static void
do_interval(void *ctx, int ms)
{
	struct link *l = ctx;
	struct err e;

	if (l->peer != NULL && subscribe(l, ms, &e) == -1)
		app_error(l->app, &e);
}

static int
do_attach(void *ctx, const struct msg_attach *a, struct err *e)
{
	return (ask(
	    ctx, MSG_CONS_ATTACH, REQ_ATTACH, 0, a->chan, a, sizeof(*a), e));
}

/* The rest has no answer; a full queue shows as a lost link. */
static void
tell(struct link *l, enum msg_type type, const void *body, size_t len)
{
	if (l->peer != NULL)
		(void)peer_send(l->peer, type, 0, NULL, body, len);
}

static void
do_detach(void *ctx, uint32_t chan)
{
	struct msg_chan c = { chan };

	tell(ctx, MSG_CONS_DETACH, &c, sizeof(c));
}

static int
do_input(void *ctx, uint32_t chan, const void *bytes, size_t len)
{
	struct msg_chunk head = { .chan = chan, .len = (uint32_t)len };
	char copy[CONS_INPUT_BYTES];
	struct iovec iov[2] = { { &head, sizeof(head) }, { copy, len } };
	struct link *l = ctx;

	if (l->peer == NULL || len > sizeof(copy))
		return (-1);
	memcpy(copy, bytes, len);
	return (peer_sendv(l->peer, MSG_CONS_INPUT, 0, iov, 2));
}

static void
do_credit(void *ctx, uint32_t chan, uint32_t bytes)
{
	struct msg_credit c = { chan, bytes };

	tell(ctx, MSG_CONS_CREDIT, &c, sizeof(c));
}

static void
do_break(void *ctx, uint32_t chan)
{
	struct msg_chan c = { chan };

	tell(ctx, MSG_CONS_BREAK, &c, sizeof(c));
}

static void
do_take(void *ctx, uint32_t chan)
{
	struct msg_chan c = { chan };
	struct link *l = ctx;
	struct err e;

	if (ask(l, MSG_CONS_TAKE, REQ_TAKE, 0, chan, &c, sizeof(c), &e) == -1)
		app_error(l->app, &e);
}

const struct link_ops link_ops = { do_op, do_interval, do_attach, do_detach,
	do_input, do_credit, do_break, do_take };
