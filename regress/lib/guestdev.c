/* SPDX-License-Identifier: ISC */
/* The device of a flat guest: see guestdev.h. */
#include <event2/event.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/vhu/devproc.h"
#include "regress/lib/guestdev.h"

#define MIB (1024ull * 1024)
#define KILL_US 20000 /* one and the next */

/* A disk of so many MiB of zeros, or none. */
static int
disk_open(struct guestdev *g, const struct ini_section *ini, struct err *e)
{
	unsigned long mib = ini_num(ini, "disk", 0);

	g->fd = -1;
	if (mib == 0)
		return (0);
	g->fd = memfd_create("disk", MFD_CLOEXEC);
	if (g->fd == -1 || ftruncate(g->fd, (off_t)(mib * MIB)) == -1)
		return (err_errno(e, "disk"));
	return (0);
}

/* As vmd's own, in a process, with its filter. */
__attribute__((noreturn)) static void
serve(struct guestdev *g, int sock)
{
	struct vio_conf vc = { &g->conf, g->pool.page, &g->fd, 1 };
	struct err e;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	_exit(devproc_serve(&vio_blk, &filter_blk, &vc, sock, &e) == 0 ? 0 : 1);
}

/* All that will be needed, made while this process has one thread. */
static int
pool_open(struct guestdev *g, struct err *e)
{
	struct timeval limit = { .tv_sec = 20 };
	unsigned i;
	int sv[2];
	void *p;

	p = mmap(NULL, DEVPAGE_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return (err_errno(e, "page"));
	g->pool.page = p;
	g->pool.page->conf = g->conf;
	for (i = 0; i < POOL; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) ==
			-1 ||
		    setsockopt(sv[0], SOL_SOCKET, SO_RCVTIMEO, &limit,
			sizeof(limit)) == -1 ||
		    (g->pool.pid[i] = fork()) == -1)
			return (err_errno(e, "device process"));
		if (g->pool.pid[i] == 0)
			serve(g, sv[1]);
		close(sv[1]);
		g->pool.sock[i] = sv[0];
	}
	return (0);
}

/* F1: kill -9 in the midst of it, and the next one goes on. */
static void
on_kill(int fd, short what, void *ctx)
{
	struct guestdev *g = ctx;
	struct err e;

	(void)fd;
	(void)what;
	if (g->pool.nkilled + 1 == POOL)
		return;
	kill(g->pool.pid[g->pool.nkilled], SIGKILL);
	waitpid(g->pool.pid[g->pool.nkilled], NULL, 0);
	g->pool.nkilled++;
	if (machine_dev_replace(*g->m, 0, &g->pool.sock[g->pool.nkilled], &e) ==
	    -1)
		g->failed(g->ctx, e.text);
	event_add(g->pool.killer, &(struct timeval){ .tv_usec = KILL_US });
}

static void
pool_close(struct guestdev *g)
{
	unsigned i;

	for (i = g->pool.nkilled; i < POOL; i++) {
		kill(g->pool.pid[i], SIGKILL);
		waitpid(g->pool.pid[i], NULL, 0);
	}
	event_free(g->pool.killer);
	printf("# %u processes were killed\n", g->pool.nkilled);
}

/* QEMU's daemon of disks: g->fd on a socket that we listen on for it. */
static int
qsd_spawn(struct guestdev *g, int sock)
{
	char node[128], export[256];

	snprintf(node, sizeof(node),
	    "driver=file,node-name=d,filename=/proc/self/fd/%d", g->fd);
	snprintf(export, sizeof(export),
	    "type=vhost-user-blk,id=e,node-name=d,writable=on,num-queues=4,"
	    "addr.type=fd,addr.str=%d",
	    sock);
	if ((g->qsd = fork()) != 0)
		return (g->qsd == -1 ? -1 : 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fcntl(sock, F_SETFD, 0);
	fcntl(g->fd, F_SETFD, 0);
	execlp("qemu-storage-daemon", "qemu-storage-daemon", "--blockdev", node,
	    "--export", export, (char *)NULL);
	_exit(127);
}

static int
qsd_open(struct guestdev *g, struct err *e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 20 };
	socklen_t len = sizeof(sun);
	int l, s;

	l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* An address of the kernel's own choice: unix(7), autobind. */
	if (l == -1 || s == -1 ||
	    bind(l, (struct sockaddr *)&sun, sizeof(sa_family_t)) == -1 ||
	    listen(l, 1) == -1 ||
	    getsockname(l, (struct sockaddr *)&sun, &len) == -1 ||
	    connect(s, (struct sockaddr *)&sun, len) == -1 ||
	    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
		-1 ||
	    qsd_spawn(g, l) == -1)
		return (err_errno(e, "qemu-storage-daemon"));
	close(l);
	close(g->fd);
	g->fd = s; /* the only fd of the proxy */
	return (0);
}

