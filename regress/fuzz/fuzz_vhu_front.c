/* SPDX-License-Identifier: ISC */
/*
 * A device process that answers anything to the vm process: vhost-user's front
 * end, and the proxy of a virtio device on it.  The input is a back end's
 * answers and what the guest does meanwhile.  After a wrong answer nothing more
 * may be asked, and the device can still be reset and replaced.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/vhu/wire.h"

static int fuzz_send(int, const struct vhu_msg *, struct err *);
static int fuzz_recv(int, struct vhu_msg *, struct err *);
#define FRONT_SEND fuzz_send
#define FRONT_RECV fuzz_recv
#include "daemon/vhu/front.c"

#include "daemon/dev/snap.h"
#include "daemon/dev/vio_proxy.h"
#include "regress/fuzz/input.h"

#define SOCK 0x7ffffff0 /* never open */
#define PROTOCOL                                                               \
	(VHU_P_MQ | VHU_P_REPLY_ACK | VHU_P_CONFIG | VHU_P_INFLIGHT_SHMFD |    \
	    VHU_P_RESET_DEVICE | VHU_P_STATUS)
#define QUEUES 2
#define INPUT_MAX 96 /* a connection or three */

static struct input in;
static struct vhu_msg asked; /* what waits for an answer */
static bool lost;
static struct mem mem;
static struct devpage page;
static struct vio blk, fs;

static int
fuzz_send(int sock, const struct vhu_msg *m, struct err *e)
{
	(void)e;
	if (lost || sock != SOCK || m->size > sizeof(m->body))
		abort();
	asked = *m;
	return (0);
}

/* As one that keeps to the rules, but for the numbers. */
static void
honest(struct vhu_msg *m, bool own_number)
{
	uint64_t n = 0;

	vhu_msg_reply(m, &asked);
	if (own_number)
		take_bytes(&in, &n, sizeof(n));
	switch (asked.request) {
	case VHU_GET_FEATURES:
		m->body.u64 = own_number ? n : ~0ull;
		break;
	case VHU_GET_PROTOCOL_FEATURES:
		m->body.u64 = own_number ? n : PROTOCOL;
		break;
	case VHU_GET_QUEUE_NUM:
		m->body.u64 = own_number ? n : QUEUES;
		break;
	case VHU_GET_VRING_BASE:
		m->body.state = asked.body.state;
		m->body.state.num = (uint32_t)n;
		break;
	case VHU_GET_CONFIG:
		m->size = asked.size;
		m->body.config = asked.body.config;
		m->body.config.data[34] = QUEUES;
		if (own_number)
			take_bytes(&in, m->body.config.data, 60);
		break;
	default:
		m->body.u64 = n;
		break;
	}
}

/* Anything, judged as vhu_recv() does it. */
static int
hostile(struct vhu_msg *m, struct err *e)
{
	uint16_t size;
	unsigned i;

	vhu_msg_init(m, take_byte(&in));
	m->flags = take_byte(&in);
	take_bytes(&in, &size, sizeof(size));
	m->size = size;
	m->nfds = take_byte(&in) & (VHU_FDS_MAX - 1);
	for (i = 0; i < VHU_FDS_MAX; i++)
		m->fd[i] = -1;
	if (m->size > sizeof(m->body))
		return (-1);
	take_bytes(&in, &m->body, m->size);
	return (vhu_check(m, e) == -1 ? -1 : 1);
}

static int
fuzz_recv(int sock, struct vhu_msg *m, struct err *e)
{
	uint8_t how = take_byte(&in);

	if (sock != SOCK)
		abort();
	err_set(e, ETIMEDOUT, "late");
	if (how == 0xff)
		return (0);
	if (how == 0xfe)
		return (-1);
	if (how >= 0x80)
		return (hostile(m, e));
	honest(m, how & 1);
	return (1);
}

static void
nothing(struct vio *v)
{
	(void)v;
}

static const struct vio_carrier carrier = {
	.cfg_changed = nothing,
};

