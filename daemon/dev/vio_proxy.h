/* SPDX-License-Identifier: ISC */
/*
 * A virtio device that another process serves, over vhost-user: what its guest
 * sees is here, its rings are there.  One table row a kind of device; the
 * carrier (vpci_proxy.c) starts and stops it.
 * Runs in: vm process; all but kick() in its main thread.  Trusts: nobody.
 */
#ifndef DEV_VIO_PROXY_H
#define DEV_VIO_PROXY_H

#include "daemon/dev/virtio.h"
#include "daemon/vhu/front.h"
#include "shared/devpage.h"

/* What the other process is asked for, and what is passed on to the guest. */
struct vio_proxy_kind {
	uint32_t kind;     /* enum dev_kind */
	uint64_t features; /* of the device's own bits: those that may pass */
	bool own_cfg;      /* it may know nothing of its configuration */
	bool polls; /* its kicks need not block: it does not wait there */
	/* Settle v->cfg and v->nqueues by what it said.  -1: nonsense. */
	int (*settle)(struct vio *, const struct devpage_conf *, struct err *);
};

struct vio_proxy {
	struct vhu_front front;
	struct devpage *page; /* borrowed */
	bool running;
	uint32_t started; /* queues that are, while it is running */
	bool died;        /* since they were: take what the log has */
	int kick_fd[VIO_QUEUES_MAX], call_fd[VIO_QUEUES_MAX], err_fd;
	int log_fd;
	uint8_t *log; /* one of vq_log_bytes(queue_max) a queue */
	size_t log_bytes;
	uint64_t broken_rings; /* of the page, when last seen */
	/* Does it go on?  See vio_proxy_look(). */
	uint16_t used[VIO_QUEUES_MAX];
	unsigned stalls;
	bool hung;
};

/*
 * The proxies.  open() takes conf->fd[0], the socket; the eventfds and the log
 * are made then, so that none has to be made in a sandbox.
 */
extern const struct vio_ops vio_proxy_blk, vio_proxy_fs;
/* That of a kind; NULL: no such kind. */
const struct vio_ops *vio_proxy_ops(uint32_t kind);

/* Where vq_open() of queue i is to log. */
struct vq_log *vio_proxy_log(struct vio *, unsigned i);
/*
 * Start all open queues where v->vq says, or where their rings and the log say
 * if their last server died.  -1: the other process is lost.
 */
int vio_proxy_start(
    struct vio *, const struct mem *, uint8_t status, struct err *);
/* Stop them; v->vq then says where they stand.  -1: it is lost. */
int vio_proxy_stop(struct vio *, struct err *);
/* Of one whose process is gone: where its queues stand, as far as is known. */
void vio_proxy_settle(struct vio *);
/*
 * The guest has reset it: nothing runs, nothing is logged, nothing was agreed.
 * -1: it is lost, and all of that is true all the more.
 */
int vio_proxy_reset(struct vio *, struct err *);
/* Nothing is in flight, whatever a process that is dead now has logged since. */
void vio_proxy_forget(struct vio *);
/* Another process takes the place of a dead one; takes *sock. */
int vio_proxy_replace(struct vio *, int *sock, struct err *);
bool vio_proxy_there(const struct vio *);
/* It is no longer: close its socket. */
void vio_proxy_drop(struct vio *);
/* Its last words, or those in *e if it left none. */
void vio_proxy_words(const struct vio *, struct err *e);

/* Requests wait, by the rings. */
bool vio_proxy_busy(const struct vio *);
/*
 * Called from time to time while it is busy: true when that has changed
 * hung, which is: requests wait and none was done since the call before last.
 */
bool vio_proxy_look(struct vio *, bool first);

#endif
