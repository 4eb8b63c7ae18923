/* SPDX-License-Identifier: ISC */
/*
 * Virtio over PCI: the common configuration, which is where a driver
 * negotiates features, sets queues up and resets the device.  Section numbers
 * are of virtio 1.2.
 * Runs in: vm process, the device's lock held.  Trusts: nobody.
 */
#include "daemon/dev/virtio_pci.h"

/* 4.1.4.3 */
enum reg {
	DEV_SEL = 0x00,
	DEV_FEATURES = 0x04,
	DRV_SEL = 0x08,
	DRV_FEATURES = 0x0c,
	CFG_VECTOR = 0x10,
	NUM_QUEUES = 0x12,
	STATUS = 0x14,
	GENERATION = 0x15,
	Q_SEL = 0x16,
	Q_SIZE = 0x18,
	Q_VECTOR = 0x1a,
	Q_ENABLE = 0x1c,
	Q_NOTIFY_OFF = 0x1e,
	Q_DESC = 0x20,
	Q_AVAIL = 0x28,
	Q_USED = 0x30,
};

/* Bits that a driver may set; NEEDS_RESET is the device's. */
#define STATUS_DRIVER                                                          \
	(VIO_ACKNOWLEDGE | VIO_DRIVER | VIO_DRIVER_OK | VIO_FEATURES_OK |      \
	    VIO_FAILED)

static uint64_t
offered(const struct vpci *p)
{
	return (p->vio.features_own | p->vio.transport);
}

static struct vpci_queue *
queue(struct vpci *p)
{
	return (p->q_sel < p->vio.nqueues ? &p->q[p->q_sel] : NULL);
}

/* 4.1.3.1: each field by its own width, 64-bit ones by halves. */
static unsigned
reg_width(uint64_t off)
{
	if (off < CFG_VECTOR || (off >= Q_DESC && off < VIO_COMMON_BYTES))
		return (4);
	return (off == STATUS || off == GENERATION ? 1 : 2);
}

static uint64_t *
queue_address(struct vpci_queue *q, uint64_t off)
{
	switch (off & ~7ull) {
	case Q_DESC:
		return (&q->rings.desc_gpa);
	case Q_AVAIL:
		return (&q->rings.avail_gpa);
	default:
		return (&q->rings.used_gpa);
	}
}

static uint32_t
queue_read(struct vpci *p, uint64_t off)
{
	struct vpci_queue *q = queue(p);

	if (q == NULL) /* 4.1.4.3.1: size 0 says that there is none */
		return (off == Q_VECTOR ? VIO_NO_VECTOR : 0);
	switch (off) {
	case Q_SIZE:
		return (q->rings.size);
	case Q_VECTOR:
		return (q->vector);
	case Q_ENABLE:
		return (q->enabled);
	case Q_NOTIFY_OFF:
		return (p->q_sel);
	default:
		return ((uint32_t)(*queue_address(q, off) >> 8 * (off & 4)));
	}
}

/*
 * 4.1.4.3.1: a driver waits for 0 after a reset, since it then takes its
 * buffers back.  A read that a late process has under way ends in one of them.
 */
static uint8_t
status_read(const struct vpci *p)
{
	if (p->status == 0 && vpci_lingers(p) != 0)
		return (VIO_NEEDS_RESET);
	return (p->status);
}

static uint32_t
common_read(struct vpci *p, uint64_t off)
{
	switch (off) {
	case DEV_SEL:
		return (p->dev_sel);
	case DEV_FEATURES:
		return (p->dev_sel > 1
			? 0
			: (uint32_t)(offered(p) >> 32 * p->dev_sel));
	case DRV_SEL:
		return (p->drv_sel);
	case DRV_FEATURES:
		return (p->drv_sel > 1
			? 0
			: (uint32_t)(p->drv_features >> 32 * p->drv_sel));
	case CFG_VECTOR:
		return (p->cfg_vector);
	case NUM_QUEUES:
		return (p->vio.nqueues);
	case STATUS:
		return (status_read(p));
	case GENERATION:
		return (p->generation);
	case Q_SEL:
		return (p->q_sel);
	default:
		return (queue_read(p, off));
	}
}

/* 4.1.5.1.2.1: what cannot be had reads back as no vector. */
static uint16_t
vector(const struct vpci *p, uint32_t v)
{
	return (v < p->msix.nvec ? (uint16_t)v : VIO_NO_VECTOR);
}