static void
queue_up(struct vio *v, unsigned i)
{
	struct vq_rings r = { 0x1000u + i * 0x4000u, 0x2000u + i * 0x4000u,
		0x3000u + i * 0x4000u, 8 };

	if (vq_open(&v->vq[i], &mem, &r, true, true, vio_proxy_log(v, i)) == -1)
		abort();
}

static void
device_make(struct vio *v, const struct vio_ops *ops)
{
	int sock = SOCK;
	struct vio_conf conf = {
		.conf = &page.conf, .page = &page, .fd = &sock, .nfds = 1
	};
	struct err e;

	vio_init(v, ops, &carrier, NULL);
	if ((v->state = calloc(1, ops->state_bytes)) == NULL ||
	    vio_open(v, &conf, &e) == -1)
		abort();
}

static void
setup(void)
{
	struct err e;

	if (mem.base != NULL)
		return;
	strcpy(page.conf.serial, "tag");
	if (mem_open(&mem, "fuzz", 1 << 20, false, &e) == -1)
		abort();
	device_make(&blk, vio_proxy_ops(DEV_BLK));
	blk.ops->close(&blk);
	free(blk.state);
	device_make(&blk, vio_proxy_ops(DEV_BLK));
	device_make(&fs, vio_proxy_ops(DEV_FS));
}

static void
save(struct vio *v)
{
	struct snap_w w;
	struct snap_r r;
	struct err e;

	if (v->ops->save == NULL)
		return;
	snap_w_init(&w);
	v->ops->save(v, &w);
	if (w.len_bytes > 0)
		w.buf[0] ^= take_byte(&in) & 1;
	snap_r_init(&r, w.buf, w.len_bytes);
	(void)v->ops->load(v, &r, &e);
	snap_w_fini(&w);
}

/* What the guest writes to its rings is its own affair. */
static void
rings(const struct vio *v)
{
	uint16_t n;
	unsigned i = take_byte(&in) % v->nqueues;

	if (!vq_is_open(&v->vq[i]))
		return;
	take_bytes(&in, &n, sizeof(n));
	memcpy(v->vq[i].avail + 2, &n, sizeof(n));
	memcpy(v->vq[i].used + 2, &n, take_byte(&in) & 1 ? sizeof(n) : 1);
}

static void
gone(struct vio *v)
{
	struct err e;

	if (vio_proxy_there(v))
		abort();
	vio_proxy_words(v, &e);
	vio_proxy_drop(v);
}

static void
act(struct vio *v)
{
	struct vio_proxy *x = v->state;
	struct err e;
	int rc = 0, sock = SOCK;

	switch (take_byte(&in) % 7) {
	case 0:
		if (!x->running && vio_proxy_there(v))
			rc = vio_proxy_start(v, &mem, 15, &e);
		break;
	case 1:
		if (x->running)
			rc = vio_proxy_stop(v, &e);
		break;
	case 2:
		rc = vio_proxy_reset(v, &e);
		break;
	case 3:
		lost = false;
		rc = vio_proxy_replace(v, &sock, &e);
		break;
	case 4:
		(void)vio_proxy_look(v, take_byte(&in) & 1);
		(void)vio_proxy_busy(v);
		break;
	case 5:
		rings(v);
		break;
	default:
		save(v);
		break;
	}
	if (rc == -1) {
		lost = true;
		gone(v);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct vio *v;
	int sock = SOCK;
	struct err e;
	unsigned i;

	if (n > INPUT_MAX)
		return (-1);
	setup();
	in = (struct input){ data, n };
	v = take_byte(&in) & 1 ? &fs : &blk;
	lost = false;
	lost = vio_proxy_replace(v, &sock, &e) == -1;
	for (i = 0; i < v->nqueues; i++)
		queue_up(v, i);
	while (in.left > 0)
		act(v);
	vio_proxy_drop(v);
	if (vio_proxy_reset(v, &e) == -1) /* without a process it cannot fail */
		abort();
	for (i = 0; i < v->nqueues; i++)
		vq_close(&v->vq[i]);
	return (0);
}
