/* SPDX-License-Identifier: ISC */
/*
 * One imsg channel on the event loop, and the only receive loop of the tree:
 * daemon, vmctl and vmtop all dispatch here.  A message that breaks the table
 * (proto.def) closes the channel; nothing a peer sends ends a process.
 */
#ifndef SHARED_PEER_H
#define SHARED_PEER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shared/err.h"
#include "shared/proto.h"

struct event_base;
struct peer;

struct msg {
	enum msg_type type;
	uint32_t reqno;   /* 0: pushed, nobody waits for an answer */
	const void *body; /* aligned, checked, valid during the call */
	size_t len;
	int fd; /* -1, or take it: fd = m->fd; m->fd = -1 */
};

/* A process's whole vocabulary towards one kind of peer, on one screen. */
struct msg_handler {
	enum msg_type type;
	/*
	 * 0, or -1 with *e filled: the loop then answers ERR with the same
	 * request number (when it is not 0 and the message is a request, not
	 * an answer or news) and the channel stays; it is closed with ENOBUFS
	 * when even that does not fit the queue.  May call peer_close() on
	 * this very peer.  An fd left in m->fd is closed.
	 */
	int (*fn)(void *ctx, struct peer *, struct msg *, struct err *e);
};

struct peer_conf {
	enum role other; /* who sits at the other end */
	const struct msg_handler *handlers;
	size_t nhandlers;
	void *ctx; /* for handlers and closed */
	/*
	 * The channel is gone: why->code 0: closed by the other side; else it
	 * broke a rule, or an errno.  The peer is freed after this returns.
	 * Not called for peer_close().
	 */
	void (*closed)(void *ctx, struct peer *, const struct err *why);
	/* Optional: the send queue went from above low_bytes to it or below. */
	void (*drained)(void *ctx, struct peer *);
	size_t low_bytes;
	size_t queue_bytes; /* limit of the send queue; 0: 1 MiB */
	/*
	 * Nothing of ours may be missing over there: a message that does not
	 * fit into the queue ends the channel.  closed() is not called from
	 * peer_send(), but from the loop.
	 */
	int lossless;
	/*
	 * No fd may come (ours may go): the kernel drops it, we never hold it,
	 * and the channel is closed.  Closing a file of a FUSE mount waits for its
	 * server for as long as that likes.
	 */
	int no_fds;
};

/* Takes *fd (stream socket, made non-blocking), leaves -1.  conf is copied. */
struct peer *peer_open(
    struct event_base *, int *fd, const struct peer_conf *, struct err *);
/* Send what is queued if it goes without blocking, close, free.  NULL: no-op. */
void peer_close(struct peer *);
/*
 * Queue a message; takes *fd if given (NULL: none) also on failure.  It goes out
 * from the event loop, with all that was queued meanwhile.  -1 when the queue is
 * over its limit (ENOBUFS), the other side is gone (EPIPE; closed() will come)
 * or the message breaks the table (EINVAL, logged: a bug of ours).
 */
int peer_send(struct peer *, enum msg_type, uint32_t reqno, int *fd,
    const void *body, size_t len);
/* The same with a head and data: for CHUNK messages. */
int peer_sendv(struct peer *, enum msg_type, uint32_t reqno,
    const struct iovec *, int niov);
int peer_ok(struct peer *, uint32_t reqno);
int peer_err(struct peer *, uint32_t reqno, const struct err *);
/* Bytes queued and not yet taken by the kernel. */
size_t peer_queued(const struct peer *);
/*
 * Stop and go on reading (flow control); writes go on.  No further handler runs
 * until then.  That the other side is gone is seen when something is sent or
 * reading goes on.
 */
void peer_pause(struct peer *, int paused);
/*
 * The other side has said who it is: from the next message on, also one that
 * was read already, it is this role, with these handlers.
 */
void peer_become(struct peer *, enum role other, const struct msg_handler *,
    size_t nhandlers);
int peer_fd(const struct peer *); /* borrowed, for getsockopt */
void *peer_ctx(const struct peer *);
/* Block until the queue is empty or limit_ms ran out: -1.  Not in a daemon. */
int peer_flush(struct peer *, int limit_ms);

#endif
