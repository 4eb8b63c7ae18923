/* SPDX-License-Identifier: ISC */
/*
 * vmctl console in a process of its own, between a terminal or pipes and a
 * small server: every byte arrives, credit is kept, keys get through, and the
 * terminal is put back however it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/ctl/cons.h"
#include "regress/lib/tap.h"
#include "shared/client.h"
#include "shared/fd.h"
#include "shared/str.h"

#define LIMIT_MS 60000 /* of any wait here */
#define STREAM_BYTES (32u << 20)
#define HISTORY "hello\r\n> "

/* ---- The server, in a child ----------------------------------------------- */

enum guest {
	ECHOES,  /* says HISTORY, then what is typed; "!" ends the VM */
	STREAM,  /* STREAM_BYTES of a pattern, then the VM ends */
	FLOOD,   /* for ever */
	OVERRUN, /* more than there is credit for */
	TAKEN,   /* the keyboard is another's; CONS_TAKE gives it */
	LOST,    /* vmd goes away at the first key */
	GAPS,    /* some bytes are lost */
};

static struct server {
	enum guest guest;
	struct event_base *base;
	struct peer *peer;
	uint64_t off;
	uint32_t credit, key_credit;
	bool writer;
} srv;

/* The byte at an offset of the stream. */
static uint8_t
pattern(uint64_t off)
{
	return ((uint8_t)((off * 2654435761u) >> 13));
}

static void
say(const void *data, uint32_t len)
{
	struct msg_chunk head = { .len = len, .off = srv.off };
	struct iovec iov[2] = { { &head, sizeof(head) },
		{ (void *)(uintptr_t)data, len } };

	if (peer_sendv(srv.peer, MSG_CONS_DATA, 0, iov, 2) == -1)
		_exit(errno == EPIPE ? 0 : 10); /* the client has left */
	srv.off += len;
	srv.credit -= len;
}

static void
close_console(void)
{
	struct msg_cons_closed m = { .chan = 0 };
	struct err e;

	err_set(&e, ENOTCONN, "the vm is not running any more");
	msg_from_err(&m.why, &e);
	peer_send(srv.peer, MSG_CONS_CLOSED, 0, NULL, &m, sizeof(m));
}

static void
pump(void)
{
	static uint8_t buf[CONS_DATA_BYTES];
	uint32_t n, i;

	while (srv.credit > 0 && peer_queued(srv.peer) < 256 * 1024) {
		n = srv.credit < sizeof(buf) ? srv.credit : sizeof(buf);
		if (srv.guest == STREAM && n > STREAM_BYTES - srv.off)
			n = (uint32_t)(STREAM_BYTES - srv.off);
		if (n == 0) {
			close_console();
			srv.credit = 0;
			return;
		}
		for (i = 0; i < n; i++)
			buf[i] = pattern(srv.off + i);
		say(buf, n);
	}
}

static int
on_hello(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct msg_hello h = { .version = PROTO_VERSION };

	(void)ctx;
	(void)e;
	return (peer_send(p, MSG_HELLO, m->reqno, NULL, &h, sizeof(h)));
}

static void
send_peers(void)
{
	struct msg_cons_peers m = { .n = 2, .you_write = srv.writer };

	m.peer[0].uid = 0;
	m.peer[0].writer = !srv.writer;
	m.peer[1].writer = srv.writer;
	peer_send(srv.peer, MSG_CONS_PEERS, 0, NULL, &m, sizeof(m));
}

