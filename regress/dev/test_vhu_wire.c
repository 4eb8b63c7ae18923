/* SPDX-License-Identifier: ISC */
/* vhost-user on the wire: each row of the table, and what is none. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "daemon/vhu/wire.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"

#define HEAD_BYTES 12

static int sv[2];

static void
pair(void)
{
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
}

static void
unpair(void)
{
	fd_close(&sv[0]);
	fd_close(&sv[1]);
}

/* Bytes and fds as they are, whatever they say. */
static void
raw(const void *bytes, size_t len, unsigned nfds)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * 32)];
	} control;
	struct iovec iov = { (void *)(uintptr_t)bytes, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd[32], i;
	struct cmsghdr *c;

	memset(&control, 0, sizeof(control));
	for (i = 0; i < (int)nfds; i++)
		fd[i] = eventfd(0, EFD_CLOEXEC);
	if (nfds > 0) {
		mh.msg_control = control.room;
		mh.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(c), fd, sizeof(int) * nfds);
	}
	CHECK_EQ(sendmsg(sv[0], &mh, MSG_NOSIGNAL), (ssize_t)len);
	for (i = 0; i < (int)nfds; i++)
		close(fd[i]);
}

struct raw_msg {
	uint32_t request, flags, size;
	uint8_t body[4096];
};

/* A good body for a row: sizes inside of it agree with the message's. */
static void
body_make(struct raw_msg *m, const struct vhu_row *row, uint32_t size)
{
	uint32_t head[3] = { 0, size > 12 ? size - 12 : 0, 0 };

	memset(m, 0, sizeof(*m));
	m->request = row->request;
	m->flags = VHU_VERSION;
	m->size = size;
	if (row->fds == VHU_FD_REGIONS)
		m->body[0] = (uint8_t)((size - 8) / 32);
	if (row->request == VHU_GET_CONFIG || row->request == VHU_SET_CONFIG)
		memcpy(m->body, head, sizeof(head));
}

static unsigned
fds_of(const struct vhu_row *row, const struct raw_msg *m)
{
	switch (row->fds) {
	case VHU_FD_ONE:
	case VHU_FD_VRING:
		return (1);
	case VHU_FD_REGIONS:
		return (m->body[0]);
	default:
		return (0);
	}
}

/* Send these bytes, close, receive: what vhu_recv() says; fds do not leak. */
static int
trip(const struct raw_msg *m, size_t len, unsigned nfds, struct vhu_msg *got)
{
	int r, before = tap_fds();
	struct err e = { 0 };

	pair();
	if (len > 0)
		raw(m, len, nfds);
	shutdown(sv[0], SHUT_WR);
	r = vhu_recv(sv[1], got, &e);
	if (r == 1)
		CHECK_EQ(got->nfds, nfds);
	if (r == -1)
		CHECK(e.code != 0 && e.text[0] != '\0');
	vhu_msg_close(got);
	CHECK_EQ(got->nfds, 0);
	unpair();
	CHECK_EQ(tap_fds(), before);
	return (r);
}

static void
rows_good(void)
{
	const struct vhu_row *row;
	struct raw_msg m;
	struct vhu_msg got;

	for (row = vhu_table; row < vhu_table + vhu_ntable; row++) {
		CHECK(vhu_row(row->request) == row);
		body_make(&m, row, row->min);
		CHECK_MSG(
		    trip(&m, HEAD_BYTES + m.size, fds_of(row, &m), &got) == 1,
		    "%s: least", row->name);
		body_make(&m, row, row->max);
		m.flags |= VHU_NEED_REPLY;
		CHECK_MSG(
		    trip(&m, HEAD_BYTES + m.size, fds_of(row, &m), &got) == 1,
		    "%s: most", row->name);
		CHECK_EQ(got.request, row->request);
		CHECK_EQ(got.size, row->max);
		CHECK_EQ(memcmp(&got.body, m.body, m.size), 0);
	}
}

