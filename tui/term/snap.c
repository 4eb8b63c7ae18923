/* SPDX-License-Identifier: ISC */
/*
 * Copies of scrollback and screen.  libtsm shows its scrollback only a page at
 * a time and does not say how long it is.  It does move a selection with its
 * line, so a selection of the first live cell is a marker: a page with the
 * marker differs from the page without in the column-0 cell of that line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include "tui/term/vt_int.h"

struct page {
	struct cell *cells; /* rows * cols, or NULL: only the inverses */
	bool *inverse;      /* of column 0 */
	int rows, cols;
};

static int
page_cell(struct tsm_screen *s, uint64_t id, const uint32_t *ch, size_t len,
    unsigned width, unsigned x, unsigned y, const struct tsm_screen_attr *a,
    tsm_age_t age, void *data)
{
	struct page *p = data;

	(void)s;
	(void)id;
	(void)age;
	if ((int)y >= p->rows || (int)x >= p->cols)
		return (0);
	if (x == 0)
		p->inverse[y] = a->inverse;
	if (p->cells != NULL)
		vt_cell(&p->cells[(size_t)y * (size_t)p->cols + x], ch, len,
		    width, a);
	return (0);
}

/* Show page n, counted from the oldest line. */
static void
go_to_page(struct vt *vt, int n)
{
	tsm_screen_sb_up(vt->screen, VT_SCROLLBACK + 1);
	if (n > 0)
		tsm_screen_sb_down(
		    vt->screen, (unsigned)n * (unsigned)vt->rows);
}

/* Lines of scrollback on page n before the first live one; rows: all. */
static int
page_take(struct vt *vt, int n, struct cell *cells)
{
	bool plain[1000], marked[1000];
	struct page p = { cells, plain, vt->rows, vt->cols };
	int i;

	tsm_screen_selection_reset(vt->screen);
	tsm_screen_sb_reset(vt->screen);
	go_to_page(vt, n);
	tsm_screen_draw(vt->screen, page_cell, &p);
	tsm_screen_sb_reset(vt->screen);
	tsm_screen_selection_start(vt->screen, 0, 0);
	go_to_page(vt, n);
	p.cells = NULL;
	p.inverse = marked;
	tsm_screen_draw(vt->screen, page_cell, &p);
	tsm_screen_sb_reset(vt->screen);
	tsm_screen_selection_reset(vt->screen);
	for (i = 0; i < vt->rows; i++)
		if (plain[i] != marked[i])
			break;
	return (i);
}

static int
snap_grow(struct vt_snap *s, int lines)
{
	struct cell *cells;

	cells = reallocarray(
	    s->cells, (size_t)lines * (size_t)s->cols, sizeof(*cells));
	if (cells == NULL)
		return (-1);
	s->cells = cells;
	return (0);
}

static struct cell *
line_at(const struct vt_snap *s, int line)
{
	return (&s->cells[(size_t)line * (size_t)s->cols]);
}

static void
take_live(struct vt *vt, struct vt_snap *s)
{
	bool inverse[1000];
	struct page p = { line_at(s, s->lines), inverse, vt->rows, vt->cols };
	unsigned x, y;

	tsm_screen_draw(vt->screen, page_cell, &p);
	if (vt_cursor(vt, &x, &y))
		line_at(s, s->lines + (int)y)[x].attr ^= CA_REVERSE;
	s->lines += vt->rows;
}

struct vt_snap *
vt_snap_take(struct vt *vt)
{
	struct vt_snap *s;
	int n, got;

	if ((s = calloc(1, sizeof(*s))) == NULL)
		return (NULL);
	s->cols = vt->cols;
	vt_catch_up(vt);
	for (n = 0; n * vt->rows <= VT_SCROLLBACK + vt->rows; n++) {
		if (snap_grow(s, s->lines + 2 * vt->rows) == -1)
			goto fail;
		got = page_take(vt, n, line_at(s, s->lines));
		s->lines += got;
		if (got < vt->rows)
			break;
	}
	if (snap_grow(s, s->lines + vt->rows) == -1)
		goto fail;
	take_live(vt, s);
	return (s);
fail:
	vt_snap_free(s);
	errno = ENOMEM;
	return (NULL);
}

void
vt_snap_free(struct vt_snap *s)
{
	if (s == NULL)
		return;
	free(s->cells);
	free(s);
}

void
vt_snap_draw(const struct vt_snap *s, struct canvas *c, struct rect r, int top)
{
	int row, col;

	canvas_fill(c, r, TR_CONSOLE);
	for (row = 0; row < r.rows; row++) {
		if (top + row < 0 || top + row >= s->lines)
			continue;
		for (col = 0; col < s->cols && col < r.cols; col++)
			vt_put(c, r.row + row, r.col + col, r.col + r.cols,
			    &line_at(s, top + row)[col]);
	}
}

int
vt_snap_match(const struct vt_snap *s, const char *text, struct vt_pos at)
{
	const struct cell *line = line_at(s, at.line);
	size_t len = strlen(text);
	int col = at.col;
	uint32_t want, have;

	while (len > 0) {
		want = utf8_next(&text, &len);
		if (col >= s->cols)
			return (0);
		have = line[col].ch;
		if (have != want && (uint32_t)towlower((wint_t)have) != want)
			return (0);
		col += line[col].width == 2 ? 2 : 1;
	}
	return (col - at.col);
}

bool
vt_snap_find(
    const struct vt_snap *s, const char *text, int dir, struct vt_pos *at)
{
	struct vt_pos p = *at;

	if (text[0] == '\0')
		return (false);
	for (;;) {
		p.col += dir;
		if (p.col < 0) {
			p.line--;
			p.col = s->cols - 1;
		} else if (p.col >= s->cols) {
			p.line++;
			p.col = 0;
		}
		if (p.line < 0 || p.line >= s->lines)
			return (false);
		if (vt_snap_match(s, text, p) > 0) {
			*at = p;
			return (true);
		}
	}
}

/* Columns up to the last that is not blank. */
static int
line_end(const struct vt_snap *s, int line)
{
	const struct cell *c = line_at(s, line);
	int n = s->cols;

	while (n > 0 && (c[n - 1].ch == ' ' || c[n - 1].ch == 0))
		n--;
	return (n);
}

char *
vt_snap_text(const struct vt_snap *s, struct vt_pos a, struct vt_pos b)
{
	struct vt_pos t;
	size_t len = 0;
	int line, col, from, to;
	char *out;

	if (a.line > b.line || (a.line == b.line && a.col > b.col)) {
		t = a;
		a = b;
		b = t;
	}
	if (a.line < 0 || b.line >= s->lines)
		return (NULL);
	out = malloc(
	    (size_t)(b.line - a.line + 1) * ((size_t)s->cols * 4 + 1) + 5);
	if (out == NULL)
		return (NULL);
	for (line = a.line; line <= b.line; line++) {
		from = line == a.line ? a.col : 0;
		to = line_end(s, line);
		if (line == b.line && to > b.col + 1)
			to = b.col + 1;
		for (col = from; col < to; col++)
			if (line_at(s, line)[col].width != 0)
				len += utf8_put(
				    out + len, line_at(s, line)[col].ch);
		if (line < b.line)
			out[len++] = '\n';
	}
	out[len] = '\0';
	return (out);
}
