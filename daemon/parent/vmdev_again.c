/* SPDX-License-Identifier: ISC */
/*
 * A process of a device has died, or could not be had.
 *
 * It is replaced at once: what was in flight is in a log that the vm process
 * keeps, so the guest notices nothing.  One that dies again and again is replaced
 * once a second, for ever: its guest may be what kills it, and shall not lose its
 * disk by that.  One that does so as soon as it starts is given up, and its VM
 * paused: "vmctl unpause" tries it again.
 *
 * Runs in: parent.  Trusts: no word in a page; it is copied once, and shown.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/parent/vmdev_int.h"
#include "shared/clock.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/str.h"

#define QUICK_NS 150000000ull  /* dead before this: it did not really start */
#define QUICK_MAX 5            /* of these in a row are enough */
#define QUICK_MS 25u           /* to wait, doubled with each */
#define BURST 10               /* deaths that are nobody's business, */
#define EVERY_NS 1000000000ull /* and then one in this time */
#define SOUND_MS 5000          /* lived so long: it serves again */
#define VM_ENDS_MS 1000        /* for a VM to end that has closed the socket */
#define VMM_AGAIN_MS 100
#define LOOK_AGAIN_MS 20 /* dead, but a tracer is told before we are */

/* ---- when ---- */

void
vmdev_after(struct vmdev *d, unsigned ms)
{
	struct timeval tv;

	tv.tv_sec = ms / 1000;
	tv.tv_usec = (suseconds_t)(ms % 1000) * 1000;
	event_add(d->ev_again, &tv);
}

void
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

void
vmdev_soon(struct vmdev *d)
{
	uint64_t now = clock_now_ns();

	vmdev_after(d,
	    d->again_ns > now ? (unsigned)((d->again_ns - now) / 1000000) : 0);
}

/* ---- not at all ---- */

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

/* As the lock's refusal does, of the file. */
static bool
vmdev_names_itself(const char *why)
{
	return (strncmp(why, "disk ", 5) == 0);
}

void
vmdev_stands(const struct vmdev *d, const char *why)
{
	struct vment *v = d->v;
	const char *when = v->stop_asked ? "asked to stop, but " : "";

	if (vmdev_names_itself(why))
		vm_reason(v, "%s%s; unpause tries again", when, why);
	else
		vm_reason(v, "%sdisk %s (%.100s): %s; unpause tries again",
		    when, d->name, vmdev_path(d), why);
	parent_event(v->p, v, true, "paused: %s", v->reason);
}

void
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

/* ---- another ---- */

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

int
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
void
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

/* ---- death ---- */

/* During the start of its VM: that fails, in the device's own words. */
static void
vmdev_failed_start(struct vmdev *d, const char *cause)
{
	struct vment *v = d->v;

	if (v->dev_failed)
		return;
	v->failed = true;
	if (vmdev_names_itself(cause))
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
	uint64_t now = clock_now_ns();
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

void
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

/* ---- it is there, or is not ---- */

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
	d->started_ns = clock_now_ns();
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
