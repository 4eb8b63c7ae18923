/* SPDX-License-Identifier: ISC */
/*
 * The guest's console: see console.h.
 * Runs in: vm process.  Trusts: nobody; keys come from control.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "daemon/vm/console.h"
#include "shared/fd.h"

#define CREDIT_BYTES (CONS_INPUT_BYTES / 4)
#define SIZE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static uint32_t
ring_bytes(uint32_t wanted)
{
	uint32_t n = RING_MIN_BYTES;

	while (n < wanted && n < RING_MAX_BYTES)
		n *= 2;
	return (n);
}

/* Only our mapping can ever write the ring; the bell page control may, too. */
static int
console_map(struct console *c, struct err *e)
{
	void *p;

	c->ring_fd = memfd_sealed_map("ring", RING_HEAD_BYTES + c->size,
	    SIZE_SEALS | F_SEAL_FUTURE_WRITE, &p);
	if (c->ring_fd == -1)
		return (err_errno(e, "cannot make the console's ring"));
	c->ring.head = p;
	c->ring.data = (uint8_t *)p + RING_HEAD_BYTES;
	c->page_fd = memfd_sealed_map("bell", RING_HEAD_BYTES, SIZE_SEALS, &p);
	if (c->page_fd == -1)
		return (err_errno(e, "cannot make the console's bell"));
	c->ring.bell = p;
	c->ring.bell_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->ring.bell_fd == -1)
		return (err_errno(e, "cannot make the console's bell"));
	return (0);
}

int
vmcons_open(struct console *c, uint32_t bytes, struct err *e)
{
	memset(c, 0, sizeof(*c));
	c->ring_fd = c->page_fd = c->ring.bell_fd = -1;
	c->size = ring_bytes(bytes);
	if (console_map(c, e) == -1) {
		vmcons_close(c);
		return (-1);
	}
	c->ring.size = c->size;
	c->ring.head->size = c->size;
	c->ring.head->magic = RING_MAGIC;
	return (0);
}

void
vmcons_close(struct console *c)
{
	if (c->ring.head != NULL)
		munmap(c->ring.head, RING_HEAD_BYTES + c->size);
	if (c->ring.bell != NULL)
		munmap(c->ring.bell, RING_HEAD_BYTES);
	c->ring.head = NULL;
	c->ring.bell = NULL;
	fd_close(&c->ring_fd);
	fd_close(&c->page_fd);
	fd_close(&c->ring.bell_fd);
}

int
vmcons_keys(struct console *c, const void *buf, size_t len)
{
	if (len > VM_INPUT_BYTES - (c->len - c->stale))
		return (-1);
	memcpy(c->queue + c->len, buf, len);
	c->len += len;
	return (0);
}

size_t
vmcons_pump(
    struct console *c, size_t (*take)(void *, const void *, size_t), void *ctx)
{
	size_t n, old;

	if (c->len == 0)
		return (0);
	n = take(ctx, c->queue, c->len);
	c->len -= n;
	memmove(c->queue, c->queue + n, c->len);
	old = n < c->stale ? n : c->stale;
	c->stale -= old;
	c->owed += n - old;
	if (c->len > 0 && c->owed < CREDIT_BYTES)
		return (0);
	n = c->owed;
	c->owed = 0;
	return (n);
}

void
vmcons_new_control(struct console *c)
{
	size_t over;

	/* Of what nobody has waited for long, the oldest goes. */
	if (c->len > VM_INPUT_BYTES) {
		over = c->len - VM_INPUT_BYTES;
		memmove(c->queue, c->queue + over, VM_INPUT_BYTES);
		c->len = VM_INPUT_BYTES;
	}
	c->stale = c->len;
	c->owed = 0;
}
