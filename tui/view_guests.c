/* SPDX-License-Identifier: ISC */
/* The guests view: cursor, keys and what they ask of the daemon. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/guests.h"

static struct guests_view *
self(struct view *v)
{
	return ((struct guests_view *)v);
}

static const struct guest *
current(const struct guests_view *gv)
{
	return (model_peek(gv->v.app->model, gv->sel));
}

static void
reorder(struct guests_view *gv)
{
	if (guests_order(gv) == -1)
		app_status(gv->v.app, TR_ERROR, "out of memory");
	gv->v.app->dirty = true;
}

/* The body that a view draws into: all but chips, status and bar. */
static struct rect
body(const struct guests_view *gv)
{
	return ((struct rect){ 1, 0, gv->v.app->rows - 3, gv->v.app->cols });
}

static void
move_to(struct guests_view *gv, long at)
{
	long rows = guests_rows(gv, body(gv)), last = (long)gv->norder - 1;

	if (gv->norder == 0)
		return;
	at = at < 0 ? 0 : at > last ? last : at;
	gv->sel_at = (size_t)at;
	gv->sel = gv->order[at];
	if (at < (long)gv->top)
		gv->top = (size_t)at;
	if (rows > 0 && at >= (long)gv->top + rows)
		gv->top = (size_t)(at - rows + 1);
	gv->v.app->dirty = true;
}

static void
do_move(struct view *v, int by)
{
	struct guests_view *gv = self(v);

	if (gv->sort_menu) {
		gv->sort_at =
		    (gv->sort_at + (by > 0 ? 1 : SORT_N - 1)) % SORT_N;
		v->app->dirty = true;
		return;
	}
	move_to(gv, (long)gv->sel_at + by);
}

static void
do_page(struct view *v, int dir)
{
	struct guests_view *gv = self(v);
	int rows = guests_rows(gv, body(gv));

	move_to(gv, (long)gv->sel_at + dir * (rows > 1 ? rows - 1 : 1));
}

static void
do_edge(struct view *v, int end)
{
	move_to(self(v), end ? (long)self(v)->norder - 1 : 0);
}

static void
set_sort(struct guests_view *gv, enum sort_key key)
{
	if (gv->sort == key)
		gv->invert = !gv->invert;
	else
		gv->invert = false;
	gv->sort = key;
	reorder(gv);
	app_status(gv->v.app, TR_NOTICE, "sorted by %s%s", sort_name(key),
	    gv->invert ? ", inverted" : "");
}

static void
do_sort(struct view *v, int key)
{
	self(v)->sort_menu = false;
	set_sort(self(v), (enum sort_key)key);
}

static void
do_invert(struct view *v, int arg)
{
	(void)arg;
	set_sort(self(v), self(v)->sort);
}

static void
do_sort_menu(struct view *v, int arg)
{
	struct guests_view *gv = self(v);

	(void)arg;
	gv->sort_menu = !gv->sort_menu;
	gv->sort_at = (int)gv->sort;
	v->app->dirty = true;
}

static void
on_filter(struct view *v, const char *text, bool done)
{
	struct guests_view *gv = self(v);

	(void)done;
	if (text == NULL)
		text = "";
	snprintf(gv->filter_text, sizeof(gv->filter_text), "%s", text);
	filter_parse(&gv->filter, gv->filter_text);
	reorder(gv);
}

static void
do_filter(struct view *v, int arg)
{
	(void)arg;
	app_prompt(v->app, v, "Filter:", self(v)->filter_text, on_filter);
}

static void
untag(struct guests_view *gv, uint32_t id)
{
	size_t i;

	for (i = 0; i < gv->ntags; i++)
		if (gv->tags[i] == id) {
			gv->tags[i] = gv->tags[--gv->ntags];
			return;
		}
}

static void
tag(struct guests_view *gv, uint32_t id)
{
	uint32_t *t;

	if (guests_tagged(gv, id))
		return;
	if (gv->ntags == gv->tag_room) {
		t = reallocarray(gv->tags, gv->tag_room + 64, sizeof(*t));
		if (t == NULL)
			return;
		gv->tags = t;
		gv->tag_room += 64;
	}
	gv->tags[gv->ntags++] = id;
}