/* Somebody else's back end listens there. */
static int
socket_open(struct guestdev *g, const char *path, struct err *e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = 20 };
	int s;

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s == -1 ||
	    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
		-1 ||
	    connect(s, (struct sockaddr *)&sun, sizeof(sun)) == -1)
		return (err_errno(e, "%s", path));
	g->fd = s;
	g->dev.conf.nfds = 1;
	return (0);
}

/*
 * "blk here", "rng there", "blk qsd", "blk killed", "blk at PATH", "fs at PATH":
 * a device in slot 2, served by this thread, by our vhost-user back end in
 * another one, by QEMU's, by processes that are killed, or by whoever listens on
 * a socket.
 */
int
guestdev_open(struct guestdev *g, const struct ini_section *ini,
    struct event_base *base, struct machine_conf *mc, struct err *e)
{
	const char *path, *what = ini_get(ini, "device", NULL);
	const struct vio_ops *ops;

	if (what == NULL)
		return (0);
	if (disk_open(g, ini, e) == -1)
		return (-1);
	ops = strncmp(what, "rng", 3) == 0 ? &vio_rng : &vio_blk;
	g->conf = (struct devpage_conf){
		.magic = DEVPAGE_MAGIC,
		.kind = DEV_BLK,
		.nqueues = ops == &vio_blk ? 4 : 1,
		.serial = "flat guest",
	};
	g->dev.vio = ops;
	g->dev.conf =
	    (struct vio_conf){ &g->conf, &g->page, &g->fd, g->fd != -1 };
	if ((path = strstr(what, " at ")) != NULL) {
		if (socket_open(g, path + 4, e) == -1)
			return (-1);
		g->dev.vio = strncmp(what, "fs", 2) == 0 ? &vio_proxy_fs
							 : &vio_proxy_blk;
	} else if (strstr(what, "there") != NULL) {
		if ((g->back = calloc(1, sizeof(*g->back))) == NULL)
			return (err_errno(e, "back end"));
		backthread_open(g->back, ops, &g->conf, &g->fd, g->fd != -1);
		g->dev.vio = &g->back->proxy;
		g->dev.conf = g->back->vio;
	} else if (strstr(what, "killed") != NULL) {
		g->pool.killer = evtimer_new(base, on_kill, g);
		if (g->pool.killer == NULL)
			return (err_set(e, ENOMEM, "no event"));
		if (pool_open(g, e) == -1)
			return (-1);
		g->dev.vio = &vio_proxy_blk;
		g->dev.conf = (struct vio_conf){ &g->conf, g->pool.page,
			&g->pool.sock[0], 1 };
		event_add(
		    g->pool.killer, &(struct timeval){ .tv_usec = KILL_US });
	} else if (strstr(what, "qsd") != NULL) {
		if (qsd_open(g, e) == -1)
			return (-1);
		g->dev.vio = &vio_proxy_blk;
	}
	mc->devs = &g->dev;
	mc->ndevs = 1;
	return (0);
}

void
guestdev_close(struct guestdev *g)
{
	if (g->pool.page != NULL)
		pool_close(g);
	if (g->qsd > 0) {
		kill(g->qsd, SIGTERM);
		waitpid(g->qsd, NULL, 0);
	}
	if (g->back != NULL)
		backthread_close(g->back);
	free(g->back);
}
