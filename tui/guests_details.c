/* SPDX-License-Identifier: ISC */
/* The pane below the table: one guest at length.  Pure. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tui/draw/graph.h"
#include "tui/guests.h"

static void
fact(struct canvas *c, struct rect r, int line, const char *word,
    enum trole role, const char *text)
{
	canvas_text(c, r.row + line, r.col, 9, TR_DIM, word);
	canvas_text(c, r.row + line, r.col + 10, r.cols - 10, role, text);
}

static void
draw_facts(const struct model *m, const struct guest *g, struct canvas *c,
    struct rect r)
{
	char buf[ERR_TEXT_BYTES], a[16], b[16];

	snprintf(buf, sizeof(buf), "%s%s%s", vm_state_name(g->state),
	    g->busy[0] != '\0' ? ", asked: " : "", g->busy);
	fact(c, r, 0, "state", TR_TEXT, buf);
	snprintf(buf, sizeof(buf), "%s (uid %u)", g->owner, g->owner_uid);
	fact(c, r, 1, "owner", TR_TEXT, buf);
	fmt_bytes(a, sizeof(a), g->resident_bytes);
	fmt_bytes(b, sizeof(b), g->mem_bytes);
	snprintf(buf, sizeof(buf), "%s of %s", a, b);
	fact(c, r, 2, "memory", TR_TEXT, buf);
	snprintf(buf, sizeof(buf), "%s", "-");
	if (g->started_s != 0)
		fmt_uptime(buf, sizeof(buf), m->now_s - g->started_s);
	fact(c, r, 3, "uptime", TR_TEXT, buf);
	snprintf(buf, sizeof(buf), "%u since the start", g->restarts);
	fact(c, r, 4, "resets", TR_TEXT, buf);
	fmt_bytes(a, sizeof(a), g->console_bytes);
	snprintf(buf, sizeof(buf), "%s written", a);
	fact(c, r, 5, "console", TR_TEXT, buf);
	snprintf(buf, sizeof(buf), g->pid != 0 ? "%u" : "-", g->pid);
	fact(c, r, 6, "pid", TR_TEXT, buf);
	if (g->reason[0] != '\0')
		fact(c, r, 7, "reason", TR_ERROR, g->reason);
}

static void
draw_load(const struct guest *g, struct canvas *c, struct rect r)
{
	struct rect graph = { r.row + 1, r.col, r.rows - 1, r.cols };
	char buf[64];

	snprintf(
	    buf, sizeof(buf), "%.1f%% of %u00%%", (double)g->cpu_pct, g->ncpus);
	canvas_text(c, r.row, r.col, r.cols, TR_DIM, "cpu, 60 s");
	canvas_right(c, r.row, r.col, r.cols, TR_TEXT, buf);
	graph_draw(c, graph, g->cpu.v, g->cpu.n, MODEL_SAMPLES);
}

/* The kinds of exits, busiest first. */
static void
draw_exits(const struct guest *g, struct canvas *c, struct rect r)
{
	bool done[EXIT_N] = { false };
	char buf[16];
	int i, line, best;

	canvas_text(c, r.row, r.col, r.cols, TR_DIM, "exits to vmd");
	fmt_count(buf, sizeof(buf), (double)g->exits);
	canvas_right(c, r.row, r.col, r.cols - 2, TR_TEXT, buf);
	canvas_text(c, r.row, r.col + r.cols - 2, 2, TR_DIM, "/s");
	for (line = 1; line < r.rows; line++) {
		for (best = -1, i = 0; i < EXIT_N; i++)
			if (!done[i] && g->exit_rate[i] > 0 &&
			    (best < 0 || g->exit_rate[i] > g->exit_rate[best]))
				best = i;
		if (best < 0)
			break;
		done[best] = true;
		canvas_text(c, r.row + line, r.col, r.cols - 8, TR_TEXT,
		    exit_kind_name((uint32_t)best));
		fmt_count(buf, sizeof(buf), (double)g->exit_rate[best]);
		canvas_right(c, r.row + line, r.col, r.cols - 2, TR_TEXT, buf);
	}
}

void
details_draw(const struct model *m, const struct guest *g, struct canvas *c,
    struct rect r)
{
	int third = (r.cols - 8) / 3;
	struct rect in = { r.row + 1, r.col + 2, DETAILS_ROWS - 2, third };
	struct rect disks = { r.row + DETAILS_ROWS - 1, r.col + 2,
		r.rows - DETAILS_ROWS, r.cols - 4 };
	char title[VM_NAME_BYTES + 16];

	snprintf(title, sizeof(title), "%u %s", g->id, g->name);
	canvas_fill(c, r, TR_TEXT);
	canvas_box(c, r, TR_BORDER, title, TR_TITLE);
	draw_facts(m, g, c, in);
	disks_draw(g, c, disks);
	if (!g->have_rates)
		return;
	in.col += third + 2;
	draw_load(g, c, in);
	in.col += third + 2;
	draw_exits(g, c, in);
}
