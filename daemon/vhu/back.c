/* SPDX-License-Identifier: ISC */
/*
 * The back end: what it is made of, features, configuration, status.  See
 * back.h.
 * Runs in: device processes, main thread.  Trusts: nobody.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/vhu/back_int.h"
#include "shared/devpage.h"
#include "shared/fd.h"

#define CONFIG_WRITABLE 0 /* vhost-user: flags of SET_CONFIG */

/* ---- Making one ---------------------------------------------------------- */

static int
queues_open(struct vhu_back *b, unsigned n, struct err *e)
{
	struct backq *q;

	for (; b->nthreads < n; b->nthreads++) {
		q = &b->q[b->nthreads];
		q->b = b;
		q->vq = &b->vio.vq[b->nthreads];
		q->kick_fd = q->call_fd = q->err_fd = -1;
		if (bq_open(q, e) == -1)
			return (-1);
		/* Where there is no room, requests go one by one. */
		(void)syscall(
		    SYS_io_setup, VIO_AIO_MAX, &b->vio.aio[b->nthreads]);
	}
	return (0);
}

struct vhu_back *
vhu_back_new(const struct vio_ops *ops, unsigned nqueues, struct err *e)
{
	struct vhu_back *b;
	unsigned n = nqueues < ops->nqueues ? nqueues : ops->nqueues;

	if ((b = calloc(1, sizeof(*b))) == NULL) {
		err_set(e, ENOMEM, "no memory for a device");
		return (NULL);
	}
	vio_init(&b->vio, ops, &back_carrier, b);
	b->vio.nqueues = (uint8_t)n;
	b->own.fd = b->shared.fd = b->mem.fd = -1;
	b->timer_ns = UINT64_MAX;
	pthread_mutex_init(&b->page_lock, NULL);
	b->vio.state = calloc(1, ops->state_bytes + 1);
	if (b->vio.state == NULL)
		err_set(e, ENOMEM, "no memory for a device");
	else if (back_log_make(b, n, e) == 0 && queues_open(b, n, e) == 0)
		return (b);
	vhu_back_free(b);
	return (NULL);
}

int
vhu_back_prepare(struct vhu_back *b, const struct vio_conf *conf, struct err *e)
{
	const struct vio_ops *ops = b->vio.ops;

	b->opened = true; /* as far as close() is concerned */
	return (ops->prepare == NULL ? 0 : ops->prepare(&b->vio, conf, e));
}

int
vhu_back_open(struct vhu_back *b, const struct vio_conf *conf, struct err *e)
{
	const struct vio_ops *ops = b->vio.ops;

	b->page = conf->page;
	b->opened = true; /* as far as close() is concerned */
	if (ops->open != NULL && ops->open(&b->vio, conf, e) == -1)
		return (-1);
	b->ready = true;
	atomic_store(&b->page->state, DEVP_RUNS);
	if (b->vio.nqueues == 0 || b->vio.nqueues > b->nthreads)
		return (err_set(e, EINVAL, "%s: %u queues, room for %u",
		    ops->name, b->vio.nqueues, b->nthreads));
	return (0);
}

void
vhu_back_free(struct vhu_back *b)
{
	if (b == NULL)
		return;
	vhu_back_hangup(b, NULL);
	if (b->opened && b->vio.ops->close != NULL)
		b->vio.ops->close(&b->vio);
	while (b->nthreads > 0) {
		bq_close(&b->q[--b->nthreads]);
		if (b->vio.aio[b->nthreads] != 0)
			syscall(SYS_io_destroy, b->vio.aio[b->nthreads]);
	}
	if (b->own.map != NULL)
		munmap(b->own.map, b->own.bytes);
	fd_close(&b->own.fd);
	pthread_mutex_destroy(&b->page_lock);
	free(b->vio.state);
	free(b);
}

/* ---- Requests ------------------------------------------------------------ */

static uint64_t
offered(const struct vhu_back *b)
{
	return (b->vio.features_own | VIO_F_INDIRECT | VIO_F_EVENT_IDX |
	    VIO_F_VERSION_1 | VHU_F_PROTOCOL_FEATURES);
}

static int
get_features(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	(void)m;
	(void)e;
	reply->body.u64 = offered(b);
	return (1);
}

