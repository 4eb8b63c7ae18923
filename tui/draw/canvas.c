/* SPDX-License-Identifier: ISC */
/* The cell grid: see canvas.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "tui/draw/canvas.h"

static const struct {
	uint32_t utf8;
	char ascii;
} glyphs[GL_MAX] = {
	[GL_HLINE] = { 0x2500, '-' },
	[GL_VLINE] = { 0x2502, '|' },
	[GL_TL] = { 0x250c, '+' },
	[GL_TR] = { 0x2510, '+' },
	[GL_BL] = { 0x2514, '+' },
	[GL_BR] = { 0x2518, '+' },
	[GL_LTEE] = { 0x2524, '[' },
	[GL_RTEE] = { 0x251c, ']' },
	[GL_FULL] = { 0x2588, '#' },
	[GL_LIGHT] = { 0x2591, '.' },
	[GL_DOT] = { 0x25cf, '*' },
	[GL_RING] = { 0x25cb, 'o' },
	[GL_UP] = { 0x25b2, '^' },
	[GL_DOWN] = { 0x25bc, 'v' },
	[GL_POINT] = { 0x25b8, '>' },
	[GL_ELLIPSIS] = { 0x2026, '~' },
	[GL_TIMES] = { 0x00d7, 'x' },
};

static void
cell_blank(struct cell *c, enum trole role)
{
	memset(c, 0, sizeof(*c));
	c->ch = ' ';
	c->fg = c->bg = CELL_DEFAULT;
	c->role = (uint8_t)role;
	c->width = 1;
}

int
canvas_init(struct canvas *c, int rows, int cols, struct charset cs)
{
	memset(c, 0, sizeof(*c));
	c->cs = cs;
	return (canvas_resize(c, rows, cols));
}

int
canvas_resize(struct canvas *c, int rows, int cols)
{
	struct cell *cells;

	rows = rows < 1 ? 1 : rows > 1000 ? 1000 : rows;
	cols = cols < 1 ? 1 : cols > 1000 ? 1000 : cols;
	cells = calloc((size_t)rows * (size_t)cols, sizeof(*cells));
	if (cells == NULL)
		return (-1);
	free(c->cells);
	c->cells = cells;
	c->rows = rows;
	c->cols = cols;
	c->cur_row = c->cur_col = -1;
	canvas_fill(c, canvas_rect(c), TR_TEXT);
	return (0);
}

void
canvas_fini(struct canvas *c)
{
	free(c->cells);
	memset(c, 0, sizeof(*c));
}

struct rect
canvas_rect(const struct canvas *c)
{
	return ((struct rect){ 0, 0, c->rows, c->cols });
}

struct cell *
canvas_at(struct canvas *c, int row, int col)
{
	if (row < 0 || col < 0 || row >= c->rows || col >= c->cols)
		return (NULL);
	return (&c->cells[(size_t)row * (size_t)c->cols + (size_t)col]);
}

const struct cell *
canvas_peek(const struct canvas *c, int row, int col)
{
	if (row < 0 || col < 0 || row >= c->rows || col >= c->cols)
		return (NULL);
	return (&c->cells[(size_t)row * (size_t)c->cols + (size_t)col]);
}

void
canvas_fill(struct canvas *c, struct rect r, enum trole role)
{
	struct cell *cell;
	int row, col;

	for (row = r.row; row < r.row + r.rows; row++)
		for (col = r.col; col < r.col + r.cols; col++)
			if ((cell = canvas_at(c, row, col)) != NULL)
				cell_blank(cell, role);
}

void
canvas_paint(struct canvas *c, struct rect r, enum trole role, uint8_t attr)
{
	struct cell *cell;
	int row, col;

	for (row = r.row; row < r.row + r.rows; row++)
		for (col = r.col; col < r.col + r.cols; col++)
			if ((cell = canvas_at(c, row, col)) != NULL) {
				cell->role = (uint8_t)role;
				cell->attr |= attr;
			}
}

int
canvas_ch_cols(const struct charset *cs, uint32_t ch)
{
	int w;

	if (ch < 0x20 || (ch >= 0x7f && ch < 0xa0))
		return (0);
	if (ch < 0x7f)
		return (1);
	if (!cs->utf8)
		return (0);
	w = wcwidth((wchar_t)ch);
	return (w == 1 || w == 2 ? w : 0);
}

/* What stands in for a character that the terminal cannot show; 0: nothing. */
static uint32_t
stand_in(const struct charset *cs, uint32_t ch)
{
	if (ch >= 0x300 && cs->utf8 && wcwidth((wchar_t)ch) == 0)
		return (0); /* marks, joiners, direction controls: dropped */
	return (cs->utf8 && ch >= 0xa0 ? 0xfffd : '?');
}

/* Never leave half of a wide character behind. */
static void
unlink_wide(struct canvas *c, int row, int col)
{
	struct cell *cell = canvas_at(c, row, col), *other;

	if (cell == NULL)
		return;
	other = NULL;
	if (cell->width == 0)
		other = canvas_at(c, row, col - 1);
	else if (cell->width == 2)
		other = canvas_at(c, row, col + 1);
	if (other != NULL) {
		other->ch = ' ';
		other->width = 1;
	}
}

