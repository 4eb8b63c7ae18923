/* SPDX-License-Identifier: ISC */
/*
 * A whole vm process, in a child with both its filters on: started, watched,
 * left alone and taken back as vmm and control do it.  Needs /dev/kvm; the
 * rendezvous takes root.
 *
 * The guest prints "A", echoes its keys, and of these: q powers it off, r
 * resets it, t is a triple fault, d makes it deaf to the power button.
 */
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/proc/proc.h"
#include "regress/lib/backthread.h"
#include "regress/lib/fakekernel.h"
#include "regress/lib/tap.h"
#include "shared/fd.h"
#include "shared/figures.h"
#include "shared/peer.h"
#include "shared/ring.h"

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

#define ID 7
#define SECONDS 40 /* for a run that hangs */

struct side {              /* a link as vmm or control has it */
	struct peer *peer; /* NULL: closed by the other end */
	unsigned got[MSG_NTYPES];
	struct msg_vm_event event;
	struct msg_attached_vm attached;
	struct msg_err err;
	uint32_t reqno, credit;
	int fd[MSG_NTYPES];
};

struct rig {
	struct event_base *base;
	char dir[32], path[64];
	uint8_t token[TOKEN_BYTES];
	pid_t pid;
	struct side vmm, control;
	struct ring_r ring;
	const struct figures *figures;
	uint64_t off;
};

static int
on_any(void *ctx, struct peer *p, struct msg *m, struct err *e)
{
	struct side *s = ctx;

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
	struct side *s = ctx;

	(void)p;
	(void)why;
	s->peer = NULL;
}

static void
side_open(struct rig *r, struct side *s, int fd)
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

static void
side_close(struct side *s)
{
	size_t i;

	peer_close(s->peer);
	s->peer = NULL;
	for (i = 0; i < MSG_NTYPES; i++)
		fd_close(&s->fd[i]);
}

#define UNTIL(r, cond)                                                         \
	do {                                                                   \
		while (!(cond))                                                \
			event_base_loop((r)->base, EVLOOP_ONCE);               \
	} while (0)

