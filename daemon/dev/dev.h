/* SPDX-License-Identifier: ISC */
/*
 * A device model: a const table of operations and a block of state.
 * Runs in: vm process (vCPU threads, main thread).  Trusts: nobody.
 */
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/mach/mach.h"

#define DEV_NO_GSI (~0u)
#define DEV_RANGES 4

struct dev;
struct snap_w; /* saved state: a growing buffer, daemon/dev/snap.h */
struct snap_r;
struct vio_ops;

struct dev_ops {
	const char *name;   /* "uart": in logs and saved state */
	const char *spec;   /* "16550D datasheet, 8" */
	size_t state_bytes; /* zeroed memory at dev->state */
	uint16_t version;   /* of what save() writes; load() refuses others */
	bool bytes_only;    /* an ISA byte device: wider accesses are split */
	/* Power-on values; called before the first access and at every reset. */
	void (*reset)(struct dev *);
	/* One access to range number `range`; dev->lock is held. vCPU thread. */
	void (*access)(struct dev *, unsigned range, struct bus_access *);
	/* Optional below: NULL means nothing to do. */
	/* Once, before reset, and once at the end: without the lock. */
	int (*init)(struct dev *, struct err *);
	void (*fini)(struct dev *);
	/* As access: dev->lock is held. */
	void (*timer)(struct dev *); /* main thread: see mach_ops.timer */
	void (*save)(struct dev *, struct snap_w *);
	/* Check all of it, then take it; -1: refused, state as before. */
	int (*load)(struct dev *, struct snap_r *, struct err *);
	/*
	 * With a part of it elsewhere (main thread).  No vCPU is running: do
	 * what the guest's accesses made necessary (mach_ops.defer); hold it
	 * still, so that memory and saved state are true; let it go on.
	 */
	void (*sync)(struct dev *);
	void (*quiesce)(struct dev *);
	void (*resume)(struct dev *);
	void (*ready)(struct dev *, unsigned which); /* mach_ops.watch */
};

#define DEV_WATCHES 18 /* which of ready() */

struct dev {
	const struct dev_ops *ops;
	const struct board_slot *slot; /* borrowed */
	struct mach *mach;
	void *state;
	unsigned gsi;
	bool level; /* last level given to irq, so edges are not repeated */
	pthread_mutex_t lock;
};

/* One row of a board: which device at which ports or memory, on which GSI. */
struct board_slot {
	const struct dev_ops *ops;
	struct {
		bool mmio;
		uint64_t base, len_bytes;
	} range[DEV_RANGES];
	unsigned gsi;
	bool debug_only; /* present only where the spec says so */
	/*
	 * A function on the PCI bus, behind the host bridge that is opened
	 * before it: range N is where BAR N is at power-on, gsi its INTA#.
	 */
	uint8_t pci_slot;          /* 0: none */
	const struct vio_ops *vio; /* of dev_virtio_pci */
	const struct vio_conf *vio_conf;
};

/* Allocate, init, add the ranges to the buses, reset.  NULL: see err. */
struct dev *dev_open(const struct board_slot *, struct mach *, struct err *);
void dev_close(struct dev *);
void dev_reset(struct dev *);
void dev_timer(struct dev *);
void dev_sync(struct dev *);
void dev_quiesce(struct dev *);
void dev_resume(struct dev *);
void dev_ready(struct dev *, unsigned which);
/* Called by the bus; takes the lock. */
void dev_access(struct dev *, unsigned range, struct bus_access *);
/* Set the device's interrupt line; a no-op when it is there already. */
void dev_irq(struct dev *, bool level);
/*
 * Append the device's record (name, version, length, body) / take one back.
 * -1: the record is not of this device, version or shape; the device is as it
 * was.  No vCPU may be running.
 */
void dev_save(struct dev *, struct snap_w *);
int dev_load(struct dev *, struct snap_r *, struct err *);

/*
 * What the vm process calls beside the bus.  Each takes the device's lock, and
 * every mach_ops function is called with it held: so none of these may be
 * called from inside a mach_ops function.
 */
size_t uart_input(struct dev *, const void *, size_t len); /* bytes taken */
size_t uart_room(struct dev *);
void uart_break(struct dev *);
void acpi_pm_power_button(struct dev *);
/*
 * A process that takes the place of the dead one of a device that has one;
 * takes *sock.  No vCPU is running.  -1: it cannot; the device is as it was.
 */
int virtio_pci_replace(struct dev *, int *sock, struct err *);
/* It is dead: before or after that is seen at its socket. */
void virtio_pci_gone(struct dev *);
/* Lost, and may yet write to guest memory: for so long at most; 0: not so. */
uint64_t virtio_pci_lingers(struct dev *);

extern const struct dev_ops dev_uart, dev_rtc, dev_i8042, dev_reset_ctl,
    dev_acpi_pm, dev_pci_host, dev_debug_exit, dev_virtio_pci;

#endif
