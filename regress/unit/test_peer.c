/* SPDX-License-Identifier: ISC */
/*
 * The receive loop on real sockets: what it takes, what it closes, that nothing
 * a client sends touches another channel, and that no fd is lost.
 * PEER_STREAMS=1000000 runs T63 in full.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/imsg.h"
#include "shared/peer.h"

struct side {
	struct peer *p;
	unsigned handled, closed, drained, ok, errs;
	int keep_fd; /* take what comes, into got_fd */
	int got_fd;
	int close_self; /* in the handler */
	int pause_self; /* in the handler */
	int fail;       /* handler says no */
	struct err why; /* of closed */
	struct err err; /* the last ERR */
	uint32_t reqno;
};

static struct event_base *base;

static int
on_any(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct side *s = ctx;

	s->handled++;
	s->reqno = m->reqno;
	if (s->keep_fd && m->fd != -1)
		s->got_fd = fd_move(&m->fd);
	if (s->pause_self)
		peer_pause(p, 1);
	if (s->close_self) {
		peer_close(p);
		s->p = NULL;
	}
	if (s->fail)
		return (err_set(e, ENOENT, "no vm named web"));
	return (s->close_self || m->reqno == 0 ? 0 : peer_ok(p, m->reqno));
}

static int
on_ok(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct side *s = ctx;

	(void)p;
	s->ok++;
	s->reqno = m->reqno;
	return (s->fail ? err_set(e, EIO, "an answer nobody wants") : 0);
}

static int
on_err(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct side *s = ctx;

	(void)p;
	s->errs++;
	s->reqno = m->reqno;
	msg_to_err(m->body, &s->err);
	return (s->fail ? err_set(e, EIO, "an answer nobody wants") : 0);
}

static const struct msg_handler serves[] = {
	{ MSG_HELLO, on_any },
	{ MSG_LIST, on_any },
	{ MSG_SUBSCRIBE, on_any },
	{ MSG_STOP, on_any },
	{ MSG_PAUSE, on_any },
	{ MSG_CONS_ATTACH, on_any },
	{ MSG_CONS_INPUT, on_any },
};
static const struct msg_handler takes[] = { { MSG_CTL_VM, on_any } };
static const struct msg_handler asks[] = {
	{ MSG_OK, on_ok },
	{ MSG_ERR, on_err },
};

static void
on_closed(void *ctx, struct peer *p, const struct err *why)
{
	struct side *s = ctx;

	s->closed++;
	s->why = *why;
	s->p = NULL;
	peer_close(p); /* nothing, but allowed */
}

static void
on_drained(void *ctx, struct peer *p)
{
	struct side *s = ctx;

	(void)p;
	s->drained++;
}

static void
side_open(struct side *s, int *fd, enum role other, size_t queue, size_t low)
{
	struct peer_conf conf = { .other = other,
		.ctx = s,
		.closed = on_closed,
		.drained = on_drained,
		.queue_bytes = queue,
		.low_bytes = low };
	struct err e;

	memset(s, 0, sizeof(*s));
	s->got_fd = -1;
	conf.handlers = other == ROLE_CLIENT ? serves : asks;
	conf.nhandlers = other == ROLE_CLIENT
	    ? sizeof(serves) / sizeof(serves[0])
	    : sizeof(asks) / sizeof(asks[0]);
	s->p = peer_open(base, fd, &conf, &e);
	CHECK_MSG(s->p != NULL, "%s", e.text);
}

/* A server's end and a bare socket. */
static int
open_raw(struct side *s)
{
	int sv[2];

	if (base == NULL)
		base = event_base_new();
	CHECK_EQ(fd_socketpair(sv), 0);
	side_open(s, &sv[0], ROLE_CLIENT, 0, 0);
	CHECK_EQ(sv[0], -1);
	return (sv[1]);
}

/* Both ends with a peer. */
static void
open_both(struct side *server, struct side *client)
{
	int fd = open_raw(server);

	side_open(client, &fd, ROLE_CONTROL, 0, 0);
}

/* The other side is the parent, who alone may send fds. */
static void
take_fds(struct side *s)
{
	peer_become(s->p, ROLE_PARENT, takes, sizeof(takes) / sizeof(takes[0]));
}

