/* SPDX-License-Identifier: ISC */
/*
 * vhost-user's front end: see front.h.
 * Runs in: vm process, main thread.  Trusts: no answer.
 */
#include <errno.h>
#include <string.h>

#include "daemon/vhu/front.h"
#include "daemon/vhu/wire.h"
#include "shared/clock.h"
#include "shared/fd.h"

#ifndef FRONT_SEND /* the fuzzer is a back end without a socket */
#define FRONT_SEND vhu_send
#define FRONT_RECV vhu_recv
#endif

#define TOGETHER_S 10

#ifndef FRONT_NOW_S /* a test has a clock of its own */
#define FRONT_NOW_S clock_now_s
#endif

#define WANTED                                                                 \
	(VHU_P_MQ | VHU_P_REPLY_ACK | VHU_P_CONFIG | VHU_P_INFLIGHT_SHMFD |    \
	    VHU_P_RESET_DEVICE | VHU_P_STATUS)

void
vhu_front_init(struct vhu_front *f)
{
	memset(f, 0, sizeof(*f));
	f->sock = -1;
}

void
vhu_front_close(struct vhu_front *f)
{
	fd_close(&f->sock);
	f->has_mem = false;
}

void
vhu_front_begin(struct vhu_front *f)
{
	f->until_s = FRONT_NOW_S() + TOGETHER_S;
}

/* The answer to what was just sent: nothing else may come. */
static int
answer(struct vhu_front *f, const struct vhu_row *row, struct vhu_msg *r,
    struct err *e)
{
	const char *name = row->name;
	int got;

	if ((got = FRONT_RECV(f->sock, r, e)) == -1)
		return (err_prefix(e, "%s", name));
	if (got == 0)
		return (err_set(e, EPIPE,
		    "%s: the device's process closed its "
		    "socket",
		    name));
	if (r->request == row->request && r->flags & VHU_REPLY)
		return (0);
	vhu_msg_close(r);
	return (err_set(e, EPROTO, "%s: answered with %s %u", name,
	    r->flags & VHU_REPLY ? "the reply to" : "request", r->request));
}

/*
 * Send m; *m becomes the answer where the request has one.  What has none is
 * asked to be acknowledged, if that was agreed.
 */
static int
ask(struct vhu_front *f, struct vhu_msg *m, struct err *e)
{
	const struct vhu_row *row = vhu_row(m->request);
	bool ack = row->reply_max == 0 && f->protocol & VHU_P_REPLY_ACK;
	struct vhu_msg r;

	if (f->sock == -1 || f->lost)
		return (err_set(e, ENOTCONN, "the device has no process"));
	if (ack)
		m->flags |= VHU_NEED_REPLY;
	f->lost = true; /* unless all goes well */
	if (FRONT_NOW_S() > f->until_s)
		return (err_set(e, ETIMEDOUT,
		    "%s: the device's process is too slow", row->name));
	if (FRONT_SEND(f->sock, m, e) == -1)
		return (err_prefix(e, "%s", row->name));
	if (row->reply_max > 0 || ack) {
		if (answer(f, row, &r, e) == -1)
			return (-1);
		if (ack && r.body.u64 != 0)
			return (err_set(e, EPROTO,
			    "%s: refused by the device's "
			    "process",
			    row->name));
		*m = r;
	}
	f->lost = false;
	return (0);
}

static int
ask_u64(struct vhu_front *f, uint32_t request, uint64_t *v, struct err *e)
{
	struct vhu_msg m;

	vhu_msg_init(&m, request);
	m.body.u64 = *v;
	if (ask(f, &m, e) == -1)
		return (-1);
	*v = m.body.u64;
	return (0);
}

static int
tell(struct vhu_front *f, uint32_t request, uint64_t v, struct err *e)
{
	return (ask_u64(f, request, &v, e));
}

static int
tell_state(struct vhu_front *f, uint32_t request, unsigned index, uint32_t num,
    struct err *e)
{
	struct vhu_msg m;

	vhu_msg_init(&m, request);
	m.body.state = (struct vhu_state){ .index = index, .num = num };
	return (ask(f, &m, e));
}

static int
tell_fd(struct vhu_front *f, uint32_t request, unsigned index, int fd,
    struct err *e)
{
	struct vhu_msg m;

	vhu_msg_init(&m, request);
	m.body.u64 = index;
	m.fd[0] = fd;
	m.nfds = 1;
	return (ask(f, &m, e));
}

static int
agree(struct vhu_front *f, struct err *e)
{
	uint64_t p = 0, n = 0;

	if (ask_u64(f, VHU_GET_FEATURES, &f->features, e) == -1)
		return (-1);
	if (!(f->features & VHU_F_PROTOCOL_FEATURES))
		return (err_set(e, EPROTO,
		    "the device's process speaks "
		    "vhost-user without protocol features"));
	if (ask_u64(f, VHU_GET_PROTOCOL_FEATURES, &p, e) == -1)
		return (-1);
	p &= WANTED;
	if (tell(f, VHU_SET_PROTOCOL_FEATURES, p, e) == -1)
		return (-1);
	f->protocol = p;
	if (tell(f, VHU_SET_OWNER, 0, e) == -1)
		return (-1);
	if (p & VHU_P_MQ && ask_u64(f, VHU_GET_QUEUE_NUM, &n, e) == -1)
		return (-1);
	if (p & VHU_P_MQ && n == 0)
		return (
		    err_set(e, EPROTO, "the device's process has no queue"));
	f->nqueues = n < UINT16_MAX ? (unsigned)n : UINT16_MAX;
	return (0);
}

