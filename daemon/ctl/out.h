/* SPDX-License-Identifier: ISC */
/*
 * Bytes on their way to standard output, without ever waiting for it: a
 * terminal that is stopped must not keep us from its keyboard.
 */
#ifndef CTL_OUT_H
#define CTL_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/err.h"

struct event;
struct event_base;

struct out {
	int fd, own_fd; /* own_fd: a description of our own, or -1 */
	struct event *ev;
	uint8_t *buf; /* a ring */
	size_t size, head, len;
	/* n bytes have left. */
	void (*wrote)(void *ctx, size_t n);
	/* It takes nothing any more: errno. */
	void (*failed)(void *ctx, int code);
	void *ctx;
};

/* fd is borrowed; wrote, failed and ctx are set by the caller before. */
int out_init(
    struct out *, struct event_base *, int fd, size_t size, struct err *);
void out_fini(struct out *);
/* false: no room for all of it, nothing is taken. */
bool out_put(struct out *, const void *data, size_t n);
/* Write what it takes now; the rest follows from the loop. */
void out_flush(struct out *);

#endif
