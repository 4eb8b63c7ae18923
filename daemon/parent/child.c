/* SPDX-License-Identifier: ISC */
/*
 * control, vmm and launch: started, watched by pidfd; but for launch started
 * again when they die.
 * Guests run on meanwhile.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/log.h"

#define LOOK_AGAIN_MS 20

static void child_died(int, short, void *);

/* How a process ended, for a log line. */
static const char *
child_cause(const siginfo_t *si, int *num)
{
	*num = si->si_status;
	if (si->si_code == CLD_EXITED)
		return ("exit status");
	return ("signal");
}

static void
child_clear(struct child *c)
{
	if (c->ev_pidfd != NULL)
		event_free(c->ev_pidfd);
	c->ev_pidfd = NULL;
	fd_close(&c->pidfd);
	peer_close(c->peer);
	c->peer = NULL;
	c->pid = 0;
}

static void
child_again(int fd, short what, void *arg)
{
	struct child *c = arg;
	struct timeval second = { .tv_sec = 1 };
	struct err e;

	(void)fd;
	(void)what;
	if (c->p->stopping && TAILQ_EMPTY(&c->p->vms))
		return;
	if (child_start(c, &e) == 0)
		return;
	log_warnx("%s: %s; trying again in a second", c->desc->name, e.text);
	event_add(c->ev_again, &second);
}

static void
child_look_again(int fd, short what, void *arg)
{
	struct child *c = arg;

	(void)fd;
	(void)what;
	if (c->ev_pidfd != NULL)
		event_add(c->ev_pidfd, NULL);
}

/* Its pidfd is readable: it is dead; a tracer is told before we are. */
static void
child_died(int fd, short what, void *arg)
{
	struct child *c = arg;
	struct timeval tv = { 0, 0 };
	siginfo_t si = { .si_pid = 0 };
	const char *cause;
	int num;

	(void)fd;
	(void)what;
	if (waitid(P_PIDFD, c->pidfd, &si, WEXITED | WNOHANG) == -1)
		return;
	if (si.si_pid == 0) {
		tv.tv_usec = LOOK_AGAIN_MS * 1000;
		event_base_once(
		    c->p->base, -1, EV_TIMEOUT, child_look_again, c, &tv);
		return;
	}
	cause = child_cause(&si, &num);
	child_clear(c);
	if (c->desc->role == ROLE_CONTROL)
		vm_forget_waiters(c->p);
	parent_event(c->p, NULL, true, "%s died (%s %d%s) and is %s",
	    c->desc->name, cause, num,
	    si.si_code != CLD_EXITED && num == SIGSYS
		? ": a system call its sandbox does not allow"
		: "",
	    c->down != NULL ? "not started again: new shares need a restart "
			      "of vmd, guests run on"
			    : "started again");
	if (c->down != NULL) {
		c->down(c->p, c);
		return;
	}
	/* One that dies as soon as it starts must not burn the machine. */
	if (clock_now_ns() - c->started_ns < 1000000000ull)
		tv.tv_sec = 1;
	event_add(c->ev_again, &tv);
}

/* It closed its channel or broke a rule: it is of no use any more. */
static void
child_closed(void *ctx, struct peer *peer, const struct err *why)
{
	struct child *c = ctx;

	(void)peer;
	c->peer = NULL;
	if (why->code != 0)
		log_warnx("%s: %s; stopping it", c->desc->name, why->text);
	if (c->pidfd != -1)
		pidfd_kill(c->pidfd, SIGKILL);
}

static int
child_link(struct child *c, int *fd, struct err *e)
{
	struct peer_conf conf = {
		.other = c->desc->role,
		.handlers = c->handlers,
		.nhandlers = c->nhandlers,
		.ctx = c,
		.closed = child_closed,
		.no_fds = 1,
		.lossless = 1, /* its next one is told all there is */
		.queue_bytes = 64u << 20, /* rows of every VM at once */
	};

	c->peer = peer_open(c->p->base, fd, &conf, e);
	return (c->peer == NULL ? -1 : 0);
}

