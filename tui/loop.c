/* SPDX-License-Identifier: ISC */
/* vmtop's one loop: see loop.h. */
#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tui/link.h"
#include "tui/loop.h"
#include "tui/term/keydec.h"
#include "shared/clock.h"

#define FRAME_MS 33
#define KEY_FRAME_MS 16 /* while somebody types */
#define TYPING_MS 250
#define ESC_MS 25 /* how long an Esc may be the first of more */
#define IDLE_FRAME_MS 900

enum {
	EV_STDIN,
	EV_WINCH,
	EV_INT,
	EV_TERM,
	EV_HUP,
	EV_TICK,
	EV_FRAME,
	EV_ESC,
	EV_N
};

struct loop {
	struct event_base *base;
	struct event *ev[EV_N];
	struct screen *screen;
	struct host_files *host;
	struct model *model;
	struct link *link;
	struct app app;
	struct canvas canvas;
	struct keydec keys;
	bool model_changed, framing;
	int64_t last_frame_ms, last_key_ms;
	int64_t frame_ms; /* what the last one took */
};

static void
add_ms(struct event *ev, int64_t ms)
{
	struct timeval tv = { ms / 1000, (ms % 1000) * 1000 };

	event_add(ev, &tv);
}

static void
set_clock(struct model *m)
{
	time_t now = time(NULL);
	struct tm tm;

	m->now_s = now;
	if (localtime_r(&now, &tm) != NULL)
		snprintf(m->clock, sizeof(m->clock), "%02u:%02u:%02u",
		    (unsigned)tm.tm_hour % 24u, (unsigned)tm.tm_min % 60u,
		    (unsigned)tm.tm_sec % 61u);
}

/*
 * Draw soon: at once after a pause, else when the last frame is old enough, and
 * half of the time is left for what comes in; but a key does not wait for that.
 */
static void
want_frame(struct loop *l)
{
	int64_t now = clock_now_ms(), since = now - l->last_frame_ms, gap;
	bool key = l->last_key_ms > l->last_frame_ms;

	if (l->app.quit)
		event_base_loopbreak(l->base);
	if ((l->framing && !key) || (!l->app.dirty && !l->model_changed))
		return;
	gap = now - l->last_key_ms < TYPING_MS ? KEY_FRAME_MS : FRAME_MS;
	if (gap < 2 * l->frame_ms && !key)
		gap = 2 * l->frame_ms;
	l->framing = true;
	add_ms(l->ev[EV_FRAME], since >= gap ? 0 : gap - since);
}

static void
on_frame(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	l->framing = false;
	if (l->model_changed)
		app_model_changed(&l->app);
	l->model_changed = false;
	if (!l->app.dirty)
		return;
	l->app.dirty = false;
	l->last_frame_ms = clock_now_ms();
	app_draw(&l->app, &l->canvas);
	screen_show(l->screen, &l->canvas);
	l->frame_ms = clock_now_ms() - l->last_frame_ms;
}

static void
on_changed(void *arg, bool model)
{
	struct loop *l = arg;

	l->model_changed |= model;
	want_frame(l);
}

static void
on_input(void *ctx, const struct input *in)
{
	struct loop *l = ctx;

	app_input(&l->app, in);
}

static void
on_paste(void *ctx, const char *bytes, size_t len, bool last)
{
	struct loop *l = ctx;

	app_paste(&l->app, bytes, len, last);
}

static void
on_stdin(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct keydec_sink sink = { on_input, on_paste, l };
	char buf[4096];
	ssize_t n;

	(void)what;
	n = read(fd, buf, sizeof(buf));
	if (n == 0 || (n == -1 && errno != EAGAIN && errno != EINTR)) {
		event_base_loopbreak(l->base); /* the terminal is gone */
		return;
	}
	event_del(l->ev[EV_ESC]);
	l->last_key_ms = clock_now_ms();
	if (n > 0)
		keydec_feed(&l->keys, buf, (size_t)n, clock_now_ms(), &sink);
	if (keydec_waits(&l->keys))
		add_ms(l->ev[EV_ESC], ESC_MS);
	l->framing = false; /* it may come sooner now */
	want_frame(l);
}

static void
on_esc(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	struct keydec_sink sink = { on_input, on_paste, l };

	(void)fd;
	(void)what;
	keydec_flush(&l->keys, &sink);
	want_frame(l);
}

static void
set_size(struct loop *l)
{
	int rows, cols;

	screen_size(l->screen, &rows, &cols);
	if (canvas_resize(&l->canvas, rows, cols) == -1) {
		app_status(&l->app, TR_ERROR, "out of memory");
		return;
	}
	l->app.rows = rows;
	l->app.cols = cols;
	l->model_changed = true;
}

