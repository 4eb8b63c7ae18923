/* SPDX-License-Identifier: ISC */
/* A guest's terminal on libtsm 4: see vt.h. */
#include <errno.h>
#include <libtsm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/key.h"
#include "tui/term/vt.h"
#include "tui/term/vt_int.h"

static void
on_write(struct tsm_vte *vte, const char *bytes, size_t len, void *data)
{
	struct vt *vt = data;

	(void)vte;
	if (vt->key_out != NULL) {
		if (vt->key_len + len > VT_KEY_BYTES)
			return;
		memcpy(vt->key_out + vt->key_len, bytes, len);
		vt->key_len += len;
		return;
	}
	/* A guest that asks without end is not answered without end. */
	if (!vt->answers || vt->answered + len > VT_ANSWER_BYTES)
		return;
	vt->answered += len;
	vt->answer(vt->ctx, bytes, len);
}

int
vt_open(struct vt **out, int rows, int cols, vt_answer *answer, void *ctx)
{
	struct vt *vt;
	int rc;

	if ((vt = calloc(1, sizeof(*vt))) == NULL)
		return (-1);
	vt->answer = answer;
	vt->ctx = ctx;
	if ((vt->later = malloc(VT_LATER_BYTES)) == NULL) {
		free(vt);
		return (-1);
	}
	if ((rc = tsm_screen_new(&vt->screen, NULL, NULL)) < 0 ||
	    (rc = tsm_vte_new(&vt->vte, vt->screen, on_write, vt, NULL, NULL)) <
		0) {
		vt_close(vt);
		errno = -rc;
		return (-1);
	}
	if (vt_resize(vt, rows, cols) == -1) {
		vt_close(vt);
		return (-1);
	}
	vt->scrollback = VT_SCROLLBACK;
	tsm_screen_set_max_sb(vt->screen, vt->scrollback);
	*out = vt;
	return (0);
}

void
vt_close(struct vt *vt)
{
	if (vt == NULL)
		return;
	if (vt->vte != NULL)
		tsm_vte_unref(vt->vte);
	if (vt->screen != NULL) {
		/* libtsm 4.0 forgets its scrollback. */
		tsm_screen_clear_sb(vt->screen);
		tsm_screen_unref(vt->screen);
	}
	free(vt->later);
	free(vt);
}

/*
 * Forget the lines that are gone from scrollback and screen before anybody can
 * look: libtsm takes 30 ns a byte, and a flood is mostly such lines.  What
 * stays fills the scrollback, the screen, and the screen once more, since the
 * first of its lines may only overwrite what was there.
 */
static void
drop_gone(struct vt *vt)
{
	size_t tail, at = 0, len;
	const char *colour;

	tail = plain_tail(
	    vt->later, vt->nlater, vt->scrollback + 2 * (unsigned)vt->rows);
	while ((colour = plain_colour(vt->later, tail, &at, &len)) != NULL)
		tsm_vte_input(vt->vte, colour, len);
	vt->nlater -= tail;
	memmove(vt->later, vt->later + tail, vt->nlater);
}

void
vt_catch_up(struct vt *vt)
{
	if (vt->nlater == 0)
		return;
	drop_gone(vt);
	tsm_vte_input(vt->vte, vt->later, vt->nlater);
	vt->nlater = 0;
}

/* Keep plain bytes for later; false: there is no room. */
static bool
put_off(struct vt *vt, const void *bytes, size_t len)
{
	if (len > VT_LATER_BYTES - vt->nlater) {
		drop_gone(vt);
		if (vt->nlater > VT_LATER_BYTES / 8 * 7)
			vt_catch_up(vt); /* long lines */
	}
	if (len > VT_LATER_BYTES - vt->nlater)
		return (false);
	memcpy(vt->later + vt->nlater, bytes, len);
	vt->nlater += len;
	return (true);
}

void
vt_feed(struct vt *vt, const void *bytes, size_t len, bool answers)
{
	/* A colour whose beginning libtsm has is none to be found later. */
	bool whole = vt->nlater > 0 || plain_between(&vt->plain);

	if (plain_scan(&vt->plain, bytes, len) && whole &&
	    put_off(vt, bytes, len))
		return;
	vt_catch_up(vt);
	vt->answers = answers;
	vt->answered = 0;
	tsm_vte_input(vt->vte, bytes, len);
	vt->answers = false;
}

