/* SPDX-License-Identifier: ISC */
/* The grid: what enters it, what it cuts, graphs, UTF-8, OSC 52. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "regress/lib/tui_synth.h"
#include "tui/draw/graph.h"
#include "tui/draw/grid_dump.h"
#include "tui/draw/screen.h"

static struct canvas c;

static void
start(int rows, int cols, struct charset cs)
{
	setlocale(LC_CTYPE, "C.UTF-8");
	canvas_fini(&c);
	CHECK_EQ(canvas_init(&c, rows, cols, cs), 0);
}

static const char *
dump(void)
{
	static char *text;
	size_t len;
	FILE *f;

	free(text);
	text = NULL;
	f = open_memstream(&text, &len);
	grid_dump(f, &c, false);
	fclose(f);
	return (text);
}

/* No code point that is a control, a mark or a direction stays in a cell. */
static void
t70_grid(void)
{
	uint32_t ch;
	int w;

	start(1, 4, cs_braille);
	for (ch = 0; ch <= 0x10ffff; ch++) {
		w = canvas_putc(&c, 0, 0, 4, TR_TEXT, ch);
		if (w == 0)
			continue;
		CHECK_MSG(c.cells[0].ch >= 0x20 &&
			!(c.cells[0].ch >= 0x7f && c.cells[0].ch < 0xa0),
		    "U+%04X", ch);
		CHECK_MSG(
		    !(c.cells[0].ch >= 0x202a && c.cells[0].ch <= 0x202e) &&
			!(c.cells[0].ch >= 0x2066 && c.cells[0].ch <= 0x2069),
		    "U+%04X", ch);
	}
	start(1, 4, cs_ascii);
	for (ch = 0; ch <= 0x3000; ch++) {
		canvas_putc(&c, 0, 0, 4, TR_TEXT, ch);
		CHECK_MSG(c.cells[0].ch >= 0x20 && c.cells[0].ch < 0x7f,
		    "U+%04X", ch);
	}
}

static void
text(void)
{
	start(3, 10, cs_braille);
	CHECK_EQ(canvas_text(&c, 0, 0, 5, TR_TEXT, "abcdefgh"), 5);
	CHECK_EQ(canvas_text(&c, 1, 0, 10, TR_TEXT, "a\033[2Jb\x80\xff"), 8);
	CHECK_EQ(canvas_text(&c, 2, 0, 4, TR_TEXT,
		     "\346\227\245\346\234\254\350\252\236"),
	    3);
	CHECK_STR(dump(),
	    "abcd\342\200\246\na?[2Jb\357\277\275\357\277\275\n"
	    "\346\227\245\342\200\246\n");
	start(1, 4, cs_ascii);
	canvas_text(&c, 0, 0, 4, TR_TEXT, "\303\251\342\224\200abc");
	CHECK_STR(dump(), "??a~\n");
}

/* Half of a wide character never stays behind. */
static void
wide(void)
{
	start(1, 4, cs_braille);
	canvas_text(&c, 0, 0, 4, TR_TEXT, "\346\227\245\346\234\254");
	CHECK_EQ(c.cells[1].width, 0);
	canvas_putc(&c, 0, 1, 4, TR_TEXT, 'x');
	CHECK_EQ(c.cells[0].ch, ' ');
	CHECK_EQ(c.cells[0].width, 1);
	canvas_putc(&c, 0, 2, 4, TR_TEXT, 'y');
	CHECK_EQ(c.cells[3].width, 1);
	CHECK_STR(dump(), " xy\n");
	CHECK_EQ(canvas_putc(&c, 0, 3, 4, TR_TEXT, 0x65e5), 0);
	/* A wide one put over the right half of another. */
	start(1, 6, cs_braille);
	canvas_text(&c, 0, 0, 6, TR_TEXT, "\346\227\245\346\234\254");
	canvas_putc(&c, 0, 1, 6, TR_TEXT, 0x65e5);
	CHECK_STR(dump(), " \346\227\245\n");
}

