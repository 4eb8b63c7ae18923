/* SPDX-License-Identifier: ISC */
/*
 * One process of a device: its page, its start, and the way of its socket to the
 * vm process.
 * Runs in: parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/parent/parent.h"
#include "shared/clock.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define QUEUES_MAX 4   /* more threads than this make no disk faster */
#define SHARE_QUEUES 2 /* of high priority, of requests */
#define VM_WAITS_S 5   /* for an answer, before it calls a process hung */

const struct conf_disk *
vmdev_disk(const struct vmdev *d)
{
	return (&d->v->conf.disks[d->index]);
}

int
vmdev_page(struct vmdev *d, struct err *e)
{
	void *map;

	d->page_fd = memfd_sealed_map(
	    "device", DEVPAGE_BYTES, F_SEAL_SHRINK | F_SEAL_GROW, &map);
	if (d->page_fd == -1)
		return (err_errno(e, "page of %s", d->name));
	d->page = map;
	return (0);
}

static void
page_disk(const struct vmdev *d, struct devpage_conf *c)
{
	const struct conf_disk *disk = vmdev_disk(d);

	c->nqueues =
	    d->v->conf.cpus < QUEUES_MAX ? d->v->conf.cpus : QUEUES_MAX;
	c->readonly = disk->readonly;
	c->direct = d->direct;
	c->on_error = disk->on_error;
	memcpy(c->serial, disk->serial,
	    strnlen(disk->serial, DEVPAGE_SERIAL_BYTES));
}

static void
page_share(const struct vmdev *d, struct devpage_conf *c)
{
	const struct conf_share *share = share_conf(d);

	c->nqueues = SHARE_QUEUES;
	c->readonly = !share->writable;
	memcpy(
	    c->serial, share->tag, strnlen(share->tag, DEVPAGE_SERIAL_BYTES));
}

/* Whatever the process before may have written there. */
void
vmdev_page_fill(struct vmdev *d)
{
	struct devpage_conf c = { .magic = DEVPAGE_MAGIC, .kind = d->kind };

	(d->kind == DEV_FS ? page_share : page_disk)(d, &c);
	d->nqueues = c.nqueues;
	d->page->conf = c;
	memset(&d->page->err, 0, sizeof(d->page->err));
	atomic_store(&d->page->inflight, 0);
	atomic_store(&d->page->state, DEVP_START);
}

int
vmdev_limit(const struct vmdev *d, int sock, struct err *e)
{
	const struct timeval limit = { .tv_sec = VM_WAITS_S };

	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ==
		-1 ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ==
		-1)
		return (err_errno(e, "%s: time limit", d->name));
	return (0);
}

/*
 * A process, and its socket's other end on the way to the vm process: at once to
 * one that starts, and waits for it anyway; one that runs would stand meanwhile.
 */
int
vmdev_spawn(struct vmdev *d, struct err *e)
{
	char title[VM_NAME_BYTES + DEV_NAME_BYTES];
	struct proc_spawn_conf conf = {
		.title = title,
		.id = d->v->id,
		.uid = d->v->uid,
		.gid = d->v->uid,
		.verbose = log_getverbose(),
	};
	int sv[2], rc = -1;

	snprintf(title, sizeof(title), "%s/%s", d->v->conf.name, d->name);
	vmdev_page_fill(d);
	if (vmdev_image_order(d, &conf.fd[2], e) == -1)
		return (-1);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1) {
		fd_close(&conf.fd[2]);
		return (err_errno(e, "%s: socketpair", d->name));
	}
	d->vm_sock = sv[0];
	conf.fd[0] = sv[1];
	conf.fd[1] = d->page_fd;
	d->started_ns = clock_now_ns();
	if (vmdev_limit(d, d->vm_sock, e) == 0 &&
	    proc_spawn(d->desc, &conf, &d->pid, &d->pidfd, e) == 0) {
		d->ours = true;
		d->shot = d->let_go = false;
		d->pid_start = pid_start_time(d->pid);
		rc = vmdev_image_watch(d, e);
	}
	fd_close(&sv[1]);
	fd_close(&conf.fd[2]);
	if (rc == 0 && d->v->state == VM_STARTING)
		rc = vmdev_send(d, DEVFD_SOCKET, &d->vm_sock, e);
	return (rc);
}

void
vmdev_send_gone(const struct vmdev *d)
{
	struct msg_vm_dev_gone m = {
		.id = d->v->id, .index = d->index, .gen = d->replaced
	};
	struct peer *vmm = d->v->p->vmm.peer;

	if (vmm != NULL)
		peer_send(vmm, MSG_VM_DEV_GONE, 0, NULL, &m, sizeof(m));
}

int
vmdev_send(struct vmdev *d, enum dev_fd what, int *fd, struct err *e)
{
	struct msg_vm_dev m = {
		.id = d->v->id,
		.index = d->index,
		.kind = d->kind,
		.what = what,
		.gen = d->replaced,
	};
	struct peer *vmm = d->v->p->vmm.peer;

	strlcpy(m.name, d->name, sizeof(m.name));
	if (vmm == NULL ||
	    peer_send(vmm, MSG_VM_DEV, 0, fd, &m, sizeof(m)) == -1)
		return (err_set(e, EAGAIN, "vmm does not take %s", d->name));
	return (0);
}