/* Run until nothing is left to do. */
static void
settle(void)
{
	int i;

	for (i = 0; i < 6; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* One message in its frame; its length.  body NULL: zeroes. */
static size_t
frame(uint8_t *buf, uint32_t type, uint32_t reqno, const void *body, size_t len,
    int fd_mark)
{
	struct imsg_hdr h = { .type = type, .peerid = reqno };

	h.len = (uint32_t)(sizeof(h) + len) | (fd_mark ? IMSG_FD_MARK : 0);
	memcpy(buf, &h, sizeof(h));
	if (body != NULL)
		memcpy(buf + sizeof(h), body, len);
	else
		memset(buf + sizeof(h), 0, len);
	return (sizeof(h) + len);
}

static ssize_t
send_fds(int sock, const void *buf, size_t len, const int *fds, size_t nfds)
{
	union {
		struct cmsghdr h;
		uint8_t room[CMSG_SPACE(253 * sizeof(int))];
	} ctl;
	struct iovec iov;
	struct msghdr mh = { 0 };

	memcpy(&iov.iov_base, &buf, sizeof(buf));
	iov.iov_len = len;
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	if (nfds > 0) {
		memset(&ctl, 0, sizeof(ctl));
		mh.msg_control = ctl.room;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		ctl.h.cmsg_level = SOL_SOCKET;
		ctl.h.cmsg_type = SCM_RIGHTS;
		ctl.h.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&ctl.h), fds, nfds * sizeof(int));
	}
	return (sendmsg(sock, &mh, MSG_NOSIGNAL));
}

static void
hello(struct peer *p, uint32_t reqno)
{
	struct msg_hello m = { .version = PROTO_VERSION, .text = "test" };

	CHECK_EQ(peer_send(p, MSG_HELLO, reqno, NULL, &m, sizeof(m)), 0);
}

static void
test_request(void)
{
	struct side server, client;

	open_both(&server, &client);
	hello(client.p, 42);
	settle();
	CHECK_EQ(server.handled, 1);
	CHECK_EQ(client.ok, 1);
	CHECK_EQ(client.reqno, 42);
	server.fail = 1;
	hello(client.p, 43);
	settle();
	CHECK_EQ(client.errs, 1);
	CHECK_EQ(client.reqno, 43);
	CHECK_EQ(client.err.code, ENOENT);
	CHECK_STR(client.err.text, "no vm named web");
	hello(client.p, 0); /* nobody waits */
	settle();
	CHECK_EQ(client.errs, 1);
	CHECK(server.closed == 0 && client.closed == 0);
	peer_close(client.p);
	settle();
	CHECK_EQ(server.closed, 1);
	CHECK_EQ(server.why.code, 0);
	peer_close(NULL);
}

/* An answer to an answer would go round for ever, or break the table. */
static void
test_no_answer_to_answers(void)
{
	struct side server, client;

	open_both(&server, &client);
	client.fail = 1;
	hello(client.p, 7);
	settle();
	CHECK_EQ(client.ok, 1);
	server.fail = 1;
	hello(client.p, 8);
	settle();
	CHECK_EQ(client.errs, 1);
	CHECK_EQ(server.handled, 2);
	CHECK(server.closed == 0 && client.closed == 0);
	peer_close(server.p);
	peer_close(client.p);
}

/* -1 without words, or with code 0, still is an ERR that the table takes. */
static void
test_err_without_code(void)
{
	struct side server, client;
	struct err e = { 0 };

	open_both(&server, &client);
	CHECK_EQ(peer_err(server.p, 5, &e), 0);
	settle();
	CHECK_EQ(client.errs, 1);
	CHECK_EQ(client.err.code, EIO);
	CHECK(client.err.text[0] != '\0');
	peer_close(server.p);
	peer_close(client.p);
}

