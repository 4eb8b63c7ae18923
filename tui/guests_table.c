/* SPDX-License-Identifier: ISC */
/* The table of guests: header, columns, rows.  Pure functions of the model. */
#include <stdio.h>
#include <string.h>

#include "tui/draw/graph.h"
#include "tui/guests.h"

#define HEAD_ROWS 3 /* meters, totals, column titles */

struct column {
	const char *title;
	int min, max; /* columns; all grow evenly up to max */
	bool right;
	enum sort_key sort;
	void (*draw)(const struct guests_view *, const struct guest *,
	    struct canvas *, struct rect);
};

bool
guests_tagged(const struct guests_view *gv, uint32_t id)
{
	size_t i;

	for (i = 0; i < gv->ntags; i++)
		if (gv->tags[i] == id)
			return (true);
	return (false);
}

static bool
runs(const struct guest *g)
{
	return (g->state != VM_STOPPED && g->state != VM_WAITING);
}

static bool
failed(const struct guest *g)
{
	return (g->state == VM_STOPPED && (g->flags & ROW_FAILED) != 0);
}

static enum trole
text_role(const struct guest *g)
{
	return (runs(g) ? TR_TEXT : TR_DIM);
}

static void
draw_mark(const struct guests_view *gv, const struct guest *g, struct canvas *c,
    struct rect r)
{
	if (guests_tagged(gv, g->id))
		canvas_text(c, r.row, r.col, 1, TR_TAGGED, "*");
}

static void
draw_id(const struct guests_view *gv, const struct guest *g, struct canvas *c,
    struct rect r)
{
	char buf[16];

	(void)gv;
	snprintf(buf, sizeof(buf), "%u", g->id);
	canvas_right(c, r.row, r.col, r.cols, TR_DIM, buf);
}

static void
draw_name(const struct guests_view *gv, const struct guest *g, struct canvas *c,
    struct rect r)
{
	enum trole role;

	role = guests_tagged(gv, g->id) ? TR_TAGGED : text_role(g);
	canvas_text(c, r.row, r.col, r.cols, role, g->name);
}

static void
draw_state(const struct guests_view *gv, const struct guest *g,
    struct canvas *c, struct rect r)
{
	static const enum trole roles[VM_NSTATES] = {
		[VM_STOPPED] = TR_STOPPED,
		[VM_WAITING] = TR_CHANGING,
		[VM_STARTING] = TR_CHANGING,
		[VM_RUNNING] = TR_RUNNING,
		[VM_PAUSED] = TR_PAUSED,
		[VM_STOPPING] = TR_CHANGING,
	};
	enum trole role;
	const char *text;

	(void)gv;
	role = g->state < VM_NSTATES ? roles[g->state] : TR_STOPPED;
	text = vm_state_name(g->state);
	if (g->busy[0] != '\0') {
		role = TR_CHANGING;
		text = g->busy;
	} else if (failed(g)) {
		role = TR_FAILED;
		text = "failed";
	}
	canvas_text(c, r.row, r.col, r.cols, role, text);
}

static void
draw_owner(const struct guests_view *gv, const struct guest *g,
    struct canvas *c, struct rect r)
{
	(void)gv;
	canvas_text(c, r.row, r.col, r.cols, text_role(g), g->owner);
}

static void
draw_vcpus(const struct guests_view *gv, const struct guest *g,
    struct canvas *c, struct rect r)
{
	char buf[16];

	(void)gv;
	snprintf(buf, sizeof(buf), "%u", g->ncpus);
	canvas_right(c, r.row, r.col, r.cols, text_role(g), buf);
}

static enum trole
load_role(float used)
{
	return (used < 0.6f    ? TR_TEXT
		: used < 0.85f ? TR_METER_MID
			       : TR_METER_HIGH);
}

static void
draw_cpu(const struct guests_view *gv, const struct guest *g, struct canvas *c,
    struct rect r)
{
	float all = g->ncpus == 0 ? 100 : 100 * (float)g->ncpus;
	char buf[16];

