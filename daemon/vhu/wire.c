/* SPDX-License-Identifier: ISC */
/*
 * vhost-user on the wire: see wire.h.
 * Runs in: vm process, device processes.  Trusts: nobody.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "daemon/vhu/wire.h"
#include "shared/clock.h"
#include "shared/fd.h"

#define HEAD_BYTES 12
#define PIECES_S 5 /* from a first piece of a message to its last */
#define U64 8, 8
#define STATE sizeof(struct vhu_state), sizeof(struct vhu_state)
#define ADDR sizeof(struct vhu_addr), sizeof(struct vhu_addr)
#define MEM VHU_MEM_BYTES(1), sizeof(struct vhu_mem)
#define CONFIG VHU_CONFIG_HEAD_BYTES + 1, sizeof(struct vhu_config)
#define INFLIGHT 20, sizeof(struct vhu_inflight)
#define NONE 0, 0

_Static_assert(sizeof(struct vhu_addr) == 40, "vhost-user");
_Static_assert(sizeof(struct vhu_mem) == 264, "vhost-user");
_Static_assert(sizeof(struct vhu_inflight) == 24, "vhost-user");

/* clang-format off */
#define ROW(r, request, reply, ...) { VHU_##r, #r, request, reply, __VA_ARGS__ }
const struct vhu_row vhu_table[] = {
	ROW(GET_FEATURES, NONE, U64, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_FEATURES, U64, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_OWNER, NONE, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(RESET_OWNER, NONE, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_MEM_TABLE, MEM, NONE, VHU_FD_REGIONS, VHU_FD_NONE),
	ROW(SET_VRING_NUM, STATE, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_VRING_ADDR, ADDR, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_VRING_BASE, STATE, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(GET_VRING_BASE, STATE, STATE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_VRING_KICK, U64, NONE, VHU_FD_VRING, VHU_FD_NONE),
	ROW(SET_VRING_CALL, U64, NONE, VHU_FD_VRING, VHU_FD_NONE),
	ROW(SET_VRING_ERR, U64, NONE, VHU_FD_VRING, VHU_FD_NONE),
	ROW(GET_PROTOCOL_FEATURES, NONE, U64, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_PROTOCOL_FEATURES, U64, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(GET_QUEUE_NUM, NONE, U64, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_VRING_ENABLE, STATE, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(GET_CONFIG, CONFIG, CONFIG, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_CONFIG, CONFIG, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(GET_INFLIGHT_FD, INFLIGHT, INFLIGHT, VHU_FD_NONE, VHU_FD_ONE),
	ROW(SET_INFLIGHT_FD, INFLIGHT, NONE, VHU_FD_ONE, VHU_FD_NONE),
	ROW(RESET_DEVICE, NONE, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(SET_STATUS, U64, NONE, VHU_FD_NONE, VHU_FD_NONE),
	ROW(GET_STATUS, NONE, U64, VHU_FD_NONE, VHU_FD_NONE),
};
/* clang-format on */
const size_t vhu_ntable = sizeof(vhu_table) / sizeof(vhu_table[0]);

const struct vhu_row *
vhu_row(uint32_t request)
{
	size_t i;

	for (i = 0; i < vhu_ntable; i++)
		if (vhu_table[i].request == request)
			return (&vhu_table[i]);
	return (NULL);
}

static void
msg_clear(struct vhu_msg *m)
{
	unsigned i;

	memset(m, 0, sizeof(*m));
	for (i = 0; i < VHU_FDS_MAX; i++)
		m->fd[i] = -1;
}

void
vhu_msg_init(struct vhu_msg *m, uint32_t request)
{
	const struct vhu_row *row = vhu_row(request);

	msg_clear(m);
	m->request = request;
	m->flags = VHU_VERSION;
	m->size = row != NULL ? row->min : 0;
	if (row != NULL && row->max == sizeof(m->body.inflight))
		m->size = row->max;
}

void
vhu_msg_reply(struct vhu_msg *m, const struct vhu_msg *request)
{
	const struct vhu_row *row = vhu_row(request->request);

	msg_clear(m);
	m->request = request->request;
	m->flags = VHU_VERSION | VHU_REPLY;
	m->size = sizeof(m->body.u64); /* an acknowledgement */
	if (row != NULL && row->reply_max > 0)
		m->size = row->reply_min;
	if (row != NULL && row->reply_max == sizeof(m->body.inflight))
		m->size = row->reply_max;
}

void
vhu_msg_close(struct vhu_msg *m)
{
	unsigned i;

	for (i = 0; i < m->nfds; i++)
		fd_close(&m->fd[i]);
	m->nfds = 0;
}

/* Sizes inside of the body agree with that of the body. */
static bool
body_ok(const struct vhu_msg *m)
{
	const struct vhu_config *c = &m->body.config;
	uint32_t n = m->body.mem.nregions;

	switch (m->request) {
	case VHU_SET_MEM_TABLE:
		return (m->flags & VHU_REPLY ||
		    (n <= VHU_REGIONS_MAX && m->size == VHU_MEM_BYTES(n)));
	case VHU_GET_CONFIG:
	case VHU_SET_CONFIG:
		/* A reply without a body says no. */
		if (m->flags & VHU_REPLY &&
		    (m->size == 0 || m->request == VHU_SET_CONFIG))
			return (true);
		return (m->size > VHU_CONFIG_HEAD_BYTES &&
		    m->size - VHU_CONFIG_HEAD_BYTES == c->bytes &&
		    c->off_bytes <= VHU_CONFIG_MAX &&
		    c->bytes <= VHU_CONFIG_MAX - c->off_bytes);
	default:
		return (true);
	}
}

static bool
size_ok(const struct vhu_msg *m, const struct vhu_row *row)
{
	if (!(m->flags & VHU_REPLY))
		return (m->size >= row->min && m->size <= row->max);
	if (row->reply_max == 0)
		return (m->size == sizeof(m->body.u64));
	if (m->request == VHU_GET_CONFIG && m->size == 0)
		return (true);
	return (m->size >= row->reply_min && m->size <= row->reply_max);
}

static unsigned
fds_wanted(const struct vhu_msg *m, const struct vhu_row *row)
{
	switch (m->flags & VHU_REPLY ? row->reply_fds : row->fds) {
	case VHU_FD_ONE:
		return (1);
	case VHU_FD_VRING:
		return (m->body.u64 & VHU_VRING_NOFD ? 0 : 1);
	case VHU_FD_REGIONS:
		return (m->body.mem.nregions);
	default:
		return (0);
	}
}

int
vhu_check(const struct vhu_msg *m, struct err *e)
{
	const struct vhu_row *row = vhu_row(m->request);

	if (row == NULL)
		return (err_set(e, EPROTO,
		    "vhost-user request %u was never offered", m->request));
	if ((m->flags & VHU_VERSION_MASK) != VHU_VERSION ||
	    m->flags & ~(VHU_VERSION_MASK | VHU_REPLY | VHU_NEED_REPLY))
		return (err_set(e, EPROTO, "vhost-user %s: flags 0x%x",
		    row->name, m->flags));
	if (!size_ok(m, row) || !body_ok(m))
		return (err_set(
		    e, EPROTO, "vhost-user %s: %u bytes", row->name, m->size));
	if (m->nfds != fds_wanted(m, row))
		return (err_set(e, EPROTO, "vhost-user %s: %u fds, not %u",
		    row->name, m->nfds, fds_wanted(m, row)));
	return (0);
}

static int
fds_take(struct vhu_msg *m, struct msghdr *mh, struct err *e)
{
	struct cmsghdr *c;
	size_t i, n;
	int fd;

	for (c = CMSG_FIRSTHDR(mh); c != NULL; c = CMSG_NXTHDR(mh, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (m->nfds < VHU_FDS_MAX)
				m->fd[m->nfds++] = fd;
			else {
				close(fd);
				mh->msg_flags |= MSG_CTRUNC;
			}
		}
	}
	if (mh->msg_flags & MSG_CTRUNC)
		return (err_set(e, EPROTO,
		    "vhost-user: more fds than %d, or "
		    "than this process may hold",
		    VHU_FDS_MAX));
	return (0);
}

static int
recv_failed(ssize_t n, struct err *e)
{
	if (n == 0)
		return (err_set(e, EPIPE, "vhost-user: half a message"));
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return (err_set(e, ETIMEDOUT, "vhost-user: no answer"));
	return (err_errno(e, "vhost-user"));
}

#ifndef WIRE_NOW_S /* a test has a clock of its own */
#define WIRE_NOW_S clock_now_s
#endif

/*
 * A limit of the socket's is one of each piece: who sends byte by byte would
 * keep us for as long as he likes.  Messages come whole but from such.
 */
static bool
too_slow(time_t *first_s)
{
	if (*first_s == 0)
		*first_s = WIRE_NOW_S();
	return (WIRE_NOW_S() - *first_s > PIECES_S);
}

/* All of len bytes: 1, 0 the end came first of all, -1. */
static int
recv_part(int sock, struct vhu_msg *m, void *buf, size_t len, struct err *e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VHU_FDS_MAX)];
	} control;
	time_t first_s = 0;
	size_t have = 0;
	ssize_t n;

	while (have < len) {
		struct iovec iov = { (char *)buf + have, len - have };
		struct msghdr mh = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control.room,
			.msg_controllen = sizeof(control.room),
		};

		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0 && have == 0)
			return (0);
		if (n <= 0)
			return (recv_failed(n, e));
		if (fds_take(m, &mh, e) == -1)
			return (-1);
		have += (size_t)n;
		if (have < len && too_slow(&first_s))
			return (err_set(e, ETIMEDOUT,
			    "vhost-user: a message in many pieces"));
	}
	return (1);
}

static int
recv_all(int sock, struct vhu_msg *m, struct err *e)
{
	uint32_t head[HEAD_BYTES / sizeof(uint32_t)];
	int r;

	if ((r = recv_part(sock, m, head, sizeof(head), e)) != 1)
		return (r);
	m->request = head[0];
	m->flags = head[1];
	m->size = head[2];
	if (m->size > sizeof(m->body))
		return (err_set(e, EPROTO,
		    "vhost-user request %u: a body of %u bytes", m->request,
		    m->size));
	if (m->size > 0 && (r = recv_part(sock, m, &m->body, m->size, e)) != 1)
		return (r == 0 ? recv_failed(0, e) : -1);
	return (vhu_check(m, e) == -1 ? -1 : 1);
}

int
vhu_recv(int sock, struct vhu_msg *m, struct err *e)
{
	int r;

	msg_clear(m);
	if ((r = recv_all(sock, m, e)) != 1)
		vhu_msg_close(m);
	return (r);
}

static void
fds_put(const struct vhu_msg *m, struct msghdr *mh, void *room)
{
	struct cmsghdr *c;

	mh->msg_control = room;
	mh->msg_controllen = CMSG_SPACE(sizeof(int) * m->nfds);
	memset(room, 0, mh->msg_controllen);
	c = CMSG_FIRSTHDR(mh);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * m->nfds);
	memcpy(CMSG_DATA(c), m->fd, sizeof(int) * m->nfds);
}

int
vhu_send(int sock, const struct vhu_msg *m, struct err *e)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * VHU_FDS_MAX)];
	} control;
	uint8_t buf[HEAD_BYTES + sizeof(m->body)];
	size_t len = HEAD_BYTES + m->size, sent = 0;
	struct iovec iov;
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (vhu_check(m, e) == -1)
		return (-1);
	memcpy(buf, (uint32_t[]){ m->request, m->flags, m->size }, HEAD_BYTES);
	memcpy(buf + HEAD_BYTES, &m->body, m->size);
	if (m->nfds > 0)
		fds_put(m, &mh, control.room);
	while (sent < len) {
		iov = (struct iovec){ buf + sent, len - sent };
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return (recv_failed(n, e));
		sent += (size_t)n;
		mh.msg_control = NULL; /* they went with the first byte */
		mh.msg_controllen = 0;
	}
	return (0);
}
