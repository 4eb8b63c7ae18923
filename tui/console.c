/* SPDX-License-Identifier: ISC */
/* One attached console: see console.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/console.h"

/* The guest's terminal answered a question: as if it were typed there. */
static void
on_answer(void *ctx, const char *bytes, size_t len)
{
	struct console *cons = ctx;

	if (cons->writer)
		console_send(cons, bytes, len);
}

struct console *
console_new(
    struct app *app, const struct guest *g, uint32_t chan, int rows, int cols)
{
	struct console *cons;

	if ((cons = calloc(1, sizeof(*cons))) == NULL)
		return (NULL);
	cons->app = app;
	cons->id = g->id;
	cons->chan = chan;
	snprintf(cons->name, sizeof(cons->name), "%s", g->name);
	if (vt_open(&cons->vt, rows, cols, on_answer, cons) == -1) {
		free(cons);
		return (NULL);
	}
	return (cons);
}

void
console_free(struct console *cons)
{
	if (cons == NULL)
		return;
	vt_snap_free(cons->snap);
	vt_close(cons->vt);
	free(cons->queue);
	free(cons);
}

void
console_attach(struct console *cons)
{
	struct app *app = cons->app;
	const struct guest *g = model_peek(app->model, cons->id);
	struct msg_attach a;
	struct err e;

	memset(&a, 0, sizeof(a));
	a.vm.id = cons->id;
	a.chan = cons->chan;
	a.flags = CONS_WRITE | (cons->had ? CONS_FROM : 0);
	a.credit = CONS_CREDIT_BYTES;
	a.from = cons->had ? cons->next : 0;
	cons->taken = 0;
	cons->input_credit = 0;
	cons->run_s = g != NULL ? g->started_s : 0;
	err_clear(&e);
	if (app->link->attach(app->link_ctx, &a, &e) == -1) {
		cons->state = CONS_DOWN;
		app_error(app, &e);
	} else
		cons->state = CONS_ASKED;
}

static void
show_lost(struct console *cons, uint64_t lost)
{
	char text[64];

	cons->lost += lost;
	snprintf(text, sizeof(text), "%" PRIu64 " bytes lost", lost);
	vt_notice(cons->vt, text);
	cons->app->dirty = true;
}

void
console_attached(struct console *cons, const struct msg_attached *a)
{
	if (cons->had && a->end < cons->next) {
		vt_notice(cons->vt, "started anew");
		cons->had = false;
	}
	if (cons->had && a->start > cons->next)
		show_lost(cons, a->start - cons->next);
	if (!cons->had || a->start > cons->next)
		cons->next = a->start;
	cons->had = true;
	cons->replay_end = a->end;
	cons->state = CONS_LIVE;
	cons->writer = a->writer != 0;
	cons->input_credit = cons->writer ? a->input_credit : 0;
	cons->why[0] = '\0';
	cons->app->dirty = true;
}

/* Give the credit back in halves, so that the sender never waits for us. */
static void
give_credit(struct console *cons, size_t bytes)
{
	cons->taken += (uint32_t)bytes;
	if (cons->taken < CONS_CREDIT_BYTES / 2)
		return;
	cons->app->link->credit(cons->app->link_ctx, cons->chan, cons->taken);
	cons->taken = 0;
}

void
console_data(struct console *cons, uint64_t off, const void *bytes, size_t len)
{
	const char *p = bytes;
	uint64_t skip, old;

	give_credit(cons, len);
	if (cons->state != CONS_LIVE)
		return;
	if (off > cons->next) {
		show_lost(cons, off - cons->next);
		cons->next = off;
	}
	skip = cons->next - off;
	if (skip >= len)
		return; /* all of it was here before */
	p += skip;
	len -= (size_t)skip;
	old = cons->next < cons->replay_end ? cons->replay_end - cons->next : 0;
	old = old > len ? len : old;
	vt_feed(cons->vt, p, (size_t)old, false);
	vt_feed(cons->vt, p + old, len - (size_t)old, true);
	cons->next += len;
	if (cons->app->cur == VIEW_CONSOLE)
		cons->app->dirty = true;
}

