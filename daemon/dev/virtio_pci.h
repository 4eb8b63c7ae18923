/* SPDX-License-Identifier: ISC */
/* Inside of virtio over PCI: virtio_pci.c and virtio_common.c, nobody else. */
#ifndef DEV_VIRTIO_PCI_H
#define DEV_VIRTIO_PCI_H

#include "daemon/dev/msix.h"
#include "daemon/dev/pci.h"
#include "daemon/dev/virtio.h"

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

struct vpci {
	struct pci_func fn;
	struct msix msix;
	struct vio vio;
	uint32_t dev_sel, drv_sel;
	uint64_t drv_features; /* as the guest wrote them */
	uint16_t q_sel, cfg_vector;
	uint8_t status, isr, generation;
	struct vpci_queue q[VIO_QUEUES_MAX];
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

#endif