/*
 * libtsm shrinks by scrolling as many lines away as go, even when all below
 * the cursor is blank.  So scroll here as far as the cursor needs, and let
 * libtsm scroll the other of its two screens, which nobody sees and whose
 * lines go nowhere.  A guest that uses that screen draws it anew.
 */
static int
shrink(struct vt *vt, unsigned rows, unsigned cols)
{
	struct tsm_screen *s = vt->screen;
	unsigned x = tsm_screen_get_cursor_x(s);
	unsigned y = tsm_screen_get_cursor_y(s), up;
	int rc;

	if (tsm_screen_get_flags(s) & TSM_SCREEN_ALTERNATE)
		return (tsm_screen_resize(s, cols, rows));
	up = y >= rows ? y - rows + 1 : 0;
	tsm_screen_set_margins(s, 1, (unsigned)vt->rows);
	if (up > 0)
		tsm_screen_scroll_up(s, up);
	tsm_screen_set_flags(s, TSM_SCREEN_ALTERNATE);
	rc = tsm_screen_resize(s, cols, rows);
	tsm_screen_reset_flags(s, TSM_SCREEN_ALTERNATE);
	tsm_screen_move_to(s, x, y - up);
	return (rc);
}

int
vt_resize(struct vt *vt, int rows, int cols)
{
	int rc;

	vt_catch_up(vt);
	rows = rows < 2 ? 2 : rows > 1000 ? 1000 : rows;
	cols = cols < 4 ? 4 : cols > 1000 ? 1000 : cols;
	if (rows == vt->rows && cols == vt->cols)
		return (0);
	if (rows < vt->rows)
		rc = shrink(vt, (unsigned)rows, (unsigned)cols);
	else
		rc = tsm_screen_resize(
		    vt->screen, (unsigned)cols, (unsigned)rows);
	if (rc < 0) {
		errno = -rc;
		return (-1);
	}
	vt->rows = rows;
	vt->cols = cols;
	return (0);
}

int
vt_rows(const struct vt *vt)
{
	return (vt->rows);
}

int
vt_cols(const struct vt *vt)
{
	return (vt->cols);
}

/* CAN ends a sequence that the lost bytes cut in two (ECMA-48, 8.3.6). */
void
vt_notice(struct vt *vt, const char *text)
{
	char buf[256];
	int n;

	vt_catch_up(vt);
	n = snprintf(buf, sizeof(buf), "\x18%s\x1b[0;7m-- %s --\x1b[0m\r\n",
	    tsm_screen_get_cursor_x(vt->screen) > 0 ? "\r\n" : "", text);
	if (n > 0 && (size_t)n < sizeof(buf))
		vt_feed(vt, buf, (size_t)n, false);
}

/* 0..15 by number, default, or the nearest of 256 to a guest's own colour. */
static int16_t
colour(int8_t code, uint8_t r, uint8_t g, uint8_t b)
{
	if (code >= 0 && code < 16)
		return (code);
	if (code >= 16)
		return (CELL_DEFAULT);
	return ((int16_t)theme_rgb256(r, g, b));
}

void
vt_cell(struct cell *cell, const uint32_t *ch, size_t len, unsigned width,
    const struct tsm_screen_attr *a)
{
	memset(cell, 0, sizeof(*cell));
	cell->role = TR_CONSOLE;
	cell->fg = colour(a->fccode, a->fr, a->fg, a->fb);
	cell->bg = colour(a->bccode, a->br, a->bg, a->bb);
	cell->attr = (uint8_t)((a->bold ? CA_BOLD : 0) |
	    (a->underline ? CA_UNDERLINE : 0) | (a->italic ? CA_ITALIC : 0) |
	    (a->inverse ? CA_REVERSE : 0) | (a->blink ? CA_BLINK : 0));
	cell->ch = len > 0 ? ch[0] : ' ';
	cell->width = width > 2 ? 1 : (uint8_t)width;
	if (cell->width == 0)
		cell->ch = 0;
}

/* A guest's cell into the grid, made fit for this terminal. */
void
vt_put(struct canvas *c, int row, int col, int end, const struct cell *from)
{
	struct cell *to;

	if (from->width == 0)
		return; /* came with its left half */
	if (canvas_putc(c, row, col, end, TR_CONSOLE, from->ch) == 0)
		canvas_putc(c, row, col, end, TR_CONSOLE, '?');
	if ((to = canvas_at(c, row, col)) == NULL)
		return;
	to->fg = from->fg;
	to->bg = from->bg;
	to->attr = from->attr;
	if (to->width == 2) {
		to[1].fg = from->fg;
		to[1].bg = from->bg;
		to[1].attr = from->attr;
	}
}

