/* SPDX-License-Identifier: ISC */
/*
 * A virtio device: one const table and a block of state.  It cannot tell who
 * carries it; PCI identity, capabilities and interrupts are the carrier's.
 * Every function of a table is called by one thread at a time.
 */
#ifndef DEV_VIRTIO_H
#define DEV_VIRTIO_H

#include "daemon/dev/vq.h"
#include "daemon/mach/bus.h"
#include "shared/err.h"

#define VIO_QUEUES_MAX 16
#define VIO_CFG_MAX 64

/* dev_virtio_pci on a board: range 0, ports; range 1, memory. */
#define VIO_PCI_IO_BYTES 64
#define VIO_PCI_MEM_BYTES 0x2000

/* virtio 1.2, 6: what the transport offers for every device. */
#define VIO_F_INDIRECT (1ull << 28)
#define VIO_F_EVENT_IDX (1ull << 29)
#define VIO_F_VERSION_1 (1ull << 32)

struct vio;
struct snap_w;
struct snap_r;

struct vio_ops {
	const char *name, *spec;   /* "rng", "virtio 1.2, 5.4" */
	uint64_t features;         /* the device's own bits */
	const uint16_t *queue_max; /* nqueues entries, powers of two */
	size_t cfg_bytes, state_bytes;
	uint16_t id; /* virtio 1.2, 5 */
	uint8_t nqueues;
	uint16_t version; /* of what save() writes */
	/* The guest has put something into the open queue. */
	void (*kick)(struct vio *, struct vq *);
	/* Optional below: NULL means nothing to do. */
	int (*open)(struct vio *, struct err *);
	void (*close)(struct vio *);
	void (*start)(struct vio *); /* DRIVER_OK: v->features are final */
	void (*reset)(struct vio *); /* queues are about to be closed */
	void (*timer)(struct vio *);
	/* Device configuration; NULL: v->cfg, read-only. */
	void (*cfg)(struct vio *, struct bus_access *);
	void (*save)(struct vio *, struct snap_w *);
	/* The rest of r: check all of it, then take it; -1: state as before. */
	int (*load)(struct vio *, struct snap_r *, struct err *);
};

/* What a device may ask of its carrier. */
struct vio_carrier {
	void (*needs_reset)(struct vio *); /* the guest broke it: 2.1.2 */
	void (*cfg_changed)(struct vio *); /* v->cfg has changed: 2.5 */
	uint64_t (*now_ns)(struct vio *);  /* stands still in pause */
	void (*timer)(struct vio *, uint64_t at_ns); /* as mach_ops.timer */
};

struct vio {
	const struct vio_ops *ops;
	const struct vio_carrier *carrier;
	void *carrier_ctx;
	void *state;       /* ops->state_bytes, zeroed */
	uint64_t features; /* negotiated; 0 before FEATURES_OK */
	struct vq vq[VIO_QUEUES_MAX];
	uint8_t cfg[VIO_CFG_MAX];
};

extern const struct vio_ops vio_rng;

#endif
