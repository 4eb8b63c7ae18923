/* SPDX-License-Identifier: ISC */
/* The console view: tabs, the prefix key, looking back, marking. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/users.h"
#include "tui/view_console.h"

static struct console_view *
self(struct view *v)
{
	return ((struct console_view *)v);
}

struct console *
console_current(struct view *v)
{
	struct console_view *cv = self(v);

	return (cv->ntabs > 0 ? cv->tab[cv->cur] : NULL);
}

static struct rect
body(const struct console_view *cv)
{
	return ((struct rect){ 1, 0, cv->v.app->rows - 3, cv->v.app->cols });
}

/* Terminals follow the panes; hidden ones the pane they would get. */
static void
fit(struct console_view *cv)
{
	struct rect p = console_pane(cv, body(cv), false), o;
	struct console *cons;
	int i;

	o = console_pane(cv, body(cv), true);
	for (i = 0; i < cv->ntabs; i++) {
		struct rect r = i == cv->beside ? o : p;

		cons = cv->tab[i];
		if (vt_resize(cons->vt, r.rows, r.cols) == -1)
			app_status(cv->v.app, TR_ERROR, "out of memory");
	}
	cv->v.app->dirty = true;
}

/* What is on the screen counts as read. */
static void
mark_read(struct console_view *cv)
{
	struct console *cons;
	struct guest *g;
	int i;

	for (i = 0; i < cv->ntabs; i++) {
		cons = cv->tab[i];
		g = model_find(cv->v.app->model, cons->id);
		if (g == NULL || !cons->had)
			continue;
		if (g->console_bytes < cons->next)
			g->console_bytes = cons->next;
		if (cv->v.app->cur == VIEW_CONSOLE &&
		    (i == cv->cur || i == cv->beside))
			g->console_seen = g->console_bytes;
	}
}

void
console_select(struct console_view *cv, int i)
{
	if (cv->ntabs == 0)
		return;
	i = (i + cv->ntabs) % cv->ntabs;
	if (i == cv->beside)
		cv->beside = cv->cur;
	cv->cur = i;
	fit(cv);
	mark_read(cv);
}

static int
free_chan(const struct console_view *cv)
{
	uint32_t used = 0, chan;
	int i;

	for (i = 0; i < cv->ntabs; i++)
		used |= 1u << cv->tab[i]->chan;
	for (chan = 0; chan < CONS_CHANS; chan++)
		if ((used & 1u << chan) == 0)
			return ((int)chan);
	return (-1);
}

static int
find_tab(const struct console_view *cv, uint32_t id)
{
	int i;

	for (i = 0; i < cv->ntabs; i++)
		if (cv->tab[i]->id == id)
			return (i);
	return (-1);
}

static int
add_tab(struct console_view *cv, const struct guest *g)
{
	struct rect p = console_pane(cv, body(cv), false);
	struct console *cons;
	int chan;

	if ((chan = free_chan(cv)) == -1) {
		app_status(cv->v.app, TR_ERROR,
		    "%d consoles are open; detach one first", CONS_CHANS);
		return (-1);
	}
	cons = console_new(cv->v.app, g, (uint32_t)chan, p.rows, p.cols);
	if (cons == NULL) {
		app_status(cv->v.app, TR_ERROR, "out of memory");
		return (-1);
	}
	cv->tab[cv->ntabs] = cons;
	console_attach(cons);
	return (cv->ntabs++);
}

bool
console_open(struct view *v, uint32_t id, bool split)
{
	struct console_view *cv = self(v);
	const struct guest *g = model_peek(v->app->model, id);
	int i = find_tab(cv, id);

	if (g == NULL)
		return (false);
	if (i == -1 && g->state == VM_STOPPED) {
		app_status(v->app, TR_NOTICE, "%s is not running; s starts it",
		    g->name);
		return (false);
	}
	if (i == -1 && (i = add_tab(cv, g)) == -1)
		return (false);
	if (cv->tab[i]->state == CONS_CLOSED && g->state != VM_STOPPED)
		console_attach(cv->tab[i]);
	if (split && cv->ntabs > 1 && i != cv->cur)
		cv->beside = cv->cur;
	else if (i == cv->beside)
		cv->beside = cv->cur;
	cv->cur = i;
	fit(cv);
	mark_read(cv);
	return (true);
}

