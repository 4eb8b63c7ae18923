/* SPDX-License-Identifier: ISC */
/* The start of a process that hangs on the parent: see link.h. */
#include <string.h>
#include <sys/uio.h>

#include <event2/event.h>

#include "daemon/proc/link.h"
#include "daemon/proc/sandbox.h"
#include "shared/log.h"

static void
log_sink(void *ctx, int prio, const char *line)
{
	struct peer **peer = ctx;
	struct msg_logline head = { .prio = (uint32_t)prio };
	struct iovec iov[2];

	if (*peer == NULL)
		return;
	head.len = strnlen(line, LOG_LINE_BYTES - 1);
	iov[0].iov_base = &head;
	iov[0].iov_len = sizeof(head);
	iov[1].iov_base = (void *)(uintptr_t)line;
	iov[1].iov_len = head.len;
	/* A full queue: the line is lost, the process goes on. */
	peer_sendv(*peer, MSG_LOG, 0, iov, 2);
}

int
link_run(struct event_base *base, struct peer **parent,
    const struct sandbox_filter *filter)
{
	struct err e;

	log_setsink(log_sink, parent);
	if (sandbox_filter_enter(filter, &e) == -1) {
		log_warnx("%s", e.text);
		peer_flush(*parent, 1000);
		return (1);
	}
	event_base_dispatch(base);
	return (0);
}

int
link_verbose(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_level *m = msg->body;

	(void)ctx;
	(void)from;
	(void)e;
	log_setverbose((int)m->level);
	return (0);
}
