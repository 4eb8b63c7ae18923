/* SPDX-License-Identifier: ISC */
/* How a boot protocol enters the guest: nothing of KVM in it. */
#ifndef HV_REGS_H
#define HV_REGS_H

#include <stdint.h>

struct hv_seg { /* Intel SDM 3A, 3.4.5, as a descriptor has it */
	uint64_t base;
	uint32_t limit;
	uint16_t sel;
	uint8_t type; /* 4 bits */
	uint8_t s, dpl, present, avl, l, db, g;
};

struct hv_regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, rip, rflags;
	uint64_t cr0, cr3, cr4, efer;
	struct hv_seg cs, ds, ss, tr; /* es, fs, gs are as ds */
	uint64_t gdt_base, idt_base;
	uint16_t gdt_limit, idt_limit;
};

#endif
