/* SPDX-License-Identifier: ISC */
/* shared/imsg.h: framing, fds, limits, and what a hostile peer may try. */
#include <sys/resource.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "regress/lib/tap.h"
#include "shared/imsg.h"

static int sv[2];
static struct imsgbuf a, b;

/* a writes to sv[0], b reads from sv[1]; both pass fds and do not block. */
static void
set_up(void)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		sv) == -1)
		abort();
	if (imsgbuf_init(&a, sv[0]) == -1 || imsgbuf_init(&b, sv[1]) == -1)
		abort();
	imsgbuf_allow_fdpass(&a);
	imsgbuf_allow_fdpass(&b);
}

static void
tear_down(void)
{
	imsgbuf_clear(&a);
	imsgbuf_clear(&b);
	close(sv[0]);
	close(sv[1]);
}

static int
null_fd(void)
{
	return (open("/dev/null", O_RDONLY | O_CLOEXEC));
}

/* Send bytes as a peer that follows no rule, with nfds times /dev/null. */
static void
send_raw(const void *data, size_t len, size_t nfds)
{
	union {
		struct cmsghdr hdr;
		unsigned char room[CMSG_SPACE(253 * sizeof(int))];
	} c = { .room = { 0 } };
	struct iovec iov = { (void *)(uintptr_t)data, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fd = null_fd();
	size_t i;

	if (nfds > 0) {
		mh.msg_control = c.room;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c.hdr.cmsg_level = SOL_SOCKET;
		c.hdr.cmsg_type = SCM_RIGHTS;
		c.hdr.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(&c.hdr) + i * sizeof(int), &fd,
			    sizeof(fd));
	}
	CHECK_EQ(sendmsg(sv[0], &mh, MSG_NOSIGNAL), len);
	close(fd);
}

static void
send_hdr(uint32_t len, size_t nfds)
{
	struct imsg_hdr h = { .type = 1, .len = len, .peerid = 2, .pid = 3 };

	send_raw(&h, sizeof(h), nfds);
}

/* The next get after one read fails with this errno, and so ever after. */
static void
check_broken(int code)
{
	struct imsg m;
	int r;

	if ((r = imsgbuf_read(&b)) == 1)
		r = imsgbuf_get(&b, &m);
	CHECK_EQ(r, -1);
	CHECK_EQ(errno, code);
	CHECK_EQ(b.nfds, 0);
	errno = 0;
	CHECK_EQ(imsgbuf_get(&b, &m), -1);
	CHECK_EQ(errno, code);
	errno = 0;
	CHECK_EQ(imsgbuf_read(&b), -1);
	CHECK_EQ(errno, code);
}

