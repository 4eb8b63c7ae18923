/* SPDX-License-Identifier: ISC */
/*
 * The client library against a small server in the same loop: hello, versions,
 * requests and their answers, news, what is said when vmd is not there, and
 * the connection that comes back by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "regress/lib/tap.h"
#include "shared/client.h"
#include "shared/fd.h"
#include "shared/str.h"

enum mood { POLITE, REFUSES, OLD, HANGS_UP, STRANGE };

struct server {
	int listen_fd;
	struct event *ev;
	struct peer *peer;
	enum mood mood;
	unsigned hellos, lists, pauses;
	char hello_text[56];
};

struct seen {
	unsigned ups, downs, events, answers, rows;
	struct err why, err;
	enum msg_type last;
	struct client *close_in_down;
};

static struct event_base *base;
static char dir[] = "/tmp/test_client.XXXXXX";
static char sock[64];

/* ---- The server ----------------------------------------------------------- */

static int
serve_hello(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	const struct msg_hello *in = m->body;
	struct msg_hello h = { .version = PROTO_VERSION, .uid = 7 };
	struct server *s = ctx;

	s->hellos++;
	strlcpy(s->hello_text, in->text, sizeof(s->hello_text));
	strlcpy(h.text, "vmd 0.1", sizeof(h.text));
	switch (s->mood) {
	case POLITE:
		break;
	case REFUSES:
		return (err_set(e, EUSERS, "too many clients"));
	case OLD:
		h.version = PROTO_VERSION + 1;
		break;
	case STRANGE:
		return (peer_ok(p, m->reqno));
	case HANGS_UP:
		peer_close(p);
		s->peer = NULL;
		return (0);
	}
	return (peer_send(p, MSG_HELLO, m->reqno, NULL, &h, sizeof(h)));
}

static int
serve_list(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct msg_row row = { .ncpus = 1, .state = VM_RUNNING };
	struct msg_event ev = { .id = 1 };
	struct server *s = ctx;
	uint32_t i;

	(void)e;
	s->lists++;
	for (i = 1; i <= 3; i++) {
		row.id = i;
		snprintf(row.name, sizeof(row.name), "vm%u", i);
		peer_send(p, MSG_VM_ROW, m->reqno, NULL, &row, sizeof(row));
		/* News may come in between, and a row that nobody asked. */
		peer_send(p, MSG_EVENT, 0, NULL, &ev, sizeof(ev));
		peer_send(p, MSG_VM_ROW, 0, NULL, &row, sizeof(row));
		peer_send(p, MSG_VM_ROW, 4711, NULL, &row, sizeof(row));
	}
	return (peer_ok(p, m->reqno));
}

static int
serve_pause(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct server *s = ctx;

	(void)p;
	(void)m;
	s->pauses++;
	return (err_set(e, ENOENT, "no vm named web"));
}

/* Never answers: the connection ends first. */
static int
serve_wait(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct server *s = ctx;

	(void)m;
	(void)e;
	peer_close(p);
	s->peer = NULL;
	return (0);
}

static int
serve_lend(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct msg_lent r = { .id = 9 };
	int fd = dup(0);

	(void)ctx;
	(void)e;
	return (peer_send(p, MSG_LENT, m->reqno, &fd, &r, sizeof(r)));
}

static const struct msg_handler serves[] = {
	{ MSG_HELLO, serve_hello },
	{ MSG_LIST, serve_list },
	{ MSG_PAUSE, serve_pause },
	{ MSG_WAIT, serve_wait },
	{ MSG_LEND, serve_lend },
};

static void
serve_closed(void *ctx, struct peer *p, const struct err *why)
{
	struct server *s = ctx;

	(void)p;
	(void)why;
	s->peer = NULL;
}

static void
serve_accept(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	struct peer_conf conf = { .other = ROLE_CLIENT,
		.handlers = serves,
		.nhandlers = sizeof(serves) / sizeof(serves[0]),
		.ctx = s,
		.closed = serve_closed };
	int c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

	(void)what;
	REQUIRE(c != -1);
	peer_close(s->peer);
	s->peer = peer_open(base, &c, &conf, NULL);
	REQUIRE(s->peer != NULL);
}

