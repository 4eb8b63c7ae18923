/* SPDX-License-Identifier: ISC */
/*
 * The rings of a back end and the memory they are in: see back.h.  A ring is
 * started when it has a kick, stopped by GET_VRING_BASE, and runs while it is
 * started and enabled; what is changed under a running ring makes its thread
 * stand for as long.
 * Runs in: device processes, main thread.  Trusts: nobody.
 */
#include <errno.h>
#include <sys/stat.h>

#include "daemon/vhu/back_int.h"
#include "shared/devpage.h"
#include "shared/fd.h"

static struct vq_log *
ring_log(struct vhu_back *b, unsigned i, unsigned size, struct err *e)
{
	struct back_log *l = b->shared.map != NULL ? &b->shared : &b->own;

	if (i < l->nqueues && size <= l->queue_size)
		return ((void *)(l->map + i * vq_log_bytes(l->queue_size)));
	err_set(e, EINVAL, "queue %u of %u is not in a log of %u queues of %u",
	    i, size, l->nqueues, l->queue_size);
	return (NULL);
}

/* From the front end's address space into the guest's. */
static int
ring_gpa(const struct vhu_back *b, uint64_t user_addr, uint64_t *gpa)
{
	const struct vhu_region *r;
	unsigned i;

	for (i = 0; i < b->table.nregions; i++) {
		r = &b->table.region[i];
		if (user_addr < r->user_addr ||
		    user_addr - r->user_addr >= r->bytes)
			continue;
		*gpa = r->gpa + (user_addr - r->user_addr);
		return (0);
	}
	return (-1);
}

static int
ring_open(struct backq *q, struct err *e)
{
	struct vhu_back *b = q->b;
	unsigned i = (unsigned)(q - b->q);
	uint64_t f = b->vio.features;
	struct vq_rings r = { .size = q->size };
	struct vq_log *log;

	if ((log = ring_log(b, i, q->size, e)) == NULL)
		return (-1);
	if (ring_gpa(b, q->addr.desc, &r.desc_gpa) == -1 ||
	    ring_gpa(b, q->addr.avail, &r.avail_gpa) == -1 ||
	    ring_gpa(b, q->addr.used, &r.used_gpa) == -1 ||
	    vq_open(q->vq, &b->mem, &r, (f & VIO_F_INDIRECT) != 0,
		(f & VIO_F_EVENT_IDX) != 0, log) == -1)
		return (err_set(e, EFAULT,
		    "the rings of queue %u are not in guest memory", i));
	return (0);
}

/*
 * A front end that keeps the log knows no better than the log.  One that does
 * not may have a base of another's making, to which our own log says nothing.
 */
static int
ring_resume(struct backq *q)
{
	bool shared = q->b->shared.map != NULL;
	int r = vq_resume(q->vq);

	if (shared || (r == 0 && q->vq->next_avail == q->base))
		return (r);
	return (vq_forget(q->vq, q->base));
}

/*
 * Run it, if it is all there; if it is not, that is no error.  Nor is a ring
 * that its guest has broken: the guest's own affair, as if it had run before.
 */
static int
ring_start(struct backq *q, struct err *e)
{
	struct vhu_back *b = q->b;
	struct vio *v = &b->vio;
	bool wrong_base;

	if (vq_is_open(q->vq) || q->dead || q->kick_fd == -1 || !q->enabled ||
	    !q->have_addr || q->size == 0 || b->mem.nslots == 0 ||
	    v->features == 0)
		return (0);
	if (ring_open(q, e) == -1)
		return (-1);
	if (ring_resume(q) == -1) {
		wrong_base = b->shared.map == NULL && vq_ring_ok(q->vq);
		vq_close(q->vq);
		if (wrong_base)
			return (err_set(e, EPROTO,
			    "queue %u: more in flight than the guest made "
			    "available",
			    (unsigned)(q - b->q)));
		q->dead = true;
		bq_broken(q);
		return (0);
	}
	if (!b->started && v->ops->start != NULL)
		v->ops->start(v);
	b->started = true;
	atomic_store(&b->page->state, DEVP_RUNS);
	bq_start(q);
	return (0);
}

static int
ring_stop(struct backq *q, struct err *e)
{
	if (!vq_is_open(q->vq))
		return (0);
	if (bq_stop(q, e) == -1)
		return (-1);
	q->base = q->vq->next_avail;
	vq_close(q->vq);
	return (0);
}

int
back_rings_stop(struct vhu_back *b, struct err *e)
{
	unsigned i;

	for (i = 0; i < b->nthreads; i++)
		if (ring_stop(&b->q[i], e) == -1)
			return (-1);
	return (0);
}

/* All that can; the first error of several. */
int
back_rings_start(struct vhu_back *b, struct err *e)
{
	unsigned i;
	int r = 0;

	for (i = 0; i < b->vio.nqueues; i++)
		if (ring_start(&b->q[i], r == 0 ? e : NULL) == -1)
			r = -1;
	return (r);
}

bool
back_any_open(const struct vhu_back *b)
{
	unsigned i;

	for (i = 0; i < b->nthreads; i++)
		if (vq_is_open(b->q[i].vq))
			return (true);
	return (false);
}

static struct backq *
ring(struct vhu_back *b, uint64_t i, struct err *e)
{
	if (i < b->vio.nqueues)
		return (&b->q[i]);
	err_set(e, EINVAL, "there is no queue %llu", (unsigned long long)i);
	return (NULL);
}