static void
child(struct rig *r, int link, int listener)
{
	struct proc_start start = { .title = "vm/t", .id = ID };

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

static int
kernel_fd(void)
{
	uint8_t file[FAKE_BYTES];
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	fake_elf64(file);
	memcpy(file + FAKE_TEXT + (FAKE_ENTRY - FAKE_TEXT_GPA), vmproc_guest,
	    (uintptr_t)vmproc_guest_end - (uintptr_t)vmproc_guest);
	CHECK_EQ(write(fd, file, sizeof(file)), sizeof(file));
	return (fd);
}

static void
send_fd(struct rig *r, enum vm_fd which, int fd)
{
	struct msg_vm_fd m = { .id = ID, .which = which };

	CHECK_EQ(peer_send(r->vmm.peer, MSG_VM_FD, 0, &fd, &m, sizeof(m)), 0);
}

static void
send_new(struct rig *r, unsigned ncpus)
{
	struct msg_vm_spec spec = {
		.id = ID,
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

static void
send_go(struct rig *r, uint32_t reqno)
{
	struct msg_vm_go go = { .id = ID };

	memset(r->token, 0x42, sizeof(r->token));
	memcpy(go.token, r->token, sizeof(go.token));
	CHECK_EQ(
	    peer_send(r->vmm.peer, MSG_VM_GO, reqno, NULL, &go, sizeof(go)), 0);
}

/* The process, with its link; nothing said yet. */
static bool
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

static bool
rig_open(struct rig *r, unsigned ncpus)
{
	if (!rig_spawn(r))
		return (false);
	send_new(r, ncpus);
	send_fd(r, VMFD_KVM, open("/dev/kvm", O_RDWR | O_CLOEXEC));
	send_fd(r, VMFD_KERNEL, kernel_fd());
	send_go(r, 0);
	UNTIL(r, r->vmm.got[MSG_VM_EVENT] > 0 || r->vmm.peer == NULL);
	CHECK_MSG(r->vmm.event.what == WHAT_STEPS, "%s", r->vmm.event.why.text);
	return (r->vmm.event.what == WHAT_STEPS);
}

/* Its exit status; what it still says is read first. */
static int
rig_close(struct rig *r)
{
	int status;

	while (r->vmm.peer != NULL)
		event_base_loop(r->base, EVLOOP_ONCE);
	CHECK_EQ(waitpid(r->pid, &status, 0), r->pid);
	side_close(&r->vmm);
	side_close(&r->control);
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

static void
op(struct rig *r, enum vm_op what, uint32_t grace_ms, uint32_t reqno)
{
	struct msg_vm_op m = { .id = ID, .op = what, .grace_ms = grace_ms };

	peer_send(r->vmm.peer, MSG_VM_OP, reqno, NULL, &m, sizeof(m));
}

/* Call it and say these words as this role. */
static void
call(struct rig *r, struct side *s, enum role role, uint8_t flip)
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

static void
attach_control(struct rig *r)
{
	const struct ring_head *h;

	call(r, &r->control, ROLE_CONTROL, 0);
	UNTIL(r, r->control.got[MSG_ATTACHED] > 0 || r->control.peer == NULL);
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

static void
keys(struct side *s, const char *text)
{
	struct msg_chunk head = { .len = (uint32_t)strlen(text) };
	struct iovec iov[2] = { { &head, sizeof(head) },
		{ (void *)(uintptr_t)text, head.len } };

	peer_sendv(s->peer, MSG_CONS_INPUT, 0, iov, 2);
}

/* The console's next bytes, as soon as they are there. */
static void
expect(struct rig *r, const char *text)
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

static bool
is_root(void)
{
	if (getuid() != 0)
		tap_skip("the rendezvous takes root only");
	return (getuid() == 0);
}

static void
t_console(void)
{
	static struct rig r;
	struct msg_sample sample = { .seq = 9 };

	if (!is_root() || !rig_open(&r, 2))
		return;
	CHECK(r.vmm.event.step_us[STEP_KVM] > 0);
	CHECK_EQ(r.vmm.event.state, VM_RUNNING);
	attach_control(&r);
	CHECK_STR(r.control.attached.name, "t");
	CHECK_EQ(r.control.attached.console_bytes, RING_MIN_BYTES);
	CHECK_EQ(r.ring.head_ro->size, RING_MIN_BYTES);
	/* Not even root may write what the vm process says. */
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		  r.control.fd[MSG_PAGE_RING], 0) == MAP_FAILED);
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
		  r.control.fd[MSG_PAGE_FIGURES], 0) == MAP_FAILED);
	expect(&r, "A");
	keys(&r.control, "welve keys!");
	expect(&r, "welve keys!");
	UNTIL(&r, r.control.credit == 11);
	peer_send(r.control.peer, MSG_SAMPLE, 3, NULL, &sample, sizeof(sample));
	UNTIL(&r, r.control.got[MSG_SAMPLED] == 1);
	CHECK_EQ(r.control.reqno, 3);
	CHECK(r.figures->vcpu[0].run_ns > 0);
	CHECK_EQ(r.figures->console_bytes, 12);
	CHECK(r.figures->resident_bytes >= 4096);
	keys(&r.control, "q");
	UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK_EQ(rig_close(&r), 0);
}

static void
t_ops(void)
{
	static struct rig r;

	if (!is_root() || !rig_open(&r, 1))
		return;
	attach_control(&r);
	expect(&r, "A");
	op(&r, OP_UNPAUSE, 0, 5);
	UNTIL(&r, r.vmm.got[MSG_ERR] == 1);
	CHECK_EQ(r.vmm.reqno, 5);
	CHECK(strstr(r.vmm.err.text, "not paused") != NULL);
	op(&r, OP_PAUSE, 0, 6);
	UNTIL(&r, r.vmm.got[MSG_OK] == 1);
	CHECK_EQ(r.vmm.event.state, VM_PAUSED);
	keys(&r.control, "k");
	UNTIL(&r, r.control.credit == 1); /* it is in the UART */
	CHECK_EQ(ring_end(&r.ring), 1);   /* and not echoed */
	op(&r, OP_UNPAUSE, 0, 7);
	expect(&r, "k");
	op(&r, OP_RESET, 0, 8);
	expect(&r, "A");
	UNTIL(&r, r.vmm.event.what == WHAT_RESET);
	CHECK_STR(r.vmm.event.why.text, "by request");
	keys(&r.control, "t");
	expect(&r, "tA");
	UNTIL(&r, r.vmm.event.restarts == 2);
	CHECK_STR(r.vmm.event.why.text, "triple fault");
	op(&r, OP_STOP, 0, 9);
	UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK_EQ(r.vmm.event.state, VM_STOPPING);
	CHECK_EQ(r.vmm.event.why.code, 0);
	CHECK_EQ(rig_close(&r), 0);
}

static void
t_grace(void)
{
	static struct rig r;

	if (!is_root() || !rig_open(&r, 1))
		return;
	attach_control(&r);
	keys(&r.control, "d");
	expect(&r, "Ad");
	op(&r, OP_STOP, 50, 1);
	UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK(strstr(r.vmm.event.why.text, "did not shut down") != NULL);
	CHECK_EQ(rig_close(&r), 0);
	if (!rig_open(&r, 1))
		return;
	op(&r, OP_KILL, 0, 1);
	UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK_EQ(rig_close(&r), 0);
}

static void
t_storm(void)
{
	static struct rig r;

	if (!is_root() || !rig_open(&r, 1))
		return;
	attach_control(&r);
	keys(&r.control, "r");
	expect(&r, "ArA");
	keys(&r.control, "r");
	expect(&r, "rA");
	keys(&r.control, "r");
	UNTIL(&r, r.vmm.event.what == WHAT_FAILED);
	CHECK(strstr(r.vmm.event.why.text, "restarted 3 times") != NULL);
	CHECK_EQ(rig_close(&r), 1);
}

static void
t_links(void)
{
	static struct rig r;
	struct msg_vm_op m = { .id = 99, .op = OP_KILL };
	struct side s;
	int fd;

	if (!is_root() || !rig_open(&r, 1))
		return;
	attach_control(&r);
	expect(&r, "A");
	/* Not its VM: refused, goes on. */
	peer_send(r.vmm.peer, MSG_VM_OP, 4, NULL, &m, sizeof(m));
	UNTIL(&r, r.vmm.got[MSG_ERR] == 1);
	/* A wrong token, a wrong first word: hung up, nothing else. */
	call(&r, &s, ROLE_VMM, 1);
	UNTIL(&r, s.peer == NULL);
	CHECK_EQ(s.got[MSG_ATTACHED], 0);
	side_close(&s);
	/* vmm breaks the rules, then is gone; the guest does not notice. */
	fd = dup(peer_fd(r.vmm.peer));
	CHECK_EQ(send(fd, "garbage, sixteen bytes and more", 31, 0), 31);
	close(fd);
	UNTIL(&r, r.vmm.peer == NULL);
	keys(&r.control, "x");
	expect(&r, "x");
	call(&r, &r.vmm, ROLE_VMM, 0);
	UNTIL(&r, r.vmm.got[MSG_ATTACHED] == 1);
	CHECK_EQ(r.vmm.attached.id, ID);
	CHECK_EQ(r.vmm.attached.state, VM_RUNNING);
	/* control dies, another comes; a third takes the place of a living one */
	side_close(&r.control);
	attach_control(&r);
	CHECK_EQ(r.control.got[MSG_ATTACHED], 1);
	call(&r, &s, ROLE_CONTROL, 0);
	UNTIL(&r, s.got[MSG_ATTACHED] == 1 && r.control.peer == NULL);
	keys(&s, "yq");
	expect(&r, "yq");
	UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	side_close(&s);
	CHECK_EQ(rig_close(&r), 0);
}

/* T63, T64: callers that say nothing, or nonsense, again and again. */
static void
t_callers(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	static struct rig r;
	int fd[40];
	size_t i;

	if (!is_root() || !rig_open(&r, 1))
		return;
	strcpy(sun.sun_path, r.path);
	for (i = 0; i < 40; i++) {
		fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		CHECK_EQ(
		    connect(fd[i], (struct sockaddr *)&sun, sizeof(sun)), 0);
		if (i % 2)
			CHECK(send(fd[i], "x", 1, MSG_NOSIGNAL) != 0);
	}
	attach_control(&r); /* comes behind all of them */
	CHECK_EQ(r.control.got[MSG_ATTACHED], 1);
	for (i = 0; i < 40; i++)
		close(fd[i]);
	keys(&r.control, "q");
	UNTIL(&r, r.vmm.event.what == WHAT_POWEROFF);
	CHECK_EQ(rig_close(&r), 0);
}

static unsigned
count_dir(const char *path)
{
	struct dirent *d;
	unsigned n = 0;
	DIR *dir;

	if ((dir = opendir(path)) == NULL)
		return (0);
	while ((d = readdir(dir)) != NULL)
		n += d->d_name[0] != '.';
	closedir(dir);
	return (n);
}

/* Every thread of it is under a filter before the guest runs. */
static void
t_filters(void)
{
	static struct rig r;
	char path[64], file[384], line[128];
	struct dirent *d;
	unsigned n = 0;
	FILE *f;
	DIR *dir;

	if (!rig_open(&r, 3))
		return;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)r.pid);
	REQUIRE((dir = opendir(path)) != NULL);
	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s/status", path, d->d_name);
		REQUIRE((f = fopen(file, "r")) != NULL);
		while (fgets(line, sizeof(line), f) != NULL)
			n += strcmp(line, "Seccomp:\t2\n") == 0;
		fclose(f);
	}
	closedir(dir);
	/* Ours, and what newer kernels run in KVM's name inside of it. */
	CHECK(n >= 4);
