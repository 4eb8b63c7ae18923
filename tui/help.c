/* SPDX-License-Identifier: ISC */
/* The help screen: the tables of the view that is shown, and the program's.
 * Pure. */
#include <stdio.h>
#include <string.h>

#include "tui/app.h"
#include "tui/console.h"
#include "tui/guests.h"

#define HELP_TABS 5

static int
tabs_of(const struct app *app, const struct keytab *out[HELP_TABS])
{
	int n = 0;

	if (app->cur == VIEW_GUESTS) {
		out[n++] = &guests_keytab;
		out[n++] = &guests_danger_keytab;
	} else {
		out[n++] = &console_keytab;
		out[n++] = &console_prefix_keytab;
		out[n++] = &console_scroll_keytab;
	}
	out[n++] = &app_keytab;
	return (n);
}

int
help_lines(const struct app *app)
{
	const struct keytab *tabs[HELP_TABS];
	int i, n = tabs_of(app, tabs), lines = 0;

	for (i = 0; i < n; i++)
		lines += (int)tabs[i]->nrows + 2;
	return (lines - 1);
}

static void
keys_text(const struct app *app, const struct keytab *t,
    const struct keybind *b, char *buf, size_t size)
{
	char name[KEY_NAME_BYTES], prefix[KEY_NAME_BYTES + 2] = "";
	size_t len = 0;
	int k;

	if (t->prefix != NULL && t->prefix[0] != '\0')
		snprintf(prefix, sizeof(prefix), "%s ", t->prefix);
	else if (t == &console_prefix_keytab) {
		key_name(name, app->prefix);
		snprintf(prefix, sizeof(prefix), "%s ", name);
	}
	buf[0] = '\0';
	for (k = 0; k < KEYBIND_KEYS && b->key[k] != 0 && len < size; k++) {
		key_name(name, b->key[k]);
		len += (size_t)snprintf(buf + len, size - len, "%s%s%s",
		    k > 0 ? "  " : "", prefix, name);
	}
}

static void
help_line(const struct app *app, struct canvas *c, struct rect r,
    const struct keytab *t, int i)
{
	char buf[128];

	if (i == 0) {
		canvas_text(c, r.row, r.col, r.cols, TR_TITLE, t->name);
		return;
	}
	if (i > (int)t->nrows)
		return;
	keys_text(app, t, &t->rows[i - 1], buf, sizeof(buf));
	canvas_right(c, r.row, r.col, 22, TR_KEY, buf);
	canvas_text(
	    c, r.row, r.col + 24, r.cols - 24, TR_TEXT, t->rows[i - 1].help);
}

void
help_draw(const struct app *app, struct canvas *c, struct rect r)
{
	const struct keytab *tabs[HELP_TABS];
	int i, k, n = tabs_of(app, tabs), line = -app->help_top;
	struct rect in = { r.row + 1, r.col + 2, r.rows - 2, r.cols - 4 };
	char title[64];

	snprintf(
	    title, sizeof(title), "Keys: %s", app->views[app->cur]->ops->chip);
	canvas_box(c, r, TR_BORDER, title, TR_TITLE);
	for (i = 0; i < n; i++)
		for (k = 0; k < (int)tabs[i]->nrows + 2; k++, line++)
			if (line >= 0 && line < in.rows)
				help_line(app, c,
				    (struct rect){
					in.row + line, in.col, 1, in.cols },
				    tabs[i], k);
	if (line > in.rows || app->help_top > 0)
		canvas_right(c, r.row + r.rows - 1, r.col + 2, r.cols - 4,
		    TR_DIM, " arrows scroll, Esc closes ");
	else
		canvas_right(c, r.row + r.rows - 1, r.col + 2, r.cols - 4,
		    TR_DIM, " Esc closes ");
}
