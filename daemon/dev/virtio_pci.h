/* SPDX-License-Identifier: ISC */
/* Inside of virtio over PCI: virtio_pci.c and virtio_common.c, nobody else. */
#ifndef DEV_VIRTIO_PCI_H
#define DEV_VIRTIO_PCI_H

#include "daemon/dev/msix.h"
#include "daemon/dev/pci.h"
#include "daemon/dev/virtio.h"

/* Of configuration space: PCI 3.0, 6.8.2.3. */
#define VPCI_AT_MSIX 0x40
#define MSIX_CONTROL (VPCI_AT_MSIX + 2)
#define MSIX_ENABLE 0x8000
#define MSIX_MASK 0x4000

/* virtio 1.2, 2.1 */
#define VIO_ACKNOWLEDGE 0x01
#define VIO_DRIVER 0x02
#define VIO_DRIVER_OK 0x04
#define VIO_FEATURES_OK 0x08
#define VIO_NEEDS_RESET 0x40
#define VIO_FAILED 0x80

#define VIO_NO_VECTOR 0xffff
#define VIO_ISR_QUEUE 1 /* 4.1.4.5 */
#define VIO_ISR_CFG 2

#define VIO_COMMON_BYTES 0x38 /* 4.1.4.3, without what 1.2 made optional */

struct vpci_queue {
	struct vq_rings rings; /* as the guest wrote them */
	uint16_t vector;
	bool enabled;
};

/* Of a device that another process serves, how things are: vpci_proxy.c. */
struct vpci_proxy {
	bool held;       /* between quiesce and resume */
	unsigned resets; /* that it was told of */
	bool awake;      /* it has doorbells, and is looked at by the timer */
	bool woken;      /* it has to be: the timer does that */
	bool gone;       /* its process is dead, says the parent */
	/* Lost, and its process may write to memory yet, until then. */
	uint64_t lingers_ns;
	uint16_t port; /* where the doorbells are; 0: nowhere */
	/* A bit a queue, and more of watched: mach_ops.doorbell, irqfd, watch. */
	uint32_t doorbells, irqfds;
	uint64_t watched;
	struct mach_msi msi[VIO_QUEUES_MAX]; /* routes */
};

struct vpci {
	struct pci_func fn;
	struct msix msix;
	struct vio vio;
	uint32_t dev_sel, drv_sel;
	uint64_t drv_features; /* as the guest wrote them */
	uint16_t q_sel, cfg_vector;
	uint8_t status, isr, generation;
	struct vpci_queue q[VIO_QUEUES_MAX];
	unsigned resets; /* by the guest or by all of the machine */
	struct vpci_proxy proxy;
};

/* One access to the common configuration; a->off_bytes from its start. */
void vpci_common(struct dev *, struct bus_access *);
/* What the guest wrote may be accepted. */
bool vpci_features_agree(const struct vpci *);
/* Status 0: queues closed, nothing negotiated, no interrupt waiting. */
void vpci_reset(struct dev *);
/* Tell the guest: queues (and which vector) or configuration. */
void vpci_interrupt(struct dev *, uint16_t vector, uint8_t isr);
void vpci_needs_reset(struct dev *);
/* INTA# follows ISR, Command and MSI-X enable. */
void vpci_line(struct dev *);
/* DRIVER_OK, and not broken. */
bool vpci_runs(const struct vpci *);
/* What was agreed, rings where the guest put them; -1: they cannot be there. */
int vpci_queue_open(struct dev *, unsigned i);

/* vpci_proxy.c: devices that another process serves; else they do nothing. */
void vpci_proxy_defer(struct dev *);
void vpci_proxy_sync(struct dev *);
void vpci_proxy_quiesce(struct dev *);
void vpci_proxy_resume(struct dev *);
void vpci_proxy_ready(struct dev *, unsigned which);
void vpci_proxy_timer(struct dev *);
/* The guest has kicked, and it took an exit. */
void vpci_proxy_kicked(struct dev *);
void vpci_proxy_fini(struct dev *);
/* Nanoseconds, as virtio_pci_lingers(). */
uint64_t vpci_lingers(const struct vpci *);
/* Other state is in place: what is elsewhere is as after a reset. */
void vpci_proxy_loaded(struct dev *);

/* virtio_snap.c */
void vpci_save(struct dev *, struct snap_w *);
int vpci_load(struct dev *, struct snap_r *, struct err *);

#endif
