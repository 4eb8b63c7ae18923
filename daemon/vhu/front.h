/* SPDX-License-Identifier: ISC */
/*
 * The front end of vhost-user (QEMU's docs/interop/vhost-user): what a vm
 * process asks of a device process.  Every call waits for the answer, as long as
 * the socket says (SO_RCVTIMEO).
 * Runs in: vm process, main thread.  Trusts: nobody; a back end that answers
 * wrongly, late or not at all is lost, and no more is asked of it.
 */
#ifndef VHU_FRONT_H
#define VHU_FRONT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "daemon/dev/vq.h"
#include "daemon/mach/mem.h"
#include "shared/err.h"

struct vhu_front {
	int sock;          /* owned; -1: there is no back end */
	bool lost;         /* of no more use: to be closed */
	bool has_mem;      /* it was given guest memory */
	uint64_t features; /* what it offers */
	uint64_t protocol; /* what was agreed */
	unsigned nqueues;  /* how many it has; 0: it cannot say */
	time_t until_s;    /* by when all must be answered */
};

struct vhu_front_queue {
	unsigned index;
	const struct vq_rings *rings;
	uint16_t base;                /* where in the avail ring to go on */
	int kick_fd, call_fd, err_fd; /* borrowed */
};

void vhu_front_init(struct vhu_front *);
/* Takes *sock; features, protocol features, owner, number of queues. */
int vhu_front_open(struct vhu_front *, int *sock, struct err *);
void vhu_front_close(struct vhu_front *);
/*
 * All that is asked until this is called again may take ten seconds together:
 * one that answers each request just in time has up to a hundred of them.
 * vhu_front_open() is the first such call.
 */
void vhu_front_begin(struct vhu_front *);
/* The first bytes of the device's configuration. */
int vhu_front_config(
    struct vhu_front *, void *buf, unsigned bytes, struct err *);
/*
 * Guest memory by its fd.  Addresses of rings are sent as those of the guest:
 * the two have only to agree, and say nothing of this process.
 */
int vhu_front_mem(struct vhu_front *, const struct mem *, struct err *);
/* What the guest has agreed to. */
int vhu_front_features(struct vhu_front *, uint64_t features, struct err *);
/*
 * Where it logs what is in flight: a region of vq_log_bytes(queue_size) for
 * each of nqueues.  Nothing where it keeps no log.
 */
int vhu_front_inflight(struct vhu_front *, int fd, unsigned nqueues,
    unsigned queue_size, struct err *);
int vhu_front_start(
    struct vhu_front *, const struct vhu_front_queue *, struct err *);
/* It stands, and would go on at *base. */
int vhu_front_stop(
    struct vhu_front *, unsigned index, uint16_t *base, struct err *);
/* virtio's device status, where it wants to know. */
int vhu_front_status(struct vhu_front *, uint8_t status, struct err *);
/* As after power-on, but for the connection; its queues stand. */
int vhu_front_reset(struct vhu_front *, struct err *);

#endif
