/* SPDX-License-Identifier: ISC */
/* vhost-user from somebody who takes his time: a byte, and a byte, and so on. */
#include <time.h>

static time_t clock_s;

/* Each look at it takes a second. */
static time_t
fake_now_s(void)
{
	return (++clock_s);
}
#define WIRE_NOW_S fake_now_s
#include "daemon/vhu/wire.c"

static time_t
front_now(void)
{
	return (clock_s);
}

static int
front_send(int sock, const struct vhu_msg *m, struct err *e)
{
	(void)sock;
	(void)m;
	(void)e;
	return (0);
}

/* The right answer, each time when the socket would just have waited for it. */
static int front_recv(int, struct vhu_msg *, struct err *);
#define FRONT_NOW_S front_now
#define FRONT_SEND front_send
#define FRONT_RECV front_recv
#include "daemon/vhu/front.c"

#include "regress/lib/tap.h"

static uint32_t answer_to;

static int
front_recv(int sock, struct vhu_msg *m, struct err *e)
{
	struct vhu_msg request;

	(void)sock;
	(void)e;
	vhu_msg_init(&request, answer_to);
	vhu_msg_reply(m, &request);
	clock_s += 4;
	return (1);
}

static int sv[2];

/* A packet a piece, so that none is received with the next. */
static void
pieces(const void *bytes, size_t len, size_t first)
{
	const char *p = bytes;
	size_t i;

	CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv), 0);
	CHECK_EQ(send(sv[0], p, first, 0), (ssize_t)first);
	for (i = first; i < len; i++)
		CHECK_EQ(send(sv[0], p + i, 1, 0), 1);
}

static void
unpair(void)
{
	fd_close(&sv[0]);
	fd_close(&sv[1]);
}

static void
trickles(void)
{
	struct {
		uint32_t request, flags, size;
		struct vhu_state state;
	} m = { VHU_GET_VRING_BASE, VHU_VERSION | VHU_REPLY, 8, { 1, 2 } };
	struct vhu_msg got;
	struct err e;

	pieces(&m, sizeof(m), 1);
	CHECK_EQ(vhu_recv(sv[1], &got, &e), -1);
	CHECK_EQ(e.code, ETIMEDOUT);
	unpair();
	pieces(&m, sizeof(m), HEAD_BYTES);
	CHECK_EQ(vhu_recv(sv[1], &got, &e), -1);
	CHECK_EQ(e.code, ETIMEDOUT);
	unpair();
	/* In four pieces: soon enough. */
	pieces(&m, sizeof(m) - 6, HEAD_BYTES);
	CHECK_EQ(send(sv[0], (char *)&m + sizeof(m) - 6, 6, 0), 6);
	CHECK_EQ(vhu_recv(sv[1], &got, &e), 1);
	CHECK_EQ(got.body.state.num, 2);
	unpair();
}

static void
each_in_time(void)
{
	struct mem none = { .nslots = 1 };
	struct vhu_front f;
	struct err e;
	unsigned i;

	vhu_front_init(&f);
	f.sock = 0;
	f.protocol = VHU_P_REPLY_ACK;
	for (i = 0; i < 5; i++) {
		vhu_front_begin(&f);
		answer_to = VHU_SET_FEATURES;
		CHECK_EQ(vhu_front_features(&f, 0, &e), 0);
		answer_to = VHU_SET_MEM_TABLE;
		f.has_mem = false;
		CHECK_EQ(vhu_front_mem(&f, &none, &e), 0);
	}
	f.has_mem = false;
	CHECK_EQ(vhu_front_mem(&f, &none, &e), 0);
	f.has_mem = false;
	CHECK_EQ(vhu_front_mem(&f, &none, &e), -1);
	CHECK_EQ(e.code, ETIMEDOUT);
	CHECK(f.lost);
}

static const struct tap_case cases[] = {
	{ "T25 vhu wire: byte by byte is too late", trickles },
	{ "T25 vhu front: many answers, each in time", each_in_time },
};

TAP_MAIN(cases)
