/* SPDX-License-Identifier: ISC */
/* A grid as a picture (SVG 1.1): see grid_dump.h. */
#include "tui/draw/grid_dump.h"

#define CELL_W 8
#define CELL_H 17
#define MARGIN 8
#define GROUND_RGB 0x16181d
#define INK 0xd8dee9

static unsigned
rgb(int colour, unsigned dflt)
{
	static const unsigned base[16] = { 0x1d1f21, 0xcc6666, 0x78b86a,
		0xd9b650, 0x5f87d7, 0xb294bb, 0x5fafaf, 0xc5c8c6, 0x7a7f87,
		0xf07178, 0x9ccf8a, 0xffcb6b, 0x82aaff, 0xd0a8ff, 0x89ddff,
		0xffffff };
	static const unsigned cube[6] = { 0, 95, 135, 175, 215, 255 };
	unsigned v;

	if (colour < 0)
		return (dflt);
	if (colour < 16)
		return (base[colour]);
	if (colour >= 232) {
		v = 8 + (unsigned)(colour - 232) * 10;
		return (v << 16 | v << 8 | v);
	}
	colour -= 16;
	return (cube[colour / 36] << 16 | cube[colour / 6 % 6] << 8 |
	    cube[colour % 6]);
}

static void
colours(const struct cell *c, const struct theme *t, unsigned *fg, unsigned *bg)
{
	const struct theme_style *s = &t->style[c->role];
	int f = s->fg256, b = s->bg256;
	unsigned swap;

	if (c->role == TR_CONSOLE) {
		f = c->fg >= 0 ? c->fg : f;
		b = c->bg >= 0 ? c->bg : b;
	}
	*fg = rgb(f, INK);
	*bg = rgb(b, GROUND_RGB);
	if ((c->attr ^ s->attr) & CA_REVERSE) {
		swap = *fg;
		*fg = *bg;
		*bg = swap;
	}
}

static bool
alike(const struct cell *a, const struct cell *b)
{
	return (a->role == b->role && a->attr == b->attr && a->fg == b->fg &&
	    a->bg == b->bg);
}

static void
put_text(FILE *f, const struct cell *c)
{
	char u[5];

	if (c->ch == '<' || c->ch == '&') {
		fputs(c->ch == '<' ? "&lt;" : "&amp;", f);
		return;
	}
	utf8_put(u, c->ch);
	fputs(u, f);
}

static void
put_rect(FILE *f, int x, int y, int w, int h, unsigned fg)
{
	fprintf(f,
	    "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" "
	    "fill=\"#%06x\"/>\n",
	    x, y, w, h, fg);
}

static bool
drawn(uint32_t ch)
{
	return (
	    (ch >= 0x2581 && ch <= 0x2588) || (ch >= 0x2500 && ch <= 0x2518));
}

/* Blocks and frames are drawn, since fonts leave seams between them. */
static bool
put_block(FILE *f, uint32_t ch, int x, int y, unsigned fg)
{
	int mid_x = CELL_W / 2, mid_y = CELL_H / 2, h;
	bool left = ch == 0x2500 || ch == 0x2510 || ch == 0x2518;
	bool right = ch == 0x2500 || ch == 0x250c || ch == 0x2514;
	bool up = ch == 0x2502 || ch == 0x2514 || ch == 0x2518;
	bool down = ch == 0x2502 || ch == 0x250c || ch == 0x2510;

	if (!drawn(ch))
		return (false);
	if (ch >= 0x2581) {
		h = ((int)ch - 0x2580) * CELL_H / 8;
		put_rect(f, x, y + CELL_H - h, CELL_W, h, fg);
		return (true);
	}
	if (left || right)
		put_rect(f, left ? x : x + mid_x, y + mid_y,
		    left && right ? CELL_W : CELL_W - mid_x, 1, fg);
	if (up || down)
		put_rect(f, x + mid_x, up ? y : y + mid_y, 1,
		    up && down ? CELL_H : CELL_H - mid_y, fg);
	return (true);
}

static void
put_word(FILE *f, const struct canvas *c, int row, int col, int end,
    unsigned fg, bool bold)
{
	int x = MARGIN + col * CELL_W, y = MARGIN + row * CELL_H;

	if (put_block(f, canvas_peek(c, row, col)->ch, x, y, fg))
		return;
	fprintf(f, "<text x=\"%d\" y=\"%d\" fill=\"#%06x\"%s", x,
	    y + CELL_H - 4, fg, bold ? " font-weight=\"bold\"" : "");
	if (end - col > 1)
		fprintf(f, " textLength=\"%d\"", (end - col) * CELL_W);
	putc('>', f);
	for (; col < end; col++)
		if (canvas_peek(c, row, col)->width != 0)
			put_text(f, canvas_peek(c, row, col));
	fputs("</text>\n", f);
}

static bool
word_cell(const struct cell *c)
{
	return (c->ch != ' ' && !drawn(c->ch));
}

/* Cells of one look: a rectangle behind them and their words. */
static void
put_run(FILE *f, const struct canvas *c, const struct theme *t, int row,
    int col, int end)
{
	const struct cell *cell = canvas_peek(c, row, col);
	bool bold = ((cell->attr | t->style[cell->role].attr) & CA_BOLD) != 0;
	unsigned fg, bg;
	int to;

	colours(cell, t, &fg, &bg);
	if (bg != GROUND_RGB)
		fprintf(f,
		    "<rect x=\"%d\" y=\"%d\" width=\"%d\" "
		    "height=\"%d\" fill=\"#%06x\"/>\n",
		    MARGIN + col * CELL_W, MARGIN + row * CELL_H,
		    (end - col) * CELL_W, CELL_H, bg);
	for (; col < end; col = to) {
		to = col + 1;
		if (canvas_peek(c, row, col)->ch == ' ')
			continue;
		while (to < end && word_cell(canvas_peek(c, row, col)) &&
		    word_cell(canvas_peek(c, row, to)))
			to++;
		put_word(f, c, row, col, to, fg, bold);
	}
}

void
grid_svg(FILE *f, const struct canvas *c, const struct theme *t)
{
	int row, col, end;

	fprintf(f,
	    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" "
	    "height=\"%d\" font-family=\"DejaVu Sans Mono, Menlo, Consolas, "
	    "monospace\" font-size=\"13\">\n<rect width=\"100%%\" "
	    "height=\"100%%\" rx=\"6\" fill=\"#%06x\"/>\n",
	    c->cols * CELL_W + 2 * MARGIN, c->rows * CELL_H + 2 * MARGIN,
	    GROUND_RGB);
	for (row = 0; row < c->rows; row++)
		for (col = 0; col < c->cols; col = end) {
			for (end = col + 1; end < c->cols &&
			     alike(canvas_peek(c, row, col),
				 canvas_peek(c, row, end));
			     end++)
				;
			put_run(f, c, t, row, col, end);
		}
	fputs("</svg>\n", f);
}
