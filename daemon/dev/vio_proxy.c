/* SPDX-License-Identifier: ISC */
/*
 * Virtio devices of other processes: see vio_proxy.h.
 * Runs in: vm process.  Trusts: nobody: what the back end says is bounded here,
 * what it does to the guest's memory is the guest's and its own affair.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/dev/snap.h"
#include "daemon/dev/vio_proxy.h"
#include "daemon/vhu/wire.h"
#include "shared/fd.h"

#define TRANSPORT (VIO_F_INDIRECT | VIO_F_EVENT_IDX | VIO_F_VERSION_1)
#define STALLS 2 /* looks without a step forward, until it is called hung */

/* ---- Life ------------------------------------------------------------------- */

/* One size of log does for all. */
static unsigned
queue_size(const struct vio *v)
{
	unsigned i, size = 0;

	for (i = 0; i < v->nqueues; i++)
		if (v->ops->queue_max[i] > size)
			size = v->ops->queue_max[i];
	return (size);
}

static int
proxy_log_open(struct vio *v, struct err *e)
{
	struct vio_proxy *x = v->state;
	void *p;

	x->log_bytes = vq_log_bytes(queue_size(v));
	x->log_fd = memfd_sealed_map("inflight", x->log_bytes * v->nqueues,
	    F_SEAL_SHRINK | F_SEAL_GROW, &p);
	if (x->log_fd == -1)
		return (err_errno(e, "cannot make the log of requests"));
	x->log = p;
	return (0);
}

static int
proxy_fds_open(struct vio *v, struct err *e)
{
	struct vio_proxy *x = v->state;
	bool nonblock = v->ops->proxy->polls;
	unsigned i;

	for (i = 0; i < v->nqueues; i++) {
		x->kick_fd[i] =
		    eventfd(0, EFD_CLOEXEC | (nonblock ? EFD_NONBLOCK : 0));
		x->call_fd[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (x->kick_fd[i] == -1 || x->call_fd[i] == -1)
			return (err_errno(e, "eventfd"));
	}
	x->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return (x->err_fd == -1 ? err_errno(e, "eventfd") : 0);
}

/* What it offers, of what may pass; and how it is laid out. */
static int
proxy_meet(struct vio *v, const struct devpage_conf *conf, struct err *e)
{
	const struct vio_proxy_kind *k = v->ops->proxy;
	struct vio_proxy *x = v->state;

	if (!(x->front.features & VIO_F_VERSION_1))
		return (err_set(e, ENOTSUP,
		    "the device's process does not "
		    "know virtio 1"));
	v->features_own = x->front.features & k->features;
	v->transport = x->front.features & TRANSPORT;
	v->nqueues = v->ops->nqueues;
	if (x->front.nqueues == 0) /* it has no more than its kind needs */
		v->nqueues = 1;
	else if (x->front.nqueues < v->nqueues)
		v->nqueues = (uint8_t)x->front.nqueues;
	memset(v->cfg, 0, sizeof(v->cfg));
	if (v->ops->cfg_bytes > 0 &&
	    (!k->own_cfg || x->front.protocol & VHU_P_CONFIG) &&
	    vhu_front_config(
		&x->front, v->cfg, (unsigned)v->ops->cfg_bytes, e) == -1)
		return (-1);
	return (k->settle(v, conf, e));
}

static int
proxy_open(struct vio *v, const struct vio_conf *conf, struct err *e)
{
	struct vio_proxy *x = v->state;
	unsigned i;

	vhu_front_init(&x->front);
	x->log_fd = x->err_fd = -1;
	for (i = 0; i < VIO_QUEUES_MAX; i++)
		x->kick_fd[i] = x->call_fd[i] = -1;
	x->page = conf->page;
	if (conf->nfds < 1)
		return (err_set(e, EINVAL, "no socket"));
	if (vhu_front_open(&x->front, &conf->fd[0], e) == -1 ||
	    proxy_meet(v, conf->conf, e) == -1) {
		vio_proxy_words(v, e);
		return (-1);
	}
	x->broken_rings = atomic_load(&x->page->broken_rings);
	if (proxy_log_open(v, e) == -1)
		return (-1);
	return (proxy_fds_open(v, e));
}

static void
proxy_close(struct vio *v)
{
	struct vio_proxy *x = v->state;
	unsigned i;

	vhu_front_close(&x->front);
	for (i = 0; i < VIO_QUEUES_MAX; i++) {
		fd_close(&x->kick_fd[i]);
		fd_close(&x->call_fd[i]);
	}
	fd_close(&x->err_fd);
	fd_close(&x->log_fd);
	if (x->log != NULL)
		munmap(x->log, x->log_bytes * v->nqueues);
	x->log = NULL;
}

/*
 * Where there is no ioeventfd.  vCPU thread, or main thread, with the device's
 * lock, which whoever stands here would keep from all others.
 *
 * A process that its guest has taken over can fill the eventfd, and there is no
 * write that does not block for this once.  So the file itself does not, at
 * least for this moment: a process that waits in read(2) goes on waiting, one
 * that comes now is told EAGAIN and asks again; and the filters of our device
 * processes and of virtiofsd let none make it block.  KVM, which rings else,
 * never waits.  Full it is as good as rung: who does not read hangs, and is
 * named by vio_proxy_look().
 */
static void
proxy_kick(struct vio *v, struct vq *q)
{
	struct vio_proxy *x = v->state;
	int fd = x->kick_fd[q - v->vq];
	bool polls = v->ops->proxy->polls;
	uint64_t one = 1;
	ssize_t n;

	if (!polls && fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) == -1)
		return;
	n = write(fd, &one, sizeof(one));
	if (!polls)
		(void)fcntl(fd, F_SETFL, O_RDWR);
	(void)n;
}

