/* SPDX-License-Identifier: ISC */
/* The lines around a view: chips above, status and keys below.  Pure. */
#include <stdio.h>
#include <string.h>

#include "tui/app.h"
#include "tui/console.h"

#define MIN_ROWS 8
#define MIN_COLS 40
#define BAR_MAX 24 /* keys in the bar */

static void
chip_text(const struct app *app, int i, char *buf, size_t size)
{
	const struct view *v = app->views[i];
	int n = v->ops->count != NULL ? v->ops->count(v) : 0;

	if (n > 0)
		snprintf(buf, size, " %d %s (%d) ", i + 1, v->ops->chip, n);
	else
		snprintf(buf, size, " %d %s ", i + 1, v->ops->chip);
}

/* Chips stand right of the name and the host. */
static int
chips_at(const struct app *app)
{
	int host = (int)strlen(app->model->host.name);

	return (8 + (host > 20 ? 20 : host) + 3);
}

bool
app_chip(const struct app *app, int which, int *at, int *end)
{
	char buf[64];
	int i, col = chips_at(app);

	for (i = 0; i < VIEW_N; i++) {
		chip_text(app, i, buf, sizeof(buf));
		*at = col;
		*end = col + (int)strlen(buf);
		if (i == which)
			return (true);
		col = *end + 1;
	}
	return (false);
}

static void
draw_link(const struct app *app, struct canvas *c, int col)
{
	const struct model *m = app->model;
	char buf[ERR_TEXT_BYTES + 64];
	int room = c->cols - col - 1;

	if (m->link == LINK_UP) {
		snprintf(buf, sizeof(buf), "%s  %s%s", m->daemon,
		    app->frozen ? "frozen  " : "", m->clock);
		if (canvas_text_cols(c, buf) > room)
			snprintf(buf, sizeof(buf), "%s", m->clock);
		canvas_right(c, 0, col, room, TR_DIM, buf);
		return;
	}
	if (m->link == LINK_LOST && m->retry_s > 0)
		snprintf(buf, sizeof(buf), "no daemon, next try in %d s",
		    m->retry_s);
	else
		snprintf(buf, sizeof(buf), "%s",
		    m->link == LINK_LOST ? "no daemon, trying" : "connecting");
	canvas_right(c, 0, col, room, TR_ERROR, buf);
}

static void
draw_top(const struct app *app, struct canvas *c)
{
	char buf[64];
	int i, at, end = 0;

	canvas_text(c, 0, 1, 5, TR_TITLE, "vmtop");
	canvas_text(c, 0, 8, 20, TR_DIM, app->model->host.name);
	for (i = 0; i < VIEW_N; i++) {
		app_chip(app, i, &at, &end);
		chip_text(app, i, buf, sizeof(buf));
		canvas_text(c, 0, at, end - at,
		    i == (int)app->cur ? TR_CHIP_ON : TR_CHIP, buf);
	}
	draw_link(app, c, end + 2);
}

/* Rows of both tables that have a word and an F-key, by that key. */
static int
bar_binds(const struct app *app, const struct keybind *out[], uint32_t key[])
{
	const struct keytab *tabs[2] = { app->views[app->cur]->ops->keys,
		&app_keytab };
	uint32_t f;
	size_t i;
	int n = 0, t, k;

	for (f = K_F1; f <= K_F12; f++)
		for (t = 0; t < 2; t++)
			for (i = 0; i < tabs[t]->nrows; i++)
				for (k = 0; k < KEYBIND_KEYS; k++)
					if (tabs[t]->rows[i].key[k] == f &&
					    tabs[t]->rows[i].bar != NULL) {
						key[n] = f;
						out[n++] = &tabs[t]->rows[i];
					}
	return (n);
}

/* Columns of a key and its word, and of the space that all of them leave. */
static int
bar_cols(const struct keybind *b, uint32_t key)
{
	char name[KEY_NAME_BYTES];

	key_name(name, key);
	return ((int)(strlen(name) + strlen(b->bar)));
}

static int
bar_space(const struct keybind *b[], const uint32_t key[], int n, int cols)
{
	int i, used = 0, space;

	for (i = 0; i < n; i++)
		used += bar_cols(b[i], key[i]);
	space = n > 0 ? (cols - used) / n : 0;
	return (space < 0 ? 0 : space > 4 ? 4 : space);
}

uint32_t
app_bar_hit(const struct app *app, int col)
{
	const struct keybind *b[BAR_MAX];
	uint32_t key[BAR_MAX];
	int i, n = bar_binds(app, b, key), at = 0, space;

	space = bar_space(b, key, n, app->cols);
	for (i = 0; i < n; i++) {
		at += bar_cols(b[i], key[i]) + space;
		if (col < at)
			return (key[i]);
	}
	return (0);
}