static int
on_attach(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_attach *a = m->body;
	struct msg_attached r = { .id = 1, .writer = 1 };
	struct msg_gap gap = { .off = 0, .lost = 4711 };
	static const uint8_t zeros[CONS_DATA_BYTES];

	(void)ctx;
	if (strcmp(a->vm.name, "web") != 0)
		return (err_set(e, ENOENT, "no vm named %s", a->vm.name));
	srv.credit = a->credit;
	srv.key_credit = CONS_INPUT_BYTES;
	srv.writer = srv.guest != TAKEN && (a->flags & CONS_WRITE) != 0;
	r.writer = srv.writer;
	r.input_credit = srv.writer ? srv.key_credit : 0;
	peer_send(p, MSG_CONS_ATTACHED, m->reqno, NULL, &r, sizeof(r));
	send_peers();
	if (srv.guest == GAPS)
		peer_send(p, MSG_CONS_GAP, 0, NULL, &gap, sizeof(gap));
	if (srv.guest == STREAM || srv.guest == FLOOD)
		pump();
	else
		say(HISTORY, strlen(HISTORY));
	if (srv.guest == OVERRUN) {
		while (srv.off < 4 * (uint64_t)a->credit)
			say(zeros, sizeof(zeros));
		_exit(peer_flush(p, LIMIT_MS) == 0 ? 0 : 15);
	}
	if (srv.guest == GAPS)
		close_console();
	return (0);
}

static int
on_credit(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	const struct msg_credit *m = msg->body;

	(void)ctx;
	(void)p;
	(void)e;
	srv.credit += m->bytes;
	if (srv.guest == STREAM || srv.guest == FLOOD)
		pump();
	return (0);
}

/* Echoed; credit comes back in two pieces, as a UART takes it. */
static int
on_keys(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	const struct msg_chunk *m = msg->body;
	struct msg_credit c = { .bytes = m->len / 2 };

	(void)ctx;
	(void)e;
	if (!srv.writer || m->len > srv.key_credit)
		_exit(11); /* against the rules */
	if (srv.guest == LOST)
		_exit(0);
	if (c.bytes > 0)
		peer_send(p, MSG_CONS_INPUT_CREDIT, 0, NULL, &c, sizeof(c));
	c.bytes = m->len - c.bytes;
	peer_send(p, MSG_CONS_INPUT_CREDIT, 0, NULL, &c, sizeof(c));
	if (srv.guest == FLOOD)
		return (0);
	say(m + 1, m->len);
	if (memchr(m + 1, '!', m->len) != NULL)
		close_console();
	return (0);
}

static int
on_take(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	struct msg_credit c = { .bytes = srv.key_credit };

	(void)ctx;
	(void)msg;
	(void)e;
	srv.writer = true;
	send_peers();
	return (peer_send(p, MSG_CONS_INPUT_CREDIT, 0, NULL, &c, sizeof(c)));
}

static int
on_break(void *ctx, struct peer *p, struct msg *msg, struct err *e)
{
	(void)ctx;
	(void)p;
	(void)msg;
	(void)e;
	say("BREAK", 5);
	return (0);
}

static const struct msg_handler serves[] = {
	{ MSG_HELLO, on_hello },
	{ MSG_CONS_ATTACH, on_attach },
	{ MSG_CONS_CREDIT, on_credit },
	{ MSG_CONS_INPUT, on_keys },
	{ MSG_CONS_TAKE, on_take },
	{ MSG_CONS_BREAK, on_break },
};

static void
on_closed(void *ctx, struct peer *p, const struct err *why)
{
	(void)ctx;
	(void)p;
	_exit(why->code == 0 || why->code == ECONNRESET ? 0 : 12);
}

static void
on_drained(void *ctx, struct peer *p)
{
	(void)ctx;
	(void)p;
	if (srv.guest == STREAM || srv.guest == FLOOD)
		pump();
}

static void
serve(int fd)
{
	struct peer_conf conf = { .other = ROLE_CLIENT,
		.handlers = serves,
		.nhandlers = sizeof(serves) / sizeof(serves[0]),
		.closed = on_closed,
		.drained = on_drained,
		.low_bytes = 64 * 1024,
		.queue_bytes = 4 << 20 };

	if ((fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) == -1 ||
	    (srv.base = event_base_new()) == NULL ||
	    (srv.peer = peer_open(srv.base, &fd, &conf, NULL)) == NULL)
		_exit(13);
	event_base_dispatch(srv.base);
	_exit(14);
}

/* ---- A session ------------------------------------------------------------ */

static char dir[] = "/tmp/test_ctl_cons.XXXXXX";
static char sock[64];

struct session {
	pid_t server, client;
	int in, out; /* our ends; the same one of a terminal */
	int err;     /* pipe from standard error; -1: the terminal */
	int slave;   /* of the terminal, or -1 */
	struct termios before;
};