static void
test_round_trip(void)
{
	char text[] = "hello", got[6];
	struct iovec iov[2] = { { text, 2 }, { text + 2, 4 } };
	struct imsg m;

	set_up();
	CHECK_EQ(imsg_compose(&a, 7, 8, 9, -1, text, sizeof(text)), 1);
	CHECK_EQ(imsg_composev(&a, 10, 0, 0, -1, iov, 2), 1);
	CHECK_EQ(imsg_compose(&a, 11, 0, 0, -1, NULL, 0), 1);
	CHECK_EQ(imsgbuf_queuelen(&a), 3);
	CHECK_EQ(imsgbuf_queuebytes(&a), 3 * 16 + 12);
	CHECK_EQ(imsgbuf_write(&a), 0);
	CHECK_EQ(imsgbuf_queuelen(&a), 0);
	CHECK_EQ(imsgbuf_queuebytes(&a), 0);
	CHECK_EQ(imsgbuf_read(&b), 1);
	REQUIRE(imsgbuf_get(&b, &m) == 1);
	CHECK_EQ(imsg_get_type(&m), 7);
	CHECK_EQ(imsg_get_id(&m), 8);
	CHECK_EQ(imsg_get_pid(&m), 9);
	CHECK_EQ(imsg_get_len(&m), 6);
	CHECK_EQ((uintptr_t)m.data % 16, 0);
	CHECK_EQ(imsg_get_fd(&m), -1);
	CHECK_EQ(imsg_get_data(&m, got, 5), -1);
	CHECK_EQ(errno, EBADMSG);
	CHECK_EQ(imsg_get_data(&m, got, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(imsg_get_data(&m, got, 6), 0);
	CHECK_STR(got, "hello");
	CHECK_EQ(imsg_forward(&a, &m), 1);
	imsg_free(&m);
	imsg_free(&m);
	REQUIRE(imsg_get(&b, &m) == 22);
	CHECK_EQ(imsg_get_pid(&m), getpid());
	CHECK_EQ(memcmp(m.data, text, 6), 0);
	imsg_free(&m);
	REQUIRE(imsgbuf_get(&b, &m) == 1);
	CHECK_EQ(imsg_get_type(&m), 11);
	CHECK_EQ(imsg_get_len(&m), 0);
	CHECK(m.data == NULL);
	CHECK_EQ(imsg_get_data(&m, got, 6), -1);
	imsg_free(&m);
	CHECK_EQ(imsgbuf_get(&b, &m), 0);
	CHECK_EQ(imsgbuf_read(&b), 1); /* nothing there: EAGAIN */
	CHECK_EQ(imsgbuf_get(&b, &m), 0);
	CHECK_EQ(imsgbuf_flush(&a), 0);
	CHECK_EQ(imsgbuf_read(&b), 1);
	REQUIRE(imsgbuf_get(&b, &m) == 1);
	CHECK_EQ(imsg_get_type(&m), 7);
	CHECK_EQ(imsg_get_pid(&m), 9);
	imsg_free(&m);
	tear_down();
}

static void
test_pieces(void)
{
	struct {
		uint32_t n;
		char name[8], rest[4];
	} p = { 5, "web", "xyz" };
	char name[8], big[64];
	struct ibuf *out, view;
	struct imsg m;
	uint32_t n;

	set_up();
	REQUIRE((out = imsg_create(&a, 1, 0, 0, sizeof(p))) != NULL);
	CHECK_EQ(imsg_add(out, &p, 4), 4);
	CHECK_EQ(imsg_add(out, p.name, sizeof(p) - 4), sizeof(p) - 4);
	CHECK_EQ(imsg_close(&a, out), 1);
	CHECK_EQ(imsgbuf_write(&a), 0);
	CHECK_EQ(imsgbuf_read(&b), 1);
	REQUIRE(imsgbuf_get(&b, &m) == 1);
	CHECK_EQ(imsg_get_buf(&m, &n, 4), 0);
	CHECK_EQ(n, 5);
	CHECK_EQ(imsg_get_strbuf(&m, name, 8), 0);
	CHECK_STR(name, "web");
	CHECK_EQ(imsg_get_len(&m), 4);
	CHECK_EQ(imsg_get_buf(&m, big, 5), -1);
	CHECK_EQ(imsg_get_strbuf(&m, name, 0), -1);
	CHECK_EQ(imsg_get_strbuf(&m, name, 3), -1);
	CHECK_EQ(errno, EOVERFLOW);
	CHECK_EQ(imsg_get_ibuf(&m, &view), 0);
	CHECK_EQ(ibuf_size(&view), 1);
	CHECK_EQ(*(char *)ibuf_data(&view), 0);
	CHECK_EQ(imsg_get_ibuf(&m, &view), -1);
	imsg_free(&m);
	REQUIRE((out = imsg_create(&a, 1, 0, 0, 8)) != NULL);
	CHECK_EQ(imsg_add(out, big, 9), -1); /* freed it */
	CHECK_EQ(errno, ERANGE);
	tear_down();
}

static void
test_bytewise(void)
{
	static char in[3000], got[3000];
	char wire[2 * (16 + 3000)];
	struct imsg m;
	size_t i, n = 0;

	set_up();
	memset(in, 'x', sizeof(in));
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, in, sizeof(in)), 1);
	CHECK_EQ(imsg_compose(&a, 2, 0, 0, -1, in, sizeof(in)), 1);
	CHECK_EQ(imsgbuf_write(&a), 0);
	CHECK_EQ(recv(sv[1], wire, sizeof(wire), 0), sizeof(wire));
	for (i = 0; i < sizeof(wire); i++) {
		send_raw(wire + i, 1, 0);
		CHECK_EQ(imsgbuf_read(&b), 1);
		if (imsgbuf_get(&b, &m) == 0)
			continue;
		CHECK_EQ(i + 1, (n + 1) * (16 + 3000));
		CHECK_EQ(imsg_get_type(&m), ++n);
		CHECK_EQ(imsg_get_data(&m, got, sizeof(got)), 0);
		CHECK_EQ(memcmp(got, in, sizeof(in)), 0);
		imsg_free(&m);
	}
	CHECK_EQ(n, 2);
	tear_down();
}

