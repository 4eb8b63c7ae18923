/* SPDX-License-Identifier: ISC */
/* The guests view: what keys and mouse ask of the daemon. */
#include <string.h>

#include "regress/lib/tap.h"
#include "regress/lib/tui_synth.h"
#include "tui/guests.h"

static const struct guests_view *
view(const struct synth *s)
{
	return ((const struct guests_view *)s->app.views[VIEW_GUESTS]);
}

static void
moving(void)
{
	struct synth s;

	synth_init(&s, 60, 24, 80);
	CHECK_EQ(view(&s)->sel, 1);
	synth_keys(&s, "jjk");
	CHECK_EQ(view(&s)->sel, 2);
	synth_key(&s, 'G');
	CHECK_EQ(view(&s)->sel, 60);
	synth_key(&s, K_DOWN);
	CHECK_EQ(view(&s)->sel, 60);
	synth_key(&s, K_PGUP);
	CHECK_EQ(view(&s)->sel, 43);
	synth_key(&s, 'g');
	CHECK_EQ(view(&s)->sel, 1);
	/* The cursor stays on its guest when the order changes. */
	synth_keys(&s, "jN");
	CHECK_EQ(view(&s)->sel, 2);
	synth_key(&s, 'I');
	CHECK_EQ(view(&s)->sel, 2);
	/* Its guest goes: the cursor stays near. */
	synth_keys(&s, "I");
	model_remove(&s.model, 2);
	app_model_changed(&s.app);
	CHECK(view(&s)->sel != 2 && view(&s)->sel != 0);
	synth_fini(&s);
}

static void
sorting(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, 'P');
	CHECK_EQ(view(&s)->order[0], 2);
	synth_key(&s, 'P');
	CHECK(view(&s)->invert);
	synth_key(&s, 'M');
	CHECK_EQ(view(&s)->order[0], 2);
	CHECK_EQ(view(&s)->order[1], 1);
	synth_key(&s, 'N');
	CHECK_EQ(view(&s)->order[0], 2);
	synth_key(&s, 'T');
	CHECK_EQ(view(&s)->order[0], 3);
	/* F6: down twice from uptime is not "id"; Enter takes it. */
	synth_key(&s, K_F6);
	synth_key(&s, K_DOWN);
	synth_key(&s, K_DOWN);
	synth_key(&s, K_ENTER);
	CHECK_EQ(view(&s)->sort, SORT_ID);
	CHECK_EQ(view(&s)->order[0], 1);
	synth_fini(&s);
}

static void
filtering(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_keys(&s, "/state:run");
	CHECK_EQ(view(&s)->norder, 4); /* live, before Enter */
	synth_key(&s, K_ENTER);
	synth_key(&s, '/');
	CHECK_STR(s.app.prompt.text, "state:run"); /* recalled */
	synth_key(&s, K_BACKSPACE);
	synth_key(&s, K_CTRL('u'));
	synth_keys(&s, "q"); /* text, not quit */
	CHECK(!s.app.quit);
	CHECK_EQ(view(&s)->norder, 0);
	synth_key(&s, K_ESC);
	CHECK_EQ(view(&s)->norder, 8);
	synth_fini(&s);
}

static void
requests(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_keys(&s, "p");
	CHECK(synth_noted(&s, "pause 1"));
	synth_keys(&s, "jjjs");
	CHECK(synth_noted(&s, "unpause 4"));
	synth_keys(&s, "js");
	CHECK(synth_noted(&s, "start 5"));
	synth_keys(&s, "gxs");
	CHECK(synth_noted(&s, "shutdown 1"));
	synth_fini(&s);
}

