/* SPDX-License-Identifier: ISC */
/*
 * The devices of a VM that have processes of their own.
 *
 * A process that dies is replaced at once: what was in flight is in a log that
 * the vm process keeps, so the guest notices nothing.  One that dies again and
 * again is replaced once a second, for ever: its guest may be what kills it, and
 * shall not lose its disk by that.  One that does so as soon as it starts is
 * given up, and its VM paused: "vmctl unpause" tries it again.  When the VM's
 * process has ended, theirs end by themselves, or are killed a moment later; only
 * then is the VM gone, and its images free.
 *
 * Runs in: parent.  Trusts: no word in a page; it is copied once, and shown.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define QUICK_NS 150000000ull  /* dead before this: it did not really start */
#define QUICK_MAX 5            /* of these in a row are enough */
#define QUICK_MS 25u           /* to wait, doubled with each */
#define BURST 10               /* deaths that are nobody's business, */
#define EVERY_NS 1000000000ull /* and then one in this time */
#define SOUND_MS 5000          /* lived so long: it serves again */
#define LAST_MOMENT_MS 200     /* when its VM has ended */
#define VM_ENDS_MS 1000        /* for a VM to end that has closed the socket */
#define DIES_MS 200            /* for a process to end whose socket is closed */
#define VMM_AGAIN_MS 100
#define LEFT_MAX 8       /* processes of a VM that SIGKILL does not end */
#define LOOK_AGAIN_MS 20 /* dead, but a tracer is told before we are */

static void vmdev_died(int, short, void *);
static void vmdev_due(int, short, void *);

static void
vmdev_after(struct vmdev *d, unsigned ms)
{
	struct timeval tv;

	tv.tv_sec = ms / 1000;
	tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
	event_add(d->ev_again, &tv);
}

/* It is to be gone by then. */
static void
vmdev_kill_after(struct vmdev *d, unsigned ms)
{
	d->trial = false;
	vmdev_after(d, ms);
}

/*
 * How long the process after one that died now has to wait.  What a page says of
 * requests done does not count: a process that a guest has taken over writes it.
 */
unsigned
vmdev_wait_ms(struct vmdev *d, uint64_t now_ns)
{
	uint64_t debt;

	if (d->paid_ns < now_ns)
		d->paid_ns = now_ns;
	d->paid_ns += EVERY_NS;
	debt = d->paid_ns - now_ns;
	if (debt <= BURST * EVERY_NS)
		return (0);
	return ((unsigned)((debt - BURST * EVERY_NS) / 1000000));
}

