/* SPDX-License-Identifier: ISC */
/* Sizes as people write them: see size.h. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shared/size.h"

static const char units[] = "BKMGTPE";

static bool
is_digit(char c)
{
	return (c >= '0' && c <= '9');
}

/* The power of two behind the number, or -1. */
static int
unit_shift(const char *p)
{
	const char *u;

	if (*p == '\0')
		return (0);
	u = strchr(units, *p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
	if (u == NULL || p[1] != '\0')
		return (-1);
	return ((int)(u - units) * 10);
}

/*
 * 0.DDDD of a unit in bytes, rounded down.  19 digits tell all bytes of an
 * exabyte apart and still fit; what follows them is less than a byte.
 */
static uint64_t
fraction_bytes(const char *digits, int shift)
{
	unsigned __int128 num = 0;
	uint64_t den = 1;
	int i;

	for (i = 0; i < 19 && is_digit(digits[i]); i++) {
		num = num * 10 + (unsigned)(digits[i] - '0');
		den *= 10;
	}
	return ((uint64_t)((num << shift) / den));
}

int
size_parse(const char *text, uint64_t *bytes, struct err *e)
{
	const char *p = text + strspn(text, " \t\n\v\f\r"), *frac = "";
	uint64_t whole = 0;
	bool digits = false;
	int shift;

	if (*p == '+')
		p++;
	for (; is_digit(*p); p++, digits = true) {
		if (whole > INT64_MAX / 10)
			goto range;
		whole = whole * 10 + (uint64_t)(*p - '0');
	}
	if (*p == '.') {
		frac = ++p;
		for (; is_digit(*p); p++)
			digits = true;
	}
	if (!digits || (shift = unit_shift(p)) == -1)
		return (err_set(e, EINVAL,
		    "\"%s\" is no size; write it like 512M or 1.5G", text));
	if (whole > (uint64_t)INT64_MAX >> shift)
		goto range;
	/* The fraction is less than one unit, so it only fills low bits. */
	*bytes = whole << shift | fraction_bytes(frac, shift);
	return (0);
range:
	return (err_set(e, ERANGE, "size \"%s\" is too large", text));
}

char *
size_format(char *dst, size_t dstsize, uint64_t bytes)
{
	uint64_t whole, rest, tenths;
	int shift = 0;

	while (shift < 60 && bytes >> shift >= 1024)
		shift += 10;
	if (shift == 0) {
		snprintf(dst, dstsize, "%" PRIu64 "B", bytes);
		return (dst);
	}
	whole = bytes >> shift;
	rest = bytes & ((UINT64_C(1) << shift) - 1);
	tenths = (rest * 10 + (UINT64_C(1) << (shift - 1))) >> shift;
	if (whole >= 100)
		whole += rest >> (shift - 1);
	else if (tenths == 10) {
		whole++;
		tenths = 0;
	}
	if (whole >= 1024 && shift < 60) {
		whole = 1;
		tenths = 0;
		shift += 10;
	}
	if (whole >= 100)
		snprintf(
		    dst, dstsize, "%" PRIu64 "%c", whole, units[shift / 10]);
	else
		snprintf(dst, dstsize, "%" PRIu64 ".%" PRIu64 "%c", whole,
		    tenths, units[shift / 10]);
	return (dst);
}
