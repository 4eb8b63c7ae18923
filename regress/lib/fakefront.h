/* SPDX-License-Identifier: ISC */
/*
 * A front end of vhost-user and a guest's driver in one, against our back end in
 * a thread of this process: any struct vio_ops behind a socket.
 */
#ifndef REGRESS_FAKEFRONT_H
#define REGRESS_FAKEFRONT_H

#include <pthread.h>

#include "daemon/proc/sandbox.h"
#include "daemon/vhu/back.h"
#include "shared/devpage.h"

#define FF_MEM_BYTES (2u << 20)
#define FF_QUEUES 4
#define FF_USER 0x7f0000000000ull /* where "we" have guest memory */
/* Where ff_queue() puts rings, 64 KiB each, and what tests may use. */
#define FF_RINGS 0x10000
#define FF_DATA 0x100000

#define FF_NEXT 1
#define FF_WRITE 2

struct ff_queue {
	uint16_t size, avail_idx, used_seen;
	uint64_t desc, avail, used;
	int kick, call, err;
};

struct fakefront {
	struct mem mem;
	struct devpage *page;
	int page_fd;
	struct devpage_conf conf;
	struct vhu_back *b;
	pthread_t server;
	int sock, back_sock;
	int served; /* of vhu_back_serve(), once it ended */
	struct err why;
	pid_t pid; /* ff_spawn() */
	struct ff_queue q[FF_QUEUES];
};

/* The device is open and its back end serves.  fd: as vio_conf's. */
void ff_open(struct fakefront *, const struct vio_ops *, unsigned nqueues,
    int *fd, unsigned nfds);
void ff_close(struct fakefront *);
/*
 * The same with the back end in a process of its own, under its filter: first
 * all else, then (again and again) the process.  From one thread only.
 */
void ff_open_process(struct fakefront *, unsigned nqueues);
void ff_spawn(struct fakefront *, const struct vio_ops *,
    const struct sandbox_filter *, int *fd, unsigned nfds);
/* Send it sig (0: none), hang up; what waitpid(2) says of it. */
int ff_reap(struct fakefront *, int sig);
/* Another connection to the same back end, after the last one's end. */
void ff_hangup(struct fakefront *);
void ff_connect(struct fakefront *);
/* Wait until the back end has closed; what vhu_back_serve() said. */
int ff_wait_end(struct fakefront *);

/*
 * Send a request; with REPLY_ACK negotiated by ff_hello() every one is answered:
 * 0 yes, 1 no, -1 closed.  fds stay the caller's.
 */
int ff_send(struct fakefront *, struct vhu_msg *);
/* Send it and receive the reply to it: 0 or -1. */
int ff_ask(struct fakefront *, struct vhu_msg *, struct vhu_msg *reply);
int ff_u64(struct fakefront *, uint32_t request, uint64_t v);
int ff_state(struct fakefront *, uint32_t request, uint32_t i, uint32_t n);
int ff_fd(struct fakefront *, uint32_t request, uint32_t i, int fd);
uint64_t ff_get(struct fakefront *, uint32_t request);
/* GET_VRING_BASE; -1: closed. */
int ff_base(struct fakefront *, uint32_t i);

/* Protocol features, owner, features (as offered, less without). */
void ff_hello(struct fakefront *, uint64_t without);
int ff_mem_table(struct fakefront *);
/* All of a new ring but its kick and enable; its eventfds stay. */
void ff_queue(struct fakefront *, unsigned i, uint16_t size);
/* Its messages again, of a ring that goes on; base as given. */
void ff_queue_send(struct fakefront *, unsigned i, uint16_t base);
/* Kick and enable. */
int ff_start(struct fakefront *, unsigned i);
/* hello without event index, memory, and that many queues that run. */
void ff_up(struct fakefront *, unsigned nqueues, uint16_t size);

void ff_desc(struct fakefront *, unsigned q, unsigned i, uint64_t addr,
    uint32_t len, uint16_t flags, uint16_t next);
void ff_avail(struct fakefront *, unsigned q, uint16_t head);
void ff_kick(struct fakefront *, unsigned q);
/* The next used element, if there is one. */
bool ff_used(struct fakefront *, unsigned q, uint32_t *id, uint32_t *len);
/* The same; sleeps in the call's eventfd until there is. */
void ff_used_wait(struct fakefront *, unsigned q, uint32_t *id, uint32_t *len);
/* Is there a number in it within 5 s? */
bool ff_bell(int fd);

#endif