static int
set_features(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	uint64_t f = m->body.u64, vio = f & ~VHU_F_PROTOCOL_FEATURES;
	unsigned i;

	(void)reply;
	if (f & ~offered(b) || !(f & VIO_F_VERSION_1))
		return (err_set(e, EINVAL, "features 0x%llx of 0x%llx",
		    (unsigned long long)f, (unsigned long long)offered(b)));
	if (vio == b->vio.features)
		return (0);
	if (back_any_open(b))
		return (err_set(e, EBUSY, "features of a device that runs"));
	b->vio.features = vio;
	/* Without protocol features there is no SET_VRING_ENABLE. */
	for (i = 0; i < b->nthreads && !(f & VHU_F_PROTOCOL_FEATURES); i++)
		b->q[i].enabled = true;
	return (back_rings_start(b, e));
}

static int
ignore(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	(void)b;
	(void)m;
	(void)reply;
	(void)e;
	return (0);
}

static int
get_protocol_features(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	(void)b;
	(void)m;
	(void)e;
	reply->body.u64 = VHU_BACK_PROTOCOL;
	return (1);
}

static int
set_protocol_features(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	(void)reply;
	if (m->body.u64 & ~VHU_BACK_PROTOCOL)
		return (err_set(e, EINVAL, "protocol features 0x%llx",
		    (unsigned long long)m->body.u64));
	b->protocol = m->body.u64;
	return (0);
}

static int
get_queue_num(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	(void)m;
	(void)e;
	reply->body.u64 = b->vio.nqueues;
	return (1);
}

/*
 * Byte by byte, so that a device sees no access across its fields' ends; what is
 * beyond its configuration reads as zeros, as front ends know more fields than
 * devices have.
 */
static void
config_copy(struct vhu_back *b, struct vhu_config *c, bool write)
{
	struct vio *v = &b->vio;
	uint32_t i, at;

	for (i = 0, at = c->off_bytes; i < c->bytes; i++, at++) {
		struct bus_access a = {
			.off_bytes = at,
			.val = write ? c->data[i] : 0,
			.len_bytes = 1,
			.write = write,
		};

		if (at >= v->ops->cfg_bytes)
			continue;
		if (v->ops->cfg != NULL)
			v->ops->cfg(v, &a);
		else
			a.val = v->cfg[at];
		if (!write)
			c->data[i] = (uint8_t)a.val;
	}
}

static int
get_config(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	bool own = b->vio.ops->cfg != NULL;

	/* A device that computes it does so while no kick runs. */
	if (own && back_rings_stop(b, e) == -1)
		return (-1);
	reply->body.config.off_bytes = m->body.config.off_bytes;
	reply->body.config.bytes = m->body.config.bytes;
	reply->size = m->size;
	config_copy(b, &reply->body.config, false);
	return (own && back_rings_start(b, e) == -1 ? -1 : 1);
}

static int
set_config(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	(void)reply;
	if (m->body.config.flags != CONFIG_WRITABLE || b->vio.ops->cfg == NULL)
		return (err_set(e, EPERM, "nothing there can be written"));
	if (back_rings_stop(b, e) == -1)
		return (-1);
	config_copy(b, &m->body.config, true);
	return (back_rings_start(b, e));
}

/* As virtio's status 0; what is in flight outlives it, see reset_device(). */
static int
device_reset(struct vhu_back *b, struct err *e)
{
	struct vio *v = &b->vio;

	if (back_rings_stop(b, e) == -1)
		return (-1);
	if (v->ops->reset != NULL)
		v->ops->reset(v);
	v->features = 0;
	b->started = false;
	b->status = 0;
	return (0);
}

/*
 * A new guest driver: its rings are new, and so is the log.  SET_STATUS 0 does
 * not say that much: QEMU sends it when a guest is paused.
 */
static int
reset_device(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	struct backq *q;

	(void)m;
	(void)reply;
	if (device_reset(b, e) == -1)
		return (-1);
	for (q = b->q; q < b->q + b->nthreads; q++) {
		q->enabled = q->have_addr = q->dead = false;
		q->base = 0;
		fd_close(&q->kick_fd);
	}
	memset(b->own.map, 0, b->own.bytes);
	if (b->shared.map != NULL)
		memset(b->shared.map, 0, b->shared.bytes);
	return (0);
}

static int
set_status(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	(void)reply;
	if (m->body.u64 > UINT8_MAX)
		return (err_set(e, EINVAL, "a status of 0x%llx",
		    (unsigned long long)m->body.u64));
	if (m->body.u64 == 0)
		return (device_reset(b, e));
	b->status = (uint8_t)m->body.u64;
	return (0);
}

static int
get_status(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	(void)m;
	(void)e;
	reply->body.u64 = b->status;
	return (1);
}

