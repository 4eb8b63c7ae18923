/* SPDX-License-Identifier: ISC */
/*
 * The devices of a VM that have processes of their own: they start with it, it
 * says how they do, and they end after it.  When the VM's process has ended,
 * theirs end by themselves, or are killed a moment later; only then is the VM
 * gone, and its images free.
 *
 * Runs in: parent.  Trusts: no word in a page; it is copied once, and shown.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/vmdev_int.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define DIES_MS 200 /* for a process to end whose socket is closed */
#define LEFT_MAX 8  /* processes of a VM that SIGKILL does not end */

/* ---- start ---- */

static int
vmdev_init(struct vment *v, unsigned i, struct err *e)
{
	struct vmdev *d = &v->dev[i];

	d->v = v;
	d->index = i;
	d->kind = i < v->conf.ndisks ? DEV_BLK : DEV_FS;
	d->desc = proc_find("blk"); /* a share's is not ours */
	d->dir_fd = d->image_sock = d->vm_sock = d->page_fd = d->pidfd = -1;
	vmdev_name(v, i, d->name, sizeof(d->name));
	d->ev_again = event_new(v->p->base, -1, 0, vmdev_due, d);
	if (d->ev_again == NULL)
		return (err_set(e, ENOMEM, "no memory for an event"));
	return (0);
}

static int
vmdev_alloc(struct vment *v, struct err *e)
{
	unsigned n = vmdev_count(v);

	bug_on(v->dev != NULL);
	if (n == 0)
		return (0);
	if ((v->dev = calloc(n, sizeof(*v->dev))) == NULL)
		return (err_errno(e, "devices"));
	for (v->ndevs = 0; v->ndevs < n; v->ndevs++)
		if (vmdev_init(v, v->ndevs, e) == -1)
			return (-1);
	return (0);
}

int
vmdev_open(struct vment *v, struct err *e)
{
	unsigned i;

	if (vmdev_alloc(v, e) == -1)
		return (-1);
	for (i = 0; i < v->ndevs; i++)
		if ((v->dev[i].kind == DEV_FS &&
			share_open(&v->dev[i], e) == -1) ||
		    vmdev_page(&v->dev[i], e) == -1)
			return (-1);
	return (0);
}

static void
vmdev_look_again(int fd, short what, void *arg)
{
	struct vmdev *d = arg;

	(void)fd;
	(void)what;
	event_add(d->ev_pidfd, NULL);
}

int
vmdev_watch(struct vmdev *d, struct err *e)
{
	d->ev_pidfd =
	    event_new(d->v->p->base, d->pidfd, EV_READ, vmdev_died, d);
	d->ev_look = event_new(d->v->p->base, -1, 0, vmdev_look_again, d);
	if (d->ev_pidfd == NULL || d->ev_look == NULL ||
	    event_add(d->ev_pidfd, NULL) == -1)
		return (err_set(e, ENOMEM, "no memory to watch %s", d->name));
	return (0);
}

void
vmdev_unwatch(struct vmdev *d)
{
	if (d->ev_pidfd != NULL)
		event_free(d->ev_pidfd);
	if (d->ev_look != NULL)
		event_free(d->ev_look);
	d->ev_pidfd = d->ev_look = NULL;
	fd_close(&d->pidfd);
}

void
vmdev_let_go(struct vmdev *d)
{
	vmdev_image_end(d);
	if (d->pidfd != -1)
		child_end(d->v->p, d->pid, d->v->id);
	vmdev_unwatch(d);
}

int
vmdev_run(struct vmdev *d, struct err *e)
{
	unsigned left;

	if (d->kind == DEV_FS)
		return (share_spawn(d, e));
	bug_on(d->pidfd != -1);
	if ((left = child_left(d->v->p, d->v->id)) >= LEFT_MAX)
		return (err_set(e, EAGAIN,
		    "%u processes of this vm still wait for a file system that "
		    "does not answer",
		    left));
	d->launching = true;
	if (vmdev_spawn(d, e) == -1 || vmdev_watch(d, e) == -1) {
		vmdev_let_go(d);
		return (-1);
	}
	return (0);
}

