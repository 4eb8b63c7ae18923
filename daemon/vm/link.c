/* SPDX-License-Identifier: ISC */
/*
 * The words of a vm process: its link to vmm, its link to control, and the
 * rendezvous socket where both may be opened again.
 * Runs in: vm process, main thread.  Trusts: vmm's and control's messages as
 * far as the table goes; nobody else.  A link that breaks the rules is closed,
 * the guest runs on.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "daemon/vm/vm_int.h"
#include "shared/devpage.h"
#include "shared/fd.h"
#include "shared/log.h"

static int
same_vm(const struct vm *vm, uint32_t id, struct err *e)
{
	if (!vm->have_spec)
		return (err_set(e, EINVAL, "no VM yet"));
	if (id != vm->spec.id)
		return (err_set(
		    e, EINVAL, "this is VM %u, not %u", vm->spec.id, id));
	return (0);
}

/* Nobody waits for the answer to request 0. */
static void
answer_ok(struct peer *peer, const struct msg *m)
{
	if (m->reqno != 0)
		peer_ok(peer, m->reqno);
}

/* vmm */
static int
on_vm_new(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	struct vm *vm = ctx;

	if (vm->have_spec)
		return (err_set(e, EBUSY, "this process has its VM"));
	vm->spec = *(const struct msg_vm_spec *)m->body;
	vm->have_spec = true;
	answer_ok(peer, m);
	return (0);
}

static int
on_vm_fd(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_vm_fd *body = m->body;
	struct vm *vm = ctx;

	if (same_vm(vm, body->id, e) == -1)
		return (-1);
	if (vm->machine != NULL)
		return (err_set(e, EINVAL, "no such fd is wanted here"));
	fd_close(&vm->fd[body->which]);
	vm->fd[body->which] = fd_move(&m->fd);
	answer_ok(peer, m);
	return (0);
}

static int
on_vm_dev(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_vm_dev *body = m->body;
	struct vm *vm = ctx;

	if (same_vm(vm, body->id, e) == -1 ||
	    vmproc_dev(vm, body, &m->fd, e) == -1)
		return (-1);
	answer_ok(peer, m);
	return (0);
}

static int
on_vm_dev_gone(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_vm_dev_gone *body = m->body;
	struct vm *vm = ctx;

	if (same_vm(vm, body->id, e) == -1)
		return (-1);
	vmproc_dev_gone(vm, body);
	answer_ok(peer, m);
	return (0);
}

static int
on_vm_go(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_vm_go *body = m->body;
	struct vm *vm = ctx;

	if (same_vm(vm, body->id, e) == -1)
		return (-1);
	if (vm->machine != NULL)
		return (err_set(e, EBUSY, "the VM runs"));
	memcpy(vm->token, body->token, sizeof(vm->token));
	if (vmproc_go(vm, e) == -1) {
		vmproc_end(vm, WHAT_FAILED, e);
		return (-1);
	}
	answer_ok(peer, m);
	return (0);
}

static int
on_vm_op(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_vm_op *body = m->body;
	struct vm *vm = ctx;

	if (same_vm(vm, body->id, e) == -1)
		return (-1);
	if (vmproc_op(vm, body, e) == -1) {
		if (m->reqno == 0)
			log_info("%s", e->text);
		return (-1);
	}
	answer_ok(peer, m);
	return (0);
}

static int
on_verbose(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_level *body = m->body;

	(void)ctx;
	(void)e;
	log_setverbose((int)body->level);
	answer_ok(peer, m);
	return (0);
}

static const struct msg_handler from_vmm[] = {
	{ MSG_VM_NEW, on_vm_new },
	{ MSG_VM_FD, on_vm_fd },
	{ MSG_VM_DEV, on_vm_dev },
	{ MSG_VM_DEV_GONE, on_vm_dev_gone },
	{ MSG_VM_GO, on_vm_go },
	{ MSG_VM_OP, on_vm_op },
	{ MSG_VERBOSE, on_verbose },
};

