/* SPDX-License-Identifier: ISC */
/* Graphs of samples, in braille, blocks or ASCII.  Pure. */
#ifndef TUI_DRAW_GRAPH_H
#define TUI_DRAW_GRAPH_H

#include "tui/draw/canvas.h"

/*
 * Draw n samples (oldest first, each 0..1 of the scale, negative: none) flush
 * right into the rectangle.  When there are more samples than dots, a dot
 * shows the mean of its share.  "span": how many samples fill the width.
 */
void graph_draw(
    struct canvas *, struct rect, const float *samples, int n, int span);

#endif
