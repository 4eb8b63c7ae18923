/* SPDX-License-Identifier: ISC */
/*
 * Virtio over PCI, modern (virtio 1.2, 4.1): any struct vio_ops as a function
 * in a slot.  Section numbers are of virtio 1.2 unless PCI is named.
 * Range 0: BAR 0, ports, where queues are notified: a port write is the cheapest
 * exit there is.  Range 1: BAR 1, memory: all the rest.
 * Runs in: vm process, vCPU threads and main thread.  Trusts: nobody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/snap.h"
#include "daemon/dev/vio_proxy.h"
#include "daemon/dev/virtio_pci.h"

#define VENDOR 0x1af4
#define DEVICE_BASE 0x1040 /* 4.1.2: plus the virtio device's id */
#define CLASS_OTHER 0x00ff

/* BAR 1 */
#define AT_COMMON 0x0000
#define AT_ISR 0x0400
#define AT_DEVICE 0x0800
#define AT_TABLE 0x1000
#define AT_PBA 0x1800
#define PART_BYTES 0x0400

/* 4.1.4: capabilities, in configuration space. */
#define CAP_VENDOR 0x09
#define CAP_MSIX 0x11
#define CFG_COMMON 1
#define CFG_NOTIFY 2
#define CFG_ISR 3
#define CFG_DEVICE 4
#define CFG_PCI 5
#define CAP_BAR 4
#define CAP_OFFSET 8
#define CAP_LENGTH 12
#define CAP_EXTRA 16 /* notify: multiplier; PCI: data */
#define AT_CAP_PCI 0x50
#define AT_CAP_FIRST 0x64
#define PCI_DATA (AT_CAP_PCI + CAP_EXTRA)

_Static_assert(PCI_MEM_FIRST == MEM_LOW_MAX, "BARs begin where RAM ends");
_Static_assert(
    VIO_QUEUES_MAX *VIO_PCI_NOTIFY_STRIDE <= VIO_PCI_IO_BYTES, "BAR 0");
_Static_assert(AT_PBA + PART_BYTES <= VIO_PCI_MEM_BYTES, "BAR 1");
_Static_assert(MSIX_VECTORS_MAX > VIO_QUEUES_MAX, "a vector a queue, and one");

void
vpci_line(struct dev *d)
{
	struct vpci *p = d->state;
	bool pending = p->isr != 0 && !p->msix.enabled;

	/* PCI 3.0, 6.2.3: the status bit does not see the disable bit. */
	p->fn.cfg[PCI_STATUS] &= ~PCI_STATUS_INTX;
	if (pending)
		p->fn.cfg[PCI_STATUS] |= PCI_STATUS_INTX;
	dev_irq(
	    d, pending && !(pci_get16(&p->fn, PCI_COMMAND) & PCI_CMD_NO_INTX));
}

/* 4.1.5.1.3, 4.1.5.1.4 */
void
vpci_interrupt(struct dev *d, uint16_t vector, uint8_t isr)
{
	struct vpci *p = d->state;

	if (p->msix.enabled) {
		msix_notify(&p->msix, vector);
		return;
	}
	p->isr |= isr;
	vpci_line(d);
}

/* 2.1.2: told by a configuration interrupt, once the driver is up. */
void
vpci_needs_reset(struct dev *d)
{
	struct vpci *p = d->state;

	if (p->status & VIO_NEEDS_RESET)
		return;
	p->status |= VIO_NEEDS_RESET;
	vpci_proxy_defer(d);
	if (p->status & VIO_DRIVER_OK)
		vpci_interrupt(d, p->cfg_vector, VIO_ISR_CFG);
}

void
vpci_reset(struct dev *d)
{
	struct vpci *p = d->state;
	unsigned i;

	if (p->vio.ops->reset != NULL)
		p->vio.ops->reset(&p->vio);
	for (i = 0; i < p->vio.nqueues; i++) {
		vq_close(&p->vio.vq[i]);
		p->q[i] = (struct vpci_queue){
			.rings.size = p->vio.ops->queue_max[i],
			.vector = VIO_NO_VECTOR,
		};
	}
	p->vio.features = p->drv_features = 0;
	p->dev_sel = p->drv_sel = 0;
	p->q_sel = 0;
	p->cfg_vector = VIO_NO_VECTOR;
	p->status = p->isr = 0;
	p->resets++;
	vpci_proxy_defer(d);
	vpci_line(d);
}

