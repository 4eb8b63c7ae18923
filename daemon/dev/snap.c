/* SPDX-License-Identifier: ISC */
/* Saved state: see snap.h. */
#include <endian.h>
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

	if (n > SIZE_MAX / 4 - w->len_bytes)
		return (false);
	while (room < w->len_bytes + n)
		room *= 2;
	if ((p = realloc(w->buf, room)) == NULL)
		return (false);
	w->buf = p;
	w->room_bytes = room;
	return (true);
}

/* Where the next n bytes go, NULL: nowhere. */
static uint8_t *
snap_room(struct snap_w *w, size_t n)
{
	uint8_t *p;

	if (w->failed ||
	    (n > w->room_bytes - w->len_bytes && !snap_grow(w, n))) {
		w->failed = true;
		return (NULL);
	}
	p = w->buf + w->len_bytes;
	w->len_bytes += n;
	return (p);
}

void
snap_put_bytes(struct snap_w *w, const void *from, size_t n)
{
	uint8_t *p;

	if (n > 0 && (p = snap_room(w, n)) != NULL)
		memcpy(p, from, n);
}

void
snap_put_u8(struct snap_w *w, uint8_t v)
{
	uint8_t *p;

	if ((p = snap_room(w, sizeof(v))) != NULL)
		*p = v;
}

void
snap_put_u16(struct snap_w *w, uint16_t v)
{
	uint8_t *p;

	v = htole16(v);
	if ((p = snap_room(w, sizeof(v))) != NULL)
		memcpy(p, &v, sizeof(v));
}

void
snap_put_u32(struct snap_w *w, uint32_t v)
{
	uint8_t *p;

	v = htole32(v);
	if ((p = snap_room(w, sizeof(v))) != NULL)
		memcpy(p, &v, sizeof(v));
}

void
snap_put_u64(struct snap_w *w, uint64_t v)
{
	uint8_t *p;

	v = htole64(v);
	if ((p = snap_room(w, sizeof(v))) != NULL)
		memcpy(p, &v, sizeof(v));
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

/* The next n bytes, NULL: there are not so many. */
static const uint8_t *
snap_take(struct snap_r *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->failed || n > r->left_bytes) {
		r->failed = true;
		return (NULL);
	}
	r->p += n;
	r->left_bytes -= n;
	return (p);
}

void
snap_get_bytes(struct snap_r *r, void *to, size_t n)
{
	const uint8_t *p = snap_take(r, n);

	if (p == NULL)
		memset(to, 0, n);
	else if (n > 0)
		memcpy(to, p, n);
}

uint8_t
snap_get_u8(struct snap_r *r)
{
	const uint8_t *p = snap_take(r, 1);

	return (p == NULL ? 0 : *p);
}

uint16_t
snap_get_u16(struct snap_r *r)
{
	const uint8_t *p = snap_take(r, sizeof(uint16_t));
	uint16_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return (le16toh(v));
}

uint32_t
snap_get_u32(struct snap_r *r)
{
	const uint8_t *p = snap_take(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return (le32toh(v));
}

uint64_t
snap_get_u64(struct snap_r *r)
{
	const uint8_t *p = snap_take(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (p != NULL)
		memcpy(&v, p, sizeof(v));
	return (le64toh(v));
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
