/* SPDX-License-Identifier: ISC */
/* A whole vm process, and who is at its links: see vmrig.h. */
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/proc/proc.h"
#include "regress/lib/fakekernel.h"
#include "regress/lib/tap.h"
#include "regress/lib/vmrig.h"
#include "shared/fd.h"

__asm__(".pushsection .rodata\n"
	".globl vmproc_guest, vmproc_guest_end\n"
	"vmproc_guest:\n"
	".code32\n"
	"	movl $0x200000, %esp\n"
	"	xorl %ebx, %ebx\n" /* 0xff: deaf */
	"	movw $0x3f8, %dx\n"
	"	movb $'A', %al\n"
	"	outb %al, %dx\n"
	"1:	movw $0x600, %dx\n"
	"	inw %dx, %ax\n"
	"	orb %bl, %bl\n"
	"	jnz 2f\n"
	"	testb $1, %ah\n"
	"	jnz 3f\n"
	"2:	movw $0x3fd, %dx\n"
	"	inb %dx, %al\n"
	"	testb $1, %al\n"
	"	jz 1b\n"
	"	movw $0x3f8, %dx\n"
	"	inb %dx, %al\n"
	"	outb %al, %dx\n"
	"	cmpb $'q', %al\n"
	"	je 3f\n"
	"	cmpb $'r', %al\n"
	"	je 4f\n"
	"	cmpb $'t', %al\n"
	"	je 5f\n"
	"	cmpb $'d', %al\n"
	"	jne 1b\n"
	"	movb $0xff, %bl\n"
	"	jmp 1b\n"
	"3:	movw $0x604, %dx\n"
	"	movw $0x3400, %ax\n"
	"	outw %ax, %dx\n"
	"4:	movw $0xcf9, %dx\n"
	"	movb $6, %al\n"
	"	outb %al, %dx\n"
	"5:	pushl $0\n"
	"	pushl $0\n"
	"	lidt (%esp)\n"
	"	ud2\n"
	".code64\n"
	"vmproc_guest_end:\n"
	".popsection");
extern const uint8_t vmproc_guest[], vmproc_guest_end[];

#define SECONDS 40 /* for a run that hangs */

static int
on_any(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct rig_side *s = ctx;

	(void)p;
	(void)e;
	s->got[m->type]++;
	s->reqno = m->reqno;
	if (m->type == MSG_LOG)
		printf("# vm: %.*s\n",
		    (int)(m->len - sizeof(struct msg_logline)),
		    (const char *)m->body + sizeof(struct msg_logline));
	if (m->type == MSG_VM_EVENT)
		s->event = *(const struct msg_vm_event *)m->body;
	else if (m->type == MSG_ATTACHED)
		s->attached = *(const struct msg_attached_vm *)m->body;
	else if (m->type == MSG_ERR)
		s->err = *(const struct msg_err *)m->body;
	else if (m->type == MSG_CONS_INPUT_CREDIT)
		s->credit += ((const struct msg_credit *)m->body)->bytes;
	if (m->fd != -1) {
		fd_close(&s->fd[m->type]);
		s->fd[m->type] = fd_move(&m->fd);
	}
	return (0);
}

static const struct msg_handler from_vm[] = {
	{ MSG_OK, on_any },
	{ MSG_ERR, on_any },
	{ MSG_LOG, on_any },
	{ MSG_VM_EVENT, on_any },
	{ MSG_ATTACHED, on_any },
	{ MSG_PAGE_RING, on_any },
	{ MSG_PAGE_BELL, on_any },
	{ MSG_PAGE_FIGURES, on_any },
	{ MSG_BELL_EVENT, on_any },
	{ MSG_PAGE_DEV, on_any },
	{ MSG_SAMPLED, on_any },
	{ MSG_CONS_INPUT_CREDIT, on_any },
};

static void
on_closed(void *ctx, struct peer *p, const struct err *why)
{
	struct rig_side *s = ctx;

	(void)p;
	(void)why;
	s->peer = NULL;
}

