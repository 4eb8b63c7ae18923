/* SPDX-License-Identifier: ISC */
/*
 * Bytes of the person's terminal into keys, mouse events and pasted text:
 * xterm, VT220, Linux console, rxvt, tmux, screen (ECMA-48 5.4; xterm's
 * ctlseqs; SGR mouse 1006; bracketed paste 2004).  Pure.
 */
#ifndef TUI_TERM_KEYDEC_H
#define TUI_TERM_KEYDEC_H

#include "tui/key.h"

#define KEYDEC_BYTES 128 /* longest sequence that is kept */

struct keydec {
	char buf[KEYDEC_BYTES]; /* the beginning of a sequence */
	size_t len;
	bool paste;
	int64_t click_ms;
	int click_row, click_col;
};

struct keydec_sink {
	void (*input)(void *ctx, const struct input *);
	void (*paste)(void *ctx, const char *bytes, size_t len, bool last);
	void *ctx;
};

/* Decode; what is not whole is kept.  now_ms tells double clicks. */
void keydec_feed(struct keydec *, const char *bytes, size_t len, int64_t now_ms,
    const struct keydec_sink *);
/* True: an Esc waits to be told from a sequence; call keydec_flush() soon. */
bool keydec_waits(const struct keydec *);
/* Nothing more came: what is kept are keys. */
void keydec_flush(struct keydec *, const struct keydec_sink *);

#endif