static void
queue_enable(struct dev *d, struct vpci_queue *q)
{
	struct vpci *p = d->state;

	if (!(p->status & VIO_FEATURES_OK) ||
	    vpci_queue_open(d, p->q_sel) == -1) {
		vpci_needs_reset(d);
		return;
	}
	q->enabled = true;
}

static void
queue_write(struct dev *d, uint64_t off, uint32_t v)
{
	struct vpci *p = d->state;
	struct vpci_queue *q = queue(p);
	uint64_t *addr;

	if (q == NULL)
		return;
	if (off == Q_VECTOR) {
		q->vector = vector(p, v);
		vpci_proxy_defer(d);
		return;
	}
	/* Nothing else moves once the device has read it.  T08. */
	if (q->enabled || p->status & VIO_DRIVER_OK)
		return;
	switch (off) {
	case Q_SIZE:
		if (v != 0 && (v & (v - 1)) == 0 &&
		    v <= p->vio.ops->queue_max[p->q_sel])
			q->rings.size = (uint16_t)v;
		break;
	case Q_ENABLE:
		if (v == 1)
			queue_enable(d, q);
		break;
	case Q_NOTIFY_OFF:
		break;
	default:
		addr = queue_address(q, off);
		*addr &= ~(0xffffffffull << 8 * (off & 4));
		*addr |= (uint64_t)v << 8 * (off & 4);
		break;
	}
}

/* 2.2.2, 3.1.1: only what was offered, and no driver of before 1.0. */
bool
vpci_features_agree(const struct vpci *p)
{
	return (!(p->drv_features & ~offered(p)) &&
	    p->drv_features & VIO_F_VERSION_1);
}

/* 2.1, 3.1.1.  A bit once set stays until reset; in this order. */
static void
status_write(struct dev *d, uint8_t v)
{
	struct vpci *p = d->state;
	uint8_t fresh;

	if (v == 0) {
		vpci_reset(d);
		return;
	}
	fresh = v & STATUS_DRIVER & ~p->status;
	if (fresh & VIO_FEATURES_OK &&
	    (p->status & VIO_DRIVER_OK || !vpci_features_agree(p)))
		fresh &= ~VIO_FEATURES_OK;
	if (fresh & VIO_FEATURES_OK)
		p->vio.features = p->drv_features;
	if (!((p->status | fresh) & VIO_FEATURES_OK))
		fresh &= ~VIO_DRIVER_OK;
	p->status |= fresh;
	if (fresh & VIO_DRIVER_OK)
		vpci_proxy_defer(d);
	if (fresh & VIO_DRIVER_OK && p->vio.ops->start != NULL)
		p->vio.ops->start(&p->vio);
}

static void
features_write(struct vpci *p, uint32_t v)
{
	unsigned shift = 32 * p->drv_sel;

	if (p->drv_sel > 1 || p->status & VIO_FEATURES_OK)
		return;
	p->drv_features &= ~(0xffffffffull << shift);
	p->drv_features |= (uint64_t)v << shift;
}

static void
common_write(struct dev *d, uint64_t off, uint32_t v)
{
	struct vpci *p = d->state;

	switch (off) {
	case DEV_SEL:
		p->dev_sel = v;
		break;
	case DRV_SEL:
		p->drv_sel = v;
		break;
	case DRV_FEATURES:
		features_write(p, v);
		break;
	case CFG_VECTOR:
		p->cfg_vector = vector(p, v);
		break;
	case STATUS:
		status_write(d, (uint8_t)v);
		break;
	case Q_SEL:
		p->q_sel = (uint16_t)v;
		break;
	case DEV_FEATURES:
	case NUM_QUEUES:
	case GENERATION:
		break;
	default:
		queue_write(d, off, v);
		break;
	}
}

void
vpci_common(struct dev *d, struct bus_access *a)
{
	if (!a->write)
		a->val = 0;
	if (a->off_bytes >= VIO_COMMON_BYTES ||
	    a->len_bytes != reg_width(a->off_bytes) ||
	    a->off_bytes % a->len_bytes != 0)
		return;
	if (a->write)
		common_write(d, a->off_bytes, (uint32_t)a->val);
	else
		a->val = common_read(d->state, a->off_bytes);
}