static int
table_check(const struct vhu_mem *t, struct err *e)
{
	const struct vhu_region *r;
	unsigned i;

	for (i = 0; i < t->nregions; i++) {
		r = &t->region[i];
		if (r->user_addr + r->bytes < r->user_addr)
			return (err_set(e, EINVAL,
			    "memory region %u ends beyond all addresses", i));
	}
	return (0);
}

static int
table_map(const struct vhu_msg *m, struct mem *mem, struct err *e)
{
	const struct vhu_mem *t = &m->body.mem;
	struct mem_region region[VHU_REGIONS_MAX];
	unsigned i;

	for (i = 0; i < t->nregions; i++)
		region[i] = (struct mem_region){ t->region[i].gpa,
			t->region[i].bytes, t->region[i].off_bytes, m->fd[i] };
	return (mem_map_regions(mem, region, t->nregions, e));
}

/* Another table under rings that run: they go on in it. */
int
back_set_mem_table(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct mem mem;

	(void)reply;
	if (table_check(&m->body.mem, e) == -1 || table_map(m, &mem, e) == -1)
		return (-1);
	if (back_rings_stop(b, e) == -1) {
		mem_close(&mem);
		return (-1);
	}
	mem_close(&b->mem);
	b->mem = mem;
	b->table = m->body.mem;
	return (back_rings_start(b, e));
}

int
back_set_vring_num(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q = ring(b, m->body.state.index, e);
	uint32_t n = m->body.state.num;

	(void)reply;
	if (q == NULL)
		return (-1);
	if (n == 0 || (n & (n - 1)) != 0 || n > VQ_SIZE_MAX ||
	    n > b->vio.ops->queue_max[q - b->q])
		return (err_set(e, EINVAL, "a queue of %u", n));
	if (n == q->size)
		return (0);
	if (vq_is_open(q->vq))
		return (err_set(e, EBUSY, "the size of a queue that runs"));
	q->size = (uint16_t)n;
	return (ring_start(q, e));
}

int
back_set_vring_addr(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q = ring(b, m->body.addr.index, e);

	(void)reply;
	if (q == NULL)
		return (-1);
	if (m->body.addr.flags != 0)
		return (err_set(e, EINVAL, "a log of writes was not offered"));
	if (ring_stop(q, e) == -1)
		return (-1);
	q->addr = m->body.addr;
	q->have_addr = true;
	return (ring_start(q, e));
}

int
back_set_vring_base(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q = ring(b, m->body.state.index, e);

	(void)reply;
	if (q == NULL)
		return (-1);
	if (m->body.state.num > UINT16_MAX)
		return (err_set(e, EINVAL, "a base of %u", m->body.state.num));
	if (vq_is_open(q->vq))
		return (err_set(e, EBUSY, "the base of a queue that runs"));
	q->base = (uint16_t)m->body.state.num;
	return (0);
}

int
back_get_vring_base(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q = ring(b, m->body.state.index, e);

	if (q == NULL || ring_stop(q, e) == -1)
		return (-1);
	fd_close(&q->kick_fd);
	q->dead = false;
	reply->body.state.index = m->body.state.index;
	reply->body.state.num = q->base;
	return (1);
}

/*
 * An eventfd has no file type, and takes a zero at any time; of the other
 * things without a type none does.  Whatever else it were, our thread could be
 * kept in a read or a write that nothing ends.
 */
static int
eventfd_take(struct vhu_msg *m, int *fd, struct err *e)
{
	struct stat st;

	*fd = -1;
	if (m->nfds == 0)
		return (0);
	if (fstat(m->fd[0], &st) == -1 || (st.st_mode & S_IFMT) != 0 ||
	    bq_ring(m->fd[0], 0) == -1)
		return (err_set(e, EINVAL,
		    "a kick, call or err that is no "
		    "eventfd"));
	*fd = fd_move(&m->fd[0]);
	return (0);
}

int
back_set_vring_kick(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q = ring(b, m->body.u64 & VHU_VRING_INDEX, e);
	int fd;

	(void)reply;
	if (q == NULL)
		return (-1);
	if (m->nfds == 0)
		return (err_set(e, EOPNOTSUPP, "queues are not polled"));
	if (eventfd_take(m, &fd, e) == -1)
		return (-1);
	if (ring_stop(q, e) == -1) {
		fd_close(&fd);
		return (-1);
	}
	fd_close(&q->kick_fd);
	q->kick_fd = fd;
	return (ring_start(q, e));
}

int
back_set_vring_call(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q = ring(b, m->body.u64 & VHU_VRING_INDEX, e);
	int fd;

	(void)reply;
	if (q == NULL || eventfd_take(m, &fd, e) == -1)
		return (-1);
	bq_set_call(q, &fd);
	return (0);
}

int
back_set_vring_err(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q = ring(b, m->body.u64 & VHU_VRING_INDEX, e);
	int fd;

	(void)reply;
	if (q == NULL || eventfd_take(m, &fd, e) == -1)
		return (-1);
	bq_set_err(q, &fd);
	return (0);
}

int
back_set_vring_enable(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q = ring(b, m->body.state.index, e);

	(void)reply;
	if (q == NULL)
		return (-1);
	if (m->body.state.num > 1)
		return (err_set(e, EINVAL, "enable %u", m->body.state.num));
	q->enabled = m->body.state.num == 1;
	return (q->enabled ? ring_start(q, e) : ring_stop(q, e));
}
