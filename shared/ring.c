/* SPDX-License-Identifier: ISC */
/* The console ring and its bell: see ring.h.  Trusts: nothing in the page. */
#include <string.h>
#include <unistd.h>

#include "shared/ring.h"

/*
 * ThreadSanitizer knows no fences, and gcc says so.  It runs on x86 here, where
 * stores do not pass stores nor loads loads: the compiler must not, either.
 */
#ifdef __SANITIZE_THREAD__
#define FENCE(order) atomic_signal_fence(order)
#else
#define FENCE(order) atomic_thread_fence(order)
#endif

/*
 * The store of end and the load of armed here, the store of armed and the load
 * of end in bell_arm(): all four have one order (C17, 7.17.3), so one side
 * always sees the other.
 */
static void
bell_ring(struct ring_w *w)
{
	uint64_t one = 1;

	if (atomic_load(&w->bell->armed) == 0)
		return;
	if (atomic_exchange(&w->bell->armed, 0) == 0)
		return;
	/* Fails only when the counter is full: then it is yet to be read. */
	if (write(w->bell_fd, &one, sizeof(one)) == -1)
		return;
}

/* One piece of at most size bytes. */
static void
ring_put(struct ring_w *w, const uint8_t *p, size_t len)
{
	size_t at, first;

	if (w->end + len > w->size)
		atomic_store_explicit(&w->head->oldest, w->end + len - w->size,
		    memory_order_relaxed);
	FENCE(memory_order_release);
	at = w->end & (w->size - 1);
	first = w->size - at < len ? w->size - at : len;
	memcpy(w->data + at, p, first);
	memcpy(w->data, p + first, len - first);
	w->end += len;
	atomic_store(&w->head->end, w->end);
}

void
ring_write(struct ring_w *w, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = len < w->size ? len : w->size;
		ring_put(w, p, n);
	}
	bell_ring(w);
}

uint64_t
ring_end(const struct ring_r *r)
{
	return (atomic_load_explicit(&r->head_ro->end, memory_order_acquire));
}

uint64_t
ring_oldest(const struct ring_r *r)
{
	uint64_t end, oldest;

	end = ring_end(r);
	oldest =
	    atomic_load_explicit(&r->head_ro->oldest, memory_order_relaxed);
	if (end > r->size && oldest < end - r->size)
		oldest = end - r->size;
	return (oldest < end ? oldest : end);
}

size_t
ring_read(const struct ring_r *r, uint64_t *off, void *buf, size_t len,
    uint64_t *lost)
{
	uint64_t end, oldest, start;
	size_t at, n, first, gone;

	oldest = ring_oldest(r);
	end = ring_end(r);
	if (end <= *off)
		return (0);
	if (oldest > *off) {
		*lost += oldest - *off;
		*off = oldest;
	}
	start = *off;
	n = end - start < len ? end - start : len;
	if (n > r->size) /* only a page that lies */
		n = r->size;
	at = start & (r->size - 1);
	first = r->size - at < n ? r->size - at : n;
	memcpy(buf, r->data + at, first);
	memcpy((uint8_t *)buf + first, r->data, n - first);
	FENCE(memory_order_acquire);
	oldest = ring_oldest(r);
	*off = start + n;
	if (oldest <= start)
		return (n);
	gone = oldest - start < n ? oldest - start : n;
	*lost += gone;
	memmove(buf, (uint8_t *)buf + gone, n - gone);
	return (n - gone);
}

bool
bell_arm(struct bell_page *bell, const struct ring_r *r, uint64_t off)
{
	atomic_store(&bell->armed, 1);
	return (atomic_load(&r->head_ro->end) > off);
}
