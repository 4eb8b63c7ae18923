/* SPDX-License-Identifier: ISC */
/*
 * The guest's console: what it prints goes to the ring (ring.h), what is typed
 * waits here until its UART has room.
 */
#ifndef VM_CONSOLE_H
#define VM_CONSOLE_H

#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"
#include "shared/proto.h"
#include "shared/ring.h"

/* One control's keys at most (it has credit for a quarter), */
#define VM_INPUT_BYTES 4096
/* and those that an earlier one has left here. */
#define CONSOLE_QUEUE_BYTES (2 * VM_INPUT_BYTES)
_Static_assert(CONS_INPUT_BYTES <= VM_INPUT_BYTES, "the first credit");

struct console {
	struct ring_w ring;                 /* written under the UART's lock */
	int ring_fd, page_fd;               /* owned */
	uint32_t size;                      /* of the ring's data */
	uint8_t queue[CONSOLE_QUEUE_BYTES]; /* main thread */
	size_t len;
	size_t stale; /* of len: sent by a control that is gone */
	size_t owed;  /* credit that was not given back yet */
};

int vmcons_open(struct console *, uint32_t bytes, struct err *);
void vmcons_close(struct console *);
/* Queue keys: -1 when they are more than there was credit for. */
int vmcons_keys(struct console *, const void *, size_t len);
/*
 * Hand keys on through take(), which returns how many it took.  Returns the
 * credit to be given back by now: when all are taken, and else in pieces that
 * are worth a message, since the answer to credit of 1 is a message of one key.
 */
size_t vmcons_pump(
    struct console *, size_t (*take)(void *, const void *, size_t), void *ctx);
/* Another control comes, with full credit. */
void vmcons_new_control(struct console *);

#endif
