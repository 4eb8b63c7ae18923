/* SPDX-License-Identifier: ISC */
/*
 * The person's terminal: grid to curses, and the few sequences that curses
 * does not know (mouse, bracketed paste, clipboard).  All that is written to
 * the terminal is written here.
 */
#ifndef TUI_DRAW_SCREEN_H
#define TUI_DRAW_SCREEN_H

#include "shared/err.h"
#include "tui/draw/canvas.h"
#include "tui/theme.h"

#define SCREEN_COPY_BYTES (48 * 1024)

struct screen;

/* theme is borrowed.  Needs setlocale() before and a terminal on fds 0, 1. */
int screen_open(struct screen **, const struct theme *, bool mouse,
    bool no_colour, struct err *);
void screen_close(struct screen *); /* the terminal as it was; NULL is fine */
struct charset screen_charset(const struct screen *);
/* The terminal's size now; follows it. */
void screen_size(struct screen *, int *rows, int *cols);
/* Show the grid: what differs from the last one goes out in one write. */
void screen_show(struct screen *, const struct canvas *);
/* Forget what is there: the next screen_show() paints all. */
void screen_redraw(struct screen *);
void screen_mouse(struct screen *, bool on);
/* To the clipboard by OSC 52; false: this terminal has none, or too long. */
bool screen_copy(struct screen *, const char *text, size_t len);

/* OSC 52 for this text; bytes written, 0: does not fit.  Pure. */
size_t osc52(char *out, size_t size, const char *text, size_t len);

#endif
