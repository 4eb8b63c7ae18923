/* SPDX-License-Identifier: ISC */
/*
 * What a device may see of the machine it sits in.  The vm process fills the
 * ops from its hypervisor; tests fill them with recorders.
 */
#ifndef MACH_MACH_H
#define MACH_MACH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/mach/bus.h"
#include "daemon/mach/mem.h"

enum mach_event {
	MACH_RESET,    /* the guest asked for a reset (0x64, 0xcf9) */
	MACH_POWEROFF, /* ACPI S5 */
	MACH_EXIT,     /* debug-exit device; arg: the code it wrote */
};

struct mach;
struct mach_ops {
	void (*irq)(struct mach *, unsigned gsi, bool level);
	void (*msi)(struct mach *, uint64_t addr, uint32_t data);
	/* CLOCK_MONOTONIC, stops in pause; CLOCK_REALTIME. */
	uint64_t (*mono_ns)(struct mach *);
	int64_t (*wall_s)(struct mach *);
	/* From a vCPU thread; what it asks for happens after the access. */
	void (*event)(struct mach *, enum mach_event, uint32_t arg);
	void (*console)(
	    struct mach *, const void *, size_t); /* UART's output */
	/*
	 * There is room in the UART's input queue again, taken_bytes of what
	 * uart_input() took having left it (0: it was only closed a while).
	 */
	void (*console_room)(struct mach *, size_t taken_bytes);
	/*
	 * One-shot timer of a device: its ops' timer() is called once at
	 * mono_ns; a later call replaces it, ~0 ends it.
	 */
	void (*timer)(struct mach *, struct dev *, uint64_t at_ns);
};

struct mach {
	struct bus *pio, *mmio;
	struct mem *mem;
	const struct mach_ops *ops;
	void *ctx; /* of the ops */
	unsigned ncpus;
	struct dev *pci; /* the host bridge, while there is one */
};

#endif