/* control */
static int
on_keys(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_chunk *head = m->body;
	struct vm *vm = ctx;

	(void)peer;
	(void)e;
	if (vmcons_keys(&vm->console, head + 1, head->len) == -1) {
		log_guest("more keys than there was credit for: %u left out",
		    head->len);
		return (0);
	}
	vmproc_keys(vm);
	return (0);
}

static int
on_break(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	struct vm *vm = ctx;

	(void)e;
	machine_break(vm->machine);
	answer_ok(peer, m);
	return (0);
}

static int
on_sample(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	struct vm *vm = ctx;

	(void)e;
	machine_sample(vm->machine);
	peer_send(peer, MSG_SAMPLED, m->reqno, NULL, m->body, m->len);
	return (0);
}

static const struct msg_handler from_control[] = {
	{ MSG_CONS_INPUT, on_keys },
	{ MSG_CONS_BREAK, on_break },
	{ MSG_SAMPLE, on_sample },
};

void
vmlink_credit(struct vm *vm, size_t bytes)
{
	struct msg_credit body = { .bytes = (uint32_t)bytes };

	if (vm->control != NULL && bytes > 0)
		peer_send(vm->control, MSG_CONS_INPUT_CREDIT, 0, NULL, &body,
		    sizeof(body));
}

void
vmlink_event(struct vm *vm, enum vm_what what, const struct err *why)
{
	vmlink_dev_event(vm, what, 0, why);
}

void
vmlink_dev_event(
    struct vm *vm, enum vm_what what, unsigned index, const struct err *why)
{
	struct msg_vm_event body = {
		.id = vm->spec.id,
		.what = what,
		.state = vm->state,
		.dev = index,
		.gen = index < VM_DEVS_MAX ? vm->dev[index].gen : 0,
	};

	if (vm->vmm == NULL)
		return;
	if (vm->machine != NULL) {
		body.restarts = machine_restarts(vm->machine);
		memcpy(body.step_us, machine_steps(vm->machine),
		    sizeof(body.step_us));
	}
	body.step_us[STEP_SPAWN] =
	    (uint32_t)((vm->start->entered_ns - vm->start->spawned_ns) / 1000);
	body.step_us[STEP_SANDBOX] =
	    (uint32_t)((vm->start->sandboxed_ns - vm->start->entered_ns) /
		1000);
	if (why != NULL)
		msg_from_err(&body.why, why);
	peer_send(vm->vmm, MSG_VM_EVENT, 0, NULL, &body, sizeof(body));
}

static void
send_page(struct vm *vm, enum msg_type type, int fd, uint32_t bytes)
{
	struct msg_page body = { .id = vm->spec.id, .bytes = bytes };
	int copy;

	if ((copy = fcntl(fd, F_DUPFD_CLOEXEC, 0)) == -1) {
		log_warn("%s", msg_name(type));
		return;
	}
	peer_send(vm->control, type, 0, &copy, &body, sizeof(body));
}

void
vmlink_dev_page(struct vm *vm, unsigned index)
{
	struct msg_page_dev body = {
		.id = vm->spec.id,
		.index = index,
		.kind = vm->dev[index].kind,
		.bytes = DEVPAGE_BYTES,
	};
	int copy;

	if (vm->control == NULL)
		return;
	if ((copy = fcntl(vm->dev[index].page_fd, F_DUPFD_CLOEXEC, 0)) == -1) {
		log_warn("page of %s", vm->dev[index].name);
		return;
	}
	peer_send(vm->control, MSG_PAGE_DEV, 0, &copy, &body, sizeof(body));
}

static void
send_attached(struct vm *vm, struct peer *peer)
{
	struct msg_attached_vm body = {
		.id = vm->spec.id,
		.state = vm->state,
		.restarts = machine_restarts(vm->machine),
		.console_bytes = vm->console.size,
	};

	memcpy(body.name, vm->spec.name, sizeof(body.name));
	peer_send(peer, MSG_ATTACHED, 0, NULL, &body, sizeof(body));
}