static void
do_tag(struct view *v, int arg)
{
	struct guests_view *gv = self(v);

	(void)arg;
	if (gv->sel == 0)
		return;
	if (guests_tagged(gv, gv->sel))
		untag(gv, gv->sel);
	else
		tag(gv, gv->sel);
	move_to(gv, (long)gv->sel_at + 1);
}

static void
do_tag_all(struct view *v, int arg)
{
	struct guests_view *gv = self(v);
	size_t i;

	(void)arg;
	for (i = 0; i < gv->norder; i++)
		tag(gv, gv->order[i]);
	v->app->dirty = true;
}

static void
do_untag(struct view *v, int arg)
{
	(void)arg;
	self(v)->ntags = 0;
	v->app->dirty = true;
}

static void
do_details(struct view *v, int on)
{
	struct guests_view *gv = self(v);

	gv->details = on < 0 ? !gv->details : on != 0;
	v->app->dirty = true;
}

/* One level back: menu, reasons on the rows, filter, tags, pane. */
static void
do_back(struct view *v, int arg)
{
	struct guests_view *gv = self(v);
	struct model *m = v->app->model;
	bool had = false;
	size_t i;

	(void)arg;
	v->app->dirty = true;
	if (gv->sort_menu) {
		gv->sort_menu = false;
		return;
	}
	for (i = 0; i < m->nguests; i++)
		if (m->guests[i].reason[0] != '\0' &&
		    (m->guests[i].flags & ROW_FAILED) == 0) {
			m->guests[i].reason[0] = '\0';
			had = true;
		}
	if (had)
		return;
	if (gv->filter_text[0] != '\0')
		on_filter(v, NULL, true);
	else if (gv->ntags > 0)
		gv->ntags = 0;
	else
		gv->details = false;
}

/* What a key acts on: the tagged guests, or the one under the cursor. */
static size_t
targets(struct guests_view *gv, const uint32_t **ids)
{
	struct model *m = gv->v.app->model;
	size_t i;

	for (i = gv->ntags; i > 0; i--)
		if (model_peek(m, gv->tags[i - 1]) == NULL)
			untag(gv, gv->tags[i - 1]);
	if (gv->ntags > 0) {
		*ids = gv->tags;
		return (gv->ntags);
	}
	*ids = &gv->sel;
	return (current(gv) != NULL);
}

static void
request(struct guests_view *gv, enum guest_op op, uint32_t id)
{
	struct app *app = gv->v.app;
	const struct guest *g = model_peek(app->model, id);
	struct err e;

	if (g == NULL)
		return;
	if (op == GOP_START && g->state == VM_PAUSED)
		op = GOP_UNPAUSE;
	if (op == GOP_PAUSE && g->state == VM_PAUSED)
		op = GOP_UNPAUSE;
	err_clear(&e);
	if (app->link->op(app->link_ctx, op, id, &e) == -1) {
		model_reason(app->model, id, e.text);
		app_error(app, &e);
	}
}

static void
do_op(struct view *v, int op)
{
	struct guests_view *gv = self(v);
	const uint32_t *ids;
	size_t i, n = targets(gv, &ids);

	if (n == 0)
		app_status(v->app, TR_NOTICE, "there is no guest here");
	for (i = 0; i < n; i++)
		request(gv, (enum guest_op)op, ids[i]);
	v->app->dirty = true;
}

static void
on_yes(struct view *v)
{
	struct guests_view *gv = self(v);
	size_t i;

	for (i = 0; i < gv->nasked; i++)
		request(gv, gv->asked, gv->asked_ids[i]);
}

/* "build, web and 3 more" */
static void
list_names(const struct guests_view *gv, char *buf, size_t size)
{
	const struct guest *g;
	size_t i, len = 0;

	buf[0] = '\0';
	for (i = 0; i < gv->nasked && i < 5 && len < size; i++) {
		g = model_peek(gv->v.app->model, gv->asked_ids[i]);
		len += (size_t)snprintf(buf + len, size - len, "%s%.40s",
		    i > 0 ? ", " : "", g != NULL ? g->name : "?");
	}
	if (gv->nasked > i && len < size)
		snprintf(
		    buf + len, size - len, " and %zu more", gv->nasked - i);
}