static void
server_open(struct server *s, enum mood mood)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };

	memset(s, 0, sizeof(*s));
	s->mood = mood;
	strlcpy(sun.sun_path, sock, sizeof(sun.sun_path));
	unlink(sock);
	s->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	REQUIRE(bind(s->listen_fd, (struct sockaddr *)&sun, sizeof(sun)) == 0);
	REQUIRE(listen(s->listen_fd, 5) == 0);
	s->ev = event_new(
	    base, s->listen_fd, EV_READ | EV_PERSIST, serve_accept, s);
	REQUIRE(s->ev != NULL && event_add(s->ev, NULL) == 0);
}

static void
server_close(struct server *s)
{
	event_free(s->ev);
	fd_close(&s->listen_fd);
	peer_close(s->peer);
	s->peer = NULL;
	unlink(sock);
}

/* ---- The client's side ---------------------------------------------------- */

static void
on_up(void *ctx, struct client *c, const struct msg_hello *h)
{
	struct seen *s = ctx;

	(void)c;
	s->ups++;
	CHECK_EQ(h->uid, 7);
	CHECK_STR(h->text, "vmd 0.1");
}

static void
on_down(void *ctx, struct client *c, const struct err *why)
{
	struct seen *s = ctx;

	s->downs++;
	s->why = *why;
	if (s->close_in_down == c)
		client_close(c);
}

static int
on_event(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct seen *s = ctx;

	(void)p;
	(void)m;
	(void)e;
	s->events++;
	return (0);
}

static void
on_row(void *arg, const struct msg *m)
{
	const struct msg_row *row = m->body;
	struct seen *s = arg;

	CHECK_EQ(m->type, MSG_VM_ROW);
	CHECK_EQ(row->id, ++s->rows);
}

static void
on_answer(void *arg, struct client *c, const struct msg *m)
{
	struct seen *s = arg;

	(void)c;
	s->answers++;
	s->last = m->type;
	if (m->type == MSG_ERR)
		msg_to_err(m->body, &s->err);
}

static const struct msg_handler news[] = { { MSG_EVENT, on_event } };

static struct client *
open_at(const char *path, struct seen *s, unsigned retry_ms, struct err *e)
{
	struct client_conf conf = { .path = path,
		.text = "test 0.1",
		.handlers = news,
		.nhandlers = 1,
		.ctx = s,
		.up = on_up,
		.down = on_down,
		.retry_ms = retry_ms };

	memset(s, 0, sizeof(*s));
	return (client_open(base, &conf, e));
}

static void
ref(struct msg_ref *r, const char *name)
{
	memset(r, 0, sizeof(*r));
	strlcpy(r->vm.name, name, sizeof(r->vm.name));
}

/* Run the loop until *n is at least want; the test's own time limit is big. */
static void
run_until(const unsigned *n, unsigned want)
{
	while (*n < want)
		REQUIRE(event_base_loop(base, EVLOOP_ONCE) == 0);
}

/* ---- Cases ---------------------------------------------------------------- */

static void
test_path(void)
{
	unsetenv(CLIENT_SOCKET_ENV);
	CHECK_STR(client_path(NULL), CLIENT_SOCKET);
	CHECK_STR(client_path(""), CLIENT_SOCKET);
	setenv(CLIENT_SOCKET_ENV, "/x/y", 1);
	CHECK_STR(client_path(NULL), "/x/y");
	CHECK_STR(client_path("/a"), "/a");
	setenv(CLIENT_SOCKET_ENV, "", 1);
	CHECK_STR(client_path(NULL), CLIENT_SOCKET);
	unsetenv(CLIENT_SOCKET_ENV);
}

static void
test_call(void)
{
	struct msg_list list = { .flags = 0 };
	struct msg_ref r;
	struct server s;
	struct client *c;
	struct seen seen;
	struct err e;

	server_open(&s, POLITE);
	REQUIRE((c = open_at(sock, &seen, 0, &e)) != NULL);
	CHECK(!client_up(c));
	CHECK_EQ(client_ready(c, &e), 0);
	CHECK(client_up(c));
	CHECK_STR(s.hello_text, "test 0.1");
	CHECK_EQ(
	    client_call(c, MSG_LIST, &list, sizeof(list), on_row, &seen, &e),
	    0);
	CHECK_EQ(seen.rows, 3);
	CHECK_EQ(seen.events, 3);
	ref(&r, "web");
	CHECK_EQ(client_call(c, MSG_PAUSE, &r, sizeof(r), NULL, NULL, &e), -1);
	CHECK_EQ(e.code, ENOENT);
	CHECK_STR(e.text, "no vm named web");
	CHECK_EQ(s.hellos, 1);
	CHECK_EQ(seen.ups, 1);
	CHECK_EQ(seen.downs, 0);
	client_close(c);
	client_close(NULL);
	server_close(&s);
}