int
vmdev_send_page(struct vmdev *d, struct err *e)
{
	int fd;

	if ((fd = dup(d->page_fd)) == -1)
		return (err_errno(e, "page of %s", d->name));
	if (vmdev_send(d, DEVFD_PAGE, &fd, e) == 0)
		return (0);
	fd_close(&fd);
	return (-1);
}

int
vmdev_start(struct vment *v, struct err *e)
{
	unsigned i;

	for (i = 0; i < v->ndevs; i++)
		if (vmdev_send_page(&v->dev[i], e) == -1 ||
		    vmdev_run(&v->dev[i], e) == -1)
			return (err_prefix(e, "%s %s", vmdev_word(&v->dev[i]),
			    vmdev_path(&v->dev[i])));
	return (0);
}

void
vmdev_record(const struct vmdev *d)
{
	struct err e;

	if (!d->v->lingers && record_write(d->v, &e) == -1)
		parent_event(d->v->p, d->v, true, "%s", e.text);
}

bool
vmdev_words(const struct vment *v, char *buf, size_t len)
{
	const struct vmdev *d;
	struct err e;

	for (d = v->dev; d < v->dev + v->ndevs; d++) {
		if (d->page == NULL ||
		    atomic_load(&d->page->state) != DEVP_FAILED)
			continue;
		devpage_err_get(d->page, &e);
		if (e.code == 0)
			continue;
		snprintf(buf, len, "%s %.120s: %s", vmdev_word(d),
		    vmdev_path(d), e.text);
		return (true);
	}
	return (false);
}

/* ---- what the vm process says, and what it is told ---- */

static void
vmdev_stuck(struct vmdev *d, const char *why)
{
	vmdev_set(d, DEV_STUCK, why);
	vmdev_stands(d, why);
}

void
vmdev_event(struct vment *v, const struct msg_vm_event *ev)
{
	struct vmdev *d;

	if (ev->dev >= v->ndevs) {
		if (v->damaged && ev->what == WHAT_DEV_LOST)
			parent_event(v->p, v, true,
			    "device %u has lost its process, and no other can "
			    "take over: the record was damaged",
			    ev->dev);
		return;
	}
	d = &v->dev[ev->dev];
	switch (ev->what) {
	case WHAT_DEV_STUCK:
		vmdev_stuck(d, ev->why.text);
		break;
	case WHAT_DEV_HUNG:
		vmdev_set(d, DEV_HUNG, ev->why.text);
		parent_event(v->p, v, true,
		    "%s %s (%.100s): process %d hangs: %s", vmdev_word(d),
		    d->name, vmdev_path(d), (int)d->pid, ev->why.text);
		break;
	case WHAT_DEV_OK:
		if (d->state != DEV_HUNG && d->state != DEV_STUCK)
			return;
		vmdev_set(d, DEV_UP, "");
		parent_event(v->p, v, false, "%s %s goes on again",
		    vmdev_word(d), d->name);
		break;
	case WHAT_DEV_LOST:
		if (ev->gen != d->replaced)
			return; /* of one that was before */
		if (d->launching && d->vm_sock != -1)
			return; /* it cannot know of that one */
		d->let_go = true;
		/* One that is dying closes its socket before we see it dead. */
		if (d->pidfd != -1)
			vmdev_kill_after(d, DIES_MS);
		else if (d->state == DEV_DOWN)
			vmdev_soon(d);
		break;
	default:
		break;
	}
}

/* The guest cannot go on without it. */
static bool
vmdev_is_lost(const struct vmdev *d)
{
	return (d->state == DEV_LOST && d->kind == DEV_BLK);
}

static bool
vmdev_to_retry(const struct vmdev *d)
{
	return (vmdev_is_lost(d) && !d->launching && !vm_ends(d->v));
}