static pid_t
server_fork(enum guest guest)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	strlcpy(sun.sun_path, sock, sizeof(sun.sun_path));
	unlink(sock);
	if (fd == -1 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(fd, 1) == -1)
		return (-1);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		memset(&srv, 0, sizeof(srv));
		srv.guest = guest;
		serve(fd);
	}
	close(fd);
	return (pid);
}

static void
client_main(const struct cons_conf *conf, int in, int out, int err)
{
	struct ctl ctl = { .socket = sock };
	struct err e = { 0 };
	int r;

	if (dup2(in, 0) == -1 || dup2(out, 1) == -1 || dup2(err, 2) == -1)
		_exit(20);
	closefrom(3);
	if ((r = cons_run(&ctl, conf, &e)) == -1)
		ctl_note("%s", e.text);
	ctl_close(&ctl);
	exit(r == 0 ? 0 : 1);
}

static void
session_open(struct session *s, enum guest guest, bool tty, bool watch)
{
	struct cons_conf conf = { .name = "web", .watch = watch };
	int in[2] = { -1, -1 }, out[2], err[2];

	strlcpy(conf.vm.name, "web", sizeof(conf.vm.name));
	s->slave = -1;
	s->server = server_fork(guest);
	REQUIRE(s->server > 0);
	REQUIRE(pipe2(err, O_CLOEXEC) == 0);
	if (tty) {
		REQUIRE(openpty(&s->in, &s->slave, NULL, NULL, NULL) == 0);
		REQUIRE(tcgetattr(s->slave, &s->before) == 0);
		s->out = s->in;
		in[0] = out[1] = s->slave;
	} else {
		REQUIRE(pipe2(in, O_CLOEXEC) == 0);
		REQUIRE(pipe2(out, O_CLOEXEC) == 0);
		s->in = in[1];
		s->out = out[0];
	}
	if ((s->client = fork()) == 0)
		client_main(&conf, in[0], out[1], err[1]);
	REQUIRE(s->client > 0);
	close(err[1]);
	s->err = err[0];
	if (!tty) {
		close(in[0]);
		close(out[1]);
	}
}

static int
status_of(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		continue;
	return (status);
}

/* Not memcmp(3): glibc's structure is longer than what the kernel fills. */
static bool
same_termios(const struct termios *a, const struct termios *b)
{
	return (a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag &&
	    a->c_cflag == b->c_cflag && a->c_lflag == b->c_lflag &&
	    memcmp(a->c_cc, b->c_cc, VEOL2 + 1) == 0);
}

/* The client ends by itself: its wait status; the terminal is as before. */
static int
session_close(struct session *s)
{
	int status = status_of(s->client);
	struct termios now;

	if (s->slave != -1) {
		CHECK_EQ(tcgetattr(s->slave, &now), 0);
		CHECK(same_termios(&now, &s->before));
		close(s->slave);
	}
	if (s->in != -1)
		close(s->in);
	if (s->out != s->in)
		close(s->out);
	close(s->err);
	CHECK_EQ(status_of(s->server), 0);
	return (status);
}

