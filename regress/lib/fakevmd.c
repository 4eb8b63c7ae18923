/* SPDX-License-Identifier: ISC */
/* A daemon that only speaks the protocol: see fakevmd.h. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "regress/lib/fakevmd.h"
#include "shared/clock.h"
#include "shared/peer.h"

#define CONSOLE_BYTES (1 << 20)
#define GUESTS 1024

struct client;

struct chan {
	struct client *client;
	uint32_t chan, id, credit;
	uint64_t off;
	int open, writer;
};

struct fake_guest {
	struct msg_row row;
	struct msg_figures fig;
	char *text; /* all of its console, from base on */
	uint64_t base, end;
	struct chan *writer;
};

struct client {
	struct peer *peer;
	struct event *tick;
	struct timeval interval;
	struct chan chan[CONS_CHANS];
	struct client *next;
};

static struct fakevmd_conf conf;
static struct event_base *base;
static struct fake_guest *guests[GUESTS];
static struct client *clients;

static struct fake_guest *
guest_of(const struct vm_ref *ref)
{
	if (ref->id == 0 || ref->id > (uint32_t)conf.nguests)
		return (NULL);
	return (guests[ref->id - 1]);
}

static int64_t
real_s(void)
{
	return (time(NULL));
}

static void
start_guest(struct fake_guest *g)
{
	g->row.state = VM_RUNNING;
	g->row.flags &= ~(uint32_t)ROW_FAILED;
	g->row.pid = 1000 + g->row.id;
	g->row.started_s = real_s();
	g->row.resident_bytes = 64 << 20;
	g->base = g->end = conf.history_lost;
	memcpy(g->text, conf.history, conf.history_len);
	g->end += conf.history_len;
	g->row.console_bytes = g->end;
}

static void
pump(struct chan *ch)
{
	struct fake_guest *g = guests[ch->id - 1];
	struct msg_chunk head = { .chan = ch->chan };
	struct msg_gap gap = { .chan = ch->chan };
	struct iovec iov[2];
	uint64_t n;

	if (ch->off < g->base) {
		gap.off = ch->off;
		gap.lost = g->base - ch->off;
		ch->off = g->base;
		peer_send(
		    ch->client->peer, MSG_CONS_GAP, 0, NULL, &gap, sizeof(gap));
	}
	while (ch->off < g->end && ch->credit > 0 &&
	    peer_queued(ch->client->peer) < 256 * 1024) {
		n = g->end - ch->off;
		n = n > ch->credit ? ch->credit : n;
		n = n > CONS_DATA_BYTES ? CONS_DATA_BYTES : n;
		head.len = (uint32_t)n;
		head.off = ch->off;
		iov[0] = (struct iovec){ &head, sizeof(head) };
		iov[1] = (struct iovec){ g->text + (ch->off - g->base), n };
		if (peer_sendv(ch->client->peer, MSG_CONS_DATA, 0, iov, 2) ==
		    -1)
			return;
		ch->off += n;
		ch->credit -= (uint32_t)n;
	}
}

static void
each_chan(uint32_t id, void (*fn)(struct chan *))
{
	struct client *cl;
	int i;

	for (cl = clients; cl != NULL; cl = cl->next)
		for (i = 0; i < CONS_CHANS; i++)
			if (cl->chan[i].open && cl->chan[i].id == id)
				fn(&cl->chan[i]);
}

static void
print(struct fake_guest *g, const void *bytes, size_t len)
{
	uint64_t used = g->end - g->base, half = CONSOLE_BYTES / 2;

	if (used + len > CONSOLE_BYTES) {
		memmove(g->text, g->text + (used - half), half);
		g->base = g->end - half;
		used = half;
	}
	memcpy(g->text + used, bytes, len);
	g->end += len;
	g->row.console_bytes = g->end;
	each_chan(g->row.id, pump);
}

static void
send_row(struct client *cl, uint32_t reqno, const struct fake_guest *g)
{
	peer_send(cl->peer, MSG_VM_ROW, reqno, NULL, &g->row, sizeof(g->row));
}

static void
push_row(struct fake_guest *g)
{
	struct client *cl;

	for (cl = clients; cl != NULL; cl = cl->next)
		send_row(cl, 0, g);
}

static int
on_hello(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct msg_hello h = { .version = PROTO_VERSION, .uid = getuid() };

	(void)ctx;
	(void)e;
	snprintf(h.text, sizeof(h.text), "vmd 0.1");
	return (peer_send(p, MSG_HELLO, m->reqno, NULL, &h, sizeof(h)));
}

