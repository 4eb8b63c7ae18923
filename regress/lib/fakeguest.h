/* SPDX-License-Identifier: ISC */
/*
 * A guest's driver for a virtio function in slot 1 of a fake machine: PCI
 * configuration, BARs, negotiation, rings in guest memory.  It goes only where
 * the capabilities say, as a real driver does.
 */
#ifndef REGRESS_FAKEGUEST_H
#define REGRESS_FAKEGUEST_H

#include "daemon/dev/virtio.h"
#include "regress/lib/fakemach.h"

#define FG_MEM_BYTES (1 << 20)
#define FG_BDF 8 /* slot 1 */
#define FG_QUEUES 4
/* Where fg_queue() puts rings, a page each, and what tests may use. */
#define FG_RINGS 0x10000
#define FG_DATA 0x40000

#define FG_NEXT 1
#define FG_WRITE 2
#define FG_INDIRECT 4

/* Common configuration: virtio 1.2, 4.1.4.3. */
enum {
	FG_DEV_SEL = 0x00,
	FG_DEV_FEATURES = 0x04,
	FG_DRV_SEL = 0x08,
	FG_DRV_FEATURES = 0x0c,
	FG_CFG_VECTOR = 0x10,
	FG_NUM_QUEUES = 0x12,
	FG_STATUS = 0x14,
	FG_GENERATION = 0x15,
	FG_Q_SEL = 0x16,
	FG_Q_SIZE = 0x18,
	FG_Q_VECTOR = 0x1a,
	FG_Q_ENABLE = 0x1c,
	FG_Q_NOTIFY_OFF = 0x1e,
	FG_Q_DESC = 0x20,
	FG_Q_AVAIL = 0x28,
	FG_Q_USED = 0x30,
};

/* Where a capability says that a structure is. */
struct fg_cap {
	bool there, io;
	uint64_t addr;
	uint32_t length;
	unsigned at; /* in configuration space */
};

struct fg_queue {
	uint16_t size, avail_idx, used_seen;
	uint64_t desc, avail, used;
};

struct fakeguest {
	struct fakemach f;
	struct board_slot slot;
	struct dev *host, *dev;
	struct fg_cap common, notify, isr, device, window, table, pba;
	uint32_t multiplier;
	struct fg_queue q[FG_QUEUES];
};

void fg_open(struct fakeguest *, const struct vio_ops *);
/* The same of a device that is opened with something. */
void fg_open_conf(
    struct fakeguest *, const struct vio_ops *, const struct vio_conf *);
/* False: it cannot be opened, as *e says; there is nothing to close. */
bool fg_try(struct fakeguest *, const struct vio_ops *, const struct vio_conf *,
    struct err *);
void fg_close(struct fakeguest *);

uint32_t fg_cfg_in(struct fakeguest *, unsigned reg, unsigned bytes);
void fg_cfg_out(struct fakeguest *, unsigned reg, unsigned bytes, uint32_t v);
uint64_t fg_mem_in(struct fakeguest *, uint64_t addr, unsigned bytes);
void fg_mem_out(struct fakeguest *, uint64_t addr, unsigned bytes, uint64_t v);
/* Common configuration by its natural width. */
uint32_t fg_in(struct fakeguest *, unsigned reg);
void fg_out(struct fakeguest *, unsigned reg, uint32_t v);
void fg_out64(struct fakeguest *, unsigned reg, uint64_t v);

uint64_t fg_offered(struct fakeguest *);
/* Reset, ACKNOWLEDGE, DRIVER, these features, FEATURES_OK: did it stay? */
bool fg_negotiate(struct fakeguest *, uint64_t features);
/* Rings of that size in the usual place, enabled. */
void fg_queue(struct fakeguest *, unsigned q, uint16_t size);
/* All of it, with queue 0: a running device. */
void fg_up(struct fakeguest *, uint64_t features, uint16_t size);

void fg_desc(struct fakeguest *, unsigned q, unsigned i, uint64_t addr,
    uint32_t len, uint16_t flags, uint16_t next);
void fg_desc_at(struct fakeguest *, uint64_t table, unsigned i, uint64_t addr,
    uint32_t len, uint16_t flags, uint16_t next);
void fg_avail(struct fakeguest *, unsigned q, uint16_t head);
void fg_kick(struct fakeguest *, unsigned q);
/* The next used element, if there is one. */
bool fg_used(struct fakeguest *, unsigned q, uint32_t *id, uint32_t *len);
bool fg_needs_reset(struct fakeguest *);
/* MSI-X on, each vector unmasked: message 0xfee00000, data 0x40 + vector. */
void fg_msix(struct fakeguest *);

#endif