static void
on_winch(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	set_size(l);
	screen_redraw(l->screen);
	want_frame(l);
}

static void
on_quit(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(l->base);
}

/* Where figures stream they bring the clock along: one frame, not two. */
static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct loop *l = arg;
	bool fresh = clock_now_ms() - l->last_frame_ms < IDLE_FRAME_MS;

	(void)fd;
	(void)what;
	set_clock(l->model);
	link_tick(l->link);
	host_sample(l->host, &l->model->host);
	app_tick(&l->app);
	if (!fresh || l->model->link != LINK_UP)
		l->app.dirty = true;
	want_frame(l);
}

static void
do_copy(void *ctx, const char *text, size_t len)
{
	struct loop *l = ctx;

	if (!screen_copy(l->screen, text, len))
		app_status(&l->app, TR_ERROR,
		    "not copied: more than %d KiB, "
		    "or a terminal without a clipboard",
		    SCREEN_COPY_BYTES / 1024);
	else
		app_status(&l->app, TR_NOTICE, "%zu bytes copied", len);
}

static void
do_mouse(void *ctx, bool on)
{
	screen_mouse(((struct loop *)ctx)->screen, on);
}

static void
do_redraw(void *ctx)
{
	screen_redraw(((struct loop *)ctx)->screen);
}

static const struct term_ops term_ops = { do_copy, do_mouse, do_redraw };

static bool
events_new(struct loop *l)
{
	static const int signals[] = { [EV_WINCH] = SIGWINCH,
		[EV_INT] = SIGINT,
		[EV_TERM] = SIGTERM,
		[EV_HUP] = SIGHUP };
	int i;

	l->ev[EV_STDIN] =
	    event_new(l->base, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, l);
	for (i = EV_WINCH; i <= EV_HUP; i++)
		l->ev[i] = evsignal_new(
		    l->base, signals[i], i == EV_WINCH ? on_winch : on_quit, l);
	l->ev[EV_TICK] = event_new(l->base, -1, EV_PERSIST, on_tick, l);
	l->ev[EV_FRAME] = evtimer_new(l->base, on_frame, l);
	l->ev[EV_ESC] = evtimer_new(l->base, on_esc, l);
	for (i = 0; i < EV_N; i++)
		if (l->ev[i] == NULL)
			return (false);
	/* Keys go before console floods. */
	event_priority_set(l->ev[EV_STDIN], 0);
	event_priority_set(l->ev[EV_FRAME], 0);
	event_priority_set(l->ev[EV_ESC], 0);
	for (i = EV_STDIN; i <= EV_HUP; i++)
		if (event_add(l->ev[i], NULL) == -1)
			return (false);
	add_ms(l->ev[EV_TICK], 1000);
	return (true);
}

struct loop *
loop_open(struct screen *screen, struct host_files *host, struct model *m,
    const char *path, bool mouse, struct err *e)
{
	struct loop *l;

	if ((l = calloc(1, sizeof(*l))) == NULL) {
		err_errno(e, "loop");
		return (NULL);
	}
	l->screen = screen;
	l->host = host;
	l->model = m;
	if ((l->base = event_base_new()) == NULL ||
	    event_base_priority_init(l->base, 2) == -1 ||
	    canvas_init(&l->canvas, 24, 80, screen_charset(screen)) == -1 ||
	    (l->link = link_open(l->base, m, path, on_changed, l)) == NULL ||
	    app_init(&l->app, m, &link_ops, l->link, &term_ops, l) == -1 ||
	    !events_new(l)) {
		err_set(e, ENOMEM, "out of memory");
		loop_close(l);
		return (NULL);
	}
	l->app.mouse_on = mouse;
	l->app.cs = screen_charset(screen);
	set_clock(m);
	set_size(l);
	return (l);
}

void
loop_run(struct loop *l)
{
	host_sample(l->host, &l->model->host);
	link_start(l->link, &l->app);
	want_frame(l);
	event_base_dispatch(l->base);
}

void
loop_close(struct loop *l)
{
	int i;

	if (l == NULL)
		return;
	link_close(l->link);
	if (l->app.model != NULL)
		app_fini(&l->app);
	for (i = 0; i < EV_N; i++)
		if (l->ev[i] != NULL)
			event_free(l->ev[i]);
	if (l->base != NULL)
		event_base_free(l->base);
	canvas_fini(&l->canvas);
	free(l);
}
