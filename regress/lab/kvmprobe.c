/* SPDX-License-Identifier: ISC */
/*
 * Can /dev/kvm of this host run a stock kernel?  Prints one word: "none" (it
 * does not open, or runs nothing), "slow" (it emulates ring 0: a kernel would
 * boot for hours) or "good".
 *
 * A guest of three instructions counts, in flat 32-bit ring 0, until a timer
 * stops it; the count tells the speed.  The slowest processor that helps KVM
 * does hundreds of millions of instructions a second, an emulator one.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <linux/kvm.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MEM_BYTES 4096
#define RUN_US 50000
#define GOOD_PER_US 20 /* million instructions a second */

/* xor ecx,ecx; again: inc ecx; jmp again */
static const uint8_t guest_code[] = { 0x31, 0xc9, 0x41, 0xeb, 0xfd };

static void
on_alarm(int sig)
{
	(void)sig;
}

static int
vcpu_open(void)
{
	struct kvm_userspace_memory_region slot = { .memory_size = MEM_BYTES };
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_segment *data[4] = { &sregs.ds, &sregs.es, &sregs.ss,
		&sregs.fs };
	void *mem;
	int kvm, vm, vcpu, i;

	mem = mmap(NULL, MEM_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return (-1);
	memcpy(mem, guest_code, sizeof(guest_code));
	slot.userspace_addr = (uintptr_t)mem;
	if ((kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC)) == -1 ||
	    (vm = ioctl(kvm, KVM_CREATE_VM, 0)) == -1 ||
	    ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) == -1 ||
	    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == -1 ||
	    (vcpu = ioctl(vm, KVM_CREATE_VCPU, 0)) == -1 ||
	    ioctl(vcpu, KVM_GET_SREGS, &sregs) == -1)
		return (-1);
	sregs.cr0 |= 1; /* PE */
	sregs.cs = (struct kvm_segment){ .limit = 0xffffffff,
		.selector = 8,
		.type = 11,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1 };
	for (i = 0; i < 4; i++)
		*data[i] = (struct kvm_segment){ .limit = 0xffffffff,
			.selector = 16,
			.type = 3,
			.present = 1,
			.db = 1,
			.s = 1,
			.g = 1 };
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) == -1 ||
	    ioctl(vcpu, KVM_SET_REGS, &regs) == -1)
		return (-1);
	return (vcpu);
}

/* Instructions the guest ran, and the time it had; -1: it did not run. */
static int
measure(int vcpu, uint64_t *insns, uint64_t *us)
{
	struct itimerval timer = { .it_value = { .tv_usec = RUN_US } };
	struct timespec a, b;
	struct kvm_regs regs;

	clock_gettime(CLOCK_MONOTONIC, &a);
	/* Again and again: the first may come before the guest is entered. */
	timer.it_interval = timer.it_value;
	if (setitimer(ITIMER_REAL, &timer, NULL) == -1 ||
	    ioctl(vcpu, KVM_RUN, 0) != -1 || errno != EINTR)
		return (-1);
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (ioctl(vcpu, KVM_GET_REGS, &regs) == -1)
		return (-1);
	*insns = 2 * regs.rcx;
	*us = (uint64_t)(b.tv_sec - a.tv_sec) * 1000000 +
	    (uint64_t)((b.tv_nsec - a.tv_nsec) / 1000);
	return (0);
}

int
main(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	uint64_t insns, us;
	int vcpu;

	sigaction(SIGALRM, &sa, NULL);
	if ((vcpu = vcpu_open()) == -1 || measure(vcpu, &insns, &us) == -1)
		puts("none");
	else
		puts(insns / us < GOOD_PER_US ? "slow" : "good");
	return (0);
}
