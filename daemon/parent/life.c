/* SPDX-License-Identifier: ISC */
/*
 * What happens to a VM that has a process: its events, its stop, its end.
 *
 * The process is watched by pidfd.  When it is gone the parent tells vmm, which
 * reads what is left on the link and answers WHAT_GONE; so the reason that the
 * process gave arrives before the row says "stopped".
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define LAST_WORD_MS 1000 /* for vmm to read what is left on the link */
#define LOOK_AGAIN_MS 20  /* dead, but a tracer is told before we are */
#define KILL_SLACK_MS 500 /* beyond the grace that the process keeps */
#define DEVS_END_MS 3000  /* for device processes, which are killed by then */

static void
timer_ms(struct event *ev, uint64_t ms)
{
	struct timeval tv;

	tv.tv_sec = ms / 1000;
	tv.tv_usec = ms % 1000 * 1000;
	event_add(ev, &tv);
}

static void
vm_kill_late(int fd, short what, void *arg)
{
	struct vment *v = arg;

	(void)fd;
	(void)what;
	parent_event(v->p, v, true, "did not stop in time and is killed");
	vm_kill(v);
}

static void vm_gone_late(int, short, void *);

static void
vm_look_again(int fd, short what, void *arg)
{
	struct vment *v = arg;

	(void)fd;
	(void)what;
	if (v->ev_pidfd != NULL)
		event_add(v->ev_pidfd, NULL);
}

/* The pidfd is readable: the process is dead. */
static void
vm_died(int fd, short what, void *arg)
{
	struct vment *v = arg;
	struct parent *p = v->p;
	struct timeval soon = { .tv_usec = LOOK_AGAIN_MS * 1000 };
	siginfo_t si = { .si_pid = 0 };

	(void)what;
	if (v->ours && waitid(P_PIDFD, fd, &si, WEXITED | WNOHANG) == 0) {
		if (si.si_pid == 0) {
			event_del(v->ev_pidfd);
			event_base_once(
			    p->base, -1, EV_TIMEOUT, vm_look_again, v, &soon);
			return;
		}
		v->reaped.code = si.si_code;
		v->reaped.status = si.si_status;
	}
	v->reaped.id = v->id;
	v->reaped.oom = v->reaped.code == CLD_KILLED &&
	    v->reaped.status == SIGKILL && !v->killed && host_oom_killed();
	event_del(v->ev_pidfd);
	event_del(v->ev_kill);
	vmdev_end(v);
	if (v->damaged)
		record_end_uid(p, v->uid);
	if (p->vmm.peer == NULL ||
	    peer_send(p->vmm.peer, MSG_VM_REAPED, 0, NULL, &v->reaped,
		sizeof(v->reaped)) == -1)
		vm_gone(v);
	else
		timer_ms(v->ev_gone, LAST_WORD_MS);
}

/* Takes v->pidfd into the loop. */
int
vm_watch(struct vment *v, struct err *e)
{
	struct event_base *b = v->p->base;

	v->ev_pidfd = event_new(b, v->pidfd, EV_READ | EV_PERSIST, vm_died, v);
	v->ev_kill = event_new(b, -1, 0, vm_kill_late, v);
	v->ev_gone = event_new(b, -1, 0, vm_gone_late, v);
	if (v->ev_pidfd == NULL || v->ev_kill == NULL || v->ev_gone == NULL ||
	    event_add(v->ev_pidfd, NULL) == -1)
		return (err_set(
		    e, ENOMEM, "no memory to watch vm %s", v->conf.name));
	return (0);
}

static void
vm_unwatch(struct vment *v)
{
	struct event **ev[] = { &v->ev_pidfd, &v->ev_kill, &v->ev_gone };
	size_t i;

	for (i = 0; i < sizeof(ev) / sizeof(ev[0]); i++) {
		if (*ev[i] != NULL)
			event_free(*ev[i]);
		*ev[i] = NULL;
	}
	fd_close(&v->pidfd);
}

/* Answer and drop the requests that wait for this. */
static void
vm_answer(struct vment *v, enum wait_for what, const struct err *err,
    const struct msg_started *started)
{
	struct peer *control = v->p->control.peer;
	struct waiter *w, *next;

	for (w = TAILQ_FIRST(&v->waiters); w != NULL; w = next) {
		next = TAILQ_NEXT(w, entry);
		if (w->what != what)
			continue;
		TAILQ_REMOVE(&v->waiters, w, entry);
		if (control != NULL && err != NULL)
			peer_err(control, w->reqno, err);
		else if (control != NULL && started != NULL)
			peer_send(control, MSG_STARTED, w->reqno, NULL, started,
			    sizeof(*started));
		else if (control != NULL)
			peer_ok(control, w->reqno);
		free(w);
	}
}

