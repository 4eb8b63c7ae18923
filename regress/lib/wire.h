/* SPDX-License-Identifier: ISC */
/*
 * The other end of a link, for tests: blocking, with a limit of ten seconds a
 * step, no event loop.  Failures are reported with tap_fail().
 */
#ifndef REGRESS_WIRE_H
#define REGRESS_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "shared/imsg.h"
#include "shared/proto.h"

struct wire {
	int fd;
	struct imsgbuf buf;
};

struct wire_msg {
	uint32_t type, reqno;
	size_t len;
	int fd; /* -1, or the receiver's to close */
	union { /* aligned for any body */
		uint64_t align;
		uint8_t raw[MAX_IMSGSIZE];
		struct msg_err err;
		struct msg_row row;
		struct msg_attached attached;
		struct msg_cons_peers peers;
		struct msg_gap gap;
		struct msg_chunk chunk;
		struct msg_credit credit;
		struct msg_cons_closed closed;
		struct msg_figures figures;
		struct msg_start start;
		struct msg_lent lent;
		struct msg_hello hello;
	};
};

void wire_init(struct wire *, int fd); /* takes fd */
void wire_close(struct wire *);
/* fd: -1 or taken. */
void wire_send(struct wire *, uint32_t type, uint32_t reqno, int fd,
    const void *body, size_t len);
/* As wire_send, but the other side may have closed already. */
void wire_offer(struct wire *, uint32_t type, const void *body, size_t len);
void wire_send_chunk(
    struct wire *, uint32_t type, uint32_t chan, const void *data, size_t len);
/* The next message: 1; 0 closed by the other side or out of time. */
int wire_recv(struct wire *, struct wire_msg *);
/* The next message of that type; others are dropped (their fds closed). */
int wire_expect(struct wire *, uint32_t type, struct wire_msg *);
/* A message that is there now: 1, else 0. */
int wire_poll(struct wire *, struct wire_msg *);

#endif
