/* SPDX-License-Identifier: ISC */
/*
 * Plain output: after any bytes a flood of lines comes, and more bytes.  A
 * terminal that was looked at all the time and interpreted every line shows the
 * same as one that nobody looked at.  The first byte says where the input is
 * cut in two.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tui/term/vt_int.h"

#define ROWS 4
#define COLS 12
#define SCROLLBACK 4
#define LINES 20 /* more than scrollback and screens; half of them are not */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
no_answer(void *ctx, const char *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	(void)len;
}

static struct vt *
start(void)
{
	struct vt *vt;

	if (vt_open(&vt, ROWS, COLS, no_answer, NULL) == -1)
		abort();
	vt->scrollback = SCROLLBACK;
	tsm_screen_set_max_sb(vt->screen, SCROLLBACK);
	return (vt);
}

static void
look(struct vt *vt, struct canvas *c)
{
	const struct charset cs = { true, GRAPH_TTY };

	if (canvas_init(c, ROWS, COLS, cs) == -1)
		abort();
	vt_draw(vt, c, canvas_rect(c), true);
}

/* In pieces, so that no line is passed over. */
static void
feed(struct vt *vt, const void *bytes, size_t len, size_t piece)
{
	const char *p = bytes;
	struct canvas c;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = len < piece ? len : piece;
		vt_feed(vt, p, n, true);
		look(vt, &c);
		canvas_fini(&c);
	}
}

static void
flood(char *buf, size_t *len)
{
	int i;

	for (*len = 0, i = 0; i < LINES; i++) {
		buf[(*len)++] = (char)('a' + i % 26);
		if (i % 7 == 0) {
			buf[(*len)++] = '\303';
			buf[(*len)++] = '\244';
		}
		buf[(*len)++] = '\r';
		buf[(*len)++] = '\n';
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char lines[LINES * 4];
	struct vt *one, *two;
	struct canvas a, b;
	size_t cut, n;

	setlocale(LC_CTYPE, "C.UTF-8");
	if (len < 1 || len > 512)
		return (0);
	cut = data[0] < len - 1 ? data[0] : len - 1;
	one = start();
	two = start();
	flood(lines, &n);
	feed(one, data + 1, cut, cut);
	feed(one, lines, n, n / 2);
	feed(one, data + 1 + cut, len - 1 - cut, len);
	vt_feed(two, data + 1, cut, true);
	vt_feed(two, lines, n, true);
	vt_feed(two, data + 1 + cut, len - 1 - cut, true);
	look(one, &a);
	look(two, &b);
	if (a.cur_row != b.cur_row || a.cur_col != b.cur_col ||
	    memcmp(a.cells, b.cells, ROWS * COLS * sizeof(*a.cells)) != 0)
		abort();
	canvas_fini(&a);
	canvas_fini(&b);
	vt_close(one);
	vt_close(two);
	return (0);
}
