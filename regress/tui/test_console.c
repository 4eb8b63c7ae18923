/* SPDX-License-Identifier: ISC */
/* Consoles: every byte once and in order, keys, looking back, marking. */
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "regress/lib/tui_synth.h"
#include "tui/draw/grid_dump.h"

static struct console *
cons(struct synth *s, uint32_t chan)
{
	return (console_by_chan(s->app.views[VIEW_CONSOLE], chan));
}

/* The screen of a console as text. */
static char *
shown(struct synth *s, uint32_t chan)
{
	struct vt_snap *snap = vt_snap_take(cons(s, chan)->vt);
	char *text = vt_snap_text(snap, (struct vt_pos){ 0, 0 },
	    (struct vt_pos){ snap->lines - 1, snap->cols - 1 });
	size_t n = strlen(text);

	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	vt_snap_free(snap);
	return (text);
}

static void
expect(struct synth *s, uint32_t chan, const char *want)
{
	char *have = shown(s, chan);

	CHECK_STR(have, want);
	free(have);
}

static void
data(struct synth *s, uint64_t off, const char *text)
{
	console_data(cons(s, 0), off, text, strlen(text));
}

static void
prefix(struct synth *s, const char *keys)
{
	synth_key(s, K_CTRL(']'));
	synth_keys(s, keys);
}

static void
once(void)
{
	struct msg_gap gap = { .chan = 0, .off = 14, .lost = 6 };
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 5);
	data(&s, 0, "hello");
	data(&s, 3, "lo wo"); /* overlaps */
	data(&s, 0, "hello"); /* old */
	data(&s, 8, "rld");
	expect(&s, 0, "hello world");
	data(&s, 14, "x"); /* three are missing */
	gap.off = 15;
	console_gap(cons(&s, 0), &gap);
	data(&s, 21, "y");
	expect(&s, 0,
	    "hello world\n-- 3 bytes lost --\nx\n"
	    "-- 6 bytes lost --\ny");
	CHECK_EQ(cons(&s, 0)->lost, 9);
	console_gap(cons(&s, 0), &gap); /* told before */
	CHECK_EQ(cons(&s, 0)->lost, 9);
	synth_fini(&s);
}

static void
again(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 0);
	data(&s, 0, "abc");
	consoles_link_lost(s.app.views[VIEW_CONSOLE]);
	synth_keys(&s, "z"); /* goes nowhere, is not kept */
	CHECK(strstr(s.notes, "input") == NULL);
	data(&s, 3, "not now");
	consoles_link_up(s.app.views[VIEW_CONSOLE]);
	CHECK(synth_noted(&s, "attach 1 chan 0 flags 5 from 3"));
	synth_attached(&s, 0, true, 3, 6);
	data(&s, 3, "def");
	expect(&s, 0, "abcdef");
	/* What the ring no longer has is said. */
	consoles_link_lost(s.app.views[VIEW_CONSOLE]);
	consoles_link_up(s.app.views[VIEW_CONSOLE]);
	synth_attached(&s, 0, true, 10, 12);
	data(&s, 10, "kl");
	expect(&s, 0, "abcdef\n-- 4 bytes lost --\nkl");
	/* Another run: from its beginning. */
	consoles_link_lost(s.app.views[VIEW_CONSOLE]);
	consoles_link_up(s.app.views[VIEW_CONSOLE]);
	synth_attached(&s, 0, true, 0, 3);
	data(&s, 0, "new");
	expect(&s, 0,
	    "abcdef\n-- 4 bytes lost --\nkl\n-- started anew --\n"
	    "new");
	synth_fini(&s);
}

/* A question in the replay stays unanswered, a new one is answered. */
static void
t70_replay(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 4);
	data(&s, 0, "\033[5n\033[5n");
	CHECK(synth_noted(&s, "input 0 4: 1b 5b 30 6e"));
	CHECK(strstr(strstr(s.notes, "input") + 1, "input") == NULL);
	/* A watcher answers nothing. */
	synth_attached(&s, 0, false, 8, 8);
	s.nnotes = 0;
	s.notes[0] = '\0';
	data(&s, 8, "\033[5n");
	CHECK(strstr(s.notes, "input") == NULL);
	synth_fini(&s);
}