static int
on_list(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	int i;

	(void)e;
	for (i = 0; i < conf.nguests; i++)
		send_row(ctx, m->reqno, guests[i]);
	return (peer_ok(p, m->reqno));
}

/* Lines of so many bytes in all. */
static void
flood(struct fake_guest *g, uint32_t bytes)
{
	static const char line[] = "a line of a console that never stops, to "
				   "fill the screen and the ring behind it\r\n";
	static char many[64 * (sizeof(line) - 1)];
	size_t i;

	if (many[0] == '\0')
		for (i = 0; i < 64; i++)
			memcpy(many + i * (sizeof(line) - 1), line,
			    sizeof(line) - 1);
	for (; bytes > sizeof(many); bytes -= sizeof(many))
		print(g, many, sizeof(many));
	print(g, many, sizeof(many));
}

static void
on_tick(int fd, short what, void *arg)
{
	struct client *cl = arg;
	struct fake_guest *g;
	uint64_t now = clock_now_ns();
	int i, k;

	(void)fd;
	(void)what;
	for (i = 0; i < conf.nguests; i++) {
		g = guests[i];
		if (g->row.state != VM_RUNNING)
			continue;
		g->fig.now_ns = now;
		g->fig.run_ns += (uint64_t)(rand() % 900) * 1000000u;
		for (k = 0; k < 5; k++)
			g->fig.exits[k] += (uint64_t)(rand() % 2000);
		g->fig.console_bytes = g->end;
		g->fig.resident_bytes = (uint64_t)(64 + i) << 20;
		peer_send(
		    cl->peer, MSG_VM_FIGURES, 0, NULL, &g->fig, sizeof(g->fig));
		if (conf.flood)
			flood(g, 8192);
	}
	event_add(cl->tick, &cl->interval);
}

static int
on_subscribe(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_subscribe *s = m->body;
	struct client *cl = ctx;

	(void)e;
	event_del(cl->tick);
	cl->interval.tv_sec = s->interval_ms / 1000;
	cl->interval.tv_usec = (suseconds_t)(s->interval_ms % 1000) * 1000;
	peer_ok(p, m->reqno);
	if (s->what & SUB_FIGURES)
		on_tick(-1, 0, cl);
	return (0);
}

static int
on_start(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_start *s = m->body;
	struct fake_guest *g = guest_of(&s->vm);
	struct msg_started r = { 0 };

	(void)ctx;
	if (g == NULL)
		return (err_set(e, ENOENT, "no vm with id %u", s->vm.id));
	if (g->row.id % 8 == 0)
		return (err_set(e, ENOMEM,
		    "needs 512 MiB, 100 are free; "
		    "stop another guest first"));
	start_guest(g);
	r.id = g->row.id;
	r.pid = g->row.pid;
	r.step_us[STEP_KVM] = 4200;
	r.step_us[STEP_LOAD] = 9100;
	push_row(g);
	return (peer_send(p, MSG_STARTED, m->reqno, NULL, &r, sizeof(r)));
}

static void
close_chan(struct chan *ch)
{
	struct msg_cons_closed c = { .chan = ch->chan };
	struct err why;

	err_set(&why, ENOTCONN, "the vm is not running any more");
	msg_from_err(&c.why, &why);
	ch->open = 0;
	peer_send(ch->client->peer, MSG_CONS_CLOSED, 0, NULL, &c, sizeof(c));
}

static int
on_stop(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_stop *s = m->body;
	struct fake_guest *g = guest_of(&s->vm);

	(void)ctx;
	if (g == NULL || g->row.state == VM_STOPPED)
		return (err_set(e, EINVAL, "it is not running"));
	g->row.state = VM_STOPPED;
	g->row.pid = 0;
	g->row.started_s = 0;
	g->row.resident_bytes = 0;
	g->writer = NULL;
	each_chan(g->row.id, close_chan);
	push_row(g);
	return (peer_ok(p, m->reqno));
}

static int
set_state(struct peer *p, const struct msg *m, uint32_t from, uint32_t to,
    struct err *e)
{
	const struct msg_ref *r = m->body;
	struct fake_guest *g = guest_of(&r->vm);

	if (g == NULL || g->row.state != from)
		return (
		    err_set(e, EINVAL, "it is not %s", vm_state_name(from)));
	g->row.state = to;
	push_row(g);
	return (peer_ok(p, m->reqno));
}

static int
on_pause(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	(void)ctx;
	return (set_state(p, m, VM_RUNNING, VM_PAUSED, e));
}