static void
draw_bar(const struct app *app, struct canvas *c, int row)
{
	const struct keybind *b[BAR_MAX];
	char name[KEY_NAME_BYTES];
	uint32_t key[BAR_MAX];
	int i, n = bar_binds(app, b, key), at = 0, space;

	space = bar_space(b, key, n, c->cols);
	canvas_fill(c, (struct rect){ row, 0, 1, c->cols }, TR_LABEL);
	for (i = 0; i < n; i++) {
		key_name(name, key[i]);
		at += canvas_text(c, row, at, c->cols - at, TR_KEY, name);
		at +=
		    canvas_text(c, row, at, c->cols - at, TR_LABEL, b[i]->bar) +
		    space;
	}
}

/*
 * In a console the function keys are the guest's: show what C-] leads to, or,
 * while it looks back, what the keys do there.
 */
static void
draw_console_bar(const struct app *app, struct canvas *c, int row)
{
	bool back = console_looks_back(app->views[app->cur]);
	const struct keytab *t =
	    back ? &console_scroll_keytab : &console_prefix_keytab;
	char name[KEY_NAME_BYTES];
	int at = 0;
	size_t i;

	canvas_fill(c, (struct rect){ row, 0, 1, c->cols }, TR_LABEL);
	if (!back) {
		key_name(name, app->prefix);
		at = canvas_text(c, row, 0, c->cols, TR_KEY, name);
		at += canvas_text(c, row, at, 6, TR_LABEL, " then ");
	}
	for (i = 0; i < t->nrows; i++) {
		const char *word = t->rows[i].bar;

		if (word == NULL)
			continue;
		key_name(name, t->rows[i].key[0]);
		if (at + (int)(strlen(name) + strlen(word)) + 2 > c->cols)
			break;
		at += canvas_text(c, row, at, c->cols - at, TR_KEY, name) + 1;
		at += canvas_text(c, row, at, c->cols - at, TR_LABEL, word) + 1;
	}
}

static void
draw_pending(const struct app *app, struct canvas *c, int row)
{
	const struct keytab *t = app->pending;
	char name[KEY_NAME_BYTES];
	int col = 1;
	size_t i;

	if (t->prefix == NULL)
		key_name(name, app->prefix);
	else
		snprintf(name, sizeof(name), "%s", t->prefix);
	col += canvas_text(c, row, col, c->cols - col, TR_WARN, name) + 1;
	for (i = 0; i < t->nrows && col < c->cols - 4; i++) {
		const char *word = t->rows[i].bar;

		if (word == NULL)
			continue;
		key_name(name, t->rows[i].key[0]);
		col += canvas_text(c, row, col, c->cols - col, TR_KEY, name);
		col += canvas_text(
			   c, row, col + 1, c->cols - col - 1, TR_DIM, word) +
		    3;
	}
}

static void
draw_status(const struct app *app, struct canvas *c, int row)
{
	const struct view *v = app->views[app->cur];
	const struct prompt *p = &app->prompt;
	char buf[512] = "";
	int col;

	if (app->confirm.on) {
		canvas_fill(c, (struct rect){ row, 0, 1, c->cols }, TR_WARN);
		col = canvas_text(
		    c, row, 1, c->cols - 14, TR_WARN, app->confirm.text);
		canvas_text(c, row, col + 3, 12, TR_WARN, "y / N");
	} else if (p->on) {
		col = 1 +
		    canvas_text(c, row, 1, c->cols - 1, TR_TITLE, p->label) + 1;
		col += canvas_text(
		    c, row, col, c->cols - col - 1, TR_PROMPT, p->text);
		c->cur_row = row;
		c->cur_col = col;
	} else if (app->pending != NULL) {
		draw_pending(app, c, row);
	} else if (app->status[0] != '\0') {
		canvas_text(
		    c, row, 1, c->cols - 2, app->status_role, app->status);
	} else if (app->model->link == LINK_LOST) {
		canvas_text(
		    c, row, 1, c->cols - 2, TR_ERROR, app->model->link_text);
	} else if (v->ops->status != NULL) {
		v->ops->status(v, buf, sizeof(buf));
		canvas_text(c, row, 1, c->cols - 2, TR_DIM, buf);
	}
}

void
app_draw(const struct app *app, struct canvas *c)
{
	const struct view *v = app->views[app->cur];
	struct rect body = { 1, 0, c->rows - 3, c->cols };

	canvas_fill(c, canvas_rect(c), TR_TEXT);
	c->cur_row = c->cur_col = -1;
	if (c->rows < MIN_ROWS || c->cols < MIN_COLS) {
		canvas_textf(c, 0, 0, c->cols, TR_TEXT, "vmtop needs %dx%d",
		    MIN_COLS, MIN_ROWS);
		return;
	}
	draw_top(app, c);
	if (app->help)
		help_draw(app, c, body);
	else
		v->ops->draw(v, c, body);
	draw_status(app, c, c->rows - 2);
	if (app->cur == VIEW_CONSOLE && v->ops->count(v) > 0 && !app->help)
		draw_console_bar(app, c, c->rows - 1);
	else
		draw_bar(app, c, c->rows - 1);
}
