/* SPDX-License-Identifier: ISC */
/* Sizes as people write them: 512M, 1.5G.  As OpenBSD's scan_scaled(3). */
#ifndef SHARED_SIZE_H
#define SHARED_SIZE_H

#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

#define SIZE_TEXT_BYTES 8 /* the longest that size_format() makes: "1023K" */

/*
 * A number, with a fraction or without, and one of B K M G T P E in either case
 * (powers of 1024; none: bytes).  White space may stand before, nothing after.
 * What the fraction has below one byte is dropped.  No sign but '+'; the limit
 * is INT64_MAX.  0, or -1 with *e EINVAL or ERANGE, and *bytes untouched.
 */
int size_parse(const char *text, uint64_t *bytes, struct err *e);

/*
 * As fmt_scaled(3): "0B", "512B", "1.5K", "64.0M", "512M": one decimal below
 * 100 of a unit, rounded.  Cut to dstsize, always ends in NUL.  Returns dst.
 */
char *size_format(char *dst, size_t dstsize, uint64_t bytes);

#endif