static void
attach_control(struct vm *vm, struct peer *peer)
{
	unsigned i;

	if (vm->control != NULL)
		peer_close(vm->control);
	vm->control = peer;
	peer_become(peer, ROLE_CONTROL, from_control,
	    sizeof(from_control) / sizeof(from_control[0]));
	vmcons_new_control(&vm->console);
	send_page(vm, MSG_PAGE_RING, vm->console.ring_fd,
	    RING_HEAD_BYTES + vm->console.size);
	send_page(vm, MSG_PAGE_BELL, vm->console.page_fd, RING_HEAD_BYTES);
	send_page(vm, MSG_PAGE_FIGURES, vm->figures_fd, FIGURES_BYTES);
	send_page(vm, MSG_BELL_EVENT, vm->console.ring.bell_fd, 0);
	for (i = 0; i < vm->spec.ndevs; i++)
		vmlink_dev_page(vm, i);
	send_attached(vm, peer);
}

static void
attach_vmm(struct vm *vm, struct peer *peer)
{
	if (vm->vmm != NULL)
		peer_close(vm->vmm);
	vm->vmm = peer;
	peer_become(
	    peer, ROLE_VMM, from_vmm, sizeof(from_vmm) / sizeof(from_vmm[0]));
	send_attached(vm, peer);
	vmlink_log_flush(vm);
}

/* The time it takes says nothing of how much of it was right. */
static bool
token_ok(const uint8_t *a, const uint8_t *b)
{
	unsigned diff = 0;
	size_t i;

	for (i = 0; i < TOKEN_BYTES; i++)
		diff |= a[i] ^ b[i];
	return (diff == 0);
}

static struct vm_caller *
caller_of(struct vm *vm, const struct peer *peer)
{
	size_t i;

	for (i = 0; i < VM_CALLERS; i++)
		if (vm->caller[i].peer == peer)
			return (&vm->caller[i]);
	return (NULL);
}

static int
on_rendezvous(void *ctx, struct peer *peer, struct msg *m, struct err *e)
{
	const struct msg_rendezvous *body = m->body;
	struct vm_caller *caller;
	struct vm *vm = ctx;

	(void)e;
	if ((caller = caller_of(vm, peer)) != NULL)
		caller->peer = NULL;
	if (vm->machine == NULL || !token_ok(body->token, vm->token)) {
		log_guest("rendezvous with a wrong token refused");
		peer_close(peer);
	} else if (body->role == ROLE_VMM)
		attach_vmm(vm, peer);
	else
		attach_control(vm, peer);
	return (0);
}

static const struct msg_handler from_caller[] = {
	{ MSG_RENDEZVOUS, on_rendezvous },
};

/* Any of the three kinds of link is gone; the guest does not notice. */
static void
link_closed(void *ctx, struct peer *peer, const struct err *why)
{
	struct vm_caller *caller;
	struct vm *vm = ctx;

	if (vm->vmm == peer)
		vm->vmm = NULL;
	else if (vm->control == peer)
		vm->control = NULL;
	else if ((caller = caller_of(vm, peer)) != NULL)
		caller->peer = NULL;
	if (why->code != 0)
		log_guest("link closed: %s", why->text);
	/* Without a machine there is nothing to live for. */
	if (vm->vmm == NULL && vm->machine == NULL)
		event_base_loopbreak(vm->base);
}

static struct peer *
link_peer(struct vm *vm, int *fd, enum role other,
    const struct msg_handler *handlers, size_t n, struct err *e)
{
	struct peer_conf conf = {
		.other = other,
		.handlers = handlers,
		.nhandlers = n,
		.ctx = vm,
		.closed = link_closed,
	};

	return (peer_open(vm->base, fd, &conf, e));
}

static bool
caller_is_root(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 &&
	    len == sizeof(cred) && cred.uid == 0);
}

/* A free place; when all are taken, that of whoever has waited. */
static struct vm_caller *
caller_place(struct vm *vm)
{
	static unsigned next;
	struct vm_caller *c;

	if ((c = caller_of(vm, NULL)) != NULL)
		return (c);
	c = &vm->caller[next++ % VM_CALLERS];
	peer_close(c->peer);
	c->peer = NULL;
	return (c);
}