/* Each of these closes its channel, with words, and no other. */
static void
test_bad_closes(void)
{
	const int devnull = open("/dev/null", O_RDONLY | O_CLOEXEC);
	static const struct {
		uint32_t type;
		size_t len;
		int fds, mark;
		const char *words;
	} bad[] = {
		{ 0, 0, 0, 0, "unknown type" },
		{ 9999, 0, 0, 0, "unknown type" },
		{ UINT32_MAX, 0, 0, 0, "unknown type" },
		{ MSG_OK, 0, 0, 0, "OK" },
		{ MSG_VM_GO, sizeof(struct msg_vm_go), 0, 0, "VM_GO" },
		{ MSG_HELLO, 0, 0, 0, "HELLO" },
		{ MSG_HELLO, sizeof(struct msg_hello) - 1, 0, 0, "HELLO" },
		{ MSG_HELLO, sizeof(struct msg_hello) + 1, 0, 0, "HELLO" },
		{ MSG_HELLO, 16368, 0, 0, "HELLO" },
		{ MSG_HELLO, 16369, 0, 0, "broken message" },
		{ MSG_HELLO, sizeof(struct msg_hello), 1, 1, "descriptor" },
		{ MSG_HELLO, sizeof(struct msg_hello), 1, 0, "broken" },
		{ MSG_HELLO, sizeof(struct msg_hello), 0, 1, "broken" },
		{ MSG_HELLO, sizeof(struct msg_hello), 253, 1, "read" },
		{ MSG_WAIT, sizeof(struct msg_ref), 0, 0, "WAIT" },
		{ MSG_CONS_TAKE, 4, 0, 0, "not for this process" },
		{ MSG_STOP, sizeof(struct msg_stop), 0, 0, "neither id" },
	};
	struct side good, other, s;
	int fd, fds[253], before;
	uint8_t buf[MAX_IMSGSIZE + 64];
	size_t i, n;

	open_both(&good, &other);
	for (i = 0; i < 253; i++)
		fds[i] = devnull;
	before = tap_fds();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		fd = open_raw(&s);
		n = frame(buf, bad[i].type, 1, NULL, bad[i].len, bad[i].mark);
		CHECK_EQ(send_fds(fd, buf, n, fds, (size_t)bad[i].fds), n);
		settle();
		CHECK_MSG(s.closed == 1, "case %zu stayed", i);
		/* That an fd was not announced shows after its message. */
		CHECK_EQ(s.handled, bad[i].fds == 1 && bad[i].mark == 0);
		CHECK_MSG(
		    s.why.code != 0 && strstr(s.why.text, bad[i].words) != NULL,
		    "case %zu: \"%s\" lacks \"%s\"", i, s.why.text,
		    bad[i].words);
		close(fd);
		hello(other.p, 1);
		settle();
		CHECK_EQ(good.handled, i + 1);
	}
	CHECK_EQ(tap_fds(), before);
	peer_close(good.p);
	peer_close(other.p);
	close(devnull);
}

static void
test_fd_passes(void)
{
	struct msg_vm_channel m = { .id = 1 };
	struct side server, client;
	int before, fd;

	open_both(&server, &client);
	take_fds(&server);
	before = tap_fds();
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(peer_send(client.p, MSG_CTL_VM, 1, &fd, &m, sizeof(m)), 0);
	CHECK_EQ(fd, -1);
	settle(); /* nobody takes it */
	CHECK_EQ(server.handled, 1);
	CHECK_EQ(tap_fds(), before);
	server.keep_fd = 1;
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(peer_send(client.p, MSG_CTL_VM, 2, &fd, &m, sizeof(m)), 0);
	settle();
	CHECK(server.got_fd != -1);
	CHECK_EQ(tap_fds(), before + 1);
	CHECK(fcntl(server.got_fd, F_GETFD) & FD_CLOEXEC);
	fd_close(&server.got_fd);
	/* Refused ones are closed all the same. */
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK_EQ(peer_send(client.p, MSG_HELLO, 2, &fd, &m, 3), -1);
	CHECK(errno == EINVAL && fd == -1);
	CHECK_EQ(tap_fds(), before);
	peer_close(server.p);
	peer_close(client.p);
}

