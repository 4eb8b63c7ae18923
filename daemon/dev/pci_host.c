/* SPDX-License-Identifier: ISC */
/*
 * PCI host bridge, an i440FX to look at, and configuration mechanism 1
 * (PCI 3.0, 3.2.2.3.2) for the functions on its bus.
 * Range 0: ports 0xcf8..0xcff (0xcf9 as a byte is the reset register's).
 * Runs in: vm process.  Trusts: nobody.
 */
#include <errno.h>
#include <string.h>

#include "daemon/dev/dev.h"
#include "daemon/dev/pci.h"
#include "daemon/dev/snap.h"

#define ADDR_ENABLE 0x80000000u
#define ADDR_KEPT 0x80fffffcu
#define ADDR_BUS_FN 0x00ff0700u /* bus and function: only 0 and 0 are there */
#define DATA_OFF 4              /* of 0xcfc */

#define HOST_VENDOR 0x8086
#define HOST_DEVICE 0x1237
#define HOST_REVISION 2
#define HOST_CLASS 0x0600
#define HOST_PAM 0x59 /* 7 bytes: firmware opens its shadow RAM with them */

struct pci_host {
	uint32_t addr;
	struct pci_func *slot[PCI_SLOTS]; /* borrowed, but for slot 0 */
	struct pci_func self;
};

int
pci_add(struct dev *d, unsigned slot, struct pci_func *fn, struct err *e)
{
	struct pci_host *h = d->state;
	int rc = 0;

	pthread_mutex_lock(&d->lock);
	if (slot >= PCI_SLOTS || h->slot[slot] != NULL)
		rc = err_set(
		    e, EEXIST, "PCI slot %u is taken or not there", slot);
	else
		h->slot[slot] = fn;
	pthread_mutex_unlock(&d->lock);
	return (rc);
}

void
pci_remove(struct dev *d, unsigned slot)
{
	struct pci_host *h = d->state;

	pthread_mutex_lock(&d->lock);
	h->slot[slot] = NULL;
	pthread_mutex_unlock(&d->lock);
}

/* The function that the address names, NULL when nobody is there. */
static struct pci_func *
pci_target(const struct pci_host *h)
{
	if (!(h->addr & ADDR_ENABLE) || h->addr & ADDR_BUS_FN)
		return (NULL);
	return (h->slot[h->addr >> 11 & (PCI_SLOTS - 1)]);
}

static void
cfg_write(struct pci_func *f, unsigned reg, uint8_t v)
{
	uint8_t mask = f->wmask[reg];

	f->cfg[reg] = (f->cfg[reg] & ~mask) | (v & mask);
}

static void
cfg_access(struct pci_func *f, unsigned reg, struct bus_access *a)
{
	uint64_t v = 0;
	unsigned i;

	if (!a->write && f->reading != NULL)
		f->reading(f->dev, reg, a->len_bytes);
	for (i = 0; i < a->len_bytes; i++)
		if (a->write)
			cfg_write(f, reg + i, (uint8_t)(a->val >> (8 * i)));
		else
			v |= (uint64_t)f->cfg[reg + i] << (8 * i);
	if (!a->write)
		a->val = v;
	else if (f->written != NULL)
		f->written(f->dev, reg, a->len_bytes);
}

static void
pci_data(struct pci_host *h, unsigned lane, struct bus_access *a)
{
	struct pci_func *f = pci_target(h);
	unsigned reg = (h->addr & 0xfc) + lane;

	if (f == NULL)
		return; /* master abort: reads all ones */
	if (f->dev == NULL) {
		cfg_access(f, reg, a);
		return;
	}
	pthread_mutex_lock(&f->dev->lock);
	cfg_access(f, reg, a);
	pthread_mutex_unlock(&f->dev->lock);
}

static void
pci_host_access(struct dev *d, unsigned range, struct bus_access *a)
{
	struct pci_host *h = d->state;
	unsigned off = a->off_bytes & 7;

	(void)range;
	if (off >= DATA_OFF) {
		if (off + a->len_bytes <= 8)
			pci_data(h, off - DATA_OFF, a);
		return;
	}
	/* The address takes whole accesses only; others pass it by. */
	if (off != 0 || a->len_bytes != 4)
		return;
	if (a->write)
		h->addr = (uint32_t)a->val & ADDR_KEPT;
	else
		a->val = h->addr;
}

static int
pci_host_init(struct dev *d, struct err *e)
{
	struct pci_host *h = d->state;

	d->mach->pci = d;
	return (pci_add(d, 0, &h->self, e));
}

static void
pci_host_fini(struct dev *d)
{
	d->mach->pci = NULL;
}

static void
pci_host_reset(struct dev *d)
{
	struct pci_host *h = d->state;
	struct pci_func *f = &h->self;
	unsigned i;

	h->addr = 0;
	memset(f, 0, sizeof(*f));
	pci_put16(f, PCI_VENDOR, HOST_VENDOR);
	pci_put16(f, PCI_DEVICE, HOST_DEVICE);
	pci_put16(f, PCI_COMMAND, 0x0006); /* memory, master: always */
	pci_put16(f, PCI_STATUS, 0x0280);  /* fast back-to-back, medium */
	f->cfg[PCI_REVISION] = HOST_REVISION;
	pci_put16(f, PCI_CLASS, HOST_CLASS);
	f->wmask[PCI_COMMAND] = 0x40;     /* parity response */
	f->wmask[PCI_COMMAND + 1] = 0x01; /* SERR */
	f->wmask[PCI_LATENCY] = 0xf8;
	f->wmask[HOST_PAM] = 0x30;
	for (i = 1; i < 7; i++)
		f->wmask[HOST_PAM + i] = 0x33;
}

static void
pci_host_save(struct dev *d, struct snap_w *w)
{
	const struct pci_host *h = d->state;

	snap_put_u32(w, h->addr);
	snap_put_bytes(w, h->self.cfg, sizeof(h->self.cfg));
}

static int
pci_host_load(struct dev *d, struct snap_r *r, struct err *e)
{
	struct pci_host *h = d->state;
	uint8_t cfg[PCI_CFG_BYTES];
	uint32_t addr = snap_get_u32(r);
	unsigned i;

	snap_get_bytes(r, cfg, sizeof(cfg));
	if (addr & ~ADDR_KEPT)
		r->failed = true;
	for (i = 0; i < sizeof(cfg); i++)
		if ((cfg[i] ^ h->self.cfg[i]) & ~h->self.wmask[i])
			r->failed = true;
	if (snap_end(r, d->ops->name, e) == -1)
		return (-1);
	h->addr = addr;
	memcpy(h->self.cfg, cfg, sizeof(cfg));
	return (0);
}

const struct dev_ops dev_pci_host = {
	.name = "pci_host",
	.spec = "PCI 3.0, 3.2.2.3.2; Intel 82441FX",
	.state_bytes = sizeof(struct pci_host),
	.version = 1,
	.init = pci_host_init,
	.fini = pci_host_fini,
	.reset = pci_host_reset,
	.access = pci_host_access,
	.save = pci_host_save,
	.load = pci_host_load,
};