static int
on_unpause(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	(void)ctx;
	return (set_state(p, m, VM_PAUSED, VM_RUNNING, e));
}

static int
on_reboot(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	(void)ctx;
	return (set_state(p, m, VM_RUNNING, VM_RUNNING, e));
}

static void
send_peers(struct chan *ch)
{
	struct msg_cons_peers ps = { .chan = ch->chan };
	struct client *cl;
	int i;

	for (cl = clients; cl != NULL; cl = cl->next)
		for (i = 0; i < CONS_CHANS; i++)
			if (cl->chan[i].open && cl->chan[i].id == ch->id &&
			    ps.n < CONS_PEERS_MAX) {
				ps.peer[ps.n].uid = getuid();
				ps.peer[ps.n++].writer =
				    cl->chan[i].writer != 0;
			}
	ps.you_write = ch->writer != 0;
	peer_send(ch->client->peer, MSG_CONS_PEERS, 0, NULL, &ps, sizeof(ps));
}

static int
on_attach(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_attach *a = m->body;
	struct fake_guest *g = guest_of(&a->vm);
	struct msg_attached r = { .chan = a->chan };
	struct client *cl = ctx;
	struct chan *ch = &cl->chan[a->chan];

	if (g == NULL || g->row.state == VM_STOPPED)
		return (err_set(e, ENOTCONN, "the vm is not running"));
	memset(ch, 0, sizeof(*ch));
	ch->client = cl;
	ch->chan = a->chan;
	ch->id = g->row.id;
	ch->credit = a->credit;
	ch->open = 1;
	ch->off = (a->flags & CONS_FROM) && a->from <= g->end ? a->from : 0;
	if (g->writer == NULL) {
		g->writer = ch;
		ch->writer = 1;
	}
	r.id = g->row.id;
	r.writer = (uint32_t)ch->writer;
	r.input_credit = CONS_INPUT_BYTES;
	r.start = ch->off;
	r.end = g->end;
	peer_send(p, MSG_CONS_ATTACHED, m->reqno, NULL, &r, sizeof(r));
	each_chan(ch->id, send_peers);
	pump(ch);
	if (conf.flood) /* from now on as fast as credit comes */
		flood(g, a->credit);
	return (0);
}

static int
on_detach(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_chan *c = m->body;
	struct client *cl = ctx;
	struct chan *ch = &cl->chan[c->chan];

	(void)p;
	(void)e;
	if (ch->open && guests[ch->id - 1]->writer == ch)
		guests[ch->id - 1]->writer = NULL;
	ch->open = 0;
	return (0);
}

static int
on_credit(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_credit *c = m->body;
	struct client *cl = ctx;

	(void)p;
	(void)e;
	cl->chan[c->chan].credit += c->bytes;
	if (cl->chan[c->chan].open && conf.flood)
		flood(guests[cl->chan[c->chan].id - 1], c->bytes);
	else if (cl->chan[c->chan].open)
		pump(&cl->chan[c->chan]);
	return (0);
}

/* Echo; Enter makes a line and a prompt. */
static int
on_keys(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_chunk *c = m->body;
	const char *bytes = (const char *)(c + 1);
	struct client *cl = ctx;
	struct chan *ch = &cl->chan[c->chan];
	struct msg_credit credit = { c->chan, c->len };
	uint32_t i;

	(void)e;
	if (!ch->open || !ch->writer)
		return (0);
	for (i = 0; i < c->len; i++)
		if (bytes[i] == '\r')
			print(guests[ch->id - 1], "\r\n$ ", 4);
		else
			print(guests[ch->id - 1], bytes + i, 1);
	return (peer_send(
	    p, MSG_CONS_INPUT_CREDIT, 0, NULL, &credit, sizeof(credit)));
}

static int
on_break(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_chan *c = m->body;
	struct client *cl = ctx;

	(void)p;
	(void)e;
	if (cl->chan[c->chan].open)
		print(guests[cl->chan[c->chan].id - 1], "<break>", 7);
	return (0);
}

static void
not_writer(struct chan *ch)
{
	ch->writer = 0;
}

static int
on_take(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_chan *c = m->body;
	struct client *cl = ctx;
	struct chan *ch = &cl->chan[c->chan];
	struct msg_credit credit = { .chan = c->chan };

	(void)e;
	if (ch->open) {
		each_chan(ch->id, not_writer);
		ch->writer = 1;
		guests[ch->id - 1]->writer = ch;
		each_chan(ch->id, send_peers);
		credit.bytes = CONS_INPUT_BYTES;
		peer_send(
		    p, MSG_CONS_INPUT_CREDIT, 0, NULL, &credit, sizeof(credit));
	}
	return (m->reqno != 0 ? peer_ok(p, m->reqno) : 0);
}

