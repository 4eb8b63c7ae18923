/* SPDX-License-Identifier: ISC */
/* The clipboard sequence of xterm (ctlseqs, OSC 52); base64 of RFC 4648. */
#include <string.h>

#include "tui/draw/screen.h"

size_t
osc52(char *out, size_t size, const char *text, size_t len)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	static const char head[] = "\033]52;c;";
	const unsigned char *p = (const unsigned char *)text;
	size_t n = sizeof(head) - 1, i;
	uint32_t v;

	if (len == 0 || len > SCREEN_COPY_BYTES ||
	    n + (len + 2) / 3 * 4 + 3 > size)
		return (0);
	memcpy(out, head, n);
	for (i = 0; i < len; i += 3) {
		v = (uint32_t)p[i] << 16;
		v |= i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0;
		v |= i + 2 < len ? p[i + 2] : 0;
		out[n++] = digit[v >> 18];
		out[n++] = digit[v >> 12 & 63];
		out[n++] = i + 1 < len ? digit[v >> 6 & 63] : '=';
		out[n++] = i + 2 < len ? digit[v & 63] : '=';
	}
	out[n++] = '\033';
	out[n++] = '\\';
	out[n] = '\0';
	return (n);
}
