/* SPDX-License-Identifier: ISC */
/* Log lines of a process without a log of its own: see link.h. */
#include <string.h>
#include <sys/uio.h>

#include "daemon/proc/link.h"
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

void
log_to_peer(struct peer **peer)
{
	log_setsink(log_sink, peer);
}
