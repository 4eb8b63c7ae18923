/* SPDX-License-Identifier: ISC */
/*
 * What clients ask of the parent, passed on by control with the asker's
 * credentials; and what vmm tells.  Bodies are checked (shared/proto.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "daemon/parent/parent.h"
#include "daemon/proc/perm.h"
#include "shared/fd.h"
#include "shared/log.h"
#include "shared/str.h"

#define GIVEN "(given by vmctl start)"

static struct parent *
parent_of(void *ctx)
{
	return (((struct child *)ctx)->p);
}

static bool
vm_allowed(const struct vment *v, const struct msg_cred *c, enum perm_verb verb)
{
	struct perm_vm pv = {
		.owner_uid = v->conf.owner.uid,
		.owner_gid = v->conf.owner.gid,
		.started = vm_runs(v),
		.starter_uid = v->starter,
	};

	return (perm_ok(c, verb, &pv));
}

/* The VM meant, if the asker may do that to it. */
static struct vment *
find_allowed(struct parent *p, const struct vm_ref *ref,
    const struct msg_cred *cred, enum perm_verb verb, struct err *e)
{
	struct vment *v;

	if ((v = vmtab_find(p, ref)) == NULL) {
		if (ref->id != 0)
			err_set(e, ENOENT, "no vm with id %u", ref->id);
		else
			err_set(e, ENOENT, "no vm named %s", ref->name);
		return (NULL);
	}
	if (!vm_allowed(v, cred, verb)) {
		err_set(e, EPERM,
		    "you do not own vm %s: ask root, or its "
		    "owner in vm.conf",
		    v->conf.name);
		return (NULL);
	}
	return (v);
}

static int
need_root(const struct msg_cred *c, const char *what, struct err *e)
{
	if (!perm_ok(c, PERM_ADMIN, NULL))
		return (err_set(e, EPERM, "only root may %s", what));
	return (0);
}

/* Settings that this version does not start, by their vmctl names. */
static int
start_unsupported(const struct msg_start *m, struct err *e)
{
	const char *what = NULL;

	if (m->nifs > 0)
		what = "network interfaces (-i, -n)";
	else if (m->local)
		what = "local interfaces (-L)";
	else if (m->cdrom[0] != '\0')
		what = "a CD-ROM (-r)";
	else if (m->bootdev != 0)
		what = "a boot device (-B)";
	else if (m->template_name[0] != '\0')
		what = "instances (-t)";
	if (what == NULL)
		return (0);
	return (err_set(e, ENOTSUP,
	    "this version of vmd does not start vms "
	    "with %s",
	    what));
}

/* Behind those of vm.conf. */
static int
start_disks(struct conf_vm *c, const struct msg_start *m, struct err *e)
{
	struct conf_disk *d;
	uint32_t i;

	if (m->ndisks + c->ndisks > CONF_DISKS_MAX)
		return (err_set(e, EINVAL,
		    "vm %s would have %u disks: %d is the most", c->name,
		    m->ndisks + c->ndisks, CONF_DISKS_MAX));
	for (i = 0; i < m->ndisks; i++) {
		if (!conf_text_ok(m->disk[i].path))
			return (err_set(e, EINVAL,
			    "the path of disk %u holds a control character or "
			    "ends in a backslash",
			    i));
		d = &c->disks[c->ndisks++];
		conf_disk_init(d);
		d->format = (uint8_t)m->disk[i].format;
		strlcpy(d->path, m->disk[i].path, sizeof(d->path));
	}
	return (0);
}

static int
start_apply(struct conf_vm *c, const struct msg_start *m, struct err *e)
{
	if ((m->set & START_CMDLINE) && !conf_text_ok(m->cmdline))
		return (err_set(e, EINVAL,
		    "the command line holds a control character or ends in a "
		    "backslash"));
	if (start_disks(c, m, e) == -1)
		return (-1);
	if (m->set & START_MEMORY)
		c->memory = m->mem_bytes;
	if (m->set & START_CPUS)
		c->cpus = m->ncpus;
	if (m->kernel != 0)
		strlcpy(c->boot, GIVEN, sizeof(c->boot));
	if (m->initrd != 0)
		strlcpy(c->initrd, GIVEN, sizeof(c->initrd));
	if (m->set & START_CMDLINE)
		strlcpy(c->cmdline, m->cmdline, sizeof(c->cmdline));
	return (0);
}

