/* SPDX-License-Identifier: ISC */
/*
 * A guest's terminal: bytes in, cells out.  libtsm does the work; it is behind
 * this header alone.  What a guest writes can do nothing but change cells and
 * ask questions; the answers go to vt_answer and from there to that guest.
 * Runs in: vmtop.  Trusts: nobody.
 */
#ifndef TUI_TERM_VT_H
#define TUI_TERM_VT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tui/draw/canvas.h"

#define VT_SCROLLBACK 5000          /* lines */
#define VT_LATER_BYTES (512 * 1024) /* see vt_feed() */
#define VT_KEY_BYTES 32
#define VT_ANSWER_BYTES 256 /* to one vt_feed(); more is dropped */

struct vt;

/* Answers to a guest's questions (DA, DSR, ENQ), for the guest's keyboard. */
typedef void vt_answer(void *ctx, const char *bytes, size_t len);

/* 0, or -1 with errno. */
int vt_open(struct vt **, int rows, int cols, vt_answer *, void *ctx);
void vt_close(struct vt *); /* NULL is fine */
/*
 * answers false: questions in these bytes (a replay) stay unanswered.  Plain
 * lines wait until somebody looks, and of a flood of them only those are
 * interpreted that scrollback and screen can hold.
 */
void vt_feed(struct vt *, const void *bytes, size_t len, bool answers);
int vt_resize(struct vt *, int rows, int cols);
int vt_rows(const struct vt *);
int vt_cols(const struct vt *);
/* Our own line among the guest's: "-- 512 bytes lost --". */
void vt_notice(struct vt *, const char *text);
/* Draw the live screen; focus: put the canvas's cursor where the guest's is. */
void vt_draw(struct vt *, struct canvas *, struct rect, bool focus);
/* The bytes that a guest expects for this key; 0: none. */
size_t vt_key(struct vt *, uint32_t key, char out[VT_KEY_BYTES]);

/*
 * A copy of scrollback and screen, for scrolling, searching and marking while
 * the guest goes on.  Line 0 is the oldest.
 */
struct vt_snap {
	struct cell *cells;
	int lines, cols;
};
struct vt_pos {
	int line, col;
};

struct vt_snap *vt_snap_take(struct vt *); /* NULL with errno */
void vt_snap_free(struct vt_snap *);
void vt_snap_draw(
    const struct vt_snap *, struct canvas *, struct rect, int top);
/*
 * Look for text upwards (dir -1) or downwards (1) from *at, which is not
 * itself a hit; lower case finds both cases.  True: *at is the hit.
 */
bool vt_snap_find(
    const struct vt_snap *, const char *text, int dir, struct vt_pos *at);
/* Columns of text at this place; 0: it is not there. */
int vt_snap_match(const struct vt_snap *, const char *text, struct vt_pos);
/* What lies between two places, both included, in any order; malloc'd. */
char *vt_snap_text(const struct vt_snap *, struct vt_pos, struct vt_pos);

#endif
