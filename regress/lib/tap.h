/* SPDX-License-Identifier: ISC */
/*
 * The test harness: a test program is a list of cases; each case is a function
 * that uses CHECK().  One line a case, "ok name" or "not ok name", and a last
 * line "N passed, N failed, N skipped".  Exit status 1 when anything failed.
 */
#ifndef REGRESS_TAP_H
#define REGRESS_TAP_H

#include <stdbool.h>
#include <stdio.h>

struct tap_case {
	const char *
	    name; /* starts with the T-number where there is one: "T29 uart ..." */
	void (*fn)(void);
};

/* Run them all, or those whose name contains argv[1]. */
int tap_main(int argc, char **argv, const struct tap_case *cases, size_t n);
void tap_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Say why; the case counts as skipped.  Return from the case after it. */
void tap_skip(const char *why);
/* How many fds are open: to compare with an earlier answer. */
int tap_fds(void);

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			tap_fail(__FILE__, __LINE__, "%s", #cond);             \
	} while (0)
#define CHECK_MSG(cond, ...)                                                   \
	do {                                                                   \
		if (!(cond))                                                   \
			tap_fail(__FILE__, __LINE__, __VA_ARGS__);             \
	} while (0)
#define CHECK_EQ(a, b)                                                         \
	do {                                                                   \
		long long a_ = (long long)(a), b_ = (long long)(b);            \
		if (a_ != b_)                                                  \
			tap_fail(__FILE__, __LINE__,                           \
			    "%s is %lld (0x%llx), not %lld (0x%llx)", #a, a_,  \
			    a_, b_, b_);                                       \
	} while (0)
#define CHECK_STR(a, b)                                                        \
	do {                                                                   \
		const char *a_ = (a), *b_ = (b);                               \
		if (strcmp(a_, b_) != 0)                                       \
			tap_fail(__FILE__, __LINE__,                           \
			    "%s is \"%s\", not \"%s\"", #a, a_, b_);           \
	} while (0)
/* In a helper that cannot go on. */
#define REQUIRE(cond)                                                          \
	do {                                                                   \
		if (!(cond)) {                                                 \
			tap_fail(__FILE__, __LINE__, "%s", #cond);             \
			return;                                                \
		}                                                              \
	} while (0)

#define TAP_MAIN(cases)                                                        \
	int main(int argc, char **argv)                                        \
	{                                                                      \
		return (tap_main(                                              \
		    argc, argv, cases, sizeof(cases) / sizeof(cases[0])));     \
	}

#endif
