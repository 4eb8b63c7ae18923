/* SPDX-License-Identifier: ISC */
/*
 * The image of a disk, which its process opens and locks itself; here is who
 * says which, and whether it may be had.  Nothing of that file is ever open
 * here: its server may be silent (daemon/proc/opener.h).
 * Runs in: parent.  Trusts: its own table.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "daemon/proc/opener.h"
#include "shared/clock.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/str.h"

/* Less than a vm process waits for the device (VM_WAITS_S): ours says more. */
#define ANSWER_NS 4000000000ull

static void image_answered(int, short, void *);

/* Another device of ours that has this file, and one of the two writes. */
static const struct vment *
image_vm(const struct vmdev *d, const struct opener_answer *a)
{
	bool readonly = vmdev_disk(d)->readonly;
	const struct vmdev *o;
	const struct vment *v;

	TAILQ_FOREACH(v, &d->v->p->vms, entry)
		for (o = v->dev; o < v->dev + v->ndevs; o++)
			if (o != d && o->kind == DEV_BLK && o->image_ino != 0 &&
			    o->image_dev == a->dev && o->image_ino == a->ino &&
			    !(readonly && vmdev_disk(o)->readonly))
				return (v);
	return (NULL);
}

/*
 * Is it the one, and nobody else's?  Our own table is asked before the lock:
 * nobody has that from the death of a device's process until another takes over.
 */
static int
image_judge(const struct vmdev *d, const struct opener_answer *a, struct err *e)
{
	const char *path = vmdev_disk(d)->path;
	const struct vment *v;

	if (d->image_ino != 0 &&
	    (d->image_dev != a->dev || d->image_ino != a->ino))
		return (err_set(e, ESTALE,
		    "disk %s is not the file any more that the vm has", path));
	if ((v = image_vm(d, a)) != NULL)
		return (err_set(e, EBUSY, "disk %s is in use by vm %s", path,
		    v->conf.name));
	return (0);
}

static int
image_wait(struct vmdev *d, struct err *e)
{
	uint64_t used = clock_now_ns() - d->started_ns, left = 0;
	struct timeval tv;

	if (used < ANSWER_NS)
		left = ANSWER_NS - used;
	tv.tv_sec = (time_t)(left / 1000000000);
	tv.tv_usec = (suseconds_t)(left % 1000000000 / 1000);
	if (event_add(d->ev_image, &tv) == -1)
		return (err_set(e, ENOMEM, "no memory to watch %s", d->name));
	return (0);
}

/*
 * On record before its process may go on: a later vmd must find the file there
 * that the guest has seen.
 */
static int
image_found(struct vmdev *d, const struct opener_answer *a, struct err *e)
{
	if (image_judge(d, a, e) == -1)
		return (-1);
	d->image_dev = a->dev;
	d->image_ino = a->ino;
	d->image_bytes = a->bytes;
	d->direct = a->direct != 0;
	d->page->conf.direct = d->direct; /* not yet read */
	vmdev_record(d);
	if (opener_go(d->image_sock, e) == -1)
		return (-1);
	return (image_wait(d, e));
}

static int
image_answer(
    struct vmdev *d, const struct opener_answer *a, bool *done, struct err *e)
{
	bool found = d->image_found;

	if (a->what == OPENER_FAILED)
		return (err_set(e, a->code, "%s", a->text));
	if (found != (a->what == OPENER_LOCKED))
		return (err_set(e, EPROTO, "its process is confused"));
	d->image_found = true;
	*done = found;
	return (found ? 0 : image_found(d, a, e));
}

static void
image_answered(int fd, short what, void *arg)
{
	struct vmdev *d = arg;
	struct opener_answer a;
	bool done = false;
	struct err e;
	int rc;

	rc = opener_answer(fd, &a, &e);
	if (rc == -1 && e.code == ECHILD) {
		/* How it ended is told by that. */
		pidfd_kill(d->pidfd, SIGKILL);
		return;
	}
	if (rc == 1)
		rc = image_answer(d, &a, &done, &e);
	else if (rc == 0 && what & EV_TIMEOUT)
		rc = err_set(&e, ETIMEDOUT,
		    "disk %s: its file system does not answer",
		    vmdev_disk(d)->path);
	else if (rc == 0)
		rc = image_wait(d, &e);
	if (rc == -1)
		vmdev_refused(d, &e);
	else if (done)
		vmdev_opened(d);
}

static void
image_fill(const struct vmdev *d, struct opener_order *o)
{
	const struct conf_disk *disk = vmdev_disk(d);
	const struct vment *v = d->v;

	memset(o, 0, sizeof(*o));
	strlcpy(o->path, disk->path, sizeof(o->path));
	o->owner = open_owner(&v->conf.owner);
	o->readonly = disk->readonly;
	o->direct = disk->direct;
	o->has_asker = d->index >= v->conf.ndisks - v->asked_disks;
	if (o->has_asker)
		o->asker = v->asker;
}

int
vmdev_image_order(struct vmdev *d, int *fd, struct err *e)
{
	struct opener_order o;
	int sv[2];

	image_fill(d, &o);
	if (opener_order(sv, &o, e) == -1)
		return (-1);
	d->image_sock = sv[0];
	d->image_found = false;
	*fd = sv[1];
	return (0);
}

int
vmdev_image_watch(struct vmdev *d, struct err *e)
{
	d->ev_image =
	    event_new(d->v->p->base, d->image_sock, EV_READ, image_answered, d);
	if (d->ev_image == NULL)
		return (err_set(e, ENOMEM, "no memory to watch %s", d->name));
	return (image_wait(d, e));
}

void
vmdev_image_end(struct vmdev *d)
{
	if (d->ev_image != NULL)
		event_free(d->ev_image);
	d->ev_image = NULL;
	fd_close(&d->image_sock);
	fd_close(&d->vm_sock);
	if (d->kind == DEV_BLK)
		d->launching = false;
}

bool
vmdev_launching(const struct vment *v)
{
	const struct vmdev *d;

	for (d = v->dev; d < v->dev + v->ndevs; d++)
		if (d->kind == DEV_BLK && d->launching)
			return (true);
	return (false);
}
