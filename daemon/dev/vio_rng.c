/* SPDX-License-Identifier: ISC */
/*
 * Entropy device (virtio 1.2, 5.4): the host's getrandom(2), by a token bucket
 * so that a guest cannot keep a processor of the host busy with it (T28).
 * Runs in: vm process, vCPU threads and main thread.  Trusts: nobody.
 */
#include <errno.h>
#include <sys/random.h>

#include "daemon/dev/snap.h"
#include "daemon/dev/virtio.h"

#define NS 1000000000ull
#define RATE (1u << 20)   /* bytes a second */
#define BURST (64u << 10) /* bytes */
#define COST_MIN 16       /* of a request: empty ones are not free either */
#define WAIT_NS (4 * NS / 1000) /* until there are tokens again: 4 KiB */

struct rng {
	uint64_t filled_ns;
	uint32_t tokens;
	bool waits; /* for tokens, with the timer running */
};

static void
refill(struct vio *v)
{
	struct rng *g = v->state;
	uint64_t now = v->carrier->now_ns(v), ns = now - g->filled_ns;
	uint32_t more;

	if (ns >= NS * BURST / RATE) {
		g->tokens = BURST;
		g->filled_ns = now;
		return;
	}
	more = (uint32_t)(ns * RATE / NS);
	g->filled_ns += more * NS / RATE;
	g->tokens = more > BURST - g->tokens ? BURST : g->tokens + more;
}

/* Up to max bytes of the request; how many. */
static uint32_t
fill(const struct vq_chain *c, uint32_t max)
{
	uint32_t done = 0;
	size_t n, at;
	ssize_t got;
	unsigned i;

	for (i = 0; i < c->nin && done < max; i++) {
		n = c->in[i].iov_len < max - done ? c->in[i].iov_len
						  : max - done;
		for (at = 0; at < n; at += (size_t)got) {
			got = getrandom(
			    (uint8_t *)c->in[i].iov_base + at, n - at, 0);
			if (got == -1 && errno == EINTR)
				got = 0;
			if (got == -1)
				return (done);
			done += (uint32_t)got;
		}
	}
	return (done);
}

static void
serve(struct vio *v, struct vq *q)
{
	struct rng *g = v->state;
	struct vq_chain c;
	uint32_t n;
	int r = 0;

	refill(v);
	while (g->tokens >= COST_MIN && (r = vq_pop(q, &c)) == 1) {
		n = fill(&c, c.in_bytes < g->tokens ? c.in_bytes : g->tokens);
		vq_push(q, &c, n);
		g->tokens -= n > COST_MIN ? n : COST_MIN;
	}
	if (r == -1)
		v->carrier->needs_reset(v);
	g->waits = g->tokens < COST_MIN;
	if (g->waits)
		v->carrier->timer(v, v->carrier->now_ns(v) + WAIT_NS);
}

static void
rng_kick(struct vio *v, struct vq *q)
{
	struct rng *g = v->state;

	if (!g->waits)
		serve(v, q);
}

static void
rng_timer(struct vio *v)
{
	struct rng *g = v->state;

	g->waits = false;
	if (vq_is_open(&v->vq[0]))
		serve(v, &v->vq[0]);
}

/* What was taken stays taken: a reset is no way to more. */
static void
rng_reset(struct vio *v)
{
	struct rng *g = v->state;

	g->waits = false;
	v->carrier->timer(v, ~0ull);
}

static void
rng_save(struct vio *v, struct snap_w *w)
{
	const struct rng *g = v->state;

	refill(v);
	snap_put_u32(w, g->tokens);
	snap_put_u8(w, g->waits);
}

static int
rng_load(struct vio *v, struct snap_r *r, struct err *e)
{
	struct rng *g = v->state;
	uint32_t tokens = snap_get_u32(r);
	bool waits = snap_get_bool(r);

	if (tokens > BURST)
		r->failed = true;
	if (snap_end(r, v->ops->name, e) == -1)
		return (-1);
	g->tokens = tokens;
	g->waits = waits;
	g->filled_ns = v->carrier->now_ns(v);
	v->carrier->timer(v, waits ? g->filled_ns + WAIT_NS : ~0ull);
	return (0);
}

static const uint16_t rng_queues[] = { 64 };

const struct vio_ops vio_rng = {
	.name = "rng",
	.spec = "virtio 1.2, 5.4",
	.queue_max = rng_queues,
	.state_bytes = sizeof(struct rng),
	.id = 4,
	.nqueues = 1,
	.version = 1,
	.kick = rng_kick,
	.reset = rng_reset,
	.timer = rng_timer,
	.save = rng_save,
	.load = rng_load,
};