static void
rows_short_long(void)
{
	const struct vhu_row *row;
	struct raw_msg m;
	struct vhu_msg got;
	uint32_t size;

	for (row = vhu_table; row < vhu_table + vhu_ntable; row++) {
		for (size = 0; size < 300; size++) {
			if (size >= row->min && size <= row->max)
				continue;
			body_make(&m, row, size);
			CHECK_MSG(trip(&m, HEAD_BYTES + size,
				      fds_of(row, &m) % 9, &got) == -1,
			    "%s: %u bytes", row->name, size);
		}
		/* The header says more, or much more, than there is. */
		body_make(&m, row, row->max);
		for (size = 1; size < HEAD_BYTES + m.size; size++)
			CHECK_MSG(trip(&m, size, 0, &got) == -1,
			    "%s: ends after %u", row->name, size);
		m.size = 0x80000000;
		CHECK_EQ(trip(&m, sizeof(m), 0, &got), -1);
		m.size = ~0u;
		CHECK_EQ(trip(&m, sizeof(m), 0, &got), -1);
	}
}

static void
rows_fds(void)
{
	const struct vhu_row *row;
	struct raw_msg m;
	struct vhu_msg got;
	unsigned n;

	for (row = vhu_table; row < vhu_table + vhu_ntable; row++) {
		for (n = 0; n <= 12; n++) {
			body_make(&m, row, row->min);
			CHECK_MSG(trip(&m, HEAD_BYTES + m.size, n, &got) ==
				(n == fds_of(row, &m) ? 1 : -1),
			    "%s: %u fds", row->name, n);
		}
		if (row->fds != VHU_FD_VRING)
			continue;
		m.body[1] = 1; /* "there is none" */
		CHECK_EQ(trip(&m, HEAD_BYTES + m.size, 0, &got), 1);
		CHECK_EQ(trip(&m, HEAD_BYTES + m.size, 1, &got), -1);
	}
}

static void
unknown(void)
{
	struct raw_msg m = { .flags = VHU_VERSION };
	struct vhu_msg got;
	uint32_t i;

	for (i = 0; i < 70; i++) {
		if (vhu_row(i) != NULL)
			continue;
		m.request = i;
		m.size = i % 9;
		CHECK_EQ(trip(&m, HEAD_BYTES + m.size, i % 3, &got), -1);
	}
	m.request = ~0u;
	CHECK_EQ(trip(&m, HEAD_BYTES + m.size, 0, &got), -1);
}

static void
flags(void)
{
	struct raw_msg m;
	struct vhu_msg got;
	unsigned bit;

	body_make(&m, vhu_row(VHU_SET_OWNER), 0);
	for (m.flags = 0; m.flags < 4; m.flags++)
		CHECK_EQ(trip(&m, HEAD_BYTES, 0, &got),
		    m.flags == VHU_VERSION ? 1 : -1);
	for (bit = 4; bit < 32; bit++) {
		m.flags = VHU_VERSION | 1u << bit;
		CHECK_EQ(trip(&m, HEAD_BYTES, 0, &got), -1);
	}
}

static void
replies(void)
{
	const struct vhu_row *row;
	struct vhu_msg m, r, got;
	struct err e;
	uint32_t size;

	for (row = vhu_table; row < vhu_table + vhu_ntable; row++) {
		vhu_msg_init(&m, row->request);
		vhu_msg_reply(&r, &m);
		if (row->request == VHU_GET_CONFIG)
			r.body.config.bytes = 1;
		if (row->reply_fds == VHU_FD_ONE) {
			CHECK_EQ(vhu_check(&r, &e), -1);
			r.fd[0] = 0;
			r.nfds = 1;
		}
		CHECK_MSG(vhu_check(&r, &e) == 0, "%s: %s", row->name, e.text);
		pair();
		CHECK_EQ(vhu_send(sv[0], &r, &e), 0);
		CHECK_EQ(vhu_recv(sv[1], &got, &e), 1);
		CHECK_EQ(got.flags, VHU_VERSION | VHU_REPLY);
		vhu_msg_close(&got);
		unpair();
		for (size = 0; size < sizeof(r.body); size++) {
			if (row->request == VHU_GET_CONFIG ||
			    row->reply_max == 24)
				continue;
			r.size = size;
			CHECK_EQ(vhu_check(&r, &e),
			    size == (row->reply_max ? row->reply_max : 8) ? 0
									  : -1);
		}
	}
	vhu_msg_init(&m, VHU_GET_CONFIG);
	vhu_msg_reply(&r, &m);
	r.size = 0; /* "no" */
	CHECK_EQ(vhu_check(&r, &e), 0);
}

