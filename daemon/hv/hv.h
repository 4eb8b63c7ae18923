/* SPDX-License-Identifier: ISC */
/*
 * The hypervisor, as far as the rest may know it.  Two implementations: kvm,
 * and fake, which replays scripted exits for tests.
 */
#ifndef HV_HV_H
#define HV_HV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/hv/regs.h"
#include "daemon/mach/mem.h"
#include "shared/err.h"

/* GSIs below are the irqchip's pins; MSI routes have those from here on. */
#define HV_MSI_GSI 24
#define HV_ROUTES_MAX 512

struct hv_vm;
struct hv_vcpu;

struct hv_route { /* what an irqfd of this GSI sends */
	unsigned gsi;
	uint32_t data;
	uint64_t addr;
};

enum hv_exit_why {
	HV_IO, /* port access(es) */
	HV_MMIO,
	HV_HLT,      /* only without an in-kernel irqchip */
	HV_INTR,     /* kicked, or a signal */
	HV_SHUTDOWN, /* triple fault */
	HV_SYSTEM,   /* system event: shutdown, reset, crash */
	HV_ERROR,    /* cannot go on: err says what and where */
};

struct hv_exit {
	enum hv_exit_why why;
	uint64_t addr;     /* HV_IO: port; HV_MMIO: guest physical */
	void *data;        /* HV_IO, HV_MMIO: count * len bytes, in and out */
	uint32_t count;    /* HV_IO: string repeats, >= 1; else 1 */
	uint8_t len_bytes; /* 1, 2, 4 (8 for MMIO) */
	bool write;
	uint32_t system; /* HV_SYSTEM: 1 shutdown, 2 reset, 3 crash */
	struct err err;  /* HV_ERROR: exit by name, RIP, qualification */
};

struct hv_vm_conf {
	int kvm_fd;     /* of /dev/kvm; borrowed */
	unsigned ncpus; /* 1..64 */
	const struct mem
	    *mem; /* its slots are set before the irqchip is made */
};

struct hv_ops {
	const char *name;
	/* VM, memory slots, then irqchip and PIT.  After it kvm_fd may go. */
	int (*vm_open)(
	    struct hv_vm **, const struct hv_vm_conf *, struct err *);
	void (*vm_close)(struct hv_vm *);
	int (*line)(struct hv_vm *, unsigned gsi, bool level);
	int (*msi)(struct hv_vm *, uint64_t addr, uint32_t data);
	/*
	 * These n are all the MSI routes from now on; the pins keep theirs.
	 * Dear (a grace period of the kernel): only when one has changed.
	 */
	int (*routes)(struct hv_vm *, const struct hv_route *, unsigned n);
	/*
	 * eventfd -> GSI / port or memory write -> eventfd; assign false: undo.
	 * What is in the eventfd already when it is assigned to a GSI is sent.
	 */
	int (*irqfd)(struct hv_vm *, int efd, unsigned gsi, bool assign);
	int (*ioeventfd)(struct hv_vm *, int efd, bool mmio, uint64_t addr,
	    unsigned len_bytes, const uint64_t *match, bool assign);
	/*
	 * Remember the state all of it has now as power-on state, and go back
	 * to it (irqchip, PIT, clock, every vCPU's registers, MSRs, LAPIC).
	 * No vCPU may be running.
	 */
	int (*mark)(struct hv_vm *, struct err *);
	int (*reset)(struct hv_vm *, struct err *);
	/* Guest time stands still from hold to release.  All vCPUs parked. */
	void (*hold)(struct hv_vm *);
	void (*release)(struct hv_vm *);

	/*
	 * Called in the thread that will run the vCPU, and before mark(); the
	 * table of vCPUs is the caller's to lock: one open at a time.
	 */
	int (*vcpu_open)(
	    struct hv_vcpu **, struct hv_vm *, unsigned id, struct err *);
	void (*vcpu_close)(struct hv_vcpu *);
	/* Registers the guest starts with; the boot processor only. */
	int (*boot)(struct hv_vcpu *, const struct hv_regs *, struct err *);
	/*
	 * Run until an exit; *x is filled.  Data of the exit is handed back on
	 * the next call.  -1: errno, not to be repeated.  vCPU thread.
	 */
	int (*run)(struct hv_vcpu *, struct hv_exit *);
	/* Make run() return HV_INTR soon, now or at its next call. Any thread. */
	void (*kick)(struct hv_vcpu *);
	/* Finish a half-done exit without running the guest; after it state may
	 * be read or reset.  vCPU thread. */
	void (*settle)(struct hv_vcpu *);
	uint64_t (*rip)(struct hv_vcpu *); /* for error texts; vCPU thread */
};

extern const struct hv_ops hv_kvm, hv_fake;

/*
 * The ioctl requests of hv_kvm once all vCPUs are made and marked, for seccomp
 * filters; 0 ends.  vcpu: in a vCPU's thread.  main: line, routes, irqfd,
 * ioeventfd, reset, hold, release.
 */
extern const unsigned long hv_kvm_vcpu_ioctls[], hv_kvm_main_ioctls[];

#endif