	(void)gv;
	if (!runs(g))
		return;
	if (!g->have_rates)
		snprintf(buf, sizeof(buf), "-");
	else if (g->cpu_pct < 999.95f)
		snprintf(buf, sizeof(buf), "%.1f", (double)g->cpu_pct);
	else
		snprintf(buf, sizeof(buf), "%.0f", (double)g->cpu_pct);
	canvas_right(c, r.row, r.col, r.cols, load_role(g->cpu_pct / all), buf);
}

static void
draw_graph(const struct guests_view *gv, const struct guest *g,
    struct canvas *c, struct rect r)
{
	(void)gv;
	if (runs(g))
		graph_draw(c, r, g->cpu.v, g->cpu.n, MODEL_SAMPLES);
}

static void
draw_mem(const struct guests_view *gv, const struct guest *g, struct canvas *c,
    struct rect r)
{
	char used[16] = "", max[16], buf[40];

	(void)gv;
	fmt_bytes(max, sizeof(max), g->mem_bytes);
	if (runs(g))
		fmt_bytes(used, sizeof(used), g->resident_bytes);
	snprintf(buf, sizeof(buf), "%4s%c%4s", used, runs(g) ? '/' : ' ', max);
	canvas_right(c, r.row, r.col, r.cols, text_role(g), buf);
}

static void
draw_uptime(const struct guests_view *gv, const struct guest *g,
    struct canvas *c, struct rect r)
{
	char buf[32];

	if (!runs(g) || g->started_s == 0)
		return;
	fmt_uptime(buf, sizeof(buf), gv->v.app->model->now_s - g->started_s);
	canvas_right(c, r.row, r.col, r.cols, TR_TEXT, buf);
}

static void
draw_exits(const struct guests_view *gv, const struct guest *g,
    struct canvas *c, struct rect r)
{
	char buf[16];

	(void)gv;
	if (!runs(g))
		return;
	if (g->have_rates)
		fmt_count(buf, sizeof(buf), (double)g->exits);
	else
		snprintf(buf, sizeof(buf), "-");
	canvas_right(c, r.row, r.col, r.cols, TR_TEXT, buf);
}

static void
draw_console(const struct guests_view *gv, const struct guest *g,
    struct canvas *c, struct rect r)
{
	(void)gv;
	if (!runs(g))
		return;
	if (g->console_bytes > g->console_seen)
		canvas_glyph(c, r.row, r.col + r.cols - 1, TR_UNREAD, GL_DOT);
	else if (g->console_bytes > 0)
		canvas_glyph(c, r.row, r.col + r.cols - 1, TR_DIM, GL_RING);
}

enum {
	COL_MARK,
	COL_ID,
	COL_NAME,
	COL_STATE,
	COL_OWNER,
	COL_VCPUS,
	COL_CPU,
	COL_GRAPH,
	COL_MEM,
	COL_UP,
	COL_EXITS,
	COL_CONS,
	COL_N
};

static const struct column columns[COL_N] = {
	[COL_MARK] = { "", 1, 1, false, SORT_N, draw_mark },
	[COL_ID] = { "ID", 3, 5, true, SORT_ID, draw_id },
	[COL_NAME] = { "NAME", 11, 28, false, SORT_NAME, draw_name },
	[COL_STATE] = { "STATE", 8, 9, false, SORT_STATE, draw_state },
	[COL_OWNER] = { "OWNER", 5, 12, false, SORT_OWNER, draw_owner },
	[COL_VCPUS] = { "VC", 2, 3, true, SORT_VCPUS, draw_vcpus },
	[COL_CPU] = { "CPU%", 5, 6, true, SORT_CPU, draw_cpu },
	[COL_GRAPH] = { "60 s", 8, 60, false, SORT_CPU, draw_graph },
	[COL_MEM] = { "MEM /MAX", 9, 12, true, SORT_MEM, draw_mem },
	[COL_UP] = { "UPTIME", 8, 9, true, SORT_TIME, draw_uptime },
	[COL_EXITS] = { "EXIT/S", 6, 8, true, SORT_EXITS, draw_exits },
	[COL_CONS] = { "C", 1, 4, true, SORT_N, draw_console },
};

