/* SPDX-License-Identifier: ISC */
/*
 * Virtio over PCI: saved state.  The record is the same wherever the device is
 * served; what was in flight when it was held still is part of it, since nobody
 * but the log knows.
 * Runs in: vm process, no vCPU running.  Trusts: no byte of what is loaded.
 */
#include <string.h>

#include "daemon/dev/snap.h"
#include "daemon/dev/virtio_pci.h"

/*
 * Heads of what is in flight, oldest first.  The log is another's to write in:
 * what it says is bounded here, and by the size that both know.
 */
static unsigned
flight_get(const struct vq *vq, uint16_t head[VQ_SIZE_MAX])
{
	uint64_t counter[VQ_SIZE_MAX], c;
	unsigned i, at, n = 0;

	for (i = 0; vq->log != NULL && i < vq->rings.size; i++) {
		if (vq->log->desc[i].inflight != 1)
			continue;
		c = vq->log->desc[i].counter;
		for (at = n++; at > 0 && counter[at - 1] > c; at--) {
			counter[at] = counter[at - 1];
			head[at] = head[at - 1];
		}
		counter[at] = c;
		head[at] = (uint16_t)i;
	}
	return (n);
}

/* As if the one that had them in flight had logged them here. */
static void
flight_put(struct vq *vq, struct snap_r *heads)
{
	struct vq_log *log = vq->log;
	uint64_t counter = 0;

	log->version = 1;
	log->desc_num = vq->rings.size;
	log->used_idx = vq->next_used;
	while (heads->left_bytes > 0) {
		struct vq_log_desc *d = &log->desc[snap_get_u16(heads)];

		d->inflight = 1;
		d->counter = counter++;
	}
}

/* Each of them once, and as many as were taken and not given back. */
static bool
flight_ok(const struct vq *vq, struct snap_r heads)
{
	uint64_t seen[VQ_SIZE_MAX / 64] = { 0 }, bit;
	uint16_t head;

	if (heads.left_bytes != 2u * (uint16_t)(vq->next_avail - vq->next_used))
		return (false);
	while (heads.left_bytes > 0) {
		head = snap_get_u16(&heads);
		bit = 1ull << head % 64;
		if (head >= vq->rings.size || seen[head / 64] & bit)
			return (false);
		seen[head / 64] |= bit;
	}
	return (true);
}

static void
queue_save(const struct vpci_queue *q, const struct vq *vq, struct snap_w *w)
{
	uint16_t head[VQ_SIZE_MAX];
	unsigned i, n;

	snap_put_u64(w, q->rings.desc_gpa);
	snap_put_u64(w, q->rings.avail_gpa);
	snap_put_u64(w, q->rings.used_gpa);
	snap_put_u16(w, q->rings.size);
	snap_put_u16(w, q->vector);
	snap_put_u8(w, q->enabled);
	snap_put_u16(w, vq->next_avail);
	snap_put_u16(w, vq->next_used);
	snap_put_u16(w, vq->signalled);
	n = flight_get(vq, head);
	snap_put_u16(w, (uint16_t)n);
	for (i = 0; i < n; i++)
		snap_put_u16(w, head[i]);
}

void
vpci_save(struct dev *d, struct snap_w *w)
{
	struct vpci *p = d->state;
	unsigned i;

	snap_put_u16(w, p->vio.ops->id);
	snap_put_u16(w, p->vio.ops->version);
	snap_put_bytes(w, p->fn.cfg, sizeof(p->fn.cfg));
	msix_save(&p->msix, w);
	snap_put_u32(w, p->dev_sel);
	snap_put_u32(w, p->drv_sel);
	snap_put_u64(w, p->drv_features);
	snap_put_u16(w, p->q_sel);
	snap_put_u16(w, p->cfg_vector);
	snap_put_u8(w, p->status);
	snap_put_u8(w, p->isr);
	snap_put_u8(w, p->generation);
	snap_put_bytes(w, p->vio.cfg, p->vio.ops->cfg_bytes);
	for (i = 0; i < p->vio.nqueues; i++)
		queue_save(&p->q[i], &p->vio.vq[i], w);
	if (p->vio.ops->save != NULL)
		p->vio.ops->save(&p->vio, w);
}

static bool
vector_ok(const struct vpci *p, uint16_t v)
{
	return (v < p->msix.nvec || v == VIO_NO_VECTOR);
}

static bool
queue_load(struct vpci *p, const struct mem *mem, unsigned i, struct snap_r *r,
    struct snap_r *heads)
{
	struct vpci_queue *q = &p->q[i];
	struct vq *vq = &p->vio.vq[i];
	uint64_t f = p->vio.features;
	uint16_t size, next_avail, next_used, signalled;

