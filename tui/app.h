/* SPDX-License-Identifier: ISC */
/*
 * The program around the views: which one is shown, the lines above and below
 * it, the prompt, keys on their way.  Nothing here touches a terminal or a
 * socket: draw goes to a grid, requests go through link_ops, so that tests
 * drive the whole of it.
 */
#ifndef TUI_APP_H
#define TUI_APP_H

#include "tui/draw/canvas.h"
#include "tui/key.h"
#include "tui/model.h"
#include "tui/view.h"

enum guest_op {
	GOP_START,
	GOP_PAUSE,
	GOP_UNPAUSE,
	GOP_SHUTDOWN,
	GOP_RESET,
	GOP_KILL
};

/* What views ask of the daemon; answers arrive in the model or as status. */
struct link_ops {
	int (*op)(void *, enum guest_op, uint32_t id, struct err *);
	/* Figures every so many milliseconds from now on. */
	void (*interval)(void *, int ms);
	/* Consoles; chan < CONS_CHANS is ours to choose. */
	int (*attach)(void *, const struct msg_attach *, struct err *);
	void (*detach)(void *, uint32_t chan);
	int (*input)(void *, uint32_t chan, const void *, size_t);
	void (*credit)(void *, uint32_t chan, uint32_t bytes);
	void (*brk)(void *, uint32_t chan);
	void (*take)(void *, uint32_t chan);
};

/* What only the real terminal can do. */
struct term_ops {
	/* Text the user marked: to the clipboard by OSC 52. */
	void (*copy)(void *, const char *text, size_t len);
	void (*mouse)(void *, bool on);
	void (*redraw)(void *);
};

#define PROMPT_BYTES 128
struct prompt {
	bool on;
	const char *label; /* "Filter:" */
	char text[PROMPT_BYTES];
	size_t len;
	struct view *view;
	/* done: false while typing, true at Enter; text NULL: Esc. */
	void (*fn)(struct view *, const char *text, bool done);
};

/* A question that y answers; anything else is no. */
struct confirm {
	bool on;
	char text[512];
	struct view *view;
	void (*yes)(struct view *);
};

enum view_id { VIEW_GUESTS, VIEW_CONSOLE, VIEW_N };

struct app {
	struct model *model;
	struct view *views[VIEW_N];
	enum view_id cur;
	bool help;
	int help_top;
	bool quit, mouse_on, frozen;
	struct charset cs;            /* of the terminal; set by who draws */
	int rows, cols;               /* of the last grid */
	uint32_t prefix;              /* of the console view: C-] */
	const struct keytab *pending; /* the second stroke's table */
	struct prompt prompt;
	struct confirm confirm;
	char status[ERR_TEXT_BYTES];
	enum trole status_role;
	int status_left; /* ticks until it goes */
	bool dirty;      /* something to draw */
	const struct link_ops *link;
	void *link_ctx;
	const struct term_ops *term;
	void *term_ctx;
};

/* model, link and term are borrowed.  0, or -1 with errno. */
int app_init(struct app *, struct model *, const struct link_ops *, void *,
    const struct term_ops *, void *);
void app_fini(struct app *);

/* Pure: the whole screen. */
void app_draw(const struct app *, struct canvas *);

void app_input(struct app *, const struct input *);
/* Bytes between IN_PASTE_BEGIN and IN_PASTE_END, as they come. */
void app_paste(struct app *, const char *bytes, size_t len, bool last);
/* Once a second: messages go. */
void app_tick(struct app *);
/* Before the next app_draw() after the model has changed. */
void app_model_changed(struct app *);

/* Words on the status line, for some seconds. */
void app_status(struct app *, enum trole, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void app_error(struct app *, const struct err *);
void app_show(struct app *, enum view_id);
void app_ask(struct app *, struct view *, void (*yes)(struct view *),
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
void app_prompt(struct app *, struct view *, const char *label,
    const char *text, void (*fn)(struct view *, const char *, bool));

/* Every table there is, for the help and the manual's check. */
extern const struct keytab *const app_keytabs[];
extern const size_t app_nkeytabs;
extern const struct keytab app_keytab;

/* app_draw.c: where a view's chip is on line 1; the key in the bar. */
bool app_chip(const struct app *, int view, int *at, int *end);
uint32_t app_bar_hit(const struct app *, int col);

/* help.c: draw the keys of this view's tables. */
void help_draw(const struct app *, struct canvas *, struct rect);
int help_lines(const struct app *);

#endif