/* Where each column begins and how wide it is, for a table this wide. */
static void
layout(int cols, const struct charset *cs, int at[COL_N], int width[COL_N])
{
	int i, left = cols - (COL_N - 1), max;
	bool grew = true;

	for (i = 0; i < COL_N; i++)
		left -= width[i] = columns[i].min;
	while (left > 0 && grew) {
		grew = false;
		for (i = 0; i < COL_N && left > 0; i++) {
			max = columns[i].max;
			if (i == COL_GRAPH && cs->utf8 &&
			    cs->graph == GRAPH_BRAILLE)
				max /= 2; /* two samples a cell */
			if (width[i] >= max)
				continue;
			width[i]++;
			left--;
			grew = true;
		}
	}
	for (i = 0, max = 0; i < COL_N; i++) {
		at[i] = max;
		max += width[i] + 1;
	}
}

const char *
sort_name(enum sort_key key)
{
	static const char *const n[SORT_N] = { "id", "name", "state", "owner",
		"vcpus", "cpu", "memory", "uptime", "exits" };

	return (key < SORT_N ? n[key] : "");
}

static void
draw_meters(const struct guests_view *gv, struct canvas *c, struct rect r)
{
	const struct host *h = &gv->v.app->model->host;
	int half = (r.cols - 3) / 2, w;
	char text[64], used[16], total[16];
	double frac = 0;

	canvas_text(c, r.row, r.col + 1, 3, TR_TITLE, "CPU");
	snprintf(text, sizeof(text), "%s", "-");
	if (h->cpu_frac >= 0)
		snprintf(text, sizeof(text), "%.1f%% of %d",
		    (double)h->cpu_frac * 100, h->nthreads);
	w = half - 5;
	canvas_meter(c, r.row, r.col + 5, w,
	    h->cpu_frac < 0 ? 0 : (double)h->cpu_frac, text);
	canvas_text(c, r.row, r.col + half + 2, 3, TR_TITLE, "MEM");
	fmt_bytes5(used, sizeof(used), h->mem_used);
	fmt_bytes5(total, sizeof(total), h->mem_total);
	snprintf(text, sizeof(text), "%s/%s", used, total);
	if (h->mem_total > 0)
		frac = (double)h->mem_used / (double)h->mem_total;
	canvas_meter(c, r.row, r.col + half + 6, r.cols - half - 7, frac, text);
}

/* A figure and its word; the next column.  One that does not fit is left out. */
static int
figure(struct canvas *c, int row, int col, int end, enum trole role,
    const char *word, const char *value)
{
	if (col + (int)(strlen(word) + strlen(value)) + 1 > end)
		return (end);
	col += canvas_text(c, row, col, end - col, TR_DIM, word);
	col += canvas_text(c, row, col + 1, end - col - 1, role, value) + 1;
	return (col + 3);
}