/* Read until text has come (NULL: the end); all of it as a string. */
static const char *
hear(int fd, const char *text)
{
	static char got[1 << 20]; /* more than any window */
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	ssize_t n;

	got[0] = '\0';
	while ((text == NULL || strstr(got, text) == NULL) &&
	    len < sizeof(got) - 1) {
		if (poll(&pfd, 1, LIMIT_MS) != 1) {
			tap_fail(__FILE__, __LINE__, "waited for \"%s\"",
			    text != NULL ? text : "the end");
			break;
		}
		n = read(fd, got + len, sizeof(got) - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		got[len] = '\0';
	}
	if (text != NULL)
		CHECK_MSG(strstr(got, text) != NULL, "no \"%s\" in \"%s\"",
		    text, got);
	return (got);
}

static void
type(const struct session *s, const char *keys)
{
	CHECK_EQ(write(s->in, keys, strlen(keys)), strlen(keys));
}

static bool
is_raw(const struct session *s)
{
	struct termios t;

	return (tcgetattr(s->slave, &t) == 0 && (t.c_lflag & ICANON) == 0 &&
	    (t.c_lflag & (ECHO | ISIG)) == 0 && (t.c_iflag & IXON) == 0);
}

/* ---- Cases ---------------------------------------------------------------- */

static void
test_terminal(void)
{
	struct session s;

	session_open(&s, ECHOES, true, false);
	hear(s.err, "connected to vm web");
	hear(s.out, "> ");
	CHECK(is_raw(&s));
	type(&s, "ab~.c\003\023\r");
	hear(s.out, "ab~.c\003\023\r"); /* ^C and ^S are the guest's */
	type(&s, "~?");
	hear(s.err, "~~ ");
	type(&s, "~#");
	hear(s.out, "BREAK");
	type(&s, "~~x\r~");
	hear(s.out, "~x\r");
	type(&s, ".");
	CHECK_EQ(session_close(&s), 0);
}

/* One way to end after the other; the terminal is what is looked at. */
static void
test_signals(void)
{
	static const int sigs[] = { SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGABRT,
		SIGSEGV };
	struct session s;
	size_t i;
	int status;

	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		session_open(&s, ECHOES, true, false);
		hear(s.out, "> ");
		CHECK(is_raw(&s));
		CHECK_EQ(kill(s.client, sigs[i]), 0);
		status = session_close(&s);
		CHECK(WIFSIGNALED(status));
		CHECK_EQ(WTERMSIG(status), sigs[i]);
	}
}

static void
test_suspend(void)
{
	struct session s;
	struct termios t;
	int status;

	session_open(&s, ECHOES, true, false);
	hear(s.out, "> ");
	type(&s, "~\032");
	CHECK(waitpid(s.client, &status, WUNTRACED) == s.client);
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(tcgetattr(s.slave, &t), 0);
	CHECK(same_termios(&t, &s.before));
	CHECK_EQ(kill(s.client, SIGCONT), 0);
	hear(s.err, "back in vm web");
	CHECK(is_raw(&s));
	type(&s, "x");
	hear(s.out, "x");
	type(&s, "\r~.");
	CHECK_EQ(session_close(&s), 0);
}

static void
test_vm_ends(void)
{
	struct session s;

	session_open(&s, ECHOES, true, false);
	hear(s.out, "> ");
	type(&s, "!");
	hear(s.err, "vm web has ended");
	CHECK_EQ(session_close(&s), 0);
}

static void
test_vmd_ends(void)
{
	struct session s;

	session_open(&s, LOST, true, false);
	hear(s.out, "> ");
	type(&s, "x");
	hear(s.err, "vmctl: vmd closed the connection");
	CHECK_EQ(WEXITSTATUS(session_close(&s)), 1);
}

static void
test_taken(void)
{
	struct session s;

	session_open(&s, TAKEN, true, false);
	hear(s.err, "root has the keyboard: you watch, ~t takes it");
	type(&s, "xyz\r~t"); /* the server ends if xyz comes */
	hear(s.err, "the keyboard is yours");
	type(&s, "k");
	hear(s.out, "k");
	type(&s, "\r~.");
	CHECK_EQ(session_close(&s), 0);
	session_open(&s, TAKEN, false, false);
	hear(s.err, "root has the keyboard of vm web: -t takes it");
	CHECK_EQ(WEXITSTATUS(session_close(&s)), 1);
}

/* A terminal that takes nothing any more: its keyboard is still heard. */
static void
test_stopped_terminal(void)
{
	struct session s;

	session_open(&s, FLOOD, true, false);
	hear(s.err, "connected");
	type(&s, "\r~.");
	CHECK_EQ(session_close(&s), 0);
}

static void
test_stream(void)
{
	static uint8_t buf[1 << 16];
	struct session s;
	uint64_t off = 0;
	ssize_t n, i;

	session_open(&s, STREAM, false, true);
	while ((n = read(s.out, buf, sizeof(buf))) > 0)
		for (i = 0; i < n; i++, off++)
			if (buf[i] != pattern(off)) {
				tap_fail(__FILE__, __LINE__, "byte %llu",
				    (unsigned long long)off);
				return;
			}
	CHECK_EQ(off, STREAM_BYTES);
	hear(s.err, "vm web has ended");
	CHECK_EQ(session_close(&s), 0);
}

