/* SPDX-License-Identifier: ISC */
/*
 * Starting a VM: open what it needs with the rights that count, make its
 * process, hand everything to vmm.  And the staggered start of the enabled ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/parent/host.h"
#include "daemon/parent/parent.h"
#include "shared/clock.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

/* What a VM's process gets: opened before anything exists that must go. */
struct bundle {
	int kvm, kernel, initrd, listen, link, child;
};

static void
bundle_close(struct bundle *b)
{
	fd_close(&b->kvm);
	fd_close(&b->kernel);
	fd_close(&b->initrd);
	fd_close(&b->listen);
	fd_close(&b->link);
	fd_close(&b->child);
}

struct open_owner
open_owner(const struct conf_owner *o)
{
	_Static_assert(OPEN_NO_GROUP == CONF_NONE, "no group");

	return ((struct open_owner){ .uid = o->uid, .gid = o->gid });
}

static int
bundle_open(struct vment *v, struct given *g, struct bundle *b, struct err *e)
{
	struct open_owner owner = open_owner(&v->conf.owner);
	int sv[2];

	if ((b->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC)) == -1)
		return (err_errno(e,
		    "/dev/kvm (is KVM enabled in the "
		    "firmware, and kvm-amd or kvm-intel loaded?)"));
	b->kernel = fd_move(&g->kernel);
	b->initrd = fd_move(&g->initrd);
	if (b->kernel == -1 &&
	    open_image("kernel", v->conf.boot, &owner, &b->kernel, e) == -1)
		return (-1);
	if (b->initrd == -1 && v->conf.initrd[0] != '\0' &&
	    open_image("initrd", v->conf.initrd, &owner, &b->initrd, e) == -1)
		return (-1);
	if (vmdev_open(v, e) == -1 || link_listen(v, &b->listen, e) == -1)
		return (-1);
	if (fd_socketpair(sv) == -1)
		return (err_errno(e, "socketpair"));
	b->link = sv[0];
	b->child = sv[1];
	return (0);
}

void
vm_spec(const struct vment *v, struct msg_vm_spec *s)
{
	memset(s, 0, sizeof(*s));
	s->id = v->id;
	s->uid = v->uid;
	s->ncpus = v->conf.cpus;
	s->console_bytes = v->conf.console_size;
	s->mem_bytes = v->conf.memory;
	s->hugepages = v->p->conf->hugepages == CONF_HUGE_ADVISE;
	s->ndevs = v->ndevs;
	s->grace_ms = conf_stop_timeout(v->p->conf, &v->conf) * 1000;
	strlcpy(s->name, v->conf.name, sizeof(s->name));
	strlcpy(s->cmdline, v->conf.cmdline, sizeof(s->cmdline));
}

/* Everything to vmm, which passes it on; -1 when its queue is full. */
static int
bundle_send(struct vment *v, struct bundle *b, struct err *e)
{
	struct {
		enum vm_fd which;
		int *fd;
	} fds[] = {
		{ VMFD_KVM, &b->kvm },
		{ VMFD_KERNEL, &b->kernel },
		{ VMFD_INITRD, &b->initrd },
	};
	struct peer *vmm = v->p->vmm.peer;
	struct msg_vm_spec spec;
	struct msg_vm_fd body = { .id = v->id };
	size_t i;
	int rc;

	vm_spec(v, &spec);
	rc = peer_send(vmm, MSG_VM_NEW, 0, &b->link, &spec, sizeof(spec));
	for (i = 0; rc == 0 && i < sizeof(fds) / sizeof(fds[0]); i++) {
		if (*fds[i].fd == -1)
			continue;
		body.which = fds[i].which;
		rc = peer_send(
		    vmm, MSG_VM_FD, 0, fds[i].fd, &body, sizeof(body));
	}
	if (rc == -1)
		return (err_set(e, EAGAIN, "vmm does not take the start"));
	/* They come up while the vm's process does. */
	return (vmdev_start(v, e));
}

static int
bundle_go(struct vment *v, struct err *e)
{
	struct msg_vm_go go = { .id = v->id };
	int rc;

	memcpy(go.token, v->token, sizeof(go.token));
	rc = peer_send(v->p->vmm.peer, MSG_VM_GO, 0, NULL, &go, sizeof(go));
	explicit_bzero(&go, sizeof(go));
	if (rc == -1)
		return (err_set(e, EAGAIN, "vmm does not take the start"));
	return (0);
}

