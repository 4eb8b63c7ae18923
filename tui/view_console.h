/* SPDX-License-Identifier: ISC */
/* Between the files of the console view. */
#ifndef TUI_VIEW_CONSOLE_H
#define TUI_VIEW_CONSOLE_H

#include "tui/console.h"

struct console_view {
	struct view v;
	struct console *tab[CONS_CHANS];
	int ntabs, cur;
	int beside; /* tab in the other half, -1: not split */
	bool dragging;
	struct input press; /* where a drag would begin */
};

/* view_console.c */
struct console *console_current(struct view *); /* NULL: no tab */
void console_select(struct console_view *, int tab);

/* console_back.c */
void console_do_look_back(struct view *, int page);
void console_do_search(struct view *, int);
bool console_mouse(struct view *, const struct input *, struct rect);

/* console_draw.c, pure but for libtsm's own state. */
void consoles_draw(const struct view *, struct canvas *, struct rect);
/* The half of the rectangle that shows tab "which" (cur or beside). */
struct rect console_pane(const struct console_view *, struct rect, bool other);
/* The tab under this column of the tab line; -1: none. */
int console_tab_hit(
    const struct console_view *, const struct canvas *, struct rect, int col);
void console_peers_text(const struct console *, char *buf, size_t);
int console_tab_cols(const struct console *);

#endif
