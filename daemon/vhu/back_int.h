/* SPDX-License-Identifier: ISC */
/*
 * Inside of the back end: back.c, back_ring.c and back_log.c (requests, main
 * thread), backq.c (queue threads).
 */
#ifndef VHU_BACK_INT_H
#define VHU_BACK_INT_H

#include <pthread.h>

#include "daemon/vhu/back.h"

struct backq {
	struct vhu_back *b;
	struct vq *vq;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	/* lock: */
	bool run, quit;      /* what the main thread wants */
	bool runs;           /* main: true; its thread: false, standing */
	int call_fd, err_fd; /* -1: none */
	/* Main thread while it stands, its own while it runs. */
	int kick_fd;
	bool broken, stuck;     /* why it stands by itself */
	unsigned long wait_ctx; /* io_setup(2), for one poll of the kick */
	bool armed;             /* that poll is under way */
	/* Main thread only. */
	struct vhu_addr addr;
	bool have_addr, enabled;
	bool dead; /* its ring is broken as it is: not to be started */
	uint16_t size, base;
};

/* Memory that both ends see. */
struct back_log {
	int fd; /* -1: not ours to give */
	uint8_t *map;
	size_t bytes;
	unsigned nqueues, queue_size;
	bool given; /* our own: the front end has it */
};

struct vhu_back {
	struct vio vio;
	struct devpage *page;      /* NULL until open */
	pthread_mutex_t page_lock; /* of its words */
	uint64_t timer_ns; /* thread of queue 0, or main when it stands */
	struct backq q[VIO_QUEUES_MAX];
	unsigned nthreads;
	bool opened, ready; /* close() is due; open() went well */
	/* Main thread only. */
	uint64_t protocol; /* features negotiated */
	uint8_t status;
	bool wedged;  /* a queue did not stop */
	bool started; /* ops->start() was called */
	struct mem mem;
	struct vhu_mem table; /* for its user addresses */
	struct back_log own, shared;
};

/* back_ring.c */
int back_rings_stop(struct vhu_back *, struct err *);
/* All that can; the first error of several. */
int back_rings_start(struct vhu_back *, struct err *);
bool back_any_open(const struct vhu_back *);
int back_set_mem_table(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_set_vring_num(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_set_vring_addr(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_set_vring_base(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_get_vring_base(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_set_vring_kick(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_set_vring_call(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_set_vring_err(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_set_vring_enable(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);

/* back_log.c */
int back_log_make(struct vhu_back *, unsigned nqueues, struct err *);
void back_log_close(struct back_log *);
int back_get_inflight_fd(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
int back_set_inflight_fd(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);

/* backq.c.  All but bq_fail(), bq_broken(), the carrier: main thread. */
int bq_open(struct backq *, struct err *);
void bq_close(struct backq *);
/* The queue is open and may be served. */
void bq_start(struct backq *);
/*
 * On return its thread stands, with nothing in flight.  -1: it does not stop,
 * which no longer leaves anything to do but to end the process.
 */
int bq_stop(struct backq *, struct err *);
bool bq_runs(struct backq *);
/* Take *fd, which may be -1. */
void bq_set_call(struct backq *, int *fd);
void bq_set_err(struct backq *, int *fd);
/* Words into the page, and the bell. */
void bq_fail(struct backq *, const struct err *);
/* That its guest broke its ring: counted, told. */
void bq_broken(struct backq *);
/* Eventfds: a number of 8 bytes. */
int bq_ring(int fd, uint64_t n);
extern const struct vio_carrier back_carrier;

#endif
