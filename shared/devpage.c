/* SPDX-License-Identifier: ISC */
/* The page of a device process: see devpage.h. */
#include <errno.h>
#include <string.h>

#include "shared/devpage.h"

#define TRIES 1000

int
devpage_conf_get(
    const struct devpage *p, struct devpage_conf *conf, struct err *e)
{
	memcpy(conf, &p->conf, sizeof(*conf));
	if (conf->magic != DEVPAGE_MAGIC)
		return (err_set(e, EINVAL, "this is no page of a device"));
	if (conf->kind != DEV_BLK && conf->kind != DEV_FS)
		return (err_set(
		    e, EINVAL, "no device of kind %u", (unsigned)conf->kind));
	if (conf->nqueues == 0 || conf->nqueues > DEVPAGE_QUEUES)
		return (err_set(e, EINVAL, "%u queues: must be 1 to %u",
		    (unsigned)conf->nqueues, DEVPAGE_QUEUES));
	if (conf->readonly > 1 || conf->direct > 1 ||
	    conf->on_error >= DEV_ERROR_N)
		return (err_set(e, EINVAL, "unknown options of a device"));
	return (0);
}

/*
 * A seqlock.  The words go byte by byte, each of them atomic, so that a reader
 * that is too late reads old bytes and not undefined ones.
 */
void
devpage_err_put(struct devpage *p, const struct err *e)
{
	struct devpage_err *w = &p->err;
	uint32_t seq = atomic_load_explicit(&w->seq, memory_order_relaxed) | 1;
	size_t i, n = strnlen(e->text, sizeof(w->text) - 1);

	atomic_store_explicit(&w->seq, seq, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	__atomic_store_n(&w->code, e->code, __ATOMIC_RELAXED);
	for (i = 0; i < sizeof(w->text); i++)
		__atomic_store_n(
		    &w->text[i], i < n ? e->text[i] : '\0', __ATOMIC_RELAXED);
	atomic_store_explicit(&w->seq, seq + 1, memory_order_release);
}

static char
printable(char c)
{
	return (c < 0x20 || c > 0x7e ? '?' : c);
}

void
devpage_err_get(const struct devpage *p, struct err *e)
{
	const struct devpage_err *w = &p->err;
	uint32_t seq;
	unsigned tries;
	size_t i;
	char c;

	for (tries = 0; tries < TRIES; tries++) {
		err_clear(e);
		seq = atomic_load_explicit(&w->seq, memory_order_acquire);
		if (seq & 1)
			continue;
		e->code = __atomic_load_n(&w->code, __ATOMIC_RELAXED);
		for (i = 0; i < sizeof(w->text) - 1; i++) {
			c = __atomic_load_n(&w->text[i], __ATOMIC_RELAXED);
			if (c == '\0')
				break;
			e->text[i] = printable(c);
		}
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&w->seq, memory_order_relaxed) == seq)
			return;
	}
	err_clear(e);
}

void
devpage_count(_Atomic uint64_t *figure, uint64_t n)
{
	atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

void
devpage_hist_add(_Atomic uint64_t hist[DEVPAGE_HIST], uint64_t ns)
{
	uint64_t us = ns / 1000;
	unsigned i = us == 0 ? 0 : 63 - (unsigned)__builtin_clzll(us);

	devpage_count(&hist[i < DEVPAGE_HIST ? i : DEVPAGE_HIST - 1], 1);
}

uint64_t
devpage_percentile_us(const uint64_t hist[DEVPAGE_HIST], unsigned percent)
{
	double sum = 0, want, seen = 0;
	unsigned i;

	for (i = 0; i < DEVPAGE_HIST; i++)
		sum += (double)hist[i];
	if (sum == 0)
		return (0);
	want = sum * (percent < 100 ? percent : 100) / 100;
	for (i = 0; i < DEVPAGE_HIST - 1; i++) {
		seen += (double)hist[i];
		if (seen >= want && seen > 0)
			break;
	}
	return ((UINT64_C(2) << i) - 1);
}
