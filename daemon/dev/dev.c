/* SPDX-License-Identifier: ISC */
/*
 * What all device models share: life, lock, interrupt line, saved record.
 * Runs in: vm process (vCPU threads, main thread).  Trusts: nobody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/dev.h"
#include "daemon/dev/snap.h"

static int
dev_ranges(struct dev *d, const struct board_slot *s, struct err *e)
{
	struct bus_range r;
	unsigned i;

	for (i = 0; i < DEV_RANGES; i++) {
		if (s->range[i].len_bytes == 0 || s->pci_slot != 0)
			continue; /* BARs come and go with what the guest says */
		r = (struct bus_range){
			.base = s->range[i].base,
			.len_bytes = s->range[i].len_bytes,
			.dev = d,
			.range = i,
		};
		if (bus_add(s->range[i].mmio ? d->mach->mmio : d->mach->pio, &r,
			e) == -1)
			return (err_prefix(e, "%s", d->ops->name));
	}
	return (0);
}

static struct dev *
dev_alloc(const struct board_slot *s, struct mach *m)
{
	struct dev *d;

	if ((d = calloc(1, sizeof(*d))) == NULL)
		return (NULL);
	d->ops = s->ops;
	d->slot = s;
	d->mach = m;
	d->gsi = s->gsi;
	if (d->ops->state_bytes > 0 &&
	    (d->state = calloc(1, d->ops->state_bytes)) == NULL) {
		free(d);
		return (NULL);
	}
	pthread_mutex_init(&d->lock, NULL);
	return (d);
}

static void
dev_free(struct dev *d)
{
	pthread_mutex_destroy(&d->lock);
	free(d->state);
	free(d);
}

struct dev *
dev_open(const struct board_slot *s, struct mach *m, struct err *e)
{
	struct dev *d;

	if ((d = dev_alloc(s, m)) == NULL) {
		err_set(e, ENOMEM, "no memory for device %s", s->ops->name);
		return (NULL);
	}
	if (d->ops->init != NULL && d->ops->init(d, e) == -1) {
		err_prefix(e, "%s", d->ops->name);
		dev_free(d);
		return (NULL);
	}
	dev_reset(d);
	if (dev_ranges(d, s, e) == -1) {
		dev_close(d);
		return (NULL);
	}
	return (d);
}

void
dev_close(struct dev *d)
{
	if (d == NULL)
		return;
	bus_remove(d->mach->pio, d, ~0u);
	bus_remove(d->mach->mmio, d, ~0u);
	if (d->ops->timer != NULL)
		d->mach->ops->timer(d->mach, d, ~0ull);
	if (d->ops->fini != NULL)
		d->ops->fini(d);
	dev_free(d);
}

void
dev_reset(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	dev_irq(d, false);
	if (d->ops->timer != NULL)
		d->mach->ops->timer(d->mach, d, ~0ull);
	if (d->ops->reset != NULL)
		d->ops->reset(d);
	pthread_mutex_unlock(&d->lock);
}

void
dev_timer(struct dev *d)
{
	pthread_mutex_lock(&d->lock);
	if (d->ops->timer != NULL)
		d->ops->timer(d);
	pthread_mutex_unlock(&d->lock);
}

static void
dev_call(struct dev *d, void (*fn)(struct dev *))
{
	if (fn == NULL)
		return;
	pthread_mutex_lock(&d->lock);
	fn(d);
	pthread_mutex_unlock(&d->lock);
}

void
dev_sync(struct dev *d)
{
	dev_call(d, d->ops->sync);
}

void
dev_quiesce(struct dev *d)
{
	dev_call(d, d->ops->quiesce);
}

void
dev_resume(struct dev *d)
{
	dev_call(d, d->ops->resume);
}

void
dev_ready(struct dev *d, unsigned which)
{
	pthread_mutex_lock(&d->lock);
	if (d->ops->ready != NULL)
		d->ops->ready(d, which);
	pthread_mutex_unlock(&d->lock);
}

/* As a bridge to an 8-bit bus does it: lowest byte first, one at a time. */
static void
dev_bytes(struct dev *d, unsigned range, struct bus_access *a)
{
	struct bus_access one;
	unsigned i;

	for (i = 0; i < a->len_bytes; i++) {
		one = (struct bus_access){
			.off_bytes = a->off_bytes + i,
			.val = a->write ? a->val >> (8 * i) & 0xff : ~0ull,
			.len_bytes = 1,
			.write = a->write,
		};
		d->ops->access(d, range, &one);
		if (!a->write) {
			a->val &= ~(0xffull << (8 * i));
			a->val |= (one.val & 0xff) << (8 * i);
		}
	}
}

void
dev_access(struct dev *d, unsigned range, struct bus_access *a)
{
	pthread_mutex_lock(&d->lock);
	if (d->ops->bytes_only && a->len_bytes > 1)
		dev_bytes(d, range, a);
	else
		d->ops->access(d, range, a);
	pthread_mutex_unlock(&d->lock);
}

void
dev_irq(struct dev *d, bool level)
{
	if (d->gsi == DEV_NO_GSI || d->level == level)
		return;
	d->level = level;
	d->mach->ops->irq(d->mach, d->gsi, level);
}

void
dev_save(struct dev *d, struct snap_w *w)
{
	size_t n = strlen(d->ops->name), at;

	snap_put_u8(w, (uint8_t)n);
	snap_put_bytes(w, d->ops->name, n);
	snap_put_u16(w, d->ops->version);
	at = w->len_bytes;
	snap_put_u32(w, 0);
	if (d->ops->save != NULL) {
		pthread_mutex_lock(&d->lock);
		d->ops->save(d, w);
		pthread_mutex_unlock(&d->lock);
	}
	snap_patch_u32(w, at, (uint32_t)(w->len_bytes - at - 4));
}

static int
dev_load_body(struct dev *d, struct snap_r *body, struct err *e)
{
	int rc;

	if (d->ops->load == NULL)
		return (snap_end(body, d->ops->name, e));
	pthread_mutex_lock(&d->lock);
	rc = d->ops->load(d, body, e);
	pthread_mutex_unlock(&d->lock);
	return (rc);
}

int
dev_load(struct dev *d, struct snap_r *r, struct err *e)
{
	char name[UINT8_MAX];
	size_t n = snap_get_u8(r);
	struct snap_r body;
	uint16_t version;

	snap_get_bytes(r, name, n);
	version = snap_get_u16(r);
	snap_get_part(r, &body, snap_get_u32(r));
	if (r->failed)
		return (err_set(
		    e, EBADMSG, "saved state ends before %s", d->ops->name));
	if (n != strlen(d->ops->name) || memcmp(name, d->ops->name, n) != 0)
		return (err_set(e, EBADMSG,
		    "saved state is of %.*s where %s should be", (int)n, name,
		    d->ops->name));
	if (version != d->ops->version)
		return (err_set(e, EBADMSG,
		    "saved state of %s is of version %u, not %u", d->ops->name,
		    version, d->ops->version));
	return (dev_load_body(d, &body, e));
}