/* ---- What its carrier does with it ------------------------------------------ */

struct vq_log *
vio_proxy_log(struct vio *v, unsigned i)
{
	struct vio_proxy *x = v->state;

	return ((struct vq_log *)(void *)(x->log + i * x->log_bytes));
}

bool
vio_proxy_there(const struct vio *v)
{
	const struct vio_proxy *x = v->state;

	return (x->front.sock != -1 && !x->front.lost);
}

void
vio_proxy_drop(struct vio *v)
{
	struct vio_proxy *x = v->state;

	vhu_front_close(&x->front);
	if (x->running)
		x->died = true;
	x->running = false;
}

void
vio_proxy_words(const struct vio *v, struct err *e)
{
	const struct vio_proxy *x = v->state;
	struct err words;

	devpage_err_get(x->page, &words);
	if (words.code != 0 && atomic_load(&x->page->state) == DEVP_FAILED)
		*e = words;
}

static int
queue_start(struct vio *v, unsigned i, struct err *e)
{
	struct vio_proxy *x = v->state;
	struct vq *q = &v->vq[i];
	struct vhu_front_queue fq = {
		.index = i,
		.rings = &q->rings,
		.kick_fd = x->kick_fd[i],
		.call_fd = x->call_fd[i],
		.err_fd = x->err_fd,
	};

	/*
	 * Where the dead one stood, nobody knows: what it had given back is in
	 * the ring, what it had begun is in the log or is begun anew.  A ring
	 * that says otherwise is the next one's to call broken.
	 */
	if (x->died)
		(void)vq_resume(q);
	fq.base = q->next_avail;
	if (vhu_front_start(&x->front, &fq, e) == -1)
		return (-1);
	proxy_kick(v, q); /* what came meanwhile made no sound */
	return (0);
}

int
vio_proxy_start(
    struct vio *v, const struct mem *mem, uint8_t status, struct err *e)
{
	struct vio_proxy *x = v->state;
	struct vhu_front *f = &x->front;
	unsigned i;

	x->running = true;
	x->started = 0;
	vhu_front_begin(f);
	if (vhu_front_mem(f, mem, e) == -1 ||
	    vhu_front_features(f, v->features, e) == -1 ||
	    vhu_front_inflight(f, x->log_fd, v->nqueues, queue_size(v), e) ==
		-1)
		return (-1);
	for (i = 0; i < v->nqueues; i++) {
		if (!vq_is_open(&v->vq[i]))
			continue;
		x->started |= 1u << i;
		if (queue_start(v, i, e) == -1)
			return (-1);
	}
	if (vhu_front_status(f, status, e) == -1)
		return (-1);
	x->died = false;
	return (0);
}

static int
queues_stop(struct vio *v, uint16_t base[VIO_QUEUES_MAX], struct err *e)
{
	struct vio_proxy *x = v->state;
	unsigned i;

	for (i = 0; i < v->nqueues; i++)
		if (x->started & 1u << i &&
		    vhu_front_stop(&x->front, i, &base[i], e) == -1)
			return (-1);
	x->running = false;
	return (0);
}

