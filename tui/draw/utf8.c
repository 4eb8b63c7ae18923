/* SPDX-License-Identifier: ISC */
/* UTF-8 in and out, strict (Unicode 15, table 3-7).  Touches no global. */
#include "tui/draw/canvas.h"

#define BAD 0xfffd

static int
utf8_len(unsigned char c, uint32_t *first)
{
	if (c < 0x80) {
		*first = c;
		return (1);
	}
	if (c >= 0xc2 && c <= 0xdf) {
		*first = c & 0x1f;
		return (2);
	}
	if (c >= 0xe0 && c <= 0xef) {
		*first = c & 0x0f;
		return (3);
	}
	if (c >= 0xf0 && c <= 0xf4) {
		*first = c & 0x07;
		return (4);
	}
	return (0);
}

uint32_t
utf8_next(const char **p, size_t *len)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)*p;
	uint32_t ch = 0;
	int i, n;

	n = utf8_len(s[0], &ch);
	if (n == 0 || (size_t)n > *len)
		goto bad;
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			goto bad;
		ch = ch << 6 | (s[i] & 0x3f);
	}
	if (ch < least[n] || ch > 0x10ffff || (ch >= 0xd800 && ch <= 0xdfff))
		goto bad;
	*p += n;
	*len -= (size_t)n;
	return (ch);
bad:
	*p += 1;
	*len -= 1;
	return (BAD);
}

size_t
utf8_put(char out[5], uint32_t ch)
{
	size_t n = 0;

	if (ch > 0x10ffff || (ch >= 0xd800 && ch <= 0xdfff))
		ch = BAD;
	if (ch < 0x80) {
		out[n++] = (char)ch;
	} else if (ch < 0x800) {
		out[n++] = (char)(0xc0 | ch >> 6);
		out[n++] = (char)(0x80 | (ch & 0x3f));
	} else if (ch < 0x10000) {
		out[n++] = (char)(0xe0 | ch >> 12);
		out[n++] = (char)(0x80 | (ch >> 6 & 0x3f));
		out[n++] = (char)(0x80 | (ch & 0x3f));
	} else {
		out[n++] = (char)(0xf0 | ch >> 18);
		out[n++] = (char)(0x80 | (ch >> 12 & 0x3f));
		out[n++] = (char)(0x80 | (ch >> 6 & 0x3f));
		out[n++] = (char)(0x80 | (ch & 0x3f));
	}
	out[n] = '\0';
	return (n);
}
