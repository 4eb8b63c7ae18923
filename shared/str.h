/* SPDX-License-Identifier: ISC */
/*
 * Strings: bounded copies, names, UTF-8, and showing text that others wrote.
 * Pure functions; any thread.
 */
#ifndef SHARED_STR_H
#define SHARED_STR_H

#include <features.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STR_NAME_BYTES 64 /* a VM's or switch's name with its NUL */

/*
 * strlcpy(3), strlcat(3): glibc has them from 2.38 on.  Both return the length
 * that was wanted; a result >= size means that the text was cut.
 */
#if defined(__GLIBC__) && !__GLIBC_PREREQ(2, 38)
size_t strlcpy(char *dst, const char *src, size_t size);
size_t strlcat(char *dst, const char *src, size_t size);
#endif

/*
 * One UTF-8 character from n bytes: its length, 1 to 4, with the code point in
 * *cp (may be NULL); 0 when the bytes are none (n is 0, stray or missing
 * continuation, overlong, surrogate, beyond U+10FFFF: RFC 3629 section 3).
 */
size_t str_utf8(const char *s, size_t n, uint32_t *cp);

/*
 * The longest prefix of s, at most max bytes, that ends between characters.
 * Bytes that are no UTF-8 count as one character each.
 */
size_t str_utf8_cut(const char *s, size_t max);

/*
 * Make untrusted text fit to be shown in a terminal or a log: valid printable
 * UTF-8 stays; control bytes, C1 controls, bytes that are no UTF-8, line and
 * paragraph separators and the marks that turn the direction of writing become
 * \ooo, byte by byte.  A backslash stays as it is, so a second pass changes
 * nothing (and the result cannot be turned back).  A text that does not fit is
 * cut between characters and ends in "..." (dstsize > 3).  dst always ends in
 * NUL when dstsize > 0.  Returns the bytes written without the NUL.
 */
size_t str_vis(char *dst, size_t dstsize, const char *src);
size_t str_visn(char *dst, size_t dstsize, const char *src, size_t n);

/*
 * A name as vmd(8) takes it: 1 to 63 of letters, digits, '.', '-' and '_', the
 * first a letter or digit.  ASCII whatever the locale says.
 */
bool str_valid_name(const char *name);

#endif