static void
typing(void)
{
	struct msg_cons_peers peers = { .chan = 0, .n = 2, .you_write = 0 };
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 0);
	synth_keys(&s, "q?1");
	CHECK(!s.app.quit && !s.app.help);
	CHECK(synth_noted(&s, "input 0 1: 71"));
	synth_key(&s, K_TAB);
	CHECK(synth_noted(&s, "input 0 1: 09"));
	synth_key(&s, K_F10);
	CHECK(!s.app.quit);
	prefix(&s, "\035");
	CHECK(synth_noted(&s, "input 0 1: 1d"));
	prefix(&s, "b");
	CHECK(synth_noted(&s, "break 0"));
	prefix(&s, "s");
	CHECK(strstr(s.notes, "73 74 74 79 20 72 6f 77 73") != NULL);
	/* Somebody takes it. */
	peers.peer[0].uid = 1001;
	peers.peer[0].writer = 1;
	peers.peer[1].uid = 1000;
	console_peers(cons(&s, 0), &peers);
	s.nnotes = 0;
	s.notes[0] = '\0';
	synth_keys(&s, "x");
	CHECK_STR(s.notes, "");
	CHECK(strstr(s.app.status, "C-] w") != NULL);
	prefix(&s, "w");
	CHECK(synth_noted(&s, "take 0"));
	/* Credit of the time before does not count. */
	CHECK_EQ(cons(&s, 0)->input_credit, 0);
	s.app.status[0] = '\0';
	synth_golden(&s, "console-watching", 24, 80, cs_braille, false);
	synth_fini(&s);
}

/* A paste goes out as credit comes, whole and in order. */
static void
pasting(void)
{
	char big[3000];
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 0);
	memset(big, 'p', sizeof(big));
	app_paste(&s.app, big, sizeof(big), true);
	CHECK(strstr(s.notes, "input 0 1024:") != NULL);
	CHECK_EQ(cons(&s, 0)->qlen, 3000 - 1024);
	CHECK_EQ(cons(&s, 0)->input_credit, 0);
	console_input_credit(cons(&s, 0), 500);
	CHECK(strstr(s.notes, "input 0 500:") != NULL);
	console_input_credit(cons(&s, 0), 100000);
	CHECK_EQ(cons(&s, 0)->qlen, 0);
	console_input_credit(cons(&s, 0), 0xffffffff);
	CHECK(cons(&s, 0)->input_credit <= CONS_QUEUE_BYTES);
	synth_fini(&s);
}

/* Credit comes back before the sender has used it up. */
static void
credit(void)
{
	static char block[CONS_DATA_BYTES];
	struct synth s;
	uint64_t off = 0;
	int i;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 0);
	memset(block, 'b', sizeof(block));
	for (i = 0; i < 9; i++, off += sizeof(block))
		console_data(cons(&s, 0), off, block, sizeof(block));
	CHECK(synth_noted(&s, "credit 0 144000"));
	CHECK(cons(&s, 0)->taken < CONS_CREDIT_BYTES / 2);
	synth_fini(&s);
}

static void
tabs(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 0);
	prefix(&s, "g");
	CHECK_EQ(s.app.cur, VIEW_GUESTS);
	synth_keys(&s, "jjjj");
	synth_key(&s, K_ENTER); /* web is stopped */
	CHECK_EQ(s.app.cur, VIEW_GUESTS);
	synth_keys(&s, "k");
	synth_key(&s, K_ENTER);
	CHECK(synth_noted(&s, "attach 4 chan 1 flags 1 from 0"));
	synth_attached(&s, 1, true, 0, 0);
	prefix(&s, "n");
	synth_keys(&s, "a");
	CHECK(synth_noted(&s, "input 0 1: 61"));
	prefix(&s, "p");
	synth_keys(&s, "b");
	CHECK(synth_noted(&s, "input 1 1: 62"));
	prefix(&s, "d");
	CHECK(synth_noted(&s, "detach 1"));
	CHECK_EQ(s.app.cur, VIEW_CONSOLE);
	prefix(&s, "d");
	CHECK_EQ(s.app.cur, VIEW_GUESTS);
	synth_fini(&s);
}