static void
test_bad_length(void)
{
	static const struct {
		uint32_t len;
		int code;
	} t[] = {
		{ 0, EBADMSG },
		{ 1, EBADMSG },
		{ 15, EBADMSG },
		{ MAX_IMSGSIZE + 1, ERANGE },
		{ 0x7fffffff, ERANGE },
		{ IMSG_FD_MARK, EBADMSG },
		{ IMSG_FD_MARK | 15, EBADMSG },
		{ IMSG_FD_MARK | 0x7fffffff, ERANGE },
	};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		set_up();
		send_hdr(t[i].len, i % 2);
		check_broken(t[i].code);
		tear_down();
	}
}

static void
test_good_before_bad(void)
{
	struct imsg m;

	set_up();
	send_hdr(16, 0);
	send_hdr(3, 0);
	CHECK_EQ(imsgbuf_read(&b), 1);
	CHECK_EQ(imsgbuf_get(&b, &m), 1);
	imsg_free(&m);
	CHECK_EQ(imsgbuf_get(&b, &m), -1);
	CHECK_EQ(errno, EBADMSG);
	tear_down();
}

static void
test_largest(void)
{
	static char in[MAX_IMSGSIZE], got[MAX_IMSGSIZE];
	struct iovec iov[2] = { { in, MAX_IMSGSIZE - 16 }, { in, 1 } };
	struct imsg m;
	int fd;

	set_up();
	memset(in, 'y', sizeof(in));
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, in, MAX_IMSGSIZE - 16), 1);
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, in, MAX_IMSGSIZE - 15), -1);
	CHECK_EQ(errno, ERANGE);
	CHECK_EQ(imsg_composev(&a, 1, 0, 0, -1, iov, 2), -1);
	iov[0].iov_len = SIZE_MAX;
	CHECK_EQ(imsg_composev(&a, 1, 0, 0, -1, iov, 2), -1);
	CHECK_EQ(errno, ERANGE);
	fd = null_fd();
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, fd, in, MAX_IMSGSIZE), -1);
	CHECK_EQ(close(fd), 0); /* still ours */
	CHECK_EQ(imsgbuf_write(&a), 0);
	CHECK_EQ(imsgbuf_read(&b), 1);
	REQUIRE(imsgbuf_get(&b, &m) == 1);
	CHECK_EQ(imsg_get_data(&m, got, MAX_IMSGSIZE - 16), 0);
	CHECK_EQ(memcmp(in, got, MAX_IMSGSIZE - 16), 0);
	imsg_free(&m);
	CHECK_EQ(imsgbuf_set_maxsize(&b, 15), -1);
	CHECK_EQ(imsgbuf_set_maxsize(&b, MAX_IMSGSIZE + 1), -1);
	CHECK_EQ(imsgbuf_set_maxsize(&b, 100), 0);
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, in, 85), 1);
	CHECK_EQ(imsg_compose(&b, 1, 0, 0, -1, in, 85), -1);
	CHECK_EQ(imsgbuf_write(&a), 0);
	check_broken(ERANGE);
	tear_down();
}

