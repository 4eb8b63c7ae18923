/* SPDX-License-Identifier: ISC */
/*
 * Saved state as a stream of little-endian numbers.  A writer that ran out of
 * memory and a reader that ran past the end say so once, at the end; what is
 * read after it is zero.
 * Runs in: vm process.  Trusts: no byte it reads.
 */
#ifndef DEV_SNAP_H
#define DEV_SNAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

struct snap_w {
	uint8_t *buf;
	size_t len_bytes, room_bytes;
	bool failed; /* out of memory */
};

struct snap_r {
	const uint8_t *p; /* borrowed */
	size_t left_bytes;
	bool failed; /* ran past the end */
};

void snap_w_init(struct snap_w *);
void snap_w_fini(struct snap_w *);
void snap_put_bytes(struct snap_w *, const void *, size_t);
void snap_put_u8(struct snap_w *, uint8_t);
void snap_put_u16(struct snap_w *, uint16_t);
void snap_put_u32(struct snap_w *, uint32_t);
void snap_put_u64(struct snap_w *, uint64_t);
/* Overwrite the u32 at off_bytes, which was put before: a length, mostly. */
void snap_patch_u32(struct snap_w *, size_t off_bytes, uint32_t);

void snap_r_init(struct snap_r *, const void *, size_t);
/* All n bytes, or zeros and failed. */
void snap_get_bytes(struct snap_r *, void *, size_t n);
uint8_t snap_get_u8(struct snap_r *);
uint16_t snap_get_u16(struct snap_r *);
uint32_t snap_get_u32(struct snap_r *);
uint64_t snap_get_u64(struct snap_r *);
/* 0 or 1; anything else fails. */
bool snap_get_bool(struct snap_r *);
/* The next n bytes as a reader of their own; empty and failed when short. */
void snap_get_part(struct snap_r *, struct snap_r *part, size_t n);
/* -1 unless every byte was read and none was missing. */
int snap_end(const struct snap_r *, const char *what, struct err *);

#endif
