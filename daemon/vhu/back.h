/* SPDX-License-Identifier: ISC */
/*
 * The back end of vhost-user: any struct vio_ops, one thread a queue.  All that
 * takes memory or makes threads is in vhu_back_new(), so that the rest runs
 * under a filter that has neither.
 * Runs in: device processes; tests.  Trusts: nobody.
 */
#ifndef VHU_BACK_H
#define VHU_BACK_H

#include "daemon/dev/virtio.h"
#include "daemon/vhu/wire.h"

#define VHU_BACK_PROTOCOL                                                      \
	(VHU_P_MQ | VHU_P_REPLY_ACK | VHU_P_CONFIG | VHU_P_INFLIGHT_SHMFD |    \
	    VHU_P_RESET_DEVICE | VHU_P_STATUS)

struct vhu_back;

/*
 * Up to nqueues queues of a device (no more than ops->nqueues): a parked thread
 * and aio contexts each.  Returns when every thread stands still.
 */
struct vhu_back *vhu_back_new(
    const struct vio_ops *, unsigned nqueues, struct err *);
/* Before the sandbox is shut: vio_ops.prepare(), with what open() gets. */
int vhu_back_prepare(struct vhu_back *, const struct vio_conf *, struct err *);
/* Open the device itself.  Borrows the page for good. */
int vhu_back_open(struct vhu_back *, const struct vio_conf *, struct err *);
/*
 * Serve one front end until it goes: 0.  -1: it broke the protocol, or a queue
 * did not stop.  Afterwards all of its queues stand and nothing it gave is held;
 * after a queue that did not stop the process can only end.
 */
int vhu_back_serve(struct vhu_back *, int sock, struct err *);
/* Stops its threads; NULL is allowed. */
void vhu_back_free(struct vhu_back *);

/*
 * One request, which was judged by vhu_check(); takes those of its fds that it
 * keeps.  1: send reply (its fds are not to be closed), 0: there is none, -1:
 * refused, close the connection.
 */
int vhu_back_request(
    struct vhu_back *, struct vhu_msg *, struct vhu_msg *reply, struct err *);
/* The front end has gone: as vhu_back_serve() leaves things. */
int vhu_back_hangup(struct vhu_back *, struct err *);

#endif
