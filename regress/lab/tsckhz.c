/* SPDX-License-Identifier: ISC */
/*
 * Prints the frequency of this machine's time stamp counter in kHz.  QEMU's TCG
 * hands the counter on as it is, and a kernel that has to guess its frequency
 * on a busy host can be wrong by a factor of ten.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

#define SAMPLE_NS 100000000
#define TRIES 16

/* The counter and the clock at one moment: of some tries, the closest pair. */
static void
sample(uint64_t *tsc, uint64_t *ns)
{
	uint64_t before, after, best = UINT64_MAX;
	struct timespec t;
	int i;

	for (i = 0; i < TRIES; i++) {
		before = __rdtsc();
		clock_gettime(CLOCK_MONOTONIC, &t);
		after = __rdtsc();
		if (after - before >= best)
			continue;
		best = after - before;
		*tsc = before + best / 2;
		*ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	}
}

int
main(void)
{
	struct timespec pause = { .tv_nsec = SAMPLE_NS };
	uint64_t tsc[2], ns[2];

	sample(&tsc[0], &ns[0]);
	nanosleep(&pause, NULL);
	sample(&tsc[1], &ns[1]);
	printf("%.0f\n",
	    (double)(tsc[1] - tsc[0]) * 1e6 / (double)(ns[1] - ns[0]));
	return (0);
}
