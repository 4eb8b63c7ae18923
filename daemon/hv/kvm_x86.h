/* SPDX-License-Identifier: ISC */
/*
 * What kvm.c and kvm_x86.c share: nobody else knows KVM.
 * kvm.c: the VM, exits, interrupts, kicks.  kvm_x86.c: the state of x86.
 */
#ifndef HV_KVM_X86_H
#define HV_KVM_X86_H

#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/hv/hv.h"

#define KVM_VCPUS 64
#define KVM_CPUID_MAX 256
#define KVM_MSRS_MAX 512

/* What the host's KVM offers, read once from /dev/kvm. */
struct kvm_host {
	struct kvm_cpuid2 *cpuid; /* supported, then filtered by us */
	struct kvm_msr_list *msrs;
	size_t run_bytes, xsave_bytes;
	bool tsc_deadline, clock_ctrl;
};

struct kvm_chips { /* in-kernel devices as they were at mark() */
	struct kvm_irqchip chip[3];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
};

struct kvm_cpu_state { /* a vCPU as it was at mark() */
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	struct kvm_lapic_state lapic;
	struct kvm_xsave *xsave;
	struct kvm_msrs *msrs;
};

/* The irqchip's own routes: 24 pins of the IOAPIC, 16 of the PICs. */
#define KVM_PIN_ROUTES (24 + 16)

#define KVM_ROUTES_BYTES                                                       \
	(sizeof(struct kvm_irq_routing) +                                      \
	    (KVM_PIN_ROUTES + HV_ROUTES_MAX) *                                 \
		sizeof(struct kvm_irq_routing_entry))

struct hv_vm {
	int fd;
	unsigned ncpus;
	pid_t pid;
	struct kvm_host host;
	struct hv_vcpu *vcpu[KVM_VCPUS];
	struct kvm_chips chips;
	struct kvm_clock_data held;     /* while paused */
	struct kvm_irq_routing *routes; /* main thread only */
	atomic_bool cpuid_logged, msr_logged;
};

struct hv_vcpu {
	struct hv_vm *vm;
	int fd;
	unsigned id;
	pid_t tid;
	struct kvm_run *run;
	struct kvm_cpu_state mark;
};

/* What the run page says, in hv.h's words; any exit there may ever be.  T76. */
int kvm_exit_decode(struct hv_vcpu *, struct hv_exit *);
int kvm_host_read(struct kvm_host *, int kvm_fd, unsigned ncpus, struct err *);
/* T40: from what KVM supports to what a guest with ncpus is shown. */
void kvm_cpuid_filter(struct kvm_host *, unsigned ncpus);
void kvm_host_free(struct kvm_host *);
/* CPUID and the MSRs that firmware would have set. */
int kvm_cpu_init(struct hv_vcpu *, struct err *);
int kvm_cpu_mark(struct hv_vcpu *, struct err *);
int kvm_cpu_reset(struct hv_vcpu *, struct err *);
void kvm_cpu_free(struct kvm_cpu_state *);
int kvm_cpu_boot(struct hv_vcpu *, const struct hv_regs *, struct err *);

#endif