#ifdef __SANITIZE_THREAD__ /* its own thread is there before any filter */
	CHECK(n < count_dir(path));
#else
	CHECK_EQ(n, count_dir(path));
#endif
	op(&r, OP_KILL, 0, 0);
	CHECK_EQ(rig_close(&r), 0);
}

static void
t_bad_starts(void)
{
	static struct rig r;

	if (!rig_spawn(&r))
		return;
	side_close(&r.vmm); /* before there is anything: it ends */
	CHECK_EQ(rig_close(&r), 1);

	if (!rig_spawn(&r))
		return;
	send_go(&r, 1);
	UNTIL(&r, r.vmm.got[MSG_ERR] == 1);
	CHECK(strstr(r.vmm.err.text, "no VM yet") != NULL);
	send_new(&r, 1);
	send_fd(&r, VMFD_KVM, open("/dev/null", O_RDWR | O_CLOEXEC));
	send_go(&r, 2);
	UNTIL(&r, r.vmm.peer == NULL);
	CHECK_EQ(r.vmm.event.what, WHAT_FAILED);
	CHECK(strstr(r.vmm.event.why.text, "before the kernel") != NULL);
	CHECK_EQ(rig_close(&r), 1);

	if (!rig_spawn(&r))
		return;
	send_new(&r, 1);
	send_fd(&r, VMFD_KVM, open("/dev/null", O_RDWR | O_CLOEXEC));
	send_fd(&r, VMFD_KERNEL, kernel_fd());
	send_go(&r, 0);
	UNTIL(&r, r.vmm.peer == NULL);
	CHECK(strstr(r.vmm.event.why.text, "not KVM") != NULL);
	CHECK_EQ(rig_close(&r), 1);

	if (!rig_spawn(&r))
		return;
	send_new(&r, 1);
	send_fd(&r, VMFD_KVM, open("/dev/kvm", O_RDWR | O_CLOEXEC));
	send_fd(&r, VMFD_KERNEL, open("/dev/null", O_RDONLY | O_CLOEXEC));
	send_go(&r, 0);
	UNTIL(&r, r.vmm.peer == NULL);
	CHECK_EQ(r.vmm.event.what, WHAT_FAILED);
	CHECK_MSG(strstr(r.vmm.event.why.text, "kernel") != NULL, "%s",
	    r.vmm.event.why.text);
	CHECK_EQ(rig_close(&r), 1);
}

