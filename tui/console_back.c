/* SPDX-License-Identifier: ISC */
/* Consoles: looking back, searching, and all that the mouse does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/view_console.h"

void
console_do_look_back(struct view *v, int page)
{
	struct console *cons = console_current(v);

	if (cons == NULL || !console_look_back(cons))
		return;
	if (page)
		cons->top -= vt_rows(cons->vt) - 1;
	if (cons->top < 0)
		cons->top = 0;
}

static void
scroll_to(struct console *cons, int top)
{
	int last = cons->snap->lines - vt_rows(cons->vt);

	cons->top = top > last ? last : top;
	if (cons->top < 0)
		cons->top = 0;
	cons->app->dirty = true;
}

static void
do_scroll(struct view *v, int by)
{
	struct console *cons = console_current(v);

	if (cons != NULL && cons->snap != NULL)
		scroll_to(cons, cons->top + by);
}

static void
do_scroll_page(struct view *v, int dir)
{
	struct console *cons = console_current(v);

	if (cons != NULL && cons->snap != NULL)
		scroll_to(cons, cons->top + dir * (vt_rows(cons->vt) - 1));
}

static void
do_scroll_edge(struct view *v, int end)
{
	struct console *cons = console_current(v);

	if (cons != NULL && cons->snap != NULL)
		scroll_to(cons, end ? cons->snap->lines : 0);
}

static void
do_live(struct view *v, int arg)
{
	struct console *cons = console_current(v);

	(void)arg;
	if (cons != NULL)
		console_live(cons);
}

static void
find(struct console *cons, int dir)
{
	struct vt_pos at = cons->hit;

	if (cons->search[0] == '\0')
		return;
	if (!vt_snap_find(cons->snap, cons->search, dir, &at)) {
		app_status(cons->app, TR_NOTICE, "no %s\"%s\" %s",
		    cons->found ? "more " : "", cons->search,
		    dir < 0 ? "above" : "below");
		return;
	}
	cons->hit = at;
	cons->found = true;
	if (at.line < cons->top || at.line >= cons->top + vt_rows(cons->vt))
		scroll_to(cons, at.line - vt_rows(cons->vt) / 2);
	cons->app->dirty = true;
}

static void
on_search(struct view *v, const char *text, bool done)
{
	struct console *cons = console_current(v);

	if (cons == NULL || !done || text == NULL || cons->snap == NULL)
		return;
	snprintf(cons->search, sizeof(cons->search), "%s", text);
	cons->hit = (struct vt_pos){ cons->snap->lines, 0 };
	cons->found = false;
	find(cons, -1);
}

void
console_do_search(struct view *v, int arg)
{
	struct console *cons = console_current(v);

	(void)arg;
	if (cons == NULL || !console_look_back(cons))
		return;
	app_prompt(v->app, v, "Search:", cons->search, on_search);
}

static void
do_find(struct view *v, int dir)
{
	struct console *cons = console_current(v);

	if (cons != NULL && cons->snap != NULL)
		find(cons, dir);
}

static const struct keybind scroll_rows[] = {
	{ { K_UP, 'k' }, "line-up", "up", "a line up", do_scroll, -1, NULL },
	{ { K_DOWN, 'j' }, "line-down", "down", "a line down", do_scroll, 1,
	    NULL },
	{ { K_PGUP, 'b' }, "page-up", "page", "a page up", do_scroll_page, -1,
	    NULL },
	{ { K_PGDN, ' ' }, "page-down", "page", "a page down", do_scroll_page,
	    1, NULL },
	{ { K_HOME, 'g' }, "oldest", "oldest", "to the oldest line",
	    do_scroll_edge, 0, NULL },
	{ { K_END, 'G' }, "newest", "newest", "to the newest line",
	    do_scroll_edge, 1, NULL },
	{ { '/' }, "search-again", "search", "search", console_do_search, 0,
	    NULL },
	{ { 'n' }, "hit-older", "above", "the next hit above", do_find, -1,
	    NULL },
	{ { 'N' }, "hit-newer", "below", "the next hit below", do_find, 1,
	    NULL },
	{ { K_ESC, 'q', K_ENTER }, "live", "live", "back to what is live",
	    do_live, 0, NULL },
};
const struct keytab console_scroll_keytab = { "Console, looking back", "",
	scroll_rows, sizeof(scroll_rows) / sizeof(scroll_rows[0]) };

static struct vt_pos
pos_of(const struct console *cons, struct rect p, const struct input *in)
{
	struct vt_pos at = { cons->top + in->row - p.row, in->col - p.col };

	if (at.line < 0)
		at.line = 0;
	if (at.line >= cons->snap->lines)
		at.line = cons->snap->lines - 1;
	if (at.col < 0)
		at.col = 0;
	if (at.col >= cons->snap->cols)
		at.col = cons->snap->cols - 1;
	return (at);
}

static bool
inside(struct rect r, const struct input *in)
{
	return (in->row >= r.row && in->row < r.row + r.rows &&
	    in->col >= r.col && in->col < r.col + r.cols);
}

/* A drag marks on a copy of the screen; the guest goes on behind it. */
static void
drag(struct console_view *cv, struct console *cons, struct rect p,
    const struct input *in)
{
	bool was_back = cons->snap != NULL && !cons->marking;

	if (!console_look_back(cons))
		return;
	cons->marking = !was_back;
	if (!cv->dragging) {
		cv->dragging = true;
		cons->mark_a = pos_of(cons, p, &cv->press);
	}
	cons->mark_b = pos_of(cons, p, in);
	cons->marked = true;
	cv->v.app->dirty = true;
}