static void
insides(void)
{
	struct vhu_msg m;
	struct err e;
	uint32_t n;

	vhu_msg_init(&m, VHU_GET_CONFIG);
	m.body.config.bytes = 1;
	CHECK_EQ(vhu_check(&m, &e), 0);
	m.body.config.bytes = 2;
	CHECK_EQ(vhu_check(&m, &e), -1);
	m.body.config.bytes = 1;
	m.body.config.off_bytes = VHU_CONFIG_MAX - 1;
	CHECK_EQ(vhu_check(&m, &e), 0);
	m.body.config.off_bytes = VHU_CONFIG_MAX;
	CHECK_EQ(vhu_check(&m, &e), -1);
	m.body.config.off_bytes = ~0u;
	CHECK_EQ(vhu_check(&m, &e), -1);

	vhu_msg_init(&m, VHU_SET_MEM_TABLE);
	for (n = 0; n < 12; n++) {
		m.body.mem.nregions = n;
		m.nfds = n <= 8 ? n : 8;
		m.size = (uint32_t)VHU_MEM_BYTES(n);
		CHECK_EQ(vhu_check(&m, &e), n >= 1 && n <= 8 ? 0 : -1);
		m.size -= 8;
		CHECK_EQ(vhu_check(&m, &e), -1);
	}
	m.body.mem.nregions = 0x08000001; /* times 32 wraps to 32 */
	m.size = (uint32_t)VHU_MEM_BYTES(1);
	m.nfds = 1;
	CHECK_EQ(vhu_check(&m, &e), -1);
}

static void
ends(void)
{
	struct timeval limit = { .tv_usec = 20000 };
	struct raw_msg m = { 0 };
	struct vhu_msg got, big;
	struct err e;
	int r;

	CHECK_EQ(trip(&m, 0, 0, &got), 0);
	pair();
	setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	CHECK_EQ(vhu_recv(sv[1], &got, &e), -1);
	CHECK_EQ(e.code, ETIMEDOUT);
	body_make(&m, vhu_row(VHU_SET_OWNER), 0);
	raw(&m, 5, 1); /* and then nothing */
	CHECK_EQ(vhu_recv(sv[1], &got, &e), -1);
	CHECK_EQ(e.code, ETIMEDOUT);
	CHECK_EQ(got.nfds, 0);
	/* Nobody reads. */
	setsockopt(sv[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	vhu_msg_init(&big, VHU_SET_CONFIG);
	big.size = sizeof(big.body.config);
	big.body.config.bytes = VHU_CONFIG_MAX;
	while ((r = vhu_send(sv[0], &big, &e)) == 0)
		;
	CHECK_EQ(e.code, ETIMEDOUT);
	fd_close(&sv[1]);
	CHECK_EQ(vhu_send(sv[0], &big, &e), -1);
	CHECK_EQ(e.code, EPIPE);
	unpair();
}

/* One byte at a time, the fd with any of them. */
static void
pieces(void)
{
	struct vhu_msg got;
	struct raw_msg m;
	struct err e;
	unsigned at, i, len;

	body_make(&m, vhu_row(VHU_SET_VRING_CALL), 8);
	len = HEAD_BYTES + m.size;
	for (at = 0; at < len; at++) {
		pair();
		for (i = 0; i < len; i++)
			raw((uint8_t *)&m + i, 1, i == at);
		CHECK_EQ(vhu_recv(sv[1], &got, &e), 1);
		CHECK_EQ(got.nfds, 1);
		vhu_msg_close(&got);
		unpair();
	}
}

static const struct tap_case cases[] = {
	{ "vhu wire: every request", rows_good },
	{ "T63 vhu wire: short and long", rows_short_long },
	{ "T63 T64 vhu wire: fds", rows_fds },
	{ "T63 vhu wire: unknown requests", unknown },
	{ "vhu wire: flags", flags },
	{ "vhu wire: replies", replies },
	{ "T63 vhu wire: numbers inside", insides },
	{ "vhu wire: the end, too late, nobody reads", ends },
	{ "vhu wire: in pieces", pieces },
};

TAP_MAIN(cases)