static void
on_listen(int fd, short what, void *arg)
{
	struct vm *vm = arg;
	struct vm_caller *caller;
	struct err e;
	int s;

	(void)what;
	s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (s == -1) {
		if (errno == EMFILE || errno == ENFILE)
			log_guest("no fd for a caller");
		return;
	}
	if (!caller_is_root(s)) {
		log_guest("a caller that is not root refused");
		fd_close(&s);
		return;
	}
	caller = caller_place(vm);
	caller->peer = link_peer(vm, &s, ROLE_PARENT, from_caller,
	    sizeof(from_caller) / sizeof(from_caller[0]), &e);
	if (caller->peer == NULL)
		log_guest("%s", e.text);
}

static void
send_line(struct vm *vm, int prio, const char *text)
{
	struct msg_logline head = { .prio = (uint32_t)prio };
	struct iovec iov[2];
	char line[LOG_LINE_BYTES];

	head.len = (uint32_t)strnlen(text, LOG_LINE_BYTES - 1);
	memcpy(line, text, head.len);
	iov[0].iov_base = &head;
	iov[0].iov_len = sizeof(head);
	iov[1].iov_base = line;
	iov[1].iov_len = head.len;
	peer_sendv(vm->vmm, MSG_LOG, 0, iov, 2);
}

void
vmlink_log_flush(struct vm *vm)
{
	struct vm_log *l = &vm->log;
	char text[LOG_LINE_BYTES];
	int prio;

	while (vm->vmm != NULL) {
		pthread_mutex_lock(&l->lock);
		if (l->n == 0) {
			pthread_mutex_unlock(&l->lock);
			return;
		}
		prio = l->line[l->first].prio;
		memcpy(text, l->line[l->first].text, sizeof(text));
		l->first = (l->first + 1) % VM_LOGLINES;
		l->n--;
		pthread_mutex_unlock(&l->lock);
		send_line(vm, prio, text);
	}
}

/* Any thread: only queue it; the main thread sends. */
static void
log_sink(void *ctx, int prio, const char *line)
{
	struct vm *vm = ctx;
	struct vm_log *l = &vm->log;
	unsigned at;

	pthread_mutex_lock(&l->lock);
	if (l->n == VM_LOGLINES) {
		l->first = (l->first + 1) % VM_LOGLINES;
		l->n--;
	}
	at = (l->first + l->n++) % VM_LOGLINES;
	l->line[at].prio = prio & LOG_PRIMASK;
	strncpy(l->line[at].text, line, LOG_LINE_BYTES - 1);
	pthread_mutex_unlock(&l->lock);
	if (vm->machine != NULL)
		machine_poke(vm->machine);
}

int
vmlink_open(struct vm *vm, struct err *e)
{
	int fd = vm->start->link_fd;
	size_t i;

	for (i = 0; i < VM_CALLERS; i++)
		vm->caller[i].vm = vm;
	pthread_mutex_init(&vm->log.lock, NULL);
	vm->vmm = link_peer(vm, &fd, ROLE_VMM, from_vmm,
	    sizeof(from_vmm) / sizeof(from_vmm[0]), e);
	if (vm->vmm == NULL)
		return (-1);
	log_setsink(log_sink, vm);
	vm->listen_fd = vm->start->listen_fd;
	if (fd_set_nonblock(vm->listen_fd) == -1)
		return (err_errno(e, "rendezvous socket"));
	vm->listen_ev = event_new(
	    vm->base, vm->listen_fd, EV_READ | EV_PERSIST, on_listen, vm);
	if (vm->listen_ev == NULL || event_add(vm->listen_ev, NULL) == -1)
		return (err_set(e, ENOMEM, "no memory for events"));
	return (0);
}

void
vmlink_close(struct vm *vm)
{
	size_t i;

	vmlink_log_flush(vm);
	log_setsink(NULL, NULL);
	if (vm->listen_ev != NULL)
		event_free(vm->listen_ev);
	for (i = 0; i < VM_CALLERS; i++)
		peer_close(vm->caller[i].peer);
	peer_close(vm->control);
	peer_close(vm->vmm);
}