/* A VM that vm.conf does not know: root only, gone when it stops. */
static struct vment *
start_adhoc(struct parent *p, const struct msg_start *m, struct err *e)
{
	struct conf_vm c;

	if (m->vm.id != 0 || m->vm.name[0] == '\0') {
		err_set(e, ENOENT, "no vm with id %u", m->vm.id);
		return (NULL);
	}
	if (m->kernel == 0) {
		err_set(e, ENOENT,
		    "no vm named %s in vm.conf, and no kernel "
		    "given to start a new one (-b)",
		    m->vm.name);
		return (NULL);
	}
	if (need_root(&m->cred, "start a vm that is not in vm.conf", e) == -1)
		return (NULL);
	conf_vm_init(&c);
	strlcpy(c.name, m->vm.name, sizeof(c.name));
	if (start_apply(&c, m, e) == -1)
		return (NULL);
	return (vmtab_add(p, &c, e));
}

/* One that vm.conf knows: other settings than its own count for this run. */
static int
start_override(struct vment *v, const struct msg_start *m, struct err *e)
{
	if (m->set & START_MEMORY)
		return (err_set(e, EPERM,
		    "the memory of vm %s is set in "
		    "vm.conf: change it there",
		    v->conf.name));
	if (m->kernel == 0 && m->initrd == 0 && m->set == 0 && m->ndisks == 0)
		return (0);
	if (v->later == NULL) {
		if ((v->later = malloc(sizeof(*v->later))) == NULL)
			return (err_errno(e, "vm %s", v->conf.name));
		*v->later = v->conf;
	}
	return (start_apply(&v->conf, m, e));
}

static int
on_lend(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	struct msg_lent r;
	int fd;

	if (lend(parent_of(ctx), msg->body, &r.id, &fd, e) == -1)
		return (-1);
	peer_send(from, MSG_LENT, msg->reqno, &fd, &r, sizeof(r));
	return (0);
}

static int
start_given(struct parent *p, const struct msg_start *m, struct given *g,
    uint32_t reqno, struct err *e)
{
	struct vment *v;

	if (start_unsupported(m, e) == -1)
		return (-1);
	if (vmtab_find(p, &m->vm) == NULL)
		v = start_adhoc(p, m, e);
	else
		v = find_allowed(p, &m->vm, &m->cred, PERM_START, e);
	if (v == NULL)
		return (-1);
	if (v->lingers)
		return (vm_refuse(v, e));
	if (vm_runs(v))
		return (err_set(e, EALREADY, "vm %s is %s already",
		    v->conf.name, vm_state_name(v->state)));
	if (v->configured && start_override(v, m, e) == -1) {
		vm_settle(v);
		return (-1);
	}
	v->asker = m->cred;
	v->asked_disks = m->ndisks;
	if (vm_start(v, m->cred.uid, g, e) == -1) {
		if (!vm_runs(v))
			vm_settle(v);
		if (!v->configured && !vm_runs(v))
			vmtab_remove(v, e->text);
		return (-1);
	}
	vm_wait(v, reqno, WAIT_START);
	return (0);
}

static int
on_start(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_start *m = msg->body;
	struct parent *p = parent_of(ctx);
	struct given g = { -1, -1 };
	int rc = -1;

	(void)from;
	if (lend_take(p, &m->cred, m->kernel, &g.kernel, e) == 0 &&
	    lend_take(p, &m->cred, m->initrd, &g.initrd, e) == 0)
		rc = start_given(p, m, &g, msg->reqno, e);
	fd_close(&g.kernel);
	fd_close(&g.initrd);
	return (rc);
}

static int
on_stop(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_stop *m = msg->body;
	struct vment *v;

	v = find_allowed(parent_of(ctx), &m->vm, &m->cred, PERM_STOP, e);
	if (v == NULL)
		return (-1);
	if (vm_stop(v, m->grace_ms, m->flags & STOP_FORCE, e) == -1)
		return (-1);
	if ((m->flags & STOP_WAIT) && vm_runs(v))
		vm_wait(v, msg->reqno, WAIT_END);
	else
		peer_ok(from, msg->reqno);
	return (0);
}

static int
on_op(void *ctx, struct peer *from, struct msg *msg, enum vm_op op,
    enum perm_verb verb, struct err *e)
{
	const struct msg_ref *m = msg->body;
	struct vment *v;

	v = find_allowed(parent_of(ctx), &m->vm, &m->cred, verb, e);
	if (v == NULL || vm_op(v, op, e) == -1)
		return (-1);
	/* Answered when it is so; a reset is nothing to wait for. */
	if (op == OP_PAUSE)
		vm_wait(v, msg->reqno, WAIT_PAUSED);
	else if (op == OP_UNPAUSE)
		vm_wait(v, msg->reqno, WAIT_RUNNING);
	else
		peer_ok(from, msg->reqno);
	return (0);
}

