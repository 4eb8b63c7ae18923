/* SPDX-License-Identifier: ISC */
/*
 * A console session: see cons.h.
 *
 * Output comes by credit: WINDOW_BYTES may be on their way to us, and what has
 * reached standard output is given back, so that vmd never sends more than we
 * hold.  Input goes by the credit that vmd gives.
 *
 * Guest bytes go to standard output as they are: the terminal is the guest's
 * for that time.  What we say ourselves goes to standard error.
 *
 * Runs in: vmctl, as the caller.  Trusts: vmd no further than the message
 * table.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/ctl/cons_int.h"
#include "daemon/ctl/term.h"
#include "shared/str.h"

#define GIVE_BACK_BYTES (WINDOW_BYTES / 8)

/* ---- Ending, and saying things -------------------------------------------- */

/* One line of ours between the guest's. */
void
cons_say(const char *fmt, ...)
{
	char text[ERR_TEXT_BYTES + 64], shown[sizeof(text) * 2];
	const char *eol = term_is_raw() ? "\r\n" : "\n";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	str_vis(shown, sizeof(shown), text);
	fprintf(
	    stderr, "%s[vmctl: %s]%s", term_is_raw() ? eol : "", shown, eol);
}

/* When all that was received is on standard output. */
void
cons_leave(struct cons *c, int result)
{
	c->attached = false;
	c->leaving = true;
	c->result = result;
	if (c->out.len == 0)
		event_base_loopbreak(c->ctl->base);
}

void
cons_fail(struct cons *c, const struct err *why)
{
	if (c->leaving)
		return;
	*c->e = *why;
	/* The words come on a line of their own. */
	if (term_is_raw())
		fputs("\r\n", stderr);
	cons_leave(c, -1);
}

/* ---- Output --------------------------------------------------------------- */

static void
on_wrote(void *ctx, size_t n)
{
	struct cons *c = ctx;
	struct msg_credit m = { .chan = CHAN };

	c->owed += (uint32_t)n;
	if (c->leaving && c->out.len == 0)
		event_base_loopbreak(c->ctl->base);
	if (!c->attached || c->owed < GIVE_BACK_BYTES)
		return;
	m.bytes = c->owed;
	if (client_send(c->ctl->client, MSG_CONS_CREDIT, &m, sizeof(m)) == -1)
		return;
	c->credit += c->owed;
	c->owed = 0;
}

static void
on_out_failed(void *ctx, int code)
{
	struct cons *c = ctx;
	struct err e;

	errno = code;
	err_errno(&e, "standard output");
	c->out.len = 0;
	cons_fail(c, &e);
}

static int
on_data(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	const struct msg_chunk *m = msg->body;
	struct cons *c = ctx;
	struct err full;

	(void)p;
	(void)e;
	if (m->chan != CHAN || !c->attached)
		return (0);
	if (m->len > c->credit || !out_put(&c->out, m + 1, m->len)) {
		err_set(&full, EPROTO, "vmd sent more than it had credit for");
		cons_fail(c, &full);
		return (0);
	}
	c->credit -= m->len;
	out_flush(&c->out);
	return (0);
}

static int
on_gap(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	const struct msg_gap *m = msg->body;

	(void)ctx;
	(void)p;
	(void)e;
	if (m->chan == CHAN)
		cons_say("%" PRIu64 " bytes are lost: the guest was faster",
		    m->lost);
	return (0);
}

static int
on_cons_closed(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	const struct msg_cons_closed *m = msg->body;
	struct cons *c = ctx;
	struct err why = { 0 };

	(void)p;
	(void)e;
	if (m->chan != CHAN || !c->attached)
		return (0);
	memcpy(why.text, m->why.text, sizeof(why.text));
	why.code = m->why.code;
	/* The guest's end is how a console ends when all is well. */
	if (why.code != 0 && why.code != ENOTCONN) {
		cons_fail(c, &why);
		return (0);
	}
	cons_say("vm %s has ended", c->conf->name);
	cons_leave(c, 0);
	return (0);
}

/* ---- Signals, opening ----------------------------------------------------- */

static void
on_signal(evutil_socket_t sig, short what, void *arg)
{
	struct cons *c = arg;
	struct err e;

	(void)what;
	switch (sig) {
	case SIGTSTP:
		if (c->tty)
			keys_suspend(c);
		else
			kill(getpid(), SIGSTOP);
		break;
	case SIGCONT: /* after a SIGSTOP, which nobody sees coming */
		if (c->tty && term_raw(STDIN_FILENO, &e) == -1)
			cons_fail(c, &e);
		break;
	default:
		c->signal = sig;
		event_base_loopbreak(c->ctl->base);
		break;
	}
}