static int
vm_spawn(struct vment *v, struct bundle *b, struct err *e)
{
	struct proc_spawn_conf conf = {
		.title = v->conf.name,
		.id = v->id,
		.uid = v->uid,
		.gid = v->uid,
		.verbose = log_getverbose(),
		.fd = { b->child, b->listen },
	};

	if (proc_spawn(proc_find("vm"), &conf, &v->pid, &v->pidfd, e) == -1)
		return (-1);
	v->ours = true;
	v->pid_start = pid_start_time(v->pid);
	v->started_s = time(NULL);
	return (vm_watch(v, e));
}

/* The reason stays on the row; nothing else is left behind. */
static int
start_failed(struct vment *v, struct bundle *b, struct err *e)
{
	bundle_close(b);
	strlcpy(v->reason, e->text, sizeof(v->reason));
	parent_event(v->p, v, true, "start failed: %s", e->text);
	if (v->pidfd != -1) {
		vm_kill(v); /* vm_gone() clears the rest */
		v->failed = true;
		return (-1);
	}
	v->state = VM_STOPPED;
	vmdev_clear(v);
	record_remove(v);
	vm_settle(v);
	vm_changed(v);
	vmdev_rows(v);
	return (-1);
}

int
vm_start(struct vment *v, uint32_t starter, struct given *g, struct err *e)
{
	struct bundle b = { -1, -1, -1, -1, -1, -1 };
	uint64_t t0 = clock_now_ns();

	if (vm_runs(v))
		return (err_set(e, EALREADY, "vm %s is %s already",
		    v->conf.name, vm_state_name(v->state)));
	if (v->p->stopping)
		return (err_set(e, ESHUTDOWN, "vmd is stopping"));
	v->starter = starter;
	v->reason[0] = '\0';
	if (conf_vm_unsupported(&v->conf, e) == -1)
		return (start_failed(v, &b, e));
	if (v->p->vmm.peer == NULL) {
		err_set(e, EAGAIN, "vmm is being started again: try once more");
		return (start_failed(v, &b, e));
	}
	if (host_files_for(vmtab_running(v->p) + 1,
		vmtab_devs(v->p) + v->conf.ndisks + v->conf.nshares, e) == -1 ||
	    vmtab_uid(v->p, &v->uid, e) == -1 || bundle_open(v, g, &b, e) == -1)
		return (start_failed(v, &b, e));
	v->step_open_us = (clock_now_ns() - t0) / 1000;
	v->state = VM_STARTING;
	/* From its GO on it is to be found again, with its devices. */
	if (vm_spawn(v, &b, e) == -1 || bundle_send(v, &b, e) == -1 ||
	    record_write(v, e) == -1 || bundle_go(v, e) == -1)
		return (start_failed(v, &b, e));
	bundle_close(&b);
	vm_changed(v);
	vmdev_rows(v);
	return (0);
}

/* Start the next `parallel` of the waiting ones. */
static void
stagger(int fd, short what, void *arg)
{
	struct parent *p = arg;
	struct timeval tv = { .tv_sec = p->conf->delay };
	struct given none = { -1, -1 };
	struct vment *v, *next;
	uint32_t n = 0, most = p->conf->parallel;
	struct err e;

	(void)fd;
	(void)what;
	if (most == 0)
		most = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN);
	if (!p->conf->staggered)
		most = UINT32_MAX;
	for (v = TAILQ_FIRST(&p->vms); v != NULL; v = next) {
		next = TAILQ_NEXT(v, entry);
		if (v->state != VM_WAITING)
			continue;
		if (n++ == most) {
			event_add(p->ev_stagger, &tv);
			return;
		}
		v->state = VM_STOPPED;
		vm_start(v, 0, &none, &e);
	}
}

void
vm_start_enabled(struct parent *p)
{
	struct vment *v;

	if (p->ev_stagger == NULL &&
	    (p->ev_stagger = event_new(p->base, -1, 0, stagger, p)) == NULL)
		fatalx("no memory for an event");
	TAILQ_FOREACH(v, &p->vms, entry)
		if (v->configured && v->conf.enabled &&
		    v->state == VM_STOPPED) {
			v->state = VM_WAITING;
			vm_changed(v);
		}
	stagger(-1, 0, p);
}

void
vm_stagger_stop(struct parent *p)
{
	struct vment *v;

	if (p->ev_stagger != NULL)
		event_del(p->ev_stagger);
	TAILQ_FOREACH(v, &p->vms, entry)
		if (v->state == VM_WAITING)
			v->state = VM_STOPPED;
}
