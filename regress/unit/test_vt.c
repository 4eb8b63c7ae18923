/* SPDX-License-Identifier: ISC */
/* The guest's terminal: hostile bytes, answers, keys, looking back. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "regress/lib/tui_synth.h"
#include "tui/draw/grid_dump.h"
#include "tui/term/vt.h"

static struct vt *vt;
static char answers[4096];
static size_t nanswers;

static void
on_answer(void *ctx, const char *bytes, size_t len)
{
	(void)ctx;
	if (nanswers + len < sizeof(answers)) {
		memcpy(answers + nanswers, bytes, len);
		nanswers += len;
	}
	answers[nanswers] = '\0';
}

static void
start(int rows, int cols)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	vt_close(vt);
	vt = NULL;
	nanswers = 0;
	answers[0] = '\0';
	CHECK_EQ(vt_open(&vt, rows, cols, on_answer, NULL), 0);
}

static void
feed(const char *s)
{
	vt_feed(vt, s, strlen(s), true);
}

static const char *
screen(struct charset cs)
{
	static char *text;
	struct canvas c;
	size_t len;
	FILE *f;

	free(text);
	text = NULL;
	if (canvas_init(&c, vt_rows(vt), vt_cols(vt), cs) == -1)
		return ("");
	vt_draw(vt, &c, canvas_rect(&c), true);
	f = open_memstream(&text, &len);
	grid_dump(f, &c, false);
	fclose(f);
	canvas_fini(&c);
	return (text);
}

/* Questions are answered to the guest, a replay's are not. */
static void
t70_answers(void)
{
	static const char questions[] = "\033[c\033[>c\033[5n\033[6n\005"
					"\033]10;?\007\033]11;?\033\\\033]4;1;"
					"?\007\033P$qm\033\\\033[21t\033[18t"
					"\033[?1$p\033Z";
	int i;

	start(4, 20);
	vt_feed(vt, questions, sizeof(questions) - 1, false);
	CHECK_EQ(nanswers, 0);
	vt_feed(vt, questions, sizeof(questions) - 1, true);
	CHECK(strstr(answers, "\033[0n") != NULL);
	CHECK(strstr(answers, "\033[1;1R") != NULL);
	/* Neither titles nor settings nor colours come back as typing. */
	CHECK(strchr(answers, ']') == NULL);
	CHECK(strstr(answers, "\033P") == NULL);
	/* A flood of questions is not answered without end. */
	start(4, 20);
	{
		char *flood = malloc(40000);

		for (i = 0; i < 10000; i++)
			memcpy(flood + i * 4, "\033[5n", 4);
		vt_feed(vt, flood, 40000, true);
		free(flood);
	}
	CHECK(nanswers <= VT_ANSWER_BYTES);
	/* A title is nowhere. */
	start(4, 20);
	feed("\033]0;evil; rm -rf /\007\033]2;x\033\\\033[21t");
	CHECK_EQ(nanswers, 0);
	CHECK(strstr(screen(cs_braille), "evil") == NULL);
}

static void
t70_hostile(void)
{
	static const char *const seqs[] = { "\033[9999999b", "\033[2147483647b",
		"x\033[99999b", "\033[99999L", "\033[99999M", "\033[99999@",
		"\033[99999P", "\033[99999X", "\033[99999S", "\033[99999T",
		"\033[99999;99999H", "\033[-1;-1H", "\033[0;0r\033[5;1r",
		"\033[?1049h\033[?47h\033[?1049l", "\033[!p\033c\033[8;1;1t",
		"\033[4294967296;1H", "\033[1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1m",
		"\033]52;c;AAAA\007", "\033]8;;http://x\033\\y\033]8;;\033\\",
		"\x9b\x33\x31m\x9d\x30;t\x9c",
		"\302\233\063\061m\302\2350;t\302\234",
		"\033[?1000h\033[?1006h\033[?2004h", "\033P1;2q#0~\033\\",
		"\033X sos\033\\\033^pm\033\\\033_apc\033\\",
		"\xc0\xaf\xe0\x80\xaf\xf8\x88\x80\x80\x80",
		"e\314\201\314\201\314\201", "\342\200\256abc\342\200\254",
		"\360\237\221\250\342\200\215\360\237\221\251",
		"\033[38;5;999m", "\033[38;2;1;2m\033[48;2;300;300;300m",
		"\033#8\033[2J" };
	size_t i, k;
	int size;

	for (size = 0; size < 3; size++) {
		start(size == 0 ? 2 : 24, size == 1 ? 4 : 80);
		for (i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++) {
			feed(seqs[i]);
			for (k = 0; k < 3; k++)
				CHECK_EQ(
				    vt_resize(vt, 2 + (int)(i * 7 + k) % 40,
					4 + (int)(i * 13 + k * 31) % 100),
				    0);
			/* Whatever it did: only printable text is there. */
			for (const char *p = screen(cs_ascii); *p != '\0'; p++)
				CHECK(*p == '\n' || (*p >= 0x20 && *p < 0x7f));
		}
	}
	/* A million marks on one letter. */
	start(4, 20);
	feed("e");
	for (i = 0; i < 1000000; i++)
		vt_feed(vt, "\314\201", 2, true);
	CHECK(strncmp(screen(cs_braille), "e", 1) == 0);
}

