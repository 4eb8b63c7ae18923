/* SPDX-License-Identifier: ISC */
/* Graphs: see graph.h. */
#include "tui/draw/graph.h"

/* Levels a cell can show, and dots side by side in it. */
static const struct {
	int levels, dots;
} styles[] = {
	[GRAPH_TTY] = { 4, 1 },
	[GRAPH_BLOCK] = { 8, 1 },
	[GRAPH_BRAILLE] = { 4, 2 },
};

/* The mean of the samples behind dot "dot" of "ndots"; negative: none. */
static float
sample_at(const float *s, int n, int span, int ndots, int dot)
{
	/* Share of the span, counted back from the newest sample. */
	int back_hi = (ndots - dot) * span / ndots;
	int back_lo = (ndots - dot - 1) * span / ndots;
	float sum = 0;
	int i, got = 0;

	if (back_hi == back_lo)
		back_hi++;
	for (i = back_lo; i < back_hi && i < n; i++) {
		if (s[n - 1 - i] < 0)
			continue;
		sum += s[n - 1 - i];
		got++;
	}
	return (got > 0 ? sum / (float)got : -1);
}

static enum trole
level_role(float v)
{
	return (v < 0.6f    ? TR_METER_LOW
		: v < 0.85f ? TR_METER_MID
			    : TR_METER_HIGH);
}

/* How much of text row "row" (0: the lowest) the value fills, in levels. */
static int
fill(float v, int row, int rows, int levels)
{
	int full;

	if (v < 0)
		return (-1);
	full = (int)(v * (float)(rows * levels) + 0.5f);
	if (full == 0)
		full = 1; /* a sample of zero is a base line */
	full -= row * levels;
	return (full < 0 ? 0 : full > levels ? levels : full);
}

static uint32_t
braille(int left, int right)
{
	static const uint8_t l[5] = { 0, 0x40, 0x44, 0x46, 0x47 };
	static const uint8_t r[5] = { 0, 0x80, 0xa0, 0xb0, 0xb8 };

	return (0x2800u | l[left < 0 ? 0 : left] | r[right < 0 ? 0 : right]);
}

static uint32_t
symbol(enum graph_style style, int a, int b)
{
	static const char tty[5] = { ' ', '.', ':', '|', '#' };

	if (style == GRAPH_BRAILLE)
		return (a <= 0 && b <= 0 ? ' ' : braille(a, b));
	if (a <= 0)
		return (' ');
	return (
	    style == GRAPH_BLOCK ? 0x2580u + (uint32_t)a : (uint32_t)tty[a]);
}

void
graph_draw(struct canvas *c, struct rect r, const float *s, int n, int span)
{
	enum graph_style style = c->cs.utf8 ? c->cs.graph : GRAPH_TTY;
	int dots = styles[style].dots, levels = styles[style].levels;
	int col, row, a, b;
	float va, vb;

	if (r.cols <= 0 || r.rows <= 0 || span <= 0)
		return;
	for (col = 0; col < r.cols; col++) {
		va = sample_at(s, n, span, r.cols * dots, col * dots);
		vb = dots == 2 ? sample_at(s, n, span, r.cols * 2, col * 2 + 1)
			       : va;
		for (row = 0; row < r.rows; row++) {
			a = fill(va, row, r.rows, levels);
			b = fill(vb, row, r.rows, levels);
			canvas_putc(c, r.row + r.rows - 1 - row, r.col + col,
			    r.col + r.cols, level_role(va > vb ? va : vb),
			    symbol(style, a, b));
		}
	}
}
