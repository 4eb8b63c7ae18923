/* SPDX-License-Identifier: ISC */
/*
 * Is console output plain: lines of text with colours, on a screen that
 * scrolls as a whole?  Of such lines a terminal shows the last ones as if those
 * before had never been, but for the colours.  Pure: no memory, no libtsm.
 * Runs in: vmtop.  Trusts: nobody.
 */
#ifndef TUI_TERM_PLAIN_H
#define TUI_TERM_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plain {
	uint8_t state; /* of the parser: all zero at the start */
	bool margins;  /* a part of the screen may scroll by itself */
	bool other;    /* bytes may not be UTF-8 */
	uint8_t high;  /* the byte before, when it is not ASCII; 0 as well
			* behind a whole character */
	uint8_t left;  /* bytes of UTF-8 that are to come */
};

/* Every byte in its turn; true: these are plain, and so was what they began
 * in the middle of.  Their end may be the beginning of a colour or
 * character. */
bool plain_scan(struct plain *, const void *bytes, size_t len);
/* No sequence is open. */
bool plain_between(const struct plain *);
/* Where the last lines of plain output begin, 0: not so many are there. */
size_t plain_tail(const void *bytes, size_t len, unsigned lines);
/* The next colour from *at on: its place and length, *at is behind it. */
const void *plain_colour(
    const void *bytes, size_t len, size_t *at, size_t *colour_len);

#endif