static void
draw_totals(const struct guests_view *gv, struct canvas *c, struct rect r)
{
	char buf[64], a[16], b[16];
	int col = r.col + 1, end = r.col + r.cols;
	struct totals t;

	model_totals(gv->v.app->model, &t);
	snprintf(buf, sizeof(buf), "%d up", t.running + t.other);
	col = figure(c, r.row, col, end, TR_RUNNING, "Guests", buf) - 1;
	snprintf(buf, sizeof(buf), "%d paused", t.paused);
	col += canvas_text(c, r.row, col, end - col,
		   t.paused > 0 ? TR_PAUSED : TR_DIM, buf) +
	    2;
	snprintf(buf, sizeof(buf), "%d off", t.stopped);
	col += canvas_text(c, r.row, col, end - col, TR_DIM, buf) + 2;
	if (t.failed > 0) {
		snprintf(buf, sizeof(buf), "%d failed", t.failed);
		col +=
		    canvas_text(c, r.row, col, end - col, TR_FAILED, buf) + 2;
	}
	snprintf(buf, sizeof(buf), "%.0f%%", (double)t.cpu_pct);
	col = figure(c, r.row, col + 1, end, TR_TEXT, "cpu", buf);
	fmt_bytes5(a, sizeof(a), t.resident);
	fmt_bytes5(b, sizeof(b), t.mem);
	snprintf(buf, sizeof(buf), "%s/%s", a, b);
	col = figure(c, r.row, col, end, TR_TEXT, "mem", buf);
	snprintf(buf, sizeof(buf), "%u", t.vcpus);
	col = figure(c, r.row, col, end, TR_TEXT, "vcpus", buf);
	fmt_count(a, sizeof(a), (double)t.exits);
	snprintf(buf, sizeof(buf), "%s/s", a);
	figure(c, r.row, col, end, TR_TEXT, "exits", buf);
}

static void
draw_titles(const struct guests_view *gv, struct canvas *c, struct rect r,
    const int at[COL_N], const int width[COL_N])
{
	const struct column *col;
	enum trole role;
	int i, n, x;

	canvas_fill(c, r, TR_HEADER);
	for (i = 0; i < COL_N; i++) {
		col = &columns[i];
		role = TR_HEADER;
		if (i != COL_GRAPH && col->sort == gv->sort) {
			role = TR_HEADER_SORT;
			canvas_paint(c,
			    (struct rect){ r.row, r.col + at[i], 1, width[i] },
			    role, 0);
		}
		x = r.col + at[i];
		n = (int)strlen(col->title);
		if (col->right && n < width[i])
			x += width[i] - n;
		n = canvas_text(c, r.row, x, width[i], role, col->title);
		if (role == TR_HEADER_SORT && n < width[i])
			canvas_glyph(c, r.row, col->right ? x - 1 : x + n, role,
			    gv->invert ? GL_UP : GL_DOWN);
	}
}

/* The reason takes the place of figures that are not there. */
static void
draw_reason(
    const struct guest *g, struct canvas *c, struct rect r, const int at[COL_N])
{
	int from = runs(g) ? at[COL_GRAPH] : at[COL_CPU];

	if (g->reason[0] == '\0')
		return;
	canvas_fill(c, (struct rect){ r.row, r.col + from, 1, r.cols - from },
	    TR_ERROR);
	canvas_text(c, r.row, r.col + from, r.cols - from, TR_ERROR, g->reason);
}

static void
draw_row(const struct guests_view *gv, const struct guest *g, struct canvas *c,
    struct rect r, const int at[COL_N], const int width[COL_N])
{
	int i;

	for (i = 0; i < COL_N; i++)
		columns[i].draw(gv, g, c,
		    (struct rect){ r.row, r.col + at[i], 1, width[i] });
	draw_reason(g, c, r, at);
	if (g->id == gv->sel)
		canvas_paint(c, r, TR_SELECT, 0);
}

/* Of the pane: 0 when there is no place for it. */
static int
pane_rows(const struct guests_view *gv, struct rect r)
{
	const struct guest *g = model_peek(gv->v.app->model, gv->sel);
	int room = r.rows - HEAD_ROWS - 3, rows = DETAILS_ROWS;

	if (!gv->details || room < rows)
		return (0);
	if (g != NULL)
		rows += (int)g->ndisks;
	return (rows < room ? rows : room);
}

int
guests_rows(const struct guests_view *gv, struct rect r)
{
	int rows = r.rows - HEAD_ROWS - pane_rows(gv, r);

	return (rows < 0 ? 0 : rows);
}

