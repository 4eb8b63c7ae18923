/* SPDX-License-Identifier: ISC */
/* Saved state: see snap.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/dev/snap.h"

#define SNAP_FIRST_BYTES 512

void
snap_w_init(struct snap_w *w)
{
	memset(w, 0, sizeof(*w));
}

void
snap_w_fini(struct snap_w *w)
{
	free(w->buf);
	memset(w, 0, sizeof(*w));
}

static bool
snap_grow(struct snap_w *w, size_t n)
{
	size_t room = w->room_bytes == 0 ? SNAP_FIRST_BYTES : w->room_bytes;
	uint8_t *p;

	if (w->failed || n > SIZE_MAX / 4 - w->len_bytes)
		return (false);
	while (room < w->len_bytes + n)
		room *= 2;
	if (room == w->room_bytes)
		return (true);
	if ((p = realloc(w->buf, room)) == NULL)
		return (false);
	w->buf = p;
	w->room_bytes = room;
	return (true);
}

void
snap_put_bytes(struct snap_w *w, const void *p, size_t n)
{
	if (!snap_grow(w, n)) {
		w->failed = true;
		return;
	}
	if (n > 0)
		memcpy(w->buf + w->len_bytes, p, n);
	w->len_bytes += n;
}

static void
snap_put(struct snap_w *w, uint64_t v, unsigned n)
{
	uint8_t b[8];
	unsigned i;

	for (i = 0; i < n; i++)
		b[i] = (uint8_t)(v >> (8 * i));
	snap_put_bytes(w, b, n);
}

void
snap_put_u8(struct snap_w *w, uint8_t v)
{
	snap_put(w, v, 1);
}

void
snap_put_u16(struct snap_w *w, uint16_t v)
{
	snap_put(w, v, 2);
}

void
snap_put_u32(struct snap_w *w, uint32_t v)
{
	snap_put(w, v, 4);
}

void
snap_put_u64(struct snap_w *w, uint64_t v)
{
	snap_put(w, v, 8);
}

void
snap_patch_u32(struct snap_w *w, size_t off, uint32_t v)
{
	unsigned i;

	if (w->failed || w->len_bytes < 4 || off > w->len_bytes - 4)
		return;
	for (i = 0; i < 4; i++)
		w->buf[off + i] = (uint8_t)(v >> (8 * i));
}

void
snap_r_init(struct snap_r *r, const void *p, size_t n)
{
	r->p = p;
	r->left_bytes = n;
	r->failed = false;
}

void
snap_get_bytes(struct snap_r *r, void *p, size_t n)
{
	if (r->failed || n > r->left_bytes) {
		r->failed = true;
		memset(p, 0, n);
		return;
	}
	if (n > 0)
		memcpy(p, r->p, n);
	r->p += n;
	r->left_bytes -= n;
}

static uint64_t
snap_get(struct snap_r *r, unsigned n)
{
	uint64_t v = 0;
	uint8_t b[8];
	unsigned i;

	snap_get_bytes(r, b, n);
	for (i = 0; i < n; i++)
		v |= (uint64_t)b[i] << (8 * i);
	return (v);
}

uint8_t
snap_get_u8(struct snap_r *r)
{
	return ((uint8_t)snap_get(r, 1));
}

uint16_t
snap_get_u16(struct snap_r *r)
{
	return ((uint16_t)snap_get(r, 2));
}

uint32_t
snap_get_u32(struct snap_r *r)
{
	return ((uint32_t)snap_get(r, 4));
}

uint64_t
snap_get_u64(struct snap_r *r)
{
	return (snap_get(r, 8));
}

bool
snap_get_bool(struct snap_r *r)
{
	uint8_t v = snap_get_u8(r);

	if (v > 1)
		r->failed = true;
	return (v == 1);
}

void
snap_get_part(struct snap_r *r, struct snap_r *part, size_t n)
{
	if (r->failed || n > r->left_bytes) {
		r->failed = true;
		n = 0;
	}
	snap_r_init(part, r->p, n);
	part->failed = r->failed;
	r->p += n;
	r->left_bytes -= n;
}

int
snap_end(const struct snap_r *r, const char *what, struct err *e)
{
	if (r->failed)
		return (err_set(e, EBADMSG,
		    "saved state of %s is cut short or broken", what));
	if (r->left_bytes > 0)
		return (err_set(e, EBADMSG,
		    "saved state of %s has %zu bytes too many", what,
		    r->left_bytes));
	return (0);
}
