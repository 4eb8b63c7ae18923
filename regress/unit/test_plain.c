/* SPDX-License-Identifier: ISC */
/*
 * Floods of plain lines, of which most are never interpreted: what is left on
 * screen and in scrollback is the same as if all of them had been.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/tap.h"
#include "tui/term/plain.h"
#include "tui/term/vt.h"

#define ROWS 6
#define COLS 24
#define PIECE 16000
#define ENOUGH 400 /* bytes: never so many lines that some are gone */

static void
no_answer(void *ctx, const char *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
}

static bool
plain(const char *before, const char *text)
{
	struct plain p = { 0 };

	plain_scan(&p, before, strlen(before));
	return (plain_scan(&p, text, strlen(text)));
}

static void
what_is_plain(void)
{
	static const struct {
		const char *before, *text;
		bool plain;
	} t[] = {
		{ "", "", true },
		{ "", "line\r\n\tline\b\r\n", true },
		{ "", "\033[31mred\033[0m\033[m\033[1;38;5;4m", true },
		{ "\033[3", "1mred", true },
		{ "\033", "[0mx", true },
		{ "\303\244\r\n", "x", true },
		{ "\303", "\244x", true },
		{ "\342\202", "\254", true },
		{ "", "\303\244\342\202\254\360\237\221\250\r\n", true },
		{ "\033]0;title\a", "x", true },
		{ "\033]0;title\033\\", "x", true },
		{ "\033[1;5r\033[r", "x", true },
		{ "\033(0", "x", true },
		{ "\033[?1049h", "x", true },
		{ "\033Pq\033[0m", "x", true },
		{ "\033[5", "\030x", false },
		/* moves, margins, other characters */
		{ "", "x\033[A", false },
		{ "", "x\033[2J", false },
		{ "", "\033M", false },
		{ "", "\033[>m", false },
		{ "", "\016", false },
		{ "", "\005", false },
		{ "", "\177", false },
		{ "\303", "x", false },
		{ "\244", "x", false },
		{ "", "\244", false },
		{ "", "\303\303\244", false },
		{ "", "\342\202x", false },
		{ "", "\302\205", false },
		{ "", "\340\202\205", false },
		{ "", "\355\240\200", false },
		{ "", "\364\220\200\200", false },
		{ "", "\033[\303\244", false },
		{ "", "\033[3\n1m", false },
		{ "\033[1;5r", "x", false },
		{ "\033[2r", "x", false },
		{ "\033[1;5r\033[\303\244r", "x", false },
		{ "\033[1;5r\033\303\244[r", "x", false },
		/* ESC is taken with the character that ends there */
		{ "\033[1;5r\362\033[r", "x", false },
		{ "\033[1;5r\362\362\033[r", "x", true },
		{ "\362\033[1;5r", "x", true },
		/* in the middle of something */
		{ "\033]0;ti", "tle", false },
		{ "\033Pq", "x\a", false },
		{ "\033_x\a", "x", false },
		{ "\033[?25", "h", false },
		{ "\033(", "0", false },
		{ "\302\235", "x", false },
		{ "\300\233", "x", false },
		{ "\033[61\"p\235", "x", false },
	};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		CHECK_MSG(plain(t[i].before, t[i].text) == t[i].plain,
		    "row %zu is %splain", i, t[i].plain ? "not " : "");
}

static void
where_to_cut(void)
{
	static const char text[] = "a\r\nb\r\nc\nd\r\ne";
	const size_t len = sizeof(text) - 1;

	CHECK_EQ(plain_tail(text, len, 0), 11);
	CHECK_EQ(plain_tail(text, len, 1), 6); /* "c" does not end a line */
	CHECK_EQ(plain_tail(text, len, 2), 6);
	CHECK_EQ(plain_tail(text, len, 3), 3);
	CHECK_EQ(plain_tail(text, len, 4), 0);
	CHECK_EQ(plain_tail("\n", 1, 0), 0);
	CHECK_EQ(plain_tail("", 0, 0), 0);
}

/* ---- two terminals, one that is looked at all the time ---- */