static int
guest_fd(const char *name)
{
	const char *dir = getenv("B");
	char path[256];

	snprintf(path, sizeof(path), "%s/regress/guests/%s",
	    dir != NULL ? dir : "build", name);
	return (open(path, O_RDONLY | O_CLOEXEC));
}

static void
send_dev(struct rig *r, enum dev_fd what, int *fd, uint32_t reqno)
{
	struct msg_vm_dev m = {
		.id = ID, .kind = DEV_BLK, .what = what, .name = "blk0"
	};

	CHECK_EQ(
	    peer_send(r->vmm.peer, MSG_VM_DEV, reqno, fd, &m, sizeof(m)), 0);
}

static int
page_fd(const struct devpage_conf *conf)
{
	struct devpage *page;
	void *p;
	int fd;

	fd = memfd_sealed_map(
	    "page", DEVPAGE_BYTES, F_SEAL_SHRINK | F_SEAL_GROW, &p);
	page = p;
	page->conf = *conf;
	munmap(p, DEVPAGE_BYTES);
	return (fd);
}

/* Until its guest has written and flushed: no message tells. */
static void
flushed(struct rig *r, struct backthread *t)
{
	while (atomic_load(&t->page.flushes) < 4 ||
	    atomic_load(&t->page.inflight) != 0) {
		event_base_loop(r->base, EVLOOP_NONBLOCK);
		(void)poll(NULL, 0, 1);
	}
}