/* One good CTL_VM with its fd, then one bad of five kinds, 10^5 in all. */
static void
test_fd_flat(void)
{
	struct msg_vm_channel m = { .id = 1 };
	struct side s;
	uint8_t buf[MAX_IMSGSIZE];
	int fds[4], sock = -1, before, i, mark;
	size_t n, nfds;

	for (i = 0; i < 4; i++)
		fds[i] = STDOUT_FILENO;
	memset(&s, 0, sizeof(s));
	before = tap_fds();
	for (i = 0; i < 100000; i++) {
		if (s.p == NULL) {
			fd_close(&sock);
			sock = open_raw(&s);
			take_fds(&s);
		}
		nfds = i % 64 == 0 ? 4 : i % 65 == 0 ? 0 : 1;
		mark = i % 66 != 0;
		m.id = i % 67 == 0 ? 0 : 1;
		n = frame(buf, MSG_CTL_VM, 0, &m, sizeof(m), mark);
		if (i % 68 == 0)
			n -= 2; /* the rest never comes */
		if (send_fds(sock, buf, n, fds, nfds) == -1)
			CHECK_EQ(errno, EPIPE);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	peer_close(s.p);
	fd_close(&sock);
	settle();
	CHECK_EQ(tap_fds(), before);
}

/* No room for one more fd: that channel closes, the next one works again. */
static void
test_fd_ladder(void)
{
	struct msg_vm_channel m = { .id = 1 };
	struct side good, other, s;
	struct rlimit old, now;
	uint8_t buf[MAX_IMSGSIZE];
	int fd = STDOUT_FILENO, sock, hog[64], nhog;
	size_t n = frame(buf, MSG_CTL_VM, 0, &m, sizeof(m), 1);
	rlim_t top;

	open_both(&good, &other);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (top = 24; top <= 64; top++) {
		sock = open_raw(&s);
		take_fds(&s);
		s.keep_fd = 1;
		now = old;
		now.rlim_cur = top;
		CHECK_EQ(setrlimit(RLIMIT_NOFILE, &now), 0);
		for (nhog = 0; nhog < 64; nhog++)
			if ((hog[nhog] = dup(STDOUT_FILENO)) == -1)
				break;
		CHECK_EQ(errno, EMFILE);
		CHECK_EQ(send_fds(sock, buf, n, &fd, 1), n);
		settle();
		CHECK(s.closed == 1 && s.handled == 0);
		CHECK_EQ(s.why.code, EMFILE);
		hello(other.p, 1);
		settle();
		CHECK_EQ(good.handled, top - 23);
		while (nhog > 0)
			close(hog[--nhog]);
		close(sock);
		sock = open_raw(&s); /* still under the low limit */
		take_fds(&s);
		s.keep_fd = 1;
		CHECK_EQ(send_fds(sock, buf, n, &fd, 1), n);
		settle();
		CHECK(s.handled == 1 && s.got_fd != -1);
		fd_close(&s.got_fd);
		peer_close(s.p);
		close(sock);
		CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
	}
	peer_close(good.p);
	peer_close(other.p);
}

static void
test_close_in_handler(void)
{
	struct side server, client;

	open_both(&server, &client);
	server.close_self = 1;
	hello(client.p, 1);
	hello(client.p, 2);
	settle();
	CHECK_EQ(server.handled, 1); /* the second is not looked at */
	CHECK_EQ(server.closed, 0);
	CHECK_EQ(client.closed, 1);
	CHECK_EQ(client.why.code, 0);
}

static void
test_pause(void)
{
	struct side server, client;
	int i;

	open_both(&server, &client);
	server.pause_self = 1;
	for (i = 1; i <= 5; i++)
		hello(client.p, (uint32_t)i);
	settle();
	CHECK_EQ(server.handled, 1);
	peer_pause(server.p, 0);
	settle();
	CHECK_EQ(server.handled, 2); /* one more, then paused again */
	CHECK_EQ(client.ok, 2);      /* writes go on */
	server.pause_self = 0;
	peer_close(client.p);
	peer_pause(server.p, 0);
	settle(); /* all of the rest, and only then the end */
	CHECK_EQ(server.handled, 5);
	CHECK_EQ(server.closed, 1);
}

static void
test_queue(void)
{
	struct msg_event m = { .text = "x" };
	struct side s;
	int sv[2], n = 0;
	char sink[65536];

	if (base == NULL)
		base = event_base_new();
	CHECK_EQ(fd_socketpair(sv), 0);
	side_open(&s, &sv[0], ROLE_CLIENT, 100000, 10000);
	while (peer_send(s.p, MSG_EVENT, 0, NULL, &m, sizeof(m)) == 0 &&
	    n < 100000)
		n++;
	CHECK_EQ(errno, ENOBUFS);
	CHECK(n > 100 && peer_queued(s.p) <= 100000);
	n = 0;
	while (s.drained == 0 && n++ < 100000) {
		settle();
		CHECK_EQ(s.closed, 0);
		CHECK(s.drained == 0 || peer_queued(s.p) <= 10000);
		if (recv(sv[1], sink, sizeof(sink), 0) == -1)
			CHECK_EQ(errno, EAGAIN);
	}
	CHECK_EQ(s.drained, 1);
	settle();
	CHECK_EQ(s.drained, 1);
	CHECK_EQ(peer_send(s.p, MSG_EVENT, 0, NULL, &m, sizeof(m)), 0);
	peer_close(s.p);
	close(sv[1]);
}

/* Where nothing may be missing, who does not read is cut off. */
static void
test_lossless(void)
{
	struct msg_event m = { .name = "" };
	struct peer_conf conf = { .other = ROLE_CONTROL,
		.closed = on_closed,
		.lossless = 1,
		.queue_bytes = 100000 };
	struct side s = { .got_fd = -1 };
	struct err e;
	int sv[2];

	CHECK_EQ(fd_socketpair(sv), 0);
	conf.ctx = &s;
	REQUIRE((s.p = peer_open(base, &sv[0], &conf, &e)) != NULL);
	while (peer_send(s.p, MSG_EVENT, 0, NULL, &m, sizeof(m)) == 0)
		continue;
	CHECK_EQ(errno, ENOBUFS);
	CHECK_EQ(s.closed, 0); /* not below the caller */
	CHECK_EQ(peer_send(s.p, MSG_EVENT, 0, NULL, &m, sizeof(m)), -1);
	CHECK_EQ(errno, EPIPE);
	settle();
	CHECK_EQ(s.closed, 1);
	CHECK_EQ(s.why.code, ENOBUFS);
	CHECK(s.p == NULL);
	close(sv[1]);
}

/* What the other side said before it went is read, though writing failed. */
static void
test_last_words(void)
{
	struct side server, client;
	struct err e;
	int i;

	open_both(&server, &client);
	err_set(&e, EPERM, "you may not");
	CHECK_EQ(peer_err(server.p, 9, &e), 0);
	peer_close(server.p);
	for (i = 0; i < 3; i++)
		hello(client.p, 10);
	settle();
	CHECK_EQ(client.errs, 1);
	CHECK_STR(client.err.text, "you may not");
	CHECK_EQ(client.closed, 1);
	CHECK_EQ(client.why.code, 0);
}

static void
test_flush(void)
{
	struct msg_event m = { .text = "x" };
	struct side s;
	int fd = open_raw(&s);
	char sink[4096];

	CHECK_EQ(peer_send(s.p, MSG_EVENT, 0, NULL, &m, sizeof(m)), 0);
	CHECK_EQ(peer_flush(s.p, 1000), 0);
	CHECK_EQ(peer_queued(s.p), 0);
	CHECK(recv(fd, sink, sizeof(sink), 0) > 0);
	while (peer_send(s.p, MSG_EVENT, 0, NULL, &m, sizeof(m)) == 0)
		continue;
	CHECK_EQ(peer_flush(s.p, 1), -1);
	CHECK_EQ(errno, ETIMEDOUT);
	peer_close(s.p);
	close(fd);
}

static void
test_own_bugs(void)
{
	struct msg_event m = { .bad = 2 };
	struct iovec iov[2] = { { &m, sizeof(m) }, { &m, 0 } };
	struct side server, client;

	open_both(&server, &client);
	CHECK_EQ(peer_send(server.p, MSG_EVENT, 0, NULL, &m, sizeof(m)), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(peer_sendv(server.p, MSG_EVENT, 0, iov, 2), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(peer_send(server.p, MSG_NONE, 0, NULL, NULL, 0), -1);
	iov[1].iov_len = SIZE_MAX;
	CHECK_EQ(peer_sendv(server.p, MSG_CONS_DATA, 0, iov, 2), -1);
	settle();
	CHECK_EQ(client.closed, 0);
	peer_close(server.p);
	peer_close(client.p);
}

static void
test_chunk(void)
{
	struct msg_chunk head = { .chan = 3, .len = 5 };
	struct iovec iov[2] = { { &head, sizeof(head) },
		{ (char[]){ "hello" }, 5 } };
	struct side server, client;

	open_both(&server, &client);
	CHECK_EQ(peer_sendv(client.p, MSG_CONS_INPUT, 0, iov, 2), 0);
	head.len = 6;
	CHECK_EQ(peer_sendv(client.p, MSG_CONS_INPUT, 0, iov, 2), -1);
	settle();
	CHECK_EQ(server.handled, 1);
	CHECK_EQ(server.closed, 0);
	peer_close(server.p);
	peer_close(client.p);
}

static uint64_t rng_state = 1;

static uint32_t
rnd(uint32_t n)
{
	rng_state ^= rng_state << 13;
	rng_state ^= rng_state >> 7;
	rng_state ^= rng_state << 17;
	return ((uint32_t)(rng_state >> 16) % n);
}

/* Three good messages, then 1 to 4 things wrong with the bytes. */
static size_t
make_stream(uint8_t *buf)
{
	static const uint32_t words[] = { 0, 1, 15, 16, 17, 0x4000, 0x4001,
		0x7fffffff, 0x80000000, 0x80000010, 0xffffffff };
	struct msg_hello hello_m = { .version = 1, .text = "mutant" };
	struct msg_list list = { .flags = LIST_RUNNING };
	struct msg_stop stop = { .vm.id = 1, .flags = STOP_WAIT };
	size_t n = 0, at;
	uint32_t i, v;

	n += frame(buf, MSG_HELLO, 1, &hello_m, sizeof(hello_m), 0);
	n += frame(buf + n, MSG_LIST, 2, &list, sizeof(list), 0);
	n += frame(buf + n, MSG_STOP, 3, &stop, sizeof(stop), 0);
	for (i = rnd(4) + 1; i > 0; i--) {
		at = rnd((uint32_t)n);
		switch (rnd(6)) {
		case 0:
			buf[at] ^= (uint8_t)(1u << rnd(8));
			break;
		case 1:
			buf[at] = (uint8_t)rnd(256);
			break;
		case 2: /* a word of a header or a body */
			at = at / 4 * 4;
			v = words[rnd(sizeof(words) / sizeof(words[0]))];
			memcpy(buf + at, &v, 4);
			break;
		case 3: /* cut short, often inside a header */
			n = rnd(2) == 0 ? at + 1 : rnd(20) + 1;
			break;
		case 4: /* doubled piece */
			memmove(buf + at + 8, buf + at, n - at);
			n += 8;
			break;
		default: /* type, length, number or pid of the first */
			at = rnd(16);
			buf[at < n ? at : 0] = (uint8_t)rnd(256);
		}
	}
	return (n);
}

static void
test_streams(void)
{
	const char *env = getenv("PEER_STREAMS");
	unsigned long i, nclosed = 0,
			 want = env ? strtoul(env, NULL, 10) : 20000;
	int fds[2] = { STDOUT_FILENO, STDOUT_FILENO }, fd, before;
	struct side good, other, s;
	uint8_t buf[8192];
	size_t n;

	open_both(&good, &other);
	before = tap_fds();
	for (i = 0; i < want; i++) {
		fd = open_raw(&s);
		n = make_stream(buf);
		CHECK_EQ(send_fds(fd, buf, n, fds, rnd(16) == 0 ? 1 : 0), n);
		event_base_loop(base, EVLOOP_NONBLOCK);
		nclosed += s.closed;
		close(fd);
		event_base_loop(base, EVLOOP_NONBLOCK);
		if (s.closed == 0)
			settle();
		CHECK_EQ(s.closed, 1);
		if (i % 1000 != 0)
			continue;
		hello(other.p, (uint32_t)i + 1);
		settle();
		CHECK_EQ(other.reqno, i + 1);
	}
	CHECK_MSG(
	    nclosed > want / 4, "only %lu of %lu were refused", nclosed, want);
	CHECK(good.closed == 0 && other.closed == 0);
	CHECK_EQ(tap_fds(), before);
	peer_close(good.p);
	peer_close(other.p);
}

static const struct tap_case cases[] = {
	{ "peer request and answer", test_request },
	{ "peer no answer to answers", test_no_answer_to_answers },
	{ "peer ERR always has a code", test_err_without_code },
	{ "T63 peer a bad message closes its channel only", test_bad_closes },
	{ "peer passes fds", test_fd_passes },
	{ "T64 peer fd count flat over 10^5 messages", test_fd_flat },
	{ "T74 peer without room for an fd", test_fd_ladder },
	{ "peer closed in its handler", test_close_in_handler },
	{ "peer paused", test_pause },
	{ "peer queue limit and drained", test_queue },
	{ "peer that may lose nothing", test_lossless },
	{ "peer last words are read", test_last_words },
	{ "peer flush", test_flush },
	{ "peer sends nothing that breaks the table", test_own_bugs },
	{ "peer chunks", test_chunk },
	{ "T63 peer mutated streams", test_streams },
};

TAP_MAIN(cases)