/* Another process, but not before its time. */
static void
vmdev_soon(struct vmdev *d)
{
	uint64_t now = host_now_ns();

	vmdev_after(d,
	    d->again_ns > now ? (unsigned)((d->again_ns - now) / 1000000) : 0);
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

static const char *
vmdev_word(const struct vmdev *d)
{
	return (d->kind == DEV_FS ? "share" : "disk");
}

static const char *
vmdev_path(const struct vmdev *d)
{
	return (d->kind == DEV_FS ? share_conf(d)->path : vmdev_disk(d)->path);
}

/* Why its VM failed or stands: what is too long is cut. */
__attribute__((format(printf, 2, 3))) static void
vm_reason(struct vment *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(v->reason, sizeof(v->reason), fmt, ap);
	va_end(ap);
	v->dev_failed = true;
}

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

static int
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

static void
vmdev_unwatch(struct vmdev *d)
{
	if (d->ev_pidfd != NULL)
		event_free(d->ev_pidfd);
	if (d->ev_look != NULL)
		event_free(d->ev_look);
	d->ev_pidfd = d->ev_look = NULL;
	fd_close(&d->pidfd);
}

/* It is killed, and not waited for: it may be where nothing gets it out of. */
static void
vmdev_let_go(struct vmdev *d)
{
	vmdev_image_end(d);
	if (d->pidfd != -1)
		child_end(d->v->p, d->pid, d->v->id);
	vmdev_unwatch(d);
}

/* Goes on in vmdev_launched(); or in vmdev_opened(), vmdev_refused(). */
static int
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

static int
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

/* ---- death and after ---- */

void
vmdev_record(const struct vmdev *d)
{
	struct err e;

	if (!d->v->lingers && record_write(d->v, &e) == -1)
		parent_event(d->v->p, d->v, true, "%s", e.text);
}

/* Its VM is paused for it. */
static void
vmdev_stands(const struct vmdev *d, const char *why)
{
	struct vment *v = d->v;
	const char *when = v->stop_asked ? "asked to stop, but " : "";

	if (strncmp(why, "disk ", 5) == 0) /* it names itself */
		vm_reason(v, "%s%s; unpause tries again", when, why);
	else
		vm_reason(v, "%sdisk %s (%.100s): %s; unpause tries again",
		    when, d->name, vmdev_path(d), why);
	parent_event(v->p, v, true, "paused: %s", v->reason);
}

/* It will not do: the guest stands, and somebody has to look. */
static void
vmdev_lost(struct vmdev *d, const char *why)
{
	struct vment *v = d->v;
	struct err e;

	vmdev_set(d, DEV_LOST, why);
	if (d->kind == DEV_FS) {
		parent_event(v->p, v, true,
		    "share %s (%.100s): %s; gone until the vm starts anew",
		    d->name, vmdev_path(d), why);
		return;
	}
	vmdev_stands(d, why);
	vm_hold(v);
	vm_changed(v);
	err_set(&e, EIO, "%s", v->reason);
	vm_unpause(v, &e);
}

static void
vmdev_serves(const struct vmdev *d)
{
	parent_event(d->v->p, d->v, false,
	    "%s %s is served again, by process %d", vmdev_word(d), d->name,
	    (int)d->pid);
}

/* Of one that keeps dying only the last is told of, when it has lived a while. */
static void
vmdev_served(struct vmdev *d)
{
	if (d->tired) {
		d->trial = true;
		vmdev_after(d, SOUND_MS);
	} else if (d->replaced > 0)
		vmdev_serves(d);
}

static int
vmdev_replace(struct vmdev *d, struct err *e)
{
	bool new_page = d->page_fd == -1;

	if ((d->kind == DEV_FS && d->dir_fd == -1 && share_open(d, e) == -1) ||
	    (new_page && vmdev_page(d, e) == -1) ||
	    (new_page && vmdev_send_page(d, e) == -1))
		return (-1);
	d->replaced++;
	return (vmdev_run(d, e));
}

/* ev_again: its last moment is over, or it is time for another process. */
static void
vmdev_due(int fd, short what, void *arg)
{
	struct vmdev *d = arg;
	struct err e;

	(void)fd;
	(void)what;
	if (d->trial) {
		d->trial = d->tired = false;
		vmdev_serves(d);
		return;
	}
	if (d->pidfd != -1 && d->launching) {
		err_set(&e, ECONNRESET, "the vm has let its process go");
		if (!vm_ends(d->v)) {
			vmdev_refused(d, &e);
			return;
		}
		vmdev_let_go(d);
		if (d->v->gone && vmdev_ended(d->v))
			vm_gone(d->v);
		return;
	}
	if (d->pidfd != -1) {
		d->shot = true;
		pidfd_kill(d->pidfd, SIGKILL);
		return;
	}
	if (vm_ends(d->v) || d->state != DEV_DOWN || d->launching)
		return;
	if (d->v->p->vmm.peer == NULL)
		vmdev_after(d, VMM_AGAIN_MS);
	else if (vmdev_replace(d, &e) == -1)
		vmdev_lost(d, e.text);
}

/* During the start of its VM: that fails, in the device's own words. */
static void
vmdev_failed_start(struct vmdev *d, const char *cause)
{
	struct vment *v = d->v;

	if (v->dev_failed)
		return;
	v->failed = true;
	if (strncmp(cause, "disk ", 5) == 0) /* it names itself */
		vm_reason(v, "%s", cause);
	else
		vm_reason(
		    v, "%s %.120s: %s", vmdev_word(d), vmdev_path(d), cause);
	vm_kill(v);
}

static void
vmdev_tell_death(struct vmdev *d, const char *cause, bool tired)
{
	const char *word = vmdev_word(d);
	struct vment *v = d->v;

	if (tired && !d->tired)
		parent_event(v->p, v, true,
		    "%s %s (%.100s): %s; it dies again and again: another "
		    "takes over each second",
		    word, d->name, vmdev_path(d), cause);
	else if (!d->tired)
		parent_event(v->p, v, true,
		    "%s %s (%.100s): %s; another takes over%s", word, d->name,
		    vmdev_path(d), cause,
		    d->kind == DEV_FS ? ": mount it again" : "");
	d->tired |= tired;
}

static void
vmdev_again(struct vmdev *d, const struct msg_reaped *r, const char *cause)
{
	uint64_t now = host_now_ns();
	bool quick = now - d->started_ns < QUICK_NS;
	unsigned wait = vmdev_wait_ms(d, now);
	bool silent;

	d->quick = quick && !d->shot ? d->quick + 1 : 0;
	vmdev_set(d, DEV_DOWN, cause);
	if (d->quick >= QUICK_MAX) {
		d->tired = false;
		vmdev_lost(d, cause);
		return;
	}
	/* Without a word it ends when its socket does: is the VM ending? */
	silent = r->code == CLD_EXITED && r->status == 0 && !d->let_go;
	if (!silent || wait > 0)
		vmdev_tell_death(d, cause, wait > 0);
	if (d->quick > 1 && wait < QUICK_MS << (d->quick - 2))
		wait = QUICK_MS << (d->quick - 2);
	d->again_ns = now + wait * 1000000ull;
	if (silent)
		vmdev_after(d, VM_ENDS_MS);
	else
		vmdev_soon(d);
}

/* Its own words, when it could not go on; or how it ended. */
static void
vmdev_cause(
    const struct vmdev *d, const struct msg_reaped *r, char *buf, size_t len)
{
	struct err e;

	if (r->code == CLD_EXITED && r->status != 0 && d->page != NULL &&
	    atomic_load(&d->page->state) == DEVP_FAILED) {
		devpage_err_get(d->page, &e);
		strlcpy(buf, e.text, len);
		if (e.code != 0)
			return;
	}
	if (d->shot)
		strlcpy(buf, "its process did not answer and was killed", len);
	else if (r->code == CLD_EXITED && r->status == 0)
		strlcpy(buf, "its process ended", len);
	else
		proc_cause(r, buf, len);
}

static void
vmdev_died(int fd, short what, void *arg)
{
	struct timeval soon = { .tv_usec = LOOK_AGAIN_MS * 1000 };
	struct msg_reaped r = { .id = 0 };
	siginfo_t si = { .si_pid = 0 };
	char cause[ERR_TEXT_BYTES];
	struct vmdev *d = arg;
	struct vment *v = d->v;
	bool ended;

	(void)what;
	if (d->ours && waitid(P_PIDFD, (id_t)fd, &si, WEXITED | WNOHANG) == 0) {
		if (si.si_pid == 0) {
			event_add(d->ev_look, &soon);
			return;
		}
		r.code = si.si_code;
		r.status = si.si_status;
	}
	r.oom = r.code == CLD_KILLED && r.status == SIGKILL && !d->shot &&
	    !vm_ends(d->v) && host_oom_killed();
	ended = r.code == CLD_EXITED && r.status == 0;
	vmdev_unwatch(d);
	vmdev_image_end(d);
	event_del(d->ev_again);
	d->trial = false;
	if (!vm_ends(d->v))
		vmdev_send_gone(d);
	vmdev_cause(d, &r, cause, sizeof(cause));
	if (v->state == VM_STARTING && !v->killed && !ended)
		vmdev_failed_start(d, cause);
	if (v->gone && vmdev_ended(v))
		vm_gone(v); /* which may have freed them both */
	else if (!vm_ends(d->v))
		vmdev_again(d, &r, cause);
}

static void
vmdev_not_launched(struct vmdev *d, const char *why)
{
	struct vment *v = d->v;

	if (v->state == VM_STARTING && !v->killed)
		vmdev_failed_start(d, why);
	if (v->gone && vmdev_ended(v))
		vm_gone(v); /* which may have freed them both */
	else if (!vm_ends(d->v))
		vmdev_lost(d, why);
}

void
vmdev_launched(struct vmdev *d, pid_t pid, int *pidfd, const struct err *why)
{
	struct err e;

	d->launching = false;
	if (*pidfd == -1) {
		vmdev_not_launched(d, why->text);
		return;
	}
	d->pid = pid;
	d->pidfd = fd_move(pidfd);
	d->pid_start = pid_start_time(pid);
	d->started_ns = host_now_ns();
	d->ours = true;
	d->shot = d->let_go = false;
	if (vmdev_watch(d, &e) == -1) {
		vmdev_let_go(d);
		vmdev_not_launched(d, e.text);
		return;
	}
	vmdev_record(d);
	vmdev_set(d, DEV_UP, "");
	if (why->code != 0) {
		/* It ends by itself: these are its last words. */
		devpage_err_put(d->page, why);
		atomic_store(&d->page->state, DEVP_FAILED);
	} else
		vmdev_served(d);
	if (why->code != 0 || vm_ends(d->v))
		vmdev_kill_after(d, LAST_MOMENT_MS);
}

void
vmdev_refused(struct vmdev *d, const struct err *why)
{
	vmdev_let_go(d);
	vmdev_not_launched(d, why->text);
}

void
vmdev_opened(struct vmdev *d)
{
	struct err e;

	if (vm_ends(d->v)) {
		vmdev_image_end(d);
		vmdev_kill_after(d, LAST_MOMENT_MS);
		return;
	}
	if (d->vm_sock != -1 &&
	    vmdev_send(d, DEVFD_SOCKET, &d->vm_sock, &e) == -1) {
		/* vmm is being started again; so is this */
		pidfd_kill(d->pidfd, SIGKILL);
		return;
	}
	vmdev_image_end(d);
	vmdev_set(d, DEV_UP, "");
	vmdev_served(d);
	vm_unpause(d->v, NULL);
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
