/* SPDX-License-Identifier: ISC */
/* A vhost-user back end that lies: see fakeback.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "regress/lib/fakeback.h"
#include "shared/fd.h"

#define HEAD_BYTES 12

void
fakeback_init(struct fakeback *b)
{
	memset(b, 0, sizeof(*b));
	b->features = 1ull << 9 | 1ull << 12 | 1ull << 28 | 1ull << 29 |
	    1ull << 32 | VHU_F_PROTOCOL_FEATURES;
	b->protocol = VHU_P_MQ | VHU_P_REPLY_ACK | VHU_P_CONFIG |
	    VHU_P_INFLIGHT_SHMFD | VHU_P_RESET_DEVICE | VHU_P_STATUS;
	b->nqueues = 4;
	b->cfg[0] = 8;  /* blk: capacity */
	b->cfg[34] = 4; /* and queues */
	b->sock = b->end = -1;
}

static void
note(struct fakeback *b, const struct vhu_msg *m)
{
	if (m->request < 64)
		atomic_fetch_add(&b->seen[m->request], 1);
	switch (m->request) {
	case VHU_SET_PROTOCOL_FEATURES:
		b->agreed = m->body.u64;
		break;
	case VHU_SET_FEATURES:
		b->acked = m->body.u64;
		break;
	case VHU_SET_STATUS:
		b->status = m->body.u64;
		break;
	case VHU_SET_VRING_BASE:
		b->base[m->body.state.index & 15] = m->body.state.num;
		break;
	case VHU_SET_VRING_ENABLE:
		b->enabled[m->body.state.index & 15] = m->body.state.num;
		break;
	}
}

/* What it should say; false: nothing. */
static bool
answer(struct fakeback *b, const struct vhu_msg *m, struct vhu_msg *r)
{
	vhu_msg_reply(r, m);
	switch (m->request) {
	case VHU_GET_FEATURES:
		r->body.u64 = b->features;
		return (true);
	case VHU_GET_PROTOCOL_FEATURES:
		r->body.u64 = b->protocol;
		return (true);
	case VHU_GET_QUEUE_NUM:
		r->body.u64 = b->nqueues;
		return (true);
	case VHU_GET_VRING_BASE:
		r->body.state = m->body.state;
		r->body.state.num = b->base[m->body.state.index & 15];
		return (true);
	case VHU_GET_CONFIG:
		r->size = m->size;
		r->body.config = m->body.config;
		memcpy(r->body.config.data, b->cfg, m->body.config.bytes);
		return (true);
	case VHU_SET_PROTOCOL_FEATURES: /* agreed upon from the next one on */
		return (false);
	default:
		return ((m->flags & VHU_NEED_REPLY) != 0);
	}
}

static void
put(int sock, const struct vhu_msg *m, size_t bytes, unsigned nfds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VHU_FDS_MAX)];
	} control = { 0 };
	uint8_t buf[HEAD_BYTES + sizeof(m->body) + 16] = { 0 };
	struct iovec iov = { buf, bytes };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *c = &control.align;
	int fd[VHU_FDS_MAX];
	unsigned i;

	memcpy(buf, (uint32_t[]){ m->request, m->flags, m->size }, HEAD_BYTES);
	memcpy(buf + HEAD_BYTES, &m->body, sizeof(m->body));
	for (i = 0; i < nfds; i++)
		fd[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (nfds > 0) {
		mh.msg_control = control.room;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fd, sizeof(int) * nfds);
	}
	(void)sendmsg(sock, &mh, MSG_NOSIGNAL);
	for (i = 0; i < nfds; i++)
		close(fd[i]);
}

/* False: it is over. */
static bool
say(struct fakeback *b, struct vhu_msg *r, enum fb_fault fault)
{
	size_t bytes;
	unsigned nfds = 0;

	switch (fault) {
	case FB_CLOSE:
		return (false);
	case FB_SILENT:
		return (true);
	case FB_OTHER:
		r->request ^= 3;
		break;
	case FB_REQUEST:
		r->flags &= ~VHU_REPLY;
		break;
	case FB_VERSION:
		r->flags ^= 3;
		break;
	case FB_SHORT:
		r->size = 4;
		break;
	case FB_LONG:
		r->size += 8;
		break;
	case FB_HUGE:
		r->size = UINT32_MAX;
		break;
	case FB_FDS:
		nfds = VHU_FDS_MAX;
		break;
	case FB_VALUE:
		memset(&r->body, 0xff, sizeof(r->body));
		break;
	default:
		break;
	}
	bytes = HEAD_BYTES + (r->size < sizeof(r->body) + 16 ? r->size : 16);
	if (fault == FB_HALF)
		bytes -= 4;
	put(b->end, r, bytes, nfds);
	return (fault != FB_HALF);
}

static void *
serve(void *arg)
{
	struct fakeback *b = arg;
	struct vhu_msg m, r;
	struct err e;
	bool more = true;
	int got;

	while (more && (got = vhu_recv(b->end, &m, &e)) != 0) {
		if (got == -1) {
			atomic_fetch_add(&b->wrong, 1);
			break;
		}
		note(b, &m);
		if (answer(b, &m, &r))
			more = say(b, &r,
			    m.request == b->fault_at ? b->fault : FB_NONE);
		vhu_msg_close(&m);
	}
	shutdown(b->end, SHUT_RDWR);
	return (NULL);
}

void
fakeback_open(struct fakeback *b)
{
	struct timeval limit = { .tv_sec = 5 };
	int sv[2];

	if (b->limit_ms != 0)
		limit = (struct timeval){ .tv_sec = b->limit_ms / 1000,
			.tv_usec = b->limit_ms % 1000 * 1000 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1 ||
	    setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
		-1)
		abort();
	b->sock = sv[0];
	b->end = sv[1];
	if (pthread_create(&b->thread, NULL, serve, b) != 0)
		abort();
}

void
fakeback_close(struct fakeback *b)
{
	fd_close(&b->sock);
	pthread_join(b->thread, NULL);
	fd_close(&b->end);
}