static void
test_fd_round_trip(void)
{
	struct imsg m;
	int fd, i, n = tap_fds();

	set_up();
	for (i = 0; i < 5; i++) {
		CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, "x", 1), 1);
		CHECK_EQ(imsg_compose(&a, 2, 0, 0, null_fd(), "y", 1), 1);
	}
	CHECK_EQ(imsgbuf_write(&a), 0);
	CHECK_EQ(tap_fds(), n + 2); /* ours are closed, the peer's not in */
	for (i = 0; i < 10;) {
		REQUIRE(imsgbuf_read(&b) == 1);
		while (imsgbuf_get(&b, &m) == 1) {
			fd = imsg_get_fd(&m);
			CHECK_EQ(imsg_get_type(&m), i % 2 + 1);
			CHECK_EQ(m.hdr.len, 17);
			CHECK_EQ(fd != -1, i % 2);
			CHECK_EQ(imsg_get_fd(&m), -1); /* once */
			if (fd != -1) {
				CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
				close(fd);
			}
			imsg_free(&m);
			i++;
		}
	}
	CHECK_EQ(imsg_compose(&a, 2, 0, 0, null_fd(), NULL, 0), 1);
	CHECK_EQ(imsg_compose(&a, 2, 0, 0, null_fd(), NULL, 0), 1);
	CHECK_EQ(imsgbuf_write(&a), 0);
	CHECK_EQ(imsg_compose(&a, 2, 0, 0, null_fd(), NULL, 0), 1);
	CHECK_EQ(imsgbuf_read(&b), 1);
	CHECK_EQ(imsgbuf_get(&b, &m), 1);
	imsg_free(&m); /* with its fd */
	CHECK_EQ(imsgbuf_read(&b), 1);
	tear_down(); /* an fd received, and one queued */
	CHECK_EQ(tap_fds(), n);
}

static void
test_fd_rules(void)
{
	static const struct {
		uint32_t len;
		size_t nfds;
	} t[] = {
		{ 16, 1 }, /* not announced */
		{ 16, 253 },
		{ 17, 1 },                /* the same, not yet whole */
		{ IMSG_FD_MARK | 16, 0 }, /* announced, not there */
		{ IMSG_FD_MARK | 16, 2 }, /* one too many */
		{ IMSG_FD_MARK | 17, 2 },
		{ IMSG_FD_MARK | 16, 17 },
		{ IMSG_FD_MARK | 16, 253 },
	};
	int n = tap_fds();
	struct imsg m;
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		set_up();
		send_hdr(t[i].len, t[i].nfds);
		if (imsgbuf_read(&b) == 1)
			while (imsgbuf_get(&b, &m) == 1)
				imsg_free(&m);
		CHECK_MSG(errno == EBADMSG && imsgbuf_get(&b, &m) == -1,
		    "row %zu was let through", i);
		CHECK_EQ(b.nfds, 0);
		tear_down();
		CHECK_EQ(tap_fds(), n);
	}
}

static void
test_fd_not_allowed(void)
{
	int fd, n = tap_fds();

	set_up();
	a.allow_fdpass = 0;
	imsgbuf_refuse_fds(&b);
	fd = null_fd();
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, fd, NULL, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(close(fd), 0);
	send_hdr(IMSG_FD_MARK | 16, 1);
	check_broken(EBADMSG);
	tear_down();
	CHECK_EQ(tap_fds(), n);
}

/* The table is full: the kernel drops the fd and says MSG_CTRUNC. */
static void
test_fd_table_full(void)
{
	struct rlimit rl, low;
	struct imsg m;
	int n = tap_fds();

	set_up();
	send_hdr(IMSG_FD_MARK | 16, 1);
	getrlimit(RLIMIT_NOFILE, &rl);
	low = rl;
	low.rlim_cur = 1;
	setrlimit(RLIMIT_NOFILE, &low);
	CHECK_EQ(imsgbuf_read(&b), -1);
	CHECK_EQ(errno, EMFILE);
	CHECK_EQ(imsgbuf_get(&b, &m), -1);
	setrlimit(RLIMIT_NOFILE, &rl);
	tear_down();
	CHECK_EQ(tap_fds(), n);
}

