/* SPDX-License-Identifier: ISC */
/*
 * Clients: who they are, what they ask, and passing that on to the parent in
 * their name.  A client that breaks a rule or does not read loses its
 * connection and nothing else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/control/control.h"
#include "daemon/proc/perm.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define VERSION_TEXT "vmd 0.1"

/* ---- requests on their way ---- */

/* The parent is told, or who comes and goes would fill its memory. */
static void
requests_forget(struct client *cl)
{
	struct control *ctl = cl->ctl;
	struct request *r, *next;

	for (r = TAILQ_FIRST(&ctl->requests); r != NULL; r = next) {
		next = TAILQ_NEXT(r, entry);
		if (r->client != cl)
			continue;
		r->client = NULL;
		if (peer_send(ctl->parent, MSG_FORGET, r->up, NULL, NULL, 0) ==
		    -1)
			continue; /* its answer will end it */
		TAILQ_REMOVE(&ctl->requests, r, entry);
		free(r);
	}
}

/* Every forwarded body begins with the credentials: ours, not the client's. */
static int
forward(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct client *cl = ctx;
	struct control *ctl = cl->ctl;
	struct request *r;
	union {
		struct msg_cred cred;
		struct msg_start start;
		struct msg_stop stop;
		struct msg_load load;
		struct msg_lend lend;
	} body;

	(void)from;
	bug_on(msg->len > sizeof(body));
	if (cl->nrequests >= REQUESTS_MAX)
		return (err_set(e, EBUSY, "%d requests are unanswered: wait",
		    REQUESTS_MAX));
	if ((r = calloc(1, sizeof(*r))) == NULL)
		return (err_errno(e, "request"));
	memcpy(&body, msg->body, msg->len);
	body.cred = cl->cred;
	if (++ctl->next_request == 0)
		ctl->next_request = 1;
	r->up = ctl->next_request;
	r->down = msg->reqno;
	r->client = cl;
	if (peer_send(ctl->parent, msg->type, r->up, NULL, &body, msg->len) ==
	    -1) {
		free(r);
		return (err_set(e, EAGAIN, "vmd is busy: try once more"));
	}
	cl->nrequests++;
	TAILQ_INSERT_TAIL(&ctl->requests, r, entry);
	return (0);
}

/* The parent's answer, under the client's own number. */
void
client_answer(struct control *ctl, struct msg *msg)
{
	struct request *r;

	TAILQ_FOREACH(r, &ctl->requests, entry)
		if (r->up == msg->reqno)
			break;
	if (r == NULL)
		return;
	TAILQ_REMOVE(&ctl->requests, r, entry);
	if (r->client != NULL) {
		r->client->nrequests--;
		peer_send(r->client->peer, msg->type, r->down, &msg->fd,
		    msg->body, msg->len);
	}
	free(r);
}

/* ---- what they ask of control itself ---- */

static int
on_hello(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_hello *m = msg->body;
	struct client *cl = ctx;
	struct msg_hello r = { .version = PROTO_VERSION, .uid = cl->cred.uid };

	if (m->version != PROTO_VERSION)
		return (err_set(e, EPROTONOSUPPORT,
		    "you speak version %u of "
		    "the protocol, this vmd %u: install both of one release",
		    m->version, PROTO_VERSION));
	strlcpy(r.text, VERSION_TEXT, sizeof(r.text));
	peer_send(from, MSG_HELLO, msg->reqno, NULL, &r, sizeof(r));
	return (0);
}

const struct msg_handler from_client[] = {
	{ MSG_HELLO, on_hello },
	{ MSG_LIST, on_list },
	{ MSG_SUBSCRIBE, on_subscribe },
	{ MSG_LEND, forward },
	{ MSG_START, forward },
	{ MSG_STOP, forward },
	{ MSG_PAUSE, forward },
	{ MSG_UNPAUSE, forward },
	{ MSG_REBOOT, forward },
	{ MSG_WAIT, forward },
	{ MSG_LOAD, forward },
	{ MSG_RELOAD, forward },
	{ MSG_RESET, forward },
	{ MSG_LOGLEVEL, forward },
	{ MSG_CONS_ATTACH, on_attach },
	{ MSG_CONS_DETACH, on_detach },
	{ MSG_CONS_CREDIT, on_credit },
	{ MSG_CONS_INPUT, on_input },
	{ MSG_CONS_BREAK, on_break },
	{ MSG_CONS_TAKE, on_take },
};
const size_t nfrom_client = sizeof(from_client) / sizeof(from_client[0]);

/* ---- connections ---- */

static void
client_free(struct client *cl)
{
	struct control *ctl = cl->ctl;

	attach_drop_all(cl);
	held_client_gone(cl);
	requests_forget(cl);
	view_client_gone(cl);
	TAILQ_REMOVE(&ctl->clients, cl, entry);
	ctl->nclients--;
	free(cl);
}

static void
client_closed(void *ctx, struct peer *peer, const struct err *why)
{
	struct client *cl = ctx;

	(void)peer;
	if (why->code != 0)
		log_guest("client of uid %u: %s", cl->cred.uid, why->text);
	client_free(cl);
}

void
client_drop(struct client *cl, const char *why)
{
	log_guest("client of uid %u: %s", cl->cred.uid, why);
	peer_close(cl->peer);
	client_free(cl);
}