static void
close_tab(struct console_view *cv, int i)
{
	struct console *cons = cv->tab[i];

	if (cons->state == CONS_LIVE || cons->state == CONS_ASKED)
		cv->v.app->link->detach(cv->v.app->link_ctx, cons->chan);
	console_free(cons);
	cv->ntabs--;
	memmove(&cv->tab[i], &cv->tab[i + 1],
	    (size_t)(cv->ntabs - i) * sizeof(cv->tab[0]));
	if (cv->beside == i)
		cv->beside = -1;
	else if (cv->beside > i)
		cv->beside--;
	if (cv->cur > i || cv->cur == cv->ntabs)
		cv->cur = cv->cur > 0 ? cv->cur - 1 : 0;
	if (cv->beside == cv->cur)
		cv->beside = -1;
	fit(cv);
}

static void
do_detach(struct view *v, int arg)
{
	struct console_view *cv = self(v);

	(void)arg;
	if (cv->ntabs > 0)
		close_tab(cv, cv->cur);
	if (cv->ntabs == 0)
		app_show(v->app, VIEW_GUESTS);
}

static void
do_guests(struct view *v, int arg)
{
	(void)arg;
	app_show(v->app, VIEW_GUESTS);
}

static void
do_next(struct view *v, int by)
{
	console_select(self(v), self(v)->cur + by);
}

static void
do_tab(struct view *v, int i)
{
	if (i < self(v)->ntabs)
		console_select(self(v), i);
}

static void
do_split(struct view *v, int arg)
{
	struct console_view *cv = self(v);

	(void)arg;
	if (cv->beside >= 0)
		cv->beside = -1;
	else if (cv->ntabs > 1)
		cv->beside = (cv->cur + 1) % cv->ntabs;
	else
		app_status(v->app, TR_NOTICE,
		    "only one console is open; "
		    "| on a guest opens a second beside it");
	fit(cv);
	mark_read(cv);
}

static void
do_other(struct view *v, int arg)
{
	struct console_view *cv = self(v);

	(void)arg;
	if (cv->beside >= 0)
		console_select(cv, cv->beside);
}

/* Say why keys go nowhere. */
static bool
may_type(struct console *cons)
{
	struct app *app = cons->app;

	if (cons->state == CONS_LIVE && cons->writer)
		return (true);
	if (cons->state == CONS_LIVE)
		app_status(
		    app, TR_NOTICE, "another has the keyboard; C-] w takes it");
	else if (cons->state == CONS_CLOSED)
		app_status(app, TR_NOTICE,
		    "this console is closed; "
		    "C-] d leaves it");
	else
		app_status(app, TR_NOTICE, "not connected");
	return (false);
}

static void
send_keys(struct console *cons, const char *bytes, size_t len)
{
	if (!may_type(cons))
		return;
	if (!console_send(cons, bytes, len))
		app_status(cons->app, TR_ERROR,
		    "the guest reads too slowly; %zu bytes were not sent", len);
}

static void
do_literal(struct view *v, int arg)
{
	struct console *cons = console_current(v);
	char c = (char)v->app->prefix;

	(void)arg;
	if (cons != NULL)
		send_keys(cons, &c, 1);
}

static void
do_break(struct view *v, int arg)
{
	struct console *cons = console_current(v);

	(void)arg;
	if (cons == NULL || !may_type(cons))
		return;
	v->app->link->brk(v->app->link_ctx, cons->chan);
	app_status(v->app, TR_NOTICE, "break sent to %s", cons->name);
}

