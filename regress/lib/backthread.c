/* SPDX-License-Identifier: ISC */
/* A device process in a thread: see backthread.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "regress/lib/backthread.h"
#include "shared/fd.h"

static void
fail(const char *what, const struct err *e)
{
	fprintf(stderr, "backthread: %s: %s\n", what, e->text);
	abort();
}

static void *
serve(void *arg)
{
	struct backthread *t = arg;

	t->rc = vhu_back_serve(t->b, t->end, &t->why);
	shutdown(t->end, SHUT_RDWR);
	return (NULL);
}

void
backthread_again(struct backthread *t)
{
	struct timeval limit = { .tv_sec = 5 };
	struct err e;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1 ||
	    setsockopt(sv[1], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
		-1) {
		err_errno(&e, "socketpair");
		fail("socket", &e);
	}
	t->end = sv[0];
	t->sock = sv[1];
	if (pthread_create(&t->thread, NULL, serve, t) != 0)
		abort();
}

/* What its kind passes on is all that the device has. */
static int
settle(struct vio *v, const struct devpage_conf *conf, struct err *e)
{
	(void)v;
	(void)conf;
	(void)e;
	return (0);
}

static void
proxy_fill(struct backthread *t, const struct vio_ops *ops)
{
	t->kind = (struct vio_proxy_kind){
		.features = ~(VIO_F_INDIRECT | VIO_F_EVENT_IDX |
		    VIO_F_VERSION_1 | VHU_F_PROTOCOL_FEATURES),
		.own_cfg = ops->cfg_bytes == 0,
		.settle = settle,
	};
	t->proxy = vio_proxy_blk;
	if (ops->id == vio_proxy_blk.id)
		return;
	t->proxy.name = ops->name;
	t->proxy.id = ops->id;
	t->proxy.proxy = &t->kind;
	t->proxy.queue_max = ops->queue_max;
	t->proxy.cfg_bytes = ops->cfg_bytes;
	t->proxy.nqueues = ops->nqueues;
	t->proxy.version = ops->version;
	t->proxy.save = NULL;
	t->proxy.load = NULL;
}

void
backthread_open(struct backthread *t, const struct vio_ops *ops,
    const struct devpage_conf *conf, int *fd, unsigned nfds)
{
	struct vio_conf vc = {
		.conf = &t->conf, .page = &t->page, .fd = fd, .nfds = nfds
	};
	struct err e;

	memset(t, 0, sizeof(*t));
	t->conf.magic = DEVPAGE_MAGIC;
	t->conf.kind = DEV_BLK;
	t->conf.nqueues = ops->nqueues;
	if (conf != NULL)
		t->conf = *conf;
	t->page.conf = t->conf;
	if ((t->b = vhu_back_new(ops, t->conf.nqueues, &e)) == NULL ||
	    vhu_back_prepare(t->b, &vc, &e) == -1 ||
	    vhu_back_open(t->b, &vc, &e) == -1)
		fail(ops->name, &e);
	proxy_fill(t, ops);
	backthread_again(t);
	t->vio = (struct vio_conf){
		.conf = &t->conf, .page = &t->page, .fd = &t->sock, .nfds = 1
	};
}

void
backthread_kill(struct backthread *t)
{
	shutdown(t->end, SHUT_RDWR);
}

int
backthread_join(struct backthread *t)
{
	pthread_join(t->thread, NULL);
	fd_close(&t->end);
	return (t->rc);
}

void
backthread_close(struct backthread *t)
{
	fd_close(&t->sock);
	(void)backthread_join(t);
	vhu_back_free(t->b);
}
