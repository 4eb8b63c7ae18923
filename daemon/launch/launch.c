/* SPDX-License-Identifier: ISC */
/*
 * The role "launch": the parent's hand for processes that need calls which the
 * parent's own filter has not.  It is made before that is put on, and only if
 * vm.conf shares a directory; it knows one order and gives one answer.
 *
 * Runs in: launch.  Trusts: the parent; reads nothing of anybody else.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/launch/launch.h"
#include "daemon/proc/link.h"
#include "daemon/proc/proc.h"
#include "shared/fd.h"
#include "shared/peer.h"

struct launch {
	struct event_base *base;
	struct peer *parent;
	struct msg_launch of; /* whose socket it is */
	int sock;             /* came, and waits for its directory; or -1 */
};

static void
answer(struct launch *l, const struct msg_launch *m, pid_t pid,
    const struct err *why)
{
	struct msg_launched a = {
		.id = m->id,
		.index = m->index,
		.gen = m->gen,
		.pid = (uint32_t)pid,
	};

	a.why.code = why->code;
	memcpy(a.why.text, why->text, sizeof(a.why.text));
	peer_send(l->parent, MSG_LAUNCHED, 0, NULL, &a, sizeof(a));
}

/* Of the same device as the socket that is there? */
static bool
fits(const struct launch *l, const struct msg_launch *m)
{
	return (l->sock != -1 && l->of.id == m->id && l->of.index == m->index &&
	    l->of.gen == m->gen);
}

static int
on_launch(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_launch *m = msg->body;
	struct launch *l = ctx;
	pid_t pid = 0;

	(void)from;
	if (m->what == LAUNCHFD_SOCKET) {
		fd_close(&l->sock);
		l->sock = fd_move(&msg->fd);
		l->of = *m;
		return (0);
	}
	err_clear(e);
	if (!fits(l, m))
		err_set(e, EINVAL, "a directory without its socket");
	else
		(void)share_serve(m, l->sock, msg->fd, &pid, e);
	fd_close(&l->sock);
	answer(l, m, pid, e);
	err_clear(e);
	return (0);
}

static const struct msg_handler from_parent[] = {
	{ MSG_LAUNCH, on_launch },
	{ MSG_VERBOSE, link_verbose },
};

/* What it has made goes on without it. */
static void
parent_closed(void *ctx, struct peer *peer, const struct err *why)
{
	struct launch *l = ctx;

	(void)peer;
	(void)why;
	l->parent = NULL;
	event_base_loopbreak(l->base);
}

int
launch_run(const struct proc_start *start)
{
	struct launch l = { .base = event_base_new(), .sock = -1 };
	struct peer_conf conf = {
		.other = ROLE_PARENT,
		.handlers = from_parent,
		.nhandlers = sizeof(from_parent) / sizeof(from_parent[0]),
		.ctx = &l,
		.closed = parent_closed,
	};
	int fd = start->link_fd;
	struct err e;

	if (l.base == NULL ||
	    (l.parent = peer_open(l.base, &fd, &conf, &e)) == NULL)
		return (1);
	return (link_run(l.base, &l.parent, &filter_launch));
}