static void
test_close(void)
{
	int n = tap_fds();
	struct imsg m;

	set_up();
	send_hdr(IMSG_FD_MARK | 100, 1);
	close(sv[0]);
	sv[0] = -1;
	CHECK_EQ(imsgbuf_read(&b), 1);
	CHECK_EQ(imsgbuf_get(&b, &m), 0);
	CHECK_EQ(imsgbuf_read(&b), 0);
	CHECK_EQ(imsgbuf_get(&b, &m), 0);
	CHECK_EQ(imsg_compose(&b, 1, 0, 0, null_fd(), NULL, 0), 1);
	CHECK_EQ(imsgbuf_write(&b), -1); /* and no SIGPIPE */
	CHECK_EQ(errno, EPIPE);
	tear_down();
	CHECK_EQ(tap_fds(), n);
	set_up(); /* the peer goes with bytes of ours unread */
	CHECK_EQ(imsg_compose(&b, 1, 0, 0, -1, NULL, 0), 1);
	CHECK_EQ(imsgbuf_write(&b), 0);
	close(sv[0]);
	sv[0] = -1;
	CHECK_EQ(imsgbuf_read(&b), 0);
	tear_down();
}

static void
test_queue_limit(void)
{
	static char in[16000];
	int fd, i, n = tap_fds();

	set_up();
	imsgbuf_set_queuelimit(&a, 50000);
	for (i = 0; imsg_compose(&a, 1, 0, 0, -1, in, sizeof(in)) == 1; i++)
		CHECK(i < 3);
	CHECK_EQ(errno, ENOBUFS);
	CHECK_EQ(i, 3);
	fd = null_fd();
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, fd, in, sizeof(in)), -1);
	CHECK_EQ(close(fd), 0);
	CHECK_EQ(imsgbuf_write(&a), 0);
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, in, sizeof(in)), 1);
	CHECK_EQ(imsgbuf_write(&a), 0);
	imsgbuf_set_queuelimit(&a, 0); /* one message always */
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, in, sizeof(in)), 1);
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, in, 0), -1);
	tear_down();
	CHECK_EQ(tap_fds(), n);
}

/* Nobody reads: written up to EAGAIN; then nobody gets: read up to ENOBUFS. */
static void
test_back_pressure(void)
{
	static char in[5000];
	uint32_t i, sent = 0, seen = 0;
	struct imsg m;
	int r, full = 0;

	set_up();
	for (i = 0; i < 500; i++) {
		CHECK_EQ(imsg_compose(&a, ++sent, 0, 0, -1, in, i * 10), 1);
		CHECK_EQ(imsgbuf_write(&a), 0);
	}
	CHECK(imsgbuf_queuelen(&a) > 0);
	while (seen < sent) {
		CHECK_EQ(imsgbuf_write(&a), 0);
		while ((r = imsgbuf_read(&b)) == 1 && !full)
			;
		if (b.wpos == IMSG_READ_BYTES && r != 1) {
			CHECK_EQ(r, -1);
			CHECK_EQ(errno, ENOBUFS);
			full = 1;
		}
		while ((r = imsgbuf_get(&b, &m)) == 1) {
			CHECK_EQ(imsg_get_type(&m), ++seen);
			CHECK_EQ(imsg_get_len(&m), (seen - 1) * 10);
			imsg_free(&m);
		}
		REQUIRE(r == 0);
	}
	CHECK(full);
	CHECK_EQ(imsgbuf_queuelen(&a), 0);
	tear_down();
}