	q->rings.desc_gpa = snap_get_u64(r);
	q->rings.avail_gpa = snap_get_u64(r);
	q->rings.used_gpa = snap_get_u64(r);
	q->rings.size = size = snap_get_u16(r);
	q->vector = snap_get_u16(r);
	q->enabled = snap_get_bool(r);
	next_avail = snap_get_u16(r);
	next_used = snap_get_u16(r);
	signalled = snap_get_u16(r);
	snap_get_part(r, heads, 2u * snap_get_u16(r));
	if (r->failed || size == 0 || (size & (size - 1)) != 0 ||
	    size > p->vio.ops->queue_max[i] || !vector_ok(p, q->vector))
		return (false);
	vq_close(vq);
	if (!q->enabled)
		return (next_avail == 0 && next_used == 0 && signalled == 0 &&
		    heads->left_bytes == 0);
	/* In the vm process requests are done at once: none is in flight. */
	if (!(p->status & VIO_FEATURES_OK) ||
	    (p->vio.ops->proxy == NULL && next_avail != next_used) ||
	    vq_open(vq, mem, &q->rings, (f & VIO_F_INDIRECT) != 0,
		(f & VIO_F_EVENT_IDX) != 0, NULL) == -1)
		return (false);
	vq->next_avail = next_avail;
	vq->next_used = next_used;
	vq->signalled = signalled;
	return (flight_ok(vq, *heads));
}

/* Configuration space: what cannot be written has to be as it is. */
static bool
cfg_load(struct vpci *p, struct snap_r *r)
{
	uint8_t cfg[PCI_CFG_BYTES], differs = 0, *now = p->fn.cfg;
	unsigned i;

	snap_get_bytes(r, cfg, sizeof(cfg));
	/* It follows from the rest. */
	now[PCI_STATUS] ^=
	    (now[PCI_STATUS] ^ cfg[PCI_STATUS]) & PCI_STATUS_INTX;
	for (i = 0; i < sizeof(cfg); i++)
		differs |= (cfg[i] ^ now[i]) & ~p->fn.wmask[i];
	memcpy(now, cfg, sizeof(cfg));
	return (differs == 0);
}

static bool
status_ok(const struct vpci *p)
{
	uint8_t known = VIO_ACKNOWLEDGE | VIO_DRIVER | VIO_DRIVER_OK |
	    VIO_FEATURES_OK | VIO_NEEDS_RESET | VIO_FAILED;

	if (p->status & ~known || p->isr & ~(VIO_ISR_QUEUE | VIO_ISR_CFG))
		return (false);
	if (p->status & VIO_FEATURES_OK)
		return (vpci_features_agree(p));
	return (!(p->status & VIO_DRIVER_OK));
}

/* All of it into a copy of the device; false: it cannot be. */
static bool
load_copy(struct vpci *p, const struct mem *mem, struct snap_r *r,
    struct snap_r heads[VIO_QUEUES_MAX])
{
	unsigned i;

	if (snap_get_u16(r) != p->vio.ops->id ||
	    snap_get_u16(r) != p->vio.ops->version || !cfg_load(p, r))
		return (false);
	msix_load(&p->msix, r);
	p->dev_sel = snap_get_u32(r);
	p->drv_sel = snap_get_u32(r);
	p->drv_features = snap_get_u64(r);
	p->q_sel = snap_get_u16(r);
	p->cfg_vector = snap_get_u16(r);
	p->status = snap_get_u8(r);
	p->isr = snap_get_u8(r);
	p->generation = snap_get_u8(r);
	snap_get_bytes(r, p->vio.cfg, p->vio.ops->cfg_bytes);
	if (!status_ok(p) || !vector_ok(p, p->cfg_vector))
		return (false);
	p->vio.features = p->status & VIO_FEATURES_OK ? p->drv_features : 0;
	for (i = 0; i < p->vio.nqueues; i++)
		if (!queue_load(p, mem, i, r, &heads[i]))
			return (false);
	return (!r->failed);
}

int
vpci_load(struct dev *d, struct snap_r *r, struct err *e)
{
	struct vpci *p = d->state, copy = *p;
	struct snap_r heads[VIO_QUEUES_MAX] = { 0 };
	unsigned i;
	uint16_t c;

	if (!load_copy(&copy, d->mach->mem, r, heads))
		r->failed = true;
	if (r->failed || p->vio.ops->load == NULL) {
		if (snap_end(r, p->vio.ops->name, e) == -1)
			return (-1);
	} else if (p->vio.ops->load(&p->vio, r, e) == -1)
		return (-1);
	c = pci_get16(&copy.fn, MSIX_CONTROL);
	copy.msix.enabled = (c & MSIX_ENABLE) != 0;
	copy.msix.masked = (c & MSIX_MASK) != 0;
	*p = copy;
	pci_bars_update(&p->fn);
	vpci_line(d);
	vpci_proxy_loaded(d); /* what it had before is of no more use */
	for (i = 0; i < p->vio.nqueues; i++)
		if (p->vio.vq[i].log != NULL)
			flight_put(&p->vio.vq[i], &heads[i]);
	vpci_proxy_sync(d);
	return (0);
}