static const struct msg_handler handlers[] = {
	{ MSG_HELLO, on_hello },
	{ MSG_LIST, on_list },
	{ MSG_SUBSCRIBE, on_subscribe },
	{ MSG_START, on_start },
	{ MSG_STOP, on_stop },
	{ MSG_PAUSE, on_pause },
	{ MSG_UNPAUSE, on_unpause },
	{ MSG_REBOOT, on_reboot },
	{ MSG_CONS_ATTACH, on_attach },
	{ MSG_CONS_DETACH, on_detach },
	{ MSG_CONS_CREDIT, on_credit },
	{ MSG_CONS_INPUT, on_keys },
	{ MSG_CONS_BREAK, on_break },
	{ MSG_CONS_TAKE, on_take },
};

static void
on_closed(void *ctx, struct peer *p, const struct err *why)
{
	struct client *cl = ctx, **pp;
	int i;

	(void)p;
	(void)why;
	for (i = 0; i < CONS_CHANS; i++)
		if (cl->chan[i].open &&
		    guests[cl->chan[i].id - 1]->writer == &cl->chan[i])
			guests[cl->chan[i].id - 1]->writer = NULL;
	for (pp = &clients; *pp != cl; pp = &(*pp)->next)
		;
	*pp = cl->next;
	event_free(cl->tick);
	free(cl);
}

static void
on_drained(void *ctx, struct peer *p)
{
	struct client *cl = ctx;
	int i;

	(void)p;
	for (i = 0; i < CONS_CHANS; i++)
		if (cl->chan[i].open)
			pump(&cl->chan[i]);
}

static void
on_accept(int fd, short what, void *arg)
{
	struct peer_conf pc = { .other = ROLE_CLIENT,
		.handlers = handlers,
		.nhandlers = sizeof(handlers) / sizeof(handlers[0]),
		.closed = on_closed,
		.drained = on_drained,
		.low_bytes = 64 * 1024,
		.queue_bytes = 4 << 20 };
	struct client *cl = calloc(1, sizeof(*cl));
	struct err e;
	int s;

	(void)what;
	(void)arg;
	s = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (s == -1 || cl == NULL)
		abort();
	pc.ctx = cl;
	cl->tick = evtimer_new(base, on_tick, cl);
	if ((cl->peer = peer_open(base, &s, &pc, &e)) == NULL)
		abort();
	cl->next = clients;
	clients = cl;
}

static void
make_guests(void)
{
	struct fake_guest *g;
	int i;

	for (i = 0; i < conf.nguests; i++) {
		g = guests[i] = calloc(1, sizeof(*g));
		g->text = malloc(CONSOLE_BYTES);
		g->row.id = (uint32_t)i + 1;
		g->row.flags = ROW_CONFIGURED;
		g->row.ncpus = 1u << (i % 4);
		g->row.owner_uid = getuid();
		g->row.owner_gid = ~0u;
		g->row.mem_bytes = (uint64_t)256 << (20 + i % 4);
		g->row.console_ring = CONSOLE_BYTES;
		snprintf(g->row.name, sizeof(g->row.name), "guest-%d", i + 1);
		g->fig.id = g->row.id;
		g->fig.ncpus = g->row.ncpus;
		if (i % 4 != 3)
			start_guest(g);
	}
}

static int
listen_on(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	unlink(path);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, 5) == -1)
		return (-1);
	return (fd);
}

static void
serve(int fd)
{
	struct event *ev;

	signal(SIGPIPE, SIG_IGN);
	make_guests();
	base = event_base_new();
	ev = event_new(base, fd, EV_READ | EV_PERSIST, on_accept, NULL);
	event_add(ev, NULL);
	event_base_dispatch(base);
	_exit(0);
}

void
fakevmd_run(const struct fakevmd_conf *c)
{
	int fd = listen_on(c->path);

	conf = *c;
	if (fd == -1)
		_exit(1);
	serve(fd);
	_exit(0);
}

int
fakevmd_fork(const struct fakevmd_conf *c)
{
	int fd = listen_on(c->path), pid;

	if (fd == -1)
		return (-1);
	conf = *c;
	if ((pid = fork()) == 0)
		serve(fd);
	close(fd);
	return (pid);
}