int
child_start(struct child *c, struct err *e)
{
	struct proc_spawn_conf conf = {
		.title = "",
		.uid = c->p->uid,
		.gid = c->p->gid,
		.verbose = log_getverbose(),
		.fd = { -1, -1 },
	};
	int sv[2];

	if (c->ev_again == NULL &&
	    (c->ev_again = event_new(c->p->base, -1, 0, child_again, c)) ==
		NULL)
		return (err_set(e, ENOMEM, "no memory for an event"));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv) == -1)
		return (err_errno(e, "socketpair"));
	conf.fd[0] = sv[1];
	c->started_ns = clock_now_ns();
	if (proc_spawn(c->desc, &conf, &c->pid, &c->pidfd, e) == -1) {
		close(sv[0]);
		close(sv[1]);
		return (-1);
	}
	close(sv[1]);
	c->ev_pidfd = event_new(c->p->base, c->pidfd, EV_READ, child_died, c);
	if (c->ev_pidfd == NULL || event_add(c->ev_pidfd, NULL) == -1)
		fatalx("no memory for an event");
	if (child_link(c, &sv[0], e) == -1) {
		/* child_again() comes back: there must not be two of it. */
		pidfd_kill(c->pidfd, SIGKILL);
		waitid(P_PIDFD, c->pidfd, NULL, WEXITED);
		child_clear(c);
		return (-1);
	}
	c->up(c->p, c);
	return (0);
}

void
child_stop(struct child *c)
{
	if (c->pidfd != -1) {
		pidfd_kill(c->pidfd, SIGKILL);
		waitid(P_PIDFD, c->pidfd, NULL, WEXITED);
	}
	child_clear(c);
	if (c->ev_again != NULL)
		event_free(c->ev_again);
	c->ev_again = NULL;
}

/* ---- what nobody wants ---- */

#define ORPHAN_MS 100 /* to look again where nothing tells of its end */

struct orphan {
	LIST_ENTRY(orphan) entry;
	struct parent *p;
	pid_t pid;
	uint32_t id; /* of the VM that it was of */
	int pidfd;
	struct event *ev;
};

static void orphan_look(int, short, void *);

static void
orphan_free(struct orphan *o)
{
	LIST_REMOVE(o, entry);
	if (o->ev != NULL)
		event_free(o->ev);
	fd_close(&o->pidfd);
	free(o);
}

/* Until fd, its pidfd, can be read; without one, a moment. */
static void
orphan_wait(struct orphan *o, int fd)
{
	const struct timeval moment = { .tv_usec = ORPHAN_MS * 1000 };

	if (o->ev != NULL)
		event_free(o->ev);
	o->ev =
	    event_new(o->p->base, fd, fd != -1 ? EV_READ : 0, orphan_look, o);
	if (o->ev != NULL && event_add(o->ev, fd != -1 ? NULL : &moment) == 0)
		return;
	log_warnx("process %d is left over", (int)o->pid);
	orphan_free(o);
}

/* Until it is reaped the number is its own; there is no kill(2) here. */
static int
orphan_shoot(struct orphan *o)
{
	if (o->pidfd == -1)
		o->pidfd = (int)syscall(SYS_pidfd_open, o->pid, 0);
	if (o->pidfd != -1)
		pidfd_kill(o->pidfd, SIGKILL);
	return (o->pidfd); /* -1: no fd is free */
}

static void
orphan_look(int fd, short what, void *arg)
{
	siginfo_t si = { .si_pid = 0 };
	struct orphan *o = arg;

	(void)what;
	/* First of all: is it a child of ours? */
	if (waitid(P_PID, (id_t)o->pid, &si, WEXITED | WNOHANG) == -1 ||
	    si.si_pid != 0)
		orphan_free(o);
	else if (fd != -1) /* dead, but a tracer is told before we are */
		orphan_wait(o, -1);
	else
		orphan_wait(o, orphan_shoot(o));
}

void
child_end(struct parent *p, pid_t pid, uint32_t id)
{
	struct orphan *o;

	if ((o = calloc(1, sizeof(*o))) == NULL) {
		log_warn("process %d is left over", (int)pid);
		return;
	}
	o->p = p;
	o->pid = pid;
	o->id = id;
	o->pidfd = -1;
	LIST_INSERT_HEAD(&p->orphans, o, entry);
	orphan_look(-1, 0, o);
}

unsigned
child_left(const struct parent *p, uint32_t id)
{
	const struct orphan *o;
	unsigned n = 0;

	LIST_FOREACH(o, &p->orphans, entry)
		n += o->id == id;
	return (n);
}