static void
do_take(struct view *v, int arg)
{
	struct console *cons = console_current(v);

	(void)arg;
	if (cons == NULL || cons->state != CONS_LIVE)
		return;
	if (cons->writer)
		app_status(v->app, TR_NOTICE, "you have the keyboard");
	else
		v->app->link->take(v->app->link_ctx, cons->chan);
}

/* A serial line does not carry its size: type it. */
static void
do_size(struct view *v, int arg)
{
	struct console *cons = console_current(v);
	char buf[64];
	int n;

	(void)arg;
	if (cons == NULL)
		return;
	n = snprintf(buf, sizeof(buf), "stty rows %d cols %d\r",
	    vt_rows(cons->vt), vt_cols(cons->vt));
	send_keys(cons, buf, (size_t)n);
}

static void
do_app_help(struct view *v, int arg)
{
	(void)arg;
	v->app->help = true;
	v->app->help_top = 0;
	v->app->dirty = true;
}

static const struct keybind prefix_rows[] = {
	{ { 'd' }, "detach", "detach", "detach; the guest goes on", do_detach,
	    0, NULL },
	{ { 'g' }, "guests", "guests", "back to the guests, stay attached",
	    do_guests, 0, NULL },
	{ { 'n' }, "next", "next", "the next console", do_next, 1, NULL },
	{ { 'p' }, "previous", "prev", "the console before", do_next, -1,
	    NULL },
	{ { '1' }, "tab-1", NULL, "the first console", do_tab, 0, NULL },
	{ { '2' }, "tab-2", NULL, "the second", do_tab, 1, NULL },
	{ { '3' }, "tab-3", NULL, "the third", do_tab, 2, NULL },
	{ { '4' }, "tab-4", NULL, "the fourth", do_tab, 3, NULL },
	{ { '[' }, "scroll", "scroll", "look back", console_do_look_back, 0,
	    NULL },
	{ { K_PGUP }, "scroll-page", NULL, "look back a page",
	    console_do_look_back, 1, NULL },
	{ { '/' }, "search", "search", "search in all that was printed",
	    console_do_search, 0, NULL },
	{ { '|' }, "split", "split", "two consoles, or one again", do_split, 0,
	    NULL },
	{ { 'o' }, "other", "other", "to the other half", do_other, 0, NULL },
	{ { 'w' }, "take", "take keyboard", "take the keyboard", do_take, 0,
	    NULL },
	{ { 'b' }, "break", "break", "send a break", do_break, 0, NULL },
	{ { 's' }, "size", NULL, "type the size: stty rows R cols C", do_size,
	    0, NULL },
	{ { K_CTRL(']') }, "literal", NULL, "send C-] itself", do_literal, 0,
	    NULL },
	{ { '?' }, "help", "help", "show these keys", do_app_help, 0, NULL },
};
const struct keytab console_prefix_keytab = { "Console, after C-]", "C-]",
	prefix_rows, sizeof(prefix_rows) / sizeof(prefix_rows[0]) };

static const struct keybind rows[] = {
	{ { K_CTRL(']') }, "prefix", NULL,
	    "then a key of the next list; all else goes to the guest", NULL, 0,
	    &console_prefix_keytab },
};
const struct keytab console_keytab = { "Console", NULL, rows,
	sizeof(rows) / sizeof(rows[0]) };

static bool
console_key(struct view *v, uint32_t key)
{
	struct console *cons = console_current(v);
	const struct keybind *b;
	char bytes[VT_KEY_BYTES];
	size_t n;

	if (cons == NULL)
		return (false);
	if (key == v->app->prefix) {
		v->app->pending = &console_prefix_keytab;
		v->app->dirty = true;
		return (true);
	}
	if (cons->snap != NULL && !cons->marking) {
		if ((b = keytab_find(&console_scroll_keytab, key)) != NULL)
			b->fn(v, b->arg);
		return (true);
	}
	if (cons->marking)
		console_live(cons);
	if ((n = vt_key(cons->vt, key, bytes)) > 0)
		send_keys(cons, bytes, n);
	return (true);
}

