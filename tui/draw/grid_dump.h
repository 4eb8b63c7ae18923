/* SPDX-License-Identifier: ISC */
/* A grid as text or as a picture, for tests and the README.  Pure. */
#ifndef TUI_DRAW_GRID_DUMP_H
#define TUI_DRAW_GRID_DUMP_H

#include <stdio.h>

#include "tui/draw/canvas.h"
#include "tui/theme.h"

/*
 * The text, a line a row, trailing blanks cut.  With "roles" a second block
 * follows: one letter a cell for its role ('.' is text), and the letters'
 * names below.
 */
void grid_dump(FILE *, const struct canvas *, bool roles);
/* An SVG picture of it with the theme's colours on a dark background. */
void grid_svg(FILE *, const struct canvas *, const struct theme *);

#endif