static void
drawing(void)
{
	struct canvas c;

	start(3, 10);
	feed("\033[31mr\033[0m \033[1;44mb\033[38;5;208mo\033[7mi\033[0m"
	     "\r\n\346\227\245x");
	CHECK_STR(screen(cs_braille), "r boi\n\346\227\245x\n\n");
	canvas_init(&c, 5, 12, cs_braille);
	vt_draw(vt, &c, (struct rect){ 1, 1, 3, 10 }, true);
	CHECK_EQ(canvas_peek(&c, 1, 1)->fg, 1);
	CHECK_EQ(canvas_peek(&c, 1, 1)->bg, CELL_DEFAULT);
	CHECK_EQ(canvas_peek(&c, 1, 3)->bg, 4);
	CHECK(canvas_peek(&c, 1, 3)->attr & CA_BOLD);
	CHECK_EQ(canvas_peek(&c, 1, 4)->fg, 208);
	CHECK(canvas_peek(&c, 1, 5)->attr & CA_REVERSE);
	CHECK_EQ(canvas_peek(&c, 1, 5)->role, TR_CONSOLE);
	CHECK_EQ(c.cur_row, 2);
	CHECK_EQ(c.cur_col, 4);
	/* The cursor is the canvas's, not a reversed cell. */
	CHECK(!(canvas_peek(&c, 2, 4)->attr & CA_REVERSE));
	c.cur_row = -1;
	feed("\033[?25l");
	vt_draw(vt, &c, (struct rect){ 1, 1, 3, 10 }, true);
	CHECK_EQ(c.cur_row, -1);
	/* A smaller pane than the terminal cuts, it does not spill. */
	canvas_fill(&c, canvas_rect(&c), TR_ERROR);
	vt_draw(vt, &c, (struct rect){ 0, 0, 1, 1 }, false);
	CHECK_EQ(canvas_peek(&c, 0, 1)->role, TR_ERROR);
	canvas_fini(&c);
}

static void
keys(void)
{
	static const struct {
		uint32_t key;
		const char *bytes;
	} t[] = {
		{ 'a', "a" },
		{ K_ENTER, "\r" },
		{ K_BACKSPACE, "\177" },
		{ K_CTRL('c'), "\003" },
		{ K_ALT | 'x', "\033x" },
		{ 0xe9, "\303\251" },
		{ K_UP, "\033[A" },
		{ K_DEL, "\033[3~" },
		{ K_PGUP, "\033[5~" },
		{ K_BTAB, "\033[Z" },
		{ K_F1, "\033OP" },
		{ K_F0 + 5, "\033[15~" },
		{ K_F12, "\033[24~" },
	};
	char out[VT_KEY_BYTES + 1];
	size_t i, n;

	start(4, 20);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		n = vt_key(vt, t[i].key, out);
		out[n] = '\0';
		CHECK_STR(out, t[i].bytes);
	}
	feed("\033[?1h");
	n = vt_key(vt, K_UP, out);
	out[n] = '\0';
	CHECK_STR(out, "\033OA");
	CHECK_EQ(nanswers, 0);
}

static void
lines(int from, int to)
{
	char buf[32];
	int i;

	for (i = from; i < to; i++) {
		snprintf(
		    buf, sizeof(buf), "%sline %d", i == from ? "" : "\r\n", i);
		feed(buf);
	}
}

static char *
snap_line(const struct vt_snap *s, int line)
{
	struct vt_pos a = { line, 0 }, b = { line, s->cols - 1 };

	return (vt_snap_text(s, a, b));
}

