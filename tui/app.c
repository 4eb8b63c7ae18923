/* SPDX-License-Identifier: ISC */
/* Keys on their way, and the program's own keys: see app.h. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/app.h"
#include "tui/console.h"
#include "tui/guests.h"

#define STATUS_TICKS 8

static void
do_quit(struct view *v, int arg)
{
	(void)arg;
	v->app->quit = true;
}

static void
do_help(struct view *v, int arg)
{
	(void)arg;
	v->app->help = !v->app->help;
	v->app->help_top = 0;
	v->app->dirty = true;
}

static void
do_view(struct view *v, int id)
{
	app_show(v->app, (enum view_id)id);
}

static void
do_next_view(struct view *v, int by)
{
	app_show(
	    v->app, (enum view_id)(((int)v->app->cur + by + VIEW_N) % VIEW_N));
}

static void
do_redraw(struct view *v, int arg)
{
	struct app *app = v->app;

	(void)arg;
	app->dirty = true;
	if (app->term->redraw != NULL)
		app->term->redraw(app->term_ctx);
}

static void
do_mouse(struct view *v, int arg)
{
	struct app *app = v->app;

	(void)arg;
	app->mouse_on = !app->mouse_on;
	if (app->term->mouse != NULL)
		app->term->mouse(app->term_ctx, app->mouse_on);
	app_status(app, TR_NOTICE, "mouse %s",
	    app->mouse_on ? "on" : "off: the terminal has it");
}

static void
do_delay(struct view *v, int slower)
{
	static const int steps[] = { 200, 500, 1000, 2000, 5000, 10000, 30000,
		60000 };
	struct app *app = v->app;
	int i, n = (int)(sizeof(steps) / sizeof(steps[0]));

	for (i = 0; i < n - 1 && steps[i] < app->model->delay_ms; i++)
		;
	i += slower ? 1 : -1;
	i = i < 0 ? 0 : i >= n ? n - 1 : i;
	app->model->delay_ms = steps[i];
	if (!app->frozen)
		app->link->interval(app->link_ctx, steps[i]);
	app_status(
	    app, TR_NOTICE, "figures every %g s", (double)steps[i] / 1000);
}

static void
do_freeze(struct view *v, int arg)
{
	struct app *app = v->app;

	(void)arg;
	app->frozen = !app->frozen;
	app->link->interval(
	    app->link_ctx, app->frozen ? 0 : app->model->delay_ms);
	app_status(app, TR_NOTICE, "%s",
	    app->frozen ? "figures stand still; Z lets them go on"
			: "figures go on");
}

static const struct keybind app_rows[] = {
	{ { K_F1, '?', 'h' }, "help", "Help", "show or hide this help", do_help,
	    0, NULL },
	{ { '1' }, "view-guests", NULL, "the guests", do_view, VIEW_GUESTS,
	    NULL },
	{ { '2' }, "view-consoles", NULL, "the consoles", do_view, VIEW_CONSOLE,
	    NULL },
	{ { K_TAB }, "view-next", NULL, "the next view", do_next_view, 1,
	    NULL },
	{ { K_BTAB }, "view-previous", NULL, "the view before", do_next_view,
	    -1, NULL },
	{ { '+' }, "slower", NULL, "figures less often", do_delay, 1, NULL },
	{ { '-' }, "faster", NULL, "figures more often", do_delay, 0, NULL },
	{ { 'Z' }, "freeze", NULL, "let the figures stand still, or go on",
	    do_freeze, 0, NULL },
	{ { 'm' }, "mouse", NULL, "mouse on or off (off: the terminal selects)",
	    do_mouse, 0, NULL },
	{ { K_CTRL('l') }, "redraw", NULL, "draw the screen anew", do_redraw, 0,
	    NULL },
	{ { K_F10, 'q' }, "quit", "Quit", "leave; guests run on", do_quit, 0,
	    NULL },
};
const struct keytab app_keytab = { "Everywhere", NULL, app_rows,
	sizeof(app_rows) / sizeof(app_rows[0]) };

const struct keytab *const app_keytabs[] = { &app_keytab, &guests_keytab,
	&guests_danger_keytab, &console_keytab, &console_prefix_keytab,
	&console_scroll_keytab };
const size_t app_nkeytabs = sizeof(app_keytabs) / sizeof(app_keytabs[0]);

int
app_init(struct app *app, struct model *m, const struct link_ops *link,
    void *link_ctx, const struct term_ops *term, void *term_ctx)
{
	memset(app, 0, sizeof(*app));
	app->model = m;
	app->link = link;
	app->link_ctx = link_ctx;
	app->term = term;
	app->term_ctx = term_ctx;
	app->mouse_on = true;
	app->prefix = K_CTRL(']');
	app->rows = 24;
	app->cols = 80;
	app->dirty = true;
	app->views[VIEW_GUESTS] = view_guests_open(app);
	app->views[VIEW_CONSOLE] = view_console_open(app);
	if (app->views[VIEW_GUESTS] == NULL ||
	    app->views[VIEW_CONSOLE] == NULL) {
		app_fini(app);
		errno = ENOMEM;
		return (-1);
	}
	return (0);
}

void
app_fini(struct app *app)
{
	int i;

	for (i = 0; i < VIEW_N; i++)
		if (app->views[i] != NULL)
			app->views[i]->ops->close(app->views[i]);
	memset(app, 0, sizeof(*app));
}

void
app_status(struct app *app, enum trole role, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(app->status, sizeof(app->status), fmt, ap);
	va_end(ap);
	app->status_role = role;
	app->status_left = STATUS_TICKS;
	app->dirty = true;
}

void
app_error(struct app *app, const struct err *e)
{
	app_status(app, TR_ERROR, "%s", e->text);
}

void
app_show(struct app *app, enum view_id id)
{
	app->cur = id;
	app->help = false;
	app->pending = NULL;
	app->dirty = true;
	app->views[id]->ops->update(app->views[id]);
}

void
app_ask(struct app *app, struct view *v, void (*yes)(struct view *),
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(app->confirm.text, sizeof(app->confirm.text), fmt, ap);
	va_end(ap);
	app->confirm.on = true;
	app->confirm.view = v;
	app->confirm.yes = yes;
	app->dirty = true;
}

void
app_prompt(struct app *app, struct view *v, const char *label, const char *text,
    void (*fn)(struct view *, const char *, bool))
{
	struct prompt *p = &app->prompt;

	p->on = true;
	p->label = label;
	p->view = v;
	p->fn = fn;
	snprintf(p->text, sizeof(p->text), "%s", text);
	p->len = strlen(p->text);
	app->dirty = true;
}

/* Take the last code point off. */
static void
prompt_erase(struct prompt *p)
{
	while (p->len > 0 && (p->text[--p->len] & 0xc0) == 0x80)
		;
	p->text[p->len] = '\0';
}

