/* SPDX-License-Identifier: ISC */
/* A guest's virtio driver for tests: see fakeguest.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/pci.h"
#include "regress/lib/fakeguest.h"

static void
cap_virtio(struct fakeguest *g, unsigned at)
{
	struct fg_cap *const cap[] = { NULL, &g->common, &g->notify, &g->isr,
		&g->device, &g->window };
	uint8_t type = (uint8_t)fg_cfg_in(g, at + 3, 1);
	unsigned bar = fg_cfg_in(g, at + 4, 1) & 7;
	uint32_t base;
	struct fg_cap *c;

	if (type == 0 || type > 5)
		return;
	base = fg_cfg_in(g, PCI_BAR + 4 * bar, 4);
	c = cap[type];
	c->there = true;
	c->at = at;
	c->io = base & 1;
	c->addr = (base & ~15u) + fg_cfg_in(g, at + 8, 4);
	c->length = fg_cfg_in(g, at + 12, 4);
	if (type == 2)
		g->multiplier = fg_cfg_in(g, at + 16, 4);
}

static void
cap_msix(struct fakeguest *g, unsigned at)
{
	uint32_t table = fg_cfg_in(g, at + 4, 4), pba;

	pba = fg_cfg_in(g, at + 8, 4);
	g->table.there = g->pba.there = true;
	g->table.at = g->pba.at = at;
	g->table.addr =
	    (fg_cfg_in(g, PCI_BAR + 4 * (table & 7), 4) & ~15u) + (table & ~7u);
	g->pba.addr =
	    (fg_cfg_in(g, PCI_BAR + 4 * (pba & 7), 4) & ~15u) + (pba & ~7u);
	g->table.length = (fg_cfg_in(g, at + 2, 2) & 0x7ff) + 1;
}

static void
caps_find(struct fakeguest *g)
{
	unsigned at, n = 0;

	for (at = fg_cfg_in(g, PCI_CAP_PTR, 1); at != 0 && n < 48;
	     at = fg_cfg_in(g, at + 1, 1), n++)
		switch (fg_cfg_in(g, at, 1)) {
		case 0x09:
			cap_virtio(g, at);
			break;
		case 0x11:
			cap_msix(g, at);
			break;
		}
}

bool
fg_try(struct fakeguest *g, const struct vio_ops *ops,
    const struct vio_conf *conf, struct err *e)
{
	struct dev *d;

	memset(g, 0, sizeof(*g));
	fakemach_open(&g->f, FG_MEM_BYTES, 1);
	g->host = fakemach_add(&g->f, fakemach_slot(&dev_pci_host));
	g->slot = (struct board_slot){
		.ops = &dev_virtio_pci,
		.range = { { false, 0xc000, VIO_PCI_IO_BYTES },
		    { true, 0xe0000000, VIO_PCI_MEM_BYTES } },
		.gsi = PCI_INTX_GSI(1),
		.pci_slot = 1,
		.vio = ops,
		.vio_conf = conf,
	};
	if ((d = dev_open(&g->slot, &g->f.m, e)) == NULL) {
		fakemach_close(&g->f);
		return (false);
	}
	g->dev = g->f.dev[g->f.ndevs++] = d;
	fakemach_sync(&g->f);
	caps_find(g);
	return (true);
}

void
fg_open_conf(
    struct fakeguest *g, const struct vio_ops *ops, const struct vio_conf *conf)
{
	struct err e;

	if (fg_try(g, ops, conf, &e))
		return;
	fprintf(stderr, "fakeguest: %s\n", e.text);
	abort();
}

void
fg_open(struct fakeguest *g, const struct vio_ops *ops)
{
	fg_open_conf(g, ops, NULL);
}

void
fg_close(struct fakeguest *g)
{
	fakemach_close(&g->f);
}

uint32_t
fg_cfg_in(struct fakeguest *g, unsigned reg, unsigned bytes)
{
	fake_out(&g->f, 0xcf8, 4, 0x80000000u | FG_BDF << 8 | (reg & 0xfc));
	return (fake_in(&g->f, (uint16_t)(0xcfc + (reg & 3)), bytes));
}

void
fg_cfg_out(struct fakeguest *g, unsigned reg, unsigned bytes, uint32_t v)
{
	fake_out(&g->f, 0xcf8, 4, 0x80000000u | FG_BDF << 8 | (reg & 0xfc));
	fake_out(&g->f, (uint16_t)(0xcfc + (reg & 3)), bytes, v);
}

uint64_t
fg_mem_in(struct fakeguest *g, uint64_t addr, unsigned bytes)
{
	uint64_t v = 0;

	bus_rw(g->f.m.mmio, addr, &v, bytes, false);
	return (v);
}

void
fg_mem_out(struct fakeguest *g, uint64_t addr, unsigned bytes, uint64_t v)
{
	bus_rw(g->f.m.mmio, addr, &v, bytes, true);
	fakemach_sync(&g->f);
}

static unsigned
width(unsigned reg)
{
	if (reg == FG_STATUS || reg == FG_GENERATION)
		return (1);
	return (reg >= FG_CFG_VECTOR && reg < FG_Q_DESC ? 2 : 4);
}

uint32_t
fg_in(struct fakeguest *g, unsigned reg)
{
	return ((uint32_t)fg_mem_in(g, g->common.addr + reg, width(reg)));
}

void
fg_out(struct fakeguest *g, unsigned reg, uint32_t v)
{
	fg_mem_out(g, g->common.addr + reg, width(reg), v);
}

void
fg_out64(struct fakeguest *g, unsigned reg, uint64_t v)
{
	fg_out(g, reg, (uint32_t)v);
	fg_out(g, reg + 4, (uint32_t)(v >> 32));
}

uint64_t
fg_offered(struct fakeguest *g)
{
	uint64_t v;

	fg_out(g, FG_DEV_SEL, 1);
	v = (uint64_t)fg_in(g, FG_DEV_FEATURES) << 32;
	fg_out(g, FG_DEV_SEL, 0);
	return (v | fg_in(g, FG_DEV_FEATURES));
}

bool
fg_negotiate(struct fakeguest *g, uint64_t features)
{
	fg_out(g, FG_STATUS, 0);
	fg_out(g, FG_STATUS, 1);
	fg_out(g, FG_STATUS, 3);
	fg_out(g, FG_DRV_SEL, 0);
	fg_out(g, FG_DRV_FEATURES, (uint32_t)features);
	fg_out(g, FG_DRV_SEL, 1);
	fg_out(g, FG_DRV_FEATURES, (uint32_t)(features >> 32));
	fg_out(g, FG_STATUS, 11);
	return (fg_in(g, FG_STATUS) == 11);
}

void
fg_queue(struct fakeguest *g, unsigned i, uint16_t size)
{
	struct fg_queue *q = &g->q[i];

	memset(q, 0, sizeof(*q));
	q->size = size;
	q->desc = FG_RINGS + i * 0x4000;
	q->avail = q->desc + 0x1000;
	q->used = q->desc + 0x2000;
	memset(mem_ptr(&g->f.mem, q->desc, 0x4000), 0, 0x4000);
	fg_out(g, FG_Q_SEL, i);
	fg_out(g, FG_Q_SIZE, size);
	fg_out64(g, FG_Q_DESC, q->desc);
	fg_out64(g, FG_Q_AVAIL, q->avail);
	fg_out64(g, FG_Q_USED, q->used);
	fg_out(g, FG_Q_ENABLE, 1);
}

void
fg_up(struct fakeguest *g, uint64_t features, uint16_t size)
{
	if (!fg_negotiate(g, features | VIO_F_VERSION_1)) {
		fprintf(stderr, "fakeguest: features are refused\n");
		abort();
	}
	fg_queue(g, 0, size);
	fg_out(g, FG_STATUS, 15);
}

void
fg_desc_at(struct fakeguest *g, uint64_t table, unsigned i, uint64_t addr,
    uint32_t len, uint16_t flags, uint16_t next)
{
	struct {
		uint64_t addr;
		uint32_t len;
		uint16_t flags, next;
	} d = { addr, len, flags, next };

	mem_write(&g->f.mem, table + 16ull * i, &d, sizeof(d));
}

void
fg_desc(struct fakeguest *g, unsigned q, unsigned i, uint64_t addr,
    uint32_t len, uint16_t flags, uint16_t next)
{
	fg_desc_at(g, g->q[q].desc, i, addr, len, flags, next);
}

void
fg_avail(struct fakeguest *g, unsigned i, uint16_t head)
{
	struct fg_queue *q = &g->q[i];

	mem_write(
	    &g->f.mem, q->avail + 4 + 2 * (q->avail_idx % q->size), &head, 2);
	q->avail_idx++;
	mem_write(&g->f.mem, q->avail + 2, &q->avail_idx, 2);
}

void
fg_kick(struct fakeguest *g, unsigned i)
{
	uint64_t at;

	fg_out(g, FG_Q_SEL, i);
	at = g->notify.addr +
	    (uint64_t)g->multiplier * fg_in(g, FG_Q_NOTIFY_OFF);
	if (g->notify.io)
		fake_out(&g->f, (uint16_t)at, 2, i);
	else
		fg_mem_out(g, at, 2, i);
}

bool
fg_used(struct fakeguest *g, unsigned i, uint32_t *id, uint32_t *len)
{
	struct fg_queue *q = &g->q[i];
	uint16_t idx = 0;
	uint64_t at;

	mem_read(&g->f.mem, q->used + 2, &idx, 2);
	if (idx == q->used_seen)
		return (false);
	at = q->used + 4 + 8ull * (q->used_seen++ % q->size);
	mem_read(&g->f.mem, at, id, 4);
	mem_read(&g->f.mem, at + 4, len, 4);
	return (true);
}

bool
fg_needs_reset(struct fakeguest *g)
{
	return ((fg_in(g, FG_STATUS) & 0x40) != 0);
}

void
fg_msix(struct fakeguest *g)
{
	uint64_t at = g->table.addr;
	unsigned i;

	for (i = 0; i < g->table.length; i++, at += 16) {
		fg_mem_out(g, at, 4, 0xfee00000);
		fg_mem_out(g, at + 4, 4, 0);
		fg_mem_out(g, at + 8, 4, 0x40 + i);
		fg_mem_out(g, at + 12, 4, 0);
	}
	fg_cfg_out(g, g->table.at + 2, 2, 0x8000);
}
