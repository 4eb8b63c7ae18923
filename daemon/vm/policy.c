/* SPDX-License-Identifier: ISC */
/*
 * What a running vm process may ask of the kernel: two tables, one for the
 * event loop, one for each vCPU thread.  Both are put on before the kernel
 * image is looked at.
 *
 * No open, no socket, no clone, no execve, no mapping that could be executed.
 * ioctl goes by request number (hv.h says which), so that the KVM fds serve to
 * run and reset this one VM and nothing else.  vCPU threads neither allocate nor
 * end.  Budgets: 24 and 12 calls.
 */
#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "daemon/hv/hv.h"
#include "daemon/proc/sandbox.h"

static const unsigned long sol_socket[] = { SOL_SOCKET, 0 };
static const unsigned long setfl[] = { F_SETFL, 0 };
static const unsigned long dupfd[] = { F_DUPFD_CLOEXEC, F_GETFL, F_SETFL, 0 };
static const unsigned long advice[] = { MADV_REMOVE, MADV_DONTNEED, 0 };
static const unsigned long map_rw[] = { PROT_READ | PROT_WRITE, 0 };

#define CALL(n) .nr = SCMP_SYS(n)

static const struct sandbox_call vm_calls[] = {
	{ CALL(epoll_wait), .why = "the event loop" },
	{ CALL(epoll_ctl), .why = "links come and go" },
	{ CALL(read), .why = "its eventfd: a vCPU wants something" },
	{ CALL(write), .why = "eventfds: wake, the console's bell" },
	{ CALL(recvmsg), .why = "messages" },
	{ CALL(sendmsg), .why = "messages, pages for a new control" },
	{ CALL(accept4), .why = "vmm and control come back" },
	{ CALL(getsockopt), .why = "SO_PEERCRED of who comes",
	    .values = sol_socket, .arg = 1 },
	{ CALL(close), .why = "links" },
	{ CALL(fcntl),
	    .why = "copies of the pages' fds; O_NONBLOCK of links, kicks",
	    .values = dupfd, .arg = 1 },
	{ CALL(ioctl), .why = "interrupt lines, pause, reset",
	    .values = hv_kvm_main_ioctls, .arg = 1 },
	{ CALL(futex), .why = "locks of devices, waiting for vCPUs" },
	{ CALL(tgkill), .why = "kicks to its own vCPU threads" },
	{ CALL(pread64), .why = "kernel and initrd, at start and reset" },
	{ CALL(newfstatat),
	    .why = "size of kernel and initrd, resident memory" },
	{ CALL(fstat), .why = "the same, of another C library" },
	{ CALL(madvise), .why = "guest memory is given back at a reset",
	    .values = advice, .arg = 2 },
	{ CALL(brk), .why = "malloc: links" },
	{ CALL(mmap), .why = "malloc, never to execute", .values = map_rw,
	    .arg = 2 },
	{ CALL(munmap), .why = "malloc" },
	{ CALL(clock_gettime), .why = "CPU time of vCPU threads" },
	{ CALL(rt_sigreturn),
	    .why = "after a kick that found the wrong thread" },
	{ CALL(getrandom), .why = "rng, when it had to wait" },
	{ CALL(exit_group), .why = "the end" },
};

static const struct sandbox_call vcpu_calls[] = {
	{ CALL(ioctl), .why = "KVM_RUN, interrupts",
	    .values = hv_kvm_vcpu_ioctls, .arg = 1 },
	{ CALL(write), .why = "eventfds: wake the main thread, ring the bell" },
	{ CALL(fcntl), .why = "O_NONBLOCK of a kick, while it is written",
	    .values = setfl, .arg = 1 },
	{ CALL(futex), .why = "locks of devices and buses, parking" },
	{ CALL(rt_sigreturn), .why = "after a kick" },
	{ CALL(getrandom), .why = "rng" },
	{ CALL(clock_gettime),
	    .why = "device clocks, where the vDSO has none" },
};

const struct sandbox_filter filter_vm = {
	.name = "vm",
	.calls = vm_calls,
	.ncalls = sizeof(vm_calls) / sizeof(vm_calls[0]),
};
const struct sandbox_filter filter_vcpu = {
	.name = "vm/vcpu",
	.calls = vcpu_calls,
	.ncalls = sizeof(vcpu_calls) / sizeof(vcpu_calls[0]),
};

_Static_assert(sizeof(vm_calls) / sizeof(vm_calls[0]) <= 24, "budget S1");
_Static_assert(sizeof(vcpu_calls) / sizeof(vcpu_calls[0]) <= 12, "budget S1");