/*
 * Of pause and unpause one is on its way at most (vm_op() refuses the other), so
 * who waits for the state that is not was forgotten by a vmm that died.
 */
static void
vm_answer_state(struct vment *v)
{
	struct err lost;

	err_set(&lost, EAGAIN, "vm %s is %s by now", v->conf.name,
	    vm_state_name(v->state));
	vm_answer(v, WAIT_PAUSED, v->state == VM_PAUSED ? NULL : &lost, NULL);
	/* One that was asked to stop goes on with that. */
	vm_answer(v, WAIT_RUNNING,
	    v->state == VM_RUNNING || (v->state == VM_STOPPING && !v->gone)
		? NULL
		: &lost,
	    NULL);
}

void
vm_wait(struct vment *v, uint32_t reqno, enum wait_for what)
{
	struct waiter *w;

	if ((w = calloc(1, sizeof(*w))) == NULL) {
		log_warn("vm %s: a request is not answered", v->conf.name);
		return;
	}
	w->reqno = reqno;
	w->what = what;
	TAILQ_INSERT_TAIL(&v->waiters, w, entry);
}

/* Who asked has left: its number may be in any VM's list, or in none. */
void
vm_forget_waiter(struct parent *p, uint32_t reqno)
{
	struct waiter *w;
	struct vment *v;

	TAILQ_FOREACH(v, &p->vms, entry)
		TAILQ_FOREACH(w, &v->waiters, entry)
			if (w->reqno == reqno) {
				TAILQ_REMOVE(&v->waiters, w, entry);
				free(w);
				return;
			}
}

/* control died, and with it who asked. */
void
vm_forget_waiters(struct parent *p)
{
	struct waiter *w;
	struct vment *v;

	TAILQ_FOREACH(v, &p->vms, entry)
		while ((w = TAILQ_FIRST(&v->waiters)) != NULL) {
			TAILQ_REMOVE(&v->waiters, w, entry);
			free(w);
		}
}

void
proc_cause(const struct msg_reaped *r, char *buf, size_t len)
{
	buf[0] = '\0';
	if (r->code == CLD_EXITED && r->status == 0)
		return;
	if (r->code == 0)
		snprintf(buf, len,
		    "its process is gone (taken back from an "
		    "earlier vmd, so the kernel does not tell why)");
	else if (r->code == CLD_EXITED)
		snprintf(buf, len, "its process ended with exit status %d",
		    r->status);
	else if (r->status == SIGSYS)
		snprintf(buf, len,
		    "its process was killed by seccomp: it made "
		    "a system call that its sandbox does not allow");
	else if (r->oom)
		snprintf(buf, len,
		    "its process was killed because the host "
		    "ran out of memory");
	else
		snprintf(buf, len, "its process was killed by signal %d (%s)",
		    r->status, strsignal(r->status));
}

int
vm_result(const struct vment *v, struct err *e)
{
	if (v->reason[0] == '\0')
		return (0);
	return (
	    err_set(e, ECHILD, "vm %s failed: %s", v->conf.name, v->reason));
}

/* Why it ended, in words, when its process did not say; "" when all is well. */
static void
vm_cause(const struct vment *v, char *buf, size_t len)
{
	buf[0] = '\0';
	if (!v->killed && !v->powered_off)
		proc_cause(&v->reaped, buf, len);
}

void
vm_settle(struct vment *v)
{
	v->asked_disks = 0;
	if (v->later == NULL)
		return;
	v->conf = *v->later;
	free(v->later);
	v->later = NULL;
}

/* Back to a row without a process. */
static void
vm_clear_run(struct vment *v)
{
	vm_unwatch(v);
	vmdev_clear(v);
	record_remove(v);
	v->state = VM_STOPPED;
	v->pid = 0;
	v->pid_start = 0;
	v->ours = false;
	v->uid = 0;
	v->started_s = 0;
	v->restarts = 0;
	v->failed = v->powered_off = v->killed = v->stop_asked = false;
	v->gone = v->lingers = v->dev_failed = v->damaged = false;
	v->unpausing = false;
	memset(v->token, 0, sizeof(v->token));
	memset(&v->reaped, 0, sizeof(v->reaped));
	vm_settle(v);
}

/* Why it ended: v->reason, and the log. */
static void
vm_tell_end(struct vment *v)
{
	bool was_starting = v->state == VM_STARTING;
	struct parent *p = v->p;

	if (!v->failed)
		vm_cause(v, v->reason, sizeof(v->reason));
	if (v->reason[0] != '\0')
		parent_event(p, v, true, "%s: %s",
		    was_starting ? "start failed" : "lost", v->reason);
	else
		parent_event(p, v, false, "%s",
		    v->powered_off && !v->stop_asked ? "powered itself off"
						     : "stopped");
}

