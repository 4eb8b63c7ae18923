/* SPDX-License-Identifier: ISC */
/*
 * Port and memory buses: see bus.h.
 * Runs in: vm process, vCPU threads.  Trusts: no address, no length.
 *
 * The table is a short array under a rwlock.  A lookup copies its row and
 * lets go of the lock before the device is called, since a device may move its
 * own ranges from inside an access; devices live as long as their buses.
 * Ranges may nest, for a PC has one such pair: 0xcf9 inside 0xcf8-0xcff.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/dev.h"
#include "daemon/mach/bus.h"

#define BUS_RANGES 128

struct bus {
	const char *name;
	uint64_t max;
	pthread_rwlock_t lock;
	unsigned n;                         /* lock */
	struct bus_range range[BUS_RANGES]; /* lock */
};

struct bus *
bus_open(const char *name, uint64_t max)
{
	struct bus *b;

	if ((b = calloc(1, sizeof(*b))) == NULL)
		return (NULL);
	b->name = name;
	b->max = max;
	pthread_rwlock_init(&b->lock, NULL);
	return (b);
}

void
bus_close(struct bus *b)
{
	if (b == NULL)
		return;
	pthread_rwlock_destroy(&b->lock);
	free(b);
}

static bool
range_holds(const struct bus_range *r, uint64_t addr, uint64_t len)
{
	return (addr >= r->base && len <= r->len_bytes &&
	    addr - r->base <= r->len_bytes - len);
}

/* May both be there: apart, or one truly inside the other. */
static bool
ranges_agree(const struct bus_range *a, const struct bus_range *b)
{
	if (a->base + a->len_bytes <= b->base ||
	    b->base + b->len_bytes <= a->base)
		return (true);
	if (a->len_bytes == b->len_bytes)
		return (false);
	return (range_holds(a, b->base, b->len_bytes) ||
	    range_holds(b, a->base, a->len_bytes));
}

static int
bus_insert(struct bus *b, const struct bus_range *r, struct err *e)
{
	unsigned i;

	for (i = 0; i < b->n; i++)
		if (!ranges_agree(&b->range[i], r))
			return (err_set(e, EEXIST,
			    "%s 0x%llx+%llu is taken by the range at 0x%llx",
			    b->name, (unsigned long long)r->base,
			    (unsigned long long)r->len_bytes,
			    (unsigned long long)b->range[i].base));
	if (b->n == BUS_RANGES)
		return (err_set(
		    e, ENOSPC, "%s: more than %d ranges", b->name, BUS_RANGES));
	b->range[b->n++] = *r;
	return (0);
}

int
bus_add(struct bus *b, const struct bus_range *r, struct err *e)
{
	int rc;

	if (r->len_bytes == 0 || r->base >= b->max ||
	    r->len_bytes > b->max - r->base)
		return (err_set(e, EINVAL, "%s 0x%llx+%llu is past the end",
		    b->name, (unsigned long long)r->base,
		    (unsigned long long)r->len_bytes));
	pthread_rwlock_wrlock(&b->lock);
	rc = bus_insert(b, r, e);
	pthread_rwlock_unlock(&b->lock);
	return (rc);
}

void
bus_remove(struct bus *b, const struct dev *dev, unsigned range)
{
	unsigned i, n = 0;

	pthread_rwlock_wrlock(&b->lock);
	for (i = 0; i < b->n; i++)
		if (b->range[i].dev != dev ||
		    (range != ~0u && b->range[i].range != range))
			b->range[n++] = b->range[i];
	b->n = n;
	pthread_rwlock_unlock(&b->lock);
}

/* The smallest range that holds [addr, addr + len) whole. */
static bool
bus_lookup(struct bus *b, uint64_t addr, unsigned len, struct bus_range *r)
{
	const struct bus_range *best = NULL;
	unsigned i;

	pthread_rwlock_rdlock(&b->lock);
	for (i = 0; i < b->n; i++)
		if (range_holds(&b->range[i], addr, len) &&
		    (best == NULL || b->range[i].len_bytes < best->len_bytes))
			best = &b->range[i];
	if (best != NULL)
		*r = *best;
	pthread_rwlock_unlock(&b->lock);
	return (best != NULL);
}

static void
bus_one(const struct bus_range *r, uint64_t addr, uint8_t *data, unsigned len,
    bool write)
{
	struct bus_access a = {
		.off_bytes = addr - r->base,
		.val = ~0ull,
		.len_bytes = (uint8_t)len,
		.write = write,
	};

	if (write) {
		a.val = 0;
		memcpy(&a.val, data, len);
	}
	dev_access(r->dev, r->range, &a);
	if (!write)
		memcpy(data, &a.val, len);
}

/* Every byte of it belongs to some range. */
static bool
bus_covers(struct bus *b, uint64_t addr, unsigned len)
{
	struct bus_range r;
	unsigned i;

	for (i = 0; i < len; i++)
		if (!bus_lookup(b, addr + i, 1, &r))
			return (false);
	return (true);
}

void
bus_rw(struct bus *b, uint64_t addr, void *data, unsigned len, bool write)
{
	uint8_t *p = data;
	struct bus_range r;
	unsigned i;

	if (len < 1 || len > 8)
		return;
	if (!write)
		memset(p, 0xff, len);
	if (addr >= b->max || len > b->max - addr)
		return;
	/* Widths that devices know; 8 only where addresses are that wide. */
	if ((len & (len - 1)) == 0 && (len < 8 || b->max > 0x10000) &&
	    bus_lookup(b, addr, len, &r)) {
		bus_one(&r, addr, p, len, write);
		return;
	}
	if (len == 1 || !bus_covers(b, addr, len))
		return;
	for (i = 0; i < len; i++)
		if (bus_lookup(b, addr + i, 1, &r))
			bus_one(&r, addr + i, p + i, 1, write);
}
