/* SPDX-License-Identifier: ISC */
/*
 * Split virtqueues, the device's side (virtio 1.2, 2.7).  Needs guest memory
 * and nothing else, so that it serves vm processes, device processes and
 * fuzzers alike.
 * Trusts: nobody; the guest changes any byte of a ring at any time.
 */
#ifndef DEV_VQ_H
#define DEV_VQ_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "daemon/mach/mem.h"

#define VQ_SIZE_MAX 1024

struct vq_rings {
	uint64_t desc_gpa, avail_gpa, used_gpa;
	uint16_t size; /* a power of two */
};

/*
 * Which requests are in flight, where a server's death does not reach it:
 * vhost-user's "Inflight I/O tracking", split virtqueues.  Zeros for a ring that
 * is new.  Who shares it may have written anything there.
 */
struct vq_log_desc {
	uint8_t inflight, pad[5];
	uint16_t next;
	uint64_t counter;
};

struct vq_log {
	uint64_t features;
	uint16_t version, desc_num, last_batch_head, used_idx;
	struct vq_log_desc desc[];
};
_Static_assert(sizeof(struct vq_log_desc) == 16, "vhost-user");
_Static_assert(sizeof(struct vq_log) == 16, "vhost-user");

struct vq {
	const struct mem *mem; /* borrowed; NULL: closed */
	struct vq_rings rings;
	uint8_t *desc, *avail, *used; /* the rings, checked */
	uint16_t next_avail, next_used;
	uint16_t signalled; /* next_used when the guest was last told */
	bool indirect, event_idx;
	atomic_bool stopped;
	struct vq_log *log; /* borrowed, vq_log_bytes(); NULL: none */
	uint64_t counter;   /* of the next request that is logged */
	/* vq_resume(): still to be done again, and after which entry. */
	uint16_t again;
	uint32_t again_slot;
	uint64_t again_counter;
};

/*
 * A request: private but for the bytes themselves, which the guest may still
 * change: read each of them once.  Buffers of no length are left out.
 */
struct vq_chain {
	uint16_t head;
	unsigned nout, nin;
	uint32_t out_bytes,
	    in_bytes;     /* what the device reads, what it writes */
	struct iovec *in; /* iov + nout */
	struct iovec iov[VQ_SIZE_MAX];
};

/*
 * Where the guest says that the rings are.  -1: not a power of two, not
 * aligned, not in RAM, or one upon another; the queue stays closed.  The log is
 * borrowed until vq_close(); NULL: what is in flight is in no log.
 */
int vq_open(struct vq *, const struct mem *, const struct vq_rings *,
    bool indirect, bool event_idx, struct vq_log *);
/* Bytes of the log of a queue of that size, a multiple of 64. */
size_t vq_log_bytes(unsigned size);
/*
 * Go on where an earlier server of this ring stopped: what it had given back is
 * in the ring, what it had in flight is in the log and comes out of vq_pop()
 * first, oldest first.  Without a log, nothing is in flight.  -1: log and ring
 * cannot both be true.
 */
int vq_resume(struct vq *);
/* Has the guest made no more available than the ring has room for? */
bool vq_ring_ok(const struct vq *);
/* How many requests of the log are in flight. */
unsigned vq_inflight(const struct vq *);
/* From any thread: vq_pop() returns 0 as if there were none, until false. */
void vq_stop(struct vq *, bool);
bool vq_stopped(const struct vq *);
/*
 * After vq_resume(): forget what the log has in flight, and take next what the
 * guest made available as number next_avail.  -1: the ring has no such place.
 */
int vq_forget(struct vq *, uint16_t next_avail);
void vq_close(struct vq *);
bool vq_is_open(const struct vq *);
/*
 * The next request: 1 filled, 0 none, -1 the guest broke the ring: the device
 * needs a reset and may not call again before it.  The buffers are RAM until
 * the queue is closed.  After 0 the guest notifies of the next one.
 */
int vq_pop(struct vq *, struct vq_chain *);
/*
 * Would vq_pop() have something to say?  Only a look: a guest whose requests are
 * being done need not notify, which is an exit.
 */
bool vq_waits(const struct vq *);
/* Done, with the first written_bytes of the in buffers written.  T16. */
void vq_push(struct vq *, const struct vq_chain *, uint32_t written_bytes);
/* Does the guest want an interrupt for what was pushed since the last call? */
bool vq_signal(struct vq *);

#endif