/* Nobody waits for it any longer; end: why it is not all over, or NULL. */
static void
vm_answer_end(struct vment *v, const struct err *end)
{
	struct err result, err = { .code = ECANCELED };

	strlcpy(err.text,
	    v->reason[0] != '\0' ? v->reason : "it was stopped before it ran",
	    sizeof(err.text));
	vm_answer(v, WAIT_START, &err, NULL);
	vm_answer(v, WAIT_END, end, NULL);
	vm_answer(
	    v, WAIT_RESULT, vm_result(v, &result) == -1 ? &result : NULL, NULL);
	vm_answer_state(v);
}

bool
vm_ends(const struct vment *v)
{
	return (v->reaped.id != 0 || v->killed || v->gone);
}

int
vm_refuse(const struct vment *v, struct err *e)
{
	char why[ERR_TEXT_BYTES];

	if (!v->lingers)
		return (err_set(e, EAGAIN, "vm %s is ending", v->conf.name));
	vmdev_left(v, why, sizeof(why));
	return (
	    err_set(e, EBUSY, "vm %s has ended, but %s", v->conf.name, why));
}

/*
 * A device process does not end, though killed: a file system keeps it, maybe
 * for ever.  Its image is not free, nor is the uid; all else is over.
 */
static void
vm_linger(struct vment *v)
{
	struct err e;

	vm_tell_end(v);
	v->lingers = true;
	v->state = VM_STOPPING;
	vm_refuse(v, &e);
	parent_event(v->p, v, true, "%s", e.text);
	record_remove(v); /* there is nothing to take back */
	vm_answer_end(v, &e);
	vm_changed(v);
	vmdev_rows(v);
	parent_maybe_end(v->p);
}

/* ev_gone: vmm, and later the devices, had their time. */
static void
vm_gone_late(int fd, short what, void *arg)
{
	struct vment *v = arg;

	(void)fd;
	(void)what;
	if (v->gone)
		vm_linger(v);
	else
		vm_gone(v);
}

/* Again when its devices have ended: only then are its images free. */
void
vm_gone(struct vment *v)
{
	struct parent *p = v->p;

	v->gone = true;
	if (!vmdev_ended(v)) {
		if (!v->lingers)
			timer_ms(v->ev_gone, DEVS_END_MS);
		return;
	}
	if (v->lingers)
		parent_event(p, v, false, "its last process has ended");
	else
		vm_tell_end(v);
	vm_clear_run(v);
	vm_answer_end(v, NULL);
	if (v->configured && !v->leaves) {
		vm_changed(v);
		vmdev_rows(v);
	} else
		vmtab_remove(v, v->reason);
	parent_maybe_end(p);
}

static void
vm_on_steps(struct vment *v, const struct msg_vm_event *ev)
{
	struct msg_started st = { .id = v->id, .pid = v->pid };
	uint64_t all_us = 0;
	unsigned i;

	if (v->state != VM_STARTING)
		return;
	v->state = VM_RUNNING;
	v->reason[0] = '\0';
	memcpy(st.step_us, ev->step_us, sizeof(st.step_us));
	st.step_us[STEP_OPEN] = v->step_open_us;
	for (i = 0; i < STEP_N; i++)
		all_us += st.step_us[i];
	parent_event(v->p, v, false, "started in %llu.%03llu ms",
	    (unsigned long long)all_us / 1000,
	    (unsigned long long)all_us % 1000);
	vm_answer(v, WAIT_START, NULL, &st);
	link_control(v);
}

void
vm_event(struct vment *v, const struct msg_vm_event *ev)
{
	if (!vm_runs(v) || v->gone)
		return;
	switch (ev->what) {
	case WHAT_STEPS:
		vm_on_steps(v, ev);
		break;
	case WHAT_STATE:
		if (ev->state < VM_RUNNING || v->state == VM_STARTING)
			return;
		if (v->state != ev->state)
			parent_event(
			    v->p, v, false, "%s", vm_state_name(ev->state));
		v->state = ev->state;
		v->restarts = ev->restarts;
		if (v->state != VM_PAUSED)
			vmdev_running(v);
		vm_answer_state(v);
		break;
	case WHAT_DEV_STUCK:
		/* Before its STEPS nothing of it runs; who waits for them would
		 * for ever. */
		if (v->state == VM_STARTING)
			return;
		v->state = VM_PAUSED;
		vmdev_event(v, ev);
		vm_answer_state(v);
		break;
	case WHAT_DEV_HUNG:
	case WHAT_DEV_OK:
	case WHAT_DEV_LOST:
		vmdev_event(v, ev);
		return;
	case WHAT_RESET:
		v->restarts = ev->restarts;
		parent_event(v->p, v, false, "restarted: %s", ev->why.text);
		break;
	case WHAT_POWEROFF:
		v->powered_off = true;
		if (ev->why.code != 0)
			parent_event(v->p, v, true, "%s", ev->why.text);
		return;
	case WHAT_FAILED:
		v->failed = true;
		/* A device's own words tell more than that it does not answer. */
		if (!v->dev_failed &&
		    !vmdev_words(v, v->reason, sizeof(v->reason)))
			strlcpy(v->reason, ev->why.text, sizeof(v->reason));
		return;
	case WHAT_GONE:
		if (v->reaped.id != 0)
			vm_gone(v);
		return;
	default:
		return;
	}
	vm_changed(v);
}