static int
on_pause(void *ctx, struct peer *from, struct msg *m, struct err *e)
{
	return (on_op(ctx, from, m, OP_PAUSE, PERM_PAUSE, e));
}

static int
on_unpause(void *ctx, struct peer *from, struct msg *m, struct err *e)
{
	return (on_op(ctx, from, m, OP_UNPAUSE, PERM_PAUSE, e));
}

static int
on_reboot(void *ctx, struct peer *from, struct msg *m, struct err *e)
{
	return (on_op(ctx, from, m, OP_RESET, PERM_REBOOT, e));
}

static int
on_wait(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_ref *m = msg->body;
	struct vment *v;

	v = find_allowed(parent_of(ctx), &m->vm, &m->cred, PERM_WAIT, e);
	if (v == NULL)
		return (-1);
	if (vm_runs(v) && !v->lingers) {
		vm_wait(v, msg->reqno, WAIT_RESULT);
		return (0);
	}
	if (vm_result(v, e) == -1)
		return (-1);
	peer_ok(from, msg->reqno);
	return (0);
}

static int
on_load(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_load *m = msg->body;

	if (need_root(&m->cred, "load a configuration", e) == -1 ||
	    parent_load(parent_of(ctx), m->path, true, e) == -1)
		return (-1);
	peer_ok(from, msg->reqno);
	return (0);
}

static int
on_reload(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_verbose *m = msg->body;
	struct parent *p = parent_of(ctx);

	if (need_root(&m->cred, "reload the configuration", e) == -1 ||
	    parent_load(p, p->conf_path, false, e) == -1)
		return (-1);
	peer_ok(from, msg->reqno);
	return (0);
}

static int
on_reset(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_reset *m = msg->body;
	struct parent *p = parent_of(ctx);

	if (need_root(&m->cred, "reset vmd", e) == -1)
		return (-1);
	if (m->what & RESET_VMS)
		parent_forget_vms(p);
	if (m->what & RESET_SWITCHES) {
		free(p->conf->switches);
		p->conf->switches = NULL;
		p->conf->nswitches = 0;
	}
	parent_event(p, NULL, false, "reset by uid %u", m->cred.uid);
	peer_ok(from, msg->reqno);
	return (0);
}

static int
on_loglevel(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_verbose *m = msg->body;
	struct msg_level level = { .level = m->level };
	struct parent *p = parent_of(ctx);

	if (need_root(&m->cred, "set the log level", e) == -1)
		return (-1);
	log_setverbose((int)m->level);
	peer_send(from, MSG_VERBOSE, 0, NULL, &level, sizeof(level));
	if (p->vmm.peer != NULL)
		peer_send(
		    p->vmm.peer, MSG_VERBOSE, 0, NULL, &level, sizeof(level));
	peer_ok(from, msg->reqno);
	return (0);
}

static int
on_forget(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	(void)from;
	(void)e;
	vm_forget_waiter(parent_of(ctx), msg->reqno);
	return (0);
}

/* A line of a process that has no syslog of its own; it has its prefix. */
int
parent_on_log(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_logline *m = msg->body;
	char line[LOG_LINE_BYTES + 1];

	(void)ctx;
	(void)from;
	(void)e;
	memcpy(line, m + 1, m->len);
	line[m->len] = '\0';
	log_line((int)m->prio, line);
	return (0);
}

static int
on_vm_event(void *ctx, struct peer *from, struct msg *msg, struct err *e)
{
	const struct msg_vm_event *m = msg->body;
	struct vment *v;

	(void)from;
	(void)e;
	if ((v = vmtab_id(parent_of(ctx), m->id)) != NULL)
		vm_event(v, m);
	return (0);
}

const struct msg_handler parent_from_control[] = {
	{ MSG_LEND, on_lend },
	{ MSG_START, on_start },
	{ MSG_STOP, on_stop },
	{ MSG_PAUSE, on_pause },
	{ MSG_UNPAUSE, on_unpause },
	{ MSG_REBOOT, on_reboot },
	{ MSG_WAIT, on_wait },
	{ MSG_LOAD, on_load },
	{ MSG_RELOAD, on_reload },
	{ MSG_RESET, on_reset },
	{ MSG_LOGLEVEL, on_loglevel },
	{ MSG_FORGET, on_forget },
	{ MSG_LOG, parent_on_log },
};
const size_t parent_nfrom_control =
    sizeof(parent_from_control) / sizeof(parent_from_control[0]);

const struct msg_handler parent_from_vmm[] = {
	{ MSG_VM_EVENT, on_vm_event },
	{ MSG_LOG, parent_on_log },
};
const size_t parent_nfrom_vmm =
    sizeof(parent_from_vmm) / sizeof(parent_from_vmm[0]);