int
canvas_putc(
    struct canvas *c, int row, int col, int end, enum trole role, uint32_t ch)
{
	struct cell *cell;
	int w;

	w = canvas_ch_cols(&c->cs, ch);
	if (w == 0) {
		if ((ch = stand_in(&c->cs, ch)) == 0)
			return (0);
		w = 1;
	}
	if (end > c->cols)
		end = c->cols;
	if (col + w > end || (cell = canvas_at(c, row, col)) == NULL)
		return (0);
	unlink_wide(c, row, col);
	cell_blank(cell, role);
	cell->ch = ch;
	cell->width = (uint8_t)w;
	if (w == 2) {
		unlink_wide(c, row, col + 1);
		cell_blank(cell + 1, role);
		cell[1].ch = 0;
		cell[1].width = 0;
		cell->width = 2;
	}
	return (w);
}

int
canvas_text_cols(const struct canvas *c, const char *s)
{
	size_t len = strlen(s);
	uint32_t ch;
	int n = 0, w;

	while (len > 0) {
		ch = utf8_next(&s, &len);
		w = canvas_ch_cols(&c->cs, ch);
		if (w == 0)
			w = stand_in(&c->cs, ch) != 0;
		n += w;
	}
	return (n);
}

int
canvas_text(struct canvas *c, int row, int col, int cols, enum trole role,
    const char *s)
{
	size_t len = strlen(s);
	int at = col, end = col + cols;
	bool cut;

	if (cols <= 0)
		return (0);
	cut = canvas_text_cols(c, s) > cols;
	while (len > 0) {
		uint32_t ch = utf8_next(&s, &len);
		int w = canvas_ch_cols(&c->cs, ch);

		if (at + (w == 0 ? 1 : w) > (cut ? end - 1 : end))
			break;
		at += canvas_putc(c, row, at, end, role, ch);
	}
	if (cut)
		at += canvas_putc(c, row, at, end, role,
		    canvas_glyph_ch(&c->cs, GL_ELLIPSIS));
	return (at - col);
}

int
canvas_textf(struct canvas *c, int row, int col, int cols, enum trole role,
    const char *fmt, ...)
{
	char buf[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	return (canvas_text(c, row, col, cols, role, buf));
}

void
canvas_right(struct canvas *c, int row, int col, int cols, enum trole role,
    const char *s)
{
	int n = canvas_text_cols(c, s);

	if (n < cols) {
		col += cols - n;
		cols = n;
	}
	canvas_text(c, row, col, cols, role, s);
}

uint32_t
canvas_glyph_ch(const struct charset *cs, enum glyph g)
{
	return (cs->utf8 ? glyphs[g].utf8 : (uint32_t)glyphs[g].ascii);
}

void
canvas_glyph(struct canvas *c, int row, int col, enum trole role, enum glyph g)
{
	canvas_putc(c, row, col, c->cols, role, canvas_glyph_ch(&c->cs, g));
}

void
canvas_hline(struct canvas *c, int row, int col, int cols, enum trole role)
{
	int i;

	for (i = 0; i < cols; i++)
		canvas_glyph(c, row, col + i, role, GL_HLINE);
}

void
canvas_box(struct canvas *c, struct rect r, enum trole role, const char *title,
    enum trole title_role)
{
	int i, right = r.col + r.cols - 1, bottom = r.row + r.rows - 1;

	if (r.rows < 2 || r.cols < 2)
		return;
	canvas_hline(c, r.row, r.col, r.cols, role);
	canvas_hline(c, bottom, r.col, r.cols, role);
	for (i = r.row + 1; i < bottom; i++) {
		canvas_glyph(c, i, r.col, role, GL_VLINE);
		canvas_glyph(c, i, right, role, GL_VLINE);
	}
	canvas_glyph(c, r.row, r.col, role, GL_TL);
	canvas_glyph(c, r.row, right, role, GL_TR);
	canvas_glyph(c, bottom, r.col, role, GL_BL);
	canvas_glyph(c, bottom, right, role, GL_BR);
	if (title != NULL && r.cols > 8) {
		i = canvas_textf(
		    c, r.row, r.col + 2, r.cols - 4, title_role, " %s ", title);
		(void)i;
	}
}

void
canvas_meter(
    struct canvas *c, int row, int col, int cols, double frac, const char *text)
{
	int i, in = cols - 2, full, tcols = canvas_text_cols(c, text);
	enum trole role;

	if (in < 1)
		return;
	frac = frac < 0 ? 0 : frac > 1 ? 1 : frac;
	role = frac < 0.6 ? TR_METER_LOW
	    : frac < 0.85 ? TR_METER_MID
			  : TR_METER_HIGH;
	full = (int)(frac * in + 0.5);
	canvas_putc(c, row, col, c->cols, TR_BORDER, '[');
	canvas_putc(c, row, col + cols - 1, c->cols, TR_BORDER, ']');
	for (i = 0; i < in; i++)
		canvas_putc(c, row, col + 1 + i, c->cols,
		    i < full ? role : TR_METER_EMPTY, i < full ? '|' : ' ');
	if (tcols <= in)
		canvas_text(
		    c, row, col + 1 + in - tcols, tcols, TR_METER_TEXT, text);
}
