/* SPDX-License-Identifier: ISC */
/* MSI-X: see msix.h.  Section numbers are of PCI 3.0. */
#include <string.h>

#include "daemon/dev/msix.h"
#include "daemon/dev/snap.h"

#define ENTRY_BYTES 16
#define CONTROL_MASK 1u /* of a vector: 6.8.2.9 */

void
msix_init(struct msix *x, struct mach *mach, unsigned nvec)
{
	memset(x, 0, sizeof(*x));
	x->mach = mach;
	x->nvec = nvec;
	msix_reset(x);
}

void
msix_reset(struct msix *x)
{
	unsigned i;

	x->enabled = x->masked = false;
	x->pending = 0;
	memset(x->entry, 0, sizeof(x->entry));
	for (i = 0; i < x->nvec; i++)
		x->entry[i].control = CONTROL_MASK;
}

bool
msix_may_send(const struct msix *x, unsigned vec)
{
	return (vec < x->nvec && x->enabled && !x->masked &&
	    !(x->entry[vec].control & CONTROL_MASK));
}

static void
send_pending(struct msix *x)
{
	unsigned i;

	for (i = 0; i < x->nvec; i++)
		if (x->pending >> i & 1 && msix_may_send(x, i))
			msix_notify(x, i);
}

void
msix_notify(struct msix *x, unsigned vec)
{
	if (vec >= x->nvec || !x->enabled)
		return;
	if (!msix_may_send(x, vec)) {
		x->pending |= 1u << vec;
		return;
	}
	x->pending &= ~(1u << vec);
	x->mach->ops->msi(x->mach, x->entry[vec].addr, x->entry[vec].data);
}

void
msix_control(struct msix *x, bool enabled, bool masked)
{
	x->enabled = enabled;
	x->masked = masked;
	send_pending(x);
}

static uint32_t
word_get(const struct msix *x, unsigned vec, unsigned word)
{
	switch (word) {
	case 0:
		return ((uint32_t)x->entry[vec].addr);
	case 1:
		return ((uint32_t)(x->entry[vec].addr >> 32));
	case 2:
		return (x->entry[vec].data);
	default:
		return (x->entry[vec].control);
	}
}

static void
word_set(struct msix *x, unsigned vec, unsigned word, uint32_t v)
{
	uint64_t *addr = &x->entry[vec].addr;

	switch (word) {
	case 0:
		*addr = (*addr & ~0xffffffffull) | (v & ~3u);
		break;
	case 1:
		*addr = (*addr & 0xffffffffull) | (uint64_t)v << 32;
		break;
	case 2:
		x->entry[vec].data = v;
		break;
	default:
		x->entry[vec].control = v & CONTROL_MASK;
		break;
	}
}

/* 6.8.2: software uses whole words, of 4 or 8 bytes, and no other. */
void
msix_table(struct msix *x, struct bus_access *a)
{
	uint64_t off = a->off_bytes;
	unsigned i;

	if (!a->write)
		a->val = 0;
	if (a->len_bytes < 4 || off % a->len_bytes != 0)
		return;
	for (i = 0; i < a->len_bytes; i += 4, off += 4) {
		if (off / ENTRY_BYTES >= x->nvec)
			continue;
		if (a->write)
			word_set(x, (unsigned)(off / ENTRY_BYTES), off / 4 % 4,
			    (uint32_t)(a->val >> 8 * i));
		else
			a->val |=
			    (uint64_t)word_get(
				x, (unsigned)(off / ENTRY_BYTES), off / 4 % 4)
			    << 8 * i;
	}
	if (a->write)
		send_pending(x);
}

void
msix_pba(const struct msix *x, struct bus_access *a)
{
	if (a->write)
		return;
	a->val = 0;
	if (a->len_bytes < 4 || a->off_bytes % a->len_bytes != 0)
		return;
	if (a->off_bytes == 0)
		a->val = x->pending;
}

void
msix_save(const struct msix *x, struct snap_w *w)
{
	unsigned i;

	for (i = 0; i < x->nvec; i++) {
		snap_put_u64(w, x->entry[i].addr);
		snap_put_u32(w, x->entry[i].data);
		snap_put_u32(w, x->entry[i].control);
	}
	snap_put_u32(w, x->pending);
}

/* Into a copy: nothing is sent, whatever it says. */
void
msix_load(struct msix *x, struct snap_r *r)
{
	unsigned i;

	for (i = 0; i < x->nvec; i++) {
		x->entry[i].addr = snap_get_u64(r);
		x->entry[i].data = snap_get_u32(r);
		x->entry[i].control = snap_get_u32(r);
		if (x->entry[i].addr & 3 || x->entry[i].control & ~CONTROL_MASK)
			r->failed = true;
	}
	x->pending = snap_get_u32(r);
	if (x->nvec < 32 && x->pending >> x->nvec != 0)
		r->failed = true;
}