static void
ends(void)
{
	struct msg_row r = { .id = 1,
		.state = VM_RUNNING,
		.ncpus = 1,
		.flags = ROW_CONFIGURED,
		.started_s = 1700000500 };
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 0);
	data(&s, 0, "bye");
	console_closed(cons(&s, 0), "the vm is not running any more");
	expect(&s, 0, "bye\n-- the vm is not running any more --");
	s.nnotes = 0;
	s.notes[0] = '\0';
	app_model_changed(&s.app); /* the same run: no new try */
	CHECK_STR(s.notes, "");
	snprintf(r.name, sizeof(r.name), "firefox");
	model_row(&s.model, &r, "alice");
	app_model_changed(&s.app);
	CHECK(strstr(s.notes, "attach 1 chan 0") != NULL);
	synth_attached(&s, 0, true, 0, 2);
	data(&s, 0, "hi");
	expect(&s, 0,
	    "bye\n-- the vm is not running any more --\n"
	    "-- started anew --\nhi");
	synth_fini(&s);
}

static void
unread(void)
{
	struct synth s;
	struct guest *g;

	synth_init(&s, 8, 24, 80);
	g = model_find(&s.model, 1);
	CHECK(g->console_bytes > g->console_seen);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, g->console_bytes);
	console_data(cons(&s, 0), 34560, "1234567", 7);
	app_model_changed(&s.app);
	CHECK_EQ(g->console_seen, g->console_bytes);
	prefix(&s, "g");
	console_data(cons(&s, 0), 34567, "more", 4);
	app_model_changed(&s.app);
	CHECK_EQ(g->console_bytes, 34571);
	CHECK(g->console_bytes > g->console_seen);
	synth_fini(&s);
}

static void
drag(struct synth *s, enum mouse_what what, int row, int col)
{
	struct input in = { .kind = IN_MOUSE,
		.what = what,
		.button = 1,
		.row = row,
		.col = col,
		.clicks = 1 };

	app_input(&s->app, &in);
}

/* Only what was marked goes to the clipboard, and only then. */
static void
t70_marking(void)
{
	struct synth s;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 0);
	data(&s, 0,
	    "first line\r\nsecond line\r\n"
	    "\033]52;c;ZXZpbA==\007\033]52;c;?\007");
	CHECK_STR(s.copied, "");
	drag(&s, MOUSE_PRESS, 2, 6);
	drag(&s, MOUSE_DRAG, 3, 5);
	data(&s, cons(&s, 0)->next, "while it is marked\r\n");
	synth_golden(&s, "marking", 24, 80, cs_braille, true);
	drag(&s, MOUSE_RELEASE, 3, 5);
	CHECK_STR(s.copied, "line\nsecond");
	CHECK(cons(&s, 0)->snap == NULL);
	synth_fini(&s);
}

static void
back(void)
{
	struct synth s;
	char buf[64];
	int i;

	synth_init(&s, 8, 24, 80);
	synth_key(&s, K_ENTER);
	synth_attached(&s, 0, true, 0, 0);
	for (i = 0; i < 200; i++) {
		snprintf(buf, sizeof(buf), "line %d\r\n", i);
		synth_print(&s, 0, buf);
	}
	prefix(&s, "[");
	synth_keys(&s, "g");
	CHECK_EQ(cons(&s, 0)->top, 0);
	synth_golden(&s, "looking-back", 24, 80, cs_braille, false);
	synth_print(&s, 0, "unseen\r\n"); /* the copy stands still */
	synth_keys(&s, "G/line 7");
	synth_key(&s, K_ENTER);
	CHECK_EQ(cons(&s, 0)->hit.line, 79);
	synth_keys(&s, "n");
	CHECK_EQ(cons(&s, 0)->hit.line, 78);
	synth_keys(&s, "N");
	CHECK_EQ(cons(&s, 0)->hit.line, 79);
	CHECK(strstr(s.notes, "input") == NULL);
	synth_key(&s, K_ESC);
	CHECK(cons(&s, 0)->snap == NULL);
	CHECK(strstr(s.notes, "input") == NULL);
	synth_fini(&s);
}

static const struct tap_case cases[] = {
	{ "console: every byte once, gaps are said", once },
	{ "console: goes on after a broken link", again },
	{ "T70 console: a replay is not answered", t70_replay },
	{ "console: typing, prefix, watchers", typing },
	{ "console: paste by credit", pasting },
	{ "console: credit comes back early", credit },
	{ "console: tabs", tabs },
	{ "console: a run ends, another begins", ends },
	{ "console: unread marks", unread },
	{ "T70 console: only marked text is copied", t70_marking },
	{ "console: looking back and searching", back },
};
TAP_MAIN(cases)