int
vio_proxy_stop(struct vio *v, struct err *e)
{
	struct vio_proxy *x = v->state;
	uint16_t base[VIO_QUEUES_MAX];
	unsigned i;

	vhu_front_begin(&x->front);
	if (queues_stop(v, base, e) == -1)
		return (-1);
	for (i = 0; i < v->nqueues; i++)
		if (x->started & 1u << i) {
			(void)vq_resume(&v->vq[i]); /* next_used */
			v->vq[i].next_avail = base[i];
		}
	return (0);
}

void
vio_proxy_settle(struct vio *v)
{
	struct vio_proxy *x = v->state;
	unsigned i;

	for (i = 0; x->died && i < v->nqueues; i++)
		if (vq_is_open(&v->vq[i]))
			(void)vq_resume(&v->vq[i]);
}

void
vio_proxy_forget(struct vio *v)
{
	struct vio_proxy *x = v->state;

	memset(x->log, 0, x->log_bytes * v->nqueues);
}

int
vio_proxy_reset(struct vio *v, struct err *e)
{
	struct vio_proxy *x = v->state;
	uint16_t base[VIO_QUEUES_MAX];
	int rc = 0;

	vhu_front_begin(&x->front);
	if (vio_proxy_there(v) &&
	    ((x->running && queues_stop(v, base, e) == -1) ||
		vhu_front_reset(&x->front, e) == -1))
		rc = -1;
	x->running = x->died = x->hung = false;
	vio_proxy_forget(v);
	return (rc);
}

/* The guest knows the old one: what it was promised has to be there. */
static int
same_device(struct vio *v, const struct vio *was, struct err *e)
{
	if ((was->features_own & ~v->features_own) != 0 ||
	    (was->transport & ~v->transport) != 0)
		return (err_set(e, ENOTSUP,
		    "the device's new process lacks features 0x%llx",
		    (unsigned long long)((was->features_own | was->transport) &
			~(v->features_own | v->transport))));
	if (v->nqueues < was->nqueues)
		return (err_set(e, ENOTSUP,
		    "the device's new process has %u queues, not %u",
		    v->nqueues, was->nqueues));
	return (0);
}

int
vio_proxy_replace(struct vio *v, int *sock, struct err *e)
{
	struct vio_proxy *x = v->state;
	struct devpage_conf conf = x->page->conf;
	struct vio was;
	int rc = -1;

	vio_proxy_drop(v);
	was = *v;
	if (vhu_front_open(&x->front, sock, e) == 0 &&
	    proxy_meet(v, &conf, e) == 0)
		rc = same_device(v, &was, e);
	v->features_own = was.features_own;
	v->transport = was.transport;
	v->nqueues = was.nqueues;
	if (rc == -1) {
		memcpy(v->cfg, was.cfg, sizeof(v->cfg));
		vio_proxy_words(v, e);
		vio_proxy_drop(v);
		return (-1);
	}
	x->broken_rings = atomic_load(&x->page->broken_rings);
	if (memcmp(v->cfg, was.cfg, v->ops->cfg_bytes) != 0)
		v->carrier->cfg_changed(v);
	return (0);
}

/* ---- Does it go on? --------------------------------------------------------- */

/* The two ring indices as the guest's memory has them now: virtio 1.2, 2.7.6. */
static uint16_t
ring_idx(const uint8_t *ring)
{
	return (__atomic_load_n(
	    (const uint16_t *)(const void *)(ring + 2), __ATOMIC_ACQUIRE));
}

bool
vio_proxy_busy(const struct vio *v)
{
	const struct vq *q;
	unsigned i;

	for (i = 0; i < v->nqueues; i++) {
		q = &v->vq[i];
		if (vq_is_open(q) && ring_idx(q->avail) != ring_idx(q->used))
			return (true);
	}
	return (false);
}

bool
vio_proxy_look(struct vio *v, bool first)
{
	struct vio_proxy *x = v->state;
	bool was = x->hung, stands = false;
	const struct vq *q;
	uint16_t used;
	unsigned i;

	for (i = 0; i < v->nqueues; i++) {
		q = &v->vq[i];
		if (!vq_is_open(q))
			continue;
		used = ring_idx(q->used);
		if (used == x->used[i] && ring_idx(q->avail) != used)
			stands = true;
		x->used[i] = used;
	}
	x->stalls = stands && !first ? x->stalls + 1 : 0;
	x->hung = x->stalls >= STALLS || (x->hung && stands);
	return (x->hung != was);
}

/* ---- The kinds -------------------------------------------------------------- */