static void
prompt_key(struct app *app, uint32_t key)
{
	struct prompt *p = &app->prompt;
	char u[5];
	size_t n;

	app->dirty = true;
	if (key == K_ENTER || key == K_ESC) {
		p->on = false;
		p->fn(p->view, key == K_ENTER ? p->text : NULL, true);
		return;
	}
	if (key == K_BACKSPACE || key == K_CTRL('h'))
		prompt_erase(p);
	else if (key == K_CTRL('u'))
		p->text[p->len = 0] = '\0';
	else if (key >= 0x20 && key < K_UP && !(key >= 0x7f && key < 0xa0)) {
		n = utf8_put(u, key);
		if (p->len + n >= sizeof(p->text))
			return;
		memcpy(p->text + p->len, u, n + 1);
		p->len += n;
	} else
		return;
	p->fn(p->view, p->text, false);
}

static void
confirm_key(struct app *app, uint32_t key)
{
	app->confirm.on = false;
	app->dirty = true;
	if (key == 'y' || key == 'Y')
		app->confirm.yes(app->confirm.view);
	else
		app_status(app, TR_NOTICE, "nothing was done");
}

static bool
help_key(struct app *app, uint32_t key)
{
	int last = help_lines(app) - (app->rows - 5), at = app->help_top;

	switch (key) {
	case K_UP:
	case 'k':
		at--;
		break;
	case K_DOWN:
	case 'j':
		at++;
		break;
	case K_PGUP:
		at -= app->rows - 6;
		break;
	case K_PGDN:
	case ' ':
		at += app->rows - 6;
		break;
	case K_ESC:
	case 'q':
	case K_ENTER:
		app->help = false;
		app->dirty = true;
		return (true);
	default:
		return (false);
	}
	app->help_top = at > last ? last : at;
	if (app->help_top < 0)
		app->help_top = 0;
	app->dirty = true;
	return (true);
}

