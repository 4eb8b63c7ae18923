/* SPDX-License-Identifier: ISC */
/* The console view on the grid: tabs, one or two consoles. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/users.h"
#include "tui/view_console.h"

#define SIDE_COLS 120 /* from here on a split stands side by side */
#define TAB_NAME 16

static int
name_cols(const struct console *cons)
{
	int n = (int)strlen(cons->name);

	return (n > TAB_NAME ? TAB_NAME : n);
}

int
console_tab_cols(const struct console *cons)
{
	return (name_cols(cons) + 4);
}

static bool
shown(const struct console_view *cv, int i)
{
	return (i == cv->cur || i == cv->beside);
}

static void
draw_tabs(const struct console_view *cv, struct canvas *c, struct rect r)
{
	const struct guest *g;
	const struct console *cons;
	enum trole role;
	int i, col = r.col + 1, w;

	for (i = 0; i < cv->ntabs; i++) {
		cons = cv->tab[i];
		w = console_tab_cols(cons);
		role = i == cv->cur ? TR_TAB_ON : TR_TAB;
		canvas_fill(c, (struct rect){ r.row, col, 1, w }, role);
		canvas_text(
		    c, r.row, col + 1, name_cols(cons), role, cons->name);
		g = model_peek(cv->v.app->model, cons->id);
		if (cons->state == CONS_CLOSED)
			canvas_glyph(c, r.row, col + w - 2, role, GL_TIMES);
		else if (!shown(cv, i) && g != NULL &&
		    g->console_bytes > g->console_seen)
			canvas_glyph(c, r.row, col + w - 2, TR_UNREAD, GL_DOT);
		col += w + 1;
	}
}

struct rect
console_pane(const struct console_view *cv, struct rect r, bool other)
{
	struct rect p = { r.row + 1, r.col, r.rows - 1, r.cols };
	int first;

	if (cv->beside < 0)
		return (p);
	if (r.cols >= SIDE_COLS) {
		first = (p.cols - 1) / 2;
		if (other)
			p.col += first + 1;
		p.cols = other ? p.cols - first - 1 : first;
	} else {
		first = (p.rows - 1) / 2;
		if (other)
			p.row += first + 1;
		p.rows = other ? p.rows - first - 1 : first;
	}
	return (p);
}

static void
draw_split(const struct console_view *cv, struct canvas *c, struct rect r)
{
	struct rect p = console_pane(cv, r, true);
	char name[VM_NAME_BYTES + 2];
	int i;

	if (r.cols >= SIDE_COLS) {
		for (i = 0; i < p.rows; i++)
			canvas_glyph(
			    c, p.row + i, p.col - 1, TR_BORDER, GL_VLINE);
		return;
	}
	canvas_hline(c, p.row - 1, p.col, p.cols, TR_BORDER);
	snprintf(name, sizeof(name), " %s ", cv->tab[cv->beside]->name);
	canvas_text(c, p.row - 1, p.col + 2, p.cols - 4, TR_TITLE, name);
}

static bool
before(struct vt_pos a, struct vt_pos b)
{
	return (a.line < b.line || (a.line == b.line && a.col < b.col));
}

static void
paint_mark(const struct console *cons, struct canvas *c, struct rect r)
{
	struct vt_pos a = cons->mark_a, b = cons->mark_b, at;

	if (before(b, a)) {
		a = cons->mark_b;
		b = cons->mark_a;
	}
	for (at.line = a.line; at.line <= b.line; at.line++) {
		int from = at.line == a.line ? a.col : 0;
		int to = at.line == b.line ? b.col : r.cols - 1;
		int row = at.line - cons->top;

		if (row >= 0 && row < r.rows && from < r.cols)
			canvas_paint(c,
			    (struct rect){ r.row + row, r.col + from, 1,
				(to < r.cols ? to : r.cols - 1) - from + 1 },
			    TR_SELECTION, 0);
	}
}

/* Every hit that can be seen; the one that n found stands out. */
static void
paint_hits(const struct console *cons, struct canvas *c, struct rect r)
{
	struct vt_pos at = { cons->top, -1 };
	int n;

	if (cons->search[0] == '\0' || at.line < 0)
		return;
	while (vt_snap_find(cons->snap, cons->search, 1, &at) &&
	    at.line < cons->top + r.rows) {
		n = vt_snap_match(cons->snap, cons->search, at);
		canvas_paint(c,
		    (struct rect){
			r.row + at.line - cons->top, r.col + at.col, 1, n },
		    TR_MATCH,
		    at.line == cons->hit.line && at.col == cons->hit.col
			? CA_UNDERLINE | CA_BOLD
			: 0);
	}
}

/* Where in the whole the shown part is, upper right, like a page number. */
static void
draw_place(const struct console *cons, struct canvas *c, struct rect r)
{
	char buf[64];
	int n;

	snprintf(buf, sizeof(buf), " %d-%d of %d ", cons->top + 1,
	    cons->top + r.rows < cons->snap->lines ? cons->top + r.rows
						   : cons->snap->lines,
	    cons->snap->lines);
	n = (int)strlen(buf);
	if (n < r.cols)
		canvas_text(c, r.row, r.col + r.cols - n, n, TR_CHIP_ON, buf);
}

static void
draw_console(
    const struct console *cons, struct canvas *c, struct rect r, bool focus)
{
	if (cons->snap == NULL) {
		vt_draw(cons->vt, c, r, focus && cons->state == CONS_LIVE);
		return;
	}
	vt_snap_draw(cons->snap, c, r, cons->top);
	if (cons->found)
		paint_hits(cons, c, r);
	if (cons->marked)
		paint_mark(cons, c, r);
	if (!cons->marking)
		draw_place(cons, c, r);
}

void
consoles_draw(const struct view *v, struct canvas *c, struct rect r)
{
	const struct console_view *cv = (const struct console_view *)v;

	if (cv->ntabs == 0) {
		canvas_text(c, r.row + 2, r.col + 2, r.cols - 4, TR_DIM,
		    "No console is open.  Press Enter on a guest (1 goes "
		    "there).");
		return;
	}
	draw_tabs(cv, c, r);
	if (cv->beside >= 0) {
		draw_split(cv, c, r);
		draw_console(
		    cv->tab[cv->beside], c, console_pane(cv, r, true), false);
	}
	draw_console(cv->tab[cv->cur], c, console_pane(cv, r, false), true);
}

int
console_tab_hit(const struct console_view *cv, const struct canvas *c,
    struct rect r, int col)
{
	int i, at = r.col + 1, w;

	(void)c;
	for (i = 0; i < cv->ntabs; i++) {
		w = console_tab_cols(cv->tab[i]);
		if (col >= at && col < at + w)
			return (i);
		at += w + 1;
	}
	return (-1);
}

void
console_peers_text(const struct console *cons, char *buf, size_t size)
{
	uint32_t me = cons->app->model->uid, i;
	size_t len = 0;
	bool self = false;
	char name[OWNER_BYTES];

	buf[0] = '\0';
	for (i = 0; i < cons->npeers && len < size; i++) {
		if (cons->peer[i].uid == me && !self &&
		    (cons->peer[i].writer != 0) == cons->writer) {
			self = true; /* this one is this vmtop */
			continue;
		}
		user_name(cons->peer[i].uid, name);
		len += (size_t)snprintf(buf + len, size - len, "%s%s%s",
		    len > 0 ? ", " : "", name,
		    cons->peer[i].writer ? " (types)" : " (watches)");
	}
}
