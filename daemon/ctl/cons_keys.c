/* SPDX-License-Identifier: ISC */
/*
 * A console session's keyboard: from standard input, through the escapes if it
 * is a terminal, to the guest as fast as vmd gives credit.  One of all who are
 * attached has the keyboard; the others watch.
 * Runs in: vmctl, as the caller.
 */
#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/ctl/cons_int.h"
#include "daemon/ctl/term.h"
#include "shared/str.h"

static const char *
writer_name(const struct msg_cons_peers *m, char *buf, size_t size)
{
	struct passwd *pw;
	uint32_t i;

	for (i = 0; i < m->n; i++)
		if (m->peer[i].writer)
			break;
	if (i == m->n)
		return (NULL);
	if ((pw = getpwuid(m->peer[i].uid)) != NULL)
		str_vis(buf, size, pw->pw_name);
	else
		snprintf(buf, size, "uid %" PRIu32, m->peer[i].uid);
	return (buf);
}

/* Somebody else has the keyboard; name is theirs. */
static void
keys_taken(struct cons *c, const char *name)
{
	struct err e;

	if (c->tty) {
		cons_say("%s has the keyboard: you watch, ~t takes it", name);
		return;
	}
	/* A script is not left to wait for keys that nobody will send. */
	err_set(&e, EBUSY,
	    "%s has the keyboard of vm %s: -t takes it, -w watches without",
	    name, c->conf->name);
	cons_fail(c, &e);
}

/* Somebody came, went, or took the keyboard. */
int
keys_peers(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	const struct msg_cons_peers *m = msg->body;
	struct cons *c = ctx;
	char buf[64];
	const char *who = writer_name(m, buf, sizeof(buf));
	int before = c->told;

	(void)p;
	(void)e;
	if (m->chan != CHAN || c->conf->watch || !c->attached)
		return (0);
	c->writer = m->you_write;
	/* Credit is the writer's: what we had ends here. */
	if (!c->writer)
		c->key_credit = 0;
	c->told = c->writer ? KEYS_OURS : who != NULL ? KEYS_TAKEN : KEYS_FREE;
	if ((int)c->told == before)
		return (0);
	if (c->told == KEYS_OURS && before != KEYS_UNKNOWN)
		cons_say("the keyboard is yours");
	else if (c->told == KEYS_TAKEN)
		keys_taken(c, who);
	else if (c->told == KEYS_FREE && c->tty)
		cons_say("nobody has the keyboard: ~t takes it");
	return (0);
}

/* May another read from standard input come? */
void
keys_want(struct cons *c)
{
	struct timeval stuck = { STUCK_MS / 1000, STUCK_MS % 1000 * 1000 };

	if (c->ev_in == NULL)
		return;
	if (c->nkeys < KEYS_BYTES) {
		event_add(c->ev_in, NULL);
		event_del(c->ev_stuck);
	} else if (c->tty && !event_pending(c->ev_stuck, EV_TIMEOUT, NULL))
		event_add(c->ev_stuck, &stuck);
}

static void
send_keys(struct cons *c)
{
	struct msg_chunk head = { .chan = CHAN };
	struct iovec iov[2];
	size_t n, done = 0;

	while (
	    c->attached && c->writer && done < c->nkeys && c->key_credit > 0) {
		n = c->nkeys - done;
		if (n > c->key_credit)
			n = c->key_credit;
		if (n > CONS_INPUT_BYTES)
			n = CONS_INPUT_BYTES;
		head.len = (uint32_t)n;
		iov[0].iov_base = &head;
		iov[0].iov_len = sizeof(head);
		iov[1].iov_base = c->keys + done;
		iov[1].iov_len = n;
		if (client_sendv(c->ctl->client, MSG_CONS_INPUT, iov, 2) == -1)
			break;
		c->key_credit -= (uint32_t)n;
		done += n;
	}
	if (done > 0)
		event_del(c->ev_stuck);
	memmove(c->keys, c->keys + done, c->nkeys - done);
	c->nkeys -= done;
	keys_want(c);
}

int
keys_credit(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	const struct msg_credit *m = msg->body;
	struct cons *c = ctx;

	(void)p;
	(void)e;
	if (m->chan != CHAN || m->bytes > UINT32_MAX - c->key_credit)
		return (0);
	c->key_credit += m->bytes;
	send_keys(c);
	return (0);
}

/* Full, and the guest takes none: without room no "~." would be seen. */
void
keys_stuck(evutil_socket_t fd, short what, void *arg)
{
	struct cons *c = arg;

	(void)fd;
	(void)what;
	cons_say("the guest reads no keys: %zu of them are dropped", c->nkeys);
	c->nkeys = 0;
	keys_want(c);
}

static void
help(void)
{
	size_t i;

	fprintf(stderr, "\r\nAfter a newline:\r\n");
	for (i = 0; i < esc_ntable; i++)
		fprintf(stderr, "  %-4s %s\r\n", esc_table[i].shown,
		    esc_table[i].help);
	fprintf(stderr, "  ~~   one ~\r\n");
}

void
keys_suspend(struct cons *c)
{
	struct err e;

	cons_say("suspended; the guest runs on");
	term_restore();
	kill(getpid(), SIGSTOP);
	if (term_raw(STDIN_FILENO, &e) == -1)
		cons_fail(c, &e);
	else
		cons_say("back in vm %s", c->conf->name);
}

static void
escape(struct cons *c, enum esc_act act)
{
	struct msg_chan m = { .chan = CHAN };

	switch (act) {
	case ESC_QUIT:
		c->out.len = 0; /* a stopped terminal must not keep us */
		cons_say("left vm %s, which runs on", c->conf->name);
		cons_leave(c, 0);
		break;
	case ESC_HELP:
		help();
		break;
	case ESC_BREAK:
		if (c->writer)
			client_send(
			    c->ctl->client, MSG_CONS_BREAK, &m, sizeof(m));
		break;
	case ESC_TAKE:
		if (!c->conf->watch)
			client_send(
			    c->ctl->client, MSG_CONS_TAKE, &m, sizeof(m));
		break;
	case ESC_SUSPEND:
		keys_suspend(c);
		break;
	case ESC_NONE:
		break;
	}
}

/* Typed: with escapes; keys while we watch are not kept. */
static void
typed(struct cons *c, const uint8_t *in, size_t n)
{
	enum esc_act act;
	size_t used, out;

	while (n > 0 && !c->leaving) {
		used = esc_feed(&c->esc, in, n, c->keys + c->nkeys, &out, &act);
		if (c->writer)
			c->nkeys += out;
		escape(c, act);
		in += used;
		n -= used;
	}
}

void
keys_read(evutil_socket_t fd, short what, void *arg)
{
	struct cons *c = arg;
	uint8_t buf[READ_BYTES];
	ssize_t n;

	(void)what;
	n = read(fd, buf, sizeof(buf));
	if (n == -1 && (errno == EINTR || errno == EAGAIN)) {
		keys_want(c);
		return;
	}
	if (n <= 0) {
		/* A file or pipe at its end: go on showing what comes. */
		event_free(c->ev_in);
		c->ev_in = NULL;
		if (c->tty)
			cons_leave(c, 0);
		return;
	}
	if (c->tty) {
		typed(c, buf, (size_t)n);
	} else {
		memcpy(c->keys + c->nkeys, buf, (size_t)n);
		c->nkeys += (size_t)n;
	}
	if (!c->leaving)
		send_keys(c);
}
