/* SPDX-License-Identifier: ISC */
/*
 * A connection to vmd's control socket: connects, says HELLO, numbers requests
 * and brings each answer to who asked.  On an event loop; vmctl, which asks
 * and waits, has client_ready() and client_call().
 */
#ifndef SHARED_CLIENT_H
#define SHARED_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shared/err.h"
#include "shared/peer.h"
#include "shared/proto.h"

#define CLIENT_SOCKET "/run/vmd.sock"
#define CLIENT_SOCKET_ENV "VMD_SOCKET"

struct event_base;
struct client;

struct client_conf {
	const char *path; /* NULL or "": environment, then default; copied */
	const char *text; /* who we are: "vmtop 0.1" */
	/*
	 * News: messages with request number 0, and consoles.  A type without
	 * a row here is left alone.  Bodies are checked (proto.def).
	 */
	const struct msg_handler *handlers;
	size_t nhandlers;
	void *ctx; /* of handlers, up and down */
	/*
	 * Optional: vmd has answered HELLO; also after each reconnect, when
	 * whatever was subscribed or attached must be so again.
	 */
	void (*up)(void *ctx, struct client *, const struct msg_hello *);
	/*
	 * Optional: the connection is gone or did not come about.  Open
	 * requests have had their ERR before.  May call client_close().
	 */
	void (*down)(void *ctx, struct client *, const struct err *why);
	/* Try again that long after it went down; 0: never. */
	unsigned retry_ms;
};

/* The path that counts: the given one, $VMD_SOCKET, CLIENT_SOCKET. */
const char *client_path(const char *given);

/*
 * Connect and send HELLO; up() or down() follow from the loop.  Without
 * retry_ms a connection that fails at once is NULL with *e; with it, that too
 * is told by down().  conf is copied, its handlers borrowed.
 */
struct client *client_open(
    struct event_base *, const struct client_conf *, struct err *);
/* Close and free; open requests are forgotten without a call.  NULL: no-op. */
void client_close(struct client *);
/* vmd has answered HELLO and the connection stands. */
bool client_up(const struct client *);
/* vmd's HELLO; valid while client_up(). */
const struct msg_hello *client_hello(const struct client *);
/* The channel, for peer_pause() and peer_queued(); NULL while it is down. */
struct peer *client_peer(struct client *);

/*
 * Ask.  fn is called for each answer with this request's number: VM_ROW any
 * number of times, and last OK, ERR, LENT, STARTED or CONS_ATTACHED.  A connection
 * that goes down answers ERR.  The number (> 0), or 0 with
 * *e when it could not be sent; fn is not called then.
 */
uint32_t client_request(struct client *, enum msg_type, const void *body,
    size_t len, void (*fn)(void *arg, struct client *, const struct msg *),
    void *arg, struct err *);
/* Send something that has no answer: credit, keys.  0, or -1 with errno. */
int client_send(struct client *, enum msg_type, const void *body, size_t len);
int client_sendv(
    struct client *, enum msg_type, const struct iovec *, int niov);

/* ---- Ask and wait: these run the loop; not from within a callback --------- */

/* Until HELLO is answered: 0, or -1 with why not (never with retry_ms). */
int client_ready(struct client *, struct err *);
/*
 * Send a request and wait for its end: 0, or -1 with vmd's words.  each, if
 * not NULL, gets every answer but OK and ERR; an fd is closed when it returns.
 */
int client_call(struct client *, enum msg_type, const void *body, size_t len,
    void (*each)(void *arg, const struct msg *), void *arg, struct err *);

#endif