/* The second of two strokes: name what is lost, then y or nothing. */
static void
do_danger(struct view *v, int op)
{
	struct guests_view *gv = self(v);
	const uint32_t *ids;
	size_t n = targets(gv, &ids);
	char names[256];

	free(gv->asked_ids);
	gv->nasked = 0;
	gv->asked_ids = calloc(n + 1, sizeof(*ids));
	if (gv->asked_ids == NULL || n == 0)
		return;
	memcpy(gv->asked_ids, ids, n * sizeof(*ids));
	gv->nasked = n;
	gv->asked = (enum guest_op)op;
	list_names(gv, names, sizeof(names));
	if (op == GOP_SHUTDOWN && n == 1)
		on_yes(v);
	else if (op == GOP_SHUTDOWN)
		app_ask(v->app, v, on_yes, "Shut down %s?", names);
	else
		app_ask(v->app, v, on_yes,
		    "%s %s?  What is not on its disks yet is lost.",
		    op == GOP_KILL ? "Kill" : "Reset", names);
}

static void
do_console(struct view *v, int split)
{
	struct guests_view *gv = self(v);
	const struct guest *g = current(gv);

	if (gv->sort_menu) {
		do_sort(v, gv->sort_at);
		return;
	}
	if (g == NULL)
		return;
	if (console_open(v->app->views[VIEW_CONSOLE], g->id, split != 0))
		app_show(v->app, VIEW_CONSOLE);
}

static const struct keybind danger_rows[] = {
	{ { 's' }, "guest-shutdown", "shut down", "ask the guest to shut down",
	    do_danger, GOP_SHUTDOWN, NULL },
	{ { 'r' }, "guest-reset", "reset", "reset it (asks first)", do_danger,
	    GOP_RESET, NULL },
	{ { 'k' }, "guest-kill", "kill", "kill it at once (asks first)",
	    do_danger, GOP_KILL, NULL },
};
const struct keytab guests_danger_keytab = { "Guests, after x", "x",
	danger_rows, sizeof(danger_rows) / sizeof(danger_rows[0]) };

static const struct keybind rows[] = {
	{ { K_UP, 'k' }, "up", NULL, "cursor up", do_move, -1, NULL },
	{ { K_DOWN, 'j' }, "down", NULL, "cursor down", do_move, 1, NULL },
	{ { K_PGUP }, "page-up", NULL, "a page up", do_page, -1, NULL },
	{ { K_PGDN }, "page-down", NULL, "a page down", do_page, 1, NULL },
	{ { K_HOME, 'g' }, "first", NULL, "to the first guest", do_edge, 0,
	    NULL },
	{ { K_END, 'G' }, "last", NULL, "to the last guest", do_edge, 1, NULL },
	{ { K_ENTER, K_F2 }, "console", "Console",
	    "open its console (in the sort menu: choose)", do_console, 0,
	    NULL },
	{ { '|' }, "console-split", NULL,
	    "open its console beside the one that is open", do_console, 1,
	    NULL },
	{ { 'i', K_F3 }, "details", "Details",
	    "show or hide the details of the guest", do_details, -1, NULL },
	{ { K_RIGHT }, "details-show", NULL, "show the details", do_details, 1,
	    NULL },
	{ { K_LEFT }, "details-hide", NULL, "hide the details", do_details, 0,
	    NULL },
	{ { '/', K_F4 }, "filter", "Filter",
	    "show only guests that match (name, state:, owner:, cpu>, mem>)",
	    do_filter, 0, NULL },
	{ { K_F6, '.' }, "sort-menu", "Sort", "choose the column that sorts",
	    do_sort_menu, 0, NULL },
	{ { 'P' }, "sort-cpu", NULL, "sort by CPU", do_sort, SORT_CPU, NULL },
	{ { 'M' }, "sort-memory", NULL, "sort by memory", do_sort, SORT_MEM,
	    NULL },
	{ { 'T' }, "sort-uptime", NULL, "sort by uptime", do_sort, SORT_TIME,
	    NULL },
	{ { 'N' }, "sort-name", NULL, "sort by name", do_sort, SORT_NAME,
	    NULL },
	{ { 'I' }, "sort-invert", NULL, "turn the order round", do_invert, 0,
	    NULL },
	{ { ' ' }, "tag", NULL, "tag the guest, or take its tag", do_tag, 0,
	    NULL },
	{ { '*' }, "tag-all", NULL, "tag all that are shown", do_tag_all, 0,
	    NULL },
	{ { 'U' }, "untag-all", NULL, "take all tags", do_untag, 0, NULL },
	{ { 's', K_F7 }, "guest-start", "Start",
	    "start, or go on after a pause", do_op, GOP_START, NULL },
	{ { 'p', K_F8 }, "guest-pause", "Pause",
	    "pause, or go on after a pause", do_op, GOP_PAUSE, NULL },
	{ { 'x', K_F9 }, "danger", "Stop", "then s, r or k: stop in some way",
	    NULL, 0, &guests_danger_keytab },
	{ { K_ESC }, "back", NULL,
	    "one level back: menu, reasons, filter, tags, details", do_back, 0,
	    NULL },
};
const struct keytab guests_keytab = { "Guests", NULL, rows,
	sizeof(rows) / sizeof(rows[0]) };

