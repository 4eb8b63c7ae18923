/* SPDX-License-Identifier: ISC */
/*
 * What a device process may ask of the kernel, all of its threads alike, put on
 * before its image is looked at.  Budget: 16 calls.
 *
 * No ioctl, open, socket, clone, execve, and nothing to malloc with: what a
 * device needs it has before.  preadv2 and pwritev2 stand for four calls: an
 * offset of -1 is read(2) and write(2), which is what eventfds take.
 */
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>

#include "daemon/proc/sandbox.h"

static const unsigned long no_exec[] = { 0, 0 };
static const unsigned long seals[] = { F_GET_SEALS, 0 };
static const unsigned long at_empty_path[] = { AT_EMPTY_PATH, 0 };

#define CALL(n) .nr = SCMP_SYS(n)

static const struct sandbox_call blk_calls[] = {
	{ CALL(preadv2), .why = "the image; a kick" },
	{ CALL(pwritev2), .why = "the image; an interrupt" },
	{ CALL(io_submit), .why = "several requests at once" },
	{ CALL(io_getevents), .why = "how these ended" },
	{ CALL(fdatasync), .why = "flush" },
	{ CALL(fallocate), .why = "discard, write zeroes" },
	{ CALL(futex), .why = "queues start and stop" },
	{ CALL(recvmsg), .why = "vhost-user" },
	{ CALL(sendmsg), .why = "vhost-user" },
	{ CALL(mmap), .why = "guest memory, never to execute",
	    .values = no_exec, .arg = 2, .bits = PROT_EXEC },
	{ CALL(munmap), .why = "guest memory, when there is other" },
	{ CALL(close), .why = "eventfds, when there are others" },
	{ CALL(fcntl), .why = "is guest memory sealed", .values = seals,
	    .arg = 1 },
	{ CALL(newfstatat), .why = "fstat: how large are memory and image",
	    .values = at_empty_path, .arg = 3 },
	{ CALL(clock_gettime), .why = "latencies, where the vDSO has none" },
	{ CALL(exit_group), .why = "the vm process has gone" },
};

const struct sandbox_filter filter_blk = {
	.name = "blk",
	.calls = blk_calls,
	.ncalls = sizeof(blk_calls) / sizeof(blk_calls[0]),
};

_Static_assert(sizeof(blk_calls) / sizeof(blk_calls[0]) <= 16, "budget S1");