/* More than any credit goes in by a pipe, and all of it comes back. */
static void
test_piped_keys(void)
{
	static uint8_t keys[300000], back[sizeof(HISTORY) + sizeof(keys)];
	struct pollfd pfd[2];
	struct session s;
	size_t sent = 0, got = 0, i;
	ssize_t n;

	for (i = 0; i < sizeof(keys); i++)
		keys[i] = (uint8_t)("~.\r\n\0abc\377"[i % 9]);
	keys[sizeof(keys) - 1] = '!';
	session_open(&s, ECHOES, false, false);
	CHECK_EQ(fcntl(s.in, F_SETFL, O_NONBLOCK), 0);
	for (;;) {
		pfd[0] = (struct pollfd){ .fd = s.out, .events = POLLIN };
		pfd[1] = (struct pollfd){ .fd = s.in, .events = POLLOUT };
		REQUIRE(poll(pfd, s.in != -1 ? 2 : 1, LIMIT_MS) > 0);
		if (s.in != -1 && pfd[1].revents != 0) {
			n = write(s.in, keys + sent, sizeof(keys) - sent);
			sent += n > 0 ? (size_t)n : 0;
			if (sent == sizeof(keys))
				fd_close(&s.in);
		}
		if (pfd[0].revents == 0)
			continue;
		n = read(s.out, back + got, sizeof(back) - got);
		if (n <= 0)
			break;
		got += (size_t)n;
	}
	CHECK_EQ(got, strlen(HISTORY) + sizeof(keys));
	CHECK(memcmp(back + strlen(HISTORY), keys, sizeof(keys)) == 0);
	CHECK_EQ(session_close(&s), 0);
}

static void
test_gap(void)
{
	struct session s;

	session_open(&s, GAPS, false, true);
	CHECK(strstr(hear(s.out, NULL), HISTORY) != NULL);
	hear(s.err, "4711 bytes are lost");
	CHECK_EQ(session_close(&s), 0);
}

static void
test_overrun(void)
{
	struct session s;
	siginfo_t si;

	session_open(&s, OVERRUN, false, true);
	/* It has been read by then, and our pipe had no room for it. */
	CHECK_EQ(waitid(P_PID, (id_t)s.server, &si, WEXITED | WNOWAIT), 0);
	hear(s.out, NULL);
	hear(s.err, "more than it had credit for");
	CHECK_EQ(WEXITSTATUS(session_close(&s)), 1);
}

/* The reader goes: an error, not a signal that leaves the terminal raw. */
static void
test_broken_pipe(void)
{
	struct session s;

	session_open(&s, FLOOD, false, true);
	close(s.out);
	s.out = s.in;
	hear(s.err, "standard output: Broken pipe");
	CHECK_EQ(WEXITSTATUS(session_close(&s)), 1);
}

static const struct tap_case cases[] = {
	{ "ctl console: a terminal, keys, escapes", test_terminal },
	{ "ctl console: the terminal after signals", test_signals },
	{ "ctl console: suspended and back", test_suspend },
	{ "ctl console: the VM ends", test_vm_ends },
	{ "ctl console: vmd ends", test_vmd_ends },
	{ "ctl console: another has the keyboard", test_taken },
	{ "ctl console: a stopped terminal", test_stopped_terminal },
	{ "ctl console: every byte by credit", test_stream },
	{ "ctl console: keys from a pipe", test_piped_keys },
	{ "ctl console: gaps are told", test_gap },
	{ "ctl console: data beyond credit", test_overrun },
	{ "ctl console: standard output is gone", test_broken_pipe },
};

int
main(int argc, char **argv)
{
	int status;

	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return (1);
	snprintf(sock, sizeof(sock), "%s/vmd.sock", dir);
	status = tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
	unlink(sock);
	rmdir(dir);
	return (status);
}