static bool
guests_mouse(struct view *v, const struct input *in, struct rect r)
{
	struct guests_view *gv = self(v);
	struct table_hit hit;

	if (in->what == MOUSE_WHEEL) {
		do_move(v, in->button * 3);
		return (true);
	}
	if (in->what != MOUSE_PRESS || in->button != 1)
		return (false);
	hit = guests_hit(gv, r, in->row, in->col);
	if (hit.sort != SORT_N)
		set_sort(gv, hit.sort);
	else if (hit.row >= 0) {
		move_to(gv, hit.row);
		if (in->clicks == 2)
			do_console(v, 0);
	}
	return (true);
}

static void
guests_status(const struct view *v, char *buf, size_t size)
{
	const struct guests_view *gv = (const struct guests_view *)v;
	const struct model *m = v->app->model;
	size_t len = 0;

	if (gv->filter_text[0] != '\0')
		len += (size_t)snprintf(
		    buf + len, size - len, "filter: %s  ", gv->filter_text);
	if (gv->ntags > 0 && len < size)
		len += (size_t)snprintf(
		    buf + len, size - len, "tagged: %zu  ", gv->ntags);
	if (len == 0 && m->nevents == 0)
		len += (size_t)snprintf(buf + len, size - len,
		    "%zu guests, sorted by %s%s", m->nguests,
		    sort_name(gv->sort), gv->invert ? ", inverted" : "");
	else if (len == 0)
		len += (size_t)snprintf(buf + len, size - len, "%s%s%s",
		    m->events[m->nevents - 1].name,
		    m->events[m->nevents - 1].name[0] != '\0' ? ": " : "",
		    m->events[m->nevents - 1].text);
	if (len == 0)
		buf[0] = '\0';
}

static void
guests_update(struct view *v)
{
	reorder(self(v));
}

static void
guests_close(struct view *v)
{
	struct guests_view *gv = self(v);

	free(gv->order);
	free(gv->tags);
	free(gv->asked_ids);
	free(gv);
}

static const struct view_ops guests_ops = {
	.chip = "Guests",
	.keys = &guests_keytab,
	.draw = guests_draw,
	.update = guests_update,
	.mouse = guests_mouse,
	.status = guests_status,
	.close = guests_close,
};

struct view *
view_guests_open(struct app *app)
{
	struct guests_view *gv;

	if ((gv = calloc(1, sizeof(*gv))) == NULL)
		return (NULL);
	gv->v.ops = &guests_ops;
	gv->v.app = app;
	gv->sort = SORT_ID;
	return (&gv->v);
}