/* First row shown so that the cursor is among them. */
static size_t
first_row(const struct guests_view *gv, int rows)
{
	size_t top = gv->top;

	if (rows <= 0)
		return (0);
	if (gv->sel_at < top)
		top = gv->sel_at;
	if (gv->sel_at >= top + (size_t)rows)
		top = gv->sel_at - (size_t)rows + 1;
	if (top + (size_t)rows > gv->norder)
		top = gv->norder > (size_t)rows ? gv->norder - (size_t)rows : 0;
	return (top);
}

static void
draw_empty(const struct guests_view *gv, struct canvas *c, struct rect r)
{
	const struct model *m = gv->v.app->model;
	const char *text;

	if (gv->norder > 0 || r.rows < 3)
		return;
	if (m->nguests > 0)
		text = "No guest matches the filter.  Esc clears it.";
	else if (m->link == LINK_UP)
		text = "No guests yet.  Describe them in /etc/vm.conf and run "
		       "vmctl reload.";
	else
		text = "Not connected yet.";
	canvas_text(c, r.row + 1, r.col + 2, r.cols - 4, TR_DIM, text);
}

static void
draw_sort_menu(const struct guests_view *gv, struct canvas *c, struct rect r)
{
	struct rect box = { r.row, r.col, SORT_N + 2, 18 };
	int i;

	if (box.rows > r.rows)
		box.rows = r.rows;
	canvas_fill(c, box, TR_TEXT);
	canvas_box(c, box, TR_BORDER, "Sort by", TR_TITLE);
	for (i = 0; i < SORT_N && i + 2 < box.rows; i++) {
		canvas_text(c, box.row + 1 + i, box.col + 2, box.cols - 4,
		    TR_TEXT, sort_name((enum sort_key)i));
		if (i == gv->sort_at)
			canvas_paint(c,
			    (struct rect){
				box.row + 1 + i, box.col + 1, 1, box.cols - 2 },
			    TR_SELECT, 0);
	}
}

void
guests_draw(const struct view *v, struct canvas *c, struct rect r)
{
	const struct guests_view *gv = (const struct guests_view *)v;
	const struct model *m = v->app->model;
	int at[COL_N], width[COL_N], rows = guests_rows(gv, r), i;
	struct rect line = { r.row, r.col, 1, r.cols };
	const struct guest *g;
	size_t top;

	layout(r.cols, &c->cs, at, width);
	draw_meters(gv, c, line);
	line.row++;
	draw_totals(gv, c, line);
	line.row++;
	draw_titles(gv, c, line, at, width);
	top = first_row(gv, rows);
	for (i = 0; i < rows && top + (size_t)i < gv->norder; i++) {
		line.row = r.row + HEAD_ROWS + i;
		g = model_peek(m, gv->order[top + (size_t)i]);
		if (g != NULL)
			draw_row(gv, g, c, line, at, width);
	}
	line = (struct rect){ r.row + HEAD_ROWS, r.col, rows, r.cols };
	draw_empty(gv, c, line);
	if (gv->sort_menu)
		draw_sort_menu(gv, c, line);
	if (rows < r.rows - HEAD_ROWS && (g = model_peek(m, gv->sel)) != NULL)
		details_draw(m, g, c,
		    (struct rect){ r.row + HEAD_ROWS + rows, r.col,
			r.rows - HEAD_ROWS - rows, r.cols });
}

struct table_hit
guests_hit(const struct guests_view *gv, struct rect r, int row, int col)
{
	struct table_hit hit = { -1, SORT_N };
	int at[COL_N], width[COL_N], i, rows = guests_rows(gv, r);
	size_t n;

	if (row == r.row + HEAD_ROWS - 1) {
		layout(r.cols, &gv->v.app->cs, at, width);
		for (i = 0; i < COL_N; i++)
			if (col - r.col >= at[i] &&
			    col - r.col < at[i] + width[i])
				hit.sort = columns[i].sort;
	} else if (row >= r.row + HEAD_ROWS && row < r.row + HEAD_ROWS + rows) {
		n = first_row(gv, rows) + (size_t)(row - r.row - HEAD_ROWS);
		if (n < gv->norder)
			hit.row = (int)n;
	}
	return (hit);
}