static void
bounds(void)
{
	struct rect r = { -3, -3, 20, 20 };

	start(2, 3, cs_ascii);
	canvas_fill(&c, r, TR_TEXT);
	canvas_paint(&c, r, TR_ERROR, CA_BOLD);
	canvas_box(&c, r, TR_TEXT, "title", TR_TEXT);
	CHECK_EQ(canvas_putc(&c, 5, 0, 3, TR_TEXT, 'x'), 0);
	CHECK_EQ(canvas_putc(&c, 0, -1, 3, TR_TEXT, 'x'), 0);
	CHECK_EQ(canvas_text(&c, 0, 0, -1, TR_TEXT, "x"), 0);
	canvas_meter(&c, 0, 0, 1, 2, "x");
	canvas_meter(&c, 0, 0, 3, -1, "xxxxx");
	CHECK(canvas_at(&c, 2, 0) == NULL);
}

static void
graphs(void)
{
	static const float s[8] = { 0, 0.25f, 0.5f, 0.75f, 1, -1, 0.1f, 1 };
	struct rect r = { 0, 0, 1, 8 };

	start(1, 8, cs_ascii);
	graph_draw(&c, r, s, 8, 8);
	CHECK_STR(dump(), "..:|# .#\n");
	start(1, 8, cs_block);
	graph_draw(&c, r, s, 8, 8);
	CHECK_STR(dump(),
	    "\342\226\201\342\226\202\342\226\204\342\226\206"
	    "\342\226\210 \342\226\201\342\226\210\n");
	start(1, 4, cs_braille);
	r.cols = 4;
	graph_draw(&c, r, s, 8, 8);
	CHECK_STR(dump(),
	    "\342\243\200\342\243\264\342\241\207\342\243\270"
	    "\n");
	/* Few samples stand at the right. */
	start(1, 8, cs_ascii);
	r.cols = 8;
	graph_draw(&c, r, s, 1, 8);
	CHECK_STR(dump(), "       .\n");
	graph_draw(&c, r, s, 0, 8);
	/* Two rows. */
	start(2, 2, cs_ascii);
	graph_draw(&c, (struct rect){ 0, 0, 2, 2 }, s + 3, 2, 2);
	CHECK_STR(dump(), ":#\n##\n");
}

static void
utf8(void)
{
	static const char *const bad[] = { "\x80", "\xc0\xaf", "\xe0\x80\xaf",
		"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff", "\xc3" };
	char u[5];
	uint32_t ch;
	size_t i, len;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *p = bad[i];

		len = strlen(p);
		CHECK_EQ(utf8_next(&p, &len), 0xfffd);
		CHECK(p == bad[i] + 1);
	}
	for (ch = 1; ch <= 0x10ffff; ch += 7) {
		const char *p = u;

		if (ch >= 0xd800 && ch <= 0xdfff)
			continue;
		len = utf8_put(u, ch);
		CHECK_EQ(utf8_next(&p, &len), ch);
		CHECK_EQ(len, 0);
	}
}

static void
clipboard(void)
{
	char out[64];

	CHECK_EQ(osc52(out, sizeof(out), "a", 1), 13);
	CHECK_STR(out, "\033]52;c;YQ==\033\\");
	osc52(out, sizeof(out), "abc\033[2J", 7);
	CHECK_STR(out, "\033]52;c;YWJjG1sySg==\033\\");
	CHECK_EQ(osc52(out, 12, "a", 1), 0);
	CHECK_EQ(osc52(out, sizeof(out), "", 0), 0);
	CHECK_EQ(osc52(out, sizeof(out), out, SCREEN_COPY_BYTES + 1), 0);
}

static const struct tap_case cases[] = {
	{ "T70 grid: no control, mark or direction enters", t70_grid },
	{ "canvas: text is cut and made fit", text },
	{ "canvas: wide characters stay whole", wide },
	{ "canvas: nothing outside is touched", bounds },
	{ "canvas: graphs in three character sets", graphs },
	{ "canvas: UTF-8 is strict", utf8 },
	{ "canvas: OSC 52", clipboard },
};
TAP_MAIN(cases)