static void
side_open(struct rig *r, struct rig_side *s, int fd)
{
	struct peer_conf conf = {
		.other = ROLE_VM,
		.handlers = from_vm,
		.nhandlers = sizeof(from_vm) / sizeof(from_vm[0]),
		.ctx = s,
		.closed = on_closed,
	};
	struct err e;
	size_t i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < MSG_NTYPES; i++)
		s->fd[i] = -1;
	s->peer = peer_open(r->base, &fd, &conf, &e);
	CHECK(s->peer != NULL);
}

void
rig_side_close(struct rig_side *s)
{
	size_t i;

	peer_close(s->peer);
	s->peer = NULL;
	for (i = 0; i < MSG_NTYPES; i++)
		fd_close(&s->fd[i]);
}

static void
child(struct rig *r, int link, int listener)
{
	struct proc_start start = { .title = "vm/t", .id = RIG_ID };

	(void)r;
	start.link_fd = link;
	start.listen_fd = listener;
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	alarm(SECONDS);
	_exit(vm_run(&start));
}

static int
listener(struct rig *r)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(r->dir, "/tmp/vmproc.XXXXXX");
	CHECK(mkdtemp(r->dir) != NULL);
	snprintf(r->path, sizeof(r->path), "%s/s", r->dir);
	strcpy(sun.sun_path, r->path);
	CHECK_EQ(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	CHECK_EQ(listen(fd, 8), 0);
	return (fd);
}

int
rig_kernel_fd(void)
{
	uint8_t file[FAKE_BYTES];
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	fake_elf64(file);
	memcpy(file + FAKE_TEXT + (FAKE_ENTRY - FAKE_TEXT_GPA), vmproc_guest,
	    (uintptr_t)vmproc_guest_end - (uintptr_t)vmproc_guest);
	CHECK_EQ(write(fd, file, sizeof(file)), sizeof(file));
	return (fd);
}

void
rig_send_fd(struct rig *r, enum vm_fd which, int fd)
{
	struct msg_vm_fd m = { .id = RIG_ID, .which = which };

	CHECK_EQ(peer_send(r->vmm.peer, MSG_VM_FD, 0, &fd, &m, sizeof(m)), 0);
}

void
rig_new(struct rig *r, unsigned ncpus)
{
	struct msg_vm_spec spec = {
		.id = RIG_ID,
		.uid = 60000,
		.ncpus = ncpus,
		.console_bytes = RING_MIN_BYTES,
		.mem_bytes = 16 << 20,
		.hugepages = 1,
		.grace_ms = 30000,
		.name = "t",
	};

	CHECK_EQ(
	    peer_send(r->vmm.peer, MSG_VM_NEW, 0, NULL, &spec, sizeof(spec)),
	    0);
}

void
rig_go(struct rig *r, uint32_t reqno)
{
	struct msg_vm_go go = { .id = RIG_ID };

	memset(r->token, 0x42, sizeof(r->token));
	memcpy(go.token, r->token, sizeof(go.token));
	CHECK_EQ(
	    peer_send(r->vmm.peer, MSG_VM_GO, reqno, NULL, &go, sizeof(go)), 0);
}

bool
rig_spawn(struct rig *r)
{
	int sv[2], l;

	memset(r, 0, sizeof(*r));
	alarm(SECONDS);
	if (access("/dev/kvm", R_OK | W_OK) == -1) {
		tap_skip("/dev/kvm cannot be opened");
		return (false);
	}
	r->base = event_base_new();
	CHECK_EQ(fd_socketpair(sv), 0);
	l = listener(r);
	fflush(stdout);
	if ((r->pid = fork()) == 0) {
		close(sv[0]);
		child(r, sv[1], l);
	}
	close(sv[1]);
	close(l);
	side_open(r, &r->vmm, sv[0]);
	return (true);
}