static bool
table_key(struct app *app, const struct keytab *t, struct view *v, uint32_t key)
{
	const struct keybind *b = keytab_find(t, key);

	if (b == NULL)
		return (false);
	if (b->sub != NULL) {
		app->pending = b->sub;
		app->dirty = true;
	} else
		b->fn(v, b->arg);
	return (true);
}

static void
key_input(struct app *app, uint32_t key)
{
	struct view *v = app->views[app->cur];
	const struct keytab *pending = app->pending;

	if (app->confirm.on) {
		confirm_key(app, key);
		return;
	}
	if (app->prompt.on) {
		prompt_key(app, key);
		return;
	}
	if (app->help && help_key(app, key))
		return;
	if (pending != NULL) {
		app->pending = NULL;
		app->dirty = true;
		if (!table_key(app, pending, v, key) && key != K_ESC)
			app_status(app, TR_NOTICE, "no such key here; %s",
			    "? shows what there is");
		return;
	}
	if (v->ops->raw_key != NULL && !app->help && v->ops->raw_key(v, key))
		return;
	if (table_key(app, v->ops->keys, v, key))
		return;
	table_key(app, &app_keytab, v, key);
}

/* A click on line 1 or on the bar is the key it shows. */
static bool
chrome_click(struct app *app, const struct input *in)
{
	int i, at, end;
	uint32_t key;

	if (in->what != MOUSE_PRESS || in->button != 1)
		return (false);
	if (in->row == 0)
		for (i = 0; i < VIEW_N; i++)
			if (app_chip(app, i, &at, &end) && in->col >= at &&
			    in->col < end) {
				app_show(app, (enum view_id)i);
				return (true);
			}
	if (in->row == app->rows - 1 &&
	    (key = app_bar_hit(app, in->col)) != 0) {
		key_input(app, key);
		return (true);
	}
	return (false);
}

static void
mouse_input(struct app *app, const struct input *in)
{
	struct view *v = app->views[app->cur];
	struct rect body = { 1, 0, app->rows - 3, app->cols };

	if (app->confirm.on || app->prompt.on)
		return;
	if (app->help) {
		if (in->what == MOUSE_WHEEL)
			help_key(app, in->button < 0 ? K_UP : K_DOWN);
		return;
	}
	if (chrome_click(app, in) || v->ops->mouse == NULL)
		return;
	v->ops->mouse(v, in, body);
}

void
app_input(struct app *app, const struct input *in)
{
	if (in->kind == IN_KEY)
		key_input(app, in->key);
	else if (in->kind == IN_MOUSE)
		mouse_input(app, in);
}

/* Pasted text goes to a prompt or to a guest; it is never a command. */
void
app_paste(struct app *app, const char *bytes, size_t len, bool last)
{
	struct view *v = app->views[app->cur];
	const char *p = bytes;
	uint32_t ch;

	if (app->confirm.on || app->help)
		return;
	if (!app->prompt.on) {
		if (v->ops->paste != NULL)
			v->ops->paste(v, bytes, len, last);
		return;
	}
	while (len > 0) {
		ch = utf8_next(&p, &len);
		if (ch >= 0x20)
			prompt_key(app, ch);
	}
}

void
app_model_changed(struct app *app)
{
	int i;

	for (i = 0; i < VIEW_N; i++)
		app->views[i]->ops->update(app->views[i]);
	app->dirty = true;
}

void
app_tick(struct app *app)
{
	if (app->status_left > 0 && --app->status_left == 0) {
		app->status[0] = '\0';
		app->dirty = true;
	}
}