/* What breaks the table is not sent, and says so. */
static void
test_call_bad(void)
{
	struct server s;
	struct client *c;
	struct seen seen;
	struct err e;

	server_open(&s, POLITE);
	REQUIRE((c = open_at(sock, &seen, 0, &e)) != NULL);
	CHECK_EQ(client_send(c, MSG_CONS_CREDIT, NULL, 0), -1);
	CHECK_EQ(client_ready(c, &e), 0);
	CHECK_EQ(client_call(c, MSG_PAUSE, "x", 1, NULL, NULL, &e), -1);
	CHECK_EQ(e.code, EINVAL);
	CHECK_EQ(client_send(c, MSG_CONS_CREDIT, NULL, 0), -1);
	CHECK(client_up(c));
	client_close(c);
	server_close(&s);
}

static void
on_lent(void *arg, const struct msg *m)
{
	struct stat a, b;

	CHECK_EQ(m->type, MSG_LENT);
	CHECK(fstat(m->fd, &a) == 0 && fstat(0, &b) == 0);
	CHECK_EQ(a.st_ino, b.st_ino);
	*(int *)arg = m->fd;
}

/* What is lent comes as an fd, which is closed when it was looked at. */
static void
test_fd(void)
{
	struct msg_lend lend = { .bytes = 1 };
	struct server s;
	struct client *c;
	struct seen seen;
	struct err e;
	int fd = -1;

	server_open(&s, POLITE);
	REQUIRE((c = open_at(sock, &seen, 0, &e)) != NULL);
	CHECK_EQ(client_ready(c, &e), 0);
	CHECK_EQ(
	    client_call(c, MSG_LEND, &lend, sizeof(lend), on_lent, &fd, &e), 0);
	REQUIRE(fd != -1);
	CHECK(fcntl(fd, F_GETFD) == -1 && errno == EBADF);
	client_close(c);
	server_close(&s);
}

/* The end of the connection is everyone's answer. */
static void
test_gone(void)
{
	struct msg_ref r;
	struct server s;
	struct client *c;
	struct seen seen;
	struct err e;

	server_open(&s, POLITE);
	REQUIRE((c = open_at(sock, &seen, 0, &e)) != NULL);
	CHECK_EQ(client_ready(c, &e), 0);
	ref(&r, "web");
	CHECK(client_request(
		  c, MSG_WAIT, &r, sizeof(r), on_answer, &seen, &e) != 0);
	CHECK(client_request(
		  c, MSG_WAIT, &r, sizeof(r), on_answer, &seen, &e) != 0);
	run_until(&seen.downs, 1);
	CHECK_EQ(seen.answers, 2);
	CHECK_EQ(seen.last, MSG_ERR);
	CHECK_EQ(seen.err.code, ECONNRESET);
	CHECK_STR(seen.why.text, "vmd closed the connection");
	CHECK(!client_up(c));
	CHECK(client_peer(c) == NULL);
	CHECK_EQ(
	    client_request(c, MSG_WAIT, &r, sizeof(r), on_answer, &seen, &e),
	    0);
	CHECK_EQ(e.code, ENOTCONN);
	client_close(c);
	server_close(&s);
}

static void
check_refused(enum mood mood, int code, const char *text)
{
	struct server s;
	struct client *c;
	struct seen seen;
	struct err e;

	server_open(&s, mood);
	REQUIRE((c = open_at(sock, &seen, 0, &e)) != NULL);
	CHECK_EQ(client_ready(c, &e), -1);
	CHECK_EQ(e.code, code);
	CHECK_MSG(strstr(e.text, text) != NULL, "\"%s\"", e.text);
	CHECK_EQ(seen.ups, 0);
	CHECK_EQ(seen.downs, 1);
	client_close(c);
	server_close(&s);
}