static void
on_down(void *ctx, struct client *cl, const struct err *why)
{
	(void)cl;
	cons_fail(ctx, why);
}

static void
on_attached(void *arg, struct client *cl, const struct msg *msg)
{
	const struct msg_attached *m = msg->body;
	struct cons *c = arg;
	struct err e;

	(void)cl;
	if (msg->type != MSG_CONS_ATTACHED) {
		err_set(&e, EPROTO, "vmd did not attach the console");
		if (msg->type == MSG_ERR)
			msg_to_err(msg->body, &e);
		cons_fail(c, &e);
		return;
	}
	c->attached = true;
	c->credit = WINDOW_BYTES;
	c->writer = m->writer;
	c->key_credit = m->input_credit;
	if (c->tty)
		cons_say(
		    "connected to vm %s; ~. leaves, ~? helps", c->conf->name);
	if (!c->conf->watch || c->tty)
		keys_want(c);
}

static const struct msg_handler hears[] = {
	{ MSG_CONS_DATA, on_data },
	{ MSG_CONS_GAP, on_gap },
	{ MSG_CONS_PEERS, keys_peers },
	{ MSG_CONS_INPUT_CREDIT, keys_credit },
	{ MSG_CONS_CLOSED, on_cons_closed },
};

static int
attach(struct cons *c, struct err *e)
{
	struct msg_attach m = {
		.vm = c->conf->vm, .chan = CHAN, .credit = WINDOW_BYTES
	};

	if (!c->conf->watch)
		m.flags |= c->conf->take ? CONS_TAKE : CONS_WRITE;
	if (c->conf->no_history)
		m.flags |= CONS_NOREPLAY;
	if (client_request(c->ctl->client, MSG_CONS_ATTACH, &m, sizeof(m),
		on_attached, c, e) == 0)
		return (-1);
	return (0);
}

static int
watch(struct cons *c, struct err *e)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP,
		SIGCONT };
	struct event_base *base = c->ctl->base;
	size_t i;

	c->ev_in = event_new(base, STDIN_FILENO, EV_READ, keys_read, c);
	c->ev_stuck = evtimer_new(base, keys_stuck, c);
	if (c->ev_in == NULL || c->ev_stuck == NULL)
		return (err_set(e, ENOMEM, "no memory for the console"));
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		c->ev_sig[i] = evsignal_new(base, sigs[i], on_signal, c);
		if (c->ev_sig[i] == NULL || event_add(c->ev_sig[i], NULL) == -1)
			return (err_set(e, ENOMEM, "no memory for signals"));
	}
	signal(SIGPIPE, SIG_IGN); /* write(2) tells, the terminal comes back */
	return (0);
}

static int
cons_open(struct cons *c, struct err *e)
{
	struct client_conf conf = {
		.handlers = hears,
		.nhandlers = sizeof(hears) / sizeof(hears[0]),
		.ctx = c,
		.down = on_down,
	};

	c->out.wrote = on_wrote;
	c->out.failed = on_out_failed;
	c->out.ctx = c;
	if (ctl_connect(c->ctl, &conf, e) == -1 ||
	    out_init(&c->out, c->ctl->base, STDOUT_FILENO, WINDOW_BYTES, e) ==
		-1 ||
	    watch(c, e) == -1 || attach(c, e) == -1)
		return (-1);
	if (c->tty && term_raw(STDIN_FILENO, e) == -1)
		return (-1);
	return (0);
}

static void
cons_close(struct cons *c)
{
	size_t i;

	term_restore();
	ctl_disconnect(c->ctl);
	out_fini(&c->out);
	if (c->ev_in != NULL)
		event_free(c->ev_in);
	if (c->ev_stuck != NULL)
		event_free(c->ev_stuck);
	for (i = 0; i < sizeof(c->ev_sig) / sizeof(c->ev_sig[0]); i++)
		if (c->ev_sig[i] != NULL)
			event_free(c->ev_sig[i]);
}

int
cons_run(struct ctl *ctl, const struct cons_conf *conf, struct err *e)
{
	struct cons *c;
	int r, sig;

	if ((c = calloc(1, sizeof(*c))) == NULL)
		return (err_errno(e, "console"));
	c->ctl = ctl;
	c->conf = conf;
	c->e = e;
	c->out.own_fd = -1;
	c->tty = isatty(STDIN_FILENO);
	if ((r = cons_open(c, e)) == 0) {
		if (event_base_dispatch(ctl->base) == -1)
			r = err_set(e, EIO, "the event loop failed");
		else
			r = c->result;
	}
	sig = c->signal;
	cons_close(c);
	free(c);
	if (sig != 0)
		raise(sig); /* the terminal is as it was: now it may end us */
	return (r);
}
