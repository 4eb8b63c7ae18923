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

/* What becomes of a device that another process serves. */
enum mach_dev_event {
	MACH_DEV_STUCK, /* a request cannot be done now: pause */
	MACH_DEV_HUNG,  /* requests wait and nothing is done */
	MACH_DEV_OK,    /* it goes on again */
	MACH_DEV_LOST,  /* its process is gone, or made no sense */
	MACH_DEV_EVENTS,
};

struct mach_msi { /* data and addr 0: none */
	uint64_t addr;
	uint32_t data;
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
	/*
	 * From a vCPU thread, in an access: sync() of the device's ops is
	 * called before any vCPU runs on.
	 */
	void (*defer)(struct mach *, struct dev *);
	/*
	 * The rest is for devices that another process serves, in their sync(),
	 * quiesce(), resume(), ready(), timer() and fini(): main thread.
	 * Eventfds: a guest's 16-bit write to a port fills one; one that is
	 * filled sends the message of a GSI; messages of n GSIs from that one
	 * up.  -1: not here; the device has to do it by hand.
	 */
	int (*doorbell)(struct mach *, int efd, uint16_t port, bool on);
	int (*irqfd)(struct mach *, int efd, unsigned gsi, bool on);
	int (*routes)(
	    struct mach *, unsigned gsi, const struct mach_msi *, unsigned n);
	/* ready(which) is called whenever fd has something, until off. */
	void (*watch)(
	    struct mach *, struct dev *, unsigned which, int fd, bool on);
	/* err may be NULL. */
	void (*dev_event)(struct mach *, struct dev *, enum mach_dev_event,
	    const struct err *);
};

/* GSIs of a PCI function's queues, above all pins. */
#define MACH_MSI_GSI(slot, queue) (24u + ((slot)-1u) * 16u + (queue))

struct mach {
	struct bus *pio, *mmio;
	struct mem *mem;
	const struct mach_ops *ops;
	void *ctx; /* of the ops */
	unsigned ncpus;
	struct dev *pci; /* the host bridge, while there is one */
};

#endif