static int
vmdev_retry_one(struct vmdev *d, struct err *e)
{
	d->quick = 0;
	return (vmdev_replace(d, e));
}

int
vmdev_retry(struct vment *v, struct err *e)
{
	struct vmdev *d;

	for (d = v->dev; d < v->dev + v->ndevs; d++)
		if (vmdev_to_retry(d) && vmdev_retry_one(d, e) == -1)
			return (-1);
	return (0);
}

/*
 * A paused VM has to be let go, or it does not hear that it is to stop; those
 * that it cannot do without are tried again for that, as by "unpause".
 */
void
vmdev_stop(struct vment *v)
{
	struct vmdev *d;
	struct err e;

	for (d = v->dev; d < v->dev + v->ndevs; d++)
		if (vmdev_to_retry(d) && vmdev_retry_one(d, &e) == -1)
			vmdev_lost(d, e.text);
}

void
vmdev_running(struct vment *v)
{
	struct vmdev *d;
	bool lost = false;

	for (d = v->dev; d < v->dev + v->ndevs; d++) {
		if (d->state == DEV_STUCK)
			vmdev_set(d, DEV_UP, "");
		lost |= vmdev_is_lost(d);
	}
	if (!v->dev_failed || lost)
		return; /* lost: the pause is still on its way */
	v->reason[0] = '\0';
	v->dev_failed = false;
}

/* ---- end ---- */

void
vmdev_end(struct vment *v)
{
	unsigned i;

	for (i = 0; i < v->ndevs; i++)
		if (v->dev[i].pidfd != -1)
			vmdev_kill_after(&v->dev[i], LAST_MOMENT_MS);
}

bool
vmdev_ended(const struct vment *v)
{
	unsigned i;

	for (i = 0; i < v->ndevs; i++)
		if (v->dev[i].pidfd != -1 || v->dev[i].launching)
			return (false);
	return (true);
}

void
vmdev_left(const struct vment *v, char *buf, size_t len)
{
	const struct vmdev *d;

	buf[0] = '\0';
	for (d = v->dev; d < v->dev + v->ndevs; d++)
		if (d->pidfd != -1) {
			snprintf(buf, len,
			    "waits for the end of process %d of %s %.120s, "
			    "whose file system does not answer",
			    (int)d->pid, vmdev_word(d), vmdev_path(d));
			return;
		}
}

void
vmdev_clear(struct vment *v)
{
	unsigned i, n = v->ndevs;
	struct vmdev *d;

	for (i = 0; i < n; i++) {
		d = &v->dev[i];
		vmdev_unwatch(d);
		vmdev_image_end(d);
		if (d->ev_again != NULL)
			event_free(d->ev_again);
		if (d->page != NULL)
			munmap(d->page, DEVPAGE_BYTES);
		fd_close(&d->page_fd);
		fd_close(&d->dir_fd);
	}
	free(v->dev);
	v->dev = NULL;
	v->ndevs = 0;
}

/* ---- of an earlier vmd ---- */

int
vmdev_adopt(struct vment *v, const struct vmdev *old, int *pidfd, struct err *e)
{
	struct vmdev *d;

	if (v->dev == NULL && vmdev_alloc(v, e) == -1)
		return (-1);
	if (old->index >= v->ndevs)
		return (err_set(e, EINVAL, "no device %u", old->index));
	d = &v->dev[old->index];
	d->image_dev = old->image_dev;
	d->image_ino = old->image_ino;
	d->image_bytes = old->image_bytes;
	d->direct = old->direct;
	d->replaced = old->replaced;
	d->pid = old->pid;
	d->pid_start = old->pid_start;
	d->pidfd = fd_move(pidfd);
	if (d->pidfd != -1) {
		d->state = DEV_UP;
		return (vmdev_watch(d, e));
	}
	d->state = DEV_DOWN;
	strlcpy(d->reason, "its process is gone", sizeof(d->reason));
	vmdev_after(d, 0);
	return (0);
}