int
vpci_queue_open(struct dev *d, unsigned i)
{
	struct vpci *p = d->state;
	uint64_t f = p->vio.features;

	return (vq_open(&p->vio.vq[i], d->mach->mem, &p->q[i].rings,
	    (f & VIO_F_INDIRECT) != 0, (f & VIO_F_EVENT_IDX) != 0,
	    p->vio.ops->proxy != NULL ? vio_proxy_log(&p->vio, i) : NULL));
}

bool
vpci_runs(const struct vpci *p)
{
	return (
	    (p->status & (VIO_DRIVER_OK | VIO_NEEDS_RESET)) == VIO_DRIVER_OK);
}

/* What the device has pushed since is told to the guest. */
static void
signal_all(struct dev *d)
{
	struct vpci *p = d->state;
	unsigned i;

	for (i = 0; i < p->vio.nqueues; i++)
		if (vq_is_open(&p->vio.vq[i]) && vq_signal(&p->vio.vq[i]))
			vpci_interrupt(d, p->q[i].vector, VIO_ISR_QUEUE);
}

/* The address names the queue; what is written there says no more.  T09. */
static void
notify(struct dev *d, const struct bus_access *a)
{
	struct vpci *p = d->state;
	uint64_t i = a->off_bytes / VIO_PCI_NOTIFY_STRIDE;

	if (!a->write || a->len_bytes != 2 ||
	    a->off_bytes % VIO_PCI_NOTIFY_STRIDE || i >= p->vio.nqueues ||
	    !vq_is_open(&p->vio.vq[i]) || !vpci_runs(p))
		return;
	p->vio.ops->kick(&p->vio, &p->vio.vq[i]);
	vpci_proxy_kicked(d);
	signal_all(d);
}

/* 4.1.4.5: reading is the acknowledgement. */
static void
isr_read(struct dev *d, struct bus_access *a)
{
	struct vpci *p = d->state;

	if (a->write)
		return;
	a->val = 0;
	if (a->off_bytes != 0 || a->len_bytes != 1)
		return;
	a->val = p->isr;
	p->isr = 0;
	vpci_line(d);
}

/* T10: nothing past the end, in part or whole. */
static void
device_cfg(struct dev *d, struct bus_access *a)
{
	struct vio *v = &((struct vpci *)d->state)->vio;

	if (!a->write)
		a->val = 0;
	if (a->off_bytes >= v->ops->cfg_bytes ||
	    a->len_bytes > v->ops->cfg_bytes - a->off_bytes)
		return;
	if (v->ops->cfg != NULL)
		v->ops->cfg(v, a);
	else if (!a->write)
		memcpy(&a->val, v->cfg + a->off_bytes, a->len_bytes);
}

static void
vpci_memory(struct dev *d, struct bus_access *a)
{
	struct vpci *p = d->state;
	uint64_t at = a->off_bytes & ~(PART_BYTES - 1ull);

	a->off_bytes -= at;
	switch (at) {
	case AT_COMMON:
		vpci_common(d, a);
		break;
	case AT_ISR:
		isr_read(d, a);
		break;
	case AT_DEVICE:
		device_cfg(d, a);
		break;
	case AT_TABLE:
		msix_table(&p->msix, a);
		if (a->write)
			vpci_proxy_defer(d);
		break;
	case AT_PBA:
		msix_pba(&p->msix, a);
		break;
	default:
		if (!a->write)
			a->val = 0;
		break;
	}
}

static void
vpci_access(struct dev *d, unsigned range, struct bus_access *a)
{
	if (range == 0) {
		if (!a->write)
			a->val = 0;
		notify(d, a);
	} else
		vpci_memory(d, a);
}

/*
 * 4.1.4.9: BARs by way of configuration space.  Only what the driver said
 * before: one access of 1, 2 or 4 bytes, aligned, inside the BAR.
 */
static void
window(struct dev *d, unsigned reg, unsigned len, bool write)
{
	struct vpci *p = d->state;
	struct pci_func *f = &p->fn;
	unsigned bar = f->cfg[AT_CAP_PCI + CAP_BAR];
	struct bus_access a = {
		.off_bytes = pci_get32(f, AT_CAP_PCI + CAP_OFFSET),
		.val = write ? pci_get32(f, PCI_DATA) : ~0ull,
		.len_bytes = (uint8_t)len,
		.write = write,
	};

	if (reg != PCI_DATA || len != pci_get32(f, AT_CAP_PCI + CAP_LENGTH) ||
	    bar >= PCI_BARS || a.off_bytes % len != 0 ||
	    a.off_bytes >= d->slot->range[bar].len_bytes)
		return;
	if (write && len < 4)
		a.val &= (1ull << 8 * len) - 1;
	vpci_access(d, bar, &a);
	if (!write)
		pci_put32(f, PCI_DATA, (uint32_t)a.val);
}