void
console_gap(struct console *cons, const struct msg_gap *g)
{
	uint64_t end = g->off + g->lost;

	if (cons->state != CONS_LIVE || end < g->off || end <= cons->next)
		return;
	show_lost(cons, end - cons->next);
	cons->next = end;
}

void
console_closed(struct console *cons, const char *why)
{
	cons->state = CONS_CLOSED;
	cons->writer = false;
	cons->npeers = 0;
	cons->qlen = 0;
	snprintf(cons->why, sizeof(cons->why), "%s", why);
	vt_notice(cons->vt, cons->why[0] != '\0' ? cons->why : "closed");
	cons->app->dirty = true;
}

void
console_link_lost(struct console *cons)
{
	cons->writer = false;
	cons->npeers = 0;
	cons->qlen = 0; /* typed to a daemon that is gone: not replayed */
	if (cons->state != CONS_CLOSED)
		cons->state = CONS_DOWN;
	cons->app->dirty = true;
}

static void
flush_queue(struct console *cons)
{
	struct app *app = cons->app;
	size_t n, sent = 0;

	while (sent < cons->qlen && cons->input_credit > 0) {
		n = cons->qlen - sent;
		if (n > cons->input_credit)
			n = cons->input_credit;
		if (n > CONS_INPUT_BYTES)
			n = CONS_INPUT_BYTES;
		if (app->link->input(
			app->link_ctx, cons->chan, cons->queue + sent, n) == -1)
			break;
		cons->input_credit -= (uint32_t)n;
		sent += n;
	}
	memmove(cons->queue, cons->queue + sent, cons->qlen - sent);
	cons->qlen -= sent;
}

void
console_input_credit(struct console *cons, uint32_t bytes)
{
	if (bytes > CONS_QUEUE_BYTES - cons->input_credit)
		cons->input_credit = CONS_QUEUE_BYTES;
	else
		cons->input_credit += bytes;
	if (cons->qlen > 0)
		flush_queue(cons);
}

static bool
queue_room(struct console *cons, size_t len)
{
	size_t room;
	char *q;

	if (cons->qlen + len <= cons->qroom)
		return (true);
	if (cons->qlen + len > CONS_QUEUE_BYTES)
		return (false);
	room = (cons->qlen + len + 4095) & ~(size_t)4095;
	if ((q = realloc(cons->queue, room)) == NULL)
		return (false);
	cons->queue = q;
	cons->qroom = room;
	return (true);
}

bool
console_send(struct console *cons, const void *bytes, size_t len)
{
	if (cons->state != CONS_LIVE || !cons->writer || len == 0)
		return (false);
	if (!queue_room(cons, len))
		return (false);
	memcpy(cons->queue + cons->qlen, bytes, len);
	cons->qlen += len;
	flush_queue(cons);
	return (true);
}

void
console_peers(struct console *cons, const struct msg_cons_peers *p)
{
	cons->npeers = p->n > CONS_PEERS_MAX ? CONS_PEERS_MAX : p->n;
	memcpy(cons->peer, p->peer, cons->npeers * sizeof(p->peer[0]));
	if (cons->writer && !p->you_write) {
		cons->qlen = 0;
		cons->input_credit = 0; /* comes anew with the keyboard */
	}
	cons->writer = p->you_write != 0;
	cons->app->dirty = true;
}

bool
console_look_back(struct console *cons)
{
	if (cons->snap != NULL) {
		cons->marking = false;
		return (true);
	}
	if ((cons->snap = vt_snap_take(cons->vt)) == NULL) {
		app_status(cons->app, TR_ERROR, "out of memory");
		return (false);
	}
	cons->top = cons->snap->lines - vt_rows(cons->vt);
	cons->marking = cons->found = cons->marked = false;
	cons->hit = (struct vt_pos){ cons->snap->lines, 0 };
	cons->app->dirty = true;
	return (true);
}

void
console_live(struct console *cons)
{
	vt_snap_free(cons->snap);
	cons->snap = NULL;
	cons->marking = cons->found = cons->marked = false;
	cons->app->dirty = true;
}