static void
test_refused(void)
{
	check_refused(REFUSES, EUSERS, "too many clients");
	check_refused(OLD, EPROTO, "restart vmd");
	check_refused(STRANGE, EPROTO, "different versions");
	check_refused(HANGS_UP, ECONNRESET, "before it said hello");
}

static void
test_not_there(void)
{
	char path[200];
	struct server s;
	struct seen seen;
	struct err e;

	unlink(sock);
	CHECK(open_at(sock, &seen, 0, &e) == NULL);
	CHECK_EQ(e.code, ENOENT);
	CHECK(strstr(e.text, "vmd is not running (no socket at") != NULL);
	CHECK(strstr(e.text, "start it with") != NULL);
	server_open(&s, POLITE);
	event_free(s.ev);
	fd_close(&s.listen_fd);
	CHECK(open_at(sock, &seen, 0, &e) == NULL);
	CHECK_EQ(e.code, ECONNREFUSED);
	CHECK(strstr(e.text, "nobody listens") != NULL);
	unlink(sock);
	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	CHECK(open_at(path, &seen, 0, &e) == NULL);
	CHECK_EQ(e.code, ENAMETOOLONG);
}

/* In a child without root's rights: modes are nothing to root. */
static void
check_permission(mode_t mode, const char *text)
{
	struct seen seen;
	int status = -1;
	struct err e;
	pid_t pid;

	CHECK_EQ(chmod(sock, mode), 0);
	fflush(stdout);
	if ((pid = fork()) == 0) {
		if (getuid() == 0 &&
		    (setgroups(0, NULL) == -1 ||
			setresgid(65534, 65534, 65534) == -1 ||
			setresuid(65534, 65534, 65534) == -1))
			_exit(2);
		if (open_at(sock, &seen, 0, &e) != NULL || e.code != EACCES)
			_exit(3);
		_exit(strstr(e.text, text) != NULL ? 0 : 4);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(WEXITSTATUS(status), 0);
}

static void
test_permission(void)
{
	struct server s;

	server_open(&s, POLITE);
	CHECK_EQ(chmod(dir, 0711), 0);
	check_permission(0000, "only its owner");
	check_permission(0060, "only members of group");
	server_close(&s);
}

/* Down, down again, and up when the server is there; then once more. */
static void
test_retry(void)
{
	struct server s;
	struct client *c;
	struct seen seen;
	struct err e;

	unlink(sock);
	REQUIRE((c = open_at(sock, &seen, 5, &e)) != NULL);
	run_until(&seen.downs, 2);
	CHECK_EQ(seen.why.code, ENOENT);
	server_open(&s, POLITE);
	run_until(&seen.ups, 1);
	CHECK(client_up(c));
	peer_close(s.peer);
	s.peer = NULL;
	run_until(&seen.ups, 2);
	CHECK(client_up(c));
	CHECK_EQ(s.hellos, 2);
	client_close(c);
	/* Closing in the callback that tells the end is allowed. */
	REQUIRE((c = open_at(sock, &seen, 5, &e)) != NULL);
	run_until(&seen.ups, 1);
	seen.close_in_down = c;
	peer_close(s.peer);
	s.peer = NULL;
	run_until(&seen.downs, 1);
	server_close(&s);
}

static const struct tap_case cases[] = {
	{ "client: which path counts", test_path },
	{ "client: hello, rows, OK, ERR, news in between", test_call },
	{ "client: what breaks the table is not sent", test_call_bad },
	{ "client: an fd goes with a request", test_fd },
	{ "client: the end answers what is open", test_gone },
	{ "client: refusals and other versions, in words", test_refused },
	{ "client: no vmd, in words", test_not_there },
	{ "client: no permission, in words", test_permission },
	{ "client: comes back by itself", test_retry },
};

int
main(int argc, char **argv)
{
	int status;

	if (mkdtemp(dir) == NULL || (base = event_base_new()) == NULL)
		return (1);
	snprintf(sock, sizeof(sock), "%s/vmd.sock", dir);
	status = tap_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
	unlink(sock);
	rmdir(dir);
	event_base_free(base);
	return (status);
}
