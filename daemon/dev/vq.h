/* SPDX-License-Identifier: ISC */
/*
 * Split virtqueues, the device's side (virtio 1.2, 2.7).  Needs guest memory
 * and nothing else, so that it serves vm processes, device processes and
 * fuzzers alike.
 * Trusts: nobody; the guest changes any byte of a ring at any time.
 */
#ifndef DEV_VQ_H
#define DEV_VQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "daemon/mach/mem.h"

#define VQ_SIZE_MAX 256

struct vq_rings {
	uint64_t desc_gpa, avail_gpa, used_gpa;
	uint16_t size; /* a power of two */
};

struct vq {
	const struct mem *mem; /* borrowed; NULL: closed */
	struct vq_rings rings;
	uint8_t *desc, *avail, *used; /* the rings, checked */
	uint16_t next_avail, next_used;
	uint16_t signalled; /* next_used when the guest was last told */
	bool indirect, event_idx;
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
 * aligned, not in RAM, or one upon another; the queue stays closed.
 */
int vq_open(struct vq *, const struct mem *, const struct vq_rings *,
    bool indirect, bool event_idx);
void vq_close(struct vq *);
bool vq_is_open(const struct vq *);
/*
 * The next request: 1 filled, 0 none, -1 the guest broke the ring: the device
 * needs a reset and may not call again before it.  The buffers are RAM until
 * the queue is closed.  After 0 the guest notifies of the next one.
 */
int vq_pop(struct vq *, struct vq_chain *);
/* Done, with the first written_bytes of the in buffers written.  T16. */
void vq_push(struct vq *, const struct vq_chain *, uint32_t written_bytes);
/* Does the guest want an interrupt for what was pushed since the last call? */
bool vq_signal(struct vq *);

#endif
