/* SPDX-License-Identifier: ISC */
/*
 * The block device on rings written beforehand, without KVM.
 *	blk depth n	n requests of 4 KiB, depth of them a kick: to be run
 *			under callgrind, which counts blk_kick()
 *	blk		system calls a request; what devproc adds to them,
 *			reading the kick and writing the call, counted in
 */
#include <stdio.h>
#include <stdlib.h>

#include "regress/lib/blkguest.h"
#include "regress/lib/faultsys.h"

#define AREA 0x1000

static struct blkguest g;

static void
rounds(unsigned depth, unsigned n, uint32_t type)
{
	uint32_t id, len;
	unsigned i;

	for (; n >= depth; n -= depth) {
		for (i = 0; i < depth; i++)
			bg_ask(&g, 0, i, type, i * 8, BG_DATA + i * AREA, 4096);
		bg_kick(&g, 0);
		while (bg_used(&g, 0, &id, &len))
			;
	}
}

static double
calls(unsigned depth, uint32_t type)
{
	struct bg_conf c = { .aio = true, .log = true };
	unsigned n = depth * 100, calls;

	bg_open(&g, &c);
	rounds(depth, n, type);
	calls = faultsys.calls[FS_PREADV] + faultsys.calls[FS_PWRITEV] +
	    2 * faultsys.calls[FS_SUBMIT] + g.signals + n / depth;
	bg_close(&g);
	return ((double)calls / n);
}

int
main(int argc, char **argv)
{
	struct bg_conf c = { .aio = true, .log = true, .event_idx = true };

	if (argc == 3) {
		bg_open(&g, &c);
		bg_blk(&g)->disk.sys = &disk_sys_linux;
		rounds(
		    (unsigned)atoi(argv[1]), (unsigned)atoi(argv[2]), BLK_T_IN);
		bg_close(&g);
		return (0);
	}
	printf(
	    "blk_calls_depth_1\t%.2f\tcalls/request\t3\n", calls(1, BLK_T_IN));
	printf("blk_calls_depth_1_write\t%.2f\tcalls/request\t3\n",
	    calls(1, BLK_T_OUT));
	printf("blk_calls_depth_16\t%.2f\tcalls/request\t1\n",
	    calls(16, BLK_T_IN));
	return (0);
}
