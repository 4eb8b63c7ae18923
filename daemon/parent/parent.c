/* SPDX-License-Identifier: ISC */
/*
 * The parent: sets up, starts the others, waits, and ends in good order.
 *
 * TERM and INT ask every guest to stop, and wait for it.  When the parent dies
 * without that (kill -9, a crash), or is told to leave by USR2, guests run on
 * and the next vmd takes them back.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define EVENT_NS UINT64_C(3000000000)
#define EVENTS_AHEAD 60

/*
 * S5: a VM process that lies, or an owner's script, must not fill the log and
 * push everybody else's events out of control's list.  Each event uses up three
 * seconds, and three minutes may be used up ahead.
 */
static bool
event_fits(struct vment *v)
{
	uint64_t now = clock_now_ns();

	if (v->told_ns < now)
		v->told_ns = now;
	if (v->told_ns - now > (EVENTS_AHEAD - 1) * EVENT_NS)
		return (false);
	v->told_ns += EVENT_NS;
	return (true);
}

static void
event_send(struct parent *p, struct msg_event *ev)
{
	ev->time_s = time(NULL);
	if (ev->name[0] != '\0')
		(ev->bad ? log_warnx : log_info)(
		    "vm %s: %s", ev->name, ev->text);
	else
		(ev->bad ? log_warnx : log_info)("%s", ev->text);
	if (p->control.peer != NULL)
		peer_send(p->control.peer, MSG_EVENT, 0, NULL, ev, sizeof(*ev));
}

void
parent_event(struct parent *p, struct vment *v, bool bad, const char *fmt, ...)
{
	struct msg_event left = { .bad = 1 }, ev = { .bad = bad };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(ev.text, sizeof(ev.text), fmt, ap);
	va_end(ap);
	if (v == NULL) {
		event_send(p, &ev);
		return;
	}
	if (!event_fits(v)) {
		v->untold++;
		return;
	}
	ev.id = v->id;
	strlcpy(ev.name, v->conf.name, sizeof(ev.name));
	if (v->untold > 0) {
		left.id = v->id;
		memcpy(left.name, ev.name, sizeof(left.name));
		snprintf(left.text, sizeof(left.text),
		    "%u more events left out", v->untold);
		v->untold = 0;
		event_send(p, &left);
	}
	event_send(p, &ev);
}

/*
 * A fresh control: every row, a link to every running VM, and last its socket,
 * so that no client sees half of it.
 */
static void
control_up(struct parent *p, struct child *c)
{
	struct vment *v;
	int fd;

	TAILQ_FOREACH(v, &p->vms, entry) {
		vm_changed(v);
		vmdev_rows(v);
		if (vm_runs(v) && v->state != VM_STARTING && !v->gone)
			link_control(v);
	}
	if ((fd = dup(p->listen_fd)) == -1)
		log_warn("control has no socket");
	else
		peer_send(c->peer, MSG_CTL_LISTEN, 0, &fd, NULL, 0);
}

/* A fresh vmm: a link to every running VM. */
static void
vmm_up(struct parent *p, struct child *c)
{
	struct msg_vm_spec spec;
	struct vment *v;
	struct err e;
	int fd;

	TAILQ_FOREACH(v, &p->vms, entry) {
		if (!vm_runs(v) || v->reaped.id != 0)
			continue;
		if (v->state == VM_STARTING) {
			/* Half its start died with the old vmm. */
			strlcpy(v->reason,
			    "vmm died during the start: try "
			    "again",
			    sizeof(v->reason));
			v->failed = true;
			vm_kill(v);
			continue;
		}
		if (link_connect(v, ROLE_VMM, &fd, &e) == -1) {
			parent_event(p, v, true, "out of reach: %s", e.text);
			continue;
		}
		vm_spec(v, &spec);
		peer_send(c->peer, MSG_VM_ADOPT, 0, &fd, &spec, sizeof(spec));
	}
}

void
parent_maybe_end(struct parent *p)
{
	struct vment *v;

	if (!p->stopping)
		return;
	TAILQ_FOREACH(v, &p->vms, entry)
		if (vm_runs(v) && !v->lingers)
			return;
	event_base_loopexit(p->base, NULL);
}

/* The second TERM in a row: no more patience. */
static void
on_term(int sig, short what, void *arg)
{
	struct parent *p = arg;
	struct vment *v, *next;
	bool force = p->stopping;
	struct err e;

	(void)what;
	host_notify("STOPPING=1");
	log_info("signal %d: %s", sig,
	    force ? "killing the guests" : "stopping the guests");
	p->stopping = true;
	vm_stagger_stop(p);
	for (v = TAILQ_FIRST(&p->vms); v != NULL; v = next) {
		next = TAILQ_NEXT(v, entry);
		if (vm_runs(v))
			vm_stop(v, 0, force, &e);
	}
	parent_maybe_end(p);
}