int
vhu_front_open(struct vhu_front *f, int *sock, struct err *e)
{
	vhu_front_close(f);
	vhu_front_init(f);
	f->sock = fd_move(sock);
	vhu_front_begin(f);
	if (agree(f, e) == 0)
		return (0);
	f->lost = true;
	return (-1);
}

int
vhu_front_config(struct vhu_front *f, void *buf, unsigned bytes, struct err *e)
{
	struct vhu_msg m;

	if (!(f->protocol & VHU_P_CONFIG))
		return (err_set(e, EPROTO,
		    "the device's process does not tell "
		    "its configuration"));
	vhu_msg_init(&m, VHU_GET_CONFIG);
	m.size = VHU_CONFIG_HEAD_BYTES + bytes;
	m.body.config.bytes = bytes;
	if (ask(f, &m, e) == -1)
		return (-1);
	if (m.size != VHU_CONFIG_HEAD_BYTES + bytes ||
	    m.body.config.off_bytes != 0) {
		f->lost = true;
		return (err_set(e, EPROTO,
		    "GET_CONFIG: %u bytes of "
		    "configuration, not %u",
		    m.size, bytes));
	}
	memcpy(buf, m.body.config.data, bytes);
	return (0);
}

int
vhu_front_mem(struct vhu_front *f, const struct mem *mem, struct err *e)
{
	struct vhu_msg m;
	unsigned i;

	if (f->has_mem)
		return (0);
	vhu_msg_init(&m, VHU_SET_MEM_TABLE);
	m.size = (uint32_t)VHU_MEM_BYTES(mem->nslots);
	m.body.mem.nregions = m.nfds = mem->nslots;
	for (i = 0; i < mem->nslots; i++) {
		m.body.mem.region[i] = (struct vhu_region){
			.gpa = mem->slot[i].gpa,
			.bytes = mem->slot[i].len_bytes,
			.user_addr = mem->slot[i].gpa,
			.off_bytes = mem->slot[i].off_bytes,
		};
		m.fd[i] = mem->fd;
	}
	if (ask(f, &m, e) == -1)
		return (-1);
	f->has_mem = true;
	return (0);
}

/* With this bit, queues are enabled one by one: all that we do. */
int
vhu_front_features(struct vhu_front *f, uint64_t features, struct err *e)
{
	return (
	    tell(f, VHU_SET_FEATURES, features | VHU_F_PROTOCOL_FEATURES, e));
}

int
vhu_front_inflight(struct vhu_front *f, int fd, unsigned nqueues,
    unsigned queue_size, struct err *e)
{
	struct vhu_msg m;

	if (!(f->protocol & VHU_P_INFLIGHT_SHMFD))
		return (0);
	vhu_msg_init(&m, VHU_SET_INFLIGHT_FD);
	m.body.inflight = (struct vhu_inflight){
		.map_bytes = nqueues * vq_log_bytes(queue_size),
		.nqueues = (uint16_t)nqueues,
		.queue_size = (uint16_t)queue_size,
	};
	m.fd[0] = fd;
	m.nfds = 1;
	return (ask(f, &m, e));
}

int
vhu_front_start(
    struct vhu_front *f, const struct vhu_front_queue *q, struct err *e)
{
	unsigned i = q->index;
	struct vhu_msg m;

	vhu_msg_init(&m, VHU_SET_VRING_ADDR);
	m.body.addr = (struct vhu_addr){
		.index = i,
		.desc = q->rings->desc_gpa,
		.used = q->rings->used_gpa,
		.avail = q->rings->avail_gpa,
	};
	if (tell_state(f, VHU_SET_VRING_NUM, i, q->rings->size, e) == -1 ||
	    tell_state(f, VHU_SET_VRING_BASE, i, q->base, e) == -1 ||
	    ask(f, &m, e) == -1 ||
	    tell_fd(f, VHU_SET_VRING_CALL, i, q->call_fd, e) == -1 ||
	    tell_fd(f, VHU_SET_VRING_ERR, i, q->err_fd, e) == -1 ||
	    tell_fd(f, VHU_SET_VRING_KICK, i, q->kick_fd, e) == -1)
		return (-1);
	return (tell_state(f, VHU_SET_VRING_ENABLE, i, 1, e));
}

int
vhu_front_stop(
    struct vhu_front *f, unsigned index, uint16_t *base, struct err *e)
{
	struct vhu_msg m;

	vhu_msg_init(&m, VHU_GET_VRING_BASE);
	m.body.state.index = index;
	if (ask(f, &m, e) == -1)
		return (-1);
	if (m.body.state.index != index || m.body.state.num > UINT16_MAX) {
		f->lost = true;
		return (err_set(e, EPROTO,
		    "GET_VRING_BASE: queue %u stands at "
		    "%u, said of queue %u",
		    m.body.state.index, m.body.state.num, index));
	}
	*base = (uint16_t)m.body.state.num;
	return (0);
}

int
vhu_front_status(struct vhu_front *f, uint8_t status, struct err *e)
{
	if (!(f->protocol & VHU_P_STATUS))
		return (0);
	return (tell(f, VHU_SET_STATUS, status, e));
}

/* Which of the two says more is not told; either does. */
int
vhu_front_reset(struct vhu_front *f, struct err *e)
{
	if (f->protocol & VHU_P_STATUS)
		return (vhu_front_status(f, 0, e));
	if (!(f->protocol & VHU_P_RESET_DEVICE))
		return (0);
	f->has_mem = false; /* whether it keeps that is not told either */
	return (tell(f, VHU_RESET_DEVICE, 0, e));
}