static void
client_drained(void *ctx, struct peer *peer)
{
	struct client *cl = ctx;

	(void)peer;
	list_go_on(cl);
	attach_pump_all(cl);
}

/*
 * Who does not read holds memory of ours.  One may be behind for a while by as
 * much as its queue takes; all clients of one user together by less than as
 * many queues.
 */
static bool
client_lags(const struct client *cl)
{
	const struct client *c;
	size_t bytes = 0;

	if (cl->cred.uid == 0 || peer_queued(cl->peer) <= CLIENT_LOW)
		return (false);
	TAILQ_FOREACH(c, &cl->ctl->clients, entry)
		if (c->cred.uid == cl->cred.uid)
			bytes += peer_queued(c->peer);
	return (bytes > CLIENT_QUEUE_UID);
}

void
client_push(struct control *ctl, uint32_t subs, enum msg_type type,
    const void *body, size_t len)
{
	struct client *cl, *next;

	for (cl = TAILQ_FIRST(&ctl->clients); cl != NULL; cl = next) {
		next = TAILQ_NEXT(cl, entry);
		if ((cl->subs & subs) == 0)
			continue;
		if (client_lags(cl) ||
		    peer_send(cl->peer, type, 0, NULL, body, len) == -1)
			client_drop(cl, "does not read what it subscribed to");
	}
}

/* Who is at the other end: uid, gid, and the groups it had at connect(2). */
static int
client_cred(int fd, struct msg_cred *cred)
{
	gid_t groups[CRED_GROUPS];
	socklen_t len = sizeof(struct ucred);
	struct ucred uc;
	uint32_t i;

	memset(cred, 0, sizeof(*cred));
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &uc, &len) == -1)
		return (-1);
	cred->uid = uc.uid;
	cred->gid = uc.gid;
	len = sizeof(groups);
	/* Of more groups than fit none counts: never more rights than true. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == -1)
		return (0);
	cred->ngroups = len / sizeof(groups[0]);
	for (i = 0; i < cred->ngroups; i++)
		cred->groups[i] = groups[i];
	return (0);
}

/* One user must not take the places of the others, nor all of them root's. */
static int
client_room(
    const struct control *ctl, const struct msg_cred *cred, struct err *e)
{
	const struct client *cl;
	unsigned n = 0, most = CLIENTS_MAX;

	if (cred->uid != 0) {
		most -= CLIENTS_ROOT;
		TAILQ_FOREACH(cl, &ctl->clients, entry)
			n += cl->cred.uid == cred->uid;
		if (n >= CLIENTS_UID)
			return (err_set(e, EMFILE,
			    "%u clients of uid %u are connected already", n,
			    cred->uid));
	}
	if (ctl->nclients >= most)
		return (err_set(e, EMFILE, "%u clients are connected already",
		    ctl->nclients));
	return (0);
}

static int
client_open(struct control *ctl, int *fd, struct err *e)
{
	struct peer_conf conf = {
		.other = ROLE_CLIENT,
		.handlers = from_client,
		.nhandlers = nfrom_client,
		.closed = client_closed,
		.no_fds = 1,
		.drained = client_drained,
		.low_bytes = CLIENT_LOW,
		.queue_bytes = CLIENT_QUEUE,
	};
	struct client *cl;

	if ((cl = calloc(1, sizeof(*cl))) == NULL)
		return (err_errno(e, "client"));
	cl->ctl = ctl;
	if (client_cred(*fd, &cl->cred) == -1) {
		err_errno(e, "SO_PEERCRED");
		free(cl);
		return (-1);
	}
	if (client_room(ctl, &cl->cred, e) == -1) {
		free(cl);
		return (-1);
	}
	conf.ctx = cl;
	if ((cl->peer = peer_open(ctl->base, fd, &conf, e)) == NULL) {
		free(cl);
		return (-1);
	}
	TAILQ_INSERT_TAIL(&ctl->clients, cl, entry);
	ctl->nclients++;
	return (0);
}

static void
accept_again(int fd, short what, void *arg)
{
	struct control *ctl = arg;

	(void)fd;
	(void)what;
	event_add(ctl->ev_listen, NULL);
}

static void
on_accept(int fd, short what, void *arg)
{
	struct timeval second = { .tv_sec = 1 };
	struct control *ctl = arg;
	struct err e;
	int client;

	(void)what;
	client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (client == -1) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
		    errno == ENOBUFS) {
			log_guest(
			    "accept: %s; waiting a second", strerror(errno));
			event_del(ctl->ev_listen);
			event_add(ctl->ev_accept_again, &second);
		}
		return;
	}
	if (client_open(ctl, &client, &e) == -1)
		log_guest("client refused: %s", e.text);
	fd_close(&client);
}

int
client_listen(struct control *ctl, int *fd, struct err *e)
{
	ctl->listen_fd = fd_move(fd);
	ctl->ev_listen = event_new(
	    ctl->base, ctl->listen_fd, EV_READ | EV_PERSIST, on_accept, ctl);
	ctl->ev_accept_again = evtimer_new(ctl->base, accept_again, ctl);
	if (ctl->ev_listen == NULL || ctl->ev_accept_again == NULL ||
	    event_add(ctl->ev_listen, NULL) == -1)
		return (err_set(e, EINVAL,
		    "the control socket cannot be "
		    "watched"));
	return (0);
}
