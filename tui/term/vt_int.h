/* SPDX-License-Identifier: ISC */
/* Between vt.c and snap.c: the struct around libtsm. */
#ifndef TUI_TERM_VT_INT_H
#define TUI_TERM_VT_INT_H

#include <libtsm.h>

#include "tui/term/plain.h"
#include "tui/term/vt.h"

struct vt {
	struct tsm_screen *screen;
	struct tsm_vte *vte;
	int rows, cols;
	unsigned scrollback; /* lines */
	vt_answer *answer;
	void *ctx;
	struct plain plain;
	char *later; /* plain bytes that libtsm has not seen */
	size_t nlater;
	bool answers; /* in this feed */
	size_t answered;
	char *key_out; /* in vt_key(): where the bytes go */
	size_t key_len;
};

/* Before libtsm's screen is looked at or changed. */
void vt_catch_up(struct vt *);
void vt_cell(struct cell *, const uint32_t *ch, size_t len, unsigned width,
    const struct tsm_screen_attr *);
void vt_put(struct canvas *, int row, int col, int end, const struct cell *);
/* Where the cursor is; false: the guest hides it. */
bool vt_cursor(const struct vt *, unsigned *x, unsigned *y);

#endif
