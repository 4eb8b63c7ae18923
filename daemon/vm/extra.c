/* SPDX-License-Identifier: ISC */
/*
 * Devices beside those of the board: a PCI slot each, and what befalls those
 * that another process serves.
 * Runs in: vm process, main thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/dev/pci.h"
#include "daemon/vm/machine_int.h"

/* Slot 0 is the host bridge, 1 the board's rng. */
#define SLOT_FIRST 2u
#define IO_BASE 0xc000u
#define MEM_BASE 0xe0000000u
_Static_assert(SLOT_FIRST + MACHINE_DEVS_MAX <= PCI_SLOTS, "slots");
_Static_assert(MACHINE_DEVS_MAX == VM_DEVS_MAX, "the messages");
_Static_assert(MACH_MSI_GSI(SLOT_FIRST, 0) >= HV_MSI_GSI, "GSIs of messages");
_Static_assert(
    (SLOT_FIRST + MACHINE_DEVS_MAX) * VIO_QUEUES_MAX <= HV_ROUTES_MAX,
    "routes");

/* Slots without a pin of their own have messages only: none is shared. */
static void
slot_fill(struct board_slot *s, const struct machine_dev_conf *c, unsigned slot)
{
	*s = (struct board_slot){
		.ops = &dev_virtio_pci,
		.range = { { .base = IO_BASE + (slot - 1) * VIO_PCI_IO_BYTES,
			       .len_bytes = VIO_PCI_IO_BYTES },
		    { .mmio = true,
			.base = MEM_BASE + (slot - 1) * VIO_PCI_MEM_BYTES,
			.len_bytes = VIO_PCI_MEM_BYTES } },
		.gsi = slot <= PCI_INTX_SLOTS ? PCI_INTX_GSI(slot) : DEV_NO_GSI,
		.pci_slot = (uint8_t)slot,
		.vio = c->vio,
		.vio_conf = &c->conf,
	};
}

int
machine_dev_index(const struct machine *m, const struct dev *d)
{
	unsigned i;

	for (i = 0; i < m->conf.ndevs; i++)
		if (d->slot == &m->extra[i].slot)
			return ((int)i);
	return (-1);
}

int
machine_devs_open(struct machine *m, struct err *e)
{
	const struct machine_dev_conf *c = m->conf.devs;
	struct dev *d;
	unsigned i;

	if (m->conf.ndevs > MACHINE_DEVS_MAX)
		return (err_set(
		    e, EINVAL, "more than %d devices", MACHINE_DEVS_MAX));
	m->extra = calloc(m->conf.ndevs + 1u, sizeof(*m->extra));
	if (m->extra == NULL)
		return (err_errno(e, "no memory for devices"));
	for (i = 0; i < m->conf.ndevs; i++) {
		slot_fill(&m->extra[i].slot, &c[i], SLOT_FIRST + i);
		d = dev_open(&m->extra[i].slot, &m->mach, e);
		if (d == NULL)
			return (err_prefix(e, "%s", c[i].name));
		m->dev[BOARD_ROWS + i] = d;
		m->extra[i].slot.vio_conf = NULL;
		dev_sync(d);
	}
	m->conf.devs = NULL;
	return (0);
}

/* They are closed; their watches went with that. */
void
machine_devs_close(struct machine *m)
{
	free(m->extra);
}

void
machine_devs_sync(struct machine *m)
{
	unsigned i, which = atomic_exchange(&m->deferred, 0);

	for (i = 0; i < MACHINE_ALL; i++)
		if (which & 1u << i)
			dev_sync(m->dev[i]);
}

void
machine_devs_hold(struct machine *m, bool hold)
{
	unsigned i;

	for (i = 0; i < MACHINE_ALL; i++) {
		if (m->dev[i] == NULL)
			continue;
		if (hold)
			dev_quiesce(m->dev[i]);
		else
			dev_resume(m->dev[i]);
	}
}

void
machine_devs_told(struct machine *m)
{
	unsigned i, what, events;

	for (i = 0; i < m->conf.ndevs; i++) {
		events = atomic_exchange(&m->extra[i].events, 0);
		for (what = 0; what < MACH_DEV_EVENTS; what++) {
			if (!(events & 1u << what))
				continue;
			if (what == MACH_DEV_STUCK)
				machine_pause(m);
			if (m->conf.ops->dev != NULL)
				m->conf.ops->dev(m->conf.ctx, i, what,
				    &m->extra[i].why[what]);
		}
	}
}

int
machine_dev_replace(struct machine *m, unsigned index, int *sock, struct err *e)
{
	int rc;

	if (index >= m->conf.ndevs || m->extra[index].slot.vio->proxy == NULL)
		return (err_set(e, EINVAL, "no device %u", index));
	/* Not yet told, and not of the one that comes now. */
	atomic_fetch_and(&m->extra[index].events, ~(1u << MACH_DEV_LOST));
	vcpus_hold(m);
	rc = virtio_pci_replace(m->dev[BOARD_ROWS + index], sock, e);
	machine_clear(m, false);
	machine_go(m);
	return (rc);
}

void
machine_dev_gone(struct machine *m, unsigned index)
{
	if (index >= m->conf.ndevs || m->extra[index].slot.vio->proxy == NULL)
		return;
	virtio_pci_gone(m->dev[BOARD_ROWS + index]);
	machine_clear(m, false);
}

uint64_t
machine_devs_linger(struct machine *m)
{
	uint64_t ns, most = 0;
	unsigned i;

	for (i = 0; i < m->conf.ndevs; i++) {
		if (m->extra[i].slot.vio->proxy == NULL)
			continue;
		ns = virtio_pci_lingers(m->dev[BOARD_ROWS + i]);
		if (ns > most)
			most = ns;
	}
	return (most);
}

struct dev *
machine_dev(struct machine *m, unsigned index)
{
	return (index < m->conf.ndevs ? m->dev[BOARD_ROWS + index] : NULL);
}