struct draw_ctx {
	const struct vt *vt;
	struct canvas *c;
	struct rect r;
	unsigned cx, cy;
	bool cursor;
};

static int
draw_cell(struct tsm_screen *s, uint64_t id, const uint32_t *ch, size_t len,
    unsigned width, unsigned x, unsigned y, const struct tsm_screen_attr *a,
    tsm_age_t age, void *data)
{
	struct draw_ctx *d = data;
	struct cell cell;

	(void)s;
	(void)id;
	(void)age;
	if ((int)y >= d->r.rows || (int)x >= d->r.cols)
		return (0);
	vt_cell(&cell, ch, len, width, a);
	if (d->cursor && x == d->cx && y == d->cy)
		cell.attr ^= CA_REVERSE; /* libtsm's; we have a real one */
	vt_put(d->c, d->r.row + (int)y, d->r.col + (int)x, d->r.col + d->r.cols,
	    &cell);
	return (0);
}

bool
vt_cursor(const struct vt *vt, unsigned *x, unsigned *y)
{
	*x = tsm_screen_get_cursor_x(vt->screen);
	*y = tsm_screen_get_cursor_y(vt->screen);
	if (*x >= (unsigned)vt->cols)
		*x = (unsigned)vt->cols - 1;
	if (*y >= (unsigned)vt->rows)
		*y = (unsigned)vt->rows - 1;
	return (
	    (tsm_screen_get_flags(vt->screen) & TSM_SCREEN_HIDE_CURSOR) == 0);
}

void
vt_draw(struct vt *vt, struct canvas *c, struct rect r, bool focus)
{
	struct draw_ctx d = { .vt = vt, .c = c, .r = r };

	vt_catch_up(vt);
	canvas_fill(c, r, TR_CONSOLE);
	d.cursor = vt_cursor(vt, &d.cx, &d.cy);
	tsm_screen_draw(vt->screen, draw_cell, &d);
	if (focus && d.cursor && (int)d.cy < r.rows && (int)d.cx < r.cols) {
		c->cur_row = r.row + (int)d.cy;
		c->cur_col = r.col + (int)d.cx;
	}
}

/* X11 keysyms (keysymdef.h), which libtsm takes. */
static uint32_t
keysym(uint32_t code)
{
	static const struct {
		uint32_t key, sym;
	} map[] = {
		{ K_UP, 0xff52 },
		{ K_DOWN, 0xff54 },
		{ K_LEFT, 0xff51 },
		{ K_RIGHT, 0xff53 },
		{ K_HOME, 0xff50 },
		{ K_END, 0xff57 },
		{ K_PGUP, 0xff55 },
		{ K_PGDN, 0xff56 },
		{ K_INS, 0xff63 },
		{ K_DEL, 0xffff },
		{ K_BTAB, 0xfe20 },
	};
	size_t i;

	if (code >= K_F1 && code <= K_F12)
		return (0xffbe + code - K_F1);
	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (map[i].key == code)
			return (map[i].sym);
	return (0);
}

size_t
vt_key(struct vt *vt, uint32_t key, char out[VT_KEY_BYTES])
{
	uint32_t code = key & K_CODE;
	unsigned mods = 0;
	char u[5];
	size_t n;

	if (code < K_UP) {
		n = 0;
		if (key & K_ALT)
			out[n++] = 0x1b;
		if (code == 0) { /* C-Space */
			out[n++] = 0;
			return (n);
		}
		utf8_put(u, code);
		memcpy(out + n, u, strlen(u));
		return (n + strlen(u));
	}
	if (key & K_SHIFT)
		mods |= TSM_SHIFT_MASK;
	if (key & K_CONTROL)
		mods |= TSM_CONTROL_MASK;
	if (key & K_ALT)
		mods |= TSM_ALT_MASK;
	vt->key_out = out;
	vt->key_len = 0;
	if (keysym(code) != 0)
		tsm_vte_handle_keyboard(
		    vt->vte, keysym(code), 0, mods, TSM_VTE_INVALID);
	vt->key_out = NULL;
	return (vt->key_len);
}
