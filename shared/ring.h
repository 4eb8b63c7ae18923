/* SPDX-License-Identifier: ISC */
/*
 * The console ring and its bell: memory that a vm process shares with control.
 *
 *   ring   sealed memfd of the vm process: one head page, then size bytes of
 *          data.  Only the vm process can write it; control maps it read-only
 *          and trusts nothing in it.  Byte n of the console is data[n % size].
 *   bell   a page both can write, one word.  Control arms it before it looks
 *          at the head for the last time; the vm process, when it finds it
 *          armed, disarms it and writes to an eventfd.  So a console that
 *          nobody watches costs no system call, and a busy one costs one for
 *          each time that control has caught up.
 */
#ifndef SHARED_RING_H
#define SHARED_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

#define RING_HEAD_BYTES 4096
#define RING_MIN_BYTES (64u << 10)
#define RING_MAX_BYTES (16u << 20)
#define RING_MAGIC 0x676e6972u /* "ring" */

struct ring_head {
	uint32_t magic, size; /* size: power of two */
	/*
	 * Bytes [oldest, end) are whole.  The writer moves oldest before it
	 * overwrites and end after it has written; a reader looks at oldest
	 * again after it has copied.
	 */
	_Atomic uint64_t oldest, end;
};

struct bell_page {
	_Atomic uint32_t armed;
};

/* The writing end: in the vm process, under the UART's lock. */
struct ring_w {
	struct ring_head *head;
	uint8_t *data;
	uint64_t end;
	uint32_t size;
	struct bell_page *bell;
	int bell_fd; /* eventfd */
};
/* Append; never blocks, never fails; oldest bytes go.  Rings the bell. */
void ring_write(struct ring_w *, const void *buf, size_t len);

/* The reading end: in control.  head_ro is a read-only mapping. */
struct ring_r {
	const struct ring_head *head_ro;
	const uint8_t *data;
	uint32_t size; /* as agreed by message, never as the page says */
};
/* Offset of the next byte the guest will write, as the page has it now. */
uint64_t ring_end(const struct ring_r *);
/*
 * Copy up to len bytes from *off on.  Returns the number copied, 0 when there
 * is nothing; *off moves behind them.  Bytes that are gone before or while they
 * were copied are added to *lost and skipped, never returned mixed.  An end
 * that runs backwards (a lying page) reads as nothing new.
 */
size_t ring_read(const struct ring_r *, uint64_t *off, void *buf, size_t len,
    uint64_t *lost);
/* Oldest offset that is still there. */
uint64_t ring_oldest(const struct ring_r *);

/* Arm the bell; true when bytes past off are there already (do not sleep). */
bool bell_arm(struct bell_page *, const struct ring_r *, uint64_t off);

#endif
