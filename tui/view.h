/* SPDX-License-Identifier: ISC */
/* What a view is: a const table of functions over a struct that begins with
 * struct view. */
#ifndef TUI_VIEW_H
#define TUI_VIEW_H

#include "tui/draw/canvas.h"
#include "tui/key.h"

struct app;

struct view_ops {
	const char *chip; /* its name on line 1 */
	const struct keytab *keys;
	/* Pure: the view into its rectangle. */
	void (*draw)(const struct view *, struct canvas *, struct rect);
	/* The model changed. */
	void (*update)(struct view *);
	/* Optional below; false: not wanted. */
	/* Before any table: keys that are text here. */
	bool (*raw_key)(struct view *, uint32_t key);
	bool (*mouse)(struct view *, const struct input *, struct rect);
	bool (*paste)(struct view *, const char *, size_t, bool last);
	/* The status line when there is no message. */
	void (*status)(const struct view *, char *buf, size_t);
	void (*close)(struct view *);
	/* Its place on the chip, "2 Consoles (3)"; 0: no number. */
	int (*count)(const struct view *);
};

struct view {
	const struct view_ops *ops;
	struct app *app;
};

struct view *view_guests_open(struct app *);
struct view *view_console_open(struct app *);
/* Show the console of this guest (split: beside the present one); attaches
 * when it is not yet.  false: said why on the status line. */
bool console_open(struct view *, uint32_t id, bool split);

#endif
