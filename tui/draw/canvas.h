/* SPDX-License-Identifier: ISC */
/*
 * The cell grid that every view draws into.  Cells name theme roles, never
 * colours; only guest cells (TR_CONSOLE) bring colours of their own.  A grid
 * is turned into curses by draw/curses.c and into text by draw/grid_dump.c.
 * Runs in: vmtop.  Trusts: nobody; every character that enters is checked.
 */
#ifndef TUI_DRAW_CANVAS_H
#define TUI_DRAW_CANVAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tui/theme.h"

enum graph_style { GRAPH_TTY, GRAPH_BLOCK, GRAPH_BRAILLE };

/* What the terminal can show. */
struct charset {
	bool utf8; /* false: ASCII only, lines are + - | */
	enum graph_style graph;
};

enum cell_attr {
	CA_BOLD = 0x01,
	CA_UNDERLINE = 0x02,
	CA_REVERSE = 0x04,
	CA_DIM = 0x08,
	CA_ITALIC = 0x10,
	CA_BLINK = 0x20,
};

#define CELL_DEFAULT (-1) /* the terminal's own colour */

struct cell {
	uint32_t ch;    /* one printable code point; 0: right half */
	int16_t fg, bg; /* 0..255 or CELL_DEFAULT; TR_CONSOLE only */
	uint8_t role;   /* enum trole */
	uint8_t attr;   /* CA_*, added to those of the role */
	uint8_t width;  /* 1 or 2; 0: right half of the cell before */
	uint8_t pad;
};

struct canvas {
	struct cell *cells; /* rows * cols */
	int rows, cols;
	struct charset cs;
	int cur_row, cur_col; /* where the cursor stands; row -1: hidden */
};

struct rect {
	int row, col, rows, cols;
};

/* Symbols with an ASCII stand-in. */
enum glyph {
	GL_HLINE,
	GL_VLINE,
	GL_TL,
	GL_TR,
	GL_BL,
	GL_BR,
	GL_LTEE,
	GL_RTEE,
	GL_FULL,
	GL_LIGHT,
	GL_DOT,
	GL_RING,
	GL_UP,
	GL_DOWN,
	GL_POINT,
	GL_ELLIPSIS,
	GL_TIMES,
	GL_MAX
};

/* 0, or -1 with errno; the grid is blank. */
int canvas_init(struct canvas *, int rows, int cols, struct charset);
int canvas_resize(struct canvas *, int rows, int cols);
void canvas_fini(struct canvas *);

struct rect canvas_rect(const struct canvas *);
struct cell *canvas_at(struct canvas *, int row, int col); /* NULL: outside */
const struct cell *canvas_peek(const struct canvas *, int row, int col);

/* Blank the rectangle in this role. */
void canvas_fill(struct canvas *, struct rect, enum trole);
/* Change the role of what is there (a selected row). */
void canvas_paint(struct canvas *, struct rect, enum trole, uint8_t attr);
/*
 * Put one code point at (row, col) if it fits left of "end"; returns the
 * columns used, 0 when nothing was put.  What cannot be shown becomes '?' or
 * U+FFFD; zero-width and control characters never reach the grid.
 */
int canvas_putc(
    struct canvas *, int row, int col, int end, enum trole, uint32_t ch);
/*
 * Put UTF-8 text, at most "cols" columns, a too long one ends in an ellipsis;
 * returns the columns used.  The bytes may be anything.
 */
int canvas_text(
    struct canvas *, int row, int col, int cols, enum trole, const char *);
int canvas_textf(struct canvas *, int row, int col, int cols, enum trole,
    const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* As canvas_text, flush right in its columns. */
void canvas_right(
    struct canvas *, int row, int col, int cols, enum trole, const char *);
void canvas_glyph(struct canvas *, int row, int col, enum trole, enum glyph);
void canvas_hline(struct canvas *, int row, int col, int cols, enum trole);
/* A frame with a title in its upper edge (title may be NULL). */
void canvas_box(struct canvas *, struct rect, enum trole, const char *title,
    enum trole title_role);
/* "[|||||    31.4%]": frac 0..1, the text flush right inside. */
void canvas_meter(
    struct canvas *, int row, int col, int cols, double frac, const char *text);

/* Columns that the text takes when nothing cuts it. */
int canvas_text_cols(const struct canvas *, const char *);
/* The code point for a symbol in this character set. */
uint32_t canvas_glyph_ch(const struct charset *, enum glyph);
/* Columns of one code point on this terminal: 1, 2, or 0: never shown. */
int canvas_ch_cols(const struct charset *, uint32_t ch);
/*
 * Take one code point off *p (strict UTF-8: no overlong form, no surrogate);
 * a bad byte gives U+FFFD and is skipped.  len must be > 0.
 */
uint32_t utf8_next(const char **p, size_t *len);
/* Up to 4 bytes and a NUL; returns the bytes before the NUL. */
size_t utf8_put(char out[5], uint32_t ch);

#endif