void
vm_kill(struct vment *v)
{
	v->killed = true;
	if (v->pidfd != -1)
		pidfd_kill(v->pidfd, SIGKILL);
}

int
vm_stop(struct vment *v, uint32_t grace_ms, bool force, struct err *e)
{
	struct msg_vm_op op = { .id = v->id, .op = OP_STOP };

	if (!vm_runs(v)) {
		if (v->state == VM_STOPPED)
			return (err_set(e, EINVAL,
			    "cannot stop vm %s: it is not running",
			    v->conf.name));
		v->state = VM_STOPPED; /* it was waiting for its turn */
		vm_changed(v);
		return (0);
	}
	if (v->lingers)
		return (vm_refuse(v, e));
	v->stop_asked = true;
	if (v->reaped.id != 0)
		return (0);
	if (force || v->killed || v->p->vmm.peer == NULL) {
		vm_kill(v);
		return (0);
	}
	if (grace_ms == 0)
		grace_ms = conf_stop_timeout(v->p->conf, &v->conf) * 1000;
	op.grace_ms = grace_ms;
	if (peer_send(v->p->vmm.peer, MSG_VM_OP, 0, NULL, &op, sizeof(op)) ==
	    -1) {
		vm_kill(v);
		return (0);
	}
	timer_ms(v->ev_kill, (uint64_t)grace_ms + KILL_SLACK_MS);
	if (v->state != VM_STARTING)
		v->state = VM_STOPPING;
	vmdev_stop(v);
	vm_changed(v);
	return (0);
}

static int
vm_send_op(struct vment *v, enum vm_op what, struct err *e)
{
	struct msg_vm_op op = { .id = v->id, .op = what };

	if (v->p->vmm.peer == NULL ||
	    peer_send(v->p->vmm.peer, MSG_VM_OP, 0, NULL, &op, sizeof(op)) ==
		-1)
		return (err_set(
		    e, EAGAIN, "vmm is being started again: try once more"));
	return (0);
}

void
vm_hold(struct vment *v)
{
	struct err e;

	if ((v->state == VM_RUNNING || v->state == VM_STOPPING) &&
	    vm_send_op(v, OP_PAUSE, &e) == -1)
		parent_event(v->p, v, true, "not paused: %s", e.text);
}

void
vm_unpause(struct vment *v, const struct err *why)
{
	struct err e;

	if (!v->unpausing || (why == NULL && vmdev_launching(v)))
		return;
	v->unpausing = false;
	if (why == NULL) {
		/* It may have been let go to be stopped. */
		if (v->state != VM_PAUSED || vm_send_op(v, OP_UNPAUSE, &e) == 0)
			return;
		why = &e;
	}
	vm_answer(v, WAIT_RUNNING, why, NULL);
}

int
vm_op(struct vment *v, enum vm_op what, struct err *e)
{
	if (vm_ends(v))
		return (vm_refuse(v, e));
	if (v->state != VM_RUNNING && v->state != VM_PAUSED)
		return (err_set(e, EINVAL, "vm %s is %s, not running",
		    v->conf.name, vm_state_name(v->state)));
	if (what == OP_RESET && v->stop_asked)
		return (
		    err_set(e, EINVAL, "vm %s is asked to stop", v->conf.name));
	if (what == OP_UNPAUSE && v->state != VM_PAUSED)
		return (
		    err_set(e, EINVAL, "vm %s is not paused", v->conf.name));
	if (what == OP_PAUSE && v->state == VM_PAUSED)
		return (err_set(
		    e, EINVAL, "vm %s is paused already", v->conf.name));
	if (what == OP_UNPAUSE && vmdev_retry(v, e) == -1)
		return (-1);
	if (what == OP_UNPAUSE && vmdev_launching(v)) {
		v->unpausing = true;
		return (0);
	}
	return (vm_send_op(v, what, e));
}