static void
drop(struct console_view *cv, struct console *cons)
{
	struct app *app = cv->v.app;
	char *text;

	cv->dragging = false;
	if (cons->snap == NULL || !cons->marked)
		return;
	text = vt_snap_text(cons->snap, cons->mark_a, cons->mark_b);
	if (text != NULL && text[0] != '\0' && app->term->copy != NULL) {
		app->term->copy(app->term_ctx, text, strlen(text));
		app_status(app, TR_NOTICE, "%zu bytes copied", strlen(text));
	}
	free(text);
	if (cons->marking)
		console_live(cons);
	app->dirty = true;
}

static void
wheel(struct console *cons, int dir)
{
	if (cons->snap == NULL && dir > 0)
		return;
	if (!console_look_back(cons))
		return;
	if (dir > 0 && cons->top + vt_rows(cons->vt) >= cons->snap->lines) {
		console_live(cons);
		return;
	}
	scroll_to(cons, cons->top + dir * 3);
}

bool
console_mouse(struct view *v, const struct input *in, struct rect r)
{
	struct console_view *cv = (struct console_view *)v;
	struct rect p = console_pane(cv, r, false);
	struct console *cons = console_current(v);
	int i;

	if (cons == NULL)
		return (false);
	if (in->what == MOUSE_RELEASE || cv->dragging) {
		if (in->what == MOUSE_RELEASE)
			drop(cv, cons);
		else if (in->what == MOUSE_DRAG)
			drag(cv, cons, p, in);
		return (true);
	}
	if (in->row == r.row && in->what == MOUSE_PRESS) {
		if ((i = console_tab_hit(cv, NULL, r, in->col)) >= 0)
			console_select(cv, i);
		return (true);
	}
	if (cv->beside >= 0 && inside(console_pane(cv, r, true), in) &&
	    in->what == MOUSE_PRESS) {
		console_select(cv, cv->beside);
		return (true);
	}
	if (in->what == MOUSE_WHEEL)
		wheel(cons, in->button);
	else if (in->what == MOUSE_PRESS)
		cv->press = *in;
	else if (in->what == MOUSE_DRAG && inside(p, &cv->press))
		drag(cv, cons, p, in);
	return (true);
}