static void
cfg_reading(struct dev *d, unsigned reg, unsigned len)
{
	window(d, reg, len, false);
}

static bool
touches(unsigned reg, unsigned len, unsigned at, unsigned bytes)
{
	return (reg < at + bytes && at < reg + len);
}

static void
msix_follow(struct vpci *p)
{
	uint16_t c = pci_get16(&p->fn, MSIX_CONTROL);

	msix_control(&p->msix, c & MSIX_ENABLE, c & MSIX_MASK);
}

static void
cfg_written(struct dev *d, unsigned reg, unsigned len)
{
	struct vpci *p = d->state;

	if (touches(reg, len, PCI_COMMAND, 2) ||
	    touches(reg, len, PCI_BAR, 4 * PCI_BARS))
		pci_bars_update(&p->fn);
	if (touches(reg, len, MSIX_CONTROL, 2))
		msix_follow(p);
	if (touches(reg, len, PCI_COMMAND, 2) ||
	    touches(reg, len, PCI_BAR, 4 * PCI_BARS) ||
	    touches(reg, len, MSIX_CONTROL, 2))
		vpci_proxy_defer(d);
	vpci_line(d);
	window(d, reg, len, true);
}

/* One vendor capability; returns where the next one goes. */
static unsigned
cap_virtio(struct pci_func *f, unsigned at, uint8_t type, uint8_t bar,
    uint32_t offset, uint32_t length)
{
	uint8_t bytes = type == CFG_NOTIFY || type == CFG_PCI ? 20 : 16;

	f->cfg[at] = CAP_VENDOR;
	f->cfg[at + 1] = f->cfg[PCI_CAP_PTR]; /* the list grows at its head */
	f->cfg[PCI_CAP_PTR] = (uint8_t)at;
	f->cfg[at + 2] = bytes;
	f->cfg[at + 3] = type;
	f->cfg[at + CAP_BAR] = bar;
	pci_put32(f, at + CAP_OFFSET, offset);
	pci_put32(f, at + CAP_LENGTH, length);
	return (at + bytes);
}

static void
caps_init(struct vpci *p)
{
	struct pci_func *f = &p->fn;
	unsigned at = AT_CAP_FIRST;

	f->cfg[VPCI_AT_MSIX] = CAP_MSIX;
	pci_put16(f, MSIX_CONTROL, (uint16_t)(p->msix.nvec - 1));
	f->wmask[MSIX_CONTROL + 1] = (MSIX_ENABLE | MSIX_MASK) >> 8;
	pci_put32(f, VPCI_AT_MSIX + 4, AT_TABLE | 1);
	pci_put32(f, VPCI_AT_MSIX + 8, AT_PBA | 1);
	f->cfg[PCI_CAP_PTR] = VPCI_AT_MSIX;
	cap_virtio(f, AT_CAP_PCI, CFG_PCI, 0, 0, 0);
	f->wmask[AT_CAP_PCI + CAP_BAR] = 0xff;
	memset(f->wmask + AT_CAP_PCI + CAP_OFFSET, 0xff, 12);
	if (p->vio.ops->cfg_bytes > 0)
		at = cap_virtio(f, at, CFG_DEVICE, 1, AT_DEVICE,
		    (uint32_t)p->vio.ops->cfg_bytes);
	at = cap_virtio(f, at, CFG_ISR, 1, AT_ISR, 1);
	pci_put32(f, at + CAP_EXTRA, VIO_PCI_NOTIFY_STRIDE);
	at = cap_virtio(
	    f, at, CFG_NOTIFY, 0, 0, p->vio.nqueues * VIO_PCI_NOTIFY_STRIDE);
	cap_virtio(f, at, CFG_COMMON, 1, AT_COMMON, VIO_COMMON_BYTES);
}

/*
 * As firmware would leave it, since kernels are started without one: BARs in
 * place and decoded, bus master.
 */
