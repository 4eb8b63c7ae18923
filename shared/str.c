/* SPDX-License-Identifier: ISC */
/* Strings: see str.h. */
#include <string.h>

#include "shared/str.h"

#if defined(__GLIBC__) && !__GLIBC_PREREQ(2, 38)
size_t
strlcpy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src), n;

	if (size > 0) {
		n = len < size ? len : size - 1;
		memcpy(dst, src, n);
		dst[n] = '\0';
	}
	return (len);
}

size_t
strlcat(char *dst, const char *src, size_t size)
{
	size_t used = strnlen(dst, size);

	return (used + strlcpy(dst + used, src, size - used));
}
#endif

size_t
str_utf8(const char *s, size_t n, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	uint32_t c;
	size_t len, i;

	if (n == 0)
		return (0);
	len = p[0] < 0x80 ? 1
	    : p[0] < 0xc2 ? 0
	    : p[0] < 0xe0 ? 2
	    : p[0] < 0xf0 ? 3
	    : p[0] < 0xf5 ? 4
			  : 0;
	if (len == 0 || len > n)
		return (0);
	c = len == 1 ? p[0] : p[0] & (0x7fU >> len);
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return (0);
		c = c << 6 | (p[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return (0);
	if (cp != NULL)
		*cp = c;
	return (len);
}

size_t
str_utf8_cut(const char *s, size_t max)
{
	size_t n = strlen(s), at = 0, len;

	while (at < n) {
		if ((len = str_utf8(s + at, n - at, NULL)) == 0)
			len = 1;
		if (at + len > max)
			break;
		at += len;
	}
	return (at);
}

/* Would this character move the cursor, or turn what stands around it? */
static bool
is_shown(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
		return (false);
	if (c == 0x061c || c == 0x200e || c == 0x200f || c == 0xfeff)
		return (false);
	return (!(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069));
}

/* One character or escape from src to out[16]; *used: bytes of src taken. */
static size_t
vis_one(char *out, const char *src, size_t n, size_t *used)
{
	size_t len, i;
	uint32_t c;

	if ((len = str_utf8(src, n, &c)) != 0 && is_shown(c)) {
		memcpy(out, src, len);
		return (*used = len);
	}
	if (len == 0)
		len = 1;
	for (i = 0; i < len; i++) {
		unsigned char b = (unsigned char)src[i];

		out[i * 4] = '\\';
		out[i * 4 + 1] = (char)('0' + (b >> 6));
		out[i * 4 + 2] = (char)('0' + (b >> 3 & 7));
		out[i * 4 + 3] = (char)('0' + (b & 7));
	}
	*used = len;
	return (len * 4);
}

size_t
str_visn(char *dst, size_t dstsize, const char *src, size_t n)
{
	size_t at = 0, fits = 0, used, len;
	char one[16];

	if (dstsize == 0)
		return (0);
	for (; n > 0; src += used, n -= used) {
		len = vis_one(one, src, n, &used);
		if (at + len >= dstsize)
			break;
		memcpy(dst + at, one, len);
		at += len;
		if (at + 3 < dstsize)
			fits = at; /* "..." can follow here */
	}
	if (n > 0) {
		at = fits;
		for (len = 0; len < 3 && at + 1 < dstsize; len++)
			dst[at++] = '.';
	}
	dst[at] = '\0';
	return (at);
}

size_t
str_vis(char *dst, size_t dstsize, const char *src)
{
	return (str_visn(dst, dstsize, src, strlen(src)));
}

static bool
is_alnum(char c)
{
	return ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9'));
}

bool
str_valid_name(const char *name)
{
	size_t i;

	if (!is_alnum(name[0]))
		return (false);
	for (i = 1; name[i] != '\0'; i++)
		if (i + 1 >= STR_NAME_BYTES ||
		    (!is_alnum(name[i]) && strchr(".-_", name[i]) == NULL))
			return (false);
	return (true);
}
