/* SPDX-License-Identifier: ISC */
/*
 * A virtio device: one const table and a block of state.  It cannot tell who
 * carries it; PCI identity, capabilities and interrupts are the carrier's.
 * kick() may be called for different queues by different threads at the same
 * time; everything else by one thread, with no kick running.
 */
#ifndef DEV_VIRTIO_H
#define DEV_VIRTIO_H

#include "daemon/dev/vq.h"
#include "daemon/mach/bus.h"
#include "shared/err.h"

#define VIO_QUEUES_MAX 16
#define VIO_CFG_MAX 64
#define VIO_AIO_MAX 64

/* dev_virtio_pci on a board: range 0, ports; range 1, memory. */
#define VIO_PCI_IO_BYTES 64
#define VIO_PCI_NOTIFY_STRIDE 2 /* of BAR 0: a port of 16 bits a queue */
#define VIO_PCI_MEM_BYTES 0x2000

/* virtio 1.2, 6: what the transport offers for every device. */
#define VIO_F_INDIRECT (1ull << 28)
#define VIO_F_EVENT_IDX (1ull << 29)
#define VIO_F_VERSION_1 (1ull << 32)

struct vio;
struct snap_w;
struct snap_r;
struct devpage;
struct devpage_conf;
struct vio_proxy_kind;

/* What a device is opened with; all of it borrowed while open() runs. */
struct vio_conf {
	const struct devpage_conf *conf;
	struct devpage *page; /* figures and words go there; never NULL */
	int *fd;              /* open() takes what it wants by fd_move() */
	unsigned nfds;
};

struct vio_ops {
	const char *name, *spec;   /* "rng", "virtio 1.2, 5.4" */
	uint64_t features;         /* the device's own bits */
	const uint16_t *queue_max; /* nqueues entries, powers of two */
	size_t cfg_bytes, state_bytes;
	uint16_t id;      /* virtio 1.2, 5 */
	uint8_t nqueues;  /* at most; v->nqueues are in use */
	uint16_t version; /* of what save() writes */
	/* Another process serves it: vio_proxy.h.  NULL: kick() does. */
	const struct vio_proxy_kind *proxy;
	/*
	 * The guest has put something into the open queue: serve until
	 * vq_pop() returns 0.  On return nothing of that queue is in flight but
	 * what stuck() was told of.
	 */
	void (*kick)(struct vio *, struct vq *);
	/* Optional below: NULL means nothing to do. */
	/*
	 * Outside the sandbox: ask the host about what was given, read none of
	 * it; open() comes next, with the same.
	 */
	int (*prepare)(struct vio *, const struct vio_conf *, struct err *);
	/* Settles v->nqueues, v->features_own, v->cfg; rng: conf is NULL. */
	int (*open)(struct vio *, const struct vio_conf *, struct err *);
	void (*close)(
	    struct vio *); /* after a failed prepare() or open() too */
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
	/* Tell the guest of what is pushed so far; after kick() it is done
	 * anyhow.  Any thread that runs a kick of that queue. */
	void (*signal)(struct vio *, struct vq *);
	/*
	 * What was popped and not pushed cannot be done now: it stays in the
	 * queue's log, kick() returns at once, and it is popped again when the
	 * queue is started again.  Only of queues that have a log; NULL: this
	 * carrier cannot.
	 */
	void (*stuck)(struct vio *, struct vq *, const struct err *);
};

struct vio {
	const struct vio_ops *ops;
	const struct vio_carrier *carrier;
	void *carrier_ctx;
	void *state;       /* ops->state_bytes, zeroed */
	uint64_t features; /* negotiated; 0 before FEATURES_OK */
	/* Offered: ops->features; open() may take bits off or put more on. */
	uint64_t features_own;
	uint64_t transport; /* likewise: all three VIO_F, but of a proxy */
	uint8_t nqueues; /* ops->nqueues; open() may lower it, to 1 at least */
	/*
	 * io_setup(2) contexts, one a queue, for VIO_AIO_MAX requests: a device
	 * process has them.  0: none, there is no io_submit(2) here.
	 */
	unsigned long aio[VIO_QUEUES_MAX];
	struct vq vq[VIO_QUEUES_MAX];
	uint8_t cfg[VIO_CFG_MAX];
};

/* Of all carriers, before open(). */
void vio_init(struct vio *, const struct vio_ops *, const struct vio_carrier *,
    void *ctx);

/* prepare() and open(), with no sandbox between them; -1: it is closed. */
int vio_open(struct vio *, const struct vio_conf *, struct err *);

extern const struct vio_ops vio_blk, vio_rng;

#endif
