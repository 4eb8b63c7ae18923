/* SPDX-License-Identifier: ISC */
/*
 * Console throughput: a VM process's ring (the test writes it, paced so that
 * nothing is lost) through control to one client.  Wall clock.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "regress/lib/ctlplay.h"

#define TOTAL (512ull << 20)

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

int
main(void)
{
	static uint8_t chunk[PLAY_RING / 4];
	struct play_vm vm;
	struct wire cl;
	struct wire_msg m;
	uint64_t got = 0, lost = 0;
	double t;

	play_setup();
	play_vm_open(&vm, 1, "one");
	play_client(&cl);
	memset(chunk, 'x', sizeof(chunk));
	if (!play_attach(&cl, 1, 0, 0, 1u << 30, 0, &m))
		return (1);
	t = now();
	while (got + lost < TOTAL) {
		while (vm.ring.end < TOTAL &&
		    vm.ring.end - got - lost <= PLAY_RING / 2)
			ring_write(&vm.ring, chunk, sizeof(chunk));
		if (!wire_recv(&cl, &m))
			return (1);
		if (m.type == MSG_CONS_GAP)
			lost += m.gap.lost;
		if (m.type == MSG_CONS_DATA)
			got += m.chunk.len;
	}
	t = now() - t;
	printf("console_throughput\t%.0f\tMB/s\t30\n", (double)got / t / 1e6);
	printf("console_lost\t%llu\tbytes\t0\n", (unsigned long long)lost);
	wire_close(&cl);
	play_vm_close(&vm);
	play_teardown();
	return (0);
}