bool
rig_open(struct rig *r, unsigned ncpus)
{
	if (!rig_spawn(r))
		return (false);
	rig_new(r, ncpus);
	rig_send_fd(r, VMFD_KVM, open("/dev/kvm", O_RDWR | O_CLOEXEC));
	rig_send_fd(r, VMFD_KERNEL, rig_kernel_fd());
	rig_go(r, 0);
	RIG_UNTIL(r, r->vmm.got[MSG_VM_EVENT] > 0 || r->vmm.peer == NULL);
	CHECK_MSG(r->vmm.event.what == WHAT_STEPS, "%s", r->vmm.event.why.text);
	return (r->vmm.event.what == WHAT_STEPS);
}

int
rig_close(struct rig *r)
{
	int status;

	while (r->vmm.peer != NULL)
		event_base_loop(r->base, EVLOOP_ONCE);
	CHECK_EQ(waitpid(r->pid, &status, 0), r->pid);
	rig_side_close(&r->vmm);
	rig_side_close(&r->control);
	if (r->ring.head_ro != NULL) {
		munmap((void *)(uintptr_t)r->ring.head_ro,
		    RING_HEAD_BYTES + RING_MIN_BYTES);
		munmap((void *)(uintptr_t)r->figures, FIGURES_BYTES);
	}
	event_base_free(r->base);
	unlink(r->path);
	rmdir(r->dir);
	if (WIFSIGNALED(status))
		tap_fail(__FILE__, __LINE__, "killed by %s",
		    strsignal(WTERMSIG(status)));
	return (WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

void
rig_op(struct rig *r, enum vm_op what, uint32_t grace_ms, uint32_t reqno)
{
	struct msg_vm_op m = { .id = RIG_ID, .op = what, .grace_ms = grace_ms };

	peer_send(r->vmm.peer, MSG_VM_OP, reqno, NULL, &m, sizeof(m));
}

void
rig_call(struct rig *r, struct rig_side *s, enum role role, uint8_t flip)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct msg_rendezvous m = { .role = role };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, r->path);
	CHECK_EQ(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	side_open(r, s, fd);
	memcpy(m.token, r->token, sizeof(m.token));
	m.token[TOKEN_BYTES - 1] ^= flip;
	CHECK_EQ(peer_send(s->peer, MSG_RENDEZVOUS, 0, NULL, &m, sizeof(m)), 0);
}

void
rig_attach(struct rig *r)
{
	const struct ring_head *h;

	rig_call(r, &r->control, ROLE_CONTROL, 0);
	RIG_UNTIL(
	    r, r->control.got[MSG_ATTACHED] > 0 || r->control.peer == NULL);
	if (r->ring.head_ro != NULL)
		return;
	h = mmap(NULL, RING_HEAD_BYTES + RING_MIN_BYTES, PROT_READ, MAP_SHARED,
	    r->control.fd[MSG_PAGE_RING], 0);
	REQUIRE(h != MAP_FAILED);
	r->ring.head_ro = h;
	r->ring.data = (const uint8_t *)h + RING_HEAD_BYTES;
	r->ring.size = RING_MIN_BYTES;
	r->figures = mmap(NULL, FIGURES_BYTES, PROT_READ, MAP_SHARED,
	    r->control.fd[MSG_PAGE_FIGURES], 0);
	CHECK(r->figures != MAP_FAILED);
}

void
rig_keys(struct rig_side *s, const char *text)
{
	struct msg_chunk head = { .len = (uint32_t)strlen(text) };
	struct iovec iov[2] = { { &head, sizeof(head) },
		{ (void *)(uintptr_t)text, head.len } };

	peer_sendv(s->peer, MSG_CONS_INPUT, 0, iov, 2);
}

void
rig_expect(struct rig *r, const char *text)
{
	uint64_t lost = 0;
	char buf[64];
	size_t n = 0;

	while (n < strlen(text)) {
		n += ring_read(
		    &r->ring, &r->off, buf + n, strlen(text) - n, &lost);
		event_base_loop(r->base, EVLOOP_NONBLOCK);
	}
	buf[n] = '\0';
	CHECK_STR(buf, text);
}