/* virtio 1.2, 5.2.3, 5.2.4 */
#define BLK_F_MQ (1ull << 12)
#define BLK_FEATURES                                                           \
	(1ull << 1 | 1ull << 2 | 1ull << 4 | 1ull << 5 | 1ull << 6 |           \
	    1ull << 9 | 1ull << 10 | BLK_F_MQ | 1ull << 13 | 1ull << 14)
#define BLK_NUM_QUEUES 34
/* 5.11.4 */
#define FS_TAG_BYTES 36

/* No more queues than it says that it has, and says so to the guest. */
static int
blk_settle(struct vio *v, const struct devpage_conf *conf, struct err *e)
{
	uint16_t n;

	(void)conf;
	memcpy(&n, v->cfg + BLK_NUM_QUEUES, sizeof(n));
	n = le16toh(n);
	if (!(v->features_own & BLK_F_MQ)) {
		v->nqueues = 1;
		return (0);
	}
	if (n == 0)
		return (err_set(e, EPROTO, "the device has no queue"));
	if (n < v->nqueues)
		v->nqueues = (uint8_t)n;
	n = htole16(v->nqueues);
	memcpy(v->cfg + BLK_NUM_QUEUES, &n, sizeof(n));
	return (0);
}

/* As vio_blk has it: all that a guest could miss is its disk. */
static void
blk_save(struct vio *v, struct snap_w *w)
{
	uint64_t sectors;

	memcpy(&sectors, v->cfg, sizeof(sectors));
	snap_put_u64(w, le64toh(sectors));
}

static int
blk_load(struct vio *v, struct snap_r *r, struct err *e)
{
	uint64_t sectors = snap_get_u64(r), here;

	memcpy(&here, v->cfg, sizeof(here));
	here = le64toh(here);
	if (snap_end(r, v->ops->name, e) == -1)
		return (-1);
	if (sectors != here)
		return (err_set(e, EINVAL,
		    "blk: the disk had %llu sectors, this one has %llu",
		    (unsigned long long)sectors, (unsigned long long)here));
	return (0);
}

/* One queue of high priority and one of requests at least: 5.11.2. */
static int
fs_settle(struct vio *v, const struct devpage_conf *conf, struct err *e)
{
	struct vio_proxy *x = v->state;
	uint32_t n;

	if (x->front.nqueues == 0)
		v->nqueues = 2;
	if (v->nqueues < 2)
		return (err_set(e, EPROTO, "a share needs two queues"));
	if (conf->serial[0] == '\0')
		return (err_set(e, EINVAL, "a share without a tag"));
	memset(v->cfg, 0, FS_TAG_BYTES);
	memcpy(v->cfg, conf->serial, sizeof(conf->serial));
	n = htole32(v->nqueues - 1u);
	memcpy(v->cfg + FS_TAG_BYTES, &n, sizeof(n));
	return (0);
}

static const struct vio_proxy_kind kind_blk = {
	.kind = DEV_BLK,
	.features = BLK_FEATURES,
	.settle = blk_settle,
};

static const struct vio_proxy_kind kind_fs = {
	.kind = DEV_FS,
	.polls = true,
	.own_cfg = true,
	.settle = fs_settle,
};

#define Q 256
static const uint16_t queues[] = { Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q, Q,
	Q };
#undef Q

const struct vio_ops vio_proxy_blk = {
	.name = "blk",
	.spec = "virtio 1.2, 5.2",
	.proxy = &kind_blk,
	.queue_max = queues,
	.cfg_bytes = 60,
	.state_bytes = sizeof(struct vio_proxy),
	.id = 2,
	.nqueues = VIO_QUEUES_MAX,
	.version = 1,
	.kick = proxy_kick,
	.open = proxy_open,
	.close = proxy_close,
	.save = blk_save,
	.load = blk_load,
};

const struct vio_ops vio_proxy_fs = {
	.name = "fs",
	.spec = "virtio 1.2, 5.11",
	.proxy = &kind_fs,
	.queue_max = queues,
	.cfg_bytes = FS_TAG_BYTES + 4,
	.state_bytes = sizeof(struct vio_proxy),
	.id = 26,
	.nqueues = VIO_QUEUES_MAX,
	.version = 1,
	.kick = proxy_kick,
	.open = proxy_open,
	.close = proxy_close,
};

const struct vio_ops *
vio_proxy_ops(uint32_t kind)
{
	static const struct vio_ops *const all[] = { &vio_proxy_blk,
		&vio_proxy_fs };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i]->proxy->kind == kind)
			return (all[i]);
	return (NULL);
}