/* Nothing that loses data happens in one stroke, or by anything but y. */
static void
guard(void)
{
	static const char *const answers[] = { "n", "N", "\033", "\r", "q", "k",
		" " };
	struct synth s;
	size_t i;

	synth_init(&s, 8, 24, 80);
	synth_keys(&s, "k");
	CHECK(strstr(s.notes, "kill") == NULL);
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		synth_keys(&s, "xk");
		CHECK(s.app.confirm.on);
		CHECK(strstr(s.app.confirm.text, "Kill firefox?") != NULL);
		synth_keys(&s, answers[i]);
		CHECK(!s.app.confirm.on);
	}
	synth_keys(&s, "xq");
	CHECK(!s.app.quit);
	CHECK(strstr(s.notes, "kill") == NULL);
	synth_keys(&s, "xky");
	CHECK(synth_noted(&s, "kill 1"));
	synth_keys(&s, "xr");
	CHECK(strstr(s.notes, "reset") == NULL);
	synth_keys(&s, "y");
	CHECK(synth_noted(&s, "reset 1"));
	/* Pasted text answers nothing. */
	synth_keys(&s, "xk");
	app_paste(&s.app, "y", 1, true);
	CHECK(s.app.confirm.on);
	synth_fini(&s);
}

static void
tagging(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_keys(&s, "  xk");
	CHECK(strstr(s.app.confirm.text, "firefox, build") != NULL);
	synth_keys(&s, "y");
	CHECK(synth_noted(&s, "kill 1"));
	CHECK(synth_noted(&s, "kill 2"));
	synth_keys(&s, "xs"); /* several: even this asks */
	CHECK(s.app.confirm.on);
	synth_keys(&s, "nU*");
	CHECK_EQ(view(&s)->ntags, 8);
	synth_keys(&s, "xk");
	CHECK(strstr(s.app.confirm.text, "and 3 more") != NULL);
	synth_keys(&s, "n");
	/* A tagged guest that is gone is not asked for. */
	model_remove(&s.model, 8);
	app_model_changed(&s.app);
	synth_keys(&s, "s");
	CHECK(!synth_noted(&s, "start 8"));
	synth_fini(&s);
}

static void
refused(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	s.refuse = true;
	synth_keys(&s, "jjjjs");
	CHECK_STR(
	    model_peek(&s.model, 5)->reason, "guest 5 belongs to bob; ask him");
	CHECK_STR(s.app.status, "guest 5 belongs to bob; ask him");
	synth_golden(&s, "refused", 24, 80, cs_braille, true);
	synth_key(&s, K_ESC);
	CHECK_STR(model_peek(&s.model, 5)->reason, "");
	synth_fini(&s);
}

static void
click(struct synth *s, int row, int col, int clicks)
{
	struct input in = { .kind = IN_MOUSE,
		.what = MOUSE_PRESS,
		.button = 1,
		.row = row,
		.col = col,
		.clicks = clicks };

	app_input(&s->app, &in);
}

static void
mouse(void)
{
	struct input wheel = { .kind = IN_MOUSE,
		.what = MOUSE_WHEEL,
		.button = 1,
		.row = 8,
		.col = 8 };
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_golden(&s, "guests-80x24-ascii", 24, 80, cs_ascii, true);
	click(&s, 6, 10, 1);
	CHECK_EQ(view(&s)->sel, 3);
	click(&s, 3, 41, 1); /* the title CPU% */
	CHECK_EQ(view(&s)->sort, SORT_CPU);
	app_input(&s.app, &wheel);
	click(&s, 4, 10, 2);
	CHECK_EQ(s.app.cur, VIEW_CONSOLE);
	CHECK(strstr(s.notes, "attach 2 chan 0") != NULL);
	click(&s, 0, 21, 1); /* the chip */
	CHECK_EQ(s.app.cur, VIEW_GUESTS);
	click(&s, 23, 70, 1); /* F10 in the bar */
	CHECK(s.app.quit);
	synth_fini(&s);
}

static void
settings(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_keys(&s, "+");
	CHECK(synth_noted(&s, "interval 2000"));
	synth_keys(&s, "---");
	CHECK(synth_noted(&s, "interval 200"));
	synth_keys(&s, "Z");
	CHECK(synth_noted(&s, "interval 0"));
	synth_keys(&s, "q");
	CHECK(s.app.quit);
	synth_fini(&s);
}

static const struct tap_case cases[] = {
	{ "guests: the cursor", moving },
	{ "guests: sorting", sorting },
	{ "guests: filtering", filtering },
	{ "guests: start, pause, shut down", requests },
	{ "guests: two strokes and y before a loss", guard },
	{ "guests: tags", tagging },
	{ "guests: a refusal is on the row", refused },
	{ "guests: mouse", mouse },
	{ "guests: delay, freeze, quit", settings },
};
TAP_MAIN(cases)
