/* SPDX-License-Identifier: ISC */
/*
 * A guest's terminal (T70): the input is console output, cut by 0xff into
 * pieces; the byte after each 0xff resizes, looks back or presses a key.
 * Whatever it does, the grid holds only what may be shown.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "tui/key.h"
#include "tui/term/vt.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static size_t answered;

static void
on_answer(void *ctx, const char *bytes, size_t len)
{
	(void)ctx;
	(void)bytes;
	answered += len;
}

static void
check(struct vt *vt, bool utf8)
{
	struct charset cs = { utf8, GRAPH_TTY };
	struct canvas c;
	size_t i, n;

	if (canvas_init(&c, vt_rows(vt) + 1, vt_cols(vt) + 1, cs) == -1)
		return;
	vt_draw(vt, &c, (struct rect){ 0, 0, vt_rows(vt), vt_cols(vt) }, true);
	n = (size_t)c.rows * (size_t)c.cols;
	for (i = 0; i < n; i++)
		if (c.cells[i].width != 0 &&
		    (c.cells[i].ch < 0x20 ||
			(c.cells[i].ch >= 0x7f && c.cells[i].ch < 0xa0) ||
			(!utf8 && c.cells[i].ch >= 0x7f)))
			abort();
	if (c.cur_row >= vt_rows(vt) || c.cur_col >= vt_cols(vt))
		abort();
	canvas_fini(&c);
}

static void
look_back(struct vt *vt)
{
	struct vt_snap *s = vt_snap_take(vt);
	struct vt_pos at;
	char *text;

	if (s == NULL)
		return;
	at = (struct vt_pos){ s->lines, 0 };
	vt_snap_find(s, "a", -1, &at);
	text = vt_snap_text(
	    s, (struct vt_pos){ 0, 1 }, (struct vt_pos){ s->lines - 1, 2 });
	free(text);
	vt_snap_free(s);
}

static void
act(struct vt *vt, uint8_t what)
{
	static const uint32_t keys[] = { K_UP, K_F1, K_DEL, K_HOME, 'a', 0xe9,
		K_BTAB, K_ALT | 'x' };
	char out[VT_KEY_BYTES];

	switch (what & 3) {
	case 0:
		vt_resize(vt, 1 + (what >> 2) % 16, 1 + what / 3);
		break;
	case 1:
		look_back(vt);
		break;
	case 2:
		if (vt_key(vt, keys[what >> 5], out) > VT_KEY_BYTES)
			abort();
		break;
	default:
		vt_notice(vt, "lost");
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *cut;
	struct vt *vt;
	size_t n;

	setlocale(LC_CTYPE, "C.UTF-8");
	if (len > 4096 || vt_open(&vt, 6, 20, on_answer, NULL) == -1)
		return (0);
	while (len > 0) {
		cut = memchr(data, 0xff, len);
		n = cut != NULL ? (size_t)(cut - data) : len;
		answered = 0;
		vt_feed(vt, data, n, true);
		if (answered > VT_ANSWER_BYTES)
			abort();
		data += n;
		len -= n;
		if (len < 2)
			break;
		act(vt, data[1]);
		data += 2;
		len -= 2;
	}
	check(vt, true);
	check(vt, false);
	vt_close(vt);
	return (0);
}