/* The copy is exact at every length around a page, and with every cursor. */
static void
looking_back(void)
{
	struct vt_snap *s;
	char want[32], *have;
	int n, i;

	for (n = 1; n <= 60; n += n < 30 ? 1 : 7) {
		start(8, 20);
		lines(0, n);
		s = vt_snap_take(vt);
		CHECK_EQ(s->lines, n < 8 ? 8 : n);
		for (i = 0; i < n && i < s->lines; i++) {
			snprintf(want, sizeof(want), "line %d", i);
			have = snap_line(s, i);
			CHECK_STR(have, want);
			free(have);
		}
		vt_snap_free(s);
	}
	/* More than is kept: the oldest go. */
	start(8, 20);
	lines(0, VT_SCROLLBACK + 100);
	s = vt_snap_take(vt);
	CHECK_EQ(s->lines, VT_SCROLLBACK + 8);
	have = snap_line(s, 0);
	CHECK_STR(have, "line 92");
	free(have);
	vt_snap_free(s);
	/* Taking a copy changes nothing. */
	CHECK(strstr(screen(cs_ascii), "line 5099") != NULL);
	/* Reversed text and a first column in reverse do not mislead it. */
	start(4, 10);
	feed("\033[7mA\033[0m\r\n\033[7mB\r\nC\r\nD\r\nE\r\nF\033[0m");
	s = vt_snap_take(vt);
	CHECK_EQ(s->lines, 6);
	have = snap_line(s, 0);
	CHECK_STR(have, "A");
	free(have);
	vt_snap_free(s);
}

static void
searching(void)
{
	struct vt_pos at;
	struct vt_snap *s;
	char *text;

	start(4, 20);
	lines(0, 30);
	feed("\r\nError: no caf\303\251");
	s = vt_snap_take(vt);
	at = (struct vt_pos){ s->lines, 0 };
	CHECK(vt_snap_find(s, "line 2", -1, &at));
	CHECK_EQ(at.line, 29);
	CHECK(vt_snap_find(s, "line 2", -1, &at));
	CHECK_EQ(at.line, 28);
	CHECK(vt_snap_find(s, "line 2", 1, &at));
	CHECK_EQ(at.line, 29);
	CHECK(!vt_snap_find(s, "line 2", 1, &at));
	CHECK_EQ(at.line, 29);
	at = (struct vt_pos){ s->lines, 0 };
	CHECK(vt_snap_find(s, "error", -1, &at));
	CHECK_EQ(vt_snap_match(s, "caf\303\251", (struct vt_pos){ 30, 10 }), 4);
	CHECK(!vt_snap_find(s, "Line", -1, &at));
	CHECK(!vt_snap_find(s, "", -1, &at));
	text =
	    vt_snap_text(s, (struct vt_pos){ 29, 2 }, (struct vt_pos){ 28, 3 });
	CHECK_STR(text, "e 28\nlin");
	free(text);
	vt_snap_free(s);
}

/* A smaller window keeps what was printed last, and the rest is above it. */
static void
resizing(void)
{
	struct vt_snap *s;
	char *have;

	start(20, 30);
	lines(0, 3);
	CHECK_EQ(vt_resize(vt, 8, 30), 0);
	CHECK_STR(screen(cs_ascii), "line 0\nline 1\nline 2\n\n\n\n\n\n");
	feed("\r\nmore");
	CHECK_EQ(vt_resize(vt, 3, 10), 0);
	CHECK_STR(screen(cs_ascii), "line 1\nline 2\nmore\n");
	s = vt_snap_take(vt);
	CHECK_EQ(s->lines, 4);
	have = snap_line(s, 0);
	CHECK_STR(have, "line 0");
	free(have);
	vt_snap_free(s);
	CHECK_EQ(vt_resize(vt, 5, 40), 0);
	feed("\r\nend");
	CHECK_STR(screen(cs_ascii), "line 1\nline 2\nmore\nend\n\n");
}

static void
notice(void)
{
	start(4, 30);
	feed("abc\033[31");
	vt_notice(vt, "512 bytes lost");
	feed("mxyz");
	CHECK_STR(screen(cs_ascii), "abc\n-- 512 bytes lost --\nmxyz\n\n");
}

static const struct tap_case cases[] = {
	{ "T70 vt: answers go to the guest, none to a replay", t70_answers },
	{ "T70 vt: hostile sequences only change cells", t70_hostile },
	{ "vt: colours, attributes, cursor", drawing },
	{ "vt: keys", keys },
	{ "vt: looking back is exact", looking_back },
	{ "vt: searching and marking", searching },
	{ "vt: a window that shrinks loses no line", resizing },
	{ "vt: a notice ends a broken sequence", notice },
};
TAP_MAIN(cases)