static bool
console_paste(struct view *v, const char *bytes, size_t len, bool last)
{
	struct console *cons = console_current(v);

	(void)last;
	if (cons == NULL || len == 0)
		return (false);
	if (cons->snap != NULL)
		console_live(cons);
	send_keys(cons, bytes, len);
	return (true);
}

static void
console_status(const struct view *v, char *buf, size_t size)
{
	const struct console_view *cv = (const struct console_view *)v;
	const struct console *cons;
	const char *what;
	char peers[256];

	buf[0] = '\0';
	if (cv->ntabs == 0)
		return;
	cons = cv->tab[cv->cur];
	console_peers_text(cons, peers, sizeof(peers));
	switch (cons->state) {
	case CONS_LIVE:
		what = cons->writer ? "yours to type" : "you watch";
		break;
	case CONS_ASKED:
		what = "attaching";
		break;
	case CONS_CLOSED:
		what = cons->why[0] != '\0' ? cons->why : "closed";
		break;
	default:
		what = "not connected";
	}
	snprintf(buf, size, "%s: %s%s%s   %dx%d   C-] ? keys%s", cons->name,
	    what, peers[0] != '\0' ? "; " : "", peers, vt_cols(cons->vt),
	    vt_rows(cons->vt),
	    cons->snap != NULL && !cons->marking ? ", Esc is live" : "");
}

/* A guest that came back takes its tab with it. */
static void
console_update(struct view *v)
{
	struct console_view *cv = self(v);
	const struct guest *g;
	int i;

	fit(cv);
	for (i = 0; i < cv->ntabs; i++) {
		g = model_peek(v->app->model, cv->tab[i]->id);
		if (cv->tab[i]->state == CONS_CLOSED && g != NULL &&
		    g->state == VM_RUNNING &&
		    g->started_s != cv->tab[i]->run_s &&
		    v->app->model->link == LINK_UP)
			console_attach(cv->tab[i]);
	}
	mark_read(cv);
}

static int
console_count(const struct view *v)
{
	return (((const struct console_view *)v)->ntabs);
}

static void
console_close(struct view *v)
{
	struct console_view *cv = self(v);
	int i;

	for (i = 0; i < cv->ntabs; i++)
		console_free(cv->tab[i]);
	free(cv);
}

bool
console_looks_back(const struct view *v)
{
	const struct console_view *cv = (const struct console_view *)v;

	return (cv->ntabs > 0 && cv->tab[cv->cur]->snap != NULL &&
	    !cv->tab[cv->cur]->marking);
}

struct console *
console_by_chan(struct view *v, uint32_t chan)
{
	struct console_view *cv = self(v);
	int i;

	for (i = 0; i < cv->ntabs; i++)
		if (cv->tab[i]->chan == chan)
			return (cv->tab[i]);
	return (NULL);
}

void
consoles_link_up(struct view *v)
{
	struct console_view *cv = self(v);
	int i;

	for (i = 0; i < cv->ntabs; i++)
		if (cv->tab[i]->state == CONS_DOWN)
			console_attach(cv->tab[i]);
}

void
consoles_link_lost(struct view *v)
{
	struct console_view *cv = self(v);
	int i;

	for (i = 0; i < cv->ntabs; i++)
		console_link_lost(cv->tab[i]);
}

static const struct view_ops console_ops = {
	.chip = "Consoles",
	.keys = &console_keytab,
	.draw = consoles_draw,
	.update = console_update,
	.raw_key = console_key,
	.mouse = console_mouse,
	.paste = console_paste,
	.status = console_status,
	.close = console_close,
	.count = console_count,
};

struct view *
view_console_open(struct app *app)
{
	struct console_view *cv;

	if ((cv = calloc(1, sizeof(*cv))) == NULL)
		return (NULL);
	cv->v.ops = &console_ops;
	cv->v.app = app;
	cv->beside = -1;
	return (&cv->v);
}