static void
on_hup(int sig, short what, void *arg)
{
	struct parent *p = arg;
	struct err e;

	(void)sig;
	(void)what;
	if (parent_load(p, p->conf_path, false, &e) == -1)
		parent_event(p, NULL, true,
		    "not reloaded, the old "
		    "configuration stays: %s",
		    e.text);
}

static void
on_leave(int sig, short what, void *arg)
{
	struct parent *p = arg;

	(void)sig;
	(void)what;
	log_info("leaving; the guests run on for the next vmd");
	p->leaving = true;
	event_base_loopexit(p->base, NULL);
}

static void
signals(struct parent *p)
{
	static const struct {
		int sig;
		void (*fn)(int, short, void *);
	} sigs[] = {
		{ SIGTERM, on_term },
		{ SIGINT, on_term },
		{ SIGHUP, on_hup },
		{ SIGUSR2, on_leave },
	};
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		p->ev_sig[i] =
		    evsignal_new(p->base, sigs[i].sig, sigs[i].fn, p);
		if (p->ev_sig[i] == NULL || event_add(p->ev_sig[i], NULL) == -1)
			fatalx("no memory for signals");
	}
}

/* The user that control and vmm run as. */
static void
daemon_user(struct parent *p)
{
	struct err e;

	if (proc_daemon_user(&p->uid, &p->gid, &e) == 0)
		return;
	p->uid = p->conf->uid_last;
	p->gid = p->conf->uid_last;
	log_info("%s; using the last uid of \"user range\", %u", e.text,
	    (unsigned)p->uid);
}

static void
children_init(struct parent *p)
{
	p->control = (struct child){
		.p = p,
		.desc = proc_find("control"),
		.pidfd = -1,
		.handlers = parent_from_control,
		.nhandlers = parent_nfrom_control,
		.up = control_up,
	};
	p->vmm = (struct child){
		.p = p,
		.desc = proc_find("vmm"),
		.pidfd = -1,
		.handlers = parent_from_vmm,
		.nhandlers = parent_nfrom_vmm,
		.up = vmm_up,
	};
	share_init(p);
}

static void
parent_clear(struct parent *p)
{
	size_t i;

	child_stop(&p->control);
	child_stop(&p->vmm);
	child_stop(&p->launch);
	for (i = 0; i < sizeof(p->ev_sig) / sizeof(p->ev_sig[0]); i++)
		if (p->ev_sig[i] != NULL)
			event_free(p->ev_sig[i]);
	if (p->ev_stagger != NULL)
		event_free(p->ev_stagger);
	lend_clear(p);
	fd_close(&p->listen_fd);
	if (!p->leaving)
		unlink(p->conf->socket_path);
	fd_close(&p->state_fd);
	fd_close(&p->lock_fd);
	event_base_free(p->base);
}

/* The start fails half-way: guests taken back run on, the socket goes. */
__attribute__((noreturn)) static void
parent_fail(struct parent *p, const struct err *e)
{
	unlink(p->conf->socket_path);
	fatalx("%s", e->text);
}

int
parent_main(struct parent *p)
{
	struct err e;

	TAILQ_INIT(&p->vms);
	TAILQ_INIT(&p->loans);
	p->state_fd = p->lock_fd = p->listen_fd = -1;
	if (geteuid() != 0)
		fatalx("vmd must be started as root");
	if (host_files(&e) == -1 || parent_first_load(p, &e) == -1 ||
	    host_state_open(p, &e) == -1 || proc_init(&e) == -1 ||
	    host_listen(p, &e) == -1)
		fatalx("%s", e.text);
	if (!p->foreground && daemon(0, 0) == -1)
		fatal("daemon");
	if ((p->base = event_base_new()) == NULL) {
		err_set(&e, errno, "no event loop: %s", strerror(errno));
		parent_fail(p, &e);
	}
	host_hugepages(p->first);
	host_oom_killed();
	daemon_user(p);
	children_init(p);
	signals(p);
	if (share_start(p, &e) == -1 ||
	    sandbox_enter(&sandbox_parent, 0, 0, UINT32_MAX, &e) == -1 ||
	    sandbox_filter_enter(sandbox_parent.filter, &e) == -1)
		parent_fail(p, &e);
	record_take_back(p);
	/* control last: it begins with the whole table. */
	if (child_start(&p->vmm, &e) == -1 || parent_first_apply(p, &e) == -1 ||
	    child_start(&p->control, &e) == -1)
		parent_fail(p, &e);
	record_leftovers(p);
	host_notify("READY=1");
	vm_start_enabled(p);
	event_base_dispatch(p->base);
	parent_clear(p);
	log_info("ended");
	return (0);
}