static void
cfg_init(struct dev *d)
{
	struct vpci *p = d->state;
	struct pci_func *f = &p->fn;

	memset(f->cfg, 0, sizeof(f->cfg));
	memset(f->wmask, 0, sizeof(f->wmask));
	pci_put16(f, PCI_VENDOR, VENDOR);
	pci_put16(f, PCI_DEVICE, DEVICE_BASE + p->vio.ops->id);
	pci_put16(f, PCI_COMMAND, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
	pci_put16(f, PCI_STATUS, PCI_STATUS_CAPS);
	f->cfg[PCI_REVISION] = 1; /* 4.1.2.1: not transitional */
	pci_put16(f, PCI_CLASS, CLASS_OTHER);
	pci_put16(f, PCI_SUBSYS_VENDOR, VENDOR);
	pci_put16(f, PCI_SUBSYS, DEVICE_BASE + p->vio.ops->id);
	if (d->gsi != DEV_NO_GSI) {
		f->cfg[PCI_INT_LINE] = (uint8_t)d->gsi;
		f->cfg[PCI_INT_PIN] = 1;
	}
	f->wmask[PCI_COMMAND] = 0x47;     /* and parity response */
	f->wmask[PCI_COMMAND + 1] = 0x05; /* SERR, INTx disable */
	f->wmask[PCI_LATENCY] = 0xf8;
	f->wmask[PCI_INT_LINE] = 0xff;
	pci_bars_init(f);
	caps_init(p);
}

static void
vpci_power_on(struct dev *d)
{
	struct vpci *p = d->state;

	cfg_init(d);
	msix_reset(&p->msix);
	p->generation = 0;
	vpci_reset(d);
	pci_bars_update(&p->fn);
}

static void
on_needs_reset(struct vio *v)
{
	vpci_needs_reset(v->carrier_ctx);
}

static void
on_cfg_changed(struct vio *v)
{
	struct dev *d = v->carrier_ctx;
	struct vpci *p = d->state;

	p->generation++;
	if (vpci_runs(p))
		vpci_interrupt(d, p->cfg_vector, VIO_ISR_CFG);
}

static uint64_t
on_now_ns(struct vio *v)
{
	struct dev *d = v->carrier_ctx;

	return (d->mach->ops->mono_ns(d->mach));
}

static void
on_timer(struct vio *v, uint64_t at_ns)
{
	struct dev *d = v->carrier_ctx;

	d->mach->ops->timer(d->mach, d, at_ns);
}

static void
on_signal(struct vio *v, struct vq *q)
{
	struct dev *d = v->carrier_ctx;
	struct vpci *p = d->state;

	if (vq_signal(q))
		vpci_interrupt(d, p->q[q - v->vq].vector, VIO_ISR_QUEUE);
}

static const struct vio_carrier carrier = {
	.needs_reset = on_needs_reset,
	.cfg_changed = on_cfg_changed,
	.now_ns = on_now_ns,
	.timer = on_timer,
	.signal = on_signal,
};

static int
vpci_init(struct dev *d, struct err *e)
{
	struct vpci *p = d->state;
	const struct vio_ops *ops = d->slot->vio;
	struct vio *v = &p->vio;

	if (d->mach->pci == NULL)
		return (err_set(e, ENODEV, "%s: no PCI bus", ops->name));
	vio_init(v, ops, &carrier, d);
	if ((v->state = calloc(1, ops->state_bytes + 1)) == NULL)
		return (err_set(e, ENOMEM, "%s: no memory", ops->name));
	p->fn.dev = d;
	p->fn.reading = cfg_reading;
	p->fn.written = cfg_written;
	if (vio_open(v, d->slot->vio_conf, e) == -1)
		goto fail;
	msix_init(&p->msix, d->mach, v->nqueues + 1u);
	cfg_init(d); /* a function that is on the bus answers to its name */
	if (pci_add(d->mach->pci, d->slot->pci_slot, &p->fn, e) == 0)
		return (0);
	if (ops->close != NULL)
		ops->close(v);
fail:
	free(v->state);
	return (-1);
}

static void
vpci_fini(struct dev *d)
{
	struct vpci *p = d->state;

	vpci_proxy_fini(d);
	if (d->mach->pci != NULL)
		pci_remove(d->mach->pci, d->slot->pci_slot);
	if (p->vio.ops->close != NULL)
		p->vio.ops->close(&p->vio);
	free(p->vio.state);
}

static void
vpci_timer(struct dev *d)
{
	struct vpci *p = d->state;

	if (p->vio.ops->proxy != NULL)
		vpci_proxy_timer(d);
	if (p->vio.ops->timer == NULL || !vpci_runs(p))
		return;
	p->vio.ops->timer(&p->vio);
	signal_all(d);
}

const struct dev_ops dev_virtio_pci = {
	.name = "virtio_pci",
	.spec = "virtio 1.2, 4.1; PCI 3.0, 6",
	.state_bytes = sizeof(struct vpci),
	.version = 2,
	.init = vpci_init,
	.fini = vpci_fini,
	.reset = vpci_power_on,
	.access = vpci_access,
	.timer = vpci_timer,
	.save = vpci_save,
	.load = vpci_load,
	.sync = vpci_proxy_sync,
	.quiesce = vpci_proxy_quiesce,
	.resume = vpci_proxy_resume,
	.ready = vpci_proxy_ready,
};