static void *
reader(void *arg)
{
	size_t *total = arg;
	struct imsg m;

	while (imsgbuf_read(&b) == 1)
		while (imsgbuf_get(&b, &m) == 1) {
			*total += imsg_get_len(&m);
			imsg_free(&m);
		}
	return (NULL);
}

/* A full-size stream with one thread at each end, by imsgbuf_flush(). */
static void
test_stream(void)
{
	static char in[MAX_IMSGSIZE - 16];
	size_t total = 0;
	pthread_t t;
	int i, j;

	set_up();
	fcntl(sv[1], F_SETFL, 0); /* the reader blocks */
	pthread_create(&t, NULL, reader, &total);
	for (i = 0; i < 500; i++) {
		for (j = 0; j < 8; j++)
			CHECK_EQ(
			    imsg_compose(&a, 1, 0, 0, -1, in, sizeof(in)), 1);
		CHECK_EQ(imsgbuf_flush(&a), 0);
	}
	shutdown(sv[0], SHUT_WR);
	pthread_join(t, NULL);
	CHECK_EQ(total, sizeof(in) * 8 * 500);
	tear_down();
}

/* T64: taken, not taken, dropped with the connection. */
static void
test_fd_flat(void)
{
	int i, fd, n = tap_fds();
	struct imsg m;

	set_up();
	for (i = 0; i < 100000; i++) {
		CHECK_EQ(imsg_compose(&a, 1, 0, 0, null_fd(), &i, 4), 1);
		CHECK_EQ(imsgbuf_write(&a), 0);
		CHECK_EQ(imsgbuf_read(&b), 1);
		REQUIRE(imsgbuf_get(&b, &m) == 1);
		if (i % 2 && (fd = imsg_get_fd(&m)) != -1)
			close(fd);
		imsg_free(&m);
		if (i % 1000 == 0) {
			CHECK_EQ(tap_fds(), n + 2);
			CHECK_EQ(imsg_compose(&a, 1, 0, 0, null_fd(), 0, 0), 1);
			if (i % 2000 == 0)
				CHECK_EQ(imsgbuf_write(&a), 0);
			CHECK_EQ(imsgbuf_read(&b), 1);
			tear_down();
			CHECK_EQ(tap_fds(), n);
			set_up();
		}
	}
	tear_down();
	CHECK_EQ(tap_fds(), n);
}

static void
test_cleared(void)
{
	struct imsgbuf z;
	struct imsg m;

	memset(&z, 0, sizeof(z));
	imsgbuf_clear(&z);
	set_up();
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, null_fd(), NULL, 0), 1);
	imsgbuf_clear(&a);
	imsgbuf_clear(&a);
	CHECK_EQ(imsgbuf_read(&a), -1);
	CHECK_EQ(imsgbuf_get(&a, &m), -1);
	CHECK_EQ(imsg_compose(&a, 1, 0, 0, -1, NULL, 0), 1);
	CHECK_EQ(imsgbuf_write(&a), -1);
	CHECK_EQ(errno, EBADF);
	tear_down();
}

static const struct tap_case cases[] = {
	{ "imsg round trip and getters", test_round_trip },
	{ "imsg made and read in pieces", test_pieces },
	{ "T63 imsg byte by byte", test_bytewise },
	{ "T63 imsg bad lengths", test_bad_length },
	{ "T63 imsg good before bad", test_good_before_bad },
	{ "T63 imsg 16 KiB cap both ways", test_largest },
	{ "imsg fds in order, taken once", test_fd_round_trip },
	{ "T63 imsg fd not announced, missing, 253", test_fd_rules },
	{ "T63 imsg fd where passing is off", test_fd_not_allowed },
	{ "T74 imsg fd with a full table", test_fd_table_full },
	{ "T63 imsg closed mid-message", test_close },
	{ "imsg queue limit", test_queue_limit },
	{ "imsg back pressure both ways", test_back_pressure },
	{ "imsg full-size stream", test_stream },
	{ "T64 imsg fd count flat", test_fd_flat },
	{ "imsg after clear", test_cleared },
};

TAP_MAIN(cases)