static const struct {
	uint32_t request;
	uint64_t protocol; /* only where this was negotiated */
	int (*fn)(struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply,
	    struct err *);
} handlers[] = {
	{ VHU_GET_FEATURES, 0, get_features },
	{ VHU_SET_FEATURES, 0, set_features },
	{ VHU_SET_OWNER, 0, ignore },
	{ VHU_RESET_OWNER, 0, ignore },
	{ VHU_SET_MEM_TABLE, 0, back_set_mem_table },
	{ VHU_SET_VRING_NUM, 0, back_set_vring_num },
	{ VHU_SET_VRING_ADDR, 0, back_set_vring_addr },
	{ VHU_SET_VRING_BASE, 0, back_set_vring_base },
	{ VHU_GET_VRING_BASE, 0, back_get_vring_base },
	{ VHU_SET_VRING_KICK, 0, back_set_vring_kick },
	{ VHU_SET_VRING_CALL, 0, back_set_vring_call },
	{ VHU_SET_VRING_ERR, 0, back_set_vring_err },
	{ VHU_SET_VRING_ENABLE, 0, back_set_vring_enable },
	{ VHU_GET_PROTOCOL_FEATURES, 0, get_protocol_features },
	{ VHU_SET_PROTOCOL_FEATURES, 0, set_protocol_features },
	{ VHU_GET_QUEUE_NUM, 0, get_queue_num },
	{ VHU_GET_CONFIG, VHU_P_CONFIG, get_config },
	{ VHU_SET_CONFIG, VHU_P_CONFIG, set_config },
	{ VHU_GET_INFLIGHT_FD, VHU_P_INFLIGHT_SHMFD, back_get_inflight_fd },
	{ VHU_SET_INFLIGHT_FD, VHU_P_INFLIGHT_SHMFD, back_set_inflight_fd },
	{ VHU_RESET_DEVICE, VHU_P_RESET_DEVICE, reset_device },
	{ VHU_SET_STATUS, VHU_P_STATUS, set_status },
	{ VHU_GET_STATUS, VHU_P_STATUS, get_status },
};

static int
handle(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	size_t i, n = sizeof(handlers) / sizeof(handlers[0]);

	if (m->flags & VHU_REPLY)
		return (err_set(e, EPROTO, "a reply that nobody asked for"));
	for (i = 0; i < n && handlers[i].request != m->request; i++)
		;
	if (i == n || (handlers[i].protocol & ~b->protocol) != 0)
		return (err_set(e, EPROTO, "it was not negotiated"));
	return (handlers[i].fn(b, m, reply, e));
}

int
vhu_back_request(
    struct vhu_back *b, struct vhu_msg *m, struct vhu_msg *reply, struct err *e)
{
	const struct vhu_row *row = vhu_row(m->request);
	int r;

	vhu_msg_reply(reply, m);
	r = handle(b, m, reply, e);
	if (r == -1)
		err_prefix(e, "vhost-user %s", row->name);
	/* Who asked for an answer may go on after a no. */
	if (r != 1 && row->reply_max == 0 && m->flags & VHU_NEED_REPLY &&
	    b->protocol & VHU_P_REPLY_ACK) {
		reply->body.u64 = r == -1;
		return (1);
	}
	return (r);
}

int
vhu_back_hangup(struct vhu_back *b, struct err *e)
{
	struct backq *q;
	int none = -1;

	if (back_rings_stop(b, e) == -1)
		return (-1);
	for (q = b->q; q < b->q + b->nthreads; q++) {
		bq_set_call(q, &none);
		bq_set_err(q, &none);
		fd_close(&q->kick_fd);
		q->enabled = q->have_addr = q->dead = false;
		q->size = q->base = 0;
	}
	if (b->ready && b->vio.ops->reset != NULL)
		b->vio.ops->reset(&b->vio);
	b->vio.features = 0;
	b->protocol = 0;
	b->status = 0;
	b->started = false;
	mem_close(&b->mem);
	b->table.nregions = 0;
	back_log_close(&b->shared);
	/* A front end that was given it may come back with it. */
	if (b->own.map != NULL && !b->own.given)
		memset(b->own.map, 0, b->own.bytes);
	return (0);
}

static int
serve(struct vhu_back *b, int sock, struct err *e)
{
	struct vhu_msg m, reply;
	int r;

	while ((r = vhu_recv(sock, &m, e)) == 1) {
		r = vhu_back_request(b, &m, &reply, e);
		vhu_msg_close(&m);
		if (r == 1)
			r = vhu_send(sock, &reply, e);
		if (r == -1)
			break;
	}
	return (r);
}

int
vhu_back_serve(struct vhu_back *b, int sock, struct err *e)
{
	int r = serve(b, sock, e);

	return (vhu_back_hangup(b, r == 0 ? e : NULL) == -1 ? -1 : r);
}
