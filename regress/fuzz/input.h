/* SPDX-License-Identifier: ISC */
/*
 * A fuzzer's input, read from its beginning to its end; beyond that it is zeros,
 * so that every input is a whole program.
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* Around what a fuzzer does itself: it is no news to libFuzzer. */
#ifdef __clang__
#define NO_COVERAGE_BEGIN                                                      \
	_Pragma(                                                               \
	    "clang attribute push(__attribute__((no_sanitize(\"coverage\"))), apply_to = function)")
#define NO_COVERAGE_END _Pragma("clang attribute pop")
#else
#define NO_COVERAGE_BEGIN
#define NO_COVERAGE_END
#endif

NO_COVERAGE_BEGIN

struct input {
	const uint8_t *p;
	size_t left; /* bytes */
};

/* A number of n bytes, the highest first; of fewer, if no more are left. */
static inline uint64_t
take(struct input *in, unsigned n)
{
	uint64_t v = 0;

	for (; n > 0 && in->left > 0; n--, in->left--)
		v = v << 8 | *in->p++;
	return (v);
}

static inline uint8_t
take_byte(struct input *in)
{
	return ((uint8_t)take(in, 1));
}

static inline void
take_bytes(struct input *in, void *to, size_t n)
{
	size_t have = n < in->left ? n : in->left;

	memset(to, 0, n);
	if (have == 0)
		return;
	memcpy(to, in->p, have);
	in->p += have;
	in->left -= have;
}

NO_COVERAGE_END

#endif