static struct vt *one, *two;
static uint32_t seed;

static uint32_t
any(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return ((seed >> 8) % n);
}

static void
look(struct vt *vt)
{
	const struct charset cs = { true, GRAPH_TTY };
	struct canvas c;

	if (canvas_init(&c, 1, 1, cs) == -1)
		abort();
	vt_draw(vt, &c, canvas_rect(&c), true);
	canvas_fini(&c);
}

static void
both(const char *bytes, size_t len)
{
	size_t at, n;

	for (at = 0; at < len; at += n) {
		n = len - at < ENOUGH ? len - at : ENOUGH;
		vt_feed(one, bytes + at, n, true);
		look(one);
	}
	for (at = 0; at < len; at += n) {
		n = 1 + any(PIECE);
		n = len - at < n ? len - at : n;
		vt_feed(two, bytes + at, n, true);
	}
}

static bool
same(void)
{
	struct vt_snap *a = vt_snap_take(one), *b = vt_snap_take(two);
	bool equal;

	equal = a->lines == b->lines && a->cols == b->cols &&
	    memcmp(a->cells, b->cells,
		(size_t)a->lines * (size_t)a->cols * sizeof(*a->cells)) == 0;
	vt_snap_free(a);
	vt_snap_free(b);
	return (equal);
}

/* Lines, most of them with their end, now and then with a colour. */
static size_t
lines(char *buf, size_t size)
{
	static const char *const colours[] = { "\033[1;31m", "\033[m",
		"\033[44m", "\033[38;5;100;7m" };
	size_t len = 0, longest = 3 + any(2 * COLS);
	int n = 0;

	while (len + 2 * COLS + 64 < size) {
		if (any(8) == 0)
			len +=
			    (size_t)sprintf(buf + len, "%s", colours[any(4)]);
		len += (size_t)sprintf(buf + len, "%-*d%s%s",
		    (int)any((uint32_t)longest), n++,
		    any(8) == 0 ? "\342\202\254\346\227\245" : "",
		    any(16) == 0 ? "\n" : "\r\n");
	}
	return (len);
}

static void
floods(void)
{
	static const char *const odd[] = { "\033[2;4r", "\033[r", "\033[3A",
		"\033[H", "\033[?1049h", "\033[?1049l", "\033[4h", "\033[4l",
		"\033[?7l", "\033[?7h", "\033[?6h", "\033[?6l", "\033(0",
		"\033(B", "\303\244", "\033[5", "\033", "\033[2J", "\033c",
		"\0337", "\0338", "\303", "\033[1;5", "\033[2;1H\033[10L" };
	static char buf[3 * VT_LATER_BYTES];
	const size_t n = sizeof(odd) / sizeof(odd[0]);
	int round;
	size_t k;

	setlocale(LC_CTYPE, "C.UTF-8");
	for (round = 0; round < 12; round++) {
		seed = (uint32_t)round * 7919;
		CHECK_EQ(vt_open(&one, ROWS, COLS, no_answer, NULL), 0);
		CHECK_EQ(vt_open(&two, ROWS, COLS, no_answer, NULL), 0);
		for (k = 0; k < 6; k++) {
			const char *what = odd[(size_t)any((uint32_t)n)];

			both(what, strlen(what));
			both(buf, lines(buf, any(2) ? 2000 : sizeof(buf)));
			if (any(4) == 0) {
				int rows = 3 + (int)any(8);

				vt_resize(one, rows, COLS);
				vt_resize(two, rows, COLS);
			}
		}
		CHECK_MSG(same(), "round %d differs", round);
		vt_notice(one, "over");
		vt_notice(two, "over");
		CHECK_MSG(same(), "round %d differs afterwards", round);
		vt_close(one);
		vt_close(two);
	}
}

static const struct tap_case cases[] = {
	{ "plain: what is and what is not", what_is_plain },
	{ "plain: where the last lines begin", where_to_cut },
	{ "plain: lines that nobody saw leave nothing behind", floods },
};
TAP_MAIN(cases)
