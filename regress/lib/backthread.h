/* SPDX-License-Identifier: ISC */
/*
 * A device process in a thread: our back end serves any struct vio_ops on one
 * end of a socketpair; and the proxy's table for it, so that a test can run the
 * same device here and there.
 */
#ifndef REGRESS_BACKTHREAD_H
#define REGRESS_BACKTHREAD_H

#include <pthread.h>

#include "daemon/dev/vio_proxy.h"
#include "daemon/vhu/back.h"
#include "shared/devpage.h"

struct backthread {
	struct devpage page;
	struct devpage_conf conf;
	struct vhu_back *b;
	pthread_t thread;
	int end;  /* the back end's */
	int sock; /* the front end's, until somebody takes it */
	int rc;
	struct err why;
	struct vio_proxy_kind kind;
	struct vio_ops proxy;
	struct vio_conf vio; /* of the proxy */
};

/* conf: NULL for one that needs none; fd: its images.  Aborts if it cannot. */
void backthread_open(struct backthread *, const struct vio_ops *,
    const struct devpage_conf *, int *fd, unsigned nfds);
/* As if it died: its front end reads the end. */
void backthread_kill(struct backthread *);
/* After the front end has gone: waits, returns vhu_back_serve()'s word. */
int backthread_join(struct backthread *);
/* Serve again, from a new socket. */
void backthread_again(struct backthread *);
void backthread_close(struct backthread *);

#endif
