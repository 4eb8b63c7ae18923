/* SPDX-License-Identifier: ISC */
/* Now, by the clock that nobody sets: CLOCK_MONOTONIC. */
#ifndef SHARED_CLOCK_H
#define SHARED_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t
clock_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec);
}

static inline int64_t
clock_now_ms(void)
{
	return ((int64_t)(clock_now_ns() / 1000000));
}

static inline time_t
clock_now_s(void)
{
	return ((time_t)(clock_now_ns() / 1000000000));
}

#endif