/*
 * A disk that another process serves, four CPUs on it, with the filters on:
 * set up, held, lost, replaced, and from the start again.
 */
static void
t_device(void)
{
	static struct rig r;
	static struct backthread t;
	struct msg_vm_spec spec = {
		.id = ID,
		.uid = 60000,
		.ncpus = 4,
		.console_bytes = RING_MIN_BYTES,
		.mem_bytes = 16 << 20,
		.grace_ms = 30000,
		.ndevs = 1,
		.name = "t",
	};
	struct devpage_conf conf = {
		.magic = DEVPAGE_MAGIC,
		.kind = DEV_BLK,
		.nqueues = 4,
		.serial = "flat guest",
	};
	int fd;

	if (!is_root() || !rig_spawn(&r))
		return;
	fd = memfd_create("disk", MFD_CLOEXEC);
	CHECK_EQ(ftruncate(fd, 1 << 20), 0);
	backthread_open(&t, &vio_blk, &conf, &fd, 1);
	CHECK_EQ(
	    peer_send(r.vmm.peer, MSG_VM_NEW, 0, NULL, &spec, sizeof(spec)), 0);
	send_fd(&r, VMFD_KVM, open("/dev/kvm", O_RDWR | O_CLOEXEC));
	send_fd(&r, VMFD_KERNEL, guest_fd("blk.elf"));
	fd = page_fd(&conf);
	send_dev(&r, DEVFD_PAGE, &fd, 0);
	send_dev(&r, DEVFD_SOCKET, &t.sock, 0);
	send_go(&r, 0);
	UNTIL(&r, r.vmm.got[MSG_VM_EVENT] > 0 || r.vmm.peer == NULL);
	CHECK_MSG(r.vmm.event.what == WHAT_STEPS, "%s", r.vmm.event.why.text);
	flushed(&r, &t);
	attach_control(&r);
	CHECK_EQ(r.control.got[MSG_PAGE_DEV], 1);
	op(&r, OP_PAUSE, 0, 6);
	UNTIL(&r, r.vmm.got[MSG_OK] == 1);
	op(&r, OP_UNPAUSE, 0, 7);
	UNTIL(&r, r.vmm.got[MSG_OK] == 2);
	backthread_kill(&t);
	UNTIL(&r, r.vmm.event.what == WHAT_DEV_LOST);
	CHECK_EQ(r.vmm.event.dev, 0);
	CHECK(r.vmm.event.why.text[0] != '\0');
	(void)backthread_join(&t);
	backthread_again(&t);
	send_dev(&r, DEVFD_SOCKET, &t.sock, 8);
	UNTIL(&r, r.vmm.event.what == WHAT_DEV_OK);
	UNTIL(&r, r.vmm.got[MSG_OK] == 3);
	atomic_store(&t.page.flushes, 0);
	op(&r, OP_RESET, 0, 9);
	flushed(&r, &t);
	CHECK_EQ(r.vmm.got[MSG_ERR], 0);
	op(&r, OP_KILL, 0, 10);
	CHECK_EQ(rig_close(&r), 0);
	(void)backthread_join(&t);
	vhu_back_free(t.b);
}

static const struct tap_case cases[] = {
	{ "vmproc: start, console, keys, figures, power-off", t_console },
	{ "vmproc: pause, unpause, reset, triple fault, stop", t_ops },
	{ "vmproc: a deaf guest is powered off in time; kill", t_grace },
	{ "T76 vmproc: three restarts are enough", t_storm },
	{ "T63 vmproc: links break, the guest runs on, is taken back",
	    t_links },
	{ "T64 vmproc: silent and broken callers", t_callers },
	{ "vmproc: a disk of another process, lost and replaced", t_device },
	{ "vmproc: every thread has its filter", t_filters },
	{ "vmproc: starts that fail say why", t_bad_starts },
};
TAP_MAIN(cases)
